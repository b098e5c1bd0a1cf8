"""The report's section on self-calibration: accuracy against seconds of target data."""

import pathlib
from collections.abc import Sequence

from aemg_jax.evaluation import figure_style as style
from aemg_jax.evaluation.report_inputs import Row, read_results
from aemg_jax.evaluation.report_page import Block, Picture, Section, Table, Text
from aemg_jax.evaluation.report_results import hardest_subjects

FILE = 'calibration_curve.json'
_ALL_AT = 2.0  # 'all' is drawn at this factor of the longest length
_BANDS = 4  # curves whose intervals can be told apart
_LEGEND_COLUMNS = 3
_PREFIX = 'curve-'


def curve_sections(workdir: pathlib.Path) -> list[Section]:
  """What workdir/calibration_curve.json holds; [] where there is none."""
  path = workdir / FILE
  if not path.exists():
    return []
  labels, rows = read_results(path)
  if not rows:
    return []
  blocks: tuple[Block, ...] = (
      Text('Models are trained on the other people. The mean to take away and the way the band is worn '
           'come from the first seconds of the new person, without labels, shrunk towards the people '
           'trained on; "labelled" was given the labels of those seconds too. All points of a curve are of one '
           'test set; 0 s is strictly inductive, "all" has seen the test recordings themselves, unlabelled.'),
      Picture(picture(rows, len(labels)), 'calibration-curve',
              f'Accuracy by seconds of data of the new person; bands (of up to {_BANDS} curves): 95 % interval over '
              'subjects; hollow: all unlabelled data, transductive; dashed: chance. A curve that is flat from 20 s on asks '
              'little of a wearer; one that dips at 5 s centres on too few gestures.'),
      _table(rows), *hardest_subjects(_longest(rows), labels, 'curve-worst-subjects'))
  return [Section('Self-calibration', blocks)]


def _longest(rows: Sequence[Row]) -> Row:
  """Of the longest length before 'all', the method that is right most often: what still goes wrong there."""
  timed = [row for row in rows if _seconds(row) is not None] or rows
  longest = max(_seconds(row) or 0.0 for row in timed)
  return max((row for row in timed if (_seconds(row) or 0.0) == longest), key=lambda row: row.mean['repetition'])


def _seconds(row: Row) -> float | None:
  said = row.protocol.removeprefix(_PREFIX).removesuffix('s')
  if said == 'all':
    return None
  try:
    return float(said)
  except ValueError:
    raise ValueError(f'{FILE}: protocol: got {row.protocol!r}, expected {_PREFIX}10s or '
                     f'{_PREFIX}all') from None


def _curves(rows: Sequence[Row]) -> dict[str, list[tuple[float | None, Row]]]:
  found: dict[str, list[tuple[float | None, Row]]] = {}
  for row in rows:
    found.setdefault(row.method, []).append((_seconds(row), row))
  in_time = lambda point: (point[0] is None, point[0] or 0.0)
  return {method: sorted(points, key=in_time) for method, points in found.items()}


def picture(rows: Sequence[Row], n_labels: int) -> bytes:
  """Curves by method, per repetition and per window, over a time axis that is logarithmic above 2 s."""
  curves = _curves(rows)
  looks = style.method_styles(list(curves))
  known = sorted({s for points in curves.values() for s, _ in points if s is not None})
  last = _ALL_AT * max(known or [1.0])

  def draw(figure):
    panels = figure.subplots(1, 2, sharey=True)
    for axes, score in zip(panels, ('repetition', 'window')):
      for method, points in curves.items():
        timed = [(s, row) for s, row in points if s is not None]
        seconds = [s for s, _ in timed]
        axes.plot(seconds, [100 * row.mean[score] for _, row in timed], label=style.name(method, 40),
                  markersize=5, linewidth=1.6, **looks[method])
        if len(curves) <= _BANDS:
          axes.fill_between(seconds, *([100 * row.ci95[score][i] for _, row in timed] for i in (0, 1)),
                            color=looks[method]['color'], alpha=0.12, linewidth=0)
        for row in (row for s, row in points if s is None):
          axes.plot(last, 100 * row.mean[score], linestyle='', markersize=6, markerfacecolor='white',
                    markeredgewidth=1.4, **looks[method])
      axes.axhline(100 / n_labels, color=style.GREY, linestyle='--', linewidth=1.2)
      axes.set_xscale('symlog', linthresh=2.0, linscale=0.5)
      axes.set_xlim(-0.25, 1.25 * last)
      axes.set_xticks([*known, last], [*(f'{s:g}' for s in known), 'all'])
      axes.minorticks_off()
      axes.set(title=f'Accuracy per {score}', xlabel='data of the new person (s)')
      axes.grid(True)
    panels[0].set_ylabel('accuracy (%)')
    figure.legend(*panels[0].get_legend_handles_labels(), loc='outside upper left', ncols=_LEGEND_COLUMNS)

  return style.render(draw, 4.2 + 0.2 * -(-len(curves) // _LEGEND_COLUMNS))


def _table(rows: Sequence[Row]) -> Table:
  """Repetition / window by method and length."""
  curves = _curves(rows)
  lengths = list(dict.fromkeys(
      s for s, _ in sorted((p for points in curves.values() for p in points),
                           key=lambda p: (p[0] is None, p[0] or 0.0))))
  lines = []
  for method, points in curves.items():
    at = dict(points)
    lines.append(('', (method, *(
        f'{100 * at[s].mean["repetition"]:.1f} / {100 * at[s].mean["window"]:.1f}' if s in at else '-'
        for s in lengths))))
  said = ('all' if s is None else f'{s:g} s' for s in lengths)
  return Table(('repetition / window, %', *said), tuple(lines))
