"""Columns of data frames that pandas wrote to HDF5, found without pandas and without unpickling.

pandas writes a frame in one of two layouts (checked against pandas 3.1 and PyTables 3.11):
  table: a dataset GROUP/table whose fields are `index` and either single columns by their names, or
    blocks `values_block_K` of columns of one type; the names in a block are in the attribute
    `values_block_K_kind`, a list pickled as text, of which only the names are picked out here.
  fixed: datasets `blockK_values` [rows, columns] with the names in `blockK_items`. Columns of texts
    are one pickled object: to unpickle is to run what the file says, so they count as unreadable.
"""

import re
from typing import Any, NamedTuple

import numpy as np

from data_builders import hdf5

MAX_BLOCKS = 64
MAX_KIND_BYTES = 1 << 14
_BLOCK = re.compile(r'values_block_\d+')
# One name in a list pickled as text, by Python 3 (Vname) or Python 2 (S'name').
_NAME = re.compile(rb"(?:V([^\n]*)|S'([^'\n]*)')\np\d+\n")


class Column(NamedTuple):
  """Where a column lies.

  Attributes:
    dataset: as `hdf5.HdfFile.dataset` gives it; None where its content is pickled.
    field: of a table, None in the fixed layout.
    index: within the block; None where the field is the column.
  """
  dataset: Any
  field: str | None = None
  index: int | None = None

  def read(self) -> np.ndarray:
    """All rows, one axis. Raises HdfError where the content is pickled or damaged."""
    if self.dataset is None:
      raise hdf5.HdfError('a column of pickled objects, expected one of numbers or texts')
    values = hdf5.read(self.dataset, self.field)
    return values if self.index is None else values[:, self.index]


def columns(file: hdf5.HdfFile, group: str) -> dict[str, Column]:
  """Name -> column of the frame in `group`, in the order of the file.

  Blocks of a table whose names cannot be picked out are left out.

  Raises:
    HdfError: the group holds no frame, or a damaged one.
  """
  members = file.names(group)
  if 'table' in members:
    return _of_table(file.dataset(f'{group}/table'))
  blocks = [name for name in members if re.fullmatch(r'block\d+_items', name)]
  if not blocks or len(blocks) > MAX_BLOCKS:
    raise hdf5.HdfError(f'{group} holds {members}, expected a data frame of pandas')
  found = {}
  for name in blocks:
    items = file.dataset(f'{group}/{name}')
    if items.dtype.kind != 'S' or items.ndim != 1:
      raise hdf5.HdfError(f'{group}/{name} is {items.shape} of {items.dtype}, expected names')
    names = [_text(item) for item in hdf5.read(items)]
    try:
      values = file.dataset(f'{group}/{name.removesuffix("items")}values')
    except hdf5.HdfError:
      found |= {name: Column(None) for name in names}
      continue
    if values.ndim != 2 or values.shape[1] != len(names):
      raise hdf5.HdfError(f'{group}/{name}: {len(names)} names of {values.shape} values')
    found |= {name: Column(values, None, i) for i, name in enumerate(names)}
  return found


def _of_table(dataset: Any) -> dict[str, Column]:
  found = {}
  fields = hdf5.fields(dataset)
  if dataset.ndim != 1 or not fields:
    raise hdf5.HdfError(f'{dataset.name} is {dataset.shape} of {dataset.dtype}, expected rows')
  for field, kind in fields.items():
    if not _BLOCK.fullmatch(field):
      found[field] = Column(dataset, field)
      continue
    names = _block_names(dataset, field)
    if (len(names),) == kind.shape:
      found |= {name: Column(dataset, field, i) for i, name in enumerate(names)}
  return found


def _block_names(dataset: Any, field: str) -> list[str]:
  """The names in a block of a table; [] where they are not to be had."""
  kind = hdf5.fixed_text(dataset, f'{field}_kind', MAX_KIND_BYTES)
  if not kind.startswith(b'(lp'):
    return []
  return [_text(new or old) for new, old in _NAME.findall(kind)]


def _text(data: bytes) -> str:
  try:
    return data.decode()
  except UnicodeDecodeError as error:
    raise hdf5.HdfError(f'the name {data!r} is not UTF-8') from error
