"""TFDS builder of synthetic holds to exhaustion at four forces; see README.md and generator.py."""

import functools

import numpy as np
import tensorflow_datasets as tfds

from data_builders.common import Facts, RecordBuilder
from data_builders.synthetic_fatigue import generator


class Builder(RecordBuilder):
  """SYNTHETIC recordings of isometric holds with ratings, one configuration per study."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'Holds at 20, 40, 60 and 80 % of maximal force.'}
  BUILDER_CONFIGS = [
      tfds.core.BuilderConfig(
          name=study.name,
          description=f'SYNTHETIC: {study.n_subjects} virtual subjects, time limits over'
          f' {study.shortened:g}.')
      for study in generator.STUDIES.values()
  ]
  DEFAULT_BUILDER_CONFIG_NAME = generator.DEFAULT
  GENERATED = True
  FACTS = Facts(subjects='8 or 2 (virtual)', channels='3', rate_hz='1000', classes='Borg 0 to 10',
                size='generated', real_bytes='none')
  LABEL_NAMES = generator.LABEL_NAMES
  LICENCE = generator.LICENCE

  @property
  def _study(self) -> generator.Study:
    return generator.STUDIES[self.builder_config.name]

  def _channels_and_dtype(self):
    return generator.N_CHANNELS, np.int16

  def _jobs(self, folders):
    del folders
    return generator.jobs(self._study)

  def _parser(self):
    return functools.partial(generator.generate, self._study)
