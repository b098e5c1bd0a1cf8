"""TFDS builder of any folder of recordings with a manifest; see README.md beside it."""

import dataclasses
import functools

import numpy as np
import tensorflow_datasets as tfds

from data_builders.common import Facts, RecordBuilder
from data_builders.emg_folder import manifest, parser


class Builder(RecordBuilder):
  """CSV, NPZ, MAT, EDF, BDF or WFDB files; the manifest says what they hold."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'First manifest.'}
  MANUAL_DOWNLOAD_INSTRUCTIONS = ('a folder or archive with your recordings and a manifest'
                                  f' {manifest.FILE}, as README.md of emg_folder describes')
  FACTS = Facts(subjects='yours', channels='any', rate_hz='any', classes='any', size='yours',
                real_bytes='part')
  LICENCE = 'as the manifest states it'
  DESCRIBED_BY_RAW = True

  _manifest: manifest.Manifest | None = None

  def _describe(self, folders):
    self._manifest = found = manifest.read(folders)
    self.LABEL_NAMES, self.LICENCE = found.label_names, found.licence
    self.COMMON_NAMES, self.KNOWN_REJECTS = found.common_names, found.known_rejects
    return tfds.core.BuilderConfig(
        name=found.name, description=f'{len(found.channels)} channels at {found.rate_hz:g} Hz,'
        f' {found.format} files.')

  def _channels_and_dtype(self):
    if self._manifest is None:  # TFDS names the folder (manual_dir) after the schema is fixed
      return None, np.float64
    return len(self._manifest.channels), np.dtype(self._manifest.dtype)

  def _jobs(self, folders):
    if self._manifest is None:
      self._describe(folders)
      self._manifest = dataclasses.replace(self._manifest, dtype='float64')
    return parser.find_jobs(self._manifest)

  def _raw_files(self, jobs):
    return parser.raw_files(self._manifest, jobs)

  def _parser(self):
    return functools.partial(parser.parse, self._manifest)
