"""Parses one .mat file of FORS-EMG (Rumman et al. 2024). NumPy only: worker processes import this.

Layout (documentation; not seen): `FORS-EMG/SubjectN/ORIENTATION/GESTURE-TRIAL.mat`, N = 1 to 19,
TRIAL = 1 to 5; MATLAB v5 with one variable `value` [8, 8000]: a channel is a row. The case of the
folders varies between subjects.
"""

from collections.abc import Sequence
import re

from aemg_jax.records import Label, Record, Sensor
import numpy as np

from data_builders import channels, mat5
from data_builders.jobs import (
    BAD_FORMAT, BAD_SIZE, BAD_VALUE, CONSTANT_CHANNEL, TOO_SHORT, UNKNOWN_FILE, UNKNOWN_LABEL, Job,
    Reject, Unusable)
from data_builders.raw import find_files

NAME = 'fors_emg'
LICENCE = 'not known to this project (see the page of the set)'
# Name of the file, without case -> label. The set itself writes "ulner".
GESTURES = {
    'thumb_up': 'thumb up', 'index': 'index', 'right_angle': 'right angle', 'peace': 'peace',
    'index_little': 'index little', 'thumb_little': 'thumb little', 'hand_close': 'hand close',
    'hand_open': 'hand open', 'wrist_extension': 'wrist extension',
    'wrist_flexion': 'wrist flexion', 'ulner_deviation': 'ulnar deviation',
    'ulnar_deviation': 'ulnar deviation', 'radial_deviation': 'radial deviation'}
LABEL_NAMES = tuple(dict.fromkeys(GESTURES.values()))
COMMON_NAMES = {
    'thumb up': 'thumb up', 'hand close': 'fist', 'hand open': 'open',
    'wrist extension': 'wrist extension', 'wrist flexion': 'wrist flexion',
    'ulnar deviation': 'ulnar deviation', 'radial deviation': 'radial deviation'}
ORIENTATIONS = ('pronation', 'rest', 'supination')  # of the forearm
N_SUBJECTS = 19
N_TRIALS = 5
N_CHANNELS = 8
RATE_HZ = 985.0
MIN_SAMPLES = 500  # half a second; 8000 are documented
MAX_SAMPLES = 80_000
MAX_BYTES = 8 << 20  # of `value`, unpacked; 0.5 MB as documented

_FILE = re.compile(r'subject([1-9]\d?)/([a-z]+)/([a-z_]+)-(\d+)\.mat', re.IGNORECASE | re.ASCII)
# 1 to 4 near the elbow, 5 to 8 over the same muscles in the middle of the forearm.
_SENSORS = tuple(Sensor(f'{place} {i + 1}') for place in ('elbow', 'mid-forearm')
                 for i in range(N_CHANNELS // 2))


def find_jobs(folders: Sequence[str]) -> list[Job]:
  """All trials, in order of record id.

  Raises:
    ValueError: if there is none, or one is there twice, as `Rest` and as `rest`.
  """
  jobs, first_with = [], {}
  for job in find_files(folders, r'(?i:subject\d+)/[^/]+/[^/.][^/]*\.mat',
                        'SubjectN/ORIENTATION/GESTURE-TRIAL.mat'):
    its_id = record_id(job.name)
    if its_id and first_with.setdefault(its_id, job) is not job:
      raise ValueError(f'{job.path}: {its_id} is there twice, also as {first_with[its_id].path},'
                       ' expected one copy of the set')
    jobs.append(job)
  return sorted(jobs, key=lambda job: (record_id(job.name), job.name))


def _place(name: str) -> tuple[str, str, str, int] | None:
  """Subject, orientation, gesture as the file has it and trial; None for no file of the set."""
  match = _FILE.fullmatch(name)
  if match is None:
    return None
  subject, orientation, gesture, trial = match.groups()
  if (int(subject) > N_SUBJECTS or orientation.lower() not in ORIENTATIONS
      or trial not in map(str, range(1, N_TRIALS + 1))):
    return None
  return f'subject{int(subject):02d}', orientation.lower(), gesture.lower(), int(trial)


def record_id(name: str) -> str:
  """'Subject3/Rest/Hand_Close-1.mat' -> 'subject03/rest/hand_close-1'; '' for other files."""
  place = _place(name)
  if place is None or place[2] not in GESTURES:
    return ''
  subject, orientation, gesture, trial = place
  return f'{subject}/{orientation}/{GESTURES[gesture].replace(" ", "_")}-{trial}'


def parse(job: Job) -> list[Record | Reject]:
  """One file -> one record, or the reason why not."""
  try:
    return [_record(job)]
  except Unusable as unusable:
    return [unusable.reject(job.name)]


def _record(job: Job) -> Record:
  place = _place(job.name)
  if place is None:
    raise Unusable(UNKNOWN_FILE, 'expected SubjectN/ORIENTATION/GESTURE-TRIAL.mat, N from 1 to'
                   f' {N_SUBJECTS}, one of {ORIENTATIONS}, a trial from 1 to {N_TRIALS}')
  subject, orientation, gesture, trial = place
  if gesture not in GESTURES:
    raise Unusable(UNKNOWN_LABEL, f'gesture {gesture}, expected one of {tuple(GESTURES)}')
  signal_tc = _signal(job)
  return Record(
      record_id=record_id(job.name), dataset=NAME, subject=subject, session=orientation,
      repetition=trial - 1, kind='emg', signal_tc=signal_tc, rate_hz=RATE_HZ,
      bandwidth_hz=RATE_HZ / 2, is_envelope=False, sensors=_SENSORS,
      labels=(Label(0, len(signal_tc), GESTURES[gesture]),), annotations=(), licence=LICENCE)


def _signal(job: Job) -> np.ndarray:
  """EMG [T, 8] float64."""
  try:
    value = mat5.read_arrays(job.path, ('value',), MAX_BYTES).get('value')
  except mat5.MatError as error:
    raise Unusable(BAD_FORMAT, str(error)) from error
  if value is None or value.shape[0] != N_CHANNELS:
    what = 'missing' if value is None else f'of shape {value.shape}'
    raise Unusable(BAD_FORMAT, f'variable value is {what}, expected {N_CHANNELS} rows')
  n_samples = value.shape[1]
  if n_samples < MIN_SAMPLES:
    raise Unusable(TOO_SHORT, f'{n_samples} samples, expected at least {MIN_SAMPLES}')
  if n_samples > MAX_SAMPLES:
    raise Unusable(BAD_SIZE, f'{n_samples} samples, expected at most {MAX_SAMPLES}')
  if not np.isfinite(value).all():
    raise Unusable(BAD_VALUE, 'value holds NaN or infinity')
  constant = channels.constant(value.T)
  if constant.size:
    raise Unusable(CONSTANT_CHANNEL, f'row {constant[0]} (from 0) is {value[constant[0], 0]:g}'
                   ' throughout, expected a signal')
  return np.ascontiguousarray(value.T, np.float64)
