"""Parses one HDF5 file of putEMG. NumPy and h5py only: worker processes import this.

Layout: `emg_gestures-ID-TRAJECTORY-TIMESTAMP.hdf5`, one data frame of pandas in its table layout:
the index is the time in seconds, and a block of float64 has the columns `EMG_1` to `EMG_24`,
`TRAJ_1` (the cue), `TRAJ_GT` (moved to the movement seen on video), `subject` and others. README.md
says which of this is documented and which is a third party's word.
"""

from collections.abc import Iterator, Mapping, Sequence
import re

from aemg_jax.records import Annotation, Label, Record, Sensor, all_finite
import numpy as np

from data_builders import channels, hdf5, pandas_hdf5, timestamps
from data_builders.jobs import (
    BAD_FORMAT, BAD_SIZE, BAD_VALUE, CONSTANT_CHANNEL, MISSING_LABEL, TOO_SHORT, UNKNOWN_FILE,
    UNKNOWN_LABEL, Job, Reject, Unusable)
from data_builders.pandas_hdf5 import Column
from data_builders.raw import find_files

NAME = 'putemg'
LICENCE = 'CC BY-NC 4.0'
TRAJECTORIES = ('sequential', 'repeats_short', 'repeats_long')
# The source's numbers; those below 0 mark stretches without a label, 4 and 5 do not occur.
LABELS = {0: 'idle', 1: 'fist', 2: 'flexion', 3: 'extension', 6: 'pinch index', 7: 'pinch middle',
          8: 'pinch ring', 9: 'pinch small'}
LABEL_NAMES = tuple(LABELS.values())
COMMON_NAMES = {'idle': 'rest', 'fist': 'fist', 'flexion': 'wrist flexion',
                'extension': 'wrist extension', 'pinch index': 'pinch'}
N_RINGS, PER_RING = 3, 8
EMG = tuple(f'EMG_{i + 1}' for i in range(N_RINGS * PER_RING))
LABEL, CUE, SUBJECT = 'TRAJ_GT', 'TRAJ_1', 'subject'
# The block's columns where their names cannot be read from the file.
ORDER = (*EMG, CUE, SUBJECT, 'TRAJ_GT_NO_FILTER', 'VIDEO_STAMP', LABEL)
RATE_HZ = 5120.0
BANDWIDTH_HZ = 900.0  # of the amplifier's low-pass filter
MIN_SAMPLES = 100
MAX_SAMPLES = 11_000_000  # 36 minutes: a TFDS example holds less than 2 GiB
MAX_CHANGES = 20_000

_FILE = re.compile(rf'emg_gestures-(\d{{2}})-({"|".join(TRAJECTORIES)})-(\d{{4}}-\d\d-\d\d)-'
                   r'(\d\d-\d\d-\d\d-\d{3})\.hdf5')
_SENSORS = tuple(Sensor(name, ring=i // PER_RING + 1, angle_deg=360 / PER_RING * (i % PER_RING))
                 for i, name in enumerate(EMG))


def find_jobs(folders: Sequence[str]) -> list[Job]:
  """All recordings of gestures, in order of record id. Raises ValueError if there is none."""
  jobs = find_files(folders, r'emg_gestures-[^/]*\.hdf5', 'emg_gestures-*.hdf5')
  return sorted(jobs, key=lambda job: (record_id(job.name), job.name))


def record_id(name: str) -> str:
  """'emg_gestures-03-sequential-DATE-TIME.hdf5' -> '03/DATE/TIME-sequential'; '' for others."""
  match = _FILE.fullmatch(name)
  return '' if match is None else f'{match[1]}/{match[3]}/{match[4]}-{match[2]}'


def parse(job: Job) -> list[Record | Reject]:
  """One file -> one record, or the reason why not."""
  try:
    return [_record(job)]
  except Unusable as unusable:
    return [unusable.reject(job.name)]
  except hdf5.HdfError as error:
    return [Reject(job.name, BAD_FORMAT, str(error))]


def _record(job: Job) -> Record:
  match = _FILE.fullmatch(job.name)
  if match is None:
    raise Unusable(UNKNOWN_FILE, 'expected emg_gestures-ID-TRAJECTORY-DATE-TIME.hdf5 with one of'
                   f' {TRAJECTORIES}')
  with hdf5.HdfFile(job.path) as file:
    emg_tc, tracks, time_s = _read(file)
  if problem := timestamps.problem(time_s, RATE_HZ):
    raise Unusable(BAD_VALUE, problem)
  if not all_finite(emg_tc):
    raise Unusable(BAD_VALUE, 'emg holds NaN or infinity')
  constant = channels.constant(emg_tc)
  if constant.size:
    raise Unusable(CONSTANT_CHANNEL, f'{EMG[constant[0]]} is {emg_tc[0, constant[0]]} throughout,'
                   ' expected a signal')
  if (tracks[SUBJECT] != int(match[1])).any():
    raise Unusable(BAD_VALUE, f'subject {tracks[SUBJECT][0]}, the name says {int(match[1])}')
  labels = [Label(start, stop, LABELS[number])
            for start, stop, number in _runs(LABEL, tracks[LABEL])]
  if not labels:
    raise Unusable(MISSING_LABEL, f'{LABEL} is below 0 throughout')
  cues = [Annotation(start, stop, 'cue', float(LABEL_NAMES.index(LABELS[number])))
          for start, stop, number in _runs(CUE, tracks[CUE])]
  return Record(
      record_id=record_id(job.name), dataset=NAME, subject=match[1], session=match[3],
      repetition=-1, kind='emg', signal_tc=emg_tc, rate_hz=RATE_HZ, bandwidth_hz=BANDWIDTH_HZ,
      is_envelope=False, sensors=_SENSORS, labels=tuple(labels),
      annotations=(*cues, *_repetitions(labels)), licence=LICENCE)


def _read(file: hdf5.HdfFile) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
  """EMG [T, 24] float64, the other columns [T] by name, and time [T] in seconds."""
  groups = file.names()
  if len(groups) != 1:
    raise Unusable(BAD_FORMAT, f'{groups} in the file, expected one data frame')
  columns = _columns(file, groups[0])
  names = (*EMG, LABEL, CUE, SUBJECT)
  if missing := [name for name in ('index', *names) if name not in columns]:
    raise Unusable(BAD_FORMAT, f'no column {missing[0]}, found {sorted(columns)}')
  dataset, field = columns[EMG[0]].dataset, columns[EMG[0]].field
  if any(columns[name][:2] != (dataset, field) or columns[name].index is None for name in names):
    raise Unusable(BAD_FORMAT, 'columns in several places, expected one block of a table')
  kinds = hdf5.fields(dataset)
  if (kinds[field].base, kinds['index']) != (np.dtype('<f8'), np.dtype('<f8')):
    raise Unusable(BAD_FORMAT, f'{field} of {kinds[field]} and index of {kinds["index"]}, expected'
                   ' float64')
  if not MIN_SAMPLES <= len(dataset) <= MAX_SAMPLES:
    raise Unusable(TOO_SHORT if len(dataset) < MIN_SAMPLES else BAD_SIZE,
                   f'{len(dataset)} samples, expected {MIN_SAMPLES} to {MAX_SAMPLES}')
  emg_tc = np.empty((len(dataset), len(EMG)))
  tracks = {name: np.empty(len(dataset)) for name in (LABEL, CUE, SUBJECT)}
  for start, rows in hdf5.read_blocks(dataset, field):
    emg_tc[start:start + len(rows)] = rows[:, [columns[name].index for name in EMG]]
    for name, track in tracks.items():
      track[start:start + len(rows)] = rows[:, columns[name].index]
  return emg_tc, tracks, hdf5.read(dataset, 'index')


def _columns(file: hdf5.HdfFile, group: str) -> Mapping[str, Column]:
  """Columns by name; by the published order where a block of as many columns has no names."""
  columns = pandas_hdf5.columns(file, group)
  if 'index' not in columns or EMG[0] in columns:
    return columns
  dataset = columns['index'].dataset
  blocks = [field for field, kind in hdf5.fields(dataset).items() if kind.shape == (len(ORDER),)]
  if len(blocks) == 1:
    columns |= {name: Column(dataset, blocks[0], i) for i, name in enumerate(ORDER)}
  return columns


def _runs(name: str, track: np.ndarray) -> Iterator[tuple[int, int, int]]:
  """(start, stop, number) of every stretch of one label; what is below 0 is left out."""
  if not (track == np.rint(track)).all():
    raise Unusable(BAD_VALUE, f'{name} holds other than whole numbers')
  changes = np.flatnonzero(track[1:] != track[:-1]) + 1
  if len(changes) > MAX_CHANGES:
    raise Unusable(BAD_VALUE, f'{name} changes {len(changes)} times, expected at most'
                   f' {MAX_CHANGES}')
  starts = [0, *changes.tolist()]
  for start, stop in zip(starts, [*starts[1:], len(track)]):
    if track[start] >= 0:
      if track[start] not in LABELS:
        raise Unusable(UNKNOWN_LABEL, f'{name} is {track[start]:g}, expected one of'
                       f' {list(LABELS)} or below 0')
      yield start, stop, int(track[start])


def _repetitions(labels: Sequence[Label]) -> Iterator[Annotation]:
  """How often each movement was done before, from 0; idle stretches have no number."""
  counts = dict.fromkeys(LABEL_NAMES, 0)
  for label in labels:
    if label.name != LABELS[0]:
      yield Annotation(label.start, label.stop, 'repetition', float(counts[label.name]))
      counts[label.name] += 1
