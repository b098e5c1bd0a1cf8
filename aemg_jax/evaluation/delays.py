"""Accuracy against decision delay, from a run's predictions of windows.

A decision at time t with delay D pools the log probabilities of the windows that lie wholly within
[t - D, t] of one repetition: it has seen the last D ms and nothing else. The least delay is a window's
own length; below it a method must predict shorter windows (`WithShort`), one for each decision.
Repetitions begin at their first window: nothing is decided before D ms of one have passed.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aemg_jax.data import splits
from aemg_jax.evaluation import metrics, results
from aemg_jax.evaluation.results import Predictions
from aemg_jax.sentences.words import PrepareConfig

LEAST_LOG_PROB = -1e4  # finite in sums; labels that did not train have minus infinity
SCORES = ('all', 'same_times')


@dataclasses.dataclass(frozen=True)
class DelayConfig:
  """Which delays; no `ms` measures none.

  Attributes:
    ms: delays, rising.
    short: methods that predict windows shorter than a word's slot too, for the delays below it. An LDA
      is fitted on windows of each length; a network, trained on whole slots, reads slots of fewer samples.
  """
  ms: tuple[int, ...] = (100, 150, 200, 260, 300, 500, 750, 1000)
  short: tuple[str, ...] = ()

  def __post_init__(self):
    if list(self.ms) != sorted(set(self.ms)) or any(ms <= 0 for ms in self.ms):
      raise ValueError(f'DelayConfig.ms: got {self.ms!r}, expected rising numbers above 0')

  def short_samples(self, name: str, prepare: PrepareConfig) -> tuple[int, ...]:
    """Lengths below a slot's that a method is to predict."""
    lengths = (samples(ms, prepare.rectify.rate_hz) for ms in self.ms)
    return tuple(n for n in lengths if n < prepare.word.slot_samples) if name in self.short else ()


class WithShort:
  """A method of the harness that predicts shorter windows in passing; `found` keeps these.

  Attributes:
    found: {samples: {seed: [predictions of each fold]}}.
  """

  def __init__(self, method: Any, short_samples: Sequence[int]):
    self.transductive, self.found = method.transductive, {n: {} for n in short_samples}
    self._method, self.assumes = method, getattr(method, 'assumes', '')

  def predict(self, data: Any, fold: splits.Fold, seed: int) -> Predictions:
    """As the method's own; see `protocols.Method`."""
    whole, *short = self._method.predict_lengths(data, fold, seed, tuple(self.found))
    for by_seed, predictions in zip(self.found.values(), short):
      by_seed.setdefault(seed, []).append(predictions)
    return whole


def samples(delay_ms: float, rate_hz: float) -> int:
  """Whole samples within a delay."""
  return int(delay_ms * rate_hz / 1000 + 1e-9)


def prediction_files(workdir: str, protocol: str, method: str, seeds: Sequence[int], prepare: PrepareConfig,
                     short_samples: Sequence[int]) -> dict[tuple[int, int], pathlib.Path]:
  """{(samples of a window, seed): where the predictions of a row lie}."""
  ms_of = {prepare.word.slot_samples: None} | {n: 1000 * n / prepare.rectify.rate_hz for n in short_samples}
  return {(n, seed): results.predictions_file(workdir, protocol, method, seed, ms)
          for n, ms in ms_of.items() for seed in seeds}


def load(files: Mapping[tuple[int, int], pathlib.Path]) -> dict[int, dict[int, Predictions]]:
  """{samples of a window: {seed: predictions}}."""
  found: dict[int, dict[int, Predictions]] = {}
  for (length, seed), path in files.items():
    found.setdefault(length, {})[seed] = results.load_predictions(path)
  return found


def lacks(row: Mapping[str, Any], short_samples: Sequence[int]) -> bool:
  """Whether a row was made without windows of some of these lengths."""
  made = row['delays']['samples'] if 'delays' in row else ()
  return not set(short_samples) <= set(made)


def measured(row: Mapping[str, Any], config: DelayConfig) -> bool:
  """Whether a row has its delays."""
  return not config.ms or ('delays' in row and row['delays']['ms'] == list(config.ms))


def decide(predictions: Predictions, window_samples: int,
           delay_samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Pooled scores of all decisions with a delay.

  Returns:
    [M] segment, [M] samples passed since the segment's first window began, [M, K] sums of log probabilities.
  """
  order = np.lexsort((predictions.window_start, predictions.window_segment))
  segment_w = predictions.window_segment[order].astype(np.int64)
  stop_w = predictions.window_start[order].astype(np.int64) + window_samples
  log_prob_wk = np.maximum(predictions.window_log_prob[order].astype(np.float64), LEAST_LOG_PROB)
  _, first, place_w = np.unique(segment_w, return_index=True, return_inverse=True)
  passed_w = stop_w - (stop_w[first] - window_samples)[place_w]
  span = int(stop_w.max(initial=0)) + 1
  earliest_w = np.maximum(stop_w - delay_samples + window_samples, 0)  # of the windows that may be pooled
  low_w = np.searchsorted(place_w * span + stop_w, place_w * span + earliest_w)
  high_w = np.arange(1, len(order) + 1)
  total_wk = np.concatenate([np.zeros((1, log_prob_wk.shape[1])), np.cumsum(log_prob_wk, axis=0)])
  may_w = (passed_w >= delay_samples) & (low_w < high_w)
  pooled_mk = total_wk[high_w[may_w]] - total_wk[low_w[may_w]]
  return segment_w[may_w], passed_w[may_w], pooled_mk


def measure(config: DelayConfig, by_length: Mapping[int, Mapping[int, Predictions]], prepare: PrepareConfig,
            segments: splits.Segments) -> dict[str, Any]:
  """The `delays` of a result row.

  Args:
    config: see DelayConfig.
    by_length: {samples of a window: {seed: predictions of all folds}}, a slot's among them.
    prepare: of the set.
    segments: its table.

  Returns:
    {'ms', 'samples' of windows, 'window_ms', 'stride_ms', 'points'}; a point has delay_ms, the windows
    pooled, the number of decisions, and the mean over subjects of accuracy and its interval, over 'all'
    decisions and over those at the 'same_times', when the longest delay has passed too. A delay that no
    window fits into, or that passes in no repetition of some subject, has no point.
  """
  window_samples, rate_hz = prepare.word.slot_samples, prepare.rectify.rate_hz
  decided = {}
  for ms in config.ms:
    delay = samples(ms, rate_hz)
    length = min(delay, window_samples)
    if length in by_length:
      decided[ms] = {seed: decide(p, length, delay) for seed, p in by_length[length].items()}
  whole = next(iter(by_length[window_samples].values()))
  subjects = set(_subjects(segments, whole.segment_rows).tolist())
  passed = [ms for ms, by_seed in decided.items() if _all_decide(by_seed, 0, subjects, segments)]
  longest = samples(max(passed, default=0), rate_hz)
  passed = [ms for ms in passed if _all_decide(decided[ms], longest, subjects, segments)]
  steps = np.diff(np.unique(whole.window_start))
  step = int(steps.min()) if steps.size else 0
  points = []
  for ms in passed:
    more = samples(ms, rate_hz) - window_samples
    windows = 1 + more // step if step and more > 0 else 1
    points.append({'delay_ms': ms, 'windows': windows, **_accuracy(decided[ms], longest, segments)})
  return {'ms': list(config.ms), 'samples': sorted(by_length), 'window_ms': 1000 * window_samples / rate_hz,
          'stride_ms': 1000 * step / rate_hz, 'points': points}


def _subjects(segments: splits.Segments, segment_m: np.ndarray) -> np.ndarray:
  return splits.column_keys(segments, 'subject')[segment_m]


def _all_decide(by_seed, least: int, subjects: set[str], segments: splits.Segments) -> bool:
  """Whether every tested subject decides at least once when `least` samples have passed."""
  return all(set(_subjects(segments, segment_m[passed_m >= least]).tolist()) == subjects
             for segment_m, passed_m, _ in by_seed.values())


def _accuracy(by_seed, longest: int, segments: splits.Segments) -> dict[str, Any]:
  """Per subject over its decisions, then over seeds, then over subjects."""
  found = {score: [] for score in SCORES}
  for segment_m, passed_m, pooled_mk in by_seed.values():
    right_m = pooled_mk.argmax(1) == np.asarray(segments['label'])[segment_m]
    subject_m = _subjects(segments, segment_m)
    for score, least in zip(SCORES, (0, longest)):
      mine = [(subject_m == subject) & (passed_m >= least) for subject in np.unique(subject_m)]
      found[score].append([right_m[of].mean() for of in mine])
  per_subject = {score: np.mean(values, axis=0) for score, values in found.items()}
  return {'decisions': len(next(iter(by_seed.values()))[0]),
          'mean': {score: float(values.mean()) for score, values in per_subject.items()},
          'ci95': {score: list(metrics.bootstrap_interval(values)) for score, values in per_subject.items()}}
