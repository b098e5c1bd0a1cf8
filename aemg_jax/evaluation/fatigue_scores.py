"""Scores of fatigue predictions per subject, and the table."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from aemg_jax.evaluation import fatigue_pairs, metrics, results
from aemg_jax.evaluation.fatigue_methods import MILD_MOST, Predictions
from aemg_jax.sequences.sequences import CLASS_NAMES, Sequences

SCORES = ('class_accuracy', 'class_macro_f1', 'binary_accuracy', 'binary_macro_f1', 'mild_accuracy',
          'mild_macro_f1', 'mild_auc', 'borg_mae', 'borg_spearman')
# The table's columns: title, (score, factor, digits).
COLUMNS = (('3 classes: accuracy', 'class_accuracy', 100, 1), ('macro-F1', 'class_macro_f1', 100, 1),
           ('binary: accuracy', 'binary_accuracy', 100, 1), ('macro-F1', 'binary_macro_f1', 100, 1),
           ('mild: macro-F1', 'mild_macro_f1', 100, 1), ('AUC', 'mild_auc', 1, 2),
           ('Borg: MAE', 'borg_mae', 1, 2), ('Spearman', 'borg_spearman', 1, 2))


def score(predictions: Predictions, sequences: Sequences) -> dict[str, dict[str, float | None]]:
  """{subject: {score: value}}; None where a subject's data do not define it.

  Binary is Borg above 5; mild takes sequences of Borg 0 to 3 of subjects that have both 0 and more;
  a constant prediction has no rank correlation.
  """
  subject_b = sequences.segments['subject'][predictions.segment_rows]
  scores = {}
  for subject in sorted(set(subject_b.tolist())):
    here = Predictions(*(x[subject_b == subject] for x in predictions))
    borg_b = sequences.borg_b[here.segment_rows]
    label_b = sequences.segments['label'][here.segment_rows]
    mild_b = borg_b <= MILD_MOST
    class_scores = _classes('class', label_b, here.class_b, len(CLASS_NAMES))
    binary = _classes('binary', (borg_b > 5).astype(int), (here.above_bj[:, 2] >= 0.5).astype(int), 2)
    mild = _mild(borg_b[mild_b], here.above_bj[mild_b, 0])
    scores[subject] = class_scores | binary | mild | {
        'borg_mae': float(np.abs(here.value_b - borg_b).mean()),
        'borg_spearman': spearman(here.value_b, borg_b)}
  return scores


def spearman(x: np.ndarray, y: np.ndarray) -> float | None:
  """Rank correlation; None where either is constant."""
  if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
    return None
  return float(stats.spearmanr(x, y).statistic)


def summarise(by_seed: Mapping[int, Predictions], sequences: Sequences) -> dict[str, Any]:
  """Per subject the mean over seeds; mean, sd (n - 1), bootstrap interval and n over subjects."""
  scored = [score(p, sequences) for p in by_seed.values()]
  per_subject = {subject: {name: _mean([s[subject][name] for s in scored]) for name in SCORES}
                 for subject in scored[0]}
  row = {'per_subject': per_subject, 'seeds': [int(s) for s in by_seed], 'n_subjects': len(per_subject),
         'mean': {}, 'sd': {}, 'ci95': {}, 'n': {}}
  for name in SCORES:
    known = [s[name] for s in per_subject.values() if s[name] is not None]
    row['n'][name] = len(known)
    row['mean'][name] = float(np.mean(known)) if known else None
    row['sd'][name] = float(np.std(known, ddof=1)) if len(known) > 1 else None
    row['ci95'][name] = list(metrics.bootstrap_interval(known)) if known else None
  first = next(iter(by_seed.values()))
  label_b = sequences.segments['label'][first.segment_rows]
  row['confusion'] = metrics.confusion(label_b, first.class_b, len(CLASS_NAMES)).tolist()
  return row | {'commit': results.git_commit()}


def by_effort(by_seed: Mapping[int, Predictions], sequences: Sequences) -> dict[str, dict[str, Any]]:
  """{percent of the maximum: `summarise` of what was tested there}."""
  first = next(iter(by_seed.values()))
  effort_b = sequences.percent_mvc_b[first.segment_rows]
  found = {}
  for effort in np.unique(effort_b):
    here = effort_b == effort
    found[f'{effort:g}'] = summarise(
        {seed: Predictions(*(x[here] for x in p)) for seed, p in by_seed.items()}, sequences)
  return found


def table_of(report: Mapping[str, Any]) -> str:
  """The run's table in Markdown; one of a generator says so on top."""
  rows = report['rows']
  table = effort_table(rows) if rows and 'by_effort' in rows[0] else markdown_table(rows)
  return ('**Synthetic data: not a result.**\n\n' if report['synthetic'] else '') + table


def effort_table(rows: Sequence[Mapping[str, Any]]) -> str:
  """A line per method: macro-F1 in % and MAE of Borg at each effort, mean [95 % interval] over people."""
  efforts = list(rows[0]['by_effort'])
  kinds = (('macro-F1', 'class_macro_f1', 100, 1), ('MAE', 'borg_mae', 1, 2))
  titles = [f'{title} at {effort} %' for title, *_ in kinds for effort in efforts]
  lines = ['| method | ' + ' | '.join(titles) + ' |', '|---' * (len(titles) + 1) + '|']
  for row in rows:
    cells = [_cell(row['by_effort'][effort], name, factor, digits)
             for _, name, factor, digits in kinds for effort in efforts]
    lines.append('| ' + ' | '.join([row['method'], *cells]) + ' |')
  return '\n'.join(lines) + '\n'


def _cell(row: Mapping[str, Any], name: str, factor: int, digits: int) -> str:
  if row['mean'][name] is None:
    return '-'
  low, high = (f'{factor * x:.{digits}f}' for x in row['ci95'][name])
  return f'{factor * row["mean"][name]:.{digits}f} [{low}, {high}]'


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
  """A line per method: mean over subjects [95 % interval]; '-' where it is not defined."""
  titles = [title for title, *_ in COLUMNS] + [f'pairs of one {m}' for m in fatigue_pairs.MATCHES]
  lines = ['| method | ' + ' | '.join(titles) + ' |', '|---' * (len(titles) + 1) + '|']
  for row in rows:
    cells = [_cell(row, name, factor, digits) for _, name, factor, digits in COLUMNS]
    cells += fatigue_pairs.cells(row['pairs']) if 'pairs' in row else ['-'] * len(fatigue_pairs.MATCHES)
    lines.append('| ' + ' | '.join([row['method'], *cells]) + ' |')
  return '\n'.join(lines) + '\n'


def _classes(prefix: str, label_b, guess_b, n_labels: int) -> dict[str, float | None]:
  counts_kk = metrics.confusion(label_b, guess_b, n_labels)
  return {f'{prefix}_accuracy': metrics.accuracy(label_b, guess_b),
          f'{prefix}_macro_f1': metrics.macro_f1(counts_kk)}


def _mild(borg_b: np.ndarray, above_b: np.ndarray) -> dict[str, float | None]:
  some_b = borg_b > 0
  if some_b.all() or not some_b.any():
    return {'mild_accuracy': None, 'mild_macro_f1': None, 'mild_auc': None}
  wins = np.sign(above_b[some_b][:, None] - above_b[~some_b][None])
  found = _classes('mild', some_b.astype(int), (above_b >= 0.5).astype(int), 2)
  return found | {'mild_auc': float((1 + wins).mean() / 2)}


def _mean(values: Sequence[float | None]) -> float | None:
  known = [v for v in values if v is not None]
  return float(np.mean(known)) if known else None
