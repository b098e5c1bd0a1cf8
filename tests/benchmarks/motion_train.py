"""Training of the motion model: windows a second, and peak memory of a step.

python tests/benchmarks/motion_train.py --out tests/benchmarks/results/motion_train_cpu.json

Each case is a process of its own, so that its peak is its own. Windows a second are of processor time (all
threads) and of wall time; memory is XLA's count for the compiled step and the process's largest resident set.
"""

import argparse
import dataclasses
import json
import os
import platform
import resource
import subprocess
import sys
import time

import jax
import numpy as np

from aemg_jax.config import section
from aemg_jax.evaluation.motion_fatigue import MotionFatigueConfig
from aemg_jax.signal.keypoints import Pose
from aemg_jax.training import optim, parallel, state
from configs import kinematics_fatigue

# name -> (preset, batch, dtype, steps that are timed)
CASES = {'small': ('small', 16, 'float32', 4), 'paper, batch 2': ('paper', 2, 'float32', 2),
         'paper, batch 32': ('paper', 32, 'float32', 1),
         'paper, batch 32, bfloat16': ('paper', 32, 'bfloat16', 0)}


def batch_of(windows: int, frames: int, features: int) -> dict:
  """Drawn windows: features of order 1, a person who sways."""
  rng = np.random.default_rng(0)
  base_ka, sway_bt = rng.uniform(100, 400, (11, 3)), rng.normal(0, 20, (windows, frames)).cumsum(1) / 30
  point_btka = (base_ka[None, None] + sway_bt[..., None, None]).astype(np.float32)
  pose = Pose(point_btka, np.ones((windows, frames, 11), bool), np.full(windows, 150, np.float32),
              np.tile(np.float32([854, 480]), (windows, 1)))
  return {'feature_btf': rng.normal(size=(windows, frames, features)).astype(np.float32), 'pose': pose,
          'label': (np.arange(windows) % 2).astype(np.int32), 'borg': np.full(windows, 5, np.float32),
          'weight': np.ones(windows, np.float32)}


def measure(name: str) -> dict:
  """One case in this process."""
  preset, windows, dtype, steps = CASES[name]
  config = section(MotionFatigueConfig, kinematics_fatigue.get_config(f'{preset},part=synthetic').to_dict())
  task = next(m.method for m in config.motion[0].methods if m.name == 'BiLSTM').task
  task = dataclasses.replace(task, model=dataclasses.replace(task.model, dtype=dtype))
  tx = optim.make_tx(optim.OptimConfig(learning_rate=1e-4, schedule='constant'), 1)
  batch = batch_of(windows, task.model.frames, task.model.features)
  begin = parallel.replicate(state.init_state(task, tx, jax.tree.map(lambda x: x[:1], batch), 0))
  sharded = parallel.shard_batch(batch)
  rss = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
  started = time.process_time()
  step = parallel.train_step(task, tx).lower(begin, sharded).compile()
  memory = step.memory_analysis()
  found = {'case': name, 'preset': preset, 'batch': windows, 'dtype': dtype, 'frames': task.model.frames,
           'compile_cpu_s': time.process_time() - started,
           'xla_temporary_gib': memory.temp_size_in_bytes / 2**30,
           'xla_arguments_gib': memory.argument_size_in_bytes / 2**30,
           'resident_before_gib': rss(), 'steps': steps}
  cpu_s, wall_s = [], []
  for _ in range(steps):
    started, clock = time.process_time(), time.perf_counter()
    begin, scalars = step(begin, sharded)
    jax.block_until_ready(scalars)
    cpu_s.append(time.process_time() - started)
    wall_s.append(time.perf_counter() - clock)
  if steps:
    assert np.isfinite(float(np.asarray(scalars['loss'])))
    found |= {'resident_peak_gib': rss(), 'step_cpu_s': min(cpu_s), 'step_wall_s': min(wall_s),
              'windows_per_cpu_s': windows / min(cpu_s), 'windows_per_s': windows / min(wall_s)}
  return found


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--out')
  parser.add_argument('--case', choices=CASES)
  args = parser.parse_args()
  if args.case:
    sys.stdout.write(json.dumps(measure(args.case)) + '\n')
    return
  load_before, rows = os.getloadavg()[0], []
  for name in CASES:
    done = subprocess.run([sys.executable, __file__, '--case', name], check=True, capture_output=True,
                          text=True)
    rows.append(json.loads(done.stdout.splitlines()[-1]))
  found = {'machine': {'platform': platform.platform(), 'cores': os.cpu_count(), 'jax': jax.__version__,
                       'device': jax.devices()[0].device_kind, 'load_before': load_before,
                       'load_after': os.getloadavg()[0]}, 'train': rows}
  with open(args.out, 'w', encoding='utf-8') as file:
    json.dump(found, file, indent=1)
    file.write('\n')


if __name__ == '__main__':
  main()
