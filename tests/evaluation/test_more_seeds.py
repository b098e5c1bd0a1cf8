"""A row that gets more seeds later."""

import pytest

from aemg_jax.evaluation import evaluate, results
from aemg_jax.evaluation.baselines import LdaBaseline
from aemg_jax.evaluation.delays import DelayConfig
from tests import tiny_set


@pytest.mark.heavy
def test_seeds_that_are_there_are_not_run_again(tmp_path, monkeypatch):
  """Catches: seeds run twice, a seed of other settings taken over, a row that hides which code made a seed."""
  prepared, ran = tiny_set.prepared(), []
  protocol = evaluate.protocols.ProtocolConfig(kind='loso')
  folds = evaluate.protocols.make_folds(prepared.segments, protocol)
  table, rows = evaluate._window_table(prepared), []

  class Seeded(LdaBaseline):
    def predict(self, data, fold, seed=0):
      ran.append(seed)
      found = super().predict(data, fold, seed)
      return found._replace(window_log_prob=found.window_log_prob - seed)

  def run(seeds, commit, shrinkage=0.001):
    monkeypatch.setattr(results, 'git_commit', lambda: commit)
    method = Seeded(('log_hudgins',), shrinkage)
    evaluate._one(rows, tmp_path, prepared, DelayConfig(()), protocol, folds, 'lda', method, table, seeds, None)
    return rows[0]
  assert 'commits' not in run((0,), 'old')
  row = run((0, 1), 'new')
  assert ran == [0] * 3 + [1] * 3 and row['seeds'] == [0, 1] and len(rows) == 1
  assert row['commit'] == 'new' and row['commits'] == {'0': 'old'}
  assert run((0, 1, 2), 'newest')['commits'] == {'0': 'old', '1': 'new'} and ran[6:] == [2] * 3
  first, second = (results.load_predictions(results.predictions_file(tmp_path, 'loso', 'lda', s)) for s in (0, 1))
  assert (first.window_log_prob - second.window_log_prob).mean() == pytest.approx(1)
  assert 'commits' not in run((0, 1), 'new', shrinkage=0.01) and ran[9:] == [0] * 3 + [1] * 3
