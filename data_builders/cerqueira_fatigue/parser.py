"""Parses one trial of the fatigue set of Cerqueira et al. NumPy only: worker processes import this.

Layout: `sEMG_data/subject_N/trial_K.csv`, N = 1..13, K = 1..12: one header line, then for each of
four muscles of one arm a column of time in s and one of EMG in V. The subject's own level of
fatigue lies in `self_perceived_fatigue_index/subject_N/trial_K.csv`: time in s and 0, 1 or 2.
"""

from collections.abc import Sequence
import os
import re

from aemg_jax.records import Annotation, Label, Record, Sensor
import numpy as np

from data_builders import channels, timestamps
from data_builders.cerqueira_fatigue import levels
from data_builders.jobs import (
    BAD_FORMAT, BAD_SIZE, BAD_TIME, BAD_VALUE, CONSTANT_CHANNEL, MISSING_LABEL, NOT_ALIGNED,
    TOO_SHORT, UNKNOWN_FILE, Job, Reject, Unusable)
from data_builders.raw import find_files, read_along

NAME = 'cerqueira_fatigue'
LICENCE = 'CC BY 4.0'
N_SUBJECTS, N_TRIALS = 13, 12
# Trials 1 and 2, 3 and 4, ... are one exercise with the right and with the left arm; it is named by
# the muscle that it tires.
LABEL_NAMES = ('deltoid anterior', 'deltoid posterior', 'biceps brachii', 'deltoid medius',
               'deltoid anterior (complex)', 'deltoid posterior (complex)')
MUSCLES = ('biceps brachii', 'deltoid anterior', 'deltoid medius', 'deltoid posterior')
SIDES = ('right', 'left')
N_CHANNELS = len(MUSCLES)
RATE_HZ = 34000 / 27  # 1259.26: the step of the clocks is 0.7941 ms; documented as 1259 Hz
MIN_SAMPLES = 100
MAX_PADDING = int(RATE_HZ)  # rows at the end that hold no data of a sensor
MAX_BYTES = 400 << 20  # the longest trial is said to have 1488 s, about 180 MB
LABEL_FOLDER = 'self_perceived_fatigue_index'

_FILE = re.compile(r'sEMG_data/subject_([1-9]\d?)/(?:subject_\1/)?trial_([1-9]\d?)\.csv',
                   re.ASCII | re.IGNORECASE)
_COLUMN = re.compile(r'([RL]) ([A-Z]+ [A-Z]+): EMG \d+ \[V\]')


def find_jobs(folders: Sequence[str]) -> list[Job]:
  """All trials, in order of record id.

  Raises:
    ValueError: if there is none, or one is there twice.
  """
  jobs = find_files(folders, r'(?i:sEMG_data/subject_[^/]*/(?:subject_[^/]*/)?trial_[^/]*\.csv)',
                    'sEMG_data/subject_*/trial_*.csv (the zips within the zip unpacked too)')
  first_with = {}
  for job in jobs:
    its_id = record_id(job.name)
    if its_id and first_with.setdefault(its_id, job) is not job:
      raise ValueError(f'{job.path}: {its_id} is there twice, also as {first_with[its_id].path},'
                       ' expected one copy of the set')
  return sorted(jobs, key=lambda job: (record_id(job.name), job.name))


def raw_files(jobs: Sequence[Job]) -> list[Job]:
  """The trials and their levels of fatigue, for a checksum over all of them."""
  return read_along(jobs, _label_paths)


def record_id(name: str) -> str:
  """'sEMG_data/subject_3/trial_7.csv' -> 'subject03/trial07'; '' for another name."""
  match = _FILE.fullmatch(name)
  if match is None or int(match[1]) > N_SUBJECTS or int(match[2]) > N_TRIALS:
    return ''
  return f'subject{int(match[1]):02d}/trial{int(match[2]):02d}'


def parse(job: Job) -> list[Record | Reject]:
  """One trial -> one record, or the reason why not."""
  try:
    return [_record(job)]
  except Unusable as unusable:
    return [unusable.reject(job.name)]


def _record(job: Job) -> Record:
  its_id = record_id(job.name)
  if not its_id:
    raise Unusable(UNKNOWN_FILE, f'expected subject_1 to subject_{N_SUBJECTS}, trial_1.csv to'
                   f' trial_{N_TRIALS}.csv')
  subject, trial = map(int, _FILE.fullmatch(job.name).groups())
  side = SIDES[(trial - 1) % 2]
  rows, columns = _read_trial(job, side)
  rows = _without_padding(rows)
  time_s = _clock(rows[:, ::2])
  signal_tc = rows[:, columns]
  _check_signal(signal_tc)
  annotations = _levels(job, time_s)
  return Record(
      record_id=its_id, dataset=NAME, subject=f'subject_{subject}', session='1', repetition=-1,
      kind='emg', signal_tc=signal_tc, rate_hz=RATE_HZ, bandwidth_hz=RATE_HZ / 2,
      is_envelope=False,
      sensors=tuple(Sensor(name=f'{side} {muscle}', unit='V') for muscle in MUSCLES),
      labels=(Label(0, len(signal_tc), LABEL_NAMES[(trial - 1) // 2]),), annotations=annotations,
      licence=LICENCE)


def _read_trial(job: Job, side: str) -> tuple[np.ndarray, list[int]]:
  """All numbers [T, 8], and the columns of MUSCLES among them."""
  size = os.path.getsize(job.path)
  if size > MAX_BYTES:
    raise Unusable(BAD_SIZE, f'{size} bytes, expected at most {MAX_BYTES}')
  try:
    with open(job.path, encoding='utf-8-sig', newline='\n') as f:
      names = [name.strip().strip('"') for name in f.readline(4096).split(',')]
      columns = _columns(names, side)
      rows = levels.read_numbers(f, len(names))
  except ValueError as error:  # also of decoding
    raise Unusable(BAD_FORMAT, str(error)[:300]) from error
  if len(rows) < MIN_SAMPLES:
    raise Unusable(TOO_SHORT, f'{len(rows)} samples, expected at least {MIN_SAMPLES}')
  return rows, columns


def _columns(names: Sequence[str], side: str) -> list[int]:
  """Where each of MUSCLES is, going by the header. Raises ValueError on another header."""
  found = {}
  for i, (time, name) in enumerate(zip(names[::2], names[1::2])):
    match = _COLUMN.fullmatch(name)
    if time.startswith('X [s]') and match and match[1] == side[0].upper():
      found[match[2].lower()] = 2 * i + 1
  if len(names) != 2 * N_CHANNELS or set(found) != set(MUSCLES):
    raise ValueError(f'columns {str(list(names))[:200]}, expected pairs of X [s] and'
                     f' "{side[0].upper()} MUSCLE: EMG n [V]" for {MUSCLES}')
  return [found[muscle] for muscle in MUSCLES]


def _without_padding(rows: np.ndarray) -> np.ndarray:
  """Rows up to the end of the first sensor that ends: after it time and EMG are 0 or empty."""
  time, emg = rows[:, ::2], rows[:, 1::2]
  empty = (((time == 0) & (emg == 0)) | np.isnan(time) | np.isnan(emg)).any(axis=1)
  n_padding = int(np.argmin(empty[::-1])) if not empty.all() else len(rows)
  if n_padding > MAX_PADDING or len(rows) - n_padding < MIN_SAMPLES:
    raise Unusable(BAD_SIZE, f'the last {n_padding} of {len(rows)} rows lack data of a sensor,'
                   f' expected at most {MAX_PADDING} and {MIN_SAMPLES} rows before')
  return rows[:len(rows) - n_padding]


def _clock(time_tc: np.ndarray) -> np.ndarray:
  """The time of the rows in s, on which the four sensors agree."""
  for sensor, time_s in enumerate(time_tc.T, start=1):
    problem = timestamps.problem(time_s, RATE_HZ)
    if problem:
      raise Unusable(BAD_TIME, f'sensor {sensor}: {problem}')
  apart_s = np.abs(time_tc - time_tc[:, :1]).max()
  if apart_s > 1 / RATE_HZ:
    raise Unusable(BAD_TIME, f'the sensors are {apart_s:.4f} s apart, expected less than a sample')
  return time_tc[:, 0]


def _check_signal(signal_tc: np.ndarray) -> None:
  bad = np.argwhere(~np.isfinite(signal_tc))
  if bad.size:
    raise Unusable(BAD_VALUE, f'{signal_tc[tuple(bad[0])]} at sample {bad[0, 0]},'
                   f' {MUSCLES[bad[0, 1]]}, expected a finite value')
  constant = channels.constant(signal_tc)
  if constant.size:
    raise Unusable(CONSTANT_CHANNEL, f'{MUSCLES[constant[0]]} is {signal_tc[0, constant[0]]}'
                   ' throughout, expected a signal')


def _label_paths(job: Job) -> list[str]:
  """Where the levels may lie, beside `sEMG_data`: the name has a capital for some subjects."""
  match = _FILE.fullmatch(job.name)
  if match is None:
    return []
  its = f'subject_{match[1]}'
  top = os.path.join(job.path[:len(job.path) - len(job.name)], LABEL_FOLDER)
  return [os.path.join(top, folder, f'{first}rial_{match[2]}.csv')
          for folder in (its, f'{its}/{its}') for first in 'tT']


def _levels(job: Job, time_s: np.ndarray) -> tuple[Annotation, ...]:
  paths = _label_paths(job)
  path = next(filter(os.path.isfile, paths), '')
  if not path:
    raise Unusable(MISSING_LABEL, f'no {"/".join(paths[0].split(os.sep)[-3:])}, expected one')
  try:
    return levels.read_levels(path, time_s)
  except levels.NotAligned as error:
    raise Unusable(NOT_ALIGNED, str(error)) from error
  except ValueError as error:  # also of decoding
    raise Unusable(BAD_FORMAT, f'{LABEL_FOLDER}: {str(error)[:300]}') from error
