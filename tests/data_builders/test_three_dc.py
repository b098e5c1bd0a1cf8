"""The 3DC parser against text written by hand, and two participants."""

import json

from aemg_jax.sources import read_records
import numpy as np
import pytest

from data_builders import build as build_lib
from data_builders import jobs
from data_builders.jobs import Job, Reject
from data_builders.three_dc import make_dummy_data, parser

NAME = 'Participant7/test/EMG/3dc_EMG_gesture_3_10.txt'
ROW = b'1,-2,3,-4,5,-6,7,-8,9,-10'


def table(n_samples=600):
  """Bytes of a good file: no two samples or channels are alike."""
  return b'\n'.join(b','.join(b'%d' % (100 * c - t) for c in range(10)) for t in range(n_samples))


def parse_text(tmp_path, data, name=NAME):
  path = tmp_path / 'x.txt'
  path.write_bytes(data)
  (item,) = parser.parse(Job(name, str(path), len(data)))
  return item


def test_text_becomes_samples_by_channels(tmp_path):
  """Transposed reading, floats, the last line lost for want of a newline; class for cycle."""
  record = parse_text(tmp_path, table())
  assert record.signal_tc.shape == (600, 10) and record.signal_tc.dtype == np.int16
  np.testing.assert_array_equal(record.signal_tc[0], np.arange(10) * 100)
  np.testing.assert_array_equal(record.signal_tc[599], np.arange(10) * 100 - 599)
  assert record.record_id == 'Participant07/test/cycle3_class10'
  assert (record.subject, record.session, record.repetition) == ('Participant7', 'test', 3)
  assert [(s.start, s.stop, s.name) for s in record.labels] == [(0, 600, 'pinch grip')]
  assert [s.angle_deg for s in record.sensors] == [0, 36, 72, 108, 144, 180, 216, 252, 288, 324]


@pytest.mark.parametrize('index, label', enumerate([
    'no motion', 'radial deviation', 'wrist flexion', 'ulnar deviation', 'wrist extension',
    'supination', 'pronation', 'power grip', 'open hand', 'chuck grip', 'pinch grip']))
def test_the_second_number_is_the_class(tmp_path, index, label):
  """A label order other than the source's README, or the cycle taken for the class."""
  name = f'Participant22/train/EMG/3dc_EMG_gesture_1_{index}.txt'
  record = parse_text(tmp_path, table(), name)
  assert (record.repetition, record.labels[0].name) == (1, label)


@pytest.mark.parametrize('data, reason, detail', [
    (b'', jobs.BAD_SIZE, '0 bytes'),
    (b'\n', jobs.BAD_FORMAT, 'line 1'),
    (table(499), jobs.TOO_SHORT, '499 samples, expected at least 500'),
    (table() + b'\n1,2,3', jobs.BAD_FORMAT, 'line 601'),
    (table() + b'\n' + ROW + b',11', jobs.BAD_FORMAT, 'line 601'),
    (table() + b'\n' + ROW + b',', jobs.BAD_FORMAT, 'line 601'),
    (table() + b'\n\n', jobs.BAD_FORMAT, 'line 601'),
    (table().replace(b'-', b'-0x', 1), jobs.BAD_FORMAT, 'line 2'),
    (b'-,' * 9 + b'1\n' + table(), jobs.BAD_FORMAT, 'line 1'),  # NumPy reads 0
    (b'1,' * 9 + b'-\n' + table(), jobs.BAD_FORMAT, 'line 1'),
    (b'1,,' + b'1,' * 7 + b'1\n' + table(), jobs.BAD_FORMAT, 'line 1'),
    (b'1-1,' + b'1,' * 8 + b'1\n' + table(), jobs.BAD_FORMAT, 'line 1'),
    (table() + b'\n' + ROW[:-3] + b'9' * 30, jobs.BAD_VALUE, 'at sample 600, channel 9'),
    (b'nan,' * 9 + b'nan\n' + table(), jobs.BAD_FORMAT, 'line 1'),
    (b'1.5,' * 9 + b'1\n' + table(), jobs.BAD_FORMAT, 'line 1'),
    (b'(0, 0, 0, 0)\n' * 600, jobs.BAD_FORMAT, 'line 1'),  # an IMU file
    ('\u0661,'.encode() * 9 + b'1\n' + table(), jobs.BAD_FORMAT, 'line 1'),
    (b'\xff\xfe' + table().decode().encode('utf-16-le'), jobs.BAD_FORMAT, 'line 1'),
    (bytes(6000), jobs.BAD_FORMAT, 'line 1'),
    (table() + b'\n' + ROW[:-3] + b'32768', jobs.BAD_VALUE, '32768 at sample 600, channel 9'),
    (table() + b'\n' + ROW[:-3] + b'-32769', jobs.BAD_VALUE, '-32769 at sample 600, channel 9'),
    (b'\n'.join(b'%d,' % t * 9 + b'7' for t in range(600)), jobs.CONSTANT_CHANNEL,
     'channel 9 is 7'),
    (table(10) + b'\n' * (4 << 20), jobs.BAD_SIZE, 'expected 1 to 4194304'),
])
def test_bad_files_are_rejected_with_the_reason(tmp_path, data, reason, detail):
  """A traceback of the reader, a wrapped value, or a broken file taken for a recording."""
  item = parse_text(tmp_path, data)
  assert isinstance(item, Reject) and item.reason == reason
  assert detail in item.detail and 'expected' in item.detail


def test_the_extremes_of_16_bits_are_values(tmp_path):
  """A saturated sample that costs the whole recording."""
  record = parse_text(tmp_path, table() + b'\n-32768,32767' + b',0' * 8)
  assert record.signal_tc[-1, :2].tolist() == [-32768, 32767]


@pytest.mark.parametrize('name', [
    'Participant23/test/EMG/3dc_EMG_gesture_0_0.txt',
    'Participant0/test/EMG/3dc_EMG_gesture_0_0.txt',
    'Participant1/test/EMG/3dc_EMG_gesture_4_0.txt',
    'Participant1/test/EMG/3dc_EMG_gesture_0_11.txt',
    'Participant1/test/EMG/3dc_EMG_gesture_10_0.txt', 'Participant1/test/EMG/notes.txt'])
def test_unknown_names_are_rejected(tmp_path, name):
  """A file of another study, or class_cycle order, taken for one of these recordings."""
  assert parse_text(tmp_path, table(), name).reason == jobs.UNKNOWN_FILE


def test_documented_defects_of_the_set_are_counted(tmp_path):
  """A subject who is there under two names, or a stub of a recording; IMU files taken for EMG."""
  make_dummy_data.main(tmp_path / 'raw')
  folder = build_lib.build('three_dc', str(tmp_path), str(tmp_path / 'raw'), progress=False)
  source = read_records(folder)
  assert {r.subject for r in source} == {'Participant1', 'Participant2', 'Participant19'}
  assert source.meta.reject_counts == {'duplicate': 1, 'too short': 1}
  rejects = json.loads((folder / 'rejects.json').read_text())['rejects']
  assert [r['name'] for r in rejects] == ['Participant1/train/EMG/3dc_EMG_gesture_3_5.txt',
                                          'Participant21/train/EMG/3dc_EMG_gesture_0_2.txt']
  assert rejects[1]['detail'].endswith('as Participant19/train/cycle0_class02')


def test_a_bad_file_beyond_those_documented_stops_the_build(tmp_path):
  """An empty download counted among the defects that the published set is known for."""
  make_dummy_data.main(tmp_path / 'raw')
  (tmp_path / 'raw/Participant2/test/EMG/3dc_EMG_gesture_0_0.txt').write_bytes(b'')
  with pytest.raises(ValueError, match='Participant2.*bad size: 0 bytes'):
    build_lib.build('three_dc', str(tmp_path), str(tmp_path / 'raw'), progress=False)


@pytest.mark.real
def test_participants_1_and_2_have_the_documented_counts(tmp_path, real_archive):
  """A changed parser or limit: pinned on the real bytes of two participants."""
  source = read_records(build_lib.build('three_dc', str(tmp_path), real_archive('3dc.zip'),
                                        progress=False))
  expected = {name: 16 for name in sorted(parser.LABEL_NAMES)} | {'supination': 15}
  assert source.meta.counts == {'records': 175, 'subjects': 2, 'seconds': 933.066,
                                'labels': expected}
  assert [r['name'] for r in source.meta.rejects] == [
      'Participant1/train/EMG/3dc_EMG_gesture_3_5.txt']
  records = list(source)
  lengths = [r.n_samples for r in records]
  assert (min(lengths), max(lengths)) == (2626, 6020)
  rms = {name: np.mean([r.signal_tc.astype(float).std() for r in records
                        if r.labels[0].name == name]) for name in parser.LABEL_NAMES}
  assert min(rms, key=rms.get) == 'no motion'  # nobody is stiller while gripping
