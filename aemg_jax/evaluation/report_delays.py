"""The report's section on decision delay: how accurate a method is that answers after so many ms."""

from collections.abc import Sequence

from aemg_jax.evaluation import figure_style as style
from aemg_jax.evaluation import report_tables
from aemg_jax.evaluation.figures_results import names_of
from aemg_jax.evaluation.report_inputs import Row
from aemg_jax.evaluation.report_page import Block, Picture, Section, Table, Text, slug

_MOST_BANDS = 4  # more lie on each other


def delay_sections(rows: Sequence[Row], n_labels: int) -> list[Section]:
  """One section with a picture for each protocol and a table; [] where no row has delays."""
  rows = [row for row in rows if row.delay_ms]
  if not rows:
    return []
  blocks: list[Block] = [Text(
      'A decision with a delay of D ms has seen the last D ms of the repetition alone: the log '
      'probabilities of the windows that fit into them are added. Nothing is decided before D ms of a '
      'repetition have passed. Delays below a window need shorter windows, which a run predicts for the '
      'methods named in its config: an LDA fitted on windows of that length, a network that was trained on '
      'whole slots and reads slots of fewer samples; "-" is not available.')]
  for i, protocol in enumerate(report_tables.protocols_of(rows)):
    blocks.append(Picture(
        picture([row for row in rows if row.protocol == protocol], n_labels), f'delays-{i}-{slug(protocol)}',
        f'{protocol}: accuracy of decisions by delay. Left: at the same times for every delay, when the '
        'longest has passed: what waiting gains. Right: all decisions, so short delays answer for the '
        'beginning of the contraction too. Bands, where methods are few: 95 % interval over '
        f'subjects; hollow: transductive; dashed, if in sight: chance, {100 / n_labels:.1f} %.'))
  return [Section('Decision delay', (*blocks, table(rows)))]


def picture(rows: Sequence[Row], n_labels: int) -> bytes:
  """Curves by method over a logarithmic axis of delays, for the rows of one protocol."""
  names = names_of(rows)
  looks = style.method_styles(names)
  delays = sorted({ms for row in rows for ms in row.delays})
  banded = len(rows) <= _MOST_BANDS
  values = [delay.ci95[s][0] if banded else delay.mean[s]
            for row in rows for delay in row.delays.values() for s in delay.mean]
  lowest = 100 * min(values, default=0.0)

  def draw(figure):
    panels = figure.subplots(1, 2, sharey=True)
    for axes, score, said in zip(panels, ('same_times', 'all'), ('at the same times', 'of all decisions')):
      for row, name in zip(rows, names):
        known = sorted(row.delays)
        axes.plot(known, [100 * row.delays[ms].mean[score] for ms in known], label=style.name(name, 40),
                  markersize=5, linewidth=1.6, **looks[name],
                  markerfacecolor='white' if row.transductive else looks[name]['color'])
        if banded:
          axes.fill_between(known, *([100 * row.delays[ms].ci95[score][i] for ms in known] for i in (0, 1)),
                            color=looks[name]['color'], alpha=0.07, linewidth=0)
      axes.axhline(100 / n_labels, color=style.GREY, linestyle='--', linewidth=1.2)
      axes.set_xscale('log')
      axes.set_xticks(delays, [f'{ms:g}' for ms in delays])
      axes.minorticks_off()
      axes.set(title=f'Accuracy {said}', xlabel='delay (ms)')
      axes.set_ylim(max(0, lowest - 3), 101)
      axes.grid(True)
    panels[0].set_ylabel('accuracy (%)')
    handles, said = panels[0].get_legend_handles_labels()
    figure.legend(handles, said, loc='outside upper left', ncols=4)
  return style.render(draw, 4.0 + 0.22 * (1 + len(rows) // 4))


def table(rows: Sequence[Row]) -> Table:
  """'at the same times / of all decisions' by method and delay, grouped by protocol."""
  delays = sorted({ms for row in rows for ms in row.delay_ms})
  lines: list[tuple[str, tuple[str, ...]]] = []
  for protocol in report_tables.protocols_of(rows):
    lines.append(('group', (protocol,)))
    for row in (row for row in rows if row.protocol == protocol):
      at = {ms: f'{report_tables.percent(d.mean["same_times"])} / {report_tables.percent(d.mean["all"])}'
            for ms, d in row.delays.items()}
      lines.append(('', (row.method, row.uses_target, *(at[ms] if ms in at else '-' for ms in delays))))
  return Table(('same times / all decisions, %', 'target data used', *(f'{ms:g} ms' for ms in delays)),
               tuple(lines), text_columns=(1,))
