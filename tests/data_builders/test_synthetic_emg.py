"""The generator: deterministic, with the spectrum, geometry and difficulty that it claims."""

import dataclasses

import numpy as np
import pytest
import scipy.signal

from data_builders.synthetic_emg import generator

RING8 = generator.DEVICES['ring8_200hz']
WINDOW = 52  # 260 ms at 200 Hz


@pytest.fixture(scope='module')
def records():
  """The whole default set."""
  return [generator.generate(RING8, job)[0] for job in generator.jobs(RING8)]


def test_a_recording_does_not_depend_on_those_before_it(records):
  """One random stream through all recordings: workers would change the data."""
  generator.draw_subject.cache_clear()
  (again,) = generator.generate(RING8, generator.jobs(RING8)[17])
  np.testing.assert_array_equal(again.signal_tc, records[17].signal_tc)
  assert again.labels == records[17].labels and again.annotations == records[17].annotations
  assert len({r.signal_tc.tobytes() for r in records}) == len(records) == 40


def test_sources_have_the_published_spectrum():
  """A filter in amplitude where power is meant, or a density without its factor fs / 2."""
  device = generator.DEVICES['ring16_2000hz']
  subject = generator.draw_subject(device, 0, 0)
  source_ts = generator._sources(device, subject, 60_000, np.random.default_rng(0))
  frequency, power_fs = scipy.signal.welch(source_ts, 2000, nperseg=1000, axis=0)
  low, high = subject.low_hz[0], subject.high_hz[0]
  shape = high**4 * frequency**2 / ((frequency**2 + low**2) * (frequency**2 + high**2)**2)
  expected = shape / (shape.sum() * 2.0)  # bins of 2 Hz: unit variance
  band = (frequency > 10) & (frequency < 400)
  np.testing.assert_allclose(power_fs[band, :3].mean(1) / expected[band], 1, atol=0.35)
  np.testing.assert_allclose((power_fs[band, :3].mean(1) / expected[band]).mean(), 1, atol=0.05)
  assert power_fs[frequency > device.bandwidth_hz + 10].max() < 1e-6 * power_fs.max()


def test_rotation_and_mirror_move_the_channels_as_documented():
  """An annotation of the true rotation that has the other sign than the data."""
  subject = dataclasses.replace(generator.draw_subject(RING8, 0, 0), rotation=0.3, mirror=False)
  gain_cs = generator.electrode_gain(RING8, subject)
  turned_cs = generator.electrode_gain(RING8, dataclasses.replace(subject, rotation=2.3))
  np.testing.assert_allclose(turned_cs, np.roll(gain_cs, -2, axis=0))
  mirrored_cs = generator.electrode_gain(RING8, dataclasses.replace(subject, mirror=True))
  np.testing.assert_allclose(mirrored_cs, gain_cs[-np.arange(8) % 8])
  electrode = gain_cs[:, 1].argmax()  # middle patch of the first muscle
  apart = (45 * (electrode + 0.3) - subject.source_angle_deg[1] + 180) % 360 - 180
  assert abs(apart) <= 22.5


@pytest.mark.parametrize('device', generator.DEVICES.values(), ids=generator.DEVICES)
def test_every_band_has_mirrored_and_plain_subjects(device):
  """A set on which alignment is never put to the test."""
  subjects = [generator.draw_subject(device, i, 0) for i in range(device.n_subjects)]
  assert {s.mirror for s in subjects} == {True, False}
  assert len({round(s.rotation, 6) for s in subjects}) == device.n_subjects
  assert all(0 <= s.rotation < device.n_electrodes for s in subjects)


def test_a_second_session_is_the_same_person_with_the_band_put_on_anew():
  """Sessions that are other people, or exact copies."""
  device = generator.DEVICES['ring10_1000hz']
  one, two = (generator.draw_subject(device, 3, session) for session in (0, 1))
  np.testing.assert_array_equal(one.activation_gm, two.activation_gm)
  assert one.mirror == two.mirror and one.rotation != two.rotation


def test_labels_follow_the_muscles(records):
  """Spans shifted against the signal, or a gesture that is missing."""
  for record in records:
    names = [span.name for span in record.labels]
    assert names[::2] == ['rest'] * 6 and sorted(names[1::2]) == sorted(generator.SYNERGIES)
    assert [s.stop for s in record.labels[:-1]] == [s.start for s in record.labels[1:]]
    loud = [np.abs(record.signal_tc[s.start:s.stop]).mean() for s in record.labels]
    assert max(loud[::2]) < 0.5 * min(loud[1::2]), record.record_id
    values = {a.name: a.value for a in record.annotations}
    assert values['repetition'] == record.repetition


def _features(record, aligned: bool):
  """Hudgins features of the gesture windows, the channels turned back by the true annotations."""
  counts_tc = record.signal_tc.astype(float)
  if aligned:
    values = {a.name: a.value for a in record.annotations}
    place = (-1 if values['true_mirror'] else 1) * np.arange(8) + round(
        values['true_rotation_electrodes'])
    counts_tc = counts_tc[:, np.argsort(place % 8)]
  rows, names = [], []
  for span in record.labels:
    for start in range(span.start, span.stop - WINDOW + 1, WINDOW):
      x = counts_tc[start:start + WINDOW]
      dx = np.diff(x, axis=0)
      rows.append(np.concatenate([np.abs(x).mean(0), np.abs(dx).sum(0), (x[1:] * x[:-1] < 0).sum(0),
                                  (dx[1:] * dx[:-1] < 0).sum(0)]))
      names.append(span.name)
  keep = [name != generator.REST for name in names]
  return np.array(rows)[keep], np.array(names)[keep]


def _accuracy(train, test, aligned):
  from sklearn.discriminant_analysis import LinearDiscriminantAnalysis  # slow to import
  data = [[np.concatenate(part) for part in zip(*(_features(r, aligned) for r in rows))]
          for rows in (train, test)]
  lda = LinearDiscriminantAnalysis(solver='lsqr', shrinkage=0.001).fit(*data[0])
  return lda.score(*data[1])


@pytest.mark.heavy
def test_the_default_set_is_neither_trivial_nor_hopeless(records):
  """A set on which every method scores 100 %, or chance, or where true alignment does not help."""
  subjects = sorted({r.subject for r in records})
  within, cross, aligned = [], [], []
  for subject in subjects:
    own = [r for r in records if r.subject == subject]
    others = [r for r in records if r.subject != subject]
    within.append(_accuracy(own[:3], own[3:], False))
    cross.append(_accuracy(others, own, False))
    aligned.append(_accuracy(others, own, True))
  assert np.mean(within) > 0.9
  assert 0.35 < np.mean(cross) < 0.7
  assert np.mean(aligned) > np.mean(cross) + 0.2
