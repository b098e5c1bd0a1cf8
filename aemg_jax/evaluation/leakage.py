"""Looks for leaks in a method by what it predicts: no view of its code is needed.

    test labels   predictions may not change when the labels of the test rows do (early stopping, a
                  choice of settings on the test set)
    test data     strictly inductive: the predictions of one test recording may not change when the
                  others do (a scaler, a codebook or a mean fitted on all)
    carried over  predictions of a fold may not depend on the folds that ran before (weights that go on)

Who trains and who is tested is checked apart, by `splits.check_fold` and `results.concatenate`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from aemg_jax.data import splits
from aemg_jax.evaluation import results


def audit(make: Callable[[], Any], data_of: Callable[[np.ndarray, np.ndarray], Any],
          segments: splits.Segments, folds: Sequence[splits.Fold], seed: int = 0) -> list[str]:
  """The leaks that were found, as lines; [] where there are none.

  Args:
    make: a method as it is before its first fold; it must be deterministic.
    data_of: (label_s, loud_s) -> the data that the method takes, with those labels [S] and the
      recordings where loud_s [S] is True changed beyond recognition.
    segments: the table.
    folds: at least two, of which the last is tried.
    seed: of the method.
  """
  if len(folds) < 2:
    raise ValueError(f'audit: {len(folds)} folds, expected at least 2')
  label_s, quiet_s = np.asarray(segments['label']), np.zeros(len(segments['label']), bool)
  *before, fold = folds
  plain = make().predict(data_of(label_s, quiet_s), fold, seed)
  found = []
  test_rows = np.unique([row.segment for row in fold.test])
  turned_s = label_s.copy()
  known = np.unique(label_s[label_s >= 0])
  turned_s[test_rows] = known[(np.searchsorted(known, label_s[test_rows]) + 1) % len(known)]
  if _differ(plain, make().predict(data_of(turned_s, quiet_s), fold, seed), test_rows):
    found.append('test labels: predictions change with the labels of the test rows')
  if not getattr(make(), 'transductive', False):
    loud_s = quiet_s.copy()
    loud_s[test_rows[1::2]] = True  # of every session some
    loud = make().predict(data_of(label_s, loud_s), fold, seed)
    if _differ(plain, loud, test_rows[::2]):
      found.append('test data: predictions of a recording change with other test recordings, '
                   'of a method that says it is inductive')
  used = make()
  for earlier in before:
    used.predict(data_of(label_s, quiet_s), earlier, seed)
  if _differ(plain, used.predict(data_of(label_s, quiet_s), fold, seed), test_rows):
    found.append('carried over: predictions change with the folds that ran before')
  return found


def _differ(a: results.Predictions, b: results.Predictions, rows: np.ndarray) -> bool:
  """Whether any score of some segments differs by a bit."""
  of_window, of_segment = np.isin(a.window_segment, rows), np.isin(a.segment_rows, rows)
  return not (np.array_equal(a.window_log_prob[of_window], b.window_log_prob[of_window])
              and np.array_equal(a.segment_log_prob[of_segment], b.segment_log_prob[of_segment]))
