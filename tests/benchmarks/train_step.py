"""Train step of the masked model at the paper's base size: tokens/s and GFLOP/s beside a matmul peak.

python tests/benchmarks/train_step.py --out tests/benchmarks/results/train_step_cpu.json

GFLOP/s counts matrix products from shapes (forward, and twice that backward), padding not counted;
the tokeniser's forward pass, which makes the targets, is counted once.
"""

import argparse
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
from aemg_jax.training import optim, parallel, state
from aemg_jax.training.tasks.masked import MaskConfig, MaskedTask
from tests.fake_words import fake_words

SLOTS, CHANNELS, SAMPLES, CODES = 16, 16, 50, 8192
BASE = layers.BlocksConfig(width=256, layers=6, heads=8, head_dim=64, mlp_dim=1024, dropout=0.0)


def blocks_flops(config: layers.BlocksConfig, words: int) -> float:
  """Multiply-adds x 2 of one forward pass over a sentence, per word."""
  inner = config.heads * config.head_dim
  dense = config.width * 3 * inner + inner * config.width + 2 * config.width * config.mlp_dim
  return config.layers * 2 * (dense + 2 * words * inner)


def word_flops(words: int, symmetric: bool) -> float:
  """Per word and step: the masked model forward and backward (each round), the tokeniser forward."""
  half = SAMPLES // 2
  conv = 2 * half * (15 * 8 + 2 * 3 * 8 * 8) + 2 * half * 8 * BASE.width
  model = conv + blocks_flops(BASE, words) + 2 * BASE.width * CODES
  tokeniser = conv + blocks_flops(BASE, words) + 2 * BASE.width * 2 * BASE.width + 2 * BASE.width * CODES
  return (2 if symmetric else 1) * 3 * model + tokeniser


def matmul_peak(size: int = 1536, runs: int = 8) -> float:
  """Best float32 GFLOP/s of a square product."""
  a = jnp.asarray(np.random.default_rng(0).normal(size=(size, size)), jnp.float32)
  product = jax.jit(lambda x, y: x @ y)
  product(a, a).block_until_ready()
  best = min(_timed(lambda: product(a, a).block_until_ready()) for _ in range(runs))
  return 2 * size**3 / best / 1e9


def _timed(fn) -> float:
  start_s = time.perf_counter()
  fn()
  return time.perf_counter() - start_s


def measure(batch_size: int, steps: int, symmetric: bool) -> dict:
  """Times whole steps after one that compiles."""
  encoder = EncoderConfig(BASE, ('waveform',), 'words', SLOTS, CHANNELS)
  vq = VQConfig(encoder, QuantiserConfig(codes=CODES, width=256), BASE, ('waveform',), SAMPLES, SAMPLES // 2)
  task = MaskedTask(heads.MaskedConfig(encoder, CODES), vq, mask=MaskConfig(symmetric=symmetric))
  tx = optim.make_tx(optim.OptimConfig(), steps + 1)
  batch = {'words': fake_words(0, batch_size, SLOTS, CHANNELS, SAMPLES),
           'weight': np.ones(batch_size, np.float32)}
  begin = parallel.replicate(state.init_state(task, tx, jax.tree.map(lambda x: x[:1], batch), 0))
  step = parallel.train_step(task, tx)
  sharded = parallel.shard_batch(batch)
  compile_s = time.perf_counter()
  begin, scalars = step(begin, sharded)
  jax.block_until_ready(scalars)
  compile_s = time.perf_counter() - compile_s
  times = []
  for _ in range(steps):
    start_s = time.perf_counter()
    begin, scalars = step(begin, sharded)
    jax.block_until_ready(scalars)
    times.append(time.perf_counter() - start_s)
  median_s = float(np.median(times))
  words = SLOTS * CHANNELS
  return {'batch_size': batch_size, 'words_per_sentence': words, 'symmetric': symmetric,
          'first_step_s': compile_s, 'median_step_s': median_s, 'steps': steps,
          'tokens_per_s': batch_size * words / median_s,
          'gflop_per_s': batch_size * words * word_flops(words, symmetric) / median_s / 1e9}


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--out', required=True)
  parser.add_argument('--batch_size', type=int, default=8)
  parser.add_argument('--steps', type=int, default=5)
  args = parser.parse_args()
  peak = matmul_peak()
  rows = [measure(args.batch_size, args.steps, symmetric) for symmetric in (False, True)]
  peak = max(peak, matmul_peak())
  for row in rows:
    row['share_of_matmul_peak'] = row['gflop_per_s'] / peak
  found = {'machine': {'platform': platform.platform(), 'cores': os.cpu_count(), 'jax': jax.__version__,
                       'device': jax.devices()[0].device_kind, 'load_before': os.getloadavg()[0]},
           'model': 'masked model, paper base: d 256, 6 layers, 8 heads x 64, MLP 1024, 8192 codes',
           'matmul_peak_gflop_per_s': peak, 'train_step': rows}
  with open(args.out, 'w', encoding='utf-8') as file:
    json.dump(found, file, indent=1)
    file.write('\n')


if __name__ == '__main__':
  main()
