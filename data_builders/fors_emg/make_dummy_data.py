"""Writes dummy_data/: the documented layout and format, tiny, invented numbers, always the same.

Run: python -m data_builders.fors_emg.make_dummy_data
"""

import io
import pathlib

import numpy as np
import scipy.io

FOLDER = pathlib.Path(__file__).parent / 'dummy_data'
HEADER = b'MATLAB 5.0 MAT-file, invented numbers'.ljust(116)  # scipy's names the date
N_SAMPLES = 500
# The case of the folders varies, as in the published set.
FILES = (*(f'Subject1/rest/{gesture}-1' for gesture in (
    'Thumb_UP', 'Index', 'Right_Angle', 'Peace', 'Index_Little', 'Thumb_Little', 'Hand_Close',
    'Hand_Open', 'Wrist_Extension', 'Wrist_Flexion', 'Ulner_Deviation', 'Radial_Deviation')),
         'Subject2/Pronation/Hand_Close-5', 'Subject10/Supination/Ulner_Deviation-2')


def main(folder: pathlib.Path = FOLDER) -> None:
  """Writes every file below `folder`."""
  rng = np.random.default_rng(0)
  for name in FILES:
    value = rng.integers(-1, 2, (8, N_SAMPLES)) / 8
    save(folder / f'FORS-EMG/{name}.mat', value=value)
  info = folder / 'FORS-EMG/Database Info/Subject Details.csv'  # to be ignored
  info.parent.mkdir(parents=True, exist_ok=True)
  info.write_text('Invented Name\n')


def save(path: pathlib.Path, **variables: np.ndarray) -> None:
  """A compressed MATLAB v5 file with a fixed header."""
  path.parent.mkdir(parents=True, exist_ok=True)
  buffer = io.BytesIO()
  scipy.io.savemat(buffer, variables, do_compression=True)
  path.write_bytes(HEADER + buffer.getvalue()[len(HEADER):])


if __name__ == '__main__':
  main()
