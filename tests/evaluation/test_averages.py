"""Rows that average other rows' probabilities."""

import dataclasses

import numpy as np
import pytest

from aemg_jax.data import splits
from aemg_jax.evaluation import averages, results
from aemg_jax.evaluation.averages import Average
from aemg_jax.evaluation.results import Predictions
from tests import tiny_set


def _predictions(seed, order=None):
  """Two segments' windows with random probabilities, in any order."""
  rng = np.random.default_rng(seed)
  probability_wk = rng.dirichlet(np.ones(3), 6)
  whole = Predictions(np.repeat([3, 8], 3).astype(np.int32), np.tile([0, 5, 10], 2).astype(np.int32),
                      np.log(probability_wk).astype(np.float32), np.array([3, 8], np.int32), np.zeros((2, 3), np.float32))
  order = np.arange(6) if order is None else order
  return whole._replace(window_segment=whole.window_segment[order], window_start=whole.window_start[order],
                        window_log_prob=whole.window_log_prob[order]), probability_wk


def _rows(tmp_path, **uses):
  """Rows of two methods, the second without a choice of seeds, and their files."""
  segments = tiny_set.prepared().segments
  made = {('a', 0): _predictions(0)[0], ('a', 1): _predictions(1)[0], ('b', 0): _predictions(2, [5, 2, 4, 0, 3, 1])[0]}
  for (name, seed), predictions in made.items():
    results.save_predictions(results.predictions_file(tmp_path, 'loso', name, seed), predictions, segments)
  return [{'method': name, 'protocol': 'loso', 'seeds': seeds, 'uses_target': uses.get(name, 'none'),
           'transductive': uses.get(name, 'none') != 'none'} for name, seeds in (('a', [0, 1]), ('b', [0]))]


def test_probabilities_are_averaged_window_by_window(tmp_path):
  """Catches: log probabilities averaged, windows in another order, a seed that is taken for another."""
  rows = _rows(tmp_path)
  method, stored, seeds = averages.of_rows(Average('both', ('a', 'b')), rows, 'loso', tmp_path)
  assert seeds == (0, 1) and not method.transductive and not method.assumes
  fold = splits.Fold('x', (), (), (splits.Row(3, 'r', 0.0, 1.0),))
  for seed in seeds:
    got = method.predict(stored, fold, seed)
    want = (_predictions(seed)[1][:3] + _predictions(2)[1][:3]) / 2
    np.testing.assert_allclose(np.exp(got.window_log_prob), want, rtol=1e-5)
    assert got.window_start.tolist() == [0, 5, 10] and got.segment_rows.tolist() == [3]
    np.testing.assert_allclose(got.segment_log_prob[0], np.log(want).mean(0), rtol=1e-4)


def test_what_members_use_and_who_they_are_is_kept(tmp_path):
  """Catches: an average of a transductive row called inductive, a row kept though a member was run again."""
  rows = _rows(tmp_path, b='unlabelled + equal counts')
  method, _, _ = averages.of_rows(Average('both', ('a', 'b')), rows, 'loso', tmp_path)
  assert method.transductive and method.assumes == 'equal counts'
  results.save_predictions(results.predictions_file(tmp_path, 'loso', 'b', 0), _predictions(7)[0],
                           tiny_set.prepared().segments)
  again, _, _ = averages.of_rows(Average('both', ('a', 'b')), rows, 'loso', tmp_path)
  assert again.made_of[0] == method.made_of[0] and again.made_of[1] != method.made_of[1]
  assert dataclasses.replace(again, made_of=method.made_of) == method


def test_averages_that_cannot_be(tmp_path):
  """Catches: a member that is not there, other windows, an average of one."""
  rows = _rows(tmp_path)
  with pytest.raises(ValueError, match=r"'both': no row of \['c'\] under 'loso', expected it before"):
    averages.of_rows(Average('both', ('a', 'c')), rows, 'loso', tmp_path)
  with pytest.raises(ValueError, match='expected at least two names'):
    Average('one', ('a', 'a'))
  method, stored, _ = averages.of_rows(Average('both', ('a', 'b')), rows, 'loso', tmp_path)
  stored['b', 0] = stored['b', 0]._replace(window_start=stored['b', 0].window_start + 1)
  with pytest.raises(ValueError, match="'b' has other windows than 'a'"):
    method.predict(stored, splits.Fold('x', (), (), (splits.Row(3, 'r', 0.0, 1.0),)), 0)
