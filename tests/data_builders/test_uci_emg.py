"""The parser of UCI's gesture recordings against rows written by hand, and the real recordings."""

import json

from aemg_jax.sources import read_records
import numpy as np
import pytest

from data_builders import build as build_lib
from data_builders import jobs as reasons
from data_builders.jobs import Job, Reject
from data_builders.uci_emg import make_dummy_data, parser

NAME = '07/2_raw_data_18-50_22.03.16.txt'


def table(n_rows=120, held=3, classes=None, first_ms=5):
  """Rows of time, channels and class; the channels change every `held` rows."""
  classes = [0] * n_rows if classes is None else classes
  return [[first_ms + i, *(((i // held) % 7 - 3 + c) * 1e-5 for c in range(8)), its_class]
          for i, its_class in enumerate(classes)]


def text(rows, header=parser.HEADER):
  lines = ('\t'.join(f'{value:.5g}' for value in row) for row in rows)
  return '\n'.join((header, *lines)) + '\n'


def parse_bytes(tmp_path, data, name=NAME, distinct=False):
  path = tmp_path / 'x.txt'
  path.write_bytes(data if isinstance(data, bytes) else data.encode())
  return parser.parse(Job(name, str(path), path.stat().st_size), distinct)


CLASSES = [1] * 9 + [0] * 21 + [6] * 31 + [7] * 29 + [0] * 20 + [6] * 10


def test_rows_become_counts_spans_and_repetitions(tmp_path):
  """A class off by one; class 0, or two classes without pause, as one span; volts, not counts."""
  (record,) = parse_bytes(tmp_path, text(table(classes=CLASSES)))
  assert (record.record_id, record.subject, record.session) == ('07/2', '07', '2')
  assert record.signal_tc.dtype == np.int16 and record.signal_tc.shape == (120, 8)
  np.testing.assert_array_equal(record.signal_tc[2:4], [np.arange(-3, 5), np.arange(-2, 6)])
  assert [(s.start, s.stop, s.name) for s in record.labels] == [
      (0, 9, 'hand at rest'), (30, 61, 'ulnar deviations'), (61, 90, 'extended palm'),
      (110, 120, 'ulnar deviations')]
  assert [(a.start, a.stop, a.value) for a in record.annotations if a.name == 'repetition'] == [
      (0, 9, 0), (30, 61, 0), (61, 90, 0), (110, 120, 1)]
  assert record.repetition == -1
  assert [s.angle_deg for s in record.sensors] == [0, 45, 90, 135, 180, 225, 270, 315]
  assert {(s.unit, s.scale) for s in record.sensors} == {('nominal', 1e-5)}
  assert (record.rate_hz, record.bandwidth_hz) == (1000, pytest.approx(1000 / 6))


def test_only_distinct_rows_and_their_spans(tmp_path):
  """Spans in rows of the file; a repeat dropped that comes after another row; the last row kept."""
  (record,) = parse_bytes(tmp_path, text(table(classes=CLASSES)), distinct=True)
  np.testing.assert_array_equal(record.signal_tc[:, 0], [i % 7 - 3 for i in range(40)])
  # Samples begin at rows 0, 3, 6, ...: 61 to 89 holds those of rows 63 to 87, which are 21 to 29.
  assert [(s.start, s.stop, s.name) for s in record.labels] == [
      (0, 3, 'hand at rest'), (10, 21, 'ulnar deviations'), (21, 30, 'extended palm'),
      (37, 40, 'ulnar deviations')]
  assert [(a.start, a.stop, a.name, a.value) for a in record.annotations] == [
      (0, 3, 'repetition', 0), (10, 21, 'repetition', 0), (21, 30, 'repetition', 0),
      (37, 40, 'repetition', 1)]
  assert record.rate_hz == pytest.approx(1000 / 3)
  assert record.bandwidth_hz == pytest.approx(1000 / 6)


def test_the_rate_comes_from_the_time_column(tmp_path):
  """Rows taken for milliseconds: 1 row in 25 is late, as in the real files."""
  rows = table(n_rows=125)
  for i, row in enumerate(rows):
    row[0] = i + 2 * (i // 25)
  # Samples begin at rows 0, 3, ..., 123: 41 steps, the last at 123 + 8 ms.
  effective_hz = pytest.approx(41 / 0.131)
  (record,) = parse_bytes(tmp_path, text(rows))
  (first, *_) = record.annotations
  assert (first.start, first.stop, first.name) == (0, 125, 'effective_rate_hz')
  assert first.value == effective_hz and record.rate_hz == 1000
  assert record.bandwidth_hz == pytest.approx(41 / 0.262)
  (record,) = parse_bytes(tmp_path, text(rows), distinct=True)
  assert record.rate_hz == effective_hz


def test_a_span_between_two_samples_is_dropped(tmp_path):
  """An empty span, which no record may hold, or its repetition counted."""
  classes = [0] * 4 + [2] * 2 + [0] * 4 + [2] * 10 + [0] * 100
  (record,) = parse_bytes(tmp_path, text(table(classes=classes)), distinct=True)
  assert [(s.start, s.stop) for s in record.labels] == [(4, 7)]


@pytest.mark.parametrize('end', ['', '\n', '\t', '\t\n', '\t\r\n'])
def test_the_missing_last_class_is_unmarked_and_counted(tmp_path, end):
  """The documented recording lost for one field, or its last row taken for a gesture."""
  data = text(table(classes=[3] * 119 + [0])).rpartition('\t')[0] + end
  record, reject = parse_bytes(tmp_path, data, '34/1_raw_data_10-51_07.04.16.txt')
  assert record.n_samples == 120
  assert [(s.start, s.stop, s.name) for s in record.labels] == [(0, 119, 'wrist flexion')]
  assert reject.reason == reasons.MISSING_LABEL
  (cut,) = parse_bytes(tmp_path, data)  # any other file that ends so was cut short
  assert (cut.name, cut.reason) == (NAME, reasons.BAD_FORMAT)


def changed(row, column, value):
  rows = table()
  rows[row][column] = value
  return text(rows)


BAD = {
    'empty': (b'', reasons.BAD_FORMAT, "header ''"),
    'header only': (text([]), reasons.BAD_FORMAT, 'no row'),
    'no header': (text(table()).partition('\n')[2], reasons.BAD_FORMAT, 'header'),
    'other header': (text(table(), parser.HEADER.replace('channel8', 'class')), reasons.BAD_FORMAT,
                     'header'),
    'not ASCII': (b'\xff\xfe' + text(table()).encode(), reasons.BAD_FORMAT, 'decode'),
    'commas': (text(table()).replace('\t', ',').replace(',', '\t', 9), reasons.BAD_FORMAT, 'row 0'),
    'a word': (text(table()).replace('\t0\n', '\trest\n', 1), reasons.BAD_FORMAT, 'rest'),
    'a column less': (text([row[:-1] for row in table()]), reasons.BAD_FORMAT, '9 columns'),
    'a short row': (text([*table(), table()[0][:4]]), reasons.BAD_FORMAT, '4'),
    'few rows': (text(table(99)), reasons.TOO_SHORT, '99 rows'),
    'nan': (changed(50, 3, float('nan')), reasons.BAD_VALUE, 'nan in row 50, column 3'),
    'infinite time': (changed(119, 0, float('inf')), reasons.BAD_VALUE, 'inf in row 119'),
    'time back': (changed(50, 0, 3), reasons.BAD_VALUE, 'from 54 to 3 ms'),
    'seconds': (text([[r[0] / 1000, *r[1:]] for r in table()]), reasons.BAD_VALUE, 'in 0.119 ms'),
    'swapped columns': (text([[*r[1:], r[0]] for r in table()]), reasons.BAD_VALUE, 'time goes'),
    'other unit': (changed(50, 3, 0.000015), reasons.BAD_VALUE, 'row 50, channel 3'),
    'too large': (changed(50, 8, 128e-5), reasons.BAD_VALUE, 'row 50, channel 8'),
    'absurd': (changed(50, 8, -1.7e308), reasons.BAD_VALUE, '-1.7e+308 in row 50'),
    'dead channel': (text([[*r[:4], 1e-5, *r[5:]] for r in table()]), reasons.CONSTANT_CHANNEL,
                     'channel 4 is 1e-05'),
    'class 8': (changed(50, 9, 8), reasons.UNKNOWN_LABEL, 'class 8 in row 50'),
    'class 1.5': (changed(50, 9, 1.5), reasons.UNKNOWN_LABEL, 'class 1.5'),
}


@pytest.mark.parametrize('data, reason, detail', BAD.values(), ids=BAD)
@pytest.mark.parametrize('distinct', [False, True])
def test_bad_files_are_rejected_with_a_reason(tmp_path, data, reason, detail, distinct):
  """An exception of the reader, or a record made of something else."""
  (item,) = parse_bytes(tmp_path, data, distinct=distinct)
  assert isinstance(item, Reject) and (item.name, item.reason) == (NAME, reason)
  assert detail in item.detail and 'expected' in item.detail


def test_changes_at_one_instant_are_rejected(tmp_path):
  """A division by zero: all changes at one time, in a file of the right length."""
  rows = table(held=1)[:7] + [[0, *table(held=1)[6][1:]]] * 113
  rows = [[5 if i < 7 else 5 + i, *row[1:]] for i, row in enumerate(rows)]
  (item,) = parse_bytes(tmp_path, text(rows))
  assert (item.reason, item.detail[:20]) == (reasons.BAD_VALUE, 'every change at 5 ms')


def test_a_huge_file_is_not_read(tmp_path):
  """Gigabytes of memory for a file that no source published."""
  path = tmp_path / 'x.txt'
  with path.open('wb') as f:
    f.truncate(parser.MAX_BYTES + 1)  # sparse
  (item,) = parser.parse(Job(NAME, str(path), path.stat().st_size))
  assert item.reason == reasons.BAD_SIZE


@pytest.mark.parametrize('name', ['01/3_raw_data_10-00_01.01.16.txt', '1/notes.txt',
                                  '01/1_raw_data.txt'])
def test_other_names_are_unknown_files(tmp_path, name):
  """A subject or series guessed from a name that the source does not use."""
  (item,) = parse_bytes(tmp_path, text(table()), name)
  assert item.reason == reasons.UNKNOWN_FILE


def test_two_recordings_of_one_series_stop_the_build(tmp_path):
  """A record id that two files share: the second would vanish, or break the order."""
  make_dummy_data.main(tmp_path)
  copy = tmp_path / '01/1_raw_data_10-59_01.01.16.txt'
  copy.write_bytes((tmp_path / '01/1_raw_data_10-00_01.01.16.txt').read_bytes())
  with pytest.raises(ValueError, match='second recording of subject and series 01/1'):
    parser.find_jobs([str(tmp_path)])


@pytest.mark.parametrize('config, seconds', [('raw', 0.51), ('distinct', 0.51)])
def test_both_configurations_count_the_missing_class(tmp_path, config, seconds):
  """A configuration whose parser is the other's, or a defect that no count tells of."""
  folder = build_lib.build(f'uci_emg/{config}', str(tmp_path), str(make_dummy_data.FOLDER),
                           progress=False)
  source = read_records(folder)
  assert [r.record_id for r in source] == ['01/1', '01/2', '11/1', '34/1']
  assert source.meta.counts['seconds'] == pytest.approx(seconds)
  assert [r.n_samples for r in source] == [n * (5 if config == 'raw' else 1)
                                           for n in (25, 24, 28, 25)]
  rejects = json.loads((folder / 'rejects.json').read_text())
  assert rejects['reject_counts'] == {'missing label': 1}
  assert rejects['rejects'][0]['name'].startswith('34/1_')


@pytest.mark.real
@pytest.mark.parametrize('config', ['raw', 'distinct'])
def test_31_real_subjects_have_the_documented_counts(tmp_path, config, real_archive):
  """A changed parser or another rule for repeated rows: pinned on 62 of the 72 published files."""
  archive = real_archive('uci_emg_gestures.zip')
  folder = build_lib.build(f'uci_emg/{config}', str(tmp_path), archive, progress=False)
  source = read_records(folder)
  records = list(source)
  assert len(records) == 62 and source.meta.reject_counts == {}
  assert len({r.subject for r in records}) == 31 and {r.session for r in records} == {'1', '2'}
  assert source.meta.counts['labels'] == {name: 124 for name in sorted(parser.LABEL_NAMES[:6])}
  samples = [r.n_samples for r in records]
  rates = [2 * r.bandwidth_hz for r in records]
  assert (min(rates), np.median(rates), max(rates)) == pytest.approx((91.92, 104.55, 111.31),
                                                                     abs=0.006)
  for r in records:
    assert len(r.labels) == 12 and np.abs(r.signal_tc.astype(int)).max() <= 128
    assert {a.value for a in r.annotations if a.name == 'repetition'} == {0, 1}
  if config == 'raw':
    assert (sum(samples), min(samples), max(samples)) == (3521152, 44927, 68697)
    assert {r.rate_hz for r in records} == {1000}
  else:
    assert (sum(samples), min(samples), max(samples)) == (381178, 5139, 7609)
    assert source.meta.counts['seconds'] == pytest.approx(3653.782)
    assert [r.rate_hz for r in records] == rates
