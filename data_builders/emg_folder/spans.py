"""Labels and annotations of one recording: from its path, a signal of it, or a table of spans."""

from collections.abc import Mapping
import csv
import dataclasses
import functools
import math
import os

from aemg_jax.records import Annotation, Label
import numpy as np

from data_builders.emg_folder.manifest import Manifest

MAX_TABLE_BYTES = 16 << 20
NEEDED = ('file', 'start', 'stop', 'label')
# Numbers that a table may also hold for a span; repetition counts like {repetition} in a path.
REPETITION = 'repetition'
ANNOTATIONS = (REPETITION, 'borg', 'percent_mvc')


class UnknownLabel(ValueError):
  """A label that the manifest does not name."""


@dataclasses.dataclass(frozen=True)
class Row:
  """One row of the table; `line` counts from 1, start and stop are in its unit."""
  line: int
  start: float
  stop: float
  label: str
  values: Mapping[str, float]


def native(manifest: Manifest, found: str) -> str | None:
  """The native name of a label as found; None for one to ignore. Raises UnknownLabel."""
  if found in manifest.labels.ignore:
    return None
  if found not in manifest.labels.names:
    raise UnknownLabel(f'label {found!r}, expected one of {sorted(manifest.labels.names)} (or of'
                       f' labels.ignore: {sorted(manifest.labels.ignore)})')
  return manifest.labels.names[found]


def from_runs(manifest: Manifest, values: np.ndarray) -> list[Label]:
  """A span for each run of equal values."""
  edges = np.flatnonzero(values[1:] != values[:-1]) + 1
  spans = zip([0, *edges.tolist()], [*edges.tolist(), len(values)], strict=True)
  named = ((start, stop, native(manifest, str(values[start]))) for start, stop in spans)
  return [Label(start, stop, name) for start, stop, name in named if name is not None]


def repetitions(manifest: Manifest, values: np.ndarray) -> list[Annotation]:
  """An annotation, counted from 0, for each run of equal values; none below the first."""
  whole = np.rint(values)
  if not (np.isfinite(values).all() and (whole == values).all()):
    raise ValueError('a repetition that is no whole number, expected whole numbers')
  edges = np.flatnonzero(whole[1:] != whole[:-1]) + 1
  spans = zip([0, *edges.tolist()], [*edges.tolist(), len(whole)], strict=True)
  return [Annotation(start, stop, REPETITION, float(whole[start]) - manifest.first_repetition)
          for start, stop in spans if whole[start] >= manifest.first_repetition]


def from_table(manifest: Manifest, rows: list[Row], n_samples: int,
               ) -> tuple[list[Label], list[Annotation]]:
  """Spans of the table's rows for one recording.

  Raises:
    UnknownLabel: see `native`.
    ValueError: a row outside the recording.
  """
  labels, annotations = [], []
  factor = manifest.rate_hz if manifest.labels.unit == 's' else 1.0
  for row in rows:
    start, stop = round(row.start * factor), round(row.stop * factor)
    if not 0 <= start < stop <= n_samples:
      raise ValueError(f'line {row.line} of {manifest.labels.table}: samples {start} to {stop},'
                       f' expected them in order within the {n_samples} of the file')
    name = native(manifest, row.label)
    if name is not None:
      labels.append(Label(start, stop, name))
    annotations += [Annotation(start, stop, key, value) for key, value in row.values.items()]
  return sorted(labels, key=lambda label: label.start), annotations


def read_table(manifest: Manifest) -> Mapping[str, list[Row]]:
  """File -> its rows; {} where there is no table. Raises ValueError naming file and line."""
  if not manifest.labels.table:
    return {}
  path = os.path.join(manifest.folder, manifest.labels.table)
  if not os.path.isfile(path):
    raise ValueError(f'{manifest.path}: labels.table.file: got {manifest.labels.table!r}, expected'
                     ' a file below the manifest')
  state = os.stat(path)
  return _read_table(path, state.st_mtime_ns, state.st_size, manifest.first_repetition)


@functools.lru_cache(maxsize=2)  # a worker parses many recordings with one table
def _read_table(path: str, changed: int, size: int, first: int) -> Mapping[str, list[Row]]:
  del changed
  if size > MAX_TABLE_BYTES:
    raise ValueError(f'{path}: {size} bytes, expected at most {MAX_TABLE_BYTES}')
  table: dict[str, list[Row]] = {}
  try:
    with open(path, encoding='utf-8-sig', newline='') as f:
      reader = csv.DictReader(f, strict=True)
      names = reader.fieldnames or []
      known = (*NEEDED, *ANNOTATIONS)
      if not set(NEEDED) <= set(names) <= set(known) or len(set(names)) < len(names):
        raise ValueError(f'columns {names}, expected {NEEDED} and perhaps {ANNOTATIONS}')
      for cells in reader:
        row = _row(reader.line_num, cells, first)
        table.setdefault(cells['file'], []).append(row)
  except (csv.Error, UnicodeError, ValueError) as error:
    raise ValueError(f'{path}: {str(error)[:300]}') from error
  return table


def _row(line: int, cells: Mapping[str | None, str], first: int) -> Row:
  if None in cells or None in cells.values():
    raise ValueError(f'line {line}: another number of cells than the header, expected the same')
  try:
    start, stop = float(cells['start']), float(cells['stop'])
    values = {key: float(cells[key]) for key in ANNOTATIONS if cells.get(key, '').strip()}
  except ValueError as error:
    raise ValueError(f'line {line}: {error}, expected a number') from error
  if REPETITION in values:
    values[REPETITION] -= first
  if not all(map(math.isfinite, (start, stop, *values.values()))):
    raise ValueError(f'line {line}: a number that is not finite, expected finite ones')
  return Row(line, start, stop, cells['label'].strip(), values)
