"""Parses one subject of the curls with Borg ratings. NumPy only: worker processes import this.

Layout (verified on the bytes at hand): `raw_2.5/NN.csv`, header Time,A1,A2,A3,RE, one row per
sample at 1000 Hz: clock of the receiving computer in s, then 10-bit numbers; and
`raw_2.5/NN_click.csv`, header Time,Times,Borg,L,R, one row per repetition: when the experimenter
clicked (same clock), count, rating, and where the active part begins and ends, in samples from the
first one after the click. The last row only ends the last repetition: its L and R are empty.
"""

from collections.abc import Sequence
import dataclasses
import io
import os
import re

from aemg_jax.records import Annotation, Label, Record, Sensor
import numpy as np

from data_builders import channels
from data_builders.jobs import (
    BAD_FORMAT, BAD_SIZE, BAD_VALUE, CONSTANT_CHANNEL, MISSING_FILE, MISSING_LABEL, TOO_SHORT,
    UNKNOWN_FILE, Job, Reject, Unusable)
from data_builders.raw import find_files

NAME = 'curl_borg'
LICENCE = 'Apache-2.0 (of the repository; no separate licence for the recordings)'
LABEL_NAMES = ('curl',)
SESSION = 'raw_2.5'  # the folder's name: every subject has one recording
CHANNELS = ('A1', 'A2', 'A3')
RAW_HEADER, CLICK_HEADER = 'Time,A1,A2,A3,RE', 'Time,Times,Borg,L,R'
RATE_HZ = 1000.0
BITS = 10
ZERO = 1 << (BITS - 1)  # the converter's number for 0 V
# mV per step: supply voltage over 2^10 steps and the gain of BITalino (r)evolution's EMG sensor.
SCALE_MV = 3.3 / (1 << BITS) / 1.009
MIN_SAMPLES = 500
GAP_S = 1.0  # samples come in blocks every 0.15 s, at most 0.31 s apart where none are lost
MAX_BYTES = 32 << 20  # the files at hand have up to 4.1 MB
MAX_CLICK_BYTES = 64 << 10  # the largest has 1.9 kB

_FILE = re.compile(r'(\d\d)(_click)?\.csv')
_SENSORS = tuple(Sensor(name=name, unit='mV', scale=SCALE_MV) for name in CHANNELS)


@dataclasses.dataclass(frozen=True)
class _Click:
  """A row of the click file: time in s, rating, and the active part in samples after the click."""
  time_s: float
  borg: float
  left: int = 0
  right: int = 0


def find_jobs(folders: Sequence[str]) -> list[Job]:
  """All files of all subjects, a subject's recording before its clicks."""
  return find_files(folders, r'\d\d(?:_click)?\.csv', 'file 00.csv or 00_click.csv')


def record_id(name: str) -> str:
  """'02.csv' -> '02'."""
  return name.removesuffix('.csv')


def parse(job: Job) -> list[Record | Reject]:
  """A recording and its clicks -> one record; clicks alone -> a reject."""
  match = _FILE.fullmatch(job.name)
  if match is None:
    return [Reject(job.name, UNKNOWN_FILE, 'expected NN.csv or NN_click.csv')]
  is_click, other = bool(match[2]), f'{match[1]}{"" if match[2] else "_click"}.csv'
  other_path = os.path.join(os.path.dirname(job.path), other)
  if not os.path.isfile(other_path):
    return [Reject(job.name, MISSING_FILE if is_click else MISSING_LABEL,
                   f'{other} is not there, expected it beside')]
  if is_click:
    return []  # read along with its recording
  try:
    time_s, signal_tc = _recording(_text(job.path, MAX_BYTES))
    clicks = _clicks(_text(other_path, MAX_CLICK_BYTES))
    spans = _spans(clicks, time_s)
  except Unusable as unusable:
    return [unusable.reject(job.name)]
  notes = [Annotation(start, stop, name, value) for k, (start, stop) in enumerate(spans)
           for name, value in (('repetition', float(k)), ('borg', clicks[k].borg))]
  steps_s = np.diff(time_s)
  notes += [Annotation(int(i) + 1, int(i) + 2, 'gap_s', float(steps_s[i]))
            for i in np.flatnonzero(steps_s > GAP_S)]
  return [Record(
      record_id=record_id(job.name), dataset=NAME, subject=match[1], session=SESSION,
      repetition=-1, kind='emg', signal_tc=signal_tc, rate_hz=RATE_HZ, bandwidth_hz=RATE_HZ / 2,
      is_envelope=False, sensors=_SENSORS,
      labels=tuple(Label(start, stop, LABEL_NAMES[0]) for start, stop in spans),
      annotations=tuple(notes), licence=LICENCE)]


def _text(path: str, max_bytes: int) -> str:
  with open(path, 'rb') as f:
    data = f.read(max_bytes + 1)
  name = os.path.basename(path)
  if len(data) > max_bytes:
    raise Unusable(BAD_SIZE, f'{name}: more than {max_bytes} bytes, expected less')
  if not data.endswith(b'\n'):
    raise Unusable(BAD_FORMAT, f'{name}: no end of line after {len(data)} bytes, expected one (is'
                   ' the file cut short?)')
  try:
    return data.replace(b'\r\n', b'\n').decode('ascii')
  except UnicodeDecodeError as error:
    raise Unusable(BAD_FORMAT, f'{name}: {error}, expected numbers') from error


def _recording(text: str) -> tuple[np.ndarray, np.ndarray]:
  """Times in s and samples [T, C] about the converter's zero."""
  header, _, rows = text.partition('\n')
  if header != RAW_HEADER:
    raise Unusable(BAD_FORMAT, f'header {header[:80]!r}, expected {RAW_HEADER!r}')
  n_lines = rows.count('\n')  # loadtxt passes over empty lines, which would shift time
  if n_lines < MIN_SAMPLES:
    raise Unusable(TOO_SHORT, f'{n_lines} samples, expected at least {MIN_SAMPLES}')
  try:
    table = np.loadtxt(io.StringIO(rows), delimiter=',', comments=None, ndmin=2)
  except ValueError as error:
    raise Unusable(BAD_FORMAT, f'{error}, expected rows of {RAW_HEADER}') from error
  if table.shape != (n_lines, 1 + len(CHANNELS) + 1):
    raise Unusable(BAD_FORMAT, f'{n_lines} lines with {table.shape[0]} rows of {table.shape[1]},'
                   f' expected as many rows as lines, of {RAW_HEADER}')
  time_s, counts_tc = table[:, 0], table[:, 1:1 + len(CHANNELS)]
  bad = ~((counts_tc >= 0) & (counts_tc < 1 << BITS) & (counts_tc == np.floor(counts_tc)))
  if bad.any():
    t, c = np.argwhere(bad)[0]
    raise Unusable(BAD_VALUE, f'{counts_tc[t, c]} in row {t}, {CHANNELS[c]}, expected a whole'
                   f' number of {BITS} bits')
  constant = channels.constant(counts_tc)
  if constant.size:
    raise Unusable(CONSTANT_CHANNEL, f'{CHANNELS[constant[0]]} is {counts_tc[0, constant[0]]:g}'
                   ' throughout, expected a signal')
  _check_clock(time_s)
  return time_s, counts_tc.astype(np.int16) - np.int16(ZERO)


def _check_clock(time_s: np.ndarray) -> None:
  """The clock must rise, and, gaps aside, by a second per RATE_HZ samples."""
  steps_s = np.diff(time_s)
  if not (np.isfinite(time_s).all() and (steps_s >= 0).all()):
    raise Unusable(BAD_VALUE, 'a time that is no number or goes back, expected a rising clock')
  clock_s, samples_s = steps_s[steps_s <= GAP_S].sum(), len(time_s) / RATE_HZ
  if abs(clock_s - samples_s) > 0.5 + 2e-3 * samples_s:  # the blocks arrive up to 0.3 s late
    raise Unusable(BAD_VALUE, f'{len(time_s)} samples in {clock_s:.3f} s, expected {RATE_HZ:g} Hz')


def _clicks(text: str) -> list[_Click]:
  """The rows; two or more, so that there is a repetition."""
  header, *lines = [line.rstrip(',') for line in text.splitlines()]
  if header != CLICK_HEADER:
    raise Unusable(BAD_FORMAT, f'click header {header[:80]!r}, expected {CLICK_HEADER!r}')
  rows = [line.split(',') for line in lines if line]  # a spreadsheet left empty rows and columns
  if len(rows) < 2:
    raise Unusable(TOO_SHORT, f'{len(rows)} clicks, expected at least 2')
  clicks = []
  for k, row in enumerate(rows):
    is_last = k == len(rows) - 1
    if len(row) != (3 if is_last else 5):
      raise Unusable(BAD_FORMAT, f'click {k + 1} of {len(rows)} has {len(row)} fields, expected'
                     f' {CLICK_HEADER}, the last two empty in the last row only')
    try:
      click = _Click(float(row[0]), float(row[2]), *map(int, row[3:]))
      count = int(row[1])
    except ValueError as error:
      raise Unusable(BAD_FORMAT, f'click {k + 1}: {error}, expected {CLICK_HEADER}') from error
    if count != k + 1 or not 0 <= click.borg <= 10 or not (is_last or
                                                           0 <= click.left < click.right):
      raise Unusable(BAD_VALUE, f'click {k + 1} is {",".join(row)[:80]}, expected its count, a'
                     ' rating of 0 to 10 and L < R')
    clicks.append(click)
  return clicks


def _spans(clicks: Sequence[_Click], time_s: np.ndarray) -> list[tuple[int, int]]:
  """[start, stop) of the active part of each repetition, within it."""
  click_s = np.array([click.time_s for click in clicks])
  if not ((np.diff(click_s) > 0).all() and time_s[0] <= click_s[0] and click_s[-1] < time_s[-1]):
    raise Unusable(BAD_VALUE, f'clicks from {click_s[0]} to {click_s[-1]} s, expected rising times'
                   f' within the recording ({time_s[0]} to {time_s[-1]} s)')
  first = np.searchsorted(time_s, click_s, side='right').tolist()  # first sample after the click
  spans = [(first[k] + click.left, min(first[k] + click.right, first[k + 1]))
           for k, click in enumerate(clicks[:-1])]
  for k, (start, stop) in enumerate(spans):
    if start >= stop:
      raise Unusable(BAD_VALUE, f'click {k + 1}: L is {clicks[k].left}, expected less than the'
                     f' {first[k + 1] - first[k]} samples until the next click')
  return spans
