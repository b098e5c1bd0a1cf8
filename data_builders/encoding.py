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
import functools
from typing import Any

from aemg_jax.records import Record
import numpy as np

BYTES_LIST, INT64_LIST = 1, 3  # fields of a Feature
# Columns of the spans of a record and the type of each: int64, float64 or text.
_LABEL = {'name': str, 'start': 'q', 'stop': 'q'}
_COLUMNS = {
    'annotations': _LABEL | {'value': 'd'}, 'labels': _LABEL,
    'sensors': {'angle_deg': 'd', 'column': 'q', 'name': str, 'ring': 'q', 'row': 'q', 'scale': 'd',
                'unit': str}}

_last: dict[str, tuple[Any, bytes]] = {}  # spans of each field and their entries


def encode(record: Record, any_channels: bool = False) -> bytes:
  """A serialised tf.train.Example with the features of `features.record_features`.

  Args:
    record: to write.
    any_channels: the set's records differ in number of channels; TFDS then stores the shape too.
  """
  text = lambda name: _one(name, getattr(record, name).encode())
  real = lambda name: _one(name, _raw('d', [getattr(record, name)]))
  whole = lambda name: _one(name, _varint(int(getattr(record, name))), INT64_LIST)
  signal = np.ascontiguousarray(record.signal_tc).data.cast('B')
  parts = [_spans('annotations', record.annotations), real('bandwidth_hz'), text('dataset'),
           whole('is_envelope'), text('kind'), _spans('labels', record.labels), text('licence'),
           real('rate_hz'), text('record_id'), whole('repetition'),
           _spans('sensors', record.sensors), text('session')]
  name = 'signal'
  if any_channels:
    parts.append(_one('signal/shape', b''.join(map(_varint, record.signal_tc.shape)), INT64_LIST))
    name = 'signal/value'
  parts += [_head_of_one(name, BYTES_LIST, len(signal)), signal, text('subject')]
  return b''.join([_head(1, sum(map(len, parts))), *parts])


def _spans(field: str, spans: Sequence[Any]) -> bytes:
  """One entry for each column; made once where many records share a tuple, as of their sensors."""
  if field not in _last or _last[field][0] is not spans:
    _last[field] = (spans, b''.join([
        _column(f'{field}/{name}', kind, [getattr(span, name) for span in spans])
        for name, kind in _COLUMNS[field].items()]))
  return _last[field][1]


def _column(name: str, kind: Any, values: Sequence[Any]) -> bytes:
  if kind is not str:
    return _one(name, _raw(kind, values))
  texts = [value.encode() for value in values]
  items = b''.join([_head(1, len(text)) + text for text in texts])
  feature = _head(BYTES_LIST, len(items)) + items
  return _entry_head(name, len(feature)) + feature


def _raw(kind: str, values: Sequence[Any]) -> bytes:
  return array.array(kind, values).tobytes()


def _one(name: str, value: bytes, kind: int = BYTES_LIST) -> bytes:
  """The entry of a feature with one value, or several whole numbers."""
  return _head_of_one(name, kind, len(value)) + value


@functools.lru_cache(maxsize=4096)
def _head_of_one(name: str, kind: int, n_bytes: int) -> bytes:
  """All of an entry but its only value, which has `n_bytes` and comes last."""
  value = _head(1, n_bytes)
  feature = _head(kind, len(value) + n_bytes) + value
  return _entry_head(name, len(feature) + n_bytes) + feature


def _entry_head(name: str, n_bytes: int) -> bytes:
  """The beginning of an entry of the map in Features, its first field, up to its feature."""
  key = _head(1, len(name.encode())) + name.encode()
  second = _head(2, n_bytes)
  return _head(1, len(key) + len(second) + n_bytes) + key + second


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
