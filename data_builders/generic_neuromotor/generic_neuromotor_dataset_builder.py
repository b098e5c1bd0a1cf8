"""TFDS builder of the generic neuromotor interface (Meta, 2025); see README.md beside it."""

import functools

import numpy as np
import tensorflow_datasets as tfds

from data_builders.common import Facts, RecordBuilder
from data_builders.generic_neuromotor import parser

BUCKET = 'https://fb-ctrl-oss.s3.amazonaws.com/neuromotor-data/data'
DESCRIPTIONS = {
    'discrete_gestures': 'Nine gestures of thumb and fingers, each an instant.',
    'handwriting': 'Prompts written by hand, each a span; their text is not emitted.',
    'wrist': 'Movements of the wrist, without labels (the source has angles, not emitted).'}


class Builder(RecordBuilder):
  """Three tasks, 16 electrodes round a wrist at 2 kHz, 100 users a task."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'EMG with gestures or spans of writing; no angles, no texts.'}
  BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=task, description=description)
                     for task, description in DESCRIPTIONS.items()]
  DEFAULT_BUILDER_CONFIG_NAME = 'discrete_gestures'
  HOMEPAGE = 'https://github.com/facebookresearch/generic-neuromotor-interface'
  URLS = tuple(f'{BUCKET}/{task}/full_data.tar' for task in DESCRIPTIONS)
  SAMPLE_URLS = tuple(f'{BUCKET}/{task}/small_subset.tar' for task in DESCRIPTIONS)
  MUST_ACCEPT = True  # no commercial use
  PUBLISHED_FILES = 100  # of each task: one of each user
  FACTS = Facts(subjects='100 a task', channels='16', rate_hz='2000', classes='9, 1 or none',
                size='69 GB', real_bytes='none')
  LICENCE = parser.LICENCE

  @property
  def LABEL_NAMES(self) -> tuple[str, ...]:
    return parser.LABEL_NAMES[self.builder_config.name]

  def urls(self, sample=False):
    name = 'small_subset.tar' if sample else 'full_data.tar'
    return (f'{BUCKET}/{self.builder_config.name}/{name}',)

  def _channels_and_dtype(self):
    return parser.N_CHANNELS, np.float32

  def _jobs(self, folders):
    return parser.find_jobs(self.builder_config.name, folders)

  def _parser(self):
    return functools.partial(parser.parse, self.builder_config.name)
