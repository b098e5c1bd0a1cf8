"""Closed-form heads against numpy, and classical features beside a frozen encoder's vector."""

import dataclasses

import numpy as np
import pytest
from scipy import special

from aemg_jax.data import batches, montage, splits
from aemg_jax.evaluation import closed_form, evaluate
from aemg_jax.evaluation.closed_form import HEADS, WindowVectors
from aemg_jax.evaluation.transfer import TransferData, TransferMethod
from aemg_jax.signal import features
from tests import tiny_set

NAMES = ('log_hudgins', 'log_covariance')
SHRINKAGE = 0.2


def _labelled(n_labels, n=90, width=4):
  """Vectors of unlike spread whose mean depends on the label; the labels are not 0, 1, ..."""
  rng = np.random.default_rng(n_labels)
  label_w = np.array([1, 4, 6])[rng.integers(0, n_labels, n)]
  vector_wd = rng.normal(size=(n, width)) * [1, 3, 0.5, 2] + label_w[:, None] * [1.0, 0.5, -0.2, 0]
  return vector_wd, label_w


def _within(vector_wd, label_w):
  """Class means and the deviations from them."""
  classes = np.unique(label_w)
  mean_kd = np.stack([vector_wd[label_w == k].mean(0) for k in classes])
  return mean_kd, vector_wd - mean_kd[np.searchsorted(classes, label_w)]


def _lda(vector_wd, label_w):
  mean_kd, rest_wd = _within(vector_wd, label_w)
  cov_dd, width = rest_wd.T @ rest_wd / len(rest_wd), rest_wd.shape[1]
  cov_dd = (1 - SHRINKAGE) * cov_dd + SHRINKAGE * np.trace(cov_dd) / width * np.eye(width)
  away_wkd = vector_wd[:, None] - mean_kd[None]
  prior_k = np.array([(label_w == k).mean() for k in np.unique(label_w)])
  score_wk = -np.einsum('wkd,de,wke->wk', away_wkd, np.linalg.inv(cov_dd), away_wkd) / 2
  return special.log_softmax(score_wk + np.log(prior_k)[None], axis=1)


def _ridge(vector_wd, label_w):
  centred_wd, n = vector_wd - vector_wd.mean(0), len(label_w)
  target_wk = 2.0 * (label_w[:, None] == np.unique(label_w)[None]) - 1
  cov_dd, width = centred_wd.T @ centred_wd / n, vector_wd.shape[1]
  shrunk_dd = (1 - SHRINKAGE) * cov_dd + SHRINKAGE * np.trace(cov_dd) / width * np.eye(width)
  slope_dk = (1 - SHRINKAGE) * np.linalg.solve(shrunk_dd, centred_wd.T @ target_wk / n)
  share_wk = (1 + centred_wd @ slope_dk + target_wk.mean(0)) / 2
  np.testing.assert_allclose(share_wk.sum(1), 1)
  share_wk = np.maximum(share_wk, closed_form.RIDGE_FLOOR)
  return np.log(share_wk / share_wk.sum(1, keepdims=True))


def _prototypes(vector_wd, label_w):
  mean_kd, rest_wd = _within(vector_wd, label_w)
  spread_d = np.sqrt((rest_wd**2).sum(0) / (len(rest_wd) - len(mean_kd)))
  away_wkd = (vector_wd[:, None] - mean_kd[None]) / spread_d
  return special.log_softmax(-(away_wkd**2).sum(-1) / 2, axis=1)


@pytest.mark.parametrize('n_labels', [2, 3])
@pytest.mark.parametrize('name, want', [('lda', _lda), ('ridge', _ridge), ('prototypes', _prototypes)])
def test_heads_by_hand(name, want, n_labels):
  """Catches: a penalty that does not grow with the windows, distances that are not halved or not in
  units of the spread, two classes whose one score is read as the first's, labels in the wrong columns."""
  vector_wd, label_w = _labelled(n_labels)
  head = HEADS[name](vector_wd, label_w, SHRINKAGE)
  assert head.classes.tolist() == [1, 4, 6][:n_labels]
  np.testing.assert_allclose(head.log_prob(vector_wd), want(vector_wd, label_w), rtol=1e-6, atol=1e-9)


def test_every_head_is_a_way_to_tune():
  """Catches: a head of the table that no config can name, a trained head taken for a closed one."""
  assert [TransferMethod(tune=t).closed_head for t in ('all', 'head', 'lda', 'all_then_ridge')] == [
      '', '', 'lda', 'ridge']
  for name in HEADS:
    assert TransferMethod(tune=f'all_then_{name}').closed_head == name


def _amplitude(words):
  return np.asarray(words.amplitude_n)


def _vectors(view='fixed'):
  table = evaluate._window_table(tiny_set.prepared())
  return WindowVectors(tiny_set.prepared(view), _amplitude, NAMES, table)


@pytest.mark.heavy
@pytest.mark.parametrize('view', ['fixed', 'session'])
def test_classical_features_are_of_the_same_window(view):
  """Catches: features of the next window or another recording, in the session's scale, uncentred
  under a session's centre or centred under the training subjects' (which would be transductive)."""
  vectors, rows = _vectors(view), [splits.Row(4, 'a', 0.0, 0.9), splits.Row(2, 'b', 0.1, 0.5)]
  prepared = vectors.prepared
  kind = 'session' if view == 'session' else 'training'
  centre = batches.make_centre(prepared, kind, np.array([0, 1]))
  segment_w, start_w, vector_wd = vectors(rows, centre)
  assert vector_wd.shape[1] == 4 + 12 + 10
  raw = tiny_set.prepared()
  raw_wf = {}
  for segment in range(len(raw.segments['label'])):
    row = raw.rectified[segment]
    signal_tc = row['signal_tc'][:row['n_samples']] * 10.0  # tenths of the fixed scale
    window_wtc, start = features.cut_windows(signal_tc, 52, 5)
    raw_wf[segment] = dict(zip(start.tolist(), np.concatenate(
        [features.FEATURES[n](window_wtc) for n in NAMES], 1)))
  session = prepared.segments['session_index']
  for segment, start, vector_d in zip(segment_w, start_w, vector_wd):
    want_f = raw_wf[int(segment)][int(start)]
    if view == 'session':
      own = [f for s in raw_wf if session[s] == session[segment] for f in raw_wf[s].values()]
      want_f = want_f - np.mean(own, 0)
    np.testing.assert_allclose(vector_d[4:], want_f, rtol=1e-4, atol=1e-4)


@pytest.mark.heavy
def test_classical_features_turn_with_the_band():
  """Catches: the encoder's channels in the training wearers' frame and the features' not."""
  vectors, rows = _vectors('session'), splits.whole_rows(tiny_set.prepared().segments, ('s0', 's1'))
  centre = batches.make_centre(vectors.prepared, 'session', ())
  ring = montage.ring(4)
  turned = dataclasses.replace(centre, worn=ring, element_s=np.array([0, 0, 1, 1, 0, 0], np.int32))
  perm_c = montage.elements(ring)[1]
  _, _, still_wd = vectors(rows, centre)
  segment_w, _, got_wd = vectors(rows, turned)
  second = vectors.prepared.segments['subject'][segment_w] == 's1'
  assert (vectors.prepared.segments['session_index'][segment_w[second]] // 2 == 1).all()
  np.testing.assert_array_equal(got_wd[~second], still_wd[~second])
  columns = 4 + features.turned_columns('log_hudgins', perm_c)
  np.testing.assert_allclose(got_wd[second][:, 4:16], still_wd[second][:, columns])
  np.testing.assert_allclose(got_wd[second][:, :4], still_wd[second][:, perm_c], rtol=1e-5, atol=1e-5)


@pytest.mark.heavy
def test_features_decide_where_the_encoder_is_mute():
  """Catches: features that reach the fit but not the prediction, a column's units in the shrinkage."""
  data = TransferData({'fixed': tiny_set.prepared()}, None, evaluate._window_table(tiny_set.prepared()))
  fold = splits.loso(tiny_set.prepared().segments, tiny_set.SUBJECTS)[2]
  mute = lambda words: 1e6 * np.random.default_rng(0).normal(size=(len(words.valid_n), 3))
  centre = batches.make_centre(data.views['fixed'], 'training', np.array([0, 1, 2, 3]))
  for name in HEADS:
    vectors = WindowVectors(data.views['fixed'], mute, NAMES, data.table)
    got = closed_form.fit(name, 0.01, vectors, fold, centre)(fold.test, centre)
    right = got.segment_log_prob.argmax(1) == data.views['fixed'].segments['label'][got.segment_rows]
    assert right.mean() > 0.9
  with pytest.raises(ValueError, match=r"got \('log_hudgins', .* expected TransferData.table"):
    dataclasses.replace(vectors, table=None)(fold.test, centre)


@pytest.mark.parametrize('changes, message', [
    (dict(features=('log_hudgins',)), "features: got .* with tune 'all', expected \\(\\)"),
    (dict(features=('hudgin',), tune='lda'), "feature: got 'hudgin'"),
    (dict(tune='all_then_head'), "tune: got 'all_then_head'"),
    (dict(tune='ridge', shrinkage=1.0), 'shrinkage: got 1.0')])
def test_settings_that_cannot_be(changes, message):
  """Catches: features that a trained head would ignore in silence, an infinite penalty."""
  with pytest.raises(ValueError, match=message):
    TransferMethod(**changes)
