"""Parses one file of ContractionIntensity. NumPy only: worker processes import this.

Layout (verified on the bytes at hand): `S{1..10}/S{n}_{LEVEL}_C{1..7}_R{1..4}.csv`: one row per
sample at 1000 Hz, 8 comma-separated numbers of five digits, no header; about 3 s. C is the class,
R the repetition, LEVEL the effort: Ramp, 20P to 80P, MVC (two repetitions), Light, Medium, Hard.
"""

from collections.abc import Sequence
import io
import re

from aemg_jax.records import Annotation, Label, Record, Sensor
import numpy as np

from data_builders import channels
from data_builders.jobs import (BAD_FORMAT, BAD_SIZE, BAD_VALUE, CONSTANT_CHANNEL, TOO_SHORT,
                                UNKNOWN_FILE, Job, Reject)
from data_builders.raw import find_files

NAME = 'contraction_intensity'
LICENCE = 'not stated'
LABEL_NAMES = ('no movement', 'wrist flexion', 'wrist extension', 'wrist pronation',
               'wrist supination', 'chuck grip', 'hand open')
COMMON_NAMES = {
    'no movement': 'rest', 'wrist flexion': 'wrist flexion', 'wrist extension': 'wrist extension',
    'wrist pronation': 'pronation', 'wrist supination': 'supination', 'chuck grip': 'tripod grip',
    'hand open': 'open'}
# Level -> effort in % of the maximal voluntary contraction, None where the level has no number.
PERCENT_MVC = {f'{percent}P': float(percent) for percent in range(20, 90, 10)} | {
    'MVC': 100.0, 'Ramp': None, 'Light': None, 'Medium': None, 'Hard': None}
N_CHANNELS = 8
RATE_HZ = 1000.0
BANDWIDTH_HZ = 450.0  # 5th-order Butterworth low-pass of the amplifier
BLOCK = 64  # every file at hand holds a multiple of this many samples
MAX_ABS = 10.0  # the largest value at hand is 5.0262
MAX_BYTES = 8 << 20  # files at hand have up to 242 kB

_FILE = re.compile(r'S(10|[1-9])/S\1_([A-Za-z0-9]+)_C([1-7])_R([1-4])\.csv')
# Eight equally spaced pairs round the forearm. Where the first lay and in which sense the numbers
# run round the arm is not documented.
_SENSORS = tuple(Sensor(name=f'emg{i}', ring=1, angle_deg=45.0 * i) for i in range(N_CHANNELS))


def find_jobs(folders: Sequence[str]) -> list[Job]:
  """All .csv files of all subjects, in order of record id."""
  jobs = find_files(folders, r'S\d+/[^/]*\.csv', 'file S1/S1_LEVEL_C1_R1.csv')
  return sorted(jobs, key=lambda job: (record_id(job.name), job.name))


def record_id(name: str) -> str:
  """'S3/S3_20P_C7_R1.csv' -> 'S03/20P/C7/R1'."""
  match = _FILE.fullmatch(name)
  return '' if match is None else 'S{:0>2}/{}/C{}/R{}'.format(*match.groups())


def parse(job: Job) -> list[Record | Reject]:
  """One file -> one record, or the reason why not."""
  match = _FILE.fullmatch(job.name)
  if match is None or match[2] not in PERCENT_MVC:
    return [Reject(job.name, UNKNOWN_FILE, 'expected S{1..10}/S{n}_LEVEL_C{1..7}_R{1..4}.csv, LEVEL'
                   f' one of {sorted(PERCENT_MVC)}')]
  signal_tc = _signal(job)
  if isinstance(signal_tc, Reject):
    return [signal_tc]
  label = LABEL_NAMES[int(match[3]) - 1]
  percent_mvc = PERCENT_MVC[match[2]]
  # A level is the effort of a movement: the same rest was recorded at each.
  no_effort = percent_mvc is None or label == LABEL_NAMES[0]
  annotations = () if no_effort else (
      Annotation(0, len(signal_tc), 'percent_mvc', percent_mvc),)
  return [Record(
      record_id=record_id(job.name), dataset=NAME, subject=f'S{match[1]}', session=match[2],
      repetition=int(match[4]) - 1, kind='emg', signal_tc=signal_tc, rate_hz=RATE_HZ,
      bandwidth_hz=BANDWIDTH_HZ, is_envelope=False, sensors=_SENSORS,
      labels=(Label(0, len(signal_tc), label),), annotations=annotations, licence=LICENCE)]


def _signal(job: Job) -> np.ndarray | Reject:
  """The samples [T, 8] as float32, which holds the five digits of the text."""
  with open(job.path, 'rb') as f:
    data = f.read(MAX_BYTES + 1)
  if len(data) > MAX_BYTES:
    return Reject(job.name, BAD_SIZE, f'more than {MAX_BYTES} bytes, expected about 230 kB')
  if not data.strip():
    return Reject(job.name, TOO_SHORT, f'no samples, expected at least {BLOCK}')
  try:
    signal_tc = np.loadtxt(io.StringIO(data.decode('ascii')), delimiter=',', comments=None, ndmin=2)
  except ValueError as error:  # also of decoding
    return Reject(job.name, BAD_FORMAT, f'{error}, expected rows of {N_CHANNELS} numbers')
  n_lines = data.count(b'\n')  # loadtxt passes over empty lines, which would shift time
  if signal_tc.shape != (n_lines, N_CHANNELS):
    return Reject(job.name, BAD_FORMAT, f'{n_lines} lines with {signal_tc.shape[0]} rows of'
                  f' {signal_tc.shape[1]}, expected as many rows as lines, of {N_CHANNELS}')
  if n_lines % BLOCK:
    return Reject(job.name, BAD_SIZE,
                  f'{n_lines} samples, expected a multiple of {BLOCK} (is the file cut short?)')
  if not (np.abs(signal_tc) <= MAX_ABS).all():  # NaN too
    t, c = np.argwhere(~(np.abs(signal_tc) <= MAX_ABS))[0]
    return Reject(job.name, BAD_VALUE,
                  f'{signal_tc[t, c]} in row {t}, column {c}, expected at most {MAX_ABS:g}')
  constant = channels.constant(signal_tc)
  if constant.size:
    return Reject(job.name, CONSTANT_CHANNEL, f'channel {constant[0]} is'
                  f' {signal_tc[0, constant[0]]} throughout, expected a signal')
  return signal_tc.astype(np.float32)
