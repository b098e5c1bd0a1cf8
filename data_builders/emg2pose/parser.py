"""Parses one HDF5 file of emg2pose. NumPy and h5py only: workers import this.

Layout (from the source's loader and readme): `SESSION-recording-K_SIDE.hdf5`, group `emg2pose` with
the table `timeseries`: `time` (float64, s), `joint_angles` (20), `emg` (16 of float32). What was
recorded is in a table of all files, `metadata.csv` (or `emg2pose_metadata.csv`), in the same folder
or the one above. The file's own attributes say the same in texts, on which HDF5 can loop for ever
when they are damaged: not read.
"""

import collections
from collections.abc import Sequence
import csv
import functools
import os
import re
from typing import NamedTuple

from aemg_jax.records import Label, Record, Sensor, all_finite
import numpy as np

from data_builders import channels, hdf5, timestamps
from data_builders.jobs import (
    BAD_FORMAT, BAD_VALUE, CONSTANT_CHANNEL, MISSING_FILE, MISSING_LABEL, TOO_SHORT, UNKNOWN_LABEL,
    Job, Reject)
from data_builders.raw import find_files, read_along

NAME = 'emg2pose'
LICENCE = 'CC BY-NC-SA 4.0'
TABLES = ('metadata.csv', 'emg2pose_metadata.csv')
COLUMNS = ('filename', 'user', 'session', 'stage', 'side', 'start', 'moving_hand')
SIDES = ('left', 'right')
# The source has no list: these are those that LibEMG's reader names, as many as the source counts.
LABEL_NAMES = (
    'AllFingerPinchesThumbSwipeThumbRotate', 'CoffeePanicPete', 'CountingUpDownFaceSideAway',
    'CountingUpDownFingerWigglingSpreading', 'DoorknobFingerGraspFistGrab',
    'FastPongFronthandBackhandThrowing', 'FingerAbductionSeries', 'FingerFreeform',
    'FingerPinchesSingleFingerPinchesMultiple', 'FingerTouchPalmClapmrburns',
    'FingerWigglingSpreading', 'GraspPunchCloseFar', 'HandClawGraspFlicks',
    'HandDeskSeparateClaspedChest', 'HandOverHandAllFingerPinchesThumbSwipeThumbRotate',
    'HandOverHandCountingUpDownFingerWigglingSpreading', 'HookEmHornsOKScissors',
    'IndexPinchesMiddlePinchesThumbswipes', 'IndividualFingerPointingSnap', 'OneHandedFreeStyle',
    'PlayBlocksChess', 'PokeDrawPinchRotateclosefar', 'PokePinchCloseFar', 'ShakaVulcanPeace',
    'ThumbsSwipesWholeHand', 'ThumbsUpDownThumbRotationsCWCCWP', 'TwoHandedFreeStyle',
    'WristFlexionAbduction', 'unconstrained')
N_CHANNELS = 16
FIELDS = {'emg': np.dtype(('<f4', (N_CHANNELS,))), 'time': np.dtype('<f8')}
RATE_HZ = 2000.0
BANDWIDTH_HZ = 850.0  # of the wristband's analogue filter
MIN_SAMPLES = 100
MAX_TABLE_BYTES = 64 << 20  # the published one has 5 MiB

_FILE = re.compile(r'(.+)-recording-(\d{1,6})_(left|right)\.hdf5')
_SENSORS = tuple(Sensor(name=f'emg{i}', ring=1, angle_deg=360 / N_CHANNELS * i, unit='uV')
                 for i in range(N_CHANNELS))


class Row(NamedTuple):
  """What the table says of one file; `repetition` counts takes of the stage in the session."""
  user: str
  session: str
  stage: str
  side: str
  moving_hand: str
  repetition: int


def find_jobs(folders: Sequence[str]) -> list[Job]:
  """All recordings, in order of record id.

  Raises:
    ValueError: if there are none, two of one name, or no table that says what they are.
  """
  jobs = find_files(folders, r'(?!\._)[^/]+\.hdf5', '.hdf5 file of emg2pose')
  first_with = {}
  for job in jobs:
    first = first_with.setdefault(record_id(job.name), job)
    if first is not job:
      raise ValueError(f'{job.path}: {record_id(job.name)} is there twice, also as {first.path},'
                       ' expected one copy of the set')
  for folder in sorted({os.path.dirname(job.path) for job in jobs}):
    if not _table_path(folder):
      raise ValueError(f'{folder}: no {" or ".join(TABLES)} there or one folder up, expected the'
                       ' table of all recordings')
  return sorted(jobs, key=lambda job: record_id(job.name))


def raw_files(jobs: Sequence[Job]) -> list[Job]:
  """The recordings and the tables of what they are, for a checksum over all of them."""
  return read_along(jobs, lambda job: [_table_path(os.path.dirname(job.path))])


def record_id(name: str) -> str:
  """'S-recording-7_left.hdf5' -> 'S-recording-007_left'; other names lose '.hdf5' only."""
  match = _FILE.fullmatch(name)
  if match is None:
    return name.removesuffix('.hdf5')
  return f'{match[1]}-recording-{int(match[2]):03d}_{match[3]}'


def parse(job: Job) -> list[Record | Reject]:
  """One file -> one record, or the reason why not."""
  reject = lambda reason, detail: [Reject(job.name, reason, detail)]
  table_path = _table_path(os.path.dirname(job.path))
  if not table_path:
    return reject(MISSING_FILE, f'no {" or ".join(TABLES)}')
  try:
    row = read_table(table_path).get(job.name.removesuffix('.hdf5'))
  except ValueError as error:
    return reject(BAD_FORMAT, str(error))
  if row is None:
    return reject(MISSING_LABEL, f'not in {os.path.basename(table_path)}, expected a row for it')
  if row.stage not in LABEL_NAMES:
    return reject(UNKNOWN_LABEL, f'stage {row.stage!r}, expected one of {LABEL_NAMES}')
  try:
    emg_tc, time_s = _read(job.path)
  except hdf5.HdfError as error:
    return reject(BAD_FORMAT, str(error))
  if len(emg_tc) < MIN_SAMPLES:
    return reject(TOO_SHORT, f'{len(emg_tc)} samples, expected at least {MIN_SAMPLES}')
  if not all_finite(emg_tc):
    return reject(BAD_VALUE, 'emg holds NaN or infinity')
  if problem := timestamps.problem(time_s, RATE_HZ):
    return reject(BAD_VALUE, problem)
  constant = channels.constant(emg_tc)
  if constant.size:
    return reject(CONSTANT_CHANNEL, f'channel {constant[0]} is {emg_tc[0, constant[0]]} throughout,'
                  ' expected a signal')
  # The other hand rests: what is prompted is not what this hand does.
  moves = row.moving_hand not in SIDES or row.moving_hand == row.side
  return [Record(
      record_id=record_id(job.name), dataset=NAME, subject=row.user,
      session=f'{row.session}/{row.side}', repetition=row.repetition, kind='emg',
      signal_tc=emg_tc, rate_hz=RATE_HZ, bandwidth_hz=BANDWIDTH_HZ, is_envelope=False,
      sensors=_SENSORS, labels=(Label(0, len(emg_tc), row.stage),) if moves else (),
      annotations=(), licence=LICENCE)]


def _read(path: str) -> tuple[np.ndarray, np.ndarray]:
  """EMG [T, 16] float32 and time [T] float64. Raises HdfError."""
  with hdf5.HdfFile(path) as file:
    dataset = file.dataset('emg2pose/timeseries')
    if dataset.ndim != 1 or not FIELDS.items() <= hdf5.fields(dataset).items():
      raise hdf5.HdfError(f'timeseries {dataset.shape} of {dataset.dtype}, expected rows with emg'
                          f' ({N_CHANNELS} of float32) and time (float64)')
    return hdf5.read(dataset, 'emg'), hdf5.read(dataset, 'time')


def _table_path(folder: str) -> str:
  places = [os.path.join(place, name)
            for place in (folder, os.path.dirname(os.path.abspath(folder))) for name in TABLES]
  return next((place for place in places if os.path.isfile(place)), '')


def read_table(path: str) -> dict[str, Row]:
  """File name without '.hdf5' -> what was recorded, with its repetition (by start time) from 0.

  Raises:
    ValueError: a column is missing, or a row says what cannot be.
  """
  stat = os.stat(path)
  if stat.st_size > MAX_TABLE_BYTES:
    raise ValueError(f'{path}: {stat.st_size} bytes, expected a table of 5 MiB')
  return _read_table(path, stat.st_mtime_ns)


@functools.lru_cache(maxsize=4)  # a worker reads it once, not for each of 25253 files
def _read_table(path: str, _: int) -> dict[str, Row]:
  try:
    with open(path, newline='', encoding='utf-8') as f:
      rows = list(csv.DictReader(f))
  except csv.Error as error:
    raise ValueError(f'{path}: {error}, expected a table with commas') from error
  found, files = collections.defaultdict(list), set()
  for number, row in enumerate(rows, start=2):
    values = [row.get(column) for column in COLUMNS]
    if not all(values) or row['side'] not in SIDES or row['filename'] in files:
      raise ValueError(f'{path}: row {number} has {dict(zip(COLUMNS, values))}, expected all of'
                       f' {COLUMNS}, a side of {SIDES} and each file once')
    files.add(row['filename'])
    same = (row['user'], row['session'], row['stage'], row['side'])
    try:
      start_s = float(row['start'])
    except ValueError as error:
      raise ValueError(f'{path}: row {number} has a start of {row["start"]!r}, expected'
                       ' seconds') from error
    found[same].append((start_s, row['filename'], row['moving_hand']))
  return {filename: Row(*same, moving_hand, repetition) for same, takes in found.items()
          for repetition, (_, filename, moving_hand) in enumerate(sorted(takes))}
