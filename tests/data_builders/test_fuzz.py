"""Spoilt files: a valid record or a reject, never an exception, a crash, a hang or 1 GiB."""

import ctypes
import random
import tarfile
import time
import zipfile

from aemg_jax.records import Label
import numpy as np
import pytest

from data_builders import raw
from data_builders.jobs import BAD_FORMAT, Job, Reject
from tests.data_builders import fuzzing, spoiling
from tests.data_builders.fuzzing import ARCHIVES, FORMATS, write_zip
from tests.test_records import make_record

FEW, MANY = 3, 2000


@pytest.fixture(scope='module')
def worker():
  started = fuzzing.Worker()
  yield started
  started.stop()


@pytest.mark.parametrize('name', FORMATS)
def test_a_few_spoilt_files(worker, tmp_path, name):
  """A parser that trusts its files."""
  faults = fuzzing.builder_target(name, tmp_path).fuzz(worker, range(FEW))
  assert not faults, '\n'.join(faults)


@pytest.mark.slow
@pytest.mark.parametrize('name', FORMATS)
def test_many_spoilt_files(worker, tmp_path, name):
  """The same, where it is not so easy to find."""
  faults = fuzzing.builder_target(name, tmp_path).fuzz(worker, range(MANY))
  assert not faults, '\n'.join(faults)


@pytest.mark.parametrize('kind', ARCHIVES)
def test_a_few_spoilt_archives(worker, tmp_path, kind):
  """An error of zipfile or tarfile that users see as a traceback, or files left behind."""
  faults = fuzzing.archive_target(kind, tmp_path, ARCHIVES[kind]).fuzz(worker, range(FEW))
  assert not faults, '\n'.join(faults)


@pytest.mark.slow
@pytest.mark.parametrize('kind', ARCHIVES)
def test_many_spoilt_archives(worker, tmp_path, kind):
  """The same, where it is not so easy to find."""
  faults = fuzzing.archive_target(kind, tmp_path, ARCHIVES[kind]).fuzz(worker, range(MANY))
  assert not faults, '\n'.join(faults)


def patched(write, where, new):
  """The bytes that `write` makes, with `new` at an offset from the only `where`."""
  def spoil(path):
    write(path)
    data = bytearray(path.read_bytes())
    mark, offset = where
    at = data.rindex(mark) + offset
    data[at:at + len(new)] = new
    path.write_bytes(data)
  return spoil


def write_endless_name(path):
  """A tar whose first header says that a name of 4 EiB follows."""
  header = tarfile.TarInfo('././@LongLink')
  header.type, header.size = tarfile.GNUTYPE_LONGNAME, 1 << 62
  path.write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(2048))


MARK = b'PK\x01\x02'  # of a zip's directory


@pytest.mark.parametrize('write', [
    patched(write_zip, (MARK, 6), b'\xff'),  # needs version 25.5 of the format
    patched(patched(write_zip, (b'set/s2', 0), b'\xff'), (MARK, 8), b'\0\x08'),  # not UTF-8
    write_endless_name,
], ids=['version', 'name', 'size'])
def test_what_fuzzing_found(worker, tmp_path, write):
  """An archive refused with a traceback, or without its name."""
  target = fuzzing.archive_target('a', tmp_path, write)
  worker.prepare(target.check, ())
  assert worker.run(target.jobs) == ''
  with pytest.raises(ValueError, match='expected a complete'):
    with raw.open_raw(target.jobs[0].path, str(tmp_path)):
      pass


PARTS = ('..', '.', '', 'a', 'b.txt', '\\', '..\\a', 'C:', 'a:b', ' ', '\n', '\u202e', 'x' * 300)


@pytest.mark.parametrize('kind', ['zip', 'tar'])
@pytest.mark.parametrize('seed', range(3))
def test_no_name_leads_outside(worker, tmp_path, kind, seed):
  """A path that climbs out of the folder by another spelling."""
  rng = np.random.default_rng(seed)
  names = ['/'.join(rng.choice(PARTS, rng.integers(1, 6))) for _ in range(30)]

  def write(path):
    for i, name in enumerate(names):
      if kind == 'zip':
        with zipfile.ZipFile(path.with_name(f'{i}'), 'w') as archive:
          archive.writestr(name or 'a', 'x')
      else:
        with tarfile.open(path.with_name(f'{i}'), 'w') as archive:
          archive.addfile(tarfile.TarInfo(name or 'a'))
    path.write_bytes(b'')
  target = fuzzing.archive_target(kind, tmp_path, write)
  worker.prepare(target.check, ())
  for i in range(30):
    path = target.folder / f'{i}'
    assert worker.run([Job('', str(path), 0)]) == '', names[i]


def raises(job):
  raise KeyError(job.name)


def loops(job):
  while True:
    pass


def waits(job):
  time.sleep(60)


def crashes(job):
  ctypes.string_at(0)


def takes_memory(job):
  return [Reject(job.name, BAD_FORMAT, str(np.zeros(3 << 29, np.uint8)[:1]))]


def is_silent(job):
  return []


def gives_nan(job):
  return [make_record(signal_tc=np.full((20, 2), np.nan))]


def gives_other_channels(job):
  return [make_record(signal_tc=np.ones((20, 2), np.float32))]


def gives_other_label(job):
  return [make_record(signal_tc=np.ones((20, 2)), labels=(Label(0, 5, 'pinch'),))]


@pytest.mark.heavy  # it starts processes anew
@pytest.mark.parametrize('parse, expected', [
    (raises, 'KeyError'), (loops, 'no answer within 0.5 s'), (waits, 'no answer within 0.5 s'),
    (crashes, 'the process died'),
    (takes_memory, 'MemoryError'), (is_silent, 'neither a record nor a reject'),
    (gives_nan, 'expected a finite value'), (gives_other_channels, 'float32, expected (2,'),
    (gives_other_label, "labels {'pinch'}")])
def test_each_fault_is_found(worker, monkeypatch, parse, expected):
  """A harness that passes everything; one that a dead process takes down."""
  monkeypatch.setattr(fuzzing, 'CASE_S', 0.5)
  monkeypatch.setattr(fuzzing, 'WAIT', 1 if parse is waits else 600)
  worker.prepare(fuzzing.ParserCheck(parse, (2, 'float64'), frozenset({'rest'})), ())
  assert expected in worker.run([Job('a', '', 9)])
  monkeypatch.undo()
  assert worker.run([]) == '', 'goes on with the next case'


def test_a_case_is_decided_by_its_seed():
  """A failure that cannot be repeated; a mutation that never changes anything."""
  data = bytes(range(256)) * 4
  for seed in range(40):
    one, two = (spoiling.spoil(random.Random(f'x {seed}'), data) for _ in range(2))
    assert one == two
  found = {spoiling.spoil(random.Random(f'x {seed}'), data)[0] for seed in range(200)}
  assert found == {change.__name__ for change in spoiling.CHANGES}
  for change in spoiling.CHANGES:
    changed = [change(random.Random(seed), data) != data for seed in range(20)]
    assert sum(changed) >= 18, change.__name__
    change(random.Random(0), b'')  # of an empty file
