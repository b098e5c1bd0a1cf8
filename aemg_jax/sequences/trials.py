"""One recording -> the fatigue features of its windows, with what was rated and what was refused.

A window is the active part of a repetition, or a stretch of fixed length (isometric work). Its
features are means over pieces of `piece_s` inside it, so that neither counts nor sums depend on how
long a repetition takes, and one compiled graph serves every window of every dataset.
"""

import collections
import dataclasses
from typing import NamedTuple

import numpy as np

from aemg_jax.records import Record
from aemg_jax.signal import fatigue_features, filters

REJECTS = ('clipped', 'flat', 'disconnected', 'no channel', 'missing Borg', 'short window')


@dataclasses.dataclass(frozen=True)
class WindowConfig:
  """Attributes:
    by: 'repetition' takes the labelled spans (active parts), 'time' windows of fixed length.
    window_s, stride_s: of 'time'.
    piece_s, piece_stride_s: features are means over pieces of a window.
    low_hz, high_hz: band-pass.
    mains_hz: notched with its harmonics; 0 is off.
    max_clipped: share of a channel's samples at its extremes from which a window is refused.
    min_outside_mains: share of a channel's band-passed power that the notch must leave; an open
      lead carries little but mains.
    need_borg: windows without a rating are refused.
  """
  by: str = 'repetition'
  window_s: float = 1.0
  stride_s: float = 0.5
  piece_s: float = 0.5
  piece_stride_s: float = 0.25
  low_hz: float = 20.0
  high_hz: float = 450.0
  mains_hz: float = 50.0
  max_clipped: float = 0.25
  min_outside_mains: float = 0.1
  need_borg: bool = True

  def __post_init__(self):
    if self.by not in ('repetition', 'time'):
      raise ValueError(f"WindowConfig.by: got {self.by!r}, expected 'repetition' or 'time'")
    if not 0 < self.piece_s <= self.window_s:
      raise ValueError(f'WindowConfig.piece_s: got {self.piece_s!r}, expected within (0, '
                       f'{self.window_s:g}] s')


class Trial(NamedTuple):
  """Windows of one recording in time order.

  Attributes:
    record_id, subject, session: as in the record.
    feature_wcf: [W, C, 32] float64, finite, zero where not valid.
    valid_wc: [W, C] bool: neither clipped, flat nor disconnected.
    borg_w: [W] rating, NaN where there is none.
    percent_mvc_w: [W] effort, NaN where unknown. Metadata: no model reads it.
    repetition_w: [W] int, number of the window in the recording, refused ones counted.
    start_s_w, stop_s_w: [W] seconds in the recording's samples.
    elapsed_s_w: [W] seconds on the clock from the first window's start to each window's stop.
  """
  record_id: str
  subject: str
  session: str
  feature_wcf: np.ndarray
  valid_wc: np.ndarray
  borg_w: np.ndarray
  percent_mvc_w: np.ndarray
  repetition_w: np.ndarray
  start_s_w: np.ndarray
  stop_s_w: np.ndarray
  elapsed_s_w: np.ndarray


def make_trial(record: Record, config: WindowConfig) -> tuple[Trial, collections.Counter]:
  """Returns the trial and the refused windows by reason; channels of windows count as one each.

  Raises:
    ValueError: a record that is no raw EMG, or whose rate lacks the band.
  """
  if record.kind != 'emg' or record.is_envelope:
    raise ValueError(f'{record.record_id}: kind: got {record.kind!r} (envelope: '
                     f'{record.is_envelope}), expected raw EMG')
  rejects = collections.Counter()
  kept, spans = [], _spans(record, config)
  borg_w, percent_w = (np.array([_value(record, name, *span) for span in spans])
                       for name in ('borg', 'percent_mvc'))
  for number, (start, stop) in enumerate(spans):
    if stop - start < round(config.piece_s * record.rate_hz):
      rejects['short window'] += 1
    elif config.need_borg and np.isnan(borg_w[number]):
      rejects['missing Borg'] += 1
    else:
      kept.append(number)
  clean_tc, outside_tc = _filtered(record, config)
  extreme_tc = _at_extremes(record.signal_tc)
  valid_wc = np.zeros((len(kept), record.n_channels), bool)
  for row, number in enumerate(kept):
    valid_wc[row] = _valid_channels(
        record, slice(*spans[number]), extreme_tc, clean_tc, outside_tc, config, rejects)
  rejects['no channel'] += int((~valid_wc.any(axis=1)).sum())
  keep_w = valid_wc.any(axis=1)
  kept, valid_wc = np.array(kept, int)[keep_w], valid_wc[keep_w]
  span_w2 = np.array(spans, float).reshape(-1, 2)[kept] / record.rate_hz
  feature_wcf = _features(clean_tc, [spans[number] for number in kept], record.rate_hz, config)
  return Trial(
      record.record_id, record.subject, record.session,
      np.where(valid_wc[..., None], feature_wcf, 0.0), valid_wc, borg_w[kept], percent_w[kept], kept,
      span_w2[:, 0], span_w2[:, 1], _elapsed(record, spans)[kept]), +rejects


def _spans(record: Record, config: WindowConfig) -> list[tuple[int, int]]:
  if config.by == 'repetition':
    return sorted((label.start, label.stop) for label in record.labels)
  length, stride = (round(s * record.rate_hz) for s in (config.window_s, config.stride_s))
  return [(i, i + length) for i in range(0, record.n_samples - length + 1, stride)]


def _value(record: Record, name: str, start: int, stop: int) -> float:
  """The annotation of that name whose span holds the window's last sample; NaN without one."""
  values = {a.value for a in record.annotations if a.name == name and a.start < stop <= a.stop}
  if len(values) > 1:
    raise ValueError(f'{record.record_id}: {name}: got {sorted(values)} at sample {stop - 1}, '
                     'expected one value')
  return values.pop() if values else np.nan


def _elapsed(record: Record, spans: list[tuple[int, int]]) -> np.ndarray:
  gaps = [(a.start, a.value) for a in record.annotations if a.name == 'gap_s']
  clock = lambda sample: sample / record.rate_hz + sum(s for start, s in gaps if start <= sample)
  return np.array([clock(stop) - clock(spans[0][0]) for _, stop in spans])


def _filtered(record: Record, config: WindowConfig) -> tuple[np.ndarray, np.ndarray]:
  """(after band-pass and notch, after the band-pass alone), [T, C] float64."""
  level_c = np.median(record.signal_tc, axis=0).astype(np.float64)
  band_tc = filters.bandpass(record.signal_tc, record.rate_hz, config.low_hz, config.high_hz,
                             initial_c=level_c)
  if not config.mains_hz:
    return band_tc, band_tc
  return filters.notch(band_tc, record.rate_hz, config.mains_hz), band_tc


def _at_extremes(signal_tc: np.ndarray) -> np.ndarray:
  """[T, C] bool: at a channel's least or largest value. The range of the converter is not in a record."""
  return ((signal_tc == signal_tc.min(axis=0, keepdims=True))
          | (signal_tc == signal_tc.max(axis=0, keepdims=True)))


def _valid_channels(record: Record, span: slice, extreme_tc: np.ndarray, clean_tc: np.ndarray,
                    band_tc: np.ndarray, config: WindowConfig,
                    rejects: collections.Counter) -> np.ndarray:
  """[C] bool."""
  flat_c = np.ptp(record.signal_tc[span], axis=0) == 0
  clipped_c = extreme_tc[span].mean(axis=0) > config.max_clipped
  power = lambda x_tc: np.square(x_tc[span]).mean(axis=0)
  open_c = power(clean_tc) <= config.min_outside_mains * power(band_tc)
  for reason, bad_c in (('flat', flat_c), ('clipped', clipped_c & ~flat_c),
                        ('disconnected', open_c & ~clipped_c & ~flat_c)):
    rejects[reason] += int(bad_c.sum())
  return ~(flat_c | clipped_c | open_c)


def _features(clean_tc: np.ndarray, spans: list[tuple[int, int]], rate_hz: float,
              config: WindowConfig) -> np.ndarray:
  """[W, C, 32] means over pieces that are spread evenly from a window's start to its end."""
  piece = round(config.piece_s * rate_hz)
  pieces, owner = [], []
  for window, (start, stop) in enumerate(spans):
    n_pieces = 1 + round((stop - start - piece) / (config.piece_stride_s * rate_hz))
    for at in np.linspace(start, stop - piece, n_pieces).round().astype(int):
      pieces.append(clean_tc[at:at + piece])
      owner.append(window)
  n_features = len(fatigue_features.FEATURE_NAMES)
  sum_wcf = np.zeros((len(spans), clean_tc.shape[1], n_features))
  if not spans:
    return sum_wcf
  piece_ncf = fatigue_features.windowed(np.concatenate(pieces), rate_hz, config.piece_s, config.piece_s)
  np.add.at(sum_wcf, owner, piece_ncf.astype(np.float64))
  return sum_wcf / np.bincount(owner, minlength=len(spans))[:, None, None]
