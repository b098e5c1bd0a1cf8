"""Parses one EMG file of the 3DC dataset. NumPy only: worker processes import this.

Layout (verified on two participants): `ParticipantN/{train,test}/EMG/3dc_EMG_gesture_R_C.txt`,
N = 1..22, cycle R = 0..3, class C = 0..10: one line per sample, 10 whole numbers divided by commas,
1000 Hz, nominally 5 s. The cycle comes first in the name, the class second.
"""

from collections.abc import Sequence
import os
import re
import warnings

from aemg_jax.records import Label, Record, Sensor
import numpy as np

from data_builders import channels
from data_builders.jobs import (
    BAD_FORMAT, BAD_SIZE, BAD_VALUE, CONSTANT_CHANNEL, TOO_SHORT, UNKNOWN_FILE, Job, Reject)
from data_builders.raw import find_files

NAME = 'three_dc'
LICENCE = 'not stated'
LABEL_NAMES = ('no motion', 'radial deviation', 'wrist flexion', 'ulnar deviation',
               'wrist extension', 'supination', 'pronation', 'power grip', 'open hand',
               'chuck grip', 'pinch grip')
COMMON_NAMES = {
    'no motion': 'rest', 'radial deviation': 'radial deviation', 'wrist flexion': 'wrist flexion',
    'ulnar deviation': 'ulnar deviation', 'wrist extension': 'wrist extension',
    'supination': 'supination', 'pronation': 'pronation', 'power grip': 'power grip',
    'open hand': 'open', 'chuck grip': 'tripod grip', 'pinch grip': 'pinch'}
N_SUBJECTS = 22
N_CYCLES = 4
N_CHANNELS = 10
RATE_HZ = 1000.0
BANDWIDTH_HZ = 460.0  # cutoff of the analogue anti-aliasing filter
MIN_SAMPLES = 500  # 0.5 s; known are a file of 363 samples, one of 932, one of 2582
MAX_BYTES = 4 << 20  # 6000 samples have 250 kB

_FILE = re.compile(r'Participant([1-9]\d?)/(train|test)/EMG/3dc_EMG_gesture_(\d)_(\d|10)\.txt')
_LINE = re.compile(rb'-?\d{1,5}(?:,-?\d{1,5}){9}')
_INT16 = np.iinfo(np.int16)
# Electrode 0 has no documented direction: angles are relative to it. That the columns go round the
# arm in order shows in the recordings of participant 2 (see README.md).
_SENSORS = tuple(Sensor(name=f'emg{i}', ring=1, angle_deg=36.0 * i) for i in range(N_CHANNELS))


def find_jobs(folders: Sequence[str]) -> list[Job]:
  """All EMG files, in order of record id. Raises ValueError if there is none, or one twice."""
  jobs = find_files(folders, r'Participant\d+/(?:train|test)/EMG/[^/]*\.txt',
                    'Participant*/{train,test}/EMG/*.txt')
  return sorted(jobs, key=lambda job: (record_id(job.name), job.name))


def record_id(name: str) -> str:
  """'Participant1/train/EMG/3dc_EMG_gesture_3_5.txt' -> 'Participant01/train/cycle3_class05'."""
  match = _FILE.fullmatch(name)
  return '' if match is None else 'Participant{:0>2}/{}/cycle{}_class{:0>2}'.format(*match.groups())


def parse(job: Job) -> list[Record | Reject]:
  """One file -> one record, or the reason why not."""
  match = _FILE.fullmatch(job.name)
  if match is None or int(match[1]) > N_SUBJECTS or int(match[3]) >= N_CYCLES:
    return [Reject(job.name, UNKNOWN_FILE, 'expected Participant1 to Participant22 and'
                   ' 3dc_EMG_gesture_CYCLE_CLASS.txt with cycles 0 to 3 and classes 0 to 10')]
  signal_tc = _read(job)
  if isinstance(signal_tc, Reject):
    return [signal_tc]
  if len(signal_tc) < MIN_SAMPLES:
    return [Reject(job.name, TOO_SHORT,
                   f'{len(signal_tc)} samples, expected at least {MIN_SAMPLES}')]
  constant = channels.constant(signal_tc)
  if constant.size:
    value = signal_tc[0, constant[0]]
    return [Reject(job.name, CONSTANT_CHANNEL,
                   f'channel {constant[0]} is {value} throughout, expected a signal')]
  return [Record(
      record_id=record_id(job.name), dataset=NAME, subject=f'Participant{match[1]}',
      session=match[2], repetition=int(match[3]), kind='emg', signal_tc=signal_tc,
      rate_hz=RATE_HZ, bandwidth_hz=BANDWIDTH_HZ, is_envelope=False, sensors=_SENSORS,
      labels=(Label(0, len(signal_tc), LABEL_NAMES[int(match[4])]),), annotations=(),
      licence=LICENCE)]


def _read(job: Job) -> np.ndarray | Reject:
  """The table as int16 [T, 10], or what is wrong with the text."""
  size = os.path.getsize(job.path)
  if not 0 < size <= MAX_BYTES:
    return Reject(job.name, BAD_SIZE, f'{size} bytes, expected 1 to {MAX_BYTES}')
  with open(job.path, 'rb') as f:
    data = f.read()
  table_tc = _plain_table(data)
  if table_tc is None:
    i, line = next((i, line) for i, line in enumerate(data.splitlines())
                   if _LINE.fullmatch(line) is None)
    return Reject(job.name, BAD_FORMAT, f'line {i + 1} is {line[:80]!r}, expected {N_CHANNELS}'
                  ' whole numbers divided by commas')
  if table_tc.min() < _INT16.min or table_tc.max() > _INT16.max:
    sample, channel = np.argwhere((table_tc < _INT16.min) | (table_tc > _INT16.max))[0]
    return Reject(job.name, BAD_VALUE, f'{table_tc[sample, channel]} at sample {sample}, channel'
                  f' {channel}, expected a value of 16 bits')
  return table_tc.astype(np.int16)


def _plain_table(data: bytes) -> np.ndarray | None:
  """The numbers, or None where a line is not as _LINE says (zeros before a number are let be).

  All at once: np.loadtxt takes half as long again.
  """
  if b'\r' in data:
    data = b'\n'.join(data.splitlines())
  data = data.removesuffix(b'\n')
  n_lines = data.count(b'\n') + 1
  between = data.translate(None, b'-0123456789') + b'\n'
  data = data.replace(b'\n', b',') + b','
  if between != (b',' * (N_CHANNELS - 1) + b'\n') * n_lines or b'-,' in data:  # NumPy: 0
    return None
  with warnings.catch_warnings():
    warnings.simplefilter('ignore', DeprecationWarning)  # of numbers that cannot be read
    try:
      numbers = np.fromstring(data[:-1], np.int64, sep=',')
    except ValueError:  # as NumPy announces for the same
      return None
  return numbers.reshape(-1, N_CHANNELS) if numbers.size == n_lines * N_CHANNELS else None
