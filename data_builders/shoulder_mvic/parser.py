"""Parses one exercise of the shoulder rotation set. NumPy only: worker processes import this.

Layout: `EMG, IMU, and PPG data/TASK/Subject N/EMG data/MUSCLE.csv`, N = 1..34: one column with a
header, mV at 1000 Hz; TASK is a rotation under a load in % of the maximal force, or a measurement
of that force. `Borg data/borg_data.csv` beside it has the ratings of the loaded exercises.
"""

from collections.abc import Sequence
import dataclasses
import io
import os
import re

from aemg_jax.records import Annotation, Label, Record, Sensor
import numpy as np

from data_builders.jobs import (
    BAD_FORMAT, BAD_SIZE, BAD_VALUE, CONSTANT_CHANNEL, MISSING_FILE, MISSING_LABEL, TOO_SHORT,
    UNKNOWN_FILE, Job, Reject, Unusable)
from data_builders.raw import find_files, read_along
from data_builders.shoulder_mvic import borg

NAME = 'shoulder_mvic'
LICENCE = 'CC BY 4.0'
LABEL_NAMES = ('internal rotation', 'external rotation')
N_SUBJECTS = 34
MUSCLES = ('anterior deltoid', 'infraspinatus', 'latissimus dorsi', 'pectoralis major',
           'posterior deltoid', 'upper trapezius')
FILES = tuple(f'{muscle.replace(" ", "_")}.csv' for muscle in MUSCLES)
N_CHANNELS = len(MUSCLES)
RATE_HZ = 1000.0
MIN_SAMPLES = 100
MAX_BYTES = 32 << 20  # of a muscle's file; 250 s and more of 1000 numbers are documented
BORG_RPE = 'borg_rpe'
# Direction and middle of the load in % -> the exercise in the table of ratings.
TASKS = {(way, load): f'task{number}_{load}{way[0]}' for number, (way, load) in enumerate(
    ((way, load) for way in ('internal', 'external') for load in (35, 45, 55)), start=1)}

# Where an archive is unpacked, '%' and the dash may come out as other characters.
_EXERCISE = re.compile(r'([345])0.{1,3}([456])0.{0,3} (internal|external) rotation', re.DOTALL)
_FORCE = re.compile(r'MVIC force (internal|external) rotation (first|second)')
_SUBJECT = re.compile(r'[Ss]ubject[ _]([1-9]\d?)', re.ASCII)
_SENSORS = tuple(Sensor(name=muscle, unit='mV') for muscle in MUSCLES)


def find_jobs(folders: Sequence[str]) -> list[Job]:
  """One job for each subject and exercise, in order of record id.

  Its path is that of the first of the muscles' files, its size that of all.

  Raises:
    ValueError: if there is none, or one is there twice.
  """
  files = find_files(folders, r'[^/]*rotation[^/]*/[Ss]ubject[^/]*/EMG data/[^/]*\.csv',
                     'TASK rotation/Subject N/EMG data/MUSCLE.csv')
  jobs = {}
  for file in files:
    name = file.name.rpartition('/EMG data/')[0]
    first = jobs.get(name, file)
    n_bytes = file.n_bytes + (first.n_bytes if name in jobs else 0)
    jobs[name] = Job(name, first.path, n_bytes)
  first_with = {}
  for job in jobs.values():
    its_id = record_id(job.name)
    if its_id and first_with.setdefault(its_id, job) is not job:
      raise ValueError(f'{job.path}: {its_id} is there twice, also as {first_with[its_id].path},'
                       ' expected one copy of the set')
  return sorted(jobs.values(), key=lambda job: (record_id(job.name), job.name))


def raw_files(jobs: Sequence[Job]) -> list[Job]:
  """The files of all muscles and the table of ratings, for a checksum over all of them."""
  named = [dataclasses.replace(job, name=f'{job.name}/EMG data/{os.path.basename(job.path)}')
           for job in jobs]
  return read_along(named, lambda job: [_borg_path(job), *(
      os.path.join(os.path.dirname(job.path), file) for file in FILES)])


def record_id(name: str) -> str:
  """'30-40_ internal rotation/Subject 3' -> 'subject03/internal_rotation_35'; '' if unknown."""
  place = _place(name)
  if place is None:
    return ''
  subject, way, load, repetition = place
  which = f'_{repetition + 1}' if load == 100 else ''
  return f'subject{subject:02d}/{way}_rotation_{load}{which}'


def _place(name: str) -> tuple[int, str, int, int] | None:
  """Subject, direction, load in % (100: the measurement of force) and repetition (or -1)."""
  task, _, its_subject = name.partition('/')
  subject = _SUBJECT.fullmatch(its_subject)
  if subject is None or int(subject[1]) > N_SUBJECTS:
    return None
  if force := _FORCE.fullmatch(task):
    return int(subject[1]), force[1], 100, ('first', 'second').index(force[2])
  exercise = _EXERCISE.fullmatch(task)
  if exercise is None or int(exercise[2]) != int(exercise[1]) + 1:
    return None
  return int(subject[1]), exercise[3], int(exercise[1]) * 10 + 5, -1


def parse(job: Job) -> list[Record | Reject]:
  """One exercise of one subject -> one record, or the reason why not."""
  try:
    return [_record(job)]
  except Unusable as unusable:
    return [unusable.reject(job.name)]


def _record(job: Job) -> Record:
  place = _place(job.name)
  if place is None:
    raise Unusable(UNKNOWN_FILE, 'expected 30-40%, 40-50% or 50-60% internal or external rotation,'
                   f' or MVIC force ... first or second, and Subject 1 to {N_SUBJECTS}')
  subject, way, load, repetition = place
  signal_tc = _read_signal(os.path.dirname(job.path))
  n_samples = len(signal_tc)
  annotations = [Annotation(0, n_samples, 'percent_mvc', float(load))]
  if (way, load) in TASKS:
    annotations += _ratings(job, f'subject_{subject}', TASKS[way, load], n_samples)
  return Record(
      record_id=record_id(job.name), dataset=NAME, subject=f'subject_{subject}', session='1',
      repetition=repetition, kind='emg', signal_tc=signal_tc, rate_hz=RATE_HZ,
      bandwidth_hz=RATE_HZ / 2, is_envelope=False, sensors=_SENSORS,
      labels=(Label(0, n_samples, f'{way} rotation'),), annotations=tuple(annotations),
      licence=LICENCE)


def _ratings(job: Job, subject: str, task: str, n_samples: int) -> list[Annotation]:
  """Ratings as spans, cut at the end of the recording."""
  try:
    ratings = borg.read_ratings(_borg_path(job), subject, task)
  except borg.BorgError as error:
    raise Unusable(MISSING_LABEL, f'{borg.FILE}: {error}') from error
  spans = [(round(start_s * RATE_HZ), min(round(stop_s * RATE_HZ), n_samples), rating)
           for start_s, stop_s, rating in ratings]
  return [Annotation(start, stop, BORG_RPE, rating) for start, stop, rating in spans
          if start < stop]


def _borg_path(job: Job) -> str:
  root = job.path
  for _ in range(5):  # .../EMG, IMU, and PPG data/TASK/Subject N/EMG data/MUSCLE.csv
    root = os.path.dirname(root)
  return os.path.join(root, *borg.FILE.split('/'))


def _read_signal(folder: str) -> np.ndarray:
  """The muscles [T, 6], float64."""
  columns = []
  for file in FILES:
    column = _read_column(os.path.join(folder, file), file)
    if columns and len(column) != len(columns[0]):
      raise Unusable(BAD_SIZE, f'{file} has {len(column)} samples, expected {len(columns[0])} as'
                     ' in the file of the first muscle')
    columns.append(column)
  return np.stack(columns, axis=1)


def _read_column(path: str, file: str) -> np.ndarray:
  """The samples of one muscle, after one line of header."""
  if not os.path.isfile(path):
    raise Unusable(MISSING_FILE, f'no {file}, expected the files of {N_CHANNELS} muscles')
  with open(path, 'rb') as f:
    data = f.read(MAX_BYTES + 1)
  if len(data) > MAX_BYTES:
    raise Unusable(BAD_SIZE, f'{file} has more than {MAX_BYTES} bytes')
  header, _, body = data.partition(b'\n')
  if _is_number(header) or not body.strip():
    raise Unusable(TOO_SHORT if not body.strip() else BAD_FORMAT,
                   f'{file} begins with {header[:40]!r}, expected a line of header and samples')
  try:
    column = np.loadtxt(io.StringIO(body.decode('ascii')), comments=None, delimiter=',', ndmin=2)
  except ValueError as error:  # also of decoding
    raise Unusable(BAD_FORMAT, f'{file}: {str(error)[:200]}, expected one number a'
                   ' line') from error
  n_lines = body.count(b'\n') + (not body.endswith(b'\n'))  # loadtxt passes over empty lines
  if column.shape != (n_lines, 1):
    raise Unusable(BAD_FORMAT, f'{file} has {n_lines} lines with {column.shape[0]} rows of'
                   f' {column.shape[1]}, expected one number a line')
  if n_lines < MIN_SAMPLES:
    raise Unusable(TOO_SHORT, f'{file} has {n_lines} samples, expected at least {MIN_SAMPLES}')
  bad = np.flatnonzero(~np.isfinite(column[:, 0]))
  if bad.size:
    raise Unusable(BAD_VALUE, f'{file}: {column[bad[0], 0]} in sample {bad[0]}, expected a finite'
                   ' number')
  if column.min() == column.max():
    raise Unusable(CONSTANT_CHANNEL, f'{file} is {column[0, 0]} throughout, expected a signal')
  return column[:, 0]


def _is_number(text: bytes) -> bool:
  try:
    float(text)
  except ValueError:
    return False
  return True
