"""Key points of one video for a motion model: NPZ, or a video through launch/keypoints.sh.

    keypoints      [T, 11, 4] float32 of signal.keypoints.POINTS: x, y, z in shares of the frame, visibility
    fps            [] frames a second
    width, height  [] of a frame in pixels

That is what `launch/keypoints.sh` and the builder kinematics_fatigue use; other fields are ignored.
Letters: t frame, k key point, d x, y, z and visibility.
"""

import math
import os
import pathlib
import subprocess
import zipfile
import zlib
from typing import NamedTuple

import numpy as np

from aemg_jax.signal.keypoints import POINTS

FIELDS = ('keypoints', 'fps', 'width', 'height')
SCRIPT = pathlib.Path(__file__).parents[2] / 'launch' / 'keypoints.sh'
_SAME_RATE = 0.01


class KeypointVideo(NamedTuple):
  """One video's key points.

  Attributes:
    name: of the file, without its ending.
    keypoint_tkd: [T, 11, 4] float32.
    rate_hz: frames a second.
    frame_px: [2] width and height.
    notes: what was done to them, to be told and drawn.
  """
  name: str
  keypoint_tkd: np.ndarray
  rate_hz: float
  frame_px: np.ndarray
  notes: tuple[str, ...] = ()


def of_file(path: str, out: str) -> KeypointVideo:
  """Reads an NPZ, or has a video's key points written to `out`/NAME.npz first (one that is there is used).

  Raises:
    ValueError: no such file, no key points in it, or a video where the script is not at hand.
  """
  if not os.path.isfile(path):
    raise ValueError(f'{path}: no such file, expected a video or an NPZ of key points')
  if path.lower().endswith('.npz'):
    return read(path)
  made = os.path.join(out, pathlib.Path(path).stem + '.npz')
  if not SCRIPT.is_file():
    raise ValueError(f'{path}: a video, and only an NPZ of key points can be read here: in a checkout of the '
                     f'repository run "bash launch/keypoints.sh {path} --out {out}", then give {made}')
  ended = subprocess.run(['bash', str(SCRIPT), path, '--out', out], check=False, env=_outside())
  if ended.returncode:
    raise ValueError(f'{path}: launch/keypoints.sh found no key points that could be used (exit code '
                     f'{ended.returncode}, see above)')
  return read(made)


def _outside() -> dict[str, str]:
  """The script makes an environment of its own."""
  return {name: value for name, value in os.environ.items() if name not in ('VIRTUAL_ENV', 'PYTHONPATH')}


def read(path: str) -> KeypointVideo:
  """Key points of an NPZ; ValueError names the file and the field."""
  try:
    with open(path, 'rb') as file:
      stored = np.load(file, allow_pickle=False)
      missing = set(FIELDS) - set(getattr(stored, 'files', ()))
      if missing:
        raise ValueError(f'lacks {sorted(missing)}')
      keypoint_tkd, *numbers = (stored[name] for name in FIELDS)
  except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
    raise ValueError(f'{path}: cannot be read ({error}), expected an NPZ with {FIELDS}') from error
  shape = (len(POINTS), 4)
  if keypoint_tkd.ndim != 3 or keypoint_tkd.shape[1:] != shape or keypoint_tkd.dtype.kind != 'f':
    raise ValueError(f'{path}: keypoints: got {keypoint_tkd.dtype} {keypoint_tkd.shape}, expected float32 '
                     f'[T, {shape[0]}, {shape[1]}]')
  for name, value in zip(FIELDS[1:], numbers):
    if value.size != 1 or value.dtype.kind not in 'iuf' or not 0 < value.item() < math.inf:
      raise ValueError(f'{path}: {name}: got {value!r}, expected one number above 0')
  if not (keypoint_tkd[..., 3] > 0).any():
    raise ValueError(f'{path}: keypoints: visibility is 0 throughout, expected a person to be seen')
  fps, width, height = (float(value.item()) for value in numbers)
  return KeypointVideo(pathlib.Path(path).stem, keypoint_tkd.astype(np.float32), fps,
                       np.array([width, height], np.float32))


def at_rate(video: KeypointVideo, rate_hz: float) -> KeypointVideo:
  """The same movement with frames 1 / rate_hz apart, on straight lines between the video's.

  Beside a frame in which nobody was found nothing is made up: 0 with visibility 0. Rates within 1 % are
  taken as they are, as in training.
  """
  if abs(video.rate_hz / rate_hz - 1) <= _SAME_RATE:
    return video
  last = len(video.keypoint_tkd) - 1
  count = int(last / video.rate_hz * rate_hz + 1e-6) + 1
  place_n = np.minimum(np.arange(count) * (video.rate_hz / rate_hz), last)
  low_n = np.floor(place_n + 1e-6).astype(int)
  high_n = np.minimum(low_n + 1, last)
  share_n = np.maximum(place_n - low_n, 0).astype(np.float32)
  low_nkd, high_nkd = video.keypoint_tkd[low_n], video.keypoint_tkd[high_n]
  out_nkd = low_nkd + share_n[:, None, None] * (high_nkd - low_nkd)
  there_t = video.keypoint_tkd[..., 3].max(1) > 0
  out_nkd[~there_t[low_n] | (~there_t[high_n] & (share_n > 1e-6))] = 0
  note = f'{video.rate_hz:g} frames/s interpolated to {rate_hz:g}'
  if video.rate_hz < rate_hz:
    note += f', without movement faster than {video.rate_hz / 2:g} Hz'
  return video._replace(keypoint_tkd=out_nkd, rate_hz=rate_hz, notes=video.notes + (note,))


def looped(video: KeypointVideo, frames: int) -> KeypointVideo:
  """The recording over and over until there are `frames` frames, and a note that says so.

  A short video can then be tried, but what its curve shows is not anybody's fatigue: the same seconds come
  again, with a jump between the last frame and the first.
  """
  have = len(video.keypoint_tkd)
  if frames <= have:
    raise ValueError(f'--loop: got {frames} frames, expected more than the {have} of {video.name} at '
                     f'{video.rate_hz:g} frames/s')
  index_n = np.arange(frames) % have
  note = f'LOOPED: {have} frames repeated to {frames}'
  return video._replace(keypoint_tkd=video.keypoint_tkd[index_n], notes=(note,) + video.notes)
