"""State in pieces over devices: the same steps, the same checkpoints, on any number of devices."""

from unittest import mock

import every_task
import jax
import numpy as np
import pytest
import toy

from aemg_jax.data.loader import Loader
from aemg_jax.training import checkpoints, fsdp, loop, optim, parallel
from aemg_jax.training.state import init_state

DEVICES = tuple(jax.devices())
LAYOUTS = {
    **{f'pmap{n}': parallel.Pmap(DEVICES[:n]) for n in (1, 2, 4, 8)},
    **{f'fsdp{n}': fsdp.Fsdp(0, DEVICES[:n], 1) for n in (1, 2, 4, 8)},
    'fsdp2x4': fsdp.Fsdp(4, DEVICES, 1),
}
# a large eps: Adam would make whole steps of the rounding where a gradient is 0
TX = optim.make_tx(
    optim.OptimConfig(learning_rate=0.03, eps=1e-2, clip_norm=1.0, average_decay=0.5), 4)
TASK = toy.ToyTask(noise=0.1)


def _steps(layout, task, batches, steps=2, microbatches=1):
  state = layout.put_state(init_state(task, TX, jax.tree.map(lambda x: x[:1], batches(0)), seed=3))
  step, losses = layout.train_step(task, TX, microbatches), []
  for k in range(steps):
    state, scalars = step(state, layout.put_batch(batches(k)))
    losses.append(float(scalars['loss']))
  return parallel.to_host(state), losses, state


# words with and without a codebook stand for the others, whose programs take a minute to compile
@pytest.mark.parametrize('name', [
    pytest.param(name, marks=pytest.mark.heavy if name in ('vq', 'masked') else pytest.mark.slow)
    for name in every_task.TASKS])
def test_every_task_is_the_same_in_pieces_and_in_microbatches(name):
  """Catches: sums, EMA counts, revived codes or masks that depend on how the state lies on devices,
  on the number of microbatches, or on both."""
  task, batches = every_task.TASKS[name], every_task.batches(16)
  want, losses, _ = _steps(LAYOUTS['pmap1'], task, batches)
  for name, microbatches in (('fsdp2x4', 1), ('pmap4', 2), ('fsdp2', 2)):
    got, other, _ = _steps(LAYOUTS[name], task, batches, microbatches=microbatches)
    np.testing.assert_allclose(other, losses, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=3e-4, atol=3e-4), got, want)


@pytest.mark.heavy
def test_large_leaves_are_split_and_small_ones_are_not():
  """Catches: a state that is replicated in silence, which only runs out of memory at full size."""
  layout = fsdp.Fsdp(4, DEVICES, least_elements=40)
  _, _, state = _steps(layout, toy.ToyTask(width=8), lambda k: toy.batch(k, d=8))
  kernel, bias = state.params['dense']['kernel'], state.params['dense']['bias']
  assert kernel.shape == (5, 8) and {s.data.shape for s in kernel.addressable_shards} == {(5, 2)}
  assert bias.sharding.is_fully_replicated
  moments = [x for x in jax.tree.leaves(state.opt_state) if x.shape == (5, 8)]
  assert len(moments) == 3 and not any(x.sharding.is_fully_replicated for x in moments)


def _fit(layout, tmp_path, steps):
  config = loop.LoopConfig(steps, log_every=1, checkpoint_every=100, progress=False)
  feed = Loader([toy.batch(b=40)], batch_size=8, seed=5)
  state = init_state(TASK, TX, toy.batch(), seed=1)
  with mock.patch.dict(loop.LAYOUTS, pmap=lambda config: layout):
    return loop.fit(TASK, TX, feed, state, config, workdir=tmp_path)


@pytest.mark.heavy
@pytest.mark.parametrize('first, second', [
    ('pmap8', 'fsdp2x4'), ('fsdp8', 'pmap4'), ('pmap1', 'fsdp2'), ('fsdp4', 'pmap2'),
    ('fsdp2', 'fsdp1'), ('pmap2', 'pmap1')])
def test_a_checkpoint_goes_on_in_any_layout(tmp_path, first, second):
  """Catches: files that hold pieces, or that ask for the devices that wrote them."""
  straight = _fit(LAYOUTS['pmap1'], tmp_path / 'straight', 4)
  begun = _fit(LAYOUTS[first], tmp_path / 'parts', 2)
  like = init_state(TASK, TX, toy.batch(), seed=9)
  with checkpoints.Checkpoints(tmp_path / 'parts') as store:
    found = store.restore_latest(like)
  jax.tree.map(np.testing.assert_array_equal, found, parallel.to_host(begun.state))
  ended = _fit(LAYOUTS[second], tmp_path / 'parts', 4)
  losses = [line['loss'] for line in begun.history + ended.history]
  np.testing.assert_allclose(losses, [line['loss'] for line in straight.history], rtol=1e-5)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
               parallel.to_host(ended.state), parallel.to_host(straight.state))


@pytest.mark.parametrize('make, message', [
    (lambda: fsdp.Fsdp(3, DEVICES).mesh, 'fsdp_devices: got 3, expected a divisor of the 8 devices'),
    (lambda: fsdp.Fsdp(-1), 'fsdp_devices: got -1'),
    (lambda: LAYOUTS['fsdp8'].put_batch({'x': np.zeros((12, 2))}), '12 rows, expected a multiple of the 8'),
    (lambda: loop.LoopConfig(1, parallel='zero'), "parallel: got 'zero', expected one of .'fsdp', 'pmap'"),
    (lambda: _steps(LAYOUTS['pmap8'], TASK, toy.batch, 1, 3), 'microbatches: got 3, expected a divisor of the 2'),
])
def test_wrong_settings_are_refused(make, message):
  """Catches: a layout that only fails in XLA, after minutes of compilation."""
  with pytest.raises(ValueError, match=message):
    make()
