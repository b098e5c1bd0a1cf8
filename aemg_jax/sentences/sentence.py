"""THE tokeniser: a rectified signal becomes sentences of words, in fixed shapes.

One inner function, `make_words`, serves whole segments (`tokenise`) and single windows
(`tokenise_windows`), offline, on an accelerator and in streaming. All arguments may be vmapped;
`config` is static. Letters beyond the house's: s sentence, j slot of a sentence, k slot of the
segment.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aemg_jax.sentences import contractions, slots
from aemg_jax.sentences.words import Array, PrepareConfig, WordConfig, Words

TOKENISER_VERSION = '1'


class Channels(NamedTuple):
  """The montage of one recording, padded to `max_channels`.

  Attributes:
    position_c: [C] place round the ring, 1..16; 0 is padding.
    ring_c: [C] ring index, 1..; 0 is on no ring or padding.
    valid_c: [C] the channel exists.
    bandwidth_hz: [] true information band after resampling; 0 masks every bin.
  """
  position_c: Array
  ring_c: Array
  valid_c: Array
  bandwidth_hz: Array


class _SlotWords(NamedTuple):
  """Words of slots, every channel, before they are laid on the grid."""
  waveform_kcp: jax.Array
  spectrum_kcf: jax.Array
  amplitude_kc: jax.Array
  valid_kc: jax.Array


@functools.lru_cache
def _hann(slot_samples: int) -> np.ndarray:
  """[P + 1, P] periodic Hann window of every valid length."""
  length = np.arange(slot_samples + 1)[:, None]
  sample = np.arange(slot_samples)[None]
  window = 0.5 - 0.5 * np.cos(2 * np.pi * sample / np.maximum(length, 1))
  return np.where(sample < length, window, 0).astype(np.float32)


@functools.lru_cache
def _dft(slot_samples: int) -> np.ndarray:
  """[P, 2 F] cosines, then sines, of bins 1..P/2."""
  bins = np.arange(1, slot_samples // 2 + 1)[None]
  angle = 2 * np.pi * bins * np.arange(slot_samples)[:, None] / slot_samples
  return np.concatenate([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


def bin_valid(bandwidth_hz: Array, config: PrepareConfig) -> jax.Array:
  """[F] the bin's centre frequency lies inside the information band."""
  bins = np.arange(1, config.word.n_bins + 1, dtype=np.float32)
  step_hz = config.rectify.rate_hz / config.word.slot_samples
  return bins * step_hz <= bandwidth_hz + 1e-3


def make_words(
    slot_kpc: Array, length_k: Array, channels: Channels, rest: contractions.RestStatistics,
    config: PrepareConfig) -> _SlotWords:
  """Features of slots, from the slot's own samples alone.

  Args:
    slot_kpc: [K, P, C] samples over the session scale; those past the valid length are ignored.
    length_k: [K] valid samples.
  """
  word = config.word
  exists_kp = jnp.arange(word.slot_samples)[None] < length_k[:, None]
  waveform_kcp = jnp.swapaxes(jnp.where(exists_kp[:, :, None], slot_kpc, 0), 1, 2)
  count_k1 = jnp.maximum(length_k, 1).astype(jnp.float32)[:, None]
  hann_kp = jnp.asarray(_hann(word.slot_samples))[length_k]
  parts_kcf = jnp.matmul(
      waveform_kcp * hann_kp[:, None], _dft(word.slot_samples), precision=jax.lax.Precision.HIGHEST)
  square_kcf = jnp.square(parts_kcf)
  power_kcf = (square_kcf[..., :word.n_bins] + square_kcf[..., word.n_bins:]) / count_k1[..., None]
  mean_square_kc = jnp.square(waveform_kcp).sum(axis=-1) / count_k1
  valid_kc = (length_k >= word.min_valid)[:, None] & channels.valid_c[None]
  if word.channel_gate:
    valid_kc &= _above_rest(mean_square_kc, channels, rest, config)
  return _SlotWords(
      waveform_kcp, jnp.log(power_kcf + word.power_floor),
      jnp.log(mean_square_kc + word.power_floor) / 2, valid_kc)


def _above_rest(mean_square_kc, channels, rest, config):
  """Channels above their own off threshold, and the strongest of each slot."""
  threshold_c = rest.median_c + config.contraction.off_mad * rest.mad_c
  above_kc = contractions.log_energy(mean_square_kc) > threshold_c[None]
  strongest_k = jnp.where(channels.valid_c[None], mean_square_kc, -1).argmax(axis=1)
  return above_kc | (strongest_k[:, None] == jnp.arange(mean_square_kc.shape[1])[None])


def tokenise(
    signal_tc: Array, n_samples: Array, channels: Channels, rest: contractions.RestStatistics,
    config: PrepareConfig) -> Words:
  """Sentences of one segment.

  Args:
    signal_tc: [T, max_channels] float32 at `rate_hz`, over the session scale.
    n_samples: [] samples that exist; what lies past them is ignored.
    channels: the montage.
    rest: the session's statistics; read only by the gates.
    config: static.

  Returns:
    Words with a leading axis of `slots.n_sentences(T, config)`. Sentences past the last word are
    all invalid. `onset_n` counts from the start of the segment.
  """
  _check_channels(signal_tc, config)
  if config.contraction.gate:
    places = slots.gated_slots(signal_tc, n_samples, rest, config)
    slot_kpc = _gather(signal_tc, places.onset_sj.reshape(-1), config.word)
  else:
    places = slots.tiled_slots(signal_tc, n_samples, config)
    shape = (slots.slot_bound(len(signal_tc), config), config.word.slot_samples)
    padded_tc = jnp.pad(signal_tc, ((0, shape[0] * shape[1] - len(signal_tc)), (0, 0)))
    slot_kpc = padded_tc.reshape(*shape, -1)
  length_k = places.length_sj.reshape(-1)[:len(slot_kpc)]
  return _lay_out(make_words(slot_kpc, length_k, channels, rest, config), places, channels, config)


def tokenise_windows(
    signal_tc: Array, n_samples: Array, starts_w: Array, channels: Channels,
    rest: contractions.RestStatistics, config: PrepareConfig) -> Words:
  """One-slot sentences from windows at any place: Words with a leading axis of W, N = C."""
  _check_channels(signal_tc, config)
  samples = config.word.slot_samples
  length_w = jnp.clip(n_samples - starts_w, 0, samples)
  slot_kpc = _gather(signal_tc, starts_w, config.word)
  features = make_words(slot_kpc, length_w, channels, rest, config)
  places = slots.Slots(
      starts_w[:, None], length_w[:, None], jnp.ones((len(starts_w), 1), jnp.int32),
      jnp.zeros((), bool))
  return _lay_out(features, places, channels, config)


tokenise_batch = jax.jit(
    jax.vmap(tokenise, in_axes=(0, 0, 0, 0, None)), static_argnums=4)
tokenise_windows_batch = jax.jit(
    jax.vmap(tokenise_windows, in_axes=(0, 0, 0, 0, 0, None)), static_argnums=5)


def _check_channels(signal_tc: Array, config: PrepareConfig) -> None:
  if signal_tc.shape[1] != config.sentence.max_channels:
    raise ValueError(
        f'SentenceConfig.max_channels: got {config.sentence.max_channels}, '
        f'the signal is padded to {signal_tc.shape[1]} channels, expected the same')


def _gather(signal_tc: Array, starts_k: Array, word: WordConfig) -> jax.Array:
  padded_tc = jnp.pad(signal_tc, ((0, word.slot_samples), (0, 0)))
  size = (word.slot_samples, signal_tc.shape[1])
  return jax.vmap(lambda start: jax.lax.dynamic_slice(padded_tc, (start, 0), size))(starts_k)


def _lay_out(
    words: _SlotWords, places: slots.Slots, channels: Channels, config: PrepareConfig) -> Words:
  """Slots on the grid of sentences, n = slot * C + channel; what is absent is zero."""
  grid = places.length_sj.shape
  n_channels = channels.valid_c.shape[0]
  missing = grid[0] * grid[1] - words.valid_kc.shape[0]

  def flat(value_kc):
    pad = ((0, missing),) + ((0, 0),) * (value_kc.ndim - 1)
    return jnp.pad(value_kc, pad).reshape(grid[0], grid[1] * n_channels, *value_kc.shape[2:])

  valid_sn = flat(words.valid_kc)

  def spread(value_sj):
    value_sjc = jnp.broadcast_to(value_sj[..., None], (*grid, n_channels))
    return jnp.where(valid_sn, value_sjc.reshape(grid[0], -1), 0).astype(jnp.int32)

  def of_channel(value_c):
    tiled_sn = jnp.broadcast_to(value_c, (*grid, n_channels)).reshape(grid[0], -1)
    return jnp.where(valid_sn, tiled_sn, 0).astype(jnp.int32)

  return Words(
      waveform_np=jnp.where(valid_sn[..., None], flat(words.waveform_kcp), 0),
      spectrum_nf=jnp.where(valid_sn[..., None], flat(words.spectrum_kcf), 0),
      amplitude_n=jnp.where(valid_sn, flat(words.amplitude_kc), 0),
      length_n=spread(places.length_sj),
      onset_n=spread(places.onset_sj),
      time_n=spread(places.time_sj),
      position_n=of_channel(channels.position_c),
      ring_n=of_channel(channels.ring_c),
      valid_n=valid_sn,
      bin_valid_f=jnp.broadcast_to(
          bin_valid(channels.bandwidth_hz, config)[None], (grid[0], config.word.n_bins)),
      fallback=jnp.broadcast_to(places.fallback, (grid[0],)))
