"""Numbers behind the pictures of a fatigue run: attention, deletion, trajectories. JSON throughout.

Everything is asked of held-out people; a mean is over the rows of a person first, then over people.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aemg_jax.data import splits
from aemg_jax.evaluation import fatigue_attention
from aemg_jax.evaluation.fatigue_methods import (
    FatigueData, NetworkMethod, Predictions, column, feature_column, make_batch, test_rows)
from aemg_jax.sequences.sequences import CLASS_NAMES, Sequences
from aemg_jax.signal.fatigue_features import FEATURE_NAMES


def explain(method: NetworkMethod, data: FatigueData, folds: Sequence[splits.Fold],
            seed: int) -> dict[str, Any]:
  """Attention by stage and effort, and deletion, of a model with both encoders.

  Returns:
    'by_stage', 'by_effort': see `summary`; 'even': shares of the groups if attention were even over
    the static features; 'deletion': {subject: see fatigue_attention.deletion}.
  """
  parts, rows, static, deleted = [], [], [], {}
  for fold in folds:
    params, scaler, split = method.train(data, fold, seed)
    row_b = test_rows(fold)
    batch = method.batch(data, fold, row_b, scaler, split)
    found = fatigue_attention.attend(method, params, batch['features'])
    subject_b = data.sequences.segments['subject'][row_b]
    for subject in sorted(set(subject_b.tolist())):
      here = np.flatnonzero(subject_b == subject)
      own = {**{k: batch[k][here] for k in ('label', 'borg', 'weight')},
             'features': type(batch['features'])(*(None if x is None else np.asarray(x)[here]
                                                   for x in batch['features']))}
      deleted.setdefault(subject, []).append(fatigue_attention.deletion(
          method, params, own, row_b[here], found.feature_bf[here], seed))
    parts.append(found)
    rows.append(row_b)
    static.append(split.static_f)
  row_b = np.concatenate(rows)
  attention = fatigue_attention.Attention(*(np.concatenate(x) for x in zip(*parts)))
  stage_b = np.array(CLASS_NAMES)[data.sequences.segments['label'][row_b]]
  effort_b = data.sequences.percent_mvc_b[row_b]
  named_b = np.array([f'{e:g}' for e in effort_b])
  subject_b = data.sequences.segments['subject'][row_b]
  even = np.mean([s / s.sum() for s in static], axis=0)
  return {
      'even': fatigue_attention.by_group(even[None]),
      'by_stage': summary(attention, stage_b, subject_b, CLASS_NAMES),
      'by_effort': {} if np.isnan(effort_b).any() else summary(
          attention, named_b, subject_b, tuple(f'{e:g}' for e in np.unique(effort_b))),
      'deletion': {s: _mean(found) for s, found in deleted.items()}}


def summary(attention: fatigue_attention.Attention, key_b: np.ndarray, subject_b: np.ndarray,
            keys: Sequence[str]) -> dict[str, Any]:
  """{key: {'groups': {group: share}, 'features': {name: share}, 'windows': [...], 'n': sequences}}."""
  found = {}
  for key in keys:
    at = key_b == key
    if not at.any():
      continue
    people = [at & (subject_b == subject) for subject in sorted(set(subject_b[at].tolist()))]
    feature_f = np.mean([attention.feature_bf[p].mean(axis=0) for p in people], axis=0)
    window_w = np.mean([attention.window_bw[p].mean(axis=0) for p in people], axis=0)
    found[key] = {
        'groups': fatigue_attention.by_group(feature_f[None]),
        'features': dict(zip(FEATURE_NAMES, feature_f.tolist())),
        'windows': window_w.tolist(), 'n': int(at.sum())}
  return found


def of_model(method: NetworkMethod, params: Any, sequences: Sequences, scaler, split) -> dict[str, Any]:
  """Attention by effort of one model on people of another dataset."""
  rows = np.arange(len(sequences.borg_b))
  batch = make_batch(sequences, rows, scaler, split)
  effort_b = sequences.percent_mvc_b
  named_b = np.array([f'{e:g}' for e in effort_b])
  return {
      'even': fatigue_attention.by_group((split.static_f / split.static_f.sum())[None]),
      'by_effort': summary(
          fatigue_attention.attend(method, params, batch['features']), named_b,
          sequences.segments['subject'], [f'{e:g}' for e in np.unique(effort_b[~np.isnan(effort_b)])])}


def trajectories(by_seed: Mapping[int, Predictions], sequences: Sequences) -> dict[str, Any]:
  """{subject, with the effort where there are several: elapsed_s, mdf, rms, borg and score lists}.

  mdf and rms are over the rested baseline, geometric means over the sequence's windows and channels;
  the score is the held-out prediction of Borg, mean over seeds.
  """
  first = next(iter(by_seed.values()))
  rows = first.segment_rows
  score_b = np.mean([p.value_b for p in by_seed.values()], axis=0)
  known = {'mdf': np.exp(column(sequences, 'mdf')), 'rms': np.exp(feature_column(sequences, 'rms'))}
  several = len(np.unique(sequences.percent_mvc_b)) > 1 and not np.isnan(sequences.percent_mvc_b).any()
  name_b = sequences.segments['subject'][rows].astype(str)
  if several:
    name_b = np.array([f'{s}, {e:g} %' for s, e in zip(name_b, sequences.percent_mvc_b[rows])])
  found, order = {}, np.lexsort((sequences.percent_mvc_b[rows], sequences.segments['subject'][rows]))
  for name in dict.fromkeys(name_b[order].tolist()):
    here = np.flatnonzero(name_b == name)
    here = here[np.argsort(sequences.elapsed_s_b[rows[here]], kind='stable')]
    at = rows[here]
    found[name] = {
        'elapsed_s': sequences.elapsed_s_b[at].tolist(), 'mdf': known['mdf'][at].tolist(),
        'rms': known['rms'][at].tolist(), 'borg': sequences.borg_b[at].tolist(),
        'score': score_b[here].tolist()}
  return found


def _mean(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
  """Of a person who is tested in several folds."""
  n = min(len(f['k']) for f in found)
  over = lambda key: np.mean([f[key][:n] for f in found], axis=0).tolist()
  return {'whole': float(np.mean([f['whole'] for f in found])), 'k': found[0]['k'][:n],
          'top': over('top'), 'random': over('random')}
