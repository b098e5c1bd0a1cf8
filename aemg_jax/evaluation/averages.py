"""Rows whose probabilities are the mean of other rows': two views of a window err differently.

Nothing is trained: members' stored predictions of the same protocol are read.
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aemg_jax.data import splits
from aemg_jax.evaluation import results
from aemg_jax.evaluation.baselines import pool_windows
from aemg_jax.evaluation.results import Predictions

LEAST_PROBABILITY = 1e-35

@dataclasses.dataclass(frozen=True)
class Average:
  """A named row.

  Attributes:
    name: of the row.
    members: names of rows of the same protocols; one without seeds of its own counts for every seed.
    protocols: titles; empty is every protocol.
  """
  name: str
  members: tuple[str, ...]
  protocols: tuple[str, ...] = ()

  def __post_init__(self):
    if len(set(self.members)) < 2:
      raise ValueError(f'Average.members: {self.name!r}: got {self.members!r}, expected at least two names')


@dataclasses.dataclass(frozen=True)
class AverageMethod:
  """An Average as a method of the harness: it predicts from {(member, seed): Predictions of all folds}.

  Attributes:
    members: names of rows.
    made_of: hash of what each member predicted, so that a member that is run again makes another row.
    transductive, assumes: of any member.
  """
  members: tuple[str, ...]
  made_of: tuple[str, ...]
  transductive: bool = False
  assumes: str = ''

  def predict(self, data: Mapping[tuple[str, int], Predictions], fold: splits.Fold, seed: int) -> Predictions:
    """The test rows' mean probabilities; repetitions pool these windows."""
    parts = [_cut(data[member, _seed(data, member, seed)], fold) for member in self.members]
    first = parts[0]
    for member, part in zip(self.members[1:], parts[1:]):
      if not (np.array_equal(part.window_segment, first.window_segment)
              and np.array_equal(part.window_start, first.window_start)):
        raise ValueError(f'Average.members: {member!r} has other windows than {self.members[0]!r}, expected rows '
                         'of one window length')
    mean_wk = np.mean([np.exp(part.window_log_prob.astype(np.float64)) for part in parts], axis=0)
    log_prob_wk = np.log(np.maximum(mean_wk, LEAST_PROBABILITY)).astype(np.float32)
    rows = np.unique(first.window_segment)
    return Predictions(first.window_segment, first.window_start, log_prob_wk, rows,
                       pool_windows(log_prob_wk, first.window_segment, rows, 'mean_log_prob'))


def of_rows(average: Average, rows: Sequence[Mapping[str, Any]], title: str,
            workdir: str) -> tuple[AverageMethod, dict[tuple[str, int], Predictions], tuple[int, ...]]:
  """The method of an Average under a protocol, what it predicts from, and its seeds.

  Args:
    average: see Average.
    rows: of results.json so far.
    title: of the protocol.
    workdir: holds the members' predictions.
  """
  found = {row['method']: row for row in rows if row['protocol'] == title and row['method'] in average.members}
  missing = [name for name in average.members if name not in found]
  if missing:
    raise ValueError(f'Average.members: {average.name!r}: no row of {missing} under {title!r}, expected it before')
  stored = {(name, seed): results.load_predictions(results.predictions_file(workdir, title, name, seed))
            for name, row in found.items() for seed in row['seeds']}
  seeds = max((tuple(row['seeds']) for row in found.values()), key=len)
  used = {part for row in found.values() for part in row['uses_target'].split(' + ')} - {'none', 'unlabelled'}
  made_of = tuple(_hash([stored[key] for key in sorted(stored) if key[0] == name]) for name in average.members)
  method = AverageMethod(average.members, made_of, any(row['transductive'] for row in found.values()),
                         ' + '.join(sorted(part for part in used if not part.startswith('labelled'))))
  return method, stored, seeds


def _seed(data: Mapping[tuple[str, int], Predictions], member: str, seed: int) -> int:
  """The member's seed that goes with a seed: its only one, where it has one."""
  seeds = [s for name, s in data if name == member]
  if seed not in seeds and len(seeds) > 1:
    raise ValueError(f'Average.members: {member!r} has the seeds {seeds}, expected {seed} among them or only one')
  return seed if seed in seeds else seeds[0]


def _cut(predictions: Predictions, fold: splits.Fold) -> Predictions:
  """The windows and segments of the fold's test rows, in the order of segment and start."""
  tested = [row.segment for row in fold.test]
  mine_w = np.flatnonzero(np.isin(predictions.window_segment, tested))
  mine_w = mine_w[np.lexsort((predictions.window_start[mine_w], predictions.window_segment[mine_w]))]
  mine_r = np.flatnonzero(np.isin(predictions.segment_rows, tested))
  return Predictions(*(x[mine_w] for x in predictions[:3]), *(x[mine_r] for x in predictions[3:]))


def _hash(predictions: Sequence[Predictions]) -> str:
  digest = hashlib.blake2b(digest_size=8)
  for each in predictions:
    for array in each:
      digest.update(np.ascontiguousarray(array).tobytes())
  return digest.hexdigest()
