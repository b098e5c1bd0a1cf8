"""The frame of training wearers, on made-up bands whose rotation and mirror image are known."""

import numpy as np
import pytest

from aemg_jax.data import alignment, montage, placement
from aemg_jax.data.alignment_features import Windows, flat, log_covariance, window_features
from tests.data.made_wearers import CHANNELS, CLASSES, RING, WORN, inverse, wearers
from tests.fake_words import fake_words

GROUP = montage.elements(RING)


def fitted(words, label_b, subject_b, **options):
  windows, sentence_w = window_features(words, CHANNELS)
  return alignment.fit(windows, label_b[sentence_w], subject_b[sentence_w], GROUP, **options)


def test_the_classes_are_fitted_on_aligned_data():
  """Catches: elements that are found and then not used: against bands that were all worn alike."""
  words, label_b, subject_b = wearers()
  element_b = np.array([inverse(WORN[s]) for s in subject_b])
  models = [fitted(band, label_b, subject_b)
            for band in (words, montage.permute_words(words, element_b, RING))]
  assert [models[0].element_of(s) for s in WORN] == [inverse(e) for e in WORN.values()]
  np.testing.assert_array_equal(models[1].element_s, np.zeros(len(WORN)))
  for name in ('mean_kd', 'covariance_dd', 'offset_d', 'outside_ff'):
    np.testing.assert_allclose(getattr(models[0], name), getattr(models[1], name), atol=1e-6)


def test_a_wearer_without_a_class_does_not_dilute_its_template():
  """Catches: absent class means taken for zeros. By hand, as tests of means: class 1 of X fits the
  two R's after a turn by one and gains 4/3 there, class 0 loses 1; diluted by the three P's the gain
  is 2/3. Each wearer has a third class that makes its own mean 0."""
  first, second = np.array([1., 0, 0]), np.array([2., 0, 0])
  table = [(s, 0, first) for s in ('P0', 'P1', 'P2', 'R0', 'R1', 'X')]
  table += [('R0', 1, second), ('R1', 1, second), ('X', 1, np.roll(second, 1))]
  for s in ('P0', 'P1', 'P2', 'R0', 'R1', 'X'):
    table.append((s, -1, -sum(row[2] for row in table if row[0] == s and row[1] >= 0)))
  subject_w, label_w, value_wc = zip(*table)
  windows = Windows(np.array(value_wc, float)[..., None], np.zeros((len(table), 3, 3)))
  model = alignment.fit(windows, np.array(label_w), np.array(subject_w), montage.dihedral(3))
  assert model.element_s.tolist() == [0, 0, 0, 0, 0, 1]


def test_gaussian_model_is_the_one_written_down():
  """Catches: a covariance about the grand mean, shrinkage the wrong way round, a lost prior, pairs
  out of order: against scipy's density, with the sum over classes by hand."""
  from scipy.special import logsumexp
  from scipy.stats import multivariate_normal
  words, label_b, subject_b = wearers({'A': 0})
  windows, sentence_w = window_features(words, CHANNELS)
  label_w = np.where(np.arange(len(sentence_w)) % 3, label_b[sentence_w], 0)
  model = alignment.fit(windows, label_w, subject_b[sentence_w], GROUP, shrinkage=0.2)
  x_wd = flat(windows, GROUP[0])
  x_wd -= x_wd.mean(0)
  mean_kd = np.stack([x_wd[label_w == k].mean(0) for k in range(CLASSES)])
  covariance_dd = np.cov((x_wd - mean_kd[label_w]).T, bias=True)
  size = len(covariance_dd)
  covariance_dd = 0.8 * covariance_dd + 0.2 * np.trace(covariance_dd) / size * np.eye(size)
  prior_k = np.bincount(label_w) / len(label_w)
  some = windows.take(slice(0, 30))
  score_g = []
  for perm_c in GROUP:
    turned_wd = flat(some, perm_c)
    offset_d = flat(windows.mean(), GROUP[0])[0]
    weight = 30 / (30 + placement.PRIOR_WINDOWS)
    turned_wd -= weight * turned_wd.mean(0) + (1 - weight) * offset_d
    log_wk = np.stack([multivariate_normal.logpdf(turned_wd, mean_d, covariance_dd)
                       for mean_d in mean_kd], axis=1)
    score_g.append(logsumexp(log_wk + np.log(prior_k)[None], axis=1).mean())
  best, second = np.sort(score_g)[::-1][:2]
  found = placement.place(model, some, least_confidence=0)
  assert found.element == int(np.argmax(score_g))
  np.testing.assert_allclose(found.margin, best - second, rtol=1e-4)
  chance_g = np.exp(0.25 * np.sqrt(30) * (np.array(score_g) - best))
  np.testing.assert_allclose(found.confidence, 1 / chance_g.sum(), rtol=1e-4)


def test_survives_storage_a_missing_class_and_a_dead_feature(tmp_path):
  """Catches: a NaN from a wearer without one class or a feature that never varies, label -1 taken
  for a class, a field lost in a checkpoint, and a decision that storage changes by a bit."""
  words, label_b, subject_b = wearers()
  windows, sentence_w = window_features(words, CHANNELS)
  windows.site_wcf[..., 6] = 0
  label_w, subject_w = label_b[sentence_w].copy(), subject_b[sentence_w]
  label_w[(subject_w == 'C') & (label_w == 2)] = -1
  model = alignment.fit(windows, label_w, subject_w, GROUP)
  assert [model.element_of(s) for s in WORN] == [inverse(e) for e in WORN.values()]
  assert model.label_k.tolist() == [0, 1, 2, 3]
  np.savez(tmp_path / 'alignment.npz', **model.to_arrays())
  with np.load(tmp_path / 'alignment.npz', allow_pickle=False) as stored:
    back = alignment.Alignment.from_arrays(dict(stored))
  assert all(x.dtype.kind in 'iuf' for x in model.to_arrays().values())  # what a checkpoint can hold
  assert back.subject_s.tolist() == model.subject_s.tolist()
  new = windows.take(subject_w == 'new')
  np.testing.assert_array_equal(placement.scores(back, new), placement.scores(model, new))
  assert placement.place(back, new) == placement.place(model, new)
  with pytest.raises(ValueError, match='label_k'):
    alignment.Alignment.from_arrays({k: v for k, v in model.to_arrays().items() if k != 'label_k'})
  with pytest.raises(ValueError, match="'Z' is no training subject"):
    model.element_of('Z')


def test_band_means_by_hand_and_absent_channels_and_bins():
  """Catches: bins counted from the wrong end, and an absent word or an invalid bin in a mean."""
  words = fake_words(b=2, slots=2, channels=4)
  bin_valid = np.ones((2, 26), bool)
  bin_valid[:, 15:] = False  # the device's band ends within bins 13 to 17
  valid_bn = np.ones((2, 8), bool)
  valid_bn[0, 1] = valid_bn[1, 4:] = False  # one channel; one whole slot
  words = words._replace(bin_valid_f=bin_valid, valid_n=valid_bn,
                         spectrum_nf=np.broadcast_to(np.arange(1., 27), (2, 8, 26)))
  windows, sentence_w = window_features(words, 4)
  assert sentence_w.tolist() == [0, 0, 1]
  np.testing.assert_allclose(windows.site_wcf[1, 0, 1:], [2.5, 6.5, 10.5, 14, 0, 0], rtol=1e-6)
  assert np.isnan(windows.site_wcf[0, 1]).all() and np.isnan(windows.pair_wcc[0, 1]).all()
  np.testing.assert_array_equal(windows.site_wcf[0, 2, 0], words.amplitude_n[0, 2])
  assert np.isfinite(flat(windows.take([1]), np.arange(4))).all()
  np.testing.assert_array_equal(windows.take(slice(0, 2)).mean().site_wcf[0, 1], windows.site_wcf[1, 1])


def test_pairs_are_the_matrix_logarithm():
  """Catches: an elementwise logarithm, and a pair read from another row: against scipy's logm."""
  from scipy.linalg import logm
  x_wcp = np.random.default_rng(0).normal(size=(2, 3, 52))
  got_wcc = log_covariance(x_wcp, np.ones((2, 3), bool))
  cov_cc = x_wcp[1] @ x_wcp[1].T / 52
  cov_cc += (0.02 * np.trace(cov_cc) / 3 + 5e-4) * np.eye(3)
  np.testing.assert_allclose(got_wcc[1], logm(cov_cc), atol=1e-5)
  windows = Windows(np.zeros((2, 3, 1)), got_wcc)
  np.testing.assert_allclose(flat(windows, np.array([2, 0, 1]))[1, 3:],
                             np.sqrt(2) * got_wcc[1][[2, 2, 0], [0, 1, 1]], rtol=1e-6)
