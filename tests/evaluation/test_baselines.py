"""The LDA baselines: equal to scikit-learn by hand, and deaf to the held-out subject."""

import dataclasses

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from aemg_jax.data import splits
from aemg_jax.evaluation import baselines, window_table
from aemg_jax.signal import features
from tests.evaluation import tiny_table

NAMES = sorted(baselines.BASELINES)


def _few_shot(segments, fraction=0.2):
  return splits.few_shot(segments, tiny_table.SUBJECTS, ('cal',), ('test',), fraction)[0]


def _flat(fitted):
  return np.concatenate([fitted.shift_f, fitted.scale_f, fitted.model.coef_.ravel(),
                         fitted.model.intercept_])


def test_the_few_shot_fit_is_scikit_learns_on_source_and_repeated_calibration():
  # Catches calibration that is not repeated (it would drown), windows outside the crop, and the
  # wrong stride.
  segments, table = tiny_table.make()
  fold = _few_shot(segments)
  parts = {'source': ([], []), 'target': ([], [])}
  for i in range(len(segments['label'])):
    signal_tc = table._signal_of(i)
    crop = [row for row in fold.calibration if row.segment == i]
    if segments['subject'][i] != 's0':
      part = parts['source']
    elif crop:
      part, signal_tc = parts['target'], signal_tc[:round(crop[0].stop_s * 200)]
    else:
      continue
    window_wtc, start = features.cut_windows(signal_tc, 52, 5)
    part[0].append(features.hudgins(window_wtc))
    part[1].append(np.full(start.shape, segments['label'][i]))
  (source_x, source_y), (target_x, target_y) = (
      (np.concatenate(x), np.concatenate(y)) for x, y in parts.values())
  times = round(len(source_x) / len(target_x))
  assert times > 5
  model = LinearDiscriminantAnalysis(solver='lsqr', shrinkage=0.001).fit(
      np.concatenate([source_x] + [target_x] * times),
      np.concatenate([source_y] + [target_y] * times))
  fitted = baselines.baseline('lda-hudgins').fit(table, fold)
  np.testing.assert_allclose(fitted.model.coef_, model.coef_, rtol=1e-3, atol=1e-6)
  np.testing.assert_allclose(fitted.model.intercept_, model.intercept_, rtol=1e-3)


@pytest.mark.parametrize('name', NAMES)
def test_every_baseline_learns_the_labels_and_is_at_chance_on_permuted_ones(name):
  # Catches labels that leak (acceptance test e), and a method that learns nothing.
  method = baselines.baseline(name)
  for permute, low, high in ((False, 0.95, 1.0), (True, 0.1, 0.6)):
    segments, table = tiny_table.make(permute=permute, n_repetitions=4)
    hits = []
    for fold in splits.loso(segments, tiny_table.SUBJECTS):
      got = method.predict(table, fold)
      hits.append(segments['label'][got.segment_rows] == got.segment_log_prob.argmax(1))
    assert low <= np.mean(hits) <= high, (permute, np.mean(hits))


@pytest.mark.parametrize('name', NAMES)
def test_the_held_out_subject_changes_no_fitted_number(name):
  # Catches a scaler, a mean or a covariance that has seen the test subject.
  fold = splits.loso(tiny_table.make()[0], tiny_table.SUBJECTS)[1]
  method = baselines.baseline(name)
  clean = method.fit(tiny_table.make()[1], fold)
  for change in ({'change': lambda s: s['subject'] == 's1'}, {'change': None, 'relabel': True}):
    relabel = change.pop('relabel', False)
    segments, table = tiny_table.make(**change)
    if relabel:
      segments['label'][segments['subject'] == 's1'] = 0
    np.testing.assert_array_equal(_flat(method.fit(table, fold)), _flat(clean))
  changed = tiny_table.make(change=lambda s: s['subject'] == 's2')[1]
  assert np.abs(_flat(method.fit(changed, fold)) - _flat(clean)).max() > 0


@pytest.mark.parametrize('name', NAMES)
def test_few_shot_test_sessions_change_no_fitted_number(name):
  # Catches calibration that reaches into the test session. A session's own mean is allowed to the
  # centred baseline, for that session's windows alone.
  segments, clean = tiny_table.make()
  changed = tiny_table.make(
      change=lambda s: (s['subject'] == 's0') & (s['session'] == 'test'))[1]
  method, fold = baselines.baseline(name), _few_shot(segments)
  np.testing.assert_array_equal(_flat(method.fit(changed, fold)), _flat(method.fit(clean, fold)))


def test_only_the_centred_baseline_looks_at_other_windows_of_the_session():
  # Catches a window score that uses other windows while the row says strictly inductive.
  for name in NAMES:
    method = baselines.baseline(name)
    segments, clean = tiny_table.make()
    fold = splits.loso(segments, tiny_table.SUBJECTS)[0]
    changed = tiny_table.make(change=lambda s: s['record_id'] == 's0/test/0_1')[1]
    got = [method.predict(table, fold) for table in (clean, changed)]
    other = got[0].window_segment == 0
    same = np.array_equal(got[0].window_log_prob[other], got[1].window_log_prob[other])
    assert segments['session'][0] == 'cal' and same
    sibling = segments['record_id'][got[0].window_segment] == 's0/test/0_0'
    same = np.array_equal(got[0].window_log_prob[sibling], got[1].window_log_prob[sibling])
    assert same is not method.transductive


def test_standardised_is_scikit_learn_on_scaled_features_and_survives_a_constant():
  # Catches a scale taken from test windows and a division by a deviation of 0.
  segments, table = tiny_table.make()
  fold = splits.loso(segments, tiny_table.SUBJECTS)[2]
  fitted = baselines.baseline('lda-hudgins-standardised').fit(table, fold)
  x = table.gather(('hudgins',), 5, table.rows(fold.train, 5))
  np.testing.assert_allclose(fitted.shift_f, x.mean(0))
  np.testing.assert_allclose(fitted.scale_f, x.std(0))
  dead = window_table.WindowTable(
      segments, lambda i: table._signal_of(i) * np.array([[1.0, 1.0, 0.0]]), 3)
  got = baselines.baseline('lda-hudgins-standardised').predict(dead, fold)
  assert np.isfinite(got.window_log_prob).all()


def test_shrinkage_is_the_formula_of_method_5_6():
  # Catches scikit-learn's 'auto' path, which scales features before it shrinks.
  segments, table = tiny_table.make()
  fold = splits.loso(segments, tiny_table.SUBJECTS)[0]
  method = baselines.baseline('lda-features')
  rows = table.rows(fold.train, method.train_stride)
  x = table.gather(method.features, method.train_stride, rows)
  y = segments['label'][table.windows(method.train_stride)[0][rows]]
  mean_kf = np.stack([x[y == k].mean(0) for k in range(3)])
  residual_wf = x - mean_kf[y]
  cov = residual_wf.T @ residual_wf / len(x)
  cov = 0.99 * cov + 0.01 * np.trace(cov) / len(cov) * np.eye(len(cov))
  np.testing.assert_allclose(
      method.fit(table, fold).model.coef_, np.linalg.solve(cov, mean_kf.T).T, rtol=1e-6, atol=1e-8)


def test_majority_and_mean_log_probability():
  # Catches a mean of probabilities, and ties that go to the lower label whatever the windows say.
  p = np.array([[0.6, 0.3, 0.1], [0.6, 0.3, 0.1], [0.001, 0.998, 0.001],
                [0.6, 0.2, 0.2], [0.1, 0.1, 0.8]])
  segment_w = np.array([4, 4, 4, 9, 9])
  votes = np.exp(baselines.pool_windows(np.log(p), segment_w, np.array([4, 9]), 'majority'))
  assert votes.argmax(1).tolist() == [0, 2]
  np.testing.assert_allclose(votes.sum(1), 1, rtol=1e-5)
  np.testing.assert_allclose(votes[0], (np.array([2, 1, 0]) + p[:3].mean(0)) / 4, rtol=1e-5)
  mean = baselines.pool_windows(np.log(p), segment_w, np.array([4, 9]), 'mean_log_prob')
  np.testing.assert_allclose(mean[0], np.log(p[:3]).mean(0), rtol=1e-5)
  assert mean[0].argmax() == 1


def test_a_label_that_did_not_train_gets_no_probability():
  # Catches columns shifted by one where a label is absent from the training part.
  segments, table = tiny_table.make()
  fold = splits.loso(segments, tiny_table.SUBJECTS)[0]
  fold = dataclasses.replace(
      fold, train=tuple(row for row in fold.train if segments['label'][row.segment] != 1))
  got = baselines.baseline('lda-ls4').predict(table, fold)
  assert set(got.window_log_prob.argmax(1)) == {0, 2}
  seen = segments['label'][got.segment_rows] != 1
  assert np.mean((segments['label'][got.segment_rows] == got.segment_log_prob.argmax(1))[seen]) == 1


@pytest.mark.parametrize('n_labels', [2, 3])
def test_log_probabilities_are_scikit_learns(n_labels):
  # Catches the two-class case, where scikit-learn keeps one score in place of two.
  segments, table = tiny_table.make()
  fold = splits.loso(segments, tiny_table.SUBJECTS)[0]
  fold = dataclasses.replace(fold, **{role: tuple(
      row for row in getattr(fold, role) if segments['label'][row.segment] < n_labels)
                                      for role in ('train', 'test')})
  method = baselines.baseline('lda-log-hudgins')
  got = method.predict(table, fold)
  x = table.gather(method.features, 5, table.rows(fold.test, 5))
  expected = method.fit(table, fold).model.predict_log_proba(x)
  floor = -30  # with two classes scikit-learn rounds 1 - p to 0 below this
  np.testing.assert_allclose(np.maximum(got.window_log_prob[:, :n_labels], floor),
                             np.maximum(expected, floor), rtol=1e-4, atol=1e-6)
  assert got.window_log_prob[:, :n_labels].min() < -40
  assert np.isneginf(got.window_log_prob[:, n_labels:]).all()


def test_windows_are_computed_once_and_cropped_whole():
  # Catches features computed again for every fold, and windows that reach over the crop's end.
  reads = []
  segments, table = tiny_table.make()
  counted = window_table.WindowTable(
      segments, lambda i: reads.append(i) or table._signal_of(i), 3)
  for fold in splits.loso(segments, tiny_table.SUBJECTS):
    baselines.baseline('lda-hudgins').predict(counted, fold)
  assert len(reads) <= 2 * len(segments['label'])
  rows = counted.rows((splits.Row(5, 'x', 0.1, 0.5),), 5)  # samples 20 to 100
  segment_w, start_w = counted.windows(5)
  assert set(segment_w[rows]) == {5} and start_w[rows].tolist() == [20, 25, 30, 35, 40, 45]
  assert counted.rows((splits.Row(5, 'x', 0.0, 0.25),), 5).size == 0


def test_segments_too_short_for_a_window_are_named():
  # Catches a test repetition that silently drops out of the score.
  segments, table = tiny_table.make()
  short = window_table.WindowTable(
      segments, lambda i: table._signal_of(i)[:20 if i == 1 else None], 3)
  with pytest.raises(ValueError, match='s0/cal/0_1: test segment holds no window of 52 samples'):
    baselines.baseline('lda-ls4').predict(short, splits.loso(segments, tiny_table.SUBJECTS)[0])
  with pytest.raises(ValueError, match='the calibration holds no window'):
    baselines.baseline('lda-ls4').fit(table, _few_shot(segments, 0.01))
  with pytest.raises(ValueError, match="got 'lda', expected one of"):
    baselines.baseline('lda')
