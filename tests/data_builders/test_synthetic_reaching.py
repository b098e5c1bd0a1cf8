"""The generator of reaching: deterministic, bones of one length, and tired as it says."""

import numpy as np
import pytest

from aemg_jax.records import validate
from data_builders.kinematics_fatigue.keypoint_files import POINTS
from data_builders.synthetic_reaching import generator

JOBS = generator.jobs()
RESTED, TIRED = np.zeros(3000), np.ones(3000)


def _rng():
  return np.random.default_rng(0)


@pytest.fixture(name='record', scope='module')
def _record():
  return generator.generate(JOBS[3])[0]


def test_a_recording_does_not_depend_on_those_before_it(record):
  """Catches: one random stream through all recordings; two tasks of one person alike."""
  np.testing.assert_array_equal(generator.generate(JOBS[3])[0].signal_tc, record.signal_tc)
  assert validate(record) and record.record_id == 'S01/reach/take1' and record.session == 'reach'
  other = generator.generate(JOBS[2])[0]
  assert (other.signal_tc != record.signal_tc).mean() > 0.9


def test_the_hand_moves_with_least_jerk():
  """Catches: a coefficient of the polynomial; the peak speed is 1.875 of the mean, half-way."""
  share = np.linspace(0, 1, 1001)
  way = generator.least_jerk(share)
  speed = np.gradient(way, share)
  assert way[0] == 0 and way[-1] == pytest.approx(1)
  assert speed.max() == pytest.approx(1.875, abs=1e-3)
  assert share[speed.argmax()] == pytest.approx(0.5)
  assert abs(speed[[0, -1]]).max() < 0.01 and abs(np.gradient(speed, share)[[0, -1]]).max() < 0.2


def test_fatigue_slows_and_scatters():
  """Catches: fatigue with the other sign, or that nothing reads."""
  person = generator.draw_person(0)
  stays = [_stays(generator.hand_path(person, 'lift', fatigue_t, _rng()))
           for fatigue_t in (RESTED, TIRED)]
  assert len(stays[0]) / len(stays[1]) == pytest.approx(1.35, abs=0.1)
  off = [np.abs(ends[:, None] - generator.TARGETS['lift'][None]).min(1).std() for ends in stays]
  assert off[1] / off[0] == pytest.approx(2.5, abs=0.8)


def _stays(path_ta):
  """[N, 3] where the hand rests."""
  still_t = (np.diff(path_ta, axis=0) == 0).all(1)
  first = np.flatnonzero(still_t & ~np.concatenate([[False], still_t[:-1]]))
  return path_ta[first]


def test_tremor_has_the_rate_and_size_that_it_says():
  """Catches: radians for cycles, or the amplitude for the RMS."""
  person = generator.draw_person(0)
  for fatigue_t, hz, mm in ((RESTED, 9.0, 0.5), (TIRED, 7.5, 3.0)):
    tremor_ta = generator.tremor(person, fatigue_t, _rng())
    power = np.abs(np.fft.rfft(tremor_ta, axis=0)).sum(1)
    assert np.fft.rfftfreq(3000, 1 / 30)[power.argmax()] == pytest.approx(hz, abs=0.5)
    assert tremor_ta.std() == pytest.approx(mm * person.tremor, rel=0.05)


@pytest.mark.parametrize('task', generator.TASKS)
def test_bones_keep_their_length(task):
  """Catches: an elbow that is not on both bones; a target out of reach that stretches the arm."""
  person = generator.draw_person(1)
  point_tka = generator.points(person, task, np.linspace(0, 1, 3000), _rng())

  def check(one, other, length_mm):
    bone_ta = point_tka[:, POINTS.index(one)] - point_tka[:, POINTS.index(other)]
    np.testing.assert_allclose(np.linalg.norm(bone_ta, axis=1), length_mm, rtol=1e-6)

  for side in ('left', 'right'):
    check(f'{side}_shoulder', f'{side}_elbow', person.upper_mm)
    check(f'{side}_elbow', f'{side}_wrist', person.fore_mm)
  check('left_shoulder', 'right_shoulder', person.shoulder_mm)
  nose_t = point_tka[:, POINTS.index('nose'), 1]
  assert nose_t[-300:].mean() - nose_t[:300].mean() > 40  # down


def test_ratings_rise_and_cover_the_take(record):
  """Catches: a rating before its fatigue, a gap between spans, a take that never gets tired."""
  notes = [note for note in record.annotations if note.name == 'borg']
  assert [n.start for n in notes[1:]] == [n.stop for n in notes[:-1]] and notes[0].start == 0
  assert notes[-1].stop == record.n_samples == 3000
  values = [n.value for n in notes]
  assert values == sorted(values) and values[0] < 3 and values[-1] == 10


def test_key_points_are_in_view_and_hidden_ones_say_so(record):
  """Catches: pixels for shares, a wrong point that claims to be seen."""
  keypoint_tkd = record.signal_tc.reshape(-1, len(POINTS), 4)
  seen_tk = keypoint_tkd[..., 3] > 0.5
  assert ((keypoint_tkd[..., :2] > 0) & (keypoint_tkd[..., :2] < 1)).all(-1)[seen_tk].mean() > 0.99
  assert 0.001 < (~seen_tk).mean() < 0.05
  mean_k = keypoint_tkd[..., 0].mean(0)
  assert mean_k[POINTS.index('right_shoulder')] < mean_k[POINTS.index('left_shoulder')]  # facing us
