"""Result rows, files and predictions."""

import json

import numpy as np
import pytest

from aemg_jax.data import splits
from aemg_jax.evaluation import results

SEGMENTS = {
    'record_id': np.array(['a', 'b', 'c', 'd']), 'subject': np.array(['s0', 's0', 's1', 's1']),
    'session': np.array(['x'] * 4), 'repetition': np.arange(4), 'label': np.array([0, 1, 1, 0]),
    'start_s': np.zeros(4), 'stop_s': np.ones(4)}
TEST = splits.whole_rows(SEGMENTS, ('s0', 's1'))


def _log(guess, n_labels=2):
  return np.log(0.1 + 0.8 * np.eye(n_labels)[np.array(guess)]).astype(np.float32)


def _predictions(windows=(0, 0, 1, 0, 1, 1, 0, 1), repetitions=(0, 1, 1, 1)):
  return results.Predictions(
      np.repeat(np.arange(4), 2).astype(np.int32), np.tile([0, 5], 4).astype(np.int32),
      _log(windows), np.arange(4, dtype=np.int32), _log(repetitions))


def _row(by_seed=None):
  return results.result_row(
      by_seed or {0: _predictions()}, SEGMENTS, 2, method='m', protocol='loso',
      uses_target='none', transductive=False, split_hash='0123456789', checkpoint_hash=None,
      config={'a': 1}, wall_s=1.5)


def test_scores_per_subject_by_hand():
  # Catches windows scored with another subject's labels, and F1 from repetitions.
  scores, confusions = results.score(_predictions(), SEGMENTS, 2)
  assert scores['s0'] == {'repetition': 1.0, 'window': 0.75,
                          'macro_f1': pytest.approx((4 / 5 + 2 / 3) / 2)}
  assert scores['s1']['repetition'] == 0.5 and scores['s1']['window'] == 0.75
  np.testing.assert_array_equal(confusions['s1'], [[0, 1], [0, 1]])


def test_a_row_means_over_seeds_then_subjects():
  # Catches a deviation over seeds instead of subjects, and percentages.
  row = _row({3: _predictions(), 4: _predictions(repetitions=(0, 0, 1, 1))})
  assert row['per_subject']['s0']['repetition'] == 0.75
  assert row['mean'] == {'repetition': 0.625, 'window': 0.75}
  assert row['sd']['repetition'] == pytest.approx(np.std([0.75, 0.5], ddof=1))
  assert row['ci95']['repetition'] == [0.5, 0.75] and row['n_subjects'] == 2
  assert row['seeds'] == [3, 4] and row['per_seed']['4']['repetition'] == 0.5
  assert np.sum(row['confusion']) == 8
  assert row['confusion'] == np.sum(list(row['confusion_per_subject'].values()), 0).tolist()


def test_results_are_read_by_the_report(tmp_path):
  # Catches two halves of the project that disagree about results.json.
  from aemg_jax.evaluation import report_inputs
  results.write_results(tmp_path / 'results.json', ('zero', 'one'), [_row()])
  labels, (row,) = report_inputs.read_results(tmp_path / 'results.json')
  assert labels == ('zero', 'one') and row.mean['repetition'] == 0.75 and row.seeds == (0,)


def test_writing_is_all_or_nothing(tmp_path):
  # Catches a half-written results.json, NaN in it, and temporary files left behind.
  path = tmp_path / 'new' / 'results.json'
  results.write_results(path, ('a',), [])
  before = path.read_bytes()
  for bad in ({'x': float('nan')}, {'x': object()}):
    with pytest.raises((ValueError, TypeError)):
      results.write_results(path, ('a',), [bad])
  def dies(file):
    file.write(b'half')
    raise OSError('disk full')
  with pytest.raises(OSError):
    results._replace(path, dies)
  assert path.read_bytes() == before and [p.name for p in path.parent.iterdir()] == [path.name]
  assert json.loads(before) == {'labels': ['a'], 'rows': []}


def test_predictions_survive_the_file_and_carry_their_names(tmp_path):
  # Catches pickled arrays and files that say nothing without the prepared set.
  path = tmp_path / 'p.npz'
  results.save_predictions(path, _predictions(), SEGMENTS)
  for got, expected in zip(results.load_predictions(path), _predictions()):
    np.testing.assert_array_equal(got, expected)
    assert got.dtype == expected.dtype
  with np.load(path, allow_pickle=False) as stored:
    assert stored['segment_record_id'].tolist() == ['a', 'b', 'c', 'd']
  with pytest.raises(ValueError, match='segment_subject: got Python objects'):
    results.save_predictions(
        path, _predictions(), SEGMENTS | {'subject': SEGMENTS['subject'].astype(object)})


def test_incomplete_predictions_are_refused():
  # Catches a method that leaves out a hard repetition, or predicts one twice over the folds.
  good = _predictions()
  assert results.check(good, TEST, 2) is good
  missing = good._replace(segment_rows=good.segment_rows[:3],
                          segment_log_prob=good.segment_log_prob[:3])
  with pytest.raises(ValueError, match='segment_rows: 3 segments, expected the fold\'s 4'):
    results.check(missing, TEST, 2)
  with pytest.raises(ValueError, match='window_segment'):
    results.check(good._replace(window_segment=np.zeros(8, np.int32)), TEST, 2)
  with pytest.raises(ValueError, match='window_log_prob'):
    results.check(good, TEST, 3)
  with pytest.raises(ValueError, match='NaN'):
    results.check(good._replace(segment_log_prob=good.segment_log_prob * np.nan), TEST, 2)
  with pytest.raises(ValueError, match='segment 0 is tested in more than one fold'):
    results.concatenate([good, good])


def test_markdown_states_what_each_row_used():
  # Catches a table in which a transductive row looks like an inductive one.
  text = results.markdown_table([_row(), _row() | {'uses_target': 'unlabelled'}])
  lines = text.splitlines()
  assert lines[2] == ('| loso | m | none | 75.0 (35.4) [50.0, 100.0] | 75.0 (0.0) [75.0, 75.0] '
                      '| 2 | 0 | 01234567 |')
  assert '| unlabelled |' in lines[3]


def test_commit_is_unknown_without_git(monkeypatch):
  # Catches a run that dies where git is not installed.
  monkeypatch.setenv('PATH', '')
  assert results.git_commit.__wrapped__() == 'unknown'
