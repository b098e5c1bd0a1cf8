"""Parses one HDF5 file of the generic neuromotor interface. NumPy and h5py only.

Layout (from the source's loaders): `TASK_user_UUU_dataset_DDD.hdf5` with the table `data`: `emg`
(16 of float32), `time` (float64, s) and, for the task `wrist`, `wrist_angles`; and the data frames
`prompts` (none for `wrist`) and `stages` as pandas writes them. Texts of a frame may be pickled:
those are never read. The attribute `task` is not read either; the file's name says it.
"""

import collections
from collections.abc import Sequence
import re

from aemg_jax.records import Annotation, Label, Record, Sensor, all_finite
import numpy as np

from data_builders import channels, hdf5, pandas_hdf5, timestamps
from data_builders.jobs import (
    BAD_FORMAT, BAD_VALUE, CONSTANT_CHANNEL, MISSING_LABEL, TOO_SHORT, UNKNOWN_FILE, Job, Reject,
    Unusable)
from data_builders.raw import find_files

NAME = 'generic_neuromotor'
LICENCE = 'CC BY-NC 4.0'
GESTURES = ('index_press', 'index_release', 'middle_press', 'middle_release', 'thumb_click',
            'thumb_down', 'thumb_in', 'thumb_out', 'thumb_up')
WRITING = 'handwriting'
LABEL_NAMES = {'discrete_gestures': GESTURES, 'handwriting': (WRITING,), 'wrist': ()}  # by task
N_CHANNELS = 16
FIELDS = {'emg': np.dtype(('<f4', (N_CHANNELS,))), 'time': np.dtype('<f8')}
RATE_HZ = 2000.0
BANDWIDTH_HZ = 850.0  # of the wristband's analogue filter
MIN_SAMPLES = 100
MAX_PROMPTS = 100_000

_FILE = re.compile(rf'({"|".join(LABEL_NAMES)})_user_(\d{{3}})_dataset_(\d{{3}})\.hdf5')
_SENSORS = tuple(Sensor(name=f'emg{i}', ring=1, angle_deg=360 / N_CHANNELS * i, unit='V')
                 for i in range(N_CHANNELS))


def find_jobs(task: str, folders: Sequence[str]) -> list[Job]:
  """The recordings of one task, in order of record id. Raises ValueError if there is none."""
  jobs = find_files(folders, rf'{task}_user_[^/]*\.hdf5', f'{task}_user_*.hdf5')
  return sorted(jobs, key=lambda job: (record_id(job.name), job.name))


def record_id(name: str) -> str:
  """'wrist_user_000_dataset_001.hdf5' -> 'wrist/user_000/dataset_001'; '' for other names."""
  match = _FILE.fullmatch(name)
  return '' if match is None else '{}/user_{}/dataset_{}'.format(*match.groups())


def parse(task: str, job: Job) -> list[Record | Reject]:
  """One file -> one record, or the reason why not."""
  try:
    return [_record(task, job)]
  except Unusable as unusable:
    return [unusable.reject(job.name)]
  except hdf5.HdfError as error:
    return [Reject(job.name, BAD_FORMAT, str(error))]


def _record(task: str, job: Job) -> Record:
  match = _FILE.fullmatch(job.name)
  if match is None or match[1] != task:
    raise Unusable(UNKNOWN_FILE, f'expected {task}_user_000_dataset_000.hdf5, numbers of 3 digits')
  with hdf5.HdfFile(job.path) as file:
    emg_tc, time_s = _read(file, task)
    if len(emg_tc) < MIN_SAMPLES:
      raise Unusable(TOO_SHORT, f'{len(emg_tc)} samples, expected at least {MIN_SAMPLES}')
    if problem := timestamps.problem(time_s, RATE_HZ):
      raise Unusable(BAD_VALUE, problem)
    find = {'discrete_gestures': _gestures, 'handwriting': _writing, 'wrist': lambda *_: []}[task]
    labels = find(file, time_s)
  if not all_finite(emg_tc):
    raise Unusable(BAD_VALUE, 'emg holds NaN or infinity')
  constant = channels.constant(emg_tc)
  if constant.size:
    raise Unusable(CONSTANT_CHANNEL, f'channel {constant[0]} is {emg_tc[0, constant[0]]}'
                   ' throughout, expected a signal')
  return Record(
      record_id=record_id(job.name), dataset=NAME, subject=f'{task}/user_{match[2]}',
      session=f'dataset_{match[3]}', repetition=-1, kind='emg', signal_tc=emg_tc, rate_hz=RATE_HZ,
      bandwidth_hz=BANDWIDTH_HZ, is_envelope=False, sensors=_SENSORS, labels=tuple(labels),
      annotations=_repetitions(labels), licence=LICENCE)


def _read(file: hdf5.HdfFile, task: str) -> tuple[np.ndarray, np.ndarray]:
  """EMG [T, 16] float32 and time [T] float64."""
  dataset = file.dataset('data')
  fields = hdf5.fields(dataset)
  if dataset.ndim != 1 or not FIELDS.items() <= fields.items():
    raise Unusable(BAD_FORMAT, f'data {dataset.shape} of {dataset.dtype}, expected rows with emg'
                   f' ({N_CHANNELS} of float32) and time (float64)')
  if ('wrist_angles' in fields) != (task == 'wrist'):
    raise Unusable(BAD_FORMAT, f'data has {sorted(fields)}, expected wrist_angles in a file'
                   f' of the task wrist only, this is one of {task}')
  return hdf5.read(dataset, 'emg'), hdf5.read(dataset, 'time')


def _prompts(file: hdf5.HdfFile, *names: str) -> list[np.ndarray]:
  """Columns of the data frame `prompts`: floats, but for texts in the one called `name`."""
  found = pandas_hdf5.columns(file, 'prompts')
  values = []
  for name in names:
    if name not in found:
      raise Unusable(BAD_FORMAT, f'prompts has {sorted(found)}, expected {names}')
    column = found[name]
    if column.dataset is None:
      raise Unusable(BAD_FORMAT, f'{name} of prompts is a pickled object, which is never read;'
                     ' expected texts of fixed length (README.md, "Prompts", says how to convert)')
    if len(column.dataset) > MAX_PROMPTS:
      raise Unusable(BAD_VALUE, f'{len(column.dataset)} prompts, expected at most {MAX_PROMPTS}')
    values.append(column.read())
    kind, expected = values[-1].dtype.kind, 'S' if name == 'name' else 'f'
    if kind != expected or values[-1].ndim != 1:
      raise Unusable(BAD_FORMAT, f'{name} of prompts is of {values[-1].dtype}, expected'
                     f' {"texts" if name == "name" else "floats"}')
    if kind == 'f' and not np.isfinite(values[-1]).all():
      raise Unusable(BAD_VALUE, f'{name} of prompts holds NaN or infinity')
  if len({len(column) for column in values}) != 1:
    raise Unusable(BAD_FORMAT, f'{names} of prompts differ in length')
  return values


def _gestures(file: hdf5.HdfFile, time_s: np.ndarray) -> list[Label]:
  """One sample long, where the gesture occurred: the source states an instant, no duration.

  As in the source's loader, other names than the nine and times outside the recording are left out.
  """
  at_s, names = _prompts(file, 'time', 'name')
  known = {name.encode(): name for name in GESTURES}
  inside = (at_s >= time_s[0]) & (at_s <= time_s[-1])
  labels = sorted((start, known[name]) for start, name
                  in zip(np.searchsorted(time_s, at_s[inside]).tolist(), names[inside].tolist())
                  if name in known)
  if not labels:
    raise Unusable(MISSING_LABEL, f'none of {len(names)} prompts is one of {GESTURES} within the'
                   ' recording')
  for (start, name), (later, other) in zip(labels, labels[1:]):
    if start == later:
      raise Unusable(BAD_VALUE, f'{name} and {other} are both at sample {start}')
  return [Label(start, start + 1, name) for start, name in labels]


def _writing(file: hdf5.HdfFile, time_s: np.ndarray) -> list[Label]:
  """From the prompt's appearance until it was written; until the next one where they overlap."""
  starts_s, ends_s = _prompts(file, 'start', 'end')
  if (starts_s > ends_s).any():
    raise Unusable(BAD_VALUE, f'prompt {int(np.argmax(starts_s > ends_s))} ends before it starts')
  spans = sorted(zip(*(np.searchsorted(time_s, at_s).tolist() for at_s in (starts_s, ends_s))))
  nexts = [start for start, _ in spans[1:]] + [len(time_s)]
  labels = [Label(start, min(stop, following), WRITING)
            for (start, stop), following in zip(spans, nexts) if start < min(stop, following)]
  if not labels:
    raise Unusable(MISSING_LABEL, f'none of {len(spans)} prompts lies within the recording')
  return labels


def _repetitions(labels: Sequence[Label]) -> tuple[Annotation, ...]:
  """How often each label occurred before, from 0."""
  counts: collections.Counter[str] = collections.Counter()
  annotations = []
  for label in labels:
    annotations.append(Annotation(label.start, label.stop, 'repetition', float(counts[label.name])))
    counts[label.name] += 1
  return tuple(annotations)
