"""Parses one file of the Toro-Ossaba et al. 2022 dataset. NumPy only: worker processes import this.

Two layouts. Published (from documentation): `subject {1..8}/{0..4}.txt`, 4 columns of decimal
numbers separated by tabs, no header; the file number is the gesture. Converted (verified on the one
file at hand): `arquivo_convertido.csv`, such a file by a third party, with a header, a made-up time
column and the gesture as last column.
"""

from collections.abc import Sequence
import io
import re

from aemg_jax.records import Label, Record, Sensor
import numpy as np

from data_builders import channels
from data_builders.jobs import (BAD_FORMAT, BAD_SIZE, BAD_VALUE, CONSTANT_CHANNEL, TOO_SHORT,
                                UNKNOWN_FILE, UNKNOWN_LABEL, Job, Reject)
from data_builders.raw import find_files

NAME = 'toro_ossaba'
LICENCE = 'CC BY 4.0 (unverified)'
# By file number: the source does not say which of its five gestures that is.
LABEL_NAMES = tuple(f'gesture {i}' for i in range(5))
N_CHANNELS = 4
RATE_HZ = 1024.0  # or 1000: see README.md, "The sampling rate is unresolved"
MIN_SAMPLES = 100  # 0.1 s; files hold about 20 s
MAX_BYTES = 16 << 20  # files hold about 2 MB
CONVERTED = 'arquivo_convertido.csv'
HEADER = ','.join(('time', *(f'chanel{i + 1}' for i in range(N_CHANNELS)), 'position'))

_FILE = re.compile(r'(subject [1-8])/([0-4])\.txt')
# One bipolar pair per channel on an armband: even spacing is assumed, the angles are relative.
_SENSORS = tuple(Sensor(name=f'channel{i + 1}', ring=1, angle_deg=90.0 * i)
                 for i in range(N_CHANNELS))


def find_jobs(folders: Sequence[str]) -> list[Job]:
  """All files of the published layout, in order of record id.

  Raises:
    ValueError: if there is none, or one is there twice.
  """
  jobs = find_files(folders, r'subject \d+/[^/]*\.txt', '"subject N/G.txt"')
  return sorted(jobs, key=lambda job: (record_id(job.name), job.name))


def find_converted(folders: Sequence[str]) -> list[Job]:
  """The converted file. Raises ValueError if it is missing, or there twice."""
  return find_files(folders, re.escape(CONVERTED), CONVERTED)


def record_id(name: str) -> str:
  """'subject 3/0.txt' -> 'subject 3/0'."""
  return name.removesuffix('.txt') if _FILE.fullmatch(name) else ''


def parse(job: Job) -> list[Record | Reject]:
  """One published file -> one record, or the reason why not."""
  match = _FILE.fullmatch(job.name)
  if match is None:
    return [Reject(job.name, UNKNOWN_FILE, 'expected subject 1/0.txt to subject 8/4.txt')]
  table = _read_table(job, '\t', N_CHANNELS)
  if isinstance(table, Reject):
    return [table]
  return [_record(job, table, record_id(job.name), match[1], int(match[2]))]


def parse_converted(job: Job) -> list[Record | Reject]:
  """The converted file -> one record of a subject that is not stated, or the reason why not."""
  table = _read_table(job, ',', N_CHANNELS + 2, HEADER)
  if isinstance(table, Reject):
    return [table]
  time_s, signal_tc, gestures = table[:, 0], table[:, 1:-1], table[:, -1]
  if not (time_s[1:] > time_s[:-1]).all() or (gestures != gestures[0]).any():
    return [Reject(job.name, BAD_VALUE, 'time or gesture begins anew, expected one recording (is it'
                   ' a stack of several?)')]
  if gestures[0] not in range(len(LABEL_NAMES)):
    return [Reject(job.name, UNKNOWN_LABEL, f'position {gestures[0]:g}, expected 0 to'
                   f' {len(LABEL_NAMES) - 1}')]
  return [_record(job, np.ascontiguousarray(signal_tc), 'converted', 'not stated',
                  int(gestures[0]))]


def _read_table(job: Job, delimiter: str, n_columns: int, header: str = '') -> np.ndarray | Reject:
  """Rows of `n_columns` finite numbers, below a header if there is one."""
  if job.n_bytes > MAX_BYTES:
    return Reject(job.name, BAD_SIZE, f'{job.n_bytes} bytes, expected at most {MAX_BYTES}')
  with open(job.path, 'rb') as f:
    data = f.read()
  try:
    body = data.decode('ascii')
    if header:
      first, _, body = body.partition('\n')
      if first.rstrip() != header:
        raise ValueError(f'header {first[:100]!r}')
    if not body.strip():
      raise ValueError('no row')
    table = np.loadtxt(io.StringIO(body), delimiter=delimiter, comments=None, ndmin=2)
    if table.shape[1] != n_columns:
      raise ValueError(f'{table.shape[1]} columns')
  except ValueError as error:
    return Reject(job.name, BAD_FORMAT, f'{error}; expected ASCII text:'
                  f' {f"the header {header!r}, then " if header else ""}rows of {n_columns} numbers'
                  f' separated by {delimiter!r}')
  if len(table) < MIN_SAMPLES:
    return Reject(job.name, TOO_SHORT, f'{len(table)} rows, expected at least {MIN_SAMPLES}')
  if not np.isfinite(table).all():
    row, column = np.argwhere(~np.isfinite(table))[0]
    return Reject(job.name, BAD_VALUE, f'{table[row, column]} in row {row}, column {column},'
                  ' expected a finite number')
  return table


def _record(job: Job, signal_tc: np.ndarray, its_id: str, subject: str,
            gesture: int) -> Record | Reject:
  constant = channels.constant(signal_tc)
  if constant.size:
    return Reject(job.name, CONSTANT_CHANNEL, f'channel {constant[0] + 1} is'
                  f' {signal_tc[0, constant[0]]:g} throughout, expected a signal')
  return Record(
      record_id=its_id, dataset=NAME, subject=subject, session='1', repetition=-1, kind='emg',
      signal_tc=signal_tc, rate_hz=RATE_HZ, bandwidth_hz=RATE_HZ / 2, is_envelope=False,
      sensors=_SENSORS, labels=(Label(0, len(signal_tc), LABEL_NAMES[gesture]),), annotations=(),
      licence=LICENCE)
