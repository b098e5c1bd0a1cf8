"""Closed-form heads on vectors of single windows: a frozen encoder's, with classical features beside them.

A head is fitted once per fold on labelled windows, and may go on with unlabelled ones (`self_training`);
a repetition is the mean log probability of its windows. `shrinkage` says the same of the LDA and the ridge:
how much of tr(C) / D I is in the covariance.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np
from scipy import special
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import RidgeClassifier
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import StandardScaler

from aemg_jax.data import batches, montage, splits
from aemg_jax.evaluation import self_training, sentence_windows
from aemg_jax.evaluation.baselines import pool_windows
from aemg_jax.evaluation.results import Predictions
from aemg_jax.evaluation.self_training import Head, SelfTraining
from aemg_jax.evaluation.window_table import WindowTable
from aemg_jax.sentences.cache import Prepared
from aemg_jax.sentences.words import Words

LEAST_LOG_PROB = -80.0  # what a window may say at most against a label
MOST_WINDOWS = 80_000  # beside which a person's own are fitted: more than the labels of 17 people give
RIDGE_FLOOR = 0.01  # of the probability that a least-squares score stands for


def _lda(vector_wd: np.ndarray, label_w: np.ndarray, shrinkage: float) -> Head:
  """Gaussian classes of one covariance C <- (1 - s) C + s tr(C) / D I."""
  model = LinearDiscriminantAnalysis(solver='lsqr', shrinkage=shrinkage).fit(vector_wd, label_w)
  return Head(model.classes_, model.predict_log_proba)


def _ridge(vector_wd: np.ndarray, label_w: np.ndarray, shrinkage: float) -> Head:
  """Least squares on one column of -1 and 1 a class: (1 + score) / 2 estimates the class's probability.

  The scores of all classes sum to 2 - K, so these estimates sum to 1 before the floor.
  """
  penalty = shrinkage / (1 - shrinkage) * len(label_w) * vector_wd.var(0, dtype=np.float64).mean()
  model = RidgeClassifier(alpha=penalty).fit(vector_wd, label_w)

  def log_prob(vector_wd):
    share_wk = (1 + model.decision_function(vector_wd)) / 2
    if share_wk.ndim == 1:  # two classes: one score, of the second
      share_wk = np.stack([1 - share_wk, share_wk], 1)
    share_wk = np.maximum(share_wk, RIDGE_FLOOR)
    return np.log(share_wk / share_wk.sum(1, keepdims=True))

  return Head(model.classes_, log_prob)


def _prototypes(vector_wd: np.ndarray, label_w: np.ndarray, shrinkage: float) -> Head:
  """The nearest class mean, each column in units of its deviation within classes. No shrinkage."""
  del shrinkage
  model = NearestCentroid().fit(vector_wd, label_w)

  def log_prob(vector_wd):
    score_wk = model.decision_function(vector_wd)  # minus squared distances
    if score_wk.ndim == 1:  # two classes: the second's less the first's
      score_wk = np.stack([np.zeros_like(score_wk), score_wk], 1)
    return special.log_softmax(score_wk / 2, axis=1)

  return Head(model.classes_, log_prob)


HEADS: dict[str, Callable[[np.ndarray, np.ndarray, float], Head]] = {
    'lda': _lda,
    'ridge': _ridge,
    'prototypes': _prototypes,
}


@dataclasses.dataclass(frozen=True)
class WindowVectors:
  """What a head reads of a window.

  Attributes:
    prepared: the set.
    embed: words with leading b -> [b, d].
    features: names of `signal.features.FEATURES` put beside that; () is none.
    table: gives them, in the device's unit. They are centred and turned as the words are.
  """
  prepared: Prepared
  embed: Callable[[Words], np.ndarray]
  features: tuple[str, ...] = ()
  table: WindowTable | None = None

  def __call__(self, rows: Sequence[splits.Row], centre: batches.Centre,
               stride: int = sentence_windows.STRIDE,
               window_samples: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[W] segment, [W] first sample and [W, D] vector of all windows of crops; 0 samples are a slot's."""
    segment_w, start_w, vector_wd = sentence_windows.map_windows(
        self.prepared, rows, centre, self.embed, stride, window_samples)
    if not self.features:
      return segment_w, start_w, vector_wd
    if self.table is None:
      raise ValueError(f'TransferMethod.features: got {self.features!r} without a table of windows, '
                       'expected TransferData.table')
    table = self.table.of_length(window_samples) if window_samples else self.table
    index_w = table.rows(rows, stride)
    table_segment_w, table_start_w = (column[index_w] for column in table.windows(stride))
    if not (np.array_equal(table_segment_w, segment_w) and np.array_equal(table_start_w, start_w)):
      raise ValueError(f'{self.prepared.path}: the table of windows is of another set or window length')
    feature_wf = table.gather(self.features, stride, index_w, centre.transductive)
    feature_wf = self._turned(table, feature_wf, segment_w, centre)
    return segment_w, start_w, np.concatenate([vector_wd, feature_wf], 1)

  def _turned(self, table: WindowTable, feature_wf: np.ndarray, segment_w: np.ndarray,
              centre: batches.Centre) -> np.ndarray:
    """Features with each session's channels in the frame; a turn that leaves a place empty is left out."""
    worn = centre.worn
    if centre.element_s is None or (montage.elements(worn) == montage.ABSENT).any():
      return feature_wf
    element_w = centre.element_s[np.asarray(self.prepared.segments['session_index'])[segment_w]]
    real_c = np.flatnonzero(worn.valid_c)  # padding is not in the table
    turned_wf = np.empty_like(feature_wf)
    for element in np.unique(element_w):
      perm_c = np.searchsorted(real_c, montage.elements(worn)[element][real_c])
      mine = element_w == element
      turned_wf[mine] = feature_wf[mine][:, table.turned_columns(self.features, perm_c)]
    return turned_wf


def flat_words(words: Words) -> np.ndarray:
  """[b, n (F + 1)] log spectra and log amplitudes as they are: what an encoder is given."""
  b = len(words.valid_n)
  return np.concatenate([np.reshape(words.spectrum_nf, (b, -1)), np.asarray(words.amplitude_n)], 1)


def no_vector(words: Words) -> np.ndarray:
  """[b, 0], where classical features stand alone."""
  return np.zeros((len(words.valid_n), 0), np.float32)


@dataclasses.dataclass(frozen=True)
class FittedHead:
  """A head, what it reads and what it was fitted on: call it to predict.

  Attributes:
    vectors, copies: `WindowVectors`, or what takes and returns the same; copies are of augmented windows.
    fit_head: [W, D] vectors and [W] labels to a head.
    scaler: standardisation by the labelled windows, None for none.
    vector_wd, label_w: windows it was fitted on, labelled or `adapted` to.
    head: the fitted one.
  """
  vectors: Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]
  copies: tuple[Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]], ...]
  prepared: Prepared
  fit_head: Callable[[np.ndarray, np.ndarray], Head]
  scaler: StandardScaler | None
  vector_wd: np.ndarray
  label_w: np.ndarray
  head: Head

  def __call__(self, rows: Sequence[splits.Row], centre: batches.Centre, window_samples: int = 0) -> Predictions:
    """Predicts rows under any centre of their sessions, from shorter windows if it is told so."""
    segment_w, start_w, vector_wd = self.vectors(rows, centre, window_samples=window_samples)
    log_prob_wk = np.full((len(vector_wd), len(self.prepared.labels)), LEAST_LOG_PROB, np.float32)
    log_prob_wk[:, self.head.classes] = np.maximum(self.head.log_prob(self._scaled(vector_wd)), LEAST_LOG_PROB)
    segment_rows = np.unique([row.segment for row in rows]).astype(np.int32)
    return Predictions(segment_w, start_w, log_prob_wk, segment_rows,
                       pool_windows(log_prob_wk, segment_w, segment_rows, 'mean_log_prob'))

  def adapted(self, rows: Sequence[splits.Row], centre: batches.Centre, config: SelfTraining,
              teachers: Sequence[Predictions] = ()) -> 'FittedHead':
    """Fitted on unlabelled rows too, which then count as labelled; their labels are not read.

    Teachers are what other networks predict for them, and help to label.
    """
    half = half_slot(self.prepared)
    segment_u, _, vector_ud = self.vectors(rows, centre, half)
    copies_ud = [self._scaled(copy(rows, centre, half)[2]) for copy in self.copies]
    person_u = splits.column_keys(self.prepared.segments, 'subject')[segment_u]
    fitted = self_training.fit(self.fit_head, self.vector_wd, self.label_w, self._scaled(vector_ud), segment_u,
                               config, copies_ud, person_u, self._taught(teachers, segment_u))
    return dataclasses.replace(self, head=fitted.head, vector_wd=fitted.vector_vd, label_w=fitted.label_v)

  def each_adapted(self, rows: Sequence[splits.Row], centre: batches.Centre,
                   config: SelfTraining, teachers: Sequence[Predictions] = (),
                   ) -> list[tuple['FittedHead', tuple[splits.Row, ...]]]:
    """For every person of some rows, a head fitted on that person's unlabelled rows too, and the rows.

    Windows that it was fitted on are thinned where a pool made them many.
    """
    every = max(1, len(self.vector_wd) // MOST_WINDOWS)
    thinned = dataclasses.replace(self, vector_wd=self.vector_wd[::every], label_w=self.label_w[::every])
    person_r = splits.column_keys(self.prepared.segments, 'subject')[[row.segment for row in rows]]
    own = [tuple(row for row, mine in zip(rows, person_r == person) if mine) for person in np.unique(person_r)]
    return [(thinned.adapted(part, centre, config, teachers), part) for part in own]

  def _taught(self, teachers: Sequence[Predictions], segment_u: np.ndarray) -> np.ndarray | None:
    """[R, K] mean of the teachers' log probabilities over the head's labels, the repetitions sorted."""
    if not teachers:
      return None
    segment_r, parts = np.unique(segment_u), []
    for teacher in teachers:
      order = np.argsort(teacher.segment_rows)
      at_r = order[np.searchsorted(teacher.segment_rows[order], segment_r)]
      parts.append(teacher.segment_log_prob[at_r][:, self.head.classes])
    return np.mean(parts, axis=0)

  def _scaled(self, vector_wd: np.ndarray) -> np.ndarray:
    return vector_wd if self.scaler is None else self.scaler.transform(vector_wd)


def fit(name: str, shrinkage: float, vectors: WindowVectors, fold: splits.Fold, centre: batches.Centre,
        copies: Sequence[WindowVectors] = ()) -> FittedHead:
  """Fits a head of HEADS on the fold's train and calibration windows, half a slot apart.

  With both, the calibration windows are repeated to weigh as much as the source. With classical
  features every column is standardised by the training windows: shrinkage knows no units. `copies`
  are vectors of augmented windows, which train beside those of the windows as they are.
  """
  prepared = vectors.prepared
  parts = [[each(rows, centre, half_slot(prepared)) for each in (vectors, *copies)]
           for rows in (fold.train, fold.calibration) if rows]
  weight = [1] * len(parts)
  if len(parts) == 2:
    weight[1] = max(1, round(len(parts[0][0][0]) / len(parts[1][0][0])))
  chosen = [part for own, times in zip(parts, weight) for part in own * times]
  label_w = prepared.segments['label'][np.concatenate([part[0] for part in chosen])]
  vector_wd = np.concatenate([part[2] for part in chosen])
  scaler = StandardScaler().fit(vector_wd) if vectors.features else None
  vector_wd = vector_wd if scaler is None else scaler.transform(vector_wd)
  fit_head = functools.partial(HEADS[name], shrinkage=shrinkage)
  head = fit_head(vector_wd, label_w)
  return FittedHead(vectors, tuple(copies), prepared, fit_head, scaler, vector_wd, label_w, head)


def half_slot(prepared: Prepared) -> int:
  """Samples between the windows that heads are fitted on."""
  return prepared.config.word.slot_samples // 2
