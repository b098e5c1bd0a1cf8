"""Slots never overlap, and sentences take them in order (acceptance test (g))."""

import jax
import numpy as np
from hypothesis import given, settings, strategies as st

from aemg_jax.sentences import contractions, slots
from tests.sentences.hand_made import GATED, OFF, noise, rest

GATED_SLOTS = jax.jit(slots.gated_slots, static_argnums=3)
FRAMES = jax.jit(contractions.contraction_frames, static_argnums=(3, 4))
SAMPLES = 1500


def _signal(stretches) -> np.ndarray:
  """Noise whose level changes between rest and contraction; lengths in samples."""
  level = [np.full(n, 1.0 if on else 0.02) for n, on in stretches] + [np.zeros(SAMPLES)]
  return (noise(SAMPLES) * np.concatenate(level)[:SAMPLES, None]).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(5, 300), st.booleans()), max_size=20),
       st.integers(20, SAMPLES))
def test_gated_slots_never_overlap(stretches, n_samples):
  """Catches: overlapping words (METHOD section 2), lost slots, a time index that saturates."""
  places = jax.device_get(GATED_SLOTS(_signal(stretches), n_samples, rest(), GATED))
  word, most = GATED.word, GATED.sentence.max_slots
  exists_sj = places.length_sj > 0
  onset, length = places.onset_sj[exists_sj], places.length_sj[exists_sj]
  assert len(onset) >= 1
  assert (onset[1:] >= onset[:-1] + length[:-1]).all()  # also: in time order over sentences
  assert (onset + length <= n_samples).all() and (onset >= 0).all()
  assert ((length >= word.min_valid) & (length <= word.slot_samples)).all()
  for onset_j, time_j, exists_j in zip(places.onset_sj, places.time_sj, exists_sj):
    used = int(exists_j.sum())
    assert exists_j[:used].all()  # a prefix: no holes in the grid
    if used:
      expected_j = 1 + (onset_j[:used] - onset_j[0]) // word.slot_samples
      np.testing.assert_array_equal(time_j[:used], expected_j)
      assert expected_j.max() <= most
  if places.fallback:
    assert len(onset) == 1


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(5, 300), st.booleans()), max_size=20))
def test_gated_slots_are_those_of_a_plain_loop(stretches):
  """Catches: a dropped or doubled slot, a sentence that breaks too early or too late."""
  signal_tc = _signal(stretches)
  active_f = FRAMES(
      signal_tc, SAMPLES, rest(), GATED.contraction, GATED.rectify.rate_hz)
  expected = _loop(np.asarray(active_f).tolist())
  places = jax.device_get(GATED_SLOTS(signal_tc, SAMPLES, rest(), GATED))
  got = [(s, int(o), int(n)) for s, (o_j, n_j) in enumerate(zip(places.onset_sj, places.length_sj))
         for o, n in zip(o_j, n_j) if n]
  if expected:
    assert got == expected
  else:
    assert places.fallback and len(got) == 1


def _loop(active):
  word, most = GATED.word, GATED.sentence.max_slots
  found, f = [], 0
  while f < len(active):
    stop = f
    while stop < len(active) and active[stop]:
      stop += 1
    for onset in range(f * 10, stop * 10, word.slot_samples):
      length = min(word.slot_samples, stop * 10 - onset)
      if length >= word.min_valid:
        found.append((onset, length))
    f = max(stop, f + 1)
  rows, sentence, first, used = [], -1, 0, 0
  for onset, length in found:
    if sentence < 0 or used == most or onset - first >= most * word.slot_samples:
      sentence, first, used = sentence + 1, onset, 0
    rows.append((sentence, onset, length))
    used += 1
  return rows


def test_tiles_by_hand():
  """Catches: a tile lost at the end, or a time index that goes on into the next sentence."""
  places = slots.tiled_slots(noise(300), 277, OFF)
  np.testing.assert_array_equal(places.onset_sj, [[0, 52, 104, 156], [208, 260, 312, 364]])
  np.testing.assert_array_equal(places.length_sj, [[52, 52, 52, 52], [52, 17, 0, 0]])
  np.testing.assert_array_equal(places.time_sj, [[1, 2, 3, 4], [1, 2, 3, 4]])


def test_no_event_gives_the_strongest_slot():
  """Catches: an empty sentence, or the first slot in place of the strongest."""
  signal_tc = _signal([(SAMPLES, False)])
  signal_tc[700:750] *= 1.5
  places = GATED_SLOTS(signal_tc, SAMPLES, rest(median=5.0), GATED)
  assert places.fallback
  assert int(places.onset_sj[0, 0]) == 700 and int(places.length_sj[0, 0]) == 52
  assert int(places.length_sj.sum()) == 52
