"""Parses one file as a manifest says. NumPy and the format's reader only: workers import this."""

from collections.abc import Sequence
import dataclasses
import os

from aemg_jax.records import UNITS, Annotation, Label, Record, Sensor
import numpy as np

from data_builders import channels, wfdb_record
from data_builders.counts import FormatError
from data_builders.emg_folder import readers, spans
from data_builders.emg_folder.manifest import FILE, Manifest
from data_builders.jobs import (
    BAD_FORMAT, BAD_SIZE, BAD_VALUE, CONSTANT_CHANNEL, UNKNOWN_FILE, UNKNOWN_LABEL, Job, Reject,
    Unusable)

NAME = 'emg_folder'
RATE_TOLERANCE = 1e-3


def find_jobs(manifest: Manifest) -> list[Job]:
  """Every file that the manifest's pattern matches, in order of record id.

  A file with the pattern's extension that neither `files` nor `ignore` matches is a job too: its
  reject tells of a pattern that forgets some.

  Raises:
    ValueError: if no file matches, or the table of labels names one that is not there.
  """
  extension = os.path.splitext(manifest.files.text)[1].lower()
  jobs, n_matched = [], 0
  for name in _walk(manifest.folder):
    if name == manifest.labels.table or any(t.match(name) is not None for t in manifest.ignore):
      continue
    matched = manifest.files.match(name) is not None
    if matched or os.path.splitext(name)[1].lower() == extension:
      path = os.path.join(manifest.folder, *name.split('/'))
      n_bytes = os.path.getsize(path)
      if manifest.format == 'wfdb' and os.path.isfile(wfdb_record.samples_file(path)):
        n_bytes += os.path.getsize(wfdb_record.samples_file(path))
      jobs.append(Job(name, path, n_bytes))
      n_matched += matched
  if not n_matched:
    raise ValueError(f'{manifest.path}: files: got {manifest.files.text!r}, which matches none of'
                     ' the files below it, expected some')
  for file, rows in spans.read_table(manifest).items():
    if manifest.files.match(file) is None or not any(job.name == file for job in jobs):
      raise ValueError(f'{manifest.path}: labels.table.file: line {rows[0].line} of'
                       f' {manifest.labels.table} names {file!r}, expected a recording')
  return sorted(jobs, key=lambda job: record_id(job.name))


def _walk(folder: str) -> list[str]:
  return [os.path.relpath(os.path.join(at, name), folder).replace(os.sep, '/')
          for at, _, names in os.walk(folder) for name in names]


def raw_files(manifest: Manifest, jobs: Sequence[Job]) -> list[Job]:
  """All files that the records come from: also the manifest, the labels, and WFDB's samples."""
  names = [FILE] + ([manifest.labels.table] if manifest.labels.table else [])
  if manifest.format == 'wfdb':
    names += [wfdb_record.samples_file(job.name) for job in jobs]
  paths = [os.path.join(manifest.folder, *name.split('/')) for name in names]
  return [*jobs, *(Job(name, path, os.path.getsize(path))
                   for name, path in zip(names, paths, strict=True) if os.path.isfile(path))]


def record_id(name: str) -> str:
  """The path below the manifest: files that come later do not rename records."""
  return name


def parse(manifest: Manifest, job: Job) -> list[Record | Reject]:
  """One file -> one record, or the reason why not."""
  fields = manifest.files.match(job.name)
  if fields is None:
    return [Reject(job.name, UNKNOWN_FILE, f'expected {manifest.files.text!r}, or a pattern of'
                   f' {FILE}: ignore')]
  try:
    content = readers.read(manifest, job.path)
    signal_tc = _signal(manifest, content)
    _check_time(manifest, content)
    sensors = _sensors(manifest, content)
    labels, annotations = _spans(manifest, fields, job.name, content)
  except spans.UnknownLabel as error:
    return [Reject(job.name, UNKNOWN_LABEL, str(error))]
  except Unusable as unusable:
    return [unusable.reject(job.name)]
  except FormatError as error:
    return [Reject(job.name, BAD_FORMAT, str(error))]
  first = manifest.first_repetition
  repetition = int(fields['repetition'][:9]) - first if 'repetition' in fields else -1
  if repetition < 0 and 'repetition' in fields:
    return [Reject(job.name, UNKNOWN_FILE, f'repetition {fields["repetition"]}, expected at least'
                   f' {first} (repetition.first)')]
  return [Record(
      record_id=record_id(job.name), dataset=f'{NAME}/{manifest.name}',
      subject=fields.get('subject', manifest.subject),
      session=fields.get('session', manifest.session), repetition=repetition, kind='emg',
      signal_tc=signal_tc, rate_hz=manifest.rate_hz, bandwidth_hz=manifest.bandwidth_hz,
      is_envelope=manifest.is_envelope, sensors=sensors, labels=tuple(labels),
      annotations=tuple(annotations), licence=manifest.licence)]


def _signal(manifest: Manifest, content: readers.Content) -> np.ndarray:
  """The channels in the manifest's dtype, all finite, none constant, no number changed."""
  found_tc, dtype = content.signal_tc, np.dtype(manifest.dtype)
  if len(found_tc) < 2:
    raise Unusable(BAD_SIZE, f'{len(found_tc)} samples, expected at least 2')
  with np.errstate(over='ignore', invalid='ignore'):
    signal_tc = found_tc.astype(dtype)
    kept_tc = np.isfinite(signal_tc)
    if dtype.kind == 'i':  # text and counts must be whole numbers that fit
      kept_tc = np.isfinite(found_tc) & (signal_tc == found_tc)
  if not kept_tc.all():
    t, c = np.argwhere(~kept_tc)[0]
    raise Unusable(BAD_VALUE, f'{found_tc[t, c]} at sample {t}, {manifest.channels[c].signal.key},'
                   f' expected a finite number that {dtype} holds (dtype)')
  constant = channels.constant(signal_tc)
  if constant.size:
    c = constant[0]
    raise Unusable(CONSTANT_CHANNEL, f'{manifest.channels[c].signal.key}'
                   f' ({manifest.channels[c].signal.name!r}) is {signal_tc[0, c]} throughout,'
                   ' expected a signal')
  return signal_tc


def _check_time(manifest: Manifest, content: readers.Content) -> None:
  """The rate of a header or of a column of times must be the manifest's."""
  rate_hz = content.rate_hz
  if content.time is not None:
    time_s = content.time.astype(np.float64) * manifest.time_unit_s
    step_s = np.diff(time_s)
    if not (step_s >= 0).all() or not time_s[-1] > time_s[0]:  # NaN too
      raise Unusable(BAD_VALUE, f'{manifest.time.key}: time goes back or is no number at sample'
                     f' {int(np.argmin(step_s >= 0)) + 1}, expected it to rise')
    if step_s.max() > manifest.max_gap_s:
      raise Unusable(BAD_VALUE, f'{manifest.time.key}: a gap of {step_s.max():g} s after sample'
                     f' {int(step_s.argmax())}, expected at most {manifest.max_gap_s:g}'
                     ' (time.max_gap_s)')
    rate_hz = len(step_s) / (time_s[-1] - time_s[0])
  if rate_hz is not None and abs(rate_hz / manifest.rate_hz - 1) > RATE_TOLERANCE:
    raise Unusable(BAD_VALUE, f'a rate of {rate_hz:g} Hz, expected {manifest.rate_hz:g} within'
                   f' {RATE_TOLERANCE:g} (rate_hz)')


def _sensors(manifest: Manifest, content: readers.Content) -> tuple[Sensor, ...]:
  """The manifest's, with unit and scale of the file's header where it has one."""
  sensors = []
  for i, channel in enumerate(manifest.channels):
    sensor = channel.sensor
    if content.scales:
      sensor = dataclasses.replace(sensor, scale=content.scales[i])
    if channel.from_header:
      if content.units[i] not in UNITS:
        raise FormatError(f'{channel.signal.name!r} is in {content.units[i][:20]!r}, expected one'
                          f' of {UNITS} (or channels[{i}].unit)')
      sensor = dataclasses.replace(sensor, unit=content.units[i])
    sensors.append(sensor)
  return tuple(sensors)


def _spans(manifest: Manifest, fields: dict[str, str], name: str, content: readers.Content,
           ) -> tuple[list[Label], list[Annotation]]:
  n_samples, labels, annotations = len(content.signal_tc), [], []
  try:
    if 'label' in fields and (label := spans.native(manifest, fields['label'])) is not None:
      labels = [Label(0, n_samples, label)]
    if content.labels is not None:
      labels = spans.from_runs(manifest, content.labels)
    if manifest.labels.table:
      labels, annotations = spans.from_table(
          manifest, spans.read_table(manifest).get(name, []), n_samples)
    if content.repetition is not None:
      annotations = annotations + spans.repetitions(manifest, content.repetition)
  except spans.UnknownLabel:
    raise
  except ValueError as error:
    raise Unusable(BAD_VALUE, str(error)) from error
  return labels, annotations
