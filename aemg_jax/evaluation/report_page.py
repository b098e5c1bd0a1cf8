"""A page of headings, lines, tables and pictures, written as one HTML file or as Markdown.

Every text is escaped here and nowhere else; the HTML's own policy forbids scripts and any load.
"""

import base64
import dataclasses
import html
import re
from collections.abc import Sequence

from aemg_jax.evaluation.figure_style import clean

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1160px; padding: 24px 28px 64px; background: #fff; color: #1b1f24;
  font: 16px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 4px; line-height: 1.2; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 44px 0 8px; padding-bottom: 4px;
  border-bottom: 2px solid #d0d7de; }
p { margin: 8px 0; max-width: 86ch; overflow-wrap: anywhere; }
p.missing { color: #57606a; font-style: italic; }
p.banner { max-width: none; margin: 14px 0; padding: 12px 16px; background: #fff1d6; color: #5c3900;
  border-left: 8px solid #d55e00; font-size: 1.1rem; font-weight: 700; }
nav { margin: 12px 0 0; font-size: .9rem; }
nav a { display: inline-block; margin: 2px 14px 2px 0; color: #0a5a94; }
.wide { overflow-x: auto; margin: 12px 0; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 9px; text-align: right; border-bottom: 1px solid #e3e7eb;
  white-space: nowrap; }
th { border-bottom: 2px solid #8c959f; font-weight: 600; vertical-align: bottom; }
th:first-child, td:first-child, .text { text-align: left; }
td:first-child { white-space: normal; min-width: 9em; max-width: 19em; overflow-wrap: anywhere; }
td.text { white-space: normal; min-width: 9em; max-width: 32em; overflow-wrap: anywhere; }
tr.group td { background: #eef2f6; font-weight: 700; text-align: left; padding-top: 8px; }
tr.subgroup td { font-style: italic; text-align: left; color: #57606a; padding-top: 8px; }
tr.chance td { color: #57606a; }
figure { margin: 18px 0 26px; }
figure img { display: block; height: auto; max-width: none; width: 100%; }
figcaption { margin-top: 8px; font-size: .9rem; color: #41484f; max-width: 96ch; }
details { margin: 12px 0; } summary { cursor: pointer; color: #0a5a94; }
@media (max-width: 760px) { body { padding: 16px 14px 48px; } th, td { padding: 4px 8px; }
  .wide > table, .wide > img { font-size: .82rem; } }
@media print { body { max-width: none; } .wide { overflow: visible; } }
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclasses.dataclass(frozen=True)
class Text:
  """A paragraph. `kind` is '' or 'missing' or 'banner'."""
  text: str
  kind: str = ''


@dataclasses.dataclass(frozen=True)
class Table:
  """Columns and rows of text.

  Attributes:
    columns: headings.
    rows: (kind, cells); kind 'group' and 'subgroup' have one cell over all columns, 'chance' and
      '' have one a column.
    text_columns: columns of prose, aligned left; the first always is.
    folded: a title under which the table is folded away in HTML; '' shows it.
  """
  columns: tuple[str, ...]
  rows: tuple[tuple[str, tuple[str, ...]], ...]
  text_columns: tuple[int, ...] = ()
  folded: str = ''


@dataclasses.dataclass(frozen=True)
class Picture:
  """A PNG with the name of its file, the caption and the least width at which it can be read."""
  png: bytes
  name: str
  caption: str
  min_width_px: int = 720


Block = Text | Table | Picture


@dataclasses.dataclass(frozen=True)
class Section:
  title: str
  blocks: tuple[Block, ...]


def slug(text: str) -> str:
  """Lower-case letters, digits and dashes: part of a picture's name."""
  return re.sub(r'[^a-z0-9]+', '-', text.lower()).strip('-')[:40] or 'x'


def to_html(title: str, sections: Sequence[Section]) -> str:
  """The page as one HTML file: pictures inline, nothing loaded from elsewhere."""
  body = [f'<h1>{_html(title)}</h1>']
  links = ''.join(f'<a href="#s{i}">{_html(section.title)}</a>'
                  for i, section in enumerate(sections) if section.title)
  for i, section in enumerate(sections):
    if section.title:
      body.append(f'<h2 id="s{i}">{_html(section.title)}</h2>')
    body += [_html_block(block) for block in section.blocks]
    if i == 0:
      body.append(f'<nav>{links}</nav>')
  return '\n'.join([
      '<!DOCTYPE html>', '<html lang="en">', '<head>', '<meta charset="utf-8">',
      f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
      '<meta name="viewport" content="width=device-width, initial-scale=1">',
      f'<title>{_html(title)}</title>', f'<style>{_STYLE}</style>', '</head>', '<body>', *body,
      '</body>', '</html>', ''])


def _html(text: str) -> str:
  return html.escape(clean(text), quote=True)


def _html_block(block: Block) -> str:
  if isinstance(block, Text):
    kind = f' class="{block.kind}"' if block.kind else ''
    return f'<p{kind}>{_html(block.text)}</p>'
  if isinstance(block, Table):
    return _html_table(block)
  data = base64.b64encode(block.png).decode('ascii')
  widest = _png_width_px(block.png)
  image = (f'<img src="data:image/png;base64,{data}" alt="{_html(block.name)}" '
           f'style="min-width:{min(block.min_width_px, widest)}px;max-width:{widest}px">')
  return (f'<figure><div class="wide">{image}</div>'
          f'<figcaption>{_html(block.caption)}</figcaption></figure>')


def _png_width_px(png: bytes) -> int:
  """CSS width at which a picture's text is as large as in a full-width one."""
  from aemg_jax.evaluation.figure_style import DPI
  return round(int.from_bytes(png[16:20], 'big') / DPI * 100)


def _html_table(table: Table) -> str:
  def cell(tag: str, column: int, text: str) -> str:
    kind = ' class="text"' if column in table.text_columns else ''
    return f'<{tag}{kind}>{_html(text)}</{tag}>'
  lines = ['<div class="wide"><table>', '<thead><tr>' + ''.join(
      cell('th', i, text) for i, text in enumerate(table.columns)) + '</tr></thead>', '<tbody>']
  for kind, cells in table.rows:
    if kind in ('group', 'subgroup'):
      inner = f'<td colspan="{len(table.columns)}">{_html(cells[0])}</td>'
    else:
      inner = ''.join(cell('td', i, text) for i, text in enumerate(cells))
    lines.append(f'<tr class="{kind}">{inner}</tr>' if kind else f'<tr>{inner}</tr>')
  lines.append('</tbody></table></div>')
  if table.folded:
    lines = [f'<details><summary>{_html(table.folded)}</summary>', *lines, '</details>']
  return '\n'.join(lines)


def to_markdown(title: str, sections: Sequence[Section], picture_folder: str) -> str:
  """The page as Markdown; pictures are links to `picture_folder`/name.png."""
  lines = [f'# {_markdown(title)}', '']
  for section in sections:
    if section.title:
      lines += [f'## {_markdown(section.title)}', '']
    for block in section.blocks:
      lines += [*_markdown_block(block, picture_folder), '']
  return '\n'.join(lines)


def _markdown(text: str) -> str:
  """Neither HTML nor Markdown of its own; a line cannot be left."""
  escaped = html.escape(clean(text), quote=False)
  return re.sub(r'([\\`*_\[\]|~#])', r'\\\1', escaped)


def _markdown_block(block: Block, picture_folder: str) -> list[str]:
  if isinstance(block, Text):
    text = _markdown(block.text)
    return [f'> **{text}**' if block.kind == 'banner' else f'*{text}*' if block.kind else text]
  if isinstance(block, Picture):
    return [f'![{_markdown(block.name)}]({picture_folder}/{block.name}.png)', '',
            _markdown(block.caption)]
  marks = [':--' if i == 0 or i in table_text else '--:' for table_text in (block.text_columns,)
           for i in range(len(block.columns))]
  lines = [f'{_markdown(block.folded)}:', ''] if block.folded else []
  lines += [_markdown_row(block.columns), _line(marks)]
  for kind, cells in block.rows:
    padding = ('',) * (len(block.columns) - len(cells))
    if kind in ('group', 'subgroup'):
      mark = '**' if kind == 'group' else '*'
      lines.append(_line([f'{mark}{_markdown(cells[0])}{mark}', *padding]))
    else:
      lines.append(_markdown_row(cells))
  return lines


def _markdown_row(cells: Sequence[str]) -> str:
  return _line([_markdown(cell) for cell in cells])


def _line(cells: Sequence[str]) -> str:
  return '| ' + ' | '.join(cells) + ' |'
