"""Labelled sentences: cross-entropy of the gesture."""

import dataclasses

import jax
import jax.numpy as jnp

from aemg_jax.models import ClassifierConfig, WindowCNNConfig, build
from aemg_jax.training import losses
from aemg_jax.training.augment import AugmentConfig, augment, single_slots
from aemg_jax.training.task import Draw, Task


@dataclasses.dataclass(frozen=True)
class SupervisedTask(Task):
  """Batch: words, label [b] (-1 where absent), weight [b].

  Attributes:
    model: anything that maps words to [b, classes].
    augment: of the input while training.
    smoothing: label smoothing.
    slot_share: of the loss, from slots that are each a sentence of its own. An evaluation window is
      one slot, and a sentence holds many: cutting every one of them out gives as many examples of
      windows as `augment.single_slot`, which keeps one, gives sentences. `augment` then applies
      before the cut, and what it crops is absent from both.
  """
  model: ClassifierConfig | WindowCNNConfig = ClassifierConfig()
  augment: AugmentConfig = AugmentConfig()
  smoothing: float = 0.0
  slot_share: float = 0.0

  def __post_init__(self):
    if not 0 <= self.slot_share <= 1:
      raise ValueError(f'SupervisedTask.slot_share: got {self.slot_share}, expected 0 to 1')

  def init(self, key, batch):
    return build(self.model).init(key, batch['words'])['params'], {}

  def loss(self, params, extra, batch, draw: Draw, train: bool):
    words, keys_b = batch['words'], None
    if train:
      keys_b = draw.keys_b()
      words = augment(words, jax.vmap(jax.random.fold_in, (0, None))(keys_b, 1), self.augment,
                      self.model.max_channels)
    label_b, weight_b = batch['label'], batch['weight'] * (batch['label'] >= 0)
    count = jnp.sum(weight_b)
    if not train or self.slot_share < 1:
      total, correct = self._score(params, words, label_b, weight_b, keys_b)
    if train and self.slot_share:
      slot_total, slot_correct = self._score(params, *_slots(words, label_b, weight_b, keys_b, self.model.max_channels))
      if self.slot_share == 1:
        total, correct = slot_total, slot_correct
      else:
        total = (1 - self.slot_share) * total + self.slot_share * slot_total
    return total, (count, {'accuracy': correct}, {})

  def _score(self, params, words, label_b, weight_b, keys_b):
    """Summed loss, and (sum, count) of the accuracy."""
    logits_bk = build(self.model).apply({'params': params}, words, keys_b)
    total, _ = losses.cross_entropy(logits_bk, label_b, weight_b, self.smoothing)
    return total, losses.correct(logits_bk, label_b, weight_b)


def _slots(words, label_b, weight_b, keys_b, max_channels: int):
  """Slots as sentences w, with labels, weights and keys; those of a sentence weigh what it weighs."""
  words_w = single_slots(words, max_channels)
  b = label_b.shape[0]
  used_bs = words_w.valid_n.any(-1).reshape(b, -1)
  slots = used_bs.shape[1]
  weight_bs = weight_b[:, None] * used_bs / jnp.maximum(used_bs.sum(1, keepdims=True), 1)
  keys_bs = jax.vmap(lambda key: jax.random.split(jax.random.fold_in(key, 2), slots))(keys_b)
  return words_w, jnp.repeat(label_b, slots), weight_bs.reshape(-1), keys_bs.reshape(-1)
