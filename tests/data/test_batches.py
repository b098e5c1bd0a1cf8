"""Sentences as batches: crops in seconds, centring, and what may enter a mean."""

import numpy as np
import pytest

from aemg_jax.data import batches
from aemg_jax.sentences import cache
from tests import tiny_set

NONE = 'none', ()


def _all(prepared, centre=NONE, rows=None, crops=None):
  rows = np.arange(len(prepared.segments['label'])) if rows is None else rows
  return batches.sentence_arrays(prepared, rows, crops, batches.make_centre(prepared, *centre))


def test_rows_keep_their_label_segment_and_index():
  """Catches: labels of the wrong segment when rows are asked for out of order."""
  prepared = tiny_set.prepared()
  batch = _all(prepared, rows=[7, 0, 30])
  assert batch['segment'].tolist() == [7, 0, 30]
  assert batch['label'].tolist() == prepared.segments['label'][[7, 0, 30]].tolist()
  assert batch['index'].tolist() == prepared.segments['first_sentence'][[7, 0, 30]].tolist()
  stored = cache.as_words(prepared.sentences.read(batch['index']))
  np.testing.assert_array_equal(batch['words'].spectrum_nf, stored.spectrum_nf)
  assert (batch['weight'] == 1).all()


@pytest.mark.parametrize('crop, slots', [
    ((0, 180), [0, 1, 2, 3]), ((0, 104), [0, 1]), ((0, 103), [0]), ((52, 180), [1, 2, 3]),
    ((1, 156), [1, 2]), ((0, 179), [0, 1, 2])])
def test_a_crop_keeps_words_that_lie_wholly_inside(crop, slots):
  """Catches: few-shot seconds that borrow samples from beyond the calibration (the test's side)."""
  batch = _all(tiny_set.prepared(), rows=[3], crops=[crop])
  valid_sc = batch['words'].valid_n.reshape(-1, 4)
  assert np.flatnonzero(valid_sc.all(1)).tolist() == slots
  assert np.flatnonzero(valid_sc.any(1)).tolist() == slots


def test_a_crop_without_a_word_gives_no_row():
  """Catches: an empty sentence with a label, which trains the head on nothing."""
  batch = _all(tiny_set.prepared(), rows=[3, 4], crops=[(0, 40), (0, 60)])
  assert batch['segment'].tolist() == [4]
  with pytest.raises(ValueError, match='no sentence in 0 segments'):
    _all(tiny_set.prepared(), rows=[])


def test_centring_takes_each_sessions_own_mean_and_leaves_absent_words_zero():
  """Catches: the mean of another session, of the wrong channel, or put into absent words."""
  prepared = tiny_set.prepared()
  batch = _all(prepared, ('session', ()))
  session_b = prepared.segments['session_index'][batch['segment']]
  words = batch['words']
  for session in np.unique(session_b):
    of = session_b == session
    valid = words.valid_n[of].reshape(-1, 4, 4)
    for value in (words.amplitude_n[of], words.spectrum_nf[of][..., 5]):
      total_c = (value.reshape(-1, 4, 4) * valid).sum((0, 1))
      np.testing.assert_allclose(total_c / valid.sum((0, 1)), 0, atol=1e-5)
  cropped = _all(prepared, ('session', ()), rows=[3], crops=[(0, 60)])['words']
  assert not cropped.spectrum_nf[~cropped.valid_n].any() and cropped.spectrum_nf.any()
  assert not cropped.amplitude_n[~cropped.valid_n].any()


def test_training_centre_sees_training_sessions_alone():
  """Catches: the held-out subject in the mean: its recordings times 1000 must change nothing."""
  quiet, loud = tiny_set.prepared(), tiny_set.prepared(change='s2')
  sessions = np.unique(quiet.segments['session_index'][quiet.segments['subject'] != 's2'])
  means = [batches.make_centre(p, 'training', sessions).mean_scf for p in (quiet, loud)]
  np.testing.assert_array_equal(*means)
  assert (means[0] == means[0][:1]).all() and means[0].any()
  assert not batches.make_centre(quiet, 'training', sessions).transductive
  everyone = [batches.make_centre(p, 'training', range(6)).mean_scf for p in (quiet, loud)]
  assert np.abs(everyone[0] - everyone[1]).max() > 1
  own = [batches.make_centre(p, 'session', ()) for p in (quiet, loud)]
  assert np.abs(own[0].mean_scf[4:] - own[1].mean_scf[4:]).max() > 1 and own[0].transductive
  with pytest.raises(ValueError, match="centre: got 'mean'"):
    batches.make_centre(quiet, 'mean', ())


def test_reading_as_asked_gives_what_memory_gives():
  """Catches: centring or labels that differ between `in_memory` and not."""
  prepared = tiny_set.prepared()
  centre = batches.make_centre(prepared, 'session', ())
  source = batches.SentenceSource(prepared, [5, 2], centre)
  whole = batches.sentence_arrays(prepared, [5, 2], None, centre)
  assert len(source) == len(whole['index']) == 2
  for i in range(2):
    item = source[i]
    assert all(item[k] == whole[k][i] for k in ('label', 'index', 'weight'))
    for got, want in zip(item['words'], whole['words']):
      np.testing.assert_array_equal(got, want[i])
