"""Writes dummy_data/: the documented layout, tiny, invented numbers, always the same.

Run: python -m data_builders.kinematics_fatigue.make_dummy_data
"""

from collections.abc import Sequence
import pathlib

import numpy as np

from data_builders.kinematics_fatigue import keypoint_files, parser

FOLDER = pathlib.Path(__file__).parent / 'dummy_data'
FPS, WIDTH, HEIGHT = 30.0, 640, 480
N_FRAMES = 60
SPANS = ((0, 0.9, 1), (0.9, 2, 7.5))
# Rough places in the frame, in the order of keypoint_files.POINTS.
_PLACES = ((.5, .2), (.6, .35), (.4, .35), (.65, .5), (.35, .5), (.6, .65), (.4, .65), (.6, .7),
           (.4, .7), (.61, .71), (.39, .71))


def main(folder: pathlib.Path = FOLDER) -> None:
  """Two people: NPZ of two tasks, and a CSV without fingers."""
  write_npz(folder / 'S1/reach/take1.npz', keypoints(0))
  write_npz(folder / 'S1/lift/take1.npz', keypoints(1))
  write_csv(folder / 'S2/reach/take1.csv', keypoints(2)[:N_FRAMES - 20], n_points=7)
  write_borg(folder / 'S1/reach/take1.borg.csv', SPANS)
  write_borg(folder / 'S1/lift/take1.borg.csv', ((1.0, 2.0, 10),))
  write_borg(folder / 'S2/reach/take1.borg.csv', ((0, 1, 0.5),))


def keypoints(seed: int, n: int = N_FRAMES) -> np.ndarray:
  """[n, 11, 4] float32: points that sway; the left hand is hidden in some frames."""
  rng = np.random.default_rng(seed)
  sway_t = 0.05 * np.sin(2 * np.pi * np.arange(n) / 30)
  keypoint_tkd = np.zeros((n, len(_PLACES), 4))
  keypoint_tkd[..., :2] = np.array(_PLACES)[None] + sway_t[:, None, None]
  keypoint_tkd[..., :3] += rng.normal(0, 0.004, (n, len(_PLACES), 3))
  keypoint_tkd[..., 3] = rng.uniform(0.8, 1, (n, len(_PLACES)))
  keypoint_tkd[10:15, 5:10:2, 3] = 0.1
  return keypoint_tkd.round(3).astype(np.float32)


def write_npz(path: pathlib.Path, keypoint_tkd: np.ndarray, **replaced) -> None:
  """One recording; `replaced` gives other values for the keys, None to leave one out."""
  path.parent.mkdir(parents=True, exist_ok=True)
  arrays = {'keypoints': keypoint_tkd, 'fps': FPS, 'width': WIDTH, 'height': HEIGHT} | replaced
  np.savez(path, **{key: value for key, value in arrays.items() if value is not None})


def write_csv(path: pathlib.Path, keypoint_tkd: np.ndarray, n_points: int = 11) -> None:
  """The first points of a recording as CSV with a column to ignore, and the video's numbers."""
  n_columns = n_points * len(keypoint_files.PARTS)
  table = keypoint_tkd[:, :n_points].reshape(len(keypoint_tkd), -1)
  rows = [','.join(['label', *keypoint_files.COLUMNS[:n_columns]])]
  rows += ['up,' + ','.join(map(str, row)) for row in table]
  _write(path, rows)
  _write(path.with_suffix('.video.csv'), [keypoint_files.VIDEO_HEADER, f'{FPS},{WIDTH},{HEIGHT}'])


def write_borg(path: pathlib.Path, spans: Sequence[tuple[float, float, float]]) -> None:
  """The ratings of one recording: start and end in s, rating."""
  _write(path, [parser.BORG_HEADER, *(','.join(map(str, span)) for span in spans)])


def _write(path: pathlib.Path, rows: Sequence[str]) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_bytes('\n'.join([*rows, '']).encode())


if __name__ == '__main__':
  main()
