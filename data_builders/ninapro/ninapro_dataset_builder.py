"""TFDS builder of Ninapro DB1 to DB7, one configuration for each; see README.md beside it."""

import functools

import numpy as np
import tensorflow_datasets as tfds

from data_builders.common import Facts, RecordBuilder
from data_builders.ninapro import parser
from data_builders.ninapro.databases import COMMON_NAMES, DATABASES, Database


class Builder(RecordBuilder):
  """Hand movements, wrist movements and grasps of 130 people, 11 + 2 of them amputees."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'DB1 to DB7: raw recordings with labels and cues.'}
  BUILDER_CONFIGS = [
      tfds.core.BuilderConfig(name=database.name, description=database.description)
      for database in DATABASES.values()]
  DEFAULT_BUILDER_CONFIG_NAME = 'db1'
  HOMEPAGE = 'https://ninapro.hevs.ch'
  URLS = tuple(dict.fromkeys(url for database in DATABASES.values() for url in database.urls))
  SAMPLE_URLS = tuple(database.urls[0] for database in DATABASES.values())
  FACTS = Facts(subjects='130', channels='10, 12, 14 or 16', rate_hz='100, 200 or 2000',
                classes='8, 41, 50 or 53', size='over 70 GB', real_bytes='part')
  LICENCE = parser.LICENCE

  @property
  def _database(self) -> Database:
    return DATABASES[self.builder_config.name]

  @property
  def PUBLISHED_FILES(self) -> int:
    return self._database.n_files

  @property
  def LABEL_NAMES(self) -> tuple[str, ...]:
    return self._database.label_names

  @property
  def COMMON_NAMES(self) -> dict[str, str]:
    return {name: COMMON_NAMES[name] for name in self.LABEL_NAMES if name in COMMON_NAMES}

  def urls(self, sample=False):
    return self._database.urls[:1] if sample else self._database.urls

  def _channels_and_dtype(self):
    return self._database.n_channels, np.dtype(self._database.dtype).type

  def _jobs(self, folders):
    return parser.find_jobs(self._database, folders)

  def _parser(self):
    return functools.partial(parser.parse, self._database.name)
