"""Acceptance tests (c), (d), (h) of the encoder, and its parameter counts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aemg_jax.models import heads, layers, vq_autoencoder
from aemg_jax.models.quantiser import QuantiserConfig, init_codebook
from aemg_jax.models.sentence_encoder import EncoderConfig, zscore_waveform
from tests.fake_words import fake_words

TINY = layers.BlocksConfig(width=16, layers=1, heads=2, head_dim=8, mlp_dim=32, dropout=0.1)
INPUTS = [('waveform',), ('spectrum', 'amplitude'), ('waveform', 'spectrum', 'amplitude')]


def _model(mixing, inputs=('spectrum', 'amplitude')):
  return heads.MaskedModel(heads.MaskedConfig(
      EncoderConfig(TINY, inputs, mixing, max_slots=8, max_channels=4), codes=11))


@functools.lru_cache
def _compiled(model):
  """(init, apply) compiled once per model; eager initialisation takes a second each."""
  return jax.jit(model.init), jax.jit(model.apply)


def _apply(model, words, masked_bn, seed=0):
  init, apply = _compiled(model)
  params = init(jax.random.key(seed), words, masked_bn)
  return apply(params, words, masked_bn), params


@pytest.mark.heavy
@pytest.mark.parametrize('mixing', ['words', 'slots'])
@pytest.mark.parametrize('inputs', INPUTS)
def test_masked_word_is_not_seen(mixing, inputs):
  """(c) Mixing before masking (a convolution across words) would let a masked word leak."""
  words = fake_words(b=2)
  masked_bn = np.zeros((2, 16), bool)
  masked_bn[0, [3, 7]] = True
  model = _model(mixing, inputs)
  logits_bnk, params = _apply(model, words, masked_bn)
  other = words._replace(waveform_np=words.waveform_np + 9 * masked_bn[..., None].astype(np.float32),
                         spectrum_nf=words.spectrum_nf + 9 * masked_bn[..., None].astype(np.float32),
                         amplitude_n=words.amplitude_n + 9 * masked_bn.astype(np.float32))
  other.waveform_np[0, 3, 5] = -50.0
  assert np.array_equal(logits_bnk, _compiled(model)[1](params, other, masked_bn))
  # the same change to a word that is seen must show, or the test above proves nothing
  unmasked = np.zeros_like(masked_bn)
  assert not np.allclose(_compiled(model)[1](params, words, unmasked), _compiled(model)[1](params, other, unmasked))


@pytest.mark.heavy
@pytest.mark.parametrize('mixing', ['words', 'slots'])
def test_padding_changes_nothing(mixing):
  """(d) Absent words in attention, sums or means would change the logits of valid ones."""
  words = fake_words(b=2, slots=4)
  longer = jax.tree.map(lambda x: np.concatenate([x, x], 1) if x.ndim > 1 and x.shape[1] == 16 else x, words)
  valid_bn = longer.valid_n.copy()
  valid_bn[:, 16:] = False
  longer = longer._replace(valid_n=valid_bn, spectrum_nf=longer.spectrum_nf * 3)
  longer.spectrum_nf[:, :16] = words.spectrum_nf
  model = _model(mixing)
  logits_bnk, params = _apply(model, words, np.zeros((2, 16), bool))
  padded_bnk = _compiled(model)[1](params, longer, np.zeros((2, 32), bool))
  np.testing.assert_allclose(padded_bnk[:, :16], logits_bnk, atol=2e-6)


@pytest.mark.heavy
@pytest.mark.parametrize('mixing', ['words', 'slots'])
@pytest.mark.parametrize('pool', heads.POOLS)
def test_padding_changes_no_class(mixing, pool):
  """(d) for the pooled mean: an absent word must not pull the sentence towards zero."""
  config = heads.ClassifierConfig(EncoderConfig(TINY, mixing=mixing, max_slots=8, max_channels=4), 5, pool)
  words = fake_words(b=2, slots=2)
  longer = fake_words(b=2, slots=4)
  first = lambda x, y: np.concatenate([x, y[:, 8:]], 1) if x.ndim > 1 and x.shape[1] == 8 else x
  longer = jax.tree.map(first, words, longer)
  longer.valid_n[:, 8:] = False
  model = heads.GestureClassifier(config)
  params = _compiled(model)[0](jax.random.key(0), words)
  np.testing.assert_allclose(_compiled(model)[1](params, longer), _compiled(model)[1](params, words), atol=2e-6)


@pytest.mark.heavy
@pytest.mark.parametrize('mixing', ['words', 'slots'])
def test_time_order_matters(mixing):
  """(h) An embedding that cancels would give the same output for words permuted in time."""
  words = fake_words(b=1, slots=4)
  order = np.concatenate([np.arange(4) + 4 * s for s in (2, 0, 3, 1)])
  content = ('waveform_np', 'spectrum_nf', 'amplitude_n')
  permuted = words._replace(**{f: getattr(words, f)[:, order] for f in content})
  config = heads.ClassifierConfig(EncoderConfig(TINY, mixing=mixing, max_slots=8, max_channels=4), 5)
  model = heads.GestureClassifier(config)
  params = _compiled(model)[0](jax.random.key(0), words)
  assert np.abs(_compiled(model)[1](params, permuted) - _compiled(model)[1](params, words)).max() > 1e-4


@pytest.mark.heavy
def test_place_matters_under_slots():
  """Summing channels without their place would make two electrodes interchangeable."""
  words = fake_words(b=1)
  swap = np.arange(16).reshape(4, 4)[:, [1, 0, 2, 3]].reshape(-1)
  swapped = words._replace(spectrum_nf=words.spectrum_nf[:, swap], amplitude_n=words.amplitude_n[:, swap])
  model = _model('slots')
  logits_bnk, params = _apply(model, words, np.zeros((1, 16), bool))
  assert np.abs(_compiled(model)[1](params, swapped, np.zeros((1, 16), bool)) - logits_bnk).max() > 1e-4


@pytest.mark.heavy
def test_dropout_depends_on_the_example_alone():
  """A mask drawn for the whole batch would differ with the number of devices."""
  words = fake_words(b=4)
  model = heads.GestureClassifier(heads.ClassifierConfig(EncoderConfig(TINY, max_slots=8, max_channels=4), 5))
  params = _compiled(model)[0](jax.random.key(0), words)
  keys_b = jax.random.split(jax.random.key(1), 4)
  whole_bk = _compiled(model)[1](params, words, keys_b)
  half_bk = _compiled(model)[1](params, jax.tree.map(lambda x: x[2:], words), keys_b[2:])
  np.testing.assert_allclose(whole_bk[2:], half_bk, atol=1e-6)
  assert np.abs(whole_bk - _compiled(model)[1](params, words)).max() > 1e-4


def test_zscore_ignores_samples_past_the_word():
  """Padding in the mean or variance would distort short words; expected values from numpy."""
  words = fake_words(b=1)
  length_bn = words.length_n.copy()
  length_bn[0, 2] = 30
  got_p = np.asarray(zscore_waveform(words._replace(length_n=length_bn)))[0, 2]
  x = words.waveform_np[0, 2, :30]
  np.testing.assert_allclose(got_p[:30], (x - x.mean()) / x.std(), atol=1e-5)
  assert np.all(got_p[30:] == 0)


# METHOD section 1, from the released code: (VQ model, masked model) in millions of parameters. Ours
# have other biases and tables: within 5 %, and exactly what the formula below says. The codebook is
# 8192 x 256 in both; 58.06 M leaves room for a decoder of base's heads and MLP only.
CODE, DECODER = 256, (8, 1024)
PAPER = {'base': (256, 6, 8, 1024, 11.33, 8.69), 'large': (512, 12, 16, 2048, 58.06, 55.16)}


def _blocks_count(d, depth, n_heads, mlp_dim):
  """By hand: q, k, v without bias, out with; two QK norms; two norms; two scales; two MLP layers."""
  inner = 64 * n_heads
  block = 3 * d * inner + (inner * d + d) + 2 * 2 * 64 + 2 * 2 * d + 2 * d
  block += d * mlp_dim + mlp_dim + mlp_dim * d + d
  return depth * block + 2 * d


def _encoder_count(d, depth, n_heads, mlp_dim, samples=50, channels=8):
  """By hand: the temporal encoder, four tables (17 places, 5 rings, 17 times, 257 orders), a mask."""
  convs = (15 * channels + channels) + 2 * (3 * channels * channels + channels) + 3 * 2 * channels
  temporal = convs + -(-samples // 2) * channels * d + d
  return temporal + (17 + 5 + 17 + 257) * d + d + _blocks_count(d, depth, n_heads, mlp_dim)


@pytest.mark.heavy
@pytest.mark.parametrize('size', PAPER)
def test_parameter_counts_of_the_paper(size):
  """A wrong head size, a missing layer or a second table shows as a count."""
  d, depth, n_heads, mlp_dim, vq_millions, masked_millions = PAPER[size]
  blocks = layers.BlocksConfig(d, depth, n_heads, 64, mlp_dim, 0.1, 0.0)
  decoder = layers.BlocksConfig(d, 2, DECODER[0], 64, DECODER[1], 0.1, 0.0)
  encoder = EncoderConfig(blocks, ('waveform',), 'words', 16, 16)
  quantiser = QuantiserConfig(codes=8192, width=CODE)
  vq = vq_autoencoder.VQConfig(encoder, quantiser, decoder, ('waveform',), 50, 25)
  words = jax.eval_shape(lambda: jax.tree.map(
      jnp.asarray, fake_words(b=1, slots=16, channels=16, samples=50)))
  codebook = jax.eval_shape(lambda: init_codebook(jax.random.key(0), quantiser))
  count = lambda tree: sum(int(np.prod(x.shape)) for x in jax.tree.leaves(tree))
  vq_model = vq_autoencoder.VQAutoencoder(vq)
  vq_count = count(jax.eval_shape(vq_model.init, jax.random.key(0), words, codebook))
  masked = heads.MaskedModel(heads.MaskedConfig(encoder, 8192))
  masked_bn = jax.ShapeDtypeStruct((1, 256), bool)
  masked_count = count(jax.eval_shape(masked.init, jax.random.key(0), words, masked_bn))
  one = _encoder_count(d, depth, n_heads, mlp_dim)
  linear = lambda a, b: a * b + b
  # two layers to the code, one from it, 17 places, the decoder, its hidden layer and 50 samples
  around = linear(d, d) + linear(d, CODE) + linear(CODE, d) + 17 * d + _blocks_count(d, 2, *DECODER)
  around += linear(d, d) + linear(d, 50)
  assert vq_count == one + around
  assert masked_count == one + linear(d, 8192)
  assert (vq_count + 8192 * CODE) / 1e6 == pytest.approx(vq_millions, rel=0.05)
  assert masked_count / 1e6 == pytest.approx(masked_millions, rel=0.05)
