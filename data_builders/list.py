"""Prints the table of all sets as Markdown: python -m data_builders.list [--write].

With --write the table goes into README.md beside this file, where a test expects it.
"""

import argparse
from collections.abc import Sequence
import pathlib
import sys

from data_builders import build

README = pathlib.Path(__file__).parent / 'README.md'
BEGIN, END = '<!-- TABLE -->', '<!-- END OF TABLE -->'
COLUMNS = ('set', 'subjects', 'channels', 'rate in Hz', 'classes', 'size', 'download', 'consent',
           'real bytes', 'licence')


def main(argv: Sequence[str] | None = None) -> int:
  """Returns the exit code."""
  parser = argparse.ArgumentParser(prog='python -m data_builders.list')
  parser.add_argument('--write', action='store_true', help='replace the table in README.md')
  args = parser.parse_args(argv)
  if args.write:
    README.write_text(with_table(README.read_text(), table()))
  else:
    sys.stdout.write(table())
  return 0


def table() -> str:
  """Markdown: a row for every builder there is."""
  rows = [COLUMNS, ('---',) * len(COLUMNS), *(_row(name) for name in build.BUILDERS)]
  return ''.join(f'| {" | ".join(row)} |\n' for row in rows)


def _row(name: str) -> tuple[str, ...]:
  cls = build.load_builder(name)
  facts = cls.FACTS
  cells = (facts.subjects, facts.channels, facts.rate_hz, facts.classes, facts.size, download(cls),
           'asked for' if cls.MUST_ACCEPT else 'no', '-' if cls.GENERATED else facts.real_bytes,
           cls.LICENCE)
  return (f'[{name}]({name}/README.md)', *(cell.replace('|', '\\|') for cell in cells))


def download(cls: type) -> str:
  """How the raw files of a builder's set come: the three ways that `build` knows."""
  if cls.GENERATED:
    return 'generated'
  return 'automatic' if cls.URLS else 'by hand'


def with_table(text: str, new: str) -> str:
  """`text` with `new` between the markers.

  Raises:
    ValueError: unless each marker is there once, in order.
  """
  before, begin, rest = text.partition(BEGIN)
  _, end, after = rest.partition(END)
  if not (begin and end) or text.count(BEGIN) + text.count(END) != 2:
    raise ValueError(f'{README}: expected {BEGIN} once, and {END} once after it')
  return f'{before}{BEGIN}\n{new}{END}{after}'


if __name__ == '__main__':
  sys.exit(main())
