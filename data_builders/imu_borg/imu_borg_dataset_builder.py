"""TFDS builder of the curls with two IMUs and a Borg log (erinliu1); see README.md beside it."""

import numpy as np
import tensorflow_datasets as tfds

from data_builders.common import Facts, RecordBuilder
from data_builders.imu_borg import parser
from data_builders.jobs import MISSING_FILE, NOT_ALIGNED

COMMIT = 'c4bb164eb12d033cc8f53f482e9aae5aa1e75a02'


class Builder(RecordBuilder):
  """128 experiments of 67 people: curls to fatigue, wrist and arm IMU at 50 Hz, Borg CR-10."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'Recordings as stored, with Borg ratings and curls.'}
  HOMEPAGE = 'https://github.com/erinliu1/Muscle_Fatigue'
  URLS = (f'{HOMEPAGE}/archive/{COMMIT}.zip',)
  PUBLISHED_FILES = 128  # one of each experiment
  FACTS = Facts(subjects='67', channels='18', rate_hz='50', classes='Borg 0 to 10',
                size='340 MB or more unpacked', real_bytes='part')
  LICENCE = parser.LICENCE
  KNOWN_REJECTS = frozenset({MISSING_FILE,  # of copies without the larger files: see README
                             NOT_ALIGNED})

  def _channels_and_dtype(self):
    return parser.N_CHANNELS, np.float64

  def _jobs(self, folders):
    return parser.find_jobs(folders)

  def _parser(self):
    return parser.parse
