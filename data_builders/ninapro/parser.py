"""Parses one .mat file of Ninapro DB1 to DB7. NumPy only: worker processes import this.

Variables used: `emg` [T, columns], `restimulus` (label, moved to the real movement), `stimulus`
(the cue) and `rerepetition`, [T, 1] each. The scalars `subject` and `exercise` are not used: in
DB4, DB5 and DB7 they are known to disagree with the file's name, and the labels follow the name.
"""

from collections.abc import Iterator, Sequence
import os
import re

from aemg_jax.records import Annotation, Label, Record, Sensor, all_finite
import numpy as np

from data_builders import channels, mat5
from data_builders.jobs import (
    BAD_FORMAT, BAD_SIZE, BAD_VALUE, CONSTANT_CHANNEL, MISSING_LABEL, TOO_SHORT, UNKNOWN_FILE,
    UNKNOWN_LABEL, Job, Reject, Unusable)
from data_builders.ninapro.databases import DATABASES, Database
from data_builders.raw import find_files

NAME = 'ninapro'
LICENCE = 'not stated (terms of the Ninapro site: cite the papers)'
TRACKS = ('restimulus', 'stimulus', 'rerepetition')
MIN_SAMPLES = 100
MAX_CHANGES = 5000  # of labels and repetitions; real files of DB1 have 720
MAX_LENGTH_DIFFERENCE = 0.01  # of the EMG's length; 0.03 % is known of DB2

_ARCHIVE_FOLDER = re.compile(r'db(\d+)_s\d+(?:_[ab])?', re.IGNORECASE)


def find_jobs(database: Database, folders: Sequence[str]) -> list[Job]:
  """The files of one database, in order of record id.

  A folder with several databases keeps each in a subfolder db1 to db7.

  Raises:
    ValueError: if there is none, a recording is there twice, or a folder names another database.
  """
  folders = [_own_folder(os.fspath(folder), database) for folder in folders]
  jobs, first_with = [], {}
  for job in find_files(folders, r'S[^/]*\.mat', f'files S*.mat of {database.name}'):
    parent = os.path.basename(os.path.dirname(job.path))
    named = _ARCHIVE_FOLDER.fullmatch(parent)
    if named and f'db{named[1]}' != database.folder:
      raise ValueError(f'{job.path}: the folder is of DB{named[1]}, expected files of'
                       f' {database.name}')
    match = re.fullmatch(database.file, job.name)
    if match and int(match['subject']) in database.elsewhere:
      continue
    its_id = record_id(database, job.name)
    if its_id and first_with.setdefault(its_id, job) is not job:
      raise ValueError(f'{job.path}: {its_id} is there twice, also as {first_with[its_id].path},'
                       ' expected one copy of the set')
    jobs.append(job)
  if not jobs:
    raise ValueError(f'{", ".join(folders)}: holds no file of {database.name}, expected subjects'
                     f' {database.subjects}')
  return sorted(jobs, key=lambda job: (record_id(database, job.name), job.name))


def _own_folder(folder: str, database: Database) -> str:
  own = os.path.join(folder, database.folder)
  return own if os.path.isdir(own) else folder


def _place(database: Database, name: str) -> tuple[str, str, int] | None:
  """Subject, session and number of the exercise, or None for a file that the set does not have."""
  match = re.fullmatch(database.file, name)
  if match is None or int(match['subject']) not in database.subjects:
    return None
  groups = match.groupdict()
  exercise = int(groups.get('exercise', 1))
  if exercise > len(database.exercises):
    return None
  subject = f'{database.folder}/s{int(match["subject"]):02d}'
  return subject, groups.get('session', f'E{exercise}'), exercise


def record_id(database: Database, name: str) -> str:
  """'S3_A1_E2.mat' -> 'db1/s03/E2'; '' for a file that the database does not have."""
  place = _place(database, name)
  return '' if place is None else f'{place[0]}/{place[1]}'


def parse(config: str, job: Job) -> list[Record | Reject]:
  """One file of a configuration -> one record, or the reason why not."""
  try:
    return [_record(DATABASES[config], job)]
  except Unusable as unusable:
    return [unusable.reject(job.name)]


def _record(database: Database, job: Job) -> Record:
  place = _place(database, job.name)
  if place is None:
    raise Unusable(UNKNOWN_FILE, f'expected {database.file_form}, a subject in {database.subjects}'
                   f' and an exercise from 1 to {len(database.exercises)}')
  subject, session, exercise = place
  emg_tc, tracks = _read(database, job)
  index = _label_index(database, exercise, tracks)
  emg_tc, sensors = _live(database, emg_tc)
  return Record(
      record_id=f'{subject}/{session}', dataset=NAME, subject=subject, session=session,
      repetition=-1, kind='emg', signal_tc=emg_tc, rate_hz=database.rate_hz,
      bandwidth_hz=0.0 if database.is_envelope else database.rate_hz / 2,
      is_envelope=database.is_envelope, sensors=sensors,
      labels=tuple(Label(start, stop, database.label_names[index[number]])
                   for start, stop, number in _runs(tracks['restimulus'])),
      annotations=tuple(_annotations(tracks, index)), licence=LICENCE)


def _read(database: Database, job: Job) -> tuple[np.ndarray, dict[str, np.ndarray]]:
  """EMG [T, columns] and tracks [T] of uint8, cut to their common length."""
  try:
    arrays = mat5.read_arrays(job.path, ('emg', *TRACKS))
  except mat5.MatError as error:
    raise Unusable(BAD_FORMAT, str(error)) from error
  for name in ('emg', *TRACKS):
    if name not in arrays:
      raise Unusable(BAD_FORMAT, f'no variable {name}, expected emg and {TRACKS}')
  emg_tc = arrays.pop('emg')
  n_columns = (len(database.columns), len(database.columns) - database.n_missing)
  if emg_tc.shape[1] not in n_columns or not np.can_cast(emg_tc.dtype, database.dtype):
    raise Unusable(BAD_FORMAT, f'emg is {emg_tc.shape} of {emg_tc.dtype}, expected'
                   f' {n_columns[0]} columns of {database.dtype}')
  for name, track in arrays.items():
    if track.shape[1] != 1:
      raise Unusable(BAD_FORMAT, f'{name} has shape {track.shape}, expected one column')
    if not ((track >= 0) & (track <= 255) & (track == np.floor(track))).all():
      raise Unusable(BAD_VALUE, f'{name} holds other than whole numbers from 0 to 255')
  lengths = {'emg': len(emg_tc)} | {name: len(track) for name, track in arrays.items()}
  common = min(lengths.values())
  if common < MIN_SAMPLES:
    raise Unusable(TOO_SHORT, f'lengths {lengths}, expected at least {MIN_SAMPLES} samples')
  if max(lengths.values()) - common > MAX_LENGTH_DIFFERENCE * len(emg_tc):
    raise Unusable(BAD_SIZE, f'lengths {lengths}, expected them to agree to'
                   f' {MAX_LENGTH_DIFFERENCE:.0%}')
  if not all_finite(emg_tc):
    raise Unusable(BAD_VALUE, 'emg holds NaN or infinity')
  tracks = {name: track[:common, 0].astype(np.uint8) for name, track in arrays.items()}
  return emg_tc[:common].astype(database.dtype, copy=False), tracks


def _label_index(database: Database, exercise: int,
                 tracks: dict[str, np.ndarray]) -> dict[int, int]:
  """Number in the file -> index into the label names; also checks what the tracks hold.

  Releases number the movements of an exercise from 1, or on from the exercise before. The numbers
  in the file decide; where both would do, the documented way does.
  """
  before = sum(map(len, database.exercises[:exercise - 1]))
  n_movements = len(database.exercises[exercise - 1])
  ways = [tuple(range(first, first + n_movements)) for first in (1, before + 1)]
  if database.cumulative:
    ways.reverse()
  if database.numbers:
    ways = [database.numbers]
  found = set(np.unique(np.r_[tracks['restimulus'], tracks['stimulus']]).tolist()) - {0}
  fitting = [numbers for numbers in ways if found <= set(numbers)]
  if not fitting:
    raise Unusable(UNKNOWN_LABEL, f'labels {sorted(found)}, expected numbers in'
                   f' {" or ".join(map(str, ways))}')
  if not tracks['restimulus'].any():
    raise Unusable(MISSING_LABEL, 'restimulus is 0 throughout, expected movements')
  most = int(tracks['rerepetition'].max())
  if most > database.n_repetitions:
    raise Unusable(BAD_VALUE, f'repetition {most}, expected at most {database.n_repetitions}')
  changes = sum(int((track[1:] != track[:-1]).sum()) for track in tracks.values())
  if changes > MAX_CHANGES:
    raise Unusable(BAD_VALUE, f'labels change {changes} times, expected at most {MAX_CHANGES}')
  return {0: 0} | {number: before + 1 + i for i, number in enumerate(fitting[0])}


def _live(database: Database, emg_tc: np.ndarray) -> tuple[np.ndarray, tuple[Sensor, ...]]:
  """EMG [T, C] of the columns that have an electrode, and the electrodes."""
  constant = channels.constant(emg_tc).tolist()
  columns = database.columns
  if emg_tc.shape[1] < len(columns):  # which electrodes were left out, the file does not say
    columns = tuple(Sensor(f'electrode {i + 1}', unit=columns[0].unit)
                    for i in range(emg_tc.shape[1]))
    expected = []
  elif database.n_missing:
    expected = constant if len(constant) == database.n_missing else f'{database.n_missing} of them'
  else:
    expected = [i for i, sensor in enumerate(columns) if sensor is None]
  if constant != expected:
    raise Unusable(CONSTANT_CHANNEL, f'columns {constant} (from 0) are constant, expected'
                   f' {expected or "none"}')
  if constant:
    emg_tc = np.delete(emg_tc, constant, axis=1)
  return emg_tc, tuple(sensor for i, sensor in enumerate(columns) if i not in constant)


def _annotations(tracks: dict[str, np.ndarray], index: dict[int, int]) -> Iterator[Annotation]:
  """The cue, as an index into the label names, and the repetition, from 0."""
  for start, stop, number in _runs(tracks['stimulus']):
    yield Annotation(start, stop, 'cue', float(index[number]))
  # Of each label apart: the last repetition of one movement may touch the first of the next.
  both = tracks['restimulus'].astype(np.int32) * 256 + tracks['rerepetition']
  for start, stop, pair in _runs(both):
    if pair % 256:
      yield Annotation(start, stop, 'repetition', float(pair % 256 - 1))


def _runs(values: np.ndarray) -> Iterator[tuple[int, int, int]]:
  """(start, stop, value) of every stretch of equal values."""
  starts = [0, *(np.flatnonzero(values[1:] != values[:-1]) + 1).tolist()]
  for start, stop in zip(starts, [*starts[1:], len(values)]):
    yield start, stop, int(values[start])
