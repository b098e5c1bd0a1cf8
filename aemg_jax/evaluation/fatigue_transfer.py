"""A fatigue score trained on one dataset, asked of others: does it rise, does effort move it?"""

from typing import Any

import numpy as np

from aemg_jax.data import splits
from aemg_jax.evaluation import fatigue_explain, fatigue_saliency, metrics
from aemg_jax.evaluation.fatigue_methods import FatigueData, NetworkMethod, column, make_batch
from aemg_jax.evaluation.fatigue_scores import spearman
from aemg_jax.sequences.sequences import Sequences

SEGMENTS_S = 30.0  # the rise is also given as the mean of the first and of the last so many seconds


def measure(method: NetworkMethod, data: FatigueData, others: dict[str, tuple[Sequences, dict]],
            seed: int, workdir: str) -> dict[str, Any]:
  """Trains on all of `data` and scores the others; each keeps its own rested baseline.

  Args:
    method: a network.
    data: trains, all subjects.
    others: 'rising' and 'flat': (sequences, refusals).
    seed: of the training.
    workdir: of the checkpoint, which carries the feature split and the scaler.

  Returns:
    {'rising': ..., 'flat': ...}, JSON.
  """
  segments = data.sequences.segments
  subjects = splits.select_subjects(segments, (), 'subjects')
  fold = splits.Fold('all', splits.whole_rows(segments, subjects), (), ())
  params, scaler, split = method.train(data, fold, seed, workdir)
  found = {'trained_on': len(fold.train), 'split': fatigue_saliency.as_json(split)}
  for name, (sequences, refused) in others.items():
    rows = np.arange(len(sequences.borg_b))
    score_b = method.score(params, make_batch(sequences, rows, scaler, split), rows).value_b
    found[name] = {'rising': rising, 'flat': flat}[name](sequences, score_b) | {
        'n_sequences': len(rows), 'refused': refused}
    if name == 'flat' and method.has_fusion:
      found[name]['attention'] = fatigue_explain.of_model(method, params, sequences, scaler, split)
  return found


def rising(sequences: Sequences, score_b: np.ndarray) -> dict[str, Any]:
  """Spearman of the score (and of minus the median frequency) with time, mean over subjects."""
  time_b, subject_b = sequences.elapsed_s_b, sequences.segments['subject']
  mdf_b = -column(sequences, 'mdf')
  per_subject = {}
  for subject in sorted(set(subject_b.tolist())):
    here = subject_b == subject
    early = time_b[here] <= time_b[here].min() + SEGMENTS_S
    late = time_b[here] >= time_b[here].max() - SEGMENTS_S
    per_subject[subject] = {
        'spearman': spearman(score_b[here], time_b[here]),
        'spearman_mdf': spearman(mdf_b[here], time_b[here]),
        'first': float(score_b[here][early].mean()), 'last': float(score_b[here][late].mean())}
  return {'per_subject': per_subject}


def flat(sequences: Sequences, score_b: np.ndarray) -> dict[str, Any]:
  """Mean predicted Borg of each subject at each effort, and the change from the least to the most.

  0 is flat. The interval is over subjects. The baseline is one per subject, at the least effort.
  """
  percent_b, subject_b = sequences.percent_mvc_b, sequences.segments['subject']
  levels = np.unique(percent_b[~np.isnan(percent_b)])
  per_subject = {
      subject: {f'{level:g}': float(score_b[(subject_b == subject) & (percent_b == level)].mean())
                for level in levels if ((subject_b == subject) & (percent_b == level)).any()}
      for subject in sorted(set(subject_b.tolist()))}
  ends = [f'{levels[0]:g}', f'{levels[-1]:g}']
  change = [s[ends[1]] - s[ends[0]] for s in per_subject.values() if set(ends) <= set(s)]
  at = {f'{level:g}': float(np.mean([s[f'{level:g}'] for s in per_subject.values() if f'{level:g}' in s]))
        for level in levels}
  return {'per_subject': per_subject, 'mean_at': at, 'change': float(np.mean(change)),
          'change_ci95': list(metrics.bootstrap_interval(change)), 'from_to': ends}
