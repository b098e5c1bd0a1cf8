"""Alignment of montages: which turn and mirror image brings a wearer's electrodes into one frame.

The ways to wear a montage are few enough to try them all (`montage.elements`; METHOD section 5.2, a
discrete Procrustes). Here training wearers are placed by their labelled class means, and Gaussian
classes are fitted in their common frame; `placement` takes a new wearer there without labels. Letters
beyond the house's: g element, w window, d flattened frame (see `alignment_features`).
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from aemg_jax.data.alignment_features import Windows, flat, pairs

SHRINKAGE = 0.01
TEMPERATURE, LEAST_CONFIDENCE = 0.25, 0.9  # where there are too few wearers to measure them
_TINY = 1e-12


@dataclasses.dataclass(frozen=True, eq=False)
class Alignment:
  """A fitted frame: training wearers' elements, and Gaussian classes with one covariance.

  Attributes:
    perm_gc: [G, C] int32, see `montage.elements`.
    subject_s: names of the training wearers.
    element_s: [S] int32 rows of `perm_gc`.
    label_k: [K] int64 labels of the classes.
    mean_kd: [K, d] class means of aligned data, each wearer's own mean taken away.
    covariance_dd: [d, d] about the class means, shrunk.
    log_prior_k: [K] share of each class in the training windows.
    offset_d: [d] mean over wearers of their own means in the frame.
    outside_ff, outside_pair: density of an electrode (a pair) that falls out of the frame.
    temperature: posterior = softmax(temperature sqrt(W) score), from `placement.calibrated`.
    least_confidence: below it the likeliest element is not taken.
  """
  perm_gc: np.ndarray
  subject_s: np.ndarray
  element_s: np.ndarray
  label_k: np.ndarray
  mean_kd: np.ndarray
  covariance_dd: np.ndarray
  log_prior_k: np.ndarray
  offset_d: np.ndarray
  outside_ff: np.ndarray
  outside_pair: np.ndarray
  temperature: np.ndarray
  least_confidence: np.ndarray

  @property
  def usual(self) -> int:
    """The training wearers' most common element."""
    return int(np.bincount(self.element_s).argmax())

  def element_of(self, subject: str) -> int:
    """The element of a training wearer."""
    found = np.flatnonzero(self.subject_s == subject)
    if not found.size:
      raise ValueError(f'alignment: {subject!r} is no training subject, expected one of '
                       f'{self.subject_s.tolist()}')
    return int(self.element_s[found[0]])

  def to_arrays(self) -> dict[str, np.ndarray]:
    """Arrays of numbers alone, as checkpoints carry; names as code points [S, letters]."""
    found = {f.name: np.asarray(getattr(self, f.name)) for f in dataclasses.fields(self)}
    names = found['subject_s'].astype(str)
    return found | {'subject_s': names.view(np.uint32).reshape(len(names), -1)}

  @classmethod
  def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> 'Alignment':
    """The inverse of `to_arrays`; a missing or unknown field raises ValueError."""
    names = {f.name for f in dataclasses.fields(cls)}
    if set(arrays) != names:
      raise ValueError(f'alignment: got fields {sorted(arrays)}, expected {sorted(names)}')
    found = {k: np.asarray(v) for k, v in arrays.items()}
    letters_sl = np.ascontiguousarray(found['subject_s'], np.uint32)
    return cls(**found | {'subject_s': letters_sl.view(f'<U{letters_sl.shape[1]}')[:, 0]})


def fit(windows: Windows, label_w: np.ndarray, subject_w: np.ndarray, perm_gc: np.ndarray,
        iterations: int = 8, shrinkage: float = SHRINKAGE) -> Alignment:
  """Brings training wearers into one frame and fits the Gaussian classes there.

  Each wearer takes the element whose class means are nearest to the template (the mean over
  wearers of the aligned class means; squared distance over the places that are seen, each feature
  over its standard deviation), from identity to a fixed point or for `iterations`. A class that a
  wearer lacks counts nowhere for that wearer.

  Args:
    windows: of training wearers alone.
    label_w: [W] labels, -1 for none: such windows are in the wearer's mean only.
    subject_w: [W] name of the wearer: a subject, or a subject's session where bands were re-worn.
    perm_gc: ways to wear the montage.
    iterations: at most.
    shrinkage: s in covariance <- (1 - s) covariance + s tr / d I.
  """
  label_w, subject_w = np.asarray(label_w), np.asarray(subject_w).astype(str)
  if not (label_w >= 0).any():
    raise ValueError('alignment: label_w: no labelled window, expected some')
  if windows.site_wcf.shape[1] != perm_gc.shape[1]:
    raise ValueError(f'alignment: windows of {windows.site_wcf.shape[1]} channels, expected '
                     f'{perm_gc.shape[1]}')
  subject_s, wearer_w = np.unique(subject_w[label_w >= 0], return_inverse=True)
  own = [windows.take(subject_w == s).mean() for s in subject_s]
  used = windows.take(label_w >= 0)
  centred = Windows(*(np.nan_to_num(x - np.concatenate(m)[wearer_w])
                      for x, m in zip(used, zip(*own))))
  label_k, class_w = np.unique(label_w[label_w >= 0], return_inverse=True)
  means = _class_means(centred, class_w, wearer_w, len(label_k), len(subject_s))
  deviation = _deviation(centred)
  element_s = _nearest_elements(*means, deviation, perm_gc, iterations)
  mean_kd, covariance_dd = _gaussians(centred, class_w, wearer_w, perm_gc[element_s], len(label_k))
  size = len(covariance_dd)
  isotropic = max(np.trace(covariance_dd) / size, _TINY)
  covariance_dd = (1 - shrinkage) * covariance_dd + shrinkage * isotropic * np.eye(size)
  offset_sd = np.concatenate([flat(m, perm_gc[e]) for m, e in zip(own, element_s)])
  site_mf = centred.site_wcf.reshape(-1, centred.site_wcf.shape[-1]).astype(np.float64)
  outside_ff = np.atleast_2d(np.cov(site_mf.T, bias=True))  # shrunk alike, or falling out would pay
  outside_ff = (1 - shrinkage) * outside_ff + shrinkage * isotropic * np.eye(len(outside_ff))
  outside_pair = (1 - shrinkage) * deviation[-1]**2 + shrinkage * isotropic
  count_k = np.bincount(class_w, minlength=len(label_k))
  return Alignment(
      np.asarray(perm_gc), subject_s, element_s, label_k, mean_kd, covariance_dd,
      np.log(count_k / count_k.sum()), _column_mean(offset_sd), outside_ff,
      np.array(outside_pair), np.array(TEMPERATURE), np.array(LEAST_CONFIDENCE))


def _class_means(windows: Windows, class_w, wearer_w, classes: int, wearers: int):
  """Windows of [S * K] class means, 0 where a wearer lacks a class, and [S, K] which are there."""
  cell_w, cells = wearer_w * classes + class_w, wearers * classes
  count_m = np.bincount(cell_w, minlength=cells)
  parts = []
  for x in windows:
    total = np.zeros((cells, *x.shape[1:]))
    np.add.at(total, cell_w, x)
    parts.append(total / np.maximum(count_m, 1)[:, None, None])
  return Windows(*parts), (count_m > 0).reshape(wearers, classes)


def _deviation(windows: Windows) -> np.ndarray:
  """[F + 1] of site features over all places alike, so that none is preferred, and of all pairs."""
  row, column = pairs(windows.pair_wcc.shape[1])
  pair = np.sqrt(2) * windows.pair_wcc[:, row, column].std() if len(row) else 0.0
  return np.append(windows.site_wcf.std(axis=(0, 1)), pair)


def _nearest_elements(means: Windows, present_sk, deviation, perm_gc, iterations: int) -> np.ndarray:
  """[S] int32 elements at the fixed point, or after `iterations`."""
  wearers, classes = present_sk.shape
  channels = perm_gc.shape[1]
  scale_d = np.concatenate([np.tile(deviation[:-1], channels),
                            np.full(channels * (channels - 1) // 2, deviation[-1])])
  scale_d = np.where(scale_d > _TINY, scale_d, np.inf)
  element_s = np.zeros(wearers, np.int32)

  def turned(element: int, wearer: int) -> np.ndarray:
    mine = means.take(slice(wearer * classes, (wearer + 1) * classes))
    return np.where(present_sk[wearer, :, None], flat(mine, perm_gc[element]) / scale_d[None], np.nan)

  for _ in range(iterations):
    template_kd = _column_mean(np.stack([turned(e, s) for s, e in enumerate(element_s)]), np.nan)
    square_gs = np.array([[_mean_square(turned(g, s) - template_kd) for s in range(wearers)]
                          for g in range(len(perm_gc))])
    new_s = square_gs.argmin(axis=0).astype(np.int32)
    if np.array_equal(new_s, element_s):
      break
    element_s = new_s
  return element_s


def _mean_square(difference_kd: np.ndarray) -> float:
  """Over what both have; infinite where that is nothing."""
  both_kd = np.isfinite(difference_kd)
  return float((difference_kd[both_kd]**2).mean()) if both_kd.any() else np.inf


def _column_mean(x_wd: np.ndarray, empty: float = 0.0) -> np.ndarray:
  """Mean over the first axis of what is there."""
  there = np.isfinite(x_wd)
  total = np.where(there, x_wd, 0).sum(axis=0)
  return np.where(there.any(axis=0), total / np.maximum(there.sum(axis=0), 1), empty)


def _gaussians(windows: Windows, class_w, wearer_w, perm_sc, classes: int):
  """[K, d] class means and [d, d] covariance about them, from the places each window has."""
  aligned_wd = np.concatenate([flat(windows.take(wearer_w == s), perm_c)
                               for s, perm_c in enumerate(perm_sc)])
  class_w = np.concatenate([class_w[wearer_w == s] for s in range(len(perm_sc))])
  mean_kd = np.stack([_column_mean(aligned_wd[class_w == k]) for k in range(classes)])
  residual_wd = aligned_wd - mean_kd[class_w]
  there_wd = np.isfinite(residual_wd)
  residual_wd = np.where(there_wd, residual_wd, 0)
  if there_wd.all():
    return mean_kd, residual_wd.T @ residual_wd / len(residual_wd)
  count_dd = there_wd.astype(float).T @ there_wd
  covariance_dd = residual_wd.T @ residual_wd / np.maximum(count_dd, 1)
  value_d, vector_dd = np.linalg.eigh(covariance_dd)  # pairwise counts: may be indefinite
  value_d = np.maximum(value_d, SHRINKAGE * max(value_d.mean(), _TINY))
  return mean_kd, (vector_dd * value_d[None]) @ vector_dd.T
