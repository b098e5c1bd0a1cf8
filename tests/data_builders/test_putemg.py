"""The putEMG parser against files written by hand. No real recordings are at hand."""

import os

from aemg_jax.sources import read_records
import numpy as np
import pytest

from data_builders import build as build_lib
from data_builders import hdf5
from data_builders.jobs import Job
from data_builders.putemg import make_dummy_data, parser

h5py = pytest.importorskip('h5py')
NAME = 'emg_gestures-07-repeats_short-2018-04-06-10-30-11-595.hdf5'
COLUMN = {name: i for i, name in enumerate(parser.ORDER)}
N = 400


def block(label=0, cue=0, n=N):
  """[n, 29]: EMG that tells its row and channel, and tracks."""
  values = np.zeros((n, len(parser.ORDER)))
  values[:, :24] = np.arange(n)[:, None] - 100 * np.arange(24)
  values[:, COLUMN['TRAJ_GT']], values[:, COLUMN['TRAJ_1']] = label, cue
  values[:, COLUMN['TRAJ_GT_NO_FILTER']] = 9
  values[:, COLUMN['subject']] = 7
  return values


def runs(*numbers):
  return np.repeat(numbers, N // len(numbers))


def parse(folder, values=None, name=NAME, order=parser.ORDER, change=None):
  make_dummy_data.write(folder / name, block() if values is None else values, order)
  if change:
    with h5py.File(folder / name, 'a') as file:
      change(file)
  (item,) = parser.parse(Job(name, str(folder / name), os.path.getsize(folder / name)))
  return item


def test_a_block_becomes_emg_labels_and_cues(tmp_path):
  """The unfiltered track taken for the label, the cue for it, or -1 for a class."""
  record = parse(tmp_path, block(runs(-1, 0, 1, 0, 6, 6, 1, -2), runs(0, 1, 1, 0, 6, -1, 1, 1)))
  assert [(s.start, s.stop, s.name) for s in record.labels] == [
      (50, 100, 'idle'), (100, 150, 'fist'), (150, 200, 'idle'), (200, 300, 'pinch index'),
      (300, 350, 'fist')]
  found = [(a.start, a.stop, a.name, a.value) for a in record.annotations]
  assert found == [
      (0, 50, 'cue', 0), (50, 150, 'cue', 1), (150, 200, 'cue', 0), (200, 250, 'cue', 4),
      (300, 400, 'cue', 1), (100, 150, 'repetition', 0), (200, 300, 'repetition', 0),
      (300, 350, 'repetition', 1)]
  assert parser.LABEL_NAMES[4] == 'pinch index'
  np.testing.assert_array_equal(record.signal_tc, block()[:, :24])
  assert (record.record_id, record.subject, record.session, record.repetition) == (
      '07/2018-04-06/10-30-11-595-repeats_short', '07', '2018-04-06', -1)


def test_three_bands_of_eight(tmp_path):
  """Channels of a band taken for columns along the arm."""
  sensors = parse(tmp_path).sensors
  assert [(s.name, s.ring, s.angle_deg) for s in (sensors[0], sensors[7], sensors[8], sensors[23])
          ] == [('EMG_1', 1, 0), ('EMG_8', 1, 315), ('EMG_9', 2, 0), ('EMG_24', 3, 315)]


def test_names_in_the_file_decide_where_a_column_is(tmp_path):
  """Columns by position, where the file says otherwise."""
  order = parser.ORDER[::-1]
  record = parse(tmp_path, block(runs(1, 2))[:, ::-1], order=order)
  np.testing.assert_array_equal(record.signal_tc, block()[:, :24])
  assert [label.name for label in record.labels] == ['fist', 'flexion']


def test_without_names_the_published_order_holds(tmp_path):
  """A set that nobody can read because names are pickled in another way."""
  record = parse(tmp_path, block(runs(3, 9)), order=None)
  np.testing.assert_array_equal(record.signal_tc, block()[:, :24])
  assert [label.name for label in record.labels] == ['extension', 'pinch small']


def test_rows_are_read_in_blocks(tmp_path, monkeypatch):
  """Rows lost between blocks; the whole table in memory at once."""
  monkeypatch.setattr(hdf5, 'BLOCK_BYTES', 7 * 243)
  record = parse(tmp_path, block(runs(1, 2)))
  np.testing.assert_array_equal(record.signal_tc, block()[:, :24])
  assert [label.stop for label in record.labels] == [200, 400]


def _with(value, where, name):
  values = block()
  values[where, COLUMN[name]] = value
  return values


def _retime(file):
  table = file['data/table'][:]
  table['index'] *= 2
  file['data/table'][:] = table


def _retype(field, kind):
  def change(file):
    table, attributes = file['data/table'][:], dict(file['data/table'].attrs)
    del file['data/table']
    kinds = [(name, kind if name == field else table.dtype[name]) for name in table.dtype.names]
    file['data/table'] = table.astype(kinds)
    file['data/table'].attrs.update(attributes)
  return change


def _one_apart(file):
  table = file['data/table']
  names = np.bytes_(table.attrs['values_block_3_kind'].replace(b"TRAJ_GT'", b"OTHER'"))
  table.attrs['values_block_3_kind'] = names
  table.attrs['values_block_0_kind'] = np.bytes_(b"(lp1\nS'TRAJ_GT'\np2\na.")


@pytest.mark.parametrize('options, reason, detail', [
    ({'values': block(n=99)}, 'too short', '99 samples'),
    ({'values': block(n=0)}, 'too short', '0 samples'),
    ({'values': _with(np.nan, 5, 'EMG_3')}, 'bad value', 'emg holds NaN'),
    ({'values': _with(4, slice(None), 'EMG_3')}, 'constant channel', 'EMG_3 is 4.0'),
    ({'values': _with(8, 5, 'subject')}, 'bad value', 'the name says 7'),
    ({'values': _with(4, 5, 'TRAJ_GT')}, 'unknown label', 'TRAJ_GT is 4, expected one of [0, 1,'),
    ({'values': _with(10, 5, 'TRAJ_1')}, 'unknown label', 'TRAJ_1 is 10'),
    ({'values': _with(0.5, 5, 'TRAJ_GT')}, 'bad value', 'TRAJ_GT holds other than whole'),
    ({'values': _with(np.nan, 5, 'TRAJ_GT')}, 'bad value', 'TRAJ_GT holds other than whole'),
    ({'values': _with(-1, slice(None), 'TRAJ_GT')}, 'missing label', 'below 0 throughout'),
    ({'values': _with(1e300, 5, 'TRAJ_GT')}, 'unknown label', 'TRAJ_GT is 1e+300'),
    ({'values': block()[:, :28], 'order': None}, 'bad format', 'no column EMG_1'),
    ({'values': block()[:, 1:], 'order': parser.ORDER[1:]}, 'bad format', 'no column EMG_1'),
    ({'change': _retime}, 'bad value', 'step of 0.000390625 s'),
    ({'change': _retype('index', '<i8')}, 'bad format', 'index of int64'),
    ({'change': _retype('values_block_3', ('<f4', (29,)))}, 'bad format', "('<f4', (29,))"),
    ({'change': _one_apart}, 'bad format', 'columns in several places'),
    ({'change': lambda f: f.create_group('more')}, 'bad format', "['data', 'more'] in the file"),
    ({'change': lambda f: f['data'].pop('table')}, 'bad format', 'expected a data frame'),
    ({'name': NAME.replace('07', '7')}, 'unknown file', 'expected emg_gestures-ID-'),
    ({'name': NAME.replace('short', 'wide')}, 'unknown file', 'expected emg_gestures-ID-'),
])
def test_bad_files_are_named(tmp_path, options, reason, detail):
  """A damaged or foreign file that becomes a recording, or a traceback."""
  reject = parse(tmp_path, **options)
  assert (reject.reason, detail in reject.detail) == (reason, True), reject


def test_labels_that_flicker_are_refused(tmp_path, monkeypatch):
  """Millions of spans for a track that holds noise; more samples than an example can hold."""
  monkeypatch.setattr(parser, 'MAX_CHANGES', 3)
  assert len(parse(tmp_path, block(runs(0, 1, 0, 1))).labels) == 4
  reject = parse(tmp_path, block(runs(0, 1, 0, 1, 0)))
  assert (reject.reason, 'changes 4 times' in reject.detail) == ('bad value', True)
  monkeypatch.setattr(parser, 'MAX_SAMPLES', N - 1)
  assert parse(tmp_path).reason == 'bad size'


def test_the_dummy_set_has_every_label(tmp_path):
  """A gesture lost on the way, or days out of order."""
  folder = build_lib.build('putemg', str(tmp_path), str(make_dummy_data.FOLDER), progress=False)
  source = read_records(folder)
  assert [(r.subject, r.session) for r in source] == [
      ('03', '2000-01-01'), ('03', '2000-01-08'), ('54', '2000-01-02')]
  assert set(source.meta.counts['labels']) == set(parser.LABEL_NAMES)
