"""TFDS builder of CapgMyo DB-a, DB-b and DB-c, one configuration each; see README.md beside it."""

import functools

import numpy as np
import tensorflow_datasets as tfds

from data_builders.capgmyo import parser
from data_builders.common import Facts, RecordBuilder

DATA = 'http://zju-capg.org/myo/data'


def _urls(database: parser.Database) -> tuple[str, ...]:
  return tuple(f'{DATA}/{database.name}-preprocessed-{number:03d}.zip'
               for number in range(1, database.n_recorded + 1))


class Builder(RecordBuilder):
  """Trials of 1 s, 128 electrodes at 1000 Hz, 8 or 12 gestures, 10 trials each, 23 people."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'The preprocessed trials of DB-a, DB-b and DB-c.'}
  BUILDER_CONFIGS = [
      tfds.core.BuilderConfig(name='dba', description='18 subjects, 8 gestures.'),
      tfds.core.BuilderConfig(name='dbb', description='10 subjects, 2 sessions, 8 gestures.'),
      tfds.core.BuilderConfig(name='dbc', description='10 subjects, 12 finger movements.')]
  DEFAULT_BUILDER_CONFIG_NAME = 'dba'
  HOMEPAGE = 'http://zju-capg.org/research_en_electro_capgmyo.html'
  URLS = tuple(url for database in parser.DATABASES.values() for url in _urls(database))
  SAMPLE_URLS = tuple(_urls(database)[0] for database in parser.DATABASES.values())
  FACTS = Facts(subjects='23', channels='128', rate_hz='1000', classes='8 or 12',
                size='not stated', real_bytes='none')
  LICENCE = parser.LICENCE

  @property
  def _database(self) -> parser.Database:
    return parser.DATABASES[self.builder_config.name]

  @property
  def PUBLISHED_FILES(self) -> int:
    return {'dba': 1440, 'dbb': 1600, 'dbc': 1200}[self.builder_config.name]

  @property
  def LABEL_NAMES(self) -> tuple[str, ...]:
    return self._database.label_names

  @property
  def COMMON_NAMES(self) -> dict[str, str]:
    return {name: parser.COMMON_NAMES[name] for name in self.LABEL_NAMES
            if name in parser.COMMON_NAMES}

  def urls(self, sample=False):
    return _urls(self._database)[:1] if sample else _urls(self._database)

  def _channels_and_dtype(self):
    return parser.N_CHANNELS, np.float64

  def _jobs(self, folders):
    return parser.find_jobs(self._database, folders)

  def _parser(self):
    return functools.partial(parser.parse, self._database.name)
