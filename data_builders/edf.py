"""Signals of EDF, EDF+C, BDF and BDF+C files as stored, through edfio.

edfio takes sizes from the header and reads on with a warning where they do not agree; here the
header is checked against the file first, and records are read in pieces, so that memory holds the
signals asked for and little else. Who was recorded, and when, is never looked at.
"""

from collections.abc import Iterator, Sequence
import dataclasses
import math
import os
from typing import Any

import numpy as np

from data_builders.counts import Counts, FormatError, pick, shorten

FIXED_BYTES = 256  # of the header, before as many for each signal
MAX_SIGNALS = 4096
MAX_VALUES = 1 << 27  # 512 MiB of counts in memory
PIECE_BYTES = 4 << 20
# What edfio 0.4 raises on fields that it cannot make sense of.
_READ_ERRORS = (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError,
                ZeroDivisionError)


@dataclasses.dataclass(frozen=True)
class EdfHeader:
  """What a file says of itself, sizes compared with the file.

  Attributes:
    data: the header's bytes.
    bytes_per_value: 2 in EDF, 3 in BDF.
    labels: of all signals, annotations too.
    samples: of each signal in one record of the file.
    n_records, record_s: records and the seconds of each.
  """
  data: bytes
  bytes_per_value: int
  labels: tuple[str, ...]
  samples: tuple[int, ...]
  n_records: int
  record_s: float

  @property
  def record_bytes(self) -> int:
    return sum(self.samples) * self.bytes_per_value


def read_header(path: str) -> EdfHeader:
  """Reads and checks the header.

  Raises:
    FormatError: another format, gaps in time, or a size that is not the header's.
  """
  size = os.path.getsize(path)
  with open(path, 'rb') as f:
    fixed = f.read(FIXED_BYTES)
    if fixed[:8] == b'0       ':
      bytes_per_value = 2
    elif fixed[:8] == b'\xffBIOSEMI':
      bytes_per_value = 3
    else:
      raise FormatError(f'begins with {fixed[:8]!r}, expected an EDF or BDF header')
    if fixed[192:197] in (b'EDF+D', b'BDF+D'):
      raise FormatError(f'{fixed[192:197].decode()} has gaps in time, expected one without')
    n_signals = _whole(fixed[252:256], 'signals', MAX_SIGNALS)
    data = fixed + f.read(n_signals * FIXED_BYTES)
  if len(data) != _whole(fixed[184:192], 'bytes in the header', (MAX_SIGNALS + 1) * FIXED_BYTES):
    raise FormatError(f'header of {shorten(fixed[184:192])} bytes and {len(data)} for {n_signals}'
                      ' signals, expected the same')
  field = lambda start, width, i: data[FIXED_BYTES + n_signals * start + width * i:][:width]
  samples = tuple(_whole(field(216, 8, i), 'samples', 1 << 24) for i in range(n_signals))
  header = EdfHeader(
      data=data, bytes_per_value=bytes_per_value, samples=samples,
      labels=tuple(field(0, 16, i).decode('latin-1').strip() for i in range(n_signals)),
      n_records=_whole(fixed[236:244], 'records', 1 << 26), record_s=_number(fixed[244:252]))
  expected = len(data) + header.n_records * header.record_bytes
  if size != expected:
    raise FormatError(f'{size} bytes, expected {expected}: {header.n_records} records of'
                      f' {header.record_bytes} after a header of {len(data)} (is it cut short?)')
  return header


def _whole(field: bytes, what: str, most: int) -> int:
  text = field.decode('latin-1').strip()
  if not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
    raise FormatError(f'{shorten(repr(text))} {what}, expected 1 to {most}')
  return int(text)


def _number(field: bytes) -> float:
  try:
    seconds = float(field)
  except ValueError as error:
    raise FormatError(f'records of {field!r} s, expected a number') from error
  if not (math.isfinite(seconds) and seconds > 0):
    raise FormatError(f'records of {seconds} s, expected more than 0')
  return seconds


def read_counts(path: str, wanted: Sequence[str], header: EdfHeader | None = None) -> Counts:
  """Reads the signals labelled `wanted`, which must share one rate.

  Raises:
    FormatError: see `read_header`; also a signal that is missing, a rate that differs, or a
      calibration that makes no sense.
    ValueError: if edfio is not installed.
  """
  try:
    import edfio  # here: an optional reader, see setup.cfg
  except ImportError as error:
    raise ValueError('EDF and BDF files are read with the package edfio, which is not installed,'
                     " expected pip install 'aemg_jax[formats]'") from error
  header = header or read_header(path)
  places = pick(header.labels, wanted)
  rates = {header.samples[i] for i in places}
  if len(rates) != 1:
    raise FormatError(f'signals of {sorted(rates)} samples a record, expected one rate')
  n_samples = header.n_records * next(iter(rates))
  if n_samples * len(places) > MAX_VALUES:
    raise FormatError(f'{n_samples} samples of {len(places)} signals, expected at most {MAX_VALUES}'
                      ' values')
  counts_tc, at = np.empty((n_samples, len(places)), np.int32), 0
  for signals in _pieces(edfio, path, header, wanted):
    try:
      columns = np.stack([signal.digital for signal in signals], axis=1)
      fields = [(s.physical_min, s.physical_max, s.digital_min, s.digital_max,
                 s.physical_dimension) for s in signals]
    except _READ_ERRORS as error:
      raise FormatError(f'{shorten(error)}, expected EDF or BDF') from error
    counts_tc[at:at + len(columns)] = columns
    at += len(columns)
  gains, baselines = zip(*(_calibration(label, *field[:4])
                           for label, field in zip(wanted, fields, strict=True)))
  return Counts(counts_tc, tuple(field[4].strip() for field in fields), gains, baselines,
                next(iter(rates)) / header.record_s)


def _pieces(edfio: Any, path: str, header: EdfHeader, wanted: Sequence[str]) -> Iterator[list[Any]]:
  """The signals `wanted`, some records at a time: each piece is a small file of its own."""
  read = edfio.read_edf if header.bytes_per_value == 2 else edfio.read_bdf
  per_piece = max(1, PIECE_BYTES // header.record_bytes)
  with open(path, 'rb') as f:
    f.seek(len(header.data))
    for first in range(0, header.n_records, per_piece):
      n = min(per_piece, header.n_records - first)
      head = header.data[:236] + str(n).encode().ljust(8) + header.data[244:]
      try:
        piece = read(head + f.read(n * header.record_bytes))
        by_label = {signal.label.strip(): signal for signal in piece.signals}
        signals = [by_label[label] for label in wanted]
      except _READ_ERRORS as error:
        raise FormatError(f'{shorten(error)}, expected EDF or BDF') from error
      yield signals


def _calibration(label: str, physical_min: float, physical_max: float, digital_min: int,
                 digital_max: int) -> tuple[float, float]:
  """Gain and baseline. A gain below 0 (an inverted channel) is legal and not read here."""
  span = digital_max - digital_min
  gain = (physical_max - physical_min) / span if span > 0 else float('nan')
  if not (math.isfinite(gain) and gain > 0):
    raise FormatError(f'{label!r} maps {digital_min}..{digital_max} to {physical_min}..'
                      f'{physical_max}, expected both to rise')
  return gain, digital_max - physical_max / gain
