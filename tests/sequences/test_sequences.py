"""Baselines, sequences and training statistics."""

import numpy as np
import pytest

from aemg_jax.sequences import sequences as lib
from aemg_jax.signal.fatigue_features import FEATURE_NAMES
from tests.sequences.made_trials import trial

SKEWNESS = FEATURE_NAMES.index('skewness')


def test_one_baseline_for_all_trials_of_a_subject():
  """Catches: a baseline per trial: every trial begins at 1 then, flat over efforts by itself."""
  low, high = trial(percent_mvc=20.0), trial(percent_mvc=80.0)
  high = high._replace(feature_wcf=low.feature_wcf * 3)
  config = lib.SequenceConfig(length=4, baseline='lowest_mvc', baseline_windows=0)
  made, _ = lib.make_sequences([high, low], config)
  loud, soft = np.split(made.feature_bwcf, 2)
  rest = np.arange(len(FEATURE_NAMES)) != SKEWNESS
  np.testing.assert_allclose((loud - soft)[..., rest], np.log(3), rtol=1e-5)


def test_the_baseline_is_the_first_windows_of_the_lowest_borg():
  """Catches: all windows of the lowest rating, later ones, or invalid ones in the mean."""
  one = trial(n=8, borg=[2, 1, 1, 1, 1, 5, 6, 7])
  one.valid_wc[2, 0] = False
  one.feature_wcf[2, 0] = 0.0
  mean_cf, known_c = lib.baseline([one], lib.SequenceConfig(baseline_windows=3))
  np.testing.assert_allclose(mean_cf[0], one.feature_wcf[[1, 3], 0].mean(axis=0))
  np.testing.assert_allclose(mean_cf[1], one.feature_wcf[1:4, 1].mean(axis=0))
  assert known_c.all()


def test_labels_are_of_the_sequence_s_end():
  """Catches: the label of the first window, a sequence too many, classes off by one Borg."""
  made, refused = lib.make_sequences([trial(n=10, borg=range(10))], lib.SequenceConfig(length=3))
  np.testing.assert_array_equal(made.borg_b, np.arange(2, 10))
  np.testing.assert_array_equal(made.segments['label'], [0, 1, 1, 1, 2, 2, 2, 2])
  np.testing.assert_array_equal(made.segments['repetition'], np.arange(2, 10))
  assert made.feature_bwcf.shape[:2] == (8, 3) and not refused


def test_a_short_trial_is_counted_and_none_at_all_is_an_error():
  """Catches: padding, whose length would tell the time, or an empty set that fails later."""
  made, refused = lib.make_sequences([trial(), trial('B', n=2)], lib.SequenceConfig(length=3))
  assert dict(refused) == {'short trial': 1} and set(made.segments['subject']) == {'A'}
  with pytest.raises(ValueError, match='none of 1 trials holds 3 windows'):
    lib.make_sequences([trial('B', n=2)], lib.SequenceConfig(length=3))


def test_flat_and_missing_channels_stay_finite():
  """Catches: ln 0 and 0 / 0 of a channel that is zero throughout, or has no baseline."""
  one = trial()
  one.feature_wcf[:, 0] = 0.0
  one.valid_wc[:, 1] = np.arange(12) > 5  # invalid where the baseline is
  made, refused = lib.make_sequences([one], lib.SequenceConfig(length=3))
  assert np.isfinite(made.feature_bwcf).all() and not made.feature_bwcf[:, :, 0].any()
  assert dict(refused) == {'channel without baseline': 1} and not made.valid_bwc[:, :, 1].any()
  scaler = lib.fit_scaler(made, np.arange(len(made.borg_b)))
  assert np.isfinite(lib.standardise(made, scaler)).all()
  assert np.isfinite(lib.relative(np.full((2, 1, 32), 1e300), np.zeros((1, 32)))).all()


def test_scaler_sees_valid_training_rows_alone():
  """Catches: statistics over all subjects, or over what is masked."""
  made, _ = lib.make_sequences([trial('A'), trial('B', seed=1)], lib.SequenceConfig(length=3))
  made.valid_bwc[0, 0, 0] = False
  train = np.flatnonzero(made.segments['subject'] == 'A')
  scaler = lib.fit_scaler(made, train)
  value_nf = made.feature_bwcf[train].reshape(-1, 32)[1:]  # the masked one comes first
  np.testing.assert_allclose(scaler.mean_f, value_nf.mean(axis=0), atol=1e-6)
  np.testing.assert_allclose(scaler.sd_f, value_nf.std(axis=0), rtol=1e-4)
