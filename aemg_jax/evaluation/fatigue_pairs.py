"""Pairs of people at the same moment: can a score tell who is more tired, where time cannot?

In leave-one-subject-out the two scores of a pair come from two models, and the one that was trained
without the more tired person is the lower for it: a predictor that knows the repetition alone then
orders all pairs wrongly. So pairs have folds of their own in which both people are held out together.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aemg_jax.data import splits
from aemg_jax.evaluation import metrics
from aemg_jax.evaluation.fatigue_methods import Predictions
from aemg_jax.sequences.sequences import Sequences

MATCHES = ('repetition', 'time')
WITHIN_S = 2.0  # elapsed times that count as the same: less than two repetitions


def pair_groups(subjects: Sequence[str]) -> tuple[tuple[str, ...], ...]:
  """Groups that hold every pair of subjects exactly once: the lines of an affine plane.

  n subjects lie on a p x p grid, p the least prime with p^2 >= n; a group is a line modulo p. Nine
  subjects give 12 groups of 3 instead of 36 pairs. Groups of one are left out.
  """
  p = max(2, math.isqrt(len(subjects) - 1) + 1)
  while any(p % d == 0 for d in range(2, math.isqrt(p) + 1)):
    p += 1
  place = {subject: divmod(i, p) for i, subject in enumerate(subjects)}
  lines = [[s for s, (row, _) in place.items() if row == k] for k in range(p)]
  lines += [[s for s, (row, column) in place.items() if (column - slope * row) % p == k]
            for slope in range(p) for k in range(p)]
  return tuple(tuple(line) for line in lines if len(line) > 1)


def pair_folds(segments: splits.Segments) -> tuple[splits.Fold, ...]:
  """A fold per group: its subjects are tested, all others train."""
  subjects = splits.select_subjects(segments, (), 'subjects')
  folds = []
  for group in pair_groups(subjects):
    (fold,) = splits.cross(segments, [s for s in subjects if s not in group], group)
    folds.append(dataclasses.replace(fold, name='pair-' + '-'.join(group)))
  return tuple(folds)


def effort_folds(sequences: Sequences) -> tuple[splits.Fold, ...]:
  """Leave one effort out, and the people too: one half of them at one effort is tested, and the other
  half at all other efforts trains."""
  segments, effort_b = sequences.segments, sequences.percent_mvc_b
  subjects = splits.select_subjects(segments, (), 'subjects')
  if np.isnan(effort_b).any() or len(np.unique(effort_b)) < 2 or len(subjects) < 2:
    raise ValueError(f'effort folds: got efforts {np.unique(effort_b).tolist()} of {len(subjects)} '
                     'subjects, expected two known ones or more of each')
  halves, folds = (subjects[::2], subjects[1::2]), []
  for effort in np.unique(effort_b):
    for half, (tested, others) in enumerate((halves, halves[::-1])):
      train = [r for r in splits.whole_rows(segments, others) if effort_b[r.segment] != effort]
      test = [r for r in splits.whole_rows(segments, tested) if effort_b[r.segment] == effort]
      folds.append(splits.check_fold(segments, splits.Fold(
          f'effort-{effort:g}-half{half}', tuple(train), (), tuple(test))))
  return tuple(folds)


def score(by_fold: Sequence[Predictions], sequences: Sequences) -> dict[str, Any]:
  """Share of pairs whose predicted Borg differs the way their Borg does; equal predictions count a half.

  A pair is two sequences of two subjects with different Borg, tested by one model, that end at the
  same 'repetition', or within WITHIN_S of each other on the clock ('time').

  Returns:
    {match: {per_subject, mean, ci95, n_pairs}}: a subject's share is over the pairs it is in.
  """
  found = {}
  for match in MATCHES:
    right, count = {}, {}
    for predictions in by_fold:
      _add(predictions, sequences, match, right, count)
    share = {s: right[s] / count[s] for s in sorted(count) if count[s]}
    values = list(share.values())
    found[match] = {
        'per_subject': share, 'n_pairs': int(sum(count.values()) / 2),
        'mean': float(np.mean(values)) if values else None,
        'ci95': list(metrics.bootstrap_interval(values)) if values else None}
  return found


def _add(predictions: Predictions, sequences: Sequences, match: str, right: dict[str, float],
         count: dict[str, int]) -> None:
  """Adds a fold's pairs to what each subject has."""
  rows = predictions.segment_rows
  subject_b, borg_b = sequences.segments['subject'][rows], sequences.borg_b[rows]
  when_b, apart = sequences.segments['repetition'][rows], 0
  if match == 'time':
    when_b, apart = sequences.elapsed_s_b[rows], WITHIN_S
  order_bb = np.sign(borg_b[:, None] - borg_b[None])
  pair_bb = ((subject_b[:, None] != subject_b[None]) & (order_bb != 0)
             & (np.abs(when_b[:, None] - when_b[None]) <= apart))
  agree_bb = (1 + order_bb * np.sign(predictions.value_b[:, None] - predictions.value_b[None])) / 2
  for subject in set(subject_b.tolist()):
    own_bb = pair_bb & (subject_b == subject)[:, None]
    right[subject] = right.get(subject, 0.0) + float(agree_bb[own_bb].sum())
    count[subject] = count.get(subject, 0) + int(own_bb.sum())


def cells(pairs: Mapping[str, Any]) -> list[str]:
  """The table's cells: share in % [95 % interval] for each match."""
  shown = []
  for match in MATCHES:
    if pairs[match]['mean'] is None:
      shown.append('-')
      continue
    low, high = pairs[match]['ci95']
    shown.append(f'{100 * pairs[match]["mean"]:.1f} [{100 * low:.1f}, {100 * high:.1f}]')
  return shown
