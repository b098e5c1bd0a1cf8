"""The bytes of a record in a shard: the tf.train.Example that TFDS would write, much faster.

TFDS encodes one value at a time in Python, a third of a millisecond for a record, and needs its own
imports, which worker processes do without. The result is the same byte for byte (a test compares
them for every builder), with the features in order of name: protobuf itself draws that order anew
in each process. Beam still writes through TFDS (`features.to_example`).

Wire format: https://protobuf.dev/programming-guides/encoding; the messages are TensorFlow's
Example { Features { map<string, Feature> } }, Feature { bytes_list = 1 | int64_list = 3 }.
"""

import array
from collections.abc import Sequence
from typing import Any

from aemg_jax.records import Record
import numpy as np

# Columns of the spans of a record and the type of each: int64, float64 or text.
_LABEL = {'name': str, 'start': 'q', 'stop': 'q'}
_COLUMNS = {
    'annotations': _LABEL | {'value': 'd'}, 'labels': _LABEL,
    'sensors': {'angle_deg': 'd', 'column': 'q', 'name': str, 'ring': 'q', 'row': 'q', 'scale': 'd',
                'unit': str}}

_last: tuple[Any, bytes] = ((), b'')  # sensors and their entries: mostly one tuple for a whole set


def encode(record: Record, any_channels: bool = False) -> bytes:
  """A serialised tf.train.Example with the features of `features.record_features`.

  Args:
    record: to write.
    any_channels: the set's records differ in number of channels; TFDS then stores the shape too.
  """
  text = lambda name: _entry(name, _field(1, _field(1, getattr(record, name).encode())))
  real = lambda name: _entry(name, _field(1, _field(1, _raw('d', [getattr(record, name)]))))
  whole = lambda name: _entry(name, _field(3, _field(1, _varint(int(getattr(record, name))))))
  signal = np.ascontiguousarray(record.signal_tc).data.cast('B')
  parts = [_spans('annotations', record.annotations), real('bandwidth_hz'), text('dataset'),
           whole('is_envelope'), text('kind'), _spans('labels', record.labels), text('licence'),
           real('rate_hz'), text('record_id'), whole('repetition'), _sensors(record.sensors),
           text('session')]
  name = b'signal'
  if any_channels:
    shape = b''.join(map(_varint, record.signal_tc.shape))
    parts.append(_entry('signal/shape', _field(3, _field(1, shape))))
    name = b'signal/value'
  parts += [_signal_head(name, len(signal)), signal, text('subject')]
  return b''.join([_head(1, sum(map(len, parts))), *parts])


def _sensors(sensors: Sequence[Any]) -> bytes:
  global _last
  if _last[0] is not sensors:
    _last = (sensors, _spans('sensors', sensors))
  return _last[1]


def _spans(field: str, spans: Sequence[Any]) -> bytes:
  """One entry for each column."""
  entries = []
  for name, kind in _COLUMNS[field].items():
    values = [getattr(span, name) for span in spans]
    items = [value.encode() for value in values] if kind is str else [_raw(kind, values)]
    entries.append(_entry(f'{field}/{name}', _field(1, b''.join([_field(1, x) for x in items]))))
  return b''.join(entries)


def _raw(kind: str, values: Sequence[Any]) -> bytes:
  return array.array(kind, values).tobytes()


def _signal_head(name: bytes, n_bytes: int) -> bytes:
  """What stands before the signal: the heads of its entry, all but its bytes."""
  value = _head(1, n_bytes)
  feature = _head(1, len(value) + n_bytes) + value
  key = _field(1, name)
  second = _head(2, len(feature) + n_bytes) + feature
  return _head(1, len(key) + len(second) + n_bytes) + key + second


def _entry(name: str, feature: bytes) -> bytes:
  """One entry of the map in Features, its first field."""
  return _field(1, _field(1, name.encode()) + _field(2, feature))


def _field(number: int, data: bytes) -> bytes:
  return _head(number, len(data)) + data


def _head(number: int, n_bytes: int) -> bytes:
  """Number of a field that has a length, and the length."""
  return bytes((number << 3 | 2, n_bytes)) if n_bytes < 128 else (
      bytes((number << 3 | 2,)) + _varint(n_bytes))


def _varint(value: int) -> bytes:
  """Seven bits a byte, the lowest first; negative numbers as 64 bits."""
  value &= 0xFFFFFFFFFFFFFFFF
  data = bytearray()
  while value > 0x7F:
    data.append(value & 0x7F | 0x80)
    value >>= 7
  data.append(value)
  return bytes(data)
