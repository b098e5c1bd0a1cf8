"""A small network on one slot: a CNN on the raw waveforms, and what else of the slot it is given."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from aemg_jax.sentences.words import Words

INPUTS = ('waveform', 'words', 'correlation')
_WORD_FEATURES = 96


@dataclasses.dataclass(frozen=True)
class WindowCNNConfig:
  """Attributes:
    classes: number of labels.
    features: of the convolutions.
    kernel: samples.
    max_channels: channels of the grid; the first slot of a sentence is read.
    inputs: some of INPUTS; 'words' are log spectra and amplitudes, 'correlation' is that of each two channels.
  """
  classes: int = 7
  features: tuple[int, ...] = (32, 64, 64)
  kernel: int = 7
  max_channels: int = 8
  inputs: tuple[str, ...] = ('waveform',)

  def __post_init__(self):
    if not self.inputs or set(self.inputs) - set(INPUTS):
      raise ValueError(f'WindowCNNConfig.inputs: got {self.inputs!r}, expected some of {INPUTS}')


class WindowCNN(nn.Module):
  """[b, classes] logits from the first slot, [b, p, c]; absent channels read 0.

  Each block on the waveform is Conv, GroupNorm, GELU, stride 2; then the mean and the log energy over time.
  """
  config: WindowCNNConfig

  @nn.compact
  def __call__(self, words: Words, keys_b: jax.Array | None = None) -> jax.Array:
    del keys_b  # no dropout
    c = self.config
    valid_bc = words.valid_n[:, :c.max_channels]
    x_bcp = jnp.where(valid_bc[..., None], words.waveform_np[:, :c.max_channels], 0.0)
    parts = []
    if 'waveform' in c.inputs:
      parts += [self._convolved(x_bcp), 0.5 * jnp.log(jnp.mean(x_bcp**2, axis=-1) + 1e-4)]
    if 'words' in c.inputs:
      word_bcf = jnp.concatenate([words.spectrum_nf[:, :c.max_channels], words.amplitude_n[:, :c.max_channels, None]],
                                 axis=-1)
      word_bcf = jnp.where(valid_bc[..., None], word_bcf, 0.0)
      parts.append(nn.gelu(nn.Dense(_WORD_FEATURES, name='words')(word_bcf.reshape(len(word_bcf), -1))))
    if 'correlation' in c.inputs:
      parts.append(_correlations(x_bcp))
    hidden_bd = nn.gelu(nn.Dense(64, name='hidden')(jnp.concatenate(parts, axis=-1)))
    return nn.Dense(c.classes, name='head')(hidden_bd)

  def _convolved(self, x_bcp: jax.Array) -> jax.Array:
    """[b, d] mean over time of the last block."""
    x_bpf = x_bcp.transpose(0, 2, 1)
    for i, features in enumerate(self.config.features):
      x_bpf = nn.Conv(features, (self.config.kernel,), strides=1 + (i > 0), name=f'conv_{i}')(x_bpf)
      x_bpf = nn.gelu(nn.GroupNorm(num_groups=8, name=f'group_norm_{i}')(x_bpf))
    return x_bpf.mean(axis=1)


def _correlations(x_bcp: jax.Array) -> jax.Array:
  """[b, c (c - 1) / 2] correlations of channels over the slot; near 0 with one that is absent."""
  x_bcp = x_bcp - x_bcp.mean(axis=-1, keepdims=True)
  covariance_bcc = jnp.einsum('bcp,bdp->bcd', x_bcp, x_bcp) / x_bcp.shape[-1]
  deviation_bc = jnp.sqrt(jnp.einsum('bcc->bc', covariance_bcc) + 1e-3)
  row, column = np.triu_indices(x_bcp.shape[1], 1)
  return (covariance_bcc / (deviation_bc[:, :, None] * deviation_bc[:, None, :]))[:, row, column]
