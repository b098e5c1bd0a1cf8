"""Where the slots of a segment lie, and which sentence each belongs to. Fixed shapes.

Letters: f frame, k slot of the segment, s sentence, j slot of a sentence.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from aemg_jax.sentences import contractions
from aemg_jax.sentences.words import Array, PrepareConfig


class Slots(NamedTuple):
  """Slots on the grid of sentences.

  Attributes:
    onset_sj: [S, slots] first sample, from the start of the segment.
    length_sj: [S, slots] valid samples; 0 where there is no slot.
    time_sj: [S, slots] 1 + whole slots between the sentence's first onset and this one.
    fallback: [] no contraction was found: the only slot is the strongest place.
  """
  onset_sj: jax.Array
  length_sj: jax.Array
  time_sj: jax.Array
  fallback: jax.Array


def n_sentences(n_samples: int, config: PrepareConfig) -> int:
  """Most sentences that a segment of `n_samples` can give: the leading axis of `tokenise`."""
  return -(-slot_bound(n_samples, config) // config.sentence.max_slots)


def slot_bound(n_samples: int, config: PrepareConfig) -> int:
  """Most slots that a segment of `n_samples` can give."""
  return max(1, -(-n_samples // _pitch(config)))


def _pitch(config: PrepareConfig) -> int:
  """Fewest samples between the onsets of two slots: a full one, or a short one and a gap."""
  if not config.contraction.gate:
    return config.word.slot_samples
  hop = config.contraction.hop
  gap = contractions.min_frames(config.contraction.merge_gap_s, config.rectify.rate_hz, hop) * hop
  return min(config.word.slot_samples, config.word.min_valid + max(gap, hop))


def tiled_slots(signal_tc: Array, n_samples: Array, config: PrepareConfig) -> Slots:
  """Gate off: consecutive slots from the first sample; slot k of sentence s is s * slots + k."""
  shape = (n_sentences(len(signal_tc), config), config.sentence.max_slots)
  samples = config.word.slot_samples
  onset_sj = (jnp.arange(shape[0] * shape[1], dtype=jnp.int32) * samples).reshape(shape)
  length_sj = jnp.clip(n_samples - onset_sj, 0, samples)
  time_sj = jnp.broadcast_to(jnp.arange(1, shape[1] + 1, dtype=jnp.int32)[None], shape)
  return Slots(onset_sj, length_sj, time_sj, jnp.zeros((), bool))


def gated_slots(
    signal_tc: Array, n_samples: Array, rest: contractions.RestStatistics,
    config: PrepareConfig) -> Slots:
  """Gate on: slots of the contractions; a sentence ends after `max_slots` slots or their time."""
  samples, gate = config.word.slot_samples, config.contraction
  active_f = contractions.contraction_frames(
      signal_tc, n_samples, rest, gate, config.rectify.rate_hz)
  start_f, stop_f = contractions.events(active_f, n_samples, gate.hop)
  full_f, left_f = jnp.divmod(stop_f - start_f, samples)
  count_f = full_f + (left_f >= config.word.min_valid)
  total_f = jnp.cumsum(count_f)
  n_slots = total_f[-1]
  slot_k = jnp.arange(slot_bound(len(signal_tc), config) + config.sentence.max_slots)
  event_k = jnp.minimum(jnp.searchsorted(total_f, slot_k, side='right'), len(total_f) - 1)
  onset_k = start_f[event_k] + (slot_k - (total_f - count_f)[event_k]) * samples
  length_k = jnp.minimum(stop_f[event_k] - onset_k, samples)
  fallback = n_slots == 0
  strongest = _strongest_start(signal_tc, n_samples, config)
  onset_k = jnp.where(fallback & (slot_k == 0), strongest, onset_k)
  length_k = jnp.where(
      fallback & (slot_k == 0), jnp.clip(n_samples - strongest, 0, samples), length_k)
  exists_k = slot_k < jnp.maximum(n_slots, 1)
  onset_k = jnp.where(exists_k, onset_k, jnp.iinfo(jnp.int32).max)
  onset_sj, first_s1, exists_sj, index_sj = _group(onset_k, exists_k, config, len(signal_tc))
  length_sj = jnp.where(exists_sj, length_k[index_sj], 0)
  time_sj = 1 + (onset_sj - first_s1) // samples
  return Slots(jnp.where(exists_sj, onset_sj, 0), length_sj, time_sj, fallback)


def _group(onset_k: jax.Array, exists_k: jax.Array, config: PrepareConfig, n_samples: int):
  """Greedy sentences: each starts at the first slot that the one before could not take."""
  slots = config.sentence.max_slots
  last = len(onset_k) - 1
  span = slots * config.word.slot_samples
  far_k = jnp.searchsorted(onset_k, jnp.where(exists_k, onset_k + span, onset_k), side='left')
  next_k = jnp.minimum(jnp.minimum(jnp.arange(last + 1) + slots, far_k), last)
  bound = n_sentences(n_samples, config)
  _, first_s = jax.lax.scan(
      lambda k, _: (next_k[k], k), jnp.zeros((), next_k.dtype), length=bound)
  index_sj = first_s[:, None] + jnp.arange(slots)[None]
  inside_sj = index_sj < next_k[first_s][:, None]
  index_sj = jnp.minimum(index_sj, last)
  return onset_k[index_sj], onset_k[first_s][:, None], inside_sj & exists_k[index_sj], index_sj


def _strongest_start(signal_tc: Array, n_samples: Array, config: PrepareConfig) -> jax.Array:
  """Start of the slot at the strongest energy window, moved to lie inside the segment."""
  energy_wc, valid_w = contractions.window_energy(signal_tc, n_samples, config.contraction)
  window = jnp.where(valid_w, energy_wc.sum(axis=1), -1).argmax()
  latest = jnp.maximum(n_samples - config.word.slot_samples, 0)
  return jnp.minimum(window * config.contraction.hop, latest)
