"""TFDS builder of ContractionIntensity (Scheme and Englehart 2013); see README.md beside it."""

import numpy as np
import tensorflow_datasets as tfds

from data_builders.common import Facts, RecordBuilder
from data_builders.contraction_intensity import parser

COMMIT = '18139b3a7705f2ac523b6a7435830ab470435292'


class Builder(RecordBuilder):
  """3220 files of 3 s, 8 electrode pairs at 1000 Hz, 7 gestures at 12 levels of effort."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'Raw recordings with the effort in % of the maximal contraction.'}
  HOMEPAGE = 'https://github.com/LibEMG/ContractionIntensity'
  URLS = (f'{HOMEPAGE}/archive/{COMMIT}.zip',)
  PUBLISHED_FILES = 3220
  FACTS = Facts(subjects='10', channels='8', rate_hz='1000', classes='7',
                size='unknown', real_bytes='part')
  LABEL_NAMES = parser.LABEL_NAMES
  COMMON_NAMES = parser.COMMON_NAMES
  LICENCE = parser.LICENCE

  def _channels_and_dtype(self):
    return parser.N_CHANNELS, np.float32

  def _jobs(self, folders):
    return parser.find_jobs(folders)

  def _parser(self):
    return parser.parse
