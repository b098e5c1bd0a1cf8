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

from data_builders import optional
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

  def field(self, start: int, width: int, i: int) -> str:
    """Text of signal i in the field that begins `start` bytes into each signal's header."""
    at = FIXED_BYTES + len(self.samples) * start + width * i
    return self.data[at:at + width].decode('latin-1').strip()


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
  column = lambda start, width: (data[at:at + width] for at in range(
      FIXED_BYTES + n_signals * start, FIXED_BYTES + n_signals * (start + width), width))
  header = EdfHeader(
      data=data, bytes_per_value=bytes_per_value,
      samples=tuple(_whole(field, 'samples', 1 << 24) for field in column(216, 8)),
      labels=tuple(field.decode('latin-1').strip() for field in column(0, 16)),
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
  edfio = optional.reader('edfio', 'EDF and BDF files')
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
  for columns in _pieces(edfio, path, header, wanted):
    counts_tc[at:at + len(columns)] = columns
    at += len(columns)
  gains, baselines = calibrations(header, wanted)
  return Counts(counts_tc, tuple(header.field(96, 8, i) for i in places), gains, baselines,
                next(iter(rates)) / header.record_s)


def _pieces(edfio: Any, path: str, header: EdfHeader, wanted: Sequence[str],
            ) -> Iterator[np.ndarray]:
  """Counts [t, C] of some records at a time: each piece is a small file of its own."""
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
        columns = np.stack([by_label[label].digital for label in wanted], axis=1)
      except _READ_ERRORS as error:
        raise FormatError(f'{shorten(error)}, expected EDF or BDF') from error
      yield columns


def calibrations(header: EdfHeader, wanted: Sequence[str],
                 ) -> tuple[tuple[float, ...], tuple[float, ...]]:
  """Gains, and the counts that stand for 0, of the signals `wanted`.

  Raises:
    FormatError: for a signal that is missing, or that does not rise (an inverted channel is legal,
      and not read here).
  """
  gains, baselines = [], []
  for label, i in zip(wanted, pick(header.labels, wanted), strict=True):
    texts = [header.field(start, 8, i) for start in (104, 112, 120, 128)]
    try:
      low, high, digital_low, digital_high = map(float, texts)
      gain = (high - low) / (digital_high - digital_low)
      if not (math.isfinite(gain) and gain > 0 and digital_high > digital_low):
        raise ValueError('they do not rise')
    except (ValueError, ZeroDivisionError) as error:
      raise FormatError(f'{label!r} maps counts {texts[2:]} to {texts[:2]}, expected numbers, both'
                        ' to rise') from error
    gains.append(gain)
    baselines.append(digital_high - high / gain)
  return tuple(gains), tuple(baselines)
