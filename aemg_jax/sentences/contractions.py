"""Contractions: the session's rest, and the events above it, in fixed shapes (METHOD section 3).

Time is cut into frames of `hop` samples. The energy window that is centred on a frame decides it:
an event therefore starts and ends at frame borders, and the smear of the window (window / 2 either
side for a strong burst) is symmetric. Letters: f frame, w window (window w starts at frame w).
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from aemg_jax.sentences.words import Array, ContractionConfig

ENERGY_FLOOR = 1e-8  # of the session scale squared: keeps digital silence finite
MAD_TO_SIGMA = 1.4826


class RestStatistics(NamedTuple):
  """Rest of one subject-session, without labels: natural log of energy over scale squared.

  Attributes:
    median, mad: [] of the energy summed over channels; `mad` is 1.4826 times the median deviation.
    median_c, mad_c: [C] the same for each channel alone.
  """
  median: Array
  mad: Array
  median_c: Array
  mad_c: Array


def window_energy(
    signal_tc: Array, n_samples: Array, config: ContractionConfig) -> tuple[jax.Array, jax.Array]:
  """Mean square of every window and channel.

  Args:
    signal_tc: [T, C] over the session scale; what lies past `n_samples` is ignored.
    n_samples: [] samples that exist.

  Returns:
    energy_wc: [ceil(T / hop), C]; a recording shorter than a window has one window, of its length.
    valid_w: the window lies inside the recording. Valid windows are a prefix.
  """
  n_frames = -(-signal_tc.shape[0] // config.hop)
  ratio = config.window // config.hop
  exists_t = jnp.arange(signal_tc.shape[0]) < n_samples
  square_tc = jnp.where(exists_t[:, None], jnp.square(signal_tc), 0)
  missing = (n_frames + ratio - 1) * config.hop - len(square_tc)
  square_tc = jnp.pad(square_tc, ((0, missing), (0, 0)))
  sum_fc = square_tc.reshape(-1, config.hop, square_tc.shape[1]).sum(axis=1)
  total_wc = sum(sum_fc[r:r + n_frames] for r in range(ratio))
  start_w = jnp.arange(n_frames) * config.hop
  valid_w = (start_w + config.window <= n_samples) | ((start_w == 0) & (n_samples > 0))
  length = jnp.clip(n_samples, 1, config.window)
  return total_wc / length, valid_w


def log_energy(energy: Array) -> jax.Array:
  """Natural log with the floor."""
  return jnp.log(energy + ENERGY_FLOOR)


def rest_statistics(
    energy_wc: Array, valid_w: Array, config: ContractionConfig) -> RestStatistics:
  """Median and deviation of the quietest `rest_quantile` of a session's windows.

  Args:
    energy_wc: [W, C] windows of all recordings of the session, in any order.
    valid_w: [W]; at least one is True.
  """
  n_rest = jnp.maximum(1, jnp.ceil(config.rest_quantile * valid_w.sum() - 1e-4).astype(jnp.int32))
  total_w1 = log_energy(energy_wc.sum(axis=1))[:, None]
  values_wk = jnp.concatenate([total_w1, log_energy(energy_wc)], axis=1)
  rest_wk = jnp.sort(jnp.where(valid_w[:, None], values_wk, jnp.inf), axis=0)
  median_k = _median_of_first(rest_wk, n_rest)
  is_rest_w1 = (jnp.arange(len(rest_wk)) < n_rest)[:, None]
  deviation_wk = jnp.where(is_rest_w1, jnp.abs(rest_wk - median_k[None]), jnp.inf)
  mad_k = MAD_TO_SIGMA * _median_of_first(jnp.sort(deviation_wk, axis=0), n_rest)
  return RestStatistics(median_k[0], mad_k[0], median_k[1:], mad_k[1:])


def _median_of_first(sorted_wk: jax.Array, count: jax.Array) -> jax.Array:
  return (sorted_wk[(count - 1) // 2] + sorted_wk[count // 2]) / 2


def hysteresis(level_w: Array, on: Array, off: Array) -> jax.Array:
  """[W] bool: above `on` starts, below `off` ends, in between keeps the last decision."""
  index_w = jnp.arange(level_w.shape[0])
  decisive_w = jnp.where(level_w > on, 2 * index_w + 1, jnp.where(level_w < off, 2 * index_w, 0))
  return jax.lax.cummax(decisive_w) % 2 == 1


def runs(mask_f: Array) -> tuple[jax.Array, jax.Array]:
  """First frame of, and frame past the end of, the run of True that a frame lies in.

  Values at frames that are False have no meaning.
  """
  index_f = jnp.arange(mask_f.shape[0])
  rises_f = mask_f & ~jnp.pad(mask_f[:-1], (1, 0))
  falls_f = mask_f & ~jnp.pad(mask_f[1:], (0, 1))
  start_f = jax.lax.cummax(jnp.where(rises_f, index_f, 0))
  stop_f = jax.lax.cummin(jnp.where(falls_f, index_f + 1, mask_f.shape[0]), reverse=True)
  return start_f, stop_f


def min_frames(seconds: float, rate_hz: float, hop: int) -> int:
  """Fewest frames that are not under `seconds`."""
  return math.ceil(seconds * rate_hz / hop - 1e-9)


def contraction_frames(
    signal_tc: Array, n_samples: Array, rest: RestStatistics, config: ContractionConfig,
    rate_hz: float) -> jax.Array:
  """Frames inside a contraction: hysteresis, then short events dropped, then short gaps merged.

  Args:
    signal_tc: [T, C] over the session scale.
    n_samples: [] samples that exist.
    rest: statistics of the whole session, never of this signal alone.

  Returns:
    active_f: [ceil(T / hop)] bool.
  """
  energy_wc, valid_w = window_energy(signal_tc, n_samples, config)
  level_w = log_energy(energy_wc.sum(axis=1))
  state_w = hysteresis(
      level_w, rest.median + config.on_mad * rest.mad, rest.median + config.off_mad * rest.mad)
  index_f = jnp.arange(len(level_w))
  centre = (config.window // config.hop - 1) // 2
  window_f = jnp.clip(index_f - centre, 0, jnp.maximum(valid_w.sum() - 1, 0))
  active_f = state_w[window_f] & (index_f * config.hop < n_samples)
  start_f, stop_f = runs(active_f)
  active_f &= stop_f - start_f >= min_frames(config.min_event_s, rate_hz, config.hop)
  start_f, stop_f = runs(~active_f)
  short_f = stop_f - start_f < min_frames(config.merge_gap_s, rate_hz, config.hop)
  n_frames = -(-n_samples // config.hop)
  return active_f | (short_f & (start_f > 0) & (stop_f < n_frames))


def events(active_f: Array, n_samples: Array, hop: int) -> tuple[jax.Array, jax.Array]:
  """Samples [start, stop) of the event that begins at each frame; start = stop where none does."""
  start_f, stop_f = runs(active_f)
  index_f = jnp.arange(active_f.shape[0])
  begins_f = active_f & (start_f == index_f)
  stop_samples_f = jnp.minimum(stop_f * hop, n_samples)
  return index_f * hop, jnp.where(begins_f, stop_samples_f, index_f * hop)
