"""Raw files from directories, zips and tars, read as if the archives were hostile."""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import hashlib
import lzma
import os
import posixpath
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib

from data_builders.jobs import Job

MAX_BYTES = 2 << 40
MAX_RATIO = 200  # text tables reach 20, DEFLATE itself 1032
RATIO_FLOOR_BYTES = 16 << 20
SMALL_BYTES = 1 << 18
RAW_PREFIX = '.raw-'
# What zipfile and tarfile let through from below: bz2 and names that no file can have are OSErrors,
# and a tar header that declares 2 EiB is a MemoryError.
_DAMAGED = (EOFError, OSError, MemoryError, zlib.error, lzma.LZMAError)


@contextlib.contextmanager
def open_raw(path: str, scratch: str) -> Iterator[str]:
  """Yields a folder with the raw files; an archive is unpacked below `scratch`, and removed after.

  Raises:
    ValueError: when `path` is neither, or the archive is broken or unsafe.
  """
  if os.path.isdir(path):
    yield path
    return
  if not os.path.isfile(path):
    raise ValueError(f'{path}: no such file or directory, expected a directory, a zip or a tar')
  folder = tempfile.mkdtemp(prefix=RAW_PREFIX, dir=scratch)
  try:
    if zipfile.is_zipfile(path) or not _is_tar(path):
      unzip(path, folder)
    else:
      untar(path, folder)
    yield folder
  except ValueError as error:
    if folder not in str(error):
      raise
    raise ValueError(str(error).replace(folder, path)) from error  # as the user knows it
  finally:
    shutil.rmtree(folder)


def find_files(folders: Sequence[str], pattern: str, expected: str) -> list[Job]:
  """Every file whose path ends as `pattern` says, wherever the layout begins, in order of name.

  Args:
    folders: to walk.
    pattern: regular expression over the source's own part of the path, with '/' between folders.
      Other files are ignored.
    expected: the layout in words, for the error.

  Returns:
    Jobs whose `name` is the part of the path that matched.

  Raises:
    ValueError: if no file matches, or two match under one name.
  """
  whole = re.compile(f'(?:.*/)?(?P<its_name>{pattern})', re.DOTALL)
  jobs = {}
  for top in map(os.fspath, folders):
    for folder, _, names in os.walk(top):
      below = os.path.relpath(folder, top).replace(os.sep, '/')
      for name in names:
        match = whole.fullmatch(name if below == '.' else f'{below}/{name}')
        if match is None:
          continue
        path = os.path.join(folder, name)
        job = Job(match['its_name'], path, os.path.getsize(path))
        if job.name in jobs:
          raise ValueError(f'{path}: {job.name} is there twice, also as {jobs[job.name].path},'
                           ' expected one copy of the set')
        jobs[job.name] = job
  if not jobs:
    raise ValueError(f'{", ".join(map(os.fspath, folders))}: holds no {expected}')
  return [jobs[name] for name in sorted(jobs)]


def read_along(jobs: Sequence[Job], paths: Callable[[Job], Sequence[str]]) -> list[Job]:
  """`jobs` and the files that are read along with them, each once, for a checksum over all.

  Args:
    jobs: whose names end as their paths do.
    paths: where such files of a job would lie; those that are missing are left out.
  """
  files = {os.path.normpath(job.path): job for job in jobs}
  for job in jobs:
    for path in map(os.path.normpath, paths(job)):
      if path not in files and os.path.isfile(path):
        place = os.path.relpath(path, os.path.dirname(job.path)).replace(os.sep, '/')
        name = posixpath.normpath(posixpath.join(posixpath.dirname(job.name), place))
        files[path] = Job(name, path, os.path.getsize(path))
  return list(files.values())


def content_sha256(jobs: Sequence[Job]) -> str:
  """One checksum over names and bytes of all files, however they were packed."""
  total = hashlib.sha256()
  for job in sorted(jobs, key=lambda job: job.name):
    total.update(f'{_file_sha256(job.path)}  {job.name}\n'.encode())
  return total.hexdigest()


def _file_sha256(path: str) -> str:
  with open(path, 'rb') as f:
    first = f.read(SMALL_BYTES)  # file_digest clears a buffer of this size before it begins
    if len(first) < SMALL_BYTES:
      return hashlib.sha256(first).hexdigest()
    f.seek(0)
    return hashlib.file_digest(f, 'sha256').hexdigest()


def is_archive(path: str) -> bool:
  """A complete zip, or something that begins like a tar."""
  return zipfile.is_zipfile(path) or _is_tar(path)


def _is_tar(path: str) -> bool:
  try:
    return tarfile.is_tarfile(path)
  except _DAMAGED:
    return False


def untar(path: str, folder: str) -> None:
  """Unpacks a tar, plain or compressed, below `folder`; files and folders only."""
  room, size = shutil.disk_usage(folder).free, os.path.getsize(path)
  total, names = 0, set()
  try:
    with tarfile.open(path) as archive:
      for entry in archive:  # read as a stream: a bomb is seen before it is written
        _check_name(path, entry.name)
        if entry.name in names and not entry.isdir():
          raise ValueError(f'{path}: entry {entry.name!r} occurs twice, expected unique names')
        if not (entry.isreg() or entry.isdir()):
          raise ValueError(f'{path}: entry {entry.name!r} is a link or device, expected files and'
                           ' folders')
        names.add(entry.name)
        total += entry.size
        _check_total(path, total, size, room)
        target = os.path.join(folder, *entry.name.split('/'))
        os.makedirs(target if entry.isdir() else os.path.dirname(target), exist_ok=True)
        if entry.isreg():  # not through `extract`: its filters came with Python 3.11.4
          with archive.extractfile(entry) as source, open(target, 'xb') as out:
            shutil.copyfileobj(source, out, 1 << 20)
  except (tarfile.TarError, *_DAMAGED) as error:
    raise ValueError(f'{path}: {str(error) or "an absurd size"}, expected a complete tar (is the'
                     ' file cut short?)') from error


def unzip(path: str, folder: str) -> None:
  """Unpacks every entry below `folder`, having checked all of them first."""
  try:
    with zipfile.ZipFile(path) as archive:
      entries = archive.infolist()
      _check_entries(path, entries, shutil.disk_usage(folder).free)
      for entry in entries:
        _extract(path, archive, entry, folder)
  except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
    raise ValueError(f'{path}: {error}, expected a complete zip (is the file cut'
                     ' short?)') from error


def _check_entries(path: str, entries: list[zipfile.ZipInfo], free_bytes: int) -> None:
  names = set()
  for entry in entries:
    name = entry.filename
    _check_name(path, name)
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
      raise ValueError(f'{path}: entry {name!r} is a link or device, expected files and folders')
    if entry.flag_bits & 1:
      raise ValueError(f'{path}: entry {name!r} is encrypted, expected plain files')
    if name in names:
      raise ValueError(f'{path}: entry {name!r} occurs twice, expected unique names')
    names.add(name)
  _check_total(path, sum(entry.file_size for entry in entries), os.path.getsize(path), free_bytes)


def _check_name(path: str, name: str) -> None:
  parts = name.split('/')
  if not name or name.startswith('/') or '..' in parts or '\\' in name or ':' in parts[0]:
    raise ValueError(f'{path}: entry {name!r} leads outside the archive, expected a relative path')


def _check_total(path: str, total: int, packed_bytes: int, free_bytes: int) -> None:
  ratio = total / max(1, packed_bytes)
  if total > MAX_BYTES or (total > RATIO_FLOOR_BYTES and ratio > MAX_RATIO):
    raise ValueError(f'{path}: unpacks to {total} bytes, {ratio:.0f} times its size, expected at'
                     f' most {MAX_RATIO} times (a zip bomb?)')
  if total > free_bytes:
    raise ValueError(f'{path}: unpacks to {total} bytes, expected at most the {free_bytes} free on'
                     ' the disk')


def _extract(path: str, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: str) -> None:
  target = os.path.join(folder, *entry.filename.split('/'))
  try:
    if entry.is_dir():
      os.makedirs(target, exist_ok=True)
      return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    # zipfile stops at the declared size and checks the CRC, so the sum checked above holds.
    with archive.open(entry) as source, open(target, 'xb') as out:
      shutil.copyfileobj(source, out, 1 << 20)
  except (zipfile.BadZipFile, NotImplementedError, *_DAMAGED) as error:
    raise ValueError(f'{path}: entry {entry.filename!r}: {error}, expected a complete'
                     ' zip') from error
