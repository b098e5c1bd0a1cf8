"""Augmentation of words on the device, one PRNG key per example (METHOD section 5.1).

Rotating or mirroring the ring is left out on purpose: it destroys the anatomy and loses 2 to 14
points there. Letters: b batch, n word, s slot, c channel, f bin.
"""

import dataclasses

import jax
import jax.numpy as jnp

from aemg_jax.sentences.words import Words


@dataclasses.dataclass(frozen=True)
class AugmentConfig:
  """Attributes:
    gain: sd of a log gain per channel, constant within a sentence.
    common_gain: sd of a log gain shared by all channels.
    noise: sd of noise on each word's log spectrum and log amplitude.
    channel_dropout: probability that a channel is absent from the sentence.
    single_slot: probability that a sentence is cut to one slot.
    random_length: cut to a random run of slots otherwise.
  """
  gain: float = 0.0
  common_gain: float = 0.0
  noise: float = 0.0
  channel_dropout: float = 0.0
  single_slot: float = 0.0
  random_length: bool = False


def augment(words: Words, keys_b: jax.Array, config: AugmentConfig, max_channels: int) -> Words:
  """Augmented copy of a batch; absent words stay absent. Fields not named above are unchanged."""
  return jax.vmap(lambda w, k: _augment_one(w, k, config, max_channels))(words, keys_b)


def single_slots(words: Words, max_channels: int) -> Words:
  """Each slot as a sentence of its own, at the first time: leading b becomes b * slots.

  Args:
    words: leading b; word n is in slot n // max_channels. Absent slots become absent sentences.
    max_channels: C of the grid.
  """
  b, n = words.valid_n.shape
  slots = n // max_channels
  cut = jax.tree.map(lambda x: x.reshape(b * slots, max_channels, *x.shape[2:]),
                     words._replace(bin_valid_f=None, fallback=None))
  return cut._replace(time_n=jnp.where(cut.valid_n, 1, 0).astype(words.time_n.dtype),
                      bin_valid_f=jnp.repeat(words.bin_valid_f, slots, axis=0),
                      fallback=jnp.repeat(words.fallback, slots, axis=0))


def _augment_one(words: Words, key: jax.Array, config: AugmentConfig, max_channels: int) -> Words:
  gain_key, common_key, noise_key, drop_key, crop_key = jax.random.split(key, 5)
  slots = words.valid_n.shape[0] // max_channels
  gain_c = config.gain * jax.random.normal(gain_key, (max_channels,))
  gain_c += config.common_gain * jax.random.normal(common_key)
  gain_n = jnp.tile(gain_c, slots)
  spectrum_key, amplitude_key = jax.random.split(noise_key)
  noise_nf = config.noise * jax.random.normal(spectrum_key, words.spectrum_nf.shape)
  noise_n = config.noise * jax.random.normal(amplitude_key, words.amplitude_n.shape)
  kept_c = jax.random.bernoulli(drop_key, 1 - config.channel_dropout, (max_channels,))
  words = words._replace(
      waveform_np=words.waveform_np * jnp.exp(gain_n)[:, None],
      spectrum_nf=words.spectrum_nf + 2 * gain_n[:, None] + noise_nf,
      amplitude_n=words.amplitude_n + gain_n + noise_n,
      valid_n=words.valid_n & jnp.tile(kept_c, slots))
  return _crop(words, crop_key, config, max_channels)


def _crop(words: Words, key: jax.Array, config: AugmentConfig, max_channels: int) -> Words:
  """A run of slots moved to the front of the grid; the rest becomes absent."""
  if not config.single_slot and not config.random_length:
    return words
  n = words.valid_n.shape[0]
  slots = n // max_channels
  single_key, length_key, start_key = jax.random.split(key, 3)
  used_s = words.valid_n.reshape(slots, -1).any(-1)  # a crop in seconds leaves the first ones empty
  first = jnp.argmax(used_s)
  held = jnp.maximum(slots - jnp.argmax(used_s[::-1]) - first, 1)
  length = jax.random.randint(length_key, (), 1, held + 1) if config.random_length else held
  single = jax.random.bernoulli(single_key, config.single_slot)
  length = jnp.where(single, 1, length)
  start = first + jax.random.randint(start_key, (), 0, held - length + 1)
  source_n = (jnp.arange(n) + start * max_channels) % n
  moved = jax.tree.map(lambda x: x[source_n] if x.ndim and x.shape[0] == n else x,
                       words._replace(bin_valid_f=None, fallback=None))
  first_time = jnp.maximum(moved.time_n[:max_channels].max() - 1, 0)  # of absent words it is 0
  kept_n = jnp.arange(n) < length * max_channels
  return moved._replace(
      valid_n=moved.valid_n & kept_n, time_n=jnp.maximum(moved.time_n - first_time, 0),
      bin_valid_f=words.bin_valid_f, fallback=words.fallback)
