"""Places of electrodes from electrodes.tsv: on a ring round the limb, or in a grid, or unknown."""

from collections.abc import Mapping, Sequence
import math

import numpy as np

from data_builders.emg_bids import layout

EVEN_DEG, ROUND = 1.0, 0.01  # how far from an even ring, and from a circle, still is one
EMPTY = {'ring': 0, 'angle_deg': math.nan, 'row': -1, 'column': -1}


def places(root: str, name: str, channels: Sequence[Mapping[str, str]],
           ) -> list[dict[str, int | float]]:
  """Ring and angle, or row and column, of each channel, as far as its electrode has x and y.

  Electrodes of one group lie on a ring if they are evenly spaced on a circle in x and y, and in a
  grid if they fill rows and columns. Rings count from 1 in order of their first electrode; their
  order along the limb is in no column. A channel's electrode is its `signal_electrode`, or the one
  of its own name, in its own group where channels have groups.

  Raises:
    FormatError: a broken table.
  """
  path = layout.sidecar(root, name, 'electrodes', '.tsv')
  rows = [] if path is None else layout.read_tsv(path, ('name', 'x', 'y'))
  groups: dict[str, dict[str, tuple[float, float]]] = {}
  for row in rows:
    try:
      point = float(row['x']), float(row['y'])
    except ValueError:
      continue  # n/a
    if all(map(math.isfinite, point)):
      groups.setdefault(row.get('group', ''), {})[row['name']] = point
  found, n_rings = {}, 0
  for group, electrodes in groups.items():
    points = np.array(list(electrodes.values()))
    angles, cells = _ring(points), _grid(points)
    n_rings += angles is not None
    for i, electrode in enumerate(electrodes):
      if angles is not None:
        place = EMPTY | {'ring': n_rings, 'angle_deg': angles[i]}
      elif cells is not None:
        place = EMPTY | {'row': cells[i][0], 'column': cells[i][1]}
      else:
        place = EMPTY
      found[group, electrode] = found['', electrode] = place
  return [found.get((row.get('group', ''), _electrode(row)), EMPTY) for row in channels]


def _electrode(channel: Mapping[str, str]) -> str:
  electrode = channel.get('signal_electrode', 'n/a')
  return channel['name'] if electrode in layout.MISSING else electrode


def _ring(points: np.ndarray) -> list[float] | None:
  """Angles in [0, 360) of at least 4 points evenly spaced on a circle."""
  if len(points) < 4:
    return None
  offsets = points - points.mean(axis=0)
  radii = np.hypot(*offsets.T)
  angles = np.degrees(np.arctan2(offsets[:, 1], offsets[:, 0])) % 360
  steps = np.diff(np.sort(angles), append=angles.min() + 360)
  if np.ptp(radii) > ROUND * radii.max() or np.abs(steps - 360 / len(points)).max() > EVEN_DEG:
    return None
  return [round(angle, 6) % 360 for angle in angles.tolist()]


def _grid(points: np.ndarray) -> list[tuple[int, int]] | None:
  """Row and column of points that fill at least half of a lattice of 2 x 2 or more."""
  columns, column = np.unique(points[:, 0].round(6), return_inverse=True)
  rows, row = np.unique(points[:, 1].round(6), return_inverse=True)
  cells = list(zip(row.tolist(), column.tolist(), strict=True))
  if min(len(rows), len(columns)) < 2 or 2 * len(cells) < len(rows) * len(columns):
    return None
  return cells if len(set(cells)) == len(cells) else None
