"""Step 2: the codes of masked words, or the clean words themselves, from what is left of the sentence."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from aemg_jax.models import quantiser
from aemg_jax.models.heads import MaskedConfig, MaskedModel
from aemg_jax.models.vq_autoencoder import VQAutoencoder, VQConfig
from aemg_jax.sentences.words import Words
from aemg_jax.training import losses
from aemg_jax.training.augment import AugmentConfig, augment
from aemg_jax.training.task import Draw, Task
from aemg_jax.training.tasks.vq import target_and_weight


@dataclasses.dataclass(frozen=True)
class MaskConfig:
  """Attributes:
    ratio: share of valid words masked; 0 masks none.
    slot_share: share of examples whose masks are whole time slots.
    channel_share: of those whose masks are whole channels.
    span_share: of those whose mask is one run of slots, `ratio` of the grid's, which goes on at its beginning.
    symmetric: the complement of the mask is predicted too.
    every: words that are seen are predicted as well: denoising, where the input is augmented.
  """
  ratio: float = 0.5
  slot_share: float = 0.5
  symmetric: bool = True
  channel_share: float = 0.0
  span_share: float = 0.0
  every: bool = False

  def __post_init__(self):
    shares = (self.slot_share, self.channel_share, self.span_share)
    if min(shares) < 0 or sum(shares) > 1 + 1e-6:
      raise ValueError(f'MaskConfig: got slot_share, channel_share, span_share {shares}, expected a sum of at most 1')
    if not self.ratio and (self.symmetric or not self.every):
      raise ValueError(f'MaskConfig.ratio: got 0 with symmetric {self.symmetric} and every {self.every}, expected '
                       'False and True: nothing is hidden, so all that is seen is predicted')


def draw_mask(words: Words, keys_b: jax.Array, config: MaskConfig, max_channels: int) -> jax.Array:
  """[b, n] bool over valid words; by words, or by whole slots, channels or a span as the shares say."""
  slots = words.valid_n.shape[-1] // max_channels
  until = np.cumsum([config.slot_share, config.channel_share, config.span_share])

  def one(valid_n, key):
    kind_key, word_key, slot_key = jax.random.split(key, 3)
    n = valid_n.shape[0]
    word_n = jax.random.uniform(word_key, (n,)) < config.ratio
    slot_s = jax.random.uniform(slot_key, (slots,)) < config.ratio
    kind = jax.random.uniform(kind_key)
    masked_n = jnp.where(kind < until[0], jnp.repeat(slot_s, max_channels), word_n)
    if until[2] > until[0]:
      channel_key, span_key = jax.random.split(jax.random.fold_in(key, 1))
      channel_c = jax.random.uniform(channel_key, (max_channels,)) < config.ratio
      span_s = (jnp.arange(slots) - jax.random.randint(span_key, (), 0, slots)) % slots < round(config.ratio * slots)
      other_n = jnp.where(kind < until[1], jnp.tile(channel_c, slots), jnp.repeat(span_s, max_channels))
      masked_n = jnp.where((kind >= until[0]) & (kind < until[2]), other_n, masked_n)
    return valid_n & masked_n

  return jax.vmap(one)(words.valid_n, keys_b)


@dataclasses.dataclass(frozen=True)
class MaskedTask(Task):
  """Batch: words. `extra` holds the frozen tokeniser of step 1: vq_params and codebook.

  Attributes:
    model: encoder and code head.
    vq: the tokeniser whose codes are predicted, from CLEAN words (METHOD section 5.5).
    augment: of the input; all zero is the published objective.
    mask: which words are hidden.
    code_weight: of the codes' cross-entropy in the loss.
    reconstruction_weight: of the squared error of the tokeniser's targets; above 0 `model.reconstructs` is their size.
  """
  model: MaskedConfig = MaskedConfig()
  vq: VQConfig = VQConfig()
  augment: AugmentConfig = AugmentConfig()
  mask: MaskConfig = MaskConfig()
  code_weight: float = 1.0
  reconstruction_weight: float = 0.0

  def __post_init__(self):
    wanted = sum(self.vq.sizes.values()) if self.reconstruction_weight else 0
    if self.model.reconstructs != wanted:
      raise ValueError(f'MaskedTask.model.reconstructs: got {self.model.reconstructs} with reconstruction_weight '
                       f'{self.reconstruction_weight}, expected {wanted}')
    if min(self.code_weight, self.reconstruction_weight) < 0 or not self.code_weight + self.reconstruction_weight:
      raise ValueError(f'MaskedTask.code_weight: got {self.code_weight} and reconstruction_weight '
                       f'{self.reconstruction_weight}, expected one above 0')
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
    hidden_bn = words.valid_n if self.mask.every else rounds[0] | rounds[-1]
    head = params['codes']
    (total, count), right = losses.projected_cross_entropy(word_bnd, head['kernel'], head['bias'],
                                                           index_bn, hidden_bn)
    metrics = {'masked_accuracy': (right, count)}
    if self.reconstruction_weight:
      error = self._error(params['reconstruction'], word_bnd, words, hidden_bn)
      total = self.code_weight * total + self.reconstruction_weight * error
      metrics['masked_error'] = (error, count)
    return total, (count, metrics, _code_counts(index_bn, words.valid_n, self.vq.quantiser.codes))

  def _error(self, head, word_bnd: jax.Array, words: Words, hidden_bn: jax.Array) -> jax.Array:
    """Squared error of the clean words' targets, as the tokeniser's, summed over hidden words."""
    guess_bnf = word_bnd.astype(jnp.float32) @ head['kernel'] + head['bias'][None, None]
    hidden, total, first = self.vq.heard(words)._replace(valid_n=hidden_bn), 0.0, 0
    for target, size in self.vq.sizes.items():
      value, weight = target_and_weight(hidden, target)
      total += losses.squared_error(guess_bnf[..., first:first + size], value, weight)[0]
      first += size
    return total

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
