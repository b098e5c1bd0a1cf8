"""TFDS builder of the 3DC dataset (Cote-Allard et al. 2019); see README.md beside it."""

import numpy as np
import tensorflow_datasets as tfds

from data_builders.common import Facts, RecordBuilder
from data_builders.jobs import DUPLICATE, TOO_SHORT
from data_builders.three_dc import parser

COMMIT = '1af9058237a5d79a883feb2ce61f4d59090288ac'


class Builder(RecordBuilder):
  """1936 files of about 5 s, 10 electrodes at 1000 Hz, 11 gestures, 21 distinct subjects."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'Raw recordings; byte-identical duplicates dropped.'}
  HOMEPAGE = 'https://github.com/LibEMG/3DCDataset'
  URLS = (f'{HOMEPAGE}/archive/{COMMIT}.zip',)
  FACTS = Facts(subjects='21', channels='10', rate_hz='1000', classes='11', size='unknown',
                real_bytes='part')
  LABEL_NAMES = parser.LABEL_NAMES
  COMMON_NAMES = parser.COMMON_NAMES
  LICENCE = parser.LICENCE
  KNOWN_REJECTS = frozenset({DUPLICATE, TOO_SHORT})

  def _channels_and_dtype(self):
    return parser.N_CHANNELS, np.int16

  def _jobs(self, folders):
    return parser.find_jobs(folders)

  def _parser(self):
    return parser.parse
