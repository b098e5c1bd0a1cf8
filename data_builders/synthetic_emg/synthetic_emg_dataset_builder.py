"""TFDS builder of synthetic EMG, the embedded default set; see README.md and generator.py."""

import functools

import numpy as np
import tensorflow_datasets as tfds

from data_builders.common import RecordBuilder
from data_builders.synthetic_emg import generator


class Builder(RecordBuilder):
  """SYNTHETIC recordings of 5 gestures and rest, one configuration per virtual band."""

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'Four virtual bands.'}
  BUILDER_CONFIGS = [
      tfds.core.BuilderConfig(
          name=device.name,
          description=f'SYNTHETIC: {device.n_electrodes} electrodes at {device.rate_hz:g} Hz,'
          f' {device.n_subjects} virtual subjects.')
      for device in generator.DEVICES.values()
  ]
  DEFAULT_BUILDER_CONFIG_NAME = generator.DEFAULT
  LABEL_NAMES = generator.LABEL_NAMES
  LICENCE = generator.LICENCE

  @property
  def _device(self) -> generator.Device:
    return generator.DEVICES[self.builder_config.name]

  def _channels_and_dtype(self):
    return self._device.n_electrodes, np.int16

  def _locate_raw(self, dl_manager):
    del dl_manager
    return None

  def _jobs(self, raw_dir):
    del raw_dir
    return generator.jobs(self._device), ''

  def _parser(self):
    return functools.partial(generator.generate, self._device)
