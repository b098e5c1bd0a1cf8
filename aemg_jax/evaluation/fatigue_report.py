"""report.html and report.md of a fatigue run, with its pictures."""

import datetime
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from aemg_jax.evaluation import (
    fatigue_attention, fatigue_scores, figures_fatigue, metrics, results)
from aemg_jax.evaluation.report_page import (
    Block, Picture, Section, Table, Text, to_html, to_markdown)


def write(workdir: str | os.PathLike, report: Mapping[str, Any]) -> pathlib.Path:
  """Writes report.html, report.md and figures/*.png from what `fatigue.run` measured."""
  root = pathlib.Path(workdir)
  sections = [Section('', _head(report)), Section('Scores', _scores(report))]
  for title, blocks in (('Over time', _over_time(report)), ('Attention', _attention(report)),
                        ('Are the attended features needed?', _deletion(report)),
                        ('Features, static and temporal', _split(report)),
                        ('Other datasets', _elsewhere(report))):
    if blocks:
      sections.append(Section(title, blocks))
  (root / 'figures').mkdir(exist_ok=True)
  for section in sections:
    for block in section.blocks:
      if isinstance(block, Picture):
        _replace(root / 'figures' / f'{block.name}.png', block.png)
  _replace(root / 'report.md', to_markdown(report['title'], sections, 'figures').encode('utf-8'))
  _replace(root / 'report.html', to_html(report['title'], sections).encode('utf-8'))
  return root / 'report.html'


def _replace(path: pathlib.Path, content: bytes) -> None:
  temporary = path.with_name(f'.{path.name}.tmp')
  temporary.write_bytes(content)
  os.replace(temporary, path)


def _head(report: Mapping[str, Any]) -> tuple[Block, ...]:
  counts = report['sequences']
  seeds = sorted({seed for row in report['rows'] for seed in row['seeds']})
  lines = (
      ('Sequences', f"{counts['n']} of {counts['windows']} windows: " + ', '.join(
          f'{n} {name}' for name, n in zip(report['labels'], counts['by_class']))),
      ('Refused', ', '.join(f'{n} {reason}' for reason, n in report['refused'].items()) or 'nothing'),
      ('Seeds', ', '.join(map(str, seeds))),
      ('Folds', ', '.join(sorted({row['split_hash'] for row in report['rows']}))),
      ('Commit', results.git_commit() or 'not known'),
      ('Date', datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%d')))
  banner = [Text('Synthetic data: not a result. Ratings follow time by construction.', 'banner')]
  return (*(banner if report['synthetic'] else ()),
          Table(('run', ''), tuple(('', line) for line in lines), text_columns=(1,)))


def _scores(report: Mapping[str, Any]) -> tuple[Block, ...]:
  head, _, *rows = [line for line in fatigue_scores.table_of(report).splitlines() if line.startswith('|')]
  cells = lambda line: tuple(cell.strip() for cell in line.strip('|').split('|'))
  return (Text('Mean over people [95 % bootstrap interval over people]; over seeds first. Accuracy, macro-F1 '
               'and pairs in %. Elapsed time and repetition index see no EMG.'),
          Table(cells(head), tuple(('', cells(row)) for row in rows)))


def _over_time(report: Mapping[str, Any]) -> tuple[Block, ...]:
  found = report.get('trajectories')
  if not found:
    return ()
  shown = list(found)[:figures_fatigue.MOST_PANELS]
  more = f' The first {len(shown)} of {len(found)} are shown.' if len(found) > len(shown) else ''
  return (Picture(
      figures_fatigue.trajectories(found), 'fatigue-trajectories',
      'Above, the rating and the score of a model that never saw the person. Below, median frequency and RMS '
      'over the rested baseline, means over channels and over the windows of a sequence.' + more),)


def _attention(report: Mapping[str, Any]) -> tuple[Block, ...]:
  stages, efforts = [], []
  if 'explained' in report:
    found = report['explained']
    stages.append(('Stage, held-out people', found['by_stage'], found['even']))
    if found['by_effort']:
      efforts.append(('% of maximal force, held-out people', found['by_effort'], found['even']))
  flat = report.get('transfer', {}).get('flat', {}).get('attention')
  if flat:
    efforts.append(('% MVC, rested, another dataset', flat['by_effort'], flat['even']))
  panels = stages + efforts
  if not panels:
    return ()
  pictures = [
      Picture(figures_fatigue.attention_groups(panels), 'fatigue-attention-groups',
              'Attention of the temporal encoder\'s summary on static features, by group (number of '
              'sequences in brackets). Dashed: a group\'s share of the static features.'),
      Picture(figures_fatigue.attention_windows([panel[:2] for panel in panels]),
              'fatigue-attention-windows',
              'Attention of the static encoder\'s summary on the windows of a sequence. The axis does not '
              'begin at 0.')]
  pictures += [
      Picture(figures_fatigue.attention_features(title, found), f'fatigue-attention-features-{i}',
              'Attention on each feature; features that no fold holds static are left out.')
      for i, (title, found, _) in enumerate(panels)]
  return (Text('Attention explains nothing by itself: see the deletion test below.'), *pictures)


def _deletion(report: Mapping[str, Any]) -> tuple[Block, ...]:
  found = report.get('explained', {}).get('deletion')
  if not found:
    return ()
  n = min(len(entry['k']) for entry in found.values())
  rows = []
  for i, k in enumerate(next(iter(found.values()))['k'][:n]):
    differ = [entry['top'][i] - entry['random'][i] for entry in found.values()]
    low, high = metrics.bootstrap_interval(differ)
    top, random = (np.mean([entry[key][i] for entry in found.values()]) for key in ('top', 'random'))
    rows.append(('', (str(k), f'{top:.2f}', f'{random:.2f}',
                      f'{np.mean(differ):+.2f} [{low:+.2f}, {high:+.2f}]')))
  whole = np.mean([entry['whole'] for entry in found.values()])
  return (Text('MAE of Borg after hiding the k most attended static features of each sequence, or k at '
               f'random (mean of {fatigue_attention.DRAWS} draws); none hidden: {whole:.2f}. If attention '
               'shows what is needed, the difference is above 0.'),
          Table(('k', 'most attended', 'random', 'difference'), tuple(rows)),
          Picture(figures_fatigue.deletion(found), 'fatigue-deletion', 'The deletion test over people.'))


def _split(report: Mapping[str, Any]) -> tuple[Block, ...]:
  if 'split' not in report:
    return ()
  stored, rows = report['split'], []
  folds = list(stored['folds'].values())
  for feature in folds[0]['features']:
    groups = [fold['features'][feature]['group'] for fold in folds]
    rows.append(('', (feature.replace('_', ' '), *(
        str(groups.count(group)) for group in ('static', 'temporal', 'dropped')))))
  stability = ', '.join(f'{name} {value:.2f}' for name, value in stored['jaccard'].items())
  by_rule = [fold['n_by_rule'] for fold in folds]
  return (Text(f'Mean Jaccard index over pairs of folds: {stability}. tau > sigma holds for '
               f'{min(by_rule)} to {max(by_rule)} features a fold.'),
          Table(('feature', 'static', 'temporal', 'dropped'), tuple(rows), folded='Folds, by feature'))


def _elsewhere(report: Mapping[str, Any]) -> tuple[Block, ...]:
  found, lines = report.get('transfer', {}), []
  if 'flat' in found:
    flat = found['flat']
    low, high = flat['change_ci95']
    levels = ', '.join(f'{at} %: {value:.1f}' for at, value in flat['mean_at'].items())
    lines.append(Text(f'Rested people at several efforts, predicted Borg: {levels}; change from the '
                      f'least to the most {flat["change"]:+.1f} [{low:+.1f}, {high:+.1f}], where flat would '
                      'be 0.'))
  if 'rising' in found:
    people = found['rising']['per_subject']
    rho = ', '.join(f'{p}: {v["spearman"]:.2f} (minus MDF alone {v["spearman_mdf"]:.2f})'
                    for p, v in people.items())
    lines.append(Text(f'A recording without ratings, Spearman of the score with time: {rho}.'))
  return tuple(lines)
