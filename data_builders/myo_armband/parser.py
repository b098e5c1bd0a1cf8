"""Parses one .dat file of the MyoArmband dataset. NumPy only: worker processes import this.

Layout (verified on the published bytes): `{PreTraining,Evaluation}Dataset/{Female,Male}N/
{training0,Test0,Test1}/classe_I.dat`, I = 0..27: int16 little-endian, the 8 channels interleaved,
200 Hz, about 5 s. Gesture = I % 7 and repetition = I // 7.
"""

from collections.abc import Sequence
import re

from aemg_jax.records import Label, Record, Sensor
import numpy as np

from data_builders import channels
from data_builders.jobs import BAD_SIZE, CONSTANT_CHANNEL, TOO_SHORT, UNKNOWN_FILE, Job, Reject
from data_builders.raw import find_files

NAME = 'myo_armband'
LICENCE = 'GPL-3.0 (of the repository; no separate licence for the recordings)'
LABEL_NAMES = ('neutral', 'radial deviation', 'wrist flexion', 'ulnar deviation',
               'wrist extension', 'hand close', 'hand open')
COMMON_NAMES = {
    'neutral': 'rest', 'radial deviation': 'radial deviation', 'wrist flexion': 'wrist flexion',
    'ulnar deviation': 'ulnar deviation', 'wrist extension': 'wrist extension',
    'hand close': 'fist', 'hand open': 'open'}
SET_FOLDERS = ('EvaluationDataset', 'PreTrainingDataset')
N_REPETITIONS = 4
N_CHANNELS = 8
RATE_HZ = 200.0
MIN_SAMPLES = 100  # 0.5 s; the shortest published file has 732
DTYPE = np.dtype('<i2')
FRAME_BYTES = N_CHANNELS * DTYPE.itemsize

_FILE = re.compile(r'(Evaluation|PreTraining)Dataset/((?:Female|Male)\d+)/(training0|Test0|Test1)/'
                   r'classe_(0|[1-9]\d?)\.dat')
# Electrode 0 of the Myo has no documented direction: angles are relative to it, and the sense of
# rotation depends on how the band was worn.
_SENSORS = tuple(Sensor(name=f'emg{i}', ring=1, angle_deg=45.0 * i) for i in range(N_CHANNELS))


def find_jobs(folders: Sequence[str]) -> list[Job]:
  """All .dat files of both sets, in order of record id.

  Raises:
    ValueError: if a set is missing, or there twice.
  """
  jobs = find_files(folders, rf'(?:{"|".join(SET_FOLDERS)})/(?:.*/)?[^/]*\.dat',
                    f'.dat file in {" or ".join(SET_FOLDERS)}')
  missing = set(SET_FOLDERS) - {job.name.split('/')[0] for job in jobs}
  if missing:
    raise ValueError(f'{", ".join(map(str, folders))}: {sorted(missing)[0]} is missing, expected'
                     f' {SET_FOLDERS}')
  return sorted(jobs, key=lambda job: (record_id(job.name), job.name))


def record_id(name: str) -> str:
  """'EvaluationDataset/Male0/training0/classe_3.dat' -> 'Evaluation/Male0/training0/classe_03'."""
  match = _FILE.fullmatch(name)
  return '' if match is None else '{}/{}/{}/classe_{:0>2}'.format(*match.groups())


def parse(job: Job) -> list[Record | Reject]:
  """One file -> one record, or the reason why not."""
  match = _FILE.fullmatch(job.name)
  index = -1 if match is None else int(match[4])
  if not 0 <= index < N_REPETITIONS * len(LABEL_NAMES):
    return [Reject(job.name, UNKNOWN_FILE, 'expected SET/SUBJECT/SESSION/classe_0.dat to'
                   f' classe_{N_REPETITIONS * len(LABEL_NAMES) - 1}.dat')]
  with open(job.path, 'rb') as f:
    data = f.read()
  if len(data) % FRAME_BYTES:
    return [Reject(job.name, BAD_SIZE, f'{len(data)} bytes, expected a multiple of {FRAME_BYTES}'
                   f' ({N_CHANNELS} channels of int16)')]
  signal_tc = np.frombuffer(data, DTYPE).reshape(-1, N_CHANNELS)
  if len(signal_tc) < MIN_SAMPLES:
    return [Reject(job.name, TOO_SHORT,
                   f'{len(signal_tc)} samples, expected at least {MIN_SAMPLES}')]
  constant = channels.constant(signal_tc)
  if constant.size:
    value = signal_tc[0, constant[0]]
    return [Reject(job.name, CONSTANT_CHANNEL,
                   f'channel {constant[0]} is {value} throughout, expected a signal')]
  label = LABEL_NAMES[index % len(LABEL_NAMES)]
  return [Record(
      record_id=record_id(job.name), dataset=NAME, subject=f'{match[1]}/{match[2]}',
      session=match[3], repetition=index // len(LABEL_NAMES), kind='emg',
      signal_tc=signal_tc.astype(np.int16), rate_hz=RATE_HZ, bandwidth_hz=RATE_HZ / 2,
      is_envelope=False, sensors=_SENSORS, labels=(Label(0, len(signal_tc), label),),
      annotations=(), licence=LICENCE)]
