"""Scores of predicted fatigue from motion, over all tested windows and per person, and their tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aemg_jax.data import motion_splits
from aemg_jax.evaluation import metrics
from aemg_jax.evaluation.fatigue_scores import spearman
from aemg_jax.evaluation.motion_methods import Predictions
from aemg_jax.sequences.motion import CLASS_NAMES, Windows

SCORES = ('accuracy', 'macro_f1', 'borg_mae', 'borg_spearman')
# title, score, factor, digits
COLUMNS = (('accuracy %', 'accuracy', 100, 1), ('macro-F1 %', 'macro_f1', 100, 1),
           ('Borg: MAE', 'borg_mae', 1, 2), ('Spearman', 'borg_spearman', 1, 2))


def score(predictions: Predictions, windows: Windows) -> dict[str, Any]:
  """{'all': scores of all tested windows, 'per_subject': {subject: scores}}.

  Windows overlap and there are few people: these describe, and no interval is given. A rank correlation
  is None where prediction or rating is constant.
  """
  subject_b = windows.segments['subject'][predictions.segment_rows]
  of = lambda chosen_b: _scores(Predictions(*(x[chosen_b] for x in predictions)), windows)
  return {'all': of(np.ones(len(subject_b), bool)),
          'per_subject': {s: of(subject_b == s) for s in sorted(set(subject_b.tolist()))}}


def mean_of(scored: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
  """Mean over seeds of what `score` gives."""
  each = lambda of: {name: _mean([of(s)[name] for s in scored]) if name in SCORES else count
                     for name, count in of(scored[0]).items()}
  return {'all': each(lambda s: s['all']),
          'per_subject': {name: each(lambda s, name=name: s['per_subject'][name])
                          for name in scored[0]['per_subject']}}


def _scores(predictions: Predictions, windows: Windows) -> dict[str, float | None]:
  label_b = windows.segments['label'][predictions.segment_rows]
  borg_b = windows.borg_b[predictions.segment_rows]
  guess_b = (predictions.score_b >= 0.5).astype(int)
  counts_kk = metrics.confusion(label_b, guess_b, len(CLASS_NAMES))
  return {'windows': len(label_b), 'fatigued': int(label_b.sum()),
          'accuracy': metrics.accuracy(label_b, guess_b), 'macro_f1': metrics.macro_f1(counts_kk),
          'borg_mae': float(np.abs(predictions.value_b - borg_b).mean()),
          'borg_spearman': spearman(predictions.value_b, borg_b)}


def tables(rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[tuple[str, ...], list[tuple[str, ...]]]]:
  """{title of a split: (headings, lines)} in the order of the splits; where people are left out their own
  accuracy, macro-F1 and MAE follow."""
  found = {}
  for name in motion_splits.NAMES:
    here = [row for row in rows if row['split'] == name]
    if not here:
      continue
    people = list(here[0]['per_subject']) if name == 'S2' else []
    headings = ('method', *(title for title, *_ in COLUMNS),
                *(f'{s}: accuracy / macro-F1 / MAE' for s in people))
    lines = [(row['method'], *(_cell(row['all'][key], factor, digits) for _, key, factor, digits in COLUMNS),
              *(' / '.join(_cell(row['per_subject'][s][key], factor, digits)
                           for _, key, factor, digits in COLUMNS[:3]) for s in people)) for row in here]
    found[motion_splits.TITLES[name]] = (headings, lines)
  return found


def markdown(title: str, synthetic: bool, rows: Sequence[Mapping[str, Any]]) -> str:
  """All tables of a part."""
  lines = [f'# {title}', '']
  if synthetic:
    lines += ['**SYNTHETIC: not a result. The classes are separable by construction.**', '']
  for name, (headings, body) in tables(rows).items():
    cells = (headings, ('---',) * len(headings), *body)
    lines += [f'## {name}', '', *(f'| {" | ".join(row)} |' for row in cells), '']
  return '\n'.join(lines)


def _cell(value: float | None, factor: float, digits: int) -> str:
  return '-' if value is None else f'{factor * value:.{digits}f}'


def _mean(values: Sequence[float | None]) -> float | None:
  known = [v for v in values if v is not None]
  return float(np.mean(known)) if known else None
