"""The generator of holds: deterministic, with the courses of amplitude and frequency it claims."""

import numpy as np
import pytest
import scipy.signal

from data_builders.synthetic_fatigue import generator

SHORT = generator.STUDIES['short']
FORCES = tuple(generator.TIME_LIMIT_S)


@pytest.fixture(scope='module')
def records():
  """The short study, by record id."""
  return {job.name: generator.generate(SHORT, job)[0] for job in generator.jobs(SHORT)}


def _parts(record, n=3):
  """RMS in uV and median frequency in Hz of equal parts of a recording, all channels together."""
  found = []
  for part_tc in np.array_split(record.signal_tc * generator.STEP_UV, n):
    frequency, power_fc = scipy.signal.periodogram(part_tc, generator.RATE_HZ, axis=0)
    total_f = power_fc.sum(axis=1).cumsum()
    median = frequency[np.searchsorted(total_f, total_f[-1] / 2)]
    found.append((np.sqrt(np.square(part_tc).mean()), median))
  return np.array(found).T


def test_a_recording_does_not_depend_on_those_before_it(records):
  """One random stream through all recordings: workers would change the data."""
  generator.draw_subject.cache_clear()
  (again,) = generator.generate(SHORT, generator.jobs(SHORT)[6])
  np.testing.assert_array_equal(again.signal_tc, records['S01/60P'].signal_tc)
  assert again.annotations == records['S01/60P'].annotations
  assert len({r.signal_tc.tobytes() for r in records.values()}) == len(records) == 8


def test_the_potential_has_the_published_spectrum():
  """A pole at the wrong corner, an impulse response without its unit energy."""
  time_s = np.arange(-0.1, 1, 1e-5)
  shape = generator.potential(time_s)
  np.testing.assert_allclose(np.square(shape).sum() * 1e-5, 1, rtol=1e-6)
  frequency = np.fft.rfftfreq(len(shape), 1e-5)
  power = np.abs(np.fft.rfft(shape)) ** 2
  expected = 100**4 * frequency**2 / ((frequency**2 + 40**2) * (frequency**2 + 100**2)**2)
  near = (frequency > 10) & (frequency < 500)
  ratio = power[near] / expected[near]
  np.testing.assert_allclose(ratio / ratio.mean(), 1, atol=1e-2)


def test_small_units_come_first_and_rates_stay_within_their_range():
  """Recruitment from large to small, a unit that fires below its least rate."""
  rate_ut = generator.rates(np.linspace(0, 1, 200))
  active_ut = rate_ut > 0
  assert (np.diff(active_ut.argmax(axis=1)) >= 0).all() and active_ut[:, -1].all()
  assert rate_ut[active_ut].min() >= generator.LEAST_RATE_HZ
  assert rate_ut.max() <= generator.MOST_RATE_HZ and (np.diff(rate_ut, axis=1) >= 0).all()


def test_spikes_follow_a_rate_that_changes():
  """Intervals drawn at the first rate, spikes where the rate is zero, a regular clock."""
  time_b = np.linspace(0, 100, 101)
  rate_b = np.where(time_b < 50, 0.0, 20.0)
  spike_s = generator._spikes(rate_b, time_b, np.random.default_rng(0))
  assert spike_s.min() > 48.9
  assert len(spike_s) == pytest.approx(20 * 50.5, rel=0.03)
  assert np.std(np.diff(spike_s[50:])) == pytest.approx(generator.INTERVAL_CV / 20, rel=0.1)


@pytest.mark.parametrize('percent', FORCES)
def test_amplitude_rises_and_frequency_falls_to_the_limit(percent):
  """A fatigue that runs backwards, or that one force lacks."""
  study = generator.Study('25 s', 1, generator.TIME_LIMIT_S[percent] / 25)
  job = next(job for job in generator.jobs(study) if job.name == f'S00/{percent}P')
  rms, median_hz = _parts(generator.generate(study, job)[0])
  assert rms[-1] > 1.1 * rms[0] and median_hz[-1] < 0.97 * median_hz[0]
  expected = generator.amplitude(percent, np.array([1 / 6, 5 / 6]))
  # velocity that falls by 30 % makes potentials longer: RMS may gain up to (1 / 0.7)^(1/2)
  gain = (rms[-1] / rms[0]) / (expected[1] / expected[0])
  assert 0.9 < gain < 1.25
  assert rms[0] / generator.FULL_UV == pytest.approx(expected[0], rel=0.25)


def test_amplitude_follows_force_and_ends_below_its_maximum():
  """Effort without effect on amplitude; a limit at which everybody is at the maximum."""
  start, limit = np.array([generator.amplitude(p, np.array([0.0, 1.0])) for p in FORCES]).T
  np.testing.assert_allclose(start, (np.array(FORCES) / 100) ** 1.1)
  assert limit[0] == pytest.approx(0.45) and (np.diff(limit) > 0).all() and limit[-1] < 1


def test_ratings_cover_the_hold_in_order(records):
  """Ratings of another recording's length, a gap, a rating that falls."""
  for record in records.values():
    spans = [a for a in record.annotations if a.name == 'borg']
    assert [a.value for a in spans] == list(range(11))
    assert spans[0].start == 0 and spans[-1].stop == record.n_samples
    assert all(a.stop == b.start for a, b in zip(spans, spans[1:]))
    assert {a.value for a in record.annotations if a.name == 'percent_mvc'} == {
        float(record.session[:-1])}


def test_time_limits(records):
  """A force that lasts as long as another one; a shortened study that is not."""
  subject = generator.draw_subject(0)
  for percent, limit_s in generator.TIME_LIMIT_S.items():
    assert records[f'S00/{percent}P'].n_samples == round(subject.endurance * limit_s * 50)
  assert 0.6 < subject.endurance < 1.6
