"""TFDS builder of the CSL-HDEMG corpus (Amma et al. 2015); see README.md beside it."""

import tensorflow_datasets as tfds

from data_builders.common import Facts, RecordBuilder
from data_builders.csl_hdemg import parser


class Builder(RecordBuilder):
  """7250 repetitions of 3 s, 168 bipolar channels at 2048 Hz, 26 finger gestures and idle."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'All repetitions; the rows that are no signal left out.'}
  HOMEPAGE = 'http://www.csl.uni-bremen.de/CorpusData/download.php?crps=cslhdemg'
  MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
      Register at {HOMEPAGE}; the links come by mail. The archive is cut into five parts
      (cslhdemgsplit.zip.partaa to .partae): join them in that order into one zip, and give that or
      the folder it unpacks to.
      """
  FACTS = Facts(subjects='5', channels='168', rate_hz='2048', classes='27', size='12.9 GB',
                real_bytes='none')
  LABEL_NAMES = parser.LABEL_NAMES
  COMMON_NAMES = parser.COMMON_NAMES
  LICENCE = parser.LICENCE

  def _channels_and_dtype(self):
    return parser.N_CHANNELS, parser.DTYPE

  def _jobs(self, folders):
    return parser.find_jobs(folders)

  def _parser(self):
    return parser.parse
