"""The MCS-EMG parser against .mat files written by hand; no published file was at hand."""

from aemg_jax.records import Annotation, Label, Record, validate
import numpy as np
import pytest
import scipy.io

from data_builders import jobs as vocabulary
from data_builders.jobs import Job, Reject
from data_builders.mcs_emg import parser
from data_builders.mcs_emg.make_dummy_data import N_SAMPLES, save, variables


@pytest.fixture(scope='module')
def data():
  """A signal [T, 4] in the documented length, each number another."""
  return np.arange(4.0 * N_SAMPLES).reshape(N_SAMPLES, 4) / 1024


def parse(tmp_path, content, name='3_raw.mat') -> Record | Reject:
  """What one file gives; a variable that is None is left out. Not compressed: 41 MB take long."""
  path = tmp_path / 'x.mat'
  scipy.io.savemat(path, {key: value for key, value in content.items() if value is not None})
  (item,) = parser.parse(Job(name, str(path), path.stat().st_size))
  return validate(item) if isinstance(item, Record) else item


def test_a_file_becomes_the_signal_and_the_spans_of_the_clock(tmp_path, data):
  """A cycle of 100 s, pauses taken for gestures, gestures in another order, planar samples."""
  record = parse(tmp_path, variables(3, data))
  np.testing.assert_array_equal(record.signal_tc, data, strict=True)
  assert (record.record_id, record.subject, record.repetition) == (
      'participant03', 'participant03', -1)
  assert len(record.labels) == len(record.annotations) == 50
  assert record.labels[:2] == (Label(8000, 20000, 'rest'), Label(28000, 40000, 'wrist extension'))
  # By hand from the authors' table: fifth cycle from 540 s, tenth gesture 90 s later, 6 s long.
  assert record.labels[-1] == Label(1_260_000, 1_272_000, 'pronation')
  assert [record.labels[10 * k].start / 2000 for k in range(5)] == [4, 138, 272, 406, 540]
  assert [label.name for label in record.labels[20:30]] == [
      'rest', 'wrist extension', 'wrist flexion', 'ulnar deviation', 'radial deviation', 'grip',
      'abduction of all fingers', 'adduction of all fingers', 'supination', 'pronation']
  assert record.annotations[0] == Annotation(8000, 20000, 'repetition', 0.0)
  assert record.annotations[-1] == Annotation(1_260_000, 1_272_000, 'repetition', 4.0)


def test_whole_numbers_in_a_narrower_type_are_the_same_signal(tmp_path, data):
  """MATLAB stores whole doubles as bytes where they fit: another type in the set."""
  record = parse(tmp_path, variables(3, (data % 100).astype(np.uint8)))
  np.testing.assert_array_equal(record.signal_tc, (data % 100) // 1, strict=True)


def nan(data):
  bad = data.copy()
  bad[-1, 3] = np.nan
  return bad


BAD = [
    (lambda data: {'data': None}, vocabulary.BAD_FORMAT, 'data is missing'),
    (lambda data: {'data': data[:, :3]}, vocabulary.BAD_FORMAT, '(1280000, 3)'),
    (lambda data: {'data': data[:100].T}, vocabulary.BAD_FORMAT, '(4, 100)'),
    (lambda data: {'data': {'a': 1}}, vocabulary.BAD_FORMAT, 'data is struct'),
    (lambda data: {'data': data[:1_271_999]}, vocabulary.TOO_SHORT, '1271999'),
    (lambda data: {'data': data[:0]}, vocabulary.TOO_SHORT, '0 samples'),
    (lambda data: {'data': np.zeros((1_400_000, 4), np.uint8)}, vocabulary.BAD_SIZE, '1400000'),
    (lambda data: {'data': np.zeros((2_560_000, 4))}, vocabulary.BAD_FORMAT, 'at most 67108864'),
    (lambda data: {'data': nan(data)}, vocabulary.BAD_VALUE, 'NaN'),
    (lambda data: {'data': data * [1, 0, 1, 1] + 2}, vocabulary.CONSTANT_CHANNEL, 'column 1'),
    # The numbers are looked at before the signal, which may be short here: 41 MB take long.
    (lambda data: {'fs': None}, vocabulary.BAD_FORMAT, 'fs is missing'),
    (lambda data: {'fs': np.array([[1000.0]])}, vocabulary.BAD_VALUE, 'fs is 1000'),
    (lambda data: {'fs': np.array([[np.nan]])}, vocabulary.BAD_VALUE, 'fs is nan'),
    (lambda data: {'fs': np.ones((2, 1))}, vocabulary.BAD_FORMAT, '(2, 1)'),
    (lambda data: {'fs': '2000'}, vocabulary.BAD_FORMAT, 'fs is char'),
    (lambda data: {'iD': np.array([[4.0]])}, vocabulary.BAD_VALUE, 'iD is 4, expected 3'),
]


@pytest.mark.parametrize('change, reason, said', BAD, ids=range(len(BAD)))
def test_bad_files_are_rejects_with_their_reason(tmp_path, data, change, reason, said):
  """A crash, another participant's recording, or labels laid over a recording of other length."""
  reject = parse(tmp_path, variables(3, data[:200]) | change(data))
  assert isinstance(reject, Reject) and reject.reason == reason and said in reject.detail


@pytest.mark.parametrize('name', ['0_raw.mat', '41_raw.mat', '03_raw.mat', 'a_raw.mat'])
def test_other_names_are_unknown(tmp_path, data, name):
  """A 41st participant, or a copy under another name."""
  assert parse(tmp_path, variables(3, data[:9]), name).reason == vocabulary.UNKNOWN_FILE


@pytest.mark.heavy
def test_damaged_bytes_are_rejects_or_the_same_signal(tmp_path, data, monkeypatch):
  """An exception of the reader, or bits that change the signal unseen."""
  monkeypatch.setattr(parser, 'MIN_SAMPLES', 1)  # a short file, to damage it everywhere
  path = tmp_path / 'x.mat'
  save(path, **variables(3, data[:300]))
  good = path.read_bytes()
  cut = [good[:n] for n in range(0, len(good), 61)]
  flipped = [good[:bit // 8] + bytes([good[bit // 8] ^ 1 << bit % 8]) + good[bit // 8 + 1:]
             for bit in range(8 * 116, 8 * len(good), 67)]
  rejects = 0
  for damaged in [*cut, *flipped]:
    path.write_bytes(damaged)
    (item,) = parser.parse(Job('3_raw.mat', str(path), len(damaged)))
    if isinstance(item, Reject):
      rejects += 1
    else:  # a bit of a variable that is not read
      np.testing.assert_array_equal(item.signal_tc, data[:300])
  assert rejects > len(cut) + len(flipped) // 2


def test_only_raw_recordings_are_taken_and_sorted_by_number(tmp_path):
  """Filtered or converted copies in one set with the raw ones: every subject twice; 10 before 2."""
  for name in ('raw/mat/10_raw.mat', 'raw/mat/2_raw.mat', 'raw/mat/._2_raw.mat',
               'raw/csv/2_raw.csv', 'filtered/mat/2_filtered.mat'):
    save(tmp_path / 'sEMG-dataset' / name, **variables(2, np.ones((3, 4))))
  assert [job.name for job in parser.find_jobs([tmp_path])] == ['2_raw.mat', '10_raw.mat']
