"""Writes dummy_data/: the documented layout and format, invented numbers, always the same.

One participant: the clock of the protocol leaves no choice of length, so the 41 MB of signal are
zeros but for a few samples of each gesture, and pack to some tens of KB.

Run: python -m data_builders.mcs_emg.make_dummy_data
"""

import io
import pathlib
from typing import Any

import numpy as np
import scipy.io

FOLDER = pathlib.Path(__file__).parent / 'dummy_data'
HEADER = b'MATLAB 5.0 MAT-file, invented numbers'.ljust(116)  # scipy's names the date
N_SAMPLES = 1_280_000
BURST = 16


def main(folder: pathlib.Path = FOLDER) -> None:
  """Writes every file below `folder`."""
  rng = np.random.default_rng(0)
  data = np.zeros((N_SAMPLES, 4))
  for cycle_s in (4, 138, 272, 406, 540):
    for gesture in range(10):
      start = (cycle_s + 10 * gesture + 1) * 2000
      data[start:start + BURST] = rng.integers(-80, 81, (BURST, 4)) / 1024
  save(folder / 'sEMG-dataset/raw/mat/3_raw.mat', **variables(3, data))
  # To be ignored: a filtered copy, and one as text.
  save(folder / 'sEMG-dataset/filtered/mat/3_filtered.mat', **variables(3, data[10000:10100]))
  path = folder / 'sEMG-dataset/raw/csv/3_raw.csv'
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text('0.0625,0.03125,-0.0625,0\n')


def variables(participant: int, data: np.ndarray) -> dict[str, Any]:
  """What a file holds, as the device's software exports it."""
  return {'data': data, 'fs': np.array([[2000.0]]), 'iD': np.array([[float(participant)]]),
          'isi': np.array([[0.5]]), 'isi_units': 'ms',
          'labels': np.array([f'EMG_RAW_CH{i}' for i in range(1, 5)]),
          'start_sample': np.array([[0.0]]), 'units': np.array(['mV'] * 4)}


def save(path: pathlib.Path, **content: Any) -> None:
  """A compressed MATLAB v5 file with a fixed header."""
  path.parent.mkdir(parents=True, exist_ok=True)
  buffer = io.BytesIO()
  scipy.io.savemat(buffer, content, do_compression=True)
  path.write_bytes(HEADER + buffer.getvalue()[len(HEADER):])


if __name__ == '__main__':
  main()
