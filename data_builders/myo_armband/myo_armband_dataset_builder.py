"""TFDS builder of the MyoArmband dataset (Cote-Allard et al. 2019); see README.md beside it."""

import numpy as np
import tensorflow_datasets as tfds

from data_builders.common import Facts, RecordBuilder
from data_builders.jobs import DUPLICATE
from data_builders.myo_armband import parser

COMMIT = '62b886fc7014aeb81af65d77affedadf40de684c'


class Builder(RecordBuilder):
  """2128 files of 5 s, 8 electrodes at 200 Hz, 7 gestures, 37 distinct subjects."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'Raw recordings; byte-identical duplicates dropped.'}
  HOMEPAGE = 'https://github.com/Giguelingueling/MyoArmbandDataset'
  URLS = (f'{HOMEPAGE}/archive/{COMMIT}.zip',)
  PUBLISHED_FILES = 2128
  FACTS = Facts(subjects='37', channels='8', rate_hz='200', classes='7', size='17 MB',
                real_bytes='all')
  LABEL_NAMES = parser.LABEL_NAMES
  COMMON_NAMES = parser.COMMON_NAMES
  LICENCE = parser.LICENCE
  # Over the names and bytes of the 2128 .dat files at that commit (raw.content_sha256).
  PUBLISHED_SHA256 = 'f8d2b441db3e05f22560dae0c1c7b280255e1f8cec3d12de9b6f33c9c26dd2eb'
  KNOWN_REJECTS = frozenset({DUPLICATE})

  def _channels_and_dtype(self):
    return parser.N_CHANNELS, np.int16

  def _jobs(self, folders):
    return parser.find_jobs(folders)

  def _parser(self):
    return parser.parse
