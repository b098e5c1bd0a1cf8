"""kill -9 of random processes at random moments of a training job, and what is left of it, as JSON.

    python -m tests.benchmarks.kill_test --kills 50 --seed 0 [--processes 2 --devices 2] [--out FILE]

The job is a small vector-quantised autoencoder (k-means, codebook, averaged parameters) on made-up
words: nothing measured here is a result on recordings. It is run once without interruption; then it
is started again and again, and one of its processes is killed: while it starts, while it trains, or
while a checkpoint is being written. When a run has come to its end, its loss curve and everything it
saved are compared bit by bit with the uninterrupted one, and the next run begins.

    steps_repeated         computed again because they came after the last save
    steps_lost             by which a resume lies behind the newest checkpoint on the disk at the kill
    repeated_in_trajectory steps that the final loss curves hold twice, or not at all
"""

import argparse
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

import jax
import numpy as np

from aemg_jax.training import checkpoints, writers

ROOT = pathlib.Path(__file__).parents[2]
PHASES = {'start': 0.1, 'train': 0.4, 'save': 0.5}
HASHES = ('params_hash', 'extra_hash', 'rest_hash')
LIMIT_S = 900


class Job:
  """One work directory and the processes that are training in it."""

  def __init__(self, args, workdir: pathlib.Path):
    self._args, self.workdir, self.run = args, workdir, workdir / args.run
    self.log = workdir.with_suffix('.log')

  def start(self) -> None:
    args, env = self._args, {**os.environ, 'JAX_PLATFORMS': 'cpu'}
    env['XLA_FLAGS'] = '--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true'
    command = ['bash', str(ROOT / 'launch/local_pod.sh'), str(args.processes), str(args.devices),
               sys.executable, str(ROOT / 'tests/training/pod_worker.py'), str(self.workdir),
               f'--runs={args.run}', f'--steps={args.steps}',
               f'--checkpoint_every={args.checkpoint_every}', f'--pause_s={args.pause_s}']
    for path in self.workdir.glob('pid.*'):
      path.unlink()
    self.begun_s = time.monotonic()
    with open(self.log, 'w', encoding='utf-8') as log:
      self.pod = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)

  def last_line(self) -> int:
    """Number of the last step in the loss curve, -1 if there is none."""
    try:
      lines = writers.read(self.run)
    except (OSError, ValueError):  # being rewritten
      return -1
    return lines[-1]['step'] if lines else -1

  def steps_saved(self) -> list[int]:
    folder = self.run / checkpoints.FOLDER
    names = os.listdir(folder) if folder.is_dir() else []
    return sorted(int(name) for name in names if name.isdigit())

  def saving(self) -> bool:
    folder = self.run / checkpoints.FOLDER
    return folder.is_dir() and any(checkpoints.TEMPORARY in name for name in os.listdir(folder))

  def wait_for(self, condition) -> bool:
    """Whether it came true before the job ended."""
    while not condition():
      if self.pod.poll() is not None:
        return False
      if time.monotonic() - self.begun_s > LIMIT_S:
        self.pod.terminate()
        raise RuntimeError(f'{self.log}: nothing happened for {LIMIT_S} s')
      time.sleep(0.01)
    return True

  def resumed_at(self) -> int:
    found = re.findall(r'resuming at step (\d+)', self.log.read_text(errors='replace'))
    return int(found[0]) if found else 0


def one_life(job: Job, rng: np.random.Generator, args, total: dict) -> bool:
  """Starts the job and kills a process of it; False if it came to its end before."""
  before, saved = job.last_line(), job.steps_saved()
  job.start()
  phase = str(rng.choice(list(PHASES), p=list(PHASES.values())))
  victim, wait_s = int(rng.integers(args.processes)), rng.uniform()
  pid_file = job.workdir / f'pid.{victim}'
  alive = job.wait_for(pid_file.exists)
  first = saved[-1] if saved else 0
  if phase != 'start' and alive:
    alive = job.wait_for(lambda: job.last_line() >= first and job.resumed_at() >= first)
    if alive:
      total['first_step_s'].append(round(time.monotonic() - job.begun_s, 2))
  if phase == 'save' and alive:
    alive = job.wait_for(job.saving)
  time.sleep(wait_s * {'start': args.start_s, 'train': args.train_s, 'save': 0.1}[phase])
  mid_save = job.saving()
  killed = alive and job.pod.poll() is None and _kill(int(pid_file.read_text()))
  if killed:
    total['kills'] += 1
    total['kills_by_phase'][phase] += 1
    total['kills_in_mid_save'] += mid_save
  if job.pod.wait() and not killed:
    raise RuntimeError(f'{job.log}: the job failed by itself')
  resumed = job.resumed_at()
  if job.last_line() > before or resumed:
    total['resumes'] += before >= 0
    total['steps_repeated'] += max(0, before + 1 - resumed)
    total['steps_lost'] += max(0, first - resumed)
  return job.pod.returncode != 0


def _kill(pid: int) -> bool:
  try:
    os.kill(pid, signal.SIGKILL)
  except ProcessLookupError:
    return False
  return True


def compare(job: Job, straight: Job, args, total: dict) -> None:
  """The end of a run that was killed against the uninterrupted one."""
  lines, wanted = writers.read(job.run), writers.read(straight.run)
  steps = [line['step'] for line in lines]
  total['repeated_in_trajectory'] += len(set(range(args.steps)) ^ set(steps)) + len(steps) - len(set(steps))
  found, right = (checkpoints.load_meta(j.run) for j in (job, straight))
  total['runs'] += 1
  total['curves_equal'] &= lines == wanted
  total['parameters_equal'] &= all(found[name] == right[name] for name in (*HASHES, 'step'))


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--kills', type=int, default=50)
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--processes', type=int, default=2)
  parser.add_argument('--devices', type=int, default=2)
  parser.add_argument('--run', default='vq-pmap', help='TASK-LAYOUT')
  parser.add_argument('--steps', type=int, default=120)
  parser.add_argument('--checkpoint_every', type=int, default=5)
  parser.add_argument('--pause_s', type=float, default=0.05, help='that each batch takes')
  parser.add_argument('--start_s', type=float, default=5.0, help='kills while starting come within')
  parser.add_argument('--train_s', type=float, default=1.5, help='kills while training come within')
  parser.add_argument('--folder', default='', help='kept; a temporary one if empty')
  parser.add_argument('--out', default='')
  args = parser.parse_args()
  folder = pathlib.Path(args.folder or tempfile.mkdtemp(prefix='aemg_kill_'))
  folder.mkdir(parents=True, exist_ok=True)
  rng = np.random.default_rng(args.seed)
  straight = Job(args, folder / 'straight')
  straight.start()
  if straight.pod.wait():
    raise RuntimeError(f'{straight.log}: the uninterrupted run failed')
  total = {'kills': 0, 'kills_by_phase': dict.fromkeys(PHASES, 0), 'kills_in_mid_save': 0, 'resumes': 0,
           'steps_repeated': 0, 'steps_lost': 0, 'runs': 0, 'repeated_in_trajectory': 0,
           'curves_equal': True, 'parameters_equal': True, 'first_step_s': []}
  start_s = time.monotonic()
  while total['kills'] < args.kills:
    job = Job(args, folder / f'run{total["runs"]}')
    while total['kills'] < args.kills and one_life(job, rng, args, total):
      sys.stderr.write(f'{total["kills"]} kills, {total["resumes"]} resumes, saved {job.steps_saved()}\n')
    if job.pod.returncode:
      total['resumes'] += 1
      job.start()
      if job.pod.wait():
        raise RuntimeError(f'{job.log}: the last part failed')
    compare(job, straight, args, total)
  first_step_s = total.pop('first_step_s')
  result = {
      'benchmark': 'kill_test', 'run': args.run, 'seed': args.seed, 'processes': args.processes,
      'devices_each': args.devices, 'steps': args.steps, 'checkpoint_every': args.checkpoint_every, **total,
      'start_to_first_step_s': {'median': float(np.median(first_step_s)), 'max': max(first_step_s)},
      'wall_s': round(time.monotonic() - start_s), 'cores': os.cpu_count(), 'jax': jax.__version__,
      'load_average': round(os.getloadavg()[0], 1)}
  text = json.dumps(result, indent=1)
  if args.out:
    pathlib.Path(args.out).write_text(text + '\n', encoding='utf-8')
  sys.stdout.write(text + '\n')


if __name__ == '__main__':
  main()
