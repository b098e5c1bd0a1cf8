"""Parses one experiment of the curls with two IMUs and a Borg log. NumPy only: workers import this.

Layout (verified on the bytes at hand): `individual_NN/experiment_K/` holds
  imu_data.csv     time in ms since the first row, 18 signals of the wrist's and the arm's IMU, and
                   7 columns computed from them (norms, differences of angles);
  borg.csv         wall clock and rating; the first row is written when Start is pressed;
  repetitions.csv  first and last row of each of the source's segments: two curls, from a peak of
                   the elbow's angle to the peak after the next: neighbours overlap by one curl;
  basic_info.csv   about the person: never opened.
"""

from collections.abc import Sequence
import datetime
import os
import re

from aemg_jax.records import Annotation, Record, Sensor
import numpy as np

from data_builders import channels
from data_builders.jobs import (
    BAD_FORMAT, BAD_SIZE, BAD_VALUE, CONSTANT_CHANNEL, MISSING_FILE, MISSING_LABEL, NOT_ALIGNED,
    TOO_SHORT, UNKNOWN_FILE, Job, Reject, Unusable)
from data_builders.raw import find_files

NAME = 'imu_borg'
LICENCE = 'MIT (of the repository; no separate licence for the recordings)'
PLACES, AXES = ('Wrist', 'Arm'), ('X', 'Y', 'Z')
ANGLES = ('Roll', 'Pitch', 'Yaw')
QUANTITIES = ('Gyroscope', 'Accelerometer')
N_CHANNELS = 18
HEADER = ','.join(
    ['Timestamp (ms)'] + [name for place in PLACES for name in (
        *(f'{place} Gyroscope {axis} (deg/s)' for axis in AXES),
        *(f'{place} Accelerometer {axis} (g)' for axis in AXES),
        *(f'{place} {angle} (deg)' for angle in ANGLES))]
    + [f'{place} {quantity} Magnitude ({unit})' for place in PLACES
       for quantity, unit in zip(QUANTITIES, ('deg/s', 'g'))]
    + [f'Difference {angle} (deg)' for angle in ANGLES])
BORG_HEADER, REPETITIONS_HEADER = ',fatigue', 'start (index),end (index)'
NOMINAL_RATE_HZ = 50.0  # the source's own smoothing counts 20 ms a sample
RATE_TOLERANCE = 0.05  # the files at hand have 49.4 to 50.2 Hz
G_M_S2 = 9.80665
# The source smoothed part of its files by a mean over 5 rows, which has its first zero at 10 Hz.
SMOOTHED_BANDWIDTH_HZ = 10.0
FLOAT32_TOLERANCE = 1e-12
MAX_SHIFT_S = 2.0  # ratings are mostly 6 to 16 s apart
BORG_MAX = 10
MIN_SAMPLES = 100  # 2 s; the shortest file at hand has 2613
MAX_BYTES = 64 << 20  # the largest file at hand has 4 MB

_FILE = re.compile(r'(individual_\d\d)/(experiment_\d)/(imu_data|borg|repetitions)\.csv')
_SENSORS = tuple(
    Sensor(name=f'{place} {what}'.lower(), unit=unit, scale=scale) for place in PLACES
    for whats, unit, scale in (
        ([f'{QUANTITIES[0]} {axis}' for axis in AXES], 'deg/s', 1.0),
        ([f'{QUANTITIES[1]} {axis}' for axis in AXES], 'm/s^2', G_M_S2),
        (ANGLES, 'rad', np.pi / 180))
    for what in whats)


def find_jobs(folders: Sequence[str]) -> list[Job]:
  """All files of all experiments but those about the person, in order of record id."""
  return find_files(folders, _FILE.pattern, 'individual_NN/experiment_K/imu_data.csv')


def record_id(name: str) -> str:
  """'individual_60/experiment_1/imu_data.csv' -> 'individual_60/experiment_1'."""
  return name.rpartition('/')[0]


def parse(job: Job) -> list[Record | Reject]:
  """An IMU file and its logs -> one record; logs without an IMU file -> one reject."""
  match = _FILE.fullmatch(job.name)
  if match is None:
    return [Reject(job.name, UNKNOWN_FILE, 'expected individual_NN/experiment_K/imu_data.csv,'
                   ' borg.csv or repetitions.csv')]
  folder = os.path.dirname(job.path)
  if match[3] != 'imu_data':
    alone = match[3] == 'borg' and not os.path.isfile(os.path.join(folder, 'imu_data.csv'))
    return [Reject(job.name, MISSING_FILE, 'imu_data.csv is not there, expected it beside')
            ] if alone else []  # read along with the IMU file
  for log in ('borg.csv', 'repetitions.csv'):
    if not os.path.isfile(os.path.join(folder, log)):
      return [Reject(job.name, MISSING_LABEL, f'{log} is not there, expected it beside')]
  try:
    time_s, signal_tc = _imu(job.path)
    rate_hz = _rate_hz(time_s)
    ratings = _ratings(os.path.join(folder, 'borg.csv'))
    notes = _borg_spans(ratings, time_s) + _curls(os.path.join(folder, 'repetitions.csv'), time_s)
  except Unusable as unusable:
    return [unusable.reject(job.name)]
  bandwidth_hz = rate_hz / 2 if _as_sent(signal_tc) else SMOOTHED_BANDWIDTH_HZ
  return [Record(
      record_id=record_id(job.name), dataset=NAME, subject=match[1], session=match[2],
      repetition=-1, kind='imu', signal_tc=signal_tc, rate_hz=rate_hz, bandwidth_hz=bandwidth_hz,
      is_envelope=False, sensors=_SENSORS, labels=(), annotations=tuple(notes), licence=LICENCE)]


def _rows(path: str, header: str) -> list[str]:
  """The lines below the header of a complete text file."""
  name, size = os.path.basename(path), os.path.getsize(path)
  if size > MAX_BYTES:
    raise Unusable(BAD_SIZE, f'{name}: {size} bytes, expected at most {MAX_BYTES}')
  with open(path, 'rb') as f:
    data = f.read()
  try:
    first, *rows = data.decode('ascii').replace('\r\n', '\n').split('\n')
  except UnicodeDecodeError as error:
    raise Unusable(BAD_FORMAT, f'{name}: {error}, expected plain text') from error
  if first != header:
    raise Unusable(BAD_FORMAT, f'{name}: header {first[:60]!r}, expected {header[:60]!r}')
  if not rows or rows.pop():
    raise Unusable(BAD_FORMAT, f'{name}: no end of line at the end (is it cut short?)')
  return rows


def _table(path: str, header: str, dtype: type) -> np.ndarray:
  """Numbers [row, column]."""
  name, rows, n_columns = os.path.basename(path), _rows(path, header), header.count(',') + 1
  if not rows:
    return np.zeros((0, n_columns), dtype)
  try:
    table = np.loadtxt(rows, dtype, comments=None, delimiter=',', ndmin=2)
  except ValueError as error:
    raise Unusable(BAD_FORMAT, f'{name}: {error}, expected numbers') from error
  if table.shape != (len(rows), n_columns):  # loadtxt passes over empty lines
    raise Unusable(BAD_FORMAT, f'{name}: {table.shape} numbers in {len(rows)} lines, expected'
                   f' {n_columns} in each')
  return table


def _imu(path: str) -> tuple[np.ndarray, np.ndarray]:
  """Time in s and the 18 signals as stored."""
  table = _table(path, HEADER, np.float64)
  if len(table) < MIN_SAMPLES:
    raise Unusable(TOO_SHORT, f'{len(table)} rows, expected at least {MIN_SAMPLES}')
  if not np.isfinite(table).all():
    row, column = np.argwhere(~np.isfinite(table))[0]
    raise Unusable(BAD_VALUE, f'{table[row, column]} in row {row}, expected a finite number for'
                   f' {HEADER.split(",")[column]}')
  signal_tc = table[:, 1:1 + N_CHANNELS]
  constant = channels.constant(signal_tc)
  if constant.size:
    raise Unusable(CONSTANT_CHANNEL, f'{_SENSORS[constant[0]].name} is'
                   f' {signal_tc[0, constant[0]]} throughout, expected a signal')
  return table[:, 0] / 1000, np.ascontiguousarray(signal_tc)


def _rate_hz(time_s: np.ndarray) -> float:
  """Rows per second from the first to the last, if the rows keep to it."""
  duration_s = time_s[-1] - time_s[0]
  rate_hz = float((len(time_s) - 1) / duration_s) if duration_s > 0 else 0.0
  if abs(rate_hz / NOMINAL_RATE_HZ - 1) > RATE_TOLERANCE:
    raise Unusable(BAD_VALUE, f'{len(time_s)} rows in {duration_s:.3f} s ({rate_hz:.2f} Hz),'
                   f' expected {NOMINAL_RATE_HZ:g} Hz')
  shift_s = np.abs(time_s - time_s[0] - np.arange(len(time_s)) / rate_hz)
  if (worst := int(shift_s.argmax())) and shift_s[worst] > MAX_SHIFT_S:
    raise Unusable(NOT_ALIGNED, f'row {worst} is stamped {shift_s[worst]:.2f} s off its place at'
                   f' {rate_hz:.2f} Hz, expected at most {MAX_SHIFT_S:g} s')
  return rate_hz


def _ratings(path: str) -> list[tuple[float, float]]:
  """(s since Start, rating) in order of time."""
  rows = _rows(path, BORG_HEADER)
  if not rows:
    raise Unusable(MISSING_LABEL, 'borg.csv holds no rating, expected one or more')
  try:
    pairs = [row.split(',') for row in rows]
    clock = [datetime.datetime.fromisoformat(when).replace(tzinfo=None) for when, _ in pairs]
    ratings = [float(value) for _, value in pairs]
  except ValueError as error:
    raise Unusable(BAD_FORMAT, f'borg.csv: {error}, expected date and rating') from error
  since_s = [(when - clock[0]).total_seconds() for when in clock]
  if since_s != sorted(since_s) or not all(0 <= value <= BORG_MAX for value in ratings):
    raise Unusable(BAD_VALUE, f'borg.csv: ratings {ratings} at {since_s} s, expected rising times'
                   f' and ratings from 0 to {BORG_MAX}')
  return list(zip(since_s, ratings))


def _borg_spans(ratings: list[tuple[float, float]], time_s: np.ndarray) -> list[Annotation]:
  """A span from each rating to the next, the last to the end; Start is the first row's time."""
  late_s = ratings[-1][0] - (time_s[-1] - time_s[0])
  if late_s > MAX_SHIFT_S:
    raise Unusable(NOT_ALIGNED, f'the last rating is {late_s:.2f} s after the last row, expected at'
                   f' most {MAX_SHIFT_S:g} s: where the recording begins in the log is unknown')
  clock_s = np.maximum.accumulate(time_s - time_s[0])  # some steps go back, by 0.26 s at most
  edges = [*np.searchsorted(clock_s, [since_s for since_s, _ in ratings]).tolist(), len(time_s)]
  return [Annotation(start, stop, 'borg', value)
          for start, stop, (_, value) in zip(edges, edges[1:], ratings) if start < stop]


def _curls(path: str, time_s: np.ndarray) -> list[Annotation]:
  """Single curls: from each peak that begins or ends a segment to the next."""
  start, last = _table(path, REPETITIONS_HEADER, np.int64).T
  inside = (start >= 0) & (start < last) & (last < len(time_s))
  if not inside.all() or (np.diff(start) <= 0).any():
    raise Unusable(BAD_VALUE, f'repetitions.csv: rows {start.min(initial=0)} to'
                   f' {last.max(initial=0)}, expected rising segments within {len(time_s)} rows')
  peaks = np.unique([*start, *last[-2:]]).tolist()
  return [Annotation(begin, end, 'repetition', float(k))
          for k, (begin, end) in enumerate(zip(peaks, peaks[1:]))]


def _as_sent(signal_tc: np.ndarray) -> bool:
  """The IMUs send float32: other numbers are means of several rows, or of a converted log."""
  with np.errstate(over='ignore'):  # what float32 cannot hold becomes inf, so is no float32
    error_tc = np.abs(signal_tc - signal_tc.astype(np.float32))
  return bool((error_tc <= FLOAT32_TOLERANCE * np.maximum(1, np.abs(signal_tc))).all())
