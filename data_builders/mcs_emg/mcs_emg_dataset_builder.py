"""TFDS builder of MCS-EMG (Ozdemir et al. 2022); see README.md beside it."""

import numpy as np
import tensorflow_datasets as tfds

from data_builders.common import Facts, RecordBuilder
from data_builders.mcs_emg import parser


class Builder(RecordBuilder):
  """40 continuous recordings of 640 s, 4 channels at 2 kHz, 10 gestures, 5 cycles, 40 subjects."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'Raw recordings; labels by the clock of the protocol.'}
  HOMEPAGE = 'https://data.mendeley.com/datasets/ckwc76xr2z/2'
  URLS = ('https://prod-dcd-datasets-cache-zipfiles.s3.eu-west-1.amazonaws.com/ckwc76xr2z-2.zip',)
  PUBLISHED_FILES = 40
  FACTS = Facts(subjects='40', channels='4', rate_hz='2000', classes='10', size='not stated',
                real_bytes='none')
  LABEL_NAMES = parser.LABEL_NAMES
  COMMON_NAMES = parser.COMMON_NAMES
  LICENCE = parser.LICENCE

  def _channels_and_dtype(self):
    return parser.N_CHANNELS, np.float64

  def _jobs(self, folders):
    return parser.find_jobs(folders)

  def _parser(self):
    return parser.parse
