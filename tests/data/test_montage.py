"""The ways in which rings, bands of rings, half rings and grids can be worn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aemg_jax.data import montage
from aemg_jax.data.montage import Montage
from tests.fake_words import fake_words

EIGHT = montage.ring(8).position_c
SIX = montage.ring(6).position_c


def made(position_c, ring_c, valid_c=None):
  return Montage(tuple(position_c), tuple(ring_c), tuple(valid_c or (True,) * len(position_c)))


def test_group_is_closed_has_inverses_and_begins_with_identity():
  """Catches: a mirror that is a rotation, an element twice, and an identity that is not first."""
  for channels in (3, 6, 8, 12):
    perm_gc = montage.dihedral(channels)
    known = {tuple(row) for row in perm_gc.tolist()}
    assert perm_gc.shape == (2 * channels, channels) and perm_gc.dtype == np.int32
    assert len(known) == 2 * channels and tuple(perm_gc[0]) == tuple(range(channels))
    assert all(tuple(a[b]) in known for a in perm_gc for b in perm_gc)
    assert all(tuple(np.argsort(a)) in known for a in perm_gc)
  neighbours = np.diff(montage.dihedral(5)[[2, 7]], axis=1) % 5
  assert (neighbours[0] == 1).all() and (neighbours[1] == 4).all()
  with pytest.raises(ValueError, match='a ring of 2 electrodes, expected at least 3'):
    montage.dihedral(2)


def test_two_rings_turn_together_and_electrodes_keep_their_ring():
  """Catches: rings that turn one by one, a mirror about another axis in the second ring, an
  electrode that changes rings. The second ring sits half a step further round."""
  half = [p + 1 for p in EIGHT]
  perm_gc = montage.elements(made(EIGHT + tuple(half), (1,) * 8 + (2,) * 8))
  assert perm_gc.shape == (16, 16)
  assert (perm_gc[:, :8] < 8).all() and (perm_gc[:, 8:] >= 8).all()
  place_c = np.array(EIGHT + tuple(half)) - 1
  for row in perm_gc[:8]:
    assert len(set(((place_c[row] - place_c) % 16).tolist())) == 1
  for row in perm_gc[8:]:
    assert len(set(((place_c[row] + place_c) % 16).tolist())) == 1


def test_bands_of_other_sizes_turn_for_themselves():
  """Catches: a wrist band of 6 forced to the turns of a forearm band of 8."""
  perm_gc = montage.elements(made(EIGHT * 2 + SIX, (1,) * 8 + (2,) * 8 + (3,) * 6))
  assert len(perm_gc) == 16 * 12 == len({tuple(row) for row in perm_gc.tolist()})
  assert perm_gc[0].tolist() == list(range(22))


def test_a_partial_ring_shifts_its_gap():
  """Catches: a gap taken for an electrode, and a turn that leaves hardly any. By hand: 5 of 8."""
  perm_gc = montage.elements(made(EIGHT[:5], (1,) * 5))
  turns = [row for row in perm_gc.tolist() if all(b == -1 or (b - c) % 8 == (perm_gc[0][0] + k) % 8
                                                   for k in (1,) for c, b in enumerate(row))]
  assert turns == [[1, 2, 3, 4, -1]]
  assert perm_gc[0].tolist() == list(range(5)) and [4, 3, 2, 1, 0] in perm_gc.tolist()
  assert ((perm_gc >= 0).sum(1) >= 3).all() and len(perm_gc) == 10


def test_a_grid_turns_by_column():
  """Catches: rows that are mixed, and a grid turned by channel. 4 columns of 2 rows."""
  perm_gc = montage.elements(made(np.repeat((1, 5, 9, 13), 2).tolist(), (0,) * 8))
  assert len(perm_gc) == 8
  assert perm_gc[1].tolist() == [2, 3, 4, 5, 6, 7, 0, 1]
  assert (perm_gc % 2 == np.arange(8) % 2).all()


@pytest.mark.parametrize('name, worn', [
    ('muscles without a place', made((1, 6, 12), (0,) * 3)),
    ('two muscles', made((1, 1), (0, 0))),
    ('electrodes in channel order', made(EIGHT, (0,) * 8)),
    ('two electrodes at one place', made((1, 1, 5, 9, 13), (1,) * 5)),
    ('three with a gap', made((1, 3, 5), (1,) * 3)),
    ('padding', made((0,) * 4, (0,) * 4, (False,) * 4))])
def test_what_is_no_ring_is_left_alone(name, worn):
  """Catches: single muscles, or channels whose places nobody stated, turned as if they were a ring."""
  assert montage.elements(worn).tolist() == [list(range(worn.channels))], name


def test_muscles_and_padding_beside_a_ring_stay():
  """Catches: Ninapro db1's two targeted electrodes turned with its ring, and padding moved into it."""
  perm_gc = montage.elements(made(EIGHT + (1, 1, 0), (1,) * 8 + (0,) * 3, (True,) * 10 + (False,)))
  assert len(perm_gc) == 16 and (perm_gc[:, 8:] == [[8, 9, 10]]).all()
  assert {tuple(r) for r in perm_gc[:, :8].tolist()} == {tuple(r) for r in montage.dihedral(8).tolist()}


def test_a_montage_is_common_only_if_every_segment_has_it():
  """Catches: a frame over segments of which one has lost an electrode, and a group of one element."""
  segments = {'position_c': np.tile(EIGHT, (3, 1)), 'ring_c': np.ones((3, 8), int),
              'valid_c': np.ones((3, 8), bool)}
  assert montage.common(segments, [0, 2]) == montage.ring(8)
  segments['valid_c'][1, 3] = False
  assert montage.common(segments, [0, 2]) == montage.ring(8)
  assert montage.common(segments, [0, 1]) is None
  segments['ring_c'][:] = 0
  assert montage.common(segments, [0]) is None


def test_words_move_within_their_slot_and_the_place_stays_with_the_grid():
  """Catches: the inverse order, channels that leave their slot, a field left behind, a position
  that travels with the electrode, and NumPy and JAX that disagree."""
  words = fake_words(b=2, slots=2, channels=4)
  valid_n = np.array([1, 1, 1, 1, 1, 1, 0, 1], bool)  # channel 2 of slot 1 is absent
  words = words._replace(valid_n=np.stack([valid_n] * 2),
                         amplitude_n=np.array([[0, 1, 2, 3, 10, 11, 12, 13]] * 2, np.float32),
                         length_n=np.array([[5, 6, 7, 8, 1, 2, 0, 4]] * 2, np.int32))
  element_b = np.array([1, 4 + 3])  # turned by one; mirrored, 3 - c
  moved = montage.permute_words(words, element_b, montage.ring(4))
  np.testing.assert_array_equal(
      moved.amplitude_n, [[1, 2, 3, 0, 11, 12, 13, 10], [3, 2, 1, 0, 13, 12, 11, 10]])
  np.testing.assert_array_equal(
      moved.length_n, [[6, 7, 8, 5, 2, 0, 4, 1], [8, 7, 6, 5, 4, 0, 2, 1]])
  np.testing.assert_array_equal(moved.position_n,
                                [[1, 5, 9, 13, 1, 0, 9, 13], [1, 5, 9, 13, 1, 0, 9, 13]])
  source_bn = np.array([[1, 2, 3, 0, 5, 6, 7, 4], [3, 2, 1, 0, 7, 6, 5, 4]])
  for name in ('waveform_np', 'spectrum_nf', 'onset_n', 'valid_n'):
    for b in range(2):
      np.testing.assert_array_equal(getattr(moved, name)[b], getattr(words, name)[b][source_bn[b]])
  np.testing.assert_array_equal(moved.time_n, words.time_n)
  turn = jax.jit(lambda w, e: montage.permute_words(w, e, montage.ring(4)))
  for a, b in zip(turn(jax.tree.map(jnp.asarray, words), jnp.asarray(element_b)), moved):
    assert isinstance(b, np.ndarray) and a.dtype == b.dtype
    np.testing.assert_array_equal(a, b)


def test_a_place_without_an_electrode_has_no_word():
  """Catches: the gap of a shifted half ring filled with another electrode's word."""
  worn = made(EIGHT[:5], (1,) * 5)
  words = fake_words(b=1, slots=2, channels=5)
  moved = montage.permute_words(words, 1, worn)
  assert moved.valid_n.reshape(2, 5).tolist() == [[True] * 4 + [False]] * 2
  assert (moved.waveform_np.reshape(2, 5, -1)[:, 4] == 0).all() and moved.position_n[0, 4] == 0
  np.testing.assert_array_equal(moved.amplitude_n[0, :4], words.amplitude_n[0, 1:5])
