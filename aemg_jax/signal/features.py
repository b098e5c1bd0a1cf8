"""Features of short sEMG windows for the classical baselines: NumPy, vectorised over windows.

Every feature function maps window_wtc [W, T, C] (the recording's unit after the high-pass) to
[W, F]; `FEATURES` lists them by name. References: Hudgins et al., IEEE TBME 40 (1993) 82-94;
Phinyomark et al., Sensors 18 (2018) 1615, the low-sampling-rate features, with the definitions of
LibEMG (libemg/feature_extractor.py, group LS4); log-Euclidean covariance as in Arsigny et al.,
SIAM J. Matrix Anal. 29 (2007) 328-347.
"""

from collections.abc import Callable

import numpy as np

LOG_FLOOR = 0.1  # added to mean absolute values before the logarithm, device counts
BAND_FLOOR = 0.05  # added to band power, counts squared
BAND_EDGES = (1, 5, 9, 13, 18, 23, 27)  # bins of a 52-sample spectrum, DC is bin 0
WAMP_THRESHOLD = 2e-3  # LibEMG's default, in the signal's unit
MFL_FLOOR = 1e-6  # a dead channel has waveform length 0


def cut_windows(signal_tc: np.ndarray, length: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
  """All whole windows of a recording.

  Args:
    signal_tc: [T, C].
    length, stride: samples.

  Returns:
    window_wtc: [W, length, C] float64, W = 0 for a recording shorter than a window.
    start_w: [W] int32, first sample of each window.
  """
  if length < 3 or stride < 1:
    raise ValueError(f'windows: got length {length} and stride {stride}, expected >= 3 and >= 1')
  n_samples, n_channels = signal_tc.shape
  start_w = np.arange(0, n_samples - length + 1, stride, dtype=np.int32)
  if not start_w.size:
    return np.zeros((0, length, n_channels)), start_w
  view_tcp = np.lib.stride_tricks.sliding_window_view(signal_tc, length, axis=0)
  return view_tcp[start_w].transpose(0, 2, 1).astype(np.float64), start_w


def hudgins(window_wtc: np.ndarray) -> np.ndarray:
  """Hudgins' set without thresholds: MAV, sum |dx|, zero crossings, slope sign changes [W, 4C]."""
  step_wtc = np.diff(window_wtc, axis=1)
  slope_wc = (step_wtc[:, :-1] * step_wtc[:, 1:] < 0).sum(1)
  return np.concatenate([np.abs(window_wtc).mean(1), np.abs(step_wtc).sum(1),
                         _crossings(window_wtc), slope_wc], 1)


def log_hudgins(window_wtc: np.ndarray) -> np.ndarray:
  """log(MAV + 0.1), log(mean |dx| + 0.1) and the rate of zero crossings per sample [W, 3C]."""
  step_wtc = np.diff(window_wtc, axis=1)
  return np.concatenate([
      np.log(np.abs(window_wtc).mean(1) + LOG_FLOOR),
      np.log(np.abs(step_wtc).mean(1) + LOG_FLOOR),
      _crossings(window_wtc) / step_wtc.shape[1],
  ], 1)


def log_bands(window_wtc: np.ndarray) -> np.ndarray:
  """Logs of six mean band powers under a Hann window, |rfft|^2 / T, band-major [W, 6C].

  At T = 52 the bands are the bins [1,5), [5,9), [9,13), [13,18), [18,23), [23,27); at another T
  the edges are the same fractions of Nyquist.
  """
  length = window_wtc.shape[1]
  tapered_wtc = window_wtc * np.hanning(length)[None, :, None]
  power_wfc = np.abs(np.fft.rfft(tapered_wtc, axis=1)) ** 2 / length
  edges = [max(1, round(edge * length / 52)) for edge in BAND_EDGES[:-1]] + [power_wfc.shape[1]]
  if min(np.diff(edges)) < 1:
    raise ValueError(f'log_bands: windows of {length} samples are too short for six bands')
  return np.concatenate([
      np.log(power_wfc[:, low:high].mean(1) + BAND_FLOOR) for low, high in zip(edges, edges[1:])
  ], 1)


def log_covariance(window_wtc: np.ndarray) -> np.ndarray:
  """Log-Euclidean covariance [W, C (C + 1) / 2].

  C = X'X / T + (0.02 tr / C + 0.05) I, its matrix logarithm, upper triangle in row order with the
  off-diagonal entries times sqrt 2, so that Euclidean distance is the Frobenius one.
  """
  length, n_channels = window_wtc.shape[1:]
  cov_wcc = window_wtc.transpose(0, 2, 1) @ window_wtc / length
  trace_w = np.trace(cov_wcc, axis1=1, axis2=2)
  ridge_w = 0.02 * trace_w / n_channels + 0.05
  cov_wcc = cov_wcc + ridge_w[:, None, None] * np.eye(n_channels)[None]
  value_wc, vector_wcc = np.linalg.eigh(cov_wcc)
  log_wcc = (vector_wcc * np.log(value_wc)[:, None, :]) @ vector_wcc.transpose(0, 2, 1)
  row, column = np.triu_indices(n_channels)
  weight = np.where(row == column, 1.0, np.sqrt(2.0))
  return log_wcc[:, row, column] * weight[None]


def ls4(window_wtc: np.ndarray) -> np.ndarray:
  """LibEMG's low-sampling-rate set of four, feature-major [W, 4C]: LS, MFL, MSR, WAMP.

  LS is the second L-moment, MFL = log10 sum |dx|, MSR = |mean of the complex square roots|,
  WAMP counts |dx| > 2e-3. Differs from LibEMG: sum |dx| is at least 1e-6 (a dead channel would
  give -inf).
  """
  length = window_wtc.shape[1]
  rank_t = np.arange(length) / (length - 1)
  sorted_wtc = np.sort(window_wtc, axis=1)
  l_moment_wc = 2 * (sorted_wtc * rank_t[None, :, None]).mean(1) - window_wtc.mean(1)
  step_wtc = np.abs(np.diff(window_wtc, axis=1))
  root_wc = np.abs(np.sqrt(window_wtc.astype(np.complex128)).mean(1))
  return np.concatenate([l_moment_wc, np.log10(np.maximum(step_wtc.sum(1), MFL_FLOOR)), root_wc,
                         (step_wtc > WAMP_THRESHOLD).sum(1)], 1)


def _crossings(window_wtc: np.ndarray) -> np.ndarray:
  """Changes between strictly positive and strictly negative neighbours [W, C]."""
  return (window_wtc[:, :-1] * window_wtc[:, 1:] < 0).sum(1)


FEATURES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    'hudgins': hudgins,
    'log_hudgins': log_hudgins,
    'log_bands': log_bands,
    'log_covariance': log_covariance,
    'ls4': ls4,
}

_BLOCKS = {'hudgins': 4, 'log_hudgins': 3, 'log_bands': 6, 'log_covariance': 0, 'ls4': 4}  # of C columns; 0: pairs


def feature(name: str) -> Callable[[np.ndarray], np.ndarray]:
  """The feature function of that name, or ValueError listing the known ones."""
  if name not in FEATURES:
    raise ValueError(f'feature: got {name!r}, expected one of {sorted(FEATURES)}')
  return FEATURES[name]


def turned_columns(name: str, perm_c: np.ndarray) -> np.ndarray:
  """Where the columns of a feature go when channels do: f(x[:, :, perm]) = f(x)[:, turned_columns]."""
  channels, blocks = len(perm_c), _BLOCKS[name]
  if blocks:
    return (np.arange(blocks)[:, None] * channels + np.asarray(perm_c)[None]).ravel()
  row, column = np.triu_indices(channels)
  place_cc = np.zeros((channels, channels), int)
  place_cc[row, column] = place_cc[column, row] = np.arange(len(row))
  return place_cc[perm_c[row], perm_c[column]]
