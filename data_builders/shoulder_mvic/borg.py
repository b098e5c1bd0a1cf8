"""The table of Borg ratings of the shoulder set: one row for each subject and exercise."""

from collections.abc import Mapping
import csv
import io
import os
import re

MAX_BYTES = 1 << 20  # 204 rows of at most 30 short cells are documented
FILE = 'Borg data/borg_data.csv'
SCALE = (6.0, 20.0)  # Borg's scale of perceived exertion, not the CR-10 scale
STEP_S = 10.0
MAX_S = 3600.0

_COLUMN = re.compile(r'(\d{1,4})_sec', re.ASCII)


class BorgError(ValueError):
  """A table, or a row of it, that is not as documented."""


def read_ratings(path: str, subject: str, task: str) -> list[tuple[float, float, float]]:
  """Ratings of one exercise.

  Args:
    path: of the table.
    subject, task: as the table names them: 'subject_1', 'task1_35i'.

  Returns:
    (start_s, stop_s, rating): the rating given at `stop_s`, for the time since the one before.

  Raises:
    BorgError: another format, no row or several for the exercise, or a rating off the scale.
  """
  rows = [row for row in _rows(path) if (row['subject'], row['task_order']) == (subject, task)]
  if len(rows) != 1:
    raise BorgError(f'{len(rows)} rows of {subject}, {task}, expected one')
  (row,) = rows
  at_s = {float(match[1]): _number(row, name, SCALE) for name in row
          if (match := _COLUMN.fullmatch(name))}
  length_s = _number(row, 'length_of_trial_(sec)', (0.0, MAX_S))
  end = _number(row, 'end_of_trial', SCALE)
  if length_s and end is not None:  # the last rating is given when the exercise ends
    at_s[length_s] = end
  return [((-(-stop_s // STEP_S) - 1) * STEP_S, stop_s, rating)
          for stop_s, rating in sorted(at_s.items()) if rating is not None and stop_s > 0]


def _rows(path: str) -> list[Mapping[str, str]]:
  """Rows by name of column; the subject is filled in only on the first of its rows."""
  if not os.path.isfile(path):
    raise BorgError(f'no {FILE}, expected the table of ratings')
  with open(path, 'rb') as f:
    data = f.read(MAX_BYTES + 1)
  if len(data) > MAX_BYTES:
    raise BorgError(f'more than {MAX_BYTES} bytes, expected a table of 204 rows')
  try:
    lines = list(csv.reader(io.StringIO(data.decode('utf-8-sig'), newline='')))
  except (UnicodeDecodeError, csv.Error) as error:
    raise BorgError(f'{error}, expected a table with commas') from error
  # Names of columns hold spaces here and there.
  names = [re.sub(r'\s+', '', name).lower() for name in lines[0]] if lines else []
  needed = {'subject', 'task_order', 'end_of_trial', 'length_of_trial_(sec)'}
  named = [name for name in names if name]
  if len(set(named)) != len(named) or not needed <= set(named):
    raise BorgError(f'columns {str(names)[:200]}, expected {sorted(needed)} and ratings, once each')
  rows, subject = [], ''
  for line in filter(None, lines[1:]):  # not the empty ones
    if len(line) != len(names):
      raise BorgError(f'a row of {len(line)} cells, expected {len(names)}')
    row = {name: cell.strip() for name, cell in zip(names, line)}
    subject = row['subject'] = row['subject'] or subject
    rows.append(row)
  return rows


def _number(row: Mapping[str, str], name: str, limits: tuple[float, float]) -> float | None:
  """The number in a cell; None where it is empty."""
  if not row[name]:
    return None
  try:
    number = float(row[name])
  except ValueError:
    number = float('nan')
  if not limits[0] <= number <= limits[1]:
    raise BorgError(f'{row[name][:20]!r} in column {name}, expected a number from {limits[0]:g} to'
                    f' {limits[1]:g}')
  return number
