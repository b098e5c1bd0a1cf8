"""Resampling against closed forms: sinusoids at both rates, lengths, aliasing, offsets."""

import math

import numpy as np
import pytest
from scipy import signal as sps

from aemg_jax.signal import resample

RATES = [(2000.0, 200.0), (1000.0, 200.0), (200.0, 1000.0), (985.0, 200.0), (1259.259, 200.0),
         (111.1111, 200.0), (100.0, 200.0), (2048.0, 200.0), (5120.0, 1000.0)]


@pytest.mark.parametrize('rate_hz, target_hz', RATES)
def test_a_sinusoid_keeps_its_frequency_phase_and_amplitude(rate_hz, target_hz):
  # Catches swapped up and down, an uncorrected filter delay, and a rate that is only near.
  def wave(hz, n):
    return np.sin(2 * np.pi * 7.0 * np.arange(n) / hz)[:, None]
  n = int(4 * rate_hz)
  out_tc = resample.resample(wave(rate_hz, n), rate_hz, target_hz)
  assert out_tc.shape == (math.ceil(n * target_hz / rate_hz - 1e-9), 1)
  inner = slice(len(out_tc) // 8, -len(out_tc) // 8)
  np.testing.assert_allclose(out_tc[inner], wave(target_hz, len(out_tc))[inner], atol=0.01)


@pytest.mark.parametrize('up, down', [(1, 10), (5, 1), (25, 256), (40, 197), (200, 1259), (3, 2)])
@pytest.mark.parametrize('n_samples', [2, 7, 3000])
def test_the_filter_is_scipys(up, down, n_samples):
  # Catches a window of inputs that is off by one, or a block of outputs with another block's phase.
  signal_tc = np.random.default_rng(up).normal(size=(n_samples, 3))
  signal_tc[[0, -1]] = 0  # the line between them is not filtered
  out_tc = resample.resample(signal_tc, 100.0 * down, 100.0 * up)
  expected_tc = sps.resample_poly(signal_tc, up, down, axis=0)
  np.testing.assert_allclose(out_tc, expected_tc, atol=1e-12)


def test_what_is_above_the_new_nyquist_is_gone_not_folded():
  # Catches decimation without an anti-alias filter: 170 Hz at 200 Hz would appear at 30 Hz.
  t = np.arange(8000) / 2000.0
  out_tc = resample.resample(np.sin(2 * np.pi * 170.0 * t)[:, None], 2000.0, 200.0)
  assert np.abs(out_tc[40:-40]).max() < 0.01


def test_an_offset_stays_an_offset_to_the_ends():
  # Catches zero padding, which bends the first and last samples of a recording with an offset.
  np.testing.assert_allclose(
      resample.resample(np.full((500, 2), 2048.0), 1000.0, 200.0), 2048.0, rtol=1e-9)


def test_equal_rates_return_an_equal_float64_copy():
  # Catches filtering where nothing is to be done, and aliasing of the caller's array.
  signal_tc = np.arange(12, dtype=np.int16).reshape(6, 2)
  out_tc = resample.resample(signal_tc, 200.0, 200.0)
  np.testing.assert_array_equal(out_tc, signal_tc)
  assert out_tc.dtype == np.float64


def test_an_envelope_stays_non_negative():
  # Catches the ripple of the filter below a burst, negative "envelope" for a logarithm.
  step_tc = np.zeros((100, 1))
  step_tc[50:] = 1
  assert resample.resample(step_tc, 100.0, 200.0).min() < 0
  assert resample.resample(step_tc, 100.0, 200.0, is_envelope=True).min() == 0


def test_short_and_bad_input():
  # Catches a crash on 1 sample, and rates that are 0 or NaN.
  assert resample.resample(np.ones((1, 2)), 1000.0, 200.0).shape == (1, 2)
  assert resample.resample(np.ones((3, 2)), 1000.0, 200.0).shape == (1, 2)
  with pytest.raises(ValueError, match='rate_hz: got 0.0'):
    resample.resample(np.ones((3, 2)), 0.0, 200.0)
  with pytest.raises(ValueError, match='target_hz: got nan'):
    resample.rate_ratio(200.0, float('nan'))
  with pytest.raises(ValueError, match='no fraction'):
    resample.rate_ratio(1e9, 1.0)
