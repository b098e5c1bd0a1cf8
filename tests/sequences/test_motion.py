"""Windows of motion: what a window may see, which are dropped, what its label and rating mean."""

import dataclasses

import numpy as np
import pytest

from aemg_jax.records import Annotation, Record, Sensor
from aemg_jax.sequences import motion
from aemg_jax.signal.kinematics import KinematicsConfig
from data_builders.synthetic_reaching import generator

IMU = motion.MotionConfig(kind='imu', frames=20, stride=5, rate_hz=50.0, min_valid=0.5,
                          kinematics=KinematicsConfig(smooth_frames=1))


def _imu(ratings, n_samples=100, name='r', rate_hz=50.0):
  """One gyroscope in deg/s, one accelerometer in g, one angle; ratings are (start, stop, value)."""
  time = np.arange(n_samples)
  sensors = (Sensor('gyroscope', unit='deg/s'), Sensor('accelerometer', unit='m/s^2', scale=9.80665),
             Sensor('roll', unit='rad'))
  signal_tc = np.stack([3.0 * time, time ** 2, time], 1).astype(np.float64)
  notes = tuple(Annotation(start, stop, 'borg', value) for start, stop, value in ratings)
  return Record(name, 'd', name[0], 's', -1, 'imu', signal_tc, rate_hz, rate_hz / 2, False, sensors, (),
                notes, 'x')


def test_windows_that_cross_the_moment_or_an_unrated_time_are_dropped():
  """Catches: a label of the window's end or middle alone; 7 that is not fatigued; no rating taken
  as 0."""
  record = _imu([(0, 40, 2.0), (40, 50, 6.5), (50, 90, 7.0)])
  windows, refused = motion.make_windows([record], IMU)
  assert refused == {'crosses the threshold': 3, 'unrated': 2}
  np.testing.assert_allclose(windows.segments['start_s'] * 50, [0, 5, 10, 15, 20, 25, 30, 50, 55, 60, 65, 70])
  np.testing.assert_array_equal(windows.segments['label'], [0] * 7 + [1] * 5)
  np.testing.assert_array_equal(windows.borg_b, [2] * 5 + [6.5] * 2 + [7] * 5)  # of the last frame
  np.testing.assert_allclose(windows.elapsed_s_b, windows.segments['start_s'] + 0.4)


def test_imu_features_are_signals_and_slopes_in_their_units():
  """Catches: stored numbers for m/s^2, a slope per sample, angles among the features."""
  windows, _ = motion.make_windows([_imu([(0, 100, 1.0)])], IMU)
  second_tf = windows.feature_btf[1]
  time = np.arange(5, 25)
  expected = np.stack([3.0 * time, 9.80665 * time ** 2, np.full(20, 150.0), 2 * 9.80665 * time * 50], 1)
  np.testing.assert_allclose(second_tf, expected, rtol=1e-4)
  assert windows.pose is None and windows.valid_btf.all()


def test_a_baseline_is_the_recordings_first_seconds():
  """Catches: statistics of the whole recording, which would see the future, or of every window."""
  config = dataclasses.replace(IMU, baseline_s=0.5)
  record = _imu([(0, 100, 1.0)])
  plain, based = (motion.motion_of(record, c).feature_tf for c in (IMU, config))
  mean_f, sd_f = plain[:25].mean(0), plain[:25].std(0)
  sd_f[2] = 1.0  # a slope that does not change is no scale
  np.testing.assert_allclose(based, (plain - mean_f[None]) / sd_f[None], rtol=1e-4, atol=1e-4)
  assert not np.allclose(plain[:25].std(0), plain.std(0))


@pytest.fixture(name='reaching', scope='module')
def _reaching():
  """A take, its windows, and windows of the same take with the second half of its key points changed."""
  record = generator.generate(generator.jobs()[1])[0]
  changed_tc = record.signal_tc.copy()
  changed_tc[1500:] = changed_tc[::-1][1500:] + 0.1
  config = motion.MotionConfig()
  other = dataclasses.replace(record, signal_tc=changed_tc)
  return record, motion.make_windows([record], config)[0], motion.make_windows([other], config)[0]


@pytest.mark.heavy
def test_a_window_of_key_points_sees_its_own_frames(reaching):
  """Catches: features, poses or a scale from later than the window."""
  record, windows, changed = reaching
  assert windows.feature_btf.shape[1:] == (450, 87) and windows.pose.point_tka.shape[1:] == (450, 11, 3)
  # smoothing, differences and bridged gaps reach 20 frames ahead
  early_b = windows.segments['stop_s'] * 30 <= 1500 - 20
  assert early_b.sum() > 5
  np.testing.assert_allclose(changed.feature_btf[:early_b.sum()], windows.feature_btf[early_b], atol=1e-6)
  assert np.abs(changed.feature_btf[early_b.sum():][0] - windows.feature_btf[~early_b][0]).max() > 0.01
  np.testing.assert_array_equal(windows.pose.width_px, windows.pose.width_px[0])
  share_k = windows.pose.point_tka[0, 0, :, 0] / 854
  np.testing.assert_allclose(share_k, record.signal_tc[0].reshape(11, 4)[:, 0], atol=1e-5)


def test_the_scaler_reads_training_rows_and_valid_values_alone():
  """Catches: statistics over tested windows; zeros of hidden values in a mean."""
  windows, _ = motion.make_windows([_imu([(0, 100, 1.0)])], IMU)
  valid_btf = windows.valid_btf.copy()
  valid_btf[0, :10, 0] = False
  windows = windows._replace(valid_btf=valid_btf, feature_btf=np.where(valid_btf, windows.feature_btf, 0))
  scaler = motion.fit_scaler(windows, np.array([0, 1]))
  value = np.concatenate([3.0 * np.arange(10, 20), 3.0 * np.arange(5, 25)])
  np.testing.assert_allclose([scaler.mean_f[0], scaler.sd_f[0]], [value.mean(), value.std()], rtol=1e-6)
  z_btf = motion.standardise(windows.feature_btf, valid_btf, scaler)
  assert (z_btf[0, :10, 0] == 0).all() and np.abs(z_btf).max() <= motion.LARGEST_SD
  np.testing.assert_allclose(z_btf[1, 0, 0], (15 - value.mean()) / value.std(), rtol=1e-5)


def test_records_that_do_not_fit_are_refused():
  """Catches: another rate taken as it is, key points read as an IMU, an empty set."""
  with pytest.raises(ValueError, match='r: rate_hz: got 40, expected 50'):
    motion.make_windows([_imu([(0, 100, 1.0)], rate_hz=40.0)], IMU)
  with pytest.raises(ValueError, match="kind: got 'imu', expected 'keypoints'"):
    motion.make_windows([_imu([(0, 450, 1.0)], 450)], motion.MotionConfig(rate_hz=50.0))
  with pytest.raises(ValueError, match="no recording holds .* {'short recording': 1}"):
    motion.make_windows([_imu([], 10)], IMU)
  for field, value in (('kind', 'emg'), ('frames', 0), ('rate_hz', 0.0), ('baseline_s', -1.0)):
    with pytest.raises(ValueError, match=f'MotionConfig.{field}'):
      motion.MotionConfig(**{field: value})
