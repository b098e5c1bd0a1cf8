"""From sums and counts to scalars."""

from collections.abc import Iterable, Mapping

import jax
import jax.numpy as jnp

Sum = tuple[jax.Array, jax.Array]


def ratio(total: jax.Array, count: jax.Array) -> jax.Array:
  """total / count, and 0 where nothing was counted."""
  return total / jnp.where(count > 0, count, 1)


def reduce(sums: Mapping[str, Sum]) -> dict[str, jax.Array]:
  """{name: (sum, count)} -> {name: mean}, after the sums have been reduced over devices."""
  return {name: ratio(*sums[name]) for name in sorted(sums)}


def add(many: Iterable[Mapping[str, Sum]]) -> dict[str, Sum]:
  """Adds the sums of several batches, which must have the same names."""
  many = list(many)
  if not many:
    raise ValueError('metrics: got no batch, expected at least one')
  names = sorted(many[0])
  for sums in many:
    if sorted(sums) != names:
      raise ValueError(f'metrics: got {sorted(sums)}, expected {names}')
  return {name: (sum(m[name][0] for m in many), sum(m[name][1] for m in many)) for name in names}


def codebook_metrics(count_k: jax.Array, prefix: str = 'codebook') -> dict[str, jax.Array]:
  """How much of a codebook is used.

  Args:
    count_k: [K] uses of each code, summed over all devices (and batches, or an EMA of them).
    prefix: of the names.

  Returns:
    `{prefix}_usage`, the fraction of codes with a count above zero, and `{prefix}_perplexity`,
    exp of the entropy of the codes' distribution: 1 (collapsed) to K (uniform), 0 if none is used.
  """
  total = jnp.sum(count_k)
  prob_k = ratio(count_k, jnp.broadcast_to(total, count_k.shape))
  log_k = jnp.log(jnp.where(prob_k > 0, prob_k, 1.0))
  perplexity = jnp.where(total > 0, jnp.exp(-jnp.sum(prob_k * log_k)), 0.0)
  return {
      f'{prefix}_usage': jnp.mean((count_k > 0).astype(jnp.float32)),
      f'{prefix}_perplexity': perplexity,
  }
