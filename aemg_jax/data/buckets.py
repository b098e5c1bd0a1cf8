"""Batches of sentences of like length, cut to it, so that little of a batch is padding.

A sentence is a grid of slots x channels and many use only its first slots. Rows are sorted by length
within a stretch of the loader's stream, batches are drawn from the sorted stretch in a shuffled order,
and each is cut to the smallest bucket that holds it. Batch k stays a pure function of the loader, the
lengths and k, and every process cuts it alike; each bucket compiles once.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from aemg_jax.data.loader import Loader
from aemg_jax.sentences.words import Words

STRETCH = 32  # batches that are sorted together
CUT = tuple(name for name in Words._fields if name.endswith(('_n', '_np', '_nf')))


class Buckets:
  """`buckets(step)` is the batch of a step, like a `Loader`'s.

  Args:
    loader: whose stream is taken, every row as often as there.
    slots_r: [r] slots that each row of all its sources uses, see `slots_used`.
    sizes: slots of the buckets; the largest holds every row.
    max_channels: of the grid; word n is slot n // max_channels.
    seed: of the order of batches within a stretch.
  """

  def __init__(self, loader: Loader, slots_r: np.ndarray, sizes: Sequence[int], max_channels: int, seed: int):
    if len(slots_r) != loader.n_rows:
      raise ValueError(f'slots_r: got {len(slots_r)} rows, expected {loader.n_rows}')
    if not sizes or sorted(set(sizes)) != list(sizes) or sizes[0] < 1 or sizes[-1] < max(slots_r):
      raise ValueError(f'buckets: got {tuple(sizes)}, expected rising numbers of slots, the last at least '
                       f'{max(slots_r)}, which the longest sentence uses')
    self._loader, self._slots_r = loader, np.asarray(slots_r)
    self._sizes, self._channels, self._seed = np.asarray(sizes), max_channels, seed
    self._sorted: tuple[int, np.ndarray] = (-1, np.zeros(0))

  @property
  def n_rows(self) -> int:
    return self._loader.n_rows

  def batch_rows(self, step: int) -> np.ndarray:
    """[b] rows of the global batch of a step."""
    if step < 0:
      raise ValueError(f'step: got {step}, expected 0 or more')
    stretch, place = divmod(step, STRETCH)
    if self._sorted[0] != stretch:
      rows = self._loader.stream(stretch * STRETCH, (stretch + 1) * STRETCH)
      rows = rows[np.argsort(self._slots_r[rows], kind='stable')].reshape(STRETCH, -1)
      shuffled = np.random.default_rng([self._seed, stretch]).permutation(STRETCH)
      self._sorted = (stretch, rows[shuffled])
    return self._sorted[1][place]

  def slots(self, step: int) -> int:
    """What the batch of a step is cut to."""
    longest = self._slots_r[self.batch_rows(step)].max()
    return int(self._sizes[np.searchsorted(self._sizes, longest)])

  def __call__(self, step: int) -> dict[str, Any]:
    batch = self._loader.take(self._loader.mine(self.batch_rows(step)))
    n = self.slots(step) * self._channels
    cut = {name: getattr(batch['words'], name)[:, :n] for name in CUT}
    return {**batch, 'words': batch['words']._replace(**cut)}

  def fill(self, steps: int) -> tuple[float, float]:
    """Share of slots in use over the first batches: (uncut, cut)."""
    used = sum(int(self._slots_r[self.batch_rows(k)].sum()) for k in range(steps))
    rows = len(self.batch_rows(0))
    cut = rows * sum(self.slots(k) for k in range(steps))
    return used / (rows * steps * int(self._sizes[-1])), used / cut


def slots_used(valid_rn: np.ndarray, max_channels: int) -> np.ndarray:
  """[r] slots up to the last that holds a word, at least 1."""
  used_rs = valid_rn.reshape(len(valid_rn), -1, max_channels).any(-1)
  last_r = used_rs.shape[1] - np.argmax(used_rs[:, ::-1], axis=1)
  return np.where(used_rs.any(1), last_r, 1).astype(np.int32)
