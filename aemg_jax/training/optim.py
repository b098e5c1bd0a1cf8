"""Optimiser settings -> optax transform."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

PyTree = Any
SCHEDULES = ('cosine', 'wsd', 'constant', 'stairs')
_AFTER_BLOCKS = ('unplace', 'word', 'word_norm')  # of the sentence encoder


@dataclasses.dataclass(frozen=True)
class GroupConfig:
  """Parameters that are treated in a way of their own.

  Attributes:
    path: beginning of their name, by whole parts ('encoder', 'encoder/blocks/block_0').
    weight_decay: instead of OptimConfig's, on the same kinds of leaves; below 0 is OptimConfig's.
    rate: factor of the learning rate.
  """
  path: str
  weight_decay: float = -1.0
  rate: float = 1.0

  def __post_init__(self):
    if not self.path or not self.rate >= 0:
      raise ValueError(f'GroupConfig: got {self}, expected a path, and a rate of 0 or more')


@dataclasses.dataclass(frozen=True)
class OptimConfig:
  """AdamW.

  Attributes:
    learning_rate: peak.
    schedule: after a linear warm-up from 0: 'cosine' to `end_value`; 'wsd' (warm-up, stable, decay),
      which stays and then falls linearly to `end_value`; 'constant'; or 'stairs', which is
      multiplied by `stair_factor` after every `stair_steps` updates.
    warmup_steps: updates of warm-up.
    decay_steps: updates of the fall of 'wsd', the last of the run.
    end_value: learning rate at the last step of 'cosine' and 'wsd'.
    b1, b2, eps: Adam's.
    weight_decay: decoupled; only on leaves of two or more axes whose path holds no `no_decay` name.
    no_decay: parts of parameter names that are never decayed (biases keep two axes under nn.scan).
    groups: parameters with their own weight decay or rate; the first that fits counts.
    layer_decay: factor of the rate from each layer of 'encoder' to the one below: its last block keeps
      the rate times this, what lies before block 0 that to the power of blocks + 1; what comes after
      the blocks, and all other modules, keep the rate. 1 is off (Clark et al. 2020, section 3.2).
    clip_norm: global norm of the gradient; 0 is off.
    frozen: top-level parameter names (modules) that are never changed.
    average_decay: of a moving average of the parameters, which evaluations and checkpoints'
      `params` then hold; 0 is off. Until 1 / (1 - average_decay) updates it is the plain mean.
  """
  learning_rate: float = 5e-4
  schedule: str = 'cosine'
  warmup_steps: int = 0
  decay_steps: int = 0
  stair_steps: int = 0
  stair_factor: float = 0.1
  end_value: float = 1e-5
  b1: float = 0.9
  b2: float = 0.999
  eps: float = 1e-8
  weight_decay: float = 0.0
  no_decay: tuple[str, ...] = ('bias', 'scale', 'norm', 'embed', 'table', 'token')
  groups: tuple[GroupConfig, ...] = ()
  layer_decay: float = 1.0
  clip_norm: float = 0.0
  frozen: tuple[str, ...] = ()
  average_decay: float = 0.0

  def __post_init__(self):
    if self.schedule not in SCHEDULES:
      raise ValueError(f'OptimConfig.schedule: got {self.schedule!r}, expected one of {SCHEDULES}')
    if (self.decay_steps > 0) != (self.schedule == 'wsd'):
      raise ValueError(f'OptimConfig.decay_steps: got {self.decay_steps} with schedule '
                       f"{self.schedule!r}, expected 1 or more with 'wsd' and 0 without")
    if (self.stair_steps > 0) != (self.schedule == 'stairs'):
      raise ValueError(f'OptimConfig.stair_steps: got {self.stair_steps} with schedule '
                       f"{self.schedule!r}, expected 1 or more with 'stairs' and 0 without")
    for name in ('learning_rate', 'eps'):
      if not getattr(self, name) > 0:
        raise ValueError(f'OptimConfig.{name}: got {getattr(self, name)}, expected above 0')
    for name in ('warmup_steps', 'decay_steps', 'weight_decay', 'clip_norm', 'end_value'):
      if not getattr(self, name) >= 0:
        raise ValueError(f'OptimConfig.{name}: got {getattr(self, name)}, expected 0 or more')
    if not 0 < self.layer_decay <= 1:
      raise ValueError(f'OptimConfig.layer_decay: got {self.layer_decay}, expected within (0, 1]')
    for name in ('b1', 'b2', 'average_decay'):
      if not 0 <= getattr(self, name) < 1:
        raise ValueError(f'OptimConfig.{name}: got {getattr(self, name)}, expected within [0, 1)')


class Averaged(NamedTuple):
  """Optimiser state with a moving average of the parameters.

  Attributes:
    inner: state of the transform itself.
    params: the average, shaped as the parameters.
    count: [] int32 updates averaged.
  """
  inner: PyTree
  params: PyTree
  count: jax.Array


def served(params: PyTree, opt_state: PyTree) -> PyTree:
  """The parameters to evaluate with: their average if there is one, else themselves."""
  return opt_state.params if isinstance(opt_state, Averaged) else params


def learning_rate(config: OptimConfig, total_steps: int) -> optax.Schedule:
  """step -> learning rate."""
  rest = total_steps - config.warmup_steps
  if not 0 <= config.warmup_steps < total_steps:
    raise ValueError(f'OptimConfig.warmup_steps: got {config.warmup_steps}, '
                     f'expected less than the {total_steps} steps of the run')
  if config.decay_steps > rest:
    raise ValueError(f'OptimConfig.decay_steps: got {config.decay_steps}, expected at most the '
                     f'{rest} steps after warm-up')
  peak, end = config.learning_rate, config.end_value
  stages = {0: optax.constant_schedule(peak)}
  if config.schedule == 'cosine':
    stages = {0: optax.cosine_decay_schedule(peak, rest, alpha=end / peak)}
  elif config.schedule == 'stairs':
    stages = {0: optax.exponential_decay(peak, config.stair_steps, config.stair_factor, staircase=True)}
  elif config.schedule == 'wsd':
    stages[rest - config.decay_steps] = optax.linear_schedule(peak, end, config.decay_steps)
  if config.warmup_steps:
    stages = {config.warmup_steps + start: stage for start, stage in stages.items()}
    stages = {0: optax.linear_schedule(0.0, peak, config.warmup_steps), **stages}
  starts = list(stages)
  return optax.join_schedules(list(stages.values()), starts[1:]) if len(starts) > 1 else stages[0]


@functools.lru_cache(maxsize=64)
def make_tx(config: OptimConfig, total_steps: int) -> optax.GradientTransformation:
  """The transform; the same object for equal arguments, so that compiled steps are shared."""
  parts = [optax.clip_by_global_norm(config.clip_norm)] if config.clip_norm else []
  parts.append(optax.scale_by_adam(b1=config.b1, b2=config.b2, eps=config.eps))
  for value in sorted({decay for decay in (config.weight_decay, *_decays(config)) if decay > 0}):
    parts.append(optax.add_decayed_weights(value, functools.partial(decay_mask, config, value=value)))
  for i, group in enumerate(config.groups):
    parts.append(optax.masked(optax.scale(group.rate), functools.partial(_group_mask, config, i)))
  if config.layer_decay < 1:
    parts.append(optax.stateless(functools.partial(_layer_scaled, config.layer_decay)))
  parts.append(optax.scale_by_learning_rate(learning_rate(config, total_steps)))
  tx = optax.chain(*parts)
  if config.frozen:
    tx = optax.partition({'trained': tx, 'frozen': optax.set_to_zero()}, functools.partial(_labels, config))
  return _averaged(tx, config.average_decay) if config.average_decay else tx


def _averaged(tx: optax.GradientTransformation, decay: float) -> optax.GradientTransformation:
  """`tx` that also averages the parameters it makes."""

  def init(params: PyTree) -> Averaged:
    return Averaged(tx.init(params), params, jnp.zeros((), jnp.int32))

  def update(updates: PyTree, state: Averaged, params: PyTree):
    updates, inner = tx.update(updates, state.inner, params)
    new = optax.apply_updates(params, updates)
    share = jnp.maximum(1 - decay, 1 / (state.count + 1.0))
    average = optax.incremental_update(new, state.params, share)
    return updates, Averaged(inner, average, state.count + 1)

  return optax.GradientTransformation(init, update)


def decay_mask(config: OptimConfig, params: PyTree, value: float | None = None) -> PyTree:
  """Tree of bools: which leaves are decayed, at the rate `value` if given."""
  decays = _decays(config)

  def decayed(path, leaf) -> bool:
    name = _name(path).lower()
    if leaf.ndim < 2 or any(part in name for part in config.no_decay):
      return False
    group = _group(config, _name(path))
    return value is None or value == (config.weight_decay if group is None else decays[group])

  return jax.tree_util.tree_map_with_path(decayed, params)


def _decays(config: OptimConfig) -> tuple[float, ...]:
  return tuple(config.weight_decay if g.weight_decay < 0 else g.weight_decay for g in config.groups)


def _group(config: OptimConfig, name: str) -> int | None:
  """Number of the first group that a parameter belongs to."""
  for i, group in enumerate(config.groups):
    if f'{name}/'.startswith(f'{group.path}/'):
      return i
  return None


def _group_mask(config: OptimConfig, i: int, params: PyTree) -> PyTree:
  mask = jax.tree_util.tree_map_with_path(lambda path, _: _group(config, _name(path)) == i, params)
  if not any(jax.tree.leaves(mask)):
    raise ValueError(f'OptimConfig.groups: no parameter begins with {config.groups[i].path!r} '
                     f'(or all are in an earlier group), expected among {sorted(params)}')
  return mask


def _layer_scaled(decay: float, updates: PyTree, params: PyTree | None = None) -> PyTree:
  """Updates times `decay` to the power of the layers of the encoder above them."""
  del params
  names = [_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(updates)]
  blocks = {name.split('/')[2] for name in names if name.startswith('encoder/blocks/block_')}
  if not blocks:
    raise ValueError(f"OptimConfig.layer_decay: got {decay}, but nothing begins with 'encoder/blocks/block_'")

  def scaled(path, update):
    top, *rest = _name(path).split('/')
    if top != 'encoder' or rest[0] in _AFTER_BLOCKS or rest[:2] == ['blocks', 'norm']:
      return update
    below = int(rest[1].removeprefix('block_')) if rest[0] == 'blocks' else -1
    return update * decay**(len(blocks) - below)

  return jax.tree_util.tree_map_with_path(scaled, updates)


def _name(path) -> str:
  return jax.tree_util.keystr(path, simple=True, separator='/')


def _labels(config: OptimConfig, params: PyTree) -> PyTree:
  missing = sorted(set(config.frozen) - set(params))
  if missing:
    raise ValueError(f'OptimConfig.frozen: got {missing}, expected among {sorted(params)}')
  return {
      name: jax.tree.map(lambda _: 'frozen' if name in config.frozen else 'trained', params[name])
      for name in params
  }
