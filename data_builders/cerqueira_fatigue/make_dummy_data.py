"""Writes dummy_data/: the published layout and format, tiny, invented numbers, always the same.

Run: python -m data_builders.cerqueira_fatigue.make_dummy_data
"""

from collections.abc import Sequence
import pathlib

import numpy as np

from data_builders.cerqueira_fatigue import parser

FOLDER = pathlib.Path(__file__).parent / 'dummy_data'
N_SAMPLES = 120
# In the order of the published columns, which differs between the arms.
SENSORS = {
    'right': ('R BICEPS BRACHII: EMG 1', 'R DELTOID ANTERIOR: EMG 2', 'R DELTOID MEDIUS: EMG 6',
              'R DELTOID POSTERIOR: EMG 7'),
    'left': ('L DELTOID ANTERIOR: EMG 3', 'L BICEPS BRACHII: EMG 4', 'L DELTOID POSTERIOR: EMG 5',
             'L DELTOID MEDIUS: EMG 8')}
LEVELS = ((0.0, 0), (0.02, 0), (0.04, 1), (0.06, 2), (0.08, 2), (0.1, 2))
# The clock of some published files of levels steps back, and a trial cannot be labelled.
BROKEN = ((0.0, 0), (0.02, 0), (0.01, 1), (0.06, 2))


def main(folder: pathlib.Path = FOLDER) -> None:
  """Writes every file below `folder`."""
  rng = np.random.default_rng(0)
  for trial, levels in (('subject_1/trial_5', LEVELS), ('subject_1/trial_11', BROKEN),
                        ('subject_8/subject_8/trial_10', LEVELS)):
    emg_tc = rng.normal(0, 1e-4, (N_SAMPLES, parser.N_CHANNELS)).round(7)
    side = parser.SIDES[(int(trial.rpartition('_')[2]) - 1) % 2]
    write_trial(folder / 'sEMG_data' / f'{trial}.csv', side, emg_tc, n_padding=2)
    write_levels(folder / parser.LABEL_FOLDER / f'{trial.replace("/trial", "/Trial")}.csv', levels)


def write_trial(path: pathlib.Path, side: str, emg_tc: np.ndarray, n_padding: int = 0) -> None:
  """Columns of time and EMG in the order of SENSORS, and rows of zeros at the end."""
  names = (name for sensor in SENSORS[side] for name in ('X [s]', f'{sensor} [V]'))
  lines = [','.join(names)]
  for i, values in enumerate(emg_tc):
    time = f'{i / parser.RATE_HZ:.9f}'
    lines.append(','.join(f'{time},{float(value)!r}' for value in values))
  lines += [','.join(['0'] * 8)] * n_padding
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text('\n'.join(lines) + '\n')


def write_levels(path: pathlib.Path, levels: Sequence[tuple[float, int]]) -> None:
  """Rows of time and level."""
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text('\n'.join(['time,level', *(f'{time},{level}' for time, level in levels)]) + '\n')


if __name__ == '__main__':
  main()
