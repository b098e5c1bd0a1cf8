"""`aemg plan`: what a training job needs and how long it takes on a pod, before there is one.

The step is traced for one device's rows, never run. Products and memory are counted from the trace
(see `program`), time is a roofline over its operations, and nothing of the network is assumed to
hide behind computation.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aemg_jax.models import layers
from aemg_jax.planning import accelerators, program
from aemg_jax.sentences import cache
from aemg_jax.training import jobs, optim, state
from aemg_jax.training.task import Draw
from aemg_jax.training.tasks import MaskedTask

PyTree = Any


@dataclasses.dataclass(frozen=True)
class PodConfig:
  """Attributes:
    device: a name in ACCELERATORS.
    count: devices.
    flop_s, memory_bytes_s, link_bytes_s: instead of the device's own; 0 is its own.
    hours: of EMG, as recorded: an hour of an 8-channel band is one hour.
    epochs: passes over them.
    fill: share of a sentence's grid that holds words.
    codes: of the tokeniser whose codes a masked task predicts, which a plan does not open.
  """
  device: str = 'h100'
  count: int = 8
  flop_s: float = 0.0
  memory_bytes_s: float = 0.0
  link_bytes_s: float = 0.0
  hours: float = 1000.0
  epochs: float = 100.0
  fill: float = 1.0
  codes: int = 8192

  def __post_init__(self):
    for name in ('flop_s', 'memory_bytes_s', 'link_bytes_s', 'hours', 'epochs'):
      if not getattr(self, name) >= 0:
        raise ValueError(f'--{name}: got {getattr(self, name)}, expected 0 or more')
    if self.count < 1:
      raise ValueError(f'--count: got {self.count}, expected 1 or more')
    if not 0 < self.fill <= 1:
      raise ValueError(f'--fill: got {self.fill}, expected above 0 and at most 1')

  def accelerator(self) -> accelerators.Accelerator:
    """The device with what was given instead of its own figures."""
    found = accelerators.find(self.device)
    given = {}
    if self.flop_s:
      given |= dict(bfloat16_flop_s=self.flop_s, float32_flop_s=self.flop_s)
    if self.memory_bytes_s:
      given |= dict(memory_bytes_s=self.memory_bytes_s)
    if self.link_bytes_s:
      given |= dict(fast_bytes_s=self.link_bytes_s, slow_bytes_s=self.link_bytes_s)
    return dataclasses.replace(found, **given)


@dataclasses.dataclass(frozen=True)
class Plan:
  """Of one device, per step; layouts are 'pmap' and 'fsdp'.

  Attributes:
    parameters: trained ones.
    state_bytes: {part: bytes} of a whole state.
    rows, words: sentences of a device (in all its microbatches), places of their grids.
    step: cost of loss and gradient for the rows of one microbatch, recomputation included.
    model_flops: the same products without recomputation, for all rows of the device.
    batch_bytes: of the rows.
    held_bytes: {layout: bytes} of device memory in all.
    wire_bytes: {layout: bytes} that a device sends in a step.
    compute_s, update_s: loss and gradient; optimiser, {layout: s}.
    wire_s, mfu: {layout: s}, {layout: share of the device's peak that model_flops are}.
  """
  parameters: int
  state_bytes: dict[str, int]
  rows: int
  words: int
  step: program.Cost
  model_flops: float
  batch_bytes: int
  held_bytes: dict[str, float]
  wire_bytes: dict[str, float]
  compute_s: float
  update_s: dict[str, float]
  wire_s: dict[str, float]
  mfu: dict[str, float]

  def step_s(self, layout: str) -> float:
    return self.compute_s + self.update_s[layout] + self.wire_s[layout]


def make_plan(job: jobs.JobConfig, pod: PodConfig) -> Plan:
  """Raises ValueError where the batch does not divide, or the number of channels is open."""
  task, device, parts = planned_task(job, pod.codes), pod.accelerator(), job.loop.microbatches
  group = job.loop.fsdp_devices or pod.count
  if job.batch_size % (pod.count * parts):
    raise ValueError(f'JobConfig.batch_size: got {job.batch_size}, expected a multiple of {pod.count} '
                     f'devices x {parts} microbatches, as --config.batch_size={64 * pod.count * parts}')
  if pod.count % group:
    raise ValueError(f'LoopConfig.fsdp_devices: got {group}, expected a divisor of the {pod.count} devices')
  rows = job.batch_size // pod.count
  begin, batch = state_shapes(job, task), batch_shapes(job, rows // parts)
  step, stats = trace(task, begin, batch)
  plain, _ = trace(without_remat(task), begin, batch)
  size = {'parameters': tree_bytes(begin.params), 'optimiser': tree_bytes(begin.opt_state),
          'other state': tree_bytes(begin.extra)}
  batch_bytes = tree_bytes(batch) * parts
  # gradients of microbatches are summed in a second copy
  inside = step.peak_bytes + (size['parameters'] if parts > 1 else 0)
  state_share = {'pmap': 1.0, 'fsdp': 1.0 / group}
  held = {k: sum(size.values()) * share + batch_bytes + inside for k, share in state_share.items()}
  wire = wire_bytes(size['parameters'], stats, pod.count, group)
  flop_s = device.flop_s(compute_dtype(task))
  compute_s = parts * step.seconds(flop_s, device.memory_bytes_s)
  touched = 2 * (size['parameters'] + size['optimiser'])
  update_s = {k: touched * share / device.memory_bytes_s for k, share in state_share.items()}
  wire_s = {k: v / device.link_bytes_s(pod.count) for k, v in wire.items()}
  model_flops = plain.flops * parts
  mfu = {k: pod.fill * model_flops / (compute_s + update_s[k] + wire_s[k]) / flop_s for k in wire}
  grid = job.prepare.sentence.max_slots * job.prepare.sentence.max_channels
  return Plan(sum(math.prod(x.shape) for x in jax.tree.leaves(begin.params)), size, rows, rows * grid, step,
              model_flops, batch_bytes, held, wire, compute_s, update_s, wire_s, mfu)


def planned_task(job: jobs.JobConfig, codes: int):
  """The task on the grid that the sentences have; a masked task's tokeniser is taken to be as large."""
  if job.prepare.sentence.max_channels < 1:
    raise ValueError('SentenceConfig.max_channels: the widest montage of the sets, which a plan does not '
                     'open; expected a number, as in --config=configs/masked.py:SET,channels=16')
  task = job.task
  if not isinstance(task, MaskedTask):
    return task
  blocks = dataclasses.replace(task.model.encoder.blocks, dropout=0.0)
  encoder = dataclasses.replace(task.model.encoder, blocks=blocks, mixing='words')
  codebook = dataclasses.replace(task.vq.quantiser, codes=codes, width=min(blocks.width, 256))
  vq = dataclasses.replace(task.vq, encoder=encoder, decoder=dataclasses.replace(blocks, layers=0),
                           quantiser=codebook, slot_samples=job.prepare.word.slot_samples,
                           n_bins=job.prepare.word.n_bins)
  return dataclasses.replace(task, vq=vq, model=dataclasses.replace(task.model, codes=codes))


def _blocks_of(config: Any) -> list[layers.BlocksConfig]:
  """Every stack of blocks in a task."""
  if isinstance(config, layers.BlocksConfig):
    return [config]
  if not dataclasses.is_dataclass(config):
    return []
  return [b for f in dataclasses.fields(config) for b in _blocks_of(getattr(config, f.name))]


def compute_dtype(task) -> str:
  """Of the products in the blocks."""
  return (_blocks_of(task.model) or [layers.BlocksConfig()])[0].dtype


def without_remat(config: Any) -> Any:
  """The same task, nothing computed twice and no loop over layers."""
  if isinstance(config, layers.BlocksConfig):
    return dataclasses.replace(config, remat='none', scan=False)
  if not dataclasses.is_dataclass(config):
    return config
  return dataclasses.replace(config, **{f.name: without_remat(getattr(config, f.name))
                                        for f in dataclasses.fields(config)})


def state_shapes(job: jobs.JobConfig, task) -> state.TrainState:
  """The state at step 0, as shapes."""
  tx = optim.make_tx(job.optim, job.loop.steps)
  return jax.eval_shape(lambda batch: state.init_state(task, tx, batch, 0), batch_shapes(job, 1))


def batch_shapes(job: jobs.JobConfig, rows: int) -> PyTree:
  """A batch as the loader gives it, as shapes."""
  stored = np.zeros(1, cache.sentence_dtype(job.prepare))
  words = cache.as_words({name: stored[name] for name in stored.dtype.names})
  batch = {'words': words, 'label': np.zeros(1, np.int32), 'index': np.zeros(1, np.int32),
           'weight': np.ones(1, np.float32)}
  return jax.tree.map(lambda x: jax.ShapeDtypeStruct((rows, *x.shape[1:]), x.dtype), batch)


def trace(task, begin: state.TrainState, batch: PyTree) -> tuple[program.Cost, int]:
  """(cost of loss and gradient, bytes of the statistics that are summed over devices)."""
  key = jax.eval_shape(lambda: jax.random.key(0))

  def gradient(params, extra, batch, key):
    rows = batch['weight'].shape[0]
    draw = Draw(key, jnp.arange(rows, dtype=jnp.int32), rows)
    return jax.value_and_grad(task.loss, has_aux=True)(params, extra, batch, draw, True)

  traced, shapes = jax.make_jaxpr(gradient, return_shape=True)(begin.params, begin.extra, batch, key)
  (_, (_, _, stats)), _ = shapes
  return program.cost(traced), tree_bytes(stats)


def wire_bytes(params: int, stats: int, count: int, group: int) -> dict[str, float]:
  """Bytes that one device sends in a step, rings throughout.

  pmap sums gradients and statistics over all devices: 2 (n - 1) / n of them. fsdp gathers the
  parameters for the forward and again for the backward pass and scatters the gradients within a
  group, then sums its pieces over the groups.
  """
  share = lambda n: (n - 1) / n
  whole = 2 * share(count) * (params + stats)
  within = 3 * share(group) * params
  between = 2 * share(count // group) * params / group
  return {'pmap': whole, 'fsdp': within + between + 2 * share(count) * stats}


def tree_bytes(tree: PyTree) -> int:
  """Of arrays or shapes; a PRNG key counts its words."""
  return sum(math.prod(x.shape) * (8 if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
                                   else x.dtype.itemsize) for x in jax.tree.leaves(tree))
