"""The emg2pose parser against files written by hand. No real recordings are at hand."""

import os

from aemg_jax.sources import read_records
import numpy as np
import pytest

from data_builders import build as build_lib
from data_builders.emg2pose import make_dummy_data, parser
from data_builders.jobs import Job

h5py = pytest.importorskip('h5py')
NAME = 's1-recording-7_left.hdf5'
HEADER = ','.join(make_dummy_data.COLUMNS) + '\n'
ROW = 's1,u1,{stage},5.0,6.0,left,s1-recording-7_left,{moving},False,False,train,none\n'


def table(n=200, rate_hz=2000.0):
  rows = np.zeros(n, make_dummy_data.DTYPE)
  rows['time'] = 1.67e9 + np.arange(n) / rate_hz
  rows['joint_angles'] = 99
  rows['emg'] = np.arange(16 * n).reshape(n, 16)
  return rows


def write_metadata(folder, stage='ShakaVulcanPeace', moving='both'):
  (folder / 'metadata.csv').write_text(HEADER + ROW.format(stage=stage, moving=moving))


def write_file(folder, rows, name=NAME):
  make_dummy_data.write(folder / name, rows, session='wrong', user='wrong', stage='wrong',
                        side='right')


def parse(folder, name=NAME):
  (item,) = parser.parse(Job(name, str(folder / name), os.path.getsize(folder / name)))
  return item


def test_a_file_and_its_row_become_a_record(tmp_path):
  """Joint angles taken for EMG, or the user and stage from anywhere but the table."""
  write_file(tmp_path, table())
  write_metadata(tmp_path)
  record = parse(tmp_path)
  np.testing.assert_array_equal(record.signal_tc, table()['emg'])
  assert record.signal_tc.dtype == np.float32
  assert record.record_id == 's1-recording-007_left'
  assert (record.subject, record.session, record.repetition) == ('u1', 's1/left', 0)
  assert [(s.start, s.stop, s.name) for s in record.labels] == [(0, 200, 'ShakaVulcanPeace')]
  assert (record.rate_hz, record.bandwidth_hz) == (2000.0, 850.0)
  assert [s.angle_deg for s in record.sensors] == [22.5 * i for i in range(16)]


@pytest.mark.parametrize('moving, n_labels', [('left', 1), ('both', 1), ('right', 0)])
def test_a_hand_that_rests_has_no_stage(tmp_path, moving, n_labels):
  """A resting hand that teaches a model what the other one did."""
  write_file(tmp_path, table())
  write_metadata(tmp_path, moving=moving)
  assert len(parse(tmp_path).labels) == n_labels


def test_takes_of_a_stage_are_counted_by_start(tmp_path):
  """Repetitions numbered by name ('10' before '7'), across sides, or across users."""
  line = '{},{},A,{},9,{},{},both,False,False,train,none\n'
  takes = [('s1', 'u1', 30.0, 'left', 'f10'), ('s1', 'u1', 20.5, 'left', 'f7'),
           ('s1', 'u1', 4.0, 'right', 'f1'), ('s2', 'u2', 5.0, 'left', 'f2')]
  (tmp_path / 'metadata.csv').write_text(HEADER + ''.join(line.format(*take) for take in takes))
  rows = parser.read_table(str(tmp_path / 'metadata.csv'))
  assert {name: row.repetition for name, row in rows.items()} == {'f10': 1, 'f7': 0, 'f1': 0,
                                                                  'f2': 0}


def test_the_table_may_lie_one_folder_up(tmp_path):
  """The layout of the full archive refused: files in a folder of their own."""
  (tmp_path / 'emg2pose_data').mkdir()
  write_file(tmp_path / 'emg2pose_data', table())
  write_metadata(tmp_path)
  (tmp_path / 'metadata.csv').rename(tmp_path / 'emg2pose_metadata.csv')
  (tmp_path / 'emg2pose_data' / f'._{NAME}').write_bytes(b'of a Mac: to be ignored')
  (job,) = parser.find_jobs([str(tmp_path)])
  assert parser.parse(job)[0].subject == 'u1'


def test_a_changed_table_is_read_again(tmp_path):
  """The table of a build before, kept in memory."""
  write_file(tmp_path, table())
  write_metadata(tmp_path, stage='unconstrained')
  assert parse(tmp_path).labels[0].name == 'unconstrained'
  write_metadata(tmp_path, stage='PlayBlocksChess')
  os.utime(tmp_path / 'metadata.csv', ns=(1, 1))
  assert parse(tmp_path).labels[0].name == 'PlayBlocksChess'


def _changed(**fields):
  def rows():
    changed = table()
    for field, (where, value) in fields.items():
      changed[field][where] = value
    return changed
  return rows


def _retyped(kind):
  return lambda: table().astype([('time', '<f8'), ('joint_angles', '<f4', (20,)), ('emg', *kind)])


@pytest.mark.parametrize('rows, reason, detail', [
    (lambda: table(99), 'too short', '99 samples'),
    (lambda: table(0), 'too short', '0 samples'),
    (_changed(emg=((3, 4), np.nan)), 'bad value', 'NaN'),
    (_changed(emg=((slice(None), 4), 7)), 'constant channel', 'channel 4 is 7.0'),
    (_changed(time=(50, 1)), 'bad value', 'backwards'),
    (_changed(time=(50, np.nan)), 'bad value', 'time holds NaN'),
    (lambda: table(rate_hz=1926.0), 'bad value', 'step of 0.000519'),
    (_retyped(('<f4', (8,))), 'bad format', 'expected rows with emg (16 of float32)'),
    (_retyped(('<f8', (16,))), 'bad format', 'expected rows with emg (16 of float32)'),
    (lambda: table()[['time', 'joint_angles']], 'bad format', 'expected rows with emg'),
    (lambda: table()[['emg', 'joint_angles']], 'bad format', 'expected rows with emg'),
    (lambda: table()['emg'], 'bad format', 'timeseries (200, 16) of float32'),
    (lambda: table().reshape(100, 2), 'bad format', 'timeseries (100, 2)'),
])
def test_bad_tables_are_named(tmp_path, rows, reason, detail):
  """A damaged or foreign recording that trains a model, or a traceback."""
  write_file(tmp_path, rows())
  write_metadata(tmp_path)
  reject = parse(tmp_path)
  assert (reject.reason, detail in reject.detail) == (reason, True), reject


@pytest.mark.parametrize('text, reason, detail', [
    (HEADER, 'missing label', 'not in metadata.csv'),
    ('', 'missing label', 'not in metadata.csv'),
    (HEADER + 's1,u1\n', 'bad format', 'row 2'),
    (HEADER.replace('stage', 'part') + ROW, 'bad format', "'stage': None"),
    (HEADER + ROW.format(stage='', moving='both'), 'bad format', "'stage': ''"),
    (HEADER + ROW.replace('left,s1', 'up,s1'), 'bad format', "'side': 'up'"),
    (HEADER + ROW.replace('5.0', 'noon'), 'bad format', "start of 'noon'"),
    (HEADER + 2 * ROW, 'bad format', 'each file once'),
    (HEADER + 's1,"' + 'u' * 200_000, 'bad format', 'field larger'),
    ('\x80', 'bad format', 'utf-8'),
    (HEADER + ROW.format(stage='Knitting', moving='both'), 'unknown label', "stage 'Knitting'"),
])
def test_bad_metadata_is_named(tmp_path, text, reason, detail):
  """A recording given to nobody, or to somebody else."""
  write_file(tmp_path, table())
  (tmp_path / 'metadata.csv').write_bytes(text.encode('latin-1'))
  reject = parse(tmp_path)
  assert (reject.reason, detail in reject.detail) == (reason, True), reject


def test_a_set_that_cannot_be_told_apart_stops_the_build(tmp_path):
  """Two recordings of one record id, or recordings of nobody knows whom."""
  write_file(tmp_path, table())
  with pytest.raises(ValueError, match='no metadata.csv or emg2pose_metadata.csv'):
    parser.find_jobs([str(tmp_path)])
  write_metadata(tmp_path)
  assert len(parser.find_jobs([str(tmp_path)])) == 1
  write_file(tmp_path, table(), 's1-recording-07_left.hdf5')
  with pytest.raises(ValueError, match='s1-recording-007_left is there twice'):
    parser.find_jobs([str(tmp_path)])


@pytest.mark.parametrize('seed', range(40))
def test_flipped_bits_neither_hang_nor_escape(tmp_path, seed):
  """An exception of HDF5 that nobody catches, or a loop."""
  write_file(tmp_path, table())
  write_metadata(tmp_path)
  data, rng = bytearray((tmp_path / NAME).read_bytes()), np.random.default_rng(seed)
  for i in rng.integers(len(data) if seed % 2 else 4096, size=10):
    data[i] ^= 1 << rng.integers(8)
  (tmp_path / NAME).write_bytes(data[:len(data) - 1000 * (seed % 3)])
  parse(tmp_path)


def test_the_dummy_set_has_both_ways_to_be_labelled(tmp_path):
  """Order of records by text ('10' before '2'), or a lost take."""
  folder = build_lib.build('emg2pose', str(tmp_path), str(make_dummy_data.FOLDER), progress=False)
  records = list(read_records(folder))
  takes = [(r.subject, r.record_id[-8:], r.repetition, len(r.labels)) for r in records]
  assert takes == [
      ('aaaa', '001_left', 0, 1), ('aaaa', '002_left', 0, 1), ('aaaa', '010_left', 1, 1),
      ('bbbb', '001_left', 0, 0), ('bbbb', '01_right', 0, 1)]
