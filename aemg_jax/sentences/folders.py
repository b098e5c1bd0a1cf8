"""A folder that is written whole or not at all."""

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator

from absl import logging


@contextlib.contextmanager
def new_folder(out: str) -> Iterator[str]:
  """A folder beside `out` that becomes `out` on success and vanishes on any failure."""
  parent, name = os.path.split(out)
  folder = ''
  try:
    os.makedirs(parent, exist_ok=True)
    _remove_abandoned(parent, name)
    folder = tempfile.mkdtemp(prefix=_partial_prefix(name) + f'{os.getpid()}.', dir=parent)
    yield folder
    os.chmod(folder, 0o755)
    os.replace(folder, out)
  except OSError as error:
    reason = error.strerror or error
    raise ValueError(f'{out}: cannot write ({reason}); nothing was left') from error
  finally:
    if folder:
      shutil.rmtree(folder, ignore_errors=True)


def _partial_prefix(name: str) -> str:
  return f'.{name}.partial.{socket.gethostname()}.'


def _remove_abandoned(parent: str, name: str) -> None:
  """Removes what a killed run of this machine left; a running one is left alone."""
  prefix = _partial_prefix(name)
  for entry in os.listdir(parent):
    if entry.startswith(prefix) and not _alive(int(entry[len(prefix):].split('.')[0])):
      logging.warning('removing %s, left by a run that was killed', os.path.join(parent, entry))
      shutil.rmtree(os.path.join(parent, entry), ignore_errors=True)


def _alive(pid: int) -> bool:
  try:
    os.kill(pid, 0)
  except ProcessLookupError:
    return False
  except PermissionError:
    pass
  return True
