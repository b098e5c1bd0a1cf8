"""Parses the HDF5 file of PLUX's EMG fatigue example. NumPy and h5py only: workers import this.

Layout (verified on the published file; OpenSignals writes it): one group named by the device's
address, with attributes `channels`, `resolution`, `sampling rate` and `nsamples`, and the dataset
`raw/channel_C` [T, 1] uint16. `digital`, `events`, `support` (downsampled copies for display) and
`raw/nSeq` (a counter that stops at 65535) hold no further signal.
"""

from collections.abc import Sequence

from aemg_jax.records import Record, Sensor
import numpy as np

from data_builders import hdf5
from data_builders.jobs import (
    BAD_FORMAT, BAD_SIZE, BAD_VALUE, CONSTANT_CHANNEL, TOO_SHORT, Job, Reject)
from data_builders.raw import find_files

NAME = 'plux_fatigue'
LICENCE = 'MIT (of the repository; no separate licence for the recording)'
FILE = 'emg_fatigue.h5'
RECORD_ID, SUBJECT, SESSION = 'emg_fatigue', 'subject1', 'session1'
RATE_HZ = 1000.0
# The sensor passes 25 to 500 Hz (its data sheet): all that the rate can hold.
BANDWIDTH_HZ = 500.0
RESOLUTION_BITS = 12
# EMG_mV = (ADC / 2^n - 1/2) * 3000 mV / 1000 (data sheet): an integer baseline and one factor.
BASELINE = 2 ** (RESOLUTION_BITS - 1)
SCALE_MV = 3.0 / 2 ** RESOLUTION_BITS
MIN_SAMPLES = 500  # half a second; the published file has 126900
# The numbers of the header only: HDF5 can loop for ever on the strings of a damaged file.
HEADER = {'sampling rate': RATE_HZ, 'resolution': RESOLUTION_BITS}

_SENSORS = (Sensor(name='biceps brachii', unit='mV', scale=SCALE_MV),)


def find_jobs(folders: Sequence[str]) -> list[Job]:
  """The one file. Raises ValueError if it is missing, or there twice (as in a whole clone)."""
  return find_files(folders, r'emg_fatigue\.h5', FILE)


def record_id(name: str) -> str:
  """'emg_fatigue.h5' -> 'emg_fatigue'."""
  return RECORD_ID if name == FILE else ''


def parse(job: Job) -> list[Record | Reject]:
  """The file -> one record, or the reason why not."""
  try:
    with hdf5.HdfFile(job.path) as file:
      counts_tc = _read(job, file)
  except hdf5.HdfError as error:
    return [Reject(job.name, BAD_FORMAT, f'{error}, expected HDF5 as OpenSignals writes it')]
  if isinstance(counts_tc, Reject):
    return [counts_tc]
  if len(counts_tc) < MIN_SAMPLES:
    return [Reject(job.name, TOO_SHORT,
                   f'{len(counts_tc)} samples, expected at least {MIN_SAMPLES}')]
  if (top := int(counts_tc.max())) >= 2 * BASELINE:
    return [Reject(job.name, BAD_VALUE, f'a value of {top}, expected less than {2 * BASELINE}'
                   f' ({RESOLUTION_BITS} bits)')]
  if np.ptp(counts_tc) == 0:
    return [Reject(job.name, CONSTANT_CHANNEL, f'channel 0 is {top} throughout, expected a signal')]
  return [Record(
      record_id=RECORD_ID, dataset=NAME, subject=SUBJECT, session=SESSION, repetition=-1,
      kind='emg', signal_tc=counts_tc.astype(np.int16) - np.int16(BASELINE), rate_hz=RATE_HZ,
      bandwidth_hz=BANDWIDTH_HZ, is_envelope=False, sensors=_SENSORS, labels=(), annotations=(),
      licence=LICENCE)]


def _read(job: Job, file: hdf5.HdfFile) -> np.ndarray | Reject:
  """The counts [T, 1] uint16 of the only EMG channel, once header and sizes are as expected."""
  bad = lambda detail: Reject(job.name, BAD_FORMAT, detail)
  devices = file.names()
  if len(devices) != 1:
    return bad(f'{len(devices)} devices, expected one')
  for name, expected in HEADER.items():
    found = file.number(devices[0], name)
    if found != expected:
      return bad(f'{name} is {found!r}, expected {expected!r}')
  dataset = file.dataset(f'{devices[0]}/raw/channel_{file.number(devices[0], "channels")}')
  if dataset.dtype != np.uint16 or dataset.ndim != 2 or dataset.shape[1] != 1:
    return bad(f'signal {dataset.shape} of {dataset.dtype}, expected [T, 1] of uint16')
  n_samples = file.number(devices[0], 'nsamples')
  if len(dataset) != n_samples or dataset.nbytes > job.n_bytes:  # nothing in it is compressed
    return Reject(job.name, BAD_SIZE, f'{len(dataset)} samples in {job.n_bytes} bytes, expected'
                  f' {n_samples} as the header says')
  return hdf5.read(dataset)
