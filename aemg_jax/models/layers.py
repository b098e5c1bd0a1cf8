"""The only Transformer block of the project, and the temporal encoder of a word.

Parameters are float32 and have the same names and shapes whatever `dtype`, `scan`, `remat` and
`attention` say, so that a checkpoint fits all of them.
Letters: b batch, n token, p sample within a word, h head, d width.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from aemg_jax.models import norms
from aemg_jax.models.products import LINEAR, Dense, linear, product

DTYPES = ('float32', 'bfloat16')
REMAT = ('none', 'dots', 'all')
ATTENTION = ('auto', 'einsum', 'cudnn')
FLASH_TOKENS = 128  # 'auto' asks cudnn from this many keys on


@dataclasses.dataclass(frozen=True)
class BlocksConfig:
  """A stack of pre-LN blocks.

  Attributes:
    width: token width d.
    layers, heads, head_dim, mlp_dim: sizes; heads * head_dim need not equal width.
    layer_scale: initial value of the learned residual scales; 0 switches them off.
    dropout: on attention output and MLP output, while training.
    dtype: of activations and products, 'float32' or 'bfloat16'; norms sum in float32.
    scan: compile one block and loop over it, for deep stacks.
    remat: what a block's backward pass computes again: 'none', all but products with parameters
      ('dots'), or 'all'. With scan: unrolled, XLA's CPU compiler keeps everything all the same.
    attention: 'einsum', 'cudnn' (flash attention, GPU and bfloat16 only), or 'auto' by backend.
  """
  width: int = 96
  layers: int = 2
  heads: int = 4
  head_dim: int = 24
  mlp_dim: int = 192
  layer_scale: float = 0.1
  dropout: float = 0.1
  dtype: str = 'float32'
  scan: bool = False
  remat: str = 'none'
  attention: str = 'auto'

  def __post_init__(self):
    for name, known in (('dtype', DTYPES), ('remat', REMAT), ('attention', ATTENTION)):
      if getattr(self, name) not in known:
        raise ValueError(f'BlocksConfig.{name}: got {getattr(self, name)!r}, expected one of {known}')
    if self.attention == 'cudnn' and self.dtype != 'bfloat16':
      raise ValueError(f"BlocksConfig.attention: 'cudnn' with dtype {self.dtype!r}, expected 'bfloat16'")


def dropout(x_bnd: jax.Array, keys_b: jax.Array | None, rate: float, salt: int | jax.Array) -> jax.Array:
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


def attend(q_bnhd: jax.Array, k_bmhd: jax.Array, v_bmhd: jax.Array, valid_bm: jax.Array,
           attention: str = 'auto') -> jax.Array:
  """Softmax attention of n queries on m keys, [b, n, h, d]; invalid keys are never attended.

  Args:
    q_bnhd, k_bmhd, v_bmhd: of one dtype.
    valid_bm: which keys exist; where none does, the result is finite and without meaning.
    attention: see `BlocksConfig`.
  """
  if attention == 'auto':
    flash = (jax.default_backend() == 'gpu' and q_bnhd.dtype == jnp.bfloat16
             and q_bnhd.shape[-1] % 8 == 0 and k_bmhd.shape[1] >= FLASH_TOKENS)
    attention = 'cudnn' if flash else 'einsum'
  if attention == 'cudnn':
    return jax.nn.dot_product_attention(q_bnhd, k_bmhd, v_bmhd, mask=valid_bm[:, None, None, :],
                                        implementation='cudnn')
  # heads lead, so that the products need no transpose of the scores; the sum of the weights divides
  # the d outputs of a query instead of its m weights
  q_bhnd = (q_bnhd * q_bnhd.shape[-1]**-0.5).swapaxes(1, 2)
  k_bhmd, v_bhmd = k_bmhd.swapaxes(1, 2), v_bmhd.swapaxes(1, 2)
  score_bhnm = product('bhnd,bhmd->bhnm', q_bhnd, k_bhmd)
  score_bhnm = jnp.where(valid_bm[:, None, None, :], score_bhnm, jnp.finfo(jnp.float32).min)
  weight_bhnm = jnp.exp(score_bhnm - jax.lax.stop_gradient(score_bhnm.max(-1, keepdims=True)))
  out_bhnd = product('bhnm,bhmd->bhnd', weight_bhnm.astype(v_bhmd.dtype), v_bhmd)
  out_bhnd /= weight_bhnm.sum(-1)[..., None]
  return out_bhnd.swapaxes(1, 2).astype(v_bmhd.dtype)


class QueryKeyValue(nn.Module):
  """Three projections with one parameter, [d, 3, h, e]: (q, k, v), each [b, n, h, e].

  Three products, because slices of one product cost copies forward and sums of padded gradients
  backward.
  """
  config: BlocksConfig

  @nn.compact
  def __call__(self, tok_bnd: jax.Array) -> tuple[jax.Array, ...]:
    c = self.config

    def init(key, shape):
      return nn.initializers.lecun_normal()(key, (shape[0], 3 * c.heads * c.head_dim)).reshape(shape)

    kernel_dkhe = self.param('kernel', init, (tok_bnd.shape[-1], 3, c.heads, c.head_dim))
    kernels = jnp.split(kernel_dkhe, 3, axis=1)  # its gradient is one concatenation
    return tuple(linear(tok_bnd, kernel_d1he[:, 0]) for kernel_d1he in kernels)


class Attention(nn.Module):
  """Softmax attention with LayerNorm on queries and keys; invalid keys are never attended."""
  config: BlocksConfig

  @nn.compact
  def __call__(self, tok_bnd: jax.Array, valid_bn: jax.Array) -> jax.Array:
    c = self.config
    q_bnhd, k_bnhd, v_bnhd = QueryKeyValue(c, name='qkv')(tok_bnd)
    q_bnhd = norms.LayerNorm(dtype=c.dtype, name='query_norm')(q_bnhd)
    k_bnhd = norms.LayerNorm(dtype=c.dtype, name='key_norm')(k_bnhd)
    out_bnhd = attend(q_bnhd, k_bnhd, v_bnhd, valid_bn, c.attention)
    return Dense((c.width,), axes=2, dtype=c.dtype, name='out')(out_bnhd)


class CrossAttention(nn.Module):
  """x + Attention(LN x, LN context), of tokens on another sequence's tokens."""
  config: BlocksConfig

  @nn.compact
  def __call__(self, tok_bnd: jax.Array, context_bmd: jax.Array, valid_bm: jax.Array) -> jax.Array:
    c = self.config
    features = (c.heads, c.head_dim)
    project = lambda name, x: Dense(features, use_bias=False, dtype=c.dtype, name=name)(x)
    norm = lambda name, x: norms.LayerNorm(dtype=c.dtype, name=name)(x)
    context_bmd = norm('norm_context', context_bmd)
    q_bnhd = norm('query_norm', project('query', norm('norm', tok_bnd)))
    k_bmhd = norm('key_norm', project('key', context_bmd))
    out_bnhd = attend(q_bnhd, k_bmhd, project('value', context_bmd), valid_bm, c.attention)
    return tok_bnd + Dense((c.width,), axes=2, dtype=c.dtype, name='out')(out_bnhd)


class Block(nn.Module):
  """x + s1 Attention(LN x), then x + s2 MLP(LN x). `index` tells the blocks of a stack apart."""
  config: BlocksConfig

  @nn.compact
  def __call__(self, tok_bnd: jax.Array, valid_bn: jax.Array, keys_b: jax.Array | None,
               index: int | jax.Array) -> jax.Array:
    c = self.config
    normed_bnd = norms.LayerNorm(dtype=c.dtype, name='norm_1')(tok_bnd)
    mixed_bnd = Attention(c, name='attention')(normed_bnd, valid_bn)
    tok_bnd = tok_bnd + self._residual(0, mixed_bnd, keys_b, index)
    normed_bnd = norms.LayerNorm(dtype=c.dtype, name='norm_2')(tok_bnd)
    hidden_bnd = Dense((c.mlp_dim,), dtype=c.dtype, name='mlp_in')(normed_bnd)
    hidden_bnd = Dense((c.width,), dtype=c.dtype, name='mlp_out')(norms.gelu(hidden_bnd))
    return tok_bnd + self._residual(1, hidden_bnd, keys_b, index)

  def _residual(self, half: int, update_bnd: jax.Array, keys_b: jax.Array | None, index) -> jax.Array:
    c = self.config
    update_bnd = dropout(update_bnd, keys_b, c.dropout, salt=2 * index + half)
    if not c.layer_scale:
      return update_bnd
    scale_d = self.param(f'scale_{half}', nn.initializers.constant(c.layer_scale), (c.width,))
    return update_bnd * scale_d[None, None].astype(c.dtype)


class Blocks(nn.Module):
  """`layers` blocks and a final LayerNorm. [b, n, d] -> [b, n, d] of the config's dtype."""
  config: BlocksConfig

  @nn.compact
  def __call__(self, tok_bnd: jax.Array, valid_bn: jax.Array, keys_b: jax.Array | None) -> jax.Array:
    c = self.config
    tok_bnd = tok_bnd.astype(c.dtype)
    if self.is_initializing() or not (c.scan or c.remat != 'none'):
      for i in range(c.layers):
        tok_bnd = Block(c, name=f'block_{i}')(tok_bnd, valid_bn, keys_b, i)
    elif c.layers:
      tok_bnd = self._rolled(tok_bnd, valid_bn, keys_b)
    return norms.LayerNorm(dtype=c.dtype, name='norm')(tok_bnd)

  def _rolled(self, tok_bnd: jax.Array, valid_bn: jax.Array, keys_b: jax.Array | None) -> jax.Array:
    """The same blocks from the same parameters, looped over and recomputed as the config says."""
    c = self.config

    def step(tok_bnd, block):
      params, index = block
      return Block(c, parent=None).apply({'params': params}, tok_bnd, valid_bn, keys_b, index), None

    if c.remat != 'none':
      dots = jax.checkpoint_policies.save_only_these_names(LINEAR)
      # inside a loop nothing can merge the two computations, so no barrier is needed
      step = jax.checkpoint(step, policy=dots if c.remat == 'dots' else None, prevent_cse=not c.scan)
    blocks = [self.variables['params'][f'block_{i}'] for i in range(c.layers)]
    if c.scan:
      stacked = jax.tree.map(lambda *xs: jnp.stack(xs), *blocks)
      return jax.lax.scan(step, tok_bnd, (stacked, jnp.arange(c.layers)))[0]
    for i, params in enumerate(blocks):
      tok_bnd, _ = step(tok_bnd, (params, i))
    return tok_bnd


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
      x = norms.gelu(norms.GroupNorm(4, name=f'group_norm_{i}')(x))
    return nn.Dense(self.width, name='out')(x.reshape(b, n, -1))


def masked_mean(x_bnd: jax.Array, valid_bn: jax.Array) -> jax.Array:
  """Mean over valid n, in float32; [b, n, d], [b, n] -> [b, d]; zeros where nothing is valid."""
  weight_bn = valid_bn.astype(jnp.float32)
  total_bd = jnp.einsum('bnd,bn->bd', x_bnd.astype(jnp.float32), weight_bn)
  return total_bd / jnp.maximum(weight_bn.sum(axis=1), 1.0)[:, None]
