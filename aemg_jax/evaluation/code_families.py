"""What frequent codes stand for: a family by their words' level, place and neighbours, and polysemy.

Amplitudes are natural logs over the mean that was taken away (of the electrode in its session, under
'session' centring). Letters: m chosen code, w word, q part of a repetition, g gesture, f spectrum bin.
"""

from typing import NamedTuple

import numpy as np

from aemg_jax.evaluation import figure_data
from aemg_jax.sentences import cache

PARTS = ('onset', 'hold', 'offset')
EDGE = 0.2  # share of a repetition that is its onset, and its offset
QUIET = -0.5  # mean log amplitude below which a code is of rest
STRONG = 0.5
LIFT = 1.25  # times as often in a part as all words are
STEP = 0.15  # mean log amplitude over a neighbouring slot's
RULE = (
    f'Quiet: mean log amplitude below {QUIET:g}. Burst: louder than the same electrode a slot before and a '
    f'slot after by {STEP:g} or more; rising or falling: than one of the two alone. Onset or offset: '
    f'{LIFT:g} times as often as all words in the first or last {100 * EDGE:.0f} % of a repetition. Strong: '
    f'mean log amplitude from {STRONG:g}, sustained. Weak: the rest, sustained. The first that holds.')
MOST = 20


class Placed(NamedTuple):
  """The valid words of some sentences, one row a word.

  Attributes:
    code, label, segment, channel: [W] int.
    part: [W] index into PARTS.
    amplitude: [W].
    before, after: [W] the amplitude less that of the same electrode in the slot before and after, NaN
      where there is none.
    slot: [W, 2] sentence and slot, to find the other electrodes of the moment.
    spectrum_wf: [W, F], NaN outside the device's band.
  """
  code: np.ndarray
  label: np.ndarray
  segment: np.ndarray
  channel: np.ndarray
  part: np.ndarray
  amplitude: np.ndarray
  before: np.ndarray
  after: np.ndarray
  slot: np.ndarray
  spectrum_wf: np.ndarray


def place_words(coded, prepared: cache.Prepared, row_b: np.ndarray) -> Placed:
  """Words of sentences `row_b` (see `codebook.Coded`) of labelled segments with what is round them."""
  segments, channels = prepared.segments, coded.model.encoder.max_channels
  row_b = row_b[segments['label'][coded.segment_b[row_b]] >= 0]
  slots = coded.code_bn.shape[1] // channels
  take = lambda x: np.asarray(x)[row_b].reshape(len(row_b), slots, channels)
  code_bsc, amplitude_bsc = take(coded.code_bn), take(coded.words.amplitude_n)
  onset_bsc, length_bsc = take(coded.words.onset_n), take(coded.words.length_n)
  valid_bsc = code_bsc >= 0
  amplitude_bsc = np.where(valid_bsc, amplitude_bsc, np.nan).astype(np.float64)
  joined_bsc = onset_bsc[:, 1:] == onset_bsc[:, :-1] + length_bsc[:, :-1]
  joined_bsc &= valid_bsc[:, 1:] & valid_bsc[:, :-1]
  rise_bsc = np.where(joined_bsc, np.diff(amplitude_bsc, axis=1), np.nan)
  missing_b1c = np.full((len(row_b), 1, channels), np.nan)
  before_bsc = np.concatenate([missing_b1c, rise_bsc], 1)
  after_bsc = np.concatenate([-rise_bsc, missing_b1c], 1)
  b, slot, channel = np.nonzero(valid_bsc)
  segment = coded.segment_b[row_b][b]
  middle = onset_bsc[b, slot, channel] + length_bsc[b, slot, channel] / 2
  share = middle / segments['n_samples'][segment]
  part = np.digitize(share, (EDGE, 1 - EDGE))
  heard_wf = np.asarray(coded.words.bin_valid_f)[row_b][b]
  spectrum_wf = np.asarray(coded.words.spectrum_nf)[row_b][b, slot * channels + channel]
  return Placed(code_bsc[b, slot, channel], segments['label'][segment], segment, channel, part,
                amplitude_bsc[b, slot, channel], before_bsc[b, slot, channel], after_bsc[b, slot, channel],
                np.stack([b, slot], 1), np.where(heard_wf, spectrum_wf, np.nan))


def family(amplitude: float, lift_q: np.ndarray, before: float, after: float) -> str:
  """The name that RULE gives; `before` and `after` may be NaN, which is no step."""
  if amplitude < QUIET:
    return 'quiet'
  up, down = before >= STEP, after >= STEP
  if up or down:
    return 'burst' if up and down else 'rising' if up else 'falling'
  if max(lift_q[0], lift_q[2]) >= LIFT:
    return PARTS[0] if lift_q[0] >= lift_q[2] else PARTS[2]
  return 'strong' if amplitude >= STRONG else 'weak'


def describe(words: Placed, n_labels: int, most: int = MOST) -> dict[str, np.ndarray]:
  """The most frequent codes, for families.npz, most frequent first.

  Returns:
    code_m, share_m of all words, amplitude_m, before_m, after_m (0 where no word has a neighbour),
    lift_mq, gesture_mg P(gesture | code), entropy_m: H(gesture | code) over H(gesture) of all words,
    spectrum_mf and deviation_mf of the words, family_m.
  """
  count_k = np.bincount(words.code)
  code_m = np.argsort(-count_k, kind='stable')[:most]
  code_m = code_m[count_k[code_m] > 0]
  base_q = np.bincount(words.part, minlength=3) / len(words.part)
  base = _entropy(np.bincount(words.label, minlength=n_labels) / len(words.label))
  found: dict[str, list] = {}
  for code in code_m:
    mine = words.code == code
    gesture_g = np.bincount(words.label[mine], minlength=n_labels) / mine.sum()
    lift_q = np.bincount(words.part[mine], minlength=3) / mine.sum() / np.maximum(base_q, 1e-12)
    amplitude, before, after = (_mean(x[mine]) for x in (words.amplitude, words.before, words.after))
    spectrum_wf = words.spectrum_wf[mine]
    spread_f = _mean((spectrum_wf - _mean(spectrum_wf)[None])**2)**0.5
    row = dict(share_m=mine.mean(), amplitude_m=amplitude, before_m=before, after_m=after, lift_mq=lift_q,
               gesture_mg=gesture_g, entropy_m=_entropy(gesture_g) / max(base, 1e-12),
               spectrum_mf=_mean(spectrum_wf), deviation_mf=spread_f,
               family_m=family(amplitude, lift_q, before, after))
    for key, value in row.items():
      found.setdefault(key, []).append(value)
  return {'code_m': code_m} | {key: np.array(values) for key, values in found.items()}


def polysemous(words: Placed, n_labels: int, channels: int) -> dict[str, np.ndarray]:
  """The code whose words at one electrode are spread most over gestures, for polysemy.npz.

  Left out, unless nothing else is there: codes below the mean amplitude, since rest is in all gestures, and
  pairs of code and electrode with less than half the words of the fullest.

  Returns:
    code, electrode: the code and the electrode.
    count_g: its words there by gesture, base_g: P(gesture) of all words there.
    spectrum_gf: mean spectrum of its words there by gesture, NaN where a gesture has none.
    context_gc: mean log amplitude of every electrode at these moments.
  """
  count_kcg = np.zeros((words.code.max() + 1, channels, n_labels), np.int32)
  np.add.at(count_kcg, (words.code, words.channel, words.label), 1)
  count_kc = count_kcg.sum(-1)
  total_k = np.bincount(words.code, weights=words.amplitude)
  loud_kc = (count_kc > 0) & (total_k > 0)[:, None]
  allowed_kc = loud_kc if loud_kc.any() else count_kc > 0
  allowed_kc = allowed_kc & (count_kc >= np.where(allowed_kc, count_kc, 0).max() / 2)
  pairs = np.argwhere(allowed_kc)
  spread = [_entropy(count_kcg[k, c] / count_kc[k, c]) for k, c in pairs]
  code, electrode = (int(i) for i in pairs[np.argmax(spread)])
  there = words.channel == electrode
  mine = there & (words.code == code)
  moment = words.slot[:, 0] * (words.slot[:, 1].max() + 1) + words.slot[:, 1]
  spectrum_gf, context_gc = [], np.full((n_labels, channels), np.nan)
  for label in range(n_labels):
    of = mine & (words.label == label)
    spectrum_gf.append(_mean(words.spectrum_wf[of]))
    at = np.isin(moment, moment[of])
    for channel in range(channels):
      context_gc[label, channel] = _mean(words.amplitude[at & (words.channel == channel)])
  return {'code': code, 'electrode': electrode,
          'count_g': np.bincount(words.label[mine], minlength=n_labels),
          'base_g': np.bincount(words.label[there], minlength=n_labels) / there.sum(),
          'spectrum_gf': np.stack(spectrum_gf), 'context_gc': context_gc}


def measure(coded, prepared: cache.Prepared, row_b: np.ndarray, measured_on: str, workdir: str) -> None:
  """Writes families.npz and polysemy.npz of the report; nothing where no word is labelled."""
  words = place_words(coded, prepared, row_b)
  if not words.code.size:
    return
  n_labels, config = len(prepared.labels), prepared.config
  frequency_f = np.arange(1, config.word.n_bins + 1) * config.rectify.rate_hz / config.word.slot_samples
  shared = dict(measured_on=measured_on, label_name=list(prepared.labels), frequency_f=frequency_f)
  figure_data.save_figure_data(workdir, 'families', rule=RULE, **shared, **describe(words, n_labels))
  channels = coded.model.encoder.max_channels
  figure_data.save_figure_data(
      workdir, 'polysemy', channel_name=[str(c + 1) for c in range(channels)], **shared,
      **polysemous(words, n_labels, channels))


def _entropy(share_g: np.ndarray) -> float:
  share = share_g[share_g > 0]
  return float(-(share * np.log(share)).sum())


def _mean(x: np.ndarray):
  """Mean over the first axis without NaN; NaN where nothing is left."""
  known = np.isfinite(x)
  count = known.sum(0)
  return np.where(count > 0, np.where(known, x, 0).sum(0) / np.maximum(count, 1), np.nan)
