"""Writes dummy_data/: the reported layout and format, tiny, invented numbers, always the same.

Run: python -m data_builders.putemg.make_dummy_data
"""

from collections.abc import Sequence
import pathlib

import numpy as np

from data_builders.putemg import parser

FOLDER = pathlib.Path(__file__).parent / 'dummy_data'
N_SAMPLES = 180
NAME = 'emg_gestures-{}-{}-2000-01-{}-10-00-00-000.hdf5'
# Subject, trajectory, day, and the cues one after the other.
TAKES = (('03', 'sequential', '01', (-1, 0, 1, 0, 2, 0, 3, 0, -1)),
         ('03', 'repeats_long', '08', (0, 6, 0, 6, 0, 7, 0, 7, 0)),
         ('54', 'repeats_short', '02', (0, 8, 0, 9, 0, 8, 0, 9, 0)))
TEXTS = ('type', 'trajectory', 'date_time')  # columns of categories
DELAY = 5  # samples from the cue to the movement


def main(folder: pathlib.Path = FOLDER) -> None:
  """Writes every file below `folder`."""
  rng = np.random.default_rng(0)
  folder.mkdir(parents=True, exist_ok=True)
  for subject, trajectory, day, cues in TAKES:
    cue = np.repeat(cues, N_SAMPLES // len(cues))
    block = np.zeros((N_SAMPLES, len(parser.ORDER)))
    values = dict(zip(parser.ORDER, block.T))
    for name in parser.EMG:
      values[name][:] = np.rint(rng.normal(0, 20, N_SAMPLES))
    values[parser.CUE][:] = values['TRAJ_GT_NO_FILTER'][:] = cue
    values[parser.LABEL][:] = np.r_[cue[:DELAY], cue[:-DELAY]]
    values[parser.SUBJECT][:] = int(subject)
    values['VIDEO_STAMP'][:] = np.nan  # to be ignored
    write(folder / NAME.format(subject, trajectory, day), block)


def write(path: pathlib.Path, block: np.ndarray,
          order: Sequence[str] | None = parser.ORDER) -> None:
  """One file; `order` names the block's columns, None leaves them without names."""
  import h5py  # here: an optional reader
  kinds = [('index', '<f8')] + [(f'values_block_{i}', 'i1', (1,)) for i in range(len(TEXTS))]
  rows = np.zeros(len(block), kinds + [('values_block_3', '<f8', block.shape[1:])])
  rows['index'] = np.arange(len(block)) / parser.RATE_HZ
  rows['values_block_3'] = block
  with h5py.File(path, 'w') as file:
    table = file.create_dataset('data/table', data=rows, compression='gzip', shuffle=True)
    file['data'].attrs['pandas_type'] = np.bytes_('frame_table')
    for i, name in enumerate(TEXTS):
      table.attrs[f'values_block_{i}_kind'] = np.bytes_(f"(lp1\nS'{name}'\np2\na.")
      file[f'data/meta/values_block_{i}/meta/table'] = np.array(
          [(0, b'invented')], [('index', '<i8'), ('values', 'S8')])
    if order is not None:
      names = ''.join(f"{'a' * (i > 0)}S'{name}'\np{i + 2}\n" for i, name in enumerate(order))
      table.attrs['values_block_3_kind'] = np.bytes_(f'(lp1\n{names}a.')


if __name__ == '__main__':
  main()
