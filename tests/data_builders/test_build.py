"""The build command: same bytes always, all or nothing, one-line errors."""

import contextlib
import errno
import fcntl
import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from data_builders import build as build_lib
from data_builders import features, intake
from data_builders.jobs import Job
from data_builders.myo_armband import make_dummy_data, parser

ROOT = pathlib.Path(build_lib.__file__).parents[1]
EVALUATION = 'EvaluationDataset/Male2/training0'


@pytest.fixture
def raw(tmp_path):
  folder = tmp_path / 'raw'
  make_dummy_data.main(folder)
  return folder


def build(tmp_path, raw, where='built', **kwargs) -> pathlib.Path:
  return build_lib.build('myo_armband', str(tmp_path / where), str(raw), progress=False, **kwargs)


def run_main(capfd, tmp_path, *argv) -> tuple[int, str]:
  """Exit code and the error line of the command."""
  code = build_lib.main([*argv, '--data_dir', str(tmp_path / 'built')])
  lines = [x for x in capfd.readouterr().err.splitlines() if x.startswith('error: ')]
  return code, '\n'.join(lines)


def bytes_of(folder) -> dict[str, bytes]:
  return {p.name: p.read_bytes() for p in folder.iterdir()}


def left_in(data_dir) -> list[str]:
  """Everything below the data directory but the lock."""
  return sorted(str(p.relative_to(data_dir)) for p in data_dir.rglob('*')
                if p.is_file() and p.name != '.lock')


@pytest.mark.heavy
def test_any_number_of_workers_writes_the_same_bytes(tmp_path, raw):
  """Results taken as they come, state kept per worker, or an order drawn anew in each process."""
  one = bytes_of(build(tmp_path, raw))
  assert len(one) == 7  # one shard, features, info, metadata, licence, rejects, croissant
  command = [sys.executable, '-m', 'data_builders.build', 'myo_armband', '--raw', str(raw),
             '--workers', '2', '--data_dir', str(tmp_path / 'built2')]
  done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
  assert done.returncode == 0, done.stderr
  folder = pathlib.Path(done.stdout.strip())
  assert folder == tmp_path / 'built2/myo_armband/1.0.0' and bytes_of(folder) == one


def test_workers_give_their_results_in_the_order_of_the_jobs():
  """A pool that hands out the first finished; a last task that is dropped."""
  jobs = [Job(f'EvaluationDataset/x{i}.dat', '', 0) for i in range(70)]  # 5 tasks, 4 run ahead
  results = list(intake.parse_all(parser.parse, jobs, 2))
  assert [job for job, _ in results] == jobs
  assert [items[0].name for _, items in results] == [job.name for job in jobs]


def test_a_zip_builds_the_same_dataset_as_its_folder(tmp_path, raw):
  """A set that depends on how it was packed, or an unpacked copy that stays."""
  archive = shutil.make_archive(str(tmp_path / 'set'), 'zip', raw)
  assert bytes_of(build(tmp_path, raw, 'a')) == bytes_of(build(tmp_path, archive, 'b'))
  assert [p.name for p in (tmp_path / 'b/myo_armband').iterdir() if p.name != '.lock'] == ['1.0.0']


def test_records_that_are_written_are_forgotten(tmp_path, raw, monkeypatch):
  """A list, or a tee as in TFDS, that holds all recordings of a shard until the last is written."""
  alive, most = set(), []

  class Bytes(bytes):
    """Bytes that tell when they go."""

    def __del__(self):
      alive.discard(id(self))

  def encode(record, any_channels, real=intake.encode):
    most.append(len(alive))
    data = Bytes(real(record, any_channels))
    alive.add(id(data))
    return data
  monkeypatch.setattr(intake, 'encode', encode)
  build(tmp_path, raw)
  assert len(most) == 24 and max(most) <= 2  # the one that was just written, and a duplicate


def test_small_shards_hold_the_same_records_in_order(tmp_path, raw, monkeypatch):
  """A duplicate that is missed because its first copy lies in another shard."""
  monkeypatch.setattr(intake, 'BYTES_PER_SHARD', 5 * 8 * 2 * make_dummy_data.N_SAMPLES)
  folder = build(tmp_path, raw)
  metadata = json.loads((folder / 'metadata.json').read_text())
  assert len(metadata['shards']) == 5
  assert metadata['counts']['records'] == 17 and metadata['reject_counts'] == {'duplicate': 7}


def test_a_complete_build_is_kept_and_a_damaged_one_refused(tmp_path, raw):
  """A rebuild on every run, or a half-deleted dataset that passes for complete."""
  folder = build(tmp_path, raw)
  before = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
  assert build(tmp_path, tmp_path / 'not looked at') == folder
  assert {p.name: p.stat().st_mtime_ns for p in folder.iterdir()} == before
  shard = next(folder.glob('*-of-*'))
  shard.write_bytes(shard.read_bytes()[:-1])
  with pytest.raises(ValueError, match=f'{shard.name} is missing or damaged'):
    build(tmp_path, raw)


def test_a_killed_build_is_completed_by_the_next(tmp_path, raw):
  """A half-written dataset in the final place, or leftovers that pile up or block the next run."""
  archive = shutil.make_archive(str(tmp_path / 'set'), 'zip', raw)
  script = ('import os; from data_builders.common import Intake; from data_builders import build\n'
            'take = Intake.take\n'
            'def dies(self, *a):\n'
            '  return os._exit(9) if self.n_records == 5 else take(self, *a)\n'
            'Intake.take = dies\n'
            f'build.build("myo_armband", {str(tmp_path / "built")!r}, {archive!r})\n')
  done = subprocess.run([sys.executable, '-c', script], capture_output=True, cwd=ROOT, timeout=60)
  assert done.returncode == 9, done.stderr
  home = tmp_path / 'built/myo_armband'
  assert list(home.glob('incomplete.*')) and list(home.glob('.raw-*'))
  assert not (home / '1.0.0').exists()
  assert bytes_of(build(tmp_path, archive)) == bytes_of(build(tmp_path, raw, 'clean'))
  assert sorted(p.name for p in home.iterdir()) == ['.lock', '1.0.0']


def test_two_builds_of_one_dataset_do_not_mix(tmp_path, raw):
  """Two processes that clean up or rename under each other."""
  home = tmp_path / 'built/myo_armband'
  home.mkdir(parents=True)
  with (home / '.lock').open('w') as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(ValueError, match='another build is writing'):
      build(tmp_path, raw)


@pytest.mark.parametrize('error', [
    OSError(errno.ENOSPC, 'in another language'),
    RuntimeError('write() failed: No space left on device; writing x'),  # as ArrayRecord says it
])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, raw, monkeypatch, capfd, error):
  """A traceback, or a dataset that lacks its last shard but looks complete."""
  def write(self, path, examples):
    next(iter(examples))
    pathlib.Path(path).write_bytes(b'half')
    raise error
  monkeypatch.setattr(features.Writer, 'write', write)
  code, line = run_main(capfd, tmp_path, 'myo_armband', '--raw', str(raw))
  assert code == 2 and 'no space left on the disk' in line and str(tmp_path / 'built') in line
  assert left_in(tmp_path / 'built') == []


def overwrite(name, change):
  """A way to spoil: replaces the bytes of one raw file by `change(bytes)`."""
  def spoil(raw):
    path = raw / EVALUATION / name
    source = path if path.exists() else raw / EVALUATION / 'classe_0.dat'
    path.write_bytes(change(source.read_bytes()))
  return spoil


def flat_channel(data):
  counts_tc = np.frombuffer(data, '<i2').reshape(-1, 8).copy()
  counts_tc[:, 3] = 9
  return counts_tc.tobytes()


BAD_FILES = [
    ('classe_1.dat', lambda data: data + b'\0', 'bad size', '1665 bytes, expected a multiple of'),
    ('classe_1.dat', lambda data: data[:-8], 'bad size', 'expected a multiple of 16'),
    ('classe_1.dat', lambda data: data[:48], 'too short', '3 samples, expected at least 100'),
    ('classe_1.dat', lambda data: b'', 'too short', '0 samples, expected at least 100'),
    ('classe_1.dat', flat_channel, 'constant channel', 'channel 3 is 9 throughout'),
    ('classe_28.dat', lambda data: data, 'unknown file', 'expected SET/SUBJECT/SESSION/classe_0'),
    ('classe_01.dat', lambda data: data, 'unknown file', 'expected SET/SUBJECT/SESSION/classe_0'),
    ('fist.dat', lambda data: data, 'unknown file', 'expected SET/SUBJECT/SESSION/classe_0'),
]


@pytest.mark.parametrize('name, change, reason, expectation', BAD_FILES)
def test_a_bad_file_stops_the_build_and_skip_bad_counts_it(tmp_path, raw, capfd, name, change,
                                                           reason, expectation):
  """A bad recording read as signal, dropped in silence, or fatal to a whole download."""
  overwrite(name, change)(raw)
  code, line = run_main(capfd, tmp_path, 'myo_armband', '--raw', str(raw))
  assert code == 2 and line.startswith(f'error: {EVALUATION}/{name}: {reason}: ')
  assert expectation in line and '\n' not in line
  assert left_in(tmp_path / 'built') == []
  folder = build(tmp_path, raw, skip_bad=True)
  rejects = json.loads((folder / 'rejects.json').read_text())
  assert rejects['reject_counts'] == {'duplicate': 7, reason: 1}
  listed = [r for r in rejects['rejects'] if r['reason'] == reason]
  assert listed[0]['name'] == f'{EVALUATION}/{name}' and expectation in listed[0]['detail']


def half_zip(raw):
  archive = pathlib.Path(shutil.make_archive(str(raw), 'zip', raw))
  archive.write_bytes(archive.read_bytes()[:archive.stat().st_size // 2])
  return archive


def without(name):
  def spoil(raw):
    shutil.rmtree(raw / name)
    return raw
  return spoil


def all_short(raw):
  for path in raw.rglob('*.dat'):
    path.write_bytes(b'')
  return raw


@pytest.mark.parametrize('spoil, argv, expected', [
    (half_zip, (), 'expected a complete zip'),
    (without('PreTrainingDataset'), (), 'PreTrainingDataset is missing'),
    (lambda raw: raw / 'EvaluationDataset', (), 'holds no .dat file in EvaluationDataset'),
    (lambda raw: raw / 'nowhere', (), 'no such file or directory'),
    (all_short, ('--skip_bad',), 'no usable recording'),
    (lambda raw: raw, ('--workers', '0'), '--workers: got 0, expected at least 1'),
])
def test_a_bad_set_is_one_line_and_leaves_nothing(tmp_path, raw, capfd, spoil, argv, expected):
  """A traceback, an error that does not name the file, or half a dataset."""
  path = spoil(raw)
  code, line = run_main(capfd, tmp_path, 'myo_armband', '--raw', str(path), *argv)
  assert code == 2 and expected in line and '\n' not in line
  assert (str(path) in line) or 'workers' in expected or 'no usable' in expected
  with contextlib.suppress(FileNotFoundError):
    assert left_in(tmp_path / 'built') == []


@pytest.mark.parametrize('name, argv, expected', [
    ('myo', (), "myo: unknown dataset, expected one of ['"),
    ('synthetic_emg/ring9', (), 'synthetic_emg/ring9: unknown configuration, expected one of'),
    ('synthetic_emg', ('--raw', '.'), 'synthetic_emg is generated'),
    ('myo_armband', ('--sample',), 'the source offers no part of it'),
    ('myo_armband', ('--sample', '--raw', '.'), 'got . with --sample'),
])
def test_a_misspelt_name_lists_the_known_ones(tmp_path, capfd, name, argv, expected):
  """A typo that builds something else, or an ImportError."""
  code, line = run_main(capfd, tmp_path, name, *argv)
  assert code == 2 and expected in line
