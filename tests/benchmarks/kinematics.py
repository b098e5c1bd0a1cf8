"""Speed of the kinematic chain: 87 features, their wavelet approximations, and postures in voxels.

  python tests/benchmarks/kinematics.py --out tests/benchmarks/results/kinematics_cpu.json

A window is 450 frames. NumPy with PyWavelets, as a loader would run it in one process, against JAX
from key points on the device to features on the device. Both chains start from the same key points,
all of them visible, and the run stops if their results differ.
"""

import argparse
import dataclasses
import json
import os
import platform
import time

import jax
import numpy as np
import pywt
from scipy import ndimage

from aemg_jax.signal import keypoints, kinematics, voxels, wavelets
from aemg_jax.signal.keypoints import POINTS

N_FRAMES, RATE_HZ = 450, 30.0
FRAME_PX = np.array([640, 480], np.float32)
NOSE, LEFT, RIGHT = (POINTS.index(name) for name in ('nose', 'left_shoulder', 'right_shoulder'))


def recordings(batch: int) -> np.ndarray:
  """[batch, 450, 11, 4] a person of 0.3 frame widths who sways, all visible, with some noise."""
  rng = np.random.default_rng(0)
  at = {'nose': (0, -0.35), 'shoulder': (0.15, -0.15), 'elbow': (0.2, 0.1), 'wrist': (0.2, 0.3),
        'pinky': (0.22, 0.36), 'index': (0.18, 0.36)}
  x_k = [(1 if name.startswith('left') else -1) * at[name.split('_')[-1]][0] for name in POINTS]
  y_k = [at[name.split('_')[-1]][1] for name in POINTS]
  base_ka = 0.5 + np.stack([x_k, y_k, np.full(len(POINTS), -0.5)], -1)
  hz_bka, phase_bka = rng.uniform(0.2, 1, (batch, 11, 3)), rng.uniform(0, 6.28, (batch, 11, 3))
  t = np.arange(N_FRAMES)[None, :, None, None] / RATE_HZ
  share_btka = base_ka + 0.04 * np.sin(2 * np.pi * hz_bka[:, None] * t + phase_bka[:, None])
  share_btka += 0.001 * rng.normal(size=share_btka.shape)
  seen_btk1 = np.full(share_btka.shape[:-1] + (1,), 0.99)
  return np.concatenate([share_btka, seen_btk1], -1).astype(np.float32)


def between(one_ta: np.ndarray, other_ta: np.ndarray) -> np.ndarray:
  cross_t = np.linalg.norm(np.cross(one_ta, other_ta), axis=-1)
  return np.arctan2(cross_t, (one_ta * other_ta).sum(-1))


def numpy_features(keypoint_tkd: np.ndarray) -> np.ndarray:
  """The 87 features of fully visible key points [450, 11, 4], in float32 NumPy and SciPy."""
  point_tka = keypoint_tkd[..., :3] * np.float32([FRAME_PX[0], FRAME_PX[1], FRAME_PX[0]])
  point_tka[..., 2] -= point_tka[:, [LEFT, RIGHT], 2].mean(1)[:, None]
  width_t = np.linalg.norm(point_tka[:, LEFT] - point_tka[:, RIGHT], axis=-1)
  point_tka /= np.median(width_t[:round(10 * RATE_HZ)])
  point_tka = ndimage.uniform_filter1d(point_tka, 9, axis=0, mode='reflect')

  def second(x_tf):
    inner_tf = x_tf[2:] - 2 * x_tf[1:-1] + x_tf[:-2]
    return np.concatenate([inner_tf[:1], inner_tf, inner_tf[-1:]]) * np.float32(RATE_HZ ** 2)

  first = lambda x_tf: np.gradient(x_tf, np.float32(1 / RATE_HZ), axis=0, edge_order=2)
  mean = lambda names: point_tka[:, [POINTS.index(name) for name in names]].mean(1)
  angle_tj = np.stack([between(mean(j.first) - mean(j.vertex), mean(j.last) - mean(j.vertex))
                       for j in kinematics.KinematicsConfig().angles], -1)
  left_ta, right_ta = (point_tka[:, k] - point_tka[:, NOSE] for k in (LEFT, RIGHT))
  normal_ta = np.cross(left_ta, right_ta)
  forward_t = np.arctan2(np.linalg.norm(normal_ta[:, :2], axis=-1), np.abs(normal_ta[:, 2]))
  tilt_tf = np.stack([forward_t, between(-left_ta, right_ta - left_ta),
                      between(-right_ta, left_ta - right_ta)], -1)
  flat_tf = point_tka.reshape(len(point_tka), -1)
  return np.concatenate([first(flat_tf), second(flat_tf), angle_tj, first(angle_tj),
                         second(angle_tj), tilt_tf], 1, dtype=np.float32)


def numpy_wavelets(window_tf: np.ndarray) -> np.ndarray:
  """[450, 87, 6] by PyWavelets, each level alone, all features in one call."""
  out = []
  for level in range(1, 7):
    coarse, *details = pywt.wavedec(window_tf, 'db4', 'symmetric', level, axis=0)
    kept = [coarse] + [np.zeros_like(detail) for detail in details]
    out.append(pywt.waverec(kept, 'db4', 'symmetric', axis=0))
  return np.stack(out, -1)


def timed(work, seconds: float, per_run: int) -> dict:
  """Medians of at least 5 runs, after one that compiles; `per_run` windows each."""
  work()
  runs, start = [], time.perf_counter()
  while len(runs) < 5 or time.perf_counter() - start < seconds:
    before = time.perf_counter()
    work()
    runs.append(time.perf_counter() - before)
  median_s = float(np.median(runs))
  return {'median_s': median_s, 'best_s': min(runs), 'runs': len(runs),
          'windows_per_s': per_run / median_s, 'frames_per_s': per_run * N_FRAMES / median_s}


@jax.jit
def jax_features(keypoint_btkd):
  def one(keypoint_tkd):
    pose = keypoints.clean(keypoint_tkd, FRAME_PX, RATE_HZ)
    return kinematics.features(pose, RATE_HZ)[0], pose
  return jax.vmap(one)(keypoint_btkd)


jax_wavelets = jax.jit(wavelets.approximations)


@jax.jit
def jax_chain(keypoint_btkd, matrix_lts):
  return wavelets.approximations(jax_features(keypoint_btkd)[0], matrix_lts)


@jax.jit
def jax_voxels(pose_b):
  return jax.vmap(voxels.posture)(pose_b)


def measure(batch: int, seconds: float) -> list[dict]:
  """Rows of what was timed for batches of that many windows."""
  keypoint_btkd = recordings(batch)
  matrix_lts = wavelets.matrices(N_FRAMES).astype(np.float32)
  on_device, matrix_lts = jax.device_put((keypoint_btkd, matrix_lts))
  feature_btf, pose_b = jax_features(on_device)
  host_btf = np.stack([numpy_features(keypoint_tkd) for keypoint_tkd in keypoint_btkd])
  np.testing.assert_allclose((feature_btf - host_btf) / host_btf.std((0, 1)), 0, atol=0.02)
  np.testing.assert_allclose(jax_wavelets(jax.numpy.asarray(host_btf[0]), matrix_lts),
                             numpy_wavelets(host_btf[0].astype(np.float64)), atol=1e-4)
  ready = jax.block_until_ready
  work = {
      ('numpy', 'features'): lambda: [numpy_features(x) for x in keypoint_btkd],
      ('numpy', 'wavelets'): lambda: [numpy_wavelets(x) for x in host_btf],
      ('numpy', 'features and wavelets'): lambda: [
          numpy_wavelets(numpy_features(x)) for x in keypoint_btkd],
      ('jax', 'features'): lambda: ready(jax_features(on_device)),
      ('jax', 'wavelets'): lambda: ready(jax_wavelets(feature_btf, matrix_lts)),
      ('jax', 'features and wavelets'): lambda: ready(jax_chain(on_device, matrix_lts)),
      ('jax', 'voxels'): lambda: ready(jax_voxels(pose_b))}
  rows = [{'by': by, 'what': what, 'batch': batch, **timed(run, seconds, batch)}
          for (by, what), run in work.items()]
  cells = float(np.asarray(jax_voxels(pose_b)).sum((2, 3, 4)).mean())
  return rows[:-1] + [rows[-1] | {'cells_per_frame': cells}]


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--out', required=True, help='JSON file to write')
  parser.add_argument('--seconds', type=float, default=2.0, help='time for each row')
  args = parser.parse_args()
  load_before = os.getloadavg()[0]
  started = time.perf_counter()
  wavelets.matrices(N_FRAMES)
  matrices_s = time.perf_counter() - started
  rows = [row for batch in (1, 32) for row in measure(batch, args.seconds)]
  result = {
      'machine': {'cores': os.cpu_count(), 'load_before': load_before,
                  'load_after': os.getloadavg()[0],
                  'platform': platform.platform(), 'device': jax.devices()[0].device_kind,
                  'jax': jax.__version__, 'numpy': np.__version__, 'pywt': pywt.__version__},
      'frames': N_FRAMES, 'features': len(kinematics.FEATURES),
      'config': {type(c).__name__: dataclasses.asdict(c) for c in (
          keypoints.KeypointConfig(), kinematics.KinematicsConfig(), wavelets.WaveletConfig(),
          voxels.VoxelConfig())},
      'matrices_s': matrices_s, 'rows': rows}
  partial = args.out + '.partial'
  with open(partial, 'w', encoding='utf-8') as file:
    json.dump(result, file, indent=1)
    file.write('\n')
  os.replace(partial, args.out)


if __name__ == '__main__':
  main()
