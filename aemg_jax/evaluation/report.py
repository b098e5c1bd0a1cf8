"""The report of a run: workdir/report.html (one file), report.md and figures/*.png.

Reads what evaluation left in the folder: results.json, calibration_curve.json, */scalars.jsonl, figure_data/*.npz. What
is missing is left out with a line that says so.
"""

import dataclasses
import os
import pathlib
from collections.abc import Sequence

from absl import logging

from aemg_jax.evaluation.report_curve import curve_sections
from aemg_jax.evaluation.report_delays import delay_sections
from aemg_jax.evaluation.report_inputs import Row, read_results
from aemg_jax.evaluation.report_page import (Block, Picture, Section, Table, Text, to_html,
                                             to_markdown)
from aemg_jax.evaluation.report_results import Focus, result_sections
from aemg_jax.evaluation.report_signals import signal_sections


@dataclasses.dataclass(frozen=True)
class Dataset:
  """A dataset of the run. Synthetic ones put a banner on the report."""
  name: str
  version: str
  licence: str
  synthetic: bool


@dataclasses.dataclass(frozen=True)
class RunHeader:
  """What the head of the report says.

  Attributes:
    title: e.g. 'Leave-one-subject-out on MyoArmband'.
    config: name of the config file with its variant.
    commit: of the code that evaluated, '' where unknown.
    date: ISO, UTC.
    hardware: in words.
    datasets: all that were used.
    note: a paragraph under the table, may be ''.
    focus: protocol and methods whose confusion matrices are drawn.
  """
  title: str
  config: str
  commit: str
  date: str
  hardware: str
  datasets: tuple[Dataset, ...]
  note: str = ''
  focus: Focus = Focus()


def write_report(workdir: str | os.PathLike, header: RunHeader) -> pathlib.Path:
  """Writes report.html, report.md and figures/*.png in `workdir`; returns report.html's path.

  Raises:
    ValueError: a file of the run is malformed, or the header names an unknown protocol or method.
  """
  workdir = pathlib.Path(workdir)
  labels, rows = (), ()
  if (workdir / 'results.json').exists():
    labels, rows = read_results(workdir / 'results.json')
  sections = [
      Section('', _head(header, rows)),
      *result_sections(header.focus, labels, rows),
      *delay_sections(rows, len(labels)),
      *curve_sections(workdir),
      *signal_sections(workdir),
  ]
  folder = workdir / 'figures'
  folder.mkdir(exist_ok=True)
  for section in sections:
    for block in section.blocks:
      if isinstance(block, Picture):
        _write(folder / f'{block.name}.png', block.png)
  page = to_html(header.title, sections)
  _write(workdir / 'report.md', to_markdown(header.title, sections, 'figures').encode('utf-8'))
  _write(workdir / 'report.html', page.encode('utf-8'))
  logging.info('report: %s', workdir / 'report.html')
  return workdir / 'report.html'


def _write(path: pathlib.Path, content: bytes) -> None:
  temporary = path.with_name(f'.{path.name}.tmp')
  temporary.write_bytes(content)
  os.replace(temporary, path)


def _head(header: RunHeader, rows: Sequence[Row]) -> tuple[Block, ...]:
  blocks: list[Block] = []
  synthetic = [dataset.name for dataset in header.datasets if dataset.synthetic]
  if synthetic:
    blocks.append(Text('Synthetic data: not a result. Made by a generator: '
                       f"{', '.join(synthetic)}.", 'banner'))
  seeds = sorted({seed for row in rows for seed in row.seeds})
  lines = [('Dataset', f'{d.name} {d.version}' + (', synthetic' if d.synthetic else '') +
            f' (licence: {d.licence})') for d in header.datasets]
  lines += [
      ('Config', header.config),
      ('Commit', header.commit or 'not known'),
      ('Seeds', ', '.join(map(str, seeds)) or 'no rows'),
      ('Split hashes', ', '.join(dict.fromkeys(row.provenance['split_hash'] for row in rows))
       or 'no rows'),
      ('Date', header.date),
      ('Hardware', header.hardware),
  ]
  blocks.append(Table(('run', ''), tuple(('', line) for line in lines), text_columns=(1,)))
  if header.note:
    blocks.append(Text(header.note))
  return tuple(blocks)
