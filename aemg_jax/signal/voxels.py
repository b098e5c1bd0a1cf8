"""The posture of every frame as a small cube of cells, 1 where a bone passes: Long & Yang, the input of
their 3D-CNN.

The paper draws points and bones into 854 x 480 x 500 voxels, crops round the mean of the key points and
downsamples to 20^3. That box is 205 million voxels a frame; here a bone marks the cells of the crop that
it passes through, with the same result: a cell is 1 when a voxel of it is 1, and a voxel is 1 when the
bone passes through it. Nothing larger than the cells is made.

A bone enters a cell through a plane between cells, so its cells are the one that it starts in and, for
every plane that it crosses, the one behind. Letters: t frame, k key point, b bone, a axis, p plane,
xyz cells.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from aemg_jax.signal.keypoints import MIN_WIDTH_PX, POINTS, Pose

ARM = (('shoulder', 'elbow'), ('elbow', 'wrist'), ('wrist', 'pinky'), ('wrist', 'index'), ('pinky', 'index'))
BONES = (('nose', 'left_shoulder'), ('nose', 'right_shoulder'), ('left_shoulder', 'right_shoulder')) + tuple(
    (f'{side}_{one}', f'{side}_{other}') for side in ('left', 'right') for one, other in ARM)
EDGE = 1e-3  # voxels: what lies on a face of the box is outside of it, or it would mark the cells beyond


@dataclasses.dataclass(frozen=True)
class VoxelConfig:
  """Key points -> cells.

  Attributes:
    box: voxels of the whole space along x, y and z: the frame's width, its height, and a frame width of
      depth, the middle of which is depth 0.
    crop: voxels of the part that is kept along each axis, round the mean of all valid points in the
      window (of the voxel that it is in, crop // 2 voxels before it). It may reach beyond the box, where
      nothing is.
    cells: cells of the result along each axis; they divide `crop`.
    crop_shoulder_widths: 0, or take another crop: a cube of so many shoulder widths in pixels round the
      mean, so that neither the distance from the camera nor the person's size shows. `box` and `crop`
      are then not used.
  """
  box: tuple[int, ...] = (854, 480, 500)
  crop: tuple[int, ...] = (480, 480, 480)
  cells: int = 20
  crop_shoulder_widths: float = 0.0

  def __post_init__(self):
    if self.cells < 1:
      raise ValueError(f'cells: got {self.cells}, expected at least 1')
    for name in ('box', 'crop'):
      value = getattr(self, name)
      if len(value) != 3 or min(value) < 1:
        raise ValueError(f'{name}: got {value!r}, expected voxels along x, y and z')
    if any(side % self.cells for side in self.crop):
      raise ValueError(f'crop: got {self.crop!r}, expected multiples of cells ({self.cells})')
    if not self.crop_shoulder_widths >= 0:
      raise ValueError(f'crop_shoulder_widths: got {self.crop_shoulder_widths!r}, expected 0 or more')


def posture(window: Pose, config: VoxelConfig = VoxelConfig()) -> jax.Array:
  """Cells with a key point or with a bone that passes through.

  A point that is not valid is not drawn, and neither are its bones.

  Args:
    window: the pose of one window; its `width_px` is the recording's.

  Returns:
    [T, cells, cells, cells] bool in the order x, y, z. All False for a window without a valid point, or
    without a shoulder width where the crop is in shoulder widths.
  """
  if config.crop_shoulder_widths:
    point_tka, low_a, high_a = _in_shoulder_cells(window, config)
    valid_tk = window.valid_tk & (window.width_px >= MIN_WIDTH_PX)
  else:
    point_tka, low_a, high_a = _in_box_cells(window, config)
    valid_tk = window.valid_tk
  return jax.vmap(_draw, (0, 0, None, None, None))(point_tka, valid_tk, low_a, high_a, config.cells)


def _mean_point(point_tka: jax.Array, valid_tk: jax.Array) -> jax.Array:
  """Mean [3] of the valid points of all frames; 0 if there are none."""
  valid_tk1 = valid_tk[..., None]
  return jnp.where(valid_tk1, point_tka, 0).sum((0, 1)) / jnp.maximum(valid_tk1.sum((0, 1)), 1)


def _in_box_cells(window: Pose, config: VoxelConfig) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Points in cells of the crop, and the box's corners in the same unit."""
  box_a = jnp.array(config.box, jnp.float32)
  frame_a = jnp.stack([window.frame_px[0], window.frame_px[1], window.frame_px[0]])
  middle_a = jnp.array([0, 0, 0.5], jnp.float32)
  voxel_tka = (window.point_tka / frame_a[None, None] + middle_a[None, None]) * box_a[None, None]
  crop_a = np.array(config.crop)
  origin_a = jnp.floor(_mean_point(voxel_tka, window.valid_tk)) - crop_a // 2
  cell_a = crop_a / np.float32(config.cells)
  in_cells = lambda voxel_a: (voxel_a - origin_a) / cell_a
  return jax.vmap(jax.vmap(in_cells))(voxel_tka), in_cells(jnp.full(3, EDGE)), in_cells(box_a - EDGE)


def _in_shoulder_cells(window: Pose, config: VoxelConfig) -> tuple[jax.Array, jax.Array, jax.Array]:
  """The same for a cube of shoulder widths; nothing lies outside of a box."""
  cell_px = jnp.maximum(window.width_px, MIN_WIDTH_PX) * config.crop_shoulder_widths / config.cells
  mean_a = _mean_point(window.point_tka, window.valid_tk)
  point_tka = (window.point_tka - mean_a[None, None]) / cell_px + config.cells / 2
  return point_tka, jnp.full(3, -jnp.inf), jnp.full(3, jnp.inf)


def _draw(point_ka: jax.Array, valid_k: jax.Array, low_a: jax.Array, high_a: jax.Array, cells: int
          ) -> jax.Array:
  """One frame: the cells [x, y, z] of points given in cells and of their bones, inside of the box alone."""
  one_b, other_b = np.array([[POINTS.index(point) for point in bone] for bone in BONES]).T
  start_ba, step_ba = point_ka[one_b], point_ka[other_b] - point_ka[one_b]
  enter_b, leave_b = _clip(start_ba, step_ba, low_a, high_a)
  drawn_b = valid_k[one_b] & valid_k[other_b] & (enter_b <= leave_b)
  share_bn, cell_bna = _crossings(start_ba, step_ba, cells)
  inside_k = ((point_ka >= low_a[None]) & (point_ka <= high_a[None])).all(-1)
  crossed_bn = drawn_b[:, None] & (share_bn >= enter_b[:, None]) & (share_bn <= leave_b[:, None])
  cell_na = jnp.concatenate([jnp.floor(point_ka), jnp.floor(start_ba + enter_b[:, None] * step_ba),
                             cell_bna.reshape(-1, 3)])
  marked_n = jnp.concatenate([valid_k & inside_k, drawn_b, crossed_bn.reshape(-1)])
  marked_n &= ((cell_na >= 0) & (cell_na < cells)).all(-1)
  x_n, y_n, z_n = jnp.where(marked_n[:, None], cell_na, cells).astype(jnp.int32).T
  return jnp.zeros((cells, cells, cells), bool).at[x_n, y_n, z_n].set(True, mode='drop')


def _clip(start_ba: jax.Array, step_ba: jax.Array, low_a: jax.Array, high_a: jax.Array
          ) -> tuple[jax.Array, jax.Array]:
  """Shares of each segment at which it enters and leaves a box; enter > leave for one that misses it."""
  still_ba = step_ba == 0
  safe_ba = jnp.where(still_ba, 1, step_ba)
  one_ba, other_ba = (low_a[None] - start_ba) / safe_ba, (high_a[None] - start_ba) / safe_ba
  outside_ba = (start_ba < low_a[None]) | (start_ba > high_a[None])
  enter_ba = jnp.where(still_ba, jnp.where(outside_ba, jnp.inf, 0), jnp.minimum(one_ba, other_ba))
  leave_ba = jnp.where(still_ba, 1, jnp.maximum(one_ba, other_ba))
  return enter_ba.max(-1).clip(0), leave_ba.min(-1).clip(max=1)


def _crossings(start_ba: jax.Array, step_ba: jax.Array, cells: int) -> tuple[jax.Array, jax.Array]:
  """Where each segment's line crosses the planes 0..cells of the three axes.

  Returns:
    share_bn: [B, 3 (cells + 1)] share of the segment; infinite for planes that it runs along.
    cell_bna: [B, 3 (cells + 1), 3] the cell behind the plane, in the segment's direction.
  """
  plane_p = jnp.arange(cells + 1, dtype=jnp.float32)
  moving_ba1 = (step_ba != 0)[..., None]
  share_bap = jnp.where(moving_ba1, (plane_p[None, None] - start_ba[..., None])
                        / jnp.where(moving_ba1, step_ba[..., None], 1), jnp.inf)
  finite_bap = jnp.where(jnp.isfinite(share_bap), share_bap, 0)
  cell_bapa = jnp.floor(start_ba[:, None, None] + finite_bap[..., None] * step_ba[:, None, None])
  exact_bap = plane_p[None, None] - (step_ba < 0)[..., None]  # along the axis that is crossed: no rounding
  own_apa = np.eye(3, dtype=bool)[None, :, None]
  cell_bapa = jnp.where(own_apa, exact_bap[..., None], cell_bapa)
  return share_bap.reshape(len(start_ba), -1), cell_bapa.reshape(len(start_ba), -1, 3)
