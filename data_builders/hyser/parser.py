"""Parses one WFDB record of the Hyser dataset. NumPy and wfdb only: worker processes import this.

Layout: `subjectSS_sessionD/STEM.{hea,dat}`, SS = 01..20, D = 1..2, below a folder for each
sub-dataset (`tasks.TASKS`); 256 signals of 16 bits at 2048 Hz, and for pattern recognition one text
file of labels beside them. The publisher stretched each channel of each record to the whole of 16
bits: gain and baseline in the header undo it.
"""

from collections.abc import Sequence
import os
import re

from aemg_jax.records import Label, Record, Sensor
import numpy as np

from data_builders import channels, wfdb_record
from data_builders.counts import FormatError
from data_builders.hyser.tasks import DIRECTIONS, TASKS, Task
from data_builders.jobs import (
    BAD_FORMAT, BAD_SIZE, BAD_VALUE, CONSTANT_CHANNEL, MISSING_LABEL, TOO_SHORT, UNKNOWN_FILE, Job,
    Reject, Unusable)
from data_builders.raw import find_files, read_along

NAME = 'hyser'
LICENCE = 'ODC-By 1.0'
N_SUBJECTS, N_SESSIONS = 20, 2
RATE_HZ = 2048.0
BANDWIDTH_HZ = 500.0  # low-pass of the amplifier
# Extensor or flexor muscles, distal or proximal end; row and column count down, as in the files.
GRIDS, GRID_SIZE = ('ED', 'EP', 'FD', 'FP'), 8
CHANNELS = tuple(f'{grid}-{row}-{column}' for grid in GRIDS for row in range(GRID_SIZE, 0, -1)
                 for column in range(GRID_SIZE, 0, -1))
N_CHANNELS = len(CHANNELS)
UNITS = ('V', 'mV', 'uV')
MIN_SCALE, MAX_SCALE = 1e-12, 1.0  # units per count; another reader saw peaks of 0.03 to 16 units
MIN_SAMPLES = 20  # documented: 1 s and more
MAX_DAT_BYTES = 60 * 2048 * N_CHANNELS * 2  # 60 s; documented: 25 s
MAX_LABEL_BYTES = 4096  # documented: 204 numbers of at most 2 digits

_FOLDER = re.compile(r'subject(\d\d)_session(\d)', re.ASCII)


def find_jobs(task: Task, folders: Sequence[str]) -> list[Job]:
  """One job per record (its header, with the size of its samples), in order of record id.

  Raises:
    ValueError: if there is no record of the task, or one is there twice.
  """
  prefix = task.example.split('_')[0]
  files = find_files(folders, rf'subject[^/]*/{prefix}_raw_[^/]*\.(?:hea|dat)',
                     f'subject*_session*/{prefix}_raw_*.{{hea,dat}}')
  jobs = wfdb_record.record_jobs(files)
  return sorted(jobs, key=lambda job: (record_id(task, job.name), job.name))


def raw_files(task: Task, jobs: Sequence[Job]) -> list[Job]:
  """Headers, samples and labels, for a checksum over all of them."""
  beside = lambda job: [wfdb_record.samples_file(job.path)] + (
      [_label_path(task, job)] if task.label_file else [])
  return read_along(jobs, beside)


def record_id(task: Task, name: str) -> str:
  """'subject01_session2/1dof_raw_finger3_sample1.hea' -> 'subject01/session2/finger003_sample001'.

  '' for a file that the task does not have.
  """
  match = _match(task, name)
  if match is None:
    return ''
  folder, stem = match
  what = re.sub(r'\d+', lambda number: number[0].zfill(3), stem[0].partition('_raw_')[2])
  return f'subject{folder[1]}/session{folder[2]}/{what}'


def _match(task: Task, name: str) -> tuple[re.Match, re.Match] | None:
  """Matches of the folder and of the stem; None for a file that the task does not have."""
  folder_name, _, file_name = name.partition('/')
  folder = _FOLDER.fullmatch(folder_name)
  stem = re.fullmatch(task.stem, file_name.removesuffix('.hea'), re.ASCII)
  if folder is None or stem is None or not file_name.endswith('.hea'):
    return None
  groups = stem.groupdict()
  for number, last in ((folder[1], N_SUBJECTS), (folder[2], N_SESSIONS),
                       (groups.get('label', 1), task.max_number or 1),
                       (groups.get('sample', 1), task.max_samples)):
    if not 1 <= int(number) <= last:
      return None
  return folder, stem


def parse(config: str, job: Job) -> list[Record | Reject]:
  """One record of the source -> one record, or the reason why not."""
  try:
    return [_record(TASKS[config], job)]
  except Unusable as unusable:
    return [unusable.reject(job.name)]


def _record(task: Task, job: Job) -> Record:
  match = _match(task, job.name)
  if match is None:
    raise Unusable(UNKNOWN_FILE, 'expected subject01 to subject20, session1 or session2, and'
                   f' {task.example}.hea or the like (of at most {task.max_samples} samples)')
  folder, stem = match
  labels = _read_labels(task, job)
  signal_tc, unit, gains = _read_signal(job)
  index, repetition = _label(task, stem.groupdict(), labels)
  spans = () if index is None else (Label(0, len(signal_tc), task.label_names[index]),)
  return Record(
      record_id=record_id(task, job.name), dataset=NAME, subject=f'subject{folder[1]}',
      session=f'session{folder[2]}', repetition=repetition, kind='emg', signal_tc=signal_tc,
      rate_hz=RATE_HZ, bandwidth_hz=BANDWIDTH_HZ, is_envelope=False,
      sensors=tuple(_sensor(name, unit, gain)
                    for name, gain in zip(CHANNELS, gains, strict=True)),
      labels=spans, annotations=(), licence=LICENCE)


def _sensor(name: str, unit: str, scale: float) -> Sensor:
  _, row, column = name.split('-')
  return Sensor(name=name, row=int(row) - 1, column=int(column) - 1, unit=unit, scale=scale)


def _label(task: Task, groups: dict[str, str], labels: list[int]) -> tuple[int | None, int]:
  """Index of the label (None where there is none) and repetition from 0."""
  sample = int(groups.get('sample', 1))
  if task.label_file:
    if sample > len(labels):
      raise Unusable(MISSING_LABEL, f'{task.label_file} has {len(labels)} labels, expected'
                     f' {sample} or more')
    number = labels[sample - 1]
    return number - 1, labels[:sample - 1].count(number)
  if not task.label_names:
    return None, sample - 1
  index = int(groups['label']) - 1
  if 'way' in groups:
    return index * len(DIRECTIONS) + DIRECTIONS.index(groups['way']), 0
  return index, sample - 1


def _read_labels(task: Task, job: Job) -> list[int]:
  """The gesture, from 1, of each sample of the session; [] where names say it."""
  if not task.label_file:
    return []
  path = _label_path(task, job)
  if not os.path.isfile(path):
    raise Unusable(MISSING_LABEL, f'no {task.label_file} beside it, expected one')
  with open(path, 'rb') as f:
    data = f.read(MAX_LABEL_BYTES + 1)
  if len(data) > MAX_LABEL_BYTES:
    raise Unusable(BAD_SIZE, f'{task.label_file} has more than {MAX_LABEL_BYTES} bytes, expected'
                   f' {task.max_samples} numbers')
  words = re.split(rb'[,\s]+', data.strip())
  for word in words:
    if not re.fullmatch(rb'\d{1,2}', word) or not 1 <= int(word) <= len(task.label_names):
      raise Unusable(BAD_VALUE, f'{task.label_file} holds {word[:20]!r}, expected numbers from 1'
                     f' to {len(task.label_names)}')
  return [int(word) for word in words]


def _label_path(task: Task, job: Job) -> str:
  return os.path.join(os.path.dirname(job.path), task.label_file)


def _read_signal(job: Job) -> tuple[np.ndarray, str, tuple[float, ...]]:
  """Stored numbers less their baselines, int32 [T, 256], their unit, and the scale of each."""
  dat = wfdb_record.samples_file(job.path)
  size = os.path.getsize(dat) if os.path.isfile(dat) else 0
  if not 0 < size <= MAX_DAT_BYTES:
    raise Unusable(BAD_SIZE, f'.dat of {size} bytes, expected 1 to {MAX_DAT_BYTES}')
  try:
    counts = wfdb_record.read_counts(job.path, CHANNELS)
    signal_tc = counts.centred().astype(np.int32)  # baselines are bounded: nothing wraps
  except FormatError as error:
    raise Unusable(BAD_FORMAT, str(error)) from error
  if counts.rate_hz != RATE_HZ:
    raise Unusable(BAD_FORMAT, f'rate of {counts.rate_hz} Hz, expected {RATE_HZ:g}')
  units = sorted(set(counts.units))
  if len(units) != 1 or units[0] not in UNITS:
    raise Unusable(BAD_FORMAT, f'units {str(units)[:80]}, expected one of {UNITS} in all channels')
  for name, scale in zip(CHANNELS, counts.gains, strict=True):
    if not MIN_SCALE <= scale <= MAX_SCALE:
      raise Unusable(BAD_FORMAT, f'{name} has {scale:g} units per count, expected {MIN_SCALE:g} to'
                     f' {MAX_SCALE:g}')
  if len(signal_tc) < MIN_SAMPLES:
    raise Unusable(TOO_SHORT, f'{len(signal_tc)} samples, expected at least {MIN_SAMPLES}')
  constant = channels.constant(signal_tc)
  if constant.size:
    raise Unusable(CONSTANT_CHANNEL, f'channel {CHANNELS[constant[0]]} is constant throughout'
                   f' ({constant.size} such), expected a signal')
  return signal_tc, units[0], counts.gains
