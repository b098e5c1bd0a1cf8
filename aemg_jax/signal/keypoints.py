"""Key points of the upper body as a pose estimator gives them, made ready for features and voxels.

Image axes: x right, y down, z away from the camera. MediaPipe's x and y are shares of the frame's width
and height; its z is relative and scaled like x. Here all three become pixels. Letters: t frame,
k key point, a axis (x, y, z), d x, y, z and visibility.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

POINTS = ('nose', 'left_shoulder', 'right_shoulder', 'left_elbow', 'right_elbow', 'left_wrist', 'right_wrist',
          'left_pinky', 'right_pinky', 'left_index', 'right_index')  # MediaPipe's order
AXES = ('x', 'y', 'z')
SHOULDERS = (POINTS.index('left_shoulder'), POINTS.index('right_shoulder'))
MIN_WIDTH_PX = 1.0  # narrower shoulders are no scale


@dataclasses.dataclass(frozen=True)
class KeypointConfig:
  """Key points -> pixels without holes.

  Attributes:
    min_visibility: a point below is hidden; MediaPipe's hidden arms are wrong, and say so.
    max_gap_s: hidden spells between two sightings are bridged and count as valid up to here.
    z_origin: 'shoulders' counts depth from the middle of both shoulders in the same frame, 'none'
      keeps the estimator's.
    z_over_width: pixels of depth a unit of z, in frame widths; 1 for MediaPipe.
    width_s: the shoulder width is the median over the first such seconds.
  """
  min_visibility: float = 0.5
  max_gap_s: float = 0.5
  z_origin: str = 'shoulders'
  z_over_width: float = 1.0
  width_s: float = 10.0

  def __post_init__(self):
    if not 0 <= self.min_visibility <= 1:
      raise ValueError(f'min_visibility: got {self.min_visibility!r}, expected within [0, 1]')
    if not self.max_gap_s >= 0:
      raise ValueError(f'max_gap_s: got {self.max_gap_s!r}, expected 0 s or more')
    if self.z_origin not in ('shoulders', 'none'):
      raise ValueError(f"z_origin: got {self.z_origin!r}, expected 'shoulders' or 'none'")
    for name in ('z_over_width', 'width_s'):
      if not getattr(self, name) > 0:
        raise ValueError(f'{name}: got {getattr(self, name)!r}, expected more than 0')


class Pose(NamedTuple):
  """A recording's key points, or a window of them; every number is finite.

  Attributes:
    point_tka: [T, 11, 3] pixels.
    valid_tk: [T, 11] the point was seen, or bridged over a short gap; False for all points of a frame
      whose shoulders are not valid when depth counts from them.
    width_px: [] shoulder width of the whole recording; 0 when the shoulders are never seen.
    frame_px: [2] width and height of the video frame.
  """
  point_tka: jax.Array
  valid_tk: jax.Array
  width_px: jax.Array
  frame_px: jax.Array


def clean(keypoint_tkd: jax.Array, frame_px: jax.Array, rate_hz: jax.Array | float,
          config: KeypointConfig = KeypointConfig()) -> Pose:
  """Pixels from an estimator's output, hidden points replaced.

  A hidden point (visibility below the limit, or a NaN) lies on the straight line between its last and
  next sighting, before the first and after the last it stays where that was, and at 0 if it is never
  seen. Positions are replaced however long the gap, so that nothing jumps; `valid_tk` says which of them
  to believe.

  Args:
    keypoint_tkd: [T, 11, 4] of POINTS: x, y, z as shares of the frame, visibility in [0, 1].
    frame_px: [2] width and height.
    rate_hz: frames a second; may be traced.

  Raises:
    ValueError: for other shapes.
  """
  if keypoint_tkd.ndim != 3 or keypoint_tkd.shape[1:] != (len(POINTS), 4):
    raise ValueError(f'keypoint_tkd: got shape {keypoint_tkd.shape}, expected [T, {len(POINTS)}, 4]')
  frame_px = jnp.asarray(frame_px, jnp.float32)
  if frame_px.shape != (2,):
    raise ValueError(f'frame_px: got shape {frame_px.shape}, expected [2], width and height')
  keypoint_tkd = jnp.asarray(keypoint_tkd, jnp.float32)
  seen_tk = jnp.isfinite(keypoint_tkd).all(-1) & (keypoint_tkd[..., 3] >= config.min_visibility)
  unit_px = jnp.stack([frame_px[0], frame_px[1], frame_px[0] * config.z_over_width])
  point_tka = jnp.where(seen_tk[..., None], keypoint_tkd[..., :3], 0) * unit_px[None, None]
  point_tka, gap_tk = _bridge(point_tka, seen_tk)
  valid_tk = gap_tk <= config.max_gap_s * rate_hz
  width_px = _shoulder_width(point_tka, seen_tk, config.width_s * rate_hz)
  if config.z_origin == 'shoulders':
    depth_t = point_tka[:, SHOULDERS, 2].mean(1)
    point_tka = point_tka.at[..., 2].add(-depth_t[:, None])
    valid_tk &= valid_tk[:, SHOULDERS].all(1)[:, None]
  return Pose(point_tka, valid_tk, width_px, frame_px)


def _bridge(point_tka: jax.Array, seen_tk: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Points with the hidden ones replaced, and the frames that each one's gap lasts.

  The gap is -1 where the point is seen, and T or more outside of the first and last sighting.
  """
  n_frames = len(seen_tk)
  frame_tk = jnp.broadcast_to(jnp.arange(n_frames)[:, None], seen_tk.shape)
  last_tk = jax.lax.cummax(jnp.where(seen_tk, frame_tk, -1), axis=0)
  next_tk = jax.lax.cummin(jnp.where(seen_tk, frame_tk, n_frames), axis=0, reverse=True)
  inside_tk = (last_tk >= 0) & (next_tk < n_frames)
  gap_tk = jnp.where(inside_tk, next_tk - last_tk - 1, n_frames)
  low_tk = jnp.where(last_tk >= 0, last_tk, jnp.minimum(next_tk, n_frames - 1))
  high_tk = jnp.where(next_tk < n_frames, next_tk, jnp.maximum(last_tk, 0))
  share_tk1 = ((frame_tk - low_tk) / jnp.maximum(high_tk - low_tk, 1))[..., None]
  low_tka = jnp.take_along_axis(point_tka, low_tk[..., None], axis=0)
  high_tka = jnp.take_along_axis(point_tka, high_tk[..., None], axis=0)
  return jnp.where(inside_tk[..., None], low_tka + share_tk1 * (high_tka - low_tka), low_tka), gap_tk


def _shoulder_width(point_tka: jax.Array, seen_tk: jax.Array, n_frames: jax.Array | float) -> jax.Array:
  """Median distance of the shoulders over the first `n_frames` that show both; 0 if none does.

  In three dimensions: from the side, the shoulders are one behind the other.
  """
  left, right = SHOULDERS
  width_t = jnp.linalg.norm(point_tka[:, left] - point_tka[:, right], axis=-1)
  both_t = seen_tk[:, left] & seen_tk[:, right]
  used_t = both_t & (jnp.cumsum(both_t) <= n_frames)
  count = used_t.sum()
  sorted_t = jnp.sort(jnp.where(used_t, width_t, jnp.inf))
  middle = jnp.stack([(count - 1) // 2, count // 2])
  return jnp.where(count > 0, sorted_t[jnp.maximum(middle, 0)].mean(), 0)
