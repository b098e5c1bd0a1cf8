"""Writes dummy_data/: the published layout and format, tiny, invented numbers, always the same.

Run: python -m data_builders.myo_armband.make_dummy_data
"""

import pathlib

import numpy as np

from data_builders.myo_armband import parser

FOLDER = pathlib.Path(__file__).parent / 'dummy_data'
N_SAMPLES = 104
# Folder -> class indices. Female7 copies Female0, as in the published set.
FILES = {
    'EvaluationDataset/Female0/training0': range(7),
    'EvaluationDataset/Female0/Test0': (0, 10),
    'EvaluationDataset/Male10/Test1': (27,),
    'EvaluationDataset/Male2/training0': range(3),
    'PreTrainingDataset/Male0/training0': (0, 7, 14, 21),
}
COPY_OF, COPY = 'EvaluationDataset/Female0/training0', 'PreTrainingDataset/Female7/training0'


def main(folder: pathlib.Path = FOLDER) -> None:
  """Writes every file below `folder`."""
  rng = np.random.default_rng(0)
  for name, indices in FILES.items():
    for index in indices:
      width = 8 + 4 * (index % 7)
      counts_tc = rng.normal(0, width, (N_SAMPLES, parser.N_CHANNELS)).clip(-128, 127)
      data = counts_tc.astype(parser.DTYPE).tobytes()
      for target in (name, COPY) if name == COPY_OF else (name,):
        path = folder / target / f'classe_{index}.dat'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
  (folder / 'EvaluationDataset/Female0/experiment.csv').write_text('Sex,F,,\n')  # to be ignored


if __name__ == '__main__':
  main()
