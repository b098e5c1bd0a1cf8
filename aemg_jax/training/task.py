"""What the loop asks of a task. A task is data: a frozen dataclass, compared by value."""

from typing import Any, NamedTuple, Protocol

import jax

PyTree = Any
Sums = dict[str, tuple[jax.Array, jax.Array]]
ROWS = 2**31 - 1


class Draw(NamedTuple):
  """Randomness of a step, as one device sees it. Nothing in it depends on the number of devices.

  Attributes:
    key: of the step, the same on every device: for what all examples share.
    row_b: [b] int32 places of this device's examples in the global batch.
    n_rows: examples in the global batch.
  """
  key: jax.Array
  row_b: jax.Array
  n_rows: int

  def keys_b(self) -> jax.Array:
    """[b] keys, one per example: an example draws the same whichever device holds it."""
    # A stream of its own: split(key)[i] and fold_in(key, i) are one and the same key.
    rows_key = jax.random.fold_in(self.key, ROWS)
    return jax.vmap(jax.random.fold_in, (None, 0))(rows_key, self.row_b)


class Task(Protocol):
  """A loss and its bookkeeping. Subclass it to inherit the defaults of `update` and `report`.

  Two equal tasks share one compiled step, so everything that changes the computation must be a
  field of the dataclass. `params` are trained by gradient; `extra` is any other state (a codebook).
  """

  def init(self, key: jax.Array, batch: PyTree) -> tuple[PyTree, PyTree]:
    """Returns (params, extra) for batches shaped as `batch`. `extra` is {} if there is none."""
    ...

  def loss(self, params: PyTree, extra: PyTree, batch: PyTree, draw: Draw,
           train: bool) -> tuple[jax.Array, tuple[jax.Array, Sums, PyTree]]:
    """Returns (sum, (count, metrics, stats)) over one device's part of the batch.

    Args:
      params, extra: as from `init`.
      batch: leaves with leading b.
      draw: keys of this step, shared and per example.
      train: False switches off dropout, masking noise and the like.

    Returns:
      sum: [] summed loss; the step divides the gradient of the sum over all devices by the count.
      count: [] what the sum is divided by after the reduction (valid words, weighted examples).
      metrics: {name: (sum, count)}, each reduced over devices and then divided.
      stats: pytree of SUMS that `update` and `report` need over all devices; {} if none.
    """
    ...

  def update(self, extra: PyTree, stats: PyTree, key: jax.Array) -> PyTree:
    """Returns the new `extra` from stats summed over all devices, which share the key."""
    return extra

  def report(self, extra: PyTree, stats: PyTree) -> dict[str, jax.Array]:
    """Returns scalars that only make sense after the reduction, such as a codebook's perplexity."""
    return {}
