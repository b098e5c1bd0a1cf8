"""Non-linear features of signal windows in JAX: entropies, fractal dimension, scaling, complexity.

Every function maps z_tc [T, C], one window a column with mean 0 and standard deviation 1 (a flat
window is all zeros), to [C] without unit, finite for every such input. Windows of many channels lie
side by side: on a CPU the last axis is the one that is vectorised, and nothing needs T x T numbers.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

UNROLL = 8  # lags of one loop step: the running sums are loaded and stored once for all of them
LENGTH_FLOOR = 1e-7  # of curve lengths and fluctuations, standard deviations: log(0) otherwise
FUZZY_FLOOR = 1e-30  # of a mean similarity, which may underflow
WORD_BITS = 32
POWER_OF_TWO = np.polynomial.Chebyshev.interpolate(  # of 2^x, to 1e-7 where |x| <= 1/2
    np.exp2, 5, [-0.5, 0.5]).convert(kind=np.polynomial.Polynomial).coef


def template_entropies(
    z_tc: jax.Array, length: int, tolerance: float, fuzzy_tolerance: float, fuzzy_power: int
) -> tuple[jax.Array, jax.Array]:
  """Sample entropy and fuzzy entropy, nats.

  Over all pairs i < j of the M = T - m templates, m = `length`, with D_m the largest of
  |z[i + l] - z[j + l]|, l = 0..m-1:

    sample entropy = -ln(A / B), B the pairs with D_m <= r, A those with D_{m+1} <= r
    fuzzy entropy = ln(phi_m / phi_{m+1}), phi_m the mean of exp(-(F_m / r)^p)

  F_m is D_m of templates less their own means. Richman & Moorman, Am. J. Physiol. 278 (2000)
  H2039; Chen et al., IEEE TNSRE 15 (2007) 266, with the membership of Chen et al., Med. Eng. Phys.
  31 (2009) 61, which does not depend on the signal's unit.
  Instead of infinity, no match at m + 1 counts as one, and no match at m gives Richman & Moorman's
  upper bound, ln of the number of pairs.

  The pairs are visited lag by lag on the ring of templates: lags 1..M/2 meet each pair once.

  Args:
    tolerance, fuzzy_tolerance: r of either, in standard deviations.
    fuzzy_power: p.
  """
  n_templates = z_tc.shape[0] - length
  shifted = [z_tc[offset:offset + n_templates] for offset in range(length + 1)]
  groups = (shifted, _without_mean(shifted[:-1], fuzzy_tolerance),
            _without_mean(shifted, fuzzy_tolerance))
  pairs = [[(one_ic, jnp.concatenate([one_ic, one_ic])) for one_ic in group] for group in groups]

  def visit(lag, sums):
    plain, short, long = (
        [jnp.abs(one_ic - jax.lax.dynamic_slice_in_dim(ring_ic, lag, n_templates))
         for one_ic, ring_ic in group] for group in pairs)
    near_ic = functools.reduce(jnp.maximum, plain[:-1])
    similar = [_exp_minus(functools.reduce(jnp.maximum, far) ** fuzzy_power)
               for far in (short, long)]
    terms = (near_ic <= tolerance, jnp.maximum(near_ic, plain[-1]) <= tolerance, *similar)
    return tuple(total_ic + term_ic for total_ic, term_ic in zip(sums, terms))

  zeros = (jnp.zeros_like(shifted[0], jnp.int32),) * 2 + (jnp.zeros_like(shifted[0]),) * 2
  sums = jax.lax.fori_loop(1, (n_templates + 1) // 2, visit, zeros, unroll=UNROLL)
  totals = [s_ic.sum(0) for s_ic in sums]
  if n_templates % 2 == 0:  # the lag of half a ring meets its pairs twice
    last = visit(n_templates // 2, zeros)
    totals = [total_c + s_ic[:n_templates // 2].sum(0) for total_c, s_ic in zip(totals, last)]
  short_c, long_c, phi_c, phi_long_c = (total_c.astype(z_tc.dtype) for total_c in totals)
  n_pairs = n_templates * (n_templates - 1) / 2
  ratio_c = jnp.maximum(long_c, 1) / jnp.maximum(short_c, 1)
  sample_c = jnp.where(short_c > 0, -jnp.log(ratio_c), math.log(n_pairs))
  log_phi = lambda total_c: jnp.log(jnp.maximum(total_c / n_pairs, FUZZY_FLOOR))
  return sample_c, log_phi(phi_c) - log_phi(phi_long_c)


def _without_mean(template: list[jax.Array], unit: float) -> list[jax.Array]:
  """Entries of the templates less each template's mean, over `unit`."""
  mean_ic = sum(template) / len(template)
  centred = [(entry_ic - mean_ic) * (1 / unit) for entry_ic in template]
  return centred[:1] if len(template) == 2 else centred  # of two, one is minus the other


def _exp_minus(x: jax.Array) -> jax.Array:
  """exp(-x) for x >= 0; in float32 2^n times a polynomial, half of the entropies' time on a CPU.

  The float32 error is below 2e-7 + 2e-7 x, relative; from 87 on it is exp(-87), 1e-38. (n is not
  taken by adding and subtracting 1.5 * 2^23: XLA cancels the two.)
  """
  if x.dtype != jnp.float32:
    return jnp.exp(-x)
  exponent = jnp.minimum(x, 87) * -math.log2(math.e)
  whole = jnp.round(exponent)
  rest = exponent - whole
  power = jnp.full_like(rest, POWER_OF_TWO[-1])
  for coefficient in POWER_OF_TWO[-2::-1]:
    power = power * rest + float(coefficient)
  bits = jax.lax.bitcast_convert_type(power, jnp.int32) + (whole.astype(jnp.int32) << 23)
  return jax.lax.bitcast_convert_type(bits, x.dtype)


def higuchi(z_tc: jax.Array, kmax: int) -> jax.Array:
  """Higuchi's fractal dimension: the slope of ln L(k) over ln(1 / k), k = 1..kmax.

  L(k) is the mean over m = 0..k-1 of (T - 1) / (n_m k^2) sum_i |z[m + i k] - z[m + (i - 1) k]|, n_m
  the number of terms. Higuchi, Physica D 31 (1988) 277, eq. 2-4. A flat window gives 0.

  One loop over time adds the steps of all k from a sample at once: the sums stay in registers, where
  a sum over the first axis for each k would read the windows kmax times.
  """
  n_samples = z_tc.shape[0]
  weight_tk1 = np.zeros((n_samples - 1, kmax, 1), z_tc.dtype)
  for k in range(1, kmax + 1):
    terms_i = (n_samples - 1 - np.arange(n_samples - k) % k) // k
    weight_tk1[:n_samples - k, k - 1, 0] = (n_samples - 1) / (terms_i * k ** 3)
  weight_tk1 = jnp.asarray(weight_tk1)
  padded_tc = jnp.pad(z_tc, ((0, kmax), (0, 0)))

  def add(t, length_kc):
    here_1c = jax.lax.dynamic_slice_in_dim(padded_tc, t, 1)
    ahead_kc = jax.lax.dynamic_slice_in_dim(padded_tc, t + 1, kmax)
    return length_kc + jnp.abs(ahead_kc - here_1c) * weight_tk1[t]

  length_kc = jnp.zeros((kmax, z_tc.shape[1]), z_tc.dtype)
  length_kc = jax.lax.fori_loop(0, n_samples - 1, add, length_kc, unroll=UNROLL)
  return _log_slope(1 / np.arange(1, kmax + 1), length_kc)


def dfa_scales(n_samples: int, shortest: int, fraction: float, ratio: float) -> tuple[int, ...]:
  """Segment lengths: floor(shortest * ratio^i) up to fraction * n_samples, each once."""
  n_steps = math.floor(math.log(fraction * n_samples / shortest) / math.log(ratio))
  return tuple(sorted({math.floor(shortest * ratio ** i) for i in range(n_steps + 1)}))


def detrended_fluctuation(z_tc: jax.Array, scales: tuple[int, ...]) -> jax.Array:
  """DFA's alpha: the slope of ln F(n) over ln n.

  The running sum of z is cut into T // n segments of n samples from its start; F(n) is the root
  mean square of what is left of all of them after a straight line is fitted to each. Peng et al.,
  Phys. Rev. E 49 (1994) 1685. A flat window gives 0.
  """
  walk_tc, fluctuations = _running_sum(z_tc), []
  for scale in scales:
    n_segments = z_tc.shape[0] // scale
    piece_snc = walk_tc[:n_segments * scale].reshape(n_segments, scale, -1)
    time_1n1 = (np.arange(scale) - (scale - 1) / 2)[None, :, None].astype(z_tc.dtype)
    piece_snc = piece_snc - piece_snc.mean(axis=1, keepdims=True)
    slope_s1c = (piece_snc * time_1n1).sum(axis=1, keepdims=True) / np.square(time_1n1).sum()
    fluctuations.append(jnp.sqrt(jnp.square(piece_snc - slope_s1c * time_1n1).mean(axis=(0, 1))))
  return _log_slope(np.array(scales), jnp.stack(fluctuations))


def _running_sum(z_tc: jax.Array) -> jax.Array:
  """jnp.cumsum over time, sample by sample: a third of the time of its tree of sums on a CPU."""
  add = lambda total_c, z_c: (total_c + z_c, total_c + z_c)
  return jax.lax.scan(add, jnp.zeros_like(z_tc[0]), z_tc, unroll=UNROLL)[1]


def _log_slope(x: np.ndarray, y_kc: jax.Array) -> jax.Array:
  """Least-squares slope of ln y over ln x, per column."""
  centred_k = np.log(x) - np.log(x).mean()
  weight_k1 = (centred_k / np.square(centred_k).sum())[:, None].astype(y_kc.dtype)
  log_kc = jnp.log(jnp.maximum(y_kc, LENGTH_FLOOR))
  return ((log_kc - log_kc[:1]) * weight_k1).sum(0)  # exactly 0 where all y are the same


def lempel_ziv(is_high_tc: jax.Array) -> jax.Array:
  """Normalised Lempel-Ziv complexity c log2(T) / T of binary sequences.

  c is the number of words of the exhaustive history: from position p on, a word is the longest
  string that also starts at some q < p (and may reach past p), and one symbol more. Lempel & Ziv,
  IEEE Trans. Inf. Theory 22 (1976) 75; Kaspar & Schuster, Phys. Rev. A 36 (1987) 842.

  One step of the loop compares the 32 symbols from p on with those from every q < p: the smallest
  exclusive or has the longest common start. Rare longer matches go on with the next 32.

  Args:
    is_high_tc: [T, C] bool.
  """
  n_samples, n_channels = is_high_tc.shape
  bits_tc = _packed(is_high_tc)
  index_t1 = jnp.arange(n_samples)[:, None]

  def unfinished(state):
    return (state[0] < n_samples).any()

  def next_word(state):
    start_1c, words_1c = state
    before_tc = index_t1 < start_1c
    least_1c, _ = _least_difference(bits_tc, before_tc, start_1c)
    matched_1c = jax.lax.clz(least_1c).astype(jnp.int32)
    longer_1c = (least_1c == 0) & (start_1c + WORD_BITS < n_samples)
    matched_1c = jax.lax.cond(
        longer_1c.any(), lambda: _longer_match(bits_tc, before_tc, start_1c, matched_1c, longer_1c),
        lambda: matched_1c)
    stop_1c = jnp.minimum(start_1c + matched_1c + 1, n_samples)
    return stop_1c, words_1c + (start_1c < n_samples)

  zeros_1c = jnp.zeros((1, n_channels), jnp.int32)
  words_c = jax.lax.while_loop(unfinished, next_word, (zeros_1c, zeros_1c))[1][0]
  return words_c * jnp.asarray(math.log2(n_samples) / n_samples, jnp.result_type(float))


def _least_difference(
    ahead_tc: jax.Array, alive_tc: jax.Array, start_1c: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Exclusive or of the symbols ahead of `start` with those ahead of all t: (least alive, all)."""
  here_1c = jnp.take_along_axis(ahead_tc, jnp.minimum(start_1c, len(ahead_tc) - 1), axis=0)
  differs_tc = ahead_tc ^ here_1c
  ones = jnp.uint32(2 ** WORD_BITS - 1)
  return jnp.where(alive_tc, differs_tc, ones).min(axis=0, keepdims=True), differs_tc


def _longer_match(
    bits_tc: jax.Array, before_tc: jax.Array, start_1c: jax.Array, matched_1c: jax.Array,
    longer_1c: jax.Array) -> jax.Array:
  """Length of the longest match where the first 32 symbols agree (`longer`), else `matched`."""
  n_samples = len(bits_tc)

  def extend(state):
    ahead_tc, alive_tc, matched_1c, longer_1c = state
    _, differs_tc = _least_difference(ahead_tc, alive_tc, start_1c)
    alive_tc = alive_tc & (differs_tc == 0)
    ahead_tc = _later(ahead_tc, WORD_BITS)
    least_1c, _ = _least_difference(ahead_tc, alive_tc, start_1c)
    more_1c = jnp.where(longer_1c, jax.lax.clz(least_1c).astype(jnp.int32), 0)
    longer_1c = longer_1c & (least_1c == 0) & (start_1c + matched_1c + more_1c < n_samples)
    return ahead_tc, alive_tc, matched_1c + more_1c, longer_1c

  state = (bits_tc, before_tc, matched_1c, longer_1c)
  return jax.lax.while_loop(lambda state: state[-1].any(), extend, state)[2]


def _packed(is_high_tc: jax.Array) -> jax.Array:
  """[T, C] uint32: the 32 symbols from each sample on, the first in the highest bit, 0 past the end."""
  bits_tc, width = is_high_tc.astype(jnp.uint32), 1
  while width < WORD_BITS:
    bits_tc, width = (bits_tc << width) | _later(bits_tc, width), 2 * width
  return bits_tc


def _later(x_tc: jax.Array, count: int) -> jax.Array:
  """x_tc from sample `count` on, zeros after its end."""
  return jnp.pad(x_tc, ((0, count), (0, 0)))[count:]
