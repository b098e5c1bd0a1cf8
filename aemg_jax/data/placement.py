"""Where a new wearer's montage stands in a fitted frame, from unlabelled windows, and how sure that is.

Every element is scored by the likelihood of the windows under the frame's Gaussian classes. The
posterior is tempered: windows of one contraction say nearly the same, so evidence grows with the
square root of their number. Temperature and least confidence come from the training wearers alone,
each held out in turn (`calibrated`).

Measured on MyoArmband's 19 pre-training subjects, each held out of the frame in turn, two stretches a
length (temperature from the same 19): of stretches of 2, 5, 10, 20, 35, 60 and 140 s 0, 11, 32, 82, 87,
95 and 95 % were accepted, none wrongly; at 0.8 it was 0, 16, 53, 89, 97, 97 and 95 %, one wrongly.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize, special

from aemg_jax.data import alignment, montage
from aemg_jax.data.alignment import Alignment
from aemg_jax.data.alignment_features import (
    Windows, flat, pairs, seen, window_features)
from aemg_jax.sentences.words import Words

PRIOR_WINDOWS = 46.0  # 12 s: what the training wearers' mean weighs; chosen on MyoArmband's 19
LEAST_WEARERS = 4  # fewer cannot calibrate
MOST_WINDOWS = 600  # of a wearer, in time order, that calibrate: 156 s of slots
_SHARES = (0.02, 0.05, 0.1, 0.2, 0.4, 1.0)  # of a held-out wearer's windows, from two starts
_CONFIDENCES = (0.9, 0.95, 0.98, 0.99)  # a wrong mirror image costs far more than none
_RISK = 0.02  # share of accepted placements that may be wrong
NEVER = 2.0


class Placement(NamedTuple):
  """How a wearer's montage is worn.

  Attributes:
    element: row of the model's `perm_gc`; the training wearers' usual one if refused.
    confidence: posterior probability of the likeliest element.
    margin: nats per window over the second.
    refused: the confidence was below the model's least.
  """
  element: int
  confidence: float
  margin: float
  refused: bool


class _Frame:
  """Log density of windows under an element, all factorisations made once."""

  def __init__(self, model: Alignment):
    self._model = model
    self._factor = functools.lru_cache(maxsize=None)(self._factorise)
    lower_ff = np.linalg.cholesky(model.outside_ff)
    self._outside = np.linalg.inv(lower_ff).T, 2 * np.log(np.diag(lower_ff)).sum()

  def _factorise(self, seen_bytes: bytes):
    model = self._model
    seen_d = np.frombuffer(seen_bytes, bool)
    lower_dd = np.linalg.cholesky(model.covariance_dd[np.ix_(seen_d, seen_d)])
    whiten_dd = np.linalg.inv(lower_dd).T
    return whiten_dd, model.mean_kd[:, seen_d] @ whiten_dd, 2 * np.log(np.diag(lower_dd)).sum()

  def log_joint(self, windows: Windows, own: Windows, weight: float, element: int) -> np.ndarray:
    """[W, K] log p(window, class), up to a constant that all elements share.

    Args:
      windows: of one wearer.
      own: the wearer's mean.
      weight: of it against the training wearers' mean.
      element: row of perm_gc.
    """
    model, perm_c = self._model, self._model.perm_gc[element]
    seen_d = seen(perm_c, windows.site_wcf.shape[-1])
    whiten_dd, mean_kd, log_det = self._factor(seen_d.tobytes())
    own_d = np.where(np.isfinite(own_d := flat(own, perm_c)[0]), own_d, model.offset_d)
    centre_d = weight * own_d + (1 - weight) * model.offset_d
    x_wd = np.nan_to_num((flat(windows, perm_c) - centre_d[None])[:, seen_d]) @ whiten_dd
    square_wk = (x_wd**2).sum(1, keepdims=True) - 2 * x_wd @ mean_kd.T + (mean_kd**2).sum(1)[None]
    log_wk = model.log_prior_k[None] - (square_wk + log_det) / 2
    return log_wk + self._log_outside(windows, own, weight, perm_c)[:, None]

  def _log_outside(self, windows: Windows, own: Windows, weight: float, perm_c) -> np.ndarray:
    """[W] electrodes that come to no place, as any electrode; their pairs as any pair."""
    out_c = np.setdiff1d(np.arange(len(perm_c)), perm_c)
    if not len(out_c):
      return np.zeros(len(windows.site_wcf))
    (whiten_ff, log_det), features = self._outside, windows.site_wcf.shape[-1]
    usual_f = self._model.offset_d[:len(perm_c) * features].reshape(-1, features).mean(axis=0)
    centre_cf = weight * np.nan_to_num(own.site_wcf[0, out_c]) + (1 - weight) * usual_f[None]
    site_wcf = np.nan_to_num(windows.site_wcf[:, out_c] - centre_cf[None]) @ whiten_ff
    row, column = pairs(len(perm_c))
    lost_p = np.isin(row, out_c) | np.isin(column, out_c)
    pair_wp = np.sqrt(2) * (windows.pair_wcc - own.pair_wcc)[:, row[lost_p], column[lost_p]]
    square_w = (site_wcf**2).sum((1, 2)) + (np.nan_to_num(pair_wp)**2).sum(1) / self._model.outside_pair
    return -(square_w + len(out_c) * log_det + lost_p.sum() * np.log(self._model.outside_pair)) / 2


def scores(model: Alignment, windows: Windows, label_w: np.ndarray | None = None, joint: bool = False) -> np.ndarray:
  """[G] mean log-likelihood per window of each element.

  Turning the montage only permutes these numbers where no electrode falls out of the frame.

  Args:
    model: a fitted frame.
    windows: of one wearer; their mean is taken away, shrunk towards the training wearers'.
    label_w: with labels the mean log probability of the window's own class in place of the likelihood.
    joint: with labels, the likelihood of window and class together.
  """
  if not len(windows.site_wcf) or windows.site_wcf.shape[1] != model.perm_gc.shape[1]:
    raise ValueError(f'alignment: windows: got shape {windows.site_wcf.shape}, expected some '
                     f'of {model.perm_gc.shape[1]} channels')
  frame, own = _Frame(model), windows.mean()
  weight = len(windows.site_wcf) / (len(windows.site_wcf) + PRIOR_WINDOWS)
  score_g = []
  for element in range(len(model.perm_gc)):
    log_wk = frame.log_joint(windows, own, weight, element)
    top_w1 = log_wk.max(axis=1, keepdims=True)  # scipy's logsumexp is ten times slower
    total_w = top_w1[:, 0] + np.log(np.exp(log_wk - top_w1).sum(axis=1))
    if label_w is None:
      score_g.append(total_w.mean())
    else:
      own_w = np.searchsorted(model.label_k, label_w)
      score_g.append((log_wk[np.arange(len(log_wk)), own_w] - (0 if joint else total_w)).mean())
  return np.array(score_g)


def posterior(model: Alignment, score_g: np.ndarray, windows: int) -> np.ndarray:
  """[G] softmax(temperature sqrt(windows) score): windows of a held gesture are not independent."""
  return special.softmax(model.temperature * np.sqrt(windows) * score_g)


def place(model: Alignment, windows: Windows, least_confidence: float | None = None,
          label_w: np.ndarray | None = None) -> Placement:
  """The element under which windows of one wearer are likeliest, or their labels if they are known.

  Differs from METHOD 5.2: an unsure call is not made. Below the least confidence the wearer gets
  the training wearers' most common element, since a wrong mirror image costs far more than none.

  Args:
    model: a fitted frame.
    windows: of the wearer, of all classes alike and any length.
    least_confidence: None takes the model's; 0 always takes the likeliest.
    label_w: labels of the frame's classes; None for unlabelled windows.
  """
  least = model.least_confidence if least_confidence is None else least_confidence
  if len(model.perm_gc) == 1:
    return Placement(0, 1.0, 0.0, False)
  score_g = scores(model, windows, label_w, joint=True)
  order = np.argsort(-score_g, kind='stable')
  confidence = float(posterior(model, score_g, len(windows.site_wcf))[order[0]])
  refused = bool(confidence < least)
  return Placement(model.usual if refused else int(order[0]), confidence,
                   float(score_g[order[0]] - score_g[order[1]]), refused)


class Online:
  """Places a wearer while data arrive: the posterior over all windows so far, until one is sure."""

  def __init__(self, model: Alignment, most_windows: int = 2048):
    """A model, and after how many windows the placement is settled either way."""
    self._model, self._most = model, most_windows
    self._parts: list[Windows] = []
    self.placement = Placement(model.usual, 0.0, 0.0, True)
    self.windows = 0

  @property
  def decided(self) -> bool:
    """Whether later windows change nothing."""
    return not self.placement.refused or self.windows >= self._most

  def add(self, windows: Windows) -> Placement:
    """More windows, in time order; returns the placement as it stands."""
    if not self.decided and len(windows.site_wcf):
      self._parts.append(windows)
      self.windows += len(windows.site_wcf)
      self.placement = place(self._model, Windows(*map(np.concatenate, zip(*self._parts))))
    return self.placement


def calibrated(model: Alignment, windows: Windows, label_w: np.ndarray,
               subject_w: np.ndarray) -> Alignment:
  """The model with the temperature and the least confidence that its training wearers ask for.

  Each wearer is held out in turn, the frame is fitted on the others, and stretches of several
  lengths are placed without labels. Right is the element under which the frame's classes predict the
  labels of all the wearer's windows best. (Artificial turns add nothing: they permute the scores.)
  The temperature maximises the posterior of the right elements; the least confidence is the lowest
  at which at most 2 % of the accepted stretches are wrong, and NEVER where there is none.

  Args:
    model: `alignment.fit` of the same windows.
    windows, label_w, subject_w: of the training wearers, each in time order; the first MOST_WINDOWS
      of each are used.
  """
  if len(model.perm_gc) == 1 or len(model.subject_s) < LEAST_WEARERS:
    return model
  subject_w = np.asarray(subject_w).astype(str)
  first = np.concatenate([np.flatnonzero(subject_w == s)[:MOST_WINDOWS] for s in model.subject_s])
  windows, label_w, subject_w = windows.take(first), np.asarray(label_w)[first], subject_w[first]
  cases = []
  for subject in model.subject_s:
    mine_w = subject_w == subject
    rest = alignment.fit(windows.take(~mine_w), label_w[~mine_w], subject_w[~mine_w], model.perm_gc)
    cases += _held_out(rest, windows.take(mine_w), label_w[mine_w])
  root_m1 = np.sqrt([[count] for count, _, _ in cases])
  score_mg = np.stack([score_g for _, score_g, _ in cases]) * root_m1
  right_m = np.array([right for _, _, right in cases])
  rows = np.arange(len(cases))

  def surprise(log_temperature: float) -> float:
    return -special.log_softmax(np.exp(log_temperature) * score_mg, axis=1)[rows, right_m].mean()

  temperature = np.exp(optimize.minimize_scalar(surprise, bounds=(-7, 1), method='bounded').x)
  confidence_m = special.softmax(temperature * score_mg, axis=1).max(axis=1)
  wrong_m = score_mg.argmax(axis=1) != right_m
  least = next((c for c in _CONFIDENCES if (confidence_m >= c).any() and
                wrong_m[confidence_m >= c].mean() <= _RISK), NEVER)
  return dataclasses.replace(model, temperature=np.array(temperature), least_confidence=np.array(least))


def _held_out(model: Alignment, windows: Windows, label_w: np.ndarray):
  """[(windows, score_g, right element)] of stretches of one wearer."""
  known_w = np.isin(label_w, model.label_k)
  if not known_w.any():
    return []
  right = int(scores(model, windows.take(known_w), label_w[known_w]).argmax())
  n, found = len(label_w), []
  for share in _SHARES:
    count = max(1, round(share * n))
    for start in {0, n // 3} if count < n else {0}:
      stretch = windows.take((start + np.arange(count)) % n)
      found.append((count, scores(model, stretch), right))
  return found


def fit_and_place(words: Words, label_b: np.ndarray, subject_b: Sequence[str], train_b: np.ndarray,
                  worn: montage.Montage, iterations: int = 8,
                  least_confidence: float | None = None) -> tuple[Alignment, dict[str, Placement]]:
  """The frame of a fold's training wearers, and every other wearer's place in it.

  Args:
    words: leading b; training and held-out sentences together.
    label_b: [b]; read where `train_b` is True alone.
    subject_b: [b] name of the wearer.
    train_b: [b] the sentence may give labels and statistics.
    worn: the montage of all of them.
    iterations: see `alignment.fit`.
    least_confidence: None takes the one that the training wearers ask for.

  Returns:
    The frame, fitted on `train_b` alone, and {held-out wearer: Placement}.
  """
  windows, sentence_w = window_features(words, worn.channels)
  subject_w, train_w = np.asarray(subject_b)[sentence_w], np.asarray(train_b)[sentence_w]
  train = windows.take(train_w), np.asarray(label_b)[sentence_w][train_w], subject_w[train_w]
  model = alignment.fit(*train, montage.elements(worn), iterations)
  if least_confidence is None:
    model = calibrated(model, *train)
  others = np.setdiff1d(subject_w[~train_w], model.subject_s)
  return model, {
      str(s): place(model, windows.take(subject_w == s), least_confidence) for s in others}
