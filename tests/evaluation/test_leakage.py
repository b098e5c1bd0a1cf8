"""Nothing of the held-out subject reaches what is trained, and permuted labels teach nothing."""

import dataclasses

import jax
import numpy as np
import pytest

from aemg_jax.data import batches, splits
from aemg_jax.evaluation import transfer
from aemg_jax.evaluation.transfer import TransferData
from tests import tiny_set
from tests.evaluation.test_transfer import METHOD


def _params(method, change, view, fold):
  data = TransferData({view: tiny_set.prepared(view, change)}, None)
  prepared = data.views[view]
  centre = batches.make_centre(prepared, method.centre, transfer._sessions(prepared, fold))
  if method.align:
    centre = batches.aligned(prepared, centre, *_sides(fold))
  return method._train(data, fold, centre, 0)


def _sides(fold):
  return [row.segment for row in fold.train], [row.segment for row in fold.calibration + fold.test]


@pytest.mark.heavy
def test_the_held_out_subjects_data_change_no_trained_parameter():
  """Catches: the target in the centre, the scale, a batch or a moment of the optimiser. Its
  recordings times 1000 must leave the parameters as they are, to the bit."""
  folds = splits.loso(tiny_set.prepared().segments, tiny_set.SUBJECTS)
  session = dataclasses.replace(METHOD, view='session', centre='session', align=True)
  for method, view in ((METHOD, 'fixed'), (session, 'session')):
    quiet, loud = (_params(method, change, view, folds[2]) for change in ('', 's2'))
    jax.tree.map(np.testing.assert_array_equal, quiet, loud)
  other, louder = (_params(METHOD, change, 'fixed', folds[0]) for change in ('', 's2'))
  assert any((a != b).any() for a, b in zip(jax.tree.leaves(other), jax.tree.leaves(louder)))


def test_alignment_reads_no_label_of_the_target():
  """Catches: class means of the held-out wearer in the frame, or in its own place."""
  prepared = tiny_set.prepared('session')
  fold = splits.loso(prepared.segments, tiny_set.SUBJECTS)[2]
  elements = []
  for move in (0, 1):
    label = prepared.segments['label'].copy()
    of = tiny_set.rows_of('s2')
    label[of] = (label[of] + move) % 3
    moved = dataclasses.replace(prepared, segments=prepared.segments | {'label': label})
    centre = batches.make_centre(moved, 'session', ())
    elements.append(batches.aligned(moved, centre, *_sides(fold)).element_s)
  np.testing.assert_array_equal(*elements)


def _accuracy(method, prepared):
  data, right = TransferData({'fixed': prepared}, None), []
  for fold in splits.loso(prepared.segments, tiny_set.SUBJECTS):
    got = method.predict(data, fold, 0)
    right.append(got.segment_log_prob.argmax(1) == prepared.segments['label'][got.segment_rows])
    np.testing.assert_allclose(np.exp(got.window_log_prob).sum(1), 1, rtol=1e-4)
  return np.mean(np.concatenate(right))


# A closed form finds whatever tells the label at once; a network shows that training does not help.
@pytest.mark.heavy
@pytest.mark.parametrize('method', [
    dataclasses.replace(METHOD, tune='lda', whole_sentence=False), METHOD], ids=('lda', 'network'))
def test_permuted_labels_give_chance(method):
  """(e) Catches: any way for the answer to reach the model. The same run learns the true labels."""
  prepared = tiny_set.prepared()
  assert _accuracy(method, prepared) > 0.9
  rng, table = np.random.default_rng(3), dict(prepared.segments)
  label = table['label'].copy()
  for subject in tiny_set.SUBJECTS:
    of = np.flatnonzero(table['subject'] == subject)
    label[of] = rng.permutation(label[of])
  shuffled = dataclasses.replace(prepared, segments=table | {'label': label})
  # 36 repetitions, so 2.5 deviations. Below chance is no leak: what a subject has more of by chance
  # in training, it has less of in the test.
  assert _accuracy(method, shuffled) < 1 / 3 + 0.2
