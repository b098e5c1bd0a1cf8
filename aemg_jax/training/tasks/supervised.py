"""Labelled sentences: cross-entropy of the gesture."""

import dataclasses

import jax

from aemg_jax.models import ClassifierConfig, WindowCNNConfig, build
from aemg_jax.training import losses
from aemg_jax.training.augment import AugmentConfig, augment
from aemg_jax.training.task import Draw, Task


@dataclasses.dataclass(frozen=True)
class SupervisedTask(Task):
  """Batch: words, label [b] (-1 where absent), weight [b].

  Attributes:
    model: anything that maps words to [b, classes].
    augment: of the input while training.
    smoothing: label smoothing.
  """
  model: ClassifierConfig | WindowCNNConfig = ClassifierConfig()
  augment: AugmentConfig = AugmentConfig()
  smoothing: float = 0.0

  def init(self, key, batch):
    return build(self.model).init(key, batch['words'])['params'], {}

  def loss(self, params, extra, batch, draw: Draw, train: bool):
    words, keys_b = batch['words'], None
    if train:
      keys_b = draw.keys_b()
      words = augment(words, jax.vmap(jax.random.fold_in, (0, None))(keys_b, 1), self.augment,
                      self.model.max_channels)
    logits_bk = build(self.model).apply({'params': params}, words, keys_b)
    weight_b = batch['weight'] * (batch['label'] >= 0)
    total, count = losses.cross_entropy(logits_bk, batch['label'], weight_b, self.smoothing)
    return total, (count, {'accuracy': losses.correct(logits_bk, batch['label'], weight_b)}, {})
