"""The bytes of an example, for records that no builder's dummy data have."""

import dataclasses

from aemg_jax.records import Annotation, Label, Sensor
import numpy as np
import pytest

from data_builders import encoding, features
from tests.test_records import make_record

NAN = float('nan')


def records():
  """Lengths on both sides of 127 and 16383 bytes, no spans, negative and other numbers."""
  for n_samples in (1, 3, 15, 16, 100, 1023, 1024, 5000):
    yield make_record(signal_tc=np.arange(2.0 * n_samples).reshape(n_samples, 2), labels=(),
                      annotations=())
  signal_tc = np.arange(40, dtype=np.int16).reshape(2, 20).T  # not in the order of C
  sensors = (Sensor('\u00b5', 1, 0.0), Sensor('x' * 300, 2, -0.0, -1, 7, 'uV', 1 / 3))
  yield make_record(
      signal_tc=signal_tc, sensors=sensors, repetition=70_000, is_envelope=True,
      record_id='r' * 130, labels=tuple(Label(i, i + 1, f'l{i}') for i in range(20)),
      annotations=(Annotation(np.int64(0), 20, 'borg', NAN), Annotation(1, 2, 'borg', 0.1)))
  again = tuple(dataclasses.replace(s, angle_deg=-s.angle_deg) for s in sensors)
  # Equal to the last sensors, but not the same bytes.
  yield make_record(signal_tc=signal_tc, sensors=again, rate_hz=NAN, repetition=-1)


@pytest.mark.parametrize('any_channels', [False, True])
@pytest.mark.parametrize('record', records())
def test_it_is_what_tfds_writes(record, any_channels):
  """A length of two bytes, a negative number, -0.0, a stale table of sensors, or a lost shape."""
  kind = features.record_features(None if any_channels else record.n_channels,
                                  record.signal_tc.dtype.type)
  expected = features.sort_features(kind.serialize_example(features.to_example(record)))
  data = encoding.encode(record, any_channels)
  assert data == expected
  decoded = kind.deserialize_example_np(data)
  np.testing.assert_array_equal(decoded['signal'], record.signal_tc, strict=True)
