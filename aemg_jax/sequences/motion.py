"""Recordings of motion -> windows of features and poses with Borg ratings, and their table.

Key points give the 87 kinematic features and the poses of the postures; IMUs their signals and how fast
those change. Features come from the whole recording, windows are cut from them, and nothing else crosses a
window's edge: wavelets are made later, of each window alone. Letters: b window, t frame, f feature.
"""

import collections
from collections.abc import Iterable
import dataclasses
import functools
from typing import NamedTuple

import jax
import numpy as np

from aemg_jax.records import Record
from aemg_jax.signal import keypoints, kinematics
from aemg_jax.signal.keypoints import KeypointConfig, Pose
from aemg_jax.signal.kinematics import KinematicsConfig

KINDS = ('keypoints', 'imu')
IMU_UNITS = ('deg/s', 'm/s^2')  # rates of turn and accelerations; angles wrap and drift
CLASS_NAMES = ('rested', 'fatigued')
LARGEST_SD = 10.0  # of a z-score


@dataclasses.dataclass(frozen=True)
class MotionConfig:
  """Attributes:
    kind: of the records, one of KINDS.
    frames, stride: of a window, and between windows, in samples.
    fatigued_from: a window is fatigued if the rating is at least this (CR-10) in all of it, rested if in
      none; one that the moment crosses is dropped.
    rate_hz: that the recordings must have, within 1 %.
    min_valid: a window of which a smaller share of feature values is valid is dropped.
    baseline_s: 0, or count every feature from its mean over the recording's first so many seconds, in its
      deviations there: people and sensors that sit differently then begin alike. Not the paper's.
    keypoints, kinematics: of key points. Of an IMU only `kinematics.smooth_frames` is used.
  """
  kind: str = 'keypoints'
  frames: int = 450
  stride: int = 100
  fatigued_from: float = 7.0
  rate_hz: float = 30.0
  min_valid: float = 0.5
  baseline_s: float = 0.0
  keypoints: KeypointConfig = KeypointConfig()
  kinematics: KinematicsConfig = KinematicsConfig()

  def __post_init__(self):
    if self.kind not in KINDS:
      raise ValueError(f'MotionConfig.kind: got {self.kind!r}, expected one of {KINDS}')
    for name in ('frames', 'stride'):
      if getattr(self, name) < 1:
        raise ValueError(f'MotionConfig.{name}: got {getattr(self, name)}, expected 1 or more')
    if not self.baseline_s >= 0:
      raise ValueError(f'MotionConfig.baseline_s: got {self.baseline_s}, expected 0 or more')
    if not self.rate_hz > 0:
      raise ValueError(f'MotionConfig.rate_hz: got {self.rate_hz}, expected more than 0')


class Motion(NamedTuple):
  """One recording: feature_tf [T, F] float32, valid_tf [T, F] bool, and the pose (None of an IMU)."""
  feature_tf: np.ndarray
  valid_tf: np.ndarray
  pose: Pose | None


class Windows(NamedTuple):
  """Windows of a dataset.

  Attributes:
    feature_btf: [B, T, F] float32, 0 where not valid.
    valid_btf: [B, T, F] bool.
    pose: with a leading B; None of an IMU.
    borg_b: [B] float32 rating at the last frame.
    elapsed_s_b: [B] seconds from the recording's start to the window's end.
    segments: the table that folds index: record_id, subject, session (the task), repetition (-1), label
      (of CLASS_NAMES), start_s, stop_s.
  """
  feature_btf: np.ndarray
  valid_btf: np.ndarray
  pose: Pose | None
  borg_b: np.ndarray
  elapsed_s_b: np.ndarray
  segments: dict[str, np.ndarray]


class Scaler(NamedTuple):
  """Mean and deviation of every feature over the valid values of training windows, [F] each."""
  mean_f: np.ndarray
  sd_f: np.ndarray


def keypoint_motion(keypoint_tkd: np.ndarray, frame_px: np.ndarray, rate_hz: float,
                    config: MotionConfig) -> Motion:
  """Key points [T, 11, 4] as an estimator gives them, frame width and height in px -> Motion."""
  found = _keypoint_motion(config.keypoints, config.kinematics)(
      np.asarray(keypoint_tkd, np.float32), np.asarray(frame_px, np.float32), rate_hz)
  return _from_baseline(jax.tree.map(np.asarray, Motion(*found)), round(config.baseline_s * rate_hz))


@functools.lru_cache(maxsize=4)
def _keypoint_motion(of_points: KeypointConfig, of_features: KinematicsConfig):

  @jax.jit
  def compute(keypoint_tkd, frame_px, rate_hz):
    pose = keypoints.clean(keypoint_tkd, frame_px, rate_hz, of_points)
    return *kinematics.features(pose, rate_hz, of_features), pose

  return compute


def imu_motion(signal_tc: np.ndarray, rate_hz: float, config: MotionConfig) -> Motion:
  """Smoothed signals [T, C] and their slopes per second, [T, 2 C]."""
  smooth_tc = np.asarray(kinematics.smooth(signal_tc.astype(np.float32), config.kinematics.smooth_frames))
  slope_tc = np.asarray(kinematics.slope(smooth_tc)) * np.float32(rate_hz)
  feature_tf = np.concatenate([smooth_tc, slope_tc], axis=1)
  motion = Motion(feature_tf, np.ones(feature_tf.shape, bool), None)
  return _from_baseline(motion, round(config.baseline_s * rate_hz))


def _from_baseline(motion: Motion, frames: int) -> Motion:
  """Features in deviations of the first frames, from their mean; 0 frames leave them as they are."""
  if not frames:
    return motion
  valid_tf = motion.valid_tf[:frames]
  scaler = _moments(motion.feature_tf[None, :frames], valid_tf[None])
  known_f = valid_tf.any(0)  # a feature that was never seen there has no baseline
  feature_tf = ((motion.feature_tf - scaler.mean_f[None]) / scaler.sd_f[None]).astype(np.float32)
  return motion._replace(feature_tf=feature_tf, valid_tf=motion.valid_tf & known_f[None])


def motion_of(record: Record, config: MotionConfig) -> Motion:
  """A record's motion.

  Raises:
    ValueError: another kind or rate, key points that are not the 11, or no size of the frame.
  """
  if record.kind != config.kind:
    raise ValueError(f'{record.record_id}: kind: got {record.kind!r}, expected {config.kind!r}')
  if abs(record.rate_hz / config.rate_hz - 1) > 0.01:
    raise ValueError(f'{record.record_id}: rate_hz: got {record.rate_hz:g}, expected {config.rate_hz:g}')
  if config.kind == 'imu':
    used = [i for i, sensor in enumerate(record.sensors) if sensor.unit in IMU_UNITS]
    scale_c = np.array([record.sensors[i].scale for i in used])
    return imu_motion(record.signal_tc[:, used] * scale_c[None], record.rate_hz, config)
  shape = (record.n_samples, len(keypoints.POINTS), 4)
  if record.n_channels != shape[1] * shape[2]:
    raise ValueError(f'{record.record_id}: got {record.n_channels} channels, expected {shape[1] * shape[2]}')
  frame_px = [_constant(record, name) for name in ('frame_width_px', 'frame_height_px')]
  return keypoint_motion(record.signal_tc.reshape(shape), np.array(frame_px), record.rate_hz, config)


def cut(motion: Motion, first_b: np.ndarray, frames: int) -> tuple[np.ndarray, np.ndarray, Pose | None]:
  """Windows of `frames` frames from each of `first_b` on: (feature_btf, valid_btf, pose of windows)."""
  frame_bt = np.asarray(first_b)[:, None] + np.arange(frames)[None]
  pose = motion.pose
  if pose is not None:
    repeat = lambda x: np.repeat(np.asarray(x)[None], len(frame_bt), axis=0)
    pose = Pose(pose.point_tka[frame_bt], pose.valid_tk[frame_bt], repeat(pose.width_px),
                repeat(pose.frame_px))
  valid_btf = motion.valid_tf[frame_bt]
  return np.where(valid_btf, motion.feature_tf[frame_bt], 0), valid_btf, pose


def make_windows(records: Iterable[Record], config: MotionConfig) -> tuple[Windows, collections.Counter]:
  """All labelled windows, and what was refused: 'crosses the threshold', 'unrated', 'hidden' windows and
  'short recording'.

  Raises:
    ValueError: no window is left.
  """
  parts, rejects = [], collections.Counter()
  for record in records:
    part = _windows_of(record, config, rejects)
    if part is not None:
      parts.append(part)
  if not parts:
    raise ValueError(f'windows: no recording holds a rated window of {config.frames} frames, refused: '
                     f'{dict(rejects)}')
  *arrays, tables = zip(*parts)
  table = {name: np.concatenate([t[name] for t in tables]) for name in tables[0]}
  joined = [None if each[0] is None else jax.tree.map(lambda *x: np.concatenate(x), *each) for each in arrays]
  return Windows(*joined, table), +rejects


def fit_scaler(windows: Windows, rows: np.ndarray) -> Scaler:
  """Statistics of the given windows alone, which must be those that train; windows that share frames
  count them as often as they hold them."""
  return _moments(windows.feature_btf[rows], windows.valid_btf[rows])


def _moments(value_btf: np.ndarray, valid_btf: np.ndarray) -> Scaler:
  """Of the valid values; a deviation that is no scale is 1."""
  value_btf = np.where(valid_btf, value_btf, 0)
  count_f = np.maximum(valid_btf.sum((0, 1)), 1)
  mean_f = value_btf.sum((0, 1), dtype=np.float64) / count_f
  square_f = np.square(np.where(valid_btf, value_btf - mean_f[None, None], 0)).sum((0, 1), dtype=np.float64)
  sd_f = np.sqrt(square_f / count_f)
  return Scaler(mean_f, np.where(sd_f > 1e-6, sd_f, 1.0))


def standardise(feature_btf: np.ndarray, valid_btf: np.ndarray, scaler: Scaler) -> np.ndarray:
  """[B, T, F] float32 z-scores within +-LARGEST_SD; 0, the training mean, where not valid."""
  z_btf = (feature_btf - scaler.mean_f[None, None]) / scaler.sd_f[None, None]
  return np.where(valid_btf, np.clip(z_btf, -LARGEST_SD, LARGEST_SD), 0).astype(np.float32)


def _windows_of(record: Record, config: MotionConfig, rejects: collections.Counter):
  """Arrays of Windows for one record, with the table last; None if no window is left."""
  first_b = np.arange(0, record.n_samples - config.frames + 1, config.stride)
  if not len(first_b):
    rejects['short recording'] += 1
    return None
  borg_t = borg_of(record)
  borg_bt = borg_t[first_b[:, None] + np.arange(config.frames)[None]]
  unrated_b = np.isnan(borg_bt).any(1)
  above_bt = borg_bt >= config.fatigued_from
  crossed_b = ~unrated_b & (above_bt.any(1) != above_bt.all(1))
  feature_btf, valid_btf, pose = cut(motion_of(record, config), first_b, config.frames)
  hidden_b = valid_btf.mean((1, 2)) < config.min_valid
  for reason, refused_b in (('unrated', unrated_b), ('crosses the threshold', crossed_b),
                            ('hidden', hidden_b & ~unrated_b & ~crossed_b)):
    rejects[reason] += int(refused_b.sum())
  keep_b = ~(unrated_b | crossed_b | hidden_b)
  if not keep_b.any():
    return None
  start_s = first_b[keep_b] / record.rate_hz
  stop_s = start_s + config.frames / record.rate_hz
  repeat = lambda value: np.full(len(start_s), value)
  table = {'record_id': repeat(record.record_id), 'subject': repeat(record.subject),
           'session': repeat(record.session), 'repetition': repeat(-1),
           'label': above_bt.all(1)[keep_b].astype(np.int32), 'start_s': start_s, 'stop_s': stop_s}
  pose = None if pose is None else jax.tree.map(lambda x: x[keep_b], pose)
  return (feature_btf[keep_b], valid_btf[keep_b], pose, borg_bt[keep_b, -1].astype(np.float32), stop_s, table)


def borg_of(record: Record) -> np.ndarray:
  """[T] rating at every sample, NaN outside of the rated spans."""
  borg_t = np.full(record.n_samples, np.nan)
  for note in record.annotations:
    if note.name == 'borg':
      borg_t[note.start:note.stop] = note.value
  return borg_t


def _constant(record: Record, name: str) -> float:
  values = {note.value for note in record.annotations if note.name == name}
  if len(values) != 1:
    raise ValueError(f'{record.record_id}: {name}: got {sorted(values)}, expected one value')
  return values.pop()
