"""The CapgMyo parser against .mat files written by hand; no published file was at hand."""

from aemg_jax.records import Label, Record, validate
import numpy as np
import pytest
import scipy.io

from data_builders import jobs as vocabulary
from data_builders.capgmyo import capgmyo_dataset_builder, parser
from data_builders.capgmyo.make_dummy_data import save
from data_builders.jobs import Job, Reject

DATA = np.random.default_rng(1).normal(size=(120, 128))


def variables(name) -> dict:
  """What a file of that name holds."""
  numbers = zip(('subject', 'gesture', 'trial'), name.removesuffix('.mat').split('-'))
  return {'data': DATA} | {key: np.array([[int(value)]]) for key, value in numbers}


def parse(tmp_path, name='001-002-003.mat', config='dba', **changes) -> Record | Reject:
  """What one file gives; a changed variable that is None is left out."""
  path = tmp_path / 'x.mat'
  content = variables(name) | changes
  scipy.io.savemat(path, {key: value for key, value in content.items() if value is not None})
  (item,) = parser.parse(config, Job(name, str(path), path.stat().st_size))
  return validate(item) if isinstance(item, Record) else item


def test_a_file_becomes_a_record(tmp_path):
  """Planar samples, trials from 1, subject and gesture exchanged."""
  record = parse(tmp_path)
  np.testing.assert_array_equal(record.signal_tc, DATA, strict=True)
  assert (record.record_id, record.subject, record.session, record.repetition) == (
      'dba/subject01/1/002-03', 'dba/subject01', '1', 2)
  assert record.labels == (
      Label(0, 120, 'extension of index and middle, flexion of the others'),)
  assert (record.rate_hz, record.bandwidth_hz) == (1000.0, 380.0)


def test_electrodes_are_16_rows_of_8(tmp_path):
  """The grid read the other way round, as 8 rows of 16: neighbours that are none."""
  sensors = parse(tmp_path).sensors
  assert len({(s.row, s.column) for s in sensors}) == 128
  assert [(sensors[i].row, sensors[i].column) for i in (0, 7, 8, 16, 127)] == [
      (0, 0), (0, 7), (1, 0), (2, 0), (15, 7)]


@pytest.mark.parametrize('number, subject, session', [
    ('001', 'dbb/subject01', '1'), ('002', 'dbb/subject01', '2'), ('003', 'dbb/subject02', '1'),
    ('020', 'dbb/subject10', '2')])
def test_numbers_of_dbb_are_two_sessions_of_one_person(tmp_path, number, subject, session):
  """One person as two subjects: training and test of a split share them."""
  record = parse(tmp_path, f'{number}-001-001.mat', 'dbb')
  assert (record.subject, record.session) == (subject, session)


@pytest.mark.parametrize('config, gesture, label', [
    ('dba', 1, 'thumb up'), ('dba', 8, 'adduction of extended fingers'),
    ('dbb', 6, 'fingers flexed together in fist'), ('dbc', 1, 'index flexion'),
    ('dbc', 12, 'thumb extension')])
def test_the_database_gives_the_gestures(tmp_path, config, gesture, label):
  """Gestures of DB-a for those of DB-c, or counted from 0."""
  assert parse(tmp_path, f'001-{gesture:03d}-010.mat', config).labels[0].name == label


@pytest.mark.parametrize('gesture', [100, 101])
def test_recordings_of_maximal_force_have_no_label(tmp_path, gesture):
  """Two recordings lost, or two more gestures with one trial each."""
  record = parse(tmp_path, f'003-{gesture}-001.mat', 'dbb')
  assert (record.record_id, record.labels, record.repetition) == (
      f'dbb/subject02/1/{gesture}-01', (), -1)


def nan():
  bad = DATA.copy()
  bad[119, 127] = np.nan
  return bad


BAD = [
    ({'data': None}, vocabulary.BAD_FORMAT, 'data is missing'),
    ({'data': DATA.T}, vocabulary.BAD_FORMAT, '(128, 120)'),
    ({'data': DATA[:, :127]}, vocabulary.BAD_FORMAT, '(120, 127)'),
    ({'data': DATA * 1j}, vocabulary.BAD_FORMAT, 'complex'),
    ({'data': {'a': 1}}, vocabulary.BAD_FORMAT, 'struct'),
    ({'data': DATA[:99]}, vocabulary.TOO_SHORT, '99 samples'),
    ({'data': DATA[:0]}, vocabulary.TOO_SHORT, '0 samples'),
    ({'data': np.zeros((10_001, 128))}, vocabulary.BAD_SIZE, '10001'),
    ({'data': np.zeros((20_000, 128))}, vocabulary.BAD_FORMAT, 'at most 16777216'),
    ({'data': nan()}, vocabulary.BAD_VALUE, 'NaN'),
    ({'data': DATA * (np.arange(128) != 5)}, vocabulary.CONSTANT_CHANNEL, 'column 5'),
    ({'gesture': None}, vocabulary.BAD_FORMAT, 'gesture is missing'),
    ({'trial': np.ones((120, 1))}, vocabulary.BAD_FORMAT, '(120, 1)'),
    ({'gesture': np.array([[3]])}, vocabulary.BAD_VALUE, 'gesture is 3, expected 2'),
    ({'subject': np.array([[2]])}, vocabulary.BAD_VALUE, 'subject is 2, expected 1'),
    ({'trial': np.array([[np.nan]])}, vocabulary.BAD_VALUE, 'trial is nan'),
]


@pytest.mark.parametrize('changes, reason, said', BAD, ids=range(len(BAD)))
def test_bad_files_are_rejects_with_their_reason(tmp_path, changes, reason, said):
  """A crash, or a record of another trial than its name says."""
  reject = parse(tmp_path, **changes)
  assert isinstance(reject, Reject) and reject.reason == reason and said in reject.detail


@pytest.mark.parametrize('config, name', [
    ('dba', '019-001-001.mat'), ('dba', '000-001-001.mat'), ('dba', '001-009-001.mat'),
    ('dba', '001-000-001.mat'), ('dba', '001-001-011.mat'), ('dba', '001-001-000.mat'),
    ('dbc', '011-001-001.mat'), ('dbb', '001-100-002.mat'), ('dbb', '001-102-001.mat')])
def test_other_names_are_unknown(tmp_path, config, name):
  """A subject or gesture of another database."""
  reject = parse(tmp_path, name, config)
  assert reject.reason == vocabulary.UNKNOWN_FILE and 'SSS-GGG-TTT' in reject.detail


@pytest.mark.heavy
def test_damaged_bytes_are_rejects_or_the_same_signal(tmp_path):
  """An exception of the reader, or bits that change the signal unseen."""
  path = tmp_path / 'x.mat'
  save(path, DATA, 1, 2, 3)
  good = path.read_bytes()
  cut = [good[:n] for n in range(0, len(good), len(good) // 60)]
  flipped = [good[:bit // 8] + bytes([good[bit // 8] ^ 1 << bit % 8]) + good[bit // 8 + 1:]
             for bit in range(8 * 116, 8 * len(good), len(good) // 25)]
  rejects = 0
  for damaged in [*cut, *flipped]:
    path.write_bytes(damaged)
    (item,) = parser.parse('dba', Job('001-002-003.mat', str(path), len(damaged)))
    if isinstance(item, Reject):
      rejects += 1
    else:
      np.testing.assert_array_equal(item.signal_tc, DATA)
  assert rejects > 0.9 * (len(cut) + len(flipped))


def test_each_database_takes_its_own_files(tmp_path):
  """Subjects of one database in another: the files' names are the same."""
  dba, dbb = parser.DATABASES['dba'], parser.DATABASES['dbb']
  for name in ('dba/dba-preprocessed-001/001-001-001', 'dbb/dbb-preprocessed-001/001-001-001',
               'dbb/dbb-preprocessed-001/._001-001-001', 'dba/dba-preprocessed-010/010-001-001',
               'dba/dba-preprocessed-002/002-008-001', 'dba/dba-preprocessed-002/002-001-010'):
    save(tmp_path / f'{name}.mat', DATA, 1, 1, 1)
  jobs = parser.find_jobs(dba, [tmp_path])
  assert [job.name for job in jobs] == ['001-001-001.mat', '002-001-010.mat', '002-008-001.mat',
                                        '010-001-001.mat']
  assert all('/dba/' in job.path for job in jobs)
  (job,) = parser.find_jobs(dbb, [tmp_path])
  assert '/dbb/' in job.path
  with pytest.raises(ValueError, match='the folder is of dbb, expected files of dba'):
    parser.find_jobs(dba, [tmp_path / 'dbb'])
  save(tmp_path / 'flat/001-001-001.mat', DATA, 1, 1, 1)  # as the archives unpack
  assert len(parser.find_jobs(dba, [tmp_path / 'flat'])) == 1


@pytest.mark.parametrize('config, archives, last', [
    ('dba', 18, 'dba-preprocessed-018.zip'), ('dbb', 20, 'dbb-preprocessed-020.zip'),
    ('dbc', 10, 'dbc-preprocessed-010.zip')])
def test_each_configuration_downloads_its_own_archives(tmp_path, config, archives, last):
  """A database fetched for another, or a subject without an archive."""
  builder = capgmyo_dataset_builder.Builder(config=config, data_dir=str(tmp_path))
  urls = builder.urls()
  assert len(set(urls)) == archives and set(urls) <= set(builder.URLS)
  assert urls[-1] == f'http://zju-capg.org/myo/data/{last}'
  assert builder.urls(sample=True) == urls[:1] and urls[0] in builder.SAMPLE_URLS
