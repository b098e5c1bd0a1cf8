"""Evaluation windows as one-slot sentences: a score that sees that window's samples alone."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from aemg_jax.data import batches, splits
from aemg_jax.sentences import cache, sentence
from aemg_jax.sentences.words import Words

STRIDE = 5
_SEGMENTS_AT_ONCE = 32


def map_windows(prepared: cache.Prepared, rows: Sequence[splits.Row], centre: batches.Centre,
                fn: Callable[[Words], Any], stride: int = STRIDE, window_samples: int = 0):
  """fn over all windows of crops of segments, a few segments at a time so that memory stays flat.

  Args:
    prepared: the set.
    rows: crops; a window lies wholly within its crop.
    centre: features minus this.
    fn: words with leading b -> [b, ...], or a tree of such.
    stride: between windows, samples.
    window_samples: fewer than a slot's, for words that end early; 0 is a slot's.

  Returns:
    segment_w, start_w int32, and fn's results concatenated.
  """
  word = prepared.config.word
  samples = window_samples or word.slot_samples
  if not word.min_valid <= samples <= word.slot_samples:
    raise ValueError(f'windows: got {samples} samples, expected {word.min_valid} to {word.slot_samples}, as a '
                     'word has')
  rate_hz = prepared.config.rectify.rate_hz
  length = prepared.meta['max_samples']
  starts = np.arange(0, max(length - samples, 0) + 1, stride, dtype=np.int32)
  segment_parts, start_parts, out_parts = [], [], []
  for first in range(0, len(rows), _SEGMENTS_AT_ONCE):
    chunk = rows[first:first + _SEGMENTS_AT_ONCE]
    segment_b = np.array([row.segment for row in chunk])
    segment_b = np.resize(segment_b, _SEGMENTS_AT_ONCE)  # one shape, one compilation
    rectified = prepared.rectified.read(segment_b)
    words = _words(prepared, segment_b, rectified, starts, samples)
    inside_bw = np.zeros((_SEGMENTS_AT_ONCE, len(starts)), bool)
    for i, row in enumerate(chunk):
      low, high = splits.crop_samples(prepared.segments, row, rate_hz)
      high = min(high, int(rectified['n_samples'][i]))
      inside_bw[i] = (starts >= low) & (starts + samples <= high)
    place_b, window = np.nonzero(inside_bw)
    if not place_b.size:
      continue
    words = Words(*(x[place_b, window] for x in words))
    session_b = prepared.segments['session_index'][segment_b[place_b]]
    segment_parts.append(segment_b[place_b].astype(np.int32))
    start_parts.append(starts[window])
    out_parts.append(fn(batches.centred(words, session_b, centre)))
  if not out_parts:
    raise ValueError(f'{prepared.path}: no window of {samples} samples in {len(rows)} crops, the '
                     f'first of {rows[0].record_id!r}, expected some')
  joined = jax.tree.map(lambda *parts: np.concatenate(parts), *out_parts)
  return np.concatenate(segment_parts), np.concatenate(start_parts), joined


def window_arrays(prepared: cache.Prepared, rows: Sequence[splits.Row], centre: batches.Centre, stride: int) -> dict:
  """All windows of crops as a batch in memory: {'words', 'label' [w], 'weight' [w]}, see `batches.sentence_arrays`."""
  segment_w, _, words = map_windows(prepared, rows, centre, lambda words: words, stride)
  return {'words': words, 'label': prepared.segments['label'][segment_w].astype(np.int32),
          'weight': np.ones(len(segment_w), np.float32)}


def _words(prepared: cache.Prepared, segment_b: np.ndarray, rectified, starts: np.ndarray,
           samples: int) -> Words:
  """Words of all windows, leading b and w."""
  config, (b, w) = prepared.config, (len(segment_b), len(starts))
  slot = config.word.slot_samples
  if samples == slot:
    words = sentence.tokenise_windows_batch(
        rectified['signal_tc'], rectified['n_samples'], np.tile(starts, (b, 1)),
        cache.channels_of(prepared, segment_b), cache.rest_of(prepared, segment_b), config)
    return Words(*(np.asarray(x) for x in words))
  padded_btc = np.pad(rectified['signal_tc'], ((0, 0), (0, slot), (0, 0)))
  cut_bwpc = padded_btc[:, starts[:, None] + np.arange(slot)[None]]  # each a segment that ends early
  segment_m = np.repeat(segment_b, w)
  words = sentence.tokenise_windows_batch(
      cut_bwpc.reshape(b * w, slot, -1), np.full(b * w, samples, np.int32), np.zeros((b * w, 1), np.int32),
      cache.channels_of(prepared, segment_m), cache.rest_of(prepared, segment_m), config)
  words = Words(*(np.asarray(x).reshape(b, w, *x.shape[2:]) for x in words))
  return words._replace(onset_n=np.where(words.valid_n, starts[None, :, None], 0))
