"""The Neuro-Syntax Transformer: words of a sentence to contextual vectors (METHOD section 3).

Two ways to mix. 'words': every word attends to every word, as published. 'slots': the words of one
slot are projected by their place on the limb and summed into a slot token, and slots attend to each
other; several times cheaper, and still free of any montage, since the projection is chosen by place.
"""

import dataclasses
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from aemg_jax.models import layers, norms
from aemg_jax.models.products import Dense, product
from aemg_jax.sentences.words import Words

INPUTS = ('waveform', 'spectrum', 'amplitude')
MIXING = ('words', 'slots')


@dataclasses.dataclass(frozen=True)
class EncoderConfig:
  """Attributes:
    blocks: the Transformer.
    inputs: what the model reads from a word: 'waveform' (z-scored), 'spectrum', 'amplitude'.
    mixing: 'words' or 'slots'.
    max_slots, max_channels: the grid; word n is slot n // max_channels.
    positions, rings, times: table sizes, index 0 is padding.
    conv_channels: of the temporal encoder, used for 'waveform'.
  """
  blocks: layers.BlocksConfig = layers.BlocksConfig()
  inputs: tuple[str, ...] = ('spectrum', 'amplitude')
  mixing: str = 'slots'
  max_slots: int = 16
  max_channels: int = 8
  positions: int = 17
  rings: int = 5
  times: int = 17
  conv_channels: int = 8

  def __post_init__(self):
    if self.mixing not in MIXING:
      raise ValueError(f'EncoderConfig.mixing: got {self.mixing!r}, expected one of {MIXING}')
    unknown = set(self.inputs) - set(INPUTS)
    if unknown or not self.inputs:
      raise ValueError(f'EncoderConfig.inputs: got {self.inputs!r}, expected some of {INPUTS}')

  @property
  def max_words(self) -> int:
    return self.max_slots * self.max_channels


class Encoded(NamedTuple):
  """word_bnd per word, slot_bsd per slot (word means under 'words'), and which slots hold a word.

  Vectors have the dtype of the blocks; what comes before the blocks is float32.
  """
  word_bnd: jax.Array
  slot_bsd: jax.Array
  slot_valid_bs: jax.Array


def zscore_waveform(words: Words) -> jax.Array:
  """The paper's word: each waveform to mean 0, variance 1 over its valid samples. [b, n, p]."""
  samples = jnp.arange(words.waveform_np.shape[-1])
  sample_valid_bnp = samples[None, None] < words.length_n[..., None]
  count_bn1 = jnp.maximum(words.length_n, 1)[..., None]
  x_bnp = jnp.where(sample_valid_bnp, words.waveform_np, 0.0)
  centred_bnp = x_bnp - x_bnp.sum(-1, keepdims=True) / count_bn1
  centred_bnp = jnp.where(sample_valid_bnp, centred_bnp, 0.0)
  variance_bn1 = (centred_bnp**2).sum(-1, keepdims=True) / count_bn1
  return centred_bnp * jax.lax.rsqrt(variance_bn1 + 1e-8)


def word_features(words: Words, inputs: tuple[str, ...]) -> jax.Array:
  """Spectrum and amplitude as one vector a word, invalid bins and absent words 0. [b, n, f]."""
  parts = []
  if 'spectrum' in inputs:
    parts.append(jnp.where(words.bin_valid_f[:, None, :], words.spectrum_nf, 0.0))
  if 'amplitude' in inputs:
    parts.append(words.amplitude_n[..., None])
  features_bnf = jnp.concatenate(parts, axis=-1)
  return jnp.where(words.valid_n[..., None], features_bnf, 0.0)


class SentenceEncoder(nn.Module):
  """[b, n] words -> contextual vectors. A masked word is replaced before any mixing.

  `keys_b` (one PRNG key an example) switches dropout on; None is evaluation.

  Differs from paper: no convolution runs across words, padding is in no sum and no softmax.
  """
  config: EncoderConfig

  @nn.compact
  def __call__(self, words: Words, masked_bn: jax.Array | None = None,
               keys_b: jax.Array | None = None) -> Encoded:
    if masked_bn is None:
      masked_bn = jnp.zeros(words.valid_n.shape, bool)
    if self.config.mixing == 'words':
      return self._words(words, masked_bn, keys_b)
    return self._slots(words, masked_bn, keys_b)

  def _table(self, name: str, size: int, index: jax.Array) -> jax.Array:
    init = nn.initializers.normal(0.02)
    return nn.Embed(size, self.config.blocks.width, embedding_init=init, name=name)(index)

  def _own(self, words: Words) -> jax.Array:
    """Each word by itself, [b, n, d]."""
    c = self.config
    own_bnd = jnp.zeros((*words.valid_n.shape, c.blocks.width))
    if 'waveform' in c.inputs:
      encoder = layers.TemporalEncoder(c.blocks.width, c.conv_channels, name='temporal_encoder')
      own_bnd += encoder(zscore_waveform(words))
    rest = tuple(i for i in c.inputs if i != 'waveform')
    if rest:
      own_bnd += nn.Dense(c.blocks.width, name='feature')(word_features(words, rest))
    return own_bnd

  def _words(self, words: Words, masked_bn: jax.Array, keys_b: jax.Array | None) -> Encoded:
    c = self.config
    mask_d = self.param('mask', nn.initializers.normal(0.02), (c.blocks.width,))
    tok_bnd = jnp.where(masked_bn[..., None], mask_d[None, None], self._own(words))
    order_n = jnp.arange(words.valid_n.shape[1]) + 1
    tok_bnd += self._table('position', c.positions, words.position_n)
    tok_bnd += self._table('ring', c.rings, words.ring_n)
    tok_bnd += self._table('time', c.times, words.time_n)
    tok_bnd += self._table('order', c.max_words + 1, order_n)[None]
    word_bnd = layers.Blocks(c.blocks, name='blocks')(tok_bnd, words.valid_n, keys_b)
    slot_bsd, slot_valid_bs = _slot_means(word_bnd, words.valid_n, c.max_channels)
    return Encoded(word_bnd, slot_bsd, slot_valid_bs)

  def _slots(self, words: Words, masked_bn: jax.Array, keys_b: jax.Array | None) -> Encoded:
    c = self.config
    d = c.blocks.width
    b, n = words.valid_n.shape
    s = n // c.max_channels
    seen_bn = words.valid_n & ~masked_bn
    parts = []
    if 'waveform' in c.inputs:
      encoder = layers.TemporalEncoder(d, c.conv_channels, name='temporal_encoder')
      parts.append(encoder(zscore_waveform(words)))
    rest = tuple(i for i in c.inputs if i != 'waveform')
    if rest:
      parts.append(word_features(words, rest))
    own_bnf = jnp.concatenate(parts, axis=-1)
    # the two flags tell "seen" and "masked" apart from a word at its session's mean
    own_bnf = jnp.concatenate([own_bnf, jnp.ones((b, n, 1))], axis=-1) * seen_bn[..., None]
    hidden_bn1 = (words.valid_n & masked_bn)[..., None].astype(own_bnf.dtype)
    own_bnf = jnp.concatenate([own_bnf, hidden_bn1], axis=-1)
    place_bscq = jax.nn.one_hot(words.position_n, c.positions).reshape(b, s, -1, c.positions)
    placed_bsqf = jnp.einsum('bscq,bscf->bsqf', place_bscq, own_bnf.reshape(b, s, -1, own_bnf.shape[-1]))
    tok_bsd = nn.Dense(d, name='place')(placed_bsqf.reshape(b, s, -1))
    slot_valid_bs = words.valid_n.reshape(b, s, -1).any(-1)
    time_bs = words.time_n.reshape(b, s, -1).max(-1)
    tok_bsd += self._table('time', c.times, time_bs)
    slot_bsd = layers.Blocks(c.blocks, name='blocks')(tok_bsd, slot_valid_bs, keys_b)
    # back to words by place as well: an added place vector alone could not tell channels apart
    dtype = c.blocks.dtype
    unplaced_bsqd = Dense((c.positions * d,), dtype=dtype, name='unplace')(slot_bsd)
    unplaced_bsqd = unplaced_bsqd.reshape(b, s, c.positions, d)
    word_bnd = product('bscq,bsqd->bscd', place_bscq.astype(dtype), unplaced_bsqd).astype(dtype)
    word_bnd = word_bnd.reshape(b, n, d)
    word_bnd = norms.gelu(word_bnd + self._table('ring', c.rings, words.ring_n).astype(dtype))
    word_bnd = Dense((d,), dtype=dtype, name='word')(word_bnd)
    word_bnd = norms.LayerNorm(dtype=dtype, name='word_norm')(word_bnd)
    return Encoded(word_bnd, slot_bsd, slot_valid_bs)


def _slot_means(word_bnd: jax.Array, valid_bn: jax.Array, max_channels: int):
  b, n, d = word_bnd.shape
  slots = (b * n // max_channels, max_channels)
  slot_bsd = layers.masked_mean(word_bnd.reshape(*slots, d), valid_bn.reshape(slots))
  return slot_bsd.reshape(b, -1, d), valid_bn.reshape(b, -1, max_channels).any(-1)
