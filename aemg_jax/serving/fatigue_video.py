"""Fatigue over time in one video, from a motion model's checkpoint: a CSV and a picture.

Letters: b window, t frame, k key point, f feature.
"""

import csv
import io
import os
from typing import Any, NamedTuple

from absl import logging
import numpy as np

from aemg_jax import config as config_lib
from aemg_jax.evaluation import figure_style, motion_methods
from aemg_jax.sequences import motion as motion_lib
from aemg_jax.sequences.motion import MotionConfig, Scaler
from aemg_jax.serving import keypoint_input
from aemg_jax.serving.keypoint_input import KeypointVideo
from aemg_jax.signal.keypoints import POINTS
from aemg_jax.training import checkpoints
from aemg_jax.training.tasks import MotionTask

COLUMNS = ('time_s', 'fatigued', 'borg', 'visibility', 'valid', 'frames')
GROUPS = {'left arm': 'left_', 'right arm': 'right_', 'head': 'nose'}
KIND = 'motion_fatigue'  # of the checkpoint's meta
_WINDOWS_AT_ONCE = motion_methods.BLOCK_ROWS
_CURVE_S = 1.0  # visibility is drawn as means over so long


class MotionModel(NamedTuple):
  """A trained model with all that its input needs; `trained_on` names the dataset."""
  task: MotionTask
  windows: MotionConfig
  scaler: Scaler
  params: Any
  extra: Any
  trained_on: str


class Curve(NamedTuple):
  """Windows of one video.

  Attributes:
    time_s: [B] end of the window, in s from the first frame: when the answer could have been known.
    fatigued_b: [B] probability of the class fatigued; NaN where too little was seen of the person.
    borg_b: [B] predicted rating, 0 to 10, likewise.
    visibility_b: [B] mean over the window's frames and points, as the estimator gives it.
    valid_b: [B] share of the window's feature values that come from points which were seen.
    looped_b: [B] the window holds repeated frames.
  """
  time_s: np.ndarray
  fatigued_b: np.ndarray
  borg_b: np.ndarray
  visibility_b: np.ndarray
  valid_b: np.ndarray
  looped_b: np.ndarray


def run(path: str, checkpoint: str, out: str, loop_frames: int = 0, stride_s: float = 1.0) -> list[str]:
  """Writes `out`/NAME.fatigue.csv and NAME.fatigue.png; both are NAME.looped.fatigue where looped.

  Args:
    path: a video, or an NPZ of its key points.
    checkpoint: work directory of a motion model (configs/kinematics_fatigue.py).
    out: folder, made if need be; a video's key points are written there too.
    loop_frames: 0, or repeat the recording to so many frames at the model's rate.
    stride_s: between windows.

  Returns:
    Paths of what was written.

  Raises:
    ValueError: no such model or recording; a recording shorter than one window.
  """
  if not stride_s > 0:
    raise ValueError(f'--stride_s: got {stride_s:g}, expected more than 0')
  model = load(checkpoint)  # first: key points of a long video take long
  os.makedirs(out, exist_ok=True)
  video = keypoint_input.at_rate(keypoint_input.of_file(path, out), model.windows.rate_hz)
  recorded = len(video.keypoint_tkd)
  if loop_frames:
    video = keypoint_input.looped(video, loop_frames)
  found = curve(video, model, stride_s, recorded)
  for note in video.notes:
    logging.info('%s: %s', video.name, note)
  hidden = int(np.isnan(found.fatigued_b).sum())
  if hidden:
    logging.warning('%s: %d of %d windows have no answer: less than %.0f %% of their features were seen',
                    video.name, hidden, len(found.time_s), 100 * model.windows.min_valid)
  stem = os.path.join(out, f'{video.name}{".looped" if loop_frames else ""}.fatigue')
  _write(f'{stem}.csv', _csv(found))
  _write(f'{stem}.png', picture(video, found, model))
  logging.info('wrote %s.csv and .png: %d windows', stem, len(found.time_s))
  return [f'{stem}.csv', f'{stem}.png']


def load(checkpoint: str) -> MotionModel:
  """The model of a work directory; ValueError if it holds another, or one that wants no key points."""
  meta = checkpoints.load_meta(checkpoint)
  if meta.get('kind') != KIND:
    raise ValueError(f'{checkpoint}: holds another model (kind {meta.get("kind")!r}, expected {KIND!r}): '
                     'aemg evaluate --config=configs/kinematics_fatigue.py makes one')
  windows = config_lib.section(MotionConfig, meta['windows'], f'{checkpoint}: windows')
  if windows.kind != 'keypoints':
    raise ValueError(f'{checkpoint}: windows.kind: got {windows.kind!r}, expected a model of key points')
  scaler = Scaler(np.array(meta['mean']), np.array(meta['sd']))
  trained_on = meta['dataset'] + ' (SYNTHETIC)' * meta['synthetic']
  return MotionModel(config_lib.section(MotionTask, meta['task'], f'{checkpoint}: task'), windows, scaler,
                     checkpoints.load_params(checkpoint), checkpoints.load_extra(checkpoint), trained_on)


def curve(video: KeypointVideo, model: MotionModel, stride_s: float, recorded: int) -> Curve:
  """Every window's answer; `recorded` frames are the recording's own, the others repeat it.

  Raises:
    ValueError: fewer frames than one window.
  """
  frames, rate_hz = model.windows.frames, video.rate_hz
  have = len(video.keypoint_tkd)
  if have < frames:
    raise ValueError(
        f'{video.name}: {have} frames, {have / rate_hz:.1f} s at {rate_hz:g} frames/s, are shorter than one '
        f'window: expected at least {frames} frames ({frames / rate_hz:.1f} s); --loop={2 * frames} repeats '
        'the video to try things out')
  motion = motion_lib.keypoint_motion(video.keypoint_tkd, video.frame_px, rate_hz, model.windows)
  first_b = np.arange(0, have - frames + 1, max(1, round(stride_s * rate_hz)))
  valid_b = np.array([motion.valid_tf[first:first + frames].mean() for first in first_b])
  score_b, borg_b = _answers(motion, first_b, model)
  answer_b = np.where(valid_b >= model.windows.min_valid, 1.0, np.nan)
  visibility_t = video.keypoint_tkd[..., 3].mean(1)
  visibility_b = np.array([visibility_t[first:first + frames].mean() for first in first_b])
  return Curve((first_b + frames) / rate_hz, answer_b * score_b, answer_b * np.clip(borg_b, 0, 10),
               visibility_b, valid_b, first_b + frames > recorded)


def _answers(motion: motion_lib.Motion, first_b: np.ndarray, model: MotionModel
             ) -> tuple[np.ndarray, np.ndarray]:
  """Probability of fatigue and Borg, [B] each; windows are cut as few at a time as the model takes."""
  parts = []
  for start in range(0, len(first_b), _WINDOWS_AT_ONCE):
    feature_btf, valid_btf, pose = motion_lib.cut(
        motion, first_b[start:start + _WINDOWS_AT_ONCE], model.windows.frames)
    batch = {'feature_btf': motion_lib.standardise(feature_btf, valid_btf, model.scaler), 'pose': pose}
    parts.append(motion_methods.score_windows(model.task, model.params, model.extra, batch))
  score_b, borg_b = map(np.concatenate, zip(*parts))
  return score_b, borg_b


def picture(video: KeypointVideo, found: Curve, model: MotionModel) -> bytes:
  """PNG: probability and Borg over time, and under them how well the person was seen."""
  title = '; '.join((video.name, *video.notes, f'model trained on {model.trained_on}'))
  window_s = model.windows.frames / video.rate_hz

  def draw(figure):
    figure.suptitle(figure_style.clean(title), fontsize=9.5, wrap=True)
    top, middle, bottom = figure.subplots(3, sharex=True, height_ratios=(3, 2, 2))
    for axis, values, label, most in ((top, found.fatigued_b, 'P(fatigued)', 1),
                                      (middle, found.borg_b, 'predicted Borg', 10)):
      axis.plot(found.time_s, values, '-', color=figure_style.BLUE, lw=1)
      for looped, marker, name in ((False, 'o', 'recorded'), (True, 'x', 'holds repeated frames')):
        here = found.looped_b == looped
        if here.any():
          axis.plot(found.time_s[here], values[here], marker, ms=4.5, label=name,
                    color=figure_style.RED if looped else figure_style.BLUE)
      axis.set(ylabel=label, ylim=(-0.04 * most, 1.04 * most))
    top.set_title(f'Windows of {window_s:g} s, drawn at their end')
    if found.looped_b.any():
      top.legend(loc='best')
    _draw_visibility(bottom, video, model.windows.keypoints.min_visibility)
    for axis in (top, middle, bottom):
      axis.grid(True)

  return figure_style.render(draw, height_in=6.2)


def _draw_visibility(axis, video: KeypointVideo, least: float) -> None:
  """The estimator's confidence over time, by parts of the body, and the limit below which it is hidden."""
  width = max(1, round(_CURVE_S * video.rate_hz))
  time_t = np.arange(len(video.keypoint_tkd)) / video.rate_hz
  colours = (figure_style.ORANGE, figure_style.SKY, figure_style.BLACK)
  for (label, start), colour in zip(GROUPS.items(), colours):
    points = [k for k, name in enumerate(POINTS) if name.startswith(start)]
    seen_t = video.keypoint_tkd[:, points, 3].mean(1)
    padded_t = np.pad(seen_t, (width // 2, width - 1 - width // 2), mode='edge')
    mean_t = np.convolve(padded_t, np.ones(width) / width, mode='valid')
    axis.plot(time_t, mean_t, lw=1.2, color=colour, label=label)
  axis.axhline(least, color=figure_style.GREY, lw=1, ls='--', label='hidden below')
  axis.set(ylabel='visibility', xlabel='time in s', ylim=(-0.04, 1.4), yticks=(0, 0.5, 1),
           xlim=(0, 1.01 * len(time_t) / video.rate_hz))
  axis.legend(loc='upper right', ncols=4)


def _csv(found: Curve) -> bytes:
  text = io.StringIO()
  writer = csv.writer(text, lineterminator='\n')
  writer.writerow(COLUMNS)
  blank = lambda value, digits: '' if np.isnan(value) else f'{value:.{digits}f}'
  for time_s, fatigued, borg, visibility, valid, looped in zip(*found):
    writer.writerow((f'{time_s:.3f}', blank(fatigued, 6), blank(borg, 3), f'{visibility:.4f}', f'{valid:.4f}',
                     'looped' if looped else 'recorded'))
  return text.getvalue().encode()


def _write(path: str, data: bytes) -> None:
  """In one step."""
  folder, name = os.path.split(os.path.abspath(path))
  temporary = os.path.join(folder, f'.{name}.{os.getpid()}.tmp')
  try:
    with open(temporary, 'wb') as file:
      file.write(data)
    os.replace(temporary, path)
  finally:
    if os.path.exists(temporary):
      os.remove(temporary)
