"""Optimiser settings -> optax transform."""

import dataclasses
import functools
from typing import Any

import jax
import optax

PyTree = Any


@dataclasses.dataclass(frozen=True)
class OptimConfig:
  """AdamW.

  Attributes:
    learning_rate: peak.
    schedule: after a linear warm-up from 0: 'cosine' to `end_value`; 'constant'; or 'stairs',
      which is multiplied by `stair_factor` after every `stair_steps` updates.
    warmup_steps: updates of warm-up.
    end_value: learning rate at the last step of 'cosine'.
    b1, b2, eps: Adam's.
    weight_decay: decoupled; only on leaves of two or more axes whose path holds no `no_decay` name.
    no_decay: parts of parameter names that are never decayed (biases keep two axes under nn.scan).
    clip_norm: global norm of the gradient; 0 is off.
    frozen: top-level parameter names (modules) that are never changed.
  """
  learning_rate: float = 5e-4
  schedule: str = 'cosine'
  warmup_steps: int = 0
  stair_steps: int = 0
  stair_factor: float = 0.1
  end_value: float = 1e-5
  b1: float = 0.9
  b2: float = 0.999
  eps: float = 1e-8
  weight_decay: float = 0.0
  no_decay: tuple[str, ...] = ('bias', 'scale', 'norm', 'embed', 'table', 'token')
  clip_norm: float = 0.0
  frozen: tuple[str, ...] = ()

  def __post_init__(self):
    if self.schedule not in ('cosine', 'constant', 'stairs'):
      raise ValueError(f'OptimConfig.schedule: got {self.schedule!r}, '
                       "expected 'cosine' or 'constant' or 'stairs'")
    if (self.stair_steps > 0) != (self.schedule == 'stairs'):
      raise ValueError(f'OptimConfig.stair_steps: got {self.stair_steps} with schedule '
                       f"{self.schedule!r}, expected 1 or more with 'stairs' and 0 without")
    for name in ('learning_rate', 'eps'):
      if not getattr(self, name) > 0:
        raise ValueError(f'OptimConfig.{name}: got {getattr(self, name)}, expected above 0')
    for name in ('warmup_steps', 'weight_decay', 'clip_norm', 'end_value'):
      if not getattr(self, name) >= 0:
        raise ValueError(f'OptimConfig.{name}: got {getattr(self, name)}, expected 0 or more')
    for name in ('b1', 'b2'):
      if not 0 <= getattr(self, name) < 1:
        raise ValueError(f'OptimConfig.{name}: got {getattr(self, name)}, expected within [0, 1)')


def learning_rate(config: OptimConfig, total_steps: int) -> optax.Schedule:
  """step -> learning rate."""
  if not 0 <= config.warmup_steps < total_steps:
    raise ValueError(f'OptimConfig.warmup_steps: got {config.warmup_steps}, '
                     f'expected less than the {total_steps} steps of the run')
  if config.schedule == 'constant':
    after = optax.constant_schedule(config.learning_rate)
  elif config.schedule == 'stairs':
    after = optax.exponential_decay(config.learning_rate, config.stair_steps, config.stair_factor,
                                    staircase=True)
  else:
    after = optax.cosine_decay_schedule(config.learning_rate, total_steps - config.warmup_steps,
                                        alpha=config.end_value / config.learning_rate)
  if not config.warmup_steps:
    return after
  warmup = optax.linear_schedule(0.0, config.learning_rate, config.warmup_steps)
  return optax.join_schedules([warmup, after], [config.warmup_steps])


@functools.lru_cache(maxsize=64)
def make_tx(config: OptimConfig, total_steps: int) -> optax.GradientTransformation:
  """The transform; the same object for equal arguments, so that compiled steps are shared."""
  parts = [optax.clip_by_global_norm(config.clip_norm)] if config.clip_norm else []
  parts.append(optax.adamw(learning_rate(config, total_steps), b1=config.b1, b2=config.b2,
                           eps=config.eps, weight_decay=config.weight_decay,
                           mask=functools.partial(decay_mask, config)))
  trained = optax.chain(*parts)
  if not config.frozen:
    return trained
  return optax.partition({'trained': trained, 'frozen': optax.set_to_zero()},
                         functools.partial(_labels, config))


def decay_mask(config: OptimConfig, params: PyTree) -> PyTree:
  """Tree of bools: which leaves are decayed."""

  def decayed(path, leaf) -> bool:
    name = jax.tree_util.keystr(path, simple=True, separator='/').lower()
    return leaf.ndim >= 2 and not any(part in name for part in config.no_decay)

  return jax.tree_util.tree_map_with_path(decayed, params)


def _labels(config: OptimConfig, params: PyTree) -> PyTree:
  missing = sorted(set(config.frozen) - set(params))
  if missing:
    raise ValueError(f'OptimConfig.frozen: got {missing}, expected among {sorted(params)}')
  return {
      name: jax.tree.map(lambda _: 'frozen' if name in config.frozen else 'trained', params[name])
      for name in params
  }
