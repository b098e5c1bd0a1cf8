"""The head and its loss in one, and masked rounds as one batch, against the plain way."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aemg_jax.models import heads, layers
from aemg_jax.models.quantiser import QuantiserConfig
from aemg_jax.models.sentence_encoder import EncoderConfig
from aemg_jax.models.vq_autoencoder import VQConfig
from aemg_jax.training import losses
from aemg_jax.training.augment import AugmentConfig, augment
from aemg_jax.training.task import Draw
from aemg_jax.training.tasks.masked import MaskConfig, MaskedTask, codes_of, draw_mask
from tests.fake_words import fake_words

TINY = layers.BlocksConfig(width=16, layers=1, heads=2, head_dim=8, mlp_dim=32, dropout=0.2)


@pytest.mark.heavy
@pytest.mark.parametrize('held', [1, 2**22])
def test_projected_cross_entropy_is_cross_entropy_of_logits(held, monkeypatch):
  """Catches: a stretch of words left out, masked words in the sum, gradients not scaled by what comes after."""
  monkeypatch.setattr(losses, 'CPU_LOGITS', held)
  rng = np.random.default_rng(0)
  x_bnd, kernel_dk, bias_k = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((2, 6, 4), (4, 5), (5,)))
  label_bn = jnp.asarray(rng.integers(0, 5, (2, 6)))
  mask_bn = jnp.asarray([[1, 1, 0, 1, 0, 1], [0, 1, 1, 1, 1, 0]], bool)
  label_bn = jnp.where(mask_bn, label_bn, -1)

  def plain(x_bnd, kernel_dk, bias_k):
    logits_bnk = x_bnd @ kernel_dk + bias_k[None, None]
    right, _ = losses.correct(logits_bnk, label_bn, mask_bn)
    total, count = losses.cross_entropy(logits_bnk, label_bn, mask_bn)
    return 3.0 * total, (count, right)

  def projected(x_bnd, kernel_dk, bias_k):
    (total, count), right = losses.projected_cross_entropy(x_bnd, kernel_dk, bias_k, label_bn, mask_bn)
    return 3.0 * total, (count, right)

  run = lambda f: jax.jit(jax.value_and_grad(f, (0, 1, 2), has_aux=True))(x_bnd, kernel_dk, bias_k)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), run(projected), run(plain))
  np.testing.assert_allclose(jax.jit(projected)(x_bnd, kernel_dk, bias_k)[0], run(plain)[0][0], rtol=1e-6)
  bad_bnd = jnp.where(mask_bn[..., None], x_bnd, jnp.nan)
  (total, _), grads = jax.value_and_grad(projected, (0, 1), has_aux=True)(bad_bnd, kernel_dk, bias_k)
  assert np.isfinite(total) and all(np.isfinite(g).all() for g in grads)


@pytest.mark.heavy
@pytest.mark.parametrize('symmetric', [False, True])
def test_rounds_in_one_batch_are_rounds_one_by_one(symmetric):
  """Catches: a word predicted from the round that shows it, or another dropout than the example's own."""
  encoder = EncoderConfig(TINY, mixing='slots', max_slots=4, max_channels=4)
  vq = VQConfig(EncoderConfig(TINY, mixing='words', max_slots=4, max_channels=4),
                QuantiserConfig(codes=9, width=4))
  task = MaskedTask(heads.MaskedConfig(encoder, 9), vq, AugmentConfig(channel_dropout=0.3),
                    MaskConfig(symmetric=symmetric))
  words = fake_words(b=3, valid_share=0.8)
  batch = {'words': words, 'weight': np.asarray([1, 1, 0], np.float32)}
  params, extra = jax.jit(task.init)(jax.random.key(0), batch)
  draw = Draw(jax.random.key(7), jnp.arange(3, dtype=jnp.int32), 3)

  def one_by_one(params):
    """As it was first written: a forward pass, logits and loss for each round."""
    seen_words = words._replace(valid_n=words.valid_n & (batch['weight'] > 0)[:, None])
    index_bn = codes_of(vq, extra, seen_words)
    fold = jax.vmap(jax.random.fold_in, (0, None))
    keys_b = draw.keys_b()
    masked_bn = draw_mask(seen_words, fold(keys_b, 1), task.mask, 4)
    seen = augment(seen_words, fold(keys_b, 2), task.augment, 4)
    lost_bn = seen_words.valid_n & ~seen.valid_n
    seen = seen._replace(valid_n=seen_words.valid_n)
    total = 0.0
    for i, hidden_bn in enumerate([masked_bn, seen_words.valid_n & ~masked_bn][:1 + symmetric]):
      logits_bnk = heads.MaskedModel(task.model).apply({'params': params}, seen, hidden_bn | lost_bn,
                                                       fold(keys_b, 3 + i))
      total += losses.cross_entropy(logits_bnk, index_bn, hidden_bn)[0]
    return total

  got = jax.jit(jax.value_and_grad(lambda p: task.loss(p, extra, batch, draw, True)[0]))(params)
  want = jax.jit(jax.value_and_grad(one_by_one))(params)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), got, want)
