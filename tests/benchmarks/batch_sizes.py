"""Sentences a device that fit into accelerators, by `aemg plan`'s memory model: a Markdown table and JSON.

    python -m tests.benchmarks.batch_sizes > tests/benchmarks/results/batch_sizes.json

Memory is planned for two numbers of rows; between and beyond it is a line, as every activation has the
batch for its first axis. The number is the largest power of two that takes at most 90 % of the memory,
and is planned once more for the smallest accelerator. Nothing is measured on an accelerator here.
"""

import json
import sys

from aemg_jax.config import section
from aemg_jax.planning import accelerators, plan
from aemg_jax.training import jobs
from configs import masked, vq

SHARE = 0.9
ROWS = (16, 64)
DEVICES = ('tpu-v5e', 'tpu-v4', 'tpu-v6e', 'a100', 'h100', 'tpu-v5p', 'h200')
STEPS = {'vq': vq, 'masked': masked}


def held_bytes(step: str, preset: str, size: str, rows: int) -> float:
  """Memory of a device with `rows` sentences of 16 x 16 words, all replicated (pmap)."""
  config = STEPS[step].get_config(f'every_set,channels=16,preset={preset},size={size}')
  config.batch_size = rows
  job = section(jobs.JobConfig, config.to_dict())
  return plan.make_plan(job, plan.PodConfig(count=1)).held_bytes['pmap']


def row(step: str, preset: str, size: str) -> dict:
  """Bytes at no rows and of each, and the batch of every accelerator."""
  few, many = (held_bytes(step, preset, size, rows) for rows in ROWS)
  each = (many - few) / (ROWS[1] - ROWS[0])
  fixed = few - ROWS[0] * each
  fits = {}
  for name in DEVICES:
    most = (SHARE * accelerators.ACCELERATORS[name].memory_bytes - fixed) / each
    fits[name] = 2 ** (int(most).bit_length() - 1)
  planned = held_bytes(step, preset, size, fits[DEVICES[0]]) / (fixed + fits[DEVICES[0]] * each)
  return {'step': step, 'preset': preset, 'size': size, 'fixed_bytes': fixed, 'bytes_a_sentence': each,
          'sentences_a_device': fits, 'planned_over_line': planned}


def main() -> None:
  rows = [row(step, preset, size) for preset in ('default', 'paper') for size in ('base', 'large')
          for step in STEPS]
  json.dump({'share': SHARE, 'rows': rows}, sys.stdout, indent=1)
  header = ['step, preset, size', 'MB without a batch', 'MB a sentence', *DEVICES]
  lines = [header, ['---'] * len(header)] + [
      [f'{r["step"]}, {r["preset"]}, {r["size"]}', f'{r["fixed_bytes"] / 1e6:.0f}',
       f'{r["bytes_a_sentence"] / 1e6:.1f}', *(f'{r["sentences_a_device"][d]:,}' for d in DEVICES)] for r in rows]
  sys.stderr.write(''.join(f'| {" | ".join(line)} |\n' for line in lines))


if __name__ == '__main__':
  main()
