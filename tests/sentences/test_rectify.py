"""Rate, band, scale and electrode places."""

import numpy as np
import pytest

from aemg_jax.records import Sensor
from aemg_jax.sentences import rectify
from aemg_jax.sentences.words import RectifyConfig
from tests.sentences.hand_made import noise, record

CONFIG = RectifyConfig()


def test_positions_by_hand():
  """Catches: position 0 (padding) for an electrode, a ring that does not wrap, duplication."""
  ring = [Sensor('e', 1, angle) for angle in (0, 45, 90, 180, 315, 348.7, 348.8)]
  position_c, ring_c = rectify.electrode_places(tuple(ring))
  assert position_c.tolist() == [1, 3, 5, 9, 15, 16, 1]
  assert ring_c.tolist() == [1] * 7
  second = (Sensor('a', 1, 0), Sensor('b', 2, 22.5), Sensor('biceps'))
  assert rectify.electrode_places(second)[0].tolist() == [1, 2, 1]
  assert rectify.electrode_places(second)[1].tolist() == [1, 2, 0]


def test_positions_of_a_grid_and_of_no_place():
  """Catches: rows read as angles; sensors without a place all at one position."""
  grid = tuple(Sensor('g', row=r, column=c) for r in (0, 1) for c in range(4))
  assert rectify.electrode_places(grid)[0].tolist() == [1, 5, 9, 13] * 2
  assert rectify.electrode_places(tuple(Sensor(n) for n in 'abcd'))[0].tolist() == [1, 5, 9, 13]


def test_unit_scale_and_length():
  """Catches: a sensor's scale ignored, or samples lost or gained by resampling."""
  made = record(n_samples=2001, rate_hz=2000.0, scale=0.5)
  out = rectify.rectify(made, CONFIG)
  assert out.signal_tc.shape == (201, 4)
  doubled = rectify.rectify(record(n_samples=2001, rate_hz=2000.0, scale=1.0), CONFIG)
  np.testing.assert_allclose(2 * out.signal_tc, doubled.signal_tc)


def test_offset_does_not_ring():
  """Catches: the step of a device's offset taken for the strongest contraction."""
  made = record(signal_tc=5000 + noise(1000).astype(np.float64))
  out = rectify.rectify(made, CONFIG)
  assert np.abs(out.signal_tc).max() < 10


def test_information_band():
  """Catches: 100 Hz claimed for a device with 52, or for the slope of the anti-alias filter."""
  assert rectify.information_band(record(bandwidth_hz=52.0), 200.0) == 52
  assert rectify.information_band(record(), 200.0) == 100
  assert rectify.information_band(record(rate_hz=2000.0), 200.0) == 90
  envelope = record(rate_hz=100.0, bandwidth_hz=0.0, is_envelope=True)
  assert rectify.information_band(envelope, 200.0) == 0


def test_envelopes_are_never_filtered():
  """Catches: a high-pass that removes all that an envelope has to say."""
  level_tc = np.abs(noise(400, 2)).astype(np.float64) + 3
  made = record(signal_tc=level_tc, bandwidth_hz=0.0, is_envelope=True)
  np.testing.assert_array_equal(rectify.rectify(made, CONFIG).signal_tc, level_tc)


def test_session_scale_is_one_number_for_all_channels():
  """Catches: a scale per channel or per recording, which erases relative amplitude."""
  signals = [np.full((10, 2), 3.0), np.full((30, 2), 1.0)]
  assert rectify.session_scale(signals, CONFIG) == pytest.approx(np.sqrt((9 * 20 + 60) / 80))
  assert rectify.session_scale(signals, RectifyConfig(scale='fixed', fixed_scale=7.0)) == 7.0


def _with(signal_tc, at, value):
  signal_tc = signal_tc.astype(np.float64)
  signal_tc[at] = value
  return signal_tc


@pytest.mark.parametrize('made, reason', [
    (record(name='bad', n_samples=3), 'bad: too short: 3 samples at 200 Hz, expected 20'),
    (record(name='bad', signal_tc=_with(noise(60), (7, 2), np.nan)),
     'bad: not finite: sample 7 of channel 2 is nan'),
    (record(name='bad', signal_tc=_with(noise(60), (slice(None), 1), 4.0)),
     'bad: constant channel: channel 1 is 4.0'),
    (record(name='bad', kind='imu'), "bad: not EMG: kind is 'imu'"),
])
def test_unusable_recordings_are_named(made, reason):
  """Catches: NaN or a dead electrode that spreads silently into the session's scale."""
  with pytest.raises(rectify.RejectedError, match=reason) as error:
    rectify.rectify(made, CONFIG, min_samples=20)
  assert '\n' not in str(error.value)


def test_impossible_band_names_the_record():
  """Catches: scipy's own error, which names neither the recording nor the rate."""
  with pytest.raises(ValueError, match='made/slow: cutoff_hz: got 20'):
    rectify.rectify(record(name='slow', rate_hz=30.0), RectifyConfig(highpass_hz=20.0))
