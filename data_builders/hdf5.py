"""Numbers out of HDF5 files, read as if the files were hostile.

HDF5 stores what a file declares, not what it holds: sizes that were never written, chunks that
inflate to gigabytes, links into other files, and texts of variable length on which the library can
loop for ever when they are damaged. This module looks at the declaration first, and reads only
datasets of fixed-size elements that lie in the file itself. h5py is imported when a file is opened:
not everybody has it (setup.cfg, extra "formats").
"""

from collections.abc import Iterator
import contextlib
import math
import os
from typing import Any

import numpy as np

from data_builders import optional

MAX_RATIO = 50  # bytes of a dataset to bytes of its file; tables of few distinct numbers reach 10
MAX_CHUNK_BYTES = 64 << 20  # a chunk is inflated whole, whatever part of it is read
BLOCK_BYTES = 16 << 20  # read at a time
# What HDF5 raises on damaged files, through h5py.
_ERRORS = (OSError, KeyError, ValueError, TypeError, RuntimeError, UnicodeError, MemoryError,
           AttributeError, OverflowError)


class HdfError(ValueError):
  """A file that is no complete HDF5, or a dataset that is not of the expected kind."""


@contextlib.contextmanager
def _reading(what: str) -> Iterator[None]:
  try:
    yield
  except HdfError:
    raise
  except _ERRORS as error:
    raise HdfError(f'{what}: {error}' if str(error) else f'{what}: {error!r}') from error


class HdfFile:
  """An open file. Use in a `with` statement; every error of reading is an HdfError."""

  def __init__(self, path: str):
    h5py = optional.reader('h5py', 'HDF5 files')
    self._h5py, self._n_bytes = h5py, os.path.getsize(path)
    with _reading('no HDF5'):
      self._file = h5py.File(path, 'r')

  def __enter__(self) -> 'HdfFile':
    return self

  def __exit__(self, *_) -> None:
    with _reading('closing'):
      self._file.close()

  def names(self, path: str = '/') -> list[str]:
    """Names of what lies in a group, sorted; [] where there is no such group."""
    node = self._node(path)
    with _reading(path):
      return sorted(node) if isinstance(node, self._h5py.Group) else []

  def dataset(self, path: str) -> Any:
    """The dataset, once its declaration is seen to be harmless.

    Raises:
      HdfError: there is none, it lies in another file, its elements are objects or texts of
        variable length, or it declares far more than the file can hold.
    """
    dataset = self._node(path)
    with _reading(path):
      if not isinstance(dataset, self._h5py.Dataset) or dataset.external or dataset.is_virtual:
        raise HdfError(f'no dataset {path} in the file itself')
      if dataset.dtype.hasobject or dataset.shape is None:
        raise HdfError(f'{path} is {dataset.shape} of {dataset.dtype}, expected elements of a fixed'
                       ' size')
      chunk_bytes = math.prod(dataset.chunks or (0,)) * dataset.dtype.itemsize
      if dataset.nbytes > MAX_RATIO * self._n_bytes or chunk_bytes > MAX_CHUNK_BYTES:
        raise HdfError(f'{path} declares {dataset.nbytes} bytes in chunks of {chunk_bytes},'
                       f' expected at most {MAX_RATIO} times the {self._n_bytes} of the file and'
                       f' {MAX_CHUNK_BYTES}')
    return dataset

  def number(self, path: str, attribute: str) -> float:
    """An attribute of the node at `path` that is a number, or an array of one.

    Raises:
      HdfError: there is none, or it is of another kind.
    """
    node = self._node(path)
    with _reading(f'attribute {attribute} of {path}'):
      found = node.attrs.get_id(attribute)  # first: a damaged one can be huge, or become a text
      if found.shape not in ((), (1,)) or found.dtype.kind not in 'iuf':
        raise HdfError(f'attribute {attribute!r} is {found.shape} of {found.dtype}, expected a'
                       ' number')
      return np.asarray(node.attrs[attribute]).item()

  def _node(self, path: str) -> Any:
    """What lies at a path, or None; followed by hard links only, so never out of the file."""
    node = self._file
    with _reading(path):
      for name in path.strip('/').split('/'):
        if not name:
          continue
        if not isinstance(node, self._h5py.Group) or name not in node:
          return None
        if not isinstance(node.get(name, getlink=True), self._h5py.HardLink):
          raise HdfError(f'{path} is a link, expected it in the file itself')
        node = node[name]
    return node


def fields(dataset: Any) -> dict[str, np.dtype]:
  """Name -> type, with its shape, of each field of a table; {} for an array."""
  return {name: found[0] for name, found in (dataset.dtype.fields or {}).items()}


def read(dataset: Any, field: str | None = None, start: int = 0,
         stop: int | None = None) -> np.ndarray:
  """Rows [start, stop) of a dataset, or of one field of a table, in native byte order.

  Raises:
    HdfError: the data are damaged or cut short.
  """
  with _reading(dataset.name or 'dataset'):
    source = dataset if field is None else dataset.fields(field)
    array = np.asarray(source[start:len(dataset) if stop is None else stop])
  return np.ascontiguousarray(array, array.dtype.newbyteorder('='))


def read_blocks(dataset: Any, field: str | None = None) -> Iterator[tuple[int, np.ndarray]]:
  """(first row, rows) of the whole dataset, about BLOCK_BYTES at a time. Raises like `read`."""
  n_rows = max(1, BLOCK_BYTES // max(1, dataset.dtype.itemsize))
  for start in range(0, len(dataset), n_rows):
    yield start, read(dataset, field, start, min(start + n_rows, len(dataset)))


def fixed_text(dataset: Any, attribute: str, max_bytes: int) -> bytes:
  """A text attribute of fixed length; b'' where there is none, or one of another kind."""
  with _reading(f'attribute {attribute}'):
    if attribute not in dataset.attrs:
      return b''
    found = dataset.attrs.get_id(attribute)
    if found.shape != () or found.dtype.kind != 'S' or found.dtype.itemsize > max_bytes:
      return b''
    return bytes(np.asarray(dataset.attrs[attribute]).item())
