"""TFDS builder of the GRABMyo dataset (Pradhan et al. 2022); see README.md beside it."""

import numpy as np
import tensorflow_datasets as tfds

from data_builders import wfdb_record
from data_builders.common import Facts, RecordBuilder
from data_builders.grabmyo import parser


class Builder(RecordBuilder):
  """15351 records of 5 s, 28 electrodes at 2048 Hz, 17 gestures, 43 subjects on 3 days."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'The 28 electrodes as published; unused inputs left out.'}
  HOMEPAGE = 'https://physionet.org/content/grabmyo/1.0.2/'
  URLS = ('https://physionet.org/static/published-projects/grabmyo/'
          'gesture-recognition-and-biometrics-electromyogram-grabmyo-1.0.2.zip',)
  PUBLISHED_FILES = 15351  # 43 people x 3 days x 17 gestures x 7 trials
  FACTS = Facts(subjects='43', channels='28', rate_hz='2048', classes='17', size='9.1 GB',
                real_bytes='part')
  LABEL_NAMES = parser.LABEL_NAMES
  COMMON_NAMES = parser.COMMON_NAMES
  LICENCE = parser.LICENCE

  def _channels_and_dtype(self):
    return parser.N_CHANNELS, np.int32

  def _jobs(self, folders):
    return parser.find_jobs(folders)

  def _raw_files(self, jobs):
    return wfdb_record.record_files(jobs)

  def _parser(self):
    return parser.parse
