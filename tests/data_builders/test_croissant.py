"""croissant.json: valid for MLCommons' own package, and true of the set beside it."""

import dataclasses
import hashlib
import json
import pathlib

import pytest
import tensorflow_datasets as tfds

from data_builders import build as build_lib
from data_builders import croissant, intake
from data_builders.synthetic_emg import generator

FOLDER = pathlib.Path(build_lib.__file__).parent


@pytest.fixture(scope='module', params=['myo_armband', 'uci_emg/distinct', 'synthetic_emg'])
def built(request, tmp_path_factory):
  """A set of several shards, one with configurations, one without a public source."""
  name = request.param
  raw = None if name == 'synthetic_emg' else FOLDER / name.split('/')[0] / 'dummy_data'
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(intake, 'BYTES_PER_SHARD', 20_000)
    patch.setitem(generator.DEVICES, 'ring8_200hz', dataclasses.replace(
        generator.DEVICES['ring8_200hz'], n_subjects=1, n_cycles=2))
    yield name, build_lib.build(name, str(tmp_path_factory.mktemp('built')), raw, progress=False)


def document(folder):
  return json.loads((folder / croissant.FILE).read_text())


@pytest.mark.heavy  # the import of mlcroissant alone takes a second
def test_mlcroissant_accepts_it(built):
  """A catalogue that refuses the set: no context, a type or a reference that does not exist."""
  mlcroissant = pytest.importorskip('mlcroissant')
  _, folder = built
  metadata = mlcroissant.Dataset(jsonld=folder / croissant.FILE).metadata  # raises on an error
  assert not metadata.ctx.issues.errors
  left = {w for w in metadata.ctx.issues.warnings if 'datePublished' not in w}
  assert not {w for w in left if built[0] != 'synthetic_emg' or 'url' not in w}
  fields = {f.name: f for f in metadata.record_sets[0].fields}
  assert fields['signal'].is_array and fields['signal'].array_shape_tuple[0] == -1
  assert {f.name for f in fields['labels'].sub_fields} == {'start', 'stop', 'name'}


def test_it_describes_the_set_beside_it(built):
  """Checksums of other shards, another version's licence, a citation left out."""
  name, folder = built
  cls = build_lib.load_builder(name.split('/')[0])
  found = document(folder)
  files = {f['@id']: f for f in found['distribution'] if f['@type'] == 'cr:FileObject'}
  shards = {p.name: p.read_bytes() for p in folder.glob('*-of-*')}
  assert set(files) == set(shards) and len(shards) > 1
  for shard, data in shards.items():
    assert files[shard]['sha256'] == hashlib.sha256(data).hexdigest()
    assert files[shard]['contentSize'] == f'{len(data)} B' and files[shard]['contentUrl'] == shard
  assert found['license'] == cls.LICENCE and found['version'] == str(cls.VERSION)
  assert found['citeAs'].startswith('@') and found.get('url', '') == cls.HOMEPAGE
  config = folder.parent.name if folder.parent.name in cls.builder_configs else ''
  assert found['name'] == '-'.join([cls.name, config] if config else [cls.name])
  assert len(found['description'].splitlines()) == 1 and len(found['description']) > 20


def test_it_lists_the_fields_that_a_reader_gets(built):
  """A field with another name, type or shape than TFDS decodes."""
  features = tfds.builder_from_directory(built[1]).info.features
  fields = {f['name']: f for f in document(built[1])['recordSet'][0]['field']}
  assert set(fields) == set(features)
  for name in ('sensors', 'labels', 'annotations'):
    assert {f['name'] for f in fields[name]['subField']} == set(features[name])
  signal = fields['signal']
  assert signal['arrayShape'] == f'-1,{features["signal"].shape[1]}'
  assert signal['dataType'] == 'cr:Int16' and signal['source']['extract'] == {'column': 'signal'}
  assert fields['rate_hz']['dataType'] == 'cr:Float64' and 'isArray' not in fields['rate_hz']
