"""The EMG-EPN-612 parser against JSON written by hand; no published file was at hand."""

import json

from aemg_jax.records import Label, Record, validate
from aemg_jax.sources import read_records
import numpy as np
import pytest

from data_builders import build as build_lib
from data_builders import jobs as vocabulary
from data_builders.emg_epn612 import make_dummy_data, parser
from data_builders.jobs import Job, Reject

N = 120


def trial(gesture='fist', ends=(41, 90), seed=1, **changes):
  """A trial as published; a changed key that is None is left out."""
  counts = np.random.default_rng(seed).integers(-128, 128, (8, N)).tolist()
  content = {'gestureName': gesture, 'emg': {f'ch{i + 1}': row for i, row in enumerate(counts)}}
  if gesture != 'noGesture':
    content['groundTruthIndex'] = list(ends)
    content['groundTruth'] = [int(ends[0] <= i + 1 <= ends[1]) for i in range(N)]
  return {key: value for key, value in (content | changes).items() if value is not None}


def user(training, testing=None, **changes):
  """A file's content; trials are numbered from 1."""
  number = lambda trials: {f'idx_{i + 1}': content for i, content in enumerate(trials)}
  return {'generalInfo': {'samplingFrequencyInHertz': 200}, 'userInfo': {'name': 'Zoë Quitumbe'},
          'trainingSamples': number(training), 'testingSamples': number(testing or [trial()])
          } | changes


def parse_bytes(tmp_path, data, name='trainingJSON/user7/user7.json'):
  path = tmp_path / 'x.json'
  path.write_bytes(data)
  items = parser.parse(Job(name, str(path), len(data)))
  for item in items:
    assert isinstance(item, Reject) or validate(item)
  return items


def parse(tmp_path, content, name='trainingJSON/user7/user7.json'):
  return parse_bytes(tmp_path, json.dumps(content).encode(), name)


def test_a_file_becomes_a_record_per_trial(tmp_path):
  """Channels in the order of the text, trials in the order of the file, spans one sample off."""
  first = trial()
  shuffled = dict(reversed(first['emg'].items()))
  content = user([first | {'emg': shuffled}, trial('noGesture', seed=2)])
  content['trainingSamples'] = {'idx_10': trial('open', (1, N), seed=3),
                                **content['trainingSamples']}
  items = parse(tmp_path, content)
  assert [item.record_id for item in items] == [
      '1-training/user007/1-training-001', '1-training/user007/1-training-002',
      '1-training/user007/1-training-010', '1-training/user007/2-testing-001']
  np.testing.assert_array_equal(
      items[0].signal_tc, np.array([first['emg'][f'ch{i}'] for i in range(1, 9)], np.int16).T,
      strict=True)
  assert [item.labels for item in items[:3]] == [
      (Label(40, 90, 'fist'),), (Label(0, N, 'noGesture'),), (Label(0, N, 'open'),)]
  assert {(item.subject, item.session, item.rate_hz) for item in items} == {
      ('training/user007', '1', 200.0)}
  assert [s.angle_deg for s in items[0].sensors] == [0, 45, 90, 135, 180, 225, 270, 315]


def test_repetitions_count_each_gesture_over_both_sections(tmp_path):
  """The same repetition in training and test of a split, or a count that a bad trial shifts."""
  bad = trial('open', groundTruth=None)
  items = parse(tmp_path, user([trial(), trial('open'), bad, trial(seed=2), trial('noGesture')],
                               [trial('open', seed=4), trial(seed=3)]))
  found = [(i.labels[0].name, i.repetition) for i in items if isinstance(i, Record)]
  assert found == [('fist', 0), ('open', 0), ('fist', 1), ('noGesture', 0), ('open', 2),
                   ('fist', 2)]


def test_only_the_trials_kept_back_by_the_authors_are_without_label(tmp_path):
  """Unlabelled trials of the testing group lost, or taken for labelled ones of another group."""
  hidden = trial(gestureName=None, groundTruth=None, groundTruthIndex=None)
  items = parse(tmp_path, user([trial()], [hidden]), 'testingJSON/user7/user7.json')
  assert [(item.labels, item.repetition) for item in items] == [((Label(40, 90, 'fist'),), 0),
                                                               ((), -1)]
  assert items[1].record_id == '2-testing/user007/2-testing-001'
  for name, content in (('testingJSON/user7/user7.json', user([hidden])),
                        ('trainingJSON/user7/user7.json', user([trial()], [hidden]))):
    (reject,) = [item for item in parse(tmp_path, content, name) if isinstance(item, Reject)]
    assert reject.reason == vocabulary.MISSING_LABEL


@pytest.mark.parametrize('ends, accepted', [
    ([41, 90], True), ([40, 90], True), ([40, 89], True), ([41.0, 91.0], True),
    ([43, 90], False), ([41, 88], False), ([90, 41], False), ([41], False), ([41, None], False),
    ([10**400, 90], False), ([41, 1e999], False), ({'a': 1}, False)])
def test_both_forms_of_the_ground_truth_must_agree(tmp_path, ends, accepted):
  """An index of another trial; or all trials refused since it counts from 0, not 1."""
  data = json.dumps(user([trial(groundTruthIndex=ends)])).replace('Infinity', '1e999')
  item = parse_bytes(tmp_path, data.encode())[0]
  if accepted:
    assert item.labels == (Label(40, 90, 'fist'),)
  else:
    assert item.reason == vocabulary.BAD_VALUE and 'groundTruthIndex' in item.detail


def test_an_empty_user_is_counted(tmp_path):
  """One empty person that stops the build of 612."""
  for empty in ({}, [], None):
    items = parse(tmp_path, user([], trainingSamples=empty))
    assert items[0].reason == vocabulary.NO_RECORDING and len(items) == 2
  content = user([])
  del content['trainingSamples'], content['testingSamples']
  assert [i.reason for i in parse(tmp_path, content)] == [vocabulary.NO_RECORDING] * 2
  folder = build_lib.build('emg_epn612', str(tmp_path), str(make_dummy_data.FOLDER),
                           progress=False)
  source = read_records(folder)
  assert source.meta.reject_counts == {vocabulary.NO_RECORDING: 2, vocabulary.DUPLICATE: 1}


def test_of_a_trial_in_both_groups_the_labelled_copy_stays(tmp_path):
  """The label lost with the copy that was dropped."""
  folder = build_lib.build('emg_epn612', str(tmp_path), str(make_dummy_data.FOLDER),
                           progress=False)
  (reject,) = [r for r in read_records(folder).meta.rejects
               if r['reason'] == vocabulary.DUPLICATE]
  assert reject['name'] == 'testingJSON/user10/user10.json'
  kept = {r.record_id: r for r in read_records(folder)}['1-training/user001/2-testing-001']
  assert kept.labels == (Label(30, 80, 'fist'),)


def test_nothing_about_the_person_gets_through(tmp_path):
  """A name or an age in records, metadata or rejects."""
  make_dummy_data.main(tmp_path / 'raw')
  path = tmp_path / 'raw/trainingJSON/user1/user1.json'
  content = json.loads(path.read_text())
  content['userInfo'] = dict.fromkeys(content['userInfo'], 'Quitumbe')
  content['trainingSamples']['idx_5']['gestureName'] = '?'  # a reject tells of the file too
  path.write_text(json.dumps(content))
  (path.parent / 'photo.jpg').write_bytes(b'Quitumbe')
  (path.parent / '._user1.json').write_bytes(b'Quitumbe')  # as some systems add
  folder = build_lib.build('emg_epn612', str(tmp_path), str(tmp_path / 'raw'), skip_bad=True,
                           progress=False)
  assert len(read_records(folder)) == 10
  assert vocabulary.UNKNOWN_FILE not in read_records(folder).meta.reject_counts
  text = b''.join(file.read_bytes() for file in folder.iterdir())
  text += repr(list(read_records(folder))).encode()  # the shards are compressed
  assert b'Quitumbe' not in text


def channel(*values):
  return trial()['emg'] | {'ch3': list(values) + [0] * (N - len(values))}


BAD_TRIALS = [
    ([], vocabulary.BAD_FORMAT, 'emg is not'),
    (7, vocabulary.BAD_FORMAT, 'emg is not'),
    (trial(emg=[1, 2]), vocabulary.BAD_FORMAT, 'ch1 to ch8'),
    (trial(emg=trial()['emg'] | {'ch9': [1] * N}), vocabulary.BAD_FORMAT, 'ch1 to ch8'),
    (trial(emg=trial()['emg'] | {'ch8': 3}), vocabulary.BAD_FORMAT, 'emg.ch8'),
    (trial(emg=channel('1')), vocabulary.BAD_FORMAT, 'emg.ch3'),
    (trial(emg=channel(None)), vocabulary.BAD_FORMAT, 'emg.ch3'),
    (trial(emg=channel(True)), vocabulary.BAD_FORMAT, 'emg.ch3'),
    (trial(emg=channel([1])), vocabulary.BAD_FORMAT, 'emg.ch3'),
    (trial(emg=channel(128)), vocabulary.BAD_VALUE, '-128 to 127'),
    (trial(emg=channel(-10**400)), vocabulary.BAD_VALUE, '-128 to 127'),
    (trial(emg=channel(-0.0078125)), vocabulary.BAD_VALUE, 'fractions'),
    (trial(emg=channel()), vocabulary.CONSTANT_CHANNEL, 'ch3 is 0'),
    (trial(emg=trial()['emg'] | {'ch8': [1] * (N - 1)}), vocabulary.BAD_SIZE, '119'),
    (trial(emg={f'ch{i}': [1, 2] for i in range(1, 9)}), vocabulary.TOO_SHORT, '2 samples'),
    (trial(emg={f'ch{i}': [] for i in range(1, 9)}), vocabulary.TOO_SHORT, '0 samples'),
    (trial('wave'), vocabulary.UNKNOWN_LABEL, "'wave'"),
    (trial(gestureName=['fist'] * 9), vocabulary.UNKNOWN_LABEL, 'no text'),
    (trial(groundTruthIndex=None), vocabulary.MISSING_LABEL, 'groundTruthIndex'),
    (trial(groundTruth=[0] * N), vocabulary.BAD_VALUE, '0 ones'),
    (trial(groundTruth=[1, 0] * (N // 2)), vocabulary.BAD_VALUE, '60 ones'),
    (trial(groundTruth=[0, 2] * (N // 2)), vocabulary.BAD_VALUE, '0 and 1'),
    (trial(groundTruth=[1] * (N - 1)), vocabulary.BAD_SIZE, '120 numbers'),
    (trial(groundTruth=1), vocabulary.BAD_SIZE, '120 numbers'),
    (trial(groundTruth=['1'] * N), vocabulary.BAD_VALUE, '0 and 1'),
]


@pytest.mark.parametrize('content, reason, said', BAD_TRIALS)
def test_a_bad_trial_is_a_reject_beside_its_neighbours(tmp_path, content, reason, said):
  """One bad trial that costs a person, or passes for a recording."""
  items = parse(tmp_path, user([content, trial()]))
  assert isinstance(items[0], Reject) and isinstance(items[1], Record)
  assert items[0].name.endswith('Samples/idx_1')
  assert items[0].reason == reason and said in items[0].detail


GOOD = json.dumps(user([trial()])).encode()
BAD_FILES = [
    (b'', vocabulary.BAD_FORMAT, 'expected JSON'),
    (GOOD[:-9], vocabulary.BAD_FORMAT, 'expected JSON'),
    (b'\xff' * 100, vocabulary.BAD_FORMAT, 'expected JSON'),
    (GOOD.replace(b'200', b'NaN'), vocabulary.BAD_FORMAT, 'NaN is no JSON'),
    (GOOD.replace(b'"ch3"', b'"ch2"', 1), vocabulary.BAD_FORMAT, 'one name twice'),
    (GOOD.replace(b'200', b'1000', 1), vocabulary.BAD_FORMAT, 'samplingFrequencyInHertz'),
    (b'[' * 5000, vocabulary.BAD_FORMAT, 'recursion'),
    (b'[' * 5000 + b']' * 5000, vocabulary.BAD_FORMAT, 'recursion'),
    (b'[{}' + b',{}' * parser.MAX_PARTS + b']', vocabulary.BAD_FORMAT, 'at most 100000'),
    (b'{' + b'"ab":1,' * parser.MAX_PARTS + b'"b":1}', vocabulary.BAD_FORMAT, 'at most 100000'),
    (b'9' * 5000, vocabulary.BAD_FORMAT, 'expected JSON'),
    (b'null', vocabulary.BAD_FORMAT, 'samplingFrequencyInHertz'),
    (b'[1, 2]', vocabulary.BAD_FORMAT, 'samplingFrequencyInHertz'),
    (json.dumps(user([], trainingSamples=[1])).encode(), vocabulary.BAD_FORMAT, 'other names'),
    (GOOD.replace(b'idx_1', b'idx_0', 1), vocabulary.BAD_FORMAT, 'other names'),
]


@pytest.mark.parametrize('data, reason, said', BAD_FILES, ids=range(len(BAD_FILES)))
def test_a_bad_file_is_a_reject(tmp_path, data, reason, said):
  """An exception of the reader that ends a build of hours."""
  item = parse_bytes(tmp_path, data)[0]
  assert isinstance(item, Reject) and item.reason == reason and said in item.detail


@pytest.mark.parametrize('name', [
    'trainingJSON/user0/user0.json', 'trainingJSON/user307/user307.json',
    'trainingJSON/user1/user2.json', 'trainingJSON/user01/user01.json',
    'testingJSON/user1/other.json'])
def test_other_names_are_unknown(tmp_path, name):
  """A second copy, or someone's notes, taken for a person."""
  (item,) = parse_bytes(tmp_path, GOOD, name)
  assert item.reason == vocabulary.UNKNOWN_FILE


def test_names_of_people_in_any_encoding_do_no_harm(tmp_path):
  """A file refused for an accent."""
  for name in ('Zoë'.encode('latin-1'), 'Zoë'.encode(), b'\xff\xfe'):
    items = parse_bytes(tmp_path, GOOD.replace(b'Zo\\u00eb', name))
    assert isinstance(items[0], Record)


def test_a_huge_file_is_refused_unread(tmp_path):
  """Memory for whatever a file holds."""
  path = tmp_path / 'x.json'
  path.write_bytes(GOOD)
  (item,) = parser.parse(Job('trainingJSON/user7/user7.json', str(path), parser.MAX_BYTES + 1))
  assert item.reason == vocabulary.BAD_SIZE


@pytest.mark.heavy
def test_damaged_bytes_are_rejects_or_valid_records(tmp_path):
  """An uncaught exception of the reader."""
  data = (make_dummy_data.FOLDER / 'testingJSON/user10/user10.json').read_bytes()
  for n in range(0, len(data), 997):
    assert all(isinstance(i, Reject) for i in parse_bytes(tmp_path, data[:n]))
  for bit in range(0, 8 * len(data), 1009):
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    assert parse_bytes(tmp_path, bytes(flipped))


def test_jobs_come_in_order_of_number_and_training_first(tmp_path):
  """user10 before user9, or testing before training: ids out of order stop the build."""
  for name in ('testingJSON/user9', 'trainingJSON/user10', 'trainingJSON/user9'):
    path = tmp_path / 'EMG-EPN612 Dataset' / name / f'{name.split("/")[1]}.json'
    path.parent.mkdir(parents=True)
    path.write_bytes(GOOD)
  assert [parser.record_id(job.name) for job in parser.find_jobs([tmp_path])] == [
      '1-training/user009', '1-training/user010', '2-testing/user009']
