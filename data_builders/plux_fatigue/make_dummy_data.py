"""Writes dummy_data/: the published layout and format, tiny, invented numbers, always the same.

Run: python -m data_builders.plux_fatigue.make_dummy_data
"""

import pathlib

import numpy as np

from data_builders.plux_fatigue import parser

FOLDER = pathlib.Path(__file__).parent / 'dummy_data'
N_SAMPLES = 1200
DEVICE_ADDRESS = '00:00:00:00:00:00'  # invented; the published file is named by the real device


def main(folder: pathlib.Path = FOLDER) -> None:
  """Writes the file below `folder`."""
  rng = np.random.default_rng(0)
  counts = np.rint(rng.normal(parser.BASELINE + 6, 120, (N_SAMPLES, 1))).clip(0, 4095)
  counts[7], counts[11] = 0, 4095  # the published file reaches both ends
  folder.mkdir(parents=True, exist_ok=True)
  write(folder / parser.FILE, counts.astype('<u2'))


def write(path: pathlib.Path, counts_tc: np.ndarray, **attributes) -> None:
  """One OpenSignals file; `attributes` (spaces as _) replace those of the published file."""
  import h5py  # here: an optional reader
  values = {
      'channels': np.array([2], np.int32), 'comments': '', 'date': '2000-1-1',
      'device': 'bioplux', 'device connection': f'BTH{DEVICE_ADDRESS}',
      'device name': DEVICE_ADDRESS, 'digital IO': np.array([0, 1], np.int32), 'duration': '1s',
      'firmware version': np.int32(512), 'keywords': '', 'macaddress': DEVICE_ADDRESS,
      'mode': np.int32(0), 'nsamples': np.int32(len(counts_tc)),
      'resolution': np.array([parser.RESOLUTION_BITS], np.int32),
      'sampling rate': np.int32(parser.RATE_HZ), 'sync interval': np.int32(2), 'time': '0:0:0.0'}
  values |= {name.replace('_', ' '): value for name, value in attributes.items()}
  with h5py.File(path, 'w') as file:
    group = file.create_group(DEVICE_ADDRESS)
    for name, value in values.items():
      group.attrs[name] = value
    grow = {'chunks': (1024, 1), 'maxshape': (None, 1)}
    group.create_dataset('digital/digital_1', data=np.ones_like(counts_tc, '<u2'), **grow)
    group.create_dataset('events/digital', shape=(0, 4), dtype='<u4')
    group.create_dataset('events/sync', shape=(0, 3), dtype='<u4')
    group.create_group('plugin')
    channel = group.create_dataset('raw/channel_2', data=counts_tc, **grow)
    for name, value in (('label', 'CH2'), ('sensor', 'EMG'), ('special', '{}')):
      channel.attrs[name] = value
    count = np.arange(len(counts_tc), dtype='<u2')[:, None]
    group.create_dataset('raw/nSeq', data=count, **grow)
    every_tenth = counts_tc[:len(counts_tc) // 10 * 10].reshape(-1, 10).mean(1, keepdims=True)
    group.create_dataset('support/level_10/channel_2/mean', data=every_tenth.astype('<f4'))


if __name__ == '__main__':
  main()
