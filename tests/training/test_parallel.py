"""Steps over 8 fake devices against one device and against numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toy

from aemg_jax.training import optim
from aemg_jax.training import parallel
from aemg_jax.training.state import init_state, step_key
from aemg_jax.training.task import Draw

ONE = tuple(jax.devices()[:1])
EIGHT = tuple(jax.devices()[:8])
SGD = optax.sgd(1.0)


def _step(devices, task=toy.ToyTask(), tx=SGD, steps=1, b=16):
  state = init_state(task, tx, toy.batch(b=b), seed=3)
  state = parallel.replicate(state, devices)
  for step in range(steps):
    state, scalars = parallel.train_step(task, tx, devices)(
        state, parallel.shard_batch(toy.batch(step, b=b), devices))
  return state, jax.device_get(scalars)


def _numpy_update():
  """Gradient of the mean over all weighted rows, by hand, with SGD of rate 1."""
  batch, task = toy.batch(), toy.ToyTask()
  dense = jax.device_get(init_state(task, SGD, batch, seed=3).params)['dense']
  mask = batch['weight'][:, None]
  error = (batch['x_bf'] @ dense['kernel'] + dense['bias'] - batch['y_bd']) * mask
  n = mask.sum() * 3
  return {'kernel': dense['kernel'] - 2 * batch['x_bf'].T @ error / n,
          'bias': dense['bias'] - 2 * error.sum(0) / n}, (error**2).sum() / n


@pytest.mark.heavy
def test_eight_devices_equal_one_and_numpy_with_unequal_masks():
  """Catches: pmean of per-device means; statistics, count or metrics left unreduced."""
  want, loss = _numpy_update()
  for devices in (ONE, EIGHT):
    state, scalars = _step(devices)
    np.testing.assert_allclose(scalars['loss'], loss, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
                 jax.device_get(state.params['dense']), want)
    batch = toy.batch()
    np.testing.assert_allclose(state.extra['ema_f'], 0.1 * (batch['weight'] @ batch['x_bf']),
                               rtol=1e-5, atol=1e-6)


@pytest.mark.heavy
def test_eight_devices_equal_one_after_adam_steps_with_noise():
  """Catches: an optimiser state, a mask or a draw that depends on the number of devices."""
  tx = optim.make_tx(optim.OptimConfig(learning_rate=0.1, clip_norm=1.0, weight_decay=0.1), 10)
  one = _step(ONE, tx=tx, steps=3, task=toy.ToyTask(noise=0.5))
  eight = _step(EIGHT, tx=tx, steps=3, task=toy.ToyTask(noise=0.5))
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(eight), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_mean_of_device_means_would_differ():
  """Proves that the masks of the test above could tell psum(sum)/psum(count) from pmean."""
  batch, (_, loss) = toy.batch(), _numpy_update()
  sharded = parallel.shard_batch(batch, EIGHT)
  state = init_state(toy.ToyTask(), SGD, batch, seed=3)

  def local_mean(params, part):
    draw = Draw(jax.random.key(0), jnp.arange(2), 16)
    total, (count, _, _) = toy.ToyTask().loss(params, state.extra, part, draw, True)
    return jax.lax.pmean(total / jnp.maximum(count, 1), 'i')

  mapped = jax.pmap(local_mean, axis_name='i', in_axes=(None, 0), devices=EIGHT)
  assert abs(float(mapped(state.params, sharded)[0]) - loss) > 0.1 * loss


@pytest.mark.heavy
def test_replicas_agree_and_the_check_sees_when_they_do_not():
  """Catches: state that skipped its reduction (out_axes=None does not check replicas)."""
  state, _ = _step(EIGHT, task=toy.ToyTask(noise=0.5))
  assert parallel.replicas_agree(state)
  drifted = jax.pmap(lambda x: x, in_axes=0, out_axes=None)(jnp.arange(8.0))
  assert not parallel.replicas_agree({'a': state.step, 'b': drifted})


@pytest.mark.heavy
def test_each_step_and_each_example_draws_for_itself():
  """Catches: a broadcast key (one mask for all devices or rows); a key without the step."""
  task, draws = toy.ToyTask(), []
  state = parallel.replicate(init_state(task, SGD, toy.batch(), seed=3), EIGHT)
  rows = parallel.shard_batch(toy.batch(), EIGHT)
  for _ in range(2):
    state, scalars = parallel.train_step(task, SGD, EIGHT)(state, rows)
    draws.append(float(scalars['noise_squared']))
    draws += [float(state.extra['draw']), float(state.extra['shared'])]
  assert len(set(draws)) == 6
  # What eight devices drew is what 16 different keys draw, and not eight times the same.
  key = jax.random.split(step_key(state.key, jnp.int32(0)))[0]
  noise_bf = jax.vmap(lambda k: jax.random.normal(k, (5,)))(Draw(key, jnp.arange(16), 16).keys_b())
  np.testing.assert_allclose(draws[0], np.mean(noise_bf**2), rtol=1e-5)
  np.testing.assert_allclose(draws[2], jax.random.uniform(key), rtol=1e-5)
  assert len({row.tobytes() for row in np.asarray(noise_bf)}) == 16


def test_an_examples_key_is_not_one_that_a_task_splits_off():
  """Catches: example i drawing what split(key)[i] draws: fold_in(key, i) is that very key."""
  key = jax.random.key(0)
  shared = jax.random.key_data(jax.random.split(key, 8)).tolist()
  own = jax.random.key_data(Draw(key, jnp.arange(8), 8).keys_b()).tolist()
  assert not any(k in shared for k in own) and len(set(map(tuple, own))) == 8


def test_equal_tasks_and_settings_share_one_compiled_step():
  """Catches: 17 folds that compile 17 times."""
  config = optim.OptimConfig(learning_rate=0.1)
  first = parallel.train_step(toy.ToyTask(), optim.make_tx(config, 10))
  again = optim.make_tx(optim.OptimConfig(learning_rate=0.1), 10)
  second = parallel.train_step(toy.ToyTask(), again)
  assert first is second
  assert first is not parallel.train_step(toy.ToyTask(noise=0.1), optim.make_tx(config, 10))


def test_the_callers_state_survives_donation():
  """Catches: buffers of a fold's start that the first fold's step gave away."""
  task = toy.ToyTask()
  start = parallel.replicate(init_state(task, SGD, toy.batch(), seed=3))
  before = jax.tree.map(np.array, start)
  _ = parallel.train_step(task, SGD)(parallel.replicate(start), parallel.shard_batch(toy.batch()))
  jax.tree.map(np.testing.assert_array_equal, jax.device_get(start), before)


def test_a_batch_without_a_counted_row_changes_nothing():
  """Catches: 0 / 0 when every word of a batch is padding."""
  batch = {**toy.batch(), 'weight': np.zeros(16, np.float32)}
  task = toy.ToyTask()
  start = init_state(task, SGD, batch, seed=3)
  before = jax.device_get(start.params)
  step = parallel.train_step(task, SGD)
  state, scalars = step(parallel.replicate(start), parallel.shard_batch(batch))
  assert float(scalars['loss']) == 0
  jax.tree.map(np.testing.assert_array_equal, jax.device_get(state.params), before)


@pytest.mark.parametrize('rows, message', [
    (12, '12 rows, expected a multiple of the 8'), (0, '0 rows')])
def test_a_batch_that_does_not_divide_is_refused(rows, message):
  """Catches: rows dropped or repeated in silence."""
  with pytest.raises(ValueError, match=message):
    parallel.shard_batch({'x': np.zeros((rows, 2))}, EIGHT)


def test_leaves_of_different_length_are_refused():
  """Catches: labels of another batch beside the words."""
  with pytest.raises(ValueError, match='leading axes'):
    parallel.shard_batch({'x': np.zeros((8, 2)), 'label': np.zeros(16)}, EIGHT)


def _double(params, batch):
  return {'y': batch['x'] * params}


@pytest.mark.parametrize('n', [1, 8, 13])
def test_map_batches_keeps_rows_and_their_order(n):
  """Catches: padding rows left in, rows of devices interleaved."""
  x = np.arange(n * 2, dtype=np.float32).reshape(n, 2)
  out = parallel.map_batches(_double, jnp.float32(2), {'x': x})
  np.testing.assert_array_equal(out['y'], 2 * x)


@pytest.mark.heavy
def test_evaluate_divides_once_over_all_batches():
  """Catches: a mean of batch means, which weighs a padded last batch like a full one."""
  task, batch = toy.ToyTask(), toy.batch(b=32)
  state = init_state(task, SGD, batch, seed=3)
  whole = parallel.evaluate(task, state.params, state.extra, [batch])
  parts = [{k: v[:24] for k, v in batch.items()}, {k: v[24:] for k, v in batch.items()}]
  split = parallel.evaluate(task, state.params, state.extra, parts)
  assert split['loss'] == pytest.approx(whole['loss'], rel=1e-6)
