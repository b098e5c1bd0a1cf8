"""The CSL-HDEMG parser against cell arrays written by hand and by scipy, and damaged files."""

from aemg_jax.records import validate
import numpy as np
import pytest
import scipy.io

from data_builders import jobs
from data_builders.csl_hdemg import make_dummy_data, parser
from data_builders.jobs import Job, Reject

N_SAMPLES = 120


def trial(seed=0, n_samples=N_SAMPLES):
  """[192, n_samples]; no two rows or samples are alike."""
  return np.random.default_rng(seed).normal(size=(192, n_samples))


def parse_trials(tmp_path, *trials, name='subject2/session4/gest7.mat'):
  path = tmp_path / 'x.mat'
  make_dummy_data.write(path, trials)
  return parser.parse(Job(name, str(path), path.stat().st_size))


def test_rows_become_a_grid_without_every_eighth(tmp_path):
  """The first row of each column dropped in place of the last, or rows taken for columns."""
  (record,) = parse_trials(tmp_path, trial())
  validate(record)
  kept = [row for row in range(192) if row not in range(7, 192, 8)]
  assert record.signal_tc.shape == (N_SAMPLES, 168) and record.signal_tc.dtype == np.float64
  np.testing.assert_array_equal(record.signal_tc, trial()[kept].T)
  place = {s.name: (s.row, s.column) for s in record.sensors}
  assert len(place) == len(set(place.values())) == 168
  assert [place[f'channel {i}'] for i in (1, 7, 9, 191)] == [(0, 0), (6, 0), (0, 1), (6, 23)]
  assert not {f'channel {i}' for i in range(8, 193, 8)} & set(place)
  assert {(s.ring, s.unit, s.scale) for s in record.sensors} == {(0, 'nominal', 1.0)}


def test_each_repetition_is_a_record(tmp_path):
  """Repetitions joined, numbered from 1, or in another order than that of the cells."""
  trials = [trial(i, N_SAMPLES + i) for i in range(11)]
  records = parse_trials(tmp_path, *trials)
  assert [r.repetition for r in records] == list(range(11))
  assert [r.n_samples for r in records] == list(range(120, 131))
  assert records[10].record_id == 'subject2/session4/gest07/repetition10'
  assert [r.record_id for r in records] == sorted(r.record_id for r in records)
  assert {(r.subject, r.session) for r in records} == {('subject2', 'session4')}
  assert [(s.start, s.stop, s.name) for s in records[1].labels] == [(0, 121, 'gesture 7')]
  np.testing.assert_array_equal(records[3].signal_tc[:, 0], trials[3][0])


@pytest.mark.parametrize('number, label', [(0, 'idle'), (1, 'gesture 1'), (26, 'gesture 26')])
def test_the_file_gives_the_label(tmp_path, number, label):
  """Idle taken for a gesture, or all gestures off by one."""
  (record,) = parse_trials(tmp_path, trial(), name=f'subject1/session1/gest{number}.mat')
  assert record.labels[0].name == label == parser.LABEL_NAMES[number]


@pytest.mark.parametrize('do_compression', [False, True])
def test_files_that_scipy_writes(tmp_path, do_compression):
  """A dummy writer and a reader that share a mistake; singles refused."""
  cells = np.empty((2, 1), object)
  cells[:, 0] = trial(1), trial(2).astype(np.float32)
  path = tmp_path / 'x.mat'
  scipy.io.savemat(path, {'gestures': cells, 'note': 'x'}, do_compression=do_compression)
  records = parser.parse(Job('subject1/session1/gest1.mat', str(path), 1))
  np.testing.assert_array_equal(records[0].signal_tc[:, 6], trial(1)[6])
  np.testing.assert_array_equal(records[1].signal_tc[:, 7], trial(2)[8].astype(np.float32))
  assert records[1].signal_tc.dtype == np.float64


def with_value(row, value):
  rows = trial()
  rows[row] = value
  return rows


def with_nan(row):
  rows = trial()
  rows[row, 5] = np.nan
  return rows


@pytest.mark.heavy
@pytest.mark.parametrize('rows, reason, detail', [
    (trial()[:191], jobs.BAD_FORMAT, '(191, 120) of float64, expected 192 rows'),
    (trial().T, jobs.BAD_FORMAT, '(120, 192)'),
    (trial(n_samples=99), jobs.TOO_SHORT, '99 samples, expected 100'),
    (trial(n_samples=0), jobs.TOO_SHORT, '0 samples'),
    (trial(n_samples=20481), jobs.BAD_SIZE, '20481 samples'),
    (with_nan(9), jobs.BAD_VALUE, 'nan at sample 5, channel 10,'),
    (with_value(190, np.inf), jobs.BAD_VALUE, 'inf at sample 0, channel 191'),
    (with_value(8, 0.5), jobs.CONSTANT_CHANNEL, 'channel 9 is 0.5 throughout (1 such)')])
def test_a_bad_repetition_is_rejected_alone(tmp_path, rows, reason, detail):
  """NaN in training, a transposed file, or good repetitions lost with a bad one."""
  good, item, last = parse_trials(tmp_path, trial(1), rows, trial(2))
  assert isinstance(item, Reject) and item.reason == reason and detail in item.detail
  assert item.name == 'subject2/session4/gest7.mat, repetition 2'
  assert validate(good).repetition == 0 and validate(last).repetition == 2


def test_rows_that_are_no_signal_may_hold_anything(tmp_path):
  """A repetition thrown away for rows that nobody reads."""
  for rows in (with_nan(7), with_value(191, 0.0)):
    (record,) = parse_trials(tmp_path, rows)
    validate(record)


def write_file(path, **variables):
  scipy.io.savemat(path, variables, do_compression=True)


@pytest.mark.parametrize('change, reason, detail', [
    (lambda data: b'', jobs.BAD_FORMAT, 'expected a MATLAB v5 header'),
    (lambda data: data[:-9], jobs.BAD_FORMAT, 'cut short'),
    (lambda data: data[:300] + bytes([data[300] ^ 4]) + data[301:], jobs.BAD_FORMAT, ''),
    (lambda data: data[:124] + b'\0\2' + data[126:], jobs.BAD_FORMAT, 'v7.3'),
    (lambda data: '\udcff'.encode(errors='surrogateescape') * 999, jobs.BAD_FORMAT, 'header')])
def test_damaged_files_are_rejected(tmp_path, change, reason, detail):
  """A traceback, or numbers of which nothing vouches for."""
  path = tmp_path / 'x.mat'
  make_dummy_data.write(path, [trial()])
  path.write_bytes(change(path.read_bytes()))
  (item,) = parser.parse(Job('subject1/session1/gest1.mat', str(path), 1))
  assert isinstance(item, Reject) and item.reason == reason and detail in item.detail


@pytest.mark.parametrize('variables, reason, detail', [
    ({'other': 1}, jobs.BAD_FORMAT, 'no variable gestures'),
    ({'gestures': np.zeros((192, 200))}, jobs.BAD_FORMAT, 'expected cells'),
    ({'gestures': np.empty((0, 0), object)}, jobs.BAD_SIZE, '0 repetitions, expected 1'),
    ({'gestures': np.array([['x'] * 3], object)}, jobs.BAD_FORMAT, 'cell 1'),
    ({'gestures': np.array([[np.eye(2)] * 101], object)[:, :, 0, 0]}, jobs.BAD_SIZE, '101')])
def test_other_contents_are_rejected(tmp_path, variables, reason, detail):
  """A matrix in place of cells taken for one repetition, or a file without any."""
  path = tmp_path / 'x.mat'
  write_file(path, **variables)
  (item,) = parser.parse(Job('subject1/session1/gest1.mat', str(path), 1))
  assert isinstance(item, Reject) and item.reason == reason and detail in item.detail


def test_integers_are_rejected(tmp_path):
  """A file of another export, in other units."""
  path = tmp_path / 'x.mat'
  cells = np.empty((1, 1), object)
  cells[0, 0] = np.ones((192, 200), np.int16)
  write_file(path, gestures=cells)
  (item,) = parser.parse(Job('subject1/session1/gest1.mat', str(path), 1))
  assert 'int16, expected 192 rows of floating-point' in item.detail


@pytest.mark.parametrize('name', [
    'subject6/session1/gest1.mat', 'subject0/session1/gest1.mat', 'subject1/session6/gest1.mat',
    'subject1/session1/gest27.mat', 'subject1/session1/gest01.mat', 'subject1/session1/gest.mat'])
def test_unknown_names_are_rejected(tmp_path, name):
  """A file of another corpus taken for one of these."""
  (item,) = parse_trials(tmp_path, trial(), name=name)
  assert item.reason == jobs.UNKNOWN_FILE


def test_files_are_in_order_of_number(tmp_path):
  """Gesture 10 before gesture 2: jobs whose record ids do not ascend."""
  for number in (10, 2, 0):
    make_dummy_data.write(tmp_path / f'data/subject1/session1/gest{number}.mat', [trial()])
  names = [job.name for job in parser.find_jobs([str(tmp_path)])]
  assert names == [f'subject1/session1/gest{number}.mat' for number in (0, 2, 10)]
