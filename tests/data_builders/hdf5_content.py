"""What a folder of HDF5 files holds, to compare two: the bytes differ between versions of HDF5."""

import pathlib
from typing import Any

import numpy as np


def content(folder: pathlib.Path) -> dict[str, Any]:
  """Attributes and data by 'file/path'; other files as bytes."""
  import h5py  # here: an optional reader
  found = {}
  for path in sorted(folder.iterdir()):
    if path.suffix not in ('.hdf5', '.h5'):
      found[path.name] = path.read_bytes()
      continue
    with h5py.File(path) as file:
      file.visititems(lambda name, node: found.update({f'{path.name}/{name}': (
          {key: str(value) for key, value in node.attrs.items()},
          _data(node) if isinstance(node, h5py.Dataset) else None)}))
  return found


def _data(dataset) -> tuple[str, Any]:
  values = dataset[()]
  if values.dtype.hasobject:  # of variable length
    return str(values.dtype), [np.asarray(item).tobytes() for item in values.flat]
  return f'{values.dtype} {values.shape}', values.tobytes()
