"""Reading a built dataset back: every field, the order, and what is refused."""

import dataclasses
import json
import shutil
import sys

from aemg_jax import sources
from aemg_jax.records import Annotation, Label, Record, Sensor, validate
import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core import dataset_metadata

from data_builders import build as build_lib
from data_builders import common, features
from data_builders.jobs import Job
from tests.test_records import make_record

EXTREME = make_record(
    record_id='s1/b', subject='s1', session='pm', repetition=-1, rate_hz=1259.2592592592594,
    bandwidth_hz=1 / 3, licence='CC BY 4.0',
    signal_tc=np.array([[1.1, -2.2e-8], [3e30, 0.0]], np.float64),
    sensors=(Sensor('élèctrode 0', row=3, column=0, unit='mV', scale=0.1), Sensor('m. biceps')),
    labels=(), annotations=())


class MadeUp(common.RecordBuilder, skip_registration=True):
  """Two records, given at class level, through the whole machinery."""
  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'Test.'}
  LABEL_NAMES = ('rest', 'fist')
  LICENCE = 'not stated'
  GENERATED = True
  RECORDS = (dataclasses.replace(make_record(), signal_tc=np.arange(40.).reshape(20, 2)), EXTREME)

  @classmethod
  def get_metadata(cls):
    return dataset_metadata.DatasetMetadata(description='Made up.', citation='', tags=[])

  def _channels_and_dtype(self):
    return 2, np.float64

  def _jobs(self, folders):
    return [Job(record.record_id, '', 0) for record in self.RECORDS]

  def _parser(self):
    return lambda job: [record for record in self.RECORDS if record.record_id == job.name]


@pytest.fixture(scope='module')
def built(tmp_path_factory):
  """The folder of the made-up dataset."""
  data_dir = tmp_path_factory.mktemp('built')
  builder = MadeUp(data_dir=data_dir, file_format='array_record')
  builder.download_and_prepare(download_dir=data_dir / 'downloads')
  return builder.data_path


def assert_equal(got: Record, expected: Record) -> None:
  """Field by field; NaN angles are equal, and types are Python's own."""
  np.testing.assert_array_equal(got.signal_tc, expected.signal_tc)
  assert got.signal_tc.dtype == expected.signal_tc.dtype
  for field in dataclasses.fields(Record):
    if field.name != 'signal_tc':
      a, b = getattr(got, field.name), getattr(expected, field.name)
      assert repr(a) == repr(b), field.name


def test_every_field_comes_back_to_the_bit(built):
  """A field that is dropped, rounded to float32, or comes back as bytes."""
  source = sources.read_records(built)
  assert len(source) == 2
  for got, expected in zip(source, MadeUp.RECORDS, strict=True):
    assert_equal(validate(got), expected)
  assert_equal(source[-1], EXTREME)
  assert [r.record_id for r in source[::-1]] == ['s1/b', 's0/a']
  with pytest.raises(IndexError):
    source[2]


def test_a_record_has_no_field_that_the_features_lack():
  """A field added to the contract that the builders forget to store."""
  names = set(features.record_features(2, np.int16))
  assert names == {f.name for f in dataclasses.fields(Record)} - {'signal_tc'} | {'signal'}
  for field, cls in (('sensors', Sensor), ('labels', Label), ('annotations', Annotation)):
    assert set(features.record_features(2, np.int16)[field]) == {
        f.name for f in dataclasses.fields(cls)}


def test_the_folder_above_will_do_when_it_holds_one_dataset(built):
  """A choice between two datasets that nobody sees."""
  assert sources.read_records(built.parent).path == sources.read_records(built.parent.parent).path
  other = built.parent / '1.0.1'
  shutil.copytree(built, other)
  with pytest.raises(ValueError, match=r"holds 2 built datasets: \['1.0.0', '1.0.1'\]"):
    sources.read_records(built.parent)
  shutil.rmtree(other)


def test_an_unfinished_build_is_not_a_dataset(built, tmp_path):
  """Reading the temporary folder of a build that was killed."""
  shutil.copytree(built, tmp_path / 'incomplete.ABC_1.0.0')
  with pytest.raises(ValueError, match='holds 0 built datasets'):
    sources.read_records(tmp_path)


def test_the_fingerprint_is_of_the_content_not_of_the_place(built, tmp_path):
  """A cache that is refused after a move, or accepted after a change."""
  shutil.copytree(built, tmp_path / 'moved')
  one = sources.read_records(built).meta
  assert sources.read_records(tmp_path / 'moved').meta == one
  metadata = json.loads((tmp_path / 'moved/metadata.json').read_text())
  next(iter(metadata['shards'].values()))['sha256'] = 'another'
  (tmp_path / 'moved/metadata.json').write_text(json.dumps(metadata))
  assert sources.read_records(tmp_path / 'moved').meta.fingerprint != one.fingerprint
  assert (one.name, one.version, one.licence) == ('made_up', '1.0.0', 'not stated')
  assert one.label_names == ('rest', 'fist') and one.counts['labels'] == {'fist': 1, 'rest': 1}


def damage_shard(folder):
  shard = next(folder.glob('*-of-*'))
  shard.write_bytes(shard.read_bytes()[:-1])


@pytest.mark.parametrize('damage, expected', [
    (shutil.rmtree, 'no such folder'),
    (lambda folder: (folder / 'dataset_info.json').unlink(), 'holds 0 built datasets'),
    (lambda folder: (folder / 'dataset_info.json').write_text('{'), 'expected a dataset of'),
    (lambda folder: (folder / 'metadata.json').unlink(), 'expected a dataset of data_builders'),
    (lambda folder: (folder / 'metadata.json').write_text('{}'), "lacks ['licence'"),
    (lambda folder: next(folder.glob('*-of-*')).unlink(), 'no file, expected'),
    (damage_shard, 'bytes (build it again)'),
])
def test_a_damaged_dataset_is_refused_with_the_reason(built, tmp_path, damage, expected):
  """A traceback from TFDS, or fewer records than the dataset has."""
  folder = tmp_path / '1.0.0'
  shutil.copytree(built, folder)
  damage(folder)
  with pytest.raises(ValueError) as error:
    sources.read_records(folder)
  assert expected in str(error.value) and str(folder) in str(error.value)
  assert '\n' not in str(error.value)


def test_reading_does_not_need_the_builder(tmp_path):
  """A dataset that only opens where its builder is installed."""
  build_lib.build('synthetic_emg', str(tmp_path), progress=False)
  modules = [name for name in sys.modules if 'synthetic_emg' in name]
  saved = {name: sys.modules.pop(name) for name in modules}
  try:
    assert len(sources.read_records(tmp_path / 'synthetic_emg')) == 40
    assert not [name for name in sys.modules if 'synthetic_emg' in name]
  finally:
    sys.modules.update(saved)
