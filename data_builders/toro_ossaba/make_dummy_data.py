"""Writes dummy_data/: both layouts, tiny, invented numbers, always the same.

Run: python -m data_builders.toro_ossaba.make_dummy_data
"""

import pathlib

import numpy as np

from data_builders.toro_ossaba import parser

FOLDER = pathlib.Path(__file__).parent / 'dummy_data'
N_SAMPLES = 128  # 1/8 s
FILES = (*(f'subject 1/{gesture}.txt' for gesture in range(5)), 'subject 8/0.txt',
         'subject 8/4.txt')


def main(folder: pathlib.Path = FOLDER) -> None:
  """Writes every file below `folder`."""
  rng = np.random.default_rng(0)
  for name in FILES:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join('\t'.join(row) + '\n' for row in _rows(rng, float(name[-5]))))
  lines = [','.join((f'{i / 1000:g}', *row, '0')) for i, row in enumerate(_rows(rng, 0.0))]
  (folder / parser.CONVERTED).write_text('\n'.join((parser.HEADER, *lines)) + '\n')


def _rows(rng: np.random.Generator, gesture: float) -> list[list[str]]:
  signal_tc = rng.normal(0, 0.01 * (1 + gesture), (N_SAMPLES, parser.N_CHANNELS))
  return [[f'{value:.6g}' for value in row] for row in signal_tc.tolist()]


if __name__ == '__main__':
  main()
