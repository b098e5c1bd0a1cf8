"""Kinematic features of the upper body, one row a video frame: Long & Yang, "Deep Learning-Based Fatigue
Detection Using Kinematic Information from Videos".

87 features: velocity and acceleration of 11 key points in 3 axes, 6 joint angles with their angular
velocity and acceleration, 1 forward and 2 lateral tilts of the head. Lengths are in shoulder widths, so
that neither the camera's distance nor the person's size shows; angles are in rad, times in s.

Differs from paper, which leaves both open: the moving mean is taken of the key points, before anything
else; derivatives are central differences, (x[t+1] - x[t-1]) / 2 and x[t+1] - 2 x[t] + x[t-1] over a frame's
time. The first and last frame take the parabola through the three nearest: exact for steady acceleration.
Letters: t frame, k key point, a axis, j joint, v corner (first, vertex, last), f feature.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from aemg_jax.signal.keypoints import AXES, MIN_WIDTH_PX, POINTS, SHOULDERS, Pose

GROUPS = ('velocity', 'acceleration', 'angle', 'angular_velocity', 'angular_acceleration', 'tilt')
TILTS = ('forward', 'left', 'right')
NOSE = POINTS.index('nose')
MIN_FRAMES = 3


@dataclasses.dataclass(frozen=True)
class Angle:
  """The angle at `vertex` between the directions to `first` and `last`; each the mean of some points."""
  name: str
  first: tuple[str, ...]
  vertex: tuple[str, ...]
  last: tuple[str, ...]

  def __post_init__(self):
    for name in ('first', 'vertex', 'last'):
      points = getattr(self, name)
      if not points or not set(points) <= set(POINTS):
        raise ValueError(f'angle {self.name}: {name}: got {points!r}, expected some of {POINTS}')


def _arm(side: str, other: str) -> tuple[Angle, ...]:
  """Shoulder against the other shoulder, as the 11 points have no hips."""
  shoulder, elbow, wrist = (f'{side}_shoulder',), (f'{side}_elbow',), (f'{side}_wrist',)
  return (Angle(f'{side}_shoulder', elbow, shoulder, (f'{other}_shoulder',)),
          Angle(f'{side}_elbow', shoulder, elbow, wrist),
          Angle(f'{side}_wrist', elbow, wrist, (f'{side}_index', f'{side}_pinky')))


@dataclasses.dataclass(frozen=True)
class KinematicsConfig:
  """Which features, and how smooth.

  Attributes:
    groups: some of GROUPS, in the order of the features; all of them are 87 features.
    angles: the joints.
    scale: 'shoulder_width', or 'none' for pixels.
    smooth_frames: odd width of the moving mean over the key points; 1 is off. At the ends the recording
      is mirrored, the end frame included (scipy's 'reflect').
    lateral: tilts of the head to the side, by the lines from the nose to each shoulder: 'shoulder_line'
      takes their angle to the line between the shoulders, 'horizontal' their elevation in the image.
  """
  groups: tuple[str, ...] = GROUPS
  angles: tuple[Angle, ...] = _arm('left', 'right') + _arm('right', 'left')
  scale: str = 'shoulder_width'
  smooth_frames: int = 9
  lateral: str = 'shoulder_line'

  def __post_init__(self):
    if not self.groups or not set(self.groups) <= set(GROUPS) or len(set(self.groups)) < len(self.groups):
      raise ValueError(f'groups: got {self.groups!r}, expected some of {GROUPS}, each once')
    if self.scale not in ('shoulder_width', 'none'):
      raise ValueError(f"scale: got {self.scale!r}, expected 'shoulder_width' or 'none'")
    if self.smooth_frames < 1 or self.smooth_frames % 2 == 0:
      raise ValueError(f'smooth_frames: got {self.smooth_frames}, expected an odd number of frames')
    if self.lateral not in ('shoulder_line', 'horizontal'):
      raise ValueError(f"lateral: got {self.lateral!r}, expected 'shoulder_line' or 'horizontal'")


def names(config: KinematicsConfig = KinematicsConfig()) -> tuple[str, ...]:
  """The features' names, in the order of the columns."""
  points = tuple(f'{point}_{axis}' for point in POINTS for axis in AXES)
  joints = tuple(angle.name for angle in config.angles)
  of_group = {'velocity': points, 'acceleration': points, 'angle': joints, 'angular_velocity': joints,
              'angular_acceleration': joints, 'tilt': TILTS}
  return tuple(f'{group}_{name}' for group in config.groups for name in of_group[group])


FEATURES = names()


def features(pose: Pose, rate_hz: jax.Array | float,
             config: KinematicsConfig = KinematicsConfig()) -> tuple[jax.Array, jax.Array]:
  """Features of a recording or a part of it.

  Args:
    pose: of at least 3 frames. Take it from the whole recording and cut windows from the result: the
      moving mean then mirrors at the recording's ends alone.
    rate_hz: frames a second; may be traced.

  Returns:
    feature_tf: [T, F] float32, finite even for points that coincide (an angle at a point of no extent
      is 0); shoulder widths, rad and seconds.
    valid_tf: [T, F] every key point in every frame that the feature was computed from is valid, smoothing
      and differences included, and there is a scale where it takes one.

  Raises:
    ValueError: for fewer than 3 frames.
  """
  if len(pose.point_tka) < MIN_FRAMES:
    raise ValueError(f'pose: got {len(pose.point_tka)} frames, expected at least {MIN_FRAMES}')
  has_scale = (pose.width_px >= MIN_WIDTH_PX) | (config.scale == 'none')
  unit_px = jnp.where(has_scale & (config.scale != 'none'), pose.width_px, 1)
  point_tka = smooth(pose.point_tka / unit_px, config.smooth_frames)
  share_tk = smooth(pose.valid_tk.astype(jnp.float32), config.smooth_frames)
  valid_tk = share_tk > 1 - 0.5 / config.smooth_frames
  angle_tj, angle_valid_tj = _angles(point_tka, valid_tk, config.angles)
  flat_tf = point_tka.reshape(len(point_tka), -1)
  move_valid_tf = jnp.repeat(_all_three(valid_tk), len(AXES), axis=1) & has_scale
  near_tj = _all_three(angle_valid_tj)
  tilt_valid_t = valid_tk[:, (NOSE, *SHOULDERS)].all(1)
  of_group = {
      'velocity': (slope(flat_tf) * rate_hz, move_valid_tf),
      'acceleration': (curvature(flat_tf) * rate_hz ** 2, move_valid_tf),
      'angle': (angle_tj, angle_valid_tj),
      'angular_velocity': (slope(angle_tj) * rate_hz, near_tj),
      'angular_acceleration': (curvature(angle_tj) * rate_hz ** 2, near_tj),
      'tilt': (_tilts(point_tka, config.lateral), jnp.repeat(tilt_valid_t[:, None], len(TILTS), axis=1))}
  value, valid = zip(*(of_group[group] for group in config.groups))
  return jnp.concatenate(value, axis=1), jnp.concatenate(valid, axis=1)


def smooth(x_tk: jax.Array, n_frames: int) -> jax.Array:
  """Centred moving mean over the first axis, mirrored at the ends, the end frame included."""
  half = n_frames // 2
  padded_tk = jnp.pad(x_tk, [(half, half)] + [(0, 0)] * (x_tk.ndim - 1), mode='symmetric')
  return sum(padded_tk[i:i + len(x_tk)] for i in range(n_frames)) / n_frames


def slope(x_tk: jax.Array) -> jax.Array:
  """Change per frame along the first axis: central, at the ends the parabola of the nearest three."""
  inner_tk = (x_tk[2:] - x_tk[:-2]) / 2
  first_tk = (-3 * x_tk[:1] + 4 * x_tk[1:2] - x_tk[2:3]) / 2
  last_tk = (3 * x_tk[-1:] - 4 * x_tk[-2:-1] + x_tk[-3:-2]) / 2
  return jnp.concatenate([first_tk, inner_tk, last_tk])


def curvature(x_tk: jax.Array) -> jax.Array:
  """Second difference per frame squared along the first axis, the ends as their neighbours."""
  inner_tk = x_tk[2:] - 2 * x_tk[1:-1] + x_tk[:-2]
  return jnp.concatenate([inner_tk[:1], inner_tk, inner_tk[-1:]])


def _all_three(valid_tk: jax.Array) -> jax.Array:
  """The three frames that `slope` and `curvature` take are all valid."""
  inner_tk = valid_tk[2:] & valid_tk[1:-1] & valid_tk[:-2]
  return jnp.concatenate([inner_tk[:1], inner_tk, inner_tk[-1:]])


def _angles(point_tka: jax.Array, valid_tk: jax.Array, angles: tuple[Angle, ...]
            ) -> tuple[jax.Array, jax.Array]:
  """Joint angles [T, J] in [0, pi] rad, and whether all their points are valid."""
  corners = [(angle.first, angle.vertex, angle.last) for angle in angles]
  share_jvk = np.array([[[(point in corner) / len(corner) for point in POINTS] for corner in three]
                        for three in corners], np.float32).reshape(-1, 3, len(POINTS))
  corner_tjva = jnp.einsum('jvk,tka->tjva', share_jvk, point_tka, precision=jax.lax.Precision.HIGHEST)
  first_tja, vertex_tja, last_tja = jnp.moveaxis(corner_tjva, 2, 0)
  used_jk = share_jvk.any(1)
  valid_tj = (valid_tk[:, None] | ~used_jk[None]).all(-1)
  return _between(first_tja - vertex_tja, last_tja - vertex_tja), valid_tj


def _between(one_tja: jax.Array, other_tja: jax.Array) -> jax.Array:
  """Angle between vectors of the last axis; the arc tangent is exact near 0 and pi, unlike arccos."""
  cross_tj = jnp.linalg.norm(jnp.cross(one_tja, other_tja), axis=-1)
  return jnp.arctan2(cross_tj, (one_tja * other_tja).sum(-1))


def _tilts(point_tka: jax.Array, lateral: str) -> jax.Array:
  """Head tilts [T, 3] in rad: forward, left, right.

  Forward is the angle in [0, pi / 2] of the plane through nose and shoulders to the camera's plane.
  """
  left_ta, right_ta = (point_tka[:, k] - point_tka[:, NOSE] for k in SHOULDERS)
  normal_ta = jnp.cross(left_ta, right_ta)
  forward_t = jnp.arctan2(jnp.linalg.norm(normal_ta[:, :2], axis=-1), jnp.abs(normal_ta[:, 2]))
  if lateral == 'horizontal':
    side_t = [jnp.arctan2(down_ta[:, 1], jnp.linalg.norm(down_ta[:, ::2], axis=-1))
              for down_ta in (left_ta, right_ta)]
  else:
    side_t = [_between(-left_ta, right_ta - left_ta), _between(-right_ta, left_ta - right_ta)]
  return jnp.stack([forward_t, *side_t], axis=-1)
