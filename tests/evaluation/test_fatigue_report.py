"""Attention, deletion, effort folds, embeddings and the report of a fatigue run."""

import dataclasses
import json

import numpy as np
import pytest

from aemg_jax.evaluation import (
    fatigue, fatigue_attention, fatigue_embedding, fatigue_explain, fatigue_pairs, figures_fatigue)
from aemg_jax.evaluation import fatigue_methods as methods
from aemg_jax.evaluation import fatigue_saliency as saliency
from aemg_jax.models import FatigueFormerConfig
from aemg_jax.models.layers import BlocksConfig
from aemg_jax.sequences import sequences as sequences_lib
from aemg_jax.signal.fatigue_features import FEATURE_NAMES, GROUPS
from aemg_jax.training.optim import OptimConfig
from aemg_jax.training.tasks import FatigueTask
from data_builders.synthetic_fatigue import generator
from tests import tiny_runs
from tests.sequences import made_trials

TINY = BlocksConfig(width=8, layers=1, heads=2, head_dim=4, mlp_dim=8, layer_scale=0.0, dropout=0.1)
FORMER = FatigueFormerConfig(TINY, TINY, max_windows=3)
PNG = b'\x89PNG'


def _efforts(subjects='ABCD'):
  """Sequences of four people at 20 and 60 % of their maximum."""
  trials = [made_trials.trial(s, n=14, seed=i, percent_mvc=effort)._replace(
      record_id=f'{s}/{effort:g}', session=f'{effort:g}P')
            for i, s in enumerate(subjects) for effort in (20.0, 60.0)]
  config = sequences_lib.SequenceConfig(length=3, baseline='lowest_mvc', baseline_windows=3, most=8)
  return sequences_lib.make_sequences(trials, config)[0]


def test_effort_folds_share_neither_people_nor_effort():
  """Catches: the tested effort or a tested person among what trains; a row that is never tested."""
  made = _efforts()
  folds = fatigue_pairs.effort_folds(made)
  tested = []
  for fold in folds:
    train = methods.training_rows(methods.FatigueData(made, '', {}), fold)
    test = methods.test_rows(fold)
    for column in (made.segments['subject'], made.percent_mvc_b):
      assert not set(column[train].tolist()) & set(column[test].tolist())
    tested += test.tolist()
  assert sorted(tested) == list(range(len(made.borg_b))) and len(folds) == 4
  with pytest.raises(ValueError, match='effort folds'):
    fatigue_pairs.effort_folds(made_trials.sequences())


def test_at_most_so_many_sequences_are_spread_over_the_trial():
  """Catches: the first ones alone (all rested), or the last one missing."""
  made = _efforts('A')
  at = made.segments['first_window'][:8]
  assert len(made.borg_b) == 16 and at[0] == 0 and at[-1] == 11 and (np.diff(at) >= 1).all()


def test_embeddings_are_of_the_sequence_s_windows():
  """Catches: windows counted over all trials, or those of another record."""
  made = _efforts('AB')
  by_record = {f'{s}/{e}': 100 * i + np.arange(14.0)[:, None] for i, (s, e) in enumerate(
      (s, e) for s in 'AB' for e in (20, 60))}
  found = fatigue_embedding.of_sequences(made, by_record)
  assert found.shape == (32, 3, 1)
  np.testing.assert_array_equal(found[8, :, 0], 100 + np.arange(3))
  np.testing.assert_array_equal(found[-1, :, 0], 300 + np.arange(11, 14))


@pytest.mark.heavy
def test_embeddings_are_relative_to_the_rested_windows(tmp_path):
  """Catches: the session's mean in place of the rested windows', slots of a neighbouring window, an
  encoder that is not the checkpoint's, a cache of another encoder."""
  study = generator.Study('two', 1, 10.0)
  records = [generator.generate(study, job)[0] for job in generator.jobs(study)[2:]]
  config = sequences_lib.SequenceConfig(baseline='lowest_mvc', baseline_windows=3)
  trials = [made_trials.trial(r.subject, n=3, percent_mvc=float(r.session[:-1]))._replace(
      record_id=r.record_id, start_s_w=np.array([0.0, 0.5, 1.0]), stop_s_w=np.array([0.5, 1.0, 1.5]))
            for r in records]
  ask = lambda kind: fatigue_embedding.load(records, trials, config, tiny_runs.workdir('masked'), kind,
                                            0, tmp_path)
  found, other = ask('pretrained'), ask('random')
  assert [found[t.record_id].shape for t in trials] == [(3, 16)] * 2
  np.testing.assert_allclose(found['S00/60P'].mean(axis=0), 0, atol=1e-6)  # all of them are rested
  assert np.abs(found['S00/80P'].mean(axis=0)).max() > 1e-3
  assert np.abs(found['S00/60P'] - other['S00/60P']).max() > 1e-3
  records[1].signal_tc[1000:] *= 3  # from the third window on
  changed = fatigue_embedding.load(records, trials, config, tiny_runs.workdir('masked'), 'pretrained',
                                   0, tmp_path / 'new')
  moved_w = np.abs(changed['S00/80P'] - found['S00/80P']).max(axis=1)
  assert moved_w[2] > 10 * moved_w[:2].max()
  np.testing.assert_array_equal(ask('pretrained')['S00/80P'], found['S00/80P'])  # from its file


def test_components_are_those_of_the_training_windows():
  """Catches: statistics over tested people, invalid windows in them, components without scale."""
  rng = np.random.default_rng(0)
  x = rng.normal(size=(20, 3, 30)) * np.linspace(1, 9, 30)
  valid = np.ones((20, 3), bool)
  valid[0, 1] = False
  x[0, 1] = 1e6
  train = np.arange(12)
  before = fatigue_embedding.compressed(x, valid, train)
  known = before[:12][valid[:12]]
  np.testing.assert_allclose(known.mean(axis=0), 0, atol=1e-5)
  np.testing.assert_allclose(known.T @ known / len(known), np.eye(16), atol=1e-4)
  assert not before[0, 1].any()
  x[15:] *= 7
  np.testing.assert_array_equal(fatigue_embedding.compressed(x, valid, train)[:15], before[:15])


def test_groups_hold_every_feature_once():
  """Catches: a group that is left out, so that shares no longer sum to one."""
  share = fatigue_attention.by_group(np.full((2, len(FEATURE_NAMES)), 1 / len(FEATURE_NAMES)))
  assert list(share) == list(GROUPS)
  np.testing.assert_allclose(sum(share.values()), 1)
  np.testing.assert_allclose(share['non_linear'], 5 / 32)


def test_a_person_with_many_sequences_counts_once():
  """Catches: a mean over rows, which is the most tested person's."""
  feature_bf = np.eye(32)[[0, 0, 0, 1]]
  found = fatigue_explain.summary(
      fatigue_attention.Attention(feature_bf, np.ones((4, 2)) / 2), np.array(['high'] * 4),
      np.array(['A', 'A', 'A', 'B']), ('rested', 'high'))
  assert list(found) == ['high'] and found['high']['n'] == 4
  assert found['high']['features']['iemg'] == found['high']['features']['mav'] == 0.5


def test_deletion_hides_from_both_encoders():
  """Catches: features hidden from one encoder alone, the least attended taken for the most."""
  ones = np.ones((2, 4), bool)
  batch = {'features': methods.FeatureBatch(
      np.zeros((2, 1, 1, 4)), np.ones((2, 1, 1), bool), ones, ones)}
  gone = fatigue_attention._first(np.array([[0.1, 0.5, 0.2, 0.2], [0.7, 0.1, 0.1, 0.1]]), 2)
  np.testing.assert_array_equal(gone, [[False, True, True, False], [True, True, False, False]])
  left = fatigue_attention.without(batch, gone)['features']
  np.testing.assert_array_equal(left.static_bf, ~gone)
  np.testing.assert_array_equal(left.temporal_bf, ~gone)


def _config(**changes):
  method = methods.NetworkMethod(
      FatigueTask(FORMER), probe=FatigueTask(dataclasses.replace(FORMER, branches='temporal')),
      rule=saliency.SplitConfig(draws=1), optim=OptimConfig(warmup_steps=1), steps=2, batch_size=8)
  rows = (fatigue.NamedMethod('time', methods.ThresholdMethod('elapsed_s'), pairs=False),
          fatigue.NamedMethod('former', method, pairs=False))
  return fatigue.FatigueConfig(
      'a run', fatigue.DataConfig('x'), rows, transferred='former', **changes)


@pytest.mark.heavy
def test_a_run_ends_in_a_report_with_its_pictures(tmp_path, monkeypatch):
  """Catches: a picture without its numbers, attention that does not sum to 1, a synthetic run that
  does not say so, an explanation computed twice."""
  monkeypatch.setattr(fatigue, 'load_sequences', lambda *_: (_efforts(), {'flat': 2}))
  fatigue.run(_config(folds='effort', synthetic=True), '', str(tmp_path))
  report = json.loads((tmp_path / fatigue.RESULTS_FILE).read_text())
  assert set(report['rows'][1]['by_effort']) == {'20', '60'}
  for found in (report['explained']['by_stage'], report['explained']['by_effort']):
    for entry in found.values():
      np.testing.assert_allclose(sum(entry['groups'].values()), 1, atol=1e-5)
      np.testing.assert_allclose(sum(entry['windows']), 1, atol=1e-5)
  assert set(report['explained']['deletion']) == set('ABCD')
  assert list(report['trajectories'])[:3] == ['A, 20 %', 'A, 60 %', 'B, 20 %']
  names = {p.stem for p in (tmp_path / 'figures').glob('*.png')}
  assert {'fatigue-trajectories', 'fatigue-attention-groups', 'fatigue-attention-windows',
          'fatigue-deletion'} <= names
  for file in ('report.md', 'report.html', fatigue.TABLE_FILE):
    assert 'Synthetic data: not a result' in (tmp_path / file).read_text()
  with monkeypatch.context() as patch:
    patch.setattr(methods.NetworkMethod, 'train', None)
    patch.setattr(fatigue, '_split_report', lambda *_: report['split'])
    fatigue.run(_config(folds='effort', synthetic=True), '', str(tmp_path))


def test_pictures_of_few_people():
  """Catches: a panel too few, a division by the number of curves."""
  entry = {'groups': {g: 0.25 for g in GROUPS}, 'windows': [0.5, 0.5], 'n': 3,
           'features': {'mdf': 0.4, 'rms': 0.6}}
  one = {'elapsed_s': [1, 2], 'mdf': [1, 0.9], 'rms': [1, 1.5], 'borg': [0, 1], 'score': [0.2, 2]}
  cut = {'whole': 1.0, 'k': [1, 2], 'top': [1.1, 1.3], 'random': [1.0, 1.1]}
  for png in (figures_fatigue.attention_groups([('t', {'rested': entry}, entry['groups'])]),
              figures_fatigue.trajectories({'A': one}),
              figures_fatigue.deletion({'A': cut, 'B': cut})):
    assert png.startswith(PNG)


def test_embeddings_without_a_checkpoint_are_an_error(tmp_path):
  """Catches: rows that are quietly the same as those without embeddings."""
  config = _config()
  rows = (dataclasses.replace(config.methods[1], embedding='pretrained'),)
  with pytest.raises(ValueError, match='expected --checkpoint'):
    fatigue.run(dataclasses.replace(config, methods=rows), '', str(tmp_path))
  with pytest.raises(ValueError, match='NamedMethod.embedding'):
    dataclasses.replace(config.methods[0], embedding='random')
