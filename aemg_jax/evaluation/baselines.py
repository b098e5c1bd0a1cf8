"""Linear discriminant analysis on classical features: the baselines to beat (METHOD 4 and 5.6)."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from aemg_jax.data import splits
from aemg_jax.evaluation.results import Predictions
from aemg_jax.evaluation.window_table import WindowTable

TEST_STRIDE = 5
_POOLS = ('majority', 'mean_log_prob')


class FittedLda(NamedTuple):
  """Everything that was learnt from labelled windows.

  Attributes:
    shift_f, scale_f: [F] standardisation; 0 and 1 where there is none.
    model: the fitted scikit-learn LDA.
  """
  shift_f: np.ndarray
  scale_f: np.ndarray
  model: LinearDiscriminantAnalysis

  def log_prob(self, feature_wf: np.ndarray) -> np.ndarray:
    """[W, classes] log posterior. scikit-learn's own ends at log 1e-308, where all windows tie."""
    feature_wf = (feature_wf - self.shift_f[None]) / self.scale_f[None]
    score_wk = feature_wf @ self.model.coef_.T + self.model.intercept_[None]
    if score_wk.shape[1] == 1:  # two classes: one score, of the second against the first
      score_wk = np.concatenate([np.zeros_like(score_wk), score_wk], 1)
    return special.log_softmax(score_wk, axis=1)


@dataclasses.dataclass(frozen=True)
class LdaBaseline:
  """scikit-learn's LDA (solver lsqr) on windowed features.

  Attributes:
    features: names of `aemg_jax.signal.features.FEATURES`, side by side.
    shrinkage: C <- (1 - s) C + s tr(C) / F I on the pooled covariance.
    standardise: by mean and deviation of the labelled windows that train.
    centre: subtract the mean of each subject-session, which for the target is unlabelled test
      data: transductive.
    train_stride: in samples; tested at a stride of 5.
    pool: a segment's score, 'majority' of its windows or 'mean_log_prob' over them.
  """
  features: tuple[str, ...]
  shrinkage: float
  standardise: bool = False
  centre: bool = False
  train_stride: int = 5
  pool: str = 'majority'

  def __post_init__(self):
    if self.pool not in _POOLS:
      raise ValueError(f'LdaBaseline.pool: got {self.pool!r}, expected one of {_POOLS}')

  @property
  def transductive(self) -> bool:
    """Uses unlabelled data of the tested session."""
    return self.centre

  def fit(self, table: WindowTable, fold: splits.Fold) -> FittedLda:
    """Fits on the fold's train windows and its calibration windows.

    With both, the calibration windows are repeated to weigh as much as the source.
    """
    source = table.rows(fold.train, self.train_stride)
    target = table.rows(fold.calibration, self.train_stride)
    if fold.calibration and not target.size:
      raise ValueError(f'fold {fold.name!r}: the calibration holds no window of '
                       f'{table.window_samples} samples')
    if source.size and target.size:
      target = np.tile(target, max(1, round(source.size / target.size)))
    rows = np.concatenate([source, target])
    label = np.asarray(table.segments['label'])[table.windows(self.train_stride)[0][rows]]
    if len(np.unique(label)) < 2:
      raise ValueError(f'fold {fold.name!r}: the training windows have {len(np.unique(label))} '
                       'labels, expected at least 2')
    return self.fit_features(table.gather(self.features, self.train_stride, rows, self.centre), label)

  def fit_features(self, feature_wf: np.ndarray, label_w: np.ndarray) -> FittedLda:
    """Fits on features that are centred as they are to be."""
    shift_f = np.zeros(feature_wf.shape[1])
    scale_f = np.ones(feature_wf.shape[1])
    if self.standardise:
      shift_f, deviation_f = feature_wf.mean(0), feature_wf.std(0)
      scale_f = np.where(deviation_f > 0, deviation_f, 1.0)
      feature_wf = (feature_wf - shift_f[None]) / scale_f[None]
    model = LinearDiscriminantAnalysis(solver='lsqr', shrinkage=self.shrinkage)
    return FittedLda(shift_f, scale_f, model.fit(feature_wf, label_w))

  def predict(self, table: WindowTable, fold: splits.Fold, seed: int = 0) -> Predictions:
    """Fits and predicts the fold's test rows; the seed changes nothing."""
    del seed
    return self.predict_features(
        self.fit(table, fold), table, fold,
        lambda rows: table.gather(self.features, TEST_STRIDE, rows, self.centre))

  def predict_lengths(self, table: WindowTable, fold: splits.Fold, seed: int,
                      short_samples: Sequence[int]) -> tuple[Predictions, ...]:
    """`predict` from the table's windows, then from shorter ones, fitted on each length anew."""
    tables = (table, *(table.of_length(n) for n in short_samples))
    return tuple(self.predict(of_length, fold, seed) for of_length in tables)

  def predict_features(self, fitted: FittedLda, table: WindowTable, fold: splits.Fold,
                       gather: Callable[[np.ndarray], np.ndarray]) -> Predictions:
    """Predicts the fold's test rows; `gather` gives the features of rows of the table."""
    rows = table.rows(fold.test, TEST_STRIDE)
    segment_w, start_w = (values[rows] for values in table.windows(TEST_STRIDE))
    log_prob_wk = np.full((rows.size, table.n_labels), -np.inf)  # for labels that did not train
    log_prob_wk[:, fitted.model.classes_] = fitted.log_prob(gather(rows))
    segment_rows = np.unique([row.segment for row in fold.test]).astype(np.int32)
    silent = np.setdiff1d(segment_rows, segment_w)
    if silent.size:
      raise ValueError(f'{table.segments["record_id"][silent[0]]}: test segment holds no window of '
                       f'{table.window_samples} samples')
    return Predictions(segment_w, start_w, log_prob_wk.astype(np.float32), segment_rows,
                       pool_windows(log_prob_wk, segment_w, segment_rows, self.pool))


def pool_windows(log_prob_wk: np.ndarray, segment_w: np.ndarray, segment_rows: np.ndarray,
                 pool: str) -> np.ndarray:
  """Window scores -> one score per segment.

  Args:
    log_prob_wk: [W, K].
    segment_w: [W] segment of each window.
    segment_rows: [R] segments, each with at least one window.
    pool: 'mean_log_prob', or 'majority': the log of the share of votes, where equal votes are told
      apart by the mean probability (it weighs one vote in all).

  Returns:
    [R, K] float32.
  """
  assert pool in _POOLS
  order = np.searchsorted(segment_rows, segment_w)
  count_r = np.bincount(order, minlength=len(segment_rows))[:, None]
  pooled_rk = np.zeros((len(segment_rows), log_prob_wk.shape[1]))
  if pool == 'mean_log_prob':
    np.add.at(pooled_rk, order, log_prob_wk)
    return (pooled_rk / count_r).astype(np.float32)
  np.add.at(pooled_rk, order, np.exp(log_prob_wk))
  pooled_rk /= count_r
  np.add.at(pooled_rk, (order, log_prob_wk.argmax(1)), 1.0)
  return np.log(np.maximum(pooled_rk / (count_r + 1), np.finfo(np.float32).tiny)).astype(np.float32)


_SECTION_5 = ('log_hudgins', 'log_bands', 'log_covariance')

BASELINES: dict[str, LdaBaseline] = {
    'lda-hudgins': LdaBaseline(('hudgins',), 0.001),
    'lda-hudgins-standardised': LdaBaseline(('hudgins',), 0.001, standardise=True),
    'lda-log-hudgins': LdaBaseline(('log_hudgins',), 0.001),
    'lda-ls4': LdaBaseline(('ls4',), 0.001),
    'lda-features': LdaBaseline(_SECTION_5, 0.01, train_stride=26, pool='mean_log_prob'),
    'lda-features-centred': LdaBaseline(
        _SECTION_5, 0.01, centre=True, train_stride=26, pool='mean_log_prob'),
}


def baseline(name: str) -> LdaBaseline:
  """The baseline of that name, or ValueError listing the known ones."""
  if name not in BASELINES:
    raise ValueError(f'baseline: got {name!r}, expected one of {sorted(BASELINES)}')
  return BASELINES[name]
