"""Writes dummy_data/: the documented layout and format, tiny, invented numbers, always the same.

`stages` and the prompts of handwriting are in pandas' fixed layout with pickled texts, as the
source is reported to have all its frames; those of the gestures are converted (README.md,
"Prompts"), once in blocks and once in columns. What is pickled in the source is arbitrary bytes
here.

Run: python -m data_builders.generic_neuromotor.make_dummy_data
"""

from collections.abc import Mapping
import pathlib
from typing import Any

import numpy as np

from data_builders.generic_neuromotor import parser

FOLDER = pathlib.Path(__file__).parent / 'dummy_data'
N_SAMPLES = 160
START_S = 946684800.0
FIELDS = [('emg', '<f4', (16,)), ('time', '<f8')]
ANGLES = ('wrist_angles', '<f4', (2,))
PICKLED = b'pickled in the source'
# When each gesture occurs, in samples; "other" is no gesture, and the last comes too late.
AT = [4 + 16 * i for i in range(len(parser.GESTURES))]
NAMES = [name.encode() for name in parser.GESTURES]


def main(folder: pathlib.Path = FOLDER) -> None:
  """Writes every file below `folder`."""
  rng = np.random.default_rng(0)
  folder.mkdir(parents=True, exist_ok=True)
  gestures = {'name': np.array([*NAMES, b'index_press', b'other', b'thumb_up']),
              'time': START_S + np.array([*AT, 150, 155, 5000]) / parser.RATE_HZ}
  writing = {'start': START_S + np.array([10, 60, 100]) / parser.RATE_HZ,
             'end': START_S + np.array([50, 104, 150]) / parser.RATE_HZ, 'prompt': None}
  for task, user, prompts, layout in (
      ('discrete_gestures', 0, gestures, write_blocks),
      ('discrete_gestures', 1, gestures, write_columns),
      ('handwriting', 0, writing, write_fixed), ('wrist', 0, {}, write_fixed)):
    with open_file(folder / f'{task}_user_{user:03d}_dataset_000.hdf5') as file:
      file.create_dataset('data', data=table(rng, task)).attrs['task'] = task
      write_fixed(file, 'stages', {'start': START_S + np.array([0.0, 0.1]),
                                   'end': START_S + np.array([0.1, 0.2]), 'name': None})
      if prompts:
        layout(file, 'prompts', prompts)


def open_file(path: pathlib.Path) -> Any:
  """A new HDF5 file."""
  import h5py  # here: an optional reader
  return h5py.File(path, 'w')


def table(rng: np.random.Generator, task: str, n_samples: int = N_SAMPLES) -> np.ndarray:
  """Rows of `data`: EMG of some microvolts."""
  rows = np.zeros(n_samples, FIELDS + [ANGLES] * (task == 'wrist'))
  rows['emg'] = rng.normal(0, 8e-6, (n_samples, 16))
  rows['time'] = START_S + np.arange(n_samples) / parser.RATE_HZ
  return rows


Frame = Mapping[str, np.ndarray | None]  # columns; None: texts that are pickled


def write_fixed(file: Any, group: str, frame: Frame) -> None:
  """pandas' fixed layout: a block of the numbers, one of the texts."""
  import h5py  # here: an optional reader
  columns = file.create_group(group)
  columns.attrs['pandas_type'] = np.bytes_('frame')
  columns['axis0'] = np.array(list(frame), 'S')
  columns['axis1'] = np.arange(max(len(v) for v in frame.values() if v is not None))
  numbers = [name for name, values in frame.items() if values is not None]
  columns['block0_items'] = np.array(numbers, 'S')
  columns['block0_values'] = np.stack([frame[name] for name in numbers], axis=1)
  columns['block1_items'] = np.array([name for name in frame if name not in numbers], 'S')
  texts = columns.create_dataset('block1_values', (1,), h5py.vlen_dtype(np.uint8))
  texts[0] = np.frombuffer(PICKLED, np.uint8)
  texts.attrs['CLASS'] = np.bytes_('VLARRAY')
  texts.attrs['PSEUDOATOM'] = np.bytes_('object')


def write_columns(file: Any, group: str, frame: Frame) -> None:
  """pandas' table layout with a field for each column (data_columns=True)."""
  _write_table(file, group, {name: [name] for name in frame}, frame)


def write_blocks(file: Any, group: str, frame: Frame) -> None:
  """pandas' table layout: columns of one type share a field."""
  kinds = {}
  for name, values in frame.items():
    kinds.setdefault(values.dtype.kind, []).append(name)
  blocks = {f'values_block_{i}': names for i, names in enumerate(kinds.values())}
  rows = _write_table(file, group, blocks, frame)
  for field, names in blocks.items():  # a list of names, pickled as text
    listed = ''.join(f'{"a" * (i > 0)}V{name}\np{i + 1}\n' for i, name in enumerate(names))
    rows.attrs[f'{field}_kind'] = np.bytes_(f'(lp0\n{listed}a.')


def _write_table(file: Any, group: str, fields: Mapping[str, list[str]], frame: Frame) -> Any:
  n_rows = len(next(iter(frame.values())))
  shape = lambda field, names: () if names == [field] else (len(names),)
  rows = np.zeros(n_rows, [('index', '<i8')] + [
      (field, frame[names[0]].dtype, shape(field, names)) for field, names in fields.items()])
  rows['index'] = np.arange(n_rows)
  for field, names in fields.items():
    values = np.stack([frame[name] for name in names], axis=1)
    rows[field] = values[:, 0] if names == [field] else values
  columns = file.create_group(group)
  columns.attrs['pandas_type'] = np.bytes_('frame_table')
  return columns.create_dataset('table', data=rows)


if __name__ == '__main__':
  main()
