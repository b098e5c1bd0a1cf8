"""Signals of one WFDB record as stored, through wfdb; for any header, unlike a set's own parser.

The header is checked before anything else is opened: wfdb follows the file names in it, and is slow
on long lines.
"""

from collections.abc import Sequence
import dataclasses
import os
from typing import Any

import numpy as np

from data_builders import optional
from data_builders.counts import Counts, FormatError, pick, shorten
from data_builders.jobs import Job
from data_builders.raw import read_along

MAX_HEADER_BYTES = 1 << 20
MAX_LINE_BYTES = 512  # wfdb's patterns are slow on long lines
MAX_VALUES = 1 << 27  # 512 MiB of counts in memory
MAX_BASELINE = 1 << 30
BYTES = {'16': 2, '24': 3, '32': 4}  # formats read here: little-endian, one number after another
DEFAULT_GAIN = 200.0  # what the reader puts where a header has none, 0 or no number
# What wfdb 4.3 raises on headers that it cannot make sense of.
READ_ERRORS = (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError)


def read_counts(path: str, wanted: Sequence[str]) -> Counts:
  """Reads the signals named `wanted` of the record with the header at `path` (.hea).

  Raises:
    FormatError: a broken header, samples that do not agree with it, or a signal that is missing.
    ValueError: if wfdb is not installed.
  """
  wfdb = optional.reader('wfdb', 'WFDB records')
  if '::' in path:  # wfdb's file layer would follow it to other addresses
    raise FormatError(f"path {path!r} holds '::', expected none")
  header = _header(wfdb, path)
  places = pick(header.sig_name, wanted)
  gains, baselines = [], []
  for name, i in zip(wanted, places, strict=True):
    gain, baseline = header.adc_gain[i], header.baseline[i]
    if not (gain is not None and 0 < gain < float('inf')) or gain == DEFAULT_GAIN:
      raise FormatError(f'gain of {name!r} is {gain}, expected above 0 ({DEFAULT_GAIN:g} stands for'
                        ' none)')
    if baseline is None or abs(baseline) > MAX_BASELINE:
      raise FormatError(f'baseline of {name!r} is {baseline}, expected at most {MAX_BASELINE} in'
                        ' size')
    gains.append(1 / gain)
    baselines.append(float(baseline))
  counts_tc = _samples(path, header)[:, places]
  return Counts(counts_tc, tuple(header.units[i] for i in places), tuple(gains), tuple(baselines),
                float(header.fs))


def record_jobs(files: Sequence[Job]) -> list[Job]:
  """One job per record, its header, with the size of header and samples: shards are cut by it.

  Samples without their header stay a job of their own, for the parser to reject.
  """
  sizes = {job.name: job.n_bytes for job in files}
  jobs = []
  for job in files:
    stem, extension = os.path.splitext(job.name)
    if extension == '.hea':
      jobs.append(dataclasses.replace(job, n_bytes=sizes.get(f'{stem}.dat', 0) + job.n_bytes))
    elif f'{stem}.hea' not in sizes:
      jobs.append(job)
  return jobs


def record_files(jobs: Sequence[Job]) -> list[Job]:
  """The headers of `record_jobs` and their samples, for a checksum over both."""
  return read_along(jobs, lambda job: [samples_file(job.path)])


def samples_file(path: str) -> str:
  """Path of the samples that belong to a header: its name, with .dat."""
  return f'{path.removesuffix(".hea")}.dat'


def _header(wfdb: Any, path: str) -> Any:
  size = os.path.getsize(path)
  if not 0 < size <= MAX_HEADER_BYTES:
    raise FormatError(f'header of {size} bytes, expected 1 to {MAX_HEADER_BYTES}')
  with open(path, 'rb') as f:
    if (longest := max(map(len, f.read().splitlines()))) > MAX_LINE_BYTES:
      raise FormatError(f'header line of {longest} bytes, expected at most {MAX_LINE_BYTES}')
  try:
    header = wfdb.rdheader(path.removesuffix('.hea'))
    _check_header(header, os.path.basename(samples_file(path)))
  except FormatError:
    raise
  except READ_ERRORS as error:
    raise FormatError(f'{shorten(error)}, expected a WFDB header') from error
  return header


def _check_header(header: Any, dat: str) -> None:
  n = getattr(header, 'n_sig', None)
  if not n or getattr(header, 'n_seg', None) is not None:
    raise FormatError('no signals, or several segments, expected one segment with signals')
  if len(header.file_name) != n:
    raise FormatError(f'{len(header.file_name)} lines of signals, expected {n}')
  if not (header.fs and 0 < header.fs < float('inf')):
    raise FormatError(f'rate of {header.fs} Hz, expected above 0')
  for field, found, expected in (
      ('file name', set(header.file_name), {dat}),
      ('samples per frame', set(header.samps_per_frame) - {None}, {1}),
      ('skew', set(header.skew) - {None}, {0}), ('byte offset', set(header.byte_offset) - {None},
                                                 {0})):
    if not found <= expected or len(set(header.fmt)) != 1 or header.fmt[0] not in BYTES:
      raise FormatError(f'{field} {shorten(sorted(found))} in format {shorten(set(header.fmt))},'
                        f' expected {sorted(expected)} in one of the formats {sorted(BYTES)}')


def _samples(path: str, header: Any) -> np.ndarray:
  """All signals, int32 [T, S], compared with the checksums of the header."""
  width, n_samples = BYTES[header.fmt[0]], header.sig_len or 0
  dat = samples_file(path)
  size = os.path.getsize(dat) if os.path.isfile(dat) else 0
  if not 1 <= n_samples * header.n_sig <= MAX_VALUES or size != n_samples * header.n_sig * width:
    raise FormatError(f'.dat of {size} bytes, expected {n_samples} samples of {header.n_sig}'
                      f' signals of {width} bytes, at most {MAX_VALUES} values')
  stored_ts = read_frames(dat, header.fmt[0]).reshape(n_samples, header.n_sig)
  sums = stored_ts.sum(axis=0, dtype=np.int64) & 0xFFFF
  for name, total, expected in zip(header.sig_name, sums, header.checksum, strict=True):
    if expected is not None and total != expected & 0xFFFF:
      raise FormatError(f'checksum of {name!r} is {total}, expected {expected} as the header says')
  missing = np.argwhere(stored_ts == -1 << (8 * width - 1))
  if missing.size:
    raise FormatError(f'no value at sample {missing[0, 0]} of {header.sig_name[missing[0, 1]]!r},'
                      ' expected one')
  return stored_ts.astype(np.int32)


def read_frames(dat: str, form: str) -> np.ndarray:
  """All numbers of a file in format `form`, of BYTES, one after another: int16 or int32.

  wfdb's own reader parses the header again first, which takes longer than all the rest.
  """
  if form != '24':
    return np.fromfile(dat, f'<i{BYTES[form]}')
  padded_nb = np.zeros((os.path.getsize(dat) // 3, 4), np.uint8)
  padded_nb[:, 1:] = np.fromfile(dat, np.uint8).reshape(-1, 3)
  return padded_nb.view('<i4')[:, 0] >> 8
