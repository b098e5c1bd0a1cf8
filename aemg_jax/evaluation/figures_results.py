"""Pictures of the result rows and the loss curves. Each returns a PNG."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aemg_jax.evaluation import figure_style as style
from aemg_jax.evaluation.report_inputs import Row

_MAX_CELLS = 15  # labels up to which a confusion matrix has its numbers printed
# Panels of a stage's curves: title, y label, and the words that choose a scalar by its last part.
PANELS = (
    ('Loss', 'loss', ('loss',)),
    ('Reconstruction', 'squared error', ('error',)),
    ('Accuracy', 'accuracy (%)', ('accuracy', 'unigram', 'majority')),
    ('Codebook perplexity', 'codes', ('perplexity',)),
    ('Codebook used', 'codes used (%)', ('used', 'usage')),
)


def names_of(rows: Sequence[Row]) -> list[str]:
  """A name for each row: the method, with the target's part where the method occurs twice."""
  keys = [(row.protocol, row.method) for row in rows]
  return [
      f'{row.method} ({row.uses_target})' if keys.count(key) > 1 else row.method
      for row, key in zip(rows, keys)
  ]


def intervals(rows: Sequence[Row], n_labels: int) -> bytes:
  """Mean and 95 % interval of each row, grouped by protocol; hollow where transductive."""
  lines = [(protocol, row, name) for protocol in dict.fromkeys(row.protocol for row in rows)
           for row, name in zip(rows, names_of(rows)) if row.protocol == protocol]

  def draw(figure):
    ticks, groups, place, last = [], [], 0.0, None
    panels = figure.subplots(1, 2, sharey=True)
    for protocol, row, name in lines:
      if protocol != last:
        place, last = place + (0.4 if last is not None else 0.0), protocol
        groups.append(len(ticks))
        ticks.append((place, style.name(protocol, 40)))
        for axes in panels:
          axes.axhspan(place - 0.5, place + 0.5, color='#eef2f6', linewidth=0)
        place += 1
      ticks.append((place, style.name(name, 40)))
      for axes, score in zip(panels, ('repetition', 'window')):
        low, high = row.ci95[score]
        axes.plot([100 * low, 100 * high], [place, place], color=style.BLUE, linewidth=2)
        axes.plot(100 * row.mean[score], place, 'o', markersize=7, color=style.BLUE,
                  markerfacecolor='white' if row.transductive else style.BLUE, markeredgewidth=1.8)
      place += 1
    for axes, title in zip(panels, ('Accuracy per repetition', 'Accuracy per window')):
      axes.set(title=title, xlabel='accuracy (%)', ylim=(place - 0.4, -0.6))
      axes.axvline(100 / n_labels, color=style.GREY, linestyle='--', linewidth=1.2)
      axes.grid(True, axis='x')
      axes.tick_params(axis='y', length=0)
      axes.set_xlim(left=min(axes.get_xlim()[0], 100 / n_labels - 3), right=101)
    panels[0].set_yticks(*zip(*ticks))
    for group in groups:
      panels[0].get_yticklabels()[group].set_fontweight('bold')
  n_protocols = len({protocol for protocol, _, _ in lines})
  return style.render(draw, 1.0 + 0.24 * (len(lines) + 1.4 * n_protocols))


def subjects(rows: Sequence[Row], n_labels: int) -> bytes:
  """Accuracy of each subject by method for the rows of one protocol, hardest subject at the top."""
  found = list(dict.fromkeys(subject for row in rows for subject in row.per_subject))

  def hardness(subject):
    scores = [row.per_subject[subject]['repetition'] for row in rows if subject in row.per_subject]
    return sum(scores) / len(scores)
  ordered = sorted(found, key=hardness)
  names = names_of(rows)
  looks = style.method_styles(names)

  def draw(figure):
    panels = figure.subplots(1, 2, sharey=True)
    for axes, score in zip(panels, ('repetition', 'window')):
      for i, (row, name) in enumerate(zip(rows, names)):
        places = [p for p, subject in enumerate(ordered) if subject in row.per_subject]
        values = [100 * row.per_subject[ordered[p]][score] for p in places]
        nudge = 0.64 * (i - (len(rows) - 1) / 2) / max(len(rows), 1)
        axes.plot(values, [p + nudge for p in places], linestyle='', markersize=6,
                  label=style.name(name, 40), markeredgewidth=1.3, **looks[name],
                  markerfacecolor='white' if row.transductive else looks[name]['color'])
      axes.axvline(100 / n_labels, color=style.GREY, linestyle='--', linewidth=1.2)
      for place in range(0, len(ordered), 2):
        axes.axhspan(place - 0.5, place + 0.5, color='#f5f5f5', linewidth=0, zorder=0)
      axes.set(title=f'Per {score}', xlabel='accuracy (%)', ylim=(len(ordered) - 0.5, -0.5))
      axes.set_xlim(right=102)
      axes.grid(True, axis='x')
      axes.tick_params(axis='y', length=0)
    panels[0].set_yticks(range(len(ordered)), [style.name(subject, 30) for subject in ordered])
    handles, said = panels[0].get_legend_handles_labels()
    figure.legend(handles, said, loc='outside upper left', ncols=4)
  return style.render(draw, 1.1 + 0.3 * len(ordered) + 0.22 * math.ceil(len(rows) / 4))


def confusions(matrices: Sequence[tuple[str, np.ndarray]], labels: Sequence[str]) -> bytes:
  """Confusion matrices side by side, in % of the true label's repetitions."""
  columns = min(3, len(matrices))
  lines = math.ceil(len(matrices) / columns)
  size = 3.35

  def draw(figure):
    grid = figure.subplots(lines, columns, squeeze=False)
    for i, axes in enumerate(grid.flat):
      if i >= len(matrices):
        axes.axis('off')
        continue
      last = i + columns >= len(matrices)
      _matrix(axes, *matrices[i], labels, first=i % columns == 0, last=last)
  return style.render(draw, lines * (size - 0.1) + 0.9, 0.9 + columns * size)


def _matrix(axes: Any, title: str, counts_kk: np.ndarray, labels: Sequence[str],
            first: bool, last: bool) -> None:
  rate_kk = _by_truth(counts_kk)
  axes.imshow(np.ma.masked_invalid(rate_kk), cmap='Blues', vmin=0, vmax=100)
  count = len(labels)
  if count <= _MAX_CELLS:
    for (true, predicted), rate in np.ndenumerate(rate_kk):
      if np.isfinite(rate) and rate >= 0.5:
        axes.text(predicted, true, f'{rate:.0f}', ha='center', va='center', fontsize=8,
                  color=style.ink(rate, 0, 100, dark_is_high=True))
  step = max(1, math.ceil(count / 26))
  places = range(0, count, step)
  names = [style.name(labels[p], 18) for p in places]
  axes.set_xticks(places, names if last else [], rotation=45, ha='right', rotation_mode='anchor')
  axes.set_yticks(places, names if first else [])
  axes.tick_params(length=0, labelsize=8.5 if count <= _MAX_CELLS else 6)
  axes.set_title(style.name(title, 46), fontsize=8.5)
  axes.set_xlabel('predicted' if last else '')
  axes.set_ylabel('true' if first else '')
  axes.spines[:].set_visible(True)


def _by_truth(counts_kk: np.ndarray) -> np.ndarray:
  """Rows in %; NaN where a label never occurs."""
  total_k1 = counts_kk.sum(axis=1, keepdims=True)
  return np.where(total_k1 > 0, 100 * counts_kk / np.where(total_k1 > 0, total_k1, 1), np.nan)


def recalls(rows: Sequence[Row], labels: Sequence[str]) -> bytes:
  """Recall of each gesture (columns) by method (rows), in %."""
  drawn = [(row, name) for row, name in zip(rows, names_of(rows)) if row.confusion_kk is not None]
  recall_mk = np.stack([np.diag(_by_truth(row.confusion_kk)) for row, _ in drawn])
  low = max(0.0, float(np.nanmin(recall_mk, initial=100.0)) - 15)

  def draw(figure):
    axes = figure.subplots()
    axes.imshow(np.ma.masked_invalid(recall_mk), cmap='Blues', vmin=low, vmax=100, aspect='auto')
    if len(labels) <= 24:
      for (method, label), value in np.ndenumerate(recall_mk):
        if np.isfinite(value):
          axes.text(label, method, f'{value:.0f}', ha='center', va='center', fontsize=9,
                    color=style.ink(value, low, 100, dark_is_high=True))
    axes.set_xticks(range(len(labels)), [style.name(label, 16) for label in labels], rotation=30,
                    ha='right', rotation_mode='anchor')
    axes.set_yticks(range(len(drawn)), [style.name(name, 40) for _, name in drawn])
    axes.tick_params(length=0)
  return style.render(draw, 1.2 + 0.3 * len(drawn))


def curves(series: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> bytes | None:
  """A stage's loss, accuracy, perplexity and usage by step; None if it logged none of them."""
  panels = [(title, label, _chosen(series, chosen)) for title, label, chosen in PANELS]
  panels = [panel for panel in panels if panel[2]]
  if not panels:
    return None

  def draw(figure):
    grid = figure.subplots(1, len(panels), squeeze=False)
    for axes, (title, label, names) in zip(grid.flat, panels):
      factor = 100 if '%' in label else 1
      for name, colour in zip(names, style.COLOURS):
        steps, values = series[name]
        baseline = any(word in name for word in ('unigram', 'majority'))
        line = '--' if baseline else '-'
        smooth = _smooth(values)
        if smooth is not values:
          axes.plot(steps, factor * values, color=colour, linewidth=0.6, alpha=0.35)
        axes.plot(steps, factor * smooth, color=colour, linewidth=1.8, linestyle=line,
                  marker='o' if len(steps) < 3 else '', markersize=4, label=style.name(name, 30))
      axes.set(title=title, xlabel='step', ylabel=label)
      axes.grid(True)
      axes.legend(loc='best')
  return style.render(draw, 3.0)


def _chosen(series: Mapping[str, Any], words: Sequence[str]) -> list[str]:
  return [name for name in sorted(series) if any(word in name.split('/')[-1] for word in words)][:8]


def _smooth(values: np.ndarray) -> np.ndarray:
  """A centred running mean over 1/40 of the steps; short series stay as they are."""
  width = 2 * (len(values) // 80) + 1
  if width < 3:
    return values
  padded = np.pad(values, width // 2, mode='edge')
  return np.convolve(padded, np.full(width, 1 / width), mode='valid')
