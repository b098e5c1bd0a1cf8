"""Resume, interruption, non-finite losses and what the loop writes."""

import os
import signal

import jax
import numpy as np
import pytest
import toy

from aemg_jax.data.loader import Loader
from aemg_jax.training import checkpoints
from aemg_jax.training import loop
from aemg_jax.training import optim
from aemg_jax.training import parallel
from aemg_jax.training import writers
from aemg_jax.training.state import init_state

TASK = toy.ToyTask(noise=0.1)
TX = optim.make_tx(optim.OptimConfig(learning_rate=0.01, weight_decay=0.1), 20)
LOADER = Loader([{k: v for k, v in toy.batch(b=40).items()}], batch_size=8, seed=5)


def _state():
  return init_state(TASK, TX, toy.batch(), seed=1)


def _config(steps, **kwargs):
  usual = {'log_every': 1, 'checkpoint_every': 100, 'progress': False}
  return loop.LoopConfig(steps=steps, **{**usual, **kwargs})


def _assert_bitwise(a, b):
  jax.tree.map(np.testing.assert_array_equal, jax.device_get(a), jax.device_get(b))


def test_resume_is_bitwise_equal_to_a_straight_run(tmp_path):
  """Catches: data, keys, optimiser or `extra` that start again after a resume."""
  seen = []

  def batches(step):
    batch = LOADER(step)
    seen.append((step, batch['index'].tolist()))
    return batch

  straight = loop.fit(TASK, TX, batches, _state(), _config(7), workdir=tmp_path / 'straight')
  order, seen = seen, []
  loop.fit(TASK, TX, batches, _state(), _config(3), workdir=tmp_path / 'parts')
  resumed = loop.fit(TASK, TX, batches, _state(), _config(7), workdir=tmp_path / 'parts')
  assert seen == order
  _assert_bitwise(resumed.state, straight.state)
  assert writers.read(tmp_path / 'parts') == writers.read(tmp_path / 'straight')
  assert [line['step'] for line in resumed.history] == [3, 4, 5, 6]


def test_finished_run_is_not_trained_again(tmp_path):
  """Catches: a second call that trains on, or fails, when all steps are done."""
  first = loop.fit(TASK, TX, LOADER, _state(), _config(2), workdir=tmp_path)
  again = loop.fit(TASK, TX, LOADER, _state(), _config(2), workdir=tmp_path)
  _assert_bitwise(first.state, again.state)


def test_prepare_extra_runs_at_step_0_only(tmp_path):
  """Catches: a codebook that k-means overwrites again after each resume."""
  calls = []

  def prepare(state):
    calls.append(int(state.step))
    return state.replace(extra={**state.extra, 'ema_f': state.extra['ema_f'] + 1})

  loop.fit(TASK, TX, LOADER, _state(), _config(2), workdir=tmp_path, prepare_extra=prepare)
  loop.fit(TASK, TX, LOADER, _state(), _config(4), workdir=tmp_path, prepare_extra=prepare)
  assert calls == [0]
  with_it = loop.fit(TASK, TX, LOADER, _state(), _config(1), prepare_extra=prepare).state
  without = loop.fit(TASK, TX, LOADER, _state(), _config(1)).state
  np.testing.assert_allclose(with_it.extra['ema_f'] - without.extra['ema_f'], 0.9, rtol=1e-6)


@pytest.mark.parametrize('signum', [signal.SIGTERM, signal.SIGINT])
def test_signal_saves_and_the_next_run_goes_on_bitwise(tmp_path, signum):
  """Catches: work lost, or a step done twice, when a queue or a user stops the run."""

  def batches(step):
    if step == 5:  # the two batches ahead of step 3, so it comes while an earlier step runs
      os.kill(os.getpid(), signum)
    return LOADER(step)

  straight = loop.fit(TASK, TX, LOADER, _state(), _config(9))
  handler = signal.getsignal(signum)
  with pytest.raises(loop.Interrupted) as stopped:
    loop.fit(TASK, TX, batches, _state(), _config(9), workdir=tmp_path)
  assert stopped.value.code == 128 + signum
  done = checkpoints.load_meta(tmp_path)['step']
  assert 1 <= done < 9
  resumed = loop.fit(TASK, TX, LOADER, _state(), _config(9), workdir=tmp_path)
  assert resumed.history[0]['step'] == done
  _assert_bitwise(resumed.state, straight.state)
  assert signal.getsignal(signum) is handler


@pytest.mark.parametrize('where', ['x_bf', 'y_bd'])
def test_non_finite_loss_names_step_and_records_and_saves_nothing(tmp_path, where):
  """Catches: NaN parameters saved over good ones; an error that does not say which record."""

  def batches(step):
    batch = LOADER(step)
    if step == 3:
      batch[where][2] = np.nan
      batch['weight'][:] = 1
    return batch

  bad = LOADER(3)['index'][2]
  with pytest.raises(loop.NonFiniteLoss) as error:
    loop.fit(TASK, TX, batches, _state(), _config(8, checkpoint_every=2), workdir=tmp_path,
             record_ids=lambda index_b: [f'record-{i}' for i in index_b])
  message = str(error.value)
  assert 'step 3' in message and message.endswith(f'non-finite input: record-{bad}'), message
  assert '\n' not in message
  assert checkpoints.load_meta(tmp_path)['step'] == 2


def test_diverging_loss_names_all_records_of_the_batch():
  """Catches: no record named when the inputs are finite and the sum overflows."""

  def batches(step):
    batch = LOADER(step)
    return {**batch, 'y_bd': batch['y_bd'] * np.float32(1e30), 'weight': np.ones(8, np.float32)}

  with pytest.raises(loop.NonFiniteLoss, match='step 0.*inputs are finite') as error:
    loop.fit(TASK, TX, batches, _state(), _config(2))
  assert all(str(i) in str(error.value) for i in LOADER(0)['index'])


def test_best_and_latest_are_kept_and_metrics_written(tmp_path):
  """Catches: the best checkpoint deleted with the old ones, or the highest score taken for best."""
  scores = {2: 0.5, 4: 0.1, 6: 0.9, 8: 0.7}
  config = _config(8, checkpoint_every=2, keep=1, best='held_out')
  fitted = loop.fit(TASK, TX, LOADER, _state(), config, workdir=tmp_path,
                    evaluate=lambda state: {'held_out': scores[int(state.step)]})
  assert sorted(os.listdir(tmp_path / 'checkpoints')) == ['4', '8']
  store = checkpoints.Checkpoints(tmp_path, track_best=True)
  assert (store.best_step(), store.latest_step()) == (4, 8)
  written = [line['held_out'] for line in fitted.history if 'held_out' in line]
  assert written == list(scores.values())


def test_a_step_is_queued_before_the_scalars_of_the_one_before_are_fetched(monkeypatch):
  """Catches: a host that waits for each step; a batch that is sent when the step wants it."""
  events, make, get = [], parallel.Pmap.train_step, jax.device_get

  def train_step(layout, *args):
    step = make(layout, *args)

    def logged(state, batch):
      assert all(isinstance(x, jax.Array) for x in jax.tree.leaves(batch))
      events.append('step')
      return step(state, batch)

    return logged

  monkeypatch.setattr(parallel.Pmap, 'train_step', train_step)
  monkeypatch.setattr(jax, 'device_get', lambda tree: events.append('fetch') or get(tree))
  loop.fit(TASK, TX, LOADER, _state(), _config(4))
  assert events == ['step', 'step', 'fetch', 'step', 'fetch', 'step', 'fetch', 'fetch']


@pytest.mark.heavy
def test_a_transfer_within_a_step_is_refused(monkeypatch):
  """Catches: a numpy batch, which each step would wait to be sent."""
  monkeypatch.setattr(parallel.Pmap, 'put_batch', lambda layout, batch: parallel.shard_batch(batch))
  with pytest.raises(Exception, match='Disallowed host-to-device transfer'):
    loop.fit(TASK, TX, LOADER, _state(), _config(3))


def test_only_a_process_that_ends_well_waits_for_the_others(tmp_path, monkeypatch):
  """Catches: one that fails and then waits for ever for those that wait for its next step."""
  met = []
  monkeypatch.setattr(parallel, 'meet', met.append)
  loop.fit(TASK, TX, LOADER, _state(), _config(2), workdir=tmp_path / 'well')
  assert len(met) == 1

  def broken(step):
    if step == 1:
      raise ValueError('record 7: broken')
    return LOADER(step)

  with pytest.raises(ValueError, match='record 7'):
    loop.fit(TASK, TX, broken, _state(), _config(3), workdir=tmp_path / 'broken')
  assert len(met) == 1


def test_low_codebook_usage_warns(caplog):
  """Catches: a collapse that nobody hears of."""
  with caplog.at_level('WARNING'):
    loop.fit(TASK, TX, LOADER, _state(), _config(1), warn_below={'codebook_usage': 1.1}, name='vq')
  assert 'codebook_usage is' in caplog.text
  caplog.clear()
  loop.fit(TASK, TX, LOADER, _state(), _config(1), warn_below={'codebook_usage': 0.05})
  assert 'codebook_usage' not in caplog.text


def test_scalars_of_unlogged_steps_are_not_written_and_the_last_is():
  """Catches: a log of every step, and a run whose last loss is never seen."""
  fitted = loop.fit(TASK, TX, LOADER, _state(), _config(8, log_every=3))
  assert [line['step'] for line in fitted.history] == [0, 3, 6, 7]


def test_without_workdir_nothing_is_written(tmp_path, monkeypatch):
  """Catches: inner folds that litter the current folder."""
  monkeypatch.chdir(tmp_path)
  loop.fit(TASK, TX, LOADER, _state(), _config(2))
  assert not os.listdir(tmp_path)
