"""Pictures of a fatigue run: attention, deletion, trajectories. Each returns a PNG."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aemg_jax.evaluation import figure_style as style
from aemg_jax.evaluation import metrics

MOST_PANELS = 9  # trajectories drawn
_RATIO_TICKS = (0.25, 0.35, 0.5, 0.7, 1, 1.4, 2, 3, 4, 6, 8)
_GROUP_NAMES = {'time': 'time', 'frequency': 'frequency', 'time_frequency': 'time-frequency',
                'non_linear': 'non-linear'}


def attention_groups(panels: Sequence[tuple[str, Mapping[str, Any], Mapping[str, float]]]) -> bytes:
  """Bars of the attention on each group of features, a colour a stage or effort.

  Args:
    panels: (title, {key: {'groups': {group: share}, 'n': sequences}}, shares if attention were even).
  """
  def draw(figure):
    grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)
    for axes, (title, found, even) in zip(grid.flat, panels):
      groups, width = list(even), 0.8 / len(found)
      for i, (key, entry) in enumerate(found.items()):
        place = np.arange(len(groups)) + (i - (len(found) - 1) / 2) * width
        axes.bar(place, [100 * entry['groups'][g] for g in groups], width * 0.92,
                 color=_shade(i, len(found)), label=f'{style.name(key)} ({entry["n"]})')
      for i, group in enumerate(groups):
        axes.plot([i - 0.45, i + 0.45], [100 * even[group]] * 2, color=style.RED, linewidth=1.8,
                  linestyle='--', label='if even' if i == 0 else None)
      axes.set_xticks(range(len(groups)), [_GROUP_NAMES.get(g, g) for g in groups])
      axes.set(title=title, ylabel='attention (%)' if axes is grid.flat[0] else '')
      axes.grid(True, axis='y')
      axes.legend(loc='upper right')
  return style.render(draw, 3.6, 5.6 * len(panels) if len(panels) < 3 else style.WIDTH_IN)


def attention_features(title: str, found: Mapping[str, Any]) -> bytes:
  """A map of the attention on each feature, a row a stage or effort."""
  names = [n for n in next(iter(found.values()))['features']
           if any(entry['features'][n] > 0 for entry in found.values())]
  share_kf = np.array([[100 * entry['features'][n] for n in names] for entry in found.values()])

  def draw(figure):
    axes = figure.subplots()
    image = axes.imshow(share_kf, cmap='Blues', vmin=0, aspect='auto')
    axes.set_xticks(range(len(names)), [n.replace('_', ' ') for n in names], rotation=55, ha='right',
                    rotation_mode='anchor')
    axes.set_yticks(range(len(found)), [style.name(key) for key in found])
    axes.tick_params(length=0)
    axes.set_title(title)
    figure.colorbar(image, ax=axes, label='attention (%)', pad=0.01)
  return style.render(draw, 1.9 + 0.32 * len(found))


def attention_windows(panels: Sequence[tuple[str, Mapping[str, Any]]]) -> bytes:
  """Lines of the attention on each window of a sequence, a colour a stage or effort.

  The axis does not begin at 0: it spans at least a quarter of an even share either way.
  """
  every = 100 * np.concatenate([e['windows'] for _, found in panels for e in found.values()])
  even = 100 / len(next(iter(panels[0][1].values()))['windows'])
  least, most = min(0.75 * even, 0.98 * every.min()), max(1.25 * even, 1.02 * every.max())

  def draw(figure):
    grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)
    for axes, (title, found) in zip(grid.flat, panels):
      for i, (key, entry) in enumerate(found.items()):
        share = 100 * np.array(entry['windows'])
        axes.plot(1 + np.arange(len(share)), share, color=_shade(i, len(found)), linewidth=2,
                  marker=style.MARKERS[i], markersize=5, label=f'{style.name(key)} ({entry["n"]})')
      axes.axhline(even, color=style.RED, linestyle='--', label='if even')
      axes.set_xticks(1 + np.arange(len(share)))
      axes.set(title=title, xlabel='window of the sequence (the last one is the one that is rated)',
               ylabel='attention (%)' if axes is grid.flat[0] else '')
      axes.set_ylim(least, most)
      axes.grid(True)
      axes.legend(loc='best', ncols=2)
  return style.render(draw, 3.4, 5.6 * len(panels) if len(panels) < 3 else style.WIDTH_IN)


def trajectories(found: Mapping[str, Mapping[str, Sequence[float]]]) -> bytes:
  """For each person, over time: rating and held-out score above, MDF and RMS over baseline below."""
  names = list(found)[:MOST_PANELS]
  columns = min(3, len(names))
  lines = math.ceil(len(names) / columns)
  ratio = np.concatenate([found[n][k] for n in names for k in ('mdf', 'rms')])
  low, high = 0.95 * ratio.min(), 1.05 * ratio.max()

  def draw(figure):
    grid = figure.subplots(2 * lines, columns, squeeze=False, height_ratios=(1.2, 1) * lines)
    for place, name in enumerate(names):
      row, column, own = 2 * (place // columns), place % columns, found[name]
      above, below = grid[row, column], grid[row + 1, column]
      above.step(own['elapsed_s'], own['borg'], where='post', color=style.GREY, linewidth=1.6,
                 label='Borg rating')
      above.plot(own['elapsed_s'], own['score'], color=style.RED, linewidth=1.6, label='held-out score')
      above.set(title=style.name(name), ylim=(-0.5, 10.5), yticks=(0, 5, 10))
      above.tick_params(labelbottom=False)
      for key, colour, label in (('mdf', style.BLUE, 'MDF'), ('rms', style.ORANGE, 'RMS')):
        below.plot(own['elapsed_s'], own[key], color=colour, linewidth=1.4, label=f'{label} over baseline')
      below.axhline(1, color='#999999', linewidth=0.8)
      below.set(ylim=(low, high), yscale='log', yticks=[t for t in _RATIO_TICKS if low < t < high])
      below.yaxis.set_major_formatter('{x:g}')
      below.minorticks_off()
      below.set_xlim(above.get_xlim())
      if place + columns >= len(names):
        below.set_xlabel('elapsed time (s)')
      for axes in (above, below):
        axes.grid(True)
    for empty in range(len(names), lines * columns):
      for row in (0, 1):
        grid[2 * (empty // columns) + row, empty % columns].axis('off')
    handles = [h for axes in (grid[0, 0], grid[1, 0]) for h in axes.get_legend_handles_labels()[0]]
    figure.legend(handles, [h.get_label() for h in handles], loc='outside upper left', ncols=4)
  return style.render(draw, 0.6 + 2.5 * lines)


def deletion(found: Mapping[str, Mapping[str, Any]]) -> bytes:
  """MAE of Borg by how many features are hidden, the most attended against any; bands over people."""
  counts = next(iter(found.values()))['k']
  n = min(len(entry['k']) for entry in found.values())
  k = np.array([0, *counts[:n]])

  def draw(figure):
    left, right = figure.subplots(1, 2, width_ratios=(1.3, 1))
    curves = {kind: np.array([[e['whole'], *e[kind][:n]] for e in found.values()])
              for kind in ('top', 'random')}
    for kind, colour, marker, label in (('top', style.RED, 'o', 'the most attended'),
                                        ('random', style.BLUE, 's', 'as many at random')):
      band = np.array([metrics.bootstrap_interval(column) for column in curves[kind].T])
      left.plot(k, curves[kind].mean(axis=0), color=colour, marker=marker, linewidth=2, label=label)
      left.fill_between(k, *band.T, color=colour, alpha=0.15, linewidth=0)
    left.set(title=f'{len(found)} held-out people: mean, 95 % interval', xlabel='static features hidden',
             ylabel='MAE of Borg', xticks=k)
    left.grid(True)
    left.legend(loc='best')
    differ = curves['top'] - curves['random']
    right.axhline(0, color='#555555', linewidth=1)
    for row, name in zip(differ, found):
      right.plot(k, row, color=style.GREY, linewidth=1, alpha=0.8)
    band = np.array([metrics.bootstrap_interval(column) for column in differ.T])
    right.plot(k, differ.mean(axis=0), color=style.BLACK, linewidth=2.2, label='mean, 95 % interval')
    right.fill_between(k, *band.T, color=style.BLACK, alpha=0.15, linewidth=0)
    right.set(title='The most attended less random, each person', xlabel='static features hidden',
              ylabel='MAE of Borg, difference', xticks=k)
    right.grid(True)
    right.legend(loc='best')
  return style.render(draw, 3.7)


def _shade(i: int, n: int) -> Any:
  """Light to dark: stages and efforts have an order."""
  import matplotlib
  return matplotlib.colormaps['cividis_r'](0.12 + 0.8 * i / max(1, n - 1))
