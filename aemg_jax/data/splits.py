"""Folds over segments: leave-one-subject-out, within subject, cross set, few-shot.

`segments` is the table of a prepared set: a mapping of equally long arrays with at least record_id,
subject, session, repetition, label (-1: none), start_s, stop_s; with several datasets in one table
a `dataset` column too, and subjects and records are then told apart as 'dataset:name'.

A fold has three roles. `train` never shares a subject or a recording with `test`. `calibration` is
labelled data of the test subjects, named as such, so that no leak hides in `train`; within-subject
protocols are folds with an empty `train`.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np

Segments = Mapping[str, np.ndarray]
ROLES = ('train', 'calibration', 'test')
_TOLERANCE_S = 1e-6


@dataclasses.dataclass(frozen=True, order=True)
class Row:
  """A crop of a segment: seconds from the start of the RECORDING, as the segment table has them."""
  segment: int
  record_id: str
  start_s: float
  stop_s: float


@dataclasses.dataclass(frozen=True)
class Fold:
  """Who trains, who calibrates (labelled target data) and who is tested."""
  name: str
  train: tuple[Row, ...]
  calibration: tuple[Row, ...]
  test: tuple[Row, ...]


def column_keys(segments: Segments, column: str) -> np.ndarray:
  """[S] names unique over the table: as they are for one dataset, else 'dataset:name'."""
  names = np.asarray(segments[column]).astype(str)
  if 'dataset' not in segments or len(set(np.asarray(segments['dataset']).tolist())) < 2:
    return names
  return np.array([f'{d}:{n}' for d, n in zip(segments['dataset'], names)])


def select_subjects(segments: Segments, patterns: Sequence[str], field: str) -> tuple[str, ...]:
  """Subjects by exact name or by prefix ('PreTraining/*'), each once, in the patterns' order.

  'dataset:name' is understood whether or not the table has several datasets. An empty list of
  patterns is every subject, sorted. A pattern that fits none raises ValueError.
  """
  return select_over([segments], patterns, field)[0]


def select_over(tables: Sequence[Segments], patterns: Sequence[str],
                field: str) -> list[tuple[str, ...]]:
  """`select_subjects` of several prepared sets: a pattern need only fit a subject of one."""
  known = [_subject_names(table) for table in tables]
  if not patterns:
    return [tuple(names) for names in known]
  chosen: list[dict[str, None]] = [{} for _ in tables]
  for pattern in patterns:
    found = [[key for key, names in subjects.items() if any(_fits(n, pattern) for n in names)]
             for subjects in known]
    if not any(found):
      everyone = [key for subjects in known for key in subjects]
      raise ValueError(f'{field}: {pattern!r} fits no subject, expected one of {everyone}')
    for mine, more in zip(chosen, found):
      mine.update(dict.fromkeys(more))
  return [tuple(mine) for mine in chosen]


def _subject_names(segments: Segments) -> dict[str, tuple[str, ...]]:
  """Key of each subject, sorted -> the names that it may be asked for by."""
  key_s = column_keys(segments, 'subject')
  dataset_s = segments['dataset'] if 'dataset' in segments else [''] * len(key_s)
  pairs = sorted(set(zip(key_s.tolist(), np.asarray(segments['subject']).tolist(),
                         np.asarray(dataset_s).tolist())))
  return {key: (key, f'{dataset}:{name}') for key, name, dataset in pairs}


def _fits(name: str, pattern: str) -> bool:
  return name.startswith(pattern[:-1]) if pattern.endswith('*') else name == pattern


def whole_rows(segments: Segments, subjects: Sequence[str],
               sessions: Sequence[str] = ()) -> tuple[Row, ...]:
  """All labelled segments of the subjects, in table order; sessions () is all of them."""
  wanted = np.isin(column_keys(segments, 'subject'), list(subjects))
  wanted &= np.asarray(segments['label']) >= 0
  if sessions:
    wanted &= np.isin(np.asarray(segments['session']).astype(str), list(sessions))
  record_s = column_keys(segments, 'record_id')
  return tuple(
      Row(int(i), str(record_s[i]), float(segments['start_s'][i]), float(segments['stop_s'][i]))
      for i in np.flatnonzero(wanted))


def loso(segments: Segments, subjects: Sequence[str], test_sessions: Sequence[str] = (),
         more: Sequence[str] = ()) -> tuple[Fold, ...]:
  """One fold per subject: the others, and `more` who are not tested, train with all they have."""
  return tuple(
      check_fold(segments, Fold(
          name=subject,
          train=whole_rows(segments, [s for s in (*subjects, *more) if s != subject]),
          calibration=(),
          test=whole_rows(segments, [subject], test_sessions))) for subject in subjects)


def groups_out(segments: Segments, subjects: Sequence[str], groups: int) -> tuple[Fold, ...]:
  """Every so many'th subject is tested in turn, the others train: fewer folds than leave-one-out."""
  if not 2 <= groups <= len(subjects):
    raise ValueError(f'groups: got {groups}, expected 2 to {len(subjects)}, the number of subjects')
  return tuple(
      check_fold(segments, Fold(
          name=f'group{i}',
          train=whole_rows(segments, [s for s in subjects if s not in subjects[i::groups]]),
          calibration=(),
          test=whole_rows(segments, subjects[i::groups]))) for i in range(groups))


def within(segments: Segments, subjects: Sequence[str], calibration_sessions: Sequence[str],
           test_sessions: Sequence[str]) -> tuple[Fold, ...]:
  """One fold per subject: some of the subject's own sessions are the labelled data, others test."""
  return tuple(
      check_fold(segments, Fold(
          name=subject,
          train=(),
          calibration=whole_rows(segments, [subject], calibration_sessions),
          test=whole_rows(segments, [subject], test_sessions))) for subject in subjects)


def cross(segments: Segments, train_subjects: Sequence[str], test_subjects: Sequence[str],
          test_sessions: Sequence[str] = ()) -> tuple[Fold, ...]:
  """One fold: one part of the table trains, another is tested."""
  return (check_fold(segments, Fold(
      name='cross',
      train=whole_rows(segments, train_subjects),
      calibration=(),
      test=whole_rows(segments, test_subjects, test_sessions))),)


def few_shot(segments: Segments, subjects: Sequence[str], calibration_sessions: Sequence[str],
             test_sessions: Sequence[str], fraction: float | None) -> tuple[Fold, ...]:
  """Leave-one-subject-out plus a little labelled data of the target.

  Args:
    segments: the table.
    subjects: targets; for each the others train.
    calibration_sessions: in time order; calibration comes from these alone.
    test_sessions: the same test set at every fraction.
    fraction: of the target's seconds (calibration and test), in (0, 1], equally per gesture and in
      time order, so that a larger fraction contains a smaller one. None takes the first cycle: the
      first repetition of each gesture.
  """
  folds = []
  for subject in subjects:
    rows = whole_rows(segments, [subject], calibration_sessions)
    rows = _time_ordered(segments, rows, calibration_sessions)
    test = whole_rows(segments, [subject], test_sessions)
    if fraction is None:
      calibration = _first_of_each_label(segments, rows)
    else:
      calibration = _first_seconds(segments, rows, fraction * _seconds(rows + test))
    folds.append(check_fold(segments, Fold(
        name=subject,
        train=whole_rows(segments, [s for s in subjects if s != subject]),
        calibration=calibration,
        test=test)))
  return tuple(folds)


def few_subjects(segments: Segments, subjects: Sequence[str], labelled: int, draw: int) -> tuple[Fold, Fold]:
  """Two folds: `labelled` people train and the others are tested; then those, by as many others.

  The people are the first and the last of an order that the draw decides, so a smaller number is part
  of a larger one of the same draw.
  """
  if not 1 <= 2 * labelled <= len(subjects):
    raise ValueError(f'few_subjects: got {labelled} labelled of {len(subjects)} people, expected at most half')
  order = [subjects[i] for i in np.random.default_rng(draw).permutation(len(subjects))]
  first, last = order[:labelled], order[-labelled:]
  tested = [subject for subject in subjects if subject not in first]
  return tuple(
      check_fold(segments, Fold(name, whole_rows(segments, train), (), whole_rows(segments, test)))
      for name, train, test in (('others', first, tested), ('labelled', last, first)))


def some_labelled(segments: Segments, fold: Fold, labelled: int, draw: int) -> Fold:
  """The fold with the training rows of `labelled` of its people, drawn by the draw and the fold's name."""
  subject_s = column_keys(segments, 'subject')
  people = sorted({str(subject_s[row.segment]) for row in fold.train})
  if not 1 <= labelled <= len(people):
    raise ValueError(f'fold {fold.name!r}: got {labelled} labelled people, expected 1 to {len(people)}, who train')
  key = int.from_bytes(hashlib.sha256(fold.name.encode()).digest()[:4], 'big')
  chosen = np.random.default_rng([draw, key]).choice(people, labelled, replace=False)
  return check_fold(segments, dataclasses.replace(
      fold, train=tuple(row for row in fold.train if subject_s[row.segment] in chosen)))


def stream(segments: Segments, subject: str, sessions: Sequence[str] = ()) -> tuple[Row, ...]:
  """A subject's labelled segments in time order, to be read without their labels; sessions () is all."""
  return _time_ordered(segments, whole_rows(segments, [subject], sessions), sessions)


def _seconds(rows: Sequence[Row]) -> float:
  return sum(row.stop_s - row.start_s for row in rows)


def _time_ordered(segments: Segments, rows: Sequence[Row],
                  sessions: Sequence[str]) -> tuple[Row, ...]:
  def key(row):
    session = str(segments['session'][row.segment])
    return (list(sessions).index(session) if sessions else session,
            int(segments['repetition'][row.segment]), row.record_id, row.start_s)
  return tuple(sorted(rows, key=key))


def _by_label(segments: Segments, rows: Sequence[Row]) -> dict[int, list[Row]]:
  groups: dict[int, list[Row]] = {}
  for row in rows:
    groups.setdefault(int(segments['label'][row.segment]), []).append(row)
  return groups


def _first_of_each_label(segments: Segments, rows: Sequence[Row]) -> tuple[Row, ...]:
  return tuple(sorted(group[0] for group in _by_label(segments, rows).values()))


def _first_seconds(segments: Segments, rows: Sequence[Row], budget_s: float) -> tuple[Row, ...]:
  if not budget_s > 0:
    raise ValueError(f'few_shot: a calibration of {budget_s:g} s, expected more than 0 s')
  groups = _by_label(segments, rows)
  taken = []
  for label, group in groups.items():
    left_s = budget_s / len(groups)
    if left_s > _seconds(group) + _TOLERANCE_S:
      raise ValueError(f'few_shot: {left_s:g} s of label {label} wanted, the calibration sessions '
                       f'of {group[0].record_id!r} hold {_seconds(group):g} s')
    for row in group:
      if left_s <= _TOLERANCE_S:
        break
      stop_s = min(row.stop_s, row.start_s + left_s)
      taken.append(dataclasses.replace(row, stop_s=stop_s))
      left_s -= stop_s - row.start_s
  return tuple(sorted(taken))


def check_fold(segments: Segments, fold: Fold) -> Fold:
  """Returns the fold, or raises ValueError: an empty role, or data in two roles at once."""
  if not fold.test:
    raise ValueError(f'fold {fold.name!r}: no test rows')
  if not fold.train and not fold.calibration:
    raise ValueError(f'fold {fold.name!r}: neither train nor calibration rows')
  subject_s = column_keys(segments, 'subject')
  records = {role: {row.record_id for row in getattr(fold, role)} for role in ROLES}
  subjects = {role: {str(subject_s[row.segment]) for row in getattr(fold, role)} for role in ROLES}
  for kind, sets in (('subject', subjects), ('record', records)):
    shared = sets['train'] & (sets['test'] | sets['calibration'])
    if shared:
      raise ValueError(f'fold {fold.name!r}: {kind} {min(shared)!r} is in train and in test or '
                       'calibration, expected a held-out one')
  foreign = subjects['calibration'] - subjects['test']
  if foreign:
    raise ValueError(f'fold {fold.name!r}: subject {min(foreign)!r} calibrates but is not tested')
  _refuse_overlap(fold)
  return fold


def _refuse_overlap(fold: Fold) -> None:
  """Within a role or between calibration and test no second of a segment occurs twice."""
  for rows in (fold.train, fold.calibration + fold.test):
    ordered = sorted(rows)
    for a, b in zip(ordered, ordered[1:]):
      if a.segment == b.segment and b.start_s < a.stop_s - _TOLERANCE_S:
        raise ValueError(f'fold {fold.name!r}: record {a.record_id!r}: {b.start_s:g} to '
                         f'{min(a.stop_s, b.stop_s):g} s is used twice')


def crop_samples(segments: Segments, row: Row, rate_hz: float) -> tuple[int, int]:
  """(start, stop) of a row in samples of its segment at `rate_hz`."""
  origin_s = float(segments['start_s'][row.segment])
  return round((row.start_s - origin_s) * rate_hz), round((row.stop_s - origin_s) * rate_hz)


def split_hash(folds: Sequence[Fold]) -> str:
  """sha256 of the folds' canonical form: name, role, record, seconds to a microsecond, sorted."""
  lines = sorted(
      json.dumps([fold.name, role, row.record_id, round(row.start_s, 6), round(row.stop_s, 6)])
      for fold in folds for role in ROLES for row in getattr(fold, role))
  return hashlib.sha256('\n'.join(lines).encode()).hexdigest()
