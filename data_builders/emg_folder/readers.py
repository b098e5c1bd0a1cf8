"""One file of each format -> its channels and the other sequences that the manifest asks for.

Every reader takes the manifest and a path, and returns `Content`. What is wrong with a file is a
`FormatError`; sizes are checked before anything is allocated.
"""

from collections.abc import Iterable, Sequence
import csv
import dataclasses
import functools
import math
import os
import zipfile
import zlib

import numpy as np

from data_builders import edf, mat5, wfdb_record
from data_builders.counts import Counts, FormatError, shorten
from data_builders.emg_folder.manifest import Manifest, Signal

MAX_TEXT_BYTES = 256 << 20
MAX_ARRAY_BYTES = 512 << 20
MAX_CELL = 64  # characters of a label
_NPY_ERRORS = (ValueError, TypeError, KeyError, EOFError, OSError, zlib.error, RecursionError,
               MemoryError, SyntaxError, NotImplementedError, RuntimeError, zipfile.BadZipFile)


@dataclasses.dataclass(frozen=True)
class Content:
  """What one file holds of what the manifest names.

  Attributes:
    signal_tc: channels in the manifest's order, in any number type.
    units, scales: of each channel, from the file's header; () where it has none.
    rate_hz: of the header, None where there is none.
    time, repetition: [T] numbers, None where the manifest names none.
    labels: [T] texts, None likewise.
  """
  signal_tc: np.ndarray
  units: tuple[str, ...] = ()
  scales: tuple[float, ...] = ()
  rate_hz: float | None = None
  time: np.ndarray | None = None
  repetition: np.ndarray | None = None
  labels: np.ndarray | None = None


def read(manifest: Manifest, path: str) -> Content:
  """Reads one file. Raises FormatError; ValueError where a reader is not installed."""
  return {'csv': _read_csv, 'npz': _read_npz, 'mat': _read_mat, 'edf': _read_edf,
          'wfdb': _read_wfdb}[manifest.format](manifest, path)


def _numbers(manifest: Manifest) -> list[Signal]:
  """Everything but the labels: channels first, then time and repetition where there are any."""
  channels = [channel.signal for channel in manifest.channels]
  return channels + [s for s in (manifest.time, manifest.repetition) if s is not None]


def _extras(manifest: Manifest, columns: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
  """Time and repetition, of the columns that follow the channels."""
  names = [name for name in ('time', 'repetition') if getattr(manifest, name) is not None]
  return dict(zip(names, columns, strict=True))


# CSV.

def _read_csv(manifest: Manifest, path: str) -> Content:
  size = os.path.getsize(path)
  if size > MAX_TEXT_BYTES:
    raise FormatError(f'{size} bytes of text, expected at most {MAX_TEXT_BYTES} (split it)')
  numbers, label = _numbers(manifest), manifest.labels.signal
  try:
    with open(path, encoding='utf-8-sig') as f:
      header = f.readline(MAX_TEXT_BYTES >> 8) if manifest.header else ''
    at = _columns(manifest, header, [*numbers, *([label] if label else [])])
    load = functools.partial(np.loadtxt, path, delimiter=manifest.delimiter, comments=None,
                             quotechar='"', encoding='utf-8-sig', skiprows=int(manifest.header))
    n_rows = _count_rows(path) - manifest.header
    if n_rows < 1:
      raise FormatError('no row of numbers, expected some')
    table = load(usecols=at[:len(numbers)], ndmin=2)
    labels = np.char.strip(load(usecols=at[-1], dtype=f'U{MAX_CELL}', ndmin=1)) if label else None
  except FormatError:
    raise
  except (ValueError, OverflowError, csv.Error) as error:
    raise FormatError(f'{shorten(error)}; expected rows of numbers in UTF-8') from error
  if len(table) != n_rows:
    raise FormatError(f'{n_rows} lines and {len(table)} rows of numbers, expected the same')
  n = len(manifest.channels)
  return Content(np.ascontiguousarray(table[:, :n]), labels=labels,
                 **_extras(manifest, table[:, n:].T))


def _columns(manifest: Manifest, header: str, signals: Iterable[Signal]) -> list[int]:
  """Places of the signals: by name where the file has a header, else numbers from 0."""
  if not manifest.header:
    wrong = [s for s in signals if not (s.name.isascii() and s.name.isdigit())]
    if wrong:
      raise FormatError(f'{wrong[0].key} is {wrong[0].name!r}, expected a column number from 0, as'
                        ' csv.header is false')
    return [int(s.name) for s in signals]
  if manifest.delimiter is None:
    names = header.split()
  else:
    names = [name.strip() for name in next(csv.reader([header], delimiter=manifest.delimiter), [])]
  for signal in signals:
    if names.count(signal.name) != 1:
      raise FormatError(f'{signal.key} is {signal.name!r}, found {names.count(signal.name)} times'
                        f' in the header {shorten(names)}, expected once')
  return [names.index(signal.name) for signal in signals]


def _count_rows(path: str) -> int:
  """Lines; those without text may only end a file, where they would not shift time."""
  n, blank = 0, 0
  with open(path, 'rb') as f:
    for line in f:
      if line.isspace():
        blank += 1
      elif blank:
        raise FormatError(f'line {n + 1} is empty, expected a row')
      else:
        n += 1
  return n


# Arrays.

def _read_npz(manifest: Manifest, path: str) -> Content:
  try:
    with zipfile.ZipFile(path) as archive:
      return _from_arrays(manifest, functools.partial(_npy, archive))
  except FormatError:
    raise
  except _NPY_ERRORS as error:
    raise FormatError(f'{shorten(error)}, expected an .npz of plain arrays') from error


def _npy(archive: zipfile.ZipFile, name: str) -> np.ndarray:
  """One array of an .npz. NumPy's own reader allocates what the header asks for."""
  entry = archive.getinfo(f'{name}.npy')
  if entry.file_size > MAX_ARRAY_BYTES:
    raise FormatError(f'{name!r} of {entry.file_size} bytes, expected at most {MAX_ARRAY_BYTES}')
  with archive.open(entry) as f:
    version = np.lib.format.read_magic(f)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0,
                   (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read_header is None:
      raise FormatError(f'{name!r} of npy version {version}, expected 1.0 or 2.0')
    shape, fortran, dtype = read_header(f)
    if dtype.kind not in 'iufbU':
      raise FormatError(f'{name!r} of type {dtype}, expected numbers or text')
    n_bytes = math.prod(shape) * dtype.itemsize
    if min(shape, default=1) < 0 or not 0 < n_bytes <= entry.file_size:
      raise FormatError(f'{name!r} of shape {shape} in {entry.file_size} bytes, expected {n_bytes}')
    data = f.read(n_bytes)
  return np.frombuffer(data, dtype).reshape(shape, order='F' if fortran else 'C')


def _read_mat(manifest: Manifest, path: str) -> Content:
  signals = _numbers(manifest) + [s for s in (manifest.labels.signal,) if s]
  names = {_variable(manifest, signal)[0] for signal in signals}
  try:
    arrays = mat5.read_arrays(path, names)
  except mat5.MatError as error:
    raise FormatError(str(error)) from error
  return _from_arrays(manifest, arrays.__getitem__)


def _variable(manifest: Manifest, signal: Signal) -> tuple[str, int | None]:
  """'emg/3' -> ('emg', 3); 'stimulus' -> ('stimulus', None)."""
  name, slash, column = signal.name.rpartition('/')
  if not slash:
    return signal.name, None
  if not (column.isascii() and column.isdigit() and len(column) < 6):
    raise FormatError(f'{signal.key} is {signal.name!r}, expected VARIABLE/COLUMN, from 0')
  return name, int(column)


def _from_arrays(manifest: Manifest, get) -> Content:
  get = functools.cache(get)

  def take(signal: Signal) -> np.ndarray:
    name, column = _variable(manifest, signal)
    try:
      array = get(name)
    except KeyError as error:
      raise FormatError(f'{signal.key}: no variable {name!r}, expected one') from error
    array = array.T if manifest.transposed else array
    if column is None and max(array.shape, default=0) == array.size and array.size:
      return array.reshape(-1)
    if column is None or array.ndim != 2 or column >= array.shape[1]:
      raise FormatError(f'{signal.key} is {signal.name!r}, and {name!r} has shape {array.shape},'
                        ' expected [T, C] with this column, or one column for a plain name')
    return array[:, column]

  columns = [take(signal) for signal in _numbers(manifest)]
  label = manifest.labels.signal
  labels = None if label is None else take(label)
  lengths = {len(c) for c in (*columns, *([] if labels is None else [labels]))}
  if len(lengths) != 1 or any(c.dtype.kind not in 'iufb' for c in columns):
    raise FormatError(f'signals of {sorted(lengths)} samples, of types'
                      f' {sorted({str(c.dtype) for c in columns})}, expected numbers of one length')
  n = len(manifest.channels)
  return Content(np.stack(columns[:n], axis=1), labels=None if labels is None else _texts(labels),
                 **_extras(manifest, columns[n:]))


def _texts(values: np.ndarray) -> np.ndarray:
  """Texts as they are, whole numbers without a point: 3.0 is found as '3'."""
  if values.dtype.kind == 'U':
    return np.char.strip(values.astype(f'U{MAX_CELL}'))
  distinct, inverse = np.unique(values, return_inverse=True)
  return np.array([f'{value:.12g}' for value in distinct.tolist()], f'U{MAX_CELL}')[inverse]


# Counts with a header.

def _read_edf(manifest: Manifest, path: str) -> Content:
  return _from_counts(manifest, functools.partial(edf.read_counts, path))


def _read_wfdb(manifest: Manifest, path: str) -> Content:
  return _from_counts(manifest, functools.partial(wfdb_record.read_counts, path))


def _from_counts(manifest: Manifest, read_counts) -> Content:
  """Integers keep the counts, with the gain as scale; floats are in the header's unit."""
  counts: Counts = read_counts([channel.signal.name for channel in manifest.channels])
  if manifest.dtype.startswith('int'):
    return Content(counts.centred(), counts.units, counts.gains, counts.rate_hz)
  return Content(counts.physical(), counts.units, (1.0,) * len(counts.units), counts.rate_hz)
