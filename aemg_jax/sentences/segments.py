"""The parts of a recording that become sentences: its label spans, or all of it."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from aemg_jax import sources
from aemg_jax.records import Label, Record
from aemg_jax.sentences import rectify, sentence
from aemg_jax.sentences.devices import Device
from aemg_jax.sentences.words import PrepareConfig

NO_LABEL = -1
REPETITION = 'repetition'  # annotation that numbers the repetitions inside a recording


@dataclasses.dataclass(frozen=True)
class Segment:
  """A part of a rectified recording.

  Attributes:
    signal_tc: [T, max_channels] float32 over the session scale.
    channels: the montage.
    row: its columns in the segment table.
  """
  signal_tc: np.ndarray
  channels: sentence.Channels
  row: dict[str, Any]


def label_names(opened: Sequence[sources.RecordSource], devices: Sequence[Device],
                config: PrepareConfig) -> tuple[str, ...]:
  """Names of the labels in the order of the datasets, without rest."""
  names = dict.fromkeys(name for source, device in zip(opened, devices)
                        for name in source.meta.label_names if name not in device.gap_labels)
  return tuple(name for name in names if name not in config.rest_labels)


def longest(record: Record, device: Device, config: PrepareConfig) -> int:
  """Samples of the longest segment that `cut` can make of the recording."""
  spans = [_to_common(record, span, config) for span in _spans(record, device, config)]
  return max([stop - start for start, stop in spans], default=0)


def cut(
    record: Record, device: Device, rectified: rectify.Rectified, signal_tc: np.ndarray,
    labels: tuple[str, ...], config: PrepareConfig,
    reject: Callable[[str, str, str], None]) -> Iterator[Segment]:
  """Segments of one recording, in time order.

  Args:
    record: for labels and names.
    device: of its set.
    rectified: for the montage.
    signal_tc: [T, max_channels] float32, scaled and padded.
    labels: all names that are segments.
    config: how to cut.
    reject: called with name, reason and detail for a span that is too short.
  """
  channels = channels_of(rectified, config)
  for index, span in enumerate(_spans(record, device, config)):
    start, stop = _to_common(record, span, config)
    if stop - start < config.word.min_valid:
      reject(f'{record.dataset}/{record.record_id}', 'span too short',
             f'label {index} ({span.name!r}) has {stop - start} samples at '
             f'{config.rectify.rate_hz:g} Hz, expected {config.word.min_valid}')
      continue
    yield Segment(signal_tc[start:stop], channels, {
        'record_id': record.record_id, 'dataset': record.dataset, 'source': device.source,
        'subject': record.subject, 'session': record.session, 'repetition': _repetition(record, span),
        'label': labels.index(span.name) if span.name in labels else NO_LABEL,
        'start_s': start / config.rectify.rate_hz, 'stop_s': stop / config.rectify.rate_hz})


def channels_of(rectified: rectify.Rectified, config: PrepareConfig) -> sentence.Channels:
  """The montage, padded to `max_channels`."""
  missing = config.sentence.max_channels - len(rectified.position_c)
  return sentence.Channels(
      np.pad(rectified.position_c, (0, missing)), np.pad(rectified.ring_c, (0, missing)),
      np.arange(config.sentence.max_channels) < len(rectified.position_c),
      np.float32(rectified.bandwidth_hz))


def _spans(record: Record, device: Device, config: PrepareConfig) -> list[Label]:
  """Label spans without rest; or the whole recording, under its label if it has exactly one."""
  spans = [label for label in record.labels
           if label.name not in config.rest_labels and label.name not in device.gap_labels]
  if config.segment == 'spans' and record.labels:
    return sorted(spans, key=lambda label: label.start)
  return [Label(0, record.n_samples, spans[0].name if len(spans) == 1 else '')]


def _to_common(record: Record, span: Label, config: PrepareConfig) -> tuple[int, int]:
  """[start, stop) at the common rate."""
  ratio = config.rectify.rate_hz / record.rate_hz
  length = rectify.resampled_length(record.n_samples, record.rate_hz, config.rectify.rate_hz)
  whole = span.stop == record.n_samples
  return round(span.start * ratio), length if whole else min(round(span.stop * ratio), length)


def _repetition(record: Record, span: Label) -> int:
  """The recording's, else the annotation's that the span starts in, else counted by label."""
  if record.repetition >= 0:
    return record.repetition
  for note in record.annotations:
    if note.name == REPETITION and note.start <= span.start < note.stop:
      return int(note.value)
  return sum(label.name == span.name and label.start < span.start for label in record.labels)
