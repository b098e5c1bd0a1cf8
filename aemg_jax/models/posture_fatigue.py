"""Fatigue from motion: two small CNNs for every frame, an LSTM over the frames of a window (Long & Yang,
"Deep Learning-Based Fatigue Detection Using Kinematic Information from Videos").

The defaults are the paper's network. Each frame's wavelet matrix (features x levels) goes through a 2D-CNN,
its posture (cells of 20^3) through a 3D-CNN, 20 numbers each; a bidirectional LSTM reads the 40 numbers of
450 frames, and its last outputs decide. A block is convolution, batch norm, leaky ReLU, dropout.

Differs from paper, which leaves these open: kernels are 3 wide, paddings and channels as in the defaults;
convolutions have no bias (batch norm takes it away); the hidden dense layer has a leaky ReLU; dropout of the
LSTM is on its last output; a second head predicts Borg.

Memory: frames are folded into the batch of the convolutions, and a window is one step of a loop. Of a block
its convolution's output is kept, of the first block nothing; the rest is computed again for the gradient.
Letters: b window, t frame, f feature, l level, xyz cells, c channel, d width, k class.
"""

from collections.abc import Callable
import dataclasses
import itertools
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from aemg_jax.models import layers

DTYPES = ('float32', 'bfloat16')
EPSILON = 1e-5  # of batch norm
_SALT = {'image': 4000, 'posture': 5000, 'last': 6000}  # one stream of dropout masks each


class MotionBatch(NamedTuple):
  """Input of the motion model.

  Attributes:
    wavelet_btfl: [b, t, f, l] approximations A1..Al (`signal.wavelets`) of z-scored features
      (`signal.kinematics`), of each window alone.
    voxel_btxyz: [b, t, cells, cells, cells] bool (`signal.voxels`); None for a model without postures.
  """
  wavelet_btfl: jax.Array
  voxel_btxyz: jax.Array | None = None


class MotionHeads(NamedTuple):
  """[b, k] logits of (rested, fatigued), and [b] standardised Borg."""
  class_bk: jax.Array
  value_b: jax.Array


@dataclasses.dataclass(frozen=True)
class ConvConfig:
  """Blocks of one CNN: a channel count, a stride and a padding each; none leaves the CNN out."""
  channels: tuple[int, ...]
  strides: tuple[int, ...]
  paddings: tuple[int, ...]

  def __post_init__(self):
    if not len(self.channels) == len(self.strides) == len(self.paddings):
      raise ValueError(f'ConvConfig: got {len(self.channels)} channels, {len(self.strides)} strides and '
                       f'{len(self.paddings)} paddings, expected equally many')

  def sides(self, side: int, kernel: int) -> tuple[int, ...]:
    """Cells along an axis of `side`, before and after each block."""
    found = [side]
    for stride, padding in zip(self.strides, self.paddings):
      found.append((found[-1] + 2 * padding - kernel) // stride + 1)
    return tuple(found)


@dataclasses.dataclass(frozen=True)
class PostureFatigueConfig:
  """The defaults are the paper's network.

  Attributes:
    frames, features, levels: t, f, l of a window.
    cells: of the posture along an axis.
    image: the 2D-CNN; a max-pool of 2 x 2 and two dense layers follow.
    posture: the 3D-CNN, which must end at one cell; without channels there is none.
    kernel: cells along an axis, of both.
    dense, width: of the dense layers after the 2D-CNN.
    hidden: of each direction of the LSTM.
    bidirectional: the forward state at the last frame with the backward state at the first; or the
      forward one alone.
    dropout, slope: of the blocks; dropout also of the LSTM's last output.
    momentum: share of the running statistics that a step keeps.
    classes: k.
    dtype: of the convolutions' operands and of what is stored of their outputs; 'bfloat16' halves the
      memory on an accelerator.
  """
  frames: int = 450
  features: int = 87
  levels: int = 6
  cells: int = 20
  image: ConvConfig = ConvConfig((8, 16, 32), (1, 2, 2), (1, 1, 1))
  posture: ConvConfig = ConvConfig((8, 12, 16, 20), (1, 2, 3, 3), (1, 1, 1, 0))
  kernel: int = 3
  dense: int = 64
  width: int = 20
  hidden: int = 50
  bidirectional: bool = True
  dropout: float = 0.3
  slope: float = 0.1
  momentum: float = 0.9
  classes: int = 2
  dtype: str = 'float32'

  def __post_init__(self):
    if self.dtype not in DTYPES:
      raise ValueError(f'PostureFatigueConfig.dtype: got {self.dtype!r}, expected one of {DTYPES}')
    for name, sides in (('image', (self.features, self.levels)), ('posture', (self.cells,))):
      stack = getattr(self, name)
      if any(min(stack.sides(side, self.kernel)) < 1 for side in sides):
        raise ValueError(f'PostureFatigueConfig.{name}: got strides {stack.strides}, expected a cell to be '
                         f'left of {sides}')
    if not self.image.channels:
      raise ValueError('PostureFatigueConfig.image: got no block, expected one or more')
    if self.posture.channels and self.posture.sides(self.cells, self.kernel)[-1] != 1:
      raise ValueError(f'PostureFatigueConfig.posture: got {self.posture.sides(self.cells, self.kernel)} '
                       'cells, expected one at the end')


class Moments(NamedTuple):
  """Mean and mean square per channel, [c] float32 each."""
  mean_c: jax.Array
  square_c: jax.Array


Average = Callable[[Moments], Moments]


class FrameCNN(nn.Module):
  """[b, t, ..., 1] -> [b, t, ..., c] normalised, activated, dropped out.

  Batch norm takes moments over all windows, frames and cells, and `average` over devices. With `keys_b`
  (training) they are those of the batch and are kept in the collection 'moments'; without, running ones.
  """
  config: PostureFatigueConfig
  blocks: ConvConfig
  salt: int

  @nn.compact
  def __call__(self, x_bt: jax.Array, keys_b: jax.Array | None, average: Average) -> jax.Array:
    c, dims = self.config, x_bt.ndim - 3
    ins = (x_bt.shape[-1],) + self.blocks.channels
    blocks, moments, held = [], [], 0  # x_bt is what convolution `held` - 1 gave
    for i, channels in enumerate(self.blocks.channels):
      blocks.append(_Block(
          self.param(f'kernel_{i}', nn.initializers.he_normal(), (c.kernel,) * dims + (ins[i], channels)),
          self.param(f'scale_{i}', nn.initializers.ones_init(), (channels,)),
          self.param(f'bias_{i}', nn.initializers.zeros_init(), (channels,))))
      running = self.variable('moments', f'block_{i}', lambda n: Moments(jnp.zeros(n), jnp.ones(n)), channels)
      if keys_b is None:
        moments.append(running.value)
        continue
      # The first block's output, the largest of all, is not kept: it is made again from the input.
      y_bt, found = self._by_window(x_bt, keys_b, blocks, moments, held, keep=i > 0)
      running.value = average(found)
      moments.append(running.value)
      if i:
        x_bt, held = y_bt, i + 1
    return self._by_window(x_bt, keys_b, blocks, moments, held)

  def _by_window(self, x_bt, keys_b, blocks, moments, held: int, keep: bool | None = None):
    """One window after the other through the blocks from `held` on.

    The last block is finished if its moments are known; else its convolution's output (None unless `keep`)
    and its moments are returned.
    """

    @jax.checkpoint  # nothing inside of a window is kept for the gradient
    def one(x_t, key):
      x_t = x_t.astype(jnp.float32)
      for i, block in enumerate(blocks):
        if i >= held:
          x_t = self._convolve(x_t, block.kernel, i)
        if held - 1 <= i < len(moments):
          x_t = self._activate(x_t, block, moments[i], key, self.salt + i)
      if keep is None:
        return x_t
      over = tuple(range(x_t.ndim - 1))
      moments_c = Moments(x_t.mean(over), jnp.square(x_t).mean(over))
      return (x_t.astype(self.config.dtype) if keep else None), moments_c

    if keys_b is None:
      return jax.lax.map(lambda x_t: one(x_t, None), x_bt)
    found = jax.lax.map(lambda xs: one(*xs), (x_bt, keys_b))
    return found if keep is None else (found[0], jax.tree.map(lambda x_bc: x_bc.mean(0), found[1]))

  def _convolve(self, x_t: jax.Array, kernel: jax.Array, i: int) -> jax.Array:
    dtype, by = self.config.dtype, patches if jax.default_backend() == 'cpu' else convolution
    y_t = by(x_t.astype(dtype), kernel.astype(dtype), self.blocks.strides[i], self.blocks.paddings[i])
    return y_t.astype(jnp.float32)

  def _activate(self, y_t, block: '_Block', moments: Moments, key, salt: int) -> jax.Array:
    """Batch norm with given moments, leaky ReLU, dropout."""
    spread_c = jnp.maximum(moments.square_c - jnp.square(moments.mean_c), 0)
    factor_c = block.scale_c * jax.lax.rsqrt(spread_c + EPSILON)
    to_rank = lambda x_c: x_c.reshape((1,) * (y_t.ndim - 1) + (-1,))
    y_t = y_t * to_rank(factor_c) + to_rank(block.bias_c - moments.mean_c * factor_c)
    return _dropout(nn.leaky_relu(y_t, self.config.slope), key, self.config.dropout, salt)


def convolution(x_n: jax.Array, kernel: jax.Array, stride: int, padding: int) -> jax.Array:
  """[n, ..., c] -> [n, ..., d] by XLA's convolution: for accelerators."""
  dims = x_n.ndim - 2
  axes = 'xyz'[:dims]
  return jax.lax.conv_general_dilated(
      x_n, kernel, (stride,) * dims, [(padding, padding)] * dims,
      dimension_numbers=(f'N{axes}C', f'{axes}IO', f'N{axes}C'))


def patches(x_n: jax.Array, kernel: jax.Array, stride: int, padding: int) -> jax.Array:
  """The same as one product with all patches: on a CPU the gradient of three dimensions is an order of
  magnitude faster than XLA's convolution."""
  dims, side = x_n.ndim - 2, kernel.shape[0]
  x_n = jnp.pad(x_n, [(0, 0)] + [(padding, padding)] * dims + [(0, 0)])
  cells = [(n - side) // stride + 1 for n in x_n.shape[1:-1]]
  parts = []
  for offset in itertools.product(range(side), repeat=dims):
    stop = [o + stride * (n - 1) + 1 for o, n in zip(offset, cells)]
    parts.append(jax.lax.slice(x_n, (0, *offset, 0), (len(x_n), *stop, x_n.shape[-1]),
                               (1, *(stride,) * dims, 1)))
  patch_nk = jnp.concatenate(parts, axis=-1).reshape(-1, side ** dims * x_n.shape[-1])
  return (patch_nk @ kernel.reshape(patch_nk.shape[1], -1)).reshape(len(x_n), *cells, -1)


class _Block(NamedTuple):
  """Parameters of a block."""
  kernel: jax.Array
  scale_c: jax.Array
  bias_c: jax.Array


def _dropout(x_t: jax.Array, key: jax.Array | None, rate: float, salt: int) -> jax.Array:
  """Inverted dropout of one window by the cheap generator: a window draws millions of numbers, and
  threefry takes most of the time to compile and to run."""
  if key is None or not rate:
    return x_t
  data = jax.random.key_data(jax.random.fold_in(key, salt))
  cheap = jax.random.wrap_key_data(jnp.concatenate([data, data]), impl='rbg')
  return jnp.where(jax.random.bernoulli(cheap, 1 - rate, x_t.shape), x_t / (1 - rate), 0.0)


class PostureFatigue(nn.Module):
  """MotionBatch -> MotionHeads. Collections: 'params', and 'moments' of batch norm.

  Attributes:
    average: mean over devices of batch moments, in training (training.parallel has the collective).
  """
  config: PostureFatigueConfig
  average: Average = lambda moments: moments

  @nn.compact
  def __call__(self, batch: MotionBatch, keys_b: jax.Array | None = None) -> MotionHeads:
    c = self.config
    _check(c, batch)
    frame_btd = [self._image(batch.wavelet_btfl, keys_b)]
    if c.posture.channels:
      cnn = FrameCNN(c, c.posture, _SALT['posture'], name='posture')
      x_bt = cnn(batch.voxel_btxyz[..., None], keys_b, self.average)
      frame_btd.append(x_bt.reshape(*x_bt.shape[:2], -1))
    last_bd = self._last(jnp.concatenate(frame_btd, axis=-1))
    last_bd = layers.dropout(last_bd, keys_b, c.dropout, _SALT['last'])
    return MotionHeads(nn.Dense(c.classes, name='class')(last_bd), nn.Dense(1, name='value')(last_bd)[:, 0])

  def _image(self, wavelet_btfl, keys_b) -> jax.Array:
    """[b, t, width] of the 2D-CNN."""
    c = self.config
    x_bt = FrameCNN(c, c.image, _SALT['image'], name='image')(wavelet_btfl[..., None], keys_b, self.average)
    folded_n = x_bt.reshape(-1, *x_bt.shape[2:])
    window = tuple(min(2, side) for side in folded_n.shape[1:3])
    x_nd = nn.max_pool(folded_n, window, strides=window).reshape(len(folded_n), -1)
    hidden_nd = nn.leaky_relu(nn.Dense(c.dense, name='dense')(x_nd), c.slope)
    return nn.Dense(c.width, name='out')(hidden_nd).reshape(*x_bt.shape[:2], -1)

  def _last(self, frame_btd: jax.Array) -> jax.Array:
    """What the LSTM ends with: forward at the last frame, backward at the first."""
    c = self.config
    forward = nn.RNN(nn.OptimizedLSTMCell(c.hidden, name='forward'))(frame_btd)[:, -1]
    if not c.bidirectional:
      return forward
    backward = nn.RNN(nn.OptimizedLSTMCell(c.hidden, name='backward'), reverse=True, keep_order=True)
    return jnp.concatenate([forward, backward(frame_btd)[:, 0]], axis=-1)


def _check(c: PostureFatigueConfig, batch: MotionBatch) -> None:
  """ValueError for inputs of other sizes than the config's."""
  expected = (c.frames, c.features, c.levels)
  if batch.wavelet_btfl.shape[1:] != expected:
    raise ValueError(f'wavelet_btfl: got shape {batch.wavelet_btfl.shape}, expected [b, *{expected}]')
  expected = (c.frames,) + (c.cells,) * 3
  if c.posture.channels and (batch.voxel_btxyz is None or batch.voxel_btxyz.shape[1:] != expected):
    found = None if batch.voxel_btxyz is None else batch.voxel_btxyz.shape
    raise ValueError(f'voxel_btxyz: got shape {found}, expected [b, *{expected}]')
