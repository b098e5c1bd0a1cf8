"""Pictures of what the tokeniser and the codebook do. Each takes one NPZ's arrays, returns a PNG.

The arrays come from `figure_data.read_figure_data`, which checks them against `figure_data.KEYS`;
each function says what its keys hold. Letters: t sample, c channel, l label span, e event
(contraction), s slot, w energy window, k code, v variance, n word, x point, g gesture.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from aemg_jax.evaluation import figure_style as style

Arrays = Mapping[str, np.ndarray]


def recording(data: Arrays) -> bytes:
  """Traces with contractions, slots and words on them; the energy and its thresholds below.

  Keys of recording.npz (5 to 30 s read best):
    record_id, unit: text; the unit of the traces, e.g. 'session scale'.
    rate_hz: of the traces.
    signal_tc: [T, C] rectified signal.
    channel_name: [C].
    label_start_s, label_stop_s, label_name: [L] label spans; L may be 0.
    event_start_s, event_stop_s: [E] contractions; E is 0 with the gate off.
    slot_start_s, slot_stop_s: [S].
    word_valid_sc: [S, C] the channel emits a word in the slot.
    energy_time_s, energy: [W] centre and natural log of the energy of each window.
    rest_median, on_threshold, off_threshold: on the same log scale.
  """
  n_channels = data['signal_tc'].shape[1]

  def draw(figure):
    upper, lower = figure.subplots(
        2, 1, sharex=True, height_ratios=(max(0.36 * n_channels, 1.6), 1.5))
    _traces(upper, data)
    _shade(upper, data)
    _shade(lower, data)
    lower.plot(data['energy_time_s'], data['energy'], color=style.BLACK, linewidth=1.2)
    for key, said, colour, line in (('on_threshold', 'on', style.RED, '-'),
                                    ('off_threshold', 'off', style.BLUE, '--'),
                                    ('rest_median', 'rest', style.GREY, ':')):
      lower.axhline(float(data[key]), color=colour, linestyle=line, linewidth=1.4)
      lower.annotate(said, (1.005, float(data[key])), xycoords=('axes fraction', 'data'),
                     color=colour, va='center', fontsize=8.5)
    lower.set_ylabel('log energy')
    lower.set_xlabel('time (s)')
  return style.render(draw, 2.6 + max(0.36 * n_channels, 1.6))


def _traces(axes: Any, data: Arrays) -> None:
  signal_tc, rate_hz = data['signal_tc'], float(data['rate_hz'])
  n_samples, n_channels = signal_tc.shape
  time = np.arange(n_samples) / rate_hz
  step = 2.2 * float(np.quantile(np.abs(signal_tc), 0.998)) or 1.0
  base = -step * np.arange(n_channels)
  for channel in range(n_channels):
    axes.plot(time, base[channel] + signal_tc[:, channel], color='#222222', linewidth=0.6)
    words = np.flatnonzero(data['word_valid_sc'][:, channel])
    start_s, stop_s = data['slot_start_s'][words], data['slot_stop_s'][words]
    gap_s = 0.06 * (stop_s - start_s)  # neighbours stay apart
    axes.hlines(np.full(len(words), base[channel] - 0.4 * step), start_s + gap_s, stop_s - gap_s,
                color=style.BLUE, linewidth=2.6)
  axes.set_yticks(base, [style.name(channel, 16) for channel in data['channel_name']])
  axes.set_ylim(base[-1] - 0.6 * step, base[0] + 0.9 * step)
  axes.set_xlim(0, n_samples / rate_hz)
  bar = 10.0 ** math.floor(math.log10(step))
  axes.plot([1.012, 1.012], [base[0] - bar / 2, base[0] + bar / 2], color=style.BLACK, linewidth=2,
            transform=axes.get_yaxis_transform(), clip_on=False)
  axes.annotate(f"{bar:g} {style.name(data['unit'], 16)}", (1.022, base[0]),
                xycoords=('axes fraction', 'data'), rotation=90, va='center', fontsize=8,
                annotation_clip=False)
  for start_s, stop_s, label in zip(
      data['label_start_s'], data['label_stop_s'], data['label_name']):
    axes.annotate(style.name(label, 20), ((start_s + stop_s) / 2, 0.995), ha='center', va='top',
                  xycoords=('data', 'axes fraction'), fontsize=9, fontweight='bold')
    axes.axvline(start_s, color=style.GREEN, linewidth=1.4)
    axes.axvline(stop_s, color=style.GREEN, linewidth=1.4)
  axes.set_title(style.name(data['record_id'], 80))


def _shade(axes: Any, data: Arrays) -> None:
  for start_s, stop_s in zip(data['event_start_s'], data['event_stop_s']):
    axes.axvspan(start_s, stop_s, color=style.ORANGE, alpha=0.2, linewidth=0)
  for edge_s in np.union1d(data['slot_start_s'], data['slot_stop_s']):
    axes.axvline(edge_s, color=style.BLUE, linewidth=0.6, linestyle=(0, (2, 2)), alpha=0.7)


def codebook(data: Arrays) -> bytes:
  """Uses of each code, most used first, and the running share of all words.

  Keys of codebook.npz:
    measured_on: text, e.g. 'held-out subjects'.
    code_count_k: [K] words that took each code.
    variance_name, explained_variance: [V] e.g. 'log spectrum', 'log amplitude'; NaN not measured.
    hist_probe_accuracy: ridge on code histograms, per repetition, in [0, 1]; NaN not measured.
    chance: of that accuracy.
  """
  count_k = np.sort(data['code_count_k'])[::-1]

  def draw(figure):
    left, right = figure.subplots(1, 2)
    rank = np.arange(1, len(count_k) + 1)
    left.fill_between(rank, np.maximum(count_k, 0.5), 0.5, step='mid', color=style.BLUE)
    left.set_yscale('log')
    left.yaxis.set_major_formatter('{x:g}')  # no mathematics in the report's style
    left.set_ylim(bottom=0.5)
    used = int((count_k > 0).sum())
    if used < len(count_k):  # dead codes
      left.axvline(used + 0.5, color=style.RED, linewidth=1.4)
      left.annotate(f'{used} used ', (used + 0.5, 0.97), xycoords=('data', 'axes fraction'),
                    ha='right', va='top', color=style.RED)
    left.set(xlabel='code, most used first', ylabel='words (log scale)', title='Uses of each code')
    share_k = 100 * np.cumsum(count_k) / max(count_k.sum(), 1)
    right.plot(rank, share_k, color=style.BLUE, linewidth=2)
    right.plot(rank, 100 * rank / len(rank), color=style.GREY, linestyle='--', linewidth=1.2)
    right.annotate('if all were used alike', (0.62 * len(rank), 58), color='#555555', va='top')
    right.set(xlabel='code, most used first', ylabel='share of all words (%)', ylim=(0, 102),
              title='Running share of words')
    for axes in (left, right):
      axes.set_xlim(0.5, len(rank) + 0.5)
      axes.grid(True)
  return style.render(draw, 3.3)


def codebook_numbers(data: Arrays) -> list[tuple[str, str]]:
  """(name, value) lines of what codebook.npz says; '-' where it was not measured."""
  count_k = data['code_count_k'].astype(float)
  share_k = count_k[count_k > 0] / max(count_k.sum(), 1.0)
  perplexity = math.exp(-float((share_k * np.log(share_k)).sum())) if share_k.size else float('nan')
  used = int((count_k > 0).sum())
  lines = [
      ('Codes', str(count_k.size)),
      ('Words counted', f'{count_k.sum():.0f}'),
      ('Codes used', f'{used} ({100 * used / count_k.size:.1f} %)'),
      ('Perplexity', _or_dash(perplexity, '{:.1f}')),
  ]
  for name, value in zip(data['variance_name'], data['explained_variance']):
    lines.append((f'Explained variance, {style.clean(name)}', _or_dash(float(value), '{:.3f}')))
  probe = _or_dash(100 * float(data['hist_probe_accuracy']), '{:.1f} %')
  chance = 100 * float(data['chance'])
  lines.append((f'Histogram probe per repetition (chance {chance:.1f} %)', probe))
  lines.append(('Measured on', style.clean(data['measured_on'])))
  return lines


def _or_dash(value: float, form: str) -> str:
  return form.format(value) if math.isfinite(value) else '-'


def words(data: Arrays) -> bytes:
  """A grid of words: what was to be reconstructed and what the code gave. At most 16 are drawn.

  Keys of words.npz:
    target: 'spectrum' (natural log power) or 'waveform' (as the codebook's target).
    axis: [X] frequency in Hz, or time in ms from the word's onset.
    title: [N] e.g. 'Fist, ch 3, code 17'.
    target_nx, reconstruction_nx: [N, X].
    target_amplitude_n, reconstruction_amplitude_n: [N] log amplitude; NaN where there is none.
  """
  count = min(len(data['title']), 16)
  columns = min(4, count)
  lines = math.ceil(count / columns)
  spectrum = str(data['target']) == 'spectrum'

  def draw(figure):
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for i, axes in enumerate(grid.flat):
      if i >= count:
        axes.axis('off')
        continue
      _word(axes, data, i)
      if i + columns >= count:
        axes.tick_params(labelbottom=True)
    handles, names = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc='outside upper left', ncols=2)
    figure.supxlabel('frequency (Hz)' if spectrum else 'time in the word (ms)', fontsize=9.5)
    figure.supylabel('log power' if spectrum else 'waveform (as tokenised)', fontsize=9.5)
  return style.render(draw, 0.8 + 1.65 * lines)


def _word(axes: Any, data: Arrays, i: int) -> None:
  axes.plot(data['axis'], data['target_nx'][i], color=style.BLACK, linewidth=1.4, label='target')
  axes.plot(data['axis'], data['reconstruction_nx'][i], color=style.RED, linewidth=1.6,
            linestyle=(0, (4, 1.5)), label='reconstruction')
  axes.set_title(style.name(data['title'][i], 40), fontsize=8.5, fontweight='normal')
  axes.grid(True)
  axes.margins(y=0.2)  # room for the amplitude above the curves
  amplitude = float(data['target_amplitude_n'][i]), float(data['reconstruction_amplitude_n'][i])
  if all(map(math.isfinite, amplitude)):
    axes.annotate('amplitude {:+.2f} → {:+.2f}'.format(*amplitude), (0.98, 0.95), ha='right',
                  xycoords='axes fraction', va='top', fontsize=7.5, color='#333333',
                  bbox={'facecolor': 'white', 'alpha': 0.8, 'edgecolor': 'none', 'pad': 1.0})


def codes(data: Arrays) -> bytes:
  """The codes of one repetition of each gesture: electrode by slot, with the code's number.

  Keys of codes.npz:
    label_name: [G] gesture; title: [G] e.g. the repetition's record_id.
    channel_name: [C].
    slot_s: duration of a slot.
    code_gsc: [G, S, C] code of each word, -1 where there is none.
    code_value_k: [K] a number that colours a code, e.g. the log amplitude it decodes to.
    value_name: text, what that number is.
  """
  code_gsc = data['code_gsc']
  n_gestures, n_slots, n_channels = code_gsc.shape
  lines = math.ceil(n_gestures / 2)
  used = data['code_value_k'][code_gsc[code_gsc >= 0]]
  low, high = (float(used.min()), float(used.max())) if used.size else (0.0, 1.0)
  high = high if high > low else low + 1.0

  def draw(figure):
    grid = figure.subplots(lines, 2, sharex=True, sharey=True, squeeze=False)
    image = None
    for i, axes in enumerate(grid.flat):
      if i >= n_gestures:
        axes.axis('off')
        grid[lines - 2, 1].tick_params(labelbottom=True)
        continue
      image = _code_map(axes, data, i, low, high)
    figure.colorbar(image, ax=grid, shrink=0.6, aspect=40, pad=0.01,
                    label=style.name(data['value_name'], 50))
    figure.supxlabel(f"slot (each {1000 * float(data['slot_s']):.0f} ms)", fontsize=9.5)
  return style.render(draw, 0.7 + lines * (0.5 + 0.19 * n_channels))


def _code_map(axes: Any, data: Arrays, i: int, low: float, high: float) -> Any:
  code_cs = data['code_gsc'][i].T
  value_cs = np.ma.masked_where(code_cs < 0, data['code_value_k'][np.maximum(code_cs, 0)])
  image = axes.imshow(value_cs, aspect='auto', cmap='cividis', vmin=low, vmax=high,
                      interpolation='nearest')
  axes.set_facecolor('#eeeeee')
  if code_cs.shape[1] <= 20:
    for (channel, slot), code in np.ndenumerate(code_cs):
      if code >= 0:
        axes.text(slot, channel, str(code), ha='center', va='center', fontsize=6.5,
                  color=style.ink(value_cs[channel, slot], low, high, dark_is_high=False))
  axes.set_xticks(range(0, code_cs.shape[1], 1 if code_cs.shape[1] <= 20 else 8))
  axes.set_yticks(range(code_cs.shape[0]), [style.name(c, 10) for c in data['channel_name']])
  axes.tick_params(length=0, labelsize=7.5)
  axes.set_title(f"{style.name(data['label_name'][i], 24)}   ", fontsize=9.5)
  axes.set_title(style.name(data['title'][i], 36), loc='right', fontsize=7.5, fontweight='normal',
                 color='#555555')
  return image
