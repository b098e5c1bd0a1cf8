"""Schedules, decay, clipping and freezing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aemg_jax.training import optim

PARAMS = {
    'encoder': {'dense': {'kernel': jnp.ones((3, 3)), 'bias': jnp.ones(3)},
                'stacked': {'kernel': jnp.ones((2, 3, 3)), 'bias': jnp.ones((2, 3)),
                            'scale': jnp.ones((2, 3))},
                'time_embedding': jnp.ones((17, 3))},
    'head': {'kernel': jnp.ones((3, 2))},
}


def _update(config, grad=0.0, steps=10, params=PARAMS):
  tx = optim.make_tx(config, steps)
  grads = jax.tree.map(lambda p: jnp.full_like(p, grad), params)
  updates, _ = tx.update(grads, tx.init(params), params)
  return updates


def test_cosine_with_warmup_ends_where_it_should():
  """Catches: warm-up added to the length, an end value never reached, a peak never reached."""
  config = optim.OptimConfig(learning_rate=1.0, warmup_steps=10, end_value=0.1)
  rate = optim.learning_rate(config, 110)
  got = [float(rate(step)) for step in (0, 5, 10, 60, 110, 200)]
  np.testing.assert_allclose(got, [0.0, 0.5, 1.0, 0.1 + 0.9 * 0.5, 0.1, 0.1], rtol=1e-5)


def test_wsd_stays_and_falls_at_the_end():
  """Catches: a fall that starts at its length from the start, or adds to the run."""
  config = optim.OptimConfig(learning_rate=1.0, schedule='wsd', warmup_steps=10, decay_steps=20,
                             end_value=0.1)
  rate = optim.learning_rate(config, 110)
  got = [float(rate(step)) for step in (5, 10, 60, 90, 100, 110, 200)]
  np.testing.assert_allclose(got, [0.5, 1.0, 1.0, 1.0, 0.55, 0.1, 0.1], rtol=1e-5)
  whole = optim.learning_rate(
      optim.OptimConfig(learning_rate=1.0, schedule='wsd', decay_steps=10, end_value=0.0), 10)
  np.testing.assert_allclose([float(whole(step)) for step in (0, 5, 10)], [1.0, 0.5, 0.0], atol=1e-6)


def test_constant_stays():
  """Catches: a constant schedule that decays."""
  rate = optim.learning_rate(optim.OptimConfig(learning_rate=0.5, schedule='constant'), 10)
  assert [float(rate(step)) for step in (0, 9, 99)] == [0.5] * 3


@pytest.mark.heavy
def test_decay_reaches_kernels_only():
  """Catches: decayed embeddings, norms, and the biases that have two axes under nn.scan."""
  updates = _update(optim.OptimConfig(learning_rate=0.1, schedule='constant', weight_decay=0.5))
  decayed = {jax.tree_util.keystr(path, simple=True, separator='/')
             for path, u in jax.tree_util.tree_leaves_with_path(updates) if np.any(u)}
  assert decayed == {'encoder/dense/kernel', 'encoder/stacked/kernel', 'head/kernel'}
  np.testing.assert_allclose(updates['head']['kernel'], -0.05, rtol=1e-6)


@pytest.mark.heavy
def test_groups_have_their_own_decay_and_rate():
  """Catches: a group that matches part of a name, the later of two groups, decay of a bias."""
  groups = (optim.GroupConfig('encoder/dense', weight_decay=0.0, rate=0.5),
            optim.GroupConfig('encoder', rate=0.1), optim.GroupConfig('head', weight_decay=2.0))
  config = optim.OptimConfig(learning_rate=0.1, schedule='constant', weight_decay=0.5, groups=groups)
  params = {'encoder': PARAMS['encoder'], 'head': PARAMS['head'], 'header': PARAMS['head']}
  got = _update(config, params=params)
  want = {'dense': 0.0, 'stacked': -0.1 * 0.1 * 0.5}
  for name, value in want.items():
    np.testing.assert_allclose(got['encoder'][name]['kernel'], value, rtol=1e-6)
    assert not np.any(got['encoder'][name]['bias'])
  np.testing.assert_allclose(got['head']['kernel'], -0.1 * 2.0, rtol=1e-6)
  np.testing.assert_allclose(got['header']['kernel'], -0.1 * 0.5, rtol=1e-6)
  with pytest.raises(ValueError, match="no parameter begins with 'encodr'"):
    _update(optim.OptimConfig(groups=(optim.GroupConfig('encodr'),)))


@pytest.mark.heavy
def test_lower_layers_move_less():
  """Catches: layers counted from below, an embedding at the rate of block 0, a decayed head, final norm
  or layer after the blocks, a rate that weight decay escapes."""
  leaf = {'kernel': jnp.ones((2, 2))}
  blocks = {f'block_{i}': leaf for i in range(3)} | {'norm': leaf}
  params = {'encoder': {'place': leaf, 'blocks': blocks, 'word': leaf}, 'head': leaf,
            'decoder': {'blocks': blocks}}
  config = optim.OptimConfig(learning_rate=1.0, schedule='constant', weight_decay=1.0,
                             layer_decay=0.5, no_decay=())
  got = jax.tree.map(lambda u: float(u[0, 0]), _update(config, params=params))
  below = [got['encoder']['place'], *(got['encoder']['blocks'][f'block_{i}'] for i in range(3))]
  assert [x['kernel'] for x in below] == [-1 / 16, -1 / 8, -1 / 4, -1 / 2]
  above = got['encoder']['blocks']['norm'], got['encoder']['word'], got['head'], got['decoder']
  assert set(jax.tree.leaves(above)) == {-1.0}
  with pytest.raises(ValueError, match="layer_decay: got 0.5, but nothing begins with 'encoder/bl"):
    _update(optim.OptimConfig(layer_decay=0.5))


@pytest.mark.heavy
def test_average_is_the_mean_and_then_moves():
  """Catches: an average that never leaves the random start, or that trains on itself."""
  config = optim.OptimConfig(learning_rate=1.0, schedule='constant', eps=1e-12, average_decay=0.75)
  tx, params = optim.make_tx(config, 10), {'w': jnp.zeros(2)}
  state, seen = tx.init(params), []
  for _ in range(6):
    updates, state = tx.update({'w': jnp.ones(2)}, state, params)
    params = {'w': params['w'] + updates['w']}
    seen.append(float(params['w'][0]))
  np.testing.assert_allclose(seen, [-1, -2, -3, -4, -5, -6], rtol=1e-4)
  want = np.mean(seen[:4])
  for value in seen[4:]:
    want = 0.75 * want + 0.25 * value
  np.testing.assert_allclose(optim.served(params, state)['w'], want, rtol=1e-5)
  assert optim.served(params, state.inner) is params


def test_clipping_is_by_the_norm_of_what_is_trained():
  """Catches: a huge gradient of a frozen module that shrinks the update of the rest."""
  config = optim.OptimConfig(learning_rate=1.0, schedule='constant', clip_norm=1.0, eps=1.0,
                             frozen=('encoder',))
  grads = jax.tree.map(jnp.ones_like, PARAMS)
  grads['encoder'] = jax.tree.map(lambda g: 1e6 * g, grads['encoder'])
  tx = optim.make_tx(config, 10)
  updates, _ = tx.update(grads, tx.init(PARAMS), PARAMS)
  clipped = 1 / np.sqrt(6)  # of six ones, to norm 1; Adam's first step is g / (|g| + eps)
  np.testing.assert_allclose(updates['head']['kernel'], -clipped / (clipped + 1), rtol=1e-4)
  assert not any(np.any(u) for u in jax.tree.leaves(updates['encoder']))


def test_frozen_modules_must_exist():
  """Catches: a misspelt module that trains on in silence."""
  with pytest.raises(ValueError, match="frozen: got \\['encodr'\\].*'encoder', 'head'"):
    _update(optim.OptimConfig(frozen=('encodr',)))


def test_equal_settings_give_one_object():
  """Catches: a recompiled step for every fold."""
  a = optim.make_tx(optim.OptimConfig(learning_rate=0.3), 10)
  assert a is optim.make_tx(optim.OptimConfig(learning_rate=0.3), 10)
  assert a is not optim.make_tx(optim.OptimConfig(learning_rate=0.3), 11)


@pytest.mark.parametrize('kwargs, field', [
    (dict(learning_rate=0.0), 'learning_rate'), (dict(learning_rate=float('nan')), 'learning_rate'),
    (dict(schedule='linear'), 'schedule'), (dict(b1=1.0), 'b1'),
    (dict(clip_norm=-1.0), 'clip_norm'), (dict(warmup_steps=10), 'warmup_steps'),
    (dict(schedule='wsd'), 'decay_steps'), (dict(decay_steps=3), 'decay_steps'),
    (dict(schedule='wsd', decay_steps=9, warmup_steps=2), 'decay_steps'),
    (dict(average_decay=1.0), 'average_decay'), (dict(layer_decay=0.0), 'layer_decay'),
])
def test_wrong_settings_name_the_field(kwargs, field):
  """Catches: a run that trains at rate 0 or for ever in warm-up."""
  with pytest.raises(ValueError, match=f'OptimConfig.{field}: got'):
    optim.make_tx(optim.OptimConfig(**kwargs), 10)
