"""Features against loops and closed forms, one window at a time."""

import numpy as np
import pytest
from scipy import linalg

from aemg_jax.signal import features

N, C = 52, 3


def _windows(seed=0, n=5):
  return np.random.default_rng(seed).normal(size=(n, N, C)) * np.array([1.0, 20.0, 5.0])


def _crossings(x):
  return sum(1 for a, b in zip(x, x[1:]) if (a > 0 > b) or (a < 0 < b))


def test_windows_are_whole_and_at_the_stride():
  # Catches an off-by-one at the end (a padded or a lost last window) and a wrong stride.
  signal_tc = np.arange(2 * 68).reshape(68, 2).astype(np.int16)
  window_wtc, start_w = features.cut_windows(signal_tc, 52, 5)
  assert start_w.tolist() == [0, 5, 10, 15] and start_w.dtype == np.int32
  for window, start in zip(window_wtc, start_w):
    np.testing.assert_array_equal(window, signal_tc[start:start + 52])
  assert len(features.cut_windows(signal_tc, 52, 16)[1]) == 2  # 16 + 52 is exactly the end
  assert features.cut_windows(signal_tc[:51], 52, 5)[0].shape == (0, 52, 2)
  with pytest.raises(ValueError, match='stride 0'):
    features.cut_windows(signal_tc, 52, 0)


def test_hudgins_by_hand():
  # Catches a swapped order, a sum for a mean, and thresholds or flats that count.
  expected = []
  for window in _windows():
    rows = [(np.mean(np.abs(x)), np.sum(np.abs(np.diff(x))), _crossings(x),
             _crossings(np.diff(x))) for x in window.T]
    expected.append(np.array(rows).T.ravel())
  np.testing.assert_allclose(features.hudgins(_windows()), expected)
  flat = np.zeros((1, 6, 1))
  flat[0, :, 0] = [1, 1, 0, -1, -1, 2]  # a touch of zero is no crossing, a plateau no slope change
  np.testing.assert_allclose(features.hudgins(flat), [[1.0, 5.0, 1, 0]])


def test_log_hudgins_by_hand():
  # Catches the floor outside the logarithm and counts in place of rates.
  expected = []
  for window in _windows():
    rows = [(np.log(np.mean(np.abs(x)) + 0.1), np.log(np.mean(np.abs(np.diff(x))) + 0.1),
             _crossings(x) / 51) for x in window.T]
    expected.append(np.array(rows).T.ravel())
  np.testing.assert_allclose(features.log_hudgins(_windows()), expected)


def test_log_bands_by_a_direct_fourier_sum():
  # Catches shifted bin edges, a missing taper or norm; DC must not be in any band.
  t = np.arange(N)
  taper = 0.5 - 0.5 * np.cos(2 * np.pi * t / (N - 1))
  x = _windows()[0, :, 1]
  power = [abs(np.sum(x * taper * np.exp(-2j * np.pi * k * t / N))) ** 2 / N for k in range(27)]
  edges = [(1, 5), (5, 9), (9, 13), (13, 18), (18, 23), (23, 27)]
  expected = [np.log(np.mean(power[a:b]) + 0.05) for a, b in edges]
  np.testing.assert_allclose(features.log_bands(_windows())[0].reshape(6, C)[:, 1], expected)
  with pytest.raises(ValueError, match='too short'):
    features.log_bands(np.zeros((1, 8, 1)))


def test_log_covariance_by_scipy_logm():
  # Catches a missing ridge, a wrong triangle order and a missing sqrt 2.
  window = _windows()[2]
  cov = window.T @ window / N
  cov += (0.02 * np.trace(cov) / C + 0.05) * np.eye(C)
  log = linalg.logm(cov)
  root = np.sqrt(2)
  expected = [log[0, 0], root * log[0, 1], root * log[0, 2], log[1, 1], root * log[1, 2], log[2, 2]]
  got = features.log_covariance(_windows())[2]
  np.testing.assert_allclose(got, expected, rtol=1e-9)
  assert np.sum(got ** 2) == pytest.approx(np.sum(log ** 2))


def test_ls4_by_its_definitions():
  # Catches another L-moment, a natural for a decimal log, and |x| under the square root of MSR.
  x = _windows()[1, :, 2]
  pairs = [abs(a - b) for i, a in enumerate(x) for b in x[i + 1:]]
  expected = [np.mean(pairs) / 2, np.log10(np.sum(np.abs(np.diff(x)))),
              abs(np.mean([complex(v) ** 0.5 for v in x])), np.sum(np.abs(np.diff(x)) > 2e-3)]
  np.testing.assert_allclose(features.ls4(_windows())[1].reshape(4, C)[:, 2], expected)


@pytest.mark.parametrize('name', sorted(features.FEATURES))
def test_every_feature_is_per_window_and_finite_on_a_dead_channel(name):
  # Catches mixing of windows, and log(0) on a dead or padded channel.
  window_wtc = _windows()
  window_wtc[:, :, 1] = 0
  got = features.feature(name)(window_wtc)
  assert got.shape[0] == len(window_wtc) and np.isfinite(got).all()
  np.testing.assert_allclose(got[3:4], features.feature(name)(window_wtc[3:4]), rtol=1e-9)


def test_an_unknown_feature_lists_the_known_ones():
  # Catches a typo in a config that would pass silently.
  with pytest.raises(ValueError, match="got 'hudgin', expected one of .*'hudgins'"):
    features.feature('hudgin')
