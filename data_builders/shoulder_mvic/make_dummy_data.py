"""Writes dummy_data/: the published layout and format, tiny, invented numbers, always the same.

Run: python -m data_builders.shoulder_mvic.make_dummy_data
"""

from collections.abc import Sequence
import pathlib

import numpy as np

from data_builders.shoulder_mvic import borg, parser

FOLDER = pathlib.Path(__file__).parent / 'dummy_data'
N_SAMPLES = 120
EXERCISES = ('30-40_ internal rotation/Subject 1', '50-60_ external rotation/Subject 12',
             'MVIC force internal rotation second/Subject 1')
TIMES_S = range(10, 260, 10)
# Names of columns with the spaces that the published table has here and there.
HEADER = ('subject', 'task_order', 'before_task', *(f'{t}_sec ' for t in TIMES_S), 'end_of_trial',
          'length_of_trial_(sec)')


def main(folder: pathlib.Path = FOLDER) -> None:
  """Writes every file below `folder`."""
  rng = np.random.default_rng(0)
  for name in EXERCISES:
    write_exercise(folder / 'EMG, IMU, and PPG data' / name / 'EMG data',
                   rng.normal(0, 0.1, (N_SAMPLES, parser.N_CHANNELS)).round(4))
  write_table(folder, {(subject, task): ('7', {10: '9', 20: '13.5'}, '20', '25')
                       for subject in (1, 12) for task in parser.TASKS.values()})


def write_exercise(folder: pathlib.Path, signal_tc: np.ndarray) -> None:
  """Writes one file for each muscle."""
  folder.mkdir(parents=True, exist_ok=True)
  for muscle, column in zip(parser.MUSCLES, signal_tc.T, strict=True):
    lines = [muscle, *(repr(float(value)) for value in column)]
    (folder / f'{muscle.replace(" ", "_")}.csv').write_bytes(('\r\n'.join(lines) + '\r\n').encode())


def write_table(folder: pathlib.Path, ratings: dict[tuple[int, str], Sequence]) -> None:
  """Writes the ratings: (subject, task) -> before, {second: rating}, at the end, length."""
  lines, last = [','.join(HEADER)], None
  for (subject, task), (before, at_s, end, length) in ratings.items():
    name = '' if subject == last else f'subject_{subject}'  # on the first row of a subject only
    last = subject
    lines.append(','.join([name, task, before, *(at_s.get(t, '') for t in TIMES_S), end, length]))
  path = folder / borg.FILE
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_bytes(('\r\n'.join(lines) + '\r\n').encode())


if __name__ == '__main__':
  main()
