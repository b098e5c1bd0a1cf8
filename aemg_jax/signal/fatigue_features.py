"""The 32 features of an sEMG window and channel that the fatigue model reads, in JAX.

Beside `features.py` rather than in it: that file holds whole sets of the published LDA baselines,
NumPy, float64, without a sampling rate; these depend on the rate, run on an accelerator and are
finite for every finite input.

Windows must be high-passed: only `var`, `kurtosis`, `skewness` and the non-linear features take an
offset out. Letters: t sample, c channel (or channels of several windows side by side), j frequency,
f feature.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pywt

from aemg_jax.signal import complexity
from aemg_jax.signal.features import cut_windows

WAVELET, LEVELS = 'db4', 5
MIN_SAMPLES = (pywt.Wavelet(WAVELET).dec_len - 1) * 2 ** LEVELS
BLOCK_COLUMNS = 64  # windows times channels that `windowed` computes at once
FLAT = 8  # machine epsilons of the peak: a smaller standard deviation is rounding
GROUPS = {
    'time': ('iemg', 'mav', 'rms', 'var', 'wl', 'zc', 'ssc', 'wamp', 'log_detector', 'kurtosis',
             'skewness', 'dasdv'),
    'frequency': ('mnf', 'mdf', 'total_power', 'peak_frequency', 'sm1', 'sm2', 'low_high_ratio',
                  'spectral_entropy', 'finsm5'),
    'time_frequency': ('energy_d1', 'energy_d2', 'energy_d3', 'energy_d4', 'energy_d5',
                       'wavelet_entropy'),
    'non_linear': ('sample_entropy', 'fuzzy_entropy', 'higuchi', 'dfa', 'lempel_ziv'),
}
FEATURE_NAMES = tuple(name for names in GROUPS.values() for name in names)


@dataclasses.dataclass(frozen=True)
class FeatureSettings:
  """Choices that the features' names leave open.

  Attributes:
    crossing_threshold: `zc` and `ssc` count only steps of at least so many of the window's own
      standard deviations, so that the count does not depend on gain. 0 counts all.
    wamp_threshold: the same for `wamp`; an sEMG step at 1 kHz is of the order of 0.5.
    log_floor: of |x| inside the log detector, over the window's peak.
    low_band_hz, high_band_hz: [from, to) of the numerator and denominator of `low_high_ratio`.
    finsm5_from_hz: `finsm5` leaves out what is below.
    template_length: m of both entropies, samples.
    tolerance: r of sample entropy, standard deviations.
    fuzzy_tolerance, fuzzy_power: r, in standard deviations, and p of fuzzy entropy.
    higuchi_kmax: longest step, samples.
    dfa_shortest, dfa_ratio, dfa_fraction: segments of `dfa_shortest` samples, each `dfa_ratio`
      times the one before, up to `dfa_fraction` of the window.
  """
  crossing_threshold: float = 0.0
  wamp_threshold: float = 0.2
  log_floor: float = 1e-6
  low_band_hz: tuple[float, float] = (20.0, 80.0)
  high_band_hz: tuple[float, float] = (80.0, 250.0)
  finsm5_from_hz: float = 5.0
  template_length: int = 2
  tolerance: float = 0.2
  fuzzy_tolerance: float = 0.2
  fuzzy_power: int = 2
  higuchi_kmax: int = 10
  dfa_shortest: int = 4
  dfa_ratio: float = 1.2
  dfa_fraction: float = 0.1


@functools.partial(jax.jit, static_argnames=('rate_hz', 'settings'))
def features(window_tc: jax.Array, rate_hz: float,
             settings: FeatureSettings = FeatureSettings()) -> jax.Array:
  """All features of one window, [C, 32] in the order of FEATURE_NAMES.

  Finite for every finite input: what a flat window leaves undefined is 0, and values past the
  largest number (VAR of 1e30 in float32) are that number. The window is computed at a peak of
  about 1, by a power of two; amplitudes get their scale back at the end.

  Args:
    window_tc: [T, C], any unit; computed in its own precision, at least float32.
    rate_hz: static.
    settings: static.

  Raises:
    ValueError: fewer than MIN_SAMPLES samples, or a rate that lacks the bands.
  """
  window_tc = jnp.asarray(window_tc)
  if window_tc.ndim != 2 or window_tc.shape[0] < MIN_SAMPLES:
    raise ValueError(f'window_tc: got shape {window_tc.shape}, expected [T, C] of at least '
                     f'{MIN_SAMPLES} samples ({LEVELS} levels of {WAVELET})')
  if not rate_hz >= 2 * settings.high_band_hz[1]:
    raise ValueError(f'rate_hz: got {rate_hz!r}, expected at least {2 * settings.high_band_hz[1]} '
                     f'for the band {settings.high_band_hz} Hz')
  window_tc = window_tc.astype(jnp.promote_types(window_tc.dtype, jnp.float32))
  scale_c = _power_of_two(jnp.abs(window_tc).max(axis=0))
  unit_tc = window_tc / scale_c[None]
  z_tc, sd_c = _standardised(unit_tc)
  values = {**_time(unit_tc, z_tc, sd_c, settings), **_frequency(unit_tc, rate_hz, settings),
            **_time_frequency(unit_tc), **_non_linear(z_tc, settings)}
  largest = jnp.finfo(window_tc.dtype).max
  for power, names in ((1, ('iemg', 'mav', 'rms', 'wl', 'log_detector', 'dasdv')),
                       (2, ('var', 'total_power', 'sm1', 'sm2'))):
    for name in names:
      for _ in range(power):
        values[name] = jnp.minimum(values[name] * scale_c, largest)
  return jnp.stack([values[name].astype(window_tc.dtype) for name in FEATURE_NAMES], axis=1)


def windowed(signal_tc: np.ndarray, rate_hz: float, window_s: float, stride_s: float,
             settings: FeatureSettings = FeatureSettings()) -> np.ndarray:
  """Features of all whole windows of a recording, [N, C, 32]; N = 0 for one shorter than a window.

  Windows go through one compiled graph in blocks of BLOCK_COLUMNS columns, whatever the length of
  the recording and its number of channels; window n starts at sample n * round(stride_s * rate_hz).

  Args:
    signal_tc: [T, C], finite, high-passed. float64 needs jax_enable_x64 to stay so.
    rate_hz: sampling rate.
    window_s, stride_s: seconds.

  Raises:
    ValueError: a signal that is not [T, C] or not finite, and what `features` and `cut_windows`
      refuse.
  """
  signal_tc = np.asarray(signal_tc)
  if signal_tc.ndim != 2:
    raise ValueError(f'signal_tc: got shape {signal_tc.shape}, expected [T, C]')
  bad_tc = ~np.isfinite(signal_tc)
  if bad_tc.any():
    sample, channel = np.argwhere(bad_tc)[0]
    raise ValueError(f'signal_tc: sample {sample} of channel {channel} is '
                     f'{signal_tc[sample, channel]}, expected a finite number')
  length = round(window_s * rate_hz)
  window_ntc, _ = cut_windows(signal_tc, length, round(stride_s * rate_hz))
  dtype = np.float64 if signal_tc.dtype == np.float64 and jax.config.jax_enable_x64 else np.float32
  n_windows, _, n_channels = window_ntc.shape
  column_tc = window_ntc.transpose(1, 0, 2).reshape(length, -1)
  out_cf = np.zeros((column_tc.shape[1], len(FEATURE_NAMES)), dtype)
  for start in range(0, column_tc.shape[1], BLOCK_COLUMNS):
    some_tc = column_tc[:, start:start + BLOCK_COLUMNS]
    missing = BLOCK_COLUMNS - some_tc.shape[1]
    block_tc = np.pad(some_tc, ((0, 0), (0, missing))).astype(dtype)
    out_cf[start:start + BLOCK_COLUMNS] = features(block_tc, rate_hz, settings)[:some_tc.shape[1]]
  return out_cf.reshape(n_windows, n_channels, len(FEATURE_NAMES))


def _power_of_two(peak_c: jax.Array) -> jax.Array:
  """2^e with the peak in [2^(e-1), 2^e), e kept where neither 2^e nor 2^-e leaves the range."""
  info = jnp.finfo(peak_c.dtype)
  _, exponent_c = jnp.frexp(peak_c)
  return jnp.ldexp(jnp.ones_like(peak_c), jnp.clip(exponent_c, 3 - info.maxexp, info.maxexp - 3))


def _standardised(unit_tc: jax.Array) -> tuple[jax.Array, jax.Array]:
  """(z_tc with mean 0 and standard deviation 1, sd_c before); both 0 where the window is flat."""
  centred_tc = unit_tc - unit_tc.mean(axis=0, keepdims=True)
  centred_tc = centred_tc - centred_tc.mean(axis=0, keepdims=True)  # what the first one rounded
  sd_c = jnp.sqrt(jnp.square(centred_tc).mean(axis=0))
  flat_c = sd_c <= FLAT * jnp.finfo(unit_tc.dtype).eps * jnp.abs(unit_tc).max(axis=0)
  z_tc = jnp.where(flat_c[None], 0, centred_tc / jnp.where(flat_c, 1, sd_c)[None])
  return z_tc, jnp.where(flat_c, 0, sd_c)


def _time(unit_tc: jax.Array, z_tc: jax.Array, sd_c: jax.Array,
          settings: FeatureSettings) -> dict[str, jax.Array]:
  """Time domain; u is the signal's unit, d[t] = x[t + 1] - x[t].

    iemg = sum |x|  (u)              mav = mean |x|  (u)          rms = sqrt(mean x^2)  (u)
    var = mean (x - mean x)^2  (u^2; the literature divides by T - 1: this is Hjorth's activity)
    wl = sum |d|  (u)                dasdv = sqrt(mean d^2)  (u)
    zc: neighbours of opposite sign  (count)        ssc: neighbouring d of opposite sign  (count)
    wamp: |d| above the threshold  (count)
    log_detector = exp(mean ln |x|)  (u), |x| at least the floor
    kurtosis = mean z^4 (3 for a normal distribution), skewness = mean z^3

  Phinyomark et al., Expert Systems with Applications 39 (2012) 7420. Differs from it: thresholds
  are in standard deviations of the window.
  """
  step_tc = jnp.diff(unit_tc, axis=0)
  size_tc, size_step_tc = jnp.abs(unit_tc), jnp.abs(step_tc)
  floor_1c = settings.crossing_threshold * sd_c[None]
  peak_1c = size_tc.max(axis=0, keepdims=True)
  larger_tc = jnp.maximum(size_step_tc[1:], size_step_tc[:-1])
  log_1c = jnp.where(peak_1c > 0, settings.log_floor * peak_1c, 1)
  count = lambda mask_tc: mask_tc.sum(axis=0)
  return {
      'iemg': size_tc.sum(axis=0), 'mav': size_tc.mean(axis=0),
      'rms': jnp.sqrt(jnp.square(unit_tc).mean(axis=0)), 'var': jnp.square(sd_c),
      'wl': size_step_tc.sum(axis=0),
      'zc': count(_signs_differ(unit_tc) & (size_step_tc >= floor_1c)),
      'ssc': count(_signs_differ(step_tc) & (larger_tc >= floor_1c)),
      'wamp': count(size_step_tc > settings.wamp_threshold * sd_c[None]),
      'log_detector': jnp.where(
          peak_1c > 0, jnp.exp(jnp.log(jnp.maximum(size_tc, log_1c)).mean(0, keepdims=True)), 0)[0],
      'kurtosis': (z_tc ** 4).mean(axis=0), 'skewness': (z_tc ** 3).mean(axis=0),
      'dasdv': jnp.sqrt(jnp.square(step_tc).mean(axis=0)),
  }


def _signs_differ(x_tc: jax.Array) -> jax.Array:
  """Strictly opposite signs of neighbours; products could underflow."""
  return ((x_tc[:-1] > 0) & (x_tc[1:] < 0)) | ((x_tc[:-1] < 0) & (x_tc[1:] > 0))


def _frequency(unit_tc: jax.Array, rate_hz: float,
               settings: FeatureSettings) -> dict[str, jax.Array]:
  """Spectrum P_j = 2 |X_j|^2 / T^2 (u^2) at f_j = j rate / T, j = 0..T/2, X the untapered DFT.

    mnf = sum f P / sum P  (Hz)       mdf: first f with cumulative P >= sum P / 2  (Hz)
    total_power = sum P  (u^2; by Parseval nearly `var`)       peak_frequency = argmax P  (Hz)
    sm1 = sum f P  (u^2 Hz)           sm2 = sum f^2 P  (u^2 Hz^2)
    low_high_ratio = P in the low band / P in the high one; at most 1 / machine epsilon
    spectral_entropy = -sum p ln p / ln(number of j), p = P / sum P  (0 to 1)
    finsm5 = sum f^-1 P / sum f^5 P from `finsm5_from_hz` on, f in kHz  (kHz^-6)

  Zero and Nyquist frequency count twice, as in the plain sums of Phinyomark et al. (2012). FInsm5:
  Dimitrov et al., Med. Sci. Sports Exerc. 38 (2006) 1971. A window of zeros gives 0.
  """
  n_samples = unit_tc.shape[0]
  spectrum_jc = jnp.moveaxis(jnp.fft.rfft(unit_tc.T, axis=1), 1, 0)
  power_jc = (jnp.square(spectrum_jc.real) + jnp.square(spectrum_jc.imag)) * (2 / n_samples ** 2)
  frequency_j = np.fft.rfftfreq(n_samples, 1 / rate_hz)
  total_c = power_jc.sum(axis=0)
  part_jc = power_jc / jnp.where(total_c > 0, total_c, 1)[None]
  weighted = lambda weight_j, x_jc: (x_jc * weight_j[:, None].astype(x_jc.dtype)).sum(axis=0)
  at = lambda index_c: jnp.asarray(frequency_j, unit_tc.dtype)[index_c]
  inside = lambda low, high: (frequency_j >= low) & (frequency_j < high)
  mean_c = weighted(frequency_j, part_jc)
  high_c = weighted(inside(*settings.high_band_hz), part_jc)
  kept_j = frequency_j >= settings.finsm5_from_hz
  khz_j = np.where(kept_j, frequency_j, 1) / 1000
  fifth_c = weighted(kept_j * khz_j ** 5, part_jc)
  cumulative_jc = jnp.cumsum(part_jc, axis=0)
  tiny, eps = jnp.finfo(unit_tc.dtype).tiny, jnp.finfo(unit_tc.dtype).eps
  log_jc = jnp.log(jnp.maximum(part_jc, tiny))
  return {
      'mnf': mean_c, 'mdf': at(jnp.argmax(cumulative_jc >= cumulative_jc[-1:] / 2, axis=0)),
      'total_power': total_c, 'peak_frequency': at(jnp.argmax(power_jc, axis=0)),
      'sm1': weighted(frequency_j, power_jc), 'sm2': weighted(frequency_j ** 2, power_jc),
      'low_high_ratio': weighted(inside(*settings.low_band_hz), part_jc) / jnp.maximum(high_c, eps),
      'spectral_entropy': -(part_jc * log_jc).sum(axis=0) / np.log(len(frequency_j)),
      'finsm5': weighted(kept_j / khz_j, part_jc) / jnp.maximum(fifth_c, tiny),
  }


def _time_frequency(unit_tc: jax.Array) -> dict[str, jax.Array]:
  """db4, 5 levels, mode symmetric, as `pywt.wavedec`: energies over their sum, without unit.

    energy_dk = sum D_k^2 / (sum A_5^2 + sum_l sum D_l^2)  (D1 is rate/4 to rate/2; A5 is the rest)
    wavelet_entropy = -sum p ln p over the six of them  (nats)
  """
  wavelet = pywt.Wavelet(WAVELET)
  energies, approximation_tc = [], unit_tc
  for _ in range(LEVELS):
    detail_tc = _filtered_by_two(approximation_tc, wavelet.dec_hi)
    approximation_tc = _filtered_by_two(approximation_tc, wavelet.dec_lo)
    energies.append(jnp.square(detail_tc).sum(axis=0))
  energy_kc = jnp.stack([*energies, jnp.square(approximation_tc).sum(axis=0)])
  total_1c = energy_kc.sum(axis=0, keepdims=True)
  part_kc = energy_kc / jnp.where(total_1c > 0, total_1c, 1)
  log_kc = jnp.log(jnp.maximum(part_kc, jnp.finfo(unit_tc.dtype).tiny))
  names = GROUPS['time_frequency']
  return {**dict(zip(names, part_kc)), names[-1]: -(part_kc * log_kc).sum(axis=0)}


def _filtered_by_two(x_tc: jax.Array, taps: list[float]) -> jax.Array:
  """pywt.dwt's filter and decimation: mirrored at both ends, every second output from the first."""
  n_taps, n_samples = len(taps), x_tc.shape[0]
  padded_tc = jnp.pad(x_tc, ((n_taps - 2, n_taps - 1), (0, 0)), mode='symmetric')
  n_out = (n_samples + n_taps - 1) // 2
  starts = range(n_taps - 1, -1, -1)
  return sum(tap * padded_tc[start:start + 2 * n_out - 1:2] for tap, start in zip(taps, starts))


def _non_linear(z_tc: jax.Array, settings: FeatureSettings) -> dict[str, jax.Array]:
  """Entropies, fractal dimension, scaling and complexity, without unit: see `complexity`.

  Lempel-Ziv is of the signal above and not above its mean.
  """
  sample_c, fuzzy_c = complexity.template_entropies(
      z_tc, settings.template_length, settings.tolerance, settings.fuzzy_tolerance,
      settings.fuzzy_power)
  scales = complexity.dfa_scales(
      z_tc.shape[0], settings.dfa_shortest, settings.dfa_fraction, settings.dfa_ratio)
  return {
      'sample_entropy': sample_c, 'fuzzy_entropy': fuzzy_c,
      'higuchi': complexity.higuchi(z_tc, settings.higuchi_kmax),
      'dfa': complexity.detrended_fluctuation(z_tc, scales),
      'lempel_ziv': complexity.lempel_ziv(z_tc > 0),
  }
