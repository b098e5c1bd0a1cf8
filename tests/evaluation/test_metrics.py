"""Scores against scikit-learn and hand-made numbers."""

import numpy as np
import pytest
from sklearn import metrics as sk

from aemg_jax.evaluation import metrics


def _guesses(seed=0, n=60, n_labels=4):
  rng = np.random.default_rng(seed)
  return rng.integers(0, n_labels, n), rng.integers(0, n_labels, n)


def test_confusion_has_the_truth_by_row():
  # Catches a transposed matrix: the report reads rows as truth.
  label, guess = _guesses()
  got = metrics.confusion(label, guess, 4)
  np.testing.assert_array_equal(got, sk.confusion_matrix(label, guess, labels=range(4)))
  assert metrics.confusion(np.array([0]), np.array([2]), 3)[0, 2] == 1


def test_macro_f1_is_scikit_learns_also_with_an_absent_label():
  # Catches an F1 of 0 or NaN for a label that nobody has, and a weighting by support.
  for seed in range(5):
    label, guess = _guesses(seed, n=25)
    got = metrics.macro_f1(metrics.confusion(label, guess, 6))
    assert got == pytest.approx(sk.f1_score(label, guess, average='macro'))


def test_accuracy():
  # Catches a percentage in place of a fraction.
  assert metrics.accuracy(np.array([0, 1, 2, 2]), np.array([0, 1, 2, 0])) == 0.75


def test_bootstrap_interval_is_that_of_the_mean_over_subjects():
  # Catches an interval of single values (far wider), of another level, or of another seed each run.
  value = np.random.default_rng(3).normal(0.7, 0.1, 17)
  low, high = metrics.bootstrap_interval(value)
  half = 1.96 * np.std(value) / np.sqrt(17)
  assert low == pytest.approx(value.mean() - half, abs=0.006)
  assert high == pytest.approx(value.mean() + half, abs=0.006)
  assert (low, high) == metrics.bootstrap_interval(value)
  assert (low, high) != metrics.bootstrap_interval(value, seed=1)
  assert metrics.bootstrap_interval([0.5]) == (0.5, 0.5)
  with pytest.raises(ValueError, match='no subjects'):
    metrics.bootstrap_interval([])


def test_paired_test_pairs_by_subject():
  # Catches pairing by position (the orders differ here) and a one-sided p.
  a = {f's{i}': 0.5 + 0.01 * i for i in range(10)}
  b = {s: a[s] - 0.001 * (1 + i) for i, s in reversed(list(enumerate(a)))}
  difference, p = metrics.paired_test(a, b)
  assert difference == pytest.approx(0.0055)
  assert p == pytest.approx(2 / 2 ** 10)  # all ten of one sign, exact and two-sided
  assert metrics.paired_test(a, a) == (0.0, 1.0)
  with pytest.raises(ValueError, match="subject 's3'"):
    metrics.paired_test(a, {s: v for s, v in b.items() if s != 's3'})
