"""TFDS builder of putEMG (Kaczmarek et al. 2019), gestures only; see README.md beside it."""

import numpy as np
import tensorflow_datasets as tfds

from data_builders.common import Facts, RecordBuilder
from data_builders.putemg import parser


class Builder(RecordBuilder):
  """24 electrodes on three bands at 5120 Hz, 7 gestures and idle, 44 subjects on two days."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'EMG with gestures as seen on video, and the cues.'}
  HOMEPAGE = 'https://biolab.put.poznan.pl/putemg-dataset/'
  # Hundreds of single files, no archive.
  MANUAL_DOWNLOAD_INSTRUCTIONS = """
      With the source's script https://github.com/biolab-put/putemg-downloader run
      "putemg_downloader.py emg_gestures data-hdf5" (one subject: append its two-digit id), accept
      the licence (CC BY-NC 4.0: no commercial use), and give the folder Data-HDF5.
      """
  FACTS = Facts(subjects='44', channels='24', rate_hz='5120', classes='8', size='not stated',
                real_bytes='none')
  LABEL_NAMES = parser.LABEL_NAMES
  COMMON_NAMES = parser.COMMON_NAMES
  LICENCE = parser.LICENCE

  def _channels_and_dtype(self):
    return len(parser.EMG), np.float64

  def _jobs(self, folders):
    return parser.find_jobs(folders)

  def _parser(self):
    return parser.parse
