"""FatigueFormer and the LSTM beside it: what they may not see, and the losses."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import special

from aemg_jax.models import FatigueFormerConfig, FatigueLSTMConfig, build
from aemg_jax.models.fatigue_former import FeatureBatch, Heads, summary
from aemg_jax.models.layers import BlocksConfig
from aemg_jax.training import parallel
from aemg_jax.training.state import init_state
from aemg_jax.training.tasks import FatigueTask

TINY = BlocksConfig(width=8, layers=1, heads=2, head_dim=4, mlp_dim=8, layer_scale=0.0, dropout=0.1)
FORMER = FatigueFormerConfig(TINY, TINY, features=6, max_windows=4)
LSTM = FatigueLSTMConfig(width=8, hidden=8)
B, W, C = 8, 4, 3
SGD = optax.sgd(1.0)


def _features(channels=C, seed=0):
  rng = np.random.default_rng(seed)
  valid_bwc = np.ones((B, W, channels), bool)
  valid_bwc[0, 2:, 0], valid_bwc[1, 3] = False, False
  groups_f = np.array([1, 1, 1, 0, 0, 0], bool)
  repeat = lambda mask_f: np.repeat(mask_f[None], B, axis=0)
  return FeatureBatch(rng.normal(size=(B, W, channels, 6)).astype(np.float32), valid_bwc,
                      repeat(groups_f), repeat(np.array([0, 0, 0, 1, 1, 0], bool)))


@functools.lru_cache
def _compiled(config):
  """(parameters, apply), compiled once per model."""
  model = build(config)
  params = jax.jit(model.init)(jax.random.key(0), _features())
  # the biases start at zero: noise lets every path matter
  keys = iter(jax.random.split(jax.random.key(1), len(jax.tree.leaves(params))))
  params = jax.tree.map(lambda x: x + 0.1 * jax.random.normal(next(keys), x.shape), params)
  return params, jax.jit(model.apply)


def _fused(config, features):
  params, apply = _compiled(config)
  return np.asarray(apply(params, features)['fused'].class_bk)


@pytest.mark.heavy
@pytest.mark.parametrize('config', [FORMER, LSTM], ids=['former', 'lstm'])
def test_what_is_masked_is_never_seen(config):
  """Catches: an invalid channel or window, or a feature of neither group, that moves an output."""
  features = _features()
  ask = lambda x_bwcf: _fused(config, features._replace(feature_bwcf=x_bwcf))
  before = _fused(config, features)
  changed_bwcf = features.feature_bwcf.copy()
  changed_bwcf[~features.valid_bwc] = np.nan
  changed_bwcf[..., 5] = -7
  np.testing.assert_array_equal(ask(changed_bwcf), before)
  changed_bwcf = features.feature_bwcf.copy()
  changed_bwcf[:, 0, 1, 0] += 1  # a valid temporal feature, where both must look
  assert (np.abs(ask(changed_bwcf) - before) > 1e-6).any(axis=1).all()
  none = features._replace(valid_bwc=np.zeros_like(features.valid_bwc))
  assert np.isfinite(_fused(config, none)).all()


@pytest.mark.heavy
def test_any_number_of_channels_in_any_order():
  """Catches: parameters that depend on the montage, its order, or a mean that counts lost channels."""
  features = _features()
  turned = features._replace(feature_bwcf=features.feature_bwcf[:, :, ::-1],
                             valid_bwc=features.valid_bwc[:, :, ::-1])
  np.testing.assert_allclose(_fused(FORMER, turned), _fused(FORMER, features), atol=1e-5)
  one = _features(channels=1)
  with_channels = lambda change: one._replace(
      feature_bwcf=change(one.feature_bwcf), valid_bwc=change(one.valid_bwc))
  for change in (lambda x: np.repeat(x, 8, axis=2),
                 lambda x: np.concatenate([x, np.zeros_like(x)], axis=2)):
    np.testing.assert_allclose(_fused(FORMER, with_channels(change)), _fused(FORMER, one), atol=1e-5)


@pytest.mark.heavy
def test_each_branch_sees_its_group_alone():
  """Catches: a static feature in the temporal encoder, the order of time in the static one."""
  params, apply = _compiled(FORMER)
  features = _features()._replace(valid_bwc=np.ones((B, W, C), bool))
  before = apply(params, features)
  changed_bwcf = features.feature_bwcf.copy()
  changed_bwcf[..., 3:5] += np.arange(W)[None, :, None, None]
  after = apply(params, features._replace(feature_bwcf=changed_bwcf))
  np.testing.assert_array_equal(after['temporal'].class_bk, before['temporal'].class_bk)
  assert np.abs(after['static'].class_bk - before['static'].class_bk).max() > 1e-4
  after = apply(params, features._replace(feature_bwcf=features.feature_bwcf[:, ::-1]))
  np.testing.assert_allclose(after['static'].class_bk, before['static'].class_bk, atol=1e-5)
  assert np.abs(after['temporal'].class_bk - before['temporal'].class_bk).max() > 1e-4


def test_summary_by_hand():
  """Catches: masked windows in mean, deviation, least or largest."""
  value = np.array([1.0, 5.0, 100.0, 3.0], np.float32)[None, :, None, None]
  valid = np.array([True, True, False, True])[None, :, None]
  expected = [3.0, np.std([1, 5, 3]), 1.0, 5.0]
  np.testing.assert_allclose(summary(value, valid)[0, 0, 0], expected, rtol=1e-5)


@pytest.mark.heavy
def test_loss_of_a_row_by_hand():
  """Catches: thresholds turned round, a rating in the wrong unit, a weight on another head."""
  task = FatigueTask(LSTM, class_weight=2.0, ordinal_weight=3.0, value_weight=5.0)
  head = Heads(jnp.array([[0.1, 0.7, -0.2]]), jnp.array([[2.0, 0.5, -1.0]]), jnp.array([0.25]))
  batch = {'label': jnp.array([1]), 'borg': jnp.array([4.0])}
  cross = -special.log_softmax([0.1, 0.7, -0.2])[1]
  ordinal = -np.mean(special.log_expit([2.0, 0.5, 1.0]))  # above 0, above 2, not above 5
  expected = 2 * cross + 3 * ordinal + 5 * (0.25 - (4 - 5) / 3) ** 2
  np.testing.assert_allclose(task.per_row(head, batch, jnp.ones(1)), [expected], rtol=1e-5)
  batch['borg'] = jnp.array([jnp.nan])
  np.testing.assert_array_equal(task.per_row(head, batch, jnp.zeros(1)), [0.0])


@pytest.mark.slow  # tests/training/test_tasks.py tries it smaller
def test_eight_devices_equal_one():
  """Catches: a mean of per-device means, or dropout that depends on the device."""
  task = FatigueTask(FORMER)
  batch = {'features': _features(), 'label': (np.arange(B) % 4 - 1).astype(np.int32),
           'borg': np.where(np.arange(B) % 4, np.arange(B), np.nan).astype(np.float32),
           'weight': (np.arange(B) != 5).astype(np.float32)}
  found = []
  for devices in (tuple(jax.devices()[:1]), tuple(jax.devices()[:8])):
    state = parallel.replicate(init_state(task, SGD, batch, seed=0), devices)
    step = parallel.train_step(task, SGD, devices)
    state, scalars = step(state, parallel.shard_batch(batch, devices))
    found.append(jax.device_get((state.params, scalars)))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5), *found)
  assert found[0][1]['grad_norm'] > 0


def test_a_config_that_does_not_fit_is_refused():
  """Catches: encoders that cannot be fused, thresholds without outputs."""
  with pytest.raises(ValueError, match='static.width: got 16'):
    FatigueFormerConfig(TINY, dataclasses.replace(TINY, width=16))
  with pytest.raises(ValueError, match='branches'):
    FatigueFormerConfig(branches='one')
  with pytest.raises(ValueError, match='thresholds'):
    FatigueTask(LSTM, thresholds=(1.0,))
