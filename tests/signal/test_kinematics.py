"""Features against hand-made skeletons, analytic motions, scipy, and moved cameras."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from aemg_jax import config as config_lib
from aemg_jax.signal import keypoints, kinematics
from aemg_jax.signal.keypoints import POINTS, Pose
from aemg_jax.signal.kinematics import FEATURES, Angle, KinematicsConfig

RATE_HZ, WIDTH_PX = 30.0, 200.0
N_FRAMES = 60
RAW = KinematicsConfig(smooth_frames=1, scale='none', lateral='horizontal')  # the other choices
FEATURES_OF = functools.partial(jax.jit, static_argnums=2)(kinematics.features)
CLEAN = jax.jit(keypoints.clean)
# Facing the camera: the person's left is at the image's right. Pixels x, y (down), z (away).
STANDING = {
    'nose': (320, 100, -60), 'left_shoulder': (420, 180, 0), 'right_shoulder': (220, 180, 0),
    'left_elbow': (420, 330, 0), 'right_elbow': (220, 330, 0),  # arms hang down
    'left_wrist': (420, 330, -150), 'right_wrist': (220, 480, 0),  # left forearm towards the camera
    'left_pinky': (420, 350, -200), 'left_index': (420, 310, -200),  # left hand straight on
    'right_pinky': (260, 480, 0), 'right_index': (260, 480, 0)}  # right hand bent to the side
STANDING_KA = np.array([STANDING[point] for point in POINTS], float)


def pose_of(point_tka, valid_tk=None, width_px=WIDTH_PX):
  valid_tk = np.ones(point_tka.shape[:2], bool) if valid_tk is None else valid_tk
  return Pose(jnp.asarray(point_tka, jnp.float32), jnp.asarray(valid_tk), jnp.float32(width_px),
              jnp.array([640.0, 480.0]))


def features_of(pose, config=KinematicsConfig()):
  """Values [T, 87] and validity as NumPy, columns by name."""
  feature_tf, valid_tf = map(np.asarray, FEATURES_OF(pose, RATE_HZ, config))
  assert feature_tf.dtype == np.float32 and np.isfinite(feature_tf).all()
  return (dict(zip(kinematics.names(config), feature_tf.T)),
          dict(zip(kinematics.names(config), valid_tf.T)))


def swaying():
  """A person whose every point goes its own smooth way round the standing pose."""
  rng = np.random.default_rng(0)
  phase_ka, hz_ka = rng.uniform(0, 6.28, (11, 3)), rng.uniform(0.3, 1.5, (11, 3))
  t = np.arange(N_FRAMES)[:, None, None] / RATE_HZ
  return STANDING_KA + 20 * np.sin(2 * np.pi * hz_ka * t + phase_ka)


def keypoints_of(point_tka, frame_px):
  share_tka = point_tka / [frame_px[0], frame_px[1], frame_px[0]]
  seen_tk1 = np.full(share_tka.shape[:2] + (1,), 0.9)
  return np.concatenate([share_tka, seen_tk1], -1).astype(np.float32)


def test_there_are_87_names():
  # Catches a feature of the paper's list left out or counted twice, and columns in another order:
  # a checkpoint knows them by place.
  assert len(FEATURES) == len(set(FEATURES)) == 87
  counts = [sum(name.startswith(group + '_') for name in FEATURES) for group in (
      'velocity', 'acceleration', 'angle', 'angular_velocity', 'angular_acceleration', 'tilt')]
  assert counts == [33, 33, 6, 6, 6, 3]
  assert [FEATURES[i] for i in (0, 31, 33, 67, 72, 83, 84)] == [
      'velocity_nose_x', 'velocity_right_index_y', 'acceleration_nose_x', 'angle_left_elbow',
      'angular_velocity_left_shoulder', 'angular_acceleration_right_wrist', 'tilt_forward']


def test_angles_of_a_standing_person():
  # Catches another vertex, left for right, the thumb side alone, degrees, 2-D angles, pi minus it.
  feature, valid = features_of(pose_of(np.repeat(STANDING_KA[None], N_FRAMES, 0)))
  expected_deg = {
      'angle_left_shoulder': 90, 'angle_right_shoulder': 90, 'angle_left_elbow': 90,
      'angle_right_elbow': 180, 'angle_left_wrist': 180, 'angle_right_wrist': 90,
      'tilt_forward': np.rad2deg(np.arctan2(60, 80)),  # nose 80 px above the shoulders, 60 before
      'tilt_left': 45, 'tilt_right': 45}  # hypot(60, 80) = 100 px up, 100 px to each shoulder
  for name, angle_deg in expected_deg.items():
    np.testing.assert_allclose(np.rad2deg(feature[name]), angle_deg, atol=0.05, err_msg=name)
    assert valid[name].all()
  for name in FEATURES:
    if 'velocity' in name or 'acceleration' in name:
      np.testing.assert_allclose(feature[name], 0, atol=2e-3, err_msg=name)


def test_a_mirrored_video_leans_as_far_forward():
  # Catches a normal with a sign, which says more of the mirror than of the head.
  mirrored_ka = STANDING_KA * [-1, 1, 1]
  feature, _ = features_of(pose_of(np.repeat(mirrored_ka[None], N_FRAMES, 0)))
  np.testing.assert_allclose(feature['tilt_forward'], np.arctan2(60, 80), atol=1e-3)


def test_a_head_that_leans_to_its_left():
  # Catches left and right tilts swapped. The lean shows against the shoulders, not the image: to
  # roll shoulders and head together leaves it, and changes the elevations.
  point_ka = STANDING_KA.copy()
  point_ka[0] = (380, 100, 0)  # 40 px from the left shoulder's column, 80 above
  roll = np.deg2rad(20)
  turn_aa = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
  left, right = np.arctan2(80, 40), np.arctan2(80, 160)
  for turned_ka, lift in ((point_ka, 0), (point_ka @ turn_aa.T, roll)):
    feature, _ = features_of(pose_of(np.repeat(turned_ka[None], N_FRAMES, 0)))
    np.testing.assert_allclose([feature['tilt_left'][0], feature['tilt_right'][0]], [left, right],
                               atol=1e-4)
    np.testing.assert_allclose(feature['tilt_forward'], 0, atol=2e-3)
    feature, _ = features_of(pose_of(np.repeat(turned_ka[None], N_FRAMES, 0)), RAW)
    np.testing.assert_allclose([feature['tilt_left'][0], feature['tilt_right'][0]],
                               [left + lift, right - lift], atol=1e-4)


def test_derivatives_are_exact_for_steady_acceleration_to_the_ends():
  # Catches a lost rate or its square, a difference half a frame late, halved ends, axes mixed up.
  rng = np.random.default_rng(1)
  speed_ka, push_ka = 200 * rng.normal(size=(2, 11, 3))  # px / s and px / s^2
  t = np.arange(N_FRAMES)[:, None, None] / RATE_HZ
  point_tka = STANDING_KA + speed_ka * t + push_ka * t ** 2 / 2
  feature, _ = features_of(pose_of(point_tka), RAW)
  for k, point in enumerate(POINTS):
    for a, axis in enumerate('xyz'):
      np.testing.assert_allclose(feature[f'velocity_{point}_{axis}'],
                                 speed_ka[k, a] + push_ka[k, a] * t[:, 0, 0], atol=0.02)
      np.testing.assert_allclose(feature[f'acceleration_{point}_{axis}'], push_ka[k, a], atol=1)


def test_a_turning_forearm():
  # Catches angular rates of another joint or sign. The elbow opens and closes as 90 + 30 sin deg; a
  # central difference shortens the rate by sin(w dt) / (w dt), which is known.
  hz = 0.5
  t = np.arange(N_FRAMES) / RATE_HZ
  bend_t = np.pi / 2 + np.deg2rad(30) * np.sin(2 * np.pi * hz * t)
  point_tka = np.repeat(STANDING_KA[None], N_FRAMES, 0)
  wrist = POINTS.index('left_wrist')
  point_tka[:, wrist] = STANDING_KA[POINTS.index('left_elbow')] + 150 * np.stack(
      [0 * t, -np.cos(bend_t), -np.sin(bend_t)], -1)
  feature, _ = features_of(pose_of(point_tka), RAW)
  step = 2 * np.pi * hz / RATE_HZ
  inner = slice(1, -1)
  np.testing.assert_allclose(feature['angle_left_elbow'], bend_t, atol=1e-5)
  swing, phase_t = np.deg2rad(30), 2 * np.pi * hz * t
  rate_t = swing * np.cos(phase_t) * np.sin(step) * RATE_HZ
  turn_t = -swing * np.sin(phase_t) * (2 - 2 * np.cos(step)) * RATE_HZ ** 2
  velocity_t, push_t = (
      feature[f'angular_{name}_left_elbow'] for name in ('velocity', 'acceleration'))
  np.testing.assert_allclose(velocity_t[inner], rate_t[inner], atol=1e-4)
  np.testing.assert_allclose(push_t[inner], turn_t[inner], atol=5e-3)
  np.testing.assert_allclose(feature['angular_velocity_right_elbow'], 0, atol=1e-3)


def test_smoothing_is_scipys_moving_mean():
  # Catches edge frames repeated, a mirror that leaves the end frame out, a shift by half the width.
  x_tk = np.random.default_rng(2).normal(size=(20, 3))
  for n_frames in (1, 3, 9):
    expected_tk = ndimage.uniform_filter1d(x_tk, n_frames, axis=0, mode='reflect')
    smooth_tk = kinematics.smooth(jnp.asarray(x_tk), n_frames)
    np.testing.assert_allclose(smooth_tk, expected_tk, atol=1e-6)


@pytest.mark.parametrize('scale, shift_px, frame_px', [
    (1.0, (70, -30, 40), (640, 480)),  # the camera moves
    (0.5, (100, 50, 0), (640, 480)),  # the person is twice as far, or the video half as large
    (1.0, (0, 0, 0), (1920, 1080)),  # the frame is larger, the person is not
    (1.5, (0, 0, 0), (480, 854))])  # portrait
def test_features_do_not_depend_on_the_camera(scale, shift_px, frame_px):
  # Catches pixels or shares of the frame in a feature, x and y scaled unlike, absolute positions.
  def run(keypoint_tkd, size):
    pose = CLEAN(keypoint_tkd, np.array(size, np.float32), RATE_HZ)
    return map(np.asarray, FEATURES_OF(pose, RATE_HZ, KinematicsConfig()))
  point_tka = swaying()
  one_tf, _ = run(keypoints_of(point_tka, (640, 480)), (640, 480))
  other_tf, valid_tf = run(keypoints_of(scale * point_tka + np.array(shift_px), frame_px), frame_px)
  assert valid_tf.all()
  np.testing.assert_allclose((other_tf - one_tf) / one_tf.std(0), 0, atol=0.01)


def test_lengths_are_in_shoulder_widths_or_pixels():
  # Catches a scale that cannot be turned off, that angles feel, or without which nothing is valid.
  quiet_tka = STANDING_KA + np.arange(N_FRAMES)[:, None, None] * np.array([1.0, 2.0, 0.0])
  scaled, _ = features_of(pose_of(quiet_tka))
  kept, valid = features_of(pose_of(quiet_tka, width_px=0.0), RAW)
  np.testing.assert_allclose(scaled['velocity_nose_y'][5:-5], 2 * RATE_HZ / WIDTH_PX, rtol=1e-3)
  np.testing.assert_allclose(kept['velocity_nose_y'], 2 * RATE_HZ, rtol=1e-3)
  np.testing.assert_allclose(kept['angle_left_elbow'], scaled['angle_left_elbow'], atol=1e-4)
  assert valid['velocity_nose_y'].all()


def test_what_was_not_seen_is_not_valid():
  # Catches validity that forgets the reach of smoothing (4 frames) and of differences (1 more), or
  # that spreads to joints without the point.
  valid_tk = np.ones((N_FRAMES, 11), bool)
  valid_tk[30, POINTS.index('left_index')] = False
  _, valid = features_of(pose_of(swaying(), valid_tk))
  frame_t = np.arange(N_FRAMES)
  for name in FEATURES:
    reach = -1
    if 'left_index' in name or 'left_wrist' in name and 'ang' in name:
      reach = 4 if name.startswith('angle') else 5
    np.testing.assert_array_equal(valid[name], np.abs(frame_t - 30) > reach, err_msg=name)


@pytest.mark.parametrize('width_px', [WIDTH_PX, 0.0])
def test_a_skeleton_of_one_point_is_finite(width_px):
  # Catches 0 / 0: all key points at one place, and shoulders of no width, which is no scale.
  feature, valid = features_of(pose_of(np.full((N_FRAMES, 11, 3), 7.0), width_px=width_px))
  assert max(np.abs(column).max() for column in feature.values()) < 1e-4
  assert valid['velocity_nose_x'].all() == valid['acceleration_nose_x'].all() == (width_px > 0)
  assert valid['angle_left_elbow'].all()


def test_groups_and_joints_are_settings():
  # Catches a setting that changes the names but not the columns.
  config = config_lib.section(KinematicsConfig, {
      'groups': ['tilt', 'angle'],
      'angles': [{'name': 'neck', 'first': ['nose'], 'vertex': ['left_shoulder', 'right_shoulder'],
                  'last': ['left_shoulder']}]})
  assert kinematics.names(config) == ('tilt_forward', 'tilt_left', 'tilt_right', 'angle_neck')
  feature, _ = features_of(pose_of(np.repeat(STANDING_KA[None], N_FRAMES, 0)), config)
  np.testing.assert_allclose(feature['angle_neck'], np.pi / 2, atol=1e-4)
  np.testing.assert_allclose(feature['tilt_left'], np.pi / 4, atol=1e-4)
  assert config_lib.section(KinematicsConfig, config_lib.as_plain(config)) == config


@pytest.mark.parametrize('name, value', [
    ('groups', ('speed',)), ('groups', ()), ('groups', ('tilt', 'tilt')), ('scale', 'hips'),
    ('smooth_frames', 8), ('smooth_frames', 0), ('lateral', 'vertical')])
def test_bad_settings(name, value):
  # Catches a misspelt rule that falls back to another, and an even mean, half a frame late.
  with pytest.raises(ValueError, match=f'{name}: got'):
    KinematicsConfig(**{name: value})


def test_bad_joints_and_short_recordings():
  # Catches a joint of MediaPipe's other points, and differences of fewer than 3 frames.
  with pytest.raises(ValueError, match="angle hip: vertex: got .'left_hip',"):
    Angle('hip', ('nose',), ('left_hip',), ('left_shoulder',))
  with pytest.raises(ValueError, match='pose: got 2 frames, expected at least 3'):
    kinematics.features(pose_of(swaying()[:2]), RATE_HZ)
