"""Numeric arrays of MATLAB v5 files (what MATLAB saves up to -v7), read as if they were hostile.

Not scipy.io.loadmat: on a file with one wrong type byte it ends the whole process (scipy 1.17 reads
outside its table of types), and it allocates whatever size a file declares. This reader knows only
what the builders need, real full matrices of two dimensions and vectors of cells that hold such
matrices, checks every size before it reads, and lets the checksum of a compressed variable find
flipped bits. Format: MathWorks, "MAT-File Format", level 5.
"""

from collections.abc import Callable, Collection
import math
import os
import struct
from typing import Any, BinaryIO
import zlib

import numpy as np

MAX_BYTES = 256 << 20  # of one array; the largest known is 100 MB
CHUNK_BYTES = 1 << 20
HEADER_BYTES = 128
MATRIX, COMPRESSED = 14, 15  # types of a file's elements
INT8, INT32, UINT32 = 1, 5, 6  # types of the parts of a matrix
CELL = 1  # a class whose elements are matrices
MAX_CELLS = 1000
OPAQUE = 17  # a class without dimensions
CLASSES = {CELL: 'cell', 2: 'struct', 3: 'object', 4: 'char', 5: 'sparse', 16: 'function'}
NUMERIC_CLASSES = range(6, 16)  # double, single, int8 to uint64
COMPLEX = 0x800
MAX_NAME_BYTES = 63
# How numbers are stored; a smaller type than the matrix's class where all its values fit.
STORED = {1: 'i1', 2: 'u1', 3: 'i2', 4: 'u2', 5: 'i4', 6: 'u4', 7: 'f4', 9: 'f8', 12: 'i8',
          13: 'u8'}


class MatError(ValueError):
  """A file that is no complete MATLAB v5 file, or a variable that is no plain numeric matrix."""


def read_arrays(path: str, names: Collection[str],
                max_bytes: int = MAX_BYTES) -> dict[str, np.ndarray]:
  """Reads the variables `names` of a MATLAB v5 file; those that it lacks are left out.

  Args:
    path: of the file.
    names: of variables.
    max_bytes: of the largest array to accept.

  Returns:
    Arrays [rows, columns] in the type they are stored in, which may be narrower than their class:
    MATLAB stores doubles that are small whole numbers as uint8.

  Raises:
    MatError: a broken file or another format, or a variable of `names` that is no real numeric
      matrix or too large. Other variables are skipped unread.
  """
  return _read(path, names, _numbers, max_bytes)


def read_cells(path: str, names: Collection[str],
               max_bytes: int = MAX_BYTES) -> dict[str, list[np.ndarray]]:
  """Reads the variables `names`, vectors of cells; those that the file lacks are left out.

  Args:
    path: of the file.
    names: of variables.
    max_bytes: of all cells of one variable together.

  Returns:
    The matrices of each, in order, in the type they are stored in (see `read_arrays`).

  Raises:
    MatError: a broken file or another format, a variable of `names` that is no vector of cells,
      or a cell that is no real numeric matrix. Other variables are skipped unread.
  """
  return _read(path, names, _cells, max_bytes)


def _read(path: str, names: Collection[str], content: Callable, max_bytes: int) -> dict[str, Any]:
  """What `content` makes of the variables `names`."""
  found = {}
  size = os.path.getsize(path)
  with open(path, 'rb') as f:
    order = _byte_order(f.read(HEADER_BYTES))
    while f.tell() < size:
      kind, n_bytes = struct.unpack(order + 'II', _Plain(f, size - f.tell()).read(8))
      start = f.tell()
      if start + n_bytes > size:
        raise MatError(f'cut short: an element of {n_bytes} bytes, {size - start} are left')
      if kind not in (MATRIX, COMPRESSED):
        raise MatError(f'element of type {kind} at byte {start - 8}, expected a matrix')
      source = _Inflated(f, n_bytes) if kind == COMPRESSED else _Plain(f, n_bytes)
      if kind == COMPRESSED and struct.unpack(order + 'II', source.read(8))[0] != MATRIX:
        raise MatError(f'compressed element at byte {start - 8}, expected a matrix in it')
      word, shape, name = _head(source, order)
      if name in names and word & 0xff != OPAQUE:
        if name in found:
          raise MatError(f'variable {name} is there twice')
        found[name] = content(source, order, word, shape, f'variable {name}', max_bytes)
        source.finish()
      f.seek(start + n_bytes)
  return found


def _byte_order(header: bytes) -> str:
  mark, version = header[126:128], header[124:126]
  if len(header) < HEADER_BYTES or mark not in (b'IM', b'MI'):
    raise MatError(f'begins with {header[:16]!r}, expected a MATLAB v5 header')
  order = '<' if mark == b'IM' else '>'
  number, = struct.unpack(order + 'H', version)
  if number != 0x100:
    what = 'MATLAB v7.3 (HDF5)' if number == 0x200 else f'MATLAB version {number:#x}'
    raise MatError(f'{what}, expected a v5 file (save -v7)')
  return order


class _Plain:
  """The bytes of one element."""

  def __init__(self, f: 'BinaryIO | _Plain', n_bytes: int):
    self._f, self._left = f, n_bytes

  def read(self, n: int) -> bytes | bytearray:
    """Exactly n bytes. Raises MatError where there are fewer."""
    data = self._f.read(n) if n <= self._left else b''
    if len(data) < n:
      raise MatError(f'cut short: {n} bytes wanted, {self._left} left of the element')
    self._left -= n
    return data

  def finish(self) -> None:
    """Raises MatError unless the element ends here, but for padding."""
    if self._left >= 8:
      raise MatError(f'{self._left} bytes follow the data of a matrix, expected its end')


class _Inner(_Plain):
  """The bytes of one matrix within another element, which it is read through."""

  def finish(self) -> None:
    super().finish()
    self.read(self._left)


class _Inflated(_Plain):
  """The bytes of one compressed element, inflated as they are read."""

  def __init__(self, f: BinaryIO, n_bytes: int):
    super().__init__(f, n_bytes)
    self._stream = zlib.decompressobj()

  def read(self, n: int) -> bytearray:
    out = bytearray()
    while len(out) < n:
      more = self._inflate(min(n - len(out), CHUNK_BYTES))
      if not more:
        raise MatError(f'cut short: {n} bytes wanted, {len(out)} left of a compressed element')
      out += more
    return out

  def finish(self) -> None:
    """Also reads the checksum: zlib compares it."""
    if len(self._inflate(8)) >= 8:
      raise MatError('more bytes follow the data of a matrix, expected its end')
    if not self._stream.eof:
      raise MatError('cut short: a compressed element without its checksum')

  def _inflate(self, n: int) -> bytes:
    """Up to n bytes; b'' at the end of the element."""
    more = b''
    while not more and not self._stream.eof:
      packed = self._stream.unconsumed_tail or super().read(min(self._left, CHUNK_BYTES))
      try:
        more = self._stream.decompress(packed, n)
      except zlib.error as error:
        raise MatError(f'damaged: {error}') from error
      if not packed:
        break
    return more


def _part(source: _Plain, order: str, max_bytes: int) -> tuple[int, bytes | bytearray]:
  """Type and bytes of the next part of a matrix."""
  tag = source.read(8)
  kind, n_bytes = struct.unpack(order + 'II', tag)
  if kind >> 16:  # up to 4 bytes lie in the tag itself
    kind, n_bytes = kind & 0xffff, kind >> 16
    if n_bytes > 4:
      raise MatError(f'{n_bytes} bytes in the tag of a part, expected at most 4')
    return kind, tag[4:4 + n_bytes]
  if n_bytes > max_bytes:
    raise MatError(f'part of {n_bytes} bytes, expected at most {max_bytes}')
  data = source.read(n_bytes)
  source.read(-n_bytes % 8)
  return kind, data


def _head(source: _Plain, order: str) -> tuple[int, tuple[int, ...], str]:
  """Flags (the class in the lowest byte), shape and name of a matrix."""
  kind, flags = _part(source, order, 8)
  if kind != UINT32 or len(flags) != 8:
    raise MatError(f'matrix flags of type {kind}, {len(flags)} bytes, expected 8 of type {UINT32}')
  word, _ = struct.unpack(order + 'II', flags)
  if word & 0xff == OPAQUE:
    return word, (), ''
  kind, dims = _part(source, order, 256)
  if kind != INT32 or len(dims) % 4 or len(dims) < 8:
    raise MatError(f'dimensions of type {kind}, {len(dims)} bytes, expected type {INT32}')
  kind, raw_name = _part(source, order, MAX_NAME_BYTES)
  if kind != INT8:
    raise MatError(f'name of type {kind}, expected type {INT8}')
  shape = struct.unpack(f'{order}{len(dims) // 4}i', dims)
  return word, shape, bytes(raw_name).decode('latin-1')


def _numbers(source: _Plain, order: str, word: int, shape: tuple[int, ...], what: str,
             max_bytes: int) -> np.ndarray:
  """The array after the head of a matrix."""
  if word & 0xff not in NUMERIC_CLASSES or word & COMPLEX:
    found = 'complex' if word & COMPLEX else CLASSES.get(word & 0xff, f'of class {word & 0xff}')
    raise MatError(f'{what} is {found}, expected a real numeric matrix')
  if len(shape) != 2 or min(shape) < 0:
    raise MatError(f'{what} has shape {shape}, expected 2 dimensions')
  kind, data = _part(source, order, max_bytes)
  if kind not in STORED:
    raise MatError(f'{what} is stored as type {kind}, expected one of {sorted(STORED)}')
  dtype = np.dtype(STORED[kind]).newbyteorder(order)
  if math.prod(shape) * dtype.itemsize != len(data):
    raise MatError(f'{what} has {len(data)} bytes, expected {shape} of {dtype}')
  stored = np.frombuffer(data, dtype).reshape(shape, order='F')
  return np.ascontiguousarray(stored, dtype.newbyteorder('='))


def _cells(source: _Plain, order: str, word: int, shape: tuple[int, ...], what: str,
           max_bytes: int) -> list[np.ndarray]:
  """The matrices after the head of a cell array."""
  if word & 0xff != CELL:
    raise MatError(f'{what} is {CLASSES.get(word & 0xff, "a matrix")}, expected cells')
  n_cells = math.prod(shape)
  if len(shape) != 2 or min(shape) < 0 or n_cells != max(shape) or n_cells > MAX_CELLS:
    raise MatError(f'{what} has shape {shape}, expected a vector of at most {MAX_CELLS} cells')
  cells, left = [], max_bytes
  for i in range(n_cells):
    its = f'cell {i + 1} of {what}'
    kind, n_bytes = struct.unpack(order + 'II', source.read(8))
    if kind != MATRIX or not n_bytes:  # MATLAB leaves nothing of a cell that was never set
      raise MatError(f'{its} is of type {kind} and {n_bytes} bytes, expected a matrix')
    inner = _Inner(source, n_bytes)
    inner_word, inner_shape, _ = _head(inner, order)
    cells.append(_numbers(inner, order, inner_word, inner_shape, its, left))
    inner.finish()
    left -= cells[-1].nbytes
  return cells
