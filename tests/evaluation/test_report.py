"""The report says what the rows say, injects nothing, and names what is malformed or missing."""

import html.parser
import json
import re

import numpy as np
import pytest

from aemg_jax.evaluation import (figure_data, figure_style, figures, figures_codes, figures_results, report,
                                 report_delays, report_inputs, report_page, report_results, report_tables)

HOSTILE = '<script>alert("x")</script>|\n# $\\frac{$ ![](http://x.example/)'
LABELS = [HOSTILE, 'fist', '_open']


def _row(**changes):
  row = {
      'method': 'LDA', 'protocol': 'loso', 'uses_target': 'none', 'transductive': False,
      'seeds': [0, 3], 'n_subjects': 2,
      'per_subject': {HOSTILE: {'repetition': 0.5, 'window': 0.25, 'macro_f1': 0.2},
                      'b': {'repetition': 0.75, 'window': 0.5, 'macro_f1': 0.5}},
      'mean': {'repetition': 0.6251, 'window': 0.3752},
      'sd': {'repetition': 0.177, 'window': 0.178},
      'ci95': {'repetition': [0.512, 0.743], 'window': [0.254, 0.491]},
      'confusion': [[3, 1, 0], [0, 4, 0], [2, 0, 0]],
      'confusion_per_subject': {HOSTILE: [[1, 1, 0], [0, 2, 0], [1, 0, 0]],
                                'b': [[2, 0, 0], [0, 2, 0], [1, 0, 0]]},
      'split_hash': 'abc', 'checkpoint_hash': None, 'config': HOSTILE, 'commit': 'c0',
      'wall_s': 1.5,
  }
  return row | changes


def _delays(*points):
  return {'ms': [100, 260, 300], 'samples': [52], 'window_ms': 260.0, 'stride_ms': 25.0, 'points': [
      {'delay_ms': ms, 'windows': 1, 'decisions': 9, 'mean': {'all': every, 'same_times': same},
       'ci95': {'all': [0.1, 0.9], 'same_times': [0.2, 0.8]}} for ms, every, same in points]}


ROWS = [_row(transductive=True, uses_target='unlabelled', method=HOSTILE,
             mean={'repetition': 0.9137, 'window': 0.8246}),
        _row(delays=_delays((300, 0.765, 0.876), (260, 0.5, 0.25)))]


def _header(**changes):
  known = {'title': HOSTILE, 'config': 'c.py', 'commit': '', 'date': '2026-01-01',
           'hardware': 'cpu', 'datasets': (report.Dataset('real', '1', 'CC', False),)}
  return report.RunHeader(**(known | changes))


def _figure_data(workdir):
  figure_data.save_figure_data(
      workdir, 'recording', record_id=HOSTILE, unit='uV', rate_hz=200, signal_tc=np.eye(40, 2),
      channel_name=[HOSTILE, 'c2'], label_start_s=[0.0], label_stop_s=[0.1], label_name=[HOSTILE],
      event_start_s=[], event_stop_s=[], slot_start_s=[0.0], slot_stop_s=[0.1],
      word_valid_sc=[[True, False]], energy_time_s=[0.0, 0.1], energy=[0.0, 1.0], rest_median=0.0,
      on_threshold=0.5, off_threshold=0.2)
  figure_data.save_figure_data(
      workdir, 'codebook', measured_on='held-out', code_count_k=[2, 0, 1, 1],
      variance_name=['spectrum'], explained_variance=[np.nan], hist_probe_accuracy=0.5, chance=0.25)
  figure_data.save_figure_data(
      workdir, 'words', target='waveform', axis=[0.0, 5.0], title=[HOSTILE], target_nx=[[0.0, 1.0]],
      reconstruction_nx=[[0.0, 1.0]], target_amplitude_n=[0.0], reconstruction_amplitude_n=[0.1])
  figure_data.save_figure_data(
      workdir, 'codes', label_name=[HOSTILE], title=['r'], channel_name=['1', '2'], slot_s=0.26,
      code_gsc=[[[0, -1], [1, 1]]], code_value_k=[0.0, 1.0], value_name='v')
  nan_f = [0.5, np.nan]
  shared = dict(measured_on=HOSTILE, label_name=LABELS, frequency_f=[4.0, 8.0])
  figure_data.save_figure_data(
      workdir, 'families', rule=HOSTILE, code_m=[17, 3], family_m=['quiet', 'burst'], share_m=[0.625, 0.25],
      amplitude_m=[-1.0, 1.0], before_m=[np.nan, 0.25], after_m=[0.0, 0.5], lift_mq=[[1, 1, 1], [3, 0, 0]],
      gesture_mg=[[1, 0, 0], [0.25, 0.75, 0]], entropy_m=[0.0, 0.5], spectrum_mf=[nan_f, nan_f],
      deviation_mf=[nan_f, nan_f], **shared)
  figure_data.save_figure_data(
      workdir, 'polysemy', code=3, electrode=1, channel_name=['1', HOSTILE], count_g=[20, 12, 0],
      base_g=[0.5, 0.25, 0.25], spectrum_gf=[nan_f, [1.0, 2.0], [np.nan] * 2],
      context_gc=[[0.0, 1.0], [1.0, -1.0], [np.nan] * 2], **shared)


@pytest.fixture(scope='module')
def written(tmp_path_factory):
  """A whole report with hostile names everywhere, drawn once at a low resolution."""
  workdir = tmp_path_factory.mktemp('run')
  (workdir / 'results.json').write_text(json.dumps({'labels': LABELS, 'rows': ROWS}))
  _figure_data(workdir)
  (workdir / 'masked').mkdir()
  (workdir / 'masked' / 'scalars.jsonl').write_text(
      '{"step": 0, "loss": 2.0, "masked_accuracy": 0.1}\n{"step": 1, "loss": "nan"}\n'
      '{"step": 2, "lo')
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(figure_style, 'DPI', 30)
    return report.write_report(workdir, _header(note=HOSTILE)).parent


class _Parsed(html.parser.HTMLParser):

  def __init__(self, text):
    super().__init__()
    self.tags, self.attributes, self.cells, self.row_texts = set(), [], [], []
    self._in_cell = False
    self.feed(text)

  def handle_starttag(self, tag, attrs):
    self.tags.add(tag)
    self.attributes += attrs
    if tag == 'tr':
      self.row_texts.append([])
    self._in_cell = tag in ('td', 'th')
    if self._in_cell:
      self.row_texts[-1].append('')

  def handle_endtag(self, tag):
    self._in_cell = self._in_cell and tag not in ('td', 'th')

  def handle_data(self, data):
    if self._in_cell:
      self.row_texts[-1][-1] += data


def test_table_numbers_are_the_rows_numbers(written):
  """Catches swapped columns, sd for mean, window for repetition, a fraction printed as %."""
  lines = _Parsed((written / 'report.html').read_text()).row_texts
  expected = ['LDA', 'none', '2', '62.5', '17.7', '51.2–74.3', '37.5', '17.8', '25.4–49.1', '35.0']
  assert expected in lines
  assert ['chance (1 of 3)', 'none', '', '33.3', '', '', '33.3', '', '', ''] in lines
  markdown = (written / 'report.md').read_text()
  assert '| ' + ' | '.join(expected) + ' |' in markdown


def test_transductive_rows_are_apart_and_labelled(written):
  """Catches a transductive row among the inductive ones, whatever the order in the file."""
  first = [line[0] for line in _Parsed((written / 'report.html').read_text()).row_texts]
  main = first[first.index('loso'):]
  apart = next(i for i, cell in enumerate(main) if cell.startswith('Transductive'))
  assert main.index('LDA') < apart
  assert [i for i, cell in enumerate(main) if cell.startswith('<script>')][0] == apart + 1
  cells = next(cells for kind, cells in report_tables.overview(
      [report_inputs._row(ROWS[0], 3, 'x')]).rows)
  assert cells[0].endswith('*')


def test_nothing_is_injected_or_loaded(written):
  """Catches an unescaped name, and any script, style sheet, font or picture from elsewhere."""
  parsed = _Parsed((written / 'report.html').read_text())
  assert parsed.tags <= {
      'html', 'head', 'meta', 'title', 'style', 'body', 'nav', 'a', 'h1', 'h2', 'p', 'div', 'table',
      'thead', 'tbody', 'tr', 'th', 'td', 'figure', 'figcaption', 'img', 'details', 'summary'}
  for key, value in parsed.attributes:
    assert not key.startswith('on')
    if key in ('src', 'href'):
      assert value.startswith(('data:image/png;base64,', '#')), value
  markdown = (written / 'report.md').read_text()
  assert '<' not in markdown
  assert set(re.findall(r'(?<!\\)\]\(([^)]*)\)', markdown)) == {
      f'figures/{path.name}' for path in (written / 'figures').iterdir()}
  assert len([line for line in markdown.splitlines() if line.startswith('# ')]) == 1


def test_every_picture_is_drawn_and_inline(written):
  """Catches a section lost, and mathematics parsed from a name (the '$' would raise)."""
  names = {path.stem for path in (written / 'figures').iterdir()}
  assert names == {'intervals', 'subjects-0-loso', 'confusion', 'recall',
                   'confusion-worst-subjects', 'recording', 'codebook', 'words', 'codes',
                   'curves-0-masked', 'delays-0-loso', 'families', 'polysemy'}
  page = (written / 'report.html').read_text()
  assert page.count('data:image/png;base64,') == len(names)
  assert 'left out' not in page
  assert not list(written.rglob('*.tmp*'))


def test_delays_are_shown_by_method(written):
  """Catches: a delay that was not measured shown as a number, the two ways of counting exchanged, rows
  without delays in the table or a section where no row has any."""
  _, rows = report_inputs.read_results(written / 'results.json')
  section, = report_delays.delay_sections(rows, 3)
  shown = report_delays.table([row for row in rows if row.delay_ms])
  assert shown.columns[2:] == ('100 ms', '260 ms', '300 ms')
  assert shown.rows[1:] == (('', ('LDA', 'none', '-', '25.0 / 50.0', '87.6 / 76.5')),)
  assert section.blocks[-1] == shown and report_delays.delay_sections(rows[:1], 3) == []
  assert 'Decision delay' in (written / 'report.html').read_text()
  old = {k: v for k, v in _row().items() if k != 'delays'}
  (written / 'old.json').write_text(json.dumps({'labels': LABELS, 'rows': [old]}))
  assert report_inputs.read_results(written / 'old.json')[1][0].delays == {}


def test_families_as_numbers(written):
  """Catches: a code's row with another's numbers, fractions for %, NaN in a cell."""
  table = figures_codes.family_table(figure_data.read_figure_data(written, 'families'))
  cells = [row[1] for row in table.rows]
  assert cells[0][:6] == ('17', 'quiet', '62.50', '-1.00', '-', '+0.00') and cells[0][-1].endswith(' 100 %')
  assert cells[1][4:] == ('+0.25', '+0.50', '3.00', '0.00', '0.00', '0.50', 'fist 75 %')


def test_recall_is_by_true_label():
  """Catches precision for recall (columns), and 0 % for a label that never occurs."""
  rate_kk = figures_results._by_truth(np.array([[3.0, 1.0, 0.0], [2.0, 2.0, 0.0], [0.0, 0.0, 0.0]]))
  np.testing.assert_array_equal(np.diag(rate_kk), [75.0, 50.0, np.nan])


def test_codebook_numbers():
  """Catches perplexity in bits, dead codes counted as used, NaN printed as a number."""
  said = dict(figures.codebook_numbers({
      'code_count_k': np.array([2, 0, 1, 1]), 'variance_name': np.array(['s']), 'chance': 0.25,
      'explained_variance': np.array([np.nan]), 'hist_probe_accuracy': 0.5, 'measured_on': 'x'}))
  assert said['Codes used'] == '3 (75.0 %)'
  assert said['Perplexity'] == '2.8'  # exp(1.5 ln 2) = 2 sqrt 2
  assert said['Explained variance, s'] == '-'


def test_missing_parts_are_said(tmp_path):
  """Catches a crash on an empty run, and a part dropped without a word."""
  page = report.write_report(tmp_path, _header()).read_text()
  for part in ('results.json', 'recording.npz', 'codebook.npz', 'words.npz', 'codes.npz',
               'scalars.jsonl'):
    assert re.search(rf'<p class="missing">[^<]*{part}', page), part
  assert '<p class="banner">' not in page


def test_synthetic_data_has_a_banner(tmp_path):
  """Catches synthetic numbers shown as a result."""
  made = report.Dataset('made', '1', 'CC0', True)
  page = report.write_report(tmp_path, _header(datasets=(made,))).read_text()
  assert '<p class="banner">Synthetic data: not a result.' in page
  assert '> **Synthetic data: not a result.' in (tmp_path / 'report.md').read_text()


@pytest.mark.parametrize('change, key', [
    ({'mean': {'repetition': 62.5, 'window': 0.3}}, r'rows\[0\]\.mean\.repetition: got 62\.5'),
    ({'mean': {'repetition': float('nan'), 'window': 0.3}}, r'mean\.repetition: got nan'),
    ({'sd': {'repetition': 0.1}}, r'sd\.window: missing'),
    ({'ci95': {'repetition': [0.7, 0.5], 'window': [0, 1]}}, r'ci95\.repetition: .* low <= high'),
    ({'n_subjects': 3}, r'n_subjects: got 3, per_subject has 2'),
    ({'transductive': 1}, r'transductive: got 1, expected bool'),
    ({'confusion': [[1, 2], [3, 4]]}, r'confusion: got shape \(2, 2\), expected \(3, 3\)'),
    ({'per_subject': {}}, r'per_subject: expected at least one subject'),
    ({'delays': _delays((260, 50.0, 0.5))}, r'delays\.points\[0\]\.mean\.all: got 50\.0'),
    ({'method': None}, r'method: got None, expected str'),
])
def test_malformed_row_is_refused(tmp_path, change, key):
  """Catches percent taken for fractions, and every wrong type, by file, row and key."""
  path = tmp_path / 'results.json'
  path.write_text(json.dumps({'labels': LABELS, 'rows': [_row(**change)]}))
  with pytest.raises(ValueError, match=rf'results\.json: .*{key}'):
    report.write_report(tmp_path, _header())
  assert not (tmp_path / 'report.html').exists()


def test_malformed_figure_data_is_refused(tmp_path):
  """Catches axes that disagree, a code past the book, a missing key and a file that is no NPZ."""
  _figure_data(tmp_path)
  path = figure_data.figure_data_path(tmp_path, 'codes')
  good = figure_data.read_figure_data(tmp_path, 'codes')
  for change, said in (({'channel_name': np.array(['1'])}, 'code_gsc: axis c is 2 long, 1 in'),
                       ({'code_gsc': np.array([[[0, 2]]])}, r'code_gsc: got 0\.\.2'),
                       ({'slot_s': np.array('x')}, 'slot_s: got dtype'),
                       ({'other': np.array(1)}, 'other: unknown key')):
    with pytest.raises(ValueError, match=rf'codes\.npz: {said}'):
      figure_data.save_figure_data(tmp_path, 'codes', **(good | change))
  np.savez(path, code_gsc=good['code_gsc'])
  with pytest.raises(ValueError, match=r'codes\.npz: label_name: missing'):
    figure_data.read_figure_data(tmp_path, 'codes')
  for content in (b'not an archive', path.read_bytes()[:100]):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'codes\.npz: expected an NPZ'):
      figure_data.read_figure_data(tmp_path, 'codes')


def test_scalars_of_a_resumed_run(tmp_path):
  """Catches a step drawn twice, NaN drawn, and a line that is no object."""
  path = tmp_path / 'scalars.jsonl'
  path.write_text('{"step": 5, "loss": 1}\n{"step": 2, "loss": "nan"}\n{"step": 1, "loss": 3}\n'
                  '{"step": 5, "loss": 2}\n')
  steps, values = report_inputs.read_scalars(path)['loss']
  np.testing.assert_array_equal(steps, [1, 5])
  np.testing.assert_array_equal(values, [3.0, 2.0])
  path.write_text('{"step": 1, "loss": [1]}\n')
  with pytest.raises(ValueError, match=r'scalars\.jsonl: line 1\.loss: got \[1\]'):
    report_inputs.read_scalars(path)


def test_unknown_focus_is_refused(tmp_path):
  """Catches a misspelt main method silently drawn as nothing."""
  (tmp_path / 'results.json').write_text(json.dumps({'labels': LABELS, 'rows': [_row()]}))
  rows = report_inputs.read_results(tmp_path / 'results.json')[1]
  with pytest.raises(ValueError, match=r"Focus\.methods: got 'LDB', expected some of \['LDA'\]"):
    report_results._main_rows(report.Focus(methods=('LDB',)), rows)


def test_long_names_keep_their_end():
  """Catches subjects that look alike because the end of their names was cut."""
  short = figure_style.name('x' * 60 + 'Male12', 20)
  assert len(short) == 20 and short.endswith('Male12')


def test_markdown_cannot_leave_its_cell():
  """Catches an unescaped bar, heading or line break in a table."""
  table = report_page.Table(('a',), (('', ('x|y\n# z',)),))
  lines = report_page.to_markdown('t', [report_page.Section('', (table,))], 'f').splitlines()
  assert r'| x\|y \# z |' in lines
