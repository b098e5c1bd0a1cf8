"""What a pose estimator found in a video, in words; what cannot be used is refused. NumPy only."""

from collections.abc import Iterator
import dataclasses

import numpy as np

from data_builders.kinematics_fatigue.frame_times import MAX_GAP_S, BadVideo
from data_builders.kinematics_fatigue.keypoint_files import POINTS
from data_builders.kinematics_fatigue.video_file import VideoFile

LOOK_S = 1.0  # so often all people in the frame are counted
MIN_FOUND = 0.5  # share of the frames; with less a person is there by chance
MIN_VISIBILITY = 0.5
_SHOULDERS = [POINTS.index('left_shoulder'), POINTS.index('right_shoulder')]
_NAMED_JUMPS = 5


@dataclasses.dataclass
class Found:
  """Grows with the frames of one video.

  Attributes:
    rows: [11, 4] of each frame, 0 where nobody was found.
    times: of the frames in s.
    people: in the frame, at every look.
    size_px: width and height of the frames.
  """
  rows: list[np.ndarray] = dataclasses.field(default_factory=list)
  times: list[float] = dataclasses.field(default_factory=list)
  people: list[int] = dataclasses.field(default_factory=list)
  size_px: tuple[int, int] = (0, 0)

  @property
  def keypoint_tkd(self) -> np.ndarray:
    return np.stack(self.rows)

  @property
  def time_s(self) -> np.ndarray:
    return np.array(self.times)


def about_video(found: Found, video: VideoFile, fps: float) -> Iterator[str]:
  """Size, direction, rate, and frames that could not be read."""
  count, (width, height) = len(found.rows), found.size_px
  shape = ' (portrait)' if height > width else ''
  turned = (f', turned by {video.rotation_deg} degrees as its header asks'
            if video.rotation_deg else '')
  yield f'{count} frames of {width} x {height} pixels{shape}{turned}, {fps:.6g} frames/s'
  if video.crop is not None:
    yield f'only the part {",".join(map(str, video.crop))} of each frame was used'
  if count < 0.98 * video.n_frames:
    yield (f'its header says {video.n_frames} frames, {count} could be read: is it cut short or'
           ' damaged?')


def about_people(found: Found) -> Iterator[str]:
  """Who was found, and whether it may be more than one person.

  Raises:
    BadVideo: nobody, or in less than MIN_FOUND of the frames.
  """
  keypoint_tkd = found.keypoint_tkd
  there_t = keypoint_tkd[..., 3].max(1) > 0
  frames = f'{there_t.sum()} of {len(there_t)} frames'
  if not there_t.any():
    raise BadVideo(f'no person was found in any of {len(there_t)} frames, expected one whose upper'
                   ' body is in sight (is it small in the frame? try --crop)')
  if there_t.mean() < MIN_FOUND:
    raise BadVideo(f'a person was found in {frames} only, expected at least {MIN_FOUND:.0%} (is it'
                   ' small in the frame? try --crop)')
  visibility_k = np.median(keypoint_tkd[there_t][..., 3], 0)
  hidden = [name for name, value in zip(POINTS, visibility_k) if value < MIN_VISIBILITY]
  yield (f'a person in {frames}' + ('' if there_t.all() else ', the others are 0 with visibility 0')
         + (f'; mostly hidden: {", ".join(hidden)}' if hidden else ''))
  several = [count for count in found.people if count > 1]
  if several:
    yield (f'several people, up to {max(several)}, at {len(several)} of {len(found.people)} looks'
           f' ({LOOK_S:g} s apart): only one is followed, and it may not always be the same; look'
           ' at --sheet, or leave one in sight with --crop')
  jump_s = [found.times[t] for t in jumps(keypoint_tkd, found.time_s, found.size_px)]
  if jump_s:
    named = ', '.join([f'{time:.2f} s' for time in jump_s[:_NAMED_JUMPS]]
                      + ['...'] * (len(jump_s) > _NAMED_JUMPS))
    yield (f'the person jumps by more than a shoulder width {len(jump_s)} times (at {named}): a'
           ' cut, another person, or a mistake of the estimator; look at --sheet')


def jumps(keypoint_tkd: np.ndarray, time_s: np.ndarray, size_px: tuple[int, int]) -> np.ndarray:
  """Frames where the middle of the shoulders is further from its last sighting than their median
  distance, which no one moves in MAX_GAP_S or less.
  """
  shoulder_tsd = keypoint_tkd[:, _SHOULDERS]
  seen = np.flatnonzero(shoulder_tsd[..., 3].min(1) >= MIN_VISIBILITY)
  if len(seen) < 2:
    return seen[:0]
  point_nsa = shoulder_tsd[seen, :, :3] * (size_px[0], size_px[1], size_px[0])
  width_px = np.median(np.linalg.norm(point_nsa[:, 0] - point_nsa[:, 1], axis=-1))
  step_px = np.linalg.norm(np.diff(point_nsa[..., :2].mean(1), axis=0), axis=-1)
  near = np.diff(time_s[seen]) <= MAX_GAP_S
  return seen[1:][near & (step_px > width_px)]
