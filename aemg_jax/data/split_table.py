"""Explicit split tables: CSV with the columns fold, record_id, role[, start_s, stop_s].

One row puts a recording, or a crop of it in seconds from the recording's start, into a role of a
fold, so that other people's folds can be run. Errors name the file and the row.
"""

import csv
import math
import os
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from aemg_jax.data import splits

COLUMNS = ('fold', 'record_id', 'role', 'start_s', 'stop_s')


def read_split_table(path: str | os.PathLike, segments: splits.Segments) -> tuple[splits.Fold, ...]:
  """Folds in order of first appearance. A row covers the labelled segments that it overlaps.

  Raises:
    ValueError: unknown column, record, role or number; a row that covers no labelled segment; a
      fold that `splits.check_fold` refuses. Names the file and, where there is one, the line.
  """
  path = pathlib.Path(path)
  record_s = splits.column_keys(segments, 'record_id')
  segments_of: dict[str, list[int]] = {}
  for i, record_id in enumerate(record_s.tolist()):
    segments_of.setdefault(record_id, []).append(i)
  subject_s = splits.column_keys(segments, 'subject')
  lines: dict[tuple[str, str, bool], int] = {}
  roles: dict[str, dict[str, list[splits.Row]]] = {}
  for line, entry in _read_entries(path):
    where = f'{path}:{line}'
    if entry['role'] not in splits.ROLES:
      raise ValueError(f'{where}: role: got {entry["role"]!r}, expected one of {splits.ROLES}')
    if entry['record_id'] not in segments_of:
      raise ValueError(f'{where}: record_id: {entry["record_id"]!r} is not in the prepared set')
    start_s = _number(entry['start_s'], 0.0, f'{where}: start_s')
    stop_s = _number(entry['stop_s'], math.inf, f'{where}: stop_s')
    rows = _covered(segments, entry['record_id'], segments_of[entry['record_id']], start_s, stop_s)
    if not rows:
      raise ValueError(f'{where}: {start_s:g} to {stop_s:g} s of {entry["record_id"]!r} holds no '
                       'labelled segment')
    subject = str(subject_s[rows[0].segment])
    held_out = entry['role'] != 'train'
    lines.setdefault((entry['fold'], subject, held_out), line)
    if (entry['fold'], subject, not held_out) in lines:
      raise ValueError(
          f'{where}: subject {subject!r} is {entry["role"]} here and '
          f'{"in train" if held_out else "tested or calibrating"} in line '
          f'{lines[entry["fold"], subject, not held_out]}, expected a held-out one')
    fold = roles.setdefault(entry['fold'], {role: [] for role in splits.ROLES})
    fold[entry['role']].extend(rows)
  if not roles:
    raise ValueError(f'{path}: no rows, expected at least one fold')
  return tuple(_fold(path, segments, name, parts) for name, parts in roles.items())


def write_split_table(path: str | os.PathLike, folds: Sequence[splits.Fold]) -> None:
  """Writes the folds so that `read_split_table` gives them back, in one step."""
  path = pathlib.Path(path)
  temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
  try:
    with open(temporary, 'w', newline='', encoding='utf-8') as file:
      writer = csv.writer(file, lineterminator='\n')
      writer.writerow(COLUMNS)
      for fold in folds:
        for role in splits.ROLES:
          for row in getattr(fold, role):
            writer.writerow((fold.name, row.record_id, role, repr(row.start_s), repr(row.stop_s)))
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)


def _read_entries(path: pathlib.Path) -> list[tuple[int, dict[str, str]]]:
  try:
    return list(_entries(path))
  except (OSError, UnicodeDecodeError, csv.Error) as error:
    raise ValueError(f'{path}: cannot be read as a split table: {error}') from error


def _entries(path: pathlib.Path) -> Iterator[tuple[int, dict[str, str]]]:
  """(line number, {column: text}) of each row; missing optional columns are ''."""
  with open(path, newline='', encoding='utf-8') as file:
    reader = csv.reader(file)
    header = next(reader, [])
    unknown = [name for name in header if name not in COLUMNS]
    missing = [name for name in COLUMNS[:3] if name not in header]
    if unknown or missing or len(set(header)) < len(header):
      raise ValueError(f'{path}:1: got columns {header}, expected {list(COLUMNS)}')
    for cells in reader:
      if not cells:
        continue
      if len(cells) != len(header):
        raise ValueError(f'{path}:{reader.line_num}: {len(cells)} cells, expected {len(header)}')
      yield reader.line_num, dict.fromkeys(COLUMNS, '') | dict(zip(header, cells))


def _number(text: str, empty: float, where: str) -> float:
  if not text:
    return empty
  try:
    value = float(text)
  except ValueError:
    raise ValueError(f'{where}: got {text!r}, expected seconds') from None
  if not value >= 0:
    raise ValueError(f'{where}: got {text!r}, expected seconds from 0')
  return value


def _covered(segments: splits.Segments, record_id: str, indices: Sequence[int], start_s: float,
             stop_s: float) -> list[splits.Row]:
  rows = []
  for i in indices:
    low_s = max(start_s, float(segments['start_s'][i]))
    high_s = min(stop_s, float(segments['stop_s'][i]))
    if np.asarray(segments['label'])[i] >= 0 and low_s < high_s:
      rows.append(splits.Row(i, record_id, low_s, high_s))
  return rows


def _fold(path: pathlib.Path, segments: splits.Segments, name: str,
          parts: dict[str, list[splits.Row]]) -> splits.Fold:
  try:
    return splits.check_fold(segments, splits.Fold(
        name, tuple(parts['train']), tuple(parts['calibration']), tuple(parts['test'])))
  except ValueError as error:
    raise ValueError(f'{path}: {error}') from error
