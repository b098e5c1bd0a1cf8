"""Acceptance tests (a) and (b), and the codebook's arithmetic."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aemg_jax.models import layers, quantiser
from aemg_jax.models.quantiser import Codebook, QuantiserConfig
from aemg_jax.models.sentence_encoder import EncoderConfig
from aemg_jax.models.vq_autoencoder import VQAutoencoder, VQConfig
from tests.fake_words import fake_words

TINY = layers.BlocksConfig(width=16, layers=1, heads=2, head_dim=8, mlp_dim=32, dropout=0.0)


def _stats(z_bnd, index_bn, valid_bn, codes, key=0):
  rows = jnp.arange(z_bnd.shape[0])
  return quantiser.code_stats(z_bnd, index_bn, valid_bn, codes, rows, z_bnd.shape[0], jax.random.key(key))


@pytest.mark.heavy
def test_reconstruction_gradient_reaches_the_encoder():
  """(a) Without the straight-through estimator this gradient is exactly 0."""
  config = VQConfig(EncoderConfig(TINY, mixing='words', max_slots=4, max_channels=4),
                    QuantiserConfig(codes=8, width=4), TINY)
  words, model = fake_words(), VQAutoencoder(config)
  codebook = quantiser.init_codebook(jax.random.key(1), config.quantiser)
  params = jax.jit(model.init)(jax.random.key(0), words, codebook)

  def reconstruction(p):
    out = model.apply(p, words, codebook).output
    return jnp.mean((out['spectrum'] - words.spectrum_nf)**2)

  grads = jax.jit(jax.grad(reconstruction))(params)['params']['encoder']
  assert all(float(jnp.abs(g).max()) > 1e-8 for g in jax.tree.leaves(grads['feature']))


@pytest.mark.heavy
def test_most_codes_are_used_on_a_toy_of_64_prototypes():
  """(b) A codebook without k-means and revival keeps a few codes: 64 prototypes must use over 60 %."""
  rng = np.random.default_rng(0)
  prototype_kd = rng.normal(size=(64, 16))
  z = prototype_kd[rng.integers(0, 64, (40, 8, 64))] + 0.05 * rng.normal(size=(40, 8, 64, 16))
  z_ibnd = quantiser.normalise(jnp.asarray(z, jnp.float32))
  config = QuantiserConfig(codes=64, width=16, kmeans_iterations=10)
  book = quantiser.kmeans_codebook(z_ibnd[:4].reshape(-1, 16), jax.random.key(0), config, 512.0)
  valid_bn = jnp.ones((8, 64), bool)
  count_k = 0.0
  for i, z_bnd in enumerate(z_ibnd):
    index_bn, _ = quantiser.lookup(z_bnd, book)
    stats = _stats(z_bnd, index_bn, valid_bn, 64, key=i)
    book = quantiser.update(book, stats, config)
    count_k = count_k + stats.count_k if i >= 20 else 0.0
  used, perplexity = quantiser.usage(count_k)
  assert used > 0.6 and perplexity > 0.6 * 64


@pytest.mark.heavy
def test_dead_codes_are_revived_from_the_batch():
  """Without revival a code far from all words is never used again."""
  config = QuantiserConfig(codes=4, width=2, decay=0.5)
  far = jnp.array([[1.0, 0], [-1, 0], [-1, 0], [-1, 0]])
  book = Codebook(far, jnp.array([1.0, 1e-3, 1e-3, 1e-3]), far)
  angle = jnp.linspace(-0.5, 0.5, 12)
  z_bnd = jnp.stack([jnp.cos(angle), jnp.sin(angle)], -1).reshape(3, 4, 2)
  index_bn, _ = quantiser.lookup(z_bnd, book)
  assert set(np.unique(index_bn)) == {0}
  book = quantiser.update(book, _stats(z_bnd, index_bn, jnp.ones((3, 4), bool), 4), config)
  assert np.all(np.asarray(book.code_kd)[1:, 0] > 0.8)


@pytest.mark.heavy
def test_stats_leave_out_invalid_words_and_ema_is_exact():
  """Padding in the counts drags codes towards nothing; expected values by hand in numpy."""
  config = QuantiserConfig(codes=3, width=2, decay=0.9, revive_below=0.0)
  book = quantiser.init_codebook(jax.random.key(0), config)
  z_bnd = quantiser.normalise(jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 2)), jnp.float32))
  valid_bn = jnp.array([[True, True, False], [True, False, False]])
  index_bn = jnp.array([[0, 1, 1], [0, 2, 2]])
  new = quantiser.update(book, _stats(z_bnd, index_bn, valid_bn, 3), config)
  z = np.asarray(z_bnd)
  np.testing.assert_allclose(new.count_k, 0.9 * np.ones(3) + 0.1 * np.array([2, 1, 0]), rtol=1e-6)
  want_sum = 0.9 * np.asarray(book.sum_kd) + 0.1 * np.stack([z[0, 0] + z[1, 0], z[0, 1], [0, 0]])
  np.testing.assert_allclose(new.sum_kd, want_sum, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(np.linalg.norm(new.code_kd, axis=1), 1, rtol=1e-5)


def test_usage_and_perplexity_by_hand():
  """Natural logarithm, unused codes left out: uniform over 4 of 8 codes has perplexity 4."""
  used, perplexity = quantiser.usage(jnp.array([5.0, 5, 5, 5, 0, 0, 0, 0]))
  np.testing.assert_allclose([used, perplexity], [0.5, 4.0], rtol=1e-6)
