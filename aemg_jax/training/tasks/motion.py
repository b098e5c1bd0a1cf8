"""Fatigue from motion: rested or fatigued, and Borg, from windows of features and postures."""

import dataclasses

import jax
import jax.numpy as jnp

from aemg_jax.models import PostureFatigueConfig, build
from aemg_jax.models.posture_fatigue import Moments, MotionBatch, MotionHeads, PostureFatigue
from aemg_jax.signal import voxels, wavelets
from aemg_jax.signal.voxels import VoxelConfig
from aemg_jax.signal.wavelets import WaveletConfig
from aemg_jax.training import losses, parallel
from aemg_jax.training.task import Draw, Task
from aemg_jax.training.tasks.fatigue import BORG_CENTRE, BORG_SCALE


@dataclasses.dataclass(frozen=True)
class MotionTask(Task):
  """Batch: feature_btf [b, t, f] z-scores, label [b] (1 is fatigued, -1 absent), borg [b] (NaN where absent),
  weight [b], and `pose` (signal.keypoints.Pose of windows, leading b) where the model has postures.

  Wavelet matrices and postures are made on the device. `extra` holds the wavelets' constant matrices and the
  running moments of batch norm. Batch norm sees the rows of one forward pass over all devices: with
  microbatches it would be those of a part.

  Attributes:
    model: its frames, features, levels and cells must be those of the data and of the two below.
    wavelet, voxel: how the input is made.
    class_weight, value_weight: of cross-entropy and of the squared error of (Borg - 5) / 3.
  """
  model: PostureFatigueConfig = PostureFatigueConfig()
  wavelet: WaveletConfig = WaveletConfig()
  voxel: VoxelConfig = VoxelConfig()
  class_weight: float = 1.0
  value_weight: float = 1.0

  def __post_init__(self):
    for name, found, expected in (('levels', self.model.levels, self.wavelet.levels),
                                  ('cells', self.model.cells, self.voxel.cells)):
      if found != expected:
        raise ValueError(f'MotionTask.model.{name}: got {found}, expected {expected} as its input has')

  def init(self, key, batch):
    matrix_lts = jnp.asarray(wavelets.matrices(self.model.frames, self.wavelet), jnp.float32)
    state = build(self.model).init(key, self.inputs({'matrix_lts': matrix_lts}, batch))
    return state['params'], {'matrix_lts': matrix_lts, 'moments': _plain(state['moments'])}

  def inputs(self, extra, batch) -> MotionBatch:
    """What the model sees of a batch."""
    wavelet_btfl = jax.lax.map(  # one after the other: all at once would be held twice
        lambda window_tf: wavelets.approximations(window_tf, extra['matrix_lts']), batch['feature_btf'])
    if not self.model.posture.channels:
      return MotionBatch(wavelet_btfl)
    posture = lambda pose: voxels.posture(pose, self.voxel)
    return MotionBatch(wavelet_btfl, jax.lax.map(posture, batch['pose']))

  def heads(self, params, extra, batch) -> MotionHeads:
    """In evaluation: running moments, no dropout."""
    variables = {'params': params, 'moments': _moments(extra['moments'])}
    return build(self.model).apply(variables, self.inputs(extra, batch))

  def loss(self, params, extra, batch, draw: Draw, train: bool):
    if train:
      model = PostureFatigue(self.model, parallel.mean_over_devices)
      heads, found = model.apply({'params': params, 'moments': _moments(extra['moments'])},
                                 self.inputs(extra, batch), draw.keys_b(), mutable='moments')
      rows = jnp.float32(len(batch['weight']))
      stats = {'rows': rows, 'moments': jax.tree.map(lambda x: rows * x, _plain(found['moments']))}
    else:
      heads, stats = self.heads(params, extra, batch), {}
    weight_b = batch['weight'] * (batch['label'] >= 0)
    class_sum, count = losses.cross_entropy(heads.class_bk, batch['label'], weight_b)
    target_b = (jnp.where(weight_b > 0, batch['borg'], 0.0) - BORG_CENTRE) / BORG_SCALE
    value_sum, _ = losses.squared_error(heads.value_b, target_b, weight_b)
    right = losses.correct(heads.class_bk, batch['label'], weight_b)
    return (self.class_weight * class_sum + self.value_weight * value_sum,
            (count, {'accuracy': right, 'class_loss': (class_sum, count)}, stats))

  def update(self, extra, stats, key):
    keep = self.model.momentum
    mix = lambda old, total: keep * old + (1 - keep) * total / stats['rows']
    return {**extra, 'moments': jax.tree.map(mix, extra['moments'], stats['moments'])}


def _plain(moments):
  """Moments as dicts, as a checkpoint gives them back."""
  return {cnn: {block: found._asdict() for block, found in blocks.items()} for cnn, blocks in moments.items()}


def _moments(plain):
  return {cnn: {block: Moments(**found) for block, found in blocks.items()} for cnn, blocks in plain.items()}
