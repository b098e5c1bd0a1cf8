"""Polyphase resampling from any rate to any rate, offline, float64 in and out."""

import fractions

import numpy as np
from scipy import signal as sps

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
  input up to 10 low-rate samples ahead of it. Past the ends the signal goes on along the line from
  its first to its last sample, so an offset does not ring.

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
    out_tc = sps.resample_poly(out_tc, up, down, axis=0, padtype='line')
    # a rate that is no small fraction may come out a sample long or short
    length = int(np.ceil(signal_tc.shape[0] * target_hz / rate_hz - 1e-9))
    out_tc = np.pad(out_tc[:length], ((0, max(0, length - out_tc.shape[0])), (0, 0)), 'edge')
  return np.maximum(out_tc, 0) if is_envelope else out_tc
