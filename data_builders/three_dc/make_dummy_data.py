"""Writes dummy_data/: the published layout and format, tiny, invented numbers, always the same.

Run: python -m data_builders.three_dc.make_dummy_data
"""

import pathlib

import numpy as np

from data_builders.three_dc import parser

FOLDER = pathlib.Path(__file__).parent / 'dummy_data'
N_SAMPLES = 504
# File -> its number of samples. One is cut short, as is one of the published set.
FILES = {
    'Participant1/train/EMG/3dc_EMG_gesture_0_0.txt': N_SAMPLES,
    'Participant1/train/EMG/3dc_EMG_gesture_3_5.txt': 36,
    'Participant1/test/EMG/3dc_EMG_gesture_2_10.txt': N_SAMPLES,
    'Participant2/test/EMG/3dc_EMG_gesture_1_9.txt': N_SAMPLES,
    'Participant19/train/EMG/3dc_EMG_gesture_0_2.txt': N_SAMPLES,
}
# Participant 21 copies participant 19, as in the published set.
COPY_OF, COPY = 'Participant19', 'Participant21'
IMU_FILE = 'Participant1/train/IMU/3dc_IMU_gesture_0_0.txt'  # to be ignored


def main(folder: pathlib.Path = FOLDER) -> None:
  """Writes every file below `folder`."""
  rng = np.random.default_rng(0)
  for name, n_samples in FILES.items():
    counts_tc = rng.normal(0, 3, (n_samples, parser.N_CHANNELS)).astype(int)
    text = '\n'.join(','.join(map(str, row)) for row in counts_tc.tolist())  # no newline at the end
    names = (name, name.replace(COPY_OF, COPY)) if name.startswith(COPY_OF) else (name,)
    for target in names:
      _write(folder / target, text)
  _write(folder / IMU_FILE, '(0, 0, 0, 0)\n(0.5, -0.5, 0.5, -0.5)')


def _write(path: pathlib.Path, text: str) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_bytes(text.encode())


if __name__ == '__main__':
  main()
