"""The motion model: the paper's sizes, batch norm over all devices, what a window may see."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from aemg_jax.models import PostureFatigueConfig, build
from aemg_jax.models.posture_fatigue import ConvConfig, FrameCNN, MotionBatch, convolution, patches
from aemg_jax.signal.keypoints import Pose
from aemg_jax.signal.voxels import VoxelConfig
from aemg_jax.signal.wavelets import WaveletConfig
from aemg_jax.training import parallel
from aemg_jax.training.state import init_state
from aemg_jax.training.tasks import MotionTask

PAPER = PostureFatigueConfig()
TINY = PostureFatigueConfig(
    frames=16, features=5, levels=1, cells=6, image=ConvConfig((2, 3), (1, 2), (1, 1)),
    posture=ConvConfig((2, 3), (1, 6), (1, 0)), dense=4, width=3, hidden=5)
TASK = MotionTask(TINY, WaveletConfig(levels=1), VoxelConfig(cells=6))
B = 8
SGD = optax.sgd(1.0)


def _task_batch(seed=0):
  """Rows of unequal weight, a label that is absent."""
  rng = np.random.default_rng(seed)
  pose = Pose(rng.uniform(100, 300, (B, 16, 11, 3)).astype(np.float32), rng.random((B, 16, 11)) < 0.9,
              np.full(B, 90, np.float32), np.tile(np.float32([854, 480]), (B, 1)))
  label_b = (np.arange(B) % 3 - 1).astype(np.int32)
  borg_b = np.where(label_b < 0, np.nan, np.arange(B)).astype(np.float32)
  return {'feature_btf': rng.normal(size=(B, 16, 5)).astype(np.float32), 'pose': pose, 'label': label_b,
          'borg': borg_b, 'weight': (np.arange(B) % 4 / 2).astype(np.float32)}


@functools.lru_cache
def _made():
  """(inputs, variables with noise so that every path matters, apply)."""
  model = build(TINY)
  rng = np.random.default_rng(1)
  inputs = MotionBatch(jnp.asarray(rng.normal(size=(B, 16, 5, 1)), jnp.float32),
                       jnp.asarray(rng.random((B, 16, 6, 6, 6)) < 0.1))
  variables = jax.jit(model.init)(jax.random.key(0), inputs)
  keys = iter(jax.random.split(jax.random.key(1), len(jax.tree.leaves(variables))))
  noisy = lambda x: x + 0.1 * jnp.abs(jax.random.normal(next(keys), x.shape))
  return inputs, jax.tree.map(noisy, variables), jax.jit(model.apply)


def _count(tree):
  return sum(int(np.prod(x.shape)) for x in jax.tree.leaves(tree))


def test_the_papers_network_has_the_papers_sizes():
  """Catches: another stride, padding, width or a bias too many in the defaults."""
  assert PAPER.posture.sides(20, 3) == (20, 20, 10, 4, 1) and PAPER.posture.strides == (1, 2, 3, 3)
  assert PAPER.image.sides(87, 3) == (87, 87, 44, 22) and PAPER.image.sides(6, 3) == (6, 6, 3, 2)
  zeros = lambda: MotionBatch(jnp.zeros((1, 450, 87, 6)), jnp.zeros((1, 450, 20, 20, 20), bool))
  inputs = jax.eval_shape(zeros)
  shapes = lambda config: jax.eval_shape(build(config).init, jax.random.key(0), inputs)['params']
  params = shapes(PAPER)
  posture = 27 * (1 * 8 + 8 * 12 + 12 * 16 + 16 * 20) + 2 * (8 + 12 + 16 + 20)
  image = 9 * (1 * 8 + 8 * 16 + 16 * 32) + 2 * (8 + 16 + 32)
  dense = (352 + 1) * 64 + (64 + 1) * 20
  lstm = 4 * (40 * 50 + 50 * 50 + 50)
  assert _count(params['posture']) == posture == 16_744
  assert _count(params['image']) + _count((params['dense'], params['out'])) == image + dense == 29_836
  assert _count(params['forward']) == _count(params['backward']) == lstm == 18_200
  assert _count(params) == posture + image + dense + 2 * lstm + 101 * 3 == 83_283
  alone = shapes(dataclasses.replace(PAPER, bidirectional=False))
  assert _count(alone) == posture + image + dense + lstm + 51 * 3 == 64_933


@pytest.mark.heavy
def test_blocks_are_those_of_flax_in_value_gradient_and_moments():
  """Catches: moments of one window, of a block's activation instead of its convolution, or a gradient
  that does not pass through them; a stride or padding of another block."""
  config = dataclasses.replace(TINY, dropout=0.0)
  blocks = ConvConfig((2, 3, 4), (1, 2, 1), (1, 0, 1))
  cnn = FrameCNN(config, blocks, 0)
  x_bt = jax.random.normal(jax.random.key(0), (4, 3, 7, 6, 1))
  keys_b = jax.random.split(jax.random.key(1), 4)
  variables = cnn.init(jax.random.key(2), x_bt, None, lambda x: x)
  params = jax.tree.map(lambda x: x + 0.3, variables['params'])

  def ours(params, x_bt):
    y_bt, found = cnn.apply({**variables, 'params': params}, x_bt, keys_b, lambda x: x, mutable='moments')
    return jnp.sin(y_bt).sum(), (y_bt, found['moments'])

  def plain(params, x_bt):
    x_nd, moments = x_bt.reshape(12, *x_bt.shape[2:]), []
    for i in range(3):
      conv = nn.Conv(blocks.channels[i], (3, 3), blocks.strides[i], [(blocks.paddings[i],) * 2] * 2,
                     use_bias=False)
      x_nd = conv.apply({'params': {'kernel': params[f'kernel_{i}']}}, x_nd)
      moments.append((x_nd.mean((0, 1, 2)), x_nd.var((0, 1, 2))))
      norm = {'scale': params[f'scale_{i}'], 'bias': params[f'bias_{i}']}
      stats = {'mean': jnp.zeros(blocks.channels[i]), 'var': jnp.ones(blocks.channels[i])}
      x_nd = nn.leaky_relu(nn.BatchNorm(False).apply(
          {'params': norm, 'batch_stats': stats}, x_nd, mutable='batch_stats')[0], 0.1)
    return jnp.sin(x_nd).sum(), (x_nd.reshape(4, 3, *x_nd.shape[1:]), moments)

  graded = [jax.jit(jax.value_and_grad(f, (0, 1), has_aux=True))(params, x_bt) for f in (ours, plain)]
  ((_, (y, found)), grads), ((_, (y_plain, moments)), grads_plain) = graded
  np.testing.assert_allclose(y, y_plain, atol=1e-5)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), grads, grads_plain)
  for i, (mean_c, var_c) in enumerate(moments):
    block = found[f'block_{i}']
    np.testing.assert_allclose(block.mean_c, mean_c, atol=1e-5)
    np.testing.assert_allclose(block.square_c - block.mean_c ** 2, var_c, rtol=1e-4)


@pytest.mark.heavy
@pytest.mark.parametrize('shape, side, stride, padding', [
    ((2, 7, 6, 3), 3, 2, 1), ((2, 6, 5, 7, 2), 3, 3, 1), ((1, 4, 4, 4, 3), 3, 3, 0), ((3, 5, 1), 3, 1, 1)])
def test_both_convolutions_are_one(shape, side, stride, padding):
  """Catches: on a CPU another network than on an accelerator: patches in another order than the kernel."""
  rng = np.random.default_rng(0)
  x_n = rng.normal(size=shape).astype(np.float32)
  kernel = rng.normal(size=(side,) * (len(shape) - 2) + (shape[-1], 4)).astype(np.float32)
  np.testing.assert_allclose(patches(x_n, kernel, stride, padding), convolution(x_n, kernel, stride, padding),
                             atol=1e-4)


@pytest.mark.heavy
def test_eight_devices_equal_one():
  """Catches: batch norm of one device's rows, dropout that depends on the device, means of means."""
  batch, found = _task_batch(), []
  for devices in (tuple(jax.devices()[:1]), tuple(jax.devices()[:8])):
    begin = parallel.replicate(init_state(TASK, SGD, jax.tree.map(lambda x: x[:1], batch), seed=0), devices)
    state, scalars = parallel.train_step(TASK, SGD, devices)(begin, parallel.shard_batch(batch, devices))
    found.append(jax.device_get((state.params, state.extra['moments'], scalars)))
    assert parallel.replicas_agree(state)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=3e-4, atol=3e-5), *found)
  assert found[0][2]['grad_norm'] > 0
  moved = found[0][1]['image']['block_0']['square_c'] - 0.9
  assert (moved > 0).all() and (moved != 0.1).all()  # 0.9 * 1 + 0.1 * the batch's


@pytest.mark.heavy
def test_in_evaluation_a_window_is_alone():
  """Catches: batch moments or dropout in evaluation; a prediction that depends on its neighbours."""
  inputs, variables, apply = _made()
  whole = apply(variables, inputs)
  turned = apply(variables, jax.tree.map(lambda x: x[::-1], inputs))
  np.testing.assert_allclose(turned.class_bk[::-1], whole.class_bk, atol=1e-6)
  one = jax.tree.map(lambda x: jnp.concatenate([x[:1], 1 - x[1:] if x.dtype != bool else ~x[1:]]), inputs)
  np.testing.assert_allclose(apply(variables, one).value_b[0], whole.value_b[0], atol=1e-6)


@pytest.mark.heavy
def test_last_outputs_have_seen_every_frame_in_their_direction():
  """Catches: the backward state taken at the last frame, which has seen one frame only."""
  inputs, variables, apply = _made()
  before = apply(variables, inputs).class_bk
  change = lambda t: inputs._replace(wavelet_btfl=inputs.wavelet_btfl.at[:, t].add(3.0))
  cut = jax.tree.map(jnp.copy, variables)
  kernel = cut['params']['class']['kernel']
  for half, rows in (('forward', slice(5, None)), ('backward', slice(0, 5))):
    cut['params']['class']['kernel'] = kernel.at[rows].set(0)  # only this direction is left
    base = apply(cut, inputs).class_bk
    moved = [np.abs(apply(cut, change(t)).class_bk - base).max() for t in (0, 15)]
    assert min(moved) > 1e-7, half
    assert (moved[1] > moved[0]) == (half == 'forward')
  assert np.isfinite(before).all()


@pytest.mark.heavy
def test_the_posture_and_the_weights_count():
  """Catches: a 3D-CNN that nothing reads; rows of weight 0 or without a label in the loss."""
  inputs, variables, apply = _made()
  other = apply(variables, inputs._replace(voxel_btxyz=~inputs.voxel_btxyz)).class_bk
  assert np.abs(other - apply(variables, inputs).class_bk).max() > 1e-6
  batch = _task_batch()
  state = init_state(TASK, SGD, batch, seed=0)
  loss = jax.jit(lambda batch: TASK.loss(state.params, state.extra, batch, None, False))
  total, (count, sums, _) = loss(batch)
  unseen_b = (batch['weight'] == 0) | (batch['label'] < 0)
  changed = batch | {'feature_btf': np.where(unseen_b[:, None, None], 9, batch['feature_btf']),
                     'borg': np.where(unseen_b, np.nan, batch['borg'])}
  np.testing.assert_allclose(loss(changed)[0], total, rtol=1e-6)
  assert count == batch['weight'][~unseen_b].sum() == sums['accuracy'][1]


@pytest.mark.slow
def test_one_step_of_the_paper():
  """Catches: sizes of the defaults that fit no window of 450 frames."""
  rng = np.random.default_rng(0)
  pose = Pose(rng.uniform(100, 300, (1, 450, 11, 3)).astype(np.float32), np.ones((1, 450, 11), bool),
              np.full(1, 90, np.float32), np.float32([[854, 480]]))
  batch = {'feature_btf': rng.normal(size=(1, 450, 87)).astype(np.float32), 'pose': pose,
           'label': np.ones(1, np.int32), 'borg': np.full(1, 8, np.float32), 'weight': np.ones(1, np.float32)}
  state, scalars = _one_step(MotionTask(), batch)
  assert np.isfinite(scalars['loss']) and scalars['grad_norm'] > 0
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(state.params))


def _one_step(task, batch):
  devices = tuple(jax.devices()[:1])
  begin = parallel.replicate(init_state(task, SGD, jax.tree.map(lambda x: x[:1], batch), seed=0), devices)
  return parallel.train_step(task, SGD, devices)(begin, parallel.shard_batch(batch, devices))


@pytest.mark.heavy
def test_bfloat16_is_close():
  """Catches: moments or outputs of blocks that lose the gradient when stored in 16 bits."""
  norms = [float(_one_step(dataclasses.replace(TASK, model=dataclasses.replace(TINY, dtype=dtype)),
                           _task_batch())[1]['grad_norm']) for dtype in ('float32', 'bfloat16')]
  assert norms[1] == pytest.approx(norms[0], rel=0.1) and norms[1] != norms[0]


def test_a_config_that_does_not_fit_is_refused():
  """Catches: an input of other levels, a CNN that ends beside one cell, a window of another length."""
  with pytest.raises(ValueError, match='MotionTask.model.levels: got 6, expected 5'):
    MotionTask(wavelet=WaveletConfig(levels=5))
  with pytest.raises(ValueError, match='expected one at the end'):
    PostureFatigueConfig(posture=ConvConfig((8,), (1,), (1,)))
  with pytest.raises(ValueError, match='2 channels, 1 strides'):
    ConvConfig((8, 8), (1,), (1,))
  with pytest.raises(ValueError, match='dtype'):
    PostureFatigueConfig(dtype='float16')
  with pytest.raises(ValueError, match=r'wavelet_btfl: got shape \(1, 15, 5, 1\)'):
    build(TINY).init(jax.random.key(0), MotionBatch(jnp.zeros((1, 15, 5, 1))))
  with pytest.raises(ValueError, match='voxel_btxyz: got shape None'):
    build(TINY).init(jax.random.key(0), MotionBatch(jnp.zeros((1, 16, 5, 1))))
