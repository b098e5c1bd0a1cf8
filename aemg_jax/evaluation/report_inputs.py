"""What a report is made of, read from a run's folder and checked: result rows and scalars.

A malformed file raises ValueError naming the file, the row and the key. A missing one is no error.
"""

import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from aemg_jax.evaluation import delays
from aemg_jax.training import writers

SCORES = ('repetition', 'window', 'macro_f1')
_AGGREGATED = ('repetition', 'window')


@dataclasses.dataclass(frozen=True)
class Delay:
  """Accuracy of decisions with one delay: {'all', 'same_times'} means and (low, high), see `delays`."""
  mean: dict[str, float]
  ci95: dict[str, tuple[float, float]]


@dataclasses.dataclass(frozen=True, eq=False)  # arrays: a row is equal to itself only
class Row:
  """One result row. Scores are fractions in [0, 1].

  Attributes:
    method, protocol, uses_target: as the harness names them.
    transductive: unlabelled data of the target subject was used.
    seeds: of the method.
    per_subject: {subject: {repetition, window, macro_f1}}.
    mean, sd: {repetition, window} over subjects.
    ci95: {repetition, window}: (low, high), bootstrap over subjects.
    confusion_kk: [K, K] repetitions by true (row) and predicted (column) label, summed over
      subjects; None when not stored.
    confusion_per_subject: the same for each subject; may be empty.
    delay_ms: decision delays that were asked for; () where none were.
    delays: {delay in ms: accuracy} of those that could be measured.
    provenance: split_hash, checkpoint_hash, config, commit, wall_s as text.
  """
  method: str
  protocol: str
  uses_target: str
  transductive: bool
  seeds: tuple[int, ...]
  per_subject: dict[str, dict[str, float]]
  mean: dict[str, float]
  sd: dict[str, float]
  ci95: dict[str, tuple[float, float]]
  confusion_kk: np.ndarray | None
  confusion_per_subject: dict[str, np.ndarray]
  provenance: dict[str, str]
  delay_ms: tuple[float, ...] = ()
  delays: dict[float, Delay] = dataclasses.field(default_factory=dict)

  def subject_mean(self, score: str) -> float:
    """Mean over subjects of a score that the row does not aggregate itself."""
    return float(np.mean([scores[score] for scores in self.per_subject.values()]))


def read_results(path: pathlib.Path) -> tuple[tuple[str, ...], tuple[Row, ...]]:
  """Labels and rows of a results.json."""
  try:
    stored = json.loads(path.read_text(encoding='utf-8'))
  except (json.JSONDecodeError, UnicodeDecodeError) as error:
    raise ValueError(f'{path}: expected JSON: {error}') from error
  labels = _get(stored, 'labels', list, path)
  if not labels or not all(isinstance(label, str) for label in labels):
    raise ValueError(f'{path}: labels: expected a non-empty list of names')
  rows = _get(stored, 'rows', list, path)
  return tuple(labels), tuple(
      _row(row, len(labels), f'{path}: rows[{i}]') for i, row in enumerate(rows))


def _row(stored: Any, n_labels: int, where: str) -> Row:
  seeds = _get(stored, 'seeds', list, where)
  if not all(type(seed) is int for seed in seeds):
    raise ValueError(f'{where}.seeds: got {seeds!r}, expected integers')
  per_subject = _get(stored, 'per_subject', dict, where)
  if not per_subject:
    raise ValueError(f'{where}.per_subject: expected at least one subject')
  n_subjects = _get(stored, 'n_subjects', int, where)
  if n_subjects != len(per_subject):
    raise ValueError(f'{where}.n_subjects: got {n_subjects}, per_subject has {len(per_subject)}')
  confusions = _get(stored, 'confusion_per_subject', (dict, type(None)), where) or {}
  confusion = _get(stored, 'confusion', (list, type(None)), where)
  return Row(
      method=_get(stored, 'method', str, where),
      protocol=_get(stored, 'protocol', str, where),
      uses_target=_get(stored, 'uses_target', str, where),
      transductive=_get(stored, 'transductive', bool, where),
      seeds=tuple(seeds),
      per_subject={
          subject: {score: _fraction(scores, score, f'{where}.per_subject[{subject!r}]')
                    for score in SCORES}
          for subject, scores in per_subject.items()
      },
      mean=_aggregate(stored, 'mean', where),
      sd=_aggregate(stored, 'sd', where),
      ci95=_intervals(stored, where),
      confusion_kk=(
          None if confusion is None else _confusion(confusion, n_labels, f'{where}.confusion')),
      confusion_per_subject={
          subject: _confusion(counts, n_labels, f'{where}.confusion_per_subject[{subject!r}]')
          for subject, counts in confusions.items()
      },
      provenance=_provenance(stored, where),
      **_delays(stored, f'{where}.delays'))


def _get(stored: Any, key: str, kind: Any, where: Any) -> Any:
  if not isinstance(stored, Mapping):
    raise ValueError(f'{where}: got {stored!r:.60}, expected an object with {key!r}')
  if key not in stored:
    raise ValueError(f'{where}.{key}: missing')
  value = stored[key]
  kinds = kind if isinstance(kind, tuple) else (kind,)
  if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
    names = ' or '.join(k.__name__ for k in kinds)
    raise ValueError(f'{where}.{key}: got {value!r:.60}, expected {names}')
  return value


def _in_unit(value: Any, where: str) -> float:
  if type(value) not in (int, float) or not -1e-9 <= value <= 1 + 1e-9:  # rounding of means
    raise ValueError(f'{where}: got {value!r:.60}, expected a fraction in [0, 1]')
  return float(value)


def _fraction(stored: Any, key: str, where: str) -> float:
  return _in_unit(_get(stored, key, (int, float), where), f'{where}.{key}')


def _aggregate(stored: Any, key: str, where: str, scores: tuple[str, ...] = _AGGREGATED) -> dict[str, float]:
  values = _get(stored, key, dict, where)
  return {score: _fraction(values, score, f'{where}.{key}') for score in scores}


def _intervals(stored: Any, where: str,
               scores: tuple[str, ...] = _AGGREGATED) -> dict[str, tuple[float, float]]:
  intervals = {}
  for score in scores:
    at = f'{where}.ci95.{score}'
    pair = _get(_get(stored, 'ci95', dict, where), score, list, f'{where}.ci95')
    if len(pair) != 2:
      raise ValueError(f'{at}: got {pair!r:.60}, expected [low, high]')
    low, high = (_in_unit(value, at) for value in pair)
    if low > high:
      raise ValueError(f'{at}: got {pair!r:.60}, expected low <= high')
    intervals[score] = (low, high)
  return intervals


def _delays(row: Any, where: str) -> dict[str, Any]:
  """Fields of Row; rows of before there were delays have none."""
  if 'delays' not in row:
    return {}
  stored, found = _get(row, 'delays', dict, where), {}
  for i, point in enumerate(_get(stored, 'points', list, where)):
    at = f'{where}.points[{i}]'
    found[_get(point, 'delay_ms', (int, float), at)] = Delay(
        _aggregate(point, 'mean', at, delays.SCORES), _intervals(point, at, delays.SCORES))
  return {'delay_ms': tuple(_get(stored, 'ms', list, where)), 'delays': found}


def _confusion(counts: Any, n_labels: int, where: str) -> np.ndarray:
  try:
    counts_kk = np.array(counts, dtype=float)
  except (TypeError, ValueError) as error:
    raise ValueError(f'{where}: expected {n_labels} rows of {n_labels} counts') from error
  if counts_kk.shape != (n_labels, n_labels):
    raise ValueError(f'{where}: got shape {counts_kk.shape}, expected {(n_labels, n_labels)}')
  if not np.isfinite(counts_kk).all() or (counts_kk < 0).any():
    raise ValueError(f'{where}: expected counts of at least 0')
  return counts_kk


def _provenance(stored: Any, where: str) -> dict[str, str]:
  said = {}
  for key in ('split_hash', 'checkpoint_hash', 'config', 'commit', 'wall_s'):
    value = _get(stored, key, object, where)
    if isinstance(value, (dict, list)):
      value = json.dumps(value, sort_keys=True)
    said[key] = '' if value is None else f'{value:.0f}' if isinstance(value, float) else str(value)
  return said


def read_scalars(path: pathlib.Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
  """{name: (steps, values)} of a scalars.jsonl, steps rising; a step written again counts once."""
  try:
    lines = writers.read(path.parent)
  except UnicodeDecodeError as error:
    raise ValueError(f'{path}: expected UTF-8: {error}') from error
  last: dict[str, dict[int, float]] = {}
  for number, stored in enumerate(lines, start=1):
    where = f'{path}: line {number}'
    step = _get(stored, 'step', int, where)
    for key in stored.keys() - {'step'}:
      try:
        value = float(stored[key])  # the writer stores NaN and infinity as text
      except (TypeError, ValueError) as error:
        raise ValueError(f'{where}.{key}: got {stored[key]!r:.60}, expected a number') from error
      if math.isfinite(value):
        last.setdefault(key, {})[step] = value
  series = {}
  for key, values in last.items():
    steps = sorted(values)
    series[key] = np.array(steps), np.array([values[step] for step in steps])
  return series
