"""Jobs on the tiny set, each trained once per process."""

import dataclasses
import functools
import os

from aemg_jax.models import MaskedConfig, VQConfig
from aemg_jax.models.layers import BlocksConfig
from aemg_jax.models.quantiser import QuantiserConfig
from aemg_jax.training import jobs
from aemg_jax.training.augment import AugmentConfig
from aemg_jax.training.loop import LoopConfig
from aemg_jax.training.optim import OptimConfig
from aemg_jax.training.tasks import MaskedTask, SupervisedTask, VQTask
from tests import tiny_set

QUANTISER = QuantiserConfig(codes=16, width=8, kmeans_words=256, kmeans_iterations=3)
NO_LAYERS = BlocksConfig(width=16, layers=0, heads=2, head_dim=8, mlp_dim=16)
VQ = VQConfig(dataclasses.replace(tiny_set.ENCODER, mixing='words', blocks=NO_LAYERS), QUANTISER, NO_LAYERS)
TASKS = {
    'vq': VQTask(VQ),
    'masked': MaskedTask(MaskedConfig(tiny_set.ENCODER)),
    'supervised': SupervisedTask(tiny_set.MODEL, AugmentConfig(gain=0.1)),
}
OPTIM = OptimConfig(learning_rate=3e-2)
STEPS = {'vq': 4, 'masked': 2, 'supervised': 20}


def job(kind: str, **changes) -> jobs.JobConfig:
  """Batches of 16 with a checkpoint at the end, on fixed scale and the training mean."""
  loop = LoopConfig(STEPS[kind], log_every=1, checkpoint_every=100, progress=False)
  fields = dict(task=TASKS[kind], prepare=tiny_set.FIXED, optim=OPTIM, loop=loop, batch_size=16,
                subjects=('s0', 's1'), centre='training')
  return jobs.JobConfig(**(fields | changes))


def run(kind: str, workdir: str, init: str = '', **changes):
  return jobs.run(job(kind, **changes), [tiny_set.prepared().path], str(workdir), init)


@functools.lru_cache
def workdir(kind: str) -> str:
  """Of a finished job; read only."""
  path = os.path.join(tiny_set.folder(), kind)
  run(kind, path, workdir('vq') if kind == 'masked' else '')
  return path
