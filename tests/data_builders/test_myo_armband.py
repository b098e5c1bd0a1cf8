"""The MyoArmband parser against bytes written by hand, and the published set itself."""

import json
import pathlib
import shutil
import subprocess
import sys

from aemg_jax.sources import read_records
import numpy as np
import pytest

from data_builders import build as build_lib
from data_builders import raw
from data_builders.jobs import Job
from data_builders.myo_armband import make_dummy_data, myo_armband_dataset_builder, parser
from tests.data_builders.local_server import answer, serve


def parse_bytes(tmp_path, data, name='EvaluationDataset/Male10/Test1/classe_16.dat'):
  path = tmp_path / 'x.dat'
  path.write_bytes(data)
  (item,) = parser.parse(Job(name, str(path), len(data)))
  return item


def test_bytes_become_little_endian_interleaved_samples(tmp_path):
  """Big-endian, planar or unsigned reading; class index taken for the gesture."""
  data = b''.join(bytes([c, 0 if t % 2 else 255]) for t in range(120) for c in range(8))
  record = parse_bytes(tmp_path, data)
  assert record.signal_tc.shape == (120, 8) and record.signal_tc.dtype == np.int16
  np.testing.assert_array_equal(record.signal_tc[1], range(8))
  np.testing.assert_array_equal(record.signal_tc[0], np.arange(8) - 256)
  assert record.record_id == 'Evaluation/Male10/Test1/classe_16'
  assert (record.subject, record.session) == ('Evaluation/Male10', 'Test1')
  assert record.repetition == 2  # 16 // 7
  assert [(s.start, s.stop, s.name) for s in record.labels] == [(0, 120, 'wrist flexion')]  # 16 % 7
  assert [s.angle_deg for s in record.sensors] == [0, 45, 90, 135, 180, 225, 270, 315]


@pytest.mark.parametrize('index, repetition, label', [
    (0, 0, 'neutral'), (1, 0, 'radial deviation'), (2, 0, 'wrist flexion'),
    (3, 0, 'ulnar deviation'),
    (4, 0, 'wrist extension'), (5, 0, 'hand close'), (6, 0, 'hand open'), (7, 1, 'neutral'),
    (27, 3, 'hand open')])
def test_the_index_gives_gesture_and_repetition(tmp_path, index, repetition, label):
  """A label order other than the source's README."""
  data = np.arange(8 * 100, dtype='<i2').tobytes()
  record = parse_bytes(tmp_path, data, f'PreTrainingDataset/Female0/training0/classe_{index}.dat')
  assert (record.repetition, record.labels[0].name) == (repetition, label)


def test_the_duplicate_in_pre_training_is_the_one_dropped(tmp_path):
  """An evaluation subject who stays in pre-training, or vanishes from evaluation."""
  make_dummy_data.main(tmp_path / 'raw')
  folder = build_lib.build('myo_armband', str(tmp_path), str(tmp_path / 'raw'), progress=False)
  source = read_records(folder)
  assert {r.subject for r in source} == {'Evaluation/Female0', 'Evaluation/Male10',
                                         'Evaluation/Male2', 'PreTraining/Male0'}
  rejects = json.loads((folder / 'rejects.json').read_text())['rejects']
  assert [r['name'] for r in rejects] == [
      f'PreTrainingDataset/Female7/training0/classe_{i}.dat' for i in range(7)]
  assert rejects[3]['detail'].endswith('as Evaluation/Female0/training0/classe_03')


def test_a_download_must_be_the_published_set(tmp_path, monkeypatch):
  """A part, a repository that changed, or an archive of something else, taken for the dataset."""
  builder = myo_armband_dataset_builder.Builder
  make_dummy_data.main(tmp_path / 'raw/MyoArmbandDataset-62b886f')
  archive = pathlib.Path(shutil.make_archive(str(tmp_path / 'set'), 'zip', tmp_path / 'raw'))
  with serve(lambda handler: answer(handler, archive.read_bytes())) as url:
    monkeypatch.setattr(builder, 'URLS', (url,))
    with pytest.raises(ValueError, match=r'set\.zip: 24 raw files, expected 2128 as published'):
      build_lib.build('myo_armband', str(tmp_path / 'built'), progress=False)
    monkeypatch.setattr(builder, 'PUBLISHED_FILES', 24)
    with pytest.raises(ValueError, match='expected f8d2b441.* as published'):
      build_lib.build('myo_armband', str(tmp_path / 'built'), progress=False)
    assert not list((tmp_path / 'built').rglob('*array_record*'))
    jobs = parser.find_jobs([str(tmp_path / 'raw')])
    monkeypatch.setattr(builder, 'PUBLISHED_SHA256', raw.content_sha256(jobs))
    folder = build_lib.build('myo_armband', str(tmp_path / 'built'), progress=False)
  assert len(read_records(folder)) == 17
  assert json.loads((folder / 'metadata.json').read_text())['raw_is_published'] is True


def test_a_part_of_the_set_is_taken_from_the_user(tmp_path, caplog):
  """Silence about files that are missing, or no way to build from some of them."""
  make_dummy_data.main(tmp_path / 'raw')
  folder = build_lib.build('myo_armband', str(tmp_path), str(tmp_path / 'raw'), progress=False)
  assert '24 raw files, expected 2128 as published' in caplog.text
  assert json.loads((folder / 'metadata.json').read_text())['raw_is_published'] is False


@pytest.mark.real
def test_the_published_set_has_the_documented_counts(tmp_path, real_archive):
  """A changed parser, order or duplicate rule: pinned on the real bytes, for 1, 2 and 4 workers."""
  archive = real_archive('myoarmband_cote_allard.zip')
  folders = []
  for workers in (1, 2, 4):  # each in a process of its own, as a user would
    command = [sys.executable, '-m', 'data_builders.build', 'myo_armband', '--raw', archive,
               '--workers', str(workers), '--data_dir', str(tmp_path / str(workers))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300,
                          cwd=pathlib.Path(build_lib.__file__).parents[1])
    assert done.returncode == 0, done.stderr
    folders.append(pathlib.Path(done.stdout.strip()))
  one, *others = [{p.name: p.read_bytes() for p in folder.iterdir()} for folder in folders]
  assert others == [one, one]
  source = read_records(folders[0])
  metadata = json.loads(one['metadata.json'])
  assert metadata['raw_is_published']
  assert len(source) == 2128 - 84 and source.meta.reject_counts == {'duplicate': 84}
  assert source.meta.counts['labels'] == {name: 292 for name in sorted(parser.LABEL_NAMES)}
  assert source.meta.counts['seconds'] == pytest.approx(10175.43)
  records = list(source)
  assert len({r.subject for r in records}) == 37
  assert len({(r.subject, r.session) for r in records}) == 18 * 3 + 19
  dropped = {'/'.join(r['name'].split('/')[:2]) for r in source.meta.rejects}
  assert dropped == {f'PreTrainingDataset/Female{i}' for i in (7, 8, 9)}
  lengths = [r.n_samples for r in records]
  assert (min(lengths), max(lengths)) == (732, 1038)
  assert max(int(np.abs(r.signal_tc.astype(np.int32)).max()) for r in records) <= 128
