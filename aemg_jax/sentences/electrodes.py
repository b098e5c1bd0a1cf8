"""Which electrodes of a montage make words, where it has more than the grid of a sentence takes.

Raw EMG is never averaged over electrodes: some are kept, by a rule that looks at their places alone.
"""

import math
from collections.abc import Sequence

import numpy as np

from aemg_jax.records import Sensor


def choose(sensors: Sequence[Sensor], most: int, how: str) -> np.ndarray:
  """Rows of the electrodes that are kept, ascending; all of them where they fit.

  Electrodes are taken ring by ring (grids: row by row, else all as one ring), those without a place
  beside others last. 'rings' fills the grid with whole rings and takes the rest evenly from the
  next one. 'even' gives every ring a share of its size, evenly spaced, and starts each ring a
  little further round than the one before, so that a grid's columns are all covered in turn.

  Args:
    sensors: of one recording.
    most: electrodes that fit.
    how: 'even' or 'rings'; 'refuse' raises ValueError where they do not fit.
  """
  if len(sensors) <= most:
    return np.arange(len(sensors))
  if how == 'refuse':
    raise ValueError(f'{len(sensors)} channels, expected at most {most}')
  groups = _rings(sensors)
  sizes = [len(group) for group in groups]
  shares = _filled(sizes, most) if how == 'rings' else _proportional(sizes, most)
  kept = []
  for number, (group, share) in enumerate(zip(groups, shares)):
    turn = number / len(groups) if how == 'even' else 0.0
    kept += [group[math.floor((i + turn) * len(group) / share)] for i in range(share)]
  return np.array(sorted(kept))


def _rings(sensors: Sequence[Sensor]) -> list[list[int]]:
  """Rows of the electrodes of each ring in order round it."""
  on_ring = lambda s: s.ring > 0 and math.isfinite(s.angle_deg)
  groups: dict[tuple[int, int], list[tuple[float, int]]] = {}
  for i, sensor in enumerate(sensors):
    if on_ring(sensor):
      key, place = (0, sensor.ring), sensor.angle_deg
    elif sensor.column >= 0:
      key, place = (1, sensor.row), float(sensor.column)
    else:
      key, place = (2, 0), float(i)
    groups.setdefault(key, []).append((place, i))
  return [[i for _, i in sorted(groups[key])] for key in sorted(groups)]


def _filled(sizes: Sequence[int], most: int) -> list[int]:
  shares = []
  for size in sizes:
    shares.append(min(size, most - sum(shares)))
  return shares


def _proportional(sizes: Sequence[int], most: int) -> list[int]:
  """Shares that add up to `most`, by the largest remainder, earlier rings first where they tie."""
  exact = [most * size / sum(sizes) for size in sizes]
  shares = [math.floor(x) for x in exact]
  order = sorted(range(len(sizes)), key=lambda i: (shares[i] - exact[i], i))
  for i in order[:most - sum(shares)]:
    shares[i] += 1
  return shares
