"""Pictures of fatigue from motion: skeletons, wavelet levels, voxels, predicted fatigue over time.

Each takes arrays and returns a PNG. Letters: t frame, k key point, a axis, l level, b window.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from aemg_jax.evaluation import figure_style as style
from aemg_jax.signal.keypoints import POINTS
from aemg_jax.signal.voxels import BONES


def skeletons(point_tka: np.ndarray, valid_tk: np.ndarray, titles: Sequence[str]) -> bytes:
  """Poses side by side as the camera sees them, on one scale; left bones blue, right ones red.

  Args:
    point_tka: [T, 11, 3] px, y down; a panel for each.
    valid_tk: [T, 11]; other points and their bones are left out.
    titles: of the panels.
  """
  seen_na = point_tka[valid_tk]
  low_a, high_a = seen_na.min(0) - 15, seen_na.max(0) + 15

  def draw(figure):
    panels = figure.subplots(1, len(titles), sharey=True)
    for axes, point_ka, valid_k, title in zip(panels, point_tka, valid_tk, titles):
      for bone in BONES:
        ends = [POINTS.index(name) for name in bone]
        if valid_k[ends].all():
          sides = {name.split('_')[0] for name in bone}
          colour = style.BLUE if sides == {'left'} else style.RED if sides == {'right'} else style.BLACK
          axes.plot(*point_ka[ends, :2].T, color=colour, linewidth=2, marker='o', markersize=3)
      axes.set(title=title, xlim=(low_a[0], high_a[0]), ylim=(high_a[1], low_a[1]), aspect='equal',
               xlabel='x (px)')
    figure.axes[0].set_ylabel('y (px)')
  return style.render(draw, 3.2)


def wavelet_levels(signal_t: np.ndarray, level_tl: np.ndarray, rate_hz: float, name: str, unit: str) -> bytes:
  """A signal of one window, and each approximation over it."""

  def draw(figure):
    time_s = np.arange(len(signal_t)) / rate_hz
    panels = figure.subplots(-(-level_tl.shape[1] // 2), 2, sharex=True, sharey=True).ravel()
    for level, axes in enumerate(panels[:level_tl.shape[1]], 1):
      axes.plot(time_s, signal_t, color=style.GREY, linewidth=0.7)
      axes.plot(time_s, level_tl[:, level - 1], color=style.BLUE, linewidth=1.5)
      axes.set_title(f'A{level}, below {rate_hz / 2 ** (level + 1):.2g} Hz')
    for axes in panels[level_tl.shape[1]:]:
      axes.set_axis_off()
    for axes in panels[level_tl.shape[1] - 2:level_tl.shape[1]]:
      axes.set_xlabel('time in the window (s)')
      axes.tick_params(labelbottom=True)
    figure.supylabel(f'{style.name(name)} ({unit})', fontsize=9.5)
  return style.render(draw, 1.5 * -(-level_tl.shape[1] // 2) + 0.8)


def postures(voxel_txyz: np.ndarray, titles: Sequence[str]) -> bytes:
  """Cells of some frames, seen from the front, from the side and from above; a column for each frame."""

  def draw(figure):
    views = (('from the front', 3, 'x', 'y'), ('from the side', 1, 'z', 'y'), ('from above', 2, 'x', 'z'))
    panels = figure.subplots(len(views), len(titles), squeeze=False)
    for column, (voxel_xyz, title) in enumerate(zip(voxel_txyz, titles)):
      for row, (said, axis, across, down) in enumerate(views):
        seen = voxel_xyz.any(axis - 1)
        seen = seen.T if axis != 1 else seen  # rows are what runs down
        axes = panels[row, column]
        axes.pcolormesh(seen, cmap='Blues', vmin=0, vmax=1, edgecolors='#eeeeee', linewidth=0.3)
        axes.set(aspect='equal', xlabel=across, ylabel=down, xticks=(0, 10, 20), yticks=(0, 10, 20),
                 ylim=(seen.shape[0], 0), title=f'{title}, {said}' if row == 0 else said)
  return style.render(draw, 8.4, 2.9 * max(len(titles), 2))


def fatigue_curves(curves: Mapping[str, Mapping[str, np.ndarray]], fatigued_from: float) -> bytes:
  """Borg as rated and as predicted, and the probability of fatigue, over each recording.

  Args:
    curves: {recording: {time_s, borg, value, score}}, one number a window, in order of time.
    fatigued_from: rating from which a window counts as fatigued.
  """

  def draw(figure):
    rows = -(-len(curves) // 2)
    panels = figure.subplots(rows, 2, sharey=True, squeeze=False).ravel()
    for axes, (name, curve) in zip(panels, curves.items()):
      axes.step(curve['time_s'], curve['borg'], where='mid', color=style.BLACK, label='rated Borg')
      axes.plot(curve['time_s'], curve['value'], color=style.BLUE, marker='o', markersize=3,
                label='predicted Borg')
      axes.plot(curve['time_s'], 10 * curve['score'], color=style.RED, linestyle='--',
                label='10 x probability of fatigue')
      axes.axhline(fatigued_from, color=style.GREY, linewidth=0.8)
      axes.set(title=style.name(name), ylim=(-0.5, 10.5))
    for axes in panels[len(curves):]:
      axes.set_axis_off()
    for axes in panels[max(len(curves) - 2, 0):len(curves)]:
      axes.set_xlabel('end of the window (s)')
    figure.legend(*panels[0].get_legend_handles_labels(), loc='outside upper center', ncols=3)
  return style.render(draw, 2.2 * -(-len(curves) // 2) + 0.8)
