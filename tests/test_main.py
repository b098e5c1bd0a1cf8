"""The command line: a mistake of the user's is one line and exit code 2, a fault of ours is loud."""

import dataclasses
import json
import os
import sys
from unittest import mock

from absl import flags
from absl.testing import flagsaver
import numpy as np
import pytest

from aemg_jax import config as config_lib
from aemg_jax import main
from aemg_jax.evaluation import evaluate
from aemg_jax.evaluation.protocols import ProtocolConfig
from aemg_jax.evaluation.transfer import TransferMethod
from aemg_jax.models import ClassifierConfig
from aemg_jax.sentences import views
from aemg_jax.serving import fatigue_video
from tests import tiny_runs, tiny_set

CONFIG = """
import json
from ml_collections import ConfigDict
def get_config(variant=None):
  if variant: raise ValueError(f'config variant {variant!r}: expected none')
  return ConfigDict(json.loads(%r))
"""
VIEWS = (views.View('session', tiny_set.SESSION), views.View('fixed', tiny_set.FIXED))
EVALUATE = evaluate.EvaluateConfig('t', VIEWS, (ProtocolConfig('loso'),), ('lda-hudgins',))
FINE_TUNE = evaluate.Network('fine', TransferMethod(tiny_set.MODEL, start='checkpoint'))
WIDER = ClassifierConfig(dataclasses.replace(
    tiny_set.ENCODER, blocks=dataclasses.replace(tiny_set.BLOCKS, width=32)))


def _run(argv):
  """main.run as in a process of its own: ml_collections looks for overrides in sys.argv, and keeps
  the last config file as a module."""
  argv = ['aemg', *argv]
  sys.modules.pop('config_config', None)
  with flagsaver.flagsaver(), mock.patch.object(sys, 'argv', argv):
    flags.FLAGS.unparse_flags()
    return main.run(argv)


@pytest.fixture(name='put')
def _put(tmp_path):
  """put(name, config) writes a config file of a dataclass, or of source text."""
  def put(name, config):
    path = tmp_path / f'{name}.py'
    text = config if isinstance(config, str) else CONFIG % json.dumps(config_lib.as_plain(config))
    path.write_text(text)
    return f'--config={path}'
  return put


@pytest.fixture(name='workdir')
def _workdir(tmp_path):
  """A folder whose prepared sets are the tiny ones."""
  for view in ('session', 'fixed'):
    source = tiny_set.prepared(view).path
  folder = tmp_path / 'run'
  folder.mkdir()
  os.symlink(os.path.dirname(source), folder / 'prepared')
  return folder


def _files(folder):
  return sorted(str(p) for p in folder.rglob('*')
                if not {'prepared', '__pycache__'} & set(p.parts))


@pytest.fixture(name='refused')
def _refused(tmp_path, capsys):
  """refused(*argv) -> the one line on stderr; the exit code is 2 and no file has come or gone."""
  def refused(*argv):
    before = _files(tmp_path)
    capsys.readouterr()
    code = _run(argv)
    lines = capsys.readouterr().err.strip().splitlines()
    assert code == 2
    assert [line for line in lines if not line[:1] in 'IW'] == lines[-1:], lines
    assert lines[-1].startswith('error: '), lines
    assert _files(tmp_path) == before
    return lines[-1]
  return refused


LEAN = f'--config={os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "configs", "vq.py")}'


@pytest.mark.parametrize('argv, words', [
    ([], ['got nothing', 'prepare, train, evaluate']),
    (['trian'], ["got 'trian'", 'train']),
    (['--workdir=w'], ["got '--workdir=w'"]),
    (['train', 'more'], ["['more']", 'flags only']),
    (['train', '--wrokdir=w'], ["flag 'wrokdir'"]),
    (['train', '--workdir=w'], ['--config: missing']),
    (['report'], ['--workdir: missing']),
    (['predict', '--checkpoint=c'], ['--input: missing']),
    (['fatigue-video', '--checkpoint=c'], ['got []', 'one VIDEO or NPZ']),
    (['fatigue-video', 'a.mp4', 'b.mp4', '--checkpoint=c'], ["['a.mp4', 'b.mp4']"]),
    (['fatigue-video', 'a.mp4', '--out=o'], ['--checkpoint: missing']),
    (['train', '--config=/no/where.py', '--workdir=w'], ['/no/where.py', 'No such file']),
    (['train', '--config=/no/where.py', '--config.batch_size=2'], ['/no/where.py', 'No such file']),
])
def test_commands_and_flags(refused, argv, words):
  """Catches: a traceback of absl or ml_collections, a command that starts with a flag missing."""
  line = refused(*argv)
  assert all(word in line for word in words), line


def test_a_file_may_stand_before_the_flags(monkeypatch):
  """Catches: absl's rule that flags after the first word are words too, and are lost."""
  calls = []
  monkeypatch.setattr(fatigue_video, 'run', lambda *given: calls.append(given))
  assert _run(['fatigue-video', 'a.mp4', '--checkpoint', 'c', '--loop=900']) == 0
  assert _run(['fatigue-video', '--checkpoint=c', '--out=o', '--stride_s=0.5', 'a.npz']) == 0
  assert calls == [('a.mp4', 'c', '.', 900, 1.0), ('a.npz', 'c', 'o', 0, 0.5)]


def test_config_values(refused, put, tmp_path):
  """Catches: an unknown variant, a misspelt override or a wrong type that trains all the same."""
  config, workdir = put('job', tiny_runs.job('vq')), f'--workdir={tmp_path / "new"}'
  for argv, words in (
      ([config + ':nope'], ['job.py:nope', "config variant 'nope': expected none"]),
      ([config, '--config.optim.learning_rat=1'], ['learning_rat', 'learning_rate']),
      ([config, '--config.optim.learning_rate=fast'], ['learning_rate=fast']),
      ([config, '--config.optim.schedule=linear'], ['OptimConfig.schedule', "'linear'"]),
      ([config, '--config.batch_size=0'], ['batch_size: got 0']),
      ([LEAN, '--config.loop.parallel=zero'], ["LoopConfig.parallel: got 'zero'"]),  # not in the file
      ([LEAN, '--config.loop.paralel=fsdp'], ['config.loop.paralel: unknown key', "'parallel'"]),
      ([LEAN, '--config.lop.parallel=fsdp'], ['lop', 'loop']),
      ([config], ['no prepared set', '--prepared']),
      ([put('extra', 'from ml_collections import ConfigDict\ndef get_config():\n'
                     '  return ConfigDict(dict(bach_size=3))')], ['config.bach_size: unknown key'])):
    extra = [f'--prepared={tiny_set.prepared().path}'] if 'batch_size=0' in argv[-1] else []
    line = refused('train', *argv, workdir, *extra)
    assert all(word in line for word in words), line


@pytest.mark.parametrize('source, words', [
    ("def get_config():\n  return {}['x']", ['KeyError: x', 'bad.py:2']),
    ('def get_config():\n  return nope', ['NameError', 'nope', 'bad.py:2']),
    ('def get_config():\n  return [].nope', ['AttributeError', 'nope', 'bad.py:2']),
    ('def get_config():\n  return 1 / 0', ['ZeroDivisionError', 'bad.py:2']),
    ('def get_config(:', ['invalid syntax', 'bad.py']),
    ('import nopackage', ['nopackage', 'bad.py:1']),
    ('def get_config():\n  return open("gone.txt")', ['gone.txt', 'bad.py']),
    ('X = 1', ['get_config', 'bad.py']),
    ('def get_config():\n  return 3', ['--config', 'int', 'ConfigDict']),
])
def test_whatever_a_config_file_raises_is_one_line(refused, put, source, words):
  """Catches: a traceback, or a KeyError's bare key, for a mistake in a config file."""
  line = refused('train', put('bad', source), '--workdir=w')
  assert all(word in line for word in words), line


def test_prepared_set_of_another_config(refused, put, tmp_path):
  """Catches: training on words of other settings."""
  line = refused('train', put('job', tiny_runs.job('vq')), f'--workdir={tmp_path / "new"}',
                 f'--prepared={tiny_set.prepared("session").path}')
  assert 'prepared/session: stale or foreign' in line
  assert 'config.rectify.fixed_scale: made with 1.0, expected 100.0' in line


@pytest.mark.parametrize('split, words', [
    (None, ['split.csv', 'No such file']),
    ('fold,record_id,role\na,nobody,test\n', ['split.csv:2', "'nobody' is not in the prepared set"]),
    ('fold,record_id\na,b\n', ['split.csv:1', 'expected']),
])
def test_split_tables(refused, put, workdir, tmp_path, split, words):
  """Catches: a bad table found after hours of work, or after run.json was written."""
  if split is not None:
    (tmp_path / 'split.csv').write_text(split)
  line = refused('evaluate', put('e', EVALUATE), f'--workdir={workdir}', f'--split={tmp_path}/split.csv')
  assert all(word in line for word in words), line


@pytest.mark.parametrize('config, words', [
    (dict(networks=(FINE_TUNE,)), ['expected --checkpoint']),
    (dict(baselines=('lda-nope',)), ["'lda-nope'", 'lda-hudgins']),
    (dict(protocols=(ProtocolConfig('loso', subjects=('nobody',)),)), ["'nobody' fits no subject"]),
    (dict(probe_protocol='within'), ['probe_protocol', "'within'"]),
    (dict(views=VIEWS[:1]), ['EvaluateConfig.views', "'fixed'"]),
    (dict(views=(VIEWS[0], views.View('fixed', tiny_set.SESSION))), ["'fixed' has the scale 'session'"]),
])
def test_evaluations_that_cannot_be(refused, put, workdir, config, words):
  """Catches: a KeyError or StopIteration of ours; a 'fixed' view that is a statistic of a person."""
  plain = config_lib.as_plain(EVALUATE) | {
      k: [config_lib.as_plain(v) if dataclasses.is_dataclass(v) else v for v in value]
      if isinstance(value, tuple) else value for k, value in config.items()}
  if 'networks' in config:
    plain['networks'][0]['network'] = config_lib.as_plain(FINE_TUNE.network)
  text = CONFIG % json.dumps(plain)
  line = refused('evaluate', put('e', text), f'--workdir={workdir}')
  assert all(word in line for word in words), line


@pytest.mark.heavy
def test_checkpoint_of_another_size(refused, put, workdir):
  """Catches: a fold that starts from parameters of another model, or from none."""
  network = dataclasses.replace(FINE_TUNE, network=TransferMethod(WIDER, start='checkpoint'))
  config = put('e', dataclasses.replace(EVALUATE, networks=(network,)))
  line = refused('evaluate', config, f'--workdir={workdir}',
                 f'--checkpoint={tiny_runs.workdir("supervised")}')
  assert 'supervised' in line and 'blocks.width: made with 16, expected 32' in line


def test_malformed_work_directories(refused, put, workdir, tmp_path):
  """Catches: a file where a folder should be, and damaged JSON that is not named."""
  evaluation = put('e', EVALUATE)
  (tmp_path / 'file').write_text('x')
  assert str(tmp_path / 'file') in refused('evaluate', evaluation, f'--workdir={tmp_path / "file"}')
  assert 'prepared.json: not found' in refused('evaluate', evaluation, f'--workdir={tmp_path / "none"}')
  assert 'run.json: not found' in refused('report', f'--workdir={workdir}')
  (workdir / 'run.json').write_text('{"title": ')
  assert 'run.json: damaged' in refused('report', f'--workdir={workdir}')
  (workdir / 'results.json').write_text('{"labels": [')
  assert 'results.json: damaged' in refused('evaluate', evaluation, f'--workdir={workdir}')
  assert 'no checkpoint there' in refused(
      'predict', f'--checkpoint={workdir}', '--input=i.npz', '--output=o.csv')


@pytest.mark.parametrize('error', [KeyError('k'), AttributeError('a'), TypeError('t')])
def test_faults_of_ours_are_not_swallowed(monkeypatch, error):
  """Catches: a bug of the package told as a mistake of the user's, without a traceback."""
  def broken():
    raise error
  monkeypatch.setitem(main.COMMANDS, 'report', broken)
  with pytest.raises(type(error)):
    _run(['report'])


def test_numpys_own_value_errors_are_faults_of_ours(monkeypatch):
  """Catches: shapes that do not fit, inside numpy or JAX, told as bad input."""
  monkeypatch.setitem(main.COMMANDS, 'report', lambda: np.stack([np.zeros(2), np.zeros(3)]))
  with pytest.raises(ValueError, match='same shape'):
    _run(['report'])
  monkeypatch.setitem(main.COMMANDS, 'report', lambda: open('/no/such/file'))
  assert _run(['report']) == 2
