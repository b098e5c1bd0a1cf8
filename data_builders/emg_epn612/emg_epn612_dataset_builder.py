"""TFDS builder of EMG-EPN-612 (Benalcazar et al. 2020); see README.md beside it."""

import numpy as np
import tensorflow_datasets as tfds

from data_builders.common import Facts, RecordBuilder
from data_builders.emg_epn612 import parser
from data_builders.jobs import DUPLICATE, NO_RECORDING


class Builder(RecordBuilder):
  """Trials of 5 s, 8 electrodes at 200 Hz, 6 gestures, 612 subjects, up to 300 trials each."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'Both sections of both groups; the last has no labels.'}
  HOMEPAGE = 'https://zenodo.org/records/4421500'
  URLS = (f'{HOMEPAGE}/files/EMG-EPN612%20Dataset.zip?download=1',)
  PUBLISHED_FILES = 612
  FACTS = Facts(subjects='612', channels='8', rate_hz='200', classes='6', size='5.5 GB',
                real_bytes='none')
  LABEL_NAMES = parser.LABEL_NAMES
  COMMON_NAMES = parser.COMMON_NAMES
  LICENCE = parser.LICENCE
  KNOWN_REJECTS = frozenset({DUPLICATE, NO_RECORDING})  # both are reported; see README.md

  def _channels_and_dtype(self):
    return parser.N_CHANNELS, np.int16

  def _jobs(self, folders):
    return parser.find_jobs(folders)

  def _parser(self):
    return parser.parse
