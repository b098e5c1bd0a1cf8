"""A checkpoint or export that is loaded by somebody who knows nothing of the training."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
import safetensors.numpy

import aemg_jax
from aemg_jax.data import batches
from aemg_jax.serving import export, load
from aemg_jax.training import checkpoints, export_files, golden, items
from data_builders import build as build_lib
from tests import tiny_runs, tiny_set
from tests.sentences.hand_made import record

ROOT = pathlib.Path(__file__).parent.parent.parent
pytestmark = pytest.mark.heavy


@pytest.fixture(name='loaded', scope='module')
def _loaded():
  return aemg_jax.load_pretrained(tiny_runs.workdir('masked'))


@pytest.mark.parametrize('kind', ['vq', 'masked', 'supervised'])
def test_a_checkpoint_of_each_task_proves_itself(kind):
  """Catches: a task whose model cannot be built from what its checkpoint says."""
  found = aemg_jax.load_pretrained(tiny_runs.workdir(kind))
  wanted = checkpoints.load_params(tiny_runs.workdir(kind))
  assert items.params_hash(found.params) == items.params_hash(wanted)
  assert found.config['prepared'][0]['datasets'][0]['licence'] == 'none'
  assert found.config['split'] == {'made': ['s0', 's1']} and 'alignment' in found.config
  device = found.tokeniser.devices['made']
  assert device['units'] == ['nominal'] and device['electrodes'][0]['position'] == [1, 5, 9, 13]
  assert found.tokeniser.prepare == tiny_set.FIXED and found.encoder is not None


def test_words_are_those_of_the_training(loaded):
  """Catches: another filter, scale, montage or mean than the model was trained with."""
  one = tiny_set.records()[0]
  prepared = tiny_set.prepared()
  row = int(np.flatnonzero(prepared.segments['record_id'] == one.record_id)[0])
  words = loaded.tokeniser(one)
  centre = batches.stored_centre(prepared, loaded.config['mean_of'])
  wanted = batches.sentence_arrays(prepared, [row], None, centre)['words']
  for name in words._fields:
    np.testing.assert_allclose(getattr(words, name), getattr(wanted, name), atol=1e-5, err_msg=name)
  vectors = loaded.encoder.apply({'params': loaded.params['encoder']}, words).slot_bsd
  assert vectors.shape == (1, 4, 16) and np.isfinite(vectors).all()


@pytest.mark.parametrize('change, message', [
    (lambda p: {**p, 'more': np.zeros(2, np.float32)}, r'params: .*more float32\[2\] is left over'),
    (lambda p: {k: v for k, v in p.items() if k != 'codes'}, 'codes/bias is missing'),
    (lambda p: jax.tree.map(lambda x: x[:1] if x.ndim == 1 else x, p), r'is float32\[1\], expected'),
    (lambda p: jax.tree.map(lambda x: x * 1.01, p), 'golden output .* away from what was stored'),
    (lambda p: jax.tree.map(lambda x: x * np.nan, p), 'with 0% numbers')])
def test_weights_that_are_not_the_models_are_refused(monkeypatch, change, message):
  """Catches: a weight that is dropped, made up or changed, in silence."""
  whole = checkpoints.load_params
  monkeypatch.setattr(load.checkpoints, 'load_params', lambda path: change(whole(path)))
  with pytest.raises(ValueError, match=message):
    aemg_jax.load_pretrained(tiny_runs.workdir('masked'))


@pytest.mark.parametrize('name', load.PROOF)
def test_a_checkpoint_without_a_proof_is_refused(monkeypatch, name):
  """Catches: a model of unknown data taken for one whose licences are known."""
  whole = checkpoints.load_meta
  meta = {k: v for k, v in whole(tiny_runs.workdir('masked')).items() if k != name}
  monkeypatch.setattr(load.checkpoints, 'load_meta', lambda path: meta)
  with pytest.raises(ValueError, match=f"a checkpoint without .*'{name}'"):
    aemg_jax.load_pretrained(tiny_runs.workdir('masked'))


def test_golden_outputs_hold_on_one_device_and_see_every_input(loaded):
  """Catches: golden words that leave a part of the model unseen; a check that depends on devices."""
  task, words = load.task_of(loaded.config, 'x'), golden.words(loaded.tokeniser.prepare)
  stored = golden.outputs(task, loaded.params, words)
  assert golden.check('x', stored, golden.outputs(task, loaded.params, words), 0.0) == 0
  blind = []
  for name, leaf in items.flat(loaded.params).items():
    def moved(path, x, name=name):
      same = jax.tree_util.keystr(path, simple=True, separator='/') == name
      return x + 0.5 + np.arange(x.size, dtype=np.float32).reshape(x.shape) % 3 if same else x
    changed = golden.outputs(task, jax.tree_util.tree_map_with_path(moved, loaded.params), words)
    if all(np.abs(stored[k] - changed[k]).max() < 1e-6 for k in stored):
      blind.append(name)
  # what is added to every key adds the same to all of a query's scores, and softmax takes it away
  assert [name for name in blind if not name.endswith('attention/key_norm/bias')] == []


@pytest.fixture(name='exported', scope='module')
def _exported(tmp_path_factory):
  out = tmp_path_factory.mktemp('export') / 'model'
  export.export(tiny_runs.workdir('masked'), str(out))
  return out


def test_an_export_gives_back_the_same_model(exported, loaded):
  """Catches: tensors under other names, a card without the licences, a config cut short."""
  again = aemg_jax.load_pretrained(exported)
  assert items.params_hash(again.params) == items.params_hash(loaded.params)
  assert again.config == loaded.config and again.tokeniser == loaded.tokeniser
  codebook = again.extra['codebook']
  assert {k: v.shape for k, v in codebook.items()} == {
      k: v.shape for k, v in loaded.extra['codebook'].items()}
  tensors = safetensors.numpy.load_file(exported / export_files.WEIGHTS)
  assert 'params/codes/kernel' in tensors and 'params/encoder/place/kernel' in tensors
  card = (exported / export_files.CARD).read_text()
  assert '| made | 1.0.0 | none | 2 | 4 of 4 | 200 | nominal |' in card
  assert f'{sum(x.size for x in jax.tree.leaves(loaded.params)):,} parameters' in card
  with pytest.raises(ValueError, match='is there already'):
    export.export(tiny_runs.workdir('masked'), str(exported))


@pytest.mark.parametrize('name, message', [
    (export_files.WEIGHTS, 'hash'), (export_files.CONFIG, 'damaged or incomplete'),
    (export_files.GOLDEN, 'away from what was stored|golden output')])
def test_a_damaged_export_is_refused(exported, tmp_path, name, message):
  """Catches: a download cut short or changed that still loads."""
  copy = shutil.copytree(exported, tmp_path / 'copy')
  if name == export_files.CONFIG:
    (copy / name).write_text((copy / name).read_text()[:-9])
  else:
    tensors = safetensors.numpy.load_file(copy / name)
    key = next(k for k in sorted(tensors) if tensors[k].dtype == np.float32 and 'amplitude' not in k)
    safetensors.numpy.save_file(tensors | {key: tensors[key] + 1}, copy / name)
  with pytest.raises(ValueError, match=message):
    aemg_jax.load_pretrained(copy)


@pytest.mark.parametrize('what', ['workdir', 'export'])
def test_a_bucket_is_a_path_like_any_other(monkeypatch, exported, loaded, what):
  """Catches: os.path on gs://, which finds nothing there."""
  there = {'workdir': tiny_runs.workdir('masked'), 'export': str(exported)}[what]
  whole = load.epath.Path
  monkeypatch.setattr(load.epath, 'Path', lambda p: whole(str(p).replace('gs://bucket/run', there)))
  found = aemg_jax.load_pretrained('gs://bucket/run')
  assert items.params_hash(found.params) == items.params_hash(loaded.params)
  with pytest.raises(ValueError, match='no checkpoint there'):
    monkeypatch.setattr(load.epath, 'Path', lambda p: whole(str(p).replace('gs://bucket', str(ROOT / 'none'))))
    aemg_jax.load_pretrained('gs://bucket/run')


def test_a_device_that_training_did_not_know_is_named(loaded):
  """Catches: a microvolt recording scaled as another device's volts."""
  two = {**loaded.tokeniser.devices, 'other': {}}
  tokeniser = load.Tokeniser(loaded.tokeniser.prepare, two, 'none', {})
  with pytest.raises(ValueError, match=r"dataset: got 'nobody', expected one of .*\['made', 'other'\]"):
    tokeniser(record('r', dataset='nobody'))


def test_the_readmes_script_runs(tmp_path):
  """Catches: an example that no longer runs, or has grown beyond 35 lines. One device, another process."""
  text = (ROOT / 'README.md').read_text(encoding='utf-8')
  code = re.search(r'<!-- ENCODER -->\n```python\n(.*?)```', text, re.S).group(1)
  assert len(code.splitlines()) <= 35
  folder = pathlib.Path(build_lib.__file__).parent / 'emg_folder' / 'dummy_data'
  built = build_lib.build('emg_folder', str(tmp_path), folder, progress=False)
  code = code.replace('W/masked', tiny_runs.workdir('masked')).replace('D/myo_armband', str(built))
  environment = {k: v for k, v in os.environ.items() if k != 'XLA_FLAGS'} | {'JAX_PLATFORMS': 'cpu'}
  done = subprocess.run([sys.executable, '-c', code], env=environment, cwd=ROOT, text=True,
                        capture_output=True, check=False)
  assert done.returncode == 0 and re.search(r'loss \d+\.\d+ on 24 sentences', done.stdout), done.stderr
