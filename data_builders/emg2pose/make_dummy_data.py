"""Writes dummy_data/: the documented layout and format, tiny, invented numbers, always the same.

Run: python -m data_builders.emg2pose.make_dummy_data
"""

import pathlib

import numpy as np

from data_builders.emg2pose import parser

FOLDER = pathlib.Path(__file__).parent / 'dummy_data'
N_SAMPLES = 104
DTYPE = np.dtype([('time', '<f8'), ('joint_angles', '<f4', (20,)), ('emg', '<f4', (16,))])
COLUMNS = ('session', 'user', 'stage', 'start', 'end', 'side', 'filename', 'moving_hand',
           'held_out_user', 'held_out_stage', 'split', 'generalization')
SESSION = '2000-01-01-946684800-{}-cv-emg-pose-train@2'
# User, number of the recording, its stage, side and moving hand. The first stage is done twice by
# the first user; the last one's other hand rests.
TAKES = (
    ('aaaa', 1, 'ShakaVulcanPeace', 'left', 'both'),
    ('aaaa', 2, 'unconstrained', 'left', 'both'),
    ('aaaa', 10, 'ShakaVulcanPeace', 'left', 'both'),
    ('bbbb', 1, 'OneHandedFreeStyle', 'right', 'right'),
    ('bbbb', 1, 'OneHandedFreeStyle', 'left', 'right'),
)


def main(folder: pathlib.Path = FOLDER) -> None:
  """Writes every file below `folder`."""
  rng = np.random.default_rng(0)
  folder.mkdir(parents=True, exist_ok=True)
  rows = [COLUMNS]
  for user, number, stage, side, moving_hand in TAKES:
    session = SESSION.format(user)
    name = f'{session}-recording-{number}_{side}'
    start_s = 946684800.0 + 60 * number
    table = np.zeros(N_SAMPLES, DTYPE)
    table['time'] = start_s + np.arange(N_SAMPLES) / parser.RATE_HZ
    table['joint_angles'] = 0.25  # radians; to be ignored
    table['emg'] = rng.normal(0, 8, (N_SAMPLES, 16))
    write(folder / f'{name}.hdf5', table, session=session, user=user, stage=stage, side=side,
          start=table['time'][0], end=table['time'][-1], num_channels=16, sample_rate=2000.0)
    rows.append((session, user, stage, start_s, table['time'][-1], side, name, moving_hand,
                 False, False, 'train', 'none'))
  (folder / 'metadata.csv').write_text(''.join(','.join(map(str, row)) + '\n' for row in rows))


def write(path: pathlib.Path, table: np.ndarray, **attributes) -> None:
  """One file: the table, and the attributes that the source's loader reads."""
  import h5py  # here: an optional reader
  with h5py.File(path, 'w') as file:
    group = file.create_group('emg2pose')
    group.create_dataset('timeseries', data=table)
    group.attrs.update(attributes)


if __name__ == '__main__':
  main()
