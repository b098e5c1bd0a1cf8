"""Summarises a built set and draws one recording.

    python -m data_builders.inspect DIR [--out PNG] [--record ID]

DIR is D/NAME[/CONFIG]/VERSION, or a folder above it that holds one set. The picture shows the
recording named by --record (the first by default): every channel, the spans of its labels and the
values of its annotations. Exit code 2 and one line on standard error for a bad DIR or ID.
"""

import argparse
import collections
from collections.abc import Iterator, Mapping, Sequence
import json
import pathlib
import sys
from typing import Any

import numpy as np
from tqdm import tqdm

MAX_POINTS = 4000  # of a channel's line; longer ones are drawn as their range in each stretch
MAX_NAMES = 24  # labels written above the picture
APART = 0.02  # of its width, where there is another place for a name

Example = Mapping[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
  """Returns the exit code."""
  parser = argparse.ArgumentParser(prog='python -m data_builders.inspect')
  parser.add_argument('dir', metavar='DIR', help='a built set, or a folder above it')
  parser.add_argument('--out', metavar='PNG', help='draws a recording into this file')
  parser.add_argument('--record', metavar='ID', help='record_id of that recording')
  args = parser.parse_args(argv)
  try:
    folder = find_set(pathlib.Path(args.dir))
    examples = read(folder)
    if args.out:
      draw(pick(examples, args.record), pathlib.Path(args.out))
    elif args.record:
      raise ValueError(f'--record: got {args.record} without --out, expected both')
    sys.stdout.write(summary(folder, tqdm(examples, desc='read', unit='record', leave=False)))
  except (ValueError, OSError) as error:
    sys.stderr.write(f'error: {" ".join(str(error).split())}\n')
    return 2
  return 0


def find_set(path: pathlib.Path) -> pathlib.Path:
  """The folder of the only built set in `path`. Raises ValueError when there is not just one."""
  found = [path] if (path / 'features.json').is_file() else sorted(
      p.parent for depth in ('*', '*/*', '*/*/*') for p in path.glob(f'{depth}/features.json')
      if not p.parent.name.startswith('incomplete.'))
  if len(found) != 1:
    raise ValueError(f'{path}: holds {len(found)} built sets, expected one'
                     f' {[str(p.relative_to(path)) for p in found]}')
  return found[0]


def read(folder: pathlib.Path) -> Sequence[Example]:
  """The records of a built set as TFDS decodes them."""
  import tensorflow_datasets as tfds  # here: it takes a second
  return tfds.builder_from_directory(folder).as_data_source('train')


def pick(examples: Sequence[Example], its_id: str | None) -> Example:
  """The example of that record id (found by halving: they are in order), or the first."""
  if its_id is None:
    return examples[0]
  low, high = 0, len(examples)
  while low < high:
    middle = (low + high) // 2
    low, high = (middle + 1, high) if examples[middle]['record_id'].decode() < its_id else (
        low, middle)
  if low == len(examples) or examples[low]['record_id'].decode() != its_id:
    around = [examples[i]['record_id'].decode() for i in range(max(0, low - 1),
                                                               min(low + 2, len(examples)))]
    raise ValueError(f'--record: there is no {its_id}, expected an id such as {around}')
  return examples[low]


def summary(folder: pathlib.Path, examples: Iterator[Example]) -> str:
  """What the set says of itself, and what its records hold, as text."""
  info = json.loads((folder / 'dataset_info.json').read_text())
  metadata = json.loads((folder / 'metadata.json').read_text())
  subjects, sessions, seconds = set(), set(), 0.0
  kinds, channels, rates, bands, units = (collections.Counter() for _ in range(5))
  spans, lengths_s, values = collections.Counter(), collections.Counter(), {}
  n_records = 0
  for example in examples:
    n_records += 1
    rate_hz, signal_tc = float(example['rate_hz']), example['signal']
    subject = example['subject'].decode()
    subjects.add(subject)
    sessions.add((subject, example['session'].decode()))
    seconds += len(signal_tc) / rate_hz
    kinds[example['kind'].decode() + ' envelope' * bool(example['is_envelope'])] += 1
    channels[f'{signal_tc.shape[1]} {signal_tc.dtype}'] += 1
    rates[rate_hz] += 1
    bands[float(example['bandwidth_hz'])] += 1
    units.update({unit.decode() for unit in example['sensors']['unit']})
    for start, stop, name in _spans(example['labels']):
      spans[name] += 1
      lengths_s[name] += (stop - start) / rate_hz
    for (_, _, name), value in zip(_spans(example['annotations']),
                                   example['annotations']['value']):
      values.setdefault(name, []).append(float(value))
  config = f'/{info["configName"]}' if info.get('configName') else ''
  return '\n'.join([
      f'{info["name"]}{config} {info["version"]}: {n_records} records, {len(subjects)} subjects,'
      f' {len(sessions)} sessions, {seconds:.1f} s',
      f'licence      {metadata["licence"]}',
      f'kind         {_counts(kinds)}', f'channels     {_counts(channels)}',
      f'rate         {_numbers(rates)} Hz', f'bandwidth    {_numbers(bands)} Hz',
      f'units        {_counts(units)}',
      *_label_lines(metadata, spans, lengths_s),
      *(f'annotation   {name}: {len(v)} spans, {min(v):g} to {max(v):g}'
        for name, v in sorted(values.items())),
      *(f'rejected     {n} {reason}' for reason, n in metadata['reject_counts'].items()), ''])


def _spans(columns: Mapping[str, Any]) -> list[tuple[int, int, str]]:
  names = (name.decode() for name in columns['name'])
  return [(int(a), int(b), c) for a, b, c in zip(columns['start'], columns['stop'], names)]


def _counts(counter: collections.Counter) -> str:
  """'8 int16 (17 records)'."""
  return ', '.join(f'{what} ({n} records)' for what, n in sorted(counter.items()))


def _numbers(counter: collections.Counter) -> str:
  """'100 or 200'; the range of many."""
  values = [f'{value:.6g}' for value in sorted(counter)]
  return ' or '.join(values) if len(values) < 4 else f'{values[0]} to {values[-1]}'


def _label_lines(metadata: Mapping[str, Any], spans: Mapping[str, int],
                 lengths_s: Mapping[str, float]) -> list[str]:
  """A line for every label that occurs, in the set's order, and one for the others."""
  found = [name for name in metadata['label_names'] if spans[name]]
  width = max(map(len, found), default=0)
  common = metadata['common_names']
  lines = [f'label        {name:{width}}  {spans[name]:6d} spans {lengths_s[name]:10.1f} s'
           + (f'  = {common[name]}' if name in common else '') for name in found]
  absent = [name for name in metadata['label_names'] if not spans[name]]
  return lines + [f'no span of   {", ".join(absent)}'] * bool(absent)


def draw(example: Example, out: pathlib.Path) -> None:
  """One recording as PNG."""
  import matplotlib
  from matplotlib.figure import Figure  # no pyplot: it would choose a window system
  signal_tc, rate_hz = example['signal'], float(example['rate_hz'])
  labels, notes = _spans(example['labels']), _spans(example['annotations'])
  kinds = sorted({name for _, _, name in notes})
  figure = Figure(figsize=(14, 3 + 0.45 * signal_tc.shape[1] + 0.8 * len(kinds)),
                  layout='constrained')
  heights = [max(4, signal_tc.shape[1])] + [2] * len(kinds)
  top, *below = np.atleast_1d(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights))
  _draw_signal(top, example)
  names = sorted({name for _, _, name in labels})
  colour = {name: matplotlib.colormaps['hsv'](i / (1 + len(names)))
            for i, name in enumerate(names)}
  slant = {'rotation': 40, 'ha': 'left'} if len(names) > 1 else {'ha': 'center'}
  for start, stop, name in labels:
    top.axvspan(start / rate_hz, stop / rate_hz, color=colour[name], alpha=0.18, linewidth=0)
  for name, place in list(_name_places(labels, APART * len(signal_tc)).items())[:MAX_NAMES]:
    top.text(place / rate_hz, 1.01, name, fontsize=8, **slant,
             transform=top.get_xaxis_transform())
  for axis, kind in zip(below, kinds):
    for (start, stop, name), value in zip(notes, example['annotations']['value']):
      if name == kind:
        axis.plot([start / rate_hz, stop / rate_hz], [value, value], color='black', linewidth=2)
    axis.set_ylabel(kind, rotation=0, ha='right', va='center', fontsize=8)
  (below or [top])[-1].set_xlabel('s')
  text = lambda key: example[key].decode()
  figure.suptitle(f'{text("dataset")} {text("record_id")}: subject {text("subject")}, session'
                  f' {text("session")}, {rate_hz:g} Hz, {len(signal_tc)} samples', fontsize=10)
  figure.savefig(out, format='png', dpi=100)


def _name_places(labels: Sequence[tuple[int, int, str]], apart: float) -> dict[str, float]:
  """The sample at which each name is written: within its first span that is not beside another."""
  places = {}
  for start, stop, name in labels:
    middle = (start + stop) / 2
    if name not in places and all(abs(middle - other) > apart for other in places.values()):
      places[name] = middle
  for start, stop, name in labels:
    places.setdefault(name, (start + stop) / 2)
  return places


def _draw_signal(axis: Any, example: Example) -> None:
  """The channels above each other, all to one scale for each unit, the first at the top."""
  sensors, signal_tc = example['sensors'], example['signal']
  signal_tc = signal_tc * sensors['scale']
  signal_tc = signal_tc - np.median(signal_tc, axis=0)
  units = np.array([unit.decode() for unit in sensors['unit']])
  for unit in np.unique(units):
    height = 2 * np.percentile(np.abs(signal_tc[:, units == unit]), 99.8) or 1.0
    signal_tc[:, units == unit] /= height
  seconds = np.arange(len(signal_tc)) / float(example['rate_hz'])
  step = -(-len(signal_tc) // MAX_POINTS)
  for channel, value_t in enumerate(signal_tc.T):
    if step == 1:
      axis.plot(seconds, value_t - channel, color='black', linewidth=0.4)
      continue
    starts = np.arange(0, len(value_t), step)
    axis.fill_between(seconds[starts], np.minimum.reduceat(value_t, starts) - channel,
                      np.maximum.reduceat(value_t, starts) - channel, color='black', linewidth=0.2)
  names = [name.decode() for name in sensors['name']]
  axis.set_yticks(-np.arange(len(names)), [f'{n} [{u}]' for n, u in zip(names, units)], fontsize=8)
  axis.set_ylim(-len(names), 1)
  axis.margins(x=0)


if __name__ == '__main__':
  sys.exit(main())
