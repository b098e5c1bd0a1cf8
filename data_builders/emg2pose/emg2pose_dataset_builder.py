"""TFDS builder of emg2pose (Salter et al. 2024), EMG and stages; see README.md beside it."""

import numpy as np
import tensorflow_datasets as tfds

from data_builders.common import Facts, RecordBuilder
from data_builders.emg2pose import parser

BUCKET = 'https://fb-ctrl-oss.s3.amazonaws.com/emg2pose'


class Builder(RecordBuilder):
  """25253 files of about a minute, 16 electrodes round a wrist at 2 kHz, 29 stages, 193 users."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'EMG with the stage as label; no joint angles.'}
  HOMEPAGE = 'https://github.com/facebookresearch/emg2pose'
  URLS = (f'{BUCKET}/emg2pose_dataset.tar',)
  SAMPLE_URLS = (f'{BUCKET}/emg2pose_dataset_mini.tar',)
  MUST_ACCEPT = True  # no commercial use, and derived data under the same licence
  PUBLISHED_FILES = 25253
  FACTS = Facts(subjects='193', channels='16', rate_hz='2000', classes='29', size='431 GiB',
                real_bytes='none')
  LABEL_NAMES = parser.LABEL_NAMES
  LICENCE = parser.LICENCE

  def _channels_and_dtype(self):
    return parser.N_CHANNELS, np.float32

  def _jobs(self, folders):
    return parser.find_jobs(folders)

  def _raw_files(self, jobs):
    return parser.raw_files(jobs)

  def _parser(self):
    return parser.parse
