"""Writes dummy_data/: the documented layout and format, tiny, invented numbers, always the same.

One folder for each database. Shorter than the published trials, and mostly zeros, so that it packs.

Run: python -m data_builders.capgmyo.make_dummy_data
"""

import io
import pathlib

import numpy as np
import scipy.io

FOLDER = pathlib.Path(__file__).parent / 'dummy_data'
HEADER = b'MATLAB 5.0 MAT-file, invented numbers'.ljust(116)  # scipy's names the date
N_SAMPLES = 100
# Database -> recorded session, gesture, trial.
FILES = {
    'dba': [(1, gesture, 1) for gesture in range(1, 9)] + [(18, 1, 10)],
    'dbb': [(1, 1, 1), (2, 1, 1), (2, 8, 10), (2, 100, 1), (2, 101, 1), (20, 2, 1)],
    'dbc': [(1, gesture, 1) for gesture in range(1, 13)]}


def main(folder: pathlib.Path = FOLDER) -> None:
  """Writes every file below `folder`."""
  rng = np.random.default_rng(0)
  for database, files in FILES.items():
    for recorded, gesture, trial in files:
      data = np.zeros((N_SAMPLES, 128))
      for _ in range(3):
        data[rng.integers(0, N_SAMPLES, 128), np.arange(128)] = rng.integers(1, 9, 128) / 1024
      save(folder / f'{database}/{database}-preprocessed-{recorded:03d}'
           f'/{recorded:03d}-{gesture:03d}-{trial:03d}.mat', data, recorded, gesture, trial)


def save(path: pathlib.Path, data: np.ndarray, subject: int, gesture: int, trial: int) -> None:
  """A compressed MATLAB v5 file with a fixed header."""
  path.parent.mkdir(parents=True, exist_ok=True)
  buffer = io.BytesIO()
  scalars = {'subject': subject, 'gesture': gesture, 'trial': trial}
  scipy.io.savemat(buffer, {'data': data} | {
      name: np.array([[value]], np.uint8) for name, value in scalars.items()}, do_compression=True)
  path.write_bytes(HEADER + buffer.getvalue()[len(HEADER):])


if __name__ == '__main__':
  main()
