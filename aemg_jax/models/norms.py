"""Normalisation and GELU that keep little for the backward pass: their input alone.

Left to automatic differentiation, a layer norm keeps three arrays of its input's size and a GELU two.
Parameters, names and values are those of `flax.linen.LayerNorm` and `GroupNorm`.
"""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp

EPSILON = 1e-6


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def normalised(x: jax.Array, scale: jax.Array, bias: jax.Array, axes: tuple[int, ...]) -> jax.Array:
  """(x - mean) / sd * scale + bias with mean and sd over `axes`, in float32.

  Args:
    x: any shape and dtype.
    scale, bias: float32 of x's rank, to be broadcast.
    axes: of x.
  """
  return _forward(x, scale, bias, axes)[0]


def _statistics(x: jax.Array, axes: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
  mean = x.mean(axes, keepdims=True)
  variance = jnp.maximum((x * x).mean(axes, keepdims=True) - mean * mean, 0.0)
  return mean, jax.lax.rsqrt(variance + EPSILON)


def _forward(x, scale, bias, axes):
  x32 = x.astype(jnp.float32)
  mean, inverse = _statistics(x32, axes)
  return (x32 - mean) * (inverse * scale) + bias, (x, mean, inverse, scale, bias)


def _backward(axes, kept, grad):
  x, mean, inverse, scale, bias = kept
  unit = (x.astype(jnp.float32) - mean) * inverse
  grad_unit = grad * scale
  along = (grad_unit * unit).mean(axes, keepdims=True)
  grad_x = inverse * (grad_unit - grad_unit.mean(axes, keepdims=True) - unit * along)
  return grad_x.astype(x.dtype), _summed_to(grad * unit, scale), _summed_to(grad, bias)


def _summed_to(grad: jax.Array, like: jax.Array) -> jax.Array:
  """The gradient of a broadcast."""
  axes = tuple(i for i, (a, b) in enumerate(zip(grad.shape, like.shape)) if a != b)
  return grad.sum(axes, keepdims=True) if axes else grad


normalised.defvjp(_forward, _backward)


class LayerNorm(nn.Module):
  """Over the last axis; the result has `dtype`."""
  dtype: str = 'float32'

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    d = x.shape[-1]
    scale_d = self.param('scale', nn.initializers.ones, (d,))
    bias_d = self.param('bias', nn.initializers.zeros, (d,))
    shape = (1,) * (x.ndim - 1) + (d,)
    return normalised(x, scale_d.reshape(shape), bias_d.reshape(shape), (x.ndim - 1,)).astype(self.dtype)


class GroupNorm(nn.Module):
  """Of [m, p, c] over p and the channels of each group."""
  groups: int

  @nn.compact
  def __call__(self, x_mpc: jax.Array) -> jax.Array:
    m, p, c = x_mpc.shape
    scale_c = self.param('scale', nn.initializers.ones, (c,))
    bias_c = self.param('bias', nn.initializers.zeros, (c,))
    shape = (1, 1, self.groups, c // self.groups)
    x_mpgc = x_mpc.reshape(m, p, *shape[2:])
    return normalised(x_mpgc, scale_c.reshape(shape), bias_c.reshape(shape), (1, 3)).reshape(m, p, c)


@jax.custom_vjp
def gelu(x: jax.Array) -> jax.Array:
  """GELU by the tanh formula, as `jax.nn.gelu`; worked out in float32, the result has x's dtype."""
  x32 = x.astype(jnp.float32)
  return (x32 * (0.5 * (1.0 + _tanh_of(x32)))).astype(x.dtype)


def _tanh_of(x: jax.Array) -> jax.Array:
  return jnp.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x)))


def _gelu_backward(x: jax.Array, grad: jax.Array) -> tuple[jax.Array]:
  x32 = x.astype(jnp.float32)
  tanh = _tanh_of(x32)
  slope = math.sqrt(2 / math.pi) * (1.0 + 3 * 0.044715 * (x32 * x32))
  grad = grad * (0.5 * (1.0 + tanh) + 0.5 * x32 * (1.0 - tanh * tanh) * slope)
  return (grad.astype(x.dtype),)


gelu.defvjp(lambda x: (gelu(x), x), _gelu_backward)
