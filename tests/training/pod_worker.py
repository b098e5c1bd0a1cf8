"""One process of a small training job, for the tests of several processes and the kill test.

    bash launch/local_pod.sh 2 2 python tests/training/pod_worker.py WORKDIR --runs=vq-pmap,vq-fsdp

It writes its process id into WORKDIR/pid.PROCESS, and each run into WORKDIR/TASK-LAYOUT. The task `job` is the masked
one as configs/ have it, at size tiny, on synthetic EMG that `made` has put on disk: the whole of `aemg train`.
"""

import argparse
import os
import pathlib
import sys
import time
from unittest import mock

if __name__ == '__main__':
  sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from absl import logging  # noqa: E402
import every_task  # noqa: E402
import jax  # noqa: E402
import toy  # noqa: E402

from aemg_jax.data.loader import Loader  # noqa: E402
from aemg_jax.training import fsdp, jobs, loop, optim, processes  # noqa: E402
from aemg_jax.training.state import init_state  # noqa: E402
from aemg_jax.training.tasks.vq import kmeans_start  # noqa: E402

OPTIM = optim.OptimConfig(learning_rate=0.01, clip_norm=1.0, weight_decay=0.1, average_decay=0.9)
BATCH = 16
MADE = 'made'  # folder of what `job` trains on, beside those of the runs


def make(folder: str) -> None:
  """Prepared synthetic EMG and a tokeniser, for the task `job`."""
  from tests.benchmarks import made_set
  path = os.path.join(folder, MADE)
  made_set.prepared(path, made_set.job('tiny', 'default'))
  made_set.tokeniser(path, 'tiny', 'default')


def run_job(layout: str, workdir: str, made: str, steps: int, checkpoint_every: int, pause_s: float) -> loop.Fit:
  """`aemg train` of the masked task; each batch takes `pause_s`."""
  from tests.benchmarks import made_set
  at_once = Loader.__call__

  def batches(self, step):
    time.sleep(pause_s)
    return at_once(self, step)

  job = made_set.job('tiny', 'default', batch_size=BATCH, loop=dict(
      steps=steps, log_every=1, checkpoint_every=checkpoint_every, progress=False, parallel=layout))
  with mock.patch.object(Loader, '__call__', batches):
    return jobs.run(job, [os.path.join(made, 'prepared')], workdir, os.path.join(made, 'vq'))


def run(name: str, workdir: str, steps: int, checkpoint_every: int,
        pause_s: float = 0.0) -> loop.Fit:
  """Trains the task and layout of `name` ('vq-pmap') in `workdir`; each batch takes `pause_s`."""
  kind, layout = name.split('-')
  if kind == 'job':
    made = pathlib.Path(workdir).parent.parent / MADE
    return run_job(layout, str(workdir), str(made), steps, checkpoint_every, pause_s)
  if kind == 'toy':
    task, feed = toy.ToyTask(noise=0.1), Loader([toy.batch(b=40)], BATCH, seed=5)
  else:
    task, feed = every_task.TASKS[kind], every_task.batches(BATCH)

  def batches(step):
    time.sleep(pause_s)
    return feed(step)

  tx = optim.make_tx(OPTIM, steps)
  state = init_state(task, tx, jax.tree.map(lambda x: x[:1], feed(0)), seed=1)
  config = loop.LoopConfig(steps, log_every=1, checkpoint_every=checkpoint_every, progress=False,
                           parallel=layout)
  prepare = (lambda s: kmeans_start(task, s, feed)) if kind == 'vq' else None
  return loop.fit(task, tx, batches, state, config, workdir=workdir, prepare_extra=prepare, name=name)


def main(argv: list[str] | None = None) -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('workdir', type=pathlib.Path)
  parser.add_argument('--runs', default='vq-pmap')
  parser.add_argument('--steps', type=int, default=3)
  parser.add_argument('--checkpoint_every', type=int, default=2)
  parser.add_argument('--pause_s', type=float, default=0.0)
  args = parser.parse_args(argv)
  args.workdir.mkdir(parents=True, exist_ok=True)
  (args.workdir / f'pid.{os.environ.get("JAX_PROCESS_ID", 0)}').write_text(str(os.getpid()))
  logging.set_verbosity(logging.INFO)
  logging.use_absl_handler()
  logging.get_absl_handler().addFilter(lambda record: 'aemg_jax' in record.pathname)
  processes.join()
  loop.LAYOUTS['fsdp'] = lambda config: fsdp.Fsdp(config.fsdp_devices, least_elements=1)
  for name in args.runs.split(','):
    run(name, args.workdir / name, args.steps, args.checkpoint_every, args.pause_s)


if __name__ == '__main__':
  main()
