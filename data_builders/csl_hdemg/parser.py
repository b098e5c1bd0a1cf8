"""Parses one .mat file of the CSL-HDEMG corpus. NumPy only: worker processes import this.

Layout: `subjectN/sessionM/gestG.mat`, N and M = 1..5, G = 0..26: MATLAB v5 with a cell array
`gestures`, one cell per repetition, 192 rows of about 6144 samples (3 s at 2048 Hz). A row is the
difference of two electrodes that lie next to each other in a column of 8; every eighth row would
lie between two columns and is no signal.
"""

from collections.abc import Sequence
import re

from aemg_jax.records import Label, Record, Sensor
import numpy as np

from data_builders import channels, mat5
from data_builders.jobs import (
    BAD_FORMAT, BAD_SIZE, BAD_VALUE, CONSTANT_CHANNEL, TOO_SHORT, UNKNOWN_FILE, Job, Reject)
from data_builders.raw import find_files

NAME = 'csl_hdemg'
LICENCE = 'not stated (registration with the publisher; cite the paper)'
N_SUBJECTS, N_SESSIONS, N_GESTURES = 5, 5, 27
IDLE = 'idle'
LABEL_NAMES = (IDLE, *(f'gesture {number}' for number in range(1, N_GESTURES)))
COMMON_NAMES = {IDLE: 'rest', 'gesture 11': 'ring flexion'}
VARIABLE = 'gestures'
MAX_REPETITIONS = 100  # documented: 10, and 30 of idle
RATE_HZ = 2048.0
N_ROWS, COLUMN_SIZE = 192, 8
KEPT = tuple(row for row in range(N_ROWS) if row % COLUMN_SIZE != COLUMN_SIZE - 1)
N_CHANNELS = len(KEPT)
DTYPE = np.float64
MIN_SAMPLES, MAX_SAMPLES = 100, 20480  # 10 s; documented: 3 s, give or take milliseconds
MAX_BYTES = 400 << 20  # of all repetitions of a file; 30 of 3 s are 283 MB

_FILE = re.compile(r'subject(\d)/session(\d)/gest(0|[1-9]\d?)\.mat', re.ASCII)
# Row 0 of the grid is the proximal one. Names are the source's channel numbers, from 1.
_SENSORS = tuple(Sensor(name=f'channel {row + 1}', row=row % COLUMN_SIZE,
                        column=row // COLUMN_SIZE) for row in KEPT)


def find_jobs(folders: Sequence[str]) -> list[Job]:
  """All files of gestures, in order of record id.

  Raises:
    ValueError: if there is none, or one is there twice.
  """
  jobs = find_files(folders, r'subject[^/]*/session[^/]*/gest[^/]*\.mat',
                    'subject*/session*/gest*.mat')
  return sorted(jobs, key=lambda job: (record_prefix(job.name), job.name))


def record_prefix(name: str) -> str:
  """'subject1/session2/gest3.mat' -> 'subject1/session2/gest03'; '' for another name."""
  match = _FILE.fullmatch(name)
  if match is None or not all(1 <= int(number) <= last for number, last in (
      (match[1], N_SUBJECTS), (match[2], N_SESSIONS))) or int(match[3]) >= N_GESTURES:
    return ''
  return f'subject{match[1]}/session{match[2]}/gest{match[3].zfill(2)}'


def parse(job: Job) -> list[Record | Reject]:
  """One file -> a record, or the reason why not, for each of its repetitions."""
  if not record_prefix(job.name):
    return [Reject(job.name, UNKNOWN_FILE, f'expected subject1 to subject{N_SUBJECTS}, session1 to'
                   f' session{N_SESSIONS}, gest0.mat to gest{N_GESTURES - 1}.mat')]
  try:
    cells = mat5.read_cells(job.path, (VARIABLE,), MAX_BYTES).get(VARIABLE)
  except mat5.MatError as error:
    return [Reject(job.name, BAD_FORMAT, str(error))]
  if cells is None:
    return [Reject(job.name, BAD_FORMAT, f'no variable {VARIABLE}, expected a cell array')]
  if not 1 <= len(cells) <= MAX_REPETITIONS:
    return [Reject(job.name, BAD_SIZE, f'{len(cells)} repetitions, expected 1 to'
                   f' {MAX_REPETITIONS}')]
  items = []
  for repetition in range(len(cells)):
    trial_rt, cells[repetition] = cells[repetition], None  # a file is large: free it as we go
    items.append(_record(job, repetition, trial_rt))
  return items


def _record(job: Job, repetition: int, trial_rt: np.ndarray) -> Record | Reject:
  """One repetition: rows [192, T] -> record of the 168 channels that are signals."""
  name = f'{job.name}, repetition {repetition + 1}'
  if trial_rt.shape[0] != N_ROWS or trial_rt.dtype.kind != 'f':
    return Reject(name, BAD_FORMAT, f'{trial_rt.shape} of {trial_rt.dtype}, expected {N_ROWS} rows'
                  ' of floating-point numbers')
  if not MIN_SAMPLES <= trial_rt.shape[1] <= MAX_SAMPLES:
    return Reject(name, TOO_SHORT if trial_rt.shape[1] < MIN_SAMPLES else BAD_SIZE,
                  f'{trial_rt.shape[1]} samples, expected {MIN_SAMPLES} to {MAX_SAMPLES}')
  signal_tc = np.ascontiguousarray(trial_rt[KEPT, :].T, DTYPE)
  bad = np.argwhere(~np.isfinite(signal_tc))
  if bad.size:
    return Reject(name, BAD_VALUE, f'{signal_tc[tuple(bad[0])]} at sample {bad[0, 0]},'
                  f' {_SENSORS[bad[0, 1]].name}, expected a finite value')
  constant = channels.constant(signal_tc)
  if constant.size:
    return Reject(name, CONSTANT_CHANNEL, f'{_SENSORS[constant[0]].name} is'
                  f' {signal_tc[0, constant[0]]} throughout ({constant.size} such), expected a'
                  ' signal')
  prefix = record_prefix(job.name)
  subject, session, gesture = prefix.split('/')
  label = LABEL_NAMES[int(gesture.removeprefix('gest'))]
  return Record(
      record_id=f'{prefix}/repetition{repetition:02d}', dataset=NAME, subject=subject,
      session=session, repetition=repetition, kind='emg', signal_tc=signal_tc, rate_hz=RATE_HZ,
      bandwidth_hz=RATE_HZ / 2, is_envelope=False, sensors=_SENSORS,
      labels=(Label(0, len(signal_tc), label),), annotations=(), licence=LICENCE)
