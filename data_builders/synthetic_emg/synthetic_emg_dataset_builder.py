"""TFDS builder of synthetic EMG, the embedded default set; see README.md and generator.py."""

import functools

import numpy as np
import tensorflow_datasets as tfds

from data_builders.common import Facts, RecordBuilder
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
  GENERATED = True
  FACTS = Facts(subjects='6 or 8 (virtual)', channels='4, 8, 10 or 16', rate_hz='200 to 2000',
                classes='6', size='generated', real_bytes='none')
  LABEL_NAMES = generator.LABEL_NAMES
  COMMON_NAMES = generator.COMMON_NAMES
  LICENCE = generator.LICENCE

  @property
  def _device(self) -> generator.Device:
    return generator.DEVICES[self.builder_config.name]

  def _channels_and_dtype(self):
    return self._device.n_electrodes, np.int16

  def _jobs(self, folders):
    del folders
    return generator.jobs(self._device)

  def _parser(self):
    return functools.partial(generator.generate, self._device)
