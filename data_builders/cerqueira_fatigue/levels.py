"""The level of fatigue that a subject reported during a trial: time in s and 0, 1 or 2."""

from collections.abc import Iterator
import itertools
import os
from typing import TextIO

from aemg_jax.records import Annotation
import numpy as np

FATIGUE_LEVEL = 'fatigue_level'
LEVELS = (0, 1, 2)
MAX_BYTES = 16 << 20  # 50 rows a second for 25 minutes are documented
MAX_START_S = 1.0  # documented: up to 0.021 s


class NotAligned(ValueError):
  """Time stamps that do not say when a level was reported."""


def read_levels(path: str, time_s: np.ndarray) -> tuple[Annotation, ...]:
  """Spans of equal level in samples of the recording.

  Args:
    path: of the file.
    time_s: of the recording's samples, on the clock of the file.

  Raises:
    NotAligned: time that does not rise, or begins late.
    ValueError: another format.
  """
  if os.path.getsize(path) > MAX_BYTES:
    raise ValueError(f'more than {MAX_BYTES} bytes, expected rows of time and level')
  with open(path, encoding='utf-8-sig', newline='\n') as f:
    f.readline(4096)
    rows = read_numbers(f, 2)
  if not len(rows) or not np.isin(rows[:, 1], LEVELS).all():
    raise ValueError(f'levels {np.unique(rows[:, 1])[:9]}, expected {LEVELS}')
  at_s = rows[:, 0]
  if not (np.diff(at_s) > 0).all() or not 0 <= at_s[0] <= MAX_START_S:
    raise NotAligned(f'the time of the levels begins at {at_s[0]:g} s, expected that it rises'
                     f' throughout, from at most {MAX_START_S:g} s')
  first = [0, *(np.flatnonzero(np.diff(rows[:, 1])) + 1)]
  edges = np.searchsorted(time_s, at_s[first]).tolist()
  edges.append(int(np.searchsorted(time_s, at_s[-1], side='right')))
  return tuple(Annotation(start, stop, FATIGUE_LEVEL, float(level)) for start, stop, level in
               zip(edges, edges[1:], rows[first, 1]) if start < stop)


def read_numbers(f: TextIO, n_columns: int) -> np.ndarray:
  """Numbers [lines, n_columns], NaN where a cell is empty. Raises ValueError on anything else."""
  n_lines = 0

  def lines() -> Iterator[str]:
    nonlocal n_lines
    for line in f:
      n_lines += 1
      line = line.rstrip('\r\n')
      if ',,' in line or line[:1] == ',' or line[-1:] == ',':
        line = ','.join(cell or 'nan' for cell in line.split(','))
      yield line

  source = lines()
  first = next(source, None)
  if first is None:
    return np.empty((0, n_columns))
  rows = np.loadtxt(itertools.chain([first], source), delimiter=',', comments=None, ndmin=2)
  if rows.shape != (n_lines, n_columns):  # loadtxt passes over empty lines
    raise ValueError(f'{n_lines} lines with {rows.shape[0]} rows of {rows.shape[1]}, expected'
                     f' {n_columns} numbers a line')
  return rows
