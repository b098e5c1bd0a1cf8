"""Step 2: the codes of masked words, from what is left of the sentence."""

import dataclasses

import jax
import jax.numpy as jnp

from aemg_jax.models import quantiser
from aemg_jax.models.heads import MaskedConfig, MaskedModel
from aemg_jax.models.vq_autoencoder import VQAutoencoder, VQConfig
from aemg_jax.sentences.words import Words
from aemg_jax.training import losses
from aemg_jax.training.augment import AugmentConfig, augment
from aemg_jax.training.task import Draw, Task


@dataclasses.dataclass(frozen=True)
class MaskConfig:
  """Attributes:
    ratio: share of valid words masked.
    slot_share: share of examples whose masks are whole time slots.
    symmetric: the complement of the mask is predicted too.
  """
  ratio: float = 0.5
  slot_share: float = 0.5
  symmetric: bool = True


def draw_mask(words: Words, keys_b: jax.Array, config: MaskConfig, max_channels: int) -> jax.Array:
  """[b, n] bool over valid words; in `slot_share` of the examples whole slots."""

  def one(valid_n, key):
    kind_key, word_key, slot_key = jax.random.split(key, 3)
    n = valid_n.shape[0]
    word_n = jax.random.uniform(word_key, (n,)) < config.ratio
    slot_s = jax.random.uniform(slot_key, (n // max_channels,)) < config.ratio
    by_slot = jax.random.uniform(kind_key) < config.slot_share
    return valid_n & jnp.where(by_slot, jnp.repeat(slot_s, max_channels), word_n)

  return jax.vmap(one)(words.valid_n, keys_b)


@dataclasses.dataclass(frozen=True)
class MaskedTask(Task):
  """Batch: words. `extra` holds the frozen tokeniser of step 1: vq_params and codebook.

  Attributes:
    model: encoder and code head.
    vq: the tokeniser whose codes are predicted, from CLEAN words (METHOD section 5.5).
    augment: of the input; all zero is the published objective.
    mask: which words are hidden.
  """
  model: MaskedConfig = MaskedConfig()
  vq: VQConfig = VQConfig()
  augment: AugmentConfig = AugmentConfig()
  mask: MaskConfig = MaskConfig()

  def __post_init__(self):
    if self.model.codes != self.vq.quantiser.codes:
      raise ValueError(f'MaskedTask.model.codes: got {self.model.codes}, expected the '
                       f"tokeniser's {self.vq.quantiser.codes}")

  def init(self, key, batch):
    words = batch['words']
    masked_bn = jnp.zeros(words.valid_n.shape, bool)
    vq_key, params_key = jax.random.split(key)
    codebook = quantiser.init_codebook(vq_key, self.vq.quantiser)
    vq_params = VQAutoencoder(self.vq).init(vq_key, words, codebook)['params']
    params = MaskedModel(self.model).init(params_key, words, masked_bn)['params']
    return params, {'vq_params': vq_params, 'codebook': codebook}

  def loss(self, params, extra, batch, draw: Draw, train: bool):
    words = batch['words']
    words = words._replace(valid_n=words.valid_n & (batch['weight'] > 0)[:, None])
    index_bn = jax.lax.stop_gradient(codes_of(self.vq, extra, words))
    keys_b = draw.keys_b()
    fold = jax.vmap(jax.random.fold_in, (0, None))
    max_channels = self.model.encoder.max_channels
    masked_bn = draw_mask(words, fold(keys_b, 1), self.mask, max_channels)
    seen = augment(words, fold(keys_b, 2), self.augment, max_channels) if train else words
    # a channel lost to augmentation is hidden, and its words are still to be predicted
    lost_bn = words.valid_n & ~seen.valid_n
    seen = seen._replace(valid_n=words.valid_n)
    rounds = [masked_bn, words.valid_n & ~masked_bn] if self.mask.symmetric else [masked_bn]
    word_bnd = self._vectors(params, seen, rounds, lost_bn, keys_b if train else None)
    hidden_bn = rounds[0] | rounds[-1]
    head = params['codes']
    (total, count), right = losses.projected_cross_entropy(word_bnd, head['kernel'], head['bias'],
                                                           index_bn, hidden_bn)
    return total, (count, {'masked_accuracy': (right, count)},
                   _code_counts(index_bn, words.valid_n, self.vq.quantiser.codes))

  def _vectors(self, params, seen: Words, rounds, lost_bn: jax.Array, keys_b) -> jax.Array:
    """[b, n, d] each word's vector from the round that hides it.

    The rounds are one batch, an example's beside each other: split over devices, rows stay there.
    """
    fold = jax.vmap(jax.random.fold_in, (0, None))
    beside = lambda parts: jnp.stack(parts, axis=1).reshape(-1, *parts[0].shape[1:])
    if keys_b is not None:
      keys_b = beside([fold(keys_b, 3 + i) for i in range(len(rounds))])
    words = jax.tree.map(lambda x: beside([x] * len(rounds)), seen)
    word_rnd = MaskedModel(self.model).apply(
        {'params': params}, words, beside([hidden_bn | lost_bn for hidden_bn in rounds]), keys_b,
        method='vectors')
    word_brnd = word_rnd.reshape(-1, len(rounds), *word_rnd.shape[1:])
    return jnp.where(rounds[0][..., None], word_brnd[:, 0], word_brnd[:, -1])

  def report(self, extra, stats):
    """The rate of the most frequent code in the batch, to set the accuracy against."""
    return {'unigram_majority': stats.max() / jnp.maximum(stats.sum(), 1.0)}


def codes_of(vq: VQConfig, extra, words: Words) -> jax.Array:
  """[b, n] codes of clean words under a trained tokeniser {'vq_params', 'codebook'}."""
  z_bnd = VQAutoencoder(vq).apply({'params': extra['vq_params']}, words, method='encode')
  return quantiser.lookup(z_bnd, quantiser.Codebook(*extra['codebook']))[0]


def _code_counts(index_bn: jax.Array, valid_bn: jax.Array, codes: int) -> jax.Array:
  return jnp.zeros(codes).at[index_bn.reshape(-1)].add(valid_bn.reshape(-1).astype(jnp.float32))
