"""THE contract: one recording as stored (EMG, IMU or key points), in raw units at its native rate.

Everything downstream reads `Record`s and nothing else; every builder emits them. NumPy only, so
that other projects can take the builders without JAX.
"""

import dataclasses
import math
from typing import Any

import numpy as np

KINDS = ('emg', 'imu', 'keypoints')
SIGNAL_DTYPES = ('int16', 'int32', 'float32', 'float64')
_NATIVE_DTYPES = tuple(map(np.dtype, SIGNAL_DTYPES))
UNITS = ('V', 'mV', 'uV', 'nominal', 'm/s^2', 'deg/s', 'rad', 'px', 'm', 'normalised')


@dataclasses.dataclass(frozen=True)
class Sensor:
  """Where one channel sits. A value that does not apply keeps its default.

  Attributes:
    name: muscle or joint name, or the device's channel name.
    ring: 1, 2, ... for electrodes on a ring round the limb; 0 when on none.
    angle_deg: angle on the ring in [0, 360), NaN when on none.
    row, column: place in an electrode grid; -1 when in none.
    unit: unit of `signal * scale`; 'nominal' where the device documents none.
    scale: multiplies the stored number to give `unit`.
  """
  name: str
  ring: int = 0
  angle_deg: float = float('nan')
  row: int = -1
  column: int = -1
  unit: str = 'nominal'
  scale: float = 1.0


@dataclasses.dataclass(frozen=True)
class Label:
  """A span [start, stop) in samples with the dataset's native label name."""
  start: int
  stop: int
  name: str


@dataclasses.dataclass(frozen=True)
class Annotation:
  """A span [start, stop) in samples with a named value (Borg rating, %MVC, repetition, ...)."""
  start: int
  stop: int
  name: str
  value: float


@dataclasses.dataclass(frozen=True)
class Record:
  """One recording.

  Attributes:
    record_id: unique within the dataset; stable over builds.
    dataset, subject, session: native names; `subject` is unique within the dataset.
    repetition: 0-based, -1 when the recording holds several or none.
    kind: one of KINDS.
    signal_tc: [T, C] as stored, one of SIGNAL_DTYPES. Key points are [T, points * 4].
    rate_hz: native sampling rate.
    bandwidth_hz: highest frequency that carries information (at most rate / 2); 0 for envelopes.
    is_envelope: the device already rectified and smoothed the signal.
    sensors: one per channel.
    labels, annotations: spans in samples of this recording.
    licence: of the recording, as its source states it ('not stated' where it does not).
  """
  record_id: str
  dataset: str
  subject: str
  session: str
  repetition: int
  kind: str
  signal_tc: np.ndarray
  rate_hz: float
  bandwidth_hz: float
  is_envelope: bool
  sensors: tuple[Sensor, ...]
  labels: tuple[Label, ...]
  annotations: tuple[Annotation, ...]
  licence: str

  @property
  def n_samples(self) -> int:
    return self.signal_tc.shape[0]

  @property
  def n_channels(self) -> int:
    return self.signal_tc.shape[1]


def _fail(record: Record, field: str, value: Any, expected: str) -> None:
  raise ValueError(f'{record.dataset}/{record.record_id}: {field}: got {value!r}, expected {expected}')


def validate(record: Record) -> Record:
  """Returns the record unchanged, or raises ValueError naming the record, the field and the value."""
  for field in ('record_id', 'dataset', 'subject', 'session', 'licence'):
    if not isinstance(getattr(record, field), str) or not getattr(record, field):
      _fail(record, field, getattr(record, field), 'a non-empty string')
  if record.kind not in KINDS:
    _fail(record, 'kind', record.kind, f'one of {KINDS}')
  _validate_signal(record)
  if record.repetition < -1:
    _fail(record, 'repetition', record.repetition, '0, 1, ... or -1 for none')
  _validate_rate(record)
  _validate_sensors(record)
  _validate_spans(record)
  return record


def _validate_signal(record: Record) -> None:
  signal_tc = record.signal_tc
  if not isinstance(signal_tc, np.ndarray) or signal_tc.ndim != 2:
    _fail(record, 'signal_tc', getattr(signal_tc, 'shape', type(signal_tc)), 'an array [T, C]')
  if signal_tc.dtype not in _NATIVE_DTYPES:
    _fail(record, 'signal_tc', str(signal_tc.dtype), f'dtype in {SIGNAL_DTYPES}')
  if signal_tc.shape[0] < 1 or signal_tc.shape[1] < 1:
    _fail(record, 'signal_tc', signal_tc.shape, 'at least one sample and one channel')
  if not all_finite(signal_tc):
    sample, channel = np.argwhere(~np.isfinite(signal_tc))[0]
    _fail(record, 'signal_tc', signal_tc[sample, channel].item(),
          f'a finite value at sample {sample}, channel {channel}')


def all_finite(values: np.ndarray) -> bool:
  """Whether no number is NaN or infinite: then their sum is finite too, unless it overflows."""
  if values.dtype.kind in 'iu':
    return True
  with np.errstate(all='ignore'):
    return bool(np.isfinite(values.sum()) or np.isfinite(values).all())


def _validate_rate(record: Record) -> None:
  if not (math.isfinite(record.rate_hz) and record.rate_hz > 0):
    _fail(record, 'rate_hz', record.rate_hz, 'a positive rate in Hz')
  if not 0 <= record.bandwidth_hz <= record.rate_hz / 2:
    _fail(record, 'bandwidth_hz', record.bandwidth_hz, f'within [0, {record.rate_hz / 2:g}] Hz')
  if record.is_envelope and record.bandwidth_hz != 0:
    _fail(record, 'bandwidth_hz', record.bandwidth_hz, '0 for an envelope')
  if record.kind == 'emg' and not record.is_envelope and record.bandwidth_hz == 0:
    _fail(record, 'bandwidth_hz', record.bandwidth_hz, 'above 0 for EMG that is no envelope')


def _validate_sensors(record: Record) -> None:
  if len(record.sensors) != record.n_channels:
    _fail(record, 'sensors', len(record.sensors), f'one per channel ({record.n_channels})')
  for i, sensor in enumerate(record.sensors):
    if not sensor.name:
      _fail(record, f'sensors[{i}].name', sensor.name, 'a non-empty name')
    if sensor.unit not in UNITS:
      _fail(record, f'sensors[{i}].unit', sensor.unit, f'one of {UNITS}')
    if not (math.isfinite(sensor.scale) and sensor.scale > 0):
      _fail(record, f'sensors[{i}].scale', sensor.scale, 'a positive number')
    if sensor.ring > 0 and not 0 <= sensor.angle_deg < 360:
      _fail(record, f'sensors[{i}].angle_deg', sensor.angle_deg, 'within [0, 360) on a ring')


def _validate_spans(record: Record) -> None:
  for field in ('labels', 'annotations'):
    for i, span in enumerate(getattr(record, field)):
      if not 0 <= span.start < span.stop <= record.n_samples:
        _fail(record, f'{field}[{i}]', (span.start, span.stop),
              f'0 <= start < stop <= {record.n_samples}')
      if not span.name:
        _fail(record, f'{field}[{i}].name', span.name, 'a non-empty name')
  for i, annotation in enumerate(record.annotations):
    if not math.isfinite(annotation.value):
      _fail(record, f'annotations[{i}].value', annotation.value, 'a finite number')
  spans = sorted((label.start, label.stop) for label in record.labels)
  for (_, stop), (start, _) in zip(spans, spans[1:]):
    if start < stop:
      _fail(record, 'labels', (start, stop), 'spans that do not overlap')
