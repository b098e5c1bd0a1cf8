"""Heads from few labelled people."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from aemg_jax.config import section
from aemg_jax.data import batches, splits
from aemg_jax.evaluation import closed_form, few_subjects
from aemg_jax.evaluation.evaluate import EvaluateConfig
from aemg_jax.evaluation.few_subjects import FewNetwork, FewSubjectsConfig
from aemg_jax.evaluation.self_training import SelfTraining
from aemg_jax.evaluation.transfer import TransferData, TransferMethod
from configs import few_subjects as few_config
from tests import tiny_set

WORDS = TransferMethod(model=tiny_set.MODEL, view='session', centre='session', tune='lda', reads='words')


def _table(n=9):
  return {'subject': np.repeat([f's{i}' for i in range(n)], 2), 'label': np.tile([0, 1], n),
          'record_id': np.arange(2 * n).astype(str), 'session': np.full(2 * n, 'a'),
          'repetition': np.zeros(2 * n, int), 'start_s': np.zeros(2 * n), 'stop_s': np.ones(2 * n)}


def test_everybody_is_tested_once_a_draw_by_others():
  """Catches: a person who gives labels for the own test, who is tested twice or never, draws that are alike."""
  segments, subjects = _table(), [f's{i}' for i in range(9)]
  people = lambda rows: {str(segments['subject'][row.segment]) for row in rows}
  seen = set()
  for draw in range(8):
    before = set()
    for n in (1, 2, 4):
      folds = splits.few_subjects(segments, subjects, n, draw)
      tested = [row.segment for fold in folds for row in fold.test]
      assert sorted(tested) == list(range(18))
      assert all(len(people(fold.train)) == n for fold in folds)
      assert before <= people(folds[0].train)
      before = people(folds[0].train)
    seen.add(tuple(sorted(before)))
  assert len(seen) > 4
  with pytest.raises(ValueError, match='got 5 labelled of 9 people, expected at most half'):
    splits.few_subjects(segments, subjects, 5, 0)


def _run(tmp_path, networks, **changes):
  settings = dict(labelled=(1,), draws=2, subjects=('s0', 's1'), frame_subjects=('s2',), networks=networks)
  data = TransferData({'session': tiny_set.prepared('session')}, None)
  few_subjects.run(FewSubjectsConfig(**settings | changes), str(tmp_path), data, None)
  return json.loads((pathlib.Path(tmp_path) / 'results.json').read_text(encoding='utf-8'))['rows']


@pytest.mark.heavy
def test_rows_and_stored_vectors(tmp_path):
  """Catches: vectors of other segments or the other stride in the fit, rows run again or lost."""
  pool = dataclasses.replace(WORDS, self_training=SelfTraining(2, 0.5, ('s2',)), shrinkage=0.9)
  rows = _run(tmp_path, (FewNetwork('words', WORDS), FewNetwork('pool', pool)))
  assert [(r['method'], r['protocol'], r['seeds']) for r in rows] == [
      ('words', 'subjects-1', [0, 1]), ('pool', 'subjects-1', [0, 1])]
  assert all(r['n_subjects'] == 2 and r['transductive'] for r in rows)
  assert _run(tmp_path, (FewNetwork('words', WORDS), FewNetwork('pool', pool))) == rows
  prepared = tiny_set.prepared('session')
  fold = splits.few_subjects(prepared.segments, ('s0', 's1'), 1, 0)[0]
  centre = batches.make_centre(prepared, 'session', ())
  config = FewSubjectsConfig((1,), 2, ('s0', 's1'), ('s2',), (FewNetwork('pool', pool),))
  got = few_subjects._Source(config, pool, TransferData({'session': prepared}, None)).predict(fold)
  plain = closed_form.fit('lda', 0.9, closed_form.WindowVectors(prepared, closed_form.flat_words), fold, centre)
  lent = splits.whole_rows(prepared.segments, ('s2',))
  want = plain.adapted(lent, centre, pool.self_training)(fold.test, centre)
  np.testing.assert_allclose(got.window_log_prob, want.window_log_prob, rtol=1e-6)
  assert np.abs(got.window_log_prob - plain(fold.test, centre).window_log_prob).max() > 1e-3


@pytest.mark.heavy
def test_the_tested_persons_own_recordings_come_after_the_pool(monkeypatch):
  """Catches: a pool forgotten once a person's own are fitted, own labels that are read, people who teach others."""
  monkeypatch.setattr(closed_form, 'MOST_WINDOWS', 60)
  prepared = tiny_set.prepared('session')
  own = SelfTraining(2, 0.5, ('s2',), own_share=0.4)
  method = dataclasses.replace(WORDS, self_training=own, shrinkage=0.9)
  config = FewSubjectsConfig((1,), 2, ('s0', 's1'), (), (FewNetwork('own', method),))
  fold = splits.few_subjects(prepared.segments, ('s0', 's1'), 1, 0)[0]
  got = few_subjects._Source(config, method, TransferData({'session': prepared}, None)).predict(fold)
  centre = batches.make_centre(prepared, 'session', ())
  head = closed_form.fit('lda', 0.9, closed_form.WindowVectors(prepared, closed_form.flat_words), fold, centre)
  lent = splits.whole_rows(prepared.segments, ('s2',))
  head = head.adapted(lent, centre, own)
  half = closed_form.WindowVectors(prepared, closed_form.flat_words)(fold.train + lent, centre, 26)[2]
  assert len(head.vector_wd) >= len(half)  # labelled and lent
  thin = max(1, len(head.vector_wd) // 60)
  assert thin > 1
  head = dataclasses.replace(head, vector_wd=head.vector_wd[::thin], label_w=head.label_w[::thin])
  want = head.adapted(fold.test, centre, SelfTraining(2, 0.4))(fold.test, centre)
  np.testing.assert_allclose(got.window_log_prob, want.window_log_prob, rtol=1e-5)
  label = prepared.segments['label'].copy()
  label[[row.segment for row in (*fold.test, *lent)]] = 0
  hidden = dataclasses.replace(prepared, segments=prepared.segments | {'label': label})
  blind = few_subjects._Source(config, method, TransferData({'session': hidden}, None)).predict(fold)
  np.testing.assert_array_equal(blind.window_log_prob, got.window_log_prob)


@pytest.mark.heavy
def test_a_network_is_trained_on_the_labelled_people_alone():
  """Catches: a network from scratch that sees the labels of people who are tested."""
  method = dataclasses.replace(WORDS, tune='all', reads='encoder', steps=2, batch_size=8, whole_sentence=False)
  prepared = tiny_set.prepared('session')
  fold = splits.few_subjects(prepared.segments, ('s0', 's1'), 1, 0)[0]
  config = FewSubjectsConfig((1,), 2, ('s0', 's1'), (), (FewNetwork('scratch', method),))

  def predicted(wrong):
    label = prepared.segments['label'].copy()
    label[[row.segment for row in wrong]] = 0
    data = TransferData({'session': dataclasses.replace(prepared, segments=prepared.segments | {'label': label})}, None)
    return few_subjects._Source(config, method, data).predict(fold).window_log_prob
  honest = predicted(())
  np.testing.assert_array_equal(predicted(fold.test), honest)
  assert np.abs(predicted(fold.train) - honest).max() > 1e-4


def test_the_config_parses():
  """Catches: a pool or a frame of people who are compared, a set that sets nobody apart."""
  config = section(EvaluateConfig, few_config.get_config('myo_armband').to_dict(), 'config')
  compared = set(config.few.subjects)
  assert compared and not compared & set(config.few.frame_subjects)
  assert not any(compared & set(n.network.self_training.subjects) for n in config.few.networks)
  assert all(n.network.align for n in config.few.networks) and config.needs_table
  with pytest.raises(ValueError, match='uci_emg sets no people apart'):
    few_config.get_config('uci_emg')


@pytest.mark.heavy
def test_people_outside_the_comparison_stay_outside(tmp_path):
  """Catches: a frame or a pool made of people who are tested."""
  with pytest.raises(ValueError, match="frame_subjects: 's1' is compared"):
    _run(tmp_path, (FewNetwork('words', WORDS),), frame_subjects=('s1',))
  pool = dataclasses.replace(WORDS, self_training=SelfTraining(2, 0.5, ('s0',)))
  with pytest.raises(ValueError, match="SelfTraining.subjects: 's0' is compared"):
    _run(tmp_path, (FewNetwork('pool', pool),))
  assert not list(pathlib.Path(tmp_path).iterdir())


@pytest.mark.parametrize('changes, message', [
    (dict(tune='all_then_lda', reads='encoder'), "got tune 'all_then_lda', expected one of"),
    (dict(self_training=SelfTraining(1), teachers=(dataclasses.replace(WORDS, tune='all', reads='encoder'),)), 'got teachers'),
    (dict(centre='training', view='fixed'), "got centre 'training'")])
def test_settings_that_cannot_be(changes, message):
  """Catches: vectors that depend on the fold, or on the tested person."""
  with pytest.raises(ValueError, match=message):
    FewNetwork('x', dataclasses.replace(WORDS, **changes))
