"""Cleaning of key points: units, hidden points, depth, shoulder width; by hand and by np.interp."""

import functools

import jax
import numpy as np
import pytest

from aemg_jax.signal import keypoints
from aemg_jax.signal.keypoints import POINTS, SHOULDERS, KeypointConfig

RATE_HZ = 10.0
FRAME_PX = np.array([640.0, 480.0], np.float32)
N_FRAMES = 40
CLEAN = functools.partial(jax.jit, static_argnums=3)(keypoints.clean)
LEFT_WRIST = POINTS.index('left_wrist')


def recording():
  """40 frames of smooth random shares, all seen; depth differs between the shoulders."""
  rng = np.random.default_rng(0)
  keypoint_tkd = 0.5 + 0.02 * rng.normal(size=(N_FRAMES, 11, 4)).cumsum(0)
  keypoint_tkd[..., 3] = 0.9
  return keypoint_tkd.astype(np.float32)


def clean(keypoint_tkd, frame_px=FRAME_PX, config=KeypointConfig()):
  return jax.tree.map(np.asarray, CLEAN(keypoint_tkd, frame_px, RATE_HZ, config))


def test_shares_become_pixels_and_depth_counts_from_the_shoulders():
  # Catches x and y scaled alike, depth scaled by the height, depth of one shoulder for both.
  keypoint_tkd = recording()
  pose = clean(keypoint_tkd)
  share_tka = keypoint_tkd[..., :3].astype(float)
  share_tka[..., 2] -= share_tka[:, SHOULDERS, 2].mean(1)[:, None]
  np.testing.assert_allclose(pose.point_tka, share_tka * [640, 480, 640], atol=1e-3)
  assert pose.valid_tk.all()
  np.testing.assert_array_equal(pose.frame_px, FRAME_PX)
  kept = clean(keypoint_tkd, config=KeypointConfig(z_origin='none', z_over_width=2.0))
  np.testing.assert_allclose(kept.point_tka[..., 2], keypoint_tkd[..., 2] * 1280, rtol=1e-6)


def test_hidden_points_lie_between_their_sightings():
  # Catches: the hidden position used, NaN that spreads, hold in place of a line, a gap counted a
  # frame too long or short, points before the first sighting extrapolated or called valid.
  keypoint_tkd = recording()
  hidden_t = np.zeros(N_FRAMES, bool)
  hidden_t[[0, 1, *range(10, 15), *range(20, 26), 39]] = True  # gaps of 5 and of 6 frames
  keypoint_tkd[hidden_t, LEFT_WRIST, :3] = 9.0
  keypoint_tkd[hidden_t, LEFT_WRIST, 3] = 0.49
  keypoint_tkd[11, LEFT_WRIST] = np.nan
  keypoint_tkd[12, LEFT_WRIST] = (0.5, np.nan, 0.5, 0.9)
  pose = clean(keypoint_tkd)
  frame_t = np.arange(N_FRAMES)
  shoulder_z_t = keypoint_tkd[:, SHOULDERS, 2].mean(1)
  for a, unit_px in enumerate((640, 480, 640)):
    expected_t = np.interp(frame_t, frame_t[~hidden_t], keypoint_tkd[~hidden_t, LEFT_WRIST, a])
    expected_t -= shoulder_z_t if a == 2 else 0
    np.testing.assert_allclose(pose.point_tka[:, LEFT_WRIST, a], expected_t * unit_px, atol=2e-3)
  invalid_t = np.isin(frame_t, [0, 1, *range(20, 26), 39])  # 0.5 s are 5 frames
  np.testing.assert_array_equal(pose.valid_tk[:, LEFT_WRIST], ~invalid_t)
  assert pose.valid_tk[:, [k for k in range(11) if k != LEFT_WRIST]].all()


def test_a_point_never_seen_and_an_empty_video_stay_finite():
  # Catches NaN from a point that no frame shows, and a width made of hidden shoulders.
  keypoint_tkd = recording()
  keypoint_tkd[:, LEFT_WRIST] = np.nan
  pose = clean(keypoint_tkd)
  assert np.isfinite(pose.point_tka).all() and not pose.valid_tk[:, LEFT_WRIST].any()
  nobody = clean(np.full((N_FRAMES, 11, 4), np.nan, np.float32))
  assert np.isfinite(nobody.point_tka).all() and not nobody.valid_tk.any()
  assert nobody.width_px == 0


def test_hidden_shoulders_take_the_depth_of_all_points_with_them():
  # Catches depths called valid that count from a guess.
  keypoint_tkd = recording()
  keypoint_tkd[20:30, SHOULDERS[0], 3] = 0.1
  valid_tk = clean(keypoint_tkd).valid_tk
  assert (~valid_tk[20:30]).all() and valid_tk[:20].all() and valid_tk[30:].all()
  kept = clean(keypoint_tkd, config=KeypointConfig(z_origin='none', z_over_width=2.0))
  assert kept.valid_tk[:, LEFT_WRIST].all()


@pytest.mark.parametrize('n_seen, rate_hz', [(7, 0.7), (8, 0.8)])
def test_the_shoulder_width_is_the_median_of_the_first_seconds(n_seen, rate_hz):
  # Catches a mean, the whole recording, two axes of three, a hidden shoulder that counts.
  keypoint_tkd = recording()
  keypoint_tkd[:3, SHOULDERS[1], 3] = 0.2
  keypoint_tkd[:3, SHOULDERS[1], 0] = 50.0
  pose = CLEAN(keypoint_tkd, FRAME_PX, rate_hz, KeypointConfig())  # 10 s
  apart_ta = keypoint_tkd[:, SHOULDERS[0], :3] - keypoint_tkd[:, SHOULDERS[1], :3]
  apart_ta *= [640, 480, 640]
  expected = np.median(np.linalg.norm(apart_ta, axis=1)[3:3 + n_seen])
  np.testing.assert_allclose(pose.width_px, expected, rtol=1e-5)


def test_recordings_of_several_rates_and_frames_share_a_batch():
  # Catches a rate or frame size that must be static, and one recording's sightings in another.
  keypoint_tkd = recording()
  keypoint_tkd[10:16, LEFT_WRIST, 3] = 0
  batch = jax.jit(jax.vmap(keypoints.clean))(np.stack([keypoint_tkd, keypoint_tkd[::-1]]),
                                    np.stack([FRAME_PX, FRAME_PX[::-1]]), np.array([10.0, 30.0]))
  np.testing.assert_allclose(batch.point_tka[0], clean(keypoint_tkd).point_tka, atol=1e-3)
  assert not batch.valid_tk[0, 10:16, LEFT_WRIST].any() and batch.valid_tk[1].all()


@pytest.mark.parametrize('shape, frame_px, message', [
    ((5, 33, 4), FRAME_PX, r'keypoint_tkd: got shape \(5, 33, 4\)'),
    ((5, 11, 3), FRAME_PX, r'keypoint_tkd: got shape \(5, 11, 3\)'),
    ((5, 11, 4), FRAME_PX[:1], r'frame_px: got shape \(1,\)')])
def test_bad_shapes(shape, frame_px, message):
  # Catches MediaPipe's 33 points taken for the 11.
  with pytest.raises(ValueError, match=message):
    keypoints.clean(np.zeros(shape, np.float32), frame_px, RATE_HZ)


@pytest.mark.parametrize('name, value', [
    ('min_visibility', 1.5), ('max_gap_s', -1.0), ('z_origin', 'hips'), ('z_over_width', 0.0),
    ('width_s', float('nan'))])
def test_bad_settings(name, value):
  # Catches a misspelt rule that falls back to another.
  with pytest.raises(ValueError, match=f'{name}: got'):
    KeypointConfig(**{name: value})
