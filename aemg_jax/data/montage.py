"""The ways in which a montage can be worn: turns and mirror images of its rings and grids.

    ring      C electrodes evenly round the limb: the dihedral group, 2 C elements
    rings     rings of one size are one band and turn together; rings of another size are another
              band, which turns for itself
    partial   electrodes on some sites of an even ring: a turn moves a gap to where electrodes were
    grid      several electrodes a column, columns evenly round the limb: columns turn, rows stay
    the rest  single muscles, electrodes without a place, padding: stay where they are

A montage of which nothing turns has the identity alone, and alignment leaves its data alone.
"""

import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aemg_jax.sentences.rectify import N_POSITIONS
from aemg_jax.sentences.words import Array, Words

ABSENT = -1
MOST_ELEMENTS = 512
LEAST_ON_A_RING = 3  # electrodes; of a partial ring or columns of a grid one more
_WORD_FIELDS = ('waveform_np', 'spectrum_nf', 'amplitude_n', 'length_n', 'onset_n', 'time_n', 'valid_n')
_LEAST_KEPT = 0.5  # share of a band's electrodes that a turn may not go below


class Montage(NamedTuple):
  """Places of a grid's channels, as prepared sets keep them.

  Attributes:
    position_c: 1..16 round the limb, 0 is padding.
    ring_c: 1.. on a ring, 0 on none.
    valid_c: the channel exists.
  """
  position_c: tuple[int, ...]
  ring_c: tuple[int, ...]
  valid_c: tuple[bool, ...]

  @property
  def channels(self) -> int:
    """C of the grid, padding included."""
    return len(self.position_c)


class _Band(NamedTuple):
  """Electrodes that turn together. `sites`: (channel, row, site, shift of the mirror) of each."""
  size: int
  sites: tuple[tuple[int, int, int, int], ...]


def ring(channels: int) -> Montage:
  """One full ring in channel order."""
  return Montage(_even(channels), (1,) * channels, (True,) * channels)


def dihedral(channels: int) -> np.ndarray:
  """[2C, C] int32: aligned_c = raw[perm[g, c]]; C rotations, identity first, then C mirrors."""
  if channels < LEAST_ON_A_RING:
    raise ValueError(f'montage: a ring of {channels} electrodes, expected at least {LEAST_ON_A_RING}')
  return elements(ring(channels))


def common(segments: Mapping[str, np.ndarray], rows: Sequence[int]) -> Montage | None:
  """The montage that all of some segments share, or None: several, or one of which nothing turns."""
  columns = (np.asarray(segments[name])[np.asarray(rows)].tolist() for name in Montage._fields)
  found = {Montage(*map(tuple, places)) for places in zip(*columns)}
  worn = found.pop()
  return None if found or len(elements(worn)) == 1 else worn


@functools.lru_cache(maxsize=64)
def elements(montage: Montage) -> np.ndarray:
  """[G, C] int32: aligned_c = raw[perm[g, c]], -1 where no electrode comes; the identity first.

  With several bands every combination, as long as there are at most MOST_ELEMENTS; bands for which
  there is no room stay as they are.
  """
  place_c = np.arange(montage.channels, dtype=np.int32)
  found = [place_c[None]]
  for band in _bands(montage):
    moves = _moves(band, montage.channels)
    if len(moves) * len(found[-1]) <= MOST_ELEMENTS:
      found.append(_product(found[-1], moves, [site[0] for site in band.sites]))
  perm_gc = found[-1]
  perm_gc.setflags(write=False)
  return perm_gc


def compose(first: int, second: int, montage: Montage) -> int:
  """The element that is `first` and then `second`; ValueError where the elements are no group."""
  perm_gc = elements(montage)
  return _index(perm_gc, perm_gc[first][perm_gc[second]])


def inverse(element: int, montage: Montage) -> int:
  """The element that undoes `element`; ValueError where the elements are no group."""
  perm_gc = elements(montage)
  return _index(perm_gc, np.argsort(perm_gc[element]))


def _index(perm_gc: np.ndarray, perm_c: np.ndarray) -> int:
  found = np.flatnonzero((perm_gc == perm_c[None]).all(axis=1))
  if (perm_gc == ABSENT).any() or not found.size:
    raise ValueError('montage: electrodes fall out when it turns, expected elements that are a group')
  return int(found[0])


def _product(perm_gc: np.ndarray, moves: np.ndarray, band: list[int]) -> np.ndarray:
  """Every move of one more band under every element of the others."""
  both = np.repeat(perm_gc, len(moves), axis=0)
  both[:, band] = np.tile(moves[:, band], (len(perm_gc), 1))
  return both


def _moves(band: _Band, channels: int) -> np.ndarray:
  """[G, C]: turns, then mirror images; those that leave too few electrodes are left out."""
  at = {(row, site): channel for channel, row, site, _ in band.sites}
  found = []
  for mirror, turn in itertools.product((False, True), range(band.size)):
    perm_c = np.arange(channels, dtype=np.int32)
    for channel, row, site, shift in band.sites:
      source = (turn - site - shift if mirror else site + turn) % band.size
      perm_c[channel] = at.get((row, source), ABSENT)
    if sum(perm_c[site[0]] != ABSENT for site in band.sites) >= _LEAST_KEPT * len(band.sites):
      found.append(perm_c)
  return np.stack(found)


def _bands(montage: Montage) -> list[_Band]:
  """Largest group first: whatever can turn, rings of one size together."""
  by_size: dict[int, list[tuple[int, int, int, int]]] = {}
  for row, channels in sorted(_rows(montage).items()):
    fitted = _lattice([montage.position_c[c] - 1 for c in channels])
    if fitted is not None:
      size, site_of, shift = fitted
      by_size.setdefault(size, []).extend(
          (c, row, site_of[montage.position_c[c] - 1], shift) for c in channels)
  bands = [_Band(size, tuple(sites)) for size, sites in by_size.items()]
  return sorted(bands, key=lambda band: -len(band.sites))


def _rows(montage: Montage) -> dict[int, list[int]]:
  """Channels of each ring; the rows of a grid are rings with negative numbers."""
  rows: dict[int, list[int]] = {}
  column: dict[int, list[int]] = {}
  for c in range(montage.channels):
    if montage.valid_c[c] and montage.ring_c[c] > 0:
      rows.setdefault(montage.ring_c[c], []).append(c)
    elif montage.valid_c[c]:
      column.setdefault(montage.position_c[c], []).append(c)
  depths = {len(channels) for channels in column.values()}
  if len(depths) == 1 and len(column) > LEAST_ON_A_RING and max(depths) > 1:  # one row may be anything
    for row in range(max(depths)):
      rows[-1 - row] = [column[position][row] for position in sorted(column)]
  return rows


def _lattice(places: list[int]) -> tuple[int, dict[int, int], int] | None:
  """The even ring of fewest sites that holds some places 0..15: size, {place: site}, mirror's shift.

  None: two electrodes at one place, too few of them, or too many gaps to speak of a ring.
  """
  count = len(set(places))
  if count < len(places) or count < LEAST_ON_A_RING:
    return None
  most = 2 * count if count > LEAST_ON_A_RING else count
  for size in range(count, min(most, N_POSITIONS) + 1):
    for offset in range(-(-N_POSITIONS // size)):
      site_of = {(p - 1 + offset) % N_POSITIONS: site for site, p in enumerate(_even(size))}
      if set(places) <= set(site_of):
        return size, site_of, round(2 * offset * size / N_POSITIONS)
  return None


def _even(channels: int) -> tuple[int, ...]:
  """Positions 1..16 of an evenly spaced ring, as `rectify.electrode_places` rounds them."""
  turn_c = np.floor(N_POSITIONS * np.arange(channels) / channels + 0.5).astype(int)
  return tuple((1 + turn_c % N_POSITIONS).tolist())


def by_place(x_cf: np.ndarray, element: int, worn: Montage) -> np.ndarray:
  """Rows by place of the frame in place of by electrode; NaN where no electrode comes."""
  perm_c = elements(worn)[element]
  return np.where((perm_c == ABSENT)[:, None], np.nan, x_cf[perm_c])


def by_electrode(x_cf: np.ndarray, element: int, worn: Montage) -> np.ndarray:
  """The inverse of `by_place`; an electrode that comes to no place gets the mean of all places."""
  perm_c = elements(worn)[element]
  raw_cf = np.repeat(x_cf.mean(axis=0, keepdims=True), len(x_cf), axis=0)
  there_c = perm_c != ABSENT
  raw_cf[perm_c[there_c]] = x_cf[there_c]
  return raw_cf


def permute_words(words: Words, element: int | Array, worn: Montage) -> Words:
  """Words in the aligned order of channels, within every slot; NumPy in, NumPy out, else JAX.

  The place round the limb belongs to the grid: a word that moves takes the position and ring of
  where it goes. Where no electrode comes, the word is absent.

  Args:
    words: leading b.
    element: row of `elements(worn)`, or [b] one for each sentence.
    worn: how the channels are placed.
  """
  xp = np if isinstance(words.valid_n, np.ndarray) and not isinstance(element, jax.Array) else jnp
  b, n = words.valid_n.shape
  perm_bc = xp.asarray(elements(worn))[xp.broadcast_to(xp.asarray(element), (b,))]
  slots = n // worn.channels
  first_1s1 = (xp.arange(slots, dtype=perm_bc.dtype) * worn.channels)[None, :, None]
  gone_bn = xp.tile(perm_bc == ABSENT, (1, slots))
  source_bn = (first_1s1 + xp.maximum(perm_bc, 0)[:, None, :]).reshape(b, n)
  stays_bn = source_bn == xp.arange(n, dtype=source_bn.dtype)[None]

  def move(x):
    rest = (1,) * (x.ndim - 2)
    moved = xp.take_along_axis(x, source_bn.reshape(b, n, *rest), axis=1)
    return xp.where(gone_bn.reshape(b, n, *rest), xp.zeros((), x.dtype), moved)

  moved = {name: move(getattr(words, name)) for name in _WORD_FIELDS}
  for name, place_c in (('position_n', worn.position_c), ('ring_n', worn.ring_c)):
    place_1n = xp.tile(xp.asarray(place_c, xp.int32), slots)[None]
    there_bn = xp.where(moved['valid_n'], place_1n, 0).astype(getattr(words, name).dtype)
    moved[name] = xp.where(stays_bn & ~gone_bn, getattr(words, name), there_bn)
  return words._replace(**moved)
