"""TFDS builder of synthetic reaching and lifting to exhaustion; see README.md and generator.py."""

import numpy as np
import tensorflow_datasets as tfds

from data_builders.common import Facts, RecordBuilder
from data_builders.kinematics_fatigue import keypoint_files
from data_builders.synthetic_reaching import generator


class Builder(RecordBuilder):
  """SYNTHETIC key points of people who reach and lift until they are tired, with ratings."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'Four virtual people, two tasks.'}
  GENERATED = True
  FACTS = Facts(subjects='4 (virtual)', channels='44 (11 points)', rate_hz='30',
                classes='Borg 0 to 10', size='generated', real_bytes='none')
  LICENCE = generator.LICENCE

  def _channels_and_dtype(self):
    return len(keypoint_files.COLUMNS), np.float32

  def _jobs(self, folders):
    del folders
    return generator.jobs()

  def _parser(self):
    return generator.generate
