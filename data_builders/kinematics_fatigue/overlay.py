"""Key points drawn on their frames, to look at: a contact sheet (PNG) and a video. Needs OpenCV."""

from collections.abc import Iterable

import numpy as np

from data_builders.kinematics_fatigue.findings import MIN_VISIBILITY
from data_builders.kinematics_fatigue.keypoint_files import POINTS

SHEET_COLUMNS, SHEET_ROWS = 4, 5
TILE_PX = 480  # longest side of a picture on the sheet
# Blue, green, red: the person's left, right, and what is neither.
_LEFT, _RIGHT, _MIDDLE = (0, 159, 230), (233, 180, 86), (255, 255, 255)


def draw(image_hwc: np.ndarray, keypoint_kd: np.ndarray, bones: Iterable[tuple[int, int]]
         ) -> np.ndarray:
  """A copy with dots and bones: the person's left orange, right blue; hidden points are rings."""
  import cv2
  image_hwc = image_hwc.copy()
  height, width = image_hwc.shape[:2]
  if not keypoint_kd[:, 3].any():
    return image_hwc
  # What lies far outside of the frame stays within OpenCV's integers.
  at_px = [tuple(int(v) for v in np.clip(xy * (width, height), -1e4, 1e4))
           for xy in keypoint_kd[:, :2]]
  seen = keypoint_kd[:, 3] >= MIN_VISIBILITY
  thick = max(1, round(max(width, height) / 400))
  for a, b in bones:
    if seen[a] and seen[b]:
      cv2.line(image_hwc, at_px[a], at_px[b], _colour(a, b), thick, cv2.LINE_AA)
  for k, place in enumerate(at_px):
    cv2.circle(image_hwc, place, 2 * thick, _colour(k), -1 if seen[k] else 1, cv2.LINE_AA)
  return image_hwc


def _colour(*points: int) -> tuple[int, int, int]:
  names = [POINTS[k] for k in points]
  for side, colour in (('left', _LEFT), ('right', _RIGHT)):
    if all(name.startswith(side) for name in names):
      return colour
  return _MIDDLE


class Sheet:
  """Frames spread evenly over a video of unknown length, in the memory of a few."""

  def __init__(self):
    self._every, self._tiles = 1, []

  def add(self, index: int, image_hwc: np.ndarray, time_s: float) -> None:
    """Offers a drawn frame; frames come in order of their index."""
    import cv2
    if index % self._every:
      return
    if len(self._tiles) == 2 * SHEET_COLUMNS * SHEET_ROWS:
      self._tiles, self._every = self._tiles[::2], 2 * self._every
    if index % self._every:
      return
    scale = TILE_PX / max(image_hwc.shape[:2])
    size = [max(1, round(scale * side)) for side in image_hwc.shape[1::-1]]
    tile_hwc = cv2.resize(image_hwc, size, interpolation=cv2.INTER_AREA)
    for colour, thick in (((0, 0, 0), 3), ((255, 255, 255), 1)):
      cv2.putText(tile_hwc, f'{time_s:.2f} s', (6, size[1] - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5,
                  colour, thick, cv2.LINE_AA)
    self._tiles.append(tile_hwc)

  def png(self) -> bytes:
    """The sheet, earliest frame top left."""
    import cv2
    count = min(len(self._tiles), SHEET_COLUMNS * SHEET_ROWS)
    shown = np.linspace(0, len(self._tiles) - 1, count).round().astype(int)
    tiles = [self._tiles[i] for i in shown]
    tiles += [np.zeros_like(tiles[0])] * (-count % SHEET_COLUMNS)
    rows = [np.hstack(tiles[i:i + SHEET_COLUMNS]) for i in range(0, len(tiles), SHEET_COLUMNS)]
    return cv2.imencode('.png', np.vstack(rows))[1].tobytes()


class OverlayVideo:
  """An mp4 of drawn frames, written to `path` as they come."""

  def __init__(self, path: str, fps: float):
    self._path, self._fps, self._writer = path, fps, None

  def add(self, image_hwc: np.ndarray) -> None:
    import cv2
    height, width = (side // 2 * 2 for side in image_hwc.shape[:2])  # the codec wants even sides
    if self._writer is None:
      code = cv2.VideoWriter_fourcc(*'mp4v')
      self._writer = cv2.VideoWriter(self._path, cv2.CAP_FFMPEG, code, self._fps, (width, height))
      if not self._writer.isOpened():
        raise OSError(f'{self._path}: OpenCV cannot write this mp4')
    self._writer.write(np.ascontiguousarray(image_hwc[:height, :width]))

  def close(self) -> None:
    if self._writer is not None:
      self._writer.release()
