"""Writes dummy_data/: the published layout and format, tiny, invented numbers, always the same.

Run: python -m data_builders.csl_hdemg.make_dummy_data
"""

from collections.abc import Sequence
import pathlib
import struct
import zlib

import numpy as np

from data_builders import mat5
from data_builders.csl_hdemg import parser

FOLDER = pathlib.Path(__file__).parent / 'dummy_data'
N_SAMPLES = 104
FILES = {'subject1/session1/gest0.mat': 2, 'subject1/session1/gest11.mat': 1,
         'subject5/session3/gest2.mat': 1}


def main(folder: pathlib.Path = FOLDER) -> None:
  """Writes every file below `folder`."""
  rng = np.random.default_rng(0)
  for name, n_repetitions in FILES.items():
    # Few different values, so that the files stay small: MATLAB compresses.
    trials = [rng.integers(-2, 3, (parser.N_ROWS, N_SAMPLES + i)) * 0.001
              for i in range(n_repetitions)]
    write(folder / name, trials)


def write(path: pathlib.Path, trials: Sequence[np.ndarray]) -> None:
  """Writes the trials as MATLAB v5 (-v7: compressed) with the cell array `gestures`, [n, 1]."""
  path.parent.mkdir(parents=True, exist_ok=True)
  cells = b''.join(_matrix(trial.shape, b'', 6, _element(9, trial.astype('<f8').T.tobytes()))
                   for trial in trials)
  packed = zlib.compress(_matrix((len(trials), 1), parser.VARIABLE.encode(), mat5.CELL, cells))
  header = b'MATLAB 5.0 MAT-file'.ljust(124) + struct.pack('<H', 0x100) + b'IM'
  path.write_bytes(header + struct.pack('<II', mat5.COMPRESSED, len(packed)) + packed)


def _matrix(shape: tuple[int, int], name: bytes, mat_class: int, content: bytes) -> bytes:
  return _element(mat5.MATRIX, _element(mat5.UINT32, struct.pack('<II', mat_class, 0))
                  + _element(mat5.INT32, struct.pack('<2i', *shape))
                  + _element(mat5.INT8, name) + content)


def _element(kind: int, data: bytes) -> bytes:
  return struct.pack('<II', kind, len(data)) + data + bytes(-len(data) % 8)


if __name__ == '__main__':
  main()
