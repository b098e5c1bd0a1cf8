"""The table of all sets, and the README that shows it."""

import pytest

from data_builders import build as build_lib
from data_builders import list as list_lib


@pytest.fixture(scope='module')
def table():
  return list_lib.table()


def test_the_readme_shows_the_table(table):
  """A set that nobody hears of, or one that is listed and gone."""
  text = list_lib.README.read_text()
  assert list_lib.with_table(text, table) == text, 'run python -m data_builders.list --write'


def test_every_set_has_one_row_with_a_cell_for_every_column(table):
  """A licence with a | in it, which shifts the columns; a builder left out."""
  head, _, *rows = [line[2:-2].replace('\\|', '').split(' | ') for line in table.splitlines()]
  assert [row[0] for row in rows] == [f'[{name}]({name}/README.md)' for name in build_lib.BUILDERS]
  for row in rows:
    assert len(row) == len(head) and all(cell.strip() for cell in row), row


def test_a_licence_that_wants_consent_and_a_set_to_fetch_by_hand_are_seen(monkeypatch):
  """A user who learns of the consent from a failed download."""
  cls = build_lib.load_builder('myo_armband')
  row = lambda: dict(zip(list_lib.COLUMNS, list_lib._row('myo_armband')))
  assert (row()['download'], row()['consent']) == ('automatic', 'no')
  monkeypatch.setattr(cls, 'URLS', ())
  monkeypatch.setattr(cls, 'MUST_ACCEPT', True)
  monkeypatch.setattr(cls, 'LICENCE', 'a|b')
  assert (row()['download'], row()['consent']) == ('by hand', 'asked for')
  assert row()['licence'] == 'a\\|b'
  generated = dict(zip(list_lib.COLUMNS, list_lib._row('synthetic_emg')))
  assert (generated['download'], generated['real bytes']) == ('generated', '-')


def test_write_replaces_the_table_and_nothing_else(monkeypatch, tmp_path):
  """A README whose text is lost, or that grows with every call."""
  readme = tmp_path / 'README.md'
  monkeypatch.setattr(list_lib, 'README', readme)
  monkeypatch.setattr(list_lib, 'table', lambda: '| new |\n')
  readme.write_text(f'before\n{list_lib.BEGIN}\n| old |\n{list_lib.END}\nafter\n')
  for _ in range(2):
    assert list_lib.main(['--write']) == 0
    assert readme.read_text() == (
        f'before\n{list_lib.BEGIN}\n| new |\n{list_lib.END}\nafter\n')


@pytest.mark.parametrize('text', ['', f'{list_lib.BEGIN}', f'{list_lib.END} {list_lib.BEGIN}',
                                  f'{list_lib.BEGIN} {list_lib.END} {list_lib.END}'])
def test_a_readme_without_its_markers_is_refused(text):
  """Half of the README swallowed by the table."""
  with pytest.raises(ValueError, match='README.md: expected <!-- TABLE --> once'):
    list_lib.with_table(text, '')
