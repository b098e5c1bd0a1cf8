"""kill -9 of random processes at random moments of a training job, and what is left, as JSON.

    python -m tests.benchmarks.kill_test --run toy-pmap --kills 50 --seed 0 [--out FILE]
    python -m tests.benchmarks.kill_test --run job-pmap --kills 10 --steps 60 --devices 1 [--out FILE]

The job is small (`vq`: the autoencoder with k-means and codebook; `toy`: a linear map with noise
and moving sums; `job`: `aemg train` of the masked task at size tiny on synthetic EMG) and so are its
data, which are made up: nothing here is a result on recordings. It is run once without interruption; then it is started again and again, and one of its processes is
killed: while it starts, while it trains, or while a checkpoint is being written. When a run has come
to its end, its loss curve and everything it saved are compared bit by bit with the uninterrupted
one, and the next run begins.

    steps_repeated         computed again because they came after the last save
    steps_lost             by which a resume lies behind the newest checkpoint at the kill
    repeated_in_trajectory steps that the final loss curves hold twice, or not at all
"""

import argparse
import json
import multiprocessing
import os
import pathlib
import re
import signal
import socket
import sys
import tempfile
import time
import traceback

import jax
import numpy as np

from aemg_jax.training import checkpoints, writers

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / 'tests/training'))
import pod_worker  # noqa: E402

PHASES = {'start': 0.1, 'train': 0.4, 'save': 0.5}
HASHES = ('params_hash', 'extra_hash', 'rest_hash', 'step')
LIMIT_S = 900


class Job:
  """One work directory and the processes that are training in it.

  They are forks of this process, which has imported all and used none of it: a start costs what JAX
  needs to begin, not the imports.
  """

  def __init__(self, args, workdir: pathlib.Path):
    self._args, self.workdir, self.run = args, workdir, workdir / args.run
    self.log = workdir.with_suffix('.log')

  def start(self) -> None:
    with socket.socket() as free:
      free.bind(('localhost', 0))
      port = free.getsockname()[1]
    self.log.write_bytes(b'')
    self.begun_s, self.codes = time.monotonic(), {}
    self.pids = [self._fork(i, port) for i in range(self._args.processes)]

  def _fork(self, process: int, port: int) -> int:
    pid = os.fork()
    if pid:
      return pid
    code, args = 1, self._args
    try:
      log = os.open(self.log, os.O_WRONLY | os.O_APPEND)
      os.dup2(log, 1)
      os.dup2(log, 2)
      os.environ.update(JAX_COORDINATOR_ADDRESS=f'localhost:{port}', JAX_PROCESS_ID=str(process),
                        JAX_NUM_PROCESSES=str(args.processes))
      pod_worker.main([str(self.workdir), f'--runs={args.run}', f'--steps={args.steps}',
                       f'--checkpoint_every={args.checkpoint_every}', f'--pause_s={args.pause_s}'])
      jax.distributed.shutdown()
      code = 0
    except BaseException:  # pylint: disable=W0718  # a fork must end here whatever comes
      traceback.print_exc()
    finally:
      os._exit(code)

  def running(self) -> bool:
    """Whether any process is."""
    for pid in self.pids:
      if pid not in self.codes:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
          self.codes[pid] = os.waitstatus_to_exitcode(status)
    return len(self.codes) < len(self.pids)

  def wait(self) -> int:
    """0 if all ended well; when one has not, the others are killed, as a launcher would."""
    while self.running():
      if any(self.codes.values()):
        time.sleep(1)
        for pid in self.pids:
          if pid not in self.codes:
            _kill(pid)
      time.sleep(0.01)
    return max(map(abs, self.codes.values()))

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
      if not self.running():
        return False
      if time.monotonic() - self.begun_s > LIMIT_S:
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
  first, alive = saved[-1] if saved else 0, True
  if phase != 'start' and alive:
    alive = job.wait_for(lambda: job.last_line() >= first and job.resumed_at() >= first)
    if alive:
      total['first_step_s'].append(round(time.monotonic() - job.begun_s, 2))
  if phase == 'save' and alive:
    alive = job.wait_for(job.saving)
  time.sleep(wait_s * {'start': args.start_s, 'train': args.train_s, 'save': 0.1}[phase])
  mid_save = job.saving()
  killed = alive and job.running() and job.pids[victim] not in job.codes and _kill(job.pids[victim])
  if killed:
    total['kills'] += 1
    total['kills_by_phase'][phase] += 1
    total['kills_in_mid_save'] += mid_save
  code = job.wait()
  if code and not killed:
    raise RuntimeError(f'{job.log}: the job failed by itself')
  resumed = job.resumed_at()
  if job.last_line() > before or resumed:
    total['resumes'] += before >= 0
    total['steps_repeated'] += max(0, before + 1 - resumed)
    total['steps_lost'] += max(0, first - resumed)
  return code != 0


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
  missing = set(range(args.steps)) ^ set(steps)
  total['repeated_in_trajectory'] += len(missing) + len(steps) - len(set(steps))
  found, right = (json.loads(_meta(j).read_text()) for j in (job, straight))
  total['runs'] += 1
  total['curves_equal'] &= lines == wanted
  total['parameters_equal'] &= all(found[name] == right[name] for name in HASHES)


def _meta(job: Job) -> pathlib.Path:
  return job.run / checkpoints.FOLDER / str(job.steps_saved()[-1]) / 'meta/metadata'


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
  parser.add_argument('--limit_s', type=float, default=1e9, help='no kill begins after this long')
  parser.add_argument('--folder', default='', help='kept; a temporary one if empty')
  parser.add_argument('--out', default='')
  args = parser.parse_args()
  folder = pathlib.Path(args.folder or tempfile.mkdtemp(prefix='aemg_kill_'))
  folder.mkdir(parents=True, exist_ok=True)
  os.environ['JAX_PLATFORMS'] = 'cpu'
  os.environ['XLA_FLAGS'] = ('--xla_backend_optimization_level=0 '
                             '--xla_llvm_disable_expensive_passes=true '
                             f'--xla_force_host_platform_device_count={args.devices}')
  rng = np.random.default_rng(args.seed)
  if args.run.startswith('job-') and not (folder / pod_worker.MADE / 'vq').exists():
    made = multiprocessing.get_context('fork').Process(target=pod_worker.make, args=(str(folder),))
    made.start()  # JAX must not have begun in this process when it forks the job's
    made.join()
    if made.exitcode:
      raise RuntimeError(f'{folder}: nothing to train on')
  straight = Job(args, folder / 'straight')
  straight.start()
  if straight.wait():
    raise RuntimeError(f'{straight.log}: the uninterrupted run failed')
  total = {'kills': 0, 'kills_by_phase': dict.fromkeys(PHASES, 0), 'kills_in_mid_save': 0,
           'resumes': 0, 'steps_repeated': 0, 'steps_lost': 0, 'runs': 0, 'repeated_in_trajectory': 0,
           'curves_equal': True, 'parameters_equal': True, 'first_step_s': []}
  start_s = time.monotonic()
  go_on = lambda: total['kills'] < args.kills and time.monotonic() - start_s < args.limit_s
  while go_on():
    job = Job(args, folder / f'run{total["runs"]}')
    left = True
    while left and go_on():
      left = one_life(job, rng, args, total)
      sys.stderr.write(f'{total["kills"]} kills, saved {job.steps_saved()}\n')
    if left:
      total['resumes'] += 1
      job.start()
      if job.wait():
        raise RuntimeError(f'{job.log}: the last part failed')
    compare(job, straight, args, total)
  first_step_s = total.pop('first_step_s')
  result = {
      'benchmark': 'kill_test', 'run': args.run, 'seed': args.seed, 'processes': args.processes,
      'devices_each': args.devices, 'steps': args.steps, 'checkpoint_every': args.checkpoint_every,
      **total,
      'start_to_first_step_s': {'median': float(np.median(first_step_s)), 'max': max(first_step_s)},
      'wall_s': round(time.monotonic() - start_s), 'cores': os.cpu_count(), 'jax': jax.__version__,
      'load_average': round(os.getloadavg()[0], 1)}
  text = json.dumps(result, indent=1)
  if args.out:
    pathlib.Path(args.out).write_text(text + '\n', encoding='utf-8')
  sys.stdout.write(text + '\n')


if __name__ == '__main__':
  main()
