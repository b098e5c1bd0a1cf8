"""When a video's frames were taken, and key points at a constant rate from them. NumPy only.

Phones and browsers record at a variable rate: they write a frame when they have one. Records have
one rate, so key points between two frames are put on the straight line between them.
"""

import dataclasses

import numpy as np

MAX_FPS = 1000.0
MAX_GAP_S = 0.5  # nothing is known of what lies between frames further apart
_SAME_TIME = 1e-6  # of the time between two frames
_SAME_RATE = 1e-3  # a header's rate this close is the exact form of the measured one


class BadVideo(ValueError):
  """What is wrong with a video that cannot be used."""


@dataclasses.dataclass(frozen=True)
class Regular:
  """Key points at a constant rate, and what was done for it, to tell the user."""
  keypoint_tkd: np.ndarray
  fps: float
  notes: tuple[str, ...]


def regular(keypoint_tkd: np.ndarray, time_s: np.ndarray, header_fps: float) -> Regular:
  """Key points of frames at any times -> at a constant rate.

  Times that lie within half a frame of a straight line are a constant rate, and the key points stay
  as they are. Otherwise they are interpolated to the usual distance of two frames; what lies more
  than MAX_GAP_S from a frame on either side, or beside a frame where nobody was found, is 0 with
  visibility 0. Frames that do not come after all earlier ones are dropped.

  Args:
    keypoint_tkd: [T, K, 4], the last number a visibility, 0 where nobody was found.
    time_s: [T] of the frames.
    header_fps: rate that the file states; it stands in when the times say nothing.

  Raises:
    BadVideo: fewer than 2 frames, or no frame rate can be had from the times or the header.
  """
  if len(time_s) < 2:
    raise BadVideo(f'holds {len(time_s)} frame(s), expected a video')
  latest = np.maximum.accumulate(np.concatenate([[-np.inf], time_s[:-1]]))
  kept = np.isfinite(time_s) & (time_s > latest)
  if kept.sum() < max(2, len(time_s) / 2):
    if not 0 < header_fps <= MAX_FPS:
      raise BadVideo(f'its frames have no times and its header says {header_fps:g} frames/s,'
                     f' expected more than 0 and at most {MAX_FPS:g}: convert the video first')
    return Regular(keypoint_tkd, header_fps, (
        f'its frames have no times: taken as evenly spaced at the {header_fps:g} frames/s of its'
        ' header',))
  notes = ()
  if not kept.all():
    notes = (f'{(~kept).sum()} frames do not come after the ones before them: dropped',)
  keypoint_tkd, time_s = keypoint_tkd[kept], time_s[kept]
  line = np.polyfit(np.arange(len(time_s)), time_s, 1)
  fps = 1 / line[0]
  if np.abs(time_s - np.polyval(line, np.arange(len(time_s)))).max() <= 0.5 / fps:
    return Regular(keypoint_tkd, _exact(fps, header_fps), notes)
  step_s = np.diff(time_s)
  usual_s = np.median(step_s)
  fps = _exact(1 / step_s[np.abs(step_s - usual_s) <= 0.2 * usual_s].mean(), header_fps)
  if not 0 < fps <= MAX_FPS:
    raise BadVideo(f'{fps:g} frames/s, expected at most {MAX_FPS:g}')
  notes += (f'variable frame rate, frames {1000 * step_s.min():.0f} to {1000 * step_s.max():.0f} ms'
            f' apart: key points interpolated to {fps:.6g} frames/s',)
  long_s = step_s[step_s > MAX_GAP_S]
  if len(long_s):
    notes += (f'{len(long_s)} gaps of more than {MAX_GAP_S:g} s between frames'
              f' ({long_s.sum():.1f} s in all): hidden',)
  return Regular(_interpolated(keypoint_tkd, time_s, fps), fps, notes)


def _exact(fps: float, header_fps: float) -> float:
  return header_fps if abs(header_fps / fps - 1) <= _SAME_RATE else fps


def _interpolated(keypoint_tkd: np.ndarray, time_s: np.ndarray, fps: float) -> np.ndarray:
  """[N, K, 4] at 1 / fps from the first frame to the last."""
  count = int(np.floor((time_s[-1] - time_s[0]) * fps + 1e-6)) + 1
  at_s = time_s[0] + np.arange(count) / fps
  after = np.clip(np.searchsorted(time_s, at_s), 1, len(time_s) - 1)
  step_s = time_s[after] - time_s[after - 1]
  share = (at_s - time_s[after - 1]) / step_s
  share = np.where(share < _SAME_TIME, 0, np.where(share > 1 - _SAME_TIME, 1, share))
  before_nkd, after_nkd = keypoint_tkd[after - 1], keypoint_tkd[after]
  out_nkd = before_nkd + share[:, None, None] * (after_nkd - before_nkd)
  # A frame itself (share 0 or 1) needs no neighbour.
  found_n = (((before_nkd[..., 3].max(1) > 0) | (share == 1))
             & ((after_nkd[..., 3].max(1) > 0) | (share == 0)))
  between_n = (step_s > MAX_GAP_S) & (share > 0) & (share < 1)
  out_nkd[~found_n | between_n] = 0
  return out_nkd.astype(np.float32)
