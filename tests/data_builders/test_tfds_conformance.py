"""TFDS's own conformance tests (registration, tags, features, round trip) on both builders."""

import importlib
import unittest

import pytest


@pytest.mark.tf
@pytest.mark.parametrize('name, n_records, configs', [
    ('myo_armband', 17, None),
    ('synthetic_emg', 40, ['ring8_200hz']),
])
def test_tfds_dataset_builder_test_case(name, n_records, configs, tmp_path):
  """A builder that only our own reader can use: bad tags, features TensorFlow cannot decode."""
  pytest.importorskip('tensorflow')
  pytest.importorskip('dill')
  import tensorflow_datasets as tfds
  module = importlib.import_module(f'data_builders.{name}.{name}_dataset_builder')

  class Case(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = module.Builder
    SPLITS = {'train': n_records}
    BUILDER_CONFIG_NAMES_TO_TEST = configs
    SKIP_CHECKSUMS = True  # the archive's bytes were never seen: myo_armband/README.md

  suite = unittest.defaultTestLoader.loadTestsFromTestCase(Case)
  result = unittest.TestResult()
  suite.run(result)
  assert result.testsRun >= 5
  assert not result.errors + result.failures, (result.errors + result.failures)[0][1]
