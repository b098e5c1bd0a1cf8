"""TFDS's own conformance tests (registration, tags, features, round trip) on every builder."""

import unittest

import pytest

from data_builders import build as build_lib
from tests.data_builders.contract_table import ROWS


@pytest.mark.tf
@pytest.mark.parametrize('row', {row.dataset: row for row in reversed(ROWS)}.values(),
                         ids=lambda row: row.dataset)
def test_tfds_dataset_builder_test_case(row, tmp_path):
  """A builder that only our own reader can use: bad tags, features TensorFlow cannot decode."""
  pytest.importorskip('tensorflow')
  pytest.importorskip('dill')
  import tensorflow_datasets as tfds
  _, _, config = row.name.partition('/')

  class Case(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = build_lib.load_builder(row.dataset)
    SPLITS = {'train': row.n_records}
    BUILDER_CONFIG_NAMES_TO_TEST = [config] if config else None
    SKIP_CHECKSUMS = True  # most archives were never fetched: see the builders' READMEs

  suite = unittest.defaultTestLoader.loadTestsFromTestCase(Case)
  result = unittest.TestResult()
  suite.run(result)
  assert result.testsRun >= 5
  assert not result.errors + result.failures, (result.errors + result.failures)[0][1]
