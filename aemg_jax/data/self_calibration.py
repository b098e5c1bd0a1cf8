"""What a wearer's first seconds give without labels: the mean to take away, and how the band is worn.

Both are estimated from those seconds alone and shrunk towards the training wearers: the mean counts
s^2 / (s^2 + 20^2) against theirs, turned to the way the band is worn, and an unsure band counts as
worn as usual. With nothing seen both are the training wearers'. The square waits for a second gesture:
the mean of one is worse than none. Chosen on MyoArmband's 19 pre-training subjects, one left out in
turn (LDA on classical features, not turned; repetition / window accuracy in % on the repetitions after
the first 60 s; all: every unlabelled window, the tested ones too):

    seconds              0            5            10           20           35           all
    s / (s + 12)         86.1 / 82.9  82.8 / 80.7  84.7 / 81.9  86.8 / 83.7  91.3 / 87.0  92.3 / 88.5
    s^2 / (s^2 + 10^2)   86.1 / 82.9  83.9 / 82.0  84.6 / 81.4  85.7 / 82.9  91.7 / 87.6  92.7 / 88.7
    s^2 / (s^2 + 20^2)   86.1 / 82.9  86.1 / 82.9  86.4 / 83.2  87.8 / 84.0  91.3 / 87.0  92.7 / 88.7
    s^2 / (s^2 + 30^2)   86.1 / 82.9  85.7 / 82.9  86.1 / 83.3  88.2 / 84.0  90.9 / 86.3  92.7 / 88.6
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from aemg_jax.data import alignment, batches, montage, placement, splits
from aemg_jax.data.alignment_features import window_features
from aemg_jax.sentences import cache

PRIOR_S = 20.0


def weight(seconds: float) -> float:
  """Share of the wearer's own mean."""
  return seconds**2 / (seconds**2 + PRIOR_S**2)


def first_seconds(rows: Sequence[splits.Row], seconds: float) -> tuple[splits.Row, ...]:
  """The start of a stream, its last row cut."""
  taken, left_s = [], seconds
  for row in rows:
    if left_s <= 1e-6:
      break
    stop_s = min(row.stop_s, row.start_s + left_s)
    taken.append(dataclasses.replace(row, stop_s=stop_s))
    left_s -= stop_s - row.start_s
  return tuple(taken)


def total_s(rows: Sequence[splits.Row]) -> float:
  """Seconds of crops."""
  return sum(row.stop_s - row.start_s for row in rows)


class SelfCalibration:
  """Training wearers' frame and mean, and what they make of a new wearer's seconds.

  Attributes:
    centre: each training session's own mean and way of wearing; other sessions are not to be used.
    worn: the montage that turns, None where none does or `align` is off.
  """

  def __init__(self, prepared: cache.Prepared, train: Sequence[splits.Row], align: bool):
    """Args:
      prepared: a set of 'fixed' scale: a session's own scale would have seen all of it.
      train: rows of the training wearers, with labels.
      align: turn bands.
    """
    if prepared.config.rectify.scale != 'fixed':
      raise ValueError(f'self-calibration: data of scale {prepared.config.rectify.scale!r}, expected '
                       "'fixed': the scale of a session is a statistic of all of it")
    self._prepared = prepared
    self._none = batches.make_centre(prepared, 'none', ())
    rows = [row.segment for row in train]
    centre = batches.make_centre(prepared, 'session', ())
    self.worn = montage.common(prepared.segments, rows) if align else None
    self._frame: alignment.Alignment | None = None
    self._placed: dict[tuple[bool, tuple[splits.Row, ...]], placement.Placement] = {}
    sessions = np.unique(prepared.segments['session_index'][rows])
    subject_s = splits.column_keys(prepared.sessions, 'subject')
    element_s = np.zeros(len(subject_s), np.int32)
    if self.worn is not None:
      self._frame = self._fit(rows)
      element_s[sessions] = [self._frame.element_of(s) for s in subject_s[sessions]]
      centre = dataclasses.replace(centre, element_s=element_s, worn=self.worn)
    self.centre = centre
    mean_scf = centre.mean_scf[sessions]
    if self.worn is not None:
      mean_scf = np.stack([montage.by_place(x_cf, element, self.worn)
                           for x_cf, element in zip(mean_scf, element_s[sessions])])
    self._mean_cf = np.nanmean(mean_scf, axis=0)

  def _fit(self, rows: Sequence[int]) -> alignment.Alignment:
    data = batches.sentence_arrays(self._prepared, rows, None, self._none)
    windows, sentence_w = window_features(data['words'], self.worn.channels)
    subject_w = splits.column_keys(self._prepared.segments, 'subject')[data['segment'][sentence_w]]
    train = windows, data['label'][sentence_w], subject_w
    return placement.calibrated(alignment.fit(*train, montage.elements(self.worn)), *train)

  def place(self, stream: Sequence[splits.Row], labelled: bool = False) -> placement.Placement:
    """How the wearer of some crops wears the band; their labels are read if they are said to be known."""
    if self._frame is None:
      return placement.Placement(0, 1.0, 0.0, False)
    if not stream:
      return placement.Placement(self._frame.usual, 0.0, 0.0, True)
    key = labelled, tuple(stream)
    if key not in self._placed:
      data = self._sentences(stream)
      windows, sentence_w = window_features(data['words'], self.worn.channels)
      label_w = data['label'][sentence_w] if labelled else None
      self._placed[key] = placement.place(self._frame, windows, label_w=label_w)
    return self._placed[key]

  def of(self, stream: Sequence[splits.Row], sessions: Sequence[int]) -> batches.Centre:
    """The centre for a new wearer's sessions from unlabelled crops alone; () is strictly inductive."""
    element = self.place(stream).element
    mean_cf = self._mean_cf if self.worn is None else montage.by_electrode(self._mean_cf, element, self.worn)
    if stream:
      words, share = self._sentences(stream)['words'], weight(total_s(stream))
      feature_mf = np.concatenate([words.spectrum_nf, words.amplitude_n[..., None]], -1)
      count_c, total_cf = _by_channel(feature_mf, words.valid_n, len(mean_cf))
      own_cf = np.where(count_c[:, None] > 0, total_cf / np.maximum(count_c, 1)[:, None], mean_cf)
      mean_cf = share * own_cf + (1 - share) * mean_cf
    mean_scf, element_s = self.centre.mean_scf.copy(), self.centre.element_s
    mean_scf[list(sessions)] = mean_cf
    if element_s is not None:
      element_s = element_s.copy()
      element_s[list(sessions)] = element
    return dataclasses.replace(self.centre, mean_scf=mean_scf, element_s=element_s)

  def _sentences(self, stream: Sequence[splits.Row]) -> dict[str, Any]:
    rate_hz = self._prepared.config.rectify.rate_hz
    crops = [splits.crop_samples(self._prepared.segments, row, rate_hz) for row in stream]
    return batches.sentence_arrays(
        self._prepared, [row.segment for row in stream], crops, self._none)


def _by_channel(feature_bnf: np.ndarray, valid_bn: np.ndarray, channels: int):
  """[C] valid words and [C, F] their sum, float64."""
  valid_wc = valid_bn.reshape(-1, channels)
  feature_wcf = feature_bnf.reshape(*valid_wc.shape, -1)
  return valid_wc.sum(0), np.where(valid_wc[..., None], feature_wcf, 0).sum(0, dtype=np.float64)
