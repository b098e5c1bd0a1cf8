"""What FatigueFormer's fusion attends to, and whether it matters: deletion of the most attended.

Attention is that of the two encoders' summary tokens on each other's tokens in the fusion, mean over
heads, over what is valid. Attention alone explains nothing (Jain & Wallace, NAACL 2019): the
deletion test asks whether the features that are attended most are needed most.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aemg_jax.evaluation import fatigue_saliency as saliency
from aemg_jax.evaluation.fatigue_methods import NetworkMethod, Predictions
from aemg_jax.models import FatigueFormerConfig, build
from aemg_jax.models.fatigue_former import FeatureBatch
from aemg_jax.signal.fatigue_features import FEATURE_NAMES, GROUPS
from aemg_jax.training import parallel

DELETED = (1, 2, 4, 8, 12)
DRAWS = 10


class Attention(NamedTuple):
  """Of the fusion: [b, f] on static features, [b, w] on windows; each sums to 1."""
  feature_bf: np.ndarray
  window_bw: np.ndarray


@dataclasses.dataclass(frozen=True)
class _Attend:
  """(params, FeatureBatch) -> Attention, for parallel.map_blocks."""
  model: FatigueFormerConfig

  def __call__(self, params: Any, features: FeatureBatch) -> Attention:
    asked = lambda module, _: module.name in ('query_norm', 'key_norm')
    _, state = build(self.model).apply(
        {'params': params}, features, capture_intermediates=asked, mutable=['intermediates'])
    found = state['intermediates']
    n_features = features.static_bf.shape[1]
    return Attention(
        _summary_row(found['time_on_static'], features.static_bf)[:, :n_features],
        _summary_row(found['static_on_time'], features.valid_bwc.any(axis=2)))


def _summary_row(captured: dict[str, Any], valid_bm: jax.Array) -> jax.Array:
  """[b, m] attention of the first query on all keys but the first, which is a summary token too."""
  q_bhd = captured['query_norm']['__call__'][0][:, 0]
  k_bmhd = captured['key_norm']['__call__'][0][:, 1:1 + valid_bm.shape[1]]
  score_bhm = jnp.einsum('bhd,bmhd->bhm', q_bhd, k_bmhd) * q_bhd.shape[-1] ** -0.5
  score_bhm = jnp.where(valid_bm[:, None], score_bhm, jnp.finfo(score_bhm.dtype).min)
  return jax.nn.softmax(score_bhm, axis=-1).mean(axis=1) * valid_bm


def attend(method: NetworkMethod, params: Any, features: FeatureBatch) -> Attention:
  """Attention of a model with both encoders."""
  return parallel.map_blocks(_Attend(method.task.model), params, features, saliency.BLOCK_ROWS)


def by_group(feature_bf: np.ndarray) -> dict[str, float]:
  """Share of the attention on each group of features, mean over rows."""
  return {group: float(feature_bf[:, [FEATURE_NAMES.index(n) for n in names]].sum(axis=1).mean())
          for group, names in GROUPS.items()}


def without(batch: dict[str, Any], gone_bf: np.ndarray) -> dict[str, Any]:
  """The batch with some features of each row hidden from both encoders."""
  features = batch['features']
  return {**batch, 'features': features._replace(
      temporal_bf=np.asarray(features.temporal_bf) & ~gone_bf,
      static_bf=np.asarray(features.static_bf) & ~gone_bf)}


def deletion(method: NetworkMethod, params: Any, batch: dict[str, Any], rows: np.ndarray,
             feature_bf: np.ndarray, seed: int) -> dict[str, Any]:
  """Borg MAE after hiding k static features of each sequence: the most attended, or any.

  Returns:
    {'whole': MAE, 'k': ..., 'top': [...], 'random': [...]}: random is a mean over DRAWS.
  """
  rng = np.random.default_rng(seed)
  static_bf = np.asarray(batch['features'].static_bf)
  error = lambda made: _mae(method.score(params, made, rows), batch)
  counts = [k for k in DELETED if k < static_bf.sum(axis=1).min()]
  top, random = [], []
  for k in counts:
    top.append(error(without(batch, _first(np.where(static_bf, feature_bf, -1.0), k))))
    drawn = [np.where(static_bf, rng.random(static_bf.shape), -1.0) for _ in range(DRAWS)]
    random.append(float(np.mean([error(without(batch, _first(d, k))) for d in drawn])))
  return {'whole': error(batch), 'k': counts, 'top': top, 'random': random}


def _first(rank_bf: np.ndarray, k: int) -> np.ndarray:
  """[b, f] bool: the k largest of each row."""
  gone_bf = np.zeros(rank_bf.shape, bool)
  np.put_along_axis(gone_bf, np.argsort(-rank_bf, axis=1, kind='stable')[:, :k], True, axis=1)
  return gone_bf


def _mae(made: Predictions, batch: dict[str, Any]) -> float:
  return float(np.abs(made.value_b - batch['borg']).mean())
