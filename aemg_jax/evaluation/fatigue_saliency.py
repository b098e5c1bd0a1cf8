"""Which features are static and which temporal, asked of a probe on training sequences alone.

For feature f: s_f = mean |x_f dL/dx_f|; tau_f = rise of the loss when f's order in time is shuffled
within each sequence; sigma_f = rise when f's mean over the sequence is swapped with another training
sequence's. Letters as in `models.fatigue_former`.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from aemg_jax.models import build
from aemg_jax.signal.fatigue_features import FEATURE_NAMES
from aemg_jax.training import parallel
from aemg_jax.training.tasks.fatigue import FatigueTask

BLOCK_ROWS = 512


@dataclasses.dataclass(frozen=True)
class SplitConfig:
  """Attributes:
    drop_share: of the features, those of lowest saliency, that no encoder sees.
    min_features: each group has at least so many; if tau > sigma gives fewer, those nearest to it
      are added. An encoder without input would be no encoder.
    draws: shuffles and swaps that tau and sigma are means over.
  """
  drop_share: float = 0.1
  min_features: int = 8
  draws: int = 2


class FeatureSplit(NamedTuple):
  """[f] each: groups and what they were chosen by. `n_by_rule`: features with tau > sigma."""
  temporal_f: np.ndarray
  static_f: np.ndarray
  saliency_f: np.ndarray
  tau_f: np.ndarray
  sigma_f: np.ndarray
  n_by_rule: int


def all_features() -> FeatureSplit:
  """Both encoders see everything; for models that do not split."""
  ones_f, zeros_f = np.ones(len(FEATURE_NAMES), bool), np.zeros(len(FEATURE_NAMES))
  return FeatureSplit(ones_f, ones_f, zeros_f, zeros_f, zeros_f, 0)


def find_split(task: FatigueTask, params: Any, batch: dict[str, Any], seed: int,
               config: SplitConfig) -> FeatureSplit:
  """Splits by a trained probe.

  Args:
    task, params: the probe, which sees all features.
    batch: training rows of a fold, as the task takes them.
    seed: of the shuffles and swaps.
    config: see SplitConfig.
  """
  rng = np.random.default_rng(seed)
  loss = lambda changed_bwcf: float(np.mean(parallel.map_blocks(
      _RowLoss(task), params, _with(batch, changed_bwcf), BLOCK_ROWS)))
  feature_bwcf, valid_bwc = (np.asarray(x) for x in batch['features'][:2])
  saliency_f = parallel.map_blocks(_Saliency(task), params, batch, BLOCK_ROWS).mean(axis=0)
  base = loss(feature_bwcf)
  tau_f, sigma_f = np.zeros(len(saliency_f)), np.zeros(len(saliency_f))
  for _ in range(config.draws):
    shuffled_bwcf = _shuffled(feature_bwcf, valid_bwc, rng)
    swapped_bwcf = _swapped(feature_bwcf, valid_bwc, rng)
    for f in range(len(saliency_f)):
      for changed_bwcf, rise_f in ((shuffled_bwcf, tau_f), (swapped_bwcf, sigma_f)):
        one_bwcf = feature_bwcf.copy()
        one_bwcf[..., f] = changed_bwcf[..., f]
        rise_f[f] += (loss(one_bwcf) - base) / config.draws
  return decide(saliency_f, tau_f, sigma_f, config)


def decide(saliency_f: np.ndarray, tau_f: np.ndarray, sigma_f: np.ndarray,
           config: SplitConfig) -> FeatureSplit:
  """Groups by the rule: the least salient dropped, temporal where tau > sigma, else static."""
  n_dropped = int(config.drop_share * len(saliency_f))
  kept = np.argsort(saliency_f, kind='stable')[n_dropped:]
  if len(kept) < 2 * config.min_features:
    raise ValueError(f'SplitConfig.min_features: got {config.min_features}, expected at most half of '
                     f'the {len(kept)} features that are kept')
  margin = (tau_f - sigma_f)[kept]
  n_by_rule = int((margin > 0).sum())
  n_temporal = np.clip(n_by_rule, config.min_features, len(kept) - config.min_features)
  order = kept[np.argsort(-margin, kind='stable')]
  temporal_f, static_f = np.zeros(len(saliency_f), bool), np.zeros(len(saliency_f), bool)
  temporal_f[order[:n_temporal]], static_f[order[n_temporal:]] = True, True
  return FeatureSplit(temporal_f, static_f, saliency_f, tau_f, sigma_f, n_by_rule)


def stability(splits: Sequence[FeatureSplit]) -> dict[str, float]:
  """Mean Jaccard index over pairs of folds of the temporal, static and dropped features."""
  groups = {
      'temporal': [s.temporal_f for s in splits], 'static': [s.static_f for s in splits],
      'dropped': [~(s.temporal_f | s.static_f) for s in splits],
  }
  return {name: float(np.mean([_jaccard(a, b) for a, b in itertools.combinations(sets, 2)] or [1.0]))
          for name, sets in groups.items()}


def as_json(split: FeatureSplit) -> dict[str, Any]:
  """By feature name; `from_json` is the inverse."""
  group = ['temporal' if t else 'static' if s else 'dropped'
           for t, s in zip(split.temporal_f, split.static_f)]
  columns = zip(group, split.saliency_f, split.tau_f, split.sigma_f)
  features = {name: dict(zip(('group', 'saliency', 'tau', 'sigma'), (g, *map(float, numbers))))
              for name, (g, *numbers) in zip(FEATURE_NAMES, columns)}
  return {'features': features, 'n_by_rule': int(split.n_by_rule)}


def from_json(stored: dict[str, Any]) -> FeatureSplit:
  """What `as_json` gave."""
  rows = [stored['features'][name] for name in FEATURE_NAMES]
  column = lambda key: np.array([row[key] for row in rows])
  group = column('group')
  return FeatureSplit(group == 'temporal', group == 'static', column('saliency'), column('tau'),
                      column('sigma'), stored['n_by_rule'])


def _jaccard(a_f: np.ndarray, b_f: np.ndarray) -> float:
  either = (a_f | b_f).sum()
  return float((a_f & b_f).sum() / either) if either else 1.0


def _with(batch: dict[str, Any], feature_bwcf: np.ndarray) -> dict[str, Any]:
  return {**batch, 'features': batch['features']._replace(feature_bwcf=feature_bwcf)}


def _shuffled(feature_bwcf: np.ndarray, valid_bwc: np.ndarray, rng) -> np.ndarray:
  """Windows of each sequence in another order, all channels alike; only channels valid throughout."""
  order_bw = np.argsort(rng.random(feature_bwcf.shape[:2]), axis=1)
  shuffled_bwcf = np.take_along_axis(feature_bwcf, order_bw[..., None, None], axis=1)
  return np.where(valid_bwc.all(axis=1)[:, None, :, None], shuffled_bwcf, feature_bwcf)


def _swapped(feature_bwcf: np.ndarray, valid_bwc: np.ndarray, rng) -> np.ndarray:
  """Each sequence with the mean of another one, drawn anew; nothing where either lacks a channel."""
  count_b1c1 = valid_bwc.sum(axis=1)[:, None, :, None]
  mean_b1cf = feature_bwcf.sum(axis=1, keepdims=True) / np.maximum(count_b1c1, 1)
  shift = rng.permutation(len(feature_bwcf))
  other = np.empty_like(shift)
  other[shift] = np.roll(shift, 1)  # a cycle: no sequence gets its own mean
  known_b1c1 = (count_b1c1 > 0) & (count_b1c1[other] > 0)
  swapped_bwcf = feature_bwcf + np.where(known_b1c1, mean_b1cf[other] - mean_b1cf, 0.0)
  return np.where(valid_bwc[..., None], swapped_bwcf, 0.0).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class _RowLoss:
  """(params, batch) -> [b] loss of the fused heads."""
  task: FatigueTask

  def __call__(self, params, batch):
    head = build(self.task.model).apply({'params': params}, batch['features'])['fused']
    return self.task.per_row(head, batch, batch['weight'])


@dataclasses.dataclass(frozen=True)
class _Saliency:
  """(params, batch) -> [b, f] mean |x dL/dx| over windows and channels."""
  task: FatigueTask

  def __call__(self, params, batch):
    x_bwcf = batch['features'].feature_bwcf
    total = lambda x: _RowLoss(self.task)(params, _with(batch, x)).sum()
    return abs(x_bwcf * jax.grad(total)(x_bwcf)).mean(axis=(1, 2))
