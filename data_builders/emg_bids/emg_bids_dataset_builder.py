"""TFDS builder of any EMG-BIDS dataset (BIDS 1.11); see README.md beside it."""

import dataclasses
import functools

import numpy as np
import tensorflow_datasets as tfds

from data_builders.common import Facts, RecordBuilder
from data_builders.emg_bids import layout, parser


class Builder(RecordBuilder):
  """BDF and EDF recordings with their tables; the dataset describes itself."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'First reading of BIDS 1.11.'}
  HOMEPAGE = 'https://bids-specification.readthedocs.io/'
  MANUAL_DOWNLOAD_INSTRUCTIONS = ('a folder or archive with an EMG-BIDS dataset, whose archive'
                                  ' explains how to fetch it')
  FACTS = Facts(subjects='any', channels='any', rate_hz='any', classes='any', size='any',
                real_bytes='none')
  LICENCE = 'as the dataset states it'
  DESCRIBED_BY_RAW = True

  _dataset: layout.Dataset | None = None

  def _describe(self, folders):
    self._dataset = found = layout.describe(folders)
    self.LABEL_NAMES, self.LICENCE = found.label_names, found.licence
    channels = 'several numbers of' if found.n_channels is None else found.n_channels
    return tfds.core.BuilderConfig(name=found.name, description=f'{channels} channels.')

  def _channels_and_dtype(self):
    if self._dataset is None:  # TFDS names the folder (manual_dir) after the schema is fixed
      return None, np.float64
    return self._dataset.n_channels, np.dtype(self._dataset.dtype)

  def _jobs(self, folders):
    if self._dataset is None:
      self._describe(folders)
      self._dataset = dataclasses.replace(self._dataset, dtype='float64', n_channels=None)
    return layout.find_jobs(self._dataset.root)

  def _raw_files(self, jobs):
    return layout.raw_files(self._dataset.root)

  def _parser(self):
    return functools.partial(parser.parse, self._dataset)
