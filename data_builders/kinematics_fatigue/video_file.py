"""Frames of a video file, upright, with their times; needs OpenCV (constraints/keypoints.txt)."""

from collections.abc import Iterator
import dataclasses
import os

import numpy as np

from data_builders.kinematics_fatigue.frame_times import BadVideo

Crop = tuple[int, int, int, int]  # left, top, width, height in pixels


@dataclasses.dataclass(frozen=True)
class VideoFile:
  """An opened video.

  Attributes:
    path: of the file.
    fps, n_frames: as its header states them; 0 where it does not.
    rotation_deg: by which its header asks to turn every frame, which is done.
    crop: the part of the turned frame that is used; None for all of it.
  """
  path: str
  fps: float
  n_frames: int
  rotation_deg: int
  crop: Crop | None

  def frames(self) -> Iterator[tuple[np.ndarray, float]]:
    """Yields [height, width, 3] uint8 in blue, green, red, and the time in s from the first frame.

    Raises:
      BadVideo: the crop reaches beyond the frame.
    """
    cv2 = _opencv()
    capture = _capture(self.path)
    first_s = None
    try:
      while True:
        ok, image_hwc = capture.read()
        if not ok:
          return
        time_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        first_s = time_s if first_s is None else first_s
        yield self._cropped(image_hwc), time_s - first_s
    finally:
      capture.release()

  def _cropped(self, image_hwc: np.ndarray) -> np.ndarray:
    if self.crop is None:
      return image_hwc
    left, top, width, height = self.crop
    if left + width > image_hwc.shape[1] or top + height > image_hwc.shape[0]:
      raise BadVideo(f'--crop {",".join(map(str, self.crop))} reaches beyond its frames of'
                     f' {image_hwc.shape[1]} x {image_hwc.shape[0]} pixels, expected LEFT,TOP,'
                     'WIDTH,HEIGHT within')
    return np.ascontiguousarray(image_hwc[top:top + height, left:left + width])


def open_video(path: str, crop: Crop | None) -> VideoFile:
  """Looks at the header of a video.

  Raises:
    BadVideo: no such file, or one that OpenCV cannot read as a video.
  """
  cv2 = _opencv()
  if not os.path.isfile(path):
    raise BadVideo('a folder, expected a video' if os.path.isdir(path) else 'no such file')
  capture = _capture(path)
  try:
    if not capture.isOpened() or not capture.grab():
      raise BadVideo('cannot be read as a video (cut short, damaged, without pictures, or of a'
                     ' format that OpenCV does not know), expected mp4, mov, avi, mkv, webm or gif')
    number = lambda key: max(0.0, np.nan_to_num(capture.get(key)))
    return VideoFile(path, number(cv2.CAP_PROP_FPS), round(number(cv2.CAP_PROP_FRAME_COUNT)),
                     round(number(cv2.CAP_PROP_ORIENTATION_META)) % 360, crop)
  finally:
    capture.release()


def _capture(path: str):
  """OpenCV's reader by FFmpeg, which turns frames upright."""
  cv2 = _opencv()
  capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
  capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
  return capture


def _opencv():
  """OpenCV, silent about damaged streams: what cannot be read is said once, by us."""
  os.environ.setdefault('OPENCV_LOG_LEVEL', 'OFF')
  os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')
  import cv2
  return cv2
