"""Parses one WFDB record of the GRABMyo dataset. NumPy and wfdb only: worker processes import this.

Layout: `SessionS/sessionS_participantP/sessionS_participantP_gestureG_trialT.{hea,dat}`, S = 1..3,
P = 1..43, G = 1..17, T = 1..7; the file names say all, so the folders do not matter. 32 signals of
16 bits at 2048 Hz, 10240 samples (5 s); of them 28 are electrodes. The publisher stretched each
channel of each record to the whole of 16 bits: gain and baseline in the header undo it.
"""

from collections.abc import Sequence
import os
import re
from typing import Any

from aemg_jax.records import Label, Record, Sensor
import numpy as np

from data_builders import channels, optional, wfdb_record
from data_builders.jobs import (
    BAD_FORMAT, BAD_SIZE, BAD_VALUE, CONSTANT_CHANNEL, TOO_SHORT, UNKNOWN_FILE, Job, Reject)
from data_builders.raw import find_files

NAME = 'grabmyo'
LICENCE = 'CC BY 4.0 (the readme of the release says ODC-By 1.0)'
LABEL_NAMES = (
    'lateral prehension', 'thumb adduction', 'thumb and little finger opposition',
    'thumb and index finger opposition', 'thumb and index finger extension',
    'thumb and little finger extension', 'index and middle finger extension',
    'little finger extension', 'index finger extension', 'thumb finger extension',
    'wrist extension', 'wrist flexion', 'forearm supination', 'forearm pronation', 'hand open',
    'hand close', 'rest')
COMMON_NAMES = {
    'lateral prehension': 'lateral grip', 'thumb adduction': 'thumb adduction',
    'little finger extension': 'little extension', 'index finger extension': 'index extension',
    'thumb finger extension': 'thumb extension', 'wrist extension': 'wrist extension',
    'wrist flexion': 'wrist flexion', 'forearm supination': 'supination',
    'forearm pronation': 'pronation', 'hand open': 'open', 'hand close': 'fist', 'rest': 'rest'}
N_SESSIONS, N_SUBJECTS, N_TRIALS = 3, 43, 7
RATE_HZ = 2048
BANDWIDTH_HZ = 500.0  # upper edge of the band-pass that the authors applied
FILE_CHANNELS = (*(f'F{i}' for i in range(1, 17)), 'U1', *(f'W{i}' for i in range(1, 7)), 'U2',
                 'U3', *(f'W{i}' for i in range(7, 13)), 'U4')
KEPT = tuple(i for i, name in enumerate(FILE_CHANNELS) if not name.startswith('U'))  # U: unused
N_CHANNELS = len(KEPT)
MIN_SAMPLES, MAX_SAMPLES = 200, 102400  # 0.1 to 50 s; published: 10240
MAX_HEADER_BYTES = 8192  # published: 3.1 KB; the reader's patterns are slow on long lines
MAX_BASELINE = 1 << 30  # a stored number less this fits 32 bits; at hand: within 15
NO_SAMPLE = -32768  # WFDB's mark of a sample that is missing
MAX_GAIN = 1e9  # per mV; at hand: 1.9e4 to 9.1e5
DEFAULT_GAIN = 200.0  # what the reader puts where a header has none, 0 or no number

_FILE = re.compile(r'session(\d)_participant([1-9]\d?)_gesture([1-9]\d?)_trial(\d)\.hea')
# What wfdb 4.3 raises on headers that it cannot make sense of.
_READ_ERRORS = (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError)


def find_jobs(folders: Sequence[str]) -> list[Job]:
  """One job per record (its header, with the size of its samples), in order of record id.

  Raises:
    ValueError: if there is no record, or one is there twice.
  """
  files = find_files(folders, r'session[^/]*\.(?:hea|dat)', 'session*_participant*.{hea,dat}')
  jobs = wfdb_record.record_jobs(files)
  return sorted(jobs, key=lambda job: (record_id(job.name), job.name))


def record_id(name: str) -> str:
  """'session1_participant2_gesture3_trial4.hea' -> 'participant02/session1/gesture03_trial4'."""
  match = _FILE.fullmatch(name)
  return '' if match is None else 'participant{1:0>2}/session{0}/gesture{2:0>2}_trial{3}'.format(
      *match.groups())


def parse(job: Job) -> list[Record | Reject]:
  """One record of the source -> one record, or the reason why not."""
  match = _FILE.fullmatch(job.name)
  numbers = () if match is None else tuple(int(text) for text in match.groups())
  if not numbers or not all(1 <= n <= last for n, last in zip(
      numbers, (N_SESSIONS, N_SUBJECTS, len(LABEL_NAMES), N_TRIALS), strict=True)):
    return [Reject(job.name, UNKNOWN_FILE, 'expected session1 to session3, participant1 to'
                   ' participant43, gesture1 to gesture17, trial1 to trial7, each with a .hea')]
  if '::' in job.path:  # the reader's file layer would follow it to other addresses
    return [Reject(job.name, UNKNOWN_FILE, f"path {job.path!r} holds '::', expected none")]
  header = _read_header(optional.reader('wfdb', 'WFDB records'), job)
  if isinstance(header, Reject):
    return [header]
  signal_tc = _read_signal(job, header)
  if isinstance(signal_tc, Reject):
    return [signal_tc]
  session, subject, gesture, trial = numbers
  return [Record(
      record_id=record_id(job.name), dataset=NAME, subject=f'participant{subject}',
      session=f'session{session}', repetition=trial - 1, kind='emg', signal_tc=signal_tc,
      rate_hz=float(RATE_HZ), bandwidth_hz=BANDWIDTH_HZ, is_envelope=False,
      sensors=tuple(_sensor(FILE_CHANNELS[i], 1 / header.adc_gain[i]) for i in KEPT),
      labels=(Label(0, len(signal_tc), LABEL_NAMES[gesture - 1]),), annotations=(),
      licence=LICENCE)]


def _sensor(name: str, scale: float) -> Sensor:
  """F1-F8 ring 1, F9-F16 ring 2, W1-W6 ring 3, W7-W12 ring 4; angles from the first of each."""
  index, size = int(name[1:]) - 1, {'F': 8, 'W': 6}[name[0]]
  ring = index // size + (1 if name[0] == 'F' else 3)
  return Sensor(name=name, ring=ring, angle_deg=360.0 / size * (index % size), unit='mV',
                scale=scale)


def _read_header(wfdb: Any, job: Job) -> Any:
  """The header as wfdb reads it, once all of it is as published; or what is wrong with it."""
  size = os.path.getsize(job.path)
  if not 0 < size <= MAX_HEADER_BYTES:
    return Reject(job.name, BAD_SIZE, f'header of {size} bytes, expected 1 to {MAX_HEADER_BYTES}')
  try:
    header = wfdb.rdheader(job.path.removesuffix('.hea'))
  except _READ_ERRORS as error:
    return Reject(job.name, BAD_FORMAT, f'{error}, expected a WFDB header')
  n, dat = len(FILE_CHANNELS), f'{job.name.removesuffix(".hea")}.dat'
  for field, expected in (
      ('n_sig', n), ('fs', RATE_HZ), ('sig_name', list(FILE_CHANNELS)), ('fmt', ['16'] * n),
      ('units', ['mV'] * n), ('file_name', [dat] * n)):  # no other file is opened
    found = getattr(header, field, None)
    if found != expected:
      return Reject(job.name, BAD_FORMAT, f'{field} is {str(found)[:80]}, expected'
                    f' {str(expected)[:80]}')
  for field, allowed in (('samps_per_frame', {None, 1}), ('skew', {None, 0}),
                         ('byte_offset', {None, 0})):
    if set(getattr(header, field)) - allowed:
      return Reject(job.name, BAD_FORMAT, f'{field} is {str(getattr(header, field))[:80]}, expected'
                    ' none')
  for i, name in enumerate(FILE_CHANNELS):
    gain, baseline = header.adc_gain[i], header.baseline[i]
    if not 1 <= gain <= MAX_GAIN or gain == DEFAULT_GAIN:
      return Reject(job.name, BAD_FORMAT, f'gain of {name} is {gain}, expected 1 to {MAX_GAIN:g}'
                    f' per mV ({DEFAULT_GAIN:g} stands for none)')
    if baseline is None or abs(baseline) > MAX_BASELINE:
      return Reject(job.name, BAD_FORMAT, f'baseline of {name} is {baseline}, expected at most'
                    f' {MAX_BASELINE} in size')
  n_samples = -1 if header.sig_len is None else header.sig_len
  if not MIN_SAMPLES <= n_samples <= MAX_SAMPLES:
    return Reject(job.name, TOO_SHORT if 0 <= n_samples < MIN_SAMPLES else BAD_SIZE,
                  f'{header.sig_len} samples, expected {MIN_SAMPLES} to {MAX_SAMPLES}')
  return header


def _read_signal(job: Job, header: Any) -> np.ndarray | Reject:
  """Stored numbers less their baselines, int32 [T, 28]; or what is wrong with the samples."""
  stem = job.path.removesuffix('.hea')
  size = os.path.getsize(f'{stem}.dat') if os.path.isfile(f'{stem}.dat') else 0
  if size != header.sig_len * len(FILE_CHANNELS) * 2:
    return Reject(job.name, BAD_SIZE, f'.dat of {size} bytes, expected'
                  f' {header.sig_len * len(FILE_CHANNELS) * 2} as its header says')
  stored_tc = wfdb_record.read_frames(f'{stem}.dat', '16').reshape(header.sig_len, -1)
  sums = stored_tc.sum(axis=0, dtype=np.int64) & 0xFFFF
  for name, total, expected in zip(FILE_CHANNELS, sums, header.checksum, strict=True):
    if expected is None or total != expected & 0xFFFF:
      return Reject(job.name, BAD_VALUE, f'checksum of {name} is {total}, expected {expected} as'
                    ' its header says')
  stored_tc = stored_tc[:, KEPT]
  bad = np.argwhere(stored_tc == NO_SAMPLE)
  if bad.size:
    return Reject(job.name, BAD_VALUE, f'{NO_SAMPLE} (no sample) at sample {bad[0, 0]}, channel'
                  f' {FILE_CHANNELS[KEPT[bad[0, 1]]]}, expected a value')
  constant = channels.constant(stored_tc)
  if constant.size:
    return Reject(job.name, CONSTANT_CHANNEL, f'channel {FILE_CHANNELS[KEPT[constant[0]]]} is'
                  f' {stored_tc[0, constant[0]]} throughout, expected a signal')
  return stored_tc.astype(np.int32) - np.array([header.baseline[i] for i in KEPT], np.int32)
