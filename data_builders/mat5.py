"""Numeric arrays of MATLAB v5 files (what MATLAB saves up to -v7), read as if they were hostile.

Not scipy.io.loadmat: on a file with one wrong type byte it ends the whole process (scipy 1.17 reads
outside its table of types), and it allocates whatever size a file declares. This reader knows only
what the builders need, real full matrices of two dimensions, checks every size before it reads,
and lets the checksum of a compressed variable find flipped bits. Format: MathWorks, "MAT-File
Format", level 5.
"""

from collections.abc import Collection
import math
import os
import struct
from typing import BinaryIO
import zlib

import numpy as np

MAX_BYTES = 256 << 20  # of one array; the largest known is 100 MB
CHUNK_BYTES = 1 << 20
HEADER_BYTES = 128
MATRIX, COMPRESSED = 14, 15  # types of a file's elements
INT8, INT32, UINT32 = 1, 5, 6  # types of the parts of a matrix
OPAQUE = 17  # a class without dimensions
CLASSES = {1: 'cell', 2: 'struct', 3: 'object', 4: 'char', 5: 'sparse', 16: 'function'}
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
  arrays = {}
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
      name, array = _matrix(source, order, names, max_bytes)
      if array is not None:
        if name in arrays:
          raise MatError(f'variable {name} is there twice')
        source.finish()
        arrays[name] = array
      f.seek(start + n_bytes)
  return arrays


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

  def __init__(self, f: BinaryIO, n_bytes: int):
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


def _matrix(source: _Plain, order: str, names: Collection[str],
            max_bytes: int) -> tuple[str, np.ndarray | None]:
  """Name and array; None for a variable that is not in `names`."""
  kind, flags = _part(source, order, 8)
  if kind != UINT32 or len(flags) != 8:
    raise MatError(f'matrix flags of type {kind}, {len(flags)} bytes, expected 8 of type {UINT32}')
  word, _ = struct.unpack(order + 'II', flags)
  if word & 0xff == OPAQUE:
    return '', None
  kind, dims = _part(source, order, 256)
  if kind != INT32 or len(dims) % 4 or len(dims) < 8:
    raise MatError(f'dimensions of type {kind}, {len(dims)} bytes, expected type {INT32}')
  kind, raw_name = _part(source, order, MAX_NAME_BYTES)
  if kind != INT8:
    raise MatError(f'name of type {kind}, expected type {INT8}')
  name = bytes(raw_name).decode('latin-1')
  if name not in names:
    return name, None
  if word & 0xff not in NUMERIC_CLASSES or word & COMPLEX:
    what = 'complex' if word & COMPLEX else CLASSES.get(word & 0xff, f'of class {word & 0xff}')
    raise MatError(f'variable {name} is {what}, expected a real numeric matrix')
  shape = struct.unpack(f'{order}{len(dims) // 4}i', dims)
  if len(shape) != 2 or min(shape) < 0:
    raise MatError(f'variable {name} has shape {shape}, expected 2 dimensions')
  kind, data = _part(source, order, max_bytes)
  if kind not in STORED:
    raise MatError(f'variable {name} is stored as type {kind}, expected one of {sorted(STORED)}')
  dtype = np.dtype(STORED[kind]).newbyteorder(order)
  if math.prod(shape) * dtype.itemsize != len(data):
    raise MatError(f'variable {name} has {len(data)} bytes, expected {shape} of {dtype}')
  stored = np.frombuffer(data, dtype).reshape(shape, order='F')
  return name, np.ascontiguousarray(stored, dtype.newbyteorder('='))
