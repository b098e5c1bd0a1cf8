"""TFDS builder of the Hyser dataset (Jiang et al. 2021); see README.md beside it."""

import functools

import numpy as np
import tensorflow_datasets as tfds

from data_builders.common import Facts, RecordBuilder
from data_builders.hyser import parser
from data_builders.hyser.tasks import COMMON_NAMES, TASKS, Task


class Builder(RecordBuilder):
  """256 electrodes in four grids at 2048 Hz, 34 gestures and finger forces, 20 people on 2 days."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'The raw recordings of the five sub-datasets, without forces.'}
  BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=task.name, description=task.description)
                     for task in TASKS.values()]
  DEFAULT_BUILDER_CONFIG_NAME = 'pr_dynamic'
  HOMEPAGE = 'https://physionet.org/content/hd-semg/2.0.0/'
  MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
      Fetch the folder of a sub-dataset from {HOMEPAGE} (or from the bucket of PhysioNet's open
      sets, s3://physionet-open/hd-semg/2.0.0/): pr_dataset, mvc_dataset, 1dof_dataset, ndof_dataset
      or random_dataset, with the names it has there. Files *_preprocess_* and *_force_* are not
      used.
      """
  FACTS = Facts(subjects='20', channels='256', rate_hz='2048', classes='34, 15, 10, 5 or none',
                size='135 GB (37 GB for pr_dataset)', real_bytes='none')
  LICENCE = parser.LICENCE

  @property
  def _task(self) -> Task:
    return TASKS[self.builder_config.name]

  @property
  def LABEL_NAMES(self) -> tuple[str, ...]:
    return self._task.label_names

  @property
  def COMMON_NAMES(self) -> dict[str, str]:
    return {name: COMMON_NAMES[name] for name in self.LABEL_NAMES if name in COMMON_NAMES}

  def _channels_and_dtype(self):
    return parser.N_CHANNELS, np.int32

  def _jobs(self, folders):
    return parser.find_jobs(self._task, folders)

  def _raw_files(self, jobs):
    return parser.raw_files(self._task, jobs)

  def _parser(self):
    return functools.partial(parser.parse, self._task.name)
