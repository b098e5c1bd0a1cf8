"""Every builder: conventions of TFDS, and records that are what the documentation says."""

import importlib
import json
import pathlib

from aemg_jax.records import validate
from aemg_jax.sources import read_records
import pytest
from tensorflow_datasets.core import dataset_metadata

from data_builders import build as build_lib
from data_builders.myo_armband import make_dummy_data

FOREARM = ['hand close', 'hand open', 'wrist extension', 'wrist flexion']
# name, channels, rate, bandwidth, unit, dtype, label names that must occur
TABLE = [
    ('myo_armband', 8, 200.0, 100.0, 'nominal', 'int16',
     FOREARM + ['neutral', 'radial deviation', 'ulnar deviation']),
    ('synthetic_emg/ring8_200hz', 8, 200.0, 90.0, 'uV', 'int16',
     FOREARM + ['radial deviation', 'rest']),
    ('synthetic_emg/ring4_500hz', 4, 500.0, 225.0, 'uV', 'int16',
     FOREARM + ['radial deviation', 'rest']),
]
IDS = [row[0] for row in TABLE]


@pytest.fixture(scope='module', params=TABLE, ids=IDS)
def built(request, tmp_path_factory):
  """A row of the table and the dataset that its builder makes of its dummy data."""
  name = request.param[0]
  raw = make_dummy_data.FOLDER if name == 'myo_armband' else None
  folder = build_lib.build(name, str(tmp_path_factory.mktemp('built')), raw, progress=False)
  return request.param, read_records(folder)


def test_records_are_valid_and_as_documented(built):
  """A wrong rate, unit, electrode count or label name: nothing that training would reveal."""
  (name, n_channels, rate_hz, bandwidth_hz, unit, dtype, label_names), source = built
  for record in source:
    validate(record)
    assert record.dataset == name.split('/')[0] and record.kind == 'emg' and not record.is_envelope
    assert (record.n_channels, str(record.signal_tc.dtype)) == (n_channels, dtype)
    assert (record.rate_hz, record.bandwidth_hz) == (rate_hz, bandwidth_hz)
    assert {s.unit for s in record.sensors} == {unit} and {s.ring for s in record.sensors} == {1}
    angles = [s.angle_deg for s in record.sensors]
    assert angles == [360.0 / n_channels * i for i in range(n_channels)]
    assert record.labels and record.licence == source.meta.licence
  found = {label.name for record in source for label in record.labels}
  assert found == set(label_names) == set(source.meta.label_names)


def test_records_are_in_order_and_named_once(built):
  """Shards in the order of worker processes, or two recordings of one name."""
  ids = [record.record_id for record in built[1]]
  assert ids == sorted(set(ids))


def test_counts_agree_with_the_records(built):
  """A rejects.json or a licence that tells of another set."""
  _, source = built
  records = list(source)
  counts = source.meta.counts
  assert counts['records'] == len(records)
  assert counts['subjects'] == len({r.subject for r in records})
  assert counts['seconds'] == pytest.approx(sum(r.n_samples / r.rate_hz for r in records))
  rejects = json.loads((source.path / 'rejects.json').read_text())
  assert rejects['reject_counts'] == source.meta.reject_counts
  assert sum(source.meta.reject_counts.values()) == len(source.meta.rejects)


@pytest.mark.parametrize('name', build_lib.BUILDERS)
def test_the_folder_follows_the_conventions(name):
  """A builder that TFDS or a reader cannot use: bad tags, no citation, no licence, no checksums."""
  builder = importlib.import_module(f'data_builders.{name}.{name}_dataset_builder').Builder
  folder = pathlib.Path(build_lib.__file__).parent / name
  assert builder.name == name and str(builder.VERSION) in builder.RELEASE_NOTES
  metadata = builder.get_metadata()
  assert metadata.tags and set(metadata.tags) <= set(dataset_metadata.valid_tags())
  assert metadata.citation.count('@') >= 1
  for word in ('licence', 'units', '## '):
    assert word in metadata.description.lower(), word
  assert builder.LICENCE and (folder / 'dummy_data').is_dir()
  assert (folder / 'checksums.tsv').is_file() == bool(builder.URL)
  builder.registered_sha256()  # reads checksums.tsv, if there is one


def test_all_datasets_have_the_same_schema():
  """A reader that works for one dataset only."""
  keys = set()
  for name in build_lib.BUILDERS:
    module = importlib.import_module(f'data_builders.{name}.{name}_dataset_builder')
    keys.add(json.dumps(sorted(module.Builder().info.features.keys())))
  assert len(keys) == 1
