"""Writes dummy_data/: the published layout and format, tiny, invented numbers, always the same.

One folder for each database, as its archives unpack. Numbers are rounded, so that they pack well.

Run: python -m data_builders.ninapro.make_dummy_data
"""

from collections.abc import Sequence
import io
import pathlib

import numpy as np
import scipy.io

FOLDER = pathlib.Path(__file__).parent / 'dummy_data'
HEADER = b'MATLAB 5.0 MAT-file, invented numbers'.ljust(116)  # scipy's names the date
REST, CUE = 6, 14  # samples
LATE, EARLY = 3, 2  # samples by which the movement begins after its cue and ends before
REPETITIONS = 2
V, COUNTS = 1e-6, 1.0


def main(folder: pathlib.Path = FOLDER) -> None:
  """Writes every file below `folder`."""
  rng = np.random.default_rng(0)
  for exercise, numbers in ((1, (1, 2, 12)), (2, (1, 6, 17)), (3, (1, 5, 23))):
    volts = rng.integers(0, 400, (length(numbers), 10)) * 0.0024414
    save(folder / f'db1/s1/S1_A1_E{exercise}.mat', emg=volts, glove=zeros(numbers, 22),
         **labels(numbers, np.uint8), **scalars(subject=1, exercise=exercise))
  for exercise, numbers in ((1, (1, 6, 17)), (2, (18, 22, 40)), (3, (41, 45, 49))):
    tracks = labels(numbers)
    if exercise != 2:  # as in some published files
      tracks['restimulus'] = tracks['restimulus'][:-1]
      tracks['rerepetition'] = tracks['rerepetition'][:-1]
    save(folder / f'db2/DB2_s1/S1_E{exercise}_A1.mat', emg=signal(rng, numbers, 12, V),
         acc=zeros(numbers, 36), glove=zeros(numbers, 22), **tracks,
         **scalars(subject=1, exercise=exercise))
  for subject, dead in ((1, ()), (6, (10, 11))):
    emg_tc = signal(rng, (18, 22, 29), 12, V)
    emg_tc[:, list(dead)] = 0
    save(folder / f'db3/DB3_s{subject}/S{subject}_E2_A1.mat', emg=emg_tc, **labels((18, 22, 29)),
         **scalars(subject=subject, exercise=2))
  # In DB4 the scalar `exercise` does not agree with the name.
  for exercise, wrong, numbers in ((1, 2, (1, 2, 12)), (3, 3, (1, 13, 23))):
    save(folder / f'db4/s1/S1_E{exercise}_A1.mat', emg=signal(rng, numbers, 12, COUNTS),
         **labels(numbers), **scalars(subject=1, exercise=wrong, frequency=2000), sensor='Cometa')
  for exercise, wrong, numbers in ((1, 3, (1, 2, 12)), (2, 1, (5, 6, 17)), (3, 2, (1, 14, 23))):
    save(folder / f'db5/s1/S1_E{exercise}_A1.mat', emg=signal(rng, numbers, 16, COUNTS),
         **labels(numbers), **scalars(subject=1, exercise=wrong, frequency=200),
         sensor='Double Myo')
  for part, day, time in (('a', 1, 1), ('a', 1, 2), ('b', 5, 2)):
    numbers = (1, 3, 4, 6, 9, 10, 11) if (day, time) == (1, 1) else (1, 9, 11)
    emg_tc = signal(rng, numbers, 16, V)
    emg_tc[:, 8:10] = 0
    save(folder / f'db6/DB6_s1_{part}/S1_D{day}_T{time}.mat', emg=emg_tc, acc=zeros(numbers, 48),
         **labels(numbers), **scalars(subj=1, daytesting=day, time=time))
  for subject in (1, 21):
    save(folder / f'db7/S{subject}_E2_A1.mat', emg=signal(rng, (18, 34, 38), 12, V),
         acc=zeros((1, 2, 3), 36), **labels((18, 34, 38)), **scalars(subject=1, exercise=2))


def length(numbers: Sequence[int]) -> int:
  return (REST + CUE) * REPETITIONS * len(numbers) + REST


def zeros(numbers: Sequence[int], columns: int) -> np.ndarray:
  return np.zeros((length(numbers), columns), np.float32)


def signal(rng: np.random.Generator, numbers: Sequence[int], columns: int,
           step: float) -> np.ndarray:
  return (rng.integers(-60, 61, (length(numbers), columns)) * step).astype(np.float32)


def scalars(**values: int) -> dict[str, np.ndarray]:
  return {name: np.array([[value]], np.uint16) for name, value in values.items()}


def labels(numbers: Sequence[int], dtype: type = np.int8) -> dict[str, np.ndarray]:
  """The four tracks: each movement REPETITIONS times, rest before each cue and at the end."""
  tracks = {name: np.zeros((length(numbers), 1), dtype) for name in
            ('stimulus', 'restimulus', 'repetition', 'rerepetition')}
  for i, number in enumerate(np.repeat(numbers, REPETITIONS)):
    cue = slice((REST + CUE) * i + REST, (REST + CUE) * (i + 1))
    movement = slice(cue.start + LATE, cue.stop - EARLY)
    tracks['stimulus'][cue], tracks['repetition'][cue] = number, i % REPETITIONS + 1
    tracks['restimulus'][movement], tracks['rerepetition'][movement] = number, i % REPETITIONS + 1
  return tracks


def save(path: pathlib.Path, **variables: np.ndarray | str) -> None:
  """A compressed MATLAB v5 file with a fixed header."""
  path.parent.mkdir(parents=True, exist_ok=True)
  buffer = io.BytesIO()
  scipy.io.savemat(buffer, variables, do_compression=True)
  path.write_bytes(HEADER + buffer.getvalue()[len(HEADER):])


if __name__ == '__main__':
  main()
