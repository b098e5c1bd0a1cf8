"""Polyphase resampling from any rate to any rate, offline, float64 in and out.

The filter is that of `scipy.signal.resample_poly`, applied as matrix products over blocks of
outputs, which is faster on many channels (tests/benchmarks/tokeniser.py measures it).
"""

import fractions

import numpy as np
from scipy import signal as sps

HALF_LENGTH = 10  # samples of the lower rate to each side
KAISER_BETA = 5.0
BLOCK = 32  # outputs of one matrix product: few are all overhead, many are all zeros
MAX_DENOMINATOR = 2000
MAX_RATE_ERROR = 1e-5  # 36 ms in an hour


def rate_ratio(rate_hz: float, target_hz: float) -> tuple[int, int]:
  """(up, down) with rate_hz * up / down = target_hz to one part in 1e5.

  Raises:
    ValueError: for rates that are not positive, or whose ratio no fraction of at most
      MAX_DENOMINATOR comes near enough to.
  """
  for name, value in (('rate_hz', rate_hz), ('target_hz', target_hz)):
    if not (np.isfinite(value) and value > 0):
      raise ValueError(f'{name}: got {value!r}, expected a positive rate in Hz')
  ratio = fractions.Fraction(float(target_hz)) / fractions.Fraction(float(rate_hz))
  near = ratio.limit_denominator(MAX_DENOMINATOR)
  if abs(near / ratio - 1) > MAX_RATE_ERROR:
    raise ValueError(f'rate_hz: no fraction with a denominator of at most {MAX_DENOMINATOR} '
                     f'takes {rate_hz!r} Hz to {target_hz!r} Hz')
  return near.numerator, near.denominator


def resample(signal_tc: np.ndarray, rate_hz: float, target_hz: float,
             is_envelope: bool = False) -> np.ndarray:
  """Resamples by a rational factor.

  The anti-alias filter is scipy's: a linear-phase Kaiser (beta 5) FIR that cuts at the lower of
  both Nyquist frequencies (-6 dB there) and reaches 10 samples of the lower rate to each side; its
  delay is taken out, so sample k of the result is at k / target_hz, and a result sample depends on
  input up to 10 low-rate samples ahead of it. The line from the first to the last sample passes
  unfiltered, as if it went on past both ends, so an offset does not ring.

  Args:
    signal_tc: [T, C].
    rate_hz, target_hz: native and wanted rate.
    is_envelope: values below 0 that the filter's ripple makes are set to 0.

  Returns:
    [ceil(T * target_hz / rate_hz), C] float64; an unchanged copy when the rates agree.
  """
  signal_tc = np.asarray(signal_tc)
  if signal_tc.ndim != 2:
    raise ValueError(f'signal_tc: got shape {signal_tc.shape}, expected [T, C]')
  up, down = rate_ratio(rate_hz, target_hz)
  out_tc = signal_tc.astype(np.float64)
  if up != down and out_tc.shape[0] > 1:
    length = int(np.ceil(signal_tc.shape[0] * target_hz / rate_hz - 1e-9))
    first_c, slope_c = out_tc[0].copy(), (out_tc[-1] - out_tc[0]) / (out_tc.shape[0] - 1)
    line_tc = lambda time_t: first_c + slope_c * time_t[:, None]  # time in input samples
    out_tc -= line_tc(np.arange(out_tc.shape[0]))
    out_tc = _polyphase(out_tc, up, down, length) + line_tc(np.arange(length) * (down / up))
  return np.maximum(out_tc, 0) if is_envelope else out_tc


def _polyphase(signal_tc: np.ndarray, up: int, down: int, length: int) -> np.ndarray:
  """`length` outputs y[k] = sum_n h[k * down - n * up] x[n]; zeros beyond the ends of x."""
  reach = HALF_LENGTH * max(up, down)  # of the filter to each side, in samples of rate * up
  taps = up * sps.firwin(2 * reach + 1, 1 / max(up, down), window=('kaiser', KAISER_BETA))
  periods = -(-BLOCK // up)  # so many outputs and inputs later, the same filter phases return
  n_out, n_in = periods * up, periods * down
  n_repeats = -(-length // n_out)
  before = reach // up
  after = max(0, (n_repeats - 1) * n_in + n_in + 2 * before + 2 - before - signal_tc.shape[0])
  padded_ct = np.pad(signal_tc.T, ((0, 0), (before, after)))
  out_crk = np.empty((signal_tc.shape[1], n_repeats, n_out))
  for k in range(0, n_out, BLOCK):
    output_k = np.arange(k, min(k + BLOCK, n_out)) * down
    first, last = -(-(output_k[0] - reach) // up), (output_k[-1] + reach) // up
    lag_kn = output_k[:, None] - up * np.arange(first, last + 1)
    filter_kn = np.where(abs(lag_kn) <= reach, taps[np.clip(lag_kn + reach, 0, 2 * reach)], 0)
    windows_crn = np.lib.stride_tricks.sliding_window_view(
        padded_ct[:, before + first:], last + 1 - first, axis=1)[:, ::n_in][:, :n_repeats]
    # copied, so that all windows of all channels are one product
    out_crk[..., k:k + BLOCK] = np.ascontiguousarray(windows_crn) @ filter_kn.T
  return out_crk.reshape(signal_tc.shape[1], -1)[:, :length].T
