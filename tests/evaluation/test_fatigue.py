"""The fatigue evaluation: leaks, splits of features, pairs, scores, resuming."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from aemg_jax.config import section
from aemg_jax.data import splits
from aemg_jax.evaluation import fatigue, fatigue_pairs, fatigue_scores, fatigue_transfer
from aemg_jax.evaluation import fatigue_methods as methods
from aemg_jax.evaluation import fatigue_saliency as saliency
from aemg_jax.models import FatigueFormerConfig
from aemg_jax.models.layers import BlocksConfig
from aemg_jax.training.optim import OptimConfig
from aemg_jax.training.tasks import FatigueTask
from configs import fatigue_former
from tests.sequences import made_trials

TINY = BlocksConfig(width=8, layers=1, heads=2, head_dim=4, mlp_dim=8, layer_scale=0.0, dropout=0.1)


def _fold(sequences, subject='A'):
  subjects = splits.select_subjects(sequences.segments, (), 'subjects')
  folds = splits.loso(sequences.segments, subjects)
  return next(fold for fold in folds if fold.name == subject)


def _data(**changes):
  return methods.FatigueData(made_trials.sequences(**changes), '', {})


@pytest.mark.parametrize('method', [
    methods.ThresholdMethod('mdf'), methods.ClassicalMethod('svm'),
    methods.ClassicalMethod('random_forest', trees=3), methods.MajorityMethod()], ids=str)
def test_the_held_out_subject_changes_nothing_that_is_learnt(method):
  """Catches: statistics, thresholds or models that saw the tested subject: another subject's
  predictions with the same training must not move when the tested one's data change."""
  plain, changed = _data(), _data(change='A')
  fold = _fold(plain.sequences)
  rows = methods.training_rows(plain, fold)
  before, after = (methods.sequences_lib.fit_scaler(d.sequences, rows) for d in (plain, changed))
  np.testing.assert_array_equal(before.mean_f, after.mean_f)
  np.testing.assert_array_equal(before.sd_f, after.sd_f)
  # scored on training rows, which are the same in both: only what was learnt could differ
  asked = dataclasses.replace(fold, test=fold.train)
  for a, b in zip(method.predict(plain, asked, 0), method.predict(changed, asked, 0)):
    np.testing.assert_array_equal(a, b)


@pytest.mark.heavy
def test_a_network_and_its_split_see_training_subjects_alone():
  """Catches: the probe, its split, the scaler or a batch with rows of the tested subject."""
  model = FatigueFormerConfig(TINY, TINY, max_windows=3)
  method = methods.NetworkMethod(
      FatigueTask(model), probe=FatigueTask(dataclasses.replace(model, branches='temporal')),
      rule=saliency.SplitConfig(draws=1), optim=OptimConfig(warmup_steps=1), steps=2, batch_size=8)
  found = []
  for data in (_data(), _data(change='A')):
    fold = _fold(data.sequences)
    params, _, split = method.train(data, fold, 0)
    asked = dataclasses.replace(fold, test=fold.train)
    found.append((params, split, method.predict(data, asked, 0)))
  for a, b in zip(*(methods.jax.tree.leaves(f) for f in found)):
    np.testing.assert_array_equal(a, b)
  assert np.isfinite(found[0][2].value_b).all()


def test_a_fold_of_one_class_is_an_error():
  """Catches: a classifier that learns a constant and a table that does not say so."""
  data = _data()
  data.sequences.segments['label'][:] = 2
  with pytest.raises(ValueError, match=r"fold 'A': .* hold the classes \['high'\] only"):
    methods.training_rows(data, _fold(data.sequences))


def test_groups_of_features_by_the_rule():
  """Catches: the most salient dropped, tau and sigma exchanged, a group without features."""
  s = np.arange(32.0)
  tau, sigma = np.zeros(32), np.full(32, 1.0)
  tau[10:22] = 2.0
  split = saliency.decide(s, tau, sigma, saliency.SplitConfig())
  np.testing.assert_array_equal(np.flatnonzero(split.temporal_f), np.arange(10, 22))
  np.testing.assert_array_equal(np.flatnonzero(~(split.temporal_f | split.static_f)), [0, 1, 2])
  few = saliency.decide(s, sigma * np.linspace(0, 0.5, 32), sigma, saliency.SplitConfig())
  np.testing.assert_array_equal(np.flatnonzero(few.temporal_f), np.arange(24, 32))
  assert few.n_by_rule == 0 and split.n_by_rule == 12
  again = saliency.from_json(json.loads(json.dumps(saliency.as_json(split))))
  for a, b in zip(again, split):
    np.testing.assert_array_equal(a, b)


def test_stability_by_hand():
  """Catches: agreement counted over all features instead of those of a group."""
  a, b = saliency.all_features(), saliency.all_features()
  b = b._replace(temporal_f=np.arange(32) < 8, static_f=np.arange(32) >= 8)
  assert saliency.stability([a, b]) == {'temporal': 0.25, 'static': 0.75, 'dropped': 1.0}


def test_shuffling_and_swapping_leave_the_rest_alone():
  """Catches: a shuffle across sequences, a swap that changes the order in time."""
  x = np.random.default_rng(0).normal(size=(6, 4, 2, 3)).astype(np.float32)
  valid = np.ones((6, 4, 2), bool)
  shuffled = saliency._shuffled(x, valid, np.random.default_rng(1))
  np.testing.assert_array_equal(np.sort(shuffled, axis=1), np.sort(x, axis=1))
  assert (shuffled != x).any()
  swapped = saliency._swapped(x, valid, np.random.default_rng(1))
  np.testing.assert_allclose(np.diff(swapped, axis=1), np.diff(x, axis=1), atol=1e-5)
  own, got = x.mean(axis=1)[:, 0, 0], swapped.mean(axis=1)[:, 0, 0]
  np.testing.assert_allclose(np.sort(got), np.sort(own), atol=1e-5)
  assert (np.abs(got - own) > 1e-3).all()


@pytest.mark.parametrize('n', [2, 3, 5, 9, 10])
def test_every_pair_of_subjects_shares_one_group(n):
  """Catches: a pair that is counted twice, or never."""
  pairs = [pair for group in fatigue_pairs.pair_groups(tuple(range(n)))
           for pair in itertools.combinations(sorted(group), 2)]
  assert sorted(pairs) == list(itertools.combinations(range(n), 2))
  assert n != 9 or len(fatigue_pairs.pair_groups(tuple(range(n)))) == 12


def test_pairs_by_hand():
  """Catches: pairs of one subject, of unequal moments, of equal Borg; ties that count as right."""
  sequences = made_trials.sequences('AB', n=6, length=3)
  sequences.borg_b[:] = [1, 2, 3, 4, 2, 2, 5, 9]
  value = np.array([1.0, 2.0, 3.0, 9.0, 3.0, 2.0, 1.0, 9.0])
  none = np.zeros(8)
  made = methods.Predictions(np.arange(8), none, np.zeros((8, 3)), value)
  found = fatigue_pairs.score([made], sequences)['repetition']
  # repetition 2: 1 < 2 right; 3: equal Borg; 4: 3 < 5 but 3 > 1 wrong; 5: 4 < 9 and a tie
  assert found['n_pairs'] == 3 and found['per_subject'] == {'A': 0.5, 'B': 0.5}


def test_scores_against_scikit_learn():
  """Catches: binary or mild taken from another threshold, a score over the wrong rows."""
  sequences = made_trials.sequences('AB', n=14)
  rng, n = np.random.default_rng(0), len(sequences.borg_b)
  made = methods.Predictions(
      np.arange(n), rng.integers(0, 3, n), rng.random((n, 3)), rng.normal(size=n))
  found = fatigue_scores.score(made, sequences)['B']
  rows = np.flatnonzero(sequences.segments['subject'] == 'B')
  borg = sequences.borg_b[rows]
  guess = made.above_bj[rows] >= 0.5
  np.testing.assert_allclose(
      found['binary_macro_f1'], sk.f1_score(borg > 5, guess[:, 2], average='macro'))
  np.testing.assert_allclose(found['class_accuracy'], np.mean(
      made.class_b[rows] == np.digitize(borg, (3, 6))))
  np.testing.assert_allclose(found['borg_spearman'], stats.spearmanr(borg, made.value_b[rows])[0])
  assert found['mild_auc'] is None  # the first sequence of three ends above Borg 0
  sequences.borg_b[rows[:2]] = 0
  mild = borg <= 3
  borg = sequences.borg_b[rows]
  found = fatigue_scores.score(made, sequences)['B']
  np.testing.assert_allclose(found['mild_auc'], sk.roc_auc_score(
      borg[mild] > 0, made.above_bj[rows][mild, 0]))


def test_threshold_by_hand():
  """Catches: a threshold of best accuracy, or one on a value instead of between two."""
  x, yes = np.array([1.0, 2, 3, 4, 6]), np.array([False, False, False, True, True])
  assert methods.best_threshold(x, yes) == 3.5


def test_effort_and_time_by_hand():
  """Catches: a change over efforts that mixes subjects, time in the wrong direction."""
  sequences = made_trials.sequences('AB', n=6, length=3)._replace(
      percent_mvc_b=np.array([20, 20, 80, 80, 20, 80, 80, 80.0]))
  found = fatigue_transfer.flat(sequences, np.array([1, 3, 5, 5, 0, 1, 2, 3.0]))
  assert found['change'] == 2.5 and found['mean_at'] == {'20': 1.0, '80': 3.5}
  rising = fatigue_transfer.rising(sequences, np.array([1, 2, 3, 4, 4, 3, 2, 1.0]))
  assert [rising['per_subject'][s]['spearman'] for s in 'AB'] == [1.0, -1.0]


@pytest.mark.parametrize('variant', [None, 'full', 'small,length=20'])
def test_config_is_understood(variant):
  """Catches: a key that no dataclass knows, a variant that is ignored."""
  config = section(fatigue.FatigueConfig, fatigue_former.get_config(variant).to_dict())
  former = next(m.method for m in config.methods if m.name == 'FatigueFormer')
  assert former.task.model.temporal.width == (128 if variant == 'full' else 32)
  assert config.data.sequence.length == (20 if variant == 'small,length=20' else 5)
  with pytest.raises(ValueError, match='config variant'):
    fatigue_former.get_config('large')


def test_a_run_goes_on_where_it_stopped(tmp_path, monkeypatch):
  """Catches: predictions made twice, or rows of other data taken for this run's."""
  config = fatigue.FatigueConfig('t', fatigue.DataConfig('x'), (
      fatigue.NamedMethod('majority', methods.MajorityMethod()),
      fatigue.NamedMethod('repetition', methods.ThresholdMethod('repetition'))))
  made = made_trials.sequences('ABC', n=14)
  made.borg_b[made.segments['subject'] == 'B'] += 1  # or there were no pairs
  monkeypatch.setattr(fatigue, 'load_sequences', lambda *_: (made, {'flat': 2}))
  fatigue.run(config, '', str(tmp_path))
  first = (tmp_path / fatigue.RESULTS_FILE).read_text()
  report = json.loads(first)
  assert [row['method'] for row in report['rows']] == ['majority', 'repetition']
  assert report['refused'] == {'flat': 2}
  assert report['rows'][1]['pairs']['repetition']['mean'] == 0.5
  with monkeypatch.context() as patch:
    patch.setattr(methods.MajorityMethod, 'predict', None)
    patch.setattr(methods.ThresholdMethod, 'predict', None)
    fatigue.run(config, '', str(tmp_path))
  assert (tmp_path / fatigue.RESULTS_FILE).read_text() == first
  made.borg_b[:] = made.borg_b[::-1].copy()
  monkeypatch.setattr(methods.MajorityMethod, 'predict', None)
  with pytest.raises(TypeError):
    fatigue.run(config, '', str(tmp_path))
