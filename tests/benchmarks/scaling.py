"""What more devices and processes cost: the reduction of gradients, and whole steps, as JSON.

    python -m tests.benchmarks.scaling [--elements 8550000] [--out FILE]

Fake devices share the cores of this machine, so wall time cannot show scaling: what is measured is
the processor time (all threads, all processes) that a step takes beyond its arithmetic. `reduction`
is the all-reduce of a gradient of `elements` float32 values; `step` is a train step of a small masked
model at 4 sentences a device, with its reduction and without. Made-up words.
"""

import argparse
import functools
import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).parents[2]
DEVICES, PROCESSES, ROWS = (1, 2, 4, 8), (1, 2, 4), 4


def timed(call, runs: int) -> tuple[float, float]:
  """(wall, processor) ms of a call, after two to warm up; the median and the mean."""
  import numpy as np
  for _ in range(2):
    call()
  wall, start_s = [], time.process_time()
  for _ in range(runs):
    begun_s = time.perf_counter()
    call()
    wall.append(time.perf_counter() - begun_s)
  return 1e3 * float(np.median(wall)), 1e3 * (time.process_time() - start_s) / runs


def reduction(n_local: int, elements: int, runs: int) -> tuple[float, float]:
  """Of a gradient summed over this process's first devices and those of the others."""
  import jax
  import numpy as np
  from aemg_jax.training import parallel
  devices = None if jax.process_count() > 1 else tuple(jax.devices()[:n_local])
  grad = parallel.put_sharded(np.ones((n_local, elements), np.float32), devices)
  add = jax.pmap(lambda x: jax.lax.psum(x, 'd'), axis_name='d', out_axes=None, devices=devices)
  return timed(lambda: add(grad).block_until_ready(), runs)


def step(n: int, reduced: bool, runs: int) -> tuple[float, float]:
  """Of a train step on n devices."""
  import jax
  import optax
  from aemg_jax.models import MaskedConfig
  from aemg_jax.models.layers import BlocksConfig
  from aemg_jax.training import parallel
  from aemg_jax.training import step as step_lib
  from aemg_jax.training.state import init_state
  from aemg_jax.training.tasks import MaskedTask
  from tests import tiny_runs, tiny_set
  from tests.fake_words import fake_words
  import dataclasses
  import numpy as np
  blocks = BlocksConfig(width=96, layers=2, heads=4, head_dim=24, mlp_dim=192)
  encoder = dataclasses.replace(tiny_set.ENCODER, blocks=blocks)
  task, tx = MaskedTask(MaskedConfig(encoder, 16), tiny_runs.VQ), optax.sgd(0.1)
  batch = {'words': fake_words(b=ROWS * n), 'weight': np.ones(ROWS * n, np.float32)}
  state = init_state(task, tx, jax.tree.map(lambda x: x[:1], batch), 0)
  devices = tuple(jax.devices()[:n])
  add = (lambda x: jax.lax.psum(x, parallel.AXIS)) if reduced else lambda x: x

  def one(state, batch):
    row_b, n_rows = parallel._rows_here(batch)
    return step_lib.update(task, tx, add, 1, state, batch, row_b, n_rows)

  mapped = jax.pmap(one, axis_name=parallel.AXIS, in_axes=(None, 0), out_axes=None, devices=devices)
  layout = parallel.Pmap(devices)
  state, batch = layout.put_state(state), layout.put_batch(batch)
  return timed(functools.partial(lambda: jax.block_until_ready(mapped(state, batch))), runs)


def worker(args) -> None:
  """One process of several: prints its (wall, processor) ms of the reduction."""
  from aemg_jax.training import parallel, processes
  processes.join()
  found = reduction(1, args.elements, args.runs)
  parallel.meet('measured')
  sys.stdout.write(f'found {found[0]} {found[1]}\n')


def over_processes(n: int, args) -> dict:
  """The reduction in n processes of one device: the median wall time, the sum of processor time."""
  command = ['bash', str(ROOT / 'launch/local_pod.sh'), str(n), '1', sys.executable, '-m',
             'tests.benchmarks.scaling', '--worker', f'--elements={args.elements}', f'--runs={args.runs}']
  done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
  rows = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith('found')]
  wall, cpu = zip(*((float(a), float(b)) for a, b in rows))
  return {'processes': n, 'wall_ms': round(max(wall), 2), 'processor_ms': round(sum(cpu), 2)}


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--elements', type=int, default=8_550_000)
  parser.add_argument('--runs', type=int, default=10)
  parser.add_argument('--worker', action='store_true')
  parser.add_argument('--out', default='')
  args = parser.parse_args()
  if args.worker:
    worker(args)
    return
  processes = [over_processes(n, args) for n in PROCESSES]
  os.environ['JAX_PLATFORMS'] = 'cpu'
  os.environ['XLA_FLAGS'] = f'--xla_force_host_platform_device_count={max(DEVICES)}'
  import jax
  over, steps = [], []
  for n in DEVICES:
    wall, cpu = reduction(n, args.elements, args.runs)
    over.append({'devices': n, 'wall_ms': round(wall, 2), 'processor_ms': round(cpu, 2)})
  for n in (1, 8):
    (wall, with_it), (_, without) = (step(n, reduced, 3 * args.runs) for reduced in (True, False))
    steps.append({'devices': n, 'wall_ms': round(wall, 2), 'processor_ms': round(with_it, 2),
                  'processor_ms_without_reduction': round(without, 2),
                  'processor_ms_per_device': round(with_it / n, 2)})
  found = {'benchmark': 'scaling', 'elements': args.elements, 'rows_per_device': ROWS, 'runs': args.runs,
           'reduction_over_devices': over, 'reduction_over_processes': processes, 'step': steps,
           'cores': os.cpu_count(), 'jax': jax.__version__, 'load_average': round(os.getloadavg()[0], 1)}
  text = json.dumps(found, indent=1)
  if args.out:
    pathlib.Path(args.out).write_text(text + '\n', encoding='utf-8')
  sys.stdout.write(text + '\n')


if __name__ == '__main__':
  main()
