"""Published results: rows of finished runs in one small JSON, and the README tables made from it.

    aemg results --store=tests/benchmarks/results/X.json --workdir=W    adds W's rows to the JSON
    aemg results --store=tests/benchmarks/results/X.json --write=README.md

A table stands between a line `<!-- RESULTS -->`, `<!-- FEW_SUBJECTS -->`, `<!-- DELAYS -->`, `<!-- CURVE -->` or
`<!-- ABLATION -->` and the next line that is no part of a table. A README without the marker of something that the JSON
holds keeps it out. A JSON that names its `tables` ("x") has markers of its own beside others' (`<!-- RESULTS x -->`).
"""

import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging

from aemg_jax.evaluation import few_subjects, results

_PARTS = {'rows': 'results.json', 'curve': 'calibration_curve.json'}
_KEYS = ('protocol', 'method')
_DIGITS = 6  # of a subject's score
_DROPPED = ('confusion_per_subject',)  # the sum stays; a file of a few 100 kB can be committed


def read(path: str | os.PathLike) -> dict[str, Any]:
  """The stored results; {} where there is no such file."""
  path = pathlib.Path(path)
  if not path.exists():
    return {}
  try:
    stored = json.loads(path.read_text(encoding='utf-8'))
  except ValueError as error:
    raise ValueError(f'{path}: damaged ({error}), expected what aemg results wrote') from error
  if not isinstance(stored, dict) or not isinstance(stored.get('labels'), list):
    raise ValueError(f'{path}: damaged, expected labels and rows')
  return stored


def add(store: str, workdir: str, name: str = '') -> None:
  """Puts the rows of a run into the JSON: a row of the same protocol and method is replaced in its place.

  Args:
    store: the JSON.
    workdir: of the run.
    name: that its tables' markers carry from now on; '' leaves them as they are.
  """
  stored, run = read(store), pathlib.Path(workdir)
  found = {part: read(run / name) for part, name in _PARTS.items()}
  single = {part: run / f'{part}.json' for part in ('codebook', 'ablation')}
  if not any(found.values()) and not single['ablation'].exists():
    raise ValueError(f'{workdir}: no {" or ".join(_PARTS.values())}, expected a run of aemg evaluate')
  for part, new in found.items():
    if not new:
      continue
    if stored and stored['labels'] != new['labels']:
      raise ValueError(f'{store}: labels {stored["labels"]}, expected {new["labels"]} as in {workdir}')
    stored['labels'] = new['labels']
    stored[part] = _merged(stored.get(part, []), new['rows'])
  for part, path in single.items():
    if path.exists():
      stored[part] = json.loads(path.read_text(encoding='utf-8'))
  stored.setdefault('labels', [])
  if name:
    stored['tables'] = name
  write_json(store, stored)
  logging.info('results: %s', store)


def _merged(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
  by_key = {tuple(row[k] for k in _KEYS): dict(row) for row in old}
  for row in new:
    kept = {k: v for k, v in row.items() if k not in _DROPPED}
    by_key[tuple(row[k] for k in _KEYS)] = kept | {'per_subject': _rounded(row['per_subject'])}
  return list(by_key.values())


def _rounded(per_subject: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
  return {subject: {name: round(score, _DIGITS) for name, score in scores.items()}
          for subject, scores in per_subject.items()}


def write_json(path: str | os.PathLike, value: Mapping[str, Any]) -> None:
  """In one step; each row of a list has a line of its own."""
  temporary = f'{path}.{os.getpid()}.tmp'
  with open(temporary, 'w', encoding='utf-8') as file:
    file.write(_lines(value) + '\n')
  os.replace(temporary, path)


def _lines(part: Any) -> str:
  plain = lambda value: json.dumps(value, allow_nan=False)
  if isinstance(part, Mapping):
    return '{' + ',\n'.join(f'{plain(key)}: {_lines(value)}' for key, value in part.items()) + '}'
  if isinstance(part, list) and part and isinstance(part[0], Mapping):
    return '[\n' + ',\n'.join(map(plain, part)) + ']'
  return plain(part)


def tables(stored: Mapping[str, Any]) -> dict[str, str]:
  """{marker: Markdown table} of all that the JSON holds."""
  found = {}
  few = [row for row in stored.get('rows', ()) if row['protocol'].startswith(few_subjects.PREFIX)]
  place = {row['protocol']: i for i, row in reversed(list(enumerate(stored.get('rows', ()))))}
  whole = sorted((row for row in stored.get('rows', ()) if row not in few), key=lambda row: place[row['protocol']])
  if whole:
    found['RESULTS'] = results.markdown_table(whole)
  if few:
    found['FEW_SUBJECTS'] = few_subjects_table(few)
  if any('delays' in row for row in stored.get('rows', ())):
    found['DELAYS'] = delay_table(stored['rows'])
  if stored.get('curve'):
    found['CURVE'] = curve_table(stored['curve'])
  if stored.get('ablation'):
    from aemg_jax.evaluation import ablate_table
    found['ABLATION'] = ablate_table.markdown(stored['ablation'])
  suffix = f' {stored["tables"]}' if 'tables' in stored else ''
  return {f'{name}{suffix}': table for name, table in found.items()}


def curve_table(rows: Sequence[Mapping[str, Any]]) -> str:
  """Repetition / window accuracy in %, a line a method and a column a length."""
  seconds = sorted({row['seconds'] for row in rows}, key=lambda s: (s is None, s or 0))
  said = ['all' if s is None else f'{s:g} s' for s in seconds]
  lines = ['| ' + ' | '.join(['repetition / window, %', *said]) + ' |', '|---' * (len(seconds) + 1) + '|']
  for method in dict.fromkeys(row['method'] for row in rows):
    mean = {row['seconds']: row['mean'] for row in rows if row['method'] == method}
    cells = [f'{100 * mean[s]["repetition"]:.1f} / {100 * mean[s]["window"]:.1f}' if s in mean else '-'
             for s in seconds]
    lines.append(f'| {method} | ' + ' | '.join(cells) + ' |')
  return '\n'.join(lines) + '\n'


def few_subjects_table(rows: Sequence[Mapping[str, Any]]) -> str:
  """Repetition / window accuracy in % with the interval of the former, a line a method, a column a number of people."""
  numbers = sorted({int(row['protocol'].removeprefix(few_subjects.PREFIX)) for row in rows})
  lines = ['| ' + ' | '.join(['labelled people', *map(str, numbers)]) + ' |', '|---' * (len(numbers) + 1) + '|']
  for method in dict.fromkeys(row['method'] for row in rows):
    cells = []
    for number in numbers:
      row = next((r for r in rows if (r['method'], r['protocol']) == (method, f'{few_subjects.PREFIX}{number}')), None)
      cells.append('-' if row is None else '{:.1f} [{:.1f}, {:.1f}] / {:.1f}'.format(
          *(100 * x for x in (row['mean']['repetition'], *row['ci95']['repetition'], row['mean']['window']))))
    lines.append(f'| {method} | ' + ' | '.join(cells) + ' |')
  return '\n'.join(lines) + '\n'


def delay_table(rows: Sequence[Mapping[str, Any]]) -> str:
  """Accuracy in % of decisions by delay, at the same times for every delay; a line a row."""
  rows = [row for row in rows if 'delays' in row]
  delays = sorted({ms for row in rows for ms in row['delays']['ms']})
  lines = ['| ' + ' | '.join(['protocol', 'method', *(f'{ms:g} ms' for ms in delays)]) + ' |',
           '|---' * (len(delays) + 2) + '|']
  for row in rows:
    mean = {point['delay_ms']: point['mean']['same_times'] for point in row['delays']['points']}
    cells = [f'{100 * mean[ms]:.1f}' if ms in mean else '-' for ms in delays]
    lines.append('| ' + ' | '.join([row['protocol'], row['method'], *cells]) + ' |')
  return '\n'.join(lines) + '\n'


def with_tables(text: str, made: Mapping[str, str]) -> str:
  """A page with the tables of its markers in place of those that stand there.

  Raises:
    ValueError: the page has none of the markers, or one of them twice.
  """
  known = [name for name in made if f'<!-- {name} -->' in text]
  if not known:
    raise ValueError(f'page: none of the markers {sorted(f"<!-- {m} -->" for m in made)}, expected one')
  for name in known:
    before, *after = text.split(f'<!-- {name} -->\n')
    if len(after) != 1:
      raise ValueError(f'page: {len(after)} lines <!-- {name} -->, expected one')
    rest = after[0].splitlines(keepends=True)
    while rest and rest[0].startswith('|'):
      rest.pop(0)
    text = f'{before}<!-- {name} -->\n{made[name]}{"".join(rest)}'
  return text


def write_page(page: str, store: str) -> None:
  """Brings the tables of a page up to date."""
  stored = read(store)
  if not stored:
    raise ValueError(f'{store}: not found, expected the JSON of aemg results')
  path = pathlib.Path(page)
  text = with_tables(path.read_text(encoding='utf-8'), tables(stored))
  temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
  temporary.write_text(text, encoding='utf-8')
  os.replace(temporary, path)
  logging.info('results: %s', page)
