"""The train step for models too large to replicate: the state in pieces over the devices.

Nothing here is a collective: the step is that of one device on the global batch, and XLA puts in
the gathers of parameters and the scatters of gradients that the shardings ask for.
"""

import dataclasses
import functools
import math
from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec
import jax.numpy as jnp
import numpy as np
import optax

from aemg_jax.training import parallel
from aemg_jax.training import step as step_lib
from aemg_jax.training.state import TrainState
from aemg_jax.training.task import Task

PyTree = Any
DATA, FSDP = 'data', 'fsdp'
ROWS = PartitionSpec((DATA, FSDP))
LEAST_ELEMENTS = 2**14


@dataclasses.dataclass(frozen=True)
class Fsdp:
  """A mesh of `data x fsdp`: rows are split over both, large leaves of the state over `fsdp`.

  Attributes:
    size: devices that share one copy of the state; 0 is all.
    devices: those of `jax.devices()` if None, over all processes.
    least_elements: smaller leaves are on every device.
  """
  size: int = 0
  devices: parallel.Devices = None
  least_elements: int = LEAST_ELEMENTS

  def __post_init__(self):
    if self.size < 0:
      raise ValueError(f'LoopConfig.fsdp_devices: got {self.size}, expected 0 (all) or more')

  @functools.cached_property
  def mesh(self) -> jax.sharding.Mesh:
    """Rows of the global batch lie along it in order: process 0's first."""
    devices = sorted(self.devices or jax.devices(), key=lambda d: (d.process_index, d.id))
    size = self.size or len(devices)
    if len(devices) % size:
      raise ValueError(f'LoopConfig.fsdp_devices: got {size}, expected a divisor of the '
                       f'{len(devices)} devices')
    return jax.sharding.Mesh(np.reshape(devices, (-1, size)), (DATA, FSDP))

  def sharding(self, leaf: Any) -> NamedSharding:
    """Of a leaf of the state: its longest axis that the devices divide is split, if it is large."""
    shape, size = np.shape(leaf), self.mesh.shape[FSDP]
    spec = PartitionSpec()
    if math.prod(shape) >= self.least_elements:
      for axis in sorted(range(len(shape)), key=lambda i: -shape[i]):
        if shape[axis] % size == 0:
          spec = PartitionSpec(*(FSDP if i == axis else None for i in range(axis + 1)))
          break
    return NamedSharding(self.mesh, spec)

  def put_state(self, state: PyTree) -> PyTree:
    """Each device's pieces, in fresh buffers."""
    put = lambda x: jax.make_array_from_callback(x.shape, self.sharding(x), lambda i: np.array(x[i]))
    return jax.tree.map(put, parallel.to_host(state))

  def put_batch(self, batch: PyTree) -> PyTree:
    """This process's numpy leaves [b, ...] -> the global batch over all devices."""
    local = [d for d in self.mesh.devices.flat if d.process_index == jax.process_index()]
    parallel.shard_batch(batch, tuple(local))  # refuses rows that do not divide
    put = lambda x: jax.make_array_from_process_local_data(NamedSharding(self.mesh, ROWS), np.asarray(x))
    return jax.tree.map(put, batch)

  def train_step(self, task: Task, tx: optax.GradientTransformation, microbatches: int = 1):
    """The compiled step (state, global batch) -> (state, {name: [] scalar}); donates the state."""
    return _train_step(self, task, tx, microbatches)


@functools.lru_cache(maxsize=64)
def _train_step(layout: Fsdp, task: Task, tx: optax.GradientTransformation, microbatches: int):
  whole = NamedSharding(layout.mesh, PartitionSpec())

  def split(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, layout.sharding(x)), tree)

  def step(state: TrainState, batch: PyTree) -> tuple[TrainState, dict]:
    n_rows = jax.tree.leaves(batch)[0].shape[0]
    row_b = jnp.arange(n_rows, dtype=jnp.int32)
    new, scalars = step_lib.update(task, tx, split, microbatches, state, batch, row_b, n_rows)
    return split(new), jax.lax.with_sharding_constraint(scalars, whole)

  return jax.jit(step, donate_argnums=0)
