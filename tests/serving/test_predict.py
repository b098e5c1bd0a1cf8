"""aemg predict: the same numbers as in evaluation, and one-line errors for what it cannot read."""

import csv
import dataclasses
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from aemg_jax.data import batches, splits
from aemg_jax.evaluation import sentence_windows
from aemg_jax.models import build
from aemg_jax.serving import load, predict
from aemg_jax.training import checkpoints
from tests import tiny_runs, tiny_set

pytestmark = pytest.mark.heavy

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SUBJECT, PLACE = 's2', 7  # a repetition of a subject that did not train


def _recording(factor=1.0):
  record = [r for r in tiny_set.records() if r.subject == SUBJECT][PLACE]
  return dataclasses.replace(record, signal_tc=factor * record.signal_tc)


def _save(path, **changes):
  record = _recording()
  fields = dict(signal_tc=record.signal_tc, rate_hz=record.rate_hz,
                angle_deg=np.array([s.angle_deg for s in record.sensors]))
  np.savez(path, **{k: v for k, v in (fields | changes).items() if v is not None})
  return str(path)


def _rows(path):
  with open(path, newline='', encoding='utf-8') as file:
    return list(csv.DictReader(file))


@pytest.fixture(name='model', scope='module')
def _model():
  return tiny_runs.workdir('supervised')


def _as_evaluated(model):
  """Log probabilities of the same windows by the path that results.json is made with."""
  prepared, meta = tiny_set.prepared(), checkpoints.load_meta(model)
  segment = int(tiny_set.rows_of(SUBJECT)[PLACE])
  row = splits.Row(segment, 'r', 0.0, tiny_set.N_SAMPLES / 200)
  trained = np.concatenate([tiny_set.rows_of(s) for s in ('s0', 's1')])
  centre = batches.make_centre(
      prepared, 'training', np.unique(prepared.segments['session_index'][trained]))
  params = checkpoints.load_params(model)
  module = build(tiny_set.MODEL)
  forward = jax.jit(lambda words: jax.nn.log_softmax(module.apply({'params': params}, words)))
  return *sentence_windows.map_windows(prepared, [row], centre, forward)[1:], meta['labels']


def test_same_windows_and_numbers_as_in_evaluation(model, tmp_path):
  """Catches: another scale, centre, channel order, window or time than the model was scored with."""
  predict.predict_file(model, _save(tmp_path / 'in.npz'), str(tmp_path / 'out.csv'))
  rows = _rows(tmp_path / 'out.csv')
  start_w, log_prob_wk, labels = _as_evaluated(model)
  np.testing.assert_allclose([float(r['time_s']) for r in rows], (start_w + 52) / 200)
  assert [r['label'] for r in rows] == [labels[k] for k in log_prob_wk.argmax(1)]
  probability = [float(r['probability']) for r in rows]
  np.testing.assert_allclose(probability, np.exp(log_prob_wk.max(1)), atol=2e-5)
  assert sum(r['label'] == _recording().labels[0].name for r in rows) > 0.8 * len(rows)
  assert os.listdir(tmp_path) == ['in.npz', 'out.csv'] or len(os.listdir(tmp_path)) == 2


def test_without_angles_the_ring_is_even_in_channel_order(model, tmp_path):
  """Catches: electrodes without a place taken as padding."""
  predict.predict_file(model, _save(tmp_path / 'a.npz'), str(tmp_path / 'a.csv'))
  predict.predict_file(model, _save(tmp_path / 'b.npz', angle_deg=None), str(tmp_path / 'b.csv'))
  assert _rows(tmp_path / 'a.csv') == _rows(tmp_path / 'b.csv')


@pytest.mark.parametrize('prepare', [tiny_set.SESSION, tiny_set.FIXED])
def test_session_scale_and_centre_are_the_recordings_own(model, prepare):
  """Catches: the training set's mean or scale used where the recording's own is meant: one that is
  ten times as loud must give the same numbers (far above the power floor)."""
  params, task = checkpoints.load_params(model), tiny_runs.TASKS['supervised']
  meta = checkpoints.load_meta(model)
  tokeniser = dataclasses.replace(load.tokeniser_of(meta, {}, model), prepare=prepare, centre='session')
  quiet, loud = (predict.log_probabilities(_recording(factor), tokeniser, task, params)[1] for factor in (1e4, 1e5))
  np.testing.assert_allclose(np.exp(quiet), np.exp(loud), atol=2e-3)


@pytest.mark.parametrize('changes, message', [
    (dict(signal_tc=None), 'signal_tc: missing'),
    (dict(rate_hz=None), 'rate_hz: missing'),
    (dict(extra=1), 'extra: unknown field'),
    (dict(rate_hz=-200.0), 'rate_hz: got -200.0, expected a positive rate'),
    (dict(rate_hz='fast'), "rate_hz: got .*'fast'.*, expected one number"),
    (dict(rate_hz=np.array([1.0, 2.0])), 'rate_hz: .*, expected one number'),
    (dict(unit='furlong'), "unit: got 'furlong'"),
    (dict(scale=0.0), 'scale: got 0.0, expected a positive number'),
    (dict(angle_deg=np.zeros(3)), r'angle_deg: got float64 \(3,\), expected 4 numbers'),
    (dict(angle_deg=np.full(4, 400.0)), 'angle_deg: got 400.0'),
    (dict(signal_tc=np.zeros(9)), r'signal_tc: got shape \(9,\)'),
    (dict(signal_tc=np.zeros((99, 4))), 'constant channel: channel 0'),
    (dict(signal_tc=np.full((99, 4), np.nan)), 'signal_tc: got nan'),
    (dict(signal_tc=np.eye(4)), 'too short: 4 samples at 200 Hz, expected 52'),
    (dict(signal_tc=np.ones((99, 4), np.uint8)), "signal_tc: got 'uint8'"),
    (dict(signal_tc=np.random.rand(99, 5), angle_deg=None), 'got 5 channels, expected at most 4'),
    (dict(signal_tc=np.array([[None]])), 'cannot be read .*expected an NPZ without Python objects'),
])
def test_bad_recordings_are_named_and_leave_nothing(model, tmp_path, changes, message):
  """Catches: a traceback, a wrong answer in silence, or a half-written CSV."""
  path = _save(tmp_path / 'in.npz', **changes)
  with pytest.raises(ValueError, match=f'in.npz.*{message}') as error:
    predict.predict_file(model, path, str(tmp_path / 'out.csv'))
  assert '\n' not in str(error.value)
  assert os.listdir(tmp_path) == ['in.npz']


@pytest.mark.parametrize('damage', [
    lambda data: data[:len(data) // 2], lambda data: b'', lambda data: b'hello',
    lambda data: data[:200] + bytes(b ^ 1 for b in data[200:260]) + data[260:]])
def test_damaged_files_are_named(model, tmp_path, damage):
  """Catches: zipfile's or zlib's own errors, which name no file."""
  path = tmp_path / 'in.npz'
  _save(path)
  path.write_bytes(damage(path.read_bytes()))
  with pytest.raises(ValueError, match='in.npz: cannot be read'):
    predict.predict_file(model, str(path), str(tmp_path / 'out.csv'))


def test_a_checkpoint_of_another_task_is_refused(tmp_path):
  """Catches: the tokeniser's parameters put into a classifier."""
  with pytest.raises(ValueError, match='vq: holds a VQTask, expected a SupervisedTask'):
    predict.predict_file(tiny_runs.workdir('vq'), _save(tmp_path / 'in.npz'), 'out.csv')


def test_an_interrupted_write_keeps_the_old_file(model, tmp_path, monkeypatch):
  """Catches: a CSV opened in place, so that a full disk takes the last good one."""
  out = tmp_path / 'out.csv'
  out.write_text('old')

  def full(*args):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(predict.os, 'replace', full)
  with pytest.raises(OSError, match='No space'):
    predict.predict_file(model, _save(tmp_path / 'in.npz'), str(out))
  assert out.read_text() == 'old' and sorted(os.listdir(tmp_path)) == ['in.npz', 'out.csv']


WITHOUT = ('grain', 'array_record', 'tensorflow', 'tensorflow_datasets')


def test_predicts_where_grain_array_record_and_tfds_cannot_be_installed(model, tmp_path):
  """Catches: an import at the top of a module that has no Windows wheel."""
  argv = ['aemg', 'predict', f'--checkpoint={model}', f'--input={_save(tmp_path / "in.npz")}',
          f'--output={tmp_path / "out.csv"}']
  code = (f'import sys\nfor name in {WITHOUT}: sys.modules[name] = None\n'
          f'from aemg_jax import main\nsys.exit(main.run({argv}))')
  done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT,
                        env=os.environ | {'PYTHONPATH': ROOT})
  assert done.returncode == 0, done.stderr
  predict.predict_file(model, str(tmp_path / 'in.npz'), str(tmp_path / 'here.csv'))
  assert len(_rows(tmp_path / 'out.csv')) == len(_rows(tmp_path / 'here.csv')) > 10


def test_a_broken_installation_is_no_damaged_checkpoint(model, monkeypatch):
  """Catches: `except Exception` that blames the file for a package that cannot be imported."""
  def missing(*args, **kwargs):
    raise ImportError('no such package')
  for reader, load in (('JsonCheckpointHandler', checkpoints.load_meta),
                       ('StandardCheckpointHandler', checkpoints.load_params),
                       ('StandardCheckpointer', checkpoints.load_params)):
    with monkeypatch.context() as patch:
      patch.setattr(checkpoints.ocp, reader, missing)
      with pytest.raises(ImportError, match='no such package'):
        load(model)
