"""Pictures of what codes stand for: families of frequent codes, and one code in several gestures.

Each takes the arrays of one NPZ of `code_families`, checked by `figure_data`, and returns a PNG. Letters:
m code, g gesture, c electrode, f frequency, q part of a repetition.
"""

import math
from typing import Any

import numpy as np

from aemg_jax.evaluation import figure_style as style
from aemg_jax.evaluation.figures import Arrays
from aemg_jax.evaluation.report_page import Table

FAMILY_COLOURS = {
    'quiet': style.GREY, 'weak': style.SKY, 'strong': style.BLUE, 'onset': style.GREEN, 'offset': style.PINK,
    'burst': style.RED, 'rising': style.ORANGE, 'falling': '#8C6D1F'}
_COLUMNS = 5
_LEAST_WORDS = 5  # of a gesture whose mean spectrum is drawn


def families(data: Arrays) -> bytes:
  """A panel a code: mean spectrum and deviation of its words, its parts of a repetition, its family.

  Keys of families.npz: see `code_families.describe`; frequency_f in Hz, label_name by gesture.
  """
  count = len(data['code_m'])
  lines = math.ceil(count / _COLUMNS)

  def draw(figure):
    grid = figure.subplots(lines, _COLUMNS, sharex=True, sharey=True, squeeze=False)
    edge_mf = data['spectrum_mf'] + np.array([-1, 1])[:, None, None] * data['deviation_mf']
    low, high = (np.nanmin(edge_mf), np.nanmax(edge_mf)) if np.isfinite(edge_mf).any() else (0.0, 1.0)
    grid[0, 0].set_ylim(low - 0.05 * (high - low), high + 0.85 * (high - low))  # room for what is said above
    for i, axes in enumerate(grid.flat):
      if i >= count:
        axes.axis('off')
        continue
      _family(axes, data, i)
      if i + _COLUMNS >= count:
        axes.tick_params(labelbottom=True)
    figure.supxlabel('frequency (Hz)', fontsize=9.5)
    figure.supylabel('log power over the mean', fontsize=9.5)
  return style.render(draw, 0.7 + 1.75 * lines)


def _family(axes: Any, data: Arrays, i: int) -> None:
  name = str(data['family_m'][i])
  colour = FAMILY_COLOURS[name]
  mean_f, deviation_f, frequency_f = data['spectrum_mf'][i], data['deviation_mf'][i], data['frequency_f']
  axes.axhline(0, color='#bbbbbb', linewidth=0.8)
  axes.fill_between(frequency_f, mean_f - deviation_f, mean_f + deviation_f, color=colour, alpha=0.25,
                    linewidth=0)
  axes.plot(frequency_f, mean_f, color=colour, linewidth=1.8)
  axes.set_title(f"{data['code_m'][i]}: {name}", fontsize=9)
  first = int(data['gesture_mg'][i].argmax())
  said = (f"{100 * data['share_m'][i]:.1f} % of words\namplitude {data['amplitude_m'][i]:+.2f}\n"
          f"spread {data['entropy_m'][i]:.2f}\n{100 * data['gesture_mg'][i][first]:.0f} % "
          f"{style.name(data['label_name'][first], 16)}")
  axes.annotate(said, (0.98, 0.97), xycoords='axes fraction', ha='right', va='top', fontsize=7,
                color='#333333')
  bars = axes.inset_axes((0.03, 0.7, 0.26, 0.27))
  bars.bar(range(3), data['lift_mq'][i], color=colour, width=0.8)
  bars.axhline(1, color='#555555', linewidth=0.7)
  bars.set(ylim=(0, max(2.0, float(data['lift_mq'].max()))), yticks=[])
  bars.set_xticks(range(3), ['on', 'hold', 'off'], fontsize=5.5)
  bars.tick_params(length=0, pad=1)
  bars.spines[:].set_visible(False)
  axes.grid(True, axis='x')


def family_table(data: Arrays) -> Table:
  """The numbers behind the picture."""
  lines = []
  for i, code in enumerate(data['code_m']):
    gesture = int(data['gesture_mg'][i].argmax())
    steps = (f'{data[key][i]:+.2f}' if np.isfinite(data[key][i]) else '-' for key in ('before_m', 'after_m'))
    lifts = (f'{lift:.2f}' for lift in data['lift_mq'][i])
    lines.append(('', (str(code), str(data['family_m'][i]), f"{100 * data['share_m'][i]:.2f}",
                       f"{data['amplitude_m'][i]:+.2f}", *steps, *lifts, f"{data['entropy_m'][i]:.2f}",
                       f"{data['label_name'][gesture]} {100 * data['gesture_mg'][i][gesture]:.0f} %")))
  return Table(('code', 'family', '% of words', 'log amplitude', 'over the slot before',
                'over the slot after', 'onset', 'hold', 'offset', 'spread', 'commonest gesture'),
               tuple(lines), text_columns=(1, 10), folded='The frequent codes as numbers')


def polysemy(data: Arrays) -> bytes:
  """One code at one electrode: how often in each gesture, its spectrum there, the other electrodes then.

  Keys of polysemy.npz: see `code_families.polysemous`.
  """
  names = [style.name(label, 18) for label in data['label_name']]
  place = np.arange(len(names))
  electrode = int(data['electrode'])

  def draw(figure):
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.0, 1.15, 1.25))
    count_g = data['count_g']
    colours = [style.COLOURS[i % 8] for i in place]
    left.barh(place, 100 * count_g / max(count_g.sum(), 1), color=colours, height=0.7)
    left.plot(100 * data['base_g'], place, 'k|', markersize=14, markeredgewidth=1.6)
    left.set_yticks(place, names)
    left.invert_yaxis()
    name = style.name(data['channel_name'][electrode], 12)
    left.set(xlabel=f'% of its {count_g.sum()} words; line: of all words',
             title=f"Code {data['code']}, electrode {name}")
    left.grid(True, axis='x')
    for i in place:
      if count_g[i] >= _LEAST_WORDS:
        middle.plot(data['frequency_f'], data['spectrum_gf'][i], color=colours[i], linewidth=1.5)
    middle.axhline(0, color='#bbbbbb', linewidth=0.8)
    middle.set(xlabel='frequency (Hz)', ylabel='log power over the mean', title='The same word')
    middle.grid(True)
    _context(figure, right, data, names, electrode)
  return style.render(draw, 1.2 + 0.34 * max(len(names), 6))


def _context(figure: Any, axes: Any, data: Arrays, names: list[str], electrode: int) -> None:
  context_gc = np.ma.masked_invalid(data['context_gc'])
  low, high = (float(context_gc.min()), float(context_gc.max())) if context_gc.count() else (0.0, 1.0)
  image = axes.imshow(context_gc, aspect='auto', cmap='cividis', vmin=low, vmax=high)
  for (gesture, channel), value in np.ndenumerate(context_gc.filled(np.nan)):
    if np.isfinite(value) and context_gc.size <= 160:
      axes.text(channel, gesture, f'{value:+.1f}', ha='center', va='center', fontsize=7,
                color=style.ink(value, low, high, dark_is_high=False))
  axes.axvline(electrode - 0.5, color=style.RED, linewidth=1.2)
  axes.axvline(electrode + 0.5, color=style.RED, linewidth=1.2)
  axes.set_facecolor('#eeeeee')
  axes.set_xticks(range(context_gc.shape[1]), [style.name(c, 6) for c in data['channel_name']])
  axes.set_yticks(range(len(names)), [''] * len(names))
  axes.tick_params(length=0)
  axes.set(xlabel='electrode', title='What the others do then')
  figure.colorbar(image, ax=axes, shrink=0.85, pad=0.02, label='mean log amplitude')
