"""Masked losses. Each returns (sum, count): the mean is taken after the sum over devices."""

import functools

import jax
import jax.numpy as jnp

Sum = tuple[jax.Array, jax.Array]
CPU_LOGITS = 2**22


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


def projected_cross_entropy(x_bnd: jax.Array, kernel_dk: jax.Array, bias_k: jax.Array,
                            label_bn: jax.Array, mask_bn: jax.Array) -> tuple[Sum, jax.Array]:
  """`cross_entropy` of the logits x W + b, which are never held as a whole, nor their gradient.

  The gradient is worked out with the loss, a stretch of words at a time on a CPU (where [b, n, K]
  would leave its caches many times over) and at once elsewhere. Products are of x's dtype and
  summed in float32, everything else is float32.

  Args:
    x_bnd: [b, n, d].
    kernel_dk, bias_k: of the linear layer.
    label_bn, mask_bn: as for `cross_entropy`.

  Returns:
    (sum, count) of the loss, and [] the number of masked-in words whose arg max is the label.
  """
  _same_shape('label', label_bn, mask_bn)
  weight_bn = mask_bn.astype(jnp.float32)
  label_bn = jnp.where(weight_bn > 0, label_bn, 0)
  x_bnd = jnp.where(weight_bn[..., None] > 0, x_bnd, 0)
  stretch = _stretch(*label_bn.shape, bias_k.shape[0])
  total, right = _projected(x_bnd, kernel_dk, bias_k, label_bn, weight_bn, stretch)
  return (total, jnp.sum(weight_bn)), right


@functools.partial(jax.custom_vjp, nondiff_argnums=(5,))
def _projected(x_bnd, kernel_dk, bias_k, label_bn, weight_bn, stretch: int):
  return _projected_scan(x_bnd, kernel_dk, bias_k, label_bn, weight_bn, stretch, False)[0]


def _projected_scan(x_bnd, kernel_dk, bias_k, label_bn, weight_bn, stretch: int, grads: bool):
  """((loss, right), gradients to x, W and b or None)."""
  dtype = x_bnd.dtype
  kernel_dk = kernel_dk.astype(dtype)
  product = functools.partial(jnp.einsum, preferred_element_type=jnp.float32)

  def one(sums, words):
    x_bnd, label_bn, weight_bn = words
    logits_bnk = product('bnd,dk->bnk', x_bnd, kernel_dk) + bias_k[None, None]
    top_bn = logits_bnk.max(-1, keepdims=True)
    own_bn = jnp.take_along_axis(logits_bnk, label_bn[..., None], axis=-1)
    power_bnk = jnp.exp(logits_bnk - top_bn)
    total_bn = power_bnk.sum(-1, keepdims=True)
    nll_bn = (jnp.log(total_bn) + top_bn - own_bn)[..., 0]
    index_bnk = jax.lax.broadcasted_iota(jnp.int32, logits_bnk.shape, 2)
    first_bn = jnp.where(logits_bnk == top_bn, index_bnk, logits_bnk.shape[-1]).min(-1)
    new = [(weight_bn * nll_bn).sum(), (weight_bn * (first_bn == label_bn)).sum()]
    if not grads:
      return jax.tree.map(jnp.add, sums, new), None
    error_bnk = power_bnk * (weight_bn[..., None] / total_bn)
    error_bnk -= jnp.where(index_bnk == label_bn[..., None], weight_bn[..., None], 0.0)
    grad_bnd = product('bnk,dk->bnd', error_bnk.astype(dtype), kernel_dk)
    new += [product('bnd,bnk->dk', x_bnd, error_bnk.astype(dtype)), error_bnk.sum((0, 1))]
    return jax.tree.map(jnp.add, sums, new), grad_bnd.astype(dtype)

  zero = jnp.zeros((), jnp.float32)
  sums = [zero, zero]
  if grads:
    sums += [jnp.zeros(kernel_dk.shape, jnp.float32), jnp.zeros(bias_k.shape, jnp.float32)]
  b, n, d = x_bnd.shape
  cut = lambda x: x.reshape(b, n // stretch, stretch, *x.shape[2:]).swapaxes(0, 1)
  words = jax.tree.map(cut, (x_bnd, label_bn, weight_bn))
  (total, right, *summed), grad_ibnd = jax.lax.scan(one, sums, words)
  if not grads:
    return (total, right), None
  return (total, right), (grad_ibnd.swapaxes(0, 1).reshape(b, n, d), *summed)


def _projected_forward(x_bnd, kernel_dk, bias_k, label_bn, weight_bn, stretch: int):
  out, found = _projected_scan(x_bnd, kernel_dk, bias_k, label_bn, weight_bn, stretch, True)
  return out, found


def _projected_backward(stretch: int, found, cotangent):
  del stretch
  scale = cotangent[0]
  return (*(grad * scale.astype(grad.dtype) for grad in found), None, None)


_projected.defvjp(_projected_forward, _projected_backward)


def _stretch(b: int, n: int, k: int) -> int:
  """Words of each sentence whose logits are held at once: about 16 MB of float32 on a CPU."""
  if jax.default_backend() != 'cpu':
    return n
  wanted = max(1, CPU_LOGITS // (b * k))
  return next(i for i in range(min(wanted, n), 0, -1) if n % i == 0)


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
