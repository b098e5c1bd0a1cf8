"""TFDS builder of FORS-EMG (Rumman et al. 2024); see README.md beside it."""

import numpy as np
import tensorflow_datasets as tfds

from data_builders.common import Facts, RecordBuilder
from data_builders.fors_emg import parser


class Builder(RecordBuilder):
  """3420 trials of 8 s, 8 electrodes at 985 Hz, 12 gestures, 3 orientations, 19 subjects."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'All trials, whole; the orientation of the forearm is the session.'}
  HOMEPAGE = 'https://www.kaggle.com/datasets/ummerummanchaity/fors-emg-a-novel-semg-dataset'
  MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
      Download the archive of {HOMEPAGE} by hand (the site asks for an account).
      """
  FACTS = Facts(subjects='19', channels='8', rate_hz='985', classes='12', size='not stated',
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
