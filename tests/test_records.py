"""The record contract: every rule of `validate`, each broken alone."""

import dataclasses

from aemg_jax.records import Annotation, Label, Record, Sensor, all_finite, validate
import numpy as np
import pytest


def make_record(**changes) -> Record:
  """A valid record of 20 samples and 2 channels, with `changes`."""
  fields = dict(
      record_id='s0/a', dataset='made_up', subject='s0', session='am', repetition=0, kind='emg',
      signal_tc=np.arange(40, dtype=np.int16).reshape(20, 2), rate_hz=200.0, bandwidth_hz=100.0,
      is_envelope=False,
      sensors=(Sensor('emg0', ring=1, angle_deg=0.0, unit='uV', scale=0.5), Sensor('emg1')),
      labels=(Label(10, 20, 'fist'), Label(0, 10, 'rest')),
      annotations=(Annotation(0, 20, 'borg', 3.5), Annotation(5, 15, 'mvc', 0.2)),
      licence='not stated')
  return Record(**fields | changes)


def with_sensor(**changes):
  return {'sensors': (dataclasses.replace(Sensor('emg0'), **changes), Sensor('emg1'))}


def with_value(value, dtype=np.float32):
  signal_tc = np.zeros((20, 2), dtype)
  signal_tc[7, 1] = value
  return {'signal_tc': signal_tc}


BROKEN = [
    ('record_id', {'record_id': ''}),
    ('dataset', {'dataset': ''}),
    ('subject', {'subject': 7}),
    ('session', {'session': None}),
    ('licence', {'licence': ''}),
    ('kind', {'kind': 'eeg'}),
    ('repetition', {'repetition': -2}),
    ('signal_tc', {'signal_tc': [[1, 2]] * 20}),
    ('signal_tc', {'signal_tc': np.zeros(40, np.int16)}),
    ('signal_tc', {'signal_tc': np.zeros((20, 2), np.uint8)}),
    ('signal_tc', {'signal_tc': np.zeros((20, 2), '>i2')}),
    ('signal_tc', {'signal_tc': np.zeros((0, 2), np.int16)}),
    ('signal_tc', {'signal_tc': np.zeros((20, 0), np.int16)}),
    ('signal_tc', with_value(np.nan)),
    ('signal_tc', with_value(-np.inf, np.float64)),
    ('rate_hz', {'rate_hz': 0.0}),
    ('rate_hz', {'rate_hz': float('nan')}),
    ('rate_hz', {'rate_hz': float('inf')}),
    ('bandwidth_hz', {'bandwidth_hz': 100.5}),
    ('bandwidth_hz', {'bandwidth_hz': -1.0}),
    ('bandwidth_hz', {'bandwidth_hz': float('nan')}),
    ('bandwidth_hz', {'bandwidth_hz': 0.0}),
    ('bandwidth_hz', {'is_envelope': True}),
    ('sensors', {'sensors': (Sensor('emg0'),)}),
    ('sensors[0].name', with_sensor(name='')),
    ('sensors[0].unit', with_sensor(unit='volts')),
    ('sensors[0].scale', with_sensor(scale=0.0)),
    ('sensors[0].scale', with_sensor(scale=float('nan'))),
    ('sensors[0].angle_deg', with_sensor(ring=1)),
    ('sensors[0].angle_deg', with_sensor(ring=1, angle_deg=360.0)),
    ('labels[0]', {'labels': (Label(-1, 5, 'fist'),)}),
    ('labels[0]', {'labels': (Label(5, 5, 'fist'),)}),
    ('labels[1]', {'labels': (Label(0, 5, 'fist'), Label(5, 21, 'rest'))}),
    ('labels[0].name', {'labels': (Label(0, 5, ''),)}),
    ('labels', {'labels': (Label(9, 20, 'fist'), Label(0, 10, 'rest'))}),
    ('annotations[0]', {'annotations': (Annotation(0, 21, 'borg', 3.0),)}),
    ('annotations[0].name', {'annotations': (Annotation(0, 20, '', 3.0),)}),
    ('annotations[0].value', {'annotations': (Annotation(0, 20, 'borg', float('nan')),)}),
]


@pytest.mark.parametrize('field, changes', BROKEN)
def test_one_broken_field_is_named_with_its_record(field, changes):
  """A rule that is missing, or an error that sends the reader to the wrong field."""
  record = make_record(**changes)
  with pytest.raises(ValueError) as error:
    validate(record)
  assert str(error.value).startswith(f'{record.dataset}/{record.record_id}: {field}: got ')
  assert '\n' not in str(error.value)


@pytest.mark.parametrize('changes', [
    {},
    {'repetition': -1, 'labels': (), 'annotations': ()},
    {'is_envelope': True, 'bandwidth_hz': 0.0},
    {'kind': 'imu', 'bandwidth_hz': 0.0},
    with_value(1e-7, np.float64),
])
def test_valid_records_pass_unchanged(changes):
  """A rule that is too strict, or a validate that copies or edits."""
  record = make_record(**changes)
  assert validate(record) is record


def test_a_non_finite_sample_is_located():
  """An error that says only that something somewhere is NaN."""
  with pytest.raises(ValueError, match='sample 7, channel 1'):
    validate(make_record(**with_value(np.nan)))


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_finite_numbers_may_overflow_when_summed(dtype):
  """Catches: finite taken for the sum being finite, or infinities that cancel taken for finite."""
  top = np.finfo(dtype).max
  assert all_finite(np.full((8, 2), top, dtype))
  for bad in (np.nan, np.inf, -np.inf):
    assert not all_finite(np.array([[top, top], [1, bad]], dtype))
  assert not all_finite(np.array([[np.inf, -np.inf]], dtype))
