"""Parses one .mat file of CapgMyo DB-a, DB-b or DB-c. NumPy only: worker processes import this.

Layout (documentation; not seen): `dbX-preprocessed-SSS/SSS-GGG-TTT.mat`, subject, gesture and
trial, MATLAB v5: `data` [1000, 128], and the scalars `subject`, `gesture` and `trial`. In DB-b SSS
counts subjects and sessions: 1 and 2 are the two sessions of the first person.
"""

from collections.abc import Sequence
import dataclasses
import os
import re

from aemg_jax.records import Label, Record, Sensor, all_finite
import numpy as np

from data_builders import channels, mat5
from data_builders.jobs import (
    BAD_FORMAT, BAD_SIZE, BAD_VALUE, CONSTANT_CHANNEL, TOO_SHORT, UNKNOWN_FILE, Job, Reject,
    Unusable)
from data_builders.raw import find_files

NAME = 'capgmyo'
LICENCE = 'not known to this project (see the page of the set)'
HAND = (
    'thumb up', 'extension of index and middle, flexion of the others',
    'flexion of ring and little finger, extension of the others',
    'thumb opposing base of little finger', 'abduction of all fingers',
    'fingers flexed together in fist', 'pointing index', 'adduction of extended fingers')
FINGERS = (
    'index flexion', 'index extension', 'middle flexion', 'middle extension', 'ring flexion',
    'ring extension', 'little finger flexion', 'little finger extension', 'thumb adduction',
    'thumb abduction', 'thumb flexion', 'thumb extension')
COMMON_NAMES = {name: name for name in FINGERS if not name.startswith('little')} | {
    'little finger flexion': 'little flexion', 'little finger extension': 'little extension',
    'thumb up': 'thumb up', 'thumb opposing base of little finger': 'thumb opposition',
    'abduction of all fingers': 'open', 'fingers flexed together in fist': 'fist',
    'pointing index': 'point'}
MAXIMAL = (100, 101)  # numbers of two recordings of maximal force, one trial each; no labels
N_TRIALS = 10
N_ROWS, N_COLUMNS = 16, 8
N_CHANNELS = N_ROWS * N_COLUMNS
RATE_HZ = 1000.0
BANDWIDTH_HZ = 380.0  # the recorder passes 20 to 380 Hz
MIN_SAMPLES = 100  # 0.1 s; 1000 are documented
MAX_SAMPLES = 10_000
MAX_BYTES = 16 << 20  # of `data`, unpacked; 1 MB as documented

_FILE = re.compile(r'(\d{3})-(\d{3})-(\d{3})\.mat', re.ASCII)
_ARCHIVE_FOLDER = re.compile(r'(db[a-c])-preprocessed-\d{3}', re.IGNORECASE | re.ASCII)
# 8 modules of 2 by 8 electrodes round the forearm, in the order of the authors' own program.
_SENSORS = tuple(Sensor(f'channel {i + 1}', row=i // N_COLUMNS, column=i % N_COLUMNS)
                 for i in range(N_CHANNELS))


@dataclasses.dataclass(frozen=True)
class Database:
  """One configuration: numbers of recorded sessions, sessions of each person, and gestures."""
  name: str
  n_recorded: int
  n_sessions: int
  label_names: tuple[str, ...]


DATABASES = {database.name: database for database in (
    Database('dba', 18, 1, HAND), Database('dbb', 20, 2, HAND), Database('dbc', 10, 1, FINGERS))}


def find_jobs(database: Database, folders: Sequence[str]) -> list[Job]:
  """The files of one database, in order of record id.

  A folder with several databases keeps each in a subfolder dba, dbb or dbc: the files' names are
  the same in all.

  Raises:
    ValueError: if there is none, one is there twice, or a folder names another database.
  """
  own = [os.path.join(os.fspath(folder), database.name) for folder in folders]
  folders = [new if os.path.isdir(new) else folder for new, folder in zip(own, folders)]
  jobs = find_files(folders, r'[^/.][^/]*\.mat', f'SSS-GGG-TTT.mat of {database.name}')
  for job in jobs:
    named = _ARCHIVE_FOLDER.fullmatch(os.path.basename(os.path.dirname(job.path)))
    if named and named[1].lower() != database.name:
      raise ValueError(f'{job.path}: the folder is of {named[1]}, expected files of'
                       f' {database.name}')
  return sorted(jobs, key=lambda job: (record_id(database, job.name), job.name))


def _numbers(database: Database, name: str) -> tuple[int, int, int] | None:
  """Number of the recorded session, gesture and trial; None for a file that the set lacks."""
  match = _FILE.fullmatch(name)
  if match is None:
    return None
  recorded, gesture, trial = map(int, match.groups())
  n_trials = 1 if gesture in MAXIMAL else N_TRIALS
  known = 1 <= gesture <= len(database.label_names) or gesture in MAXIMAL
  if not known or not 1 <= recorded <= database.n_recorded or not 1 <= trial <= n_trials:
    return None
  return recorded, gesture, trial


def _who(database: Database, recorded: int) -> tuple[str, str]:
  """Subject and session."""
  person, session = divmod(recorded - 1, database.n_sessions)
  return f'{database.name}/subject{person + 1:02d}', str(session + 1)


def record_id(database: Database, name: str) -> str:
  """'004-008-010.mat' of DB-b -> 'dbb/subject02/2/008-10'; '' for other files."""
  numbers = _numbers(database, name)
  if numbers is None:
    return ''
  subject, session = _who(database, numbers[0])
  return f'{subject}/{session}/{numbers[1]:03d}-{numbers[2]:02d}'


def parse(config: str, job: Job) -> list[Record | Reject]:
  """One file of a configuration -> one record, or the reason why not."""
  try:
    return [_record(DATABASES[config], job)]
  except Unusable as unusable:
    return [unusable.reject(job.name)]


def _record(database: Database, job: Job) -> Record:
  numbers = _numbers(database, job.name)
  if numbers is None:
    raise Unusable(UNKNOWN_FILE, f'expected SSS-GGG-TTT.mat, SSS from 1 to {database.n_recorded},'
                   f' GGG to {len(database.label_names)} or one of {MAXIMAL}, TTT to {N_TRIALS}')
  recorded, gesture, trial = numbers
  signal_tc = _signal(job, {'subject': recorded, 'gesture': gesture, 'trial': trial})
  subject, session = _who(database, recorded)
  labels, repetition = (), -1
  if gesture not in MAXIMAL:
    labels = (Label(0, len(signal_tc), database.label_names[gesture - 1]),)
    repetition = trial - 1
  return Record(
      record_id=record_id(database, job.name), dataset=NAME, subject=subject, session=session,
      repetition=repetition, kind='emg', signal_tc=signal_tc, rate_hz=RATE_HZ,
      bandwidth_hz=BANDWIDTH_HZ, is_envelope=False, sensors=_SENSORS, labels=labels,
      annotations=(), licence=LICENCE)


def _signal(job: Job, numbers: dict[str, int]) -> np.ndarray:
  """EMG [T, 128] float64 of a file whose scalars say what its name says."""
  try:
    arrays = mat5.read_arrays(job.path, ('data', *numbers), MAX_BYTES)
  except mat5.MatError as error:
    raise Unusable(BAD_FORMAT, str(error)) from error
  for name, expected in numbers.items():
    found = arrays.get(name)
    if found is None or found.shape != (1, 1):
      what = 'missing' if found is None else f'of shape {found.shape}'
      raise Unusable(BAD_FORMAT, f'variable {name} is {what}, expected one number')
    if found[0, 0] != expected:
      raise Unusable(BAD_VALUE, f'variable {name} is {found[0, 0]:g}, expected {expected} as in'
                     ' the name of the file')
  data = arrays.get('data')
  if data is None or data.shape[1] != N_CHANNELS:
    what = 'missing' if data is None else f'of shape {data.shape}'
    raise Unusable(BAD_FORMAT, f'variable data is {what}, expected {N_CHANNELS} columns')
  if not MIN_SAMPLES <= len(data) <= MAX_SAMPLES:
    reason = TOO_SHORT if len(data) < MIN_SAMPLES else BAD_SIZE
    raise Unusable(reason, f'{len(data)} samples, expected {MIN_SAMPLES} to {MAX_SAMPLES}')
  if not all_finite(data):
    raise Unusable(BAD_VALUE, 'data holds NaN or infinity')
  constant = channels.constant(data)
  if constant.size:
    raise Unusable(CONSTANT_CHANNEL, f'column {constant[0]} (from 0) is'
                   f' {data[0, constant[0]]:g} throughout, expected a signal')
  return data.astype(np.float64, copy=False)
