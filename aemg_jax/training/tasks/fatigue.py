"""Fatigue: class, ordinal and value of the Borg rating from sequences of feature windows."""

import dataclasses

import jax
import jax.numpy as jnp

from aemg_jax.models import FatigueFormerConfig, FatigueLSTMConfig, build
from aemg_jax.training import losses
from aemg_jax.training.task import Draw, Task

BORG_CENTRE, BORG_SCALE = 5.0, 3.0  # the value head predicts (Borg - 5) / 3, of order 1


@dataclasses.dataclass(frozen=True)
class FatigueTask(Task):
  """Batch: features (FeatureBatch), label [b] (-1 where absent), borg [b] (NaN where absent), weight [b].

  Loss = L(fused) + branch_weight * (L(static) + L(temporal)), L the weighted sum of the heads.

  Attributes:
    model: gives {'fused': Heads, ...}.
    branch_weight: of the two branches' own losses.
    class_weight, ordinal_weight, value_weight: of cross-entropy, CORAL's binary cross-entropies (a
      mean over thresholds) and squared error; 0 leaves a head untrained.
    thresholds: the ordinal head answers Borg > t for each.
  """
  model: FatigueFormerConfig | FatigueLSTMConfig = FatigueFormerConfig()
  branch_weight: float = 0.3
  class_weight: float = 1.0
  ordinal_weight: float = 1.0
  value_weight: float = 1.0
  thresholds: tuple[float, ...] = (0.0, 2.0, 5.0)

  def __post_init__(self):
    if len(self.thresholds) != self.model.thresholds:
      raise ValueError(f'FatigueTask.thresholds: got {self.thresholds}, expected the '
                       f"model's {self.model.thresholds}")

  def init(self, key, batch):
    return build(self.model).init(key, batch['features'])['params'], {}

  def loss(self, params, extra, batch, draw: Draw, train: bool):
    heads = build(self.model).apply({'params': params}, batch['features'], draw.keys_b() if train else None)
    weight_b = batch['weight'] * (batch['label'] >= 0)
    share = lambda name: 1.0 if name == 'fused' else self.branch_weight
    total = sum(share(name) * jnp.sum(self.per_row(head, batch, weight_b)) for name, head in heads.items())
    right = losses.correct(heads['fused'].class_bk, batch['label'], weight_b)
    return total, (weight_b.sum(), {'accuracy': right}, {})

  def per_row(self, head, batch, weight_b: jax.Array) -> jax.Array:
    """[b] weighted loss of one set of heads."""
    borg_b = jnp.where(weight_b > 0, batch['borg'], 0.0)
    each = jax.vmap(lambda *a: losses.cross_entropy(*a)[0])
    class_b = each(head.class_bk[:, None], batch['label'][:, None], weight_b[:, None])
    above_bj = borg_b[:, None] > jnp.asarray(self.thresholds)[None]
    sign_bj = jnp.where(above_bj, -1.0, 1.0)
    ordinal_b = jax.nn.softplus(sign_bj * head.ordinal_bj).mean(axis=1) * weight_b
    error_b = jnp.square(head.value_b - (borg_b - BORG_CENTRE) / BORG_SCALE) * weight_b
    return self.class_weight * class_b + self.ordinal_weight * ordinal_b + self.value_weight * error_b
