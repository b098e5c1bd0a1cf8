"""The four splits of windows of motion, from the leaky one of the paper to people never seen.

S0 draws windows at random, as Long & Yang do: neighbours share most of their frames, so that near-copies
of test windows train. S1 tests a contiguous part of every recording, with a gap on both sides. S2 leaves a
person out, S3 a task.
"""

import numpy as np

from aemg_jax.data import splits
from aemg_jax.data.splits import Fold, Row, Segments

NAMES = ('S0', 'S1', 'S2', 'S3')
TITLES = {
    'S0': 'S0, random windows 8:1:1 (leaky, for comparison with the paper only)',
    'S1': 'S1, contiguous blocks with a gap',
    'S2': 'S2, leave one person out',
    'S3': 'S3, leave one task out',
}


def folds_of(name: str, segments: Segments, gap_s: float, blocks: int, seed: int) -> tuple[Fold, ...]:
  """Folds of one of NAMES.

  Args:
    name: the split.
    segments: the table of windows; `session` is the task.
    gap_s: of S1, seconds between a window that trains and one that is tested in the same recording.
    blocks: parts of a recording in S1, each tested once.
    seed: of S0's draw.

  Raises:
    ValueError: an unknown name, or data that this split cannot divide.
  """
  if name == 'S0':
    return (_random(segments, seed),)
  if name == 'S1':
    return tuple(_block(segments, k, blocks, gap_s) for k in range(blocks))
  if name == 'S2':
    return _left_out(segments, 'subject', name)
  if name == 'S3':
    return _left_out(segments, 'session', name)
  raise ValueError(f'split: got {name!r}, expected one of {NAMES}')


def _random(segments: Segments, seed: int) -> Fold:
  """8:1:1; the second part would choose a model, and as none is chosen here it is not used."""
  row_b = np.random.default_rng(seed).permutation(len(segments['label']))
  n_part = max(1, len(row_b) // 10)
  return Fold('random', _rows(segments, row_b[2 * n_part:]), (), _rows(segments, row_b[:n_part]))


def _block(segments: Segments, k: int, blocks: int, gap_s: float) -> Fold:
  """Of each recording one of equal stretches of time is tested: the k-th of the first recording, the next of
  the next, as fatigue grows with time and training needs both ends.

  A test window lies whole within the block; a training window ends `gap_s` before it or begins as much after.
  """
  low_b, high_b = np.empty(len(segments['label'])), np.empty(len(segments['label']))
  record_b = splits.column_keys(segments, 'record_id')
  for number, record in enumerate(np.unique(record_b)):
    here_b = record_b == record
    first_s, last_s = segments['start_s'][here_b].min(), segments['stop_s'][here_b].max()
    part_s = (last_s - first_s) / blocks
    low_b[here_b] = first_s + (k + number) % blocks * part_s
    high_b[here_b] = low_b[here_b] + part_s
  near = 1e-9
  test_b = (segments['start_s'] >= low_b - near) & (segments['stop_s'] <= high_b + near)
  train_b = (segments['stop_s'] <= low_b - gap_s + near) | (segments['start_s'] >= high_b + gap_s - near)
  train, test = (_rows(segments, np.flatnonzero(chosen_b)) for chosen_b in (train_b, test_b))
  fold = Fold(f'block{k}', train, (), test)
  if not fold.train or not fold.test:
    raise ValueError(f'split S1: block {k} of {blocks}: {len(fold.train)} windows train and {len(fold.test)} '
                     'test, expected some; take fewer blocks, or a shorter gap')
  return fold


def _left_out(segments: Segments, column: str, name: str) -> tuple[Fold, ...]:
  value_b = splits.column_keys(segments, column)
  values = sorted(set(value_b.tolist()))
  if len(values) < 2:
    raise ValueError(f'split {name}: {column}: got {values} alone, expected two or more')
  return tuple(Fold(str(value), _rows(segments, np.flatnonzero(value_b != value)), (),
                    _rows(segments, np.flatnonzero(value_b == value))) for value in values)


def _rows(segments: Segments, row_b: np.ndarray) -> tuple[Row, ...]:
  record_b = splits.column_keys(segments, 'record_id')
  return tuple(Row(int(i), str(record_b[i]), float(segments['start_s'][i]), float(segments['stop_s'][i]))
               for i in sorted(row_b.tolist()))
