"""Every collective of the project, and steps over all devices with the state as ONE replicated array.

The state has no device axis (`in_axes=None, out_axes=None`): it goes straight to a checkpoint. XLA
does not check that the replicas agree, so whatever enters the state must be reduced first;
`replicas_agree` is the tests' check of that. `fsdp` holds the other way, a state in pieces.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import Any

import jax
from jax.experimental import multihost_utils
import jax.numpy as jnp
import numpy as np
import optax

from aemg_jax.training import metrics as metrics_lib
from aemg_jax.training import step as step_lib
from aemg_jax.training.state import TrainState
from aemg_jax.training.task import Draw, Task

PyTree = Any
Devices = tuple[jax.Device, ...] | None
AXIS = 'device'
SPLIT = jax.sharding.PartitionSpec(AXIS)


@dataclasses.dataclass(frozen=True)
class Pmap:
  """Each device holds the whole state and a part of the batch.

  Attributes:
    devices: those of `jax.devices()` if None, over all processes.
  """
  devices: Devices = None

  def put_state(self, state: PyTree) -> PyTree:
    """One copy on each local device, in fresh buffers."""
    return replicate(state, self.devices)

  def put_batch(self, batch: PyTree) -> PyTree:
    """This process's numpy leaves [b, ...] -> on its devices, [devices, b / devices, ...]."""
    return put_sharded(shard_batch(batch, self.devices), self.devices)

  def train_step(self, task: Task, tx: optax.GradientTransformation, microbatches: int = 1):
    """See the function of this name."""
    return train_step(task, tx, self.devices, microbatches)


@functools.lru_cache(maxsize=64)
def train_step(task: Task, tx: optax.GradientTransformation, devices: Devices = None,
               microbatches: int = 1) -> Callable[[TrainState, PyTree], tuple[TrainState, dict]]:
  """The compiled step (state, sharded batch) -> (state, {name: [] scalar}); donates the state.

  Equal arguments give the same compiled step, so that the folds of an evaluation compile once.

  Args:
    task: hashable by value.
    tx: from `optim.make_tx`, which returns one object for equal settings.
    devices: those of `jax.devices()` if None, over all processes.
    microbatches: parts that a device computes its rows in, see `step.update`.
  """

  def step(state: TrainState, batch: PyTree) -> tuple[TrainState, dict]:
    row_b, n_rows = _rows_here(batch)
    add = lambda sums: jax.lax.psum(sums, AXIS)
    return step_lib.update(task, tx, add, microbatches, state, batch, row_b, n_rows)

  return jax.pmap(step, axis_name=AXIS, in_axes=(None, 0), out_axes=(None, None),
                  donate_argnums=0, devices=devices)


@functools.lru_cache(maxsize=64)
def eval_step(task: Task, devices: Devices = None) -> Callable[..., dict]:
  """The compiled (params, extra, sharded batch, its number) -> {name: (sum, count)}, 'loss' too.

  Sums are over all devices. Those of several batches are added with `metrics.add` and divided once
  with `metrics.reduce`. What is random (which words are masked) is the same at each evaluation.
  """

  def step(params: PyTree, extra: PyTree, batch: PyTree, number: jax.Array) -> dict:
    draw = Draw(jax.random.fold_in(jax.random.key(0), number), *_rows_here(batch))
    total, (count, sums, _) = task.loss(params, extra, batch, draw, False)
    return jax.lax.psum({**sums, 'loss': (total, count)}, AXIS)

  return jax.pmap(step, axis_name=AXIS, in_axes=(None, None, 0, None), out_axes=None,
                  devices=devices)


def evaluate(task: Task, params: PyTree, extra: PyTree, batches: Iterable[PyTree],
             devices: Devices = None) -> dict[str, float]:
  """Means of the task's loss and metrics over an iterable of numpy batches, train=False."""
  step = eval_step(task, devices)
  sums = metrics_lib.add(
      jax.device_get(step(params, extra, shard_batch(batch, devices), np.int32(i)))
      for i, batch in enumerate(batches))
  return {name: float(value) for name, value in metrics_lib.reduce(sums).items()}


def map_batches(fn: Callable[[PyTree, PyTree], PyTree], params: PyTree, batch: PyTree,
                devices: Devices = None) -> PyTree:
  """Runs fn(params, batch) with the batch spread over this process's devices.

  Args:
    fn: rows of its result depend on the same rows of the batch only. Compiled once per function:
      pass a module-level function or a callable frozen dataclass, not a fresh lambda.
    params: whatever fn takes, equal on all devices.
    batch: numpy leaves [b, ...]; any b, rows are padded to the devices and cut again.

  Returns:
    numpy leaves [b, ...].
  """
  n = _rows(batch)
  n_devices = len(devices or jax.local_devices())
  row = np.minimum(np.arange(-(-n // n_devices) * n_devices), n - 1)
  padded = jax.tree.map(lambda x: np.asarray(x)[row], batch)
  out = _mapped(fn, devices)(params, shard_batch(padded, devices))
  return jax.tree.map(lambda x: np.asarray(x).reshape(-1, *x.shape[2:])[:n], out)


def map_blocks(fn: Callable[[PyTree, PyTree], PyTree], params: PyTree, batch: PyTree,
               block_rows: int) -> PyTree:
  """`map_batches` in blocks of one size, so that one compiled function serves any number of rows."""
  n, parts = _rows(batch), []
  for first in range(0, n, block_rows):
    row = np.minimum(np.arange(first, first + block_rows), n - 1)
    out = map_batches(fn, params, jax.tree.map(lambda x: np.asarray(x)[row], batch))
    parts.append(jax.tree.map(lambda x: x[:n - first], out))
  return jax.tree.map(lambda *xs: np.concatenate(xs), *parts)


@functools.lru_cache(maxsize=64)
def _mapped(fn, devices: Devices):
  return jax.pmap(fn, in_axes=(None, 0), devices=devices or tuple(jax.local_devices()))


def shard_batch(batch: PyTree, devices: Devices = None) -> PyTree:
  """Splits this process's part of a batch: leaves [b, ...] -> [devices, b / devices, ...] (views).

  Raises:
    ValueError: if the rows do not divide over the local devices, or leaves disagree on b.
  """
  n = _rows(batch)
  n_devices = len(devices or jax.local_devices())
  if n % n_devices:
    raise ValueError(f'batch: got {n} rows, expected a multiple of the {n_devices} local devices')
  shape = (n_devices, n // n_devices)
  return jax.tree.map(lambda x: np.asarray(x).reshape(*shape, *np.shape(x)[1:]), batch)


def replicate(tree: PyTree, devices: Devices = None) -> PyTree:
  """One copy on each local device, in fresh buffers: donating them harms no other holder."""
  sharding = jax.sharding.NamedSharding(_mesh(devices), jax.sharding.PartitionSpec())
  return jax.device_put(to_host(tree), sharding)


def mean_over_devices(tree: PyTree) -> PyTree:
  """Mean over devices of what each computed from as many rows, within a loss (batch norm); with
  `fsdp` rows are those of the global batch already, and nothing is to be done."""
  try:
    return jax.lax.pmean(tree, AXIS)
  except NameError:  # the axis is not bound: not within a pmap
    return tree


def replicas_agree(tree: PyTree) -> bool:
  """Whether all devices hold the same bits of every leaf."""
  for leaf in jax.tree.leaves(tree):
    copies = [np.asarray(shard.data) for shard in leaf.addressable_shards]
    if any(copy.tobytes() != copies[0].tobytes() for copy in copies[1:]):
      return False
  return True


def put_sharded(sharded: PyTree, devices: Devices = None) -> PyTree:
  """Leaves [devices, ...] -> on the local devices, one row each, ready for a pmapped function."""
  return jax.device_put(sharded, jax.sharding.NamedSharding(_mesh(devices), SPLIT))


def to_host(tree: PyTree) -> PyTree:
  """Whole leaves as numpy arrays in memory of their own; a collective if leaves are in pieces."""
  for leaf in jax.tree.leaves(tree):
    if isinstance(leaf, jax.Array) and leaf.is_fully_addressable:
      leaf.copy_to_host_async()

  def whole(leaf):
    if isinstance(leaf, jax.Array) and not (leaf.is_fully_addressable or leaf.is_fully_replicated):
      return multihost_utils.process_allgather(leaf, tiled=True)
    return np.array(leaf)

  return jax.tree.map(whole, tree)


def all_rows(tree: PyTree) -> PyTree:
  """Numpy leaves [b, ...] of each process -> those of the global batch, in the order of its rows."""
  if jax.process_count() == 1:
    return tree
  return jax.tree.map(np.asarray, multihost_utils.process_allgather(tree, tiled=True))


def largest(value: int) -> int | jax.Array:
  """The largest of all processes' values. All must call it; only reading the result waits."""
  if jax.process_count() == 1:
    return value
  return _largest()(put_sharded(np.full(len(jax.local_devices()), value, np.int32)))


@functools.lru_cache
def _largest():
  return jax.pmap(lambda x: jax.lax.pmax(x, AXIS), axis_name=AXIS, out_axes=None)


def meet(name: str) -> None:
  """Returns when all processes have come here."""
  if jax.process_count() > 1:
    multihost_utils.sync_global_devices(name)


def _mesh(devices: Devices) -> jax.sharding.Mesh:
  return jax.sharding.Mesh(np.asarray(devices or jax.local_devices()), (AXIS,))


def _rows_here(batch: PyTree) -> tuple[jax.Array, int]:
  """Places in the global batch of this device's examples, and how many there are in all."""
  b = jax.tree.leaves(batch)[0].shape[0]
  row_b = jax.lax.axis_index(AXIS).astype(jnp.int32) * b + jnp.arange(b, dtype=jnp.int32)
  return row_b, b * jax.lax.axis_size(AXIS)


def _rows(batch: PyTree) -> int:
  sizes = {np.shape(x)[0] if np.ndim(x) else None for x in jax.tree.leaves(batch)}
  if len(sizes) != 1 or None in sizes:
    raise ValueError(f'batch: got leading axes {sorted(map(str, sizes))}, expected one for all')
  (n,) = sizes
  if not n:
    raise ValueError('batch: got 0 rows, expected at least one')
  return n
