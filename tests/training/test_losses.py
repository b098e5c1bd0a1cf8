"""Losses and metrics against numpy, and what masks must keep out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aemg_jax.training import losses
from aemg_jax.training import metrics

RNG = np.random.default_rng(0)
A_BD = RNG.normal(size=(6, 4)).astype(np.float32)
B_BD = RNG.normal(size=(6, 4)).astype(np.float32)
LABEL_B = np.array([0, 3, 1, 2, -1, 3])
MASK_B = np.array([1, 1, 0, 1, 0, 1], bool)
WEIGHT_B = np.array([0.5, 2, 0, 1, 0, 3], np.float32)


def _cross_entropy(smoothing):
  prob_bk = np.exp(A_BD) / np.exp(A_BD).sum(-1, keepdims=True)
  target_bk = (1 - smoothing) * np.eye(4)[LABEL_B] + smoothing / 4
  return -(target_bk * np.log(prob_bk)).sum(-1)


def _cosine():
  norm = np.linalg.norm
  return 1 - (A_BD * B_BD).sum(-1) / norm(A_BD, axis=-1) / norm(B_BD, axis=-1)


# name: (loss of (a, b, mask), value per row in numpy)
LOSSES = {
    'masked_sum': (lambda a, b, m: losses.masked_sum(a[:, 0], m), A_BD[:, 0]),
    'cross_entropy': (lambda a, b, m: losses.cross_entropy(a, LABEL_B, m), _cross_entropy(0.0)),
    'smoothed': (lambda a, b, m: losses.cross_entropy(a, LABEL_B, m, 0.1), _cross_entropy(0.1)),
    'correct': (lambda a, b, m: losses.correct(a, LABEL_B, m), A_BD.argmax(-1) == LABEL_B),
    'squared_error': (lambda a, b, m: losses.squared_error(a, b, jnp.tile(m[:, None], (1, 4))),
                      np.square(A_BD - B_BD).sum(-1)),
    'cosine': (losses.cosine_distance, _cosine()),
    'commitment': (losses.commitment, np.square(A_BD - B_BD).mean(-1)),
}


@pytest.mark.parametrize('mask_b', [MASK_B, WEIGHT_B], ids=['bool', 'weights'])
@pytest.mark.parametrize('name', LOSSES)
def test_sum_and_count_are_numpys(name, mask_b):
  """Catches: a mean taken too early, a mask not applied, a wrong formula."""
  loss, value_b = LOSSES[name]
  total, count = loss(jnp.array(A_BD), jnp.array(B_BD), jnp.array(mask_b))
  np.testing.assert_allclose(total, (value_b * mask_b).sum(), rtol=1e-5)
  np.testing.assert_allclose(count, mask_b.sum() * (4 if name == 'squared_error' else 1), rtol=1e-6)


@pytest.mark.parametrize('bad', [np.nan, np.inf, 1e30, 0.0])
@pytest.mark.parametrize('name', LOSSES)
def test_what_the_mask_hides_changes_neither_loss_nor_gradient(name, bad):
  """Catches: NaN * 0 in the sum, and 0 * inf in the gradient of a masked row."""
  loss, _ = LOSSES[name]
  hidden, true_a, true_b = ~MASK_B[:, None], jnp.array(A_BD), jnp.array(B_BD)
  for a, b in ((np.where(hidden, bad, A_BD), B_BD), (A_BD, np.where(hidden, bad, B_BD))):
    a, b = jnp.array(a, jnp.float32), jnp.array(b, jnp.float32)
    value, grad = jax.value_and_grad(lambda x: loss(x, b, MASK_B)[0])(a)
    want, want_grad = jax.value_and_grad(lambda x: loss(x, true_b, MASK_B)[0])(true_a)
    np.testing.assert_allclose(value, want, rtol=1e-6)
    np.testing.assert_allclose(grad, want_grad, rtol=1e-5, atol=1e-7)


def test_commitment_moves_the_encoder_only():
  """Catches: a codebook that is pulled by the commitment loss as well as by its EMA."""
  grad_h, grad_code = jax.grad(lambda h, c: losses.commitment(h, c, MASK_B)[0], (0, 1))(
      jnp.array(A_BD), jnp.array(B_BD))
  assert np.abs(grad_h[MASK_B]).min() > 0 and not np.abs(grad_code).any()


@pytest.mark.parametrize('call', [
    lambda: losses.masked_sum(A_BD, MASK_B),
    lambda: losses.cross_entropy(A_BD, LABEL_B[:5], MASK_B),
    lambda: losses.squared_error(A_BD, B_BD[:1], np.ones_like(A_BD)),
    lambda: losses.squared_error(A_BD, B_BD, np.ones_like(A_BD[:, :1])),
    lambda: losses.cosine_distance(A_BD, B_BD[:1], MASK_B),
])
def test_shapes_that_would_broadcast_are_refused(call):
  """Catches: [b, d] minus [1, d] and a count that is d times too small."""
  with pytest.raises(ValueError, match='got shape'):
    call()


def test_codebook_metrics():
  """Catches: perplexity from unnormalised counts, or 0 log 0."""
  half = metrics.codebook_metrics(jnp.array([5.0, 0, 5.0, 0]))
  assert float(half['codebook_usage']) == 0.5
  assert float(half['codebook_perplexity']) == pytest.approx(2.0)
  one = metrics.codebook_metrics(jnp.array([0, 9, 0, 0]), prefix='teacher')
  assert float(one['teacher_usage']) == 0.25
  assert float(one['teacher_perplexity']) == pytest.approx(1.0)
  assert float(metrics.codebook_metrics(jnp.zeros(4))['codebook_perplexity']) == 0.0


def test_metrics_of_batches_are_added_then_divided():
  """Catches: a mean of means; 0 / 0 of a metric that nothing was counted for."""
  sums = metrics.add([{'a': (1.0, 1.0), 'b': (0.0, 0.0)}, {'a': (5.0, 2.0), 'b': (0.0, 0.0)}])
  reduced = metrics.reduce({name: tuple(map(jnp.float32, s)) for name, s in sums.items()})
  assert {name: float(v) for name, v in reduced.items()} == {'a': 2.0, 'b': 0.0}
  with pytest.raises(ValueError, match='expected'):
    metrics.add([{'a': (1, 1)}, {'b': (1, 1)}])
  with pytest.raises(ValueError, match='no batch'):
    metrics.add([])
