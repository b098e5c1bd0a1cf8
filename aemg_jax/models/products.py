"""Products of bfloat16 arrays that are summed in float32, backward too, and the linear layer made of them.

Left to automatic differentiation, the float32 gradient of a product with a float32 result meets a
bfloat16 array, which is a float32 product, and the gradients of parameters are rounded to bfloat16.
"""

import functools
import math

import flax.linen as nn
import jax
from jax.ad_checkpoint import checkpoint_name
import jax.numpy as jnp


LINEAR = 'linear'  # name of the results for policies of `jax.checkpoint`


def linear(x: jax.Array, kernel: jax.Array, axes: int = 1) -> jax.Array:
  """Sum over the last `axes` axes of x and the first of the kernel, in x's dtype.

  Args:
    x: [..., *summed] in the dtype that is computed in.
    kernel: [*summed, *features] float32, as its gradient then is.
    axes: how many.
  """
  return checkpoint_name(_linear(x, kernel, axes), LINEAR)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _linear(x, kernel, axes: int) -> jax.Array:
  shape = (*x.shape[:x.ndim - axes], *kernel.shape[axes:])
  return _matmul('mk,kn->mn', *_matrices(x, kernel, axes), x.dtype).reshape(shape)


def _matrices(x, kernel, axes: int) -> tuple[jax.Array, jax.Array]:
  summed = math.prod(kernel.shape[:axes])
  return x.reshape(-1, summed), kernel.reshape(summed, -1).astype(x.dtype)


def _matmul(letters: str, a: jax.Array, b: jax.Array, dtype) -> jax.Array:
  """Of matrices. Accelerators sum bfloat16 in float32 unasked. XLA's CPU kernels take twice the time unless
  asked, and asked have none for some shapes of more axes."""
  wide = jax.default_backend() == 'cpu' or dtype == jnp.float32
  return jnp.einsum(letters, a, b, preferred_element_type=jnp.float32 if wide else None).astype(dtype)


def _linear_forward(x, kernel, axes):
  return _linear(x, kernel, axes), (x, kernel)


def _linear_backward(axes, kept, grad):
  x, kernel = kept
  x_mk, kernel_kn = _matrices(x, kernel, axes)
  grad_mn = grad.reshape(x_mk.shape[0], -1).astype(x.dtype)
  return (_matmul('mn,kn->mk', grad_mn, kernel_kn, x.dtype).reshape(x.shape),
          _matmul('mk,mn->kn', x_mk, grad_mn, kernel.dtype).reshape(kernel.shape))


_linear.defvjp(_linear_forward, _linear_backward)


class Dense(nn.Module):
  """Linear layer over the last `axes` axes, with the parameters of `flax.linen.DenseGeneral`.

  Attributes:
    features: sizes of what takes their place.
    axes: how many axes are summed over.
    use_bias: whether there is one; it is added in float32.
    dtype: of product and result; parameters are float32.
  """
  features: tuple[int, ...]
  axes: int = 1
  use_bias: bool = True
  dtype: str = 'float32'

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    shape = (*x.shape[x.ndim - self.axes:], *self.features)

    def init(key, shape):
      flat = (math.prod(shape[:self.axes]), math.prod(shape[self.axes:]))
      return nn.initializers.lecun_normal()(key, flat).reshape(shape)

    out = linear(x.astype(self.dtype), self.param('kernel', init, shape), self.axes)
    if not self.use_bias:
      return out
    bias = self.param('bias', nn.initializers.zeros, self.features)
    bias = bias.reshape((1,) * (out.ndim - bias.ndim) + self.features)
    return (out.astype(jnp.float32) + bias).astype(self.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def product(letters: str, a: jax.Array, b: jax.Array) -> jax.Array:
  """Einsum of two arrays of activations of one dtype; the result is float32, its gradients of that dtype.

  `letters` as 'bnd,bmd->bnm', each letter in two of the three.
  """
  return _summed(letters, a, b)


def _summed(letters: str, a: jax.Array, b: jax.Array) -> jax.Array:
  if jax.default_backend() == 'cpu':  # what XLA makes of them there, where it does not fail
    a, b = a.astype(jnp.float32), b.astype(jnp.float32)
  return jnp.einsum(letters, a, b, preferred_element_type=jnp.float32)


def _product_backward(letters, kept, grad):
  a, b = kept
  left, right, out = letters.replace('->', ',').split(',')
  grad = grad.astype(a.dtype)
  return (_summed(f'{out},{right}->{left}', grad, b).astype(a.dtype),
          _summed(f'{left},{out}->{right}', a, grad).astype(b.dtype))


product.defvjp(lambda letters, a, b: (product(letters, a, b), (a, b)), _product_backward)
