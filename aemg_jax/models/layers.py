"""The only Transformer block of the project, and the temporal encoder of a word.

Letters: b batch, n token, p sample within a word, h head, d width.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class BlocksConfig:
  """A stack of pre-LN blocks.

  Attributes:
    width: token width d.
    layers, heads, head_dim, mlp_dim: sizes; heads * head_dim need not equal width.
    layer_scale: initial value of the learned residual scales; 0 switches them off.
    dropout: on attention output and MLP output, while training.
  """
  width: int = 96
  layers: int = 2
  heads: int = 4
  head_dim: int = 24
  mlp_dim: int = 192
  layer_scale: float = 0.1
  dropout: float = 0.1


def dropout(x_bnd: jax.Array, keys_b: jax.Array | None, rate: float, salt: int) -> jax.Array:
  """Inverted dropout with one key per example, so that no device count changes a mask.

  Args:
    x_bnd: [b, n, d].
    keys_b: a PRNG key per example; None is evaluation.
    rate: share dropped.
    salt: tells the places of one forward pass apart.
  """
  if keys_b is None or rate == 0:
    return x_bnd

  def one(key, x_nd):
    kept_nd = jax.random.bernoulli(jax.random.fold_in(key, salt), 1 - rate, x_nd.shape)
    return jnp.where(kept_nd, x_nd / (1 - rate), 0.0)

  return jax.vmap(one)(keys_b, x_bnd)


def attend(q_bnhd: jax.Array, k_bmhd: jax.Array, v_bmhd: jax.Array, valid_bm: jax.Array) -> jax.Array:
  """Softmax attention of n queries on m keys, [b, n, h, d]; invalid keys are never attended."""
  score_bhnm = jnp.einsum('bnhd,bmhd->bhnm', q_bnhd, k_bmhd) * q_bnhd.shape[-1]**-0.5
  floor = jnp.finfo(score_bhnm.dtype).min
  score_bhnm = jnp.where(valid_bm[:, None, None, :], score_bhnm, floor)
  weight_bhnm = nn.softmax(score_bhnm, axis=-1)
  return jnp.einsum('bhnm,bmhd->bnhd', weight_bhnm, v_bmhd)


class Attention(nn.Module):
  """Softmax attention with LayerNorm on queries and keys; invalid keys are never attended."""
  config: BlocksConfig

  @nn.compact
  def __call__(self, tok_bnd: jax.Array, valid_bn: jax.Array) -> jax.Array:
    c = self.config
    qkv_bnkhd = nn.DenseGeneral((3, c.heads, c.head_dim), use_bias=False, name='qkv')(tok_bnd)
    q_bnhd, k_bnhd, v_bnhd = (qkv_bnkhd[:, :, i] for i in range(3))
    q_bnhd = nn.LayerNorm(name='query_norm')(q_bnhd)
    k_bnhd = nn.LayerNorm(name='key_norm')(k_bnhd)
    out_bnhd = attend(q_bnhd, k_bnhd, v_bnhd, valid_bn)
    return nn.DenseGeneral(c.width, axis=(-2, -1), name='out')(out_bnhd)


class CrossAttention(nn.Module):
  """x + Attention(LN x, LN context), of tokens on another sequence's tokens."""
  config: BlocksConfig

  @nn.compact
  def __call__(self, tok_bnd: jax.Array, context_bmd: jax.Array, valid_bm: jax.Array) -> jax.Array:
    c = self.config
    project = lambda name, x: nn.DenseGeneral((c.heads, c.head_dim), use_bias=False, name=name)(x)
    context_bmd = nn.LayerNorm(name='norm_context')(context_bmd)
    q_bnhd = nn.LayerNorm(name='query_norm')(project('query', nn.LayerNorm(name='norm')(tok_bnd)))
    k_bmhd = nn.LayerNorm(name='key_norm')(project('key', context_bmd))
    out_bnhd = attend(q_bnhd, k_bmhd, project('value', context_bmd), valid_bm)
    return tok_bnd + nn.DenseGeneral(c.width, axis=(-2, -1), name='out')(out_bnhd)


class Block(nn.Module):
  """x + s1 Attention(LN x), then x + s2 MLP(LN x). `index` tells the blocks of a stack apart."""
  config: BlocksConfig
  index: int

  @nn.compact
  def __call__(self, tok_bnd: jax.Array, valid_bn: jax.Array, keys_b: jax.Array | None) -> jax.Array:
    c = self.config
    mixed_bnd = Attention(c, name='attention')(nn.LayerNorm(name='norm_1')(tok_bnd), valid_bn)
    tok_bnd = tok_bnd + self._residual(0, mixed_bnd, keys_b)
    hidden_bnd = nn.Dense(c.mlp_dim, name='mlp_in')(nn.LayerNorm(name='norm_2')(tok_bnd))
    hidden_bnd = nn.Dense(c.width, name='mlp_out')(nn.gelu(hidden_bnd))
    return tok_bnd + self._residual(1, hidden_bnd, keys_b)

  def _residual(self, half: int, update_bnd: jax.Array, keys_b: jax.Array | None) -> jax.Array:
    c = self.config
    update_bnd = dropout(update_bnd, keys_b, c.dropout, salt=2 * self.index + half)
    if not c.layer_scale:
      return update_bnd
    scale_d = self.param(f'scale_{half}', nn.initializers.constant(c.layer_scale), (c.width,))
    return update_bnd * scale_d[None, None]


class Blocks(nn.Module):
  """`layers` blocks and a final LayerNorm. [b, n, d] -> [b, n, d]."""
  config: BlocksConfig

  @nn.compact
  def __call__(self, tok_bnd: jax.Array, valid_bn: jax.Array, keys_b: jax.Array | None) -> jax.Array:
    for i in range(self.config.layers):
      tok_bnd = Block(self.config, i, name=f'block_{i}')(tok_bnd, valid_bn, keys_b)
    return nn.LayerNorm(name='norm')(tok_bnd)


class TemporalEncoder(nn.Module):
  """Within one word: Conv k15 s2, two Conv k3, each GroupNorm and GELU, then linear. No other word is seen.

  Attributes:
    width: output width d.
    channels: convolution channels.
  """
  width: int
  channels: int = 8

  @nn.compact
  def __call__(self, waveform_bnp: jax.Array) -> jax.Array:
    b, n, p = waveform_bnp.shape
    x = waveform_bnp.reshape(b * n, p, 1)
    for i, (kernel, stride) in enumerate(((15, 2), (3, 1), (3, 1))):
      x = nn.Conv(self.channels, (kernel,), strides=stride, padding='SAME', name=f'conv_{i}')(x)
      x = nn.gelu(nn.GroupNorm(num_groups=4, name=f'group_norm_{i}')(x))
    return nn.Dense(self.width, name='out')(x.reshape(b, n, -1))


def masked_mean(x_bnd: jax.Array, valid_bn: jax.Array) -> jax.Array:
  """Mean over valid n; [b, n, d], [b, n] -> [b, d]; zeros where nothing is valid."""
  weight_bn = valid_bn.astype(x_bnd.dtype)
  total_bd = jnp.einsum('bnd,bn->bd', x_bnd, weight_bn)
  return total_bd / jnp.maximum(weight_bn.sum(axis=1), 1.0)[:, None]
