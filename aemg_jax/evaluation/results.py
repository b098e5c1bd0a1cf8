"""What an evaluation leaves behind: predictions (NPZ), result rows (JSON) and a markdown table."""

import functools
import json
import os
import pathlib
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from aemg_jax.data import splits
from aemg_jax.evaluation import metrics

SCORES = ('repetition', 'window')


class Predictions(NamedTuple):
  """What every method returns for the test rows of a fold, or of all folds concatenated.

  Attributes:
    window_segment: [W] int32 row of the segment table.
    window_start: [W] int32 first sample of the window, from the segment's start.
    window_log_prob: [W, K] float32, from that window's samples alone.
    segment_rows: [R] int32 row of the segment table.
    segment_log_prob: [R, K] float32 of the whole segment (repetition).
  """
  window_segment: np.ndarray
  window_start: np.ndarray
  window_log_prob: np.ndarray
  segment_rows: np.ndarray
  segment_log_prob: np.ndarray


def concatenate(parts: Sequence[Predictions]) -> Predictions:
  """The folds' predictions as one; a segment tested twice is an error."""
  whole = Predictions(*(np.concatenate(arrays) for arrays in zip(*parts)))
  if len(np.unique(whole.segment_rows)) < len(whole.segment_rows):
    row, count = np.unique(whole.segment_rows, return_counts=True)
    raise ValueError(f'predictions: segment {row[count > 1][0]} is tested in more than one fold')
  return whole


def check(predictions: Predictions, test: Sequence[splits.Row], n_labels: int) -> Predictions:
  """Raises ValueError unless every test row has one segment score, and windows, all finite."""
  expected = np.unique([row.segment for row in test])
  for field, got in (('segment_rows', np.sort(predictions.segment_rows)),
                     ('window_segment', np.unique(predictions.window_segment))):
    if not np.array_equal(got, expected):
      raise ValueError(f'predictions.{field}: {len(got)} segments, expected the fold\'s '
                       f'{len(expected)} test segments')
  for field in ('window_log_prob', 'segment_log_prob'):
    value = getattr(predictions, field)
    if value.shape[1:] != (n_labels,) or np.isnan(value).any():
      raise ValueError(f'predictions.{field}: got shape {value.shape} or NaN, expected '
                       f'{n_labels} log probabilities a row')
  return predictions


def score(predictions: Predictions, segments: splits.Segments,
          n_labels: int) -> tuple[dict[str, dict[str, float]], dict[str, np.ndarray]]:
  """Scores per subject.

  Returns:
    {subject: {repetition, window, macro_f1}}: accuracies per repetition and per window, and the
      macro-F1 over windows.
    {subject: [K, K]} confusion of repetitions.
  """
  label_s = np.asarray(segments['label'])
  subject_s = splits.column_keys(segments, 'subject')
  segment_guess = predictions.segment_log_prob.argmax(1)
  window_guess = predictions.window_log_prob.argmax(1)
  scores, confusions = {}, {}
  for subject in sorted(set(subject_s[predictions.segment_rows].tolist())):
    of_segment = subject_s[predictions.segment_rows] == subject
    of_window = subject_s[predictions.window_segment] == subject
    segment_label = label_s[predictions.segment_rows[of_segment]]
    window_label = label_s[predictions.window_segment[of_window]]
    window_kk = metrics.confusion(window_label, window_guess[of_window], n_labels)
    scores[subject] = {
        'repetition': metrics.accuracy(segment_label, segment_guess[of_segment]),
        'window': metrics.accuracy(window_label, window_guess[of_window]),
        'macro_f1': metrics.macro_f1(window_kk),
    }
    confusions[subject] = metrics.confusion(segment_label, segment_guess[of_segment], n_labels)
  return scores, confusions


def result_row(by_seed: Mapping[int, Predictions], segments: splits.Segments, n_labels: int,
               **provenance: Any) -> dict[str, Any]:
  """One row of results.json.

  A subject's score is its mean over the seeds; mean, sd (n - 1) and the bootstrap interval are over
  subjects. The confusion is summed over the seeds.

  Args:
    by_seed: predictions of all folds, per seed.
    segments: the table.
    n_labels: K.
    **provenance: method, protocol, uses_target, transductive, split_hash, checkpoint_hash (or
      None), config, wall_s.
  """
  scored = {seed: score(predictions, segments, n_labels) for seed, predictions in by_seed.items()}
  first = next(iter(scored.values()))[0]
  per_subject = {
      subject: {name: float(np.mean([s[subject][name] for s, _ in scored.values()]))
                for name in first[subject]} for subject in first
  }
  confusions = {s: sum(kk[s] for _, kk in scored.values()) for s in first}
  column = {name: [scores[name] for scores in per_subject.values()] for name in SCORES}
  return provenance | {
      'seeds': [int(seed) for seed in by_seed],
      'per_subject': per_subject,
      'per_seed': {str(seed): {name: float(np.mean([v[name] for v in s.values()]))
                               for name in SCORES} for seed, (s, _) in scored.items()},
      'n_subjects': len(per_subject),
      'mean': {name: float(np.mean(v)) for name, v in column.items()},
      'sd': {name: float(np.std(v, ddof=1)) if len(v) > 1 else 0.0 for name, v in column.items()},
      'ci95': {name: list(metrics.bootstrap_interval(v)) for name, v in column.items()},
      'confusion': sum(confusions.values()).tolist(),
      'confusion_per_subject': {s: kk.tolist() for s, kk in confusions.items()},
      'commit': git_commit(),
  }


@functools.cache
def git_commit() -> str:
  """Commit of the code when first asked, '-dirty' when files differ from it, 'unknown' outside a checkout."""
  folder = pathlib.Path(__file__).resolve().parent
  try:
    told = [subprocess.run(('git', '-C', str(folder), *command), capture_output=True, text=True,
                           check=True, timeout=20).stdout.strip()
            for command in (('rev-parse', 'HEAD'), ('status', '--porcelain', '-uno'))]
  except (OSError, subprocess.SubprocessError):
    return 'unknown'
  return told[0] + ('-dirty' if told[1] else '')


def write_results(path: str | os.PathLike, labels: Sequence[str],
                  rows: Sequence[Mapping[str, Any]]) -> None:
  """Writes results.json in one step: it is whole, or as it was."""
  text = json.dumps({'labels': list(labels), 'rows': list(rows)}, indent=1, allow_nan=False)
  _replace(pathlib.Path(path), lambda file: file.write(text.encode() + b'\n'))


def predictions_file(workdir: str | os.PathLike, protocol: str, method: str, seed: int,
                     window_ms: float | None = None) -> pathlib.Path:
  """Where a row's predictions lie; `window_ms` of windows shorter than the row's own."""
  end = '' if window_ms is None else f'-{window_ms:g}ms'
  return pathlib.Path(workdir) / 'predictions' / f'{protocol}-{method}-seed{seed}{end}.npz'


def save_predictions(path: str | os.PathLike, predictions: Predictions,
                     segments: splits.Segments) -> None:
  """Predictions and the names of their segments as a compressed NPZ without pickle, in one step."""
  names = {f'segment_{column}': np.asarray(segments[column])[predictions.segment_rows]
           for column in ('record_id', 'subject', 'session', 'repetition', 'label')}
  arrays = predictions._asdict() | names
  for name, values in arrays.items():
    if values.dtype.hasobject:
      raise ValueError(f'{path}: {name}: got Python objects, expected a plain dtype')
  _replace(pathlib.Path(path), lambda file: np.savez_compressed(file, **arrays))


def load_predictions(path: str | os.PathLike) -> Predictions:
  """What `save_predictions` wrote."""
  with np.load(path, allow_pickle=False) as stored:
    return Predictions(*(stored[field] for field in Predictions._fields))


def _replace(path: pathlib.Path, write: Callable[[Any], Any]) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
  try:
    with open(temporary, 'wb') as file:
      write(file)
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
  """Protocol x method: mean, deviation and interval in percent, and what each row used."""
  lines = ['| protocol | method | uses target | repetition % (sd) [95 %] | window % (sd) [95 %] '
           '| subjects | seeds | split |', '|---|---|---|---|---|---|---|---|']
  for row in rows:
    cells = [f'{100 * row["mean"][name]:.1f} ({100 * row["sd"][name]:.1f}) '
             f'[{100 * row["ci95"][name][0]:.1f}, {100 * row["ci95"][name][1]:.1f}]'
             for name in SCORES]
    seeds = ' '.join(str(seed) for seed in row['seeds'])
    lines.append('| ' + ' | '.join([row['protocol'], row['method'], row['uses_target'], *cells,
                                    str(row['n_subjects']), seeds, row['split_hash'][:8]]) + ' |')
  return '\n'.join(lines) + '\n'
