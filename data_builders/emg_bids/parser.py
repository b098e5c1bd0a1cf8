"""Parses one EMG-BIDS recording: MNE-BIDS says what holds for it, edfio gives the stored counts.

MNE alone would give volts as float64, interpolate signals of a lower rate, and keep the padding at
the end of the last block of a BDF file.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any
import warnings

from aemg_jax.records import Annotation, Label, Record, Sensor
import numpy as np

from data_builders import edf, optional
from data_builders.counts import Counts, FormatError, shorten
from data_builders.emg_bids import electrodes, layout
from data_builders.emg_bids.layout import BAD, MISSING, Dataset
from data_builders.jobs import (
    BAD_FORMAT, BAD_SIZE, BAD_VALUE, CONSTANT_CHANNEL, UNKNOWN_FILE, UNKNOWN_LABEL, Job, Reject,
    Unusable)

NAME = 'emg_bids'
RATE_TOLERANCE = 1e-3
PADDING = 'BAD_ACQ_SKIP'  # as MNE marks it in the file
UNITS = {'V': 'V', 'mV': 'mV', 'uV': 'uV', '\u00b5V': 'uV', '\u03bcV': 'uV', '': 'nominal',
         'n/a': 'nominal'}


@dataclasses.dataclass(frozen=True)
class Told:
  """What MNE-BIDS says: names of EMG channels and of bad ones, and where padding begins."""
  emg: frozenset[str]
  bad: frozenset[str]
  padding_s: float | None


def parse(dataset: Dataset, job: Job) -> list[Record | Reject]:
  """One recording -> one record, or the reason why not."""
  record_id = layout.record_id(job.name)
  if not record_id:
    return [Reject(job.name, UNKNOWN_FILE, 'expected sub-LABEL/[ses-LABEL/]emg/sub-LABEL'
                   '[_ses-LABEL][_KEY-LABEL...]_emg.bdf or .edf')]
  try:
    return [_record(dataset, job, record_id)]
  except FormatError as error:
    return [Reject(job.name, BAD_FORMAT, str(error))]
  except Unusable as unusable:
    return [unusable.reject(job.name)]


def _record(dataset: Dataset, job: Job, record_id: str) -> Record:
  root = dataset.root
  header = edf.read_header(job.path)  # checked before MNE opens it
  channels = layout.channels(root, job.name)
  names, events = [row['name'] for row in channels], layout.events(root, job.name)
  if dataset.n_channels not in (None, len(names)):  # the tables changed since they were described
    raise FormatError(f'{len(names)} EMG channels, expected {dataset.n_channels} as before')
  if unknown := {e.name for e in events if not _is_bad(e.name)} - set(dataset.label_names):
    raise Unusable(UNKNOWN_LABEL, f'{shorten(sorted(unknown))}, expected some of'
                   f' {shorten(dataset.label_names)} as before')
  told = _ask_mne_bids(root, job)
  if not set(names) <= told.emg:
    raise FormatError(f'{sorted(set(names) - told.emg)[0]!r} is EMG in channels.tsv and not for'
                      ' MNE-BIDS, expected both to agree')
  counts = edf.read_counts(job.path, names, header)
  _check_rate(root, job.name, channels, counts.rate_hz)
  n_samples = _n_samples(root, job.name, counts, told)
  counts = dataclasses.replace(counts, counts_tc=counts.counts_tc[:n_samples])
  _check_signal(names, counts, told)
  as_counts = dataset.dtype == 'int32'
  signal_tc = (counts.centred() if as_counts else counts.physical()).astype(dataset.dtype)
  labels, annotations = _spans(events, counts.rate_hz, n_samples)
  annotations += [Annotation(0, n_samples, 'bad_channel', float(names.index(name)))
                  for name in sorted(told.bad & set(names), key=names.index)]
  entities = dict(entity.split('-', 1) for entity in record_id.split('_'))
  device = [entities[key] for key in ('recording', 'acq') if key in entities]
  return Record(
      record_id=record_id, dataset=f'{NAME}/{dataset.name}', subject=entities['sub'],
      session='/'.join([entities.get('ses', '1'), *device]), repetition=-1, kind='emg',
      signal_tc=signal_tc, rate_hz=counts.rate_hz,
      bandwidth_hz=_bandwidth_hz(channels, counts.rate_hz), is_envelope=False,
      sensors=_sensors(root, job.name, channels, counts, as_counts), labels=tuple(labels),
      annotations=tuple(annotations), licence=dataset.licence)


def _is_bad(name: str) -> bool:
  return name.upper().startswith(BAD)


def _ask_mne_bids(root: str, job: Job) -> Told:
  mne_bids = optional.reader('mne-bids', 'the tables of EMG-BIDS', 'bids')
  try:
    with warnings.catch_warnings():
      warnings.simplefilter('ignore')
      path = mne_bids.get_bids_path_from_fname(job.path, verbose='error').update(root=root)
      raw = mne_bids.read_raw_bids(path, verbose='error')
  except Exception as error:  # MNE 1.13 raises Exception itself on a wrong byte in annotations
    raise FormatError(f'MNE-BIDS: {type(error).__name__}: {shorten(error)}') from error
  marks = [onset for onset, description in zip(
      raw.annotations.onset, raw.annotations.description, strict=True) if description == PADDING]
  types = zip(raw.ch_names, raw.get_channel_types(), strict=True)
  return Told(emg=frozenset(name for name, kind in types if kind == 'emg'),
              bad=frozenset(raw.info['bads']), padding_s=float(marks[-1]) if marks else None)


def _check_rate(root: str, name: str, channels: Sequence[dict[str, str]], rate_hz: float) -> None:
  """The header's rate, the JSON's and the table's must agree."""
  stated = {row.get('sampling_frequency', 'n/a') for row in channels} - set(MISSING)
  stated.add(str(_sidecar_json(root, name).get('SamplingFrequency', rate_hz)))
  for text in sorted(stated):
    if abs(_number(text, 'a sampling frequency') / rate_hz - 1) > RATE_TOLERANCE:
      raise Unusable(BAD_VALUE, f'a rate of {shorten(text)} Hz beside the file, expected'
                     f' {rate_hz:g} as its header says')


def _sidecar_json(root: str, name: str) -> dict[str, Any]:
  path = layout.sidecar(root, name, 'emg', '.json')
  return {} if path is None else layout.read_json(path)


def _number(text: str, what: str) -> float:
  try:
    return float(text)
  except ValueError as error:
    raise FormatError(f'{shorten(text)!r}, expected {what}') from error


def _n_samples(root: str, name: str, counts: Counts, told: Told) -> int:
  """Samples without the padding of the last block: the file's own mark, else the JSON's duration.

  Without a mark, a file is cut only where all its channels stay constant after the duration.
  """
  n_samples, rate_hz = len(counts.counts_tc), counts.rate_hz
  if told.padding_s is not None:
    n_kept = round(told.padding_s * rate_hz)
    if not 0 < n_kept <= n_samples:
      raise Unusable(BAD_SIZE, f'padding from sample {n_kept}, expected 1 to {n_samples}')
    return n_kept
  stated = _sidecar_json(root, name).get('RecordingDuration', 'n/a')
  if str(stated) in MISSING:
    return n_samples
  n_stated = round(_number(str(stated), 'a duration in s') * rate_hz)
  if n_stated > n_samples + 1:
    raise Unusable(BAD_SIZE, f'{n_samples} samples, expected {n_stated} as RecordingDuration says'
                   ' (is the file cut short?)')
  tail_tc = counts.counts_tc[n_stated:]
  if n_stated < 2 or len(tail_tc) < 2 or (tail_tc != tail_tc[0]).any():
    return n_samples
  # MNE-BIDS states the time of the last sample: then that sample differs from the one before.
  return n_stated + int((tail_tc[0] != counts.counts_tc[n_stated - 1]).any())


def _check_signal(names: Sequence[str], counts: Counts, told: Told) -> None:
  if len(counts.counts_tc) < 2:
    raise Unusable(BAD_SIZE, f'{len(counts.counts_tc)} samples, expected at least 2')
  for c in np.flatnonzero((counts.counts_tc == counts.counts_tc[0]).all(axis=0)):
    if names[c] not in told.bad:
      raise Unusable(CONSTANT_CHANNEL, f'channel {names[c]!r} is {counts.counts_tc[0, c]}'
                     ' throughout, expected a signal, or the status bad')


def _bandwidth_hz(channels: Sequence[dict[str, str]], rate_hz: float) -> float:
  """The lowest of the channels' upper cut-offs, at most half the rate."""
  cutoffs = [row.get('high_cutoff', 'n/a') for row in channels]
  stated = [_number(text, 'a cut-off in Hz') for text in cutoffs if text not in MISSING]
  return min([rate_hz / 2, *(hz for hz in stated if hz > 0)])


def _sensors(root: str, name: str, channels: Sequence[dict[str, str]], counts: Counts,
             as_counts: bool) -> tuple[Sensor, ...]:
  """Named by the muscle where each channel has its own, with unit and gain of the file's header."""
  muscles = [row.get('target_muscle', 'n/a') for row in channels]
  by_muscle = len(set(muscles)) == len(muscles) and not set(muscles) & set(MISSING)
  sensors = []
  for i, place in enumerate(electrodes.places(root, name, channels)):
    if counts.units[i] not in UNITS:
      raise FormatError(f'{channels[i]["name"]!r} is in {shorten(counts.units[i])!r}, expected one'
                        f' of {sorted(UNITS)} for EMG')
    sensors.append(Sensor(
        name=muscles[i] if by_muscle else channels[i]['name'], unit=UNITS[counts.units[i]],
        scale=counts.gains[i] if as_counts else 1.0, **place))
  return tuple(sensors)


def _spans(events: Sequence[layout.Event], rate_hz: float, n_samples: int,
           ) -> tuple[list[Label], list[Annotation]]:
  """Events that last are labels; BAD_* are annotations, and so are all where some overlap."""
  spans = []
  for event in events:
    start, stop = event.onset_s * rate_hz, (event.onset_s + event.duration_s) * rate_hz
    if not (-1 < start < stop < n_samples + 1):  # the last sample may be rounded up
      raise Unusable(BAD_VALUE, f'event {shorten(event.name)!r} from sample {start:g} to {stop:g},'
                     f' expected them in order within the {n_samples} of the recording')
    first, last = max(0, round(start)), min(n_samples, round(stop))
    if first < last:
      spans.append((first, last, event.name))
  good = sorted(span for span in spans if not _is_bad(span[2]))
  overlap = any(stop > start for (_, stop, _), (start, _, _) in zip(good, good[1:]))
  labels = [] if overlap else [Label(*span) for span in good]
  rest = sorted(set(spans) - set(() if overlap else good))
  return labels, [Annotation(*span, 1.0) for span in rest]
