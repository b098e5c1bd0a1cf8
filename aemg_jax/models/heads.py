"""Heads on the sentence encoder: codes of masked words, and gesture classes."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from aemg_jax.models import layers
from aemg_jax.models.sentence_encoder import EncoderConfig, SentenceEncoder
from aemg_jax.sentences.words import Words

POOLS = ('words', 'positions', 'slots')


@dataclasses.dataclass(frozen=True)
class MaskedConfig:
  """Attributes:
    encoder: of words.
    codes: how many there are to predict.
    reconstructs: numbers of a clean word that are reconstructed besides, all its targets together; 0 is none.
  """
  encoder: EncoderConfig = EncoderConfig()
  codes: int = 256
  reconstructs: int = 0


@dataclasses.dataclass(frozen=True)
class ClassifierConfig:
  """Attributes:
    encoder: of words.
    classes: number of labels.
    pool: 'words' is the mean over words (the paper's); 'positions' the mean over time at each place
      round the limb, concatenated; 'slots' the mean over slot tokens.
    head_dropout: before the linear layer, while training.
  """
  encoder: EncoderConfig = EncoderConfig()
  classes: int = 7
  pool: str = 'slots'
  head_dropout: float = 0.0

  def __post_init__(self):
    if self.pool not in POOLS:
      raise ValueError(f'ClassifierConfig.pool: got {self.pool!r}, expected one of {POOLS}')

  @property
  def max_channels(self) -> int:
    return self.encoder.max_channels


class MaskedModel(nn.Module):
  """Step 2: the code of every word, [b, n, k] logits; masked words are not seen."""
  config: MaskedConfig

  def setup(self):
    self.encoder = SentenceEncoder(self.config.encoder)
    self.codes = nn.Dense(self.config.codes)
    if self.config.reconstructs:
      self.reconstruction = nn.Dense(self.config.reconstructs)

  def __call__(self, words: Words, masked_bn: jax.Array, keys_b: jax.Array | None = None) -> jax.Array:
    word_bnd = self.vectors(words, masked_bn, keys_b).astype(jnp.float32)
    if self.config.reconstructs and self.is_initializing():
      self.reconstruction(word_bnd)  # the loss reads its parameters
    return self.codes(word_bnd)

  def vectors(self, words: Words, masked_bn: jax.Array, keys_b: jax.Array | None = None) -> jax.Array:
    """[b, n, d] what the linear layer 'codes' reads, in the blocks' dtype."""
    return self.encoder(words, masked_bn, keys_b).word_bnd


def pool_sentence(encoded, words: Words, pool: str, positions: int) -> jax.Array:
  """[b, d] ([b, positions * d] under 'positions'), absent words in no mean."""
  if pool == 'slots':
    return layers.masked_mean(encoded.slot_bsd, encoded.slot_valid_bs)
  if pool == 'words':
    return layers.masked_mean(encoded.word_bnd, words.valid_n)
  place_bnq = jax.nn.one_hot(words.position_n, positions) * words.valid_n[..., None]
  total_bqd = jnp.einsum('bnq,bnd->bqd', place_bnq, encoded.word_bnd)
  mean_bqd = total_bqd / jnp.maximum(place_bnq.sum(1), 1.0)[..., None]
  return mean_bqd.reshape(mean_bqd.shape[0], -1)


class GestureClassifier(nn.Module):
  """[b, classes] logits of a sentence."""
  config: ClassifierConfig

  @nn.compact
  def __call__(self, words: Words, keys_b: jax.Array | None = None) -> jax.Array:
    c = self.config
    encoded = SentenceEncoder(c.encoder, name='encoder')(words, None, keys_b)
    pooled_bd = pool_sentence(encoded, words, c.pool, c.encoder.positions)
    dropped_bd = layers.dropout(pooled_bd[:, None], keys_b, c.head_dropout, salt=1000)[:, 0]
    return nn.Dense(c.classes, name='head')(dropped_bd)


@dataclasses.dataclass(frozen=True)
class Embedder:
  """(params {'encoder'}, words) -> [b, d] pooled vectors of a frozen encoder."""
  config: ClassifierConfig

  def __call__(self, params, words: Words) -> jax.Array:
    c = self.config
    encoded = SentenceEncoder(c.encoder).apply({'params': params['encoder']}, words)
    return pool_sentence(encoded, words, c.pool, c.encoder.positions)
