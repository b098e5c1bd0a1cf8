"""Parses one text file of UCI's "EMG data for gestures". NumPy only: worker processes import this.

Layout (verified on 62 of the 72 published files): `{01..36}/{1,2}_raw_data_HH-MM_DD.MM.YY.txt`, one
file per subject and series; a header, then rows of time in ms, 8 channels and class, separated by
tabs. The recorder polled a Myo armband about every millisecond, faster than samples came, so nine
rows in ten repeat the row before.
"""

from collections.abc import Sequence
import io
import re

from aemg_jax.records import Annotation, Label, Record, Sensor
import numpy as np

from data_builders import channels
from data_builders.jobs import (BAD_FORMAT, BAD_SIZE, BAD_VALUE, CONSTANT_CHANNEL, MISSING_LABEL,
                                TOO_SHORT, UNKNOWN_FILE, UNKNOWN_LABEL, Job, Reject)
from data_builders.raw import find_files

NAME = 'uci_emg'
LICENCE = 'CC BY 4.0'
# Class 1 to 7; class 0, "unmarked data", is no label.
LABEL_NAMES = ('hand at rest', 'hand clenched in a fist', 'wrist flexion', 'wrist extension',
               'radial deviations', 'ulnar deviations', 'extended palm')
COMMON_NAMES = dict(zip(LABEL_NAMES, (
    'rest', 'fist', 'wrist flexion', 'wrist extension', 'radial deviation', 'ulnar deviation',
    'open'), strict=True))
N_CHANNELS = 8
HEADER = '\t'.join(('time', *(f'channel{i}' for i in range(1, N_CHANNELS + 1)), 'class'))
RATE_HZ = 1000.0  # nominal: the time column counts milliseconds
MAX_RATE_ERROR = 0.2  # rows per second of time; 0.03 to 0.06 in the published files
VOLT_PER_COUNT = 1e-5
MIN_COUNT, MAX_COUNT = -128, 127
MIN_ROWS = 100  # 0.1 s; the shortest published file has 44927
MAX_BYTES = 16 << 20  # the longest published file has about 5 MB
NO_LAST_CLASS = '34/1'  # its last row ends before the class, as published

_FILE = re.compile(r'(\d\d)/([12])_raw_data_\d\d-\d\d_\d\d\.\d\d\.\d\d\.txt')
# Electrode 0 of the Myo has no documented direction: angles are relative to it, and the sense of
# rotation depends on how the band was worn.
_SENSORS = tuple(Sensor(name=f'channel{i + 1}', ring=1, angle_deg=45.0 * i, scale=VOLT_PER_COUNT)
                 for i in range(N_CHANNELS))


def find_jobs(folders: Sequence[str]) -> list[Job]:
  """All recordings, in order of record id.

  Raises:
    ValueError: if there is none, or two of one subject and series.
  """
  jobs = find_files(folders, r'\d+/[^/]*\.txt', 'SUBJECT/SERIES_raw_data_HH-MM_DD.MM.YY.txt')
  names = {}
  for job in jobs:
    first = names.setdefault(record_id(job.name), job.name)
    if record_id(job.name) and first != job.name:
      raise ValueError(f'{job.path}: a second recording of subject and series'
                       f' {record_id(job.name)} beside {first}, expected one')
  return sorted(jobs, key=lambda job: (record_id(job.name), job.name))


def record_id(name: str) -> str:
  """'01/2_raw_data_13-13_22.03.16.txt' -> '01/2': the date stays out."""
  match = _FILE.fullmatch(name)
  return '' if match is None else f'{match[1]}/{match[2]}'


def parse(job: Job, distinct: bool = False) -> list[Record | Reject]:
  """One file -> one record, or the reason why not; and a reject that counts a missing last class.

  Args:
    job: the file.
    distinct: keep only the rows that differ from the row before.
  """
  its_id = record_id(job.name)
  if not its_id:
    return [Reject(job.name, UNKNOWN_FILE,
                   'expected SUBJECT/SERIES_raw_data_HH-MM_DD.MM.YY.txt, series 1 or 2')]
  if job.n_bytes > MAX_BYTES:
    return [Reject(job.name, BAD_SIZE, f'{job.n_bytes} bytes, expected at most {MAX_BYTES}')]
  with open(job.path, 'rb') as f:
    data = f.read()
  try:
    table, no_class = _read_table(data, its_id == NO_LAST_CLASS)
  except ValueError as error:
    return [Reject(job.name, BAD_FORMAT, f'{error}; expected ASCII text: the header {HEADER!r},'
                   f' then rows of {N_CHANNELS + 2} numbers separated by tabs')]
  fault = _fault(table)
  if fault is not None:
    return [Reject(job.name, *fault)]
  record = _record(its_id, table, distinct)
  if not no_class:
    return [record]
  return [record, Reject(job.name, MISSING_LABEL, 'the last row has no class, expected 0 to'
                         f' {len(LABEL_NAMES)}: kept as unmarked')]


def _read_table(data: bytes, may_lack_class: bool) -> tuple[np.ndarray, bool]:
  """Rows of time, channels and class; and whether the last row came without class.

  Raises:
    ValueError: if the bytes are no table of that form.
  """
  header, _, body = data.decode('ascii').partition('\n')
  if header.rstrip() != HEADER:
    raise ValueError(f'header {header[:100]!r}')
  body = body.rstrip()
  if not body:
    raise ValueError('no row')
  no_class = may_lack_class and body.rpartition('\n')[2].count('\t') == N_CHANNELS
  table = np.loadtxt(io.StringIO(body + '\t0' * no_class), delimiter='\t', comments=None, ndmin=2)
  if table.shape[1] != N_CHANNELS + 2:
    raise ValueError(f'{table.shape[1]} columns')
  return table, no_class


@np.errstate(over='ignore', invalid='ignore')  # of absurd numbers: comparisons find them
def _fault(table: np.ndarray) -> tuple[str, str] | None:
  """Reason and detail of the first thing that the documentation excludes; None if all is well."""
  if len(table) < MIN_ROWS:
    return TOO_SHORT, f'{len(table)} rows, expected at least {MIN_ROWS}'
  if not np.isfinite(table).all():
    row, column = np.argwhere(~np.isfinite(table))[0]
    return BAD_VALUE, (f'{table[row, column]} in row {row}, column {column}, expected a finite'
                       ' number')
  time_ms, volt_tc, classes = table[:, 0], table[:, 1:-1], table[:, -1]
  back = np.flatnonzero(np.diff(time_ms) < 0)
  if back.size:
    return BAD_VALUE, (f'time goes from {time_ms[back[0]]:g} to {time_ms[back[0] + 1]:g} ms after'
                       f' row {back[0]}, expected no step back')
  error = (time_ms[-1] - time_ms[0]) * RATE_HZ / 1000 / (len(table) - 1) - 1
  if not abs(error) <= MAX_RATE_ERROR:
    return BAD_VALUE, (f'{len(table)} rows in {time_ms[-1] - time_ms[0]:g} ms, expected'
                       f' {RATE_HZ:g} a second, within {MAX_RATE_ERROR:.0%}')
  counts_tc = volt_tc / VOLT_PER_COUNT
  off = ((np.abs(counts_tc - np.rint(counts_tc)) > 1e-6) | (counts_tc < MIN_COUNT - 0.5)
         | (counts_tc > MAX_COUNT + 0.5))
  if off.any():
    row, channel = np.argwhere(off)[0]
    return BAD_VALUE, (f'{volt_tc[row, channel]:g} in row {row}, channel {channel + 1}, expected'
                       f' {VOLT_PER_COUNT:g} times an integer of {MIN_COUNT} to {MAX_COUNT}')
  constant = channels.constant(volt_tc)
  if constant.size:
    return CONSTANT_CHANNEL, (f'channel {constant[0] + 1} is {volt_tc[0, constant[0]]:g}'
                              ' throughout, expected a signal')
  unknown = np.flatnonzero(~np.isin(classes, range(len(LABEL_NAMES) + 1)))
  if unknown.size:
    return UNKNOWN_LABEL, (f'class {classes[unknown[0]]:g} in row {unknown[0]}, expected 0 to'
                           f' {len(LABEL_NAMES)}')
  distinct_ms = time_ms[_distinct_rows(np.rint(counts_tc))]
  if distinct_ms[-1] == distinct_ms[0]:
    return BAD_VALUE, f'every change at {distinct_ms[0]:g} ms, expected changes over time'
  return None


def _distinct_rows(counts_tc: np.ndarray) -> np.ndarray:
  """Indices of the first row and of those that differ from the row before."""
  return np.flatnonzero(np.append(True, (counts_tc[1:] != counts_tc[:-1]).any(axis=1)))


def _record(its_id: str, table: np.ndarray, distinct: bool) -> Record:
  signal_tc = np.rint(table[:, 1:-1] / VOLT_PER_COUNT).astype(np.int16)
  rows = _distinct_rows(signal_tc)
  duration_ms = table[rows[-1], 0] - table[rows[0], 0]
  effective_hz = float((len(rows) - 1) * 1000 / duration_ms)
  spans = _spans(table[:, -1].astype(int))
  if distinct:
    # A span of rows holds the samples that came within it: none, where it is shorter than one.
    spans = [(*np.searchsorted(rows, span[:2]).tolist(), *span[2:]) for span in spans]
    spans = [span for span in spans if span[0] < span[1]]
    signal_tc, rate_hz, annotations = signal_tc[rows], effective_hz, []
  else:
    rate_hz = RATE_HZ
    annotations = [Annotation(0, len(signal_tc), 'effective_rate_hz', effective_hz)]
  annotations += [Annotation(start, stop, 'repetition', k) for start, stop, _, k in spans]
  subject, session = its_id.split('/')
  return Record(
      record_id=its_id, dataset=NAME, subject=subject, session=session, repetition=-1, kind='emg',
      signal_tc=signal_tc, rate_hz=rate_hz, bandwidth_hz=min(effective_hz, rate_hz) / 2,
      is_envelope=False, sensors=_SENSORS,
      labels=tuple(Label(start, stop, name) for start, stop, name, _ in spans),
      annotations=tuple(annotations), licence=LICENCE)


def _spans(classes: np.ndarray) -> list[tuple[int, int, str, int]]:
  """Start, stop, label name and 0-based repetition of every run of one class but 0."""
  bounds = [0, *(np.flatnonzero(np.diff(classes)) + 1).tolist(), len(classes)]
  spans, seen = [], [0] * len(LABEL_NAMES)
  for start, stop in zip(bounds, bounds[1:]):
    index = int(classes[start]) - 1
    if index >= 0:
      spans.append((start, stop, LABEL_NAMES[index], seen[index]))
      seen[index] += 1
  return spans
