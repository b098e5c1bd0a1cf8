"""Fixed-shape rows in ArrayRecord shards: random access without pickle.

array_record is imported only where a shard is opened: it has no Windows wheels.
"""

import os
from collections.abc import Sequence

import numpy as np

OPTIONS = 'group_size:1,zstd:1'


def shard_name(kind: str, shard: int, n_shards: int) -> str:
  return f'{kind}-{shard:05d}-of-{n_shards:05d}.array_record'


class ShardWriter:
  """Row i goes to shard i mod n_shards, so that the number of rows need not be known.

  Zero bytes at the end of a row are left out: segments of a mixture differ in length a hundredfold.
  """

  def __init__(self, folder: str, kind: str, n_shards: int):
    from array_record.python import array_record_module
    self.names = [shard_name(kind, shard, n_shards) for shard in range(n_shards)]
    self._writers = [
        array_record_module.ArrayRecordWriter(os.path.join(folder, name), OPTIONS)
        for name in self.names]
    self.n_rows = 0

  def write(self, rows: np.ndarray) -> None:
    """Appends rows. Raises OSError when the disk does not take them."""
    for row in rows:
      try:
        self._writers[self.n_rows % len(self._writers)].write(row.tobytes().rstrip(b'\0'))
      except RuntimeError as error:
        raise OSError(one_line(error)) from error
      self.n_rows += 1

  def __enter__(self):
    return self

  def __exit__(self, kind, value, trace) -> None:
    failed = None
    for writer in self._writers:
      try:
        if writer.is_open():
          writer.close()
      except RuntimeError as error:
        failed = error
    if failed is not None and kind is None:
      raise OSError(one_line(failed)) from failed


class ShardedRows(Sequence):
  """Random access to fixed-shape rows; picklable, opens its files on first use in a process.

  `source[i]` is a dict of arrays; `source.read(indices)` stacks rows along a leading axis.
  """

  def __init__(self, folder: str, kind: str, n_shards: int, n_rows: int, dtype: np.dtype):
    self._paths = [
        os.path.join(folder, shard_name(kind, shard, n_shards)) for shard in range(n_shards)]
    self._n_rows = n_rows
    self._dtype = dtype
    self._readers = None

  def __getstate__(self):
    return self.__dict__ | {'_readers': None}

  def __len__(self) -> int:
    return self._n_rows

  def __getitem__(self, index: int) -> dict[str, np.ndarray]:
    return self.__getitems__([index])[0]

  def __getitems__(self, indices: Sequence[int]) -> list[dict[str, np.ndarray]]:
    """Many rows at once, for loaders."""
    rows = self.read(indices)
    return [{name: value[i] for name, value in rows.items()} for i in range(len(indices))]

  def read(self, indices: Sequence[int]) -> dict[str, np.ndarray]:
    """Rows in the order asked for, each field with a leading axis."""
    indices = np.asarray(indices, np.int64).reshape(-1)
    wrong = indices[(indices < 0) | (indices >= self._n_rows)]
    if wrong.size:
      raise IndexError(f'row {wrong[0]}: expected within [0, {self._n_rows})')
    if self._readers is None:
      self._readers = [self._open(path) for path in self._paths]
    rows = np.empty(len(indices), self._dtype)
    for shard, path in enumerate(self._paths):
      mine = np.flatnonzero(indices % len(self._paths) == shard)
      if mine.size:
        rows[mine] = self._fetch(shard, path, indices[mine] // len(self._paths))
    return {name: rows[name] for name in self._dtype.names}

  def _fetch(self, shard: int, path: str, local: np.ndarray) -> np.ndarray:
    try:
      raw = self._readers[shard].read(local.tolist())
      return np.frombuffer(b''.join(row.ljust(self._dtype.itemsize, b'\0') for row in raw), self._dtype)
    except (RuntimeError, ValueError, IndexError) as error:
      raise ValueError(f'{path}: damaged, prepare the data again ({one_line(error)})') from error

  def _open(self, path: str):
    from array_record.python import array_record_module
    try:
      return array_record_module.ArrayRecordReader(path, 'readahead_buffer_size:0')
    except (RuntimeError, ValueError) as error:
      raise ValueError(f'{path}: damaged, prepare the data again ({one_line(error)})') from error


def one_line(error: Exception) -> str:
  """Its message without line breaks."""
  return ' '.join(str(error).split())[:200]
