"""Parses one .mat file of MCS-EMG (Ozdemir et al. 2022). NumPy only: worker processes import this.

Layout (documentation; not seen): `sEMG-dataset/raw/mat/N_raw.mat`, N = 1 to 40, one continuous
recording of 640 s per participant, MATLAB v5: `data` [T, 4] in mV, `fs` 2000, `iD` N. There are no
labels: the protocol's clock gives them, as in the authors' own segmentation.
"""

from collections.abc import Sequence
import re

from aemg_jax.records import Annotation, Label, Record, Sensor, all_finite
import numpy as np

from data_builders import channels, mat5
from data_builders.jobs import (
    BAD_FORMAT, BAD_SIZE, BAD_VALUE, CONSTANT_CHANNEL, TOO_SHORT, UNKNOWN_FILE, Job, Reject,
    Unusable)
from data_builders.raw import find_files

NAME = 'mcs_emg'
LICENCE = 'CC BY 4.0'
# In the order in which every cycle asks for them.
LABEL_NAMES = (
    'rest', 'wrist extension', 'wrist flexion', 'ulnar deviation', 'radial deviation', 'grip',
    'abduction of all fingers', 'adduction of all fingers', 'supination', 'pronation')
COMMON_NAMES = {
    'rest': 'rest', 'wrist extension': 'wrist extension', 'wrist flexion': 'wrist flexion',
    'ulnar deviation': 'ulnar deviation', 'radial deviation': 'radial deviation', 'grip': 'fist',
    'abduction of all fingers': 'open', 'supination': 'supination', 'pronation': 'pronation'}
N_PARTICIPANTS = 40
N_CHANNELS = 4
RATE_HZ = 2000.0
CYCLE_STARTS_S = (4, 138, 272, 406, 540)  # of the first gesture
GESTURE_EVERY_S = 10
GESTURE_S = 6  # then 4 s of pause, which the authors leave without label
MIN_SAMPLES = int((CYCLE_STARTS_S[-1] + GESTURE_EVERY_S * (len(LABEL_NAMES) - 1) + GESTURE_S)
                  * RATE_HZ)
# 640 s are documented. Of a much longer recording it is not known where the clock begins.
MAX_SAMPLES = int(650 * RATE_HZ)
MAX_BYTES = 64 << 20  # of `data`, unpacked; 41 MB as documented

_FILE = re.compile(r'([1-9]\d?)_raw\.mat')
# Which channel lies on which muscle is not in anything that this project read.
_SENSORS = tuple(Sensor(f'channel {i + 1}', unit='mV') for i in range(N_CHANNELS))


def find_jobs(folders: Sequence[str]) -> list[Job]:
  """The raw recordings, in order of record id; copies in CSV and filtered ones are ignored.

  Raises:
    ValueError: if there is none, or one is there twice.
  """
  jobs = find_files(folders, r'[^/.][^/]*_raw\.mat', 'N_raw.mat')
  return sorted(jobs, key=lambda job: (record_id(job.name), job.name))


def record_id(name: str) -> str:
  """'7_raw.mat' -> 'participant07'; '' for a file that the set does not have."""
  match = _FILE.fullmatch(name)
  known = match is not None and int(match[1]) <= N_PARTICIPANTS
  return f'participant{int(match[1]):02d}' if known else ''


def parse(job: Job) -> list[Record | Reject]:
  """One file -> one record, or the reason why not."""
  its_id = record_id(job.name)
  try:
    if not its_id:
      raise Unusable(UNKNOWN_FILE, f'expected N_raw.mat, N from 1 to {N_PARTICIPANTS}')
    signal_tc = _signal(job)
  except Unusable as unusable:
    return [unusable.reject(job.name)]
  spans = _spans()
  return [Record(
      record_id=its_id, dataset=NAME, subject=its_id, session='1', repetition=-1, kind='emg',
      signal_tc=signal_tc, rate_hz=RATE_HZ, bandwidth_hz=RATE_HZ / 2, is_envelope=False,
      sensors=_SENSORS, labels=tuple(Label(start, stop, name) for start, stop, name, _ in spans),
      annotations=tuple(Annotation(start, stop, 'repetition', k) for start, stop, _, k in spans),
      licence=LICENCE)]


def _spans() -> list[tuple[int, int, str, float]]:
  """Start, stop, label name and repetition of every gesture, by the protocol's clock."""
  spans = []
  for repetition, cycle_s in enumerate(CYCLE_STARTS_S):
    for i, name in enumerate(LABEL_NAMES):
      start_s = cycle_s + GESTURE_EVERY_S * i
      spans.append((int(start_s * RATE_HZ), int((start_s + GESTURE_S) * RATE_HZ), name,
                    float(repetition)))
  return spans


def _signal(job: Job) -> np.ndarray:
  """EMG [T, 4] float64 in mV, of a file whose numbers say what its name says."""
  try:
    arrays = mat5.read_arrays(job.path, ('data', 'fs', 'iD'), MAX_BYTES)
  except mat5.MatError as error:
    raise Unusable(BAD_FORMAT, str(error)) from error
  for name, expected in (('fs', RATE_HZ), ('iD', int(_FILE.fullmatch(job.name)[1]))):
    found = arrays.get(name)
    if found is None or found.shape != (1, 1):
      what = 'missing' if found is None else f'of shape {found.shape}'
      raise Unusable(BAD_FORMAT, f'variable {name} is {what}, expected one number')
    if found[0, 0] != expected:
      raise Unusable(BAD_VALUE, f'variable {name} is {found[0, 0]:g}, expected {expected:g}')
  data = arrays.get('data')
  if data is None or data.shape[1] != N_CHANNELS:
    what = 'missing' if data is None else f'of shape {data.shape}'
    raise Unusable(BAD_FORMAT, f'variable data is {what}, expected {N_CHANNELS} columns')
  if len(data) < MIN_SAMPLES:
    raise Unusable(TOO_SHORT, f'{len(data)} samples, expected at least {MIN_SAMPLES}, where the'
                   ' last gesture ends')
  if len(data) > MAX_SAMPLES:
    raise Unusable(BAD_SIZE, f'{len(data)} samples, expected at most {MAX_SAMPLES}')
  if not all_finite(data):
    raise Unusable(BAD_VALUE, 'data holds NaN or infinity')
  constant = channels.constant(data)
  if constant.size:
    raise Unusable(CONSTANT_CHANNEL, f'column {constant[0]} (from 0) is'
                   f' {data[0, constant[0]]:g} throughout, expected a signal')
  return data.astype(np.float64, copy=False)
