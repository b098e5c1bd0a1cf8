"""TFDS builder of curls to exhaustion with Borg ratings (LiuYu175); see README.md beside it."""

import numpy as np
import tensorflow_datasets as tfds

from data_builders.common import Facts, RecordBuilder
from data_builders.curl_borg import parser
from data_builders.jobs import MISSING_FILE

COMMIT = '85acd7e13732b5858654f5089fb3ceee45515780'


class Builder(RecordBuilder):
  """A recording per subject to exhaustion, 3 channels at 1000 Hz, a Borg rating per repetition."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'Raw recordings with the Borg rating of each repetition.'}
  HOMEPAGE = ('https://github.com/LiuYu175/Quantitative-Assessment-of-Muscle-Fatigue-Based-on-'
              'Improved-Gramian-Angular-Difference-Field')
  URLS = (f'{HOMEPAGE}/archive/{COMMIT}.zip',)
  PUBLISHED_FILES = 62  # 31 recordings and their clicks
  FACTS = Facts(subjects='31', channels='3', rate_hz='1000', classes='1',
                size='35 MB unpacked for 9 of 31 subjects', real_bytes='part')
  LABEL_NAMES = parser.LABEL_NAMES
  LICENCE = parser.LICENCE
  KNOWN_REJECTS = frozenset({MISSING_FILE})  # copies that lack the larger recordings: see README

  def _channels_and_dtype(self):
    return len(parser.CHANNELS), np.int16

  def _jobs(self, folders):
    return parser.find_jobs(folders)

  def _parser(self):
    return parser.parse
