"""Recordings as if worn as other training wearers wear the band."""

import types

import numpy as np
import pytest

from aemg_jax.data import batches, montage, wears
from tests.data import made_wearers
from tests.data.made_wearers import RING, WORN

PEOPLE = list(WORN)


def _made(monkeypatch, place=RING):
  """A prepared set whose sessions are its people, and all its words."""
  words, label_b, subject_b = made_wearers.wearers(place=place, worn=dict.fromkeys(WORN, 0) if place != RING else None)
  session_b = np.array([PEOPLE.index(s) for s in subject_b])
  segments = {'subject': subject_b, 'session_index': session_b}
  segments |= {name: [list(column)] * len(subject_b) for name, column in place._asdict().items()}
  segments |= {name: np.array(segments[name]) for name in place._asdict()}
  prepared = types.SimpleNamespace(segments=segments, sessions={'subject': np.array(PEOPLE)})
  monkeypatch.setattr(wears.batches, 'make_centre', lambda *_: None)
  monkeypatch.setattr(wears.batches, 'sentence_arrays', lambda _, rows, *__: {
      'words': made_wearers.rows(words, rows), 'label': label_b[rows], 'segment': np.asarray(rows)})
  return prepared, words, session_b


def test_everyone_is_worn_as_each_of_the_others(monkeypatch):
  """Catches: turns the wrong way round, means of the wrong electrodes, ways that no training wearer has."""
  prepared, words, session_b = _made(monkeypatch)
  mean_cf = np.random.default_rng(1).normal(size=(RING.channels, 27)).astype(np.float32)
  plain = batches.Centre(np.stack([mean_cf] * len(PEOPLE)), False)
  train = [i for i, s in enumerate(session_b) if PEOPLE[s] != 'new']
  found = wears.as_others_wear(prepared, plain, train)
  shares = {}
  for centre, share in found:
    own = [p for p, e in zip(PEOPLE, centre.element_s) if e == 0 and p != 'new']
    shares[WORN[own[0]]] = share
    assert len({WORN[p] for p in own}) == 1
    as_worn, _, _ = made_wearers.wearers(worn=dict.fromkeys(PEOPLE, WORN[own[0]]))
    got = batches.centred(words, session_b, centre)
    want = as_worn.spectrum_nf[train] - np.tile(mean_cf[:, :-1], (made_wearers.SLOTS, 1))[None]
    np.testing.assert_allclose(got.spectrum_nf[train], want, atol=1e-5)
    want = as_worn.amplitude_n[train] - np.tile(mean_cf[:, -1], made_wearers.SLOTS)[None]
    np.testing.assert_allclose(got.amplitude_n[train], want, atol=1e-5)
  assert shares == pytest.approx({0: 0.6, 7: 0.2, 2: 0.2})


def test_what_does_not_turn_is_left_as_it_is(monkeypatch):
  """Catches: electrodes that fall out of a half ring, targeted muscles turned, a tested session's mean."""
  half = montage.Montage(montage.ring(8).position_c[:5], (1,) * 5, (True,) * 5)
  muscles = montage.Montage((0,) * 5, (0,) * 5, (True,) * 5)
  for place in (half, muscles):
    prepared, _, session_b = _made(monkeypatch, place)
    plain = batches.Centre(np.zeros((len(PEOPLE), 5, 27), np.float32), False)
    assert wears.as_others_wear(prepared, plain, list(range(len(session_b)))) == [(plain, 1.0)]
  aligned = batches.Centre(plain.mean_scf, False, np.zeros(6, np.int32), RING)
  for centre in (batches.Centre(plain.mean_scf, True), aligned):
    with pytest.raises(ValueError, match='as_others_wear: got a centre of each session, or an aligned one'):
      wears.as_others_wear(prepared, centre, [0])


def test_elements_compose_and_undo_each_other():
  """Catches: a product the wrong way round, an element that is taken for its own inverse."""
  perm_gc = montage.elements(RING)
  x_c = np.arange(RING.channels) * 10
  for first in range(len(perm_gc)):
    assert montage.compose(first, montage.inverse(first, RING), RING) == 0
    for second in range(len(perm_gc)):
      both = montage.compose(first, second, RING)
      np.testing.assert_array_equal(x_c[perm_gc[both]], x_c[perm_gc[first]][perm_gc[second]])
  half = montage.Montage(montage.ring(8).position_c[:5], (1,) * 5, (True,) * 5)
  with pytest.raises(ValueError, match='expected elements that are a group'):
    montage.compose(1, 1, half)
