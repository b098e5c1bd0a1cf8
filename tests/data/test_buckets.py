"""Batches cut to their length."""

import numpy as np
import pytest

from aemg_jax.data import buckets, loader
from tests.fake_words import fake_words

ROWS, SLOTS, CHANNELS = 48, 4, 2


def _source():
  """Rows of 1 to 4 slots, and how many each has."""
  words = fake_words(0, ROWS, SLOTS, CHANNELS)
  slots_r = np.random.default_rng(1).integers(1, SLOTS + 1, ROWS)
  words.valid_n[:] = np.arange(SLOTS * CHANNELS)[None] < (slots_r * CHANNELS)[:, None]
  return {'words': words, 'label': np.arange(ROWS)}, slots_r


def _buckets(batch_size=4, sizes=(2, 3, 4), **process):
  source, slots_r = _source()
  feed = loader.Loader([source], batch_size, seed=0, **process)
  return buckets.Buckets(feed, slots_r, sizes, CHANNELS, seed=5), source


def test_a_cut_batch_loses_no_word_and_no_row():
  """Catches: a word cut off, labels of other rows, rows that come more often than in the stream."""
  feed, source = _buckets()
  seen = []
  for step in range(buckets.STRETCH):
    batch = feed(step)
    row_b, n = batch['label'], batch['words'].valid_n.shape[1]
    assert n == CHANNELS * feed.slots(step) and batch['words'].waveform_np.shape[1] == n
    assert not source['words'].valid_n[row_b][:, n:].any()
    np.testing.assert_array_equal(batch['words'].spectrum_nf, source['words'].spectrum_nf[row_b][:, :n])
    np.testing.assert_array_equal(batch['words'].bin_valid_f, source['words'].bin_valid_f[row_b])
    seen += row_b.tolist()
  plain = loader.Loader([source], 4, seed=0)
  assert sorted(seen) == sorted(np.concatenate([plain.rows(k) for k in range(buckets.STRETCH)]).tolist())


@pytest.mark.heavy
def test_batches_do_not_depend_on_the_past_or_on_processes():
  """Catches: an order that a resume does not find again; processes that cut one batch to two lengths."""
  feed, _ = _buckets()
  forward = [feed(k)['label'].tolist() for k in range(70)]
  backward = [feed(k)['label'].tolist() for k in reversed(range(70))][::-1]
  assert forward == backward
  parts = [_buckets(process_index=i, process_count=2)[0] for i in range(2)]
  for step in (0, 40):
    assert len({p.slots(step) for p in parts}) == 1
    assert sum((p(step)['label'].tolist() for p in parts), []) == forward[step]
  lengths = [feed.slots(k) for k in range(buckets.STRETCH)]
  assert lengths != sorted(lengths)  # short sentences would all come first


def test_less_is_padding():
  """Catches: sorting by nothing, a fill that is not that of the batches."""
  feed, source = _buckets()
  whole, cut = feed.fill(buckets.STRETCH)
  batches = [feed(k)['words'].valid_n for k in range(buckets.STRETCH)]
  assert cut == pytest.approx(sum(v.sum() for v in batches) / sum(v.size for v in batches))
  assert whole == pytest.approx(sum(v.sum() for v in batches) / (len(batches) * 4 * SLOTS * CHANNELS))
  assert cut > whole + 0.15
  np.testing.assert_array_equal(buckets.slots_used(source['words'].valid_n, CHANNELS), _source()[1])
  assert buckets.slots_used(np.zeros((1, 8), bool), 2).tolist() == [1]


def test_buckets_that_cannot_hold_the_rows_are_refused():
  """Catches: words cut off without a word."""
  with pytest.raises(ValueError, match=r'buckets: got \(2, 3\)'):
    _buckets(sizes=(2, 3))
  with pytest.raises(ValueError, match='rising'):
    _buckets(sizes=(4, 2))
