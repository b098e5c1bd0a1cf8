"""Scores of predictions: accuracy, macro-F1, confusion, bootstrap intervals, paired tests.

All scores are fractions in [0, 1]. The unit of uncertainty is the subject, never the window.
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

BOOTSTRAP_DRAWS = 10_000


def accuracy(label: np.ndarray, predicted: np.ndarray) -> float:
  """Share of equal entries. No entries is an error of the caller's."""
  assert len(label) == len(predicted) and len(label) > 0
  return float(np.mean(np.asarray(label) == np.asarray(predicted)))


def confusion(label: np.ndarray, predicted: np.ndarray, n_labels: int) -> np.ndarray:
  """[K, K] int64 counts, true label by row, predicted by column."""
  counts_kk = np.zeros((n_labels, n_labels), np.int64)
  np.add.at(counts_kk, (np.asarray(label), np.asarray(predicted)), 1)
  return counts_kk


def macro_f1(counts_kk: np.ndarray) -> float:
  """Mean F1 of a confusion matrix over the labels that occur, as truth or as prediction.

  As scikit-learn's f1_score(average='macro') does, a label absent from both is left out.
  """
  hit_k = np.diag(counts_kk).astype(float)
  size_k = counts_kk.sum(0) + counts_kk.sum(1)
  present_k = size_k > 0
  return float(np.mean(2 * hit_k[present_k] / size_k[present_k]))


def bootstrap_interval(value_of_subject: Sequence[float], draws: int = BOOTSTRAP_DRAWS,
                       seed: int = 0, level: float = 0.95) -> tuple[float, float]:
  """Percentile interval of the mean over subjects, subjects drawn with replacement.

  Args:
    value_of_subject: one score per subject.
    draws: bootstrap samples.
    seed: of the draws; the interval is a pure function of the values and the seed.
    level: of the interval.
  """
  value = np.asarray(value_of_subject, float)
  if not value.size:
    raise ValueError('bootstrap: no subjects, expected at least one')
  pick = np.random.default_rng(seed).integers(0, value.size, (draws, value.size))
  low, high = np.quantile(value[pick].mean(1), ((1 - level) / 2, (1 + level) / 2))
  return float(low), float(high)


def paired_test(a_of_subject: dict[str, float],
                b_of_subject: dict[str, float]) -> tuple[float, float]:
  """(mean of a - b, two-sided p) by Wilcoxon's signed-rank test over the subjects.

  Zero differences are dropped (Wilcoxon's own rule); with none left p is 1.

  Raises:
    ValueError: the two do not have the same subjects.
  """
  if a_of_subject.keys() != b_of_subject.keys():
    odd = sorted(a_of_subject.keys() ^ b_of_subject.keys())
    raise ValueError(f'paired test: subject {odd[0]!r} has one score, expected two')
  difference = np.array([a_of_subject[s] - b_of_subject[s] for s in sorted(a_of_subject)])
  if not difference.any():
    return 0.0, 1.0
  return float(difference.mean()), float(stats.wilcoxon(difference, zero_method='wilcox').pvalue)
