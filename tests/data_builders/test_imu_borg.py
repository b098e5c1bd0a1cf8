"""The IMU parser against files written by hand, and a part of the published set."""

import json

from aemg_jax.sources import read_records
import numpy as np
import pytest

from data_builders import build as build_lib
from data_builders.imu_borg import make_dummy_data, parser
from data_builders.jobs import Job

START_AND_TWO = ((0.0, 0), (0.7, 2.5), (1.4, 7))
FOLDER = 'individual_07/experiment_2'


def parse(tmp_path, name='imu_data.csv'):
  path = tmp_path / FOLDER / name
  size = path.stat().st_size if path.exists() else 0
  return parser.parse(Job(f'{FOLDER}/{name}', str(path), size))


def write(tmp_path, ratings=START_AND_TWO, **kwargs):
  make_dummy_data.write(tmp_path / FOLDER, 0, ratings, **kwargs)


def written(tmp_path, ratings=START_AND_TWO, **kwargs):
  write(tmp_path, ratings, **kwargs)
  (item,) = parse(tmp_path)
  return item


def spans(record, name):
  return [(a.start, a.stop, a.value) for a in record.annotations if a.name == name]


def test_columns_become_sensors_with_physical_units(tmp_path):
  """Wrist taken for arm, g for m/s^2, degrees for radians, or a computed column as a signal."""
  signal_tc = make_dummy_data.signals(5)
  record = written(tmp_path, signal_tc=signal_tc)
  np.testing.assert_array_equal(record.signal_tc, signal_tc)
  found = {s.name: (i, s.unit, s.scale) for i, s in enumerate(record.sensors)}
  assert found['wrist gyroscope x'] == (0, 'deg/s', 1)
  assert found['wrist accelerometer z'] == (5, 'm/s^2', 9.80665)
  assert found['wrist yaw'] == (8, 'rad', np.pi / 180)
  assert found['arm gyroscope x'][0] == 9 and found['arm pitch'][0] == 16
  assert len(found) == parser.N_CHANNELS
  assert (record.subject, record.session) == ('individual_07', 'experiment_2')
  assert record.record_id == FOLDER and record.kind == 'imu'


def test_a_rating_holds_from_its_time_to_the_next(tmp_path):
  """Wall clock not taken relative to Start, or ratings placed by row number instead of time."""
  record = written(tmp_path)
  # Rows 40 to 50 all arrive at 1.0 s; otherwise row k is at 20 k ms.
  assert spans(record, 'borg') == [(0, 35, 0.0), (35, 70, 2.5), (70, 101, 7.0)]
  late = written(tmp_path, ((0.0, 0), (0.9, 2), (3.9, 10)))
  assert spans(late, 'borg') == [(0, 40, 0.0), (40, 101, 2.0)]  # the 10 comes after the last row


def test_steps_back_in_time_do_not_move_a_rating(tmp_path):
  """A search in times that are not sorted, which may end anywhere."""
  time_ms = 20.0 * np.arange(101)
  time_ms[60:64] -= 200
  record = written(tmp_path, ((0.0, 0), (1.1, 5)), time_ms=time_ms)
  assert spans(record, 'borg') == [(0, 55, 0.0), (55, 101, 5.0)]


def test_overlapping_segments_become_single_curls(tmp_path):
  """Two curls counted as one repetition, and each curl twice."""
  record = written(tmp_path, segments=((5, 40), (22, 61), (41, 80)))  # 40 was moved to 41 later
  assert spans(record, 'repetition') == [(5, 22, 0), (22, 41, 1), (41, 61, 2), (61, 80, 3)]
  assert spans(written(tmp_path, segments=()), 'repetition') == []


def test_the_rate_is_from_first_to_last_row(tmp_path):
  """The median step, which blocks of rows that arrive together make 45 Hz or infinite."""
  time_ms = np.repeat(40.0 * np.arange(51), 2)[:101] + 300
  assert written(tmp_path, time_ms=time_ms).rate_hz == pytest.approx(50, rel=1e-12)
  slow = make_dummy_data.times_ms() * 1.02
  assert written(tmp_path, time_ms=slow).rate_hz == pytest.approx(50 / 1.02, rel=1e-12)


def test_smoothed_files_claim_no_bandwidth_that_they_lost(tmp_path):
  """A mean over five rows taken for a signal up to 25 Hz."""
  signal_tc = make_dummy_data.signals(0)
  assert written(tmp_path, signal_tc=signal_tc).bandwidth_hz == 25
  padded_tc = np.concatenate([signal_tc[:1]] * 4 + [signal_tc])
  smooth_tc = np.lib.stride_tricks.sliding_window_view(padded_tc, 5, axis=0).mean(-1)
  assert written(tmp_path, signal_tc=smooth_tc).bandwidth_hz == 10


def test_logs_without_an_imu_file_are_counted_once(tmp_path):
  """An experiment that vanishes without a trace, or is counted for each of its files."""
  write(tmp_path)
  assert parse(tmp_path, 'borg.csv') == parse(tmp_path, 'repetitions.csv') == []
  (tmp_path / FOLDER / 'imu_data.csv').unlink()
  (reject,) = parse(tmp_path, 'borg.csv')
  assert reject.reason == 'missing file' and parse(tmp_path, 'repetitions.csv') == []


def _edited(name, change):
  def make(tmp_path):
    write(tmp_path)
    path = tmp_path / FOLDER / name
    path.write_bytes(change(path.read_bytes()))
  return make


def _with(name, row, column, value):
  """A file with one field replaced; row 0 is the header."""
  def change(data):
    lines = data.split(b'\n')
    fields = lines[row].split(b',')
    fields[column] = value
    lines[row] = b','.join(fields)
    return b'\n'.join(lines)
  return _edited(name, change)


def _stall(tmp_path):
  time_ms = 20.0 * np.arange(301)
  time_ms[50:200] = time_ms[200]
  write(tmp_path, time_ms=time_ms, signal_tc=make_dummy_data.signals(0, 301))


IMU, BORG, REPETITIONS = 'imu_data.csv', 'borg.csv', 'repetitions.csv'


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('make, reason, detail', [
    (lambda p: write(p, ((0.0, 0), (4.5, 10))), 'labels not aligned', '2.50 s after the last row'),
    (_stall, 'labels not aligned', 'row 50 is stamped 3.00 s off'),
    (_edited(IMU, lambda data: b''), 'bad format', 'header'),
    (_edited(IMU, lambda data: data[:-3]), 'bad format', 'cut short'),
    (_edited(IMU, lambda data: data[:5000] + b'\n'), 'bad format', 'expected numbers'),
    (_edited(IMU, lambda data: data.replace(b'Wrist', b'Arm')), 'bad format', 'header'),
    (_edited(IMU, lambda data: data[:900] + b'\xff' + data[901:]), 'bad format', 'plain text'),
    (_edited(IMU, lambda data: data.replace(b'\n', b'\n\n')), 'bad format', '26 in each'),
    (lambda p: write(p, signal_tc=make_dummy_data.signals(0, 99)), 'too short', '99 rows'),
    (lambda p: write(p, time_ms=np.zeros(101)), 'bad value', 'in 0.000 s'),
    (_with(IMU, 9, 4, b''), 'bad format', 'expected numbers'),
    (_with(IMU, 9, 4, b'nan'), 'bad value', 'nan in row 8'),
    (_with(IMU, 9, 20, b'inf'), 'bad value', 'inf in row 8'),
    (_with(IMU, -2, 0, b'1e9'), 'bad value', 'expected 50 Hz'),
    (_with(IMU, -2, 0, b'-2000.0'), 'bad value', 'expected 50 Hz'),
    (lambda p: write(p, signal_tc=np.round(make_dummy_data.signals(0) * [0] + [[1.0] * 18])),
     'constant channel', 'wrist gyroscope x is 1.0'),
    (lambda p: write(p, time_ms=25.0 * np.arange(101)), 'bad value', '40.00 Hz'),
    (lambda p: write(p, ()), 'missing label', 'no rating'),
    (lambda p: write(p, ((0.0, 0), (1.0, 10.5))), 'bad value', '10.5'),
    (lambda p: write(p, ((0.0, 0), (1.0, float('nan')))), 'bad value', 'nan'),
    (lambda p: write(p, ((0.0, 0), (-1.0, 3))), 'bad value', 'rising times'),
    (_with(BORG, 1, 0, b'yesterday'), 'bad format', 'yesterday'),
    (_with(BORG, 1, 1, b'2,3'), 'bad format', 'expected date and rating'),
    (_edited(BORG, lambda data: data.replace(b'fatigue', b'borg')), 'bad format', 'header'),
    (lambda p: write(p, segments=((5, 101),)), 'bad value', 'within 101 rows'),
    (lambda p: write(p, segments=((-1, 50),)), 'bad value', '-1'),
    (lambda p: write(p, segments=((50, 50),)), 'bad value', '50'),
    (lambda p: write(p, segments=((20, 50), (10, 60))), 'bad value', 'rising segments'),
    (_with(REPETITIONS, 1, 0, b'1.5'), 'bad format', '1.5'),
    (_with(REPETITIONS, 1, 1, b'9' * 30), 'bad format', 'expected numbers'),
    (lambda p: (write(p), (p / FOLDER / BORG).unlink()), 'missing label', 'borg.csv'),
    (lambda p: (write(p), (p / FOLDER / REPETITIONS).unlink()), 'missing label', 'repetitions.csv'),
])
def test_bad_files_are_named(tmp_path, make, reason, detail):
  """A damaged file that becomes a recording, or stops the build with a traceback."""
  make(tmp_path)
  (reject,) = parse(tmp_path)
  assert reject.reason == reason and detail in reject.detail, reject


@pytest.mark.filterwarnings('error')
def test_numbers_beyond_float32_are_kept(tmp_path):
  """A warning, or an infinite value, from the look at float32."""
  signal_tc = make_dummy_data.signals(0)
  signal_tc[3, 4] = 1e100
  record = written(tmp_path, signal_tc=signal_tc)
  assert record.signal_tc[3, 4] == 1e100 and record.bandwidth_hz == 10


def test_the_dummy_set_counts_its_known_defects(tmp_path):
  """A person's data read as a recording, or a known defect that stops the build."""
  make_dummy_data.main(tmp_path / 'raw')
  folder = build_lib.build('imu_borg', str(tmp_path), str(tmp_path / 'raw'), progress=False)
  rejects = json.loads((folder / 'rejects.json').read_text())['rejects']
  assert [(r['name'], r['reason']) for r in rejects] == [
      ('individual_61/experiment_3/imu_data.csv', 'labels not aligned'),
      ('individual_62/experiment_1/borg.csv', 'missing file')]
  jobs = parser.find_jobs([str(tmp_path / 'raw')])
  assert len(jobs) == 11 and not any('basic_info' in job.name for job in jobs)


@pytest.mark.real
def test_the_recordings_at_hand_have_the_documented_counts(tmp_path, real_archive):
  """A changed alignment, rate or peak rule: pinned on a part of the published set."""
  archive = real_archive('fatigue_erinliu_imu_borg.zip')
  source = read_records(build_lib.build('imu_borg', str(tmp_path), archive, progress=False))
  assert source.meta.counts == {'records': 4, 'subjects': 3, 'seconds': 394.015, 'labels': {}}
  assert source.meta.reject_counts == {'missing file': 2}
  records = {r.record_id.replace('individual_', '').replace('experiment_', ''): r for r in source}
  assert {key: (r.n_samples, round(r.rate_hz, 2), len(spans(r, 'borg')),
                len(spans(r, 'repetition'))) for key, r in records.items()} == {
      '60/1': (3964, 50.04, 9, 20), '62/1': (6253, 50.01, 14, 59), '62/2': (5397, 50.04, 13, 52),
      '63/1': (4099, 50.04, 9, 41)}
  assert [value for _, _, value in spans(records['60/1'], 'borg')] == [0, 2, 2, 3, 4, 5, 5, 7, 8]
  for record in records.values():
    assert record.bandwidth_hz == record.rate_hz / 2  # these files are as the IMUs sent them
    physical_tc = record.signal_tc * [s.scale for s in record.sensors]
    names = [s.name for s in record.sensors]
    for place in ('wrist', 'arm'):  # g taken for m/s^2 would be ten times too small
      first = names.index(f'{place} accelerometer x')
      norm_m_s2 = np.linalg.norm(physical_tc[:, first:first + 3], axis=1)
      assert np.median(norm_m_s2) == pytest.approx(9.8, rel=0.1)
    arm, wrist = names.index('arm pitch'), names.index('wrist pitch')
    elbow_rad = physical_tc[:, arm] - physical_tc[:, wrist]
    curls = spans(record, 'repetition')
    # Every curl goes from bent to stretched and back: a shift by half a curl would turn this round.
    assert all(elbow_rad[a] - elbow_rad[a:b].min() > 0.7 for a, b, _ in curls)
