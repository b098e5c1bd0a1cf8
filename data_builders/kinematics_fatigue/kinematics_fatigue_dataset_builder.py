"""TFDS builder of anyone's key-point recordings with Borg ratings; see README.md beside it."""

import numpy as np
import tensorflow_datasets as tfds

from data_builders.common import Facts, RecordBuilder
from data_builders.kinematics_fatigue import keypoint_files, parser


class Builder(RecordBuilder):
  """A folder of key points (NPZ or CSV) of 11 upper-body points, rated on Borg's CR-10 scale."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'First layout.'}
  MANUAL_DOWNLOAD_INSTRUCTIONS = (
      'There is no public set. Give a folder or archive with your own recordings: key points'
      ' SUBJECT/TASK/NAME.npz (keypoints [T, 11, 4] float32, fps, width, height), and'
      f' SUBJECT/TASK/NAME.borg.csv ({parser.BORG_HEADER}); README.md of kinematics_fatigue has'
      ' the details.')
  FACTS = Facts(subjects='yours', channels='44 (11 points)', rate_hz="the video's",
                classes='Borg 0 to 10', size='yours', real_bytes='none')
  LICENCE = parser.LICENCE

  def _channels_and_dtype(self):
    return len(keypoint_files.COLUMNS), np.float32

  def _jobs(self, folders):
    return parser.find_jobs(folders)

  def _parser(self):
    return parser.parse
