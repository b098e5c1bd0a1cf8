"""Causal offline filters, float64 in and out. Pure functions of (signal, rate, settings).

Every filter here runs forward only, so that a streaming decoder can do the same; none shifts a
sample into the past.
"""

import numpy as np
from scipy import signal as sps

NOTCH_QUALITY = 30.0


def highpass(signal_tc: np.ndarray, rate_hz: float, cutoff_hz: float, order: int = 3,
             initial_c: np.ndarray | None = None) -> np.ndarray:
  """Butterworth high-pass.

  Args:
    signal_tc: [T, C], any unit.
    rate_hz: sampling rate.
    cutoff_hz: -3 dB frequency, within (0, rate_hz / 2).
    order: of the filter.
    initial_c: [C] constant level taken to precede the recording, in the signal's unit; None is 0.
      A device with an offset needs its level here (its median, say) or the step rings at the start.

  Returns:
    [T, C] float64.
  """
  _check_band(rate_hz, cutoff_hz=cutoff_hz)
  sos = sps.butter(order, cutoff_hz, 'highpass', fs=rate_hz, output='sos')
  return _run(sos, signal_tc, initial_c)


def bandpass(signal_tc: np.ndarray, rate_hz: float, low_hz: float, high_hz: float, order: int = 3,
             initial_c: np.ndarray | None = None) -> np.ndarray:
  """Butterworth band-pass between two -3 dB frequencies; arguments as `highpass`."""
  _check_band(rate_hz, low_hz=low_hz, high_hz=high_hz)
  if low_hz >= high_hz:
    raise ValueError(f'low_hz: got {low_hz:g}, expected below high_hz {high_hz:g}')
  sos = sps.butter(order, (low_hz, high_hz), 'bandpass', fs=rate_hz, output='sos')
  return _run(sos, signal_tc, initial_c)


def notch(signal_tc: np.ndarray, rate_hz: float, mains_hz: float,
          initial_c: np.ndarray | None = None) -> np.ndarray:
  """Notches the mains frequency and all its harmonics below Nyquist, quality 30 each."""
  if not mains_hz > 0:
    raise ValueError(f'mains_hz: got {mains_hz:g}, expected a frequency above 0 Hz')
  out_tc = _as_float(signal_tc)
  for harmonic_hz in mains_harmonics(rate_hz, mains_hz):
    sos = sps.tf2sos(*sps.iirnotch(harmonic_hz, NOTCH_QUALITY, fs=rate_hz))
    out_tc = _run(sos, out_tc, initial_c)  # unit gain at 0 Hz: the level before stays the same
  return out_tc


def mains_harmonics(rate_hz: float, mains_hz: float) -> tuple[float, ...]:
  """The multiples of `mains_hz` strictly below Nyquist; none for a rate of at most twice of it."""
  count = int(np.ceil(rate_hz / 2 / mains_hz)) - 1
  return tuple(mains_hz * k for k in range(1, count + 1))


def _as_float(signal_tc: np.ndarray) -> np.ndarray:
  signal_tc = np.asarray(signal_tc)
  if signal_tc.ndim != 2:
    raise ValueError(f'signal_tc: got shape {signal_tc.shape}, expected [T, C]')
  return signal_tc.astype(np.float64)


def _run(sos: np.ndarray, signal_tc: np.ndarray, initial_c: np.ndarray | None) -> np.ndarray:
  signal_tc = _as_float(signal_tc)
  if initial_c is None:
    return sps.sosfilt(sos, signal_tc, axis=0)
  level_c = np.asarray(initial_c, np.float64)
  if level_c.shape != signal_tc.shape[1:]:
    raise ValueError(f'initial_c: got shape {level_c.shape}, expected {signal_tc.shape[1:]}')
  state_sqc = sps.sosfilt_zi(sos)[:, :, None] * level_c
  return sps.sosfilt(sos, signal_tc, axis=0, zi=state_sqc)[0]


def _check_band(rate_hz: float, **cutoffs_hz: float) -> None:
  for name, value in cutoffs_hz.items():
    if not 0 < value < rate_hz / 2:
      raise ValueError(f'{name}: got {value:g}, expected within (0, {rate_hz / 2:g}) Hz at '
                       f'a rate of {rate_hz:g} Hz')
