"""The Toro-Ossaba parser against rows written by hand, and the one real file that was converted."""


from aemg_jax.sources import read_records
import numpy as np
import pytest

from data_builders import build as build_lib
from data_builders import jobs as reasons
from data_builders.jobs import Job, Reject
from data_builders.toro_ossaba import make_dummy_data, parser

NAME = 'subject 3/4.txt'


def table(n_rows=120):
  return [[(10 * i + c) * 1e-4 for c in range(4)] for i in range(n_rows)]


def text(rows, end='\n'):
  return ''.join('\t'.join(f'{value:.15g}' for value in row) + end for row in rows)


def csv(rows, position=2, header=parser.HEADER):
  return '\n'.join((header, *(f'{i / 1000},' + ','.join(f'{value:.15g}' for value in row)
                              + f',{position}' for i, row in enumerate(rows)))) + '\n'


def parse_bytes(tmp_path, data, name=NAME):
  path = tmp_path / 'x.txt'
  path.write_bytes(data if isinstance(data, bytes) else data.encode())
  parse = parser.parse_converted if name == parser.CONVERTED else parser.parse
  (item,) = parse(Job(name, str(path), path.stat().st_size))
  return item


@pytest.mark.parametrize('end', ['\n', '\r\n'])
def test_columns_become_channels(tmp_path, end):
  """A first row taken for a header; subject and gesture swapped; float32."""
  record = parse_bytes(tmp_path, text(table(), end))
  assert record.signal_tc.dtype == np.float64 and record.signal_tc.shape == (120, 4)
  assert record.signal_tc[:2].tolist() == [[0, 1e-4, 2e-4, 3e-4], [1e-3, 11e-4, 12e-4, 13e-4]]
  assert (record.record_id, record.subject, record.session) == ('subject 3/4', 'subject 3', '1')
  assert [(s.start, s.stop, s.name) for s in record.labels] == [(0, 120, 'gesture 4')]
  assert record.repetition == -1 and record.annotations == ()
  assert (record.rate_hz, record.bandwidth_hz) == (1024, 512)
  assert {(s.unit, s.scale) for s in record.sensors} == {('nominal', 1)}


def test_the_converted_file_gives_the_same_signal(tmp_path):
  """Time or position taken for a channel; the made-up time taken for the rate."""
  record = parse_bytes(tmp_path, csv(table()), parser.CONVERTED)
  published = parse_bytes(tmp_path, text(table()))
  np.testing.assert_array_equal(record.signal_tc, published.signal_tc)
  assert record.signal_tc.flags.c_contiguous
  assert (record.record_id, record.subject) == ('converted', 'not stated')
  assert record.labels[0].name == 'gesture 2' and record.rate_hz == 1024


def test_each_configuration_takes_its_own_files(tmp_path):
  """The converted copy in one set with the recording that it probably copies."""
  for config, ids in (('published', [f'subject 1/{i}' for i in range(5)]
                       + ['subject 8/0', 'subject 8/4']), ('converted', ['converted'])):
    folder = build_lib.build(f'toro_ossaba/{config}', str(tmp_path), str(make_dummy_data.FOLDER),
                             progress=False)
    source = read_records(folder)
    assert [r.record_id for r in source] == ids
    assert {r.labels[0].name[-1] == r.record_id[-1] for r in source} == {config == 'published'}


def with_value(value):
  rows = table()
  rows[50][2] = value
  return rows


BAD = {
    'empty': (b'', reasons.BAD_FORMAT, 'no row'),
    'blank': (b'\n \n', reasons.BAD_FORMAT, 'no row'),
    'not ASCII': (b'\xff\xfe' + text(table()).encode(), reasons.BAD_FORMAT, 'decode'),
    'spaces': (text(table()).replace('\t', ' '), reasons.BAD_FORMAT, 'row 0'),
    'decimal commas': (text(table()).replace('.', ','), reasons.BAD_FORMAT, 'row 0'),
    'header': ('a\tb\tc\td\n' + text(table()), reasons.BAD_FORMAT, "'a'"),
    'comment': ('# a\n' + text(table()), reasons.BAD_FORMAT, 'row 0'),
    'label column': (text([[*row, 4] for row in table()]), reasons.BAD_FORMAT, '5 columns'),
    'cut short': (text(table())[:-9].rpartition('\t')[0], reasons.BAD_FORMAT, '120'),
    'planar': (text(zip(*table())), reasons.BAD_FORMAT, '120 columns'),
    'few rows': (text(table(99)), reasons.TOO_SHORT, '99 rows'),
    'nan': (text(with_value(float('nan'))), reasons.BAD_VALUE, 'nan in row 50, column 2'),
    'overflow': (text(table()).replace('0.0503', '1e999'), reasons.BAD_VALUE, 'inf in row 50'),
    'dead channel': (text([[*row[:3], 0.5] for row in table()]), reasons.CONSTANT_CHANNEL,
                     'channel 4 is 0.5'),
}
BAD_CONVERTED = {
    'published layout': (text(table()), reasons.BAD_FORMAT, 'header'),
    'no header': (csv(table()).partition('\n')[2], reasons.BAD_FORMAT, 'header'),
    'header only': (csv([]), reasons.BAD_FORMAT, 'no row'),
    'a column less': (csv(row[:3] for row in table()), reasons.BAD_FORMAT, '5 columns'),
    'position 5': (csv(table(), 5), reasons.UNKNOWN_LABEL, 'position 5'),
    'position 0.5': (csv(table(), 0.5), reasons.UNKNOWN_LABEL, 'position 0.5'),
    'two gestures': (csv(table()).replace(',2\n', ',3\n', 7), reasons.BAD_VALUE, 'stack'),
    'two recordings': (csv(table()) + csv(table()).partition('\n')[2], reasons.BAD_VALUE, 'stack'),
    'dead channel': (csv([*row[:3], 0.5] for row in table()), reasons.CONSTANT_CHANNEL,
                     'channel 4'),
}


@pytest.mark.parametrize('name, data, reason, detail', [
    *((NAME, *row) for row in BAD.values()),
    *((parser.CONVERTED, *row) for row in BAD_CONVERTED.values())], ids=[*BAD, *BAD_CONVERTED])
def test_bad_files_are_rejected_with_a_reason(tmp_path, name, data, reason, detail):
  """An exception of the reader, or a record made of something else."""
  item = parse_bytes(tmp_path, data, name)
  assert isinstance(item, Reject) and (item.name, item.reason) == (name, reason)
  assert detail in item.detail and 'expected' in item.detail


def test_a_huge_file_is_not_read(tmp_path):
  """Gigabytes of memory for a file that no source published."""
  path = tmp_path / 'x.txt'
  with path.open('wb') as f:
    f.truncate(parser.MAX_BYTES + 1)  # sparse
  (item,) = parser.parse(Job(NAME, str(path), path.stat().st_size))
  assert item.reason == reasons.BAD_SIZE


@pytest.mark.parametrize('name', ['subject 9/0.txt', 'subject 1/5.txt', 'subject 1/notes.txt',
                                  'subject 10/0.txt'])
def test_other_names_are_unknown_files(tmp_path, name):
  """A ninth subject or a sixth gesture that the source does not have."""
  assert parse_bytes(tmp_path, text(table()), name).reason == reasons.UNKNOWN_FILE


@pytest.mark.real
def test_the_real_converted_file_has_the_documented_counts(tmp_path, real_archive):
  """A changed parser: pinned on the one file at hand; its channels also in the published layout."""
  archive = real_archive('toro_ossaba_partial.zip')
  folder = build_lib.build('toro_ossaba/converted', str(tmp_path), archive, progress=False)
  source = read_records(folder)
  (record,) = source
  assert record.signal_tc.shape == (19612, 4) and source.meta.reject_counts == {}
  assert record.labels[0].name == 'gesture 0'
  assert (record.signal_tc.min(), record.signal_tc.max()) == pytest.approx((-0.10828, 0.04774),
                                                                           abs=1e-5)
  published = parse_bytes(tmp_path, '\n'.join('\t'.join(map(repr, row)) for row
                                              in record.signal_tc.tolist()))
  np.testing.assert_array_equal(published.signal_tc, record.signal_tc)
