"""Raw recording -> one rate, band and scale, with electrode positions (METHOD section 3).

Offline, NumPy and float64. Relative amplitude between channels is kept everywhere.
"""

import dataclasses

import numpy as np

from aemg_jax.records import Record, Sensor
from aemg_jax.sentences.words import RectifyConfig
from aemg_jax.signal import filters, resample

N_POSITIONS = 16
LEVEL_S = 1.0  # an offset is taken from the first second, as a stream could
RESAMPLED_BAND = 0.9


class RejectedError(ValueError):
  """A recording that gives no words. `reason` is the same for all recordings of its kind."""

  def __init__(self, record: Record, reason: str, detail: str):
    super().__init__(f'{record.dataset}/{record.record_id}: {reason}: {detail}')
    self.reason = reason


@dataclasses.dataclass(frozen=True)
class Rectified:
  """One recording at the common rate.

  Attributes:
    signal_tc: [T, C] float64 in the sensors' unit, filtered and resampled, not yet scaled.
    position_c, ring_c: [C] int32, see `electrode_places`.
    bandwidth_hz: information band that is left, 0 for envelopes.
  """
  signal_tc: np.ndarray
  position_c: np.ndarray
  ring_c: np.ndarray
  bandwidth_hz: float


def rectify(record: Record, config: RectifyConfig, min_samples: int = 1,
            keep_c: np.ndarray | None = None) -> Rectified:
  """Filters at the native rate, then resamples.

  Args:
    record: EMG.
    config: rate and band.
    min_samples: fewest samples at the common rate that are of use.
    keep_c: rows of the channels that are wanted; None is all. Places are those of the whole montage.

  Raises:
    RejectedError: no EMG, NaN, a constant channel, mixed units, or too short.
    ValueError: a rate or band that cannot be.
  """
  if record.kind != 'emg':
    raise RejectedError(record, 'not EMG', f'kind is {record.kind!r}, expected \'emg\'')
  keep_c = np.arange(record.n_channels) if keep_c is None else np.asarray(keep_c)
  _check_signal(record, keep_c)
  units = sorted({record.sensors[i].unit for i in keep_c})
  if len(units) > 1:
    raise RejectedError(record, 'mixed units', f'sensors are in {units}, expected one unit')
  length = resampled_length(record.n_samples, record.rate_hz, config.rate_hz)
  if length < min_samples:
    raise RejectedError(
        record, 'too short', f'{length} samples at {config.rate_hz:g} Hz, expected {min_samples}')
  scale_c = np.array([record.sensors[i].scale for i in keep_c])
  signal_tc = record.signal_tc[:, keep_c].astype(np.float64) * scale_c[None]
  level_c = np.median(signal_tc[:max(1, round(LEVEL_S * record.rate_hz))], axis=0)
  try:
    if config.notch_hz and not record.is_envelope:
      signal_tc = filters.notch(signal_tc, record.rate_hz, config.notch_hz, level_c)
    if config.highpass_hz and not record.is_envelope:
      signal_tc = filters.highpass(
          signal_tc, record.rate_hz, config.highpass_hz, initial_c=level_c)
    signal_tc = resample.resample(signal_tc, record.rate_hz, config.rate_hz, record.is_envelope)
  except ValueError as error:
    raise ValueError(f'{record.dataset}/{record.record_id}: {error}') from error
  position_c, ring_c = electrode_places(record.sensors)
  return Rectified(
      signal_tc, position_c[keep_c], ring_c[keep_c], information_band(record, config.rate_hz))


def information_band(record: Record, rate_hz: float) -> float:
  """Highest frequency in Hz that still carries the recording's own information at `rate_hz`.

  The resampler's filter is 0.6 dB down at 0.9 of the lower Nyquist frequency and 6 dB at it.
  """
  kept = 1.0 if record.rate_hz <= rate_hz * (1 + 1e-6) else RESAMPLED_BAND
  return min(record.bandwidth_hz, kept * rate_hz / 2)


def resampled_length(n_samples: int, rate_hz: float, new_rate_hz: float) -> int:
  """Samples after resampling."""
  return int(np.ceil(n_samples * new_rate_hz / rate_hz - 1e-9))


def _check_signal(record: Record, keep_c: np.ndarray) -> None:
  signal_tc = record.signal_tc[:, keep_c]
  bad_tc = ~np.isfinite(signal_tc)
  if bad_tc.any():
    sample, channel = np.argwhere(bad_tc)[0]
    raise RejectedError(
        record, 'not finite', f'sample {sample} of channel {keep_c[channel]} is '
        f'{signal_tc[sample, channel]}, expected a number')
  flat_c = signal_tc.min(axis=0) == signal_tc.max(axis=0)
  if flat_c.any():
    channel = int(np.argmax(flat_c))
    raise RejectedError(
        record, 'constant channel', f'channel {keep_c[channel]} is {signal_tc[0, channel]} throughout, '
        'expected a signal')


def electrode_places(sensors: tuple[Sensor, ...]) -> tuple[np.ndarray, np.ndarray]:
  """Position 1..16 and ring of each electrode.

  On a ring the angle decides: 1 + round(16 * angle / 360) mod 16, halves rounded up. In a grid the
  column's angle, columns 0..last spread evenly round the limb. Where no sensor has a place, the
  channel order is taken as a ring: electrode i of C at 360 i / C. A sensor without a place beside
  others that have one (a single muscle beside a ring) gets position 1 and ring 0: it is told apart
  by its ring only.

  Returns:
    position_c, ring_c: [C] int32; ring is 0 for what is on none.
  """
  ring_c = np.array([sensor.ring for sensor in sensors], np.int32)
  column_c = np.array([sensor.column for sensor in sensors])
  angle_c = np.array([sensor.angle_deg for sensor in sensors], np.float64)
  on_ring_c = (ring_c > 0) & np.isfinite(angle_c)
  in_grid_c = ~on_ring_c & (column_c >= 0)
  angle_c = np.where(on_ring_c, angle_c, 0)
  if in_grid_c.any():
    angle_c = np.where(in_grid_c, 360 * column_c / (column_c.max() + 1), angle_c)
  if not (on_ring_c | in_grid_c).any():
    angle_c = 360 * np.arange(len(sensors)) / len(sensors)
  position_c = 1 + np.floor(N_POSITIONS * angle_c / 360 + 0.5).astype(np.int32) % N_POSITIONS
  return position_c.astype(np.int32), ring_c


def session_scale(
    signals: list[np.ndarray], config: RectifyConfig, fixed_scale: float = 0.0) -> float:
  """The one number that all signals of a subject-session are divided by, in their own unit.

  'session': root mean square over all channels and samples of all its recordings, unlabelled.
  'fixed': the config's constant, or else the device's, `fixed_scale`.
  """
  if config.scale == 'fixed':
    return config.fixed_scale or fixed_scale
  total = sum(float(np.square(signal_tc).sum()) for signal_tc in signals)
  return float(np.sqrt(total / sum(signal_tc.size for signal_tc in signals)))
