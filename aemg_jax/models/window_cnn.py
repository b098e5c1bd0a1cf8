"""A small CNN on the raw waveforms of one slot: the baseline that needs no words."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from aemg_jax.sentences.words import Words


@dataclasses.dataclass(frozen=True)
class WindowCNNConfig:
  """Attributes:
    classes: number of labels.
    features: of the convolutions.
    kernel: samples.
    max_channels: channels of the grid; the first slot of a sentence is read.
  """
  classes: int = 7
  features: tuple[int, ...] = (32, 64, 64)
  kernel: int = 7
  max_channels: int = 8


class WindowCNN(nn.Module):
  """[b, classes] logits from the first slot, [b, p, c]; absent channels read 0.

  Each block is Conv, GroupNorm, GELU, stride 2; then the mean and the log energy over time.
  """
  config: WindowCNNConfig

  @nn.compact
  def __call__(self, words: Words, keys_b: jax.Array | None = None) -> jax.Array:
    del keys_b  # no dropout
    c = self.config
    present_bc1 = words.valid_n[:, :c.max_channels, None]
    x_bcp = jnp.where(present_bc1, words.waveform_np[:, :c.max_channels], 0.0)
    x_bpf = x_bcp.transpose(0, 2, 1)
    for i, features in enumerate(c.features):
      x_bpf = nn.Conv(features, (c.kernel,), strides=1 + (i > 0), name=f'conv_{i}')(x_bpf)
      x_bpf = nn.gelu(nn.GroupNorm(num_groups=8, name=f'group_norm_{i}')(x_bpf))
    log_energy_bc = 0.5 * jnp.log(jnp.mean(x_bcp**2, axis=-1) + 1e-4)
    pooled_bd = jnp.concatenate([x_bpf.mean(axis=1), log_energy_bc], axis=-1)
    hidden_bd = nn.gelu(nn.Dense(64, name='hidden')(pooled_bd))
    return nn.Dense(c.classes, name='head')(hidden_bd)
