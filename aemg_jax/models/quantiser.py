"""Vector quantisation with l2-normalised lookup, EMA codes, k-means initialisation and revival.

The codebook is a pytree outside the parameters. A forward pass gives SUMS (`CodeStats`); whoever
trains adds them over devices and calls `update`, so codes are the same on any device count.
Letters: b batch, n word, k code, d code width.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class QuantiserConfig:
  """Attributes:
    codes: K.
    width: code width d.
    decay: of the EMA over batches.
    revive_below: a code whose EMA count falls below this is replaced by a word of the batch; 0 off.
    kmeans_words, kmeans_iterations: initialisation on that many buffered words; 0 iterations is off.
  """
  codes: int = 256
  width: int = 32
  decay: float = 0.99
  revive_below: float = 0.1
  kmeans_words: int = 16384
  kmeans_iterations: int = 20


class Codebook(NamedTuple):
  """code_kd: unit rows. count_k, sum_kd: EMA of assigned words and of their sum."""
  code_kd: jax.Array
  count_k: jax.Array
  sum_kd: jax.Array


class CodeStats(NamedTuple):
  """Sums over one batch; candidate_kd, candidate_k: a word that could replace code k, and whether there is one."""
  count_k: jax.Array
  sum_kd: jax.Array
  candidate_kd: jax.Array
  candidate_k: jax.Array


def normalise(x: jax.Array) -> jax.Array:
  """Unit length along the last axis."""
  return x * jax.lax.rsqrt(jnp.maximum((x * x).sum(-1, keepdims=True), 1e-12))


def init_codebook(key: jax.Array, config: QuantiserConfig) -> Codebook:
  """Random unit codes, each counted once."""
  code_kd = normalise(jax.random.normal(key, (config.codes, config.width), jnp.float32))
  return Codebook(code_kd, jnp.ones(config.codes), code_kd)


def lookup(z_bnd: jax.Array, codebook: Codebook) -> tuple[jax.Array, jax.Array]:
  """Nearest code of each unit vector, and the code with the straight-through gradient.

  Returns:
    index_bn int32, quantised_bnd with d quantised / d z = identity.
  """
  sim_bnk = jnp.einsum('bnd,kd->bnk', z_bnd, codebook.code_kd, precision='highest')
  index_bn = first_of_max(sim_bnk)
  code_bnd = codebook.code_kd[index_bn]
  return index_bn, z_bnd + jax.lax.stop_gradient(code_bnd - z_bnd)


def first_of_max(x_k: jax.Array) -> jax.Array:
  """[...] int32, `jnp.argmax(x, -1)` of finite numbers as two plain reductions, which XLA's CPU
  compiler vectorises."""
  k = x_k.shape[-1]
  index_k = jax.lax.broadcasted_iota(jnp.int32, x_k.shape, x_k.ndim - 1)
  first = jnp.where(x_k == x_k.max(-1, keepdims=True), index_k, k).min(-1)
  return jnp.minimum(first, k - 1)  # NaN equals nothing


def code_stats(z_bnd: jax.Array, index_bn: jax.Array, valid_bn: jax.Array, codes: int,
               row_b: jax.Array, n_rows: jax.Array, key: jax.Array) -> CodeStats:
  """Sums over the valid words of this device's rows.

  Args:
    z_bnd, index_bn, valid_bn: unit vectors, their codes, which words count.
    codes: K.
    row_b, n_rows: place of each example in the global batch, and the global batch size.
    key: the step's key, the same on every device; it draws the candidates.
  """
  z_bnd = jax.lax.stop_gradient(z_bnd)
  weight_m = valid_bn.reshape(-1).astype(jnp.float32)
  index_m = index_bn.reshape(-1)
  z_md = z_bnd.reshape(-1, z_bnd.shape[-1])
  count_k = jnp.zeros(codes).at[index_m].add(weight_m)
  sum_kd = jnp.zeros((codes, z_md.shape[-1])).at[index_m].add(z_md * weight_m[:, None])
  row_key, word_key = jax.random.split(key)
  row_k = jax.random.randint(row_key, (codes,), 0, n_rows)
  word_k = jax.random.randint(word_key, (codes,), 0, valid_bn.shape[1])
  here_k = row_k[:, None] == row_b[None, :]
  local_k = jnp.argmax(here_k, axis=1)
  found_k = (here_k.any(axis=1) & valid_bn[local_k, word_k]).astype(jnp.float32)
  return CodeStats(count_k, sum_kd, z_bnd[local_k, word_k] * found_k[:, None], found_k)


def update(codebook: Codebook, stats: CodeStats, config: QuantiserConfig) -> Codebook:
  """One EMA step from sums over the global batch, then revival of dead codes."""
  keep = config.decay
  count_k = keep * codebook.count_k + (1 - keep) * stats.count_k
  sum_kd = keep * codebook.sum_kd + (1 - keep) * stats.sum_kd
  dead_k = (count_k < config.revive_below) & (stats.candidate_k > 0)
  fresh = 10 * config.revive_below  # a revived code lives on for a while without words
  count_k = jnp.where(dead_k, fresh, count_k)
  sum_kd = jnp.where(dead_k[:, None], stats.candidate_kd * fresh, sum_kd)
  return Codebook(normalise(sum_kd), count_k, sum_kd)


def kmeans_codebook(z_md: jax.Array, key: jax.Array, config: QuantiserConfig,
                    count_total: float) -> Codebook:
  """Spherical k-means on buffered unit vectors.

  Args:
    z_md: [m, d] unit vectors; fewer than K are drawn with replacement.
    key: draws the first centres, and a new centre for each empty cluster.
    count_total: words in a training batch, shared out as the first EMA counts.
  """
  m, k = z_md.shape[0], config.codes
  first_k = jax.random.choice(key, m, (k,), replace=m < k)

  def step(code_kd, step_key):
    index_m = jnp.argmax(jnp.einsum('md,kd->mk', z_md, code_kd, precision='highest'), axis=-1)
    count_k = jnp.zeros(k).at[index_m].add(1.0)
    sum_kd = jnp.zeros_like(code_kd).at[index_m].add(z_md)
    spare_kd = z_md[jax.random.choice(step_key, m, (k,))]
    return normalise(jnp.where(count_k[:, None] > 0, sum_kd, spare_kd)), count_k

  keys = jax.random.split(jax.random.fold_in(key, 1), config.kmeans_iterations)
  code_kd, count_ik = jax.lax.scan(step, z_md[first_k], keys)
  count_k = jnp.maximum(count_ik[-1] / m * count_total, 1e-3)
  return Codebook(code_kd, count_k, code_kd * count_k[:, None])


def usage(count_k: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Share of codes with any word, and perplexity exp(H) of their frequencies."""
  p_k = count_k / jnp.maximum(count_k.sum(), 1.0)
  entropy = -jnp.where(p_k > 0, p_k * jnp.log(jnp.maximum(p_k, 1e-30)), 0.0).sum()
  return (count_k > 0).mean(), jnp.exp(entropy)


def as_codebook(stored) -> Codebook:
  """A codebook from what a checkpoint gives back: a mapping or a sequence of its fields."""
  return Codebook(**stored) if isinstance(stored, dict) else Codebook(*stored)
