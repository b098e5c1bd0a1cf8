"""Heads that go on with unlabelled recordings."""

import dataclasses

import numpy as np
import pytest

from aemg_jax.data import batches, splits
from aemg_jax.evaluation import closed_form, results, self_training
from aemg_jax.evaluation.closed_form import HEADS, WindowVectors
from aemg_jax.evaluation.self_training import SelfTraining
from aemg_jax.evaluation.transfer import TransferData, TransferMethod
from tests import tiny_set

LDA = lambda vector_wd, label_w: HEADS['lda'](vector_wd, label_w, 0.01)


def _shifted(seed=0, repetitions=20, windows=30):
  """Two gestures; the target's means are moved so far that a third of its windows look like the other's."""
  rng = np.random.default_rng(seed)
  label_w = np.repeat([2, 5], 200)
  vector_wd = rng.normal(size=(400, 2)) + np.where(label_w == 5, 1.0, -1.0)[:, None] * [2, 0]
  truth_r = np.tile([2, 5], repetitions // 2)
  segment_u = np.repeat(10 + np.arange(repetitions), windows)
  truth_u = np.repeat(truth_r, windows)
  vector_ud = rng.normal(size=(len(truth_u), 2)) + np.where(truth_u == 5, 1.0, -1.0)[:, None] * [0.5, 2.5]
  return vector_wd, label_w, vector_ud, segment_u, truth_u


def test_windows_are_labelled_by_their_repetition():
  """Catches: windows that keep their own guesses (which here stay at 67 %), a label's place taken for the label."""
  vector_wd, label_w, vector_ud, segment_u, truth_u = _shifted()
  right = lambda head: (head.classes[head.log_prob(vector_ud).argmax(1)] == truth_u).mean()
  assert right(LDA(vector_wd, label_w)) < 0.75
  assert right(self_training.fit(LDA, vector_wd, label_w, vector_ud, segment_u, SelfTraining(3)).head) > 0.97
  order = np.random.default_rng(1).permutation(len(segment_u))  # repetitions need not lie together
  fitted = self_training.fit(LDA, vector_wd, label_w, vector_ud[order], segment_u[order], SelfTraining(3))
  assert right(fitted.head) > 0.97


def test_copies_of_unlabelled_windows_train_too():
  """Catches: copies that count towards the labels, or that have the labels of other windows."""
  vector_wd, label_w, vector_ud, segment_u, truth_u = _shifted()
  seen = []
  fit_head = lambda x, y: seen.append((x, y)) or LDA(x, y)
  copy_ud = vector_ud + 0.01
  self_training.fit(fit_head, vector_wd, label_w, vector_ud, segment_u, SelfTraining(4), [copy_ud])
  (last_vd, last_v), n = seen[-1], len(truth_u)
  assert len(last_vd) == 2 * len(vector_wd) + 2 * n  # 60 %, copies and all
  np.testing.assert_array_equal(last_vd[-n:], copy_ud)
  np.testing.assert_array_equal(last_v[-n:], truth_u)


def test_labels_occur_equally_often_where_they_are_known_to():
  """Catches: two gestures that share a label for ever, a label without repetitions, a wrong count."""
  rng = np.random.default_rng(3)
  label_w = np.repeat([0, 1, 2], 100)
  place_kd = np.array([[0.0, 0], [4, 0], [8, 0]])
  vector_wd = place_kd[label_w] + rng.normal(size=(300, 2))
  truth_r = np.tile([0, 1, 2], 5)
  segment_u, truth_u = np.repeat(np.arange(15), 20), np.repeat(truth_r, 20)
  moved_kd = place_kd + np.array([[0.0, 3], [3, 0], [0, 6]])  # the second now lies where the third was
  vector_ud = moved_kd[truth_u] + rng.normal(size=(300, 2))
  right = lambda config: (lambda head: (head.log_prob(vector_ud).argmax(1) == truth_u).mean())(
      self_training.fit(LDA, vector_wd, label_w, vector_ud, segment_u, config).head)
  assert right(SelfTraining(5, 0.9)) < 0.75
  assert right(SelfTraining(5, 0.9, balanced=True)) > 0.95
  fourteen = self_training._equally_often(rng.normal(size=(14, 3)), np.zeros(14))
  assert sorted(np.bincount(fourteen)) == [4, 5, 5]


def test_labels_occur_equally_often_for_each_person():
  """Catches: counts over all people together, where one person's excess hides another's lack."""
  rng = np.random.default_rng(5)
  pooled_rk = rng.normal(size=(12, 3)) + np.repeat([[9.0, 0, 0], [0, 9, 0]], 6, axis=0)  # each person prefers one
  person_r = np.repeat(['m', 'f'], 6)
  label_r = self_training._equally_often(pooled_rk, person_r)
  for person in 'mf':
    assert np.bincount(label_r[person_r == person]).tolist() == [2, 2, 2]
  seen = []
  self_training.fit(lambda x, y: seen.append(y) or LDA(x, y), np.eye(3)[[0, 1, 2, 0, 1, 2]], np.tile([0, 1, 2], 2),
                    pooled_rk, np.arange(12), SelfTraining(1, 0.5, balanced=True), (), person_r)
  assert np.bincount(seen[-1][-12:-6]).tolist() == np.bincount(seen[-1][-6:]).tolist() == [2, 2, 2]


def test_labels_are_evened_for_each_person():
  """Catches: a power that does nothing or that always makes the counts equal, shares over all people together."""
  mean_rk = np.log([[0.5, 0.4, 0.1], [0.5, 0.4, 0.1], [0.6, 0.3, 0.1], [0.9, 0.05, 0.05]])
  evened = lambda power, person_r=np.zeros(4): self_training._evened(mean_rk, person_r, power)
  np.testing.assert_array_equal(evened(0.0), mean_rk)
  assert evened(1.0).argmax(1).tolist() == [1, 1, 0, 0]
  share_k = np.exp(evened(1.0))[:, 0] / np.exp(evened(1.0)).sum(1)
  assert 0 < np.exp(mean_rk)[:, 0].mean() - share_k.mean() < 0.5
  alone = evened(1.0, np.array(['m', 'm', 'm', 'f']))
  np.testing.assert_allclose(alone[:3], self_training._evened(mean_rk[:3], np.zeros(3), 1.0))
  missing = np.log(np.tile([0.7, 0.2999, 0.0001], (4, 1)))  # a label that never occurs stays away
  assert self_training._evened(missing, np.zeros(4), 1.0).argmax(1).max() < 2


def test_a_teacher_helps_to_label():
  """Catches: a teacher that is not heard, one that is heard alone, repetitions in another order than its rows."""
  vector_wd, label_w, vector_ud, segment_u, truth_u = _shifted()
  truth_r = truth_u[np.unique(segment_u, return_index=True)[1]]
  wrong_rk = np.where(truth_r[:, None] == [2, 5], -9.0, 0.0)
  given = lambda share: self_training.fit(LDA, vector_wd, label_w, vector_ud, segment_u, SelfTraining(1, taught=share),
                                          teacher_rk=wrong_rk).label_v[-len(truth_u):]
  own = self_training.fit(LDA, vector_wd, label_w, vector_ud, segment_u, SelfTraining(1)).label_v[-len(truth_u):]
  np.testing.assert_array_equal(given(0.0), own)
  np.testing.assert_array_equal(given(1.0), np.where(truth_u == 2, 5, 2))
  assert 0 < (given(0.15) == truth_u).mean() < (own == truth_u).mean()


def test_rounds_are_fits_and_end_when_labels_stay():
  """Catches: a round too many or too few, labels of the first head kept for ever, no end."""
  vector_wd, label_w, vector_ud, segment_u, _ = _shifted()
  for config, want in ((SelfTraining(0), [1]), (SelfTraining(1), [2]), (SelfTraining(9), [2, 3, 4]),
                       (SelfTraining(9, least=20), [2, 3, 4]), (SelfTraining(9, least=21), [1])):
    fits = []
    self_training.fit(lambda x, y: fits.append(y) or LDA(x, y), vector_wd, label_w, vector_ud, segment_u,
                      config)
    assert len(fits) in want


@pytest.mark.parametrize('labelled, unlabelled, share, want', [
    (100, 100, 0.5, (1, 1)), (100, 10, 0.6, (1, 15)), (10, 100, 0.8, (2, 1)), (100, 100, 0.35, (2, 1))])
def test_share_of_the_weight(labelled, unlabelled, share, want):
  """Catches: the share of the labelled taken for that of the unlabelled."""
  assert self_training.repeats(labelled, unlabelled, share) == want
  taken = labelled * want[0], unlabelled * want[1]
  assert abs(taken[1] / sum(taken) - share) < 0.1


def _method(**changes):
  settings = dict(model=tiny_set.MODEL, view='session', centre='session', tune='lda', reads='words', shrinkage=0.9,
                  self_training=SelfTraining(2))
  return TransferMethod(**settings | changes)


def _fold():
  return splits.loso(tiny_set.prepared('session').segments, tiny_set.SUBJECTS)[2]


@pytest.mark.heavy
def test_labels_of_unlabelled_recordings_are_not_read():
  """Catches: the target's labels, or those of people who give none, in the fit."""
  prepared, fold = tiny_set.prepared('session'), _fold()
  hidden = dict(prepared.segments) | {'label': np.array(prepared.segments['label'])}
  lent = splits.whole_rows(prepared.segments, ('s1',))
  train = tuple(row for row in fold.train if row not in lent)
  for method, unread in ((_method(), fold.test),
                         (_method(self_training=SelfTraining(2, 0.6, ('s1',))), fold.test + lent)):
    some = dataclasses.replace(fold, train=train)
    hidden['label'][[row.segment for row in unread]] = 0
    want = method.predict(TransferData({'session': prepared}, None), some, 0)
    got = method.predict(TransferData({'session': dataclasses.replace(prepared, segments=hidden)}, None), some, 0)
    np.testing.assert_array_equal(got.window_log_prob, want.window_log_prob)
    plain = dataclasses.replace(method, self_training=SelfTraining())
    other = plain.predict(TransferData({'session': prepared}, None), some, 0)
    assert np.abs(other.window_log_prob - want.window_log_prob).max() > 1e-3


@pytest.mark.heavy
def test_teachers_are_of_the_same_fold(monkeypatch):
  """Catches: a teacher of another fold or seed, its rows taken in another order, a label that it alone knows."""
  prepared, fold = tiny_set.prepared('session'), _fold()
  data, label = TransferData({'session': prepared}, None), prepared.segments['label']
  seen = []

  def predict(self, data, fold, seed):
    seen.append((fold.name, seed))
    rows = np.array([row.segment for row in fold.test])[::-1]
    sure = np.log(np.eye(len(prepared.labels))[(label[rows] + 1) % 3] + 1e-9).astype(np.float32)
    return results.Predictions(rows, np.zeros(len(rows), int), sure, rows, sure)

  teacher = _method(self_training=SelfTraining(), tune='all', reads='encoder', steps=1)
  method = _method(teachers=(teacher,), self_training=SelfTraining(1, 0.98, taught=1.0))
  original = TransferMethod.predict
  monkeypatch.setattr(TransferMethod, 'predict', lambda self, *args: (predict if self == teacher else original)(self, *args))
  found = method.predict(data, fold, 3)
  assert seen == [(fold.name, 3)]
  assert (found.segment_log_prob.argmax(1) == (label[found.segment_rows] + 1) % 3).all()


@pytest.mark.heavy
def test_each_tested_person_adapts_alone():
  """Catches: one head for all tested people, where each would teach the others."""
  prepared = tiny_set.prepared('session')
  data, fold = TransferData({'session': prepared}, None), splits.cross(prepared.segments, ['s0'], ['s1', 's2'])[0]
  both = _method().predict(data, fold, 0)
  for subject in ('s1', 's2'):
    alone = _method().predict(data, splits.cross(prepared.segments, ['s0'], [subject])[0], 0)
    mine = np.isin(both.window_segment, alone.segment_rows)
    np.testing.assert_allclose(both.window_log_prob[mine], alone.window_log_prob, rtol=1e-6)


@pytest.mark.heavy
def test_copies_train_and_are_not_tested():
  """Catches: augmented windows in place of the windows, in the prediction too, or the same copy twice."""
  prepared, fold = tiny_set.prepared('session'), _fold()
  centre = batches.make_centre(prepared, 'session', ())
  vectors = WindowVectors(prepared, closed_form.flat_words)
  method = _method(copies=2, self_training=SelfTraining(),
                   augment=dataclasses.replace(TransferMethod().augment, gain=0.5, noise=0.5))
  found = method.fitted(TransferData({'session': prepared}, None), fold, centre, 0)
  n = len(vectors(fold.train, centre, 26)[0])
  part = found.vector_wd.reshape(3, n, -1)
  np.testing.assert_array_equal(part[0], vectors(fold.train, centre, 26)[2])
  assert np.abs(part[1] - part[0]).mean() > 0.1 and np.abs(part[2] - part[1]).mean() > 0.1
  np.testing.assert_array_equal(found.label_w.reshape(3, n), np.tile(found.label_w[:n], (3, 1)))
  again = method.fitted(TransferData({'session': prepared}, None), fold, centre, 0)
  np.testing.assert_array_equal(again.vector_wd, found.vector_wd)
  want = found.head.log_prob(vectors(fold.test, centre)[2])
  np.testing.assert_allclose(found(fold.test, centre).window_log_prob, np.maximum(want, -80), rtol=1e-6)


@pytest.mark.heavy
def test_the_tested_person_is_no_pool():
  """Catches: unlabelled test data in a row that is not called transductive."""
  method = _method(self_training=SelfTraining(2, 0.6, ('s2',)), view='fixed', centre='training')
  assert not method.transductive
  with pytest.raises(ValueError, match="SelfTraining.subjects: 's2' is tested in fold"):
    method.predict(TransferData({'fixed': tiny_set.prepared()}, None), _fold(), 0)
  own = dataclasses.replace(method, self_training=SelfTraining(1))
  assert own.transductive and not own.assumes
  after = SelfTraining(2, 0.8, ('s2',), own_share=0.6)
  assert after.transductive and after.own == SelfTraining(2, 0.6)
  with pytest.raises(ValueError, match='own_share: got 0.6 with subjects'):
    SelfTraining(2, 0.8, own_share=0.6)
  balanced = dataclasses.replace(method, self_training=SelfTraining(1, balanced=True))
  assert balanced.assumes == 'equal counts'


@pytest.mark.parametrize('changes, message', [
    (dict(reads='word'), "reads: got 'word'"), (dict(tune='all_then_lda'), "reads: got 'words' with tune"),
    (dict(tune='all', reads='encoder'), "self_training: got tune 'all'"),
    (dict(copies=1, features=('log_hudgins',)), 'copies: got 1'),
    (dict(teachers=(TransferMethod(view='fixed'),)), "teachers: expected start 'scratch' and view 'session'"),
    (dict(teachers=(TransferMethod(),), self_training=SelfTraining()), 'teachers: expected self_training')])
def test_settings_that_cannot_be(changes, message):
  """Catches: an encoder trained for a head that does not read it, self-training that nothing does."""
  with pytest.raises(ValueError, match=message):
    _method(**changes)
  for wrong in (dict(even=-1.0), dict(even=1.0, balanced=True), dict(taught=1.5)):
    with pytest.raises(ValueError, match='SelfTraining.(even|taught): got'):
      SelfTraining(1, **wrong)
