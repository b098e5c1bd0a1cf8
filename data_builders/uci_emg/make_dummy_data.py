"""Writes dummy_data/: the published layout and format, tiny, invented numbers, always the same.

Run: python -m data_builders.uci_emg.make_dummy_data
"""

import pathlib

import numpy as np

from data_builders.uci_emg import parser

FOLDER = pathlib.Path(__file__).parent / 'dummy_data'
REPEATS = 5  # rows per distinct sample: 200 Hz exactly
# File -> its classes, one per distinct sample.
TWICE = [c for k in (*range(1, 7), *range(1, 7)) for c in (0, k)] + [0]
FILES = {
    '01/1_raw_data_10-00_01.01.16.txt': TWICE,
    '01/2_raw_data_10-02_01.01.16.txt': TWICE[1:],  # begins marked, as three real files do
    '11/1_raw_data_10-00_02.01.16.txt': [*TWICE, 7, 0, 7],  # ends marked
    '34/1_raw_data_10-00_03.01.16.txt': TWICE,  # its last row lacks the class, as in the real set
}


def main(folder: pathlib.Path = FOLDER) -> None:
  """Writes every file below `folder`."""
  rng = np.random.default_rng(0)
  for i, (name, classes) in enumerate(FILES.items()):
    lines = [parser.HEADER]
    for k, its_class in enumerate(classes):
      sample = rng.normal(0, 4 + 8 * its_class, parser.N_CHANNELS).clip(-128, 127).astype(int)
      values = '\t'.join(f'{n * parser.VOLT_PER_COUNT:.5g}' for n in sample.tolist())
      lines += [f'{i + 1 + k * REPEATS + j}\t{values}\t{its_class}' for j in range(REPEATS)]
    text = '\n'.join(lines)
    lacks = parser.record_id(name) == parser.NO_LAST_CLASS
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.rpartition('\t')[0] if lacks else text + '\n')
  (folder / 'README.txt').write_text('Not a recording: to be ignored.\n')


if __name__ == '__main__':
  main()
