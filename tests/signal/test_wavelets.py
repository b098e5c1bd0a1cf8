"""Approximation matrices against PyWavelets on signals, never on the matrices' own recipe alone."""

import jax
import numpy as np
import pytest
import pywt

from aemg_jax.signal import wavelets
from aemg_jax.signal.wavelets import WaveletConfig

N_SAMPLES = 450


@pytest.fixture(scope='module')
def window_tf():
  """Walks, noise and a slow wave, z-scored: what kinematic features look like."""
  rng = np.random.default_rng(0)
  t = np.arange(N_SAMPLES)[:, None]
  window_tf = np.concatenate([rng.normal(size=(N_SAMPLES, 4)).cumsum(0),
                              rng.normal(size=(N_SAMPLES, 4)),
                              np.sin(2 * np.pi * t / [[450, 90, 30, 12]])], axis=1)
  return (window_tf - window_tf.mean(0)) / window_tf.std(0)


def by_pywt(signal_t, level, wavelet='db4', mode='symmetric'):
  """One approximation of one signal, the details given as None."""
  coarse = pywt.downcoef('a', signal_t, wavelet, mode, level)
  lengths = [len(signal_t)]
  for _ in range(level):
    lengths.append(pywt.dwt_coeff_len(lengths[-1], pywt.Wavelet(wavelet).dec_len, mode))
  for length in reversed(lengths[:-1]):  # one step up at a time, cut to the length that went down
    coarse = pywt.idwt(coarse, None, wavelet, mode)[:length]
  return coarse


def expected(window_tf):
  return np.stack([np.stack([by_pywt(signal_t, level) for signal_t in window_tf.T], 1)
                   for level in range(1, 7)], axis=-1)


@pytest.mark.parametrize('dtype, tolerance', [(np.float64, 1e-12), (np.float32, 1e-6)])
def test_the_levels_are_pywavelets(window_tf, dtype, tolerance):
  # Catches upcoef (2 samples late from level 3), a transposed matrix, nested sums of levels, levels
  # in reverse, another wavelet or mode, and a product in less than the dtype's precision.
  with jax.enable_x64(dtype == np.float64):
    matrix_lts = wavelets.matrices(N_SAMPLES)
    out_tfl = wavelets.approximations(jax.numpy.asarray(window_tf, dtype), matrix_lts)
    assert out_tfl.dtype == dtype
    np.testing.assert_allclose(out_tfl, expected(window_tf.astype(dtype).astype(float)),
                               atol=tolerance, rtol=tolerance)


def test_a_slow_wave_passes_where_it_was_and_a_fast_one_goes(window_tf):
  # Catches a shift in time, which a comparison with one library call could share. Level 3 of a
  # 450 Hz window keeps what is below 28 Hz; the ends see the mirrored extension.
  matrix_ts = wavelets.matrices(N_SAMPLES)[2]
  slow_t, fast_t = (np.sin(2 * np.pi * hz * np.arange(N_SAMPLES) / N_SAMPLES) for hz in (5, 150))
  inner = slice(60, -60)
  np.testing.assert_allclose((matrix_ts @ slow_t)[inner], slow_t[inner], atol=0.01)
  assert np.abs(matrix_ts @ fast_t)[inner].max() < 0.06
  np.testing.assert_allclose(matrix_ts @ np.ones(N_SAMPLES), 1, atol=1e-12)


@pytest.mark.parametrize('n_samples, config', [
    (75, WaveletConfig(levels=2)), (64, WaveletConfig('sym5', 2, 'zero')),
    (101, WaveletConfig('haar', 6))])
def test_odd_lengths_and_other_wavelets(n_samples, config):
  # Catches the extra sample that waverec adds to odd lengths, and a setting that is not passed on.
  signal_t = np.random.default_rng(1).normal(size=n_samples)
  matrix_lts = wavelets.matrices(n_samples, config)
  assert matrix_lts.shape == (config.levels, n_samples, n_samples)
  for level, matrix_ts in enumerate(matrix_lts, 1):
    np.testing.assert_allclose(
        matrix_ts @ signal_t, by_pywt(signal_t, level, config.wavelet, config.mode), atol=1e-12)


def test_a_batch_of_windows_is_its_windows(window_tf):
  # Catches samples of one window in another's approximation, and swapped axes of the result.
  matrix_lts = wavelets.matrices(N_SAMPLES)
  batch_btf = np.stack([window_tf, window_tf[::-1]]).astype(np.float32)
  out_btfl = wavelets.approximations(jax.numpy.asarray(batch_btf), matrix_lts)
  assert out_btfl.shape == (2, N_SAMPLES, 12, 6)
  for i in range(2):
    alone_tfl = wavelets.approximations(jax.numpy.asarray(batch_btf[i]), matrix_lts)
    np.testing.assert_allclose(out_btfl[i], alone_tfl, atol=1e-5)


def test_the_matrices_are_made_once_and_cannot_be_written():
  # Catches a cache that a caller corrupts for all others, and PyWavelets run on every call.
  matrix_lts = wavelets.matrices(N_SAMPLES)
  assert wavelets.matrices(N_SAMPLES, WaveletConfig()) is matrix_lts
  with pytest.raises(ValueError, match='read-only'):
    matrix_lts[0, 0, 0] = 1


@pytest.mark.parametrize('n_samples, config, message', [
    (450, WaveletConfig(levels=7), 'levels: got 7, expected 1 to 6 for 450 samples of db4'),
    (450, WaveletConfig(levels=0), 'levels: got 0'),
    (450, WaveletConfig(wavelet='db8'), 'levels: got 6, expected 1 to 4'),
    (450, WaveletConfig(wavelet='morl'), "wavelet: got 'morl'"),
    (450, WaveletConfig(mode='mirror'), "mode: got 'mirror'"),
])
def test_bad_settings(n_samples, config, message):
  # Catches levels that PyWavelets only warns about: their coefficients are all boundary.
  with pytest.raises(ValueError, match=message):
    wavelets.matrices(n_samples, config)


def test_a_window_of_another_length():
  # Catches an einsum error that names no field.
  with pytest.raises(ValueError, match='window_tf: got 449 samples, expected 450'):
    wavelets.approximations(jax.numpy.zeros((449, 3)), wavelets.matrices(N_SAMPLES))
