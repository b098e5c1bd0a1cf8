"""TFDS builder of UCI's "EMG data for gestures" (Lobov et al. 2018); see README.md beside it."""

import functools

import numpy as np
import tensorflow_datasets as tfds

from data_builders.common import Facts, RecordBuilder
from data_builders.jobs import MISSING_LABEL
from data_builders.uci_emg import parser


class Builder(RecordBuilder):
  """72 continuous files of about 1 minute, 8 electrodes, 7 gestures, 36 subjects, 2 series each."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'All rows, and the distinct rows only.'}
  BUILDER_CONFIGS = [
      tfds.core.BuilderConfig(
          name='raw', description='Every row, at the nominal 1000 Hz; nine in ten repeat the row'
          ' before.'),
      tfds.core.BuilderConfig(
          name='distinct', description='Only the rows that differ from the row before, at the mean'
          ' rate of each file, about 104 Hz.'),
  ]
  DEFAULT_BUILDER_CONFIG_NAME = 'raw'
  HOMEPAGE = 'https://archive.ics.uci.edu/dataset/481/emg+data+for+gestures'
  URLS = ('https://archive.ics.uci.edu/static/public/481/emg+data+for+gestures.zip',)
  PUBLISHED_FILES = 72  # 36 people x 2 series
  FACTS = Facts(subjects='36', channels='8', rate_hz='1000 (nominal)', classes='7',
                size='18 MB', real_bytes='part')
  LABEL_NAMES = parser.LABEL_NAMES
  COMMON_NAMES = parser.COMMON_NAMES
  LICENCE = parser.LICENCE
  KNOWN_REJECTS = frozenset({MISSING_LABEL})  # of one row, whose recording is kept

  def _channels_and_dtype(self):
    return parser.N_CHANNELS, np.int16

  def _jobs(self, folders):
    return parser.find_jobs(folders)

  def _parser(self):
    return functools.partial(parser.parse, distinct=self.builder_config.name == 'distinct')
