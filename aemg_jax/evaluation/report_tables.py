"""The report's tables: result rows as text. Accuracies in %, as the rows have them."""

from collections.abc import Sequence

from aemg_jax.evaluation.report_inputs import Row
from aemg_jax.evaluation.report_page import Table

_COLUMNS = ('method', 'target data used', 'subjects', 'repetition', 'sd', '95 % interval',
            'window', 'sd', '95 % interval', 'macro-F1')


def percent(value: float) -> str:
  """A fraction in %, one decimal."""
  return f'{100 * value:.1f}'


def protocols_of(rows: Sequence[Row]) -> list[str]:
  """Protocols in order of first appearance."""
  return list(dict.fromkeys(row.protocol for row in rows))


def main_table(rows: Sequence[Row], n_labels: int) -> Table:
  """One line a row, grouped by protocol: inductive rows, then transductive ones; chance last."""
  lines: list[tuple[str, tuple[str, ...]]] = []
  for protocol in protocols_of(rows):
    lines.append(('group', (protocol,)))
    within = [row for row in rows if row.protocol == protocol]
    lines += [('', _cells(row)) for row in within if not row.transductive]
    transductive = [('', _cells(row)) for row in within if row.transductive]
    if transductive:
      lines.append(('subgroup', ('Transductive: the method saw unlabelled data of the target',)))
      lines += transductive
  chance = percent(1 / n_labels)
  lines.append(('group', ('any protocol',)))
  lines.append(('chance', (f'chance (1 of {n_labels})', 'none', '', chance, '', '', chance) +
                ('',) * 3))
  return Table(_COLUMNS, tuple(lines), text_columns=(1,))


def _cells(row: Row) -> tuple[str, ...]:
  cells = [row.method, row.uses_target, str(len(row.per_subject))]
  for score in ('repetition', 'window'):
    low, high = row.ci95[score]
    cells += [percent(row.mean[score]), percent(row.sd[score]), f'{percent(low)}–{percent(high)}']
  return *cells, percent(row.subject_mean('macro_f1'))


def overview(rows: Sequence[Row]) -> Table:
  """Method by protocol, 'repetition / window'; an asterisk marks the transductive."""
  protocols = protocols_of(rows)
  cells: dict[str, dict[str, list[str]]] = {}
  for row in rows:
    mark = '*' if row.transductive else ''
    said = f"{percent(row.mean['repetition'])} / {percent(row.mean['window'])}"
    cells.setdefault(row.method + mark, {}).setdefault(row.protocol, []).append(said)
  return Table(
      ('method', *protocols),
      tuple(('', (method, *('; '.join(found[p]) if p in found else '' for p in protocols)))
            for method, found in cells.items()))


def subject_table(rows: Sequence[Row]) -> Table:
  """Accuracy of every subject in every row, per repetition / per window."""
  subjects = list(dict.fromkeys(subject for row in rows for subject in row.per_subject))
  lines = []
  for row in rows:
    lines.append(('', (row.method, row.protocol, row.uses_target, *(
        f"{percent(row.per_subject[s]['repetition'])} / {percent(row.per_subject[s]['window'])}"
        if s in row.per_subject else '' for s in subjects))))
  return Table(('method', 'protocol', 'target data used', *subjects), tuple(lines),
               text_columns=(1, 2), folded='Accuracy of every subject as numbers')


def provenance_table(rows: Sequence[Row]) -> Table:
  """Where each number comes from."""
  keys = ('config', 'commit', 'split_hash', 'checkpoint_hash', 'wall_s')
  lines = [('', (row.method, row.protocol, row.uses_target, ', '.join(map(str, row.seeds)),
                 *(row.provenance[key] for key in keys))) for row in rows]
  return Table(('method', 'protocol', 'target data used', 'seeds', 'config', 'commit', 'split hash',
                'checkpoint hash', 'wall (s)'), tuple(lines), text_columns=(1, 2, 3, 4, 5, 6, 7),
               folded='Provenance of every row: config, commit, seeds, split and checkpoint hashes')
