"""Raw files from a directory or a zip, read as if the zip were hostile."""

from collections.abc import Iterator
import contextlib
import os
import shutil
import stat
import tempfile
import zipfile
import zlib

MAX_BYTES = 2 << 40
MAX_RATIO = 200  # text tables reach 20, DEFLATE itself 1032
RATIO_FLOOR_BYTES = 16 << 20
RAW_PREFIX = '.raw-'


@contextlib.contextmanager
def open_raw(path: str, scratch: str) -> Iterator[str]:
  """Yields a folder with the raw files; a zip is unpacked below `scratch` and removed afterwards.

  Raises:
    ValueError: when `path` is neither, or the zip is broken or unsafe.
  """
  if os.path.isdir(path):
    yield path
    return
  if not os.path.isfile(path):
    raise ValueError(f'{path}: no such file or directory, expected a directory or a zip')
  folder = tempfile.mkdtemp(prefix=RAW_PREFIX, dir=scratch)
  try:
    unzip(path, folder)
    yield folder
  finally:
    shutil.rmtree(folder)


def unzip(path: str, folder: str) -> None:
  """Unpacks every entry below `folder`, having checked all of them first."""
  try:
    with zipfile.ZipFile(path) as archive:
      entries = archive.infolist()
      _check_entries(path, entries, shutil.disk_usage(folder).free)
      for entry in entries:
        _extract(path, archive, entry, folder)
  except zipfile.BadZipFile as error:
    raise ValueError(f'{path}: {error}, expected a complete zip (is the file cut'
                     ' short?)') from error


def _check_entries(path: str, entries: list[zipfile.ZipInfo], free_bytes: int) -> None:
  names = set()
  for entry in entries:
    name = entry.filename
    parts = name.split('/')
    if not name or name.startswith('/') or '..' in parts or '\\' in name or ':' in parts[0]:
      raise ValueError(f'{path}: entry {name!r} leads outside the archive, expected a relative'
                       ' path')
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
      raise ValueError(f'{path}: entry {name!r} is a link or device, expected files and folders')
    if entry.flag_bits & 1:
      raise ValueError(f'{path}: entry {name!r} is encrypted, expected plain files')
    if name in names:
      raise ValueError(f'{path}: entry {name!r} occurs twice, expected unique names')
    names.add(name)
  total = sum(entry.file_size for entry in entries)
  ratio = total / max(1, os.path.getsize(path))
  if total > MAX_BYTES or (total > RATIO_FLOOR_BYTES and ratio > MAX_RATIO):
    raise ValueError(f'{path}: unpacks to {total} bytes, {ratio:.0f} times its size, expected at'
                     f' most {MAX_RATIO} times (a zip bomb?)')
  if total > free_bytes:
    raise ValueError(f'{path}: unpacks to {total} bytes, expected at most the {free_bytes} free on'
                     ' the disk')


def _extract(path: str, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: str) -> None:
  target = os.path.join(folder, *entry.filename.split('/'))
  if entry.is_dir():
    os.makedirs(target, exist_ok=True)
    return
  os.makedirs(os.path.dirname(target), exist_ok=True)
  try:
    # zipfile stops at the declared size and checks the CRC, so the sum checked above holds.
    with archive.open(entry) as source, open(target, 'xb') as out:
      shutil.copyfileobj(source, out, 1 << 20)
  except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
    raise ValueError(f'{path}: entry {entry.filename!r}: {error}, expected a complete'
                     ' zip') from error
