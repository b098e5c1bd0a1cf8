"""What a built set says of its own device, so that no list of sets has to be kept by hand."""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from aemg_jax import sources
from aemg_jax.records import Record
from aemg_jax.sentences import electrodes, rectify
from aemg_jax.sentences.words import MAX_WORDS, PrepareConfig, with_channels

REST = 'rest'  # common name of the gesture that is none
GAPS = 2.0
PROBED = 48  # recordings that a scale is taken from


@dataclasses.dataclass(frozen=True)
class Device:
  """Settings of one built set that follow from the set itself.

  Attributes:
    source: NAME or NAME/CONFIG, which tells its words apart from those of other sets.
    fixed_scale: what signals are divided by under 'fixed' scale, in the set's unit.
    gap_labels: native labels that are no segment here.
    facts: of its recordings, as JSON: least and largest rate and band, units, whether envelopes,
      and the electrodes kept of each montage.
  """
  source: str
  fixed_scale: float
  gap_labels: frozenset[str]
  facts: dict[str, Any] = dataclasses.field(hash=False)

  def as_json(self) -> dict[str, Any]:
    """For prepared.json and checkpoints."""
    return {'source': self.source, 'fixed_scale': self.fixed_scale,
            'gap_labels': sorted(self.gap_labels), **self.facts}


def source_name(meta: sources.DatasetMeta) -> str:
  """NAME or NAME/CONFIG."""
  return f'{meta.name}/{meta.config}' if meta.config else meta.name


def outline(record: Record) -> Record:
  """The recording with zeros for samples, which take no memory."""
  shape = record.signal_tc.shape
  return dataclasses.replace(record, signal_tc=np.broadcast_to(np.int16(0), shape))


def resolve(outlines: Iterable[Record], config: PrepareConfig) -> PrepareConfig:
  """The config with its number of channels: the widest montage of the sets, as far as it fits."""
  widest = max((record.n_channels for record in outlines if record.kind == 'emg'), default=1)
  return with_channels(config, min(widest, MAX_WORDS // config.sentence.max_slots))


def describe(source: sources.RecordSource, outlines: Sequence[Record],
             config: PrepareConfig) -> Device:
  """A set's device, from the outlines of its recordings and, for a scale, some of them.

  Raises:
    ValueError: more electrodes than fit, and `more_channels` is 'refuse'.
  """
  sentence, name = config.sentence, source_name(source.meta)
  rates_hz, bands_hz, units, envelope, montages = [], [], set(), set(), {}
  for record in outlines:
    if record.kind != 'emg':
      continue
    if record.n_channels > sentence.max_channels and sentence.more_channels == 'refuse':
      raise ValueError(
          f'SentenceConfig.max_channels: got {sentence.max_channels}, but '
          f'{record.dataset}/{record.record_id} has {record.n_channels} channels')
    rates_hz.append(round(record.rate_hz, 3))
    bands_hz.append(round(rectify.information_band(record, config.rectify.rate_hz), 3))
    units |= {sensor.unit for sensor in record.sensors}
    envelope.add(record.is_envelope)
    montages.setdefault(record.sensors)
  span = lambda values: [min(values), max(values)] if values else []
  facts = {'rate_hz': span(rates_hz), 'band_hz': span(bands_hz), 'units': sorted(units),
           'envelope': sorted(envelope), 'electrodes': _electrodes(montages, config)}
  scale = config.rectify.fixed_scale
  if config.rectify.scale == 'fixed' and not scale:
    scale = probe_scale(source, config)
  return Device(name, scale, gap_labels(source.meta) if config.skip_gaps else frozenset(), facts)


def _electrodes(montages, config: PrepareConfig) -> list[dict[str, Any]]:
  """Each montage once: of how many electrodes which are kept, with their places."""
  found = []
  for sensors in montages:
    kept = electrodes.choose(sensors, config.sentence.max_channels, config.sentence.more_channels)
    position_c, ring_c = rectify.electrode_places(sensors)
    entry = {'of': len(sensors), 'kept': [sensors[i].name for i in kept],
             'position': position_c[kept].tolist(), 'ring': ring_c[kept].tolist()}
    if entry not in found:
      found.append(entry)
  return found


def gap_labels(meta: sources.DatasetMeta) -> frozenset[str]:
  """Labels of rest with more than twice as many spans as the other labels have at the median.

  Such rest lies between any two gestures; rest that is cued as often as they are is one of them.
  """
  counts = meta.counts['labels'] if 'labels' in meta.counts else {}
  rest = {name for name, common in meta.common_names.items() if common == REST}
  others = [count for name, count in counts.items() if name not in rest]
  if not others:
    return frozenset()
  limit = GAPS * float(np.median(others))
  return frozenset(name for name in rest if name in counts and counts[name] > limit)


def probe_scale(source: Sequence[Record], config: PrepareConfig) -> float:
  """The power of ten nearest to the median RMS of up to 48 recordings, spread over the set.

  Rounded so coarsely it is a constant of the device: no single person moves it, unless the median
  lies on the border of two decades.
  """
  rms = []
  for i in np.unique(np.linspace(0, len(source) - 1, PROBED).astype(int)):
    record = source[int(i)]
    try:
      keep_c = electrodes.choose(
          record.sensors, config.sentence.max_channels, config.sentence.more_channels)
      signal_tc = rectify.rectify(record, config.rectify, config.word.min_valid, keep_c).signal_tc
    except rectify.RejectedError:
      continue
    rms.append(float(np.sqrt(np.square(signal_tc).mean())))
  rms = [x for x in rms if x > 0]
  return 10.0 ** round(math.log10(np.median(rms))) if rms else 1.0
