"""What a checkpoint holds, and what is refused."""

import os
import pathlib
import shutil
import subprocess
import sys
import threading
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from aemg_jax.training import checkpoints
from aemg_jax.training import optim
from aemg_jax.training import parallel
from aemg_jax.training.state import init_state

TASK = toy.ToyTask()
TX = optim.make_tx(optim.OptimConfig(learning_rate=0.01), 10)


def _state(task=TASK, tx=TX):
  return init_state(task, tx, toy.batch(), seed=1)


@pytest.fixture
def saved(tmp_path):
  with checkpoints.Checkpoints(tmp_path) as store:
    store.save(parallel.replicate(_state()), {'labels': ['a', 'b']})
  return tmp_path


def test_restores_every_leaf_bitwise(saved):
  """Catches: a leaf left out, or of another dtype after the round trip."""
  restored = checkpoints.Checkpoints(saved).restore_latest(jax.tree.map(jnp.zeros_like, _state()))
  jax.tree.map(np.testing.assert_array_equal, restored, jax.device_get(_state()))
  types = lambda state: [x.dtype for x in jax.tree.leaves(state)]
  assert types(restored) == types(_state())
  assert jax.tree.structure(restored) == jax.tree.structure(_state())


def test_nothing_to_restore_is_none(tmp_path):
  """Catches: an error at the first start of a run."""
  assert checkpoints.Checkpoints(tmp_path).restore_latest(_state()) is None


def test_params_and_extra_alone_without_optimiser_or_shapes(saved):
  """Catches: transfer that needs the optimiser, the device count or the model of the saved run."""
  want = jax.device_get(_state())
  for path in (saved, saved / 'checkpoints', saved / 'checkpoints' / '0'):
    params = checkpoints.load_params(path)
    jax.tree.map(np.testing.assert_array_equal, params, want.params)
  jax.tree.map(np.testing.assert_array_equal, checkpoints.load_extra(saved), want.extra)
  abstract = jax.eval_shape(lambda: _state().params)
  jax.tree.map(np.testing.assert_array_equal, checkpoints.load_params(saved, abstract), want.params)
  meta = checkpoints.load_meta(saved)
  want_hash = checkpoints.params_hash(want.params)
  assert (meta['labels'], meta['step'], meta['params_hash']) == (['a', 'b'], 0, want_hash)


@pytest.mark.parametrize('change, message', [
    (lambda p: {'dense': {**p['dense'], 'kernel': np.zeros((5, 4), np.float32)}},
     r'dense/kernel is float32\[5, 3\], expected float32\[5, 4\]'),
    (lambda p: {'dense': {'kernel': p['dense']['kernel']}},
     r'dense/bias float32\[3\] is left over'),
    (lambda p: {**p, 'head': {'bias': np.zeros(2, np.float32)}},
     r'head/bias is missing \(expected float32\[2\]'),
    (lambda p: {'dense': {**p['dense'], 'bias': np.zeros(3, np.int32)}},
     r'dense/bias is float32\[3\], expected int32'),
])
def test_other_parameters_are_refused_by_leaf_and_file(saved, change, message):
  """Catches: a partial restore that leaves fresh random leaves in place, silently."""
  with pytest.raises(ValueError, match=message) as error:
    checkpoints.load_params(saved, change(jax.device_get(_state().params)))
  assert str(saved / 'checkpoints' / '0' / 'params') in str(error.value)


def test_other_size_or_optimiser_is_refused_on_resume(saved):
  """Catches: resuming a run whose config has changed."""
  store = checkpoints.Checkpoints(saved)
  with pytest.raises(ValueError, match='dense/bias'):
    store.restore_latest(_wider())
  tx = optim.make_tx(optim.OptimConfig(learning_rate=0.01, clip_norm=1.0, frozen=('dense',)), 10)
  with pytest.raises(ValueError, match='rest.*opt_state'):
    store.restore_latest(_state(tx=tx))


def _wider():
  return init_state(toy.ToyTask(width=4), TX, toy.batch(d=4), seed=1)


def test_hash_sees_values_names_shapes_and_types():
  """Catches: a hash that would pass another fold's parameters as the checkpoint's."""
  digest = checkpoints.params_hash
  trees = [{'a': np.zeros(4, np.float32)}, {'b': np.zeros(4, np.float32)},
           {'a': np.zeros((2, 2), np.float32)}, {'a': np.zeros(4, np.int32)},
           {'a': np.array([0, 0, 0, 1e-30], np.float32)}]
  assert len({digest(tree) for tree in trees}) == len(trees)
  swapped = {'b': {'x': np.ones(2)}, 'a': np.zeros(4)}
  assert digest(swapped) == digest(dict(reversed(swapped.items())))
  assert digest({'a': jnp.ones(3)}) == digest({'a': np.ones(3, np.float32)})


def _files(saved, item):
  root = pathlib.Path(saved) / 'checkpoints' / '0' / item
  return sorted(p for p in root.rglob('*') if p.is_file())


@pytest.mark.parametrize('item', ['params', 'extra', 'rest', 'meta'])
@pytest.mark.parametrize('damage', ['truncate', 'flip', 'remove'])
def test_a_damaged_checkpoint_is_one_line_that_names_it(saved, item, damage):
  """Catches: garbage taken for parameters; a traceback; a silent fresh start."""
  if damage == 'remove':
    shutil.rmtree(saved / 'checkpoints' / '0' / item)
  for path in _files(saved, item):
    data = bytearray(path.read_bytes())
    if damage == 'truncate':
      data = data[: len(data) // 2]
    elif damage == 'flip':
      data = bytearray(b ^ 0x55 for b in data)
    path.write_bytes(bytes(data))
  with pytest.raises(ValueError) as error:
    checkpoints.Checkpoints(saved).restore_latest(_state())
  message = str(error.value)
  assert str(saved / 'checkpoints') in message and '\n' not in message, message


def test_changed_values_are_seen_by_the_hash(saved):
  """Catches: a checkpoint whose files are sound but hold other parameters than were saved."""
  other = jax.tree.map(lambda x: x + 1, _state())
  elsewhere = saved / 'elsewhere'
  with checkpoints.Checkpoints(elsewhere) as store:
    store.save(other, {})
  params = saved / 'checkpoints' / '0' / 'params'
  shutil.rmtree(params)
  shutil.copytree(checkpoints.step_folder(elsewhere) + '/params', params)
  with pytest.raises(ValueError, match='damaged: hash'):
    checkpoints.load_params(saved)


def test_full_disk_is_one_line_and_keeps_the_last_checkpoint(saved, monkeypatch):
  """Catches: the good checkpoint deleted before the new one is whole."""
  store = checkpoints.Checkpoints(saved)
  state = _state().replace(step=jnp.int32(5))
  usage = shutil.disk_usage(saved)
  with monkeypatch.context() as patch:
    patch.setattr(shutil, 'disk_usage', lambda path: usage._replace(free=10))
    with pytest.raises(ValueError, match='disk full.*0.0 MB are free'):
      store.save(state, {})
  with monkeypatch.context() as patch:
    def fail(*args, **kwargs):
      os.makedirs(saved / 'checkpoints' / '5.orbax-checkpoint-tmp')
      raise OSError(28, 'No space left on device')
    patch.setattr(store._manager, 'save', fail)
    store.save(state, {})
    with pytest.raises(ValueError, match='step 5: .*No space left on device'):
      store.close()
  assert os.listdir(saved / 'checkpoints') == ['0']
  checkpoints.load_params(saved)


SMALL_DISK = """
import resource, signal, sys
sys.path[:0] = sys.argv[2:]
import jax.numpy as jnp, toy
from aemg_jax.training import checkpoints, optim
from aemg_jax.training.state import init_state
state = init_state(toy.ToyTask(), optim.make_tx(optim.OptimConfig(), 10), toy.batch(), 1)
store = checkpoints.Checkpoints(sys.argv[1])
store.save(state, {})
store.check()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store._wait()
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))  # no file may be larger: a full disk
store.save(state.replace(step=jnp.int32(5)), {})
try:
  store.close()
except ValueError as error:
  print(error)
"""


@pytest.mark.heavy
def test_a_write_that_is_cut_short_keeps_the_last_checkpoint(tmp_path):
  """Catches: a file system's error in the thread that nobody hears of, and what it leaves."""
  folders = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parents[2])]
  done = subprocess.run([sys.executable, '-c', SMALL_DISK, str(tmp_path), *folders], check=True,
                        capture_output=True, text=True, env={**os.environ, 'JAX_PLATFORMS': 'cpu'})
  assert 'could not write the checkpoint of step 5' in done.stdout, done.stderr[-2000:]
  assert checkpoints.load_meta(tmp_path)['step'] == 0
  checkpoints.load_params(tmp_path)
  checkpoints.Checkpoints(tmp_path).close()  # a write that went on for a moment may have left files
  assert os.listdir(tmp_path / 'checkpoints') == ['0']


def test_the_error_of_a_write_comes_with_the_next_call(saved, monkeypatch):
  """Catches: a run of days whose checkpoints fail one after the other."""
  store = checkpoints.Checkpoints(saved)
  monkeypatch.setattr(store._manager, 'save', mock.Mock(side_effect=OSError('no quota')))
  store.save(_state().replace(step=jnp.int32(5)), {})
  store._pending.exception()
  with pytest.raises(ValueError, match='step 5: no quota'):
    store.check()
  store.check()


@pytest.mark.heavy
def test_saving_does_not_wait_for_the_disk_nor_sees_later_steps(tmp_path, monkeypatch):
  """Catches: a training loop that stands still while files are written; a donated buffer saved."""
  store, started, go = checkpoints.Checkpoints(tmp_path), threading.Event(), threading.Event()
  write = store._write

  def slow(*args):
    started.set()
    assert go.wait(30)
    write(*args)

  monkeypatch.setattr(store, '_write', slow)
  state = parallel.replicate(_state())
  want = jax.device_get(state.params)
  store.save(state, {})
  assert started.wait(30) and checkpoints.FOLDER in os.listdir(tmp_path)
  step = parallel.train_step(TASK, TX)
  step(state, parallel.shard_batch(toy.batch()))  # donates the state
  go.set()
  store.close()
  jax.tree.map(np.testing.assert_array_equal, checkpoints.load_params(tmp_path), want)


def _two(tmp_path):
  """A work directory with checkpoints 3 and 7."""
  with checkpoints.Checkpoints(tmp_path, track_best=True) as store:
    for step in (3, 7):
      store.save(_state().replace(step=jnp.int32(step)), {'at': step}, score=float(step))


@pytest.mark.heavy
def test_whatever_happens_to_a_file_the_one_before_is_taken(tmp_path, caplog):
  """Catches: flipped bits, cut, emptied or lost files that are trained on, or that end a run."""
  _two(tmp_path / 'sound')
  files = sorted(p.relative_to(tmp_path / 'sound')
                 for p in (tmp_path / 'sound/checkpoints/7').rglob('*') if p.is_file())
  rng, fell_back = np.random.default_rng(0), 0
  for i, name in enumerate(files * 2):
    damaged = tmp_path / f'damaged{i}'
    shutil.copytree(tmp_path / 'sound', damaged)
    data = bytearray((damaged / name).read_bytes())
    kind = i % 4
    if kind == 0 and data:
      data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    elif kind == 1:
      data = data[:rng.integers(len(data) + 1)]
    elif kind == 2:
      data = bytearray()
    (damaged / name).write_bytes(bytes(data))
    if kind == 3:
      (damaged / name).unlink()
    with checkpoints.Checkpoints(damaged, track_best=True) as store:
      found = store.restore_latest(_state())
      step = int(found.step)
      want = _state().replace(step=np.int32(step))
      jax.tree.map(np.testing.assert_array_equal, found, jax.device_get(want))
      assert step in (3, 7), name
      if step == 3:
        fell_back += 1
        assert sorted(os.listdir(damaged / 'checkpoints')) == ['3', '7.damaged']
        assert checkpoints.load_meta(damaged)['at'] == 3
        store.save(_state().replace(step=jnp.int32(7)), {})
  assert fell_back > len(files) / 2 and 'the checkpoint before it is taken' in caplog.text


def test_all_damaged_is_an_error_and_not_a_fresh_start(saved):
  """Catches: weeks of training begun again in silence."""
  for path in _files(saved, 'rest'):
    path.write_bytes(b'')
  with pytest.raises(ValueError, match='checkpoints/0/rest: damaged'):
    checkpoints.Checkpoints(saved).restore_latest(_state())


def test_averaged_parameters_are_those_that_others_load(tmp_path):
  """Catches: transfer from parameters that no evaluation has seen; training on the average."""
  tx = optim.make_tx(optim.OptimConfig(learning_rate=0.01, average_decay=0.9), 10)
  state = _state(tx=tx)
  average = jax.tree.map(lambda x: x + 1, state.params)
  state = state.replace(opt_state=state.opt_state._replace(params=average))
  with checkpoints.Checkpoints(tmp_path) as store:
    store.save(state, {})
    restored = store.restore_latest(_state(tx=tx))
  jax.tree.map(np.testing.assert_array_equal, checkpoints.load_params(tmp_path), average)
  jax.tree.map(np.testing.assert_array_equal, restored, jax.device_get(state))
  assert jax.tree.structure(restored) == jax.tree.structure(state)


def test_what_a_killed_save_left_is_cleaned_and_never_restored(saved):
  """Catches: a half-written folder taken for the latest checkpoint."""
  half = saved / 'checkpoints' / '7.orbax-checkpoint-tmp'
  shutil.copytree(saved / 'checkpoints' / '0', half)
  assert checkpoints.step_folder(saved).endswith('/0')
  store = checkpoints.Checkpoints(saved)
  assert store.latest_step() == 0
  assert not half.exists()


def test_a_state_without_extra(tmp_path):
  """Catches: an empty tree, which orbax refuses to write."""
  state = _state().replace(extra={})
  with checkpoints.Checkpoints(tmp_path) as store:
    store.save(state, {})
  assert checkpoints.Checkpoints(tmp_path).restore_latest(state).extra == {}
  with pytest.raises(ValueError, match='extra.*ema_f is missing'):
    checkpoints.Checkpoints(tmp_path).restore_latest(_state())


def test_no_checkpoint_is_one_line(tmp_path):
  """Catches: a listing error instead of the path and what was expected."""
  for path in (tmp_path, tmp_path / 'nowhere'):
    with pytest.raises(ValueError, match='no checkpoint there'):
      checkpoints.load_params(path)
