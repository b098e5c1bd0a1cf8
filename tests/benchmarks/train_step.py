"""Train step of the masked model at the paper's sizes, beside a roofline and eager PyTorch of one run.

python -m tests.benchmarks.train_step --out tests/benchmarks/results/train_step_cpu.json

Rounds are interleaved: JAX, PyTorch (if installed; else the column says so), matrix products, memory.
GFLOP/s counts matrix products of the traced step (`aemg_jax.planning`), padding and recomputation not
counted. The roofline of a step is the sum over its operations of the longer of arithmetic at the best
product's speed and traffic at the memory's. Words are made up.
"""

import argparse
import dataclasses
import itertools
import json
import os
import platform
import time

import jax
import jax.numpy as jnp
import numpy as np

from aemg_jax.models import heads, layers
from aemg_jax.models.quantiser import QuantiserConfig
from aemg_jax.models.sentence_encoder import EncoderConfig
from aemg_jax.models.vq_autoencoder import VQConfig
from aemg_jax.planning import plan
from aemg_jax.training import optim, parallel, state
from aemg_jax.training.tasks.masked import MaskConfig, MaskedTask
from configs import common
from tests.fake_words import fake_words

try:
  from tests.benchmarks import torch_masked
except ImportError:
  torch_masked = None

SLOTS, CHANNELS, SAMPLES, CODES = 16, 16, 50, 8192


def make_task(size: str, symmetric: bool, dropout: float, dtype: str) -> MaskedTask:
  """Paper preset on 256 words, the tokeniser as large as the model."""
  sizes = common.blocks(size) | dict(dropout=dropout, dtype=dtype)
  blocks = layers.BlocksConfig(**sizes)
  encoder = EncoderConfig(blocks, ('waveform',), 'words', SLOTS, CHANNELS)
  frozen = dataclasses.replace(encoder, blocks=layers.BlocksConfig(**sizes | dict(dropout=0.0)))
  vq = VQConfig(frozen, QuantiserConfig(codes=CODES, width=256), layers.BlocksConfig(layers=0, width=256),
                ('waveform',), SAMPLES, SAMPLES // 2)
  return MaskedTask(heads.MaskedConfig(encoder, CODES), vq, mask=MaskConfig(symmetric=symmetric))


class JaxStep:
  """`step()` makes one update; the first call compiles."""

  def __init__(self, task: MaskedTask, batch: dict):
    tx = optim.make_tx(optim.OptimConfig(), 1000)
    begin = state.init_state(task, tx, jax.tree.map(lambda x: x[:1], batch), 0)
    self._state = parallel.replicate(begin)
    self._step, self._batch = parallel.train_step(task, tx), parallel.shard_batch(batch)
    shapes = lambda tree: jax.eval_shape(lambda: jax.tree.map(jnp.asarray, tree))
    parts = shapes(begin), shapes(batch)
    self.cost, _ = plan.trace(task, *parts)
    self.model_flops = plan.trace(plan.without_remat(task), *parts)[0].flops
    self.parameters = sum(x.size for x in jax.tree.leaves(begin.params))

  def __call__(self) -> None:
    self._state, scalars = self._step(self._state, self._batch)
    jax.block_until_ready(scalars)


def timed(step) -> tuple[float, float]:
  """(wall s, processor s of all threads)."""
  start_s, cpu_s = time.perf_counter(), time.process_time()
  step()
  return time.perf_counter() - start_s, time.process_time() - cpu_s


class Machine:
  """The best product and memory traffic seen, over all rounds."""

  def __init__(self, size: int = 1536, elements: int = 2**25):
    self._a = jnp.asarray(np.random.default_rng(0).normal(size=(size, size)), jnp.float32)
    self._x = jnp.ones(elements)
    self._product, self._scaled = jax.jit(lambda x: x @ x), jax.jit(lambda x: 3.0 * x)
    self.flop_s = self.bytes_s = self.flop_per_cpu_s = 0.0
    self.round()

  def round(self, runs: int = 3) -> None:
    for _ in range(runs):
      wall_s, cpu_s = timed(lambda: self._product(self._a).block_until_ready())
      flops = 2 * self._a.shape[0]**3
      self.flop_s = max(self.flop_s, flops / wall_s)
      self.flop_per_cpu_s = max(self.flop_per_cpu_s, flops / cpu_s)
      wall_s, _ = timed(lambda: self._scaled(self._x).block_until_ready())
      self.bytes_s = max(self.bytes_s, 2 * self._x.nbytes / wall_s)


def measure(machine: Machine, size: str, dtype: str, symmetric: bool, args) -> dict:
  """One row: medians over the interleaved rounds after one that compiles."""
  task = make_task(size, symmetric, args.dropout, dtype)
  batch = {'words': fake_words(0, args.batch_size, SLOTS, CHANNELS, SAMPLES),
           'weight': np.ones(args.batch_size, np.float32)}
  step = JaxStep(task, batch)
  first_s, first_cpu_s = timed(step)
  other = torch_masked.Step(task, batch) if torch_masked else None
  if other:
    other()
  rounds = {'jax': [], 'torch': []}
  for _ in range(args.steps):
    rounds['jax'].append(timed(step))
    if other:
      rounds['torch'].append(timed(other))
    machine.round()
  words = args.batch_size * SLOTS * CHANNELS
  wall_s, cpu_s = np.median(rounds['jax'], axis=0)
  row = {'size': size, 'symmetric': symmetric, 'parameters': step.parameters, 'batch_size': args.batch_size,
         'dropout': args.dropout, 'dtype': dtype, 'steps': args.steps, 'first_step_s': first_s,
         'first_step_cpu_s': first_cpu_s, 'step_s': wall_s, 'step_cpu_s': cpu_s, 'tokens_per_s': words / wall_s,
         'gflop_per_step': step.model_flops / 1e9, 'gflop_per_s': step.model_flops / wall_s / 1e9,
         'gflop_per_cpu_s': step.model_flops / cpu_s / 1e9, 'torch': 'skipped: not installed'}
  row['_cost'] = step.cost
  if other:
    their_wall_s, their_cpu_s = np.median(rounds['torch'], axis=0)
    ratios = np.array(rounds['torch']) / np.array(rounds['jax'])
    row['torch'] = {
        'version': torch_masked.torch.__version__, 'parameters': other.parameters(), 'step_s': their_wall_s,
        'step_cpu_s': their_cpu_s, 'tokens_per_s': words / their_wall_s,
        'times_slower': float(np.median(ratios[:, 0])), 'times_more_cpu': float(np.median(ratios[:, 1]))}
  return row


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--out', required=True)
  parser.add_argument('--sizes', default='base,large')
  parser.add_argument('--batch_size', type=int, default=8)
  parser.add_argument('--steps', type=int, default=5)
  parser.add_argument('--dropout', type=float, default=0.0)
  parser.add_argument('--dtype', default='float32,bfloat16', help='of ours; PyTorch computes in float32')
  parser.add_argument('--halves', default='one,both', help='of the mask, predicted in a step')
  args = parser.parse_args()
  load = os.getloadavg()[0]
  machine = Machine()
  wanted = itertools.product(args.sizes.split(','), args.dtype.split(','), args.halves.split(','))
  rows = []
  for size, dtype, halves in wanted:
    rows.append(measure(machine, size, dtype, halves == 'both', args))
    write(args.out, machine, load, rows)  # what there is, if the rest is cut short


def write(out: str, machine: Machine, load: float, measured: list[dict]) -> None:
  """The JSON; shares are of the best that the machine has shown so far."""
  rows = [dict(row) for row in measured]
  for row in rows:
    cost = row.pop('_cost')
    row['share_of_matmul_peak'] = row['gflop_per_s'] * 1e9 / machine.flop_s
    row['share_of_matmul_peak_cpu'] = row['gflop_per_cpu_s'] * 1e9 / machine.flop_per_cpu_s
    row['roofline_step_s'] = cost.seconds(machine.flop_s, machine.bytes_s)
    row['share_of_roofline'] = row['roofline_step_s'] / row['step_s']
  found = {'machine': {'platform': platform.platform(), 'cores': os.cpu_count(), 'jax': jax.__version__,
                       'device': jax.devices()[0].device_kind, 'load_before': load},
           'matmul_peak_gflop_per_s': machine.flop_s / 1e9,
           'matmul_peak_gflop_per_cpu_s': machine.flop_per_cpu_s / 1e9,
           'memory_gb_per_s': machine.bytes_s / 1e9, 'train_step': rows}
  with open(out, 'w', encoding='utf-8') as file:
    json.dump(found, file, indent=1)
    file.write('\n')


if __name__ == '__main__':
  main()
