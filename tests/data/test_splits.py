"""Folds and split tables on a small table: who may meet whom, in which order, for how long."""

import dataclasses

import numpy as np
import pytest

from aemg_jax.data import split_table, splits

SUBJECTS = ('A/1', 'A/2', 'B/1')


def make_segments(length_s=5.0, n_labels=2, n_repetitions=3):
  """Three subjects x sessions train, t0 x repetitions x labels; a record per repetition of a label.

  The table is in order of record_id, where repetitions of different labels are mixed and repetition
  10 comes before 2, as in a built set.
  """
  rows = [(f'{subject}/{session}/{repetition}_{label}', subject, session, repetition, label)
          for subject in SUBJECTS for session in ('t0', 'train')
          for repetition in range(n_repetitions) for label in range(n_labels)]
  rows.sort()
  columns = dict(zip(('record_id', 'subject', 'session', 'repetition', 'label'), zip(*rows)))
  segments = {name: np.array(values) for name, values in columns.items()}
  segments['start_s'] = np.zeros(len(rows))
  segments['stop_s'] = np.full(len(rows), length_s)
  return segments


def _subjects(segments, rows):
  return {str(segments['subject'][row.segment]) for row in rows}


def _covered(rows):
  """Set of (record, tenth of a second)."""
  return {(row.record_id, k) for row in rows
          for k in range(round(row.start_s * 10), round(row.stop_s * 10))}


def test_loso_holds_each_subject_out_once_and_tests_all_of_it():
  # Catches a target in train, a subject without a fold, and lost repetitions.
  segments = make_segments()
  folds = splits.loso(segments, SUBJECTS)
  assert [fold.name for fold in folds] == list(SUBJECTS)
  for fold in folds:
    assert _subjects(segments, fold.test) == {fold.name}
    assert _subjects(segments, fold.train) == set(SUBJECTS) - {fold.name}
    assert len(fold.test) == 12 and len(fold.train) == 24 and not fold.calibration


def test_loso_over_some_subjects_trains_on_those_alone():
  # Catches training on subjects outside the list (the pre-training part, a duplicate).
  folds = splits.loso(make_segments(), ('A/1', 'A/2'), test_sessions=('t0',))
  assert _subjects(make_segments(), folds[0].train) == {'A/2'}
  assert len(folds[0].test) == 6


def test_within_calls_the_targets_own_sessions_calibration():
  # Catches a within-subject fold that passes as source training, and sessions swapped.
  segments = make_segments()
  for fold in splits.within(segments, SUBJECTS, ('train',), ('t0',)):
    assert not fold.train
    assert {segments['session'][row.segment] for row in fold.calibration} == {'train'}
    assert {segments['session'][row.segment] for row in fold.test} == {'t0'}
    assert _subjects(segments, fold.calibration + fold.test) == {fold.name}


def test_cross_is_one_fold_between_the_parts():
  # Catches a part in both roles.
  segments = make_segments()
  (fold,) = splits.cross(segments, ('B/1',), ('A/1', 'A/2'))
  assert _subjects(segments, fold.train) == {'B/1'}
  assert _subjects(segments, fold.test) == {'A/1', 'A/2'}
  with pytest.raises(ValueError, match="fold 'cross': subject 'A/1' is in train and in test"):
    splits.cross(segments, ('A/1',), ('A/1', 'A/2'))


def test_few_labelled_people_keep_all_they_have_and_the_test_stays():
  # Catches rows in place of people, one draw for all, a draw that depends on the order of the rows.
  segments = make_segments()
  fold = splits.Fold('x', splits.whole_rows(segments, ('A/1', 'A/2')), (), splits.whole_rows(segments, ('B/1',)))
  drawn = [splits.some_labelled(segments, fold, 1, draw) for draw in range(8)]
  assert {tuple(_subjects(segments, f.train)) for f in drawn} == {('A/1',), ('A/2',)}
  assert all(f.test == fold.test and len(f.train) == len(fold.train) // 2 for f in drawn)
  turned = dataclasses.replace(fold, train=fold.train[::-1])
  assert [_subjects(segments, splits.some_labelled(segments, turned, 1, d).train) for d in range(8)] == [
      _subjects(segments, f.train) for f in drawn]
  other = [splits.some_labelled(segments, dataclasses.replace(fold, name='y'), 1, d) for d in range(8)]
  assert [_subjects(segments, f.train) for f in other] != [_subjects(segments, f.train) for f in drawn]
  for number in (0, 3):
    with pytest.raises(ValueError, match=f"fold 'x': got {number} labelled people, expected 1 to 2"):
      splits.some_labelled(segments, fold, number, 0)


def test_few_shot_fractions_are_nested_with_one_test_set_and_equal_gestures():
  # Catches random instead of time-ordered shots, a test set that shrinks, and unequal gestures.
  segments = make_segments()
  sessions = dict(calibration_sessions=('train',), test_sessions=('t0',))
  smaller = None
  for fraction in (0.02, 0.1, 0.3, 0.5):
    fold = splits.few_shot(segments, SUBJECTS, fraction=fraction, **sessions)[1]
    seconds = {label: sum(row.stop_s - row.start_s for row in fold.calibration
                          if segments['label'][row.segment] == label) for label in (0, 1)}
    assert seconds == pytest.approx({0: fraction * 30, 1: fraction * 30})  # 60 s, 2 gestures
    assert fold.test == splits.few_shot(segments, SUBJECTS, fraction=1e-3, **sessions)[1].test
    assert not _covered(fold.calibration) & _covered(fold.test)
    if smaller:
      assert _covered(smaller.calibration) < _covered(fold.calibration)
    smaller = fold


def test_few_shot_takes_the_earliest_seconds_first():
  # Catches order by record name or by table row in place of time: repetition 10 is late, and the
  # crop must be the start of the repetition, not its end.
  segments = make_segments(n_repetitions=11)
  fold = splits.few_shot(segments, SUBJECTS, ('train',), ('t0',), fraction=0.07)[0]
  rows = sorted((int(segments['label'][row.segment]), int(segments['repetition'][row.segment]),
                 row.start_s, round(row.stop_s, 6)) for row in fold.calibration)
  assert rows == [(0, 0, 0.0, 5.0), (0, 1, 0.0, 2.7), (1, 0, 0.0, 5.0), (1, 1, 0.0, 2.7)]
  later = splits.few_shot(segments, SUBJECTS, ('train',), ('t0',), fraction=0.2)[0]
  assert {int(segments['repetition'][row.segment]) for row in later.calibration} == {0, 1, 2, 3, 4}


def test_first_cycle_is_the_first_repetition_of_each_gesture():
  # Catches a first cycle taken in table order (repetition 10 sorts before 2) or of one gesture.
  segments = make_segments(n_repetitions=11)
  keep = segments['repetition'] >= 2  # the first there is, whatever its number
  segments = {name: values[keep] for name, values in segments.items()}
  fold = splits.few_shot(segments, SUBJECTS, ('train',), ('t0',), None)[2]
  assert {(int(segments['label'][r.segment]), int(segments['repetition'][r.segment]),
           str(segments['session'][r.segment])) for r in fold.calibration} == {
               (0, 2, 'train'), (1, 2, 'train')}


def test_few_shot_refuses_more_than_there_is():
  # Catches a fraction that silently gives less than it says.
  with pytest.raises(ValueError, match=r'21 s of label \d wanted, .* hold 15 s'):
    splits.few_shot(make_segments(), SUBJECTS, ('train',), ('t0',), fraction=0.7)


def test_unlabelled_segments_are_in_no_fold():
  # Catches label -1 taken as the last class.
  segments = make_segments()
  segments['label'][::5] = -1
  for fold in splits.loso(segments, SUBJECTS):
    assert all(segments['label'][row.segment] >= 0 for row in fold.train + fold.test)


def test_subjects_are_chosen_by_name_or_prefix_and_typos_are_refused():
  # Catches 'A/1' matching 'A/10', and a pattern that fits nobody.
  segments = make_segments()
  segments['subject'] = np.where(segments['subject'] == 'B/1', 'A/10', segments['subject'])
  assert splits.select_subjects(segments, ('A/1',), 'x') == ('A/1',)
  assert splits.select_subjects(segments, ('A/2', 'A/*'), 'x') == ('A/2', 'A/1', 'A/10')
  assert splits.select_subjects(segments, (), 'x') == ('A/1', 'A/10', 'A/2')
  with pytest.raises(ValueError, match="subjects: 'C/\\*' fits no subject"):
    splits.select_subjects(segments, ('C/*',), 'subjects')


def test_subjects_of_two_datasets_with_one_name_stay_apart():
  # Catches subject '1' of one set tested while '1' of another trains as "the same" person.
  segments = make_segments()
  segments['dataset'] = np.where(segments['subject'] == 'A/1', 'x', 'y')
  segments['subject'] = np.where(segments['subject'] == 'B/1', 'A/1', segments['subject'])
  keys = splits.select_subjects(segments, (), 'x')
  assert keys == ('x:A/1', 'y:A/1', 'y:A/2')
  assert len(splits.loso(segments, keys)) == 3


def _fold(segments, **changes):
  return dataclasses.replace(splits.loso(segments, SUBJECTS)[0], **changes)


@pytest.mark.parametrize('plant, message', [
    (lambda s, f: {'train': f.train + (f.test[0],)}, "subject 'A/1' is in train and in test"),
    (lambda s, f: {'calibration': (f.train[0],)}, 'is in train and in test or calibration'),
    (lambda s, f: {'train': (), 'calibration': (f.train[0],)}, 'calibrates but is not tested'),
    (lambda s, f: {'calibration': (f.test[0],)}, 'is used twice'),
    (lambda s, f: {'train': f.train + (f.train[3],)}, 'is used twice'),
    (lambda s, f: {'test': ()}, 'no test rows'),
    (lambda s, f: {'train': ()}, 'neither train nor calibration'),
])
def test_planted_overlaps_and_empty_roles_are_refused(plant, message):
  # Catches a leak: each of these has been a published mistake.
  segments = make_segments()
  fold = _fold(segments)
  with pytest.raises(ValueError, match=message):
    splits.check_fold(segments, dataclasses.replace(fold, **plant(segments, fold)))


def test_calibration_and_test_may_share_a_recording_at_other_seconds():
  # Catches a check by record alone: one continuous recording may hold both parts.
  segments = make_segments()
  first = _fold(segments).test[0]
  fold = _fold(segments, calibration=(dataclasses.replace(first, stop_s=2.0),),
               test=(dataclasses.replace(first, start_s=2.0),))
  assert splits.check_fold(segments, fold) is fold


def test_crop_samples_count_from_the_segments_start():
  # Catches seconds of the recording used as seconds of the segment.
  segments = make_segments()
  segments['start_s'][4], segments['stop_s'][4] = 10.0, 15.0
  assert splits.crop_samples(segments, splits.Row(4, 'x', 10.5, 12.0), 200.0) == (100, 400)


def test_split_hash_sees_roles_and_crops_but_no_order():
  # Catches a hash that depends on the order of rows, or that a moved row or a crop leaves alone.
  segments = make_segments()
  folds = splits.loso(segments, SUBJECTS)
  base = splits.split_hash(folds)
  assert len(base) == 64
  assert splits.split_hash([
      dataclasses.replace(f, train=f.train[::-1]) for f in folds[::-1]]) == base
  first = folds[0]
  row = first.train[0]
  for other in (
      dataclasses.replace(first, train=first.train[1:]),
      dataclasses.replace(first, train=first.train[1:], calibration=(row,)),
      dataclasses.replace(first, train=first.train[1:] + (dataclasses.replace(row, stop_s=4.9),)),
      dataclasses.replace(first, name='other')):
    assert splits.split_hash((other,) + folds[1:]) != base


def test_a_written_table_reads_back_as_the_same_folds(tmp_path):
  # Catches lost crops, roles or digits on the way through the file.
  segments = make_segments(length_s=4.99)
  folds = splits.few_shot(segments, SUBJECTS, ('train',), ('t0',), fraction=0.11)
  split_table.write_split_table(tmp_path / 'folds.csv', folds)
  assert [path.name for path in tmp_path.iterdir()] == ['folds.csv']
  read = split_table.read_split_table(tmp_path / 'folds.csv', segments)
  assert read == folds
  assert splits.split_hash(read) == splits.split_hash(folds)


def test_a_row_covers_all_segments_of_its_record_within_the_seconds(tmp_path):
  # Catches a continuous recording of which only the first label span is taken, or seconds ignored.
  segments = make_segments()
  segments['record_id'][:3] = 'long'
  segments['start_s'][:3], segments['stop_s'][:3] = (0, 10, 20), (5, 15, 25)
  train = str(segments['record_id'][-1])
  path = tmp_path / 'folds.csv'
  path.write_text(f'role,record_id,fold,start_s,stop_s\ntest,long,f,3,22\n\ntrain,{train},f,,\n')
  (fold,) = split_table.read_split_table(path, segments)
  assert [(row.segment, row.start_s, row.stop_s) for row in fold.test] == [
      (0, 3.0, 5.0), (1, 10.0, 15.0), (2, 20.0, 22.0)]
  assert [(row.segment, row.start_s, row.stop_s) for row in fold.train] == [(35, 0.0, 5.0)]


@pytest.mark.parametrize('text, message', [
    ('f,A/1/t0/0_0,test\nf,nobody,train\n', r"folds.csv:3: record_id: 'nobody' is not in"),
    ('f,A/1/t0/0_0,tset\n', r"folds.csv:2: role: got 'tset', expected one of"),
    ('f,A/1/t0/0_0,test\nf,A/1/t0/0_1,train\n',
     r"folds.csv:3: subject 'A/1' is train here and tested or calibrating in line 2"),
    ('f,A/1/t0/0_0,train\nf,A/1/train/0_1,calibration\n',
     r"folds.csv:3: subject 'A/1' is calibration here and in train in line 2"),
    ('f,A/1/t0/0_0,test\nf,A/1/t0/0_0,calibration\n', "folds.csv: fold 'f': .* is used twice"),
    ('f,A/1/t0/0_0,test\n', "folds.csv: fold 'f': neither train nor calibration"),
    ('f,A/1/t0/0_0,train\n', "folds.csv: fold 'f': no test rows"),
    ('f,A/1/t0/0_0\n', 'folds.csv:2: 2 cells, expected 3'),
    ('', 'folds.csv: no rows'),
])
def test_bad_tables_name_file_and_line(tmp_path, text, message):
  # Catches a table that is half understood.
  path = tmp_path / 'folds.csv'
  path.write_text('fold,record_id,role\n' + text)
  with pytest.raises(ValueError, match=message) as caught:
    split_table.read_split_table(path, make_segments())
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize('content, message', [
    (b'fold,record,role\n', r'folds.csv:1: got columns'),
    (b'fold,record_id,role,start_s\nf,A/1/t0/0_0,test,x\n', "folds.csv:2: start_s: got 'x'"),
    (b'fold,record_id,role,start_s\nf,A/1/t0/0_0,test,-1\n', "folds.csv:2: start_s: got '-1'"),
    (b'fold,record_id,role,start_s\nf,A/1/t0/0_0,test,5\n',
     'folds.csv:2: 5 to inf s .* no labelled'),
    (b'fold,record_id,role\nf,\xff,test\n', 'folds.csv: cannot be read as a split table'),
    (None, 'folds.csv: cannot be read as a split table'),
])
def test_bad_files_name_the_file(tmp_path, content, message):
  # Catches a traceback for a missing, binary or misheaded file.
  path = tmp_path / 'folds.csv'
  if content is not None:
    path.write_bytes(content)
  with pytest.raises(ValueError, match=message):
    split_table.read_split_table(path, make_segments())
