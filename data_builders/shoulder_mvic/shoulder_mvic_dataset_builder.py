"""TFDS builder of shoulder rotations to exhaustion (Yasar et al. 2024); see README.md beside it."""

import numpy as np
import tensorflow_datasets as tfds

from data_builders.common import Facts, RecordBuilder
from data_builders.shoulder_mvic import parser


class Builder(RecordBuilder):
  """204 exercises at 3 loads with Borg ratings, 136 of maximal force, 6 muscles at 1000 Hz."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'EMG with loads and ratings; no IMU, no PPG.'}
  HOMEPAGE = 'https://zenodo.org/records/8415066'
  MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
      Download the data of {HOMEPAGE} (WSD4FEDSRM), so that a folder, or an archive, holds
      "EMG, IMU, and PPG data" and, beside it, "Borg data".
      """
  FACTS = Facts(subjects='34', channels='6', rate_hz='1000', classes='2', size='1.6 GB unpacked',
                real_bytes='none')
  LABEL_NAMES = parser.LABEL_NAMES
  LICENCE = parser.LICENCE

  def _channels_and_dtype(self):
    return parser.N_CHANNELS, np.float64

  def _jobs(self, folders):
    return parser.find_jobs(folders)

  def _raw_files(self, jobs):
    return parser.raw_files(jobs)

  def _parser(self):
    return parser.parse
