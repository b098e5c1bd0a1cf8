"""Trials -> sequences of windows relative to one rested baseline per subject, and their table.

Letters: b sequence, w window, c channel, f feature.
"""

import collections
import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from aemg_jax.sequences.trials import Trial
from aemg_jax.signal.fatigue_features import FEATURE_NAMES

BASELINES = ('lowest_borg', 'lowest_mvc', 'first')
CLASS_NAMES = ('rested', 'moderate', 'high')
CLASS_FROM = (3, 6)  # Borg from which a sequence is moderate, and high
SIGNED = ('skewness',)  # taken as a difference: a ratio of what passes through 0 means nothing
LARGEST = 3.0  # of a log ratio or a difference: 20 times the baseline
FLOOR = 1e-6  # of a feature, over its baseline


@dataclasses.dataclass(frozen=True)
class SequenceConfig:
  """Attributes:
    length: windows of a sequence; one short of it is never padded, for its length would tell how
      much time had passed.
    stride: windows between sequences.
    baseline: which windows of a subject are rested: those of 'lowest_borg', of 'lowest_mvc' or the
      'first'.
    baseline_windows: at most so many of them, the first in time; 0 is all.
    most: at most so many sequences of a trial, spread evenly over it; 0 is all.
  """
  length: int = 5
  stride: int = 1
  baseline: str = 'lowest_borg'
  baseline_windows: int = 3
  most: int = 0

  def __post_init__(self):
    if self.baseline not in BASELINES:
      raise ValueError(f'SequenceConfig.baseline: got {self.baseline!r}, expected one of {BASELINES}')
    for name, least in (('length', 1), ('stride', 1), ('baseline_windows', 0), ('most', 0)):
      if getattr(self, name) < least:
        raise ValueError(f'SequenceConfig.{name}: got {getattr(self, name)}, expected {least} or more')


class Sequences(NamedTuple):
  """Sequences of a dataset.

  Attributes:
    feature_bwcf: [B, W, C, F] float32: ln(feature / baseline), signed ones less the baseline;
      0 where not valid.
    valid_bwc: [B, W, C] bool.
    borg_b: [B] float32 rating at the end, NaN where there is none.
    elapsed_s_b: [B] seconds from the recording's first window to the sequence's end.
    percent_mvc_b: [B] effort at the end, NaN where unknown; metadata.
    segments: the table that folds index: record_id, subject, session, repetition (number of the last
      window), label (of CLASS_NAMES, -1 without a rating), start_s, stop_s, first_window (row of the
      trial).
  """
  feature_bwcf: np.ndarray
  valid_bwc: np.ndarray
  borg_b: np.ndarray
  elapsed_s_b: np.ndarray
  percent_mvc_b: np.ndarray
  segments: dict[str, np.ndarray]


class Scaler(NamedTuple):
  """Mean and deviation of every feature over training sequences, [F] each."""
  mean_f: np.ndarray
  sd_f: np.ndarray


def make_sequences(trials: Sequence[Trial],
                   config: SequenceConfig) -> tuple[Sequences, collections.Counter]:
  """Returns the sequences and what was refused: 'short trial' and 'channel without baseline'.

  Raises:
    ValueError: no sequence is left, channels differ between trials, or no window is a baseline.
  """
  counts = sorted({trial.valid_wc.shape[1] for trial in trials})
  if len(counts) != 1:
    raise ValueError(f'trials: got {counts} channels, expected one number for all')
  rejects = collections.Counter()
  baselines = {s: baseline([t for t in trials if t.subject == s], config)
               for s in sorted({t.subject for t in trials})}
  parts = []
  for trial in trials:
    if len(trial.borg_w) < config.length:
      rejects['short trial'] += 1
      continue
    base_cf, known_c = baselines[trial.subject]
    rejects['channel without baseline'] += int((~known_c).sum())
    if known_c.any():
      parts.append(_cut(trial, base_cf, known_c, config))
  if not parts:
    raise ValueError(f'sequences: none of {len(trials)} trials holds {config.length} windows with a '
                     f'baseline, refused: {dict(rejects)}')
  join = lambda *arrays: np.concatenate(arrays)
  *arrays, tables = zip(*parts)
  table = {name: join(*(t[name] for t in tables)) for name in tables[0]}
  return Sequences(*(join(*a) for a in arrays), table), +rejects


def baseline(trials: Sequence[Trial], config: SequenceConfig) -> tuple[np.ndarray, np.ndarray]:
  """ONE rested reference of a subject: ([C, F] mean over its windows, [C] bool channels that have it).

  One per trial would be wrong: every trial would then begin at 1, and flat over efforts by
  construction. Means are over each channel's valid windows.
  """
  feature_wcf = np.concatenate([t.feature_wcf for t in trials])
  valid_wc = np.concatenate([t.valid_wc for t in trials])
  chosen = rested_windows(trials, config)
  count_c = valid_wc[chosen].sum(axis=0)
  mean_cf = feature_wcf[chosen].sum(axis=0) / np.maximum(count_c, 1)[:, None]
  return mean_cf, count_c > 0


def rested_windows(trials: Sequence[Trial], config: SequenceConfig) -> np.ndarray:
  """Rows of a subject's rested windows, over its trials one after the other."""
  rank_w = {
      'lowest_borg': lambda: np.concatenate([t.borg_w for t in trials]),
      'lowest_mvc': lambda: np.concatenate([t.percent_mvc_w for t in trials]),
      'first': lambda: np.zeros(sum(len(t.borg_w) for t in trials)),
  }[config.baseline]()
  if np.isnan(rank_w).all():
    raise ValueError(f'subject {trials[0].subject!r}: {config.baseline}: no window has a value, '
                     'expected one to take as rested')
  chosen = np.flatnonzero(rank_w == np.nanmin(rank_w))
  return chosen[:config.baseline_windows or None]


def relative(feature_wcf: np.ndarray, base_cf: np.ndarray) -> np.ndarray:
  """ln(x / baseline), and x - baseline for SIGNED, within +-LARGEST; finite for finite input."""
  tiny = np.finfo(np.float64).tiny
  floor_cf = np.maximum(FLOOR * np.abs(base_cf), tiny)
  ratio_wcf = np.log(np.maximum(feature_wcf, floor_cf[None])) - np.log(np.maximum(base_cf, floor_cf))[None]
  signed_f = np.isin(FEATURE_NAMES, SIGNED)
  out_wcf = np.where(signed_f[None, None], feature_wcf - base_cf[None], ratio_wcf)
  return np.clip(out_wcf, -LARGEST, LARGEST)


def fit_scaler(sequences: Sequences, rows: np.ndarray) -> Scaler:
  """Statistics of the given sequences alone, which must be those that train."""
  value_nf = sequences.feature_bwcf[rows][sequences.valid_bwc[rows]].astype(np.float64)
  if not len(value_nf):
    raise ValueError(f'fit_scaler: {len(rows)} sequences without a valid window, expected some')
  sd_f = value_nf.std(axis=0)
  return Scaler(value_nf.mean(axis=0), np.where(sd_f > 1e-6, sd_f, 1.0))


def standardise(sequences: Sequences, scaler: Scaler) -> np.ndarray:
  """[B, W, C, F] float32 z-scores by training statistics; 0 where not valid."""
  z_bwcf = (sequences.feature_bwcf - scaler.mean_f[None, None, None]) / scaler.sd_f[None, None, None]
  return np.where(sequences.valid_bwc[..., None], z_bwcf, 0.0).astype(np.float32)


def class_of(borg_b: np.ndarray) -> np.ndarray:
  """[B] int32 index of CLASS_NAMES; -1 without a rating."""
  class_b = np.digitize(np.nan_to_num(borg_b), CLASS_FROM)
  return np.where(np.isnan(borg_b), -1, class_b).astype(np.int32)


def _cut(trial: Trial, base_cf: np.ndarray, known_c: np.ndarray, config: SequenceConfig):
  """Arrays of Sequences for one trial, in its order, with the table last."""
  valid_wc = trial.valid_wc & known_c[None]
  value_wcf = np.where(valid_wc[..., None], relative(trial.feature_wcf, base_cf), 0.0)
  first_b = np.arange(0, len(valid_wc) - config.length + 1, config.stride)
  if config.most and len(first_b) > config.most:
    first_b = first_b[np.linspace(0, len(first_b) - 1, config.most).round().astype(int)]
  row_bw = first_b[:, None] + np.arange(config.length)[None]
  keep_b = valid_wc[row_bw].any(axis=(1, 2))
  row_bw = row_bw[keep_b]
  last_b = row_bw[:, -1]
  repeat = lambda text: np.full(len(row_bw), text)
  borg_b = trial.borg_w[last_b].astype(np.float32)
  table = {
      'record_id': repeat(trial.record_id), 'subject': repeat(trial.subject),
      'session': repeat(trial.session), 'repetition': trial.repetition_w[last_b].astype(np.int32),
      'label': class_of(borg_b), 'start_s': trial.start_s_w[row_bw[:, 0]],
      'stop_s': trial.stop_s_w[last_b], 'first_window': row_bw[:, 0].astype(np.int32),
  }
  return (value_wcf[row_bw].astype(np.float32), valid_wc[row_bw], borg_b, trial.elapsed_s_w[last_b],
          trial.percent_mvc_w[last_b], table)
