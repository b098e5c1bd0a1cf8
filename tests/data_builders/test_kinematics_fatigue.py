"""The key-point parser against files written by hand, and real key points of MediaPipe."""

import zipfile

from aemg_jax.records import validate
from aemg_jax.sources import read_records
import numpy as np
import pytest

from data_builders import build as build_lib
from data_builders.jobs import Job
from data_builders.kinematics_fatigue import keypoint_files, make_dummy_data, parser

TAKE = 'S1/reach/take1'
SPANS = ((0, 1, 2), (1, 2, 8))


def parse(tmp_path, end='.npz'):
  path = tmp_path / f'{TAKE}{end}'
  return parser.parse(Job(f'{TAKE}{end}', str(path), 0))


def write(tmp_path, keypoint_tkd=None, spans=SPANS, **replaced):
  keypoint_tkd = make_dummy_data.keypoints(0) if keypoint_tkd is None else keypoint_tkd
  make_dummy_data.write_npz(tmp_path / f'{TAKE}.npz', keypoint_tkd, **replaced)
  make_dummy_data.write_borg(tmp_path / f'{TAKE}.borg.csv', spans)


def written(tmp_path, *args, **kwargs):
  write(tmp_path, *args, **kwargs)
  (item,) = parse(tmp_path)
  return item


def spans_of(record, name):
  return [(a.start, a.stop, a.value) for a in record.annotations if a.name == name]


def test_channels_are_points_with_their_four_numbers(tmp_path):
  """x of all points first, two points swapped, or task and person mixed up."""
  keypoint_tkd = make_dummy_data.keypoints(0)
  record = validate(written(tmp_path, keypoint_tkd))
  names = [s.name for s in record.sensors]
  assert [name.removesuffix('_x') for name in names[::4]] == [
      'nose', 'left_shoulder', 'right_shoulder', 'left_elbow', 'right_elbow', 'left_wrist',
      'right_wrist', 'left_pinky', 'right_pinky', 'left_index', 'right_index']
  assert names[:5] == ['nose_x', 'nose_y', 'nose_z', 'nose_v', 'left_shoulder_x']
  assert names[-1] == 'right_index_v' and len(names) == 44
  for i, point in enumerate(keypoint_files.POINTS):
    column = names.index(f'{point}_x')
    np.testing.assert_array_equal(record.signal_tc[:, column:column + 4], keypoint_tkd[:, i])
  assert (record.record_id, record.subject, record.session) == (TAKE, 'S1', 'reach')
  assert (record.kind, record.rate_hz, record.bandwidth_hz) == ('keypoints', 30, 15)
  assert {s.unit for s in record.sensors} == {'normalised'}


def test_the_frame_size_is_an_annotation(tmp_path):
  """Width for height: wrong angles, as x and y are shares of different lengths."""
  record = written(tmp_path, width=854, height=480)
  assert spans_of(record, 'frame_width_px') == [(0, 60, 854)]
  assert spans_of(record, 'frame_height_px') == [(0, 60, 480)]


def test_ratings_are_in_frames_of_the_video(tmp_path):
  """Seconds taken for frames, a constant 30 fps, spans out of order or beyond the last frame."""
  spans = ((1.5, 2.43, 9), (0, 1.1, 3))  # 60 frames at 25 fps last 2.4 s
  record = written(tmp_path, spans=spans, fps=25)
  assert spans_of(record, 'borg') == [(0, 28, 3), (38, 60, 9)]


def test_hidden_points_are_kept(tmp_path):
  """Masking in the builder: what is hidden is for the consumer to decide."""
  keypoint_tkd = make_dummy_data.keypoints(0)
  keypoint_tkd[:, 5] = (1.7, -0.3, 2.5, 0.01)  # out of the frame and guessed
  record = written(tmp_path, keypoint_tkd)
  np.testing.assert_array_equal(record.signal_tc[:, 20:24], keypoint_tkd[:, 5])


def test_text_gives_the_same_record_as_npz(tmp_path):
  """Columns taken by place and not by name, or numbers that lose bits on the way."""
  expected = written(tmp_path)
  (tmp_path / f'{TAKE}.npz').unlink()
  path = tmp_path / f'{TAKE}.csv'
  make_dummy_data.write_csv(path, make_dummy_data.keypoints(0))
  (record,) = parse(tmp_path, '.csv')
  np.testing.assert_array_equal(record.signal_tc, expected.signal_tc)
  assert record.annotations == expected.annotations and record.rate_hz == expected.rate_hz
  backwards = [','.join(line.split(',')[::-1]) for line in path.read_text().splitlines()]
  path.write_text('\ufeff' + '\r\n'.join([*backwards, '']))  # as a spreadsheet saves it
  np.testing.assert_array_equal(parse(tmp_path, '.csv')[0].signal_tc, expected.signal_tc)
  assert parse(tmp_path, '.borg.csv') == parse(tmp_path, '.video.csv') == []


def test_the_order_in_memory_does_not_matter(tmp_path):
  """An array in Fortran order, as a transposed one is stored, read in C order."""
  expected = written(tmp_path).signal_tc
  record = written(tmp_path, np.asfortranarray(make_dummy_data.keypoints(0)))
  np.testing.assert_array_equal(record.signal_tc, expected)


def test_points_that_were_not_estimated_are_invisible(tmp_path):
  """Fingers at the origin that a consumer believes to be seen."""
  write(tmp_path)
  (tmp_path / f'{TAKE}.npz').unlink()
  make_dummy_data.write_csv(tmp_path / f'{TAKE}.csv', make_dummy_data.keypoints(0), n_points=7)
  (record,) = parse(tmp_path, '.csv')
  assert not record.signal_tc[:, 28:].any() and record.signal_tc[:, 3:28:4].all()


def test_ratings_belong_to_one_recording(tmp_path):
  """A recording that is built twice, or ratings (a misspelt name) that vanish without a trace."""
  write(tmp_path)
  assert parse(tmp_path, '.borg.csv') == []
  make_dummy_data.write_csv(tmp_path / f'{TAKE}.csv', make_dummy_data.keypoints(0))
  (reject,) = parse(tmp_path, '.csv')
  assert reject.reason == 'bad format' and 'take1.npz is there too' in reject.detail
  assert parse(tmp_path, '.video.csv') == []
  (tmp_path / f'{TAKE}.csv').unlink()
  (tmp_path / f'{TAKE}.npz').unlink()
  assert [parse(tmp_path, end)[0].reason for end in ('.borg.csv', '.video.csv')] == [
      'missing file'] * 2


def test_recordings_come_in_order_of_their_ids(tmp_path):
  """'take1-b.npz' sorts before 'take1.npz', 'take1-b' after 'take1': the intake would stop."""
  for i, take in enumerate(('take1', 'take1-b', 'take1_c', 'take10')):
    make_dummy_data.write_npz(tmp_path / f'S1/reach/{take}.npz', make_dummy_data.keypoints(i))
    make_dummy_data.write_borg(tmp_path / f'S1/reach/{take}.borg.csv', SPANS)
  jobs = parser.find_jobs([str(tmp_path)])
  ids = [item.record_id for job in jobs for item in parser.parse(job)]
  assert len(ids) == 4 and ids == sorted(ids)


def _changed(change):
  def keypoint_tkd():
    array = make_dummy_data.keypoints(0)
    change(array)
    return array
  return keypoint_tkd


def _put(index, value):
  return _changed(lambda array: array.__setitem__(index, value))


KEYPOINTS = make_dummy_data.keypoints


@pytest.mark.parametrize('keypoint_tkd, reason, detail', [
    (_put((3, 2, 1), np.nan), 'bad value', 'nan in frame 3, right_shoulder_y'),
    (_put((4, 10, 0), np.inf), 'bad value', 'inf in frame 4, right_index_x'),
    (_put((0, 0, 3), 1.01), 'bad value', 'visibility'),
    (_put((0, 0, 3), -0.01), 'bad value', 'visibility'),
    (_put((..., 3), 0), 'bad value', 'visibility'),
    (_changed(lambda array: array[..., :2].__imul__(500)), 'bad value', 'not pixels'),
    (_changed(lambda array: (array[:, 0, :2].__imul__(500), array[:, 1:].fill(0))), 'bad value',
     'not pixels'),
    (lambda: KEYPOINTS(0).astype(np.float64), 'bad format', 'float64'),
    (lambda: KEYPOINTS(0).astype('>f4'), 'bad format', '>f4'),
    (lambda: KEYPOINTS(0).transpose(0, 2, 1), 'bad format', '(60, 4, 11)'),
    (lambda: KEYPOINTS(0).reshape(60, 44), 'bad format', '(60, 44)'),
    (lambda: KEYPOINTS(0)[:, :9], 'bad format', '(60, 9, 4)'),
    (lambda: KEYPOINTS(0)[:29], 'too short', '29 frames'),
    (lambda: KEYPOINTS(0)[:0], 'too short', '0 frames'),
    (lambda: np.array([{}]), 'bad format', 'object'),
])
def test_bad_key_points_are_named(tmp_path, keypoint_tkd, reason, detail):
  """Another unit, layout or type that becomes a recording; an object that is unpickled."""
  reject = written(tmp_path, keypoint_tkd())
  assert reject.reason == reason and detail in reject.detail, reject


@pytest.mark.parametrize('replaced, reason, detail', [
    ({'fps': 0.0}, 'bad value', 'fps is 0'), ({'fps': np.nan}, 'bad value', 'fps is nan'),
    ({'fps': -30}, 'bad value', 'fps is -30'), ({'fps': 1001}, 'bad value', 'fps is 1001'),
    ({'fps': '30'}, 'bad format', 'expected a number'),
    ({'fps': [30, 30]}, 'bad format', 'expected a number'),
    ({'width': 0}, 'bad value', 'pixels'), ({'height': 480.5}, 'bad value', 'pixels'),
    ({'width': np.inf}, 'bad value', 'pixels'),
    ({'fps': None}, 'bad format', "lacks ['fps.npy']"),
    ({'keypoints': None}, 'bad format', "lacks ['keypoints.npy']"),
])
def test_bad_numbers_of_the_video_are_named(tmp_path, replaced, reason, detail):
  """A rate or frame size that nobody gave, or that no video has."""
  reject = written(tmp_path, **replaced)
  assert reject.reason == reason and detail in reject.detail, reject


@pytest.mark.parametrize('spans, reason', [
    ((), 'missing label'), (((0, 1, 10.5),), 'bad value'), (((0, 1, 13),), 'bad value'),
    (((0, 1, -1),), 'bad value'), (((0, 1, 'nan'),), 'bad value'), (((1, 1, 3),), 'bad value'),
    (((1, 0.5, 3),), 'bad value'), (((-0.1, 1, 3),), 'bad value'), (((0, 2.1, 3),), 'bad value'),
    (((0, 1, 3), (0.9, 2, 4)), 'bad value'), (((0, 0.01, 3),), 'bad value'),
    (((0, 1, 'hard'),), 'bad format'), (((0, 1),), 'bad format'), (((0, 1, 2, 3),), 'bad format'),
])
def test_bad_ratings_are_named(tmp_path, spans, reason):
  """Ratings of another scale or recording, or two for one moment."""
  assert written(tmp_path, spans=spans).reason == reason


@pytest.mark.parametrize('name', [
    'S 1/reach/take1.npz', 'S1/reach/take1.x.npz', 'S1/r\u00e9/take1.npz', 'S1/reach/.npz'])
def test_names_that_cannot_be_ids_are_refused(name):
  """A record id with a space, a dot that hides '.borg', or letters that sort differently."""
  (reject,) = parser.parse(Job(name, name, 0))
  assert reject.reason == 'unknown file'


@pytest.mark.real
def test_real_key_points_of_mediapipe_are_read(tmp_path, real_archive):
  """A parser that only reads what its own test wrote: real columns, in their own order."""
  archive = real_archive('ngo_bicep_mediapipe_csv.zip')
  with zipfile.ZipFile(archive) as packed:
    data = packed.read('test.csv')
  path = tmp_path / 'raw/P1/curl/test.csv'
  make_dummy_data.write_csv(path, KEYPOINTS(0))  # for the video's numbers, which the source lacks
  path.write_bytes(data)
  make_dummy_data.write_borg(tmp_path / 'raw/P1/curl/test.borg.csv', ((0, 20, 3),))  # invented
  (record,) = read_records(build_lib.build('kinematics_fatigue', str(tmp_path / 'built'),
                                           str(tmp_path / 'raw'), progress=False))
  header, *rows = data.decode().splitlines()
  columns, names = header.split(','), [s.name for s in record.sensors]
  assert record.signal_tc.shape == (604, 44) and len(rows) == 604
  seen = [name for name in names if name in columns]
  assert len(seen) == 7 * 4 and seen[-1] == 'right_wrist_v'
  for name in names:
    i = columns.index(name) if name in columns else None
    stored_t = [0.0 if i is None else float(row.split(',')[i]) for row in rows]
    found_t = record.signal_tc[:, names.index(name)].astype(np.float64)
    np.testing.assert_array_equal(found_t, stored_t)
  nose_y, shoulder_y = names.index('nose_y'), names.index('left_shoulder_y')
  assert (record.signal_tc[:, nose_y] < record.signal_tc[:, shoulder_y]).mean() > 0.9  # y is down
