"""The sections of the report on signals, codes and training, from figure_data and scalars.

What is missing is left out with a line that says so.
"""

import pathlib

from aemg_jax.evaluation import figures, figures_codes, figures_results
from aemg_jax.evaluation.figure_data import read_figure_data
from aemg_jax.evaluation.report_inputs import read_scalars
from aemg_jax.evaluation.report_page import Block, Picture, Section, Table, Text, slug
from aemg_jax.training import writers

_MAX_STAGES = 8


def signal_sections(workdir: pathlib.Path) -> list[Section]:
  """All that is drawn of workdir/figure_data and workdir/*/scalars.jsonl."""
  return [
      Section('A recording with its contractions and words', _recording(workdir)),
      Section('Codebook', _codebook(workdir)),
      Section('Families of frequent codes', _families(workdir)),
      Section('One code in several gestures', _polysemy(workdir)),
      Section('Reconstructed words', _words(workdir)),
      Section('Codes of each gesture', _codes(workdir)),
      Section('Training curves', _curves(workdir)),
  ]


def _recording(workdir: pathlib.Path) -> tuple[Block, ...]:
  data = read_figure_data(workdir, 'recording')
  if data is None:
    return _missing('recording'),
  events = ('orange: contractions found' if len(data['event_start_s']) else
            'the contraction gate is off, so slots tile the segment')
  return Picture(
      figures.recording(data), 'recording',
      f'The rectified signal of each electrode; green: label spans; {events}; dashed blue: slot '
      'boundaries; blue bars: a word of that electrode in that slot. Below: log energy with the '
      'session’s thresholds. A contraction starts above the red line and ends below the dashed '
      'blue one; words should cover the bursts and skip the rest.'),


def _codebook(workdir: pathlib.Path) -> tuple[Block, ...]:
  data = read_figure_data(workdir, 'codebook')
  if data is None:
    return _missing('codebook'),
  lines = tuple(('', line) for line in figures.codebook_numbers(data))
  return Table(('codebook', ''), lines), Picture(
      figures.codebook(data), 'codebook',
      'Left: words by code, sorted; codes right of the red line are dead. Right: running share of '
      'words, against even use. A collapsed codebook rises at once to 100 %; a healthy one falls '
      'slowly on the left and bends gently on the right.')


def _families(workdir: pathlib.Path) -> tuple[Block, ...]:
  data = read_figure_data(workdir, 'families')
  if data is None:
    return _missing('families'),
  return (
      Text(f'The most frequent codes on {data["measured_on"]}, and the family of each by one rule. '
           f'{data["rule"]} Amplitudes are natural logarithms over the mean that was taken away.'),
      Picture(figures_codes.families(data), 'families',
              'Mean spectrum of a code’s words with one standard deviation. Bars: how often the words are '
              'in the first fifth, the middle and the last fifth of a repetition, over all words (line: as '
              'often). Spread: entropy over gestures given the code, over that of all words: 0 is one '
              'gesture, 1 is all alike; below it the commonest gesture. Flat bars and no step between slots say that '
              'a set holds static contractions.'),
      figures_codes.family_table(data))


def _polysemy(workdir: pathlib.Path) -> tuple[Block, ...]:
  data = read_figure_data(workdir, 'polysemy')
  if data is None:
    return _missing('polysemy'),
  return Picture(
      figures_codes.polysemy(data), 'polysemy',
      f'The code whose words at one electrode are spread most over gestures ({data["measured_on"]}). Left: '
      'where its words are. Middle: their mean spectrum by gesture, in the same colours; alike, as it is one '
      'code. Right: the mean log amplitude of all electrodes at these moments, that electrode between the '
      'red lines. What the word means is told by its neighbours: a classifier needs the sentence.'),


def _words(workdir: pathlib.Path) -> tuple[Block, ...]:
  data = read_figure_data(workdir, 'words')
  if data is None:
    return _missing('words'),
  if not len(data['title']):
    return Text('figure_data/words.npz holds no word: left out.', 'missing'),
  said = ('log spectrum' if str(data['target']) == 'spectrum' else 'waveform')
  return Picture(
      figures.words(data), 'words',
      f'The {said} of single words (black) and what their codes give back (dashed red). The '
      'reconstruction should follow the shape and leave out the noise.'),


def _codes(workdir: pathlib.Path) -> tuple[Block, ...]:
  data = read_figure_data(workdir, 'codes')
  if data is None:
    return _missing('codes'),
  if not data['code_gsc'].size:
    return Text('figure_data/codes.npz holds no gesture: left out.', 'missing'),
  return Picture(
      figures.codes(data), 'codes',
      'One repetition of each gesture: electrode (rows) by slot (columns); the number is the code, '
      'the colour what the code stands for (see the bar), grey where there is no word. Gestures '
      'should differ in their pattern over electrodes; a held gesture changes little along time.'),


def _missing(kind: str) -> Text:
  return Text(f'figure_data/{kind}.npz is not there: left out.', 'missing')


def _curves(workdir: pathlib.Path) -> tuple[Block, ...]:
  paths = sorted(workdir.glob(f'*/{writers.FILE}'))
  blocks: list[Block] = []
  for path in paths[:_MAX_STAGES]:
    stage = path.parent.name
    png = figures_results.curves(read_scalars(path))
    if png is None:
      blocks.append(Text(f'{stage}/scalars.jsonl holds none of the curves drawn here.', 'missing'))
      continue
    blocks.append(Picture(
        png, f'curves-{len(blocks)}-{slug(stage)}',
        f'{stage}: by step, thin as logged, thick a running mean. Masked accuracy counts only '
        'above the dashed rate of always naming the commonest code (unigram majority).'))
  if not paths:
    blocks.append(Text('No */scalars.jsonl in the folder: left out.', 'missing'))
  if len(paths) > _MAX_STAGES:
    blocks.append(Text(f'{len(paths) - _MAX_STAGES} more stages are not drawn.', 'missing'))
  return tuple(blocks)
