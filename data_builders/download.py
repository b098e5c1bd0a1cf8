"""Fetches one archive: whole and verified, or not at all."""

import hashlib
import http.client
import os
import pathlib
import urllib.error
import urllib.request

from absl import logging
from tqdm import tqdm

from data_builders.raw import is_archive

TIMEOUT_S = 60
BLOCK_BYTES = 1 << 20
PART_SUFFIX = '.part'


def download(url: str, folder: pathlib.Path, sha256: str | None = None,
             progress: bool = False) -> pathlib.Path:
  """Returns the path of the archive behind `url`, fetched unless it is there already.

  Where the project registers no checksum (`sha256` None), that of the first download is written
  beside the file, and every later one must agree with it. The caller sees to it that no other
  process downloads the same file.

  Raises:
    ValueError: network failure, a web page instead of an archive, a short or different file. Nothing of
      the download is left then.
  """
  folder.mkdir(parents=True, exist_ok=True)
  path = folder / f'{hashlib.sha256(url.encode()).hexdigest()[:8]}-{url.rsplit("/", 1)[-1]}'
  pin = path.with_name(path.name + '.sha256')
  expected = sha256 or (pin.read_text().split()[0] if pin.exists() else None)
  if path.exists():
    with path.open('rb') as f:
      _check_sha256(f'{path} (delete it to download again)',
                    hashlib.file_digest(f, 'sha256').hexdigest(), expected)
    return path
  for old in folder.glob(f'{path.name}.*{PART_SUFFIX}'):
    old.unlink()  # of a process that was killed
  part = path.with_name(f'{path.name}.{os.getpid()}{PART_SUFFIX}')
  try:
    found = _fetch(url, part, progress)
    if not is_archive(part):
      raise ValueError(f'{url}: {part.stat().st_size} bytes came that are no complete zip, expected'
                       ' one (cut short? give a copy with --raw)')
    _check_sha256(url, found, expected)
    if expected is None:
      logging.warning('%s: no checksum is registered; pinned what came, sha256 %s', url, found)
      pin_part = part.with_suffix('.pin' + PART_SUFFIX)
      pin_part.write_text(f'{found}  {url}\n')
      os.replace(pin_part, pin)
    os.replace(part, path)
  finally:
    part.unlink(missing_ok=True)
  return path


def _check_sha256(what: str, found: str, expected: str | None) -> None:
  if expected is not None and found != expected:
    raise ValueError(f'{what}: sha256 is {found}, expected {expected}')


def _fetch(url: str, part: pathlib.Path, progress: bool) -> str:
  """Streams `url` to `part`; returns the SHA-256. Raises ValueError on anything short of all."""
  digest, size = hashlib.sha256(), 0
  try:
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response, part.open('wb') as out:
      kind = response.headers.get_content_type()
      if kind.startswith('text/'):
        raise ValueError(f'{url}: the server sent {kind}, expected a zip (a login or error page?'
                         ' give a copy with --raw)')
      length = response.headers['Content-Length']
      total = int(length) if length else None
      with tqdm(total=total, desc='download', unit='B', unit_scale=True,
                disable=not progress) as bar:
        while block := response.read(BLOCK_BYTES):
          out.write(block)
          digest.update(block)
          size += len(block)
          bar.update(len(block))
  except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
    raise ValueError(f'{url}: {error}, expected a zip (give a copy with --raw)') from error
  if total is not None and size != total:
    raise ValueError(f'{url}: {size} bytes came, expected {total} (cut short)')
  return digest.hexdigest()
