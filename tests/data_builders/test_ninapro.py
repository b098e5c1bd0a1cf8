"""The Ninapro parser against .mat files written by hand, and the part of DB1 that is at hand."""

import json

from aemg_jax.records import Annotation, Label, Record, validate
from aemg_jax.sources import read_records
import numpy as np
import pytest

from data_builders import build as build_lib
from data_builders import jobs as vocabulary
from data_builders.jobs import Job, Reject
from data_builders.ninapro import make_dummy_data, ninapro_dataset_builder, parser
from data_builders.ninapro.databases import DATABASES
from data_builders.ninapro.make_dummy_data import save

N = 400


def variables(config='db2', numbers=(1, 2), n=N) -> dict[str, np.ndarray]:
  """Emg and tracks: 40 samples of each number in turn, after 40 of rest, while there is room."""
  database = DATABASES[config]
  rng = np.random.default_rng(1)
  emg_tc = rng.normal(size=(n, len(database.columns))).astype(database.dtype)
  emg_tc[:, [i for i, sensor in enumerate(database.columns) if sensor is None]] = 0
  label = np.zeros((n, 1), np.uint8)
  for i, number in enumerate(numbers):
    label[80 * i + 40:80 * i + 80] = number
  return {'emg': emg_tc, 'restimulus': label, 'stimulus': np.roll(label, -10),
          'rerepetition': (label > 0).astype(np.uint8), 'glove': np.zeros((n, 3))}


def parse(tmp_path, name, config='db2', **changes) -> Record | Reject:
  """What one file gives; a changed variable that is None is left out."""
  path = tmp_path / 'x.mat'
  content = variables(config) | changes
  save(path, **{key: value for key, value in content.items() if value is not None})
  (item,) = parser.parse(config, Job(name, str(path), path.stat().st_size))
  return validate(item) if isinstance(item, Record) else item


def test_a_file_becomes_spans_cues_and_repetitions(tmp_path):
  """Cue taken for movement, repetitions from 1, a span one sample off, planar samples."""
  content = variables('db1', (2, 2))
  content['rerepetition'][120:160] = 2
  record = parse(tmp_path, 'S3_A1_E1.mat', 'db1', **content)
  assert (record.record_id, record.subject, record.session) == ('db1/s03/E1', 'db1/s03', 'E1')
  assert (record.repetition, record.is_envelope, record.bandwidth_hz) == (-1, True, 0.0)
  np.testing.assert_array_equal(record.signal_tc, content['emg'], strict=True)
  assert record.labels == (
      Label(0, 40, 'rest'), Label(40, 80, 'index extension'), Label(80, 120, 'rest'),
      Label(120, 160, 'index extension'), Label(160, N, 'rest'))
  assert [note for note in record.annotations if note.name == 'repetition'] == [
      Annotation(40, 80, 'repetition', 0.0), Annotation(120, 160, 'repetition', 1.0)]
  assert [note for note in record.annotations if note.name == 'cue'] == [
      Annotation(0, 30, 'cue', 0.0), Annotation(30, 70, 'cue', 2.0),
      Annotation(70, 110, 'cue', 0.0), Annotation(110, 150, 'cue', 2.0),
      Annotation(150, N, 'cue', 0.0)]
  assert [s.angle_deg for s in record.sensors[:8]] == [0, 45, 90, 135, 180, 225, 270, 315]
  assert [s.name for s in record.sensors[8:]] == ['flexor digitorum superficialis',
                                                  'extensor digitorum superficialis']


def test_repetitions_and_movements_that_touch_stay_apart(tmp_path):
  """Two repetitions without rest between them merged; one number that spans two movements."""
  track = np.zeros((N, 1), np.uint8)
  number, repetition = track.copy(), track.copy()
  number[100:160], number[160:200] = 5, 6
  repetition[100:130], repetition[130:200] = 1, 2
  record = parse(tmp_path, 'S1_E1_A1.mat', restimulus=number, rerepetition=repetition)
  assert [(s.start, s.stop) for s in record.labels] == [(0, 100), (100, 160), (160, 200), (200, N)]
  assert [n for n in record.annotations if n.name == 'repetition'] == [
      Annotation(100, 130, 'repetition', 0.0), Annotation(130, 160, 'repetition', 1.0),
      Annotation(160, 200, 'repetition', 1.0)]


@pytest.mark.parametrize('config, file, numbers, names', [
    ('db1', 'S1_A1_E1.mat', (1, 12), ('index flexion', 'thumb extension')),
    ('db1', 'S1_A1_E2.mat', (1, 17), ('thumb up', 'wrist extension with closed hand')),
    ('db1', 'S1_A1_E3.mat', (1, 23), ('large diameter grasp', 'cut something')),
    ('db1', 'S1_A1_E2.mat', (13, 29), ('thumb up', 'wrist extension with closed hand')),
    ('db1', 'S1_A1_E2.mat', (13, 17), ('wrist flexion', 'wrist extension with closed hand')),
    ('db2', 'S40_E1_A1.mat', (6, 17), ('fingers flexed together in fist',
                                       'wrist extension with closed hand')),
    ('db2', 'S1_E2_A1.mat', (18, 40), ('large diameter grasp', 'cut something')),
    ('db2', 'S1_E2_A1.mat', (1, 23), ('large diameter grasp', 'cut something')),
    ('db2', 'S1_E2_A1.mat', (18, 23), ('large diameter grasp', 'ring grasp')),
    ('db2', 'S1_E3_A1.mat', (41, 49), ('flexion of the little finger',
                                       'flexion of index finger and thumb')),
    ('db3', 'S11_A1_E2.mat', (18, 29), ('large diameter grasp', 'precision sphere grasp')),
    ('db4', 'S10_E3_A1.mat', (1, 23), ('large diameter grasp', 'cut something')),
    ('db5', 'S1_E2_A1.mat', (5, 16), ('abduction of all fingers', 'wrist ulnar deviation')),
    ('db6', 'S10_D5_T2.mat', (9, 11), ('grasp 09', 'grasp 11')),
    ('db7', 'S22_E2_A1.mat', (18, 40), ('large diameter grasp', 'cut something')),
])
def test_the_numbers_in_the_file_give_the_names(tmp_path, config, file, numbers, names):
  """One numbering taken for the other: every movement of an exercise renamed."""
  record = parse(tmp_path, file, config, **variables(config, numbers))
  assert tuple(label.name for label in record.labels if label.name != 'rest') == names
  cues = [int(note.value) for note in record.annotations if note.name == 'cue' and note.value]
  assert tuple(DATABASES[config].label_names[cue] for cue in cues) == names
  assert record.rate_hz == {'db1': 100, 'db5': 200}.get(config, 2000)


@pytest.mark.parametrize('config, classes', [('db1', 53), ('db2', 50), ('db3', 50),
                                             ('db3_10ch', 50), ('db4', 53), ('db5', 53),
                                             ('db6', 8), ('db7', 41)])
def test_label_names_are_unique_over_the_exercises(config, classes):
  """A movement named twice, or left out."""
  names = DATABASES[config].label_names
  assert len(names) == len(set(names)) == classes


def test_tracks_of_other_length_are_cut_to_the_shortest(tmp_path):
  """Labels stretched over the EMG, a span past its end, or a file with another's labels."""
  content = variables()
  content['restimulus'] = content['restimulus'][:-3]
  content['emg'] = content['emg'][:-1]
  record = parse(tmp_path, 'S1_E1_A1.mat', **content)
  assert record.n_samples == N - 3 == record.labels[-1].stop
  assert record.labels[1].start == 40  # aligned at the beginning
  content['restimulus'] = content['restimulus'][:-2]  # 5 of 400
  reject = parse(tmp_path, 'S1_E1_A1.mat', **content)
  assert reject.reason == vocabulary.BAD_SIZE and "'restimulus': 395" in reject.detail


def test_whole_numbers_in_a_narrower_type_are_the_same_signal(tmp_path):
  """DB5's values fit a byte, and MATLAB may store them so: another type, or a reject."""
  content = variables('db5')
  content['emg'] = np.random.default_rng(0).integers(-128, 128, (N, 16)).astype(np.int8)
  record = parse(tmp_path, 'S1_E1_A1.mat', 'db5', **content)
  np.testing.assert_array_equal(record.signal_tc, content['emg'].astype(np.float32), strict=True)
  assert [s.angle_deg for s in record.sensors[8:11]] == [22.5, 67.5, 112.5]
  assert [s.ring for s in record.sensors] == [1] * 8 + [2] * 8


def test_the_empty_columns_of_db6_are_checked_and_dropped(tmp_path):
  """Two electrodes dropped where the columns differ from the documented ones."""
  content = variables('db6', (3, 4))
  record = parse(tmp_path, 'S2_D1_T1.mat', 'db6', **content)
  assert (record.record_id, record.session) == ('db6/s02/D1_T1', 'D1_T1')
  np.testing.assert_array_equal(record.signal_tc, np.delete(content['emg'], [8, 9], axis=1))
  assert [s.name for s in record.sensors[7:9]] == ['ring 1 electrode 8', 'below the ring 1']
  for constant in ((), (8,), (0, 9), (8, 9, 15)):
    emg_tc = variables('db1')['emg'][:, [0] * 16] + np.arange(16) * variables('db6')['emg'][:, :1]
    emg_tc = emg_tc.astype(np.float32)
    emg_tc[:, list(constant)] = 0.5
    reject = parse(tmp_path, 'S2_D1_T1.mat', 'db6', **content | {'emg': emg_tc})
    assert reject.reason == vocabulary.CONSTANT_CHANNEL
    assert f'columns {list(constant)} (from 0) are constant, expected [8, 9]' in reject.detail


def test_two_amputees_have_ten_channels_in_a_configuration_of_their_own(tmp_path):
  """Dead electrodes kept as zeros, records of two widths in one set, or the subjects lost."""
  content = variables('db3', (18, 19))
  content['emg'][:, [3, 11]] = 0
  name = 'S6_E2_A1.mat'
  record = parse(tmp_path, name, 'db3_10ch', **content)
  np.testing.assert_array_equal(record.signal_tc, np.delete(content['emg'], [3, 11], axis=1))
  assert record.subject == 'db3/s06' and record.sensors[3].angle_deg == 180
  assert record.sensors[-1].name == 'biceps brachii'
  ten = parse(tmp_path, name, 'db3_10ch', **content | {'emg': record.signal_tc})
  assert ten.n_channels == 10 and {s.ring for s in ten.sensors} == {0}  # places unknown
  one_dead = content['emg'] + np.eye(12, dtype=np.float32)[3] * np.arange(N)[:, None]
  reject = parse(tmp_path, name, 'db3_10ch', **content | {'emg': one_dead.astype(np.float32)})
  assert reject.reason == vocabulary.CONSTANT_CHANNEL and 'expected 2 of them' in reject.detail
  make_dummy_data.main(tmp_path / 'raw')
  for config, subjects in (('db3', ['S1']), ('db3_10ch', ['S6'])):
    jobs = parser.find_jobs(DATABASES[config], [tmp_path / 'raw'])
    assert [job.name.split('_')[0] for job in jobs] == subjects


def nan_emg():
  emg_tc = variables()['emg']
  emg_tc[17, 3] = np.nan
  return emg_tc


def dead_electrode():
  emg_tc = variables()['emg']
  emg_tc[:, 3] = 1
  return emg_tc


TRACK = variables()['restimulus']
BAD = [
    ('S1_E1_A1.mat', {'emg': None}, vocabulary.BAD_FORMAT, 'no variable emg'),
    ('S1_E1_A1.mat', {'stimulus': None}, vocabulary.BAD_FORMAT, 'no variable stimulus'),
    ('S1_E1_A1.mat', {'emg': variables()['emg'][:, :11]}, vocabulary.BAD_FORMAT, '(400, 11)'),
    ('S1_E1_A1.mat', {'emg': variables()['emg'].T}, vocabulary.BAD_FORMAT, '(12, 400)'),
    ('S1_E1_A1.mat', {'emg': variables()['emg'].astype(float)}, vocabulary.BAD_FORMAT, 'float64'),
    ('S1_E1_A1.mat', {'emg': {'a': 1}}, vocabulary.BAD_FORMAT, 'emg is struct'),
    ('S1_E1_A1.mat', {'emg': np.array([[1, 'a']], object)}, vocabulary.BAD_FORMAT, 'emg is cell'),
    ('S1_E1_A1.mat', {'emg': 'ab'}, vocabulary.BAD_FORMAT, 'emg is char'),
    ('S1_E1_A1.mat', {'emg': variables()['emg'] * 1j}, vocabulary.BAD_FORMAT, 'emg is complex'),
    ('S1_E1_A1.mat', {'emg': variables()['emg'][:0]}, vocabulary.TOO_SHORT, "'emg': 0"),
    ('S1_E1_A1.mat', variables(n=99), vocabulary.TOO_SHORT, "'emg': 99"),
    ('S1_E1_A1.mat', {'emg': nan_emg()}, vocabulary.BAD_VALUE, 'NaN'),
    ('S1_E1_A1.mat', {'emg': dead_electrode()}, vocabulary.CONSTANT_CHANNEL, 'columns [3]'),
    ('S1_E1_A1.mat', {'restimulus': TRACK.T}, vocabulary.BAD_FORMAT, '(1, 400)'),
    ('S1_E1_A1.mat', {'restimulus': TRACK * 0.5}, vocabulary.BAD_VALUE, 'whole numbers'),
    ('S1_E1_A1.mat', {'restimulus': TRACK * np.nan}, vocabulary.BAD_VALUE, 'whole numbers'),
    ('S1_E1_A1.mat', {'restimulus': TRACK * -1.0}, vocabulary.BAD_VALUE, 'whole numbers'),
    ('S1_E1_A1.mat', {'restimulus': TRACK * 300.0}, vocabulary.BAD_VALUE, 'whole numbers'),
    ('S1_E1_A1.mat', {'restimulus': TRACK * 9}, vocabulary.UNKNOWN_LABEL, '[1, 2, 9, 18]'),
    ('S1_E1_A1.mat', {'stimulus': TRACK * 9}, vocabulary.UNKNOWN_LABEL, '[1, 2, 9, 18]'),
    ('S1_E3_A1.mat', variables(numbers=(1, 41)), vocabulary.UNKNOWN_LABEL, '[1, 41]'),
    ('S1_E1_A1.mat', {'restimulus': TRACK * 0}, vocabulary.MISSING_LABEL, '0 throughout'),
    ('S1_E1_A1.mat', {'rerepetition': TRACK * 6}, vocabulary.BAD_VALUE, 'repetition 12'),
    ('S1_E1_A1.mat', variables(n=6000) | {'stimulus': np.tile([[1], [2]], (3000, 1))},
     vocabulary.BAD_VALUE, 'labels change 600'),
    ('S41_E1_A1.mat', {}, vocabulary.UNKNOWN_FILE, 'expected S{subject}_E{exercise}_A1.mat'),
    ('S1_E4_A1.mat', {}, vocabulary.UNKNOWN_FILE, 'exercise from 1 to 3'),
    ('S1_A1_E1.mat', {}, vocabulary.UNKNOWN_FILE, 'expected S'),
]


@pytest.mark.parametrize('name, changes, reason, said', BAD)
def test_bad_files_are_rejects_with_their_reason(tmp_path, name, changes, reason, said):
  """A crash, or a record made of something else."""
  reject = parse(tmp_path, name, **changes)
  assert isinstance(reject, Reject) and reject.name == name
  assert reject.reason == reason and said in reject.detail


@pytest.mark.heavy
def test_damaged_bytes_are_rejects_or_valid_records(tmp_path):
  """An exception that ends the build of a set of 40 GB, or bits that change labels unseen."""
  source = make_dummy_data.FOLDER / 'db6/DB6_s1_b/S1_D5_T2.mat'
  good, path = source.read_bytes(), tmp_path / 'x.mat'
  job = Job('S1_D5_T2.mat', str(path), len(good))
  (expected,) = parser.parse('db6', Job('S1_D5_T2.mat', str(source), len(good)))
  cut = [good[:n] for n in range(0, len(good), 61)]
  flipped = [good[:bit // 8] + bytes([good[bit // 8] ^ 1 << bit % 8]) + good[bit // 8 + 1:]
             for bit in range(8 * 116, 8 * len(good), 67)]
  rejects = 0
  for data in [*cut, *flipped]:
    path.write_bytes(data)
    (item,) = parser.parse('db6', job)
    if isinstance(item, Reject):
      rejects += 1
    else:  # a bit of a variable that is not read
      assert item.labels == expected.labels and item.annotations == expected.annotations
      np.testing.assert_array_equal(item.signal_tc, expected.signal_tc)
  assert rejects > len(cut) + len(flipped) // 2
  path.write_bytes(b'')
  (item,) = parser.parse('db6', job)
  assert item.reason == vocabulary.BAD_FORMAT


def test_files_of_another_database_or_a_second_copy_stop_the_build(tmp_path):
  """Amputees taken for intact subjects: only the folder tells DB2 from DB3."""
  save(tmp_path / 'mine/DB3_s1/S1_E1_A1.mat', **variables())
  with pytest.raises(ValueError, match='the folder is of DB3, expected files of db2'):
    parser.find_jobs(DATABASES['db2'], [tmp_path / 'mine'])
  (job,) = parser.find_jobs(DATABASES['db3'], [tmp_path / 'mine'])
  assert job.name == 'S1_E1_A1.mat'
  save(tmp_path / 'mine/DB3_s1/S1_A1_E1.mat', **variables())
  with pytest.raises(ValueError, match='db3/s01/E1 is there twice'):
    parser.find_jobs(DATABASES['db3'], [tmp_path / 'mine'])
  with pytest.raises(ValueError, match='holds no file of db3_10ch, expected subjects'):
    parser.find_jobs(DATABASES['db3_10ch'], [tmp_path / 'mine'])


def test_subjects_sort_by_number(tmp_path):
  """S10 before S2: ids out of order stop the build."""
  for subject in (2, 10, 1):
    for exercise in (2, 1):
      save(tmp_path / f's{subject}/S{subject}_A1_E{exercise}.mat', **variables('db1'))
  jobs = parser.find_jobs(DATABASES['db1'], [tmp_path])
  assert [job.name for job in jobs] == [f'S{s}_A1_E{e}.mat' for s in (1, 2, 10) for e in (1, 2)]


@pytest.mark.parametrize('config, archives, first, last', [
    ('db1', 27, 'DB1/Preprocessed/s1.zip', 'DB1/Preprocessed/s27.zip'),
    ('db2', 40, 'DB2_Preproc/DB2_s1.zip', 'DB2_Preproc/DB2_s40.zip'),
    ('db3', 9, 'db3_Preproc/s1_0.zip', 'db3_Preproc/s11_0.zip'),
    ('db3_10ch', 2, 'db3_Preproc/s6_0.zip', 'db3_Preproc/s7_0.zip'),
    ('db4', 10, 'DB4_Preproc/s1.zip', 'DB4_Preproc/s10.zip'),
    ('db5', 10, 'DB5_Preproc/s1.zip', 'DB5_Preproc/s10.zip'),
    ('db6', 20, 'DB6_Preproc/DB6_s1_a.zip', 'DB6_Preproc/DB6_s10_b.zip'),
    ('db7', 22, 'DB7_Preproc/Subject_1.zip', 'DB7_Preproc/Subject_22.zip')])
def test_each_configuration_downloads_its_own_archives(tmp_path, config, archives, first, last):
  """80 GB fetched for a set of 100 MB, or a subject without an archive."""
  builder = ninapro_dataset_builder.Builder(config=config, data_dir=str(tmp_path))
  urls = builder.urls()
  assert len(set(urls)) == archives and set(urls) <= set(builder.URLS)
  prefix = 'https://ninapro.hevs.ch/files/'
  assert (urls[0], urls[-1]) == (prefix + first, prefix + last)
  assert builder.urls(sample=True) == urls[:1] and urls[0] in builder.SAMPLE_URLS


@pytest.mark.real
def test_the_part_of_db1_at_hand_has_the_documented_counts(tmp_path, real_archive):
  """A changed parser, label offset or repetition rule: pinned on exercise 1 of 10 subjects."""
  archive = real_archive('ninapro_db1.zip')
  folder = build_lib.build('ninapro/db1', str(tmp_path), archive, progress=False)
  source = read_records(folder)
  assert json.loads((folder / 'rejects.json').read_text())['rejects'] == []
  fingers = DATABASES['db1'].exercises[0]
  assert source.meta.counts == {
      'records': 10, 'subjects': 10, 'seconds': 10090.93,
      'labels': dict(sorted({'rest': 1210, **dict.fromkeys(fingers, 100)}.items()))}
  for record in source:
    assert record.session == 'E1' and 100_686 <= record.n_samples <= 101_508
    assert record.signal_tc.min() >= 0 and record.signal_tc.max() < 4.67
    movements = [label for label in record.labels if label.name != 'rest']
    notes = {name: [note for note in record.annotations if note.name == name]
             for name in ('repetition', 'cue')}
    cued = [note for note in notes['cue'] if note.value]
    assert len(movements) == len(cued) == 120 and len(notes['cue']) == 241
    # Each movement lies in its repetition, and begins 0.1 to 4.2 s after its own cue.
    assert [(s.start, s.stop) for s in movements] == [(n.start, n.stop)
                                                     for n in notes['repetition']]
    assert sorted(n.value for n in notes['repetition']) == sorted(list(range(10)) * 12)
    assert [source.meta.label_names[int(n.value)] for n in cued] == [s.name for s in movements]
    assert {s.name for s in movements} == set(fingers)
    assert all(10 <= s.start - n.start <= 420 for s, n in zip(movements, cued))
