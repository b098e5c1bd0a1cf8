"""Every builder: conventions of TFDS, and records that are what the documentation says."""

import contextlib
import functools
import importlib
import json
import pathlib
import shutil

from aemg_jax.records import validate
from aemg_jax.sources import read_records
import numpy as np
import pytest
from tensorflow_datasets.core import dataset_metadata

from data_builders import build as build_lib
from data_builders import encoding, features, gestures, intake
from tests.data_builders.contract_table import ROWS, Row

FOLDER = pathlib.Path(build_lib.__file__).parent


# A generated set takes a second to generate, and its generator has tests of its own.
@pytest.fixture(scope='module', params=[
    pytest.param(row, id=row.name, marks=[pytest.mark.heavy] if row.generated else [])
    for row in ROWS])
def built(request, tmp_path_factory):
  """A row of the table, the dataset that its builder makes of its dummy data, and its records."""
  row: Row = request.param
  raw = None if row.generated else FOLDER / row.dataset / 'dummy_data'
  folder = build_lib.build(row.name, str(tmp_path_factory.mktemp('built')), raw, progress=False)
  source = read_records(folder)
  return row, source, list(source)


def test_records_are_valid_and_as_documented(built):
  """A wrong rate, unit, electrode count or label name: nothing that training would reveal."""
  row, source, records = built
  assert len(source) == len(records) == row.n_records
  for record in records:
    validate(record)
    assert record.dataset == row.source
    assert (record.kind, record.is_envelope) == (row.kind, row.is_envelope)
    assert (record.n_channels, str(record.signal_tc.dtype)) == (row.channels, row.dtype)
    assert (record.rate_hz, record.bandwidth_hz) == (row.rate_hz, row.bandwidth_hz)
    assert {s.unit for s in record.sensors} == row.units
    assert record.licence == source.meta.licence
  found = {label.name for record in records for label in record.labels}
  assert found == row.labels <= set(source.meta.label_names)


def test_electrodes_of_a_ring_go_round_it_once(built):
  """Angles in radians, two electrodes in one place, or a ring that the device does not have."""
  row, _, records = built
  for record in records:
    assert {s.ring for s in record.sensors} == row.rings
    for ring in row.rings - {0}:
      angles = [s.angle_deg for s in record.sensors if s.ring == ring]
      step = 360 / len(angles)
      assert [(a - angles[0]) % 360 for a in angles] == pytest.approx(
          [step * i for i in range(len(angles))])


def test_common_names_are_of_the_ontology(built):
  """A misspelt common name, or one for a label that the set does not have."""
  _, source, _ = built
  assert set(source.meta.common_names) <= set(source.meta.label_names)
  assert set(source.meta.common_names.values()) <= set(gestures.COMMON)


def test_records_are_in_order_and_named_once(built):
  """Shards in the order of worker processes, or two recordings of one name."""
  ids = [record.record_id for record in built[2]]
  assert ids == sorted(set(ids))


def test_counts_agree_with_the_records(built):
  """A rejects.json or a licence that tells of another set."""
  _, source, records = built
  counts = source.meta.counts
  assert counts['records'] == len(records)
  assert counts['subjects'] == len({r.subject for r in records})
  assert counts['seconds'] == pytest.approx(sum(r.n_samples / r.rate_hz for r in records), abs=1e-3)
  rejects = json.loads((source.path / 'rejects.json').read_text())
  assert rejects['reject_counts'] == source.meta.reject_counts
  assert sum(source.meta.reject_counts.values()) == len(source.meta.rejects)


def test_records_are_encoded_as_tfds_does_it(built):
  """A field, an order or a length that our encoder writes otherwise: other bytes than with Beam."""
  row, _, records = built
  tfds_features = features.record_features(row.channels, np.dtype(row.dtype).type)
  for record in records[:4]:
    expected = tfds_features.serialize_example(features.to_example(record))
    assert encoding.encode(record) == features.sort_features(expected)


@pytest.fixture(scope='module')
def pools():
  """Two and four processes for all builds: to start them costs more than a build."""
  with contextlib.ExitStack() as stack:
    made = {n: stack.enter_context(intake.pool(n)) for n in (2, 4)}
    yield lambda workers: contextlib.nullcontext(made[workers])


@pytest.mark.heavy
@pytest.mark.parametrize('row', ROWS, ids=[row.name for row in ROWS])
def test_any_number_of_workers_writes_the_same_bytes(row, pools, tmp_path, monkeypatch):
  """Results taken as they come, state kept per worker, a shard too few: for every parser."""
  raw = None if row.generated else FOLDER / row.dataset / 'dummy_data'
  monkeypatch.setattr(intake, 'pool', pools)
  monkeypatch.setattr(intake, 'JOBS_PER_TASK', 1)
  n_bytes = max(job.n_bytes for job in _builder(row, raw)[1])
  monkeypatch.setattr(intake, 'BYTES_PER_SHARD', 2 * n_bytes)
  found = [_files(build_lib.build(row.name, str(tmp_path / str(workers)), raw, workers=workers,
                                  progress=False)) for workers in (1, 2, 4)]
  assert found[0] == found[1] == found[2]


def _builder(row: Row, raw: pathlib.Path | None):
  """The builder, and its jobs."""
  folders = [] if raw is None else [str(raw)]
  config = row.name.partition('/')[2]
  cls = build_lib.load_builder(row.dataset)
  builder = cls(config=config or cls.DEFAULT_BUILDER_CONFIG_NAME, raw_dirs=folders)
  return builder, builder._jobs(folders)


RAW_ROWS = [row for row in ROWS if not row.generated]


@pytest.mark.parametrize('row', RAW_ROWS, ids=[row.name for row in RAW_ROWS])
def test_the_checksum_covers_every_file_that_is_read(row, tmp_path):
  """Labels or channels in files of their own, which change and raw_sha256 does not."""
  copy = tmp_path / 'raw'
  shutil.copytree(FOLDER / row.dataset / 'dummy_data', copy)
  builder, jobs = _builder(row, copy)
  covered = {pathlib.Path(job.path).resolve() for job in builder._raw_files(jobs)}
  parse = functools.partial(intake.parse_encoded, builder._parser(), builder._schema())
  before = [parse(job) for job in jobs]
  for path in copy.rglob('*'):
    if path.is_file() and path.resolve() not in covered:
      path.unlink()
  assert [parse(job) for job in jobs] == before


def test_dummy_data_are_what_their_script_writes(built, tmp_path):
  """Dummy files edited by hand, that no longer say what the format is.

  Where bytes differ, compared by what the builder makes of them: zlib and HDF5 pack the same
  content otherwise elsewhere.
  """
  row, source, _ = built
  if row.generated:
    pytest.skip('no raw files')
  script = importlib.import_module(f'data_builders.{row.dataset}.make_dummy_data')
  script.main(tmp_path / 'raw')
  written, stored = _files(tmp_path / 'raw'), _files(FOLDER / row.dataset / 'dummy_data')
  assert sorted(written) == sorted(stored)
  if written != stored:
    folder = build_lib.build(row.name, str(tmp_path), tmp_path / 'raw', progress=False)
    assert read_records(folder).meta.fingerprint == source.meta.fingerprint


def _files(folder: pathlib.Path) -> dict[str, bytes]:
  return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob('*') if p.is_file()}


def test_every_builder_is_in_the_table():
  """A builder that no contract test looks at."""
  assert {row.dataset for row in ROWS} == set(build_lib.BUILDERS)


@pytest.mark.parametrize('name', build_lib.BUILDERS)
def test_the_folder_follows_the_conventions(name):
  """A builder that TFDS or a reader cannot use: bad tags, no citation, no licence, no checksums."""
  builder = build_lib.load_builder(name)
  assert builder.name == name and str(builder.VERSION) in builder.RELEASE_NOTES
  metadata = builder.get_metadata()
  assert metadata.tags and set(metadata.tags) <= set(dataset_metadata.valid_tags())
  assert metadata.citation.count('@') >= 1
  for word in ('licence', 'units', '## '):
    assert word in metadata.description.lower(), word
  assert builder.LICENCE and (FOLDER / name / 'dummy_data').is_dir()
  assert builder.FACTS.real_bytes in ('all', 'part', 'none')
  if builder.FACTS.real_bytes == 'none' and not builder.GENERATED:
    assert 'format from documentation; not run on the real files' in metadata.description.lower()
  assert (FOLDER / name / 'checksums.tsv').is_file() != builder.GENERATED
  for url in (*builder.URLS, *builder.SAMPLE_URLS):
    builder.registered_sha256(url)  # reads checksums.tsv
  assert builder.URLS or builder.GENERATED or builder.MANUAL_DOWNLOAD_INSTRUCTIONS


def test_all_datasets_have_the_same_schema():
  """A reader that works for one dataset only."""
  keys = set()
  for name in build_lib.BUILDERS:
    keys.add(json.dumps(sorted(build_lib.load_builder(name)().info.features.keys())))
  assert len(keys) == 1
