"""The table of an ablation: means and intervals over subjects, and paired tests against a reference."""

import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging
import numpy as np

from aemg_jax.evaluation import metrics
from aemg_jax.evaluation.results import SCORES


def holm(p_values: Sequence[float]) -> list[float]:
  """Holm's step-down correction: p adjusted for as many tests as there are.

  Source: Holm (1979), A simple sequentially rejective multiple test procedure.
  """
  order = np.argsort(p_values, kind='stable')
  adjusted, running = [0.0] * len(p_values), 0.0
  for rank, index in enumerate(order):
    running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
    adjusted[index] = float(running)
  return adjusted


def arms(reference: str, cells: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
  """One entry for each arm with a finished cell, the reference first, then by factor.

  A subject's score is its mean over the seeds. Differences are over the seeds that both arms have
  finished, tested by Wilcoxon's signed-rank test over subjects; p is Holm-corrected over all arms, score
  by score.
  """
  by_arm: dict[str, dict[int, Mapping[str, Any]]] = {}
  for cell in cells:
    by_arm.setdefault(cell['arm'], {})[cell['seed']] = cell
  found = []
  for name, by_seed in by_arm.items():
    first = next(iter(by_seed.values()))
    seeds = sorted(by_seed)
    entry = {'arm': name, 'factor': first['factor'], 'uses_target': first['uses_target'], 'seeds': seeds,
             'keys': [by_seed[s]['key'] for s in seeds], 'commits': [by_seed[s]['commit'] for s in seeds],
             'config': first['config'], 'n_subjects': len(first['per_subject'])}
    for score in SCORES:
      value = _per_subject(by_seed, seeds, score)
      entry[score] = {'mean': float(np.mean(list(value.values()))),
                      'ci95': list(metrics.bootstrap_interval(list(value.values())))}
      shared = sorted(set(by_seed) & set(by_arm.get(reference, {})))
      if name != reference and shared:
        difference, p = metrics.paired_test(
            _per_subject(by_seed, shared, score), _per_subject(by_arm[reference], shared, score))
        entry[score] |= {'difference': difference, 'p': p}
    found.append(entry)
  for score in SCORES:
    tested = [entry for entry in found if 'p' in entry[score]]
    for entry, p in zip(tested, holm([entry[score]['p'] for entry in tested])):
      entry[score]['p_holm'] = p
  return sorted(found, key=lambda e: (e['arm'] != reference, e['factor'], e['arm']))


def _per_subject(by_seed: Mapping[int, Mapping[str, Any]], seeds: Sequence[int],
                 score: str) -> dict[str, float]:
  tables = [by_seed[seed]['per_subject'] for seed in seeds]
  return {subject: float(np.mean([t[subject][score] for t in tables])) for subject in tables[0]}


def markdown(stored: Mapping[str, Any]) -> str:
  """The table in percent; differences in points against the reference, with corrected p."""
  lines = ['| factor | arm | uses target | seeds | ' + ' | '.join(
      f'{score} % [95 %] | difference (p)' for score in SCORES) + ' |', '|---' * (4 + 2 * len(SCORES)) + '|']
  for entry in stored['arms']:
    cells = []
    for score in SCORES:
      value = entry[score]
      low, high = value['ci95']
      cells.append(f'{100 * value["mean"]:.1f} [{100 * low:.1f}, {100 * high:.1f}]')
      cells.append(f'{100 * value["difference"]:+.1f} ({value["p_holm"]:.3f})' if 'p_holm' in value else
                   'reference' if entry['arm'] == stored['reference'] else '-')
    lines.append('| ' + ' | '.join([entry['factor'], entry['arm'], entry['uses_target'],
                                    ' '.join(map(str, entry['seeds'])), *cells]) + ' |')
  return '\n'.join(lines) + '\n'


def write(workdir: str, stored: Mapping[str, Any], name: str) -> None:
  """workdir/NAME.json and NAME.md, each in one step."""
  banner = 'Synthetic data: not a result.\n\n' if stored['synthetic'] else ''
  said = (f'{stored["finished"]} of {stored["cells"]} cells finished; split {stored["split_hash"][:8]}, '
          f'code {stored["code"]}. Intervals: bootstrap over subjects. p: Wilcoxon over subjects against '
          f'{stored["reference"]!r}, Holm-corrected.')
  texts = {'json': json.dumps(stored, indent=1, allow_nan=False) + '\n',
           'md': f'# {stored["title"]}\n\n{banner}{said}\n\n{markdown(stored)}'}
  for suffix, text in texts.items():
    path = pathlib.Path(workdir) / f'{name}.{suffix}'
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    temporary.write_text(text, encoding='utf-8')
    os.replace(temporary, path)
  logging.info('ablate: %s: %s', pathlib.Path(workdir) / f'{name}.md', said)
