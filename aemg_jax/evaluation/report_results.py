"""The sections of the report on result rows: tables, intervals, subjects, confusion matrices."""

import dataclasses
from collections.abc import Sequence

from aemg_jax.evaluation import figures_results, report_tables
from aemg_jax.evaluation.report_inputs import Row
from aemg_jax.evaluation.report_page import Block, Picture, Section, Text, slug

_MATRIX_METHODS = 6
_WORST_SUBJECTS = 6
_CELLS = 'Row: true gesture; column: predicted; numbers: % of the true gesture’s repetitions'


@dataclasses.dataclass(frozen=True)
class Focus:
  """What the confusion matrices are drawn for.

  Attributes:
    protocol: '' takes 'loso', or else the first.
    methods: () takes the six of highest repetition accuracy.
  """
  protocol: str = ''
  methods: tuple[str, ...] = ()


def result_sections(focus: Focus, labels: Sequence[str], rows: Sequence[Row]) -> list[Section]:
  """All that is drawn of results.json.

  Raises:
    ValueError: `focus` names a protocol or method that no row has.
  """
  if not rows:
    return [Section('Results', (Text('No result rows in results.json: left out.', 'missing'),))]
  blocks: list[Block] = []
  if len(report_tables.protocols_of(rows)) > 1:
    blocks += [Text('Mean accuracy in %, per repetition / per window, by protocol. '
                    'An asterisk marks methods that saw unlabelled data of the target.'),
               report_tables.overview(rows)]
  blocks += [
      Text('All rows: mean over subjects in %, standard deviation over subjects, and 95 % interval '
           'by bootstrap over subjects; macro-F1 is over windows, mean over subjects.'),
      report_tables.main_table(rows, len(labels)),
      Picture(figures_results.intervals(rows, len(labels)), 'intervals',
              'Mean and 95 % interval over subjects. Filled: nothing unlabelled of the target was '
              'used; hollow: transductive. Dashed: chance. Methods whose intervals overlap widely '
              'are not told apart by this many subjects.'),
      report_tables.provenance_table(rows),
  ]
  return [Section('Results', tuple(blocks)),
          Section('Accuracy of each subject', _subjects(rows, len(labels))),
          Section('Confusion of gestures', _confusion(focus, labels, rows))]


def _subjects(rows: Sequence[Row], n_labels: int) -> tuple[Block, ...]:
  blocks: list[Block] = []
  for i, protocol in enumerate(report_tables.protocols_of(rows)):
    chosen = [row for row in rows if row.protocol == protocol]
    blocks.append(Picture(
        figures_results.subjects(chosen, n_labels), f'subjects-{i}-{slug(protocol)}',
        f'{protocol}: accuracy of each subject (%), sorted by the mean over methods, the hardest '
        'at the top. Hollow: transductive. Dashed: chance. A subject on whom every method fails '
        'differs from the others; one on whom a single method fails tells about the method.'))
  return *blocks, report_tables.subject_table(rows)


def _confusion(focus: Focus, labels: Sequence[str], rows: Sequence[Row]) -> tuple[Block, ...]:
  protocol, chosen = _main_rows(focus, rows)
  drawn = [row for row in chosen if row.confusion_kk is not None]
  if not drawn:
    return Text(f'{protocol}: no row stores a confusion matrix: left out.', 'missing'),
  names = figures_results.names_of(drawn)
  blocks: list[Block] = [
      Picture(figures_results.confusions(
          [(f"{100 * row.mean['repetition']:.1f} %  {name}", row.confusion_kk)
           for row, name in zip(drawn, names)], labels), 'confusion',
          f'{protocol}, {_said(focus, chosen)}: confusion per repetition, summed over subjects. '
          f'{_CELLS}. A good method is dark on the diagonal alone.'),
      Picture(figures_results.recalls(drawn, labels), 'recall',
              f'{protocol}: recall of each gesture, % of its repetitions; darker is higher. A pale '
              'column is a gesture that every method finds hard.'),
  ]
  inductive = [row for row in drawn if not row.transductive] or drawn
  first = max(inductive, key=lambda row: row.mean['repetition'])
  return (*blocks, *hardest_subjects(first, labels, 'confusion-worst-subjects'))


def hardest_subjects(row: Row, labels: Sequence[str], name: str) -> tuple[Picture, ...]:
  """Confusion of the subjects whom a row gets wrong most often; () if it stores none."""
  scores = {s: row.per_subject[s]['repetition'] for s in row.per_subject if s in row.confusion_per_subject}
  worst = sorted(scores, key=scores.get)[:_WORST_SUBJECTS]
  if not worst:
    return ()
  drawn = figures_results.confusions([(f'{100 * scores[s]:.1f} %  {s}', row.confusion_per_subject[s]) for s in worst],
                                     labels)
  return Picture(
      drawn, name, f'{row.protocol}, {row.method}: the {len(worst)} hardest subjects. {_CELLS}. Whole gestures '
      'exchanged point at a band worn rotated or mirrored; a smear points at noise.'),


def _main_rows(focus: Focus, rows: Sequence[Row]) -> tuple[str, list[Row]]:
  protocols = report_tables.protocols_of(rows)
  protocol = focus.protocol or ('loso' if 'loso' in protocols else protocols[0])
  if protocol not in protocols:
    raise ValueError(f'Focus.protocol: got {protocol!r}, expected one of {protocols}')
  within = [row for row in rows if row.protocol == protocol]
  methods = sorted({row.method for row in within})
  for method in focus.methods:
    if method not in methods:
      raise ValueError(f'Focus.methods: got {method!r}, expected some of {methods}')
  if focus.methods:
    return protocol, [row for row in within if row.method in focus.methods]
  best = sorted(within, key=lambda row: -row.mean['repetition'])[:_MATRIX_METHODS]
  return protocol, [row for row in within if row in best]


def _said(focus: Focus, chosen: Sequence[Row]) -> str:
  if focus.methods:
    return 'the main methods'
  return f'the {len(chosen)} methods of highest repetition accuracy'
