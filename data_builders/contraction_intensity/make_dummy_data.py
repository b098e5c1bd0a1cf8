"""Writes dummy_data/: the published layout and format, tiny, invented numbers, always the same.

Run: python -m data_builders.contraction_intensity.make_dummy_data
"""

import pathlib

import numpy as np

from data_builders.contraction_intensity import parser

FOLDER = pathlib.Path(__file__).parent / 'dummy_data'
# (subject, level, class, repetition): all classes, and all kinds of level.
FILES = (*((2, '20P', c, 1) for c in range(1, 8)), (2, '80P', 2, 4), (2, 'MVC', 2, 2),
         (2, 'Ramp', 3, 3), (10, 'Light', 2, 1), (10, 'Medium', 2, 1), (10, 'Hard', 2, 1))


def main(folder: pathlib.Path = FOLDER) -> None:
  """Writes every file below `folder`."""
  rng = np.random.default_rng(0)
  for subject, level, label, repetition in FILES:
    signal_tc = rng.normal(0, 0.02 if label == 1 else 0.2, (parser.BLOCK, parser.N_CHANNELS))
    path = folder / f'S{subject}' / f'S{subject}_{level}_C{label}_R{repetition}.csv'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(','.join(f'{x:.5g}' for x in row) + '\n' for row in signal_tc))
  (folder / 'Info.txt').write_text('Sampling Rate: 1Khz\n')  # to be ignored


if __name__ == '__main__':
  main()
