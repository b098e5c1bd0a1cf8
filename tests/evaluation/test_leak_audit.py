"""Each kind of leak is planted once, and the harness refuses it or the audit finds it."""

import dataclasses

import numpy as np
import pytest

from aemg_jax.data import splits
from aemg_jax.evaluation import baselines, leakage, protocols, results
from tests import tiny_set
from tests.evaluation import tiny_table

LDA = baselines.LdaBaseline(('hudgins',), 0.01, train_stride=26)
SEGMENTS, _ = tiny_table.make()
FOLDS = splits.loso(SEGMENTS, tiny_table.SUBJECTS)


def data_of(label_s, loud_s):
  """A table with those labels, the loud recordings times 1000."""
  segments, table = tiny_table.make(change=lambda _: loud_s)
  segments['label'][:] = label_s
  return table


def audit(make):
  return [line.split(':')[0] for line in leakage.audit(make, data_of, SEGMENTS, FOLDS)]


def _test_features(table, fold):
  return table.gather(LDA.features, baselines.TEST_STRIDE, table.rows(fold.test, baselines.TEST_STRIDE))


class ScalerOnAll:
  """Standardises by mean and deviation of the training AND test windows."""
  transductive = False

  def predict(self, table, fold, seed):
    rows = table.rows(fold.train, LDA.train_stride)
    train_wf = table.gather(LDA.features, LDA.train_stride, rows)
    scale_f = np.concatenate([train_wf, _test_features(table, fold)]).std(0)
    label_w = table.segments['label'][table.windows(LDA.train_stride)[0][rows]]
    fitted = LDA.fit_features(train_wf / scale_f, label_w)
    return LDA.predict_features(fitted, table, fold, lambda rows: table.gather(
        LDA.features, baselines.TEST_STRIDE, rows) / scale_f)


class CodebookOnTest:
  """Codes are the nearest of 8 test windows."""
  transductive = False

  def predict(self, table, fold, seed):
    code_kf = _test_features(table, fold)[::-7][:8]

    def coded(x_wf):
      distance_wk = ((x_wf[:, None] - code_kf[None])**2).sum(-1)
      return np.concatenate([x_wf, np.eye(len(code_kf))[distance_wk.argmin(1)]], 1)

    rows = table.rows(fold.train, LDA.train_stride)
    label_w = table.segments['label'][table.windows(LDA.train_stride)[0][rows]]
    fitted = LDA.fit_features(coded(table.gather(LDA.features, LDA.train_stride, rows)), label_w)
    return LDA.predict_features(fitted, table, fold, lambda rows: coded(
        table.gather(LDA.features, baselines.TEST_STRIDE, rows)))


class StopsOnTest:
  """Takes the shrinkage that scores best on the test labels, as early stopping on the test set does."""
  transductive = False

  def predict(self, table, fold, seed):
    tried = [dataclasses.replace(LDA, shrinkage=s).predict(table, fold) for s in (0.0, 0.3, 0.9)]
    label = table.segments['label']
    return max(tried, key=lambda p: np.take_along_axis(
        p.window_log_prob, label[p.window_segment][:, None], 1).mean())


class GoesOn:
  """Adds what it learnt in earlier folds, as weights that are not drawn anew do."""
  transductive = False

  def __init__(self):
    self._seen = ()

  def predict(self, table, fold, seed):
    self._seen += fold.train
    rows = tuple(dict.fromkeys(self._seen))
    return LDA.predict(table, dataclasses.replace(fold, train=rows))


@pytest.mark.parametrize('make, found', [
    (ScalerOnAll, ['test data']), (CodebookOnTest, ['test data']), (StopsOnTest, ['test labels']),
    (GoesOn, ['carried over'])])
def test_a_planted_leak_is_found_and_named(make, found):
  """Catches: an audit that passes a scaler or codebook fitted on the test, a choice made there, or
  weights that went from fold to fold."""
  assert audit(make) == found


@pytest.mark.parametrize('name', sorted(baselines.BASELINES))
def test_no_baseline_leaks(name):
  """Catches: a baseline that does, and an audit that cries out at everything."""
  assert audit(lambda: dataclasses.replace(baselines.baseline(name), train_stride=26)) == []


def test_a_centred_baseline_sold_as_inductive_is_found():
  """Catches: a transductive method whose row would say that nothing of the target was used."""

  class Sold:
    transductive = False
    predict = staticmethod(baselines.baseline('lda-features-centred').predict)

  assert audit(Sold) == ['test data']


def test_a_subject_in_train_and_test_is_refused_by_the_harness():
  """Catches: folds made by hand, past the checks of `splits.loso`."""
  table = data_of(SEGMENTS['label'], np.zeros(len(SEGMENTS['label']), bool))
  leaky = dataclasses.replace(FOLDS[0], train=FOLDS[0].train + FOLDS[0].test[:1])
  run = lambda folds: protocols.evaluate(
      'lda', LDA, table, SEGMENTS, tiny_table.N_LABELS, protocols.ProtocolConfig('loso'), folds)
  with pytest.raises(ValueError, match="subject 's0' is in train and in test"):
    run((FOLDS[1], leaky))


def test_a_subject_tested_in_two_folds_is_refused_by_the_harness():
  """Catches: a subject that counts twice, once with a model that was trained on its neighbour's fold."""
  table = data_of(SEGMENTS['label'], np.zeros(len(SEGMENTS['label']), bool))
  twice = dataclasses.replace(FOLDS[1], name='again', train=FOLDS[1].train[::2])
  with pytest.raises(ValueError, match='is tested in more than one fold'):
    protocols.evaluate('lda', LDA, table, SEGMENTS, tiny_table.N_LABELS,
                       protocols.ProtocolConfig('loso'), (FOLDS[1], twice))


def test_a_row_without_its_test_rows_is_refused():
  """Catches: hard test recordings left out of the score."""
  fold = FOLDS[0]
  got = LDA.predict(data_of(SEGMENTS['label'], np.zeros(len(SEGMENTS['label']), bool)), fold)
  kept = results.Predictions(got.window_segment, got.window_start, got.window_log_prob,
                             got.segment_rows[1:], got.segment_log_prob[1:])
  with pytest.raises(ValueError, match='predictions.segment_rows'):
    results.check(kept, fold.test, tiny_table.N_LABELS)


@pytest.mark.heavy
def test_networks_do_not_leak():
  """Catches: a network that stops, scales, centres or starts on what it may not have seen: strictly
  inductive, and a closed form on a random encoder."""
  from aemg_jax.evaluation.transfer import TransferData
  from tests.evaluation.test_transfer import METHOD
  prepared = tiny_set.prepared()
  loud = _LoudRows(prepared)
  for method in (METHOD, dataclasses.replace(METHOD, tune='lda', whole_sentence=False)):
    def network_data(label_s, loud_s):
      segments = prepared.segments | {'label': label_s}
      labelled = dataclasses.replace(prepared, segments=segments)
      return TransferData({'fixed': loud.changed(labelled, loud_s)}, None)

    assert leakage.audit(lambda: method, network_data, prepared.segments,
                         splits.loso(prepared.segments, tiny_set.SUBJECTS)[1:]) == []


class _LoudRows:
  """Rectified signals and stored words of some segments, changed."""

  def __init__(self, prepared):
    self._prepared = prepared

  def changed(self, prepared, loud_s):
    return dataclasses.replace(prepared, rectified=_Rows(prepared.rectified, loud_s, 'signal_tc', None),
                               sentences=_Rows(prepared.sentences, loud_s, 'amplitude_n', 'segment'))


class _Rows:

  def __init__(self, rows, loud_s, field, segment):
    self._rows, self._loud_s, self._field, self._segment = rows, loud_s, field, segment

  def __len__(self):
    return len(self._rows)

  def read(self, rows):
    got = dict(self._rows.read(rows))
    segment_b = np.asarray(rows) if self._segment is None else got[self._segment]
    factor_b = np.where(self._loud_s[segment_b], 9, 1).astype(np.float32)
    got[self._field] = got[self._field] * factor_b.reshape(-1, *[1] * (got[self._field].ndim - 1))
    return got
