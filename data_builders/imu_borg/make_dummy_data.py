"""Writes dummy_data/: the published layout and format, tiny, invented numbers, always the same.

Run: python -m data_builders.imu_borg.make_dummy_data
"""

from collections.abc import Sequence
import datetime
import pathlib

import numpy as np

from data_builders.imu_borg import parser

FOLDER = pathlib.Path(__file__).parent / 'dummy_data'
N_ROWS = 101
START = datetime.datetime(2000, 1, 1, 12)


def main(folder: pathlib.Path = FOLDER) -> None:
  """Two experiments, one without an IMU file and one whose log goes on for too long."""
  home = folder / 'Data/Participants'
  ratings = ((0.0, 0), (0.7, 2.5), (1.4, 7))
  write(home / 'individual_60/experiment_1', 0, ratings)
  write(home / 'individual_61/experiment_2', 1, ratings[:2], segments=())
  write(home / 'individual_61/experiment_3', 2, ((0.0, 0), (4.5, 10)))  # 2.5 s after the last row
  write(home / 'individual_62/experiment_1', 3, ratings)
  (home / 'individual_62/experiment_1/imu_data.csv').unlink()
  basic_info = 'age,height,weight,gender,dumbbell,dominant arm\n0,0 cm,0 kg,none,0 kg,none\n'
  (home / 'individual_60/experiment_1/basic_info.csv').write_text(basic_info)  # to be ignored


def times_ms(n: int = N_ROWS) -> np.ndarray:
  """20 ms a row, with a block of rows that arrives late and at once, as in the published files."""
  times = 20.0 * np.arange(n)
  times[40:50] = times[50]
  return times


def signals(seed: int, n: int = N_ROWS) -> np.ndarray:
  """[n, 18] as the IMUs send them: float32 (here whole numbers, which are short as text)."""
  curl_t = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / 30)
  scale = np.repeat([200.0, 8.0, 90.0] * 2, 3)
  noise_tc = np.random.default_rng(seed).normal(0, 0.1, (n, parser.N_CHANNELS))
  return np.rint((curl_t[:, None] + noise_tc) * scale)


def write(folder: pathlib.Path, seed: int, ratings: Sequence[tuple[float, float]],
          segments: Sequence[tuple[int, int]] = ((15, 75), (45, 95)),
          time_ms: np.ndarray | None = None, signal_tc: np.ndarray | None = None) -> None:
  """One experiment; `ratings` are (s since Start, rating), `segments` first and last rows."""
  folder.mkdir(parents=True, exist_ok=True)
  signal_tc = signals(seed) if signal_tc is None else signal_tc
  time_ms = times_ms(len(signal_tc)) if time_ms is None else time_ms
  # The computed columns: norms of wrist and arm, then arm less wrist.
  parts = np.split(signal_tc, 6, axis=1)
  norms = [np.linalg.norm(parts[i], axis=1).round()[:, None] for i in (0, 1, 3, 4)]
  table = np.hstack([time_ms[:, None], signal_tc, *norms, parts[5] - parts[2]])
  rows = [','.join(f'{value:.17g}' for value in row) for row in table.tolist()]
  _write(folder / 'imu_data.csv', parser.HEADER, rows)
  _write(folder / 'borg.csv', parser.BORG_HEADER,
         [f'{START + datetime.timedelta(seconds=s)},{value}' for s, value in ratings])
  _write(folder / 'repetitions.csv', parser.REPETITIONS_HEADER,
         [f'{first},{last}' for first, last in segments])


def _write(path: pathlib.Path, header: str, rows: Sequence[str]) -> None:
  path.write_bytes('\n'.join([header, *rows, '']).encode())


if __name__ == '__main__':
  main()
