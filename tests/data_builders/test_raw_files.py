"""Zips and downloads as an enemy or a bad line would send them."""

import functools
import hashlib
import io
import tarfile
import types
import zipfile

import pytest

from data_builders import download as download_lib
from data_builders import raw
from data_builders.jobs import Job
from tests.data_builders.local_server import answer, serve


def make_zip(path, entries, method=zipfile.ZIP_DEFLATED):
  """Writes `entries`: (name or ZipInfo, bytes)."""
  with zipfile.ZipFile(path, 'w', method) as archive:
    for name, data in entries:
      archive.writestr(name, data)
  return path


def symlink(name):
  entry = zipfile.ZipInfo(name)
  entry.external_attr = 0o120777 << 16
  return entry


@pytest.mark.parametrize('name', [
    '../evil.dat', 'a/../../evil.dat', '/evil.dat', 'C:/evil.dat', 'a\\..\\evil.dat'])
def test_an_entry_that_leads_outside_is_refused_before_anything_is_written(tmp_path, name):
  """A zip that overwrites files elsewhere (zip slip)."""
  entry = zipfile.ZipInfo('x')
  entry.filename = name
  archive = make_zip(tmp_path / 'a.zip', [('good.dat', b'1'), (entry, b'2')])
  (tmp_path / 'out').mkdir()
  with pytest.raises(ValueError, match='leads outside the archive'):
    raw.unzip(str(archive), str(tmp_path / 'out'))
  assert not list((tmp_path / 'out').iterdir())
  assert not list(tmp_path.rglob('evil*'))


def test_a_link_is_refused(tmp_path):
  """A link to a system file that is then read as a recording."""
  archive = make_zip(tmp_path / 'a.zip', [(symlink('a.dat'), '/etc/passwd')])
  with pytest.raises(ValueError, match="entry 'a.dat' is a link"):
    raw.unzip(str(archive), str(tmp_path))


def test_an_encrypted_entry_is_refused(tmp_path):
  """A traceback that asks for a password."""
  archive = make_zip(tmp_path / 'a.zip', [('a.dat', b'1')])
  data = bytearray(archive.read_bytes())
  data[data.index(b'PK\1\2') + 8] |= 1  # the flag in the central directory
  archive.write_bytes(data)
  with pytest.raises(ValueError, match="entry 'a.dat' is encrypted"):
    raw.unzip(str(archive), str(tmp_path))


def test_a_name_that_occurs_twice_is_refused(tmp_path):
  """Two files of one name, of which the last silently wins."""
  with pytest.warns(UserWarning, match='Duplicate name'):
    archive = make_zip(tmp_path / 'a.zip', [('a.dat', b'1'), ('a.dat', b'2')])
  with pytest.raises(ValueError, match="'a.dat' occurs twice"):
    raw.unzip(str(archive), str(tmp_path))


def test_a_bomb_is_refused_by_its_declared_sizes(tmp_path):
  """A few kB that fill the disk."""
  archive = make_zip(tmp_path / 'a.zip', [('a.dat', bytes(raw.RATIO_FLOOR_BYTES + 1))])
  with pytest.raises(ValueError, match='a zip bomb'):
    raw.unzip(str(archive), str(tmp_path))


def test_more_than_the_disk_holds_is_refused(tmp_path, monkeypatch):
  """Unpacking until the disk is full, and other programs fail."""
  archive = make_zip(tmp_path / 'a.zip', [('a.dat', b'12345')])
  monkeypatch.setattr(raw.shutil, 'disk_usage', lambda _: types.SimpleNamespace(free=4))
  with pytest.raises(ValueError, match='unpacks to 5 bytes, expected at most the 4 free'):
    raw.unzip(str(archive), str(tmp_path))


def test_a_flipped_byte_names_the_entry(tmp_path):
  """Corrupt samples that pass because nobody checked the CRC."""
  archive = make_zip(tmp_path / 'a.zip', [('a.dat', b'0123456789' * 9)], zipfile.ZIP_STORED)
  data = bytearray(archive.read_bytes())
  data[data.index(b'0123456789') + 30] ^= 1
  archive.write_bytes(data)
  with pytest.raises(ValueError, match="'a.dat': Bad CRC-32"):
    raw.unzip(str(archive), str(tmp_path))


def test_the_unpacked_copy_is_removed_even_after_an_error(tmp_path):
  """Gigabytes left behind by every failed build."""
  archive = make_zip(tmp_path / 'a.zip', [('d/a.dat', b'1')])
  (tmp_path / 'scratch').mkdir()
  with pytest.raises(RuntimeError), raw.open_raw(str(archive), str(tmp_path / 'scratch')) as folder:
    assert folder.startswith(str(tmp_path / 'scratch'))
    raise RuntimeError
  assert not list((tmp_path / 'scratch').iterdir())


def make_tar(path, entries, mode='w:gz'):
  """Writes `entries`: (TarInfo or name, bytes)."""
  with tarfile.open(path, mode) as archive:
    for entry, data in entries:
      entry = tarfile.TarInfo(entry) if isinstance(entry, str) else entry
      entry.size = len(data)
      archive.addfile(entry, io.BytesIO(data))
  return path


def tar_link(name, kind):
  entry = tarfile.TarInfo(name)
  entry.type, entry.linkname = kind, '/etc/passwd'
  return entry


def test_a_tar_is_unpacked_as_a_zip_would_be(tmp_path):
  """Sets that come as .tar or .tar.gz read as broken zips."""
  for mode in ('w', 'w:gz', 'w:xz'):
    archive = make_tar(tmp_path / 'a.tar', [('d/a.dat', b'1')], mode)
    with raw.open_raw(str(archive), str(tmp_path)) as folder:
      assert [(j.name, j.n_bytes) for j in raw.find_files([folder], 'd/.*', 'file')] == [
          ('d/a.dat', 1)]


@pytest.mark.parametrize('entries, expected', [
    ([('../evil.dat', b'1')], 'leads outside the archive'),
    ([('/evil.dat', b'1')], 'leads outside the archive'),
    ([(tar_link('a', tarfile.SYMTYPE), b'')], 'is a link or device'),
    ([(tar_link('a', tarfile.LNKTYPE), b'')], 'is a link or device'),
    ([(tar_link('a', tarfile.CHRTYPE), b'')], 'is a link or device'),
    ([('a.dat', b'1'), ('a.dat', b'2')], 'occurs twice'),
    ([('a.dat', bytes(64 << 20))], 'a zip bomb'),
])
def test_a_hostile_tar_is_refused(tmp_path, entries, expected):
  """A tar that overwrites files elsewhere, or fills the disk."""
  archive = make_tar(tmp_path / 'a.tar.gz', entries)
  (tmp_path / 'out').mkdir()
  with pytest.raises(ValueError, match=expected):
    raw.untar(str(archive), str(tmp_path / 'out'))
  assert not (tmp_path / 'evil.dat').exists()


def test_a_tar_cut_short_is_refused(tmp_path):
  """Half a set that passes for all of it."""
  archive = make_tar(tmp_path / 'a.tar.gz', [(f'{i}.dat', bytes(range(256)) * 40) for i in range(40)])
  archive.write_bytes(archive.read_bytes()[:-40])
  with pytest.raises(ValueError, match='expected a complete tar'):
    raw.untar(str(archive), str(tmp_path))


def test_files_are_found_by_the_end_of_their_path(tmp_path):
  """A set that is found only where the archive was packed as ours was; a copy read twice."""
  for name in ('x/y/s1/a.txt', 'x/y/s2/a.txt', 'x/y/s2/b.csv', 'x/s3.txt'):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text('1')
  jobs = raw.find_files([str(tmp_path)], r's\d/a\.txt', 'SUBJECT/a.txt')
  assert [job.name for job in jobs] == ['s1/a.txt', 's2/a.txt']
  assert jobs[0].path == str(tmp_path / 'x/y/s1/a.txt')
  with pytest.raises(ValueError, match='holds no SUBJECT/b.txt'):
    raw.find_files([str(tmp_path)], r's\d/b\.txt', 'SUBJECT/b.txt')
  with pytest.raises(ValueError, match=r's[12]/a.txt is there twice'):
    raw.find_files([str(tmp_path), str(tmp_path / 'x')], r's\d/a\.txt', 'SUBJECT/a.txt')


@functools.cache  # a zip holds the time
def good_zip() -> bytes:
  buffer = io.BytesIO()
  make_zip(buffer, [('a.dat', b'signal' * 100)])
  return buffer.getvalue()


HTML = b'<!doctype html><title>Sign in</title>'
FAILURES = [
    (functools.partial(answer, data=HTML, kind='text/html'), 'the server sent text/html'),
    (functools.partial(answer, data=HTML), 'no complete zip'),
    (functools.partial(answer, data=good_zip()[:-9], length=len(good_zip())), r'\(cut short\)'),
    (functools.partial(answer, data=good_zip()[:-30]), 'no complete zip'),
    (functools.partial(answer, status=404), 'HTTP Error 404'),
]


@pytest.mark.parametrize('reply, expected', FAILURES)
def test_a_failed_download_says_why_and_leaves_nothing(tmp_path, reply, expected):
  """An error page or half a file that is kept and used from then on."""
  with serve(reply) as url, pytest.raises(ValueError, match=expected) as error:
    download_lib.download(url, tmp_path)
  assert url in str(error.value)
  assert not list(tmp_path.iterdir())


def test_no_server_is_an_error_that_names_the_way_out(tmp_path):
  """A URLError traceback on a machine without network."""
  with serve(answer) as url:
    pass
  with pytest.raises(ValueError, match='--raw'):
    download_lib.download(url, tmp_path)


def test_a_registered_checksum_must_agree(tmp_path):
  """Another file than the one the numbers were measured on."""
  with serve(functools.partial(answer, data=good_zip())) as url:
    with pytest.raises(ValueError, match=f'expected {"0" * 64}'):
      download_lib.download(url, tmp_path, sha256='0' * 64)
    assert not list(tmp_path.iterdir())
    right = hashlib.sha256(good_zip()).hexdigest()
    assert download_lib.download(url, tmp_path, sha256=right).read_bytes() == good_zip()
    assert len(list(tmp_path.iterdir())) == 1  # nothing to pin


def test_the_first_download_is_pinned_and_kept(tmp_path):
  """A source that changes under the project, or a download per build."""
  requests = []

  def reply(handler):
    requests.append(handler.path)
    answer(handler, good_zip() if len(requests) == 1 else good_zip() + b'\0')
  with serve(reply) as url:
    path = download_lib.download(url, tmp_path)
    assert download_lib.download(url, tmp_path) == path and len(requests) == 1
    path.unlink()
    with pytest.raises(ValueError, match='sha256 is .*, expected'):
      download_lib.download(url, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name + '.sha256']


def test_the_part_of_a_killed_download_is_removed(tmp_path):
  """Gigabytes of .part files that nobody looks for."""
  with serve(functools.partial(answer, data=good_zip())) as url:
    path = download_lib.download(url, tmp_path)
    path.rename(path.with_name(path.name + '.1234.part'))
    download_lib.download(url, tmp_path)
  assert sorted(p.name for p in tmp_path.iterdir()) == [path.name, path.name + '.sha256']


def test_a_kept_download_that_changed_is_refused(tmp_path):
  """A damaged archive on disk that is trusted because it is there."""
  with serve(functools.partial(answer, data=good_zip())) as url:
    path = download_lib.download(url, tmp_path)
  path.write_bytes(good_zip()[:-1])
  with pytest.raises(ValueError, match='delete it to download again'):
    download_lib.download(url, tmp_path)


@pytest.mark.parametrize('n_bytes', [0, 1, raw.SMALL_BYTES - 1, raw.SMALL_BYTES, raw.SMALL_BYTES + 1])
def test_the_checksum_is_over_every_byte(tmp_path, n_bytes):
  """The beginning of a large file for the whole of it, or twice."""
  data = bytes(i % 251 for i in range(n_bytes))
  (tmp_path / 'a').write_bytes(data)
  line = f'{hashlib.sha256(data).hexdigest()}  a\n'
  assert raw.content_sha256([Job('a', str(tmp_path / 'a'), n_bytes)]) == hashlib.sha256(
      line.encode()).hexdigest()


def test_an_error_names_the_archive_and_not_where_it_was_unpacked(tmp_path):
  """A path in a folder that is gone when the user reads of it."""
  archive = make_zip(tmp_path / 'a.zip', [('b/c.mat', b'x')])
  with pytest.raises(ValueError) as caught, raw.open_raw(str(archive), str(tmp_path)) as folder:
    raise ValueError(f'{folder}/b/c.mat: cut short')
  assert str(caught.value) == f'{archive}/b/c.mat: cut short'
