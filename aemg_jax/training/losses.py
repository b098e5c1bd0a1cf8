"""Masked losses. Each returns (sum, count): the mean is taken after the sum over devices."""

import jax
import jax.numpy as jnp

Sum = tuple[jax.Array, jax.Array]


def masked_sum(value: jax.Array, mask: jax.Array) -> Sum:
  """Sums `value` where the mask is above zero.

  Args:
    value: any shape; what lies under a zero of the mask may be anything, NaN included.
    mask: the same shape, bool or non-negative weights.

  Returns:
    ([] sum of mask * value, [] sum of mask), float32.
  """
  _same_shape('value', value, mask)
  weight = mask.astype(jnp.float32)
  value = jnp.where(weight > 0, value.astype(jnp.float32), 0.0)
  return jnp.sum(weight * value), jnp.sum(weight)


def cross_entropy(logits_bk: jax.Array, label_b: jax.Array, mask_b: jax.Array,
                  smoothing: float = 0.0) -> Sum:
  """Cross-entropy of integer labels in nats.

  Args:
    logits_bk: [..., K].
    label_b: [...] integers in [0, K); any value where the mask is zero (-1 for none).
    mask_b: [...] bool or weights.
    smoothing: the target is (1 - smoothing) one-hot + smoothing / K.
  """
  _same_shape('label', label_b, mask_b)
  logits_bk = jnp.where(mask_b[..., None] > 0, logits_bk.astype(jnp.float32), 0.0)
  log_prob_bk = jax.nn.log_softmax(logits_bk, axis=-1)
  safe_b = jnp.where(mask_b > 0, label_b, 0)
  nll_b = -jnp.take_along_axis(log_prob_bk, safe_b[..., None], axis=-1)[..., 0]
  if smoothing:
    nll_b = (1.0 - smoothing) * nll_b - smoothing * jnp.mean(log_prob_bk, axis=-1)
  return masked_sum(nll_b, mask_b)


def correct(logits_bk: jax.Array, label_b: jax.Array, mask_b: jax.Array) -> Sum:
  """(number correct, number counted) of the arg max; the mask may be weights."""
  return masked_sum(jnp.argmax(logits_bk, axis=-1) == label_b, mask_b)


def squared_error(prediction: jax.Array, target: jax.Array, mask: jax.Array) -> Sum:
  """Squared error summed over every element under the mask; all three have one shape."""
  _same_shape('target', target, prediction)
  weight = mask > 0
  # The inner where keeps a NaN under the mask out of the gradient as well as out of the sum.
  error = jnp.where(weight, prediction - target, 0.0)
  return masked_sum(jnp.square(error.astype(jnp.float32)), mask)


def cosine_distance(a_bd: jax.Array, b_bd: jax.Array, mask_b: jax.Array) -> Sum:
  """1 - cos(a, b) over the last axis, in [0, 2]. The commitment loss of l2-normalised codes is
  ||a - b||^2 = 2 (1 - cos): pass `jax.lax.stop_gradient(code)` as b."""
  _same_shape('b', b_bd, a_bd)
  distance_b = 1.0 - jnp.sum(_unit(a_bd, mask_b) * _unit(b_bd, mask_b), axis=-1)
  return masked_sum(distance_b, mask_b)


def commitment(h_bd: jax.Array, code_bd: jax.Array, mask_b: jax.Array) -> Sum:
  """Mean squared distance per element from encoder output to its code; no gradient to the code."""
  _same_shape('code', code_bd, h_bd)
  delta_bd = jnp.where(mask_b[..., None] > 0, h_bd - jax.lax.stop_gradient(code_bd), 0.0)
  return masked_sum(jnp.mean(jnp.square(delta_bd.astype(jnp.float32)), axis=-1), mask_b)


def _unit(x_bd: jax.Array, mask_b: jax.Array) -> jax.Array:
  x_bd = jnp.where(mask_b[..., None] > 0, x_bd.astype(jnp.float32), 1.0)
  norm_squared_b1 = jnp.sum(jnp.square(x_bd), axis=-1, keepdims=True)
  return x_bd * jax.lax.rsqrt(jnp.maximum(norm_squared_b1, 1e-12))


def _same_shape(name: str, array: jax.Array, other: jax.Array) -> None:
  if array.shape != other.shape:
    raise ValueError(f'{name}: got shape {array.shape}, expected {other.shape}')
