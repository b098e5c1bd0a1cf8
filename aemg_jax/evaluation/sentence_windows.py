"""Evaluation windows as one-slot sentences: a score that sees that window's samples alone."""

from collections.abc import Callable, Sequence

import numpy as np

from aemg_jax.data import batches, splits
from aemg_jax.sentences import cache, sentence
from aemg_jax.sentences.words import Words

STRIDE = 5
_SEGMENTS_AT_ONCE = 32


def map_windows(prepared: cache.Prepared, rows: Sequence[splits.Row], centre: batches.Centre,
                fn: Callable[[Words], np.ndarray], stride: int = STRIDE):
  """fn over all windows of crops of segments, a few segments at a time so that memory stays flat.

  Args:
    prepared: the set.
    rows: crops; a window lies wholly within its crop.
    centre: features minus this.
    fn: words with leading b -> [b, ...].
    stride: between windows, samples.

  Returns:
    segment_w, start_w int32, and fn's results concatenated.
  """
  samples = prepared.config.word.slot_samples
  rate_hz = prepared.config.rectify.rate_hz
  length = prepared.meta['max_samples']
  starts = np.arange(0, max(length - samples, 0) + 1, stride, dtype=np.int32)
  segment_parts, start_parts, out_parts = [], [], []
  for first in range(0, len(rows), _SEGMENTS_AT_ONCE):
    chunk = rows[first:first + _SEGMENTS_AT_ONCE]
    segment_b = np.array([row.segment for row in chunk])
    segment_b = np.resize(segment_b, _SEGMENTS_AT_ONCE)  # one shape, one compilation
    rectified = prepared.rectified.read(segment_b)
    words = sentence.tokenise_windows_batch(
        rectified['signal_tc'], rectified['n_samples'], np.tile(starts, (_SEGMENTS_AT_ONCE, 1)),
        cache.channels_of(prepared, segment_b), cache.rest_of(prepared, segment_b), prepared.config)
    words = Words(*(np.asarray(x) for x in words))
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
  return np.concatenate(segment_parts), np.concatenate(start_parts), np.concatenate(out_parts)
