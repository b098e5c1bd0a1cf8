"""TFDS builder of the dataset of Toro-Ossaba et al. 2022; see README.md beside it."""

import numpy as np
import tensorflow_datasets as tfds

from data_builders.common import Facts, RecordBuilder
from data_builders.toro_ossaba import parser


class Builder(RecordBuilder):
  """40 files of about 20 s, 4 channels on an armband, 5 gestures held once, 8 subjects."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'The published files, and one converted by a third party.'}
  BUILDER_CONFIGS = [
      tfds.core.BuilderConfig(name='published', description='All "subject N/G.txt".'),
      tfds.core.BuilderConfig(
          name='converted', description=f'One file, {parser.CONVERTED}, of a subject that is not'
          ' stated: probably a copy of one of the published.'),
  ]
  DEFAULT_BUILDER_CONFIG_NAME = 'published'
  HOMEPAGE = 'https://zenodo.org/records/7668251'
  MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
      Download the files of {HOMEPAGE} by hand, so that a folder, or an archive, holds
      "subject 1/0.txt" to "subject 8/4.txt".
      """
  FACTS = Facts(subjects='8', channels='4', rate_hz='1024 (or 1000: unresolved)', classes='5',
                size='not stated', real_bytes='none')
  LABEL_NAMES = parser.LABEL_NAMES
  LICENCE = parser.LICENCE

  def _channels_and_dtype(self):
    return parser.N_CHANNELS, np.float64

  def _jobs(self, folders):
    converted = self.builder_config.name == 'converted'
    return (parser.find_converted if converted else parser.find_jobs)(folders)

  def _parser(self):
    return parser.parse_converted if self.builder_config.name == 'converted' else parser.parse
