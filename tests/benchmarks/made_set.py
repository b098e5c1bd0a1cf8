"""Prepared synthetic EMG on disk and the jobs of configs/ on it, for benchmarks that need the whole path."""

import os

from aemg_jax.config import section
from aemg_jax.training import jobs
from configs import masked, vq
from data_builders.synthetic_emg import generator
from tests import tiny_set

SET = 'synthetic_emg'


def job(size: str, preset: str, loop=None, **changes) -> jobs.JobConfig:
  """The masked job of a config, with fields of the loop and of the job changed."""
  config = masked.get_config(f'{SET},size={size},preset={preset}').to_dict()
  config['loop'].update(loop or {})
  config['optim'] |= dict(warmup_steps=min(config['optim']['warmup_steps'], config['loop']['steps'] - 1))
  return section(jobs.JobConfig, config | changes, 'config')


def prepared(folder: str, of: jobs.JobConfig, cycles: int = 1) -> str:
  """`cycles` recordings of each of eight invented people, as words on disk; the folder."""
  device = generator.DEVICES[generator.DEFAULT]
  wanted = [made for made in generator.jobs(device) if int(made.name[-2:]) < cycles]
  records = [generator.generate(device, made)[0] for made in wanted]
  os.makedirs(folder, exist_ok=True)
  return tiny_set.write(os.path.join(folder, 'prepared'), records, of.prepare, generator.LABEL_NAMES[1:])


def tokeniser(folder: str, size: str, preset: str) -> str:
  """A tokeniser of one update on the prepared words of `folder`, for what needs any."""
  steps = dict(steps=1, checkpoint_every=1, progress=False)
  config = vq.get_config(f'{SET},size={size},preset={preset}').to_dict()
  config['loop'].update(steps)
  config['optim'] |= dict(warmup_steps=0)
  config['task']['model']['quantiser'] |= dict(kmeans_iterations=0)
  out = os.path.join(folder, 'vq')
  jobs.run(section(jobs.JobConfig, config, 'config'), [os.path.join(folder, 'prepared')], out)
  return out
