"""Splits of windows of motion: what S0 leaks, and that S1, S2 and S3 do not."""

import numpy as np
import pytest

from aemg_jax.data import motion_splits as lib

GAP_S = 15.0


def _segments():
  """Two people, two tasks: windows of 15 s each 5 s of 120 s."""
  rows = [(f'{s}/{t}', s, t, start) for s in 'AB' for t in ('lift', 'reach')
          for start in np.arange(0, 106, 5.0)]
  record, subject, session, start_s = (np.array(x) for x in zip(*rows))
  return {'record_id': record, 'subject': subject, 'session': session,
          'repetition': np.full(len(rows), -1), 'label': (start_s > 60).astype(int),
          'start_s': start_s, 'stop_s': start_s + 15}


def _apart_s(fold):
  """Least gap in s between training and test windows of one recording; negative: they overlap."""
  gaps = [max(a.start_s - b.stop_s, b.start_s - a.stop_s)
          for a in fold.train for b in fold.test if a.record_id == b.record_id]
  return min(gaps, default=np.inf)


def test_s0_is_the_papers_and_leaks():
  """Catches: a 'random' split that is not 8:1:1, and proves that the overlap below can be seen."""
  (fold,) = lib.folds_of('S0', _segments(), GAP_S, 4, seed=0)
  n = len(_segments()['label'])
  assert len(fold.test) == n // 10 and len(fold.train) == n - 2 * (n // 10)
  assert not {r.segment for r in fold.train} & {r.segment for r in fold.test}
  assert _apart_s(fold) == -10  # neighbours share 10 of 15 s
  assert fold != lib.folds_of('S0', _segments(), GAP_S, 4, seed=1)[0]
  assert 'leaky' in lib.TITLES['S0'] and 'comparison with the paper only' in lib.TITLES['S0']


def test_s1_keeps_a_gap_and_tests_every_part():
  """Catches: training windows that touch a tested block, a window cut by a block's edge on either side."""
  folds = lib.folds_of('S1', _segments(), GAP_S, 4, seed=0)
  assert [f.name for f in folds] == ['block0', 'block1', 'block2', 'block3']
  assert min(map(_apart_s, folds)) >= GAP_S
  for k, fold in enumerate(folds):
    assert {r.record_id for r in fold.test} == {r.record_id for r in fold.train} and len(fold.test) == 4 * 4
    names = ('A/lift', 'A/reach', 'B/lift', 'B/reach')
    low_s = {name: 30 * ((k + i) % 4) for i, name in enumerate(names)}
    assert all(low_s[r.record_id] <= r.start_s and r.stop_s <= low_s[r.record_id] + 30 for r in fold.test)
    labels = _segments()['label'][[r.segment for r in fold.train]]
    assert set(labels) == {0, 1}  # were all recordings tested at the end, none that trains were tired
  with pytest.raises(ValueError, match='S1: block 0 of 2: 0 windows train'):
    lib.folds_of('S1', _segments(), 60.0, 2, seed=0)


@pytest.mark.parametrize('name, column', [('S2', 'subject'), ('S3', 'session')])
def test_s2_and_s3_share_nobody_and_no_task(name, column):
  """Catches: a person (a task) in both roles, one that is never tested."""
  segments = _segments()
  folds = lib.folds_of(name, segments, GAP_S, 4, seed=0)
  of = lambda rows: {segments[column][r.segment] for r in rows}
  for fold in folds:
    assert of(fold.test) == {fold.name} and not of(fold.train) & of(fold.test)
    assert len(fold.train) + len(fold.test) == len(segments['label'])
  assert {f.name for f in folds} == set(segments[column].tolist())


def test_what_cannot_be_split_is_refused():
  """Catches: one person 'left out' of nobody; a misspelt split."""
  alone = {key: value[:22] for key, value in _segments().items()}
  with pytest.raises(ValueError, match="split S2: subject: got .'A'. alone"):
    lib.folds_of('S2', alone, GAP_S, 4, seed=0)
  with pytest.raises(ValueError, match="split: got 'S4'"):
    lib.folds_of('S4', alone, GAP_S, 4, seed=0)
