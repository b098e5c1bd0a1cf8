"""FatigueFormer: static and temporal encoders of sEMG features in parallel, fused (arXiv 2603.26841).

Differs from paper: it publishes no sizes, heads or losses; these are a declared re-design, every
choice a config field. Letters: b sequence, w window, c channel, f feature, d width, k class.
"""

import dataclasses
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from aemg_jax.models import layers
from aemg_jax.models.layers import BlocksConfig

BRANCHES = ('both', 'static', 'temporal')
_SALT = {'temporal': 2000, 'static': 3000}  # so that the two stacks never share a dropout mask


class FeatureBatch(NamedTuple):
  """Input of the fatigue models.

  Attributes:
    feature_bwcf: [b, w, c, f] z-scores.
    valid_bwc: [b, w, c] bool; channels and windows that are not valid are never seen.
    temporal_bf, static_bf: [b, f] bool: which features each encoder sees.
    embedding_bwe: [b, w, e] of a frozen encoder, one more group that both encoders see; or None.
  """
  feature_bwcf: jax.Array
  valid_bwc: jax.Array
  temporal_bf: jax.Array
  static_bf: jax.Array
  embedding_bwe: jax.Array | None = None


class Heads(NamedTuple):
  """What is read off one vector.

  Attributes:
    class_bk: [b, k] logits.
    ordinal_bj: [b, j] logits of Borg above each threshold; they share their weights (CORAL, Cao et
      al., Pattern Recognition Letters 140 (2020) 325, eq. 3), so only a bias tells them apart.
    value_b: [b] standardised Borg.
  """
  class_bk: jax.Array
  ordinal_bj: jax.Array
  value_b: jax.Array


@dataclasses.dataclass(frozen=True)
class FatigueFormerConfig:
  """Attributes:
    temporal, static: the two encoders; their widths must agree.
    branches: 'both', or one encoder alone.
    features: f.
    max_windows: longest sequence.
    classes, thresholds: outputs of the class and the ordinal head.
  """
  temporal: BlocksConfig = BlocksConfig(128, 3, 4, 32, 256, 0.0, 0.1)
  static: BlocksConfig = BlocksConfig(128, 2, 4, 32, 256, 0.0, 0.1)
  branches: str = 'both'
  features: int = 32
  max_windows: int = 20
  classes: int = 3
  thresholds: int = 3

  def __post_init__(self):
    if self.branches not in BRANCHES:
      raise ValueError(f'FatigueFormerConfig.branches: got {self.branches!r}, expected one of {BRANCHES}')
    if self.temporal.width != self.static.width:
      raise ValueError(f'FatigueFormerConfig.static.width: got {self.static.width}, expected the '
                       f"temporal encoder's {self.temporal.width}")


class ChannelPool(nn.Module):
  """[b, w, c, f] -> [b, w, d]: one encoder for every channel, then the mean over valid ones."""
  width: int

  @nn.compact
  def __call__(self, batch: FeatureBatch) -> jax.Array:
    b, w, c, f = batch.feature_bwcf.shape
    seen_bwcf = jnp.where(batch.temporal_bf[:, None, None], batch.feature_bwcf, 0.0)
    seen_bwcf = jnp.where(batch.valid_bwc[..., None], seen_bwcf, 0.0)
    hidden_bwcd = nn.gelu(nn.Dense(self.width, name='channel')(seen_bwcf))
    pooled_nd = layers.masked_mean(hidden_bwcd.reshape(b * w, c, -1), batch.valid_bwc.reshape(b * w, c))
    return nn.Dense(self.width, name='out')(pooled_nd).reshape(b, w, -1)


class ReadOut(nn.Module):
  """[b, d] -> Heads."""
  classes: int
  thresholds: int

  @nn.compact
  def __call__(self, x_bd: jax.Array) -> Heads:
    bias_j = self.param('threshold_bias', nn.initializers.zeros_init(), (self.thresholds,))
    shared_b1 = nn.Dense(1, use_bias=False, name='ordinal')(x_bd)
    return Heads(nn.Dense(self.classes, name='class')(x_bd), shared_b1 + bias_j[None],
                 nn.Dense(1, name='value')(x_bd)[:, 0])


class FatigueFormer(nn.Module):
  """FeatureBatch -> {'fused', 'temporal', 'static'}: Heads; only 'fused' for one encoder alone."""
  config: FatigueFormerConfig

  @nn.compact
  def __call__(self, batch: FeatureBatch, keys_b: jax.Array | None = None) -> dict[str, Heads]:
    c, tokens = self.config, {}
    if batch.feature_bwcf.shape[1] > c.max_windows or batch.feature_bwcf.shape[3] != c.features:
      raise ValueError(f'feature_bwcf: got shape {batch.feature_bwcf.shape}, expected at most '
                       f'{c.max_windows} windows of {c.features} features')
    if c.branches != 'static':
      tokens['temporal'] = self._encode('temporal', c.temporal, *self._window_tokens(batch), keys_b)
    if c.branches != 'temporal':
      tokens['static'] = self._encode('static', c.static, *self._feature_tokens(batch), keys_b)
    read = lambda name, x_bd: ReadOut(c.classes, c.thresholds, name=f'head_{name}')(x_bd)
    if len(tokens) == 1:
      return {'fused': read('fused', next(iter(tokens.values()))[0][:, 0])}
    (time_bnd, time_valid_bn), (still_bmd, still_valid_bm) = tokens['temporal'], tokens['static']
    fused_time_bd = layers.CrossAttention(c.temporal, name='time_on_static')(
        time_bnd, still_bmd, still_valid_bm)[:, 0]
    fused_still_bd = layers.CrossAttention(c.static, name='static_on_time')(
        still_bmd, time_bnd, time_valid_bn)[:, 0]
    both_bd = jnp.concatenate([fused_time_bd, fused_still_bd], axis=-1)
    gate_bd = nn.sigmoid(nn.Dense(c.temporal.width, name='gate')(both_bd))
    fused_bd = gate_bd * fused_time_bd + (1 - gate_bd) * fused_still_bd
    return {'fused': read('fused', fused_bd), 'temporal': read('temporal', time_bnd[:, 0]),
            'static': read('static', still_bmd[:, 0])}

  def _window_tokens(self, batch: FeatureBatch) -> tuple[jax.Array, jax.Array]:
    """A token per window and its validity."""
    c = self.config
    place_wd = self.param('window_embed', nn.initializers.normal(0.02), (c.max_windows, c.temporal.width))
    tok_bwd = ChannelPool(c.temporal.width, name='channels')(batch)
    if batch.embedding_bwe is not None:
      tok_bwd += nn.Dense(c.temporal.width, name='embedding')(_known(batch))
    return tok_bwd + place_wd[None, :tok_bwd.shape[1]], batch.valid_bwc.any(axis=2)

  def _feature_tokens(self, batch: FeatureBatch) -> tuple[jax.Array, jax.Array]:
    """A token per static feature, from its mean, deviation, least and largest over the sequence."""
    c, width = self.config, self.config.static.width
    b, _, channels, f = batch.feature_bwcf.shape
    summary_bcfs = summary(batch.feature_bwcf, batch.valid_bwc)
    feature_fd = self.param('feature_embed', nn.initializers.normal(0.02), (c.features, width))
    # the name of a feature enters before the nonlinearity, else all features would share one curve
    hidden_bcfd = nn.gelu(nn.Dense(width, name='summary')(summary_bcfs) + feature_fd[None, None])
    by_channel = hidden_bcfd.transpose(0, 2, 1, 3).reshape(b * f, channels, width)
    valid_bc = jnp.repeat(batch.valid_bwc.any(axis=1), f, axis=0)
    tok_bfd = layers.masked_mean(by_channel, valid_bc).reshape(b, f, width)
    tok_bfd = nn.Dense(width, name='summary_out')(tok_bfd) + feature_fd[None]
    if batch.embedding_bwe is None:
      return tok_bfd, batch.static_bf
    valid_bw = batch.valid_bwc.any(axis=2)
    mean_be = layers.masked_mean(_known(batch), valid_bw)
    extra_b1d = nn.Dense(width, name='embedding_mean')(mean_be)[:, None]
    valid_bn = jnp.concatenate([batch.static_bf, valid_bw.any(axis=1, keepdims=True)], axis=1)
    return jnp.concatenate([tok_bfd, extra_b1d], axis=1), valid_bn

  def _encode(self, name, blocks, tok_bnd, valid_bn, keys_b) -> tuple[jax.Array, jax.Array]:
    """Tokens behind a CLS token, through the encoder."""
    cls_11d = self.param(f'{name}_cls_token', nn.initializers.normal(0.02), (1, 1, blocks.width))
    tok_bnd = jnp.concatenate([jnp.broadcast_to(cls_11d, (len(tok_bnd), 1, blocks.width)), tok_bnd], 1)
    valid_bn = jnp.pad(valid_bn, ((0, 0), (1, 0)), constant_values=True)
    if keys_b is not None:
      keys_b = jax.vmap(jax.random.fold_in, (0, None))(keys_b, _SALT[name])
    return layers.Blocks(blocks, name=name)(tok_bnd, valid_bn, keys_b), valid_bn


def _known(batch: FeatureBatch) -> jax.Array:
  """[b, w, e] embeddings, 0 in windows without a valid channel."""
  return jnp.where(batch.valid_bwc.any(axis=2)[..., None], batch.embedding_bwe, 0.0)


def summary(feature_bwcf: jax.Array, valid_bwc: jax.Array) -> jax.Array:
  """[b, c, f, 4] mean, deviation, least and largest over valid windows; 0 where none is valid."""
  valid_bwc1 = valid_bwc[..., None]
  count_bc1 = jnp.maximum(valid_bwc1.sum(axis=1), 1)
  mean_bcf = jnp.where(valid_bwc1, feature_bwcf, 0.0).sum(axis=1) / count_bc1
  centred_bwcf = jnp.where(valid_bwc1, feature_bwcf - mean_bcf[:, None], 0.0)
  sd_bcf = jnp.sqrt(jnp.square(centred_bwcf).sum(axis=1) / count_bc1 + 1e-8)
  least_bcf = mean_bcf + centred_bwcf.min(axis=1)
  largest_bcf = mean_bcf + centred_bwcf.max(axis=1)
  return jnp.stack([mean_bcf, sd_bcf, least_bcf, largest_bcf], axis=-1)


@dataclasses.dataclass(frozen=True)
class FatigueLSTMConfig:
  """A recurrent baseline over window tokens: width of the tokens, and its hidden state."""
  width: int = 32
  hidden: int = 32
  classes: int = 3
  thresholds: int = 3


class FatigueLSTM(nn.Module):
  """Pooled windows -> LSTM, its state after the last valid window -> {'fused': Heads}."""
  config: FatigueLSTMConfig

  @nn.compact
  def __call__(self, batch: FeatureBatch, keys_b: jax.Array | None = None) -> dict[str, Heads]:
    c = self.config
    tok_bwd = nn.gelu(ChannelPool(c.width, name='channels')(batch))
    valid_bw = batch.valid_bwc.any(axis=2)
    out_bwd = nn.RNN(nn.OptimizedLSTMCell(c.hidden), name='lstm')(tok_bwd)
    last_b = valid_bw.shape[1] - 1 - jnp.argmax(valid_bw[:, ::-1], axis=1)
    last_bd = jnp.take_along_axis(out_bwd, last_b[:, None, None], axis=1)[:, 0]
    return {'fused': ReadOut(c.classes, c.thresholds, name='head_fused')(last_bd)}
