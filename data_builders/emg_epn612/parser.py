"""Parses one JSON file of EMG-EPN-612. NumPy only: worker processes import this.

Layout (documentation; not seen): `{trainingJSON,testingJSON}/userN/userN.json`, N = 1 to 306, one
file per person, with `generalInfo`, `userInfo` (personal: never read), `synchronizationGesture`
(not read), and two sections of 150 trials, `trainingSamples` and `testingSamples`: idx_K ->
{gestureName, groundTruth, groundTruthIndex, emg: {ch1 to ch8}, ...}.
"""

from collections.abc import Sequence
import json
import re
from typing import Any

from aemg_jax.records import Label, Record, Sensor
import numpy as np

from data_builders import channels
from data_builders.jobs import (
    BAD_FORMAT, BAD_SIZE, BAD_VALUE, CONSTANT_CHANNEL, MISSING_LABEL, NO_RECORDING, TOO_SHORT,
    UNKNOWN_FILE, UNKNOWN_LABEL, Job, Reject, Unusable)
from data_builders.raw import find_files

NAME = 'emg_epn612'
LICENCE = 'CC BY 4.0'
REST = 'noGesture'
LABEL_NAMES = (REST, 'fist', 'waveIn', 'waveOut', 'open', 'pinch')
COMMON_NAMES = dict(zip(LABEL_NAMES, (
    'rest', 'fist', 'wrist flexion', 'wrist extension', 'open', 'pinch'), strict=True))
GROUPS = ('trainingJSON', 'testingJSON')
SECTIONS = ('trainingSamples', 'testingSamples')
WITHOUT_LABELS = (GROUPS[1], SECTIONS[1])  # kept back for the authors' own evaluation
N_USERS = 306
N_CHANNELS = 8
RATE_HZ = 200.0
MIN_COUNT, MAX_COUNT = -128, 127  # the Myo sends a byte
MIN_SAMPLES = 100  # half a second; a trial is said to have about 1000
# Samples. Readers take groundTruthIndex to count from 1 and its end to be included; no
# documentation says so.
MAX_DISAGREEMENT = 1
MAX_BYTES = 48 << 20  # the published files have 19 MB on average
# Objects, lists and names; a published file has about 16000. In memory each takes up to 30 times
# the room of its text.
MAX_PARTS = 100_000

_FILE = re.compile(r'(trainingJSON|testingJSON)/user([1-9]\d{0,2})/user\2\.json')
_TRIAL = re.compile(r'idx_([1-9]\d{0,2})')
_SENSORS = tuple(Sensor(name=f'ch{i + 1}', ring=1, angle_deg=45.0 * i) for i in range(N_CHANNELS))


def find_jobs(folders: Sequence[str]) -> list[Job]:
  """One file per person, in order of record id. Raises ValueError if there is none, or two."""
  jobs = find_files(folders, rf'(?:{"|".join(GROUPS)})/[^/]+/[^/.][^/]*\.json',
                    f'{" or ".join(GROUPS)}/userN/userN.json')
  return sorted(jobs, key=lambda job: (record_id(job.name), job.name))


def record_id(name: str) -> str:
  """'testingJSON/user7/user7.json' -> '2-testing/user007', to which each trial adds its own.

  With the numbers the training group comes first: of a trial that is in both groups the copy with
  a label is kept.
  """
  match = _FILE.fullmatch(name)
  if match is None or int(match[2]) > N_USERS:
    return ''
  return f'{_numbered(GROUPS, match[1], "JSON")}/user{int(match[2]):03d}'


def _numbered(names: tuple[str, ...], name: str, suffix: str) -> str:
  return f'{names.index(name) + 1}-{name.removesuffix(suffix)}'


def parse(job: Job) -> list[Record | Reject]:
  """One file -> a record, or the reason why not, for each of its trials."""
  its_id = record_id(job.name)
  try:
    if not its_id:
      raise Unusable(UNKNOWN_FILE, f'expected {" or ".join(GROUPS)}/userN/userN.json, N from 1 to'
                     f' {N_USERS}')
    user = _load(job)
  except Unusable as unusable:
    return [unusable.reject(job.name)]
  items, repetitions = [], dict.fromkeys(LABEL_NAMES, 0)
  for section in SECTIONS:
    try:
      trials = _trials(user, section)
    except Unusable as unusable:
      items.append(unusable.reject(f'{job.name}/{section}'))
      continue
    for number, trial in trials:
      try:
        items.append(_record(job, section, number, trial, repetitions))
      except Unusable as unusable:
        items.append(unusable.reject(f'{job.name}/{section}/idx_{number}'))
  return items


def _load(job: Job) -> dict[str, Any]:
  """The file's outermost object, with a size and a rate that are as expected."""
  if job.n_bytes > MAX_BYTES:
    raise Unusable(BAD_SIZE, f'{job.n_bytes} bytes, expected at most {MAX_BYTES}')
  with open(job.path, 'rb') as f:
    data = f.read()
  parts = sum(map(data.count, b'{[:'))
  if parts > MAX_PARTS:
    raise Unusable(BAD_FORMAT, f'{parts} objects, lists and names, expected at most {MAX_PARTS}')
  try:
    # All that is read is ASCII; Latin-1 takes any byte, whatever the encoding of people's names.
    user = json.loads(data.decode('latin-1'), object_pairs_hook=_unique, parse_constant=_refuse)
  except (ValueError, RecursionError) as error:
    raise Unusable(BAD_FORMAT, f'{error}; expected JSON') from error
  info = user.get('generalInfo') if isinstance(user, dict) else None
  rate = info.get('samplingFrequencyInHertz') if isinstance(info, dict) else None
  if rate != RATE_HZ:
    raise Unusable(BAD_FORMAT, 'generalInfo.samplingFrequencyInHertz is missing or other than'
                   f' expected: {RATE_HZ:g}')
  return user


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  """An object; of a name that is there twice, json would drop the first value."""
  found = dict(pairs)
  if len(found) < len(pairs):
    raise ValueError('an object with one name twice')
  return found


def _refuse(constant: str) -> None:
  raise ValueError(f'{constant} is no JSON')


def _trials(user: dict[str, Any], section: str) -> list[tuple[int, Any]]:
  """Number and content of each trial of a section, in order of number."""
  trials = user.get(section)
  if not trials:  # missing, null, {} or []: in which form the empty user is published is not known
    raise Unusable(NO_RECORDING, f'{section} is empty, expected idx_1 to idx_150')
  if not isinstance(trials, dict) or not all(map(_TRIAL.fullmatch, trials)):
    raise Unusable(BAD_FORMAT, f'{section} holds other names than expected: idx_1 to idx_999')
  return sorted((int(_TRIAL.fullmatch(name)[1]), trial) for name, trial in trials.items())


def _record(job: Job, section: str, number: int, trial: Any,
            repetitions: dict[str, int]) -> Record:
  """One trial; counts its gesture in `repetitions` even if the trial is of no use otherwise."""
  match = _FILE.fullmatch(job.name)
  gesture = trial.get('gestureName') if isinstance(trial, dict) else None
  repetition = -1
  if gesture is not None:
    if gesture not in LABEL_NAMES:
      what = repr(gesture[:40]) if isinstance(gesture, str) else 'no text'
      raise Unusable(UNKNOWN_LABEL, f'gestureName is {what}, expected one of {LABEL_NAMES}')
    repetition = repetitions[gesture]
    repetitions[gesture] += 1
  counts_tc = _signal(trial)
  labels = ()
  if gesture is not None:
    labels = (Label(*_span(gesture, trial, len(counts_tc)), gesture),)
  elif (match[1], section) != WITHOUT_LABELS:
    raise Unusable(MISSING_LABEL, f'no gestureName, expected one everywhere but in'
                   f' {WITHOUT_LABELS}')
  return Record(
      record_id=f'{record_id(job.name)}/{_numbered(SECTIONS, section, "Samples")}-{number:03d}',
      dataset=NAME, subject=f'{match[1].removesuffix("JSON")}/user{int(match[2]):03d}',
      session='1', repetition=repetition, kind='emg', signal_tc=counts_tc, rate_hz=RATE_HZ,
      bandwidth_hz=RATE_HZ / 2, is_envelope=False, sensors=_SENSORS, labels=labels,
      annotations=(), licence=LICENCE)


def _signal(trial: Any) -> np.ndarray:
  """Counts [T, 8] int16."""
  emg = trial.get('emg') if isinstance(trial, dict) else None
  names = [sensor.name for sensor in _SENSORS]
  if not isinstance(emg, dict) or sorted(emg) != names:
    raise Unusable(BAD_FORMAT, f'emg is not as expected: {names[0]} to {names[-1]}')
  for name in names:
    if not isinstance(emg[name], list) or not set(map(type, emg[name])) <= {int, float}:
      raise Unusable(BAD_FORMAT, f'emg.{name} is not as expected: a list of numbers')
  lengths = [len(emg[name]) for name in names]
  if len(set(lengths)) > 1:
    raise Unusable(BAD_SIZE, f'channels of {lengths} samples, expected one length')
  if lengths[0] < MIN_SAMPLES:
    raise Unusable(TOO_SHORT, f'{lengths[0]} samples, expected at least {MIN_SAMPLES}')
  for name in names:  # before NumPy converts them: 1e400 is infinite, and an int has no limit
    if min(emg[name]) < MIN_COUNT or max(emg[name]) > MAX_COUNT:
      raise Unusable(BAD_VALUE, f'emg.{name} leaves the range expected: {MIN_COUNT} to'
                     f' {MAX_COUNT}')
  value_tc = np.array([emg[name] for name in names], np.float64).T
  counts_tc = value_tc.astype(np.int16)
  if (counts_tc != value_tc).any():
    raise Unusable(BAD_VALUE, 'emg holds fractions, expected whole numbers')
  constant = channels.constant(counts_tc)
  if constant.size:
    raise Unusable(CONSTANT_CHANNEL, f'{names[constant[0]]} is {counts_tc[0, constant[0]]}'
                   ' throughout, expected a signal')
  return np.ascontiguousarray(counts_tc)


def _span(gesture: str, trial: dict[str, Any], n_samples: int) -> tuple[int, int]:
  """Start and stop of the gesture: the ones of groundTruth; of rest: the whole trial.

  groundTruthIndex, first and last sample counted from 1, says the same and must agree.
  """
  if gesture == REST:
    return 0, n_samples
  mask, ends = trial.get('groundTruth'), trial.get('groundTruthIndex')
  if mask is None or ends is None:
    raise Unusable(MISSING_LABEL, f'{gesture} without groundTruth or groundTruthIndex, expected'
                   ' both')
  if not isinstance(mask, list) or len(mask) != n_samples:
    raise Unusable(BAD_SIZE, f'groundTruth is not as expected: {n_samples} numbers')
  if not set(map(type, mask)) <= {int, float, bool} or not set(mask) <= {0, 1}:
    raise Unusable(BAD_VALUE, 'groundTruth holds other values than expected: 0 and 1')
  ones = np.flatnonzero(mask)
  if not ones.size or ones[-1] - ones[0] + 1 != ones.size:
    raise Unusable(BAD_VALUE, f'groundTruth has {ones.size} ones, expected one stretch of them')
  start, stop = int(ones[0]), int(ones[-1]) + 1
  if (not isinstance(ends, list) or len(ends) != 2 or not set(map(type, ends)) <= {int, float}
      or not all(abs(end - own) <= MAX_DISAGREEMENT for end, own in
                 zip(ends, (start + 1, stop)))):
    raise Unusable(BAD_VALUE, 'groundTruthIndex is not as groundTruth has it:'
                   f' [{start + 1}, {stop}]')
  return start, stop
