"""The parser of shoulder rotations against files and tables of ratings written by hand."""

from aemg_jax.records import validate
import numpy as np
import pytest

from data_builders import jobs
from data_builders.jobs import Reject
from data_builders.shoulder_mvic import make_dummy_data, parser

N_SAMPLES = 26000  # 26 s: beyond the last rating
FEW = 400  # where no rating is looked at: a long file takes long to write
RATINGS = ('7', {10: '9', 20: '13.5'}, '20', '25')
EXERCISE = '40-50_ external rotation/Subject 7'


def signal(n_samples=N_SAMPLES):
  return np.random.default_rng(5).normal(0, 0.1, (n_samples, 6)).round(5)


def write(tmp_path, name=EXERCISE, signal_tc=None, table={(7, 'task5_45e'): RATINGS}):
  """An exercise and its table; returns the folder with the files of the muscles."""
  folder = tmp_path / 'WSD4FEDSRM/EMG, IMU, and PPG data' / name / 'EMG data'
  make_dummy_data.write_exercise(folder, signal(FEW) if signal_tc is None else signal_tc)
  make_dummy_data.write_table(tmp_path / 'WSD4FEDSRM', table)
  return folder


def parse_folder(tmp_path):
  (job,) = parser.find_jobs([str(tmp_path)])
  (item,) = parser.parse(job)
  return item


def spans(record, name):
  return [(a.start, a.stop, a.value) for a in record.annotations if a.name == name]


def test_columns_are_the_muscles(tmp_path):
  """Muscles in the order that the folder lists them, or volts taken for millivolts."""
  write(tmp_path)
  record = validate(parse_folder(tmp_path))
  np.testing.assert_array_equal(record.signal_tc, signal(FEW))
  assert [s.name for s in record.sensors] == [
      'anterior deltoid', 'infraspinatus', 'latissimus dorsi', 'pectoralis major',
      'posterior deltoid', 'upper trapezius']
  assert {(s.unit, s.scale, s.ring) for s in record.sensors} == {('mV', 1.0, 0)}
  assert (record.record_id, record.subject) == ('subject07/external_rotation_45', 'subject_7')
  assert (record.rate_hz, record.repetition, record.session) == (1000.0, -1, '1')
  assert [(s.start, s.stop, s.name) for s in record.labels] == [(0, FEW, 'external rotation')]


def test_ratings_span_the_time_before_them(tmp_path):
  """Ratings at the wrong time, of another exercise, or called CR-10."""
  write(tmp_path, signal_tc=signal(), table={
      (7, 'task4_35e'): ('6', {10: '6'}, '20', '11'), (7, 'task5_45e'): RATINGS,
      (8, 'task5_45e'): ('6', {10: '8'}, '20', '12')})
  record = parse_folder(tmp_path)
  assert spans(record, 'borg_rpe') == [(0, 10000, 9), (10000, 20000, 13.5), (20000, 25000, 20)]
  assert spans(record, 'percent_mvc') == [(0, N_SAMPLES, 45)]
  assert {a.name for a in record.annotations} == {'borg_rpe', 'percent_mvc'}


@pytest.mark.parametrize('ratings, expected', [
    (('7', {10: '9', 20: '11'}, '20', '30'), [(0, 10000, 9), (10000, 20000, 11),
                                              (20000, 26000, 20)]),  # ends after the recording
    (('7', {10: '9', 40: '11'}, '20', '50'), [(0, 10000, 9)]),
    (('', {20: '11'}, '', ''), [(10000, 20000, 11)]),
    (('7', {}, '20', '20'), [(10000, 20000, 20)])])
def test_ratings_at_the_end_of_the_recording_and_missing_ones(tmp_path, ratings, expected):
  """A span beyond the signal, or a rating stretched over one that was not given."""
  write(tmp_path, signal_tc=signal(), table={(7, 'task5_45e'): ratings})
  assert spans(validate(parse_folder(tmp_path)), 'borg_rpe') == expected


@pytest.mark.parametrize('task, number, load, label', [
    ('30-40_ internal rotation', 'task1_35i', 35, 'internal rotation'),
    ('40\u201350% internal rotation', 'task2_45i', 45, 'internal rotation'),
    ('50-60% internal rotation', 'task3_55i', 55, 'internal rotation'),
    ('30-40% external rotation', 'task4_35e', 35, 'external rotation'),
    ('50\u201360_ external rotation', 'task6_55e', 55, 'external rotation')])
def test_each_task_has_its_row(tmp_path, task, number, load, label):
  """Ratings of internal rotation given to external, or a spelling that is not found."""
  write(tmp_path, f'{task}/Subject 7', signal(), table={
      (7, name): ('6', {10: str(7 + i)}, '20', '15')
      for i, name in enumerate(sorted(parser.TASKS.values()))})
  record = parse_folder(tmp_path)
  assert spans(record, 'borg_rpe')[0] == (0, 10000, 6 + int(number[4]))
  assert spans(record, 'percent_mvc') == [(0, N_SAMPLES, load)]
  assert record.labels[0].name == label


@pytest.mark.parametrize('which, repetition', [('first', 0), ('second', 1)])
def test_measurements_of_force_need_no_ratings(tmp_path, which, repetition):
  """A rejected measurement, or the two taken for one."""
  write(tmp_path, f'MVIC force internal rotation {which}/Subject 34', table={})
  record = validate(parse_folder(tmp_path))
  assert record.record_id == f'subject34/internal_rotation_100_{repetition + 1}'
  assert record.repetition == repetition and record.labels[0].name == 'internal rotation'
  assert spans(record, 'percent_mvc') == [(0, FEW, 100)]
  assert not spans(record, 'borg_rpe')


@pytest.mark.parametrize('change, reason, detail', [
    (None, jobs.MISSING_FILE, 'no infraspinatus.csv'),
    (lambda data: data[data.index(b'\n') + 1:], jobs.BAD_FORMAT, 'expected a line of header'),
    (lambda data: b'', jobs.TOO_SHORT, 'expected a line of header and samples'),
    (lambda data: b'mV\n', jobs.TOO_SHORT, 'samples'),
    (lambda data: b''.join(data.splitlines(True)[:300]), jobs.BAD_SIZE,
     'expected 400 as in the file of the first muscle'),
    (lambda data: b'mV\n' + b'1\n2\n' * 40, jobs.TOO_SHORT, '80 samples, expected at least 100'),
    (lambda data: data.replace(b'\r\n0', b'\r\nnan', 1), jobs.BAD_FORMAT, 'expected one number'),
    (lambda data: b'mV\n' + b'nan\n' * 200, jobs.BAD_VALUE, 'nan in sample 0'),
    (lambda data: b'mV\n1\n' + b'inf\n' * 200, jobs.BAD_VALUE, 'inf in sample 1'),
    (lambda data: b'mV\n' + b'2.5\n' * 200, jobs.CONSTANT_CHANNEL, '2.5 throughout'),
    (lambda data: b't,mV\n' + b'1,2\n' * 200, jobs.BAD_FORMAT, '200 rows of 2'),
    (lambda data: b'mV\n' + b'1\n\n2\n' * 200, jobs.BAD_FORMAT, '600 lines with 400 rows'),
    (lambda data: b'mV\n' + b'1;2\n' * 200, jobs.BAD_FORMAT, 'expected one number a line'),
    (lambda data: b'mV\n' + b'\xff\xfe\n' * 200, jobs.BAD_FORMAT, "can't decode"),
    (lambda data: b'mV\n' + b'1\n' * (17 << 20), jobs.BAD_SIZE, 'more than 33554432 bytes')])
def test_bad_files_of_a_muscle_are_rejected(tmp_path, change, reason, detail):
  """A shifted, doubled or missing channel that only looks right."""
  path = write(tmp_path) / 'infraspinatus.csv'
  if change is None:
    path.unlink()
  else:
    path.write_bytes(change(path.read_bytes()))
  item = parse_folder(tmp_path)
  assert isinstance(item, Reject) and item.reason == reason and detail in item.detail
  assert item.name == EXERCISE


@pytest.mark.parametrize('table, detail', [
    ({}, '0 rows of subject_7, task5_45e, expected one'),
    ({(7, 'task5_45e'): ('6', {10: '5'}, '20', '25')}, "'5' in column 10_sec, expected a number"),
    ({(7, 'task5_45e'): ('6', {10: 'nan'}, '20', '25')}, "'nan' in column 10_sec"),
    ({(7, 'task5_45e'): ('6', {10: 'hard'}, '20', '25')}, "'hard'"),
    ({(7, 'task5_45e'): ('6', {10: '8'}, '21', '25')}, "'21' in column end_of_trial"),
    ({(7, 'task5_45e'): ('6', {10: '8'}, '20', '-1')}, "'-1' in column length_of_trial")])
def test_bad_ratings_are_rejected(tmp_path, table, detail):
  """Exertion of 0, of somebody else, or none at all."""
  write(tmp_path, table=table)
  item = parse_folder(tmp_path)
  assert isinstance(item, Reject) and item.reason == jobs.MISSING_LABEL and detail in item.detail


@pytest.mark.parametrize('change, detail', [
    (None, 'no Borg data/borg_data.csv'),
    (lambda data: b'', 'columns []'),
    (lambda data: data.replace(b'task_order', b'task'), "expected ['end_of_trial'"),
    (lambda data: data.replace(b'20_sec', b'10_sec'), 'once each'),
    (lambda data: data.replace(b',25\r', b',25,1\r'), 'a row of 31 cells, expected 30'),
    (lambda data: data + data.splitlines()[1], '2 rows of subject_7'),
    (lambda data: b'\xff' + data, "can't decode"),
    (lambda data: data + b' ' * (1 << 20), 'more than 1048576 bytes')])
def test_bad_tables_are_rejected(tmp_path, change, detail):
  """A traceback, or ratings of a column of another name."""
  write(tmp_path)
  path = tmp_path / 'WSD4FEDSRM/Borg data/borg_data.csv'
  if change is None:
    path.unlink()
  else:
    path.write_bytes(change(path.read_bytes()))
  item = parse_folder(tmp_path)
  assert isinstance(item, Reject) and item.reason == jobs.MISSING_LABEL and detail in item.detail


@pytest.mark.parametrize('name', [
    '60-70_ internal rotation/Subject 1', '30-50_ internal rotation/Subject 1',
    'MVIC force internal rotation third/Subject 1', '30-40_ internal rotation/Subject 35',
    '30-40_ internal rotation/Subject 0', '30-40_ internal rotation/Subject 1 copy'])
def test_unknown_names_are_rejected(tmp_path, name):
  """An exercise of another study taken for one of these."""
  write(tmp_path, name)
  assert parse_folder(tmp_path).reason == jobs.UNKNOWN_FILE


def test_jobs_are_exercises_in_order(tmp_path):
  """A job for each muscle, subject 10 before subject 2, or the size of one muscle only."""
  for subject in (10, 2):
    folder = write(tmp_path, f'30-40_ internal rotation/Subject {subject}', signal()[:200])
  found = parser.find_jobs([str(tmp_path)])
  assert [parser.record_id(job.name) for job in found] == [
      'subject02/internal_rotation_35', 'subject10/internal_rotation_35']
  assert found[0].n_bytes == sum(p.stat().st_size for p in folder.iterdir())


def test_two_spellings_of_one_exercise_are_refused(tmp_path):
  """The same recording twice under two names."""
  for task in ('30-40_ internal rotation', '30-40% internal rotation'):
    write(tmp_path, f'{task}/Subject 1', signal()[:200])
  with pytest.raises(ValueError, match='internal_rotation_35 is there twice'):
    parser.find_jobs([str(tmp_path)])
