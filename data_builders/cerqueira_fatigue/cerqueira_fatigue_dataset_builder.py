"""TFDS builder of the fatigue set of Cerqueira et al. 2024; see README.md beside it."""

import numpy as np
import tensorflow_datasets as tfds

from data_builders.cerqueira_fatigue import parser
from data_builders.common import Facts, RecordBuilder
from data_builders.jobs import BAD_TIME, NOT_ALIGNED


class Builder(RecordBuilder):
  """156 trials of one arm to fatigue, 4 muscles at 1259 Hz, the subject's own level of fatigue."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'The trials with levels of fatigue; no MVC recordings.'}
  HOMEPAGE = 'https://zenodo.org/records/14182446'
  MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
      Download sEMG_data.zip and self_perceived_fatigue_index.zip of {HOMEPAGE} and unpack both, and
      the zip of each subject inside them, so that one folder holds sEMG_data/subject_1/trial_1.csv
      and self_perceived_fatigue_index/subject_1/trial_1.csv.
      """
  FACTS = Facts(subjects='13', channels='4', rate_hz='1259.26', classes='6 exercises, 3 levels',
                size='3.3 GB', real_bytes='none')
  LABEL_NAMES = parser.LABEL_NAMES
  LICENCE = parser.LICENCE
  # A public audit of half of the subjects found both.
  KNOWN_REJECTS = frozenset({BAD_TIME, NOT_ALIGNED})

  def _channels_and_dtype(self):
    return parser.N_CHANNELS, np.float64

  def _jobs(self, folders):
    return parser.find_jobs(folders)

  def _raw_files(self, jobs):
    return parser.raw_files(jobs)

  def _parser(self):
    return parser.parse
