"""TFDS builder of PLUX's EMG fatigue example (biosignalsnotebooks); see README.md beside it."""

import numpy as np
import tensorflow_datasets as tfds

from data_builders.common import Facts, RecordBuilder
from data_builders.plux_fatigue import parser

COMMIT = '0de354ddf4dbf76924854eb66f06513be5c1b7ee'
FILE = 'biosignalsnotebooks/biosignalsnotebooks/_signal_samples/emg_fatigue.h5'


class Builder(RecordBuilder):
  """One recording of 126.9 s: biceps brachii at 1000 Hz, curls to fatigue. No labels."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'Raw recording.'}
  HOMEPAGE = 'https://github.com/pluxbiosignals/biosignalsnotebooks'
  # The repository's archive is over 1 GB for this one file, so a person fetches the file alone.
  MANUAL_DOWNLOAD_INSTRUCTIONS = (
      f'Fetch {FILE} (1.4 MB) from the repository {HOMEPAGE} at commit {COMMIT}, and give its'
      ' folder (not a whole clone: that holds the file several times).')
  PUBLISHED_FILES = 1
  FACTS = Facts(subjects='1', channels='1', rate_hz='1000', classes='none', size='1.4 MB',
                real_bytes='all')
  LICENCE = parser.LICENCE
  # Over the name and bytes of that file (raw.content_sha256).
  PUBLISHED_SHA256 = 'c9381cadca4edf3b7acfcb6dfd321c58733ee8bdd63b1c5f2664cb45c7af6d24'

  def _channels_and_dtype(self):
    return 1, np.int16

  def _jobs(self, folders):
    return parser.find_jobs(folders)

  def _parser(self):
    return parser.parse
