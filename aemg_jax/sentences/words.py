"""Words on a grid of slots by channels, and the settings that make them.

A sentence is a fixed grid of S slots x C channels, flattened time-major: word n = slot * C +
channel. Absent words (channel gated off, slot past the end, padding channel) have `valid` False.
"""

import dataclasses
from typing import NamedTuple, TypeVar

import jax
import numpy as np

Array = jax.Array | np.ndarray
T = TypeVar('T')
MAX_WORDS = 256
MORE_CHANNELS = ('refuse', 'even', 'rings')


class Words(NamedTuple):
  """One sentence, or a batch of them with leading axes. n words, p samples a word, f spectrum bins.

  Attributes:
    waveform_np: [N, P] rectified samples over the session scale, 0 past `length_n`.
    spectrum_nf: [N, F] natural log of |DFT|^2 / valid length, power floor added. Hann window over
      the valid samples, bins 1..P/2 of P points, no DC.
    amplitude_n: [N] natural log of the word's RMS over the session scale, power floor added.
    length_n: [N] valid samples in the word.
    onset_n: [N] first sample of the word, from the start of the segment.
    time_n: [N] 1 + whole slots since the sentence's first onset, 1..max_slots; 0 is padding.
    position_n: [N] place round the ring, 1..16; 0 is padding.
    ring_n: [N] ring index, 1..; 0 is on no ring or padding.
    valid_n: [N] the word exists.
    bin_valid_f: [F] spectrum bins inside the device's information band.
    fallback: [] no contraction was found: the strongest slot was taken.
  """
  waveform_np: Array
  spectrum_nf: Array
  amplitude_n: Array
  length_n: Array
  onset_n: Array
  time_n: Array
  position_n: Array
  ring_n: Array
  valid_n: Array
  bin_valid_f: Array
  fallback: Array


@dataclasses.dataclass(frozen=True)
class RectifyConfig:
  """Raw recording -> one rate, band and scale.

  Attributes:
    rate_hz: common rate.
    highpass_hz: 3rd-order causal Butterworth high-pass; 0 is off. Never applied to envelopes.
    notch_hz: mains frequency whose harmonics below Nyquist are notched; 0 is off.
    scale: 'session' divides by the subject-session's RMS (unlabelled), 'fixed' by `fixed_scale`.
    fixed_scale: in the recording's own unit; a constant of the device, no statistic of a person.
      0 takes each set's own power of ten (`devices.describe`), which is stated in prepared.json.
  """
  rate_hz: float = 200.0
  highpass_hz: float = 2.0
  notch_hz: float = 0.0
  scale: str = 'session'
  fixed_scale: float = 1.0


@dataclasses.dataclass(frozen=True)
class ContractionConfig:
  """Event detection on log window energy, METHOD section 3. Window and hop in samples at the rate.

  Attributes:
    gate: False tiles the whole segment with slots (cued segments).
    window, hop: energy window and step, samples.
    rest_quantile: lowest share of the session's windows taken as rest.
    on_mad, off_mad: thresholds above the rest median in units of 1.4826 MAD.
    min_event_s, merge_gap_s: shorter events are dropped, shorter gaps merged.
  """
  gate: bool = False
  window: int = 50
  hop: int = 10
  rest_quantile: float = 0.1
  on_mad: float = 4.0
  off_mad: float = 2.0
  min_event_s: float = 0.1
  merge_gap_s: float = 0.1


@dataclasses.dataclass(frozen=True)
class WordConfig:
  """Slots within an event.

  Attributes:
    slot_samples: samples in a slot; the last of an event may be shorter.
    min_valid: shorter words are dropped, samples.
    channel_gate: a channel emits a word only above its session's off threshold.
    power_floor: added to power (session scale squared) before the logarithm.
  """
  slot_samples: int = 52
  min_valid: int = 20
  channel_gate: bool = False
  power_floor: float = 1e-3

  @property
  def n_bins(self) -> int:
    """Spectrum bins without DC."""
    return self.slot_samples // 2


@dataclasses.dataclass(frozen=True)
class SentenceConfig:
  """The grid. `max_slots * max_channels` is at most 256 words.

  Attributes:
    max_slots, max_channels: its sides; 0 channels are as many as the sets' widest montage has, or
      as many as fit. Prepared data state the number.
    more_channels: what becomes of a montage that does not fit: 'refuse', or some of its electrodes,
      chosen by place (`electrodes.choose`) and named in prepared.json: 'even' a share of each
      ring, 'rings' one ring after the other.
  """
  max_slots: int = 16
  max_channels: int = 8
  more_channels: str = 'refuse'


@dataclasses.dataclass(frozen=True)
class PrepareConfig:
  """All that decides the words of a recording.

  Attributes:
    segment: 'spans' cuts a recording into its label spans, 'recording' keeps it whole, as 'spans'
      does where there is no span.
    rest_labels: native labels that are never a segment of their own.
    skip_gaps: nor is, set by set, the rest that only fills the gaps between gestures
      (`devices.gap_labels`).
  """
  rectify: RectifyConfig = RectifyConfig()
  contraction: ContractionConfig = ContractionConfig()
  word: WordConfig = WordConfig()
  sentence: SentenceConfig = SentenceConfig()
  segment: str = 'spans'
  rest_labels: tuple[str, ...] = ()
  skip_gaps: bool = False

  def __post_init__(self):
    if self.segment not in ('spans', 'recording'):
      raise ValueError(
          f"PrepareConfig.segment: got {self.segment!r}, expected 'spans' or 'recording'")
    if self.rectify.scale not in ('session', 'fixed'):
      raise ValueError(
          f"RectifyConfig.scale: got {self.rectify.scale!r}, expected 'session' or 'fixed'")
    if self.contraction.hop < 1 or self.contraction.window % self.contraction.hop:
      raise ValueError(f'ContractionConfig.window: got {self.contraction.window}, expected a '
                       f'multiple of hop {self.contraction.hop}')
    if not 1 <= self.word.min_valid <= self.word.slot_samples:
      raise ValueError(f'WordConfig.min_valid: got {self.word.min_valid}, expected within '
                       f'[1, {self.word.slot_samples}]')
    words = self.sentence.max_slots * self.sentence.max_channels
    if words > MAX_WORDS:
      raise ValueError(
          f'SentenceConfig: max_slots * max_channels is {words}, expected at most {MAX_WORDS}')
    if self.sentence.more_channels not in MORE_CHANNELS:
      raise ValueError(f'SentenceConfig.more_channels: got {self.sentence.more_channels!r}, '
                       f'expected one of {MORE_CHANNELS}')


def with_channels(settings: T, max_channels: int) -> T:
  """The same settings with every `max_channels` of 0, at any depth, set to that number."""
  changes = {}
  for field in dataclasses.fields(settings):
    value = getattr(settings, field.name)
    if field.name == 'max_channels' and not value:
      changes[field.name] = max_channels
    elif dataclasses.is_dataclass(value):
      changes[field.name] = with_channels(value, max_channels)
  return dataclasses.replace(settings, **changes)
