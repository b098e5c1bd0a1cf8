"""Cells against a slow reference that draws the whole box in float64, crops, takes block maxima."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aemg_jax.signal import voxels
from aemg_jax.signal.keypoints import POINTS, Pose
from aemg_jax.signal.voxels import BONES, VoxelConfig

FRAME_PX = (640.0, 480.0)
SMALL = VoxelConfig(box=(60, 40, 50), crop=(40, 20, 60), cells=10)  # 4 x 2 x 6 voxels a cell
POSTURE = functools.partial(jax.jit, static_argnums=1)(voxels.posture)


def pose_of(share_tka, valid_tk=None, width_px=100.0, frame_px=FRAME_PX):
  """A pose from shares of the frame; depth 0 is the middle of the box."""
  unit_a = np.array([frame_px[0], frame_px[1], frame_px[0]])
  valid_tk = np.ones(share_tka.shape[:2], bool) if valid_tk is None else valid_tk
  return Pose(jnp.asarray(share_tka * unit_a, jnp.float32), jnp.asarray(valid_tk),
              jnp.float32(width_px), jnp.asarray(frame_px, jnp.float32))


def window():
  """6 frames: a person in the middle, points beyond the frame, hidden points, all points in one."""
  rng = np.random.default_rng(0)
  share_tka = 0.5 + rng.uniform(-0.35, 0.35, (6, 11, 3)) - [0, 0, 0.5]
  share_tka[1] = 0.5 + rng.uniform(-0.9, 0.9, (11, 3)) - [0, 0, 0.5]  # many cross a face of the box
  share_tka[2] = share_tka[2, :1]
  share_tka[3, :, 0] = share_tka[3, 0, 0]  # every bone runs along the planes of x
  valid_tk = np.ones((6, 11), bool)
  valid_tk[4, [3, 6, 7, 9]] = False  # a wrist with nothing, an elbow without its wrist
  share_tka[4, 5] = 0.52, 0.55, 0.05
  valid_tk[5] = False
  return pose_of(share_tka, valid_tk)


def passes(start_a, end_a, low_xyza, size):
  """Every box [low, low + size] whose inside the segment passes through; slab by slab."""
  enter, leave = np.zeros(low_xyza.shape[:-1]), np.ones(low_xyza.shape[:-1])
  for a in range(3):
    low, high = low_xyza[..., a], low_xyza[..., a] + size
    step = end_a[a] - start_a[a]
    if step == 0:
      enter = np.where((low <= start_a[a]) & (start_a[a] < high), enter, np.inf)
    else:
      enter = np.maximum(enter, np.minimum((low - start_a[a]) / step, (high - start_a[a]) / step))
      leave = np.minimum(leave, np.maximum((low - start_a[a]) / step, (high - start_a[a]) / step))
  return enter < leave


def draw(point_ka, valid_k, shape):
  """The whole box of one frame, points in voxels."""
  low_xyza = np.moveaxis(np.indices(shape), 0, -1).astype(float)
  full_xyz = np.zeros(shape, bool)
  for point_a in point_ka[valid_k]:
    if (point_a >= 0).all() and (point_a < shape).all():
      full_xyz[tuple(np.floor(point_a).astype(int))] = True
  for one, other in BONES:
    one, other = POINTS.index(one), POINTS.index(other)
    if valid_k[one] and valid_k[other]:
      full_xyz |= passes(point_ka[one], point_ka[other], low_xyza, 1.0)
  return full_xyz


def reference(pose, config):
  """[T, cells, cells, cells]: draw, crop round the mean point, downsample."""
  box, crop, cells = np.array(config.box), np.array(config.crop), config.cells
  width, height = np.asarray(pose.frame_px, float)
  voxel_tka = (np.asarray(pose.point_tka, float) / [width, height, width] + [0, 0, 0.5]) * box
  valid_tk = np.asarray(pose.valid_tk)
  origin = np.floor(voxel_tka[valid_tk].mean(0)).astype(int) - crop // 2
  out = []
  for point_ka, valid_k in zip(voxel_tka, valid_tk):
    around_xyz = np.pad(draw(point_ka, valid_k, tuple(box)), [(n, n) for n in crop])
    cut_xyz = around_xyz[tuple(slice(o + n, o + 2 * n) for o, n in zip(origin, crop))]
    size = crop // cells
    out.append(cut_xyz.reshape(cells, size[0], cells, size[1], cells, size[2]).max((1, 3, 5)))
  return np.stack(out)


def aligned():
  """Frame 1 of the window 6 times, moved so that faces of the box lie between two cells."""
  pose = window()
  point_ka = np.asarray(pose.point_tka)[1]
  frame_a = np.array([640, 480, 640])
  mean_voxel_a = np.array([12.5, 4.5, 24.5])  # the crop starts at -8, -6, -6 voxels
  point_ka = point_ka + (mean_voxel_a / SMALL.box - [0, 0, 0.5]) * frame_a - point_ka.mean(0)
  share_tka = np.repeat(point_ka[None] / frame_a, 6, 0)
  share_tka[:2, :, 0] = [[-0.1], [0.1 + 2 * 12.5 / 60]]  # frame 0 before the box, within the crop
  return pose_of(share_tka)


def test_a_bone_that_leaves_the_box_marks_no_cell_beyond():
  # Catches the cell behind the box's face, which is a plane between cells here.
  pose = aligned()
  expected_txyz = reference(pose, SMALL)
  assert expected_txyz.any((1, 2, 3)).tolist() == [False] + 5 * [True]
  np.testing.assert_array_equal(POSTURE(pose, SMALL), expected_txyz)


def test_the_cells_are_the_drawn_box_cropped_and_downsampled():
  # Catches bones that are missing or wrong, cells cut at a corner and lost, axes in another order,
  # hidden ends, lone points that are lost, a rounded crop origin, depth 0 at the front.
  pose = window()
  out_txyz, expected_txyz = np.asarray(POSTURE(pose, SMALL)), reference(pose, SMALL)
  assert out_txyz.shape == (6, 10, 10, 10)
  assert expected_txyz.sum((1, 2, 3)).tolist()[5] == 0 and expected_txyz.sum() > 200
  np.testing.assert_array_equal(out_txyz, expected_txyz)


def test_all_thirteen_bones_of_the_paper_are_there():
  # Catches a bone listed twice: 13 pairs that join all 11 points, mirrored left to right.
  swap = lambda name: name.replace('left', '?').replace('right', 'left').replace('?', 'right')
  assert len({frozenset(bone) for bone in BONES}) == 13
  assert {point for bone in BONES for point in bone} == set(POINTS)
  assert {frozenset(map(swap, bone)) for bone in BONES} == {frozenset(bone) for bone in BONES}


def test_shoulder_widths_hide_the_cameras_distance_and_the_box_does_not():
  # Catches a crop in pixels: the same person twice as far must fill the same cells.
  config = VoxelConfig(cells=10, crop=(40, 40, 40), crop_shoulder_widths=4.0)
  share_tka = 0.5 + np.random.default_rng(1).uniform(-0.2, 0.2, (6, 11, 3))
  near, far = pose_of(share_tka, width_px=100.0), pose_of(0.3 + share_tka / 2, width_px=50.0)
  near_txyz = np.asarray(POSTURE(near, config))
  assert near_txyz.sum() > 200
  np.testing.assert_array_equal(near_txyz, POSTURE(far, config))
  assert not POSTURE(pose_of(share_tka / 1000, width_px=0.0), config).any()
  cell_px = 40.0
  point_tka = np.asarray(near.point_tka, float)
  point_tka = (point_tka - point_tka.mean((0, 1))) / cell_px + 5
  expected_txyz = np.stack([draw(p_ka, np.ones(11, bool), (10, 10, 10)) for p_ka in point_tka])
  np.testing.assert_array_equal(near_txyz, expected_txyz)


def test_the_papers_box_is_20_cubed():
  # Catches defaults that drift from the paper's, and a crop that does not divide.
  config = VoxelConfig()
  assert (config.box, config.crop, config.cells) == ((854, 480, 500), (480,) * 3, 20)
  assert jax.eval_shape(lambda p: voxels.posture(p, config), window()).shape == (6, 20, 20, 20)


@pytest.mark.parametrize('settings, message', [
    ({'cells': 0}, 'cells: got 0'), ({'box': (854, 480)}, 'box: got'),
    ({'crop': (480, 470, 480)}, 'crop: got .* multiples of cells'),
    ({'crop_shoulder_widths': -1.0}, 'crop_shoulder_widths: got -1.0')])
def test_bad_settings(settings, message):
  # Catches a crop whose blocks would not be whole voxels.
  with pytest.raises(ValueError, match=message):
    VoxelConfig(**settings)
