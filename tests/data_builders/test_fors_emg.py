"""The FORS-EMG parser against .mat files written by hand; no published file was at hand."""

from aemg_jax.records import Label, Record, validate
import numpy as np
import pytest

from data_builders import jobs as vocabulary
from data_builders.fors_emg import parser
from data_builders.fors_emg.make_dummy_data import save
from data_builders.jobs import Job, Reject

NAME = 'Subject3/Rest/Hand_Close-2.mat'
VALUE = np.random.default_rng(1).normal(size=(8, 600))


def parse(tmp_path, name=NAME, **variables) -> Record | Reject:
  """What one file gives."""
  path = tmp_path / 'x.mat'
  save(path, **variables or {'value': VALUE})
  (item,) = parser.parse(Job(name, str(path), path.stat().st_size))
  return validate(item) if isinstance(item, Record) else item


def test_a_file_becomes_a_record(tmp_path):
  """Samples taken for channels, trials from 1, the orientation lost."""
  record = parse(tmp_path)
  np.testing.assert_array_equal(record.signal_tc, VALUE.T, strict=True)
  assert (record.record_id, record.subject, record.session, record.repetition) == (
      'subject03/rest/hand_close-2', 'subject03', 'rest', 1)
  assert record.labels == (Label(0, 600, 'hand close'),)
  assert (record.rate_hz, record.bandwidth_hz) == (985.0, 492.5)
  assert [s.name for s in record.sensors[3:5]] == ['elbow 4', 'mid-forearm 1']


@pytest.mark.parametrize('gesture, label', [
    ('Thumb_UP', 'thumb up'), ('Index', 'index'), ('Right_Angle', 'right angle'),
    ('Peace', 'peace'), ('Index_Little', 'index little'), ('Thumb_Little', 'thumb little'),
    ('Hand_Close', 'hand close'), ('Hand_Open', 'hand open'),
    ('Wrist_Extension', 'wrist extension'), ('Wrist_Flexion', 'wrist flexion'),
    ('Ulner_Deviation', 'ulnar deviation'), ('Ulnar_Deviation', 'ulnar deviation'),
    ('Radial_Deviation', 'radial deviation'), ('hand_close', 'hand close')])
def test_the_file_name_gives_the_gesture(tmp_path, gesture, label):
  """The set's own spelling of "ulnar" not known, so that the class is missing or renamed."""
  record = parse(tmp_path, f'subject19/SUPINATION/{gesture}-5.mat')
  assert (record.labels[0].name, record.session, record.repetition) == (label, 'supination', 4)
  assert record.subject == 'subject19'


def test_all_twelve_gestures_are_labels():
  """A list of eleven, as in a public loader, where radial deviation takes the number of ulnar."""
  assert len(parser.LABEL_NAMES) == len(set(parser.LABEL_NAMES)) == 12


def test_folders_of_either_case_are_one_set(tmp_path):
  """Subjects lost whose folders are written small, or one session under two names."""
  for name in ('Subject2/Rest/Peace-1', 'Subject1/rest/Peace-1', 'subject10/REST/Peace-1',
               'Subject1/rest/._Peace-1'):
    save(tmp_path / f'FORS-EMG/{name}.mat', value=VALUE)
  jobs = parser.find_jobs([tmp_path])
  assert [parser.record_id(job.name) for job in jobs] == [
      f'subject{s}/rest/peace-1' for s in ('01', '02', '10')]
  save(tmp_path / 'FORS-EMG/Subject1/Rest/Peace-1.mat', value=VALUE)
  with pytest.raises(ValueError, match='subject01/rest/peace-1 is there twice'):
    parser.find_jobs([tmp_path])


def nan():
  bad = VALUE.copy()
  bad[7, 599] = np.nan
  return bad


BAD = [
    (NAME, {'data': VALUE}, vocabulary.BAD_FORMAT, 'value is missing'),
    (NAME, {'value': VALUE.T}, vocabulary.BAD_FORMAT, '(600, 8)'),
    (NAME, {'value': VALUE[:7]}, vocabulary.BAD_FORMAT, '(7, 600)'),
    (NAME, {'value': VALUE * 1j}, vocabulary.BAD_FORMAT, 'complex'),
    (NAME, {'value': {'a': 1}}, vocabulary.BAD_FORMAT, 'struct'),
    (NAME, {'value': 'ab'}, vocabulary.BAD_FORMAT, 'char'),
    (NAME, {'value': VALUE[:, :499]}, vocabulary.TOO_SHORT, '499'),
    (NAME, {'value': VALUE[:, :0]}, vocabulary.TOO_SHORT, '0 samples'),
    (NAME, {'value': np.ones((8, 80_001))}, vocabulary.BAD_SIZE, '80001'),
    (NAME, {'value': np.ones((8, 200_000))}, vocabulary.BAD_FORMAT, 'at most 8388608'),
    (NAME, {'value': nan()}, vocabulary.BAD_VALUE, 'NaN'),
    (NAME, {'value': VALUE * np.eye(8)[:, :1]}, vocabulary.CONSTANT_CHANNEL, 'row 1'),
    ('Subject20/rest/Peace-1.mat', {}, vocabulary.UNKNOWN_FILE, 'SubjectN'),
    ('Subject1/neutral/Peace-1.mat', {}, vocabulary.UNKNOWN_FILE, 'SubjectN'),
    ('Subject1/rest/Peace-6.mat', {}, vocabulary.UNKNOWN_FILE, 'SubjectN'),
    ('Subject1/rest/Peace-01.mat', {}, vocabulary.UNKNOWN_FILE, 'SubjectN'),
    ('Subject1/rest/Peace.mat', {}, vocabulary.UNKNOWN_FILE, 'SubjectN'),
    ('Subject1/rest/War-1.mat', {}, vocabulary.UNKNOWN_LABEL, 'war'),
]


@pytest.mark.parametrize('name, variables, reason, said', BAD, ids=range(len(BAD)))
def test_bad_files_are_rejects_with_their_reason(tmp_path, name, variables, reason, said):
  """A crash, or a record made of something else."""
  reject = parse(tmp_path, name, **variables)
  assert isinstance(reject, Reject) and reject.reason == reason and said in reject.detail


@pytest.mark.heavy
def test_damaged_bytes_are_rejects_or_the_same_signal(tmp_path):
  """An exception of the reader, or bits that change the signal unseen."""
  path = tmp_path / 'x.mat'
  save(path, value=VALUE)
  good = path.read_bytes()
  cut = [good[:n] for n in range(0, len(good), 613)]
  flipped = [good[:bit // 8] + bytes([good[bit // 8] ^ 1 << bit % 8]) + good[bit // 8 + 1:]
             for bit in range(8 * 116, 8 * len(good), 601)]
  rejects = 0
  for damaged in [*cut, *flipped]:
    path.write_bytes(damaged)
    (item,) = parser.parse(Job(NAME, str(path), len(damaged)))
    if isinstance(item, Reject):
      rejects += 1
    else:
      np.testing.assert_array_equal(item.signal_tc, VALUE.T)
  assert rejects > 0.9 * (len(cut) + len(flipped))
