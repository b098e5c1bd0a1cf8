"""The parser of the generic neuromotor interface against files written by hand.

No real recordings are at hand.
"""

import os
import pathlib
import pickle

import numpy as np
import pytest

from data_builders.generic_neuromotor import make_dummy_data, parser
from data_builders.jobs import Job

h5py = pytest.importorskip('h5py')
N = 1000


def at(*samples):
  """Times of samples."""
  return make_dummy_data.START_S + np.array(samples) / parser.RATE_HZ


def write(folder, task, prompts=None, layout=make_dummy_data.write_blocks, n=N, change=None,
          user='007', fields=None):
  """A file of `n` rows; `fields` names the task whose columns it has."""
  path = folder / f'{task}_user_{user}_dataset_002.hdf5'
  rows = make_dummy_data.table(np.random.default_rng(0), fields or task, n)
  if change:
    rows = change(rows)
  with h5py.File(path, 'w') as file:
    file['data'] = rows
    if prompts is not None:
      layout(file, 'prompts', prompts)
  return path


def parse(path, task):
  (item,) = parser.parse(task, Job(path.name, str(path), os.path.getsize(path)))
  return item


def spans(record):
  return [(label.start, label.stop, label.name) for label in record.labels]


def gestures(*names, samples=(100, 300, 500)):
  return {'name': np.array(names, 'S'), 'time': at(*samples)}


@pytest.mark.parametrize('layout', [make_dummy_data.write_blocks, make_dummy_data.write_columns])
def test_a_gesture_is_one_sample_where_it_occurred(tmp_path, layout):
  """A gesture that lasts until the next, one a sample early, or prompts taken in order of rows."""
  prompts = gestures('thumb_up', 'index_press', 'thumb_up', samples=(500, 99.5, 300))
  record = parse(write(tmp_path, 'discrete_gestures', prompts, layout), 'discrete_gestures')
  assert spans(record) == [(100, 101, 'index_press'), (300, 301, 'thumb_up'),
                           (500, 501, 'thumb_up')]
  assert [(a.start, a.stop, a.name, a.value) for a in record.annotations] == [
      (100, 101, 'repetition', 0), (300, 301, 'repetition', 0), (500, 501, 'repetition', 1)]
  assert (record.record_id, record.repetition) == ('discrete_gestures/user_007/dataset_002', -1)
  assert (record.subject, record.session) == ('discrete_gestures/user_007', 'dataset_002')
  np.testing.assert_array_equal(
      record.signal_tc, make_dummy_data.table(np.random.default_rng(0), 'wrist', N)['emg'])


def test_other_prompts_and_times_outside_are_left_out(tmp_path):
  """A first or last sample that collects all the prompts before or after the recording."""
  names = ('thumb_up', 'index_press', 'index_press', 'rest', 'thumb_in', 'thumb_in')
  prompts = gestures(*names, samples=(-3, 0, N - 1, 400, N, N + 5))
  record = parse(write(tmp_path, 'discrete_gestures', prompts), 'discrete_gestures')
  assert spans(record) == [(0, 1, 'index_press'), (N - 1, N, 'index_press')]


def test_lost_samples_shift_no_label(tmp_path):
  """Labels placed by the clock: off by every gap before them."""
  gap = lambda rows: np.delete(rows, np.arange(200, 400))
  prompts = gestures('thumb_up', 'thumb_in', samples=(100, 500))
  record = parse(write(tmp_path, 'discrete_gestures', prompts, change=gap), 'discrete_gestures')
  assert spans(record) == [(100, 101, 'thumb_up'), (300, 301, 'thumb_in')]


@pytest.mark.parametrize('layout, text', [
    (make_dummy_data.write_fixed, None),
    (make_dummy_data.write_blocks, np.array([b'one', b'two', b'three']))])
def test_handwriting_lasts_from_start_to_end(tmp_path, layout, text):
  """Start and end swapped, spans that overlap, or a text that is needed to find them."""
  prompts = {'start': at(800, 100, 350), 'end': at(N + 50, 400, 700), 'prompt': text}
  record = parse(write(tmp_path, 'handwriting', prompts, layout), 'handwriting')
  assert spans(record) == [(100, 350, 'handwriting'), (350, 700, 'handwriting'),
                           (800, N, 'handwriting')]
  assert [a.value for a in record.annotations] == [0, 1, 2]


def test_wrist_has_no_labels(tmp_path):
  """Angles taken for EMG."""
  record = parse(write(tmp_path, 'wrist'), 'wrist')
  assert (record.labels, record.annotations, record.n_channels) == ((), (), 16)


class Trap:
  """Pickled, it writes a file when it is unpickled."""

  def __init__(self, path: pathlib.Path):
    self.path = path

  def __reduce__(self):
    return pathlib.Path.touch, (self.path,)


def test_nothing_is_unpickled(tmp_path, monkeypatch):
  """A file from the net that runs what it likes."""
  monkeypatch.setattr(make_dummy_data, 'PICKLED', pickle.dumps(Trap(tmp_path / 'sprung')))
  pickle.loads(make_dummy_data.PICKLED)
  assert (tmp_path / 'sprung').exists()  # the trap works
  (tmp_path / 'sprung').unlink()
  prompts = {'start': at(1), 'end': at(9), 'time': at(3), 'name': None}
  path = write(tmp_path, 'discrete_gestures', prompts, make_dummy_data.write_fixed)
  reject = parse(path, 'discrete_gestures')
  assert reject.reason == 'bad format' and 'pickled object, which is never read' in reject.detail
  path = write(tmp_path, 'handwriting', prompts, make_dummy_data.write_fixed)
  assert spans(parse(path, 'handwriting')) == [(1, 9, 'handwriting')]
  assert not (tmp_path / 'sprung').exists()


def _set(field, where, value):
  def change(rows):
    rows[field][where] = value
    return rows
  return change


GOOD = gestures('thumb_up', 'thumb_in', 'index_press')


@pytest.mark.parametrize('options, reason, detail', [
    ({'n': 99}, 'too short', '99 samples'),
    ({'n': 0}, 'too short', '0 samples'),
    ({'change': _set('emg', (3, 4), np.nan)}, 'bad value', 'emg holds NaN'),
    ({'change': _set('emg', (slice(None), 4), 7)}, 'constant channel', 'channel 4 is 7.0'),
    ({'change': _set('time', 50, 1)}, 'bad value', 'backwards'),
    ({'change': lambda rows: rows[::2]}, 'bad value', 'step of 0.00'),
    ({'change': lambda rows: rows['emg']}, 'bad format', 'data (1000, 16) of float32'),
    ({'change': lambda rows: rows[['emg']]}, 'bad format', 'expected rows with emg'),
    ({'change': lambda rows: rows.reshape(10, 100)}, 'bad format', 'data (10, 100)'),
    ({'fields': 'wrist'}, 'bad format', 'this is one of discrete_gestures'),
    ({'user': '7'}, 'unknown file', 'numbers of 3 digits'),
    ({'prompts': None}, 'bad format', 'prompts holds []'),
    ({'prompts': {'name': np.array([b'thumb_up'])}}, 'bad format', "has ['index', 'name']"),
    ({'prompts': {'time': np.array([b'x']), 'name': np.array([b'thumb_up'])}}, 'bad format',
     'time of prompts is of |S1, expected floats'),
    ({'prompts': {'time': at(1), 'name': np.array([5.0])}}, 'bad format', 'expected texts'),
    ({'prompts': gestures('thumb_up', samples=(np.nan,))}, 'bad value', 'time of prompts holds'),
    ({'prompts': gestures('thumb_up', samples=(N + 1,))}, 'missing label', 'none of 1 prompts'),
    ({'prompts': gestures('rest', 'wave', samples=(1, 2))}, 'missing label', 'none of 2 prompts'),
    ({'prompts': gestures('thumb_up', 'thumb_in', samples=(9, 9))}, 'bad value',
     'thumb_in and thumb_up are both at sample 9'),
    ({'prompts': gestures(*['thumb_up'] * 100_001, samples=np.zeros(100_001))}, 'bad value',
     '100001 prompts'),
])
def test_bad_files_are_named(tmp_path, options, reason, detail):
  """A damaged or foreign file that becomes a recording, or a traceback."""
  path = write(tmp_path, 'discrete_gestures', **{'prompts': GOOD} | options)
  reject = parse(path, 'discrete_gestures')
  assert (reject.reason, detail in reject.detail) == (reason, True), reject


@pytest.mark.parametrize('start, end, reason, detail', [
    (at(5, 9), at(7, 8), 'bad value', 'prompt 1 ends before it starts'),
    (at(N + 5), at(N + 7), 'missing label', 'none of 1 prompts'),
    (at(5), at(5), 'missing label', 'none of 1 prompts'),
])
def test_bad_writing_is_named(tmp_path, start, end, reason, detail):
  """Start and end swapped, or a recording without labels that is taken for rest."""
  prompts = {'start': start, 'end': end}
  reject = parse(write(tmp_path, 'handwriting', prompts), 'handwriting')
  assert (reject.reason, detail in reject.detail) == (reason, True), reject


def test_columns_of_other_lengths_are_named(tmp_path):
  """Starts paired with the ends of other prompts."""
  def layout(file, group, prompts):
    for i, (name, values) in enumerate(prompts.items()):
      file[f'{group}/block{i}_items'] = np.array([name], 'S')
      file[f'{group}/block{i}_values'] = values[:, None]
  path = write(tmp_path, 'handwriting', {'start': at(1, 5), 'end': at(4, 9, 20)}, layout)
  reject = parse(path, 'handwriting')
  assert reject.reason == 'bad format' and 'differ in length' in reject.detail


def test_wrist_without_angles_is_another_task(tmp_path):
  """A file of another task under this one's name, or parsed as this one."""
  reject = parse(write(tmp_path, 'wrist', fields='handwriting'), 'wrist')
  assert reject.reason == 'bad format' and 'expected wrist_angles' in reject.detail
  path = write(tmp_path, 'discrete_gestures', {'start': at(1), 'end': at(9)})
  assert parse(path, 'handwriting').reason == 'unknown file'


def test_each_task_takes_its_own_files(tmp_path):
  """Records of another task, or a set of none."""
  for task in ('wrist', 'handwriting'):
    write(tmp_path, task)
  write(tmp_path, 'wrist', user='001')
  assert [parser.record_id(job.name) for job in parser.find_jobs('wrist', [str(tmp_path)])] == [
      'wrist/user_001/dataset_002', 'wrist/user_007/dataset_002']
  with pytest.raises(ValueError, match='holds no discrete_gestures_user'):
    parser.find_jobs('discrete_gestures', [str(tmp_path)])
