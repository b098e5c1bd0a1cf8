"""Ring alignment on made-up bands whose rotation and mirror image are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aemg_jax.data import alignment
from aemg_jax.sentences.words import Words
from tests.fake_words import fake_words

CHANNELS, CLASSES, SLOTS = 6, 4, 3
WORN = {'A': 0, 'B': 0, 'C': 7, 'D': 2, 'E': 0, 'new': 9}  # how each band is worn


def inverse(element, channels=CHANNELS):
  """Row of the group that undoes a row."""
  perm_gc = alignment.dihedral(channels)
  return int(np.flatnonzero((perm_gc == np.argsort(perm_gc[element])).all(1))[0])


def wearers(worn=None, seed=0, repetitions=6):
  """Centred words of people who share one anatomy, each band worn its own way.

  Returns words, label_b, subject_b. A person's raw channels are the anatomy's in the order `worn`.
  """
  rng = np.random.default_rng(seed)
  pattern_kcf = rng.normal(size=(CLASSES, CHANNELS, 27))
  worn = WORN if worn is None else worn
  people, label_r = list(worn), np.tile(np.arange(CLASSES), repetitions)
  b = len(people) * len(label_r)
  words = fake_words(seed, b=b, slots=SLOTS, channels=CHANNELS)
  label_b, subject_b = np.tile(label_r, len(people)), np.repeat(people, len(label_r))
  feature_bscf = pattern_kcf[label_b][:, None] + 0.5 * rng.normal(size=(b, SLOTS, CHANNELS, 27))
  for i, person in enumerate(subject_b):
    feature_bscf[i] = feature_bscf[i][:, alignment.dihedral(CHANNELS)[worn[person]]]
  feature_bnf = feature_bscf.reshape(b, -1, 27).astype(np.float32)
  return words._replace(spectrum_nf=feature_bnf[..., :-1],
                        amplitude_n=feature_bnf[..., -1]), label_b, subject_b


def rows(words, row_b):
  return Words(*(x[row_b] for x in words))


def test_group_is_closed_has_inverses_and_begins_with_identity():
  # Catches a mirror that is a rotation, an element twice, and an identity that is not first.
  for channels in (3, 8, 12):
    perm_gc = alignment.dihedral(channels)
    known = {tuple(row) for row in perm_gc.tolist()}
    assert perm_gc.shape == (2 * channels, channels) and perm_gc.dtype == np.int32
    assert len(known) == 2 * channels and tuple(perm_gc[0]) == tuple(range(channels))
    assert all(tuple(a[b]) in known for a in perm_gc for b in perm_gc)
    assert all(tuple(np.argsort(a)) in known for a in perm_gc)
  neighbours = np.diff(alignment.dihedral(5)[[2, 7]], axis=1) % 5
  assert (neighbours[0] == 1).all() and (neighbours[1] == 4).all()


def test_known_rotation_and_mirror_are_recovered_with_and_without_labels():
  # Catches the element's inverse stored in its place, a training side left at identity, and a
  # likelihood that does not turn the channels.
  words, label_b, subject_b = wearers()
  model, placed = alignment.fit_and_place(words, label_b, subject_b, subject_b != 'new', CHANNELS)
  found = {s: model.element_of(s) for s in 'ABCDE'}
  assert found == {s: inverse(WORN[s]) for s in 'ABCDE'}
  assert placed['new'].element == inverse(WORN['new']) and placed['new'].margin > 1


def test_the_classes_are_fitted_on_aligned_data():
  # Catches elements that are found and then not used: against bands that were all worn alike.
  words, label_b, subject_b = wearers()
  element_b = np.array([inverse(WORN[s]) for s in subject_b])
  alike = alignment.permute_words(words, element_b, CHANNELS)
  models = []
  for band in (words, alike):
    feature_wcf, sentence_w = alignment.window_features(band, CHANNELS)
    models.append(alignment.fit(feature_wcf, label_b[sentence_w], subject_b[sentence_w]))
  np.testing.assert_array_equal(models[1].element_s, np.zeros(len(WORN)))
  np.testing.assert_allclose(models[0].mean_kd, models[1].mean_kd, atol=1e-12)
  np.testing.assert_allclose(models[0].whiten_dd, models[1].whiten_dd, atol=1e-9)


def test_a_wearer_without_a_class_does_not_dilute_its_template():
  # Catches absent class means taken for zeros. By hand: class 1 of X fits the two R's after a turn
  # by one and gains 4/3 there, class 0 loses 1; diluted by the three P's the gain is 2/3.
  first, second = [1, 0, 0], [2, 0, 0]
  table = [(s, 0, first) for s in ('P0', 'P1', 'P2', 'R0', 'R1', 'X')]
  table += [('R0', 1, second), ('R1', 1, second), ('X', 1, [0, 2, 0])]
  subject_w, label_w, value_wc = zip(*table)
  feature_wcf = np.array(value_wc, float)[..., None]
  model = alignment.fit(feature_wcf, np.array(label_w), np.array(subject_w))
  assert model.element_s.tolist() == [0, 0, 0, 0, 0, 1]


def test_held_out_data_and_labels_touch_no_fitted_number():
  # Catches a template, deviation, covariance or prior that a held-out wearer enters, and a
  # placement that reads labels.
  words, label_b, subject_b = wearers()
  held_b = subject_b == 'new'
  model, placed = alignment.fit_and_place(words, label_b, subject_b, ~held_b, CHANNELS)
  other_b = np.where(held_b, 77, label_b)
  _, same = alignment.fit_and_place(words, other_b, subject_b, ~held_b, CHANNELS)
  assert same == placed
  loud = words._replace(amplitude_n=np.where(held_b[:, None], 9, words.amplitude_n),
                        spectrum_nf=np.where(held_b[:, None, None], 5, words.spectrum_nf))
  changed, _ = alignment.fit_and_place(loud, other_b, subject_b, ~held_b, CHANNELS)
  for name, value in model.to_arrays().items():
    np.testing.assert_array_equal(changed.to_arrays()[name], value, err_msg=name)


def test_a_band_turned_or_mirrored_gives_the_same_aligned_words():
  # Catches an alignment that depends on how the band was put on, in any field of a word.
  words, label_b, subject_b = wearers()
  model, _ = alignment.fit_and_place(words, label_b, subject_b, subject_b != 'new', CHANNELS)
  raw = rows(words, subject_b == 'new')
  raw = raw._replace(valid_n=np.random.default_rng(1).random(raw.valid_n.shape) < 0.9)

  def aligned(band):
    feature_wcf, _ = alignment.window_features(band, CHANNELS)
    return alignment.permute_words(band, alignment.place(model, feature_wcf).element, CHANNELS)

  for turn in (1, 8):
    for name, a, b in zip(Words._fields, aligned(alignment.permute_words(raw, turn, CHANNELS)),
                          aligned(raw)):
      np.testing.assert_array_equal(a, b, err_msg=name)


def test_words_move_within_their_slot_and_the_place_stays_with_the_grid():
  # Catches the inverse order, channels that leave their slot, a field left behind, a position
  # that travels with the electrode, and NumPy and JAX that disagree.
  words = fake_words(b=2, slots=2, channels=4)
  valid_n = np.array([1, 1, 1, 1, 1, 1, 0, 1], bool)  # channel 2 of slot 1 is absent
  words = words._replace(valid_n=np.stack([valid_n] * 2),
                         amplitude_n=np.array([[0, 1, 2, 3, 10, 11, 12, 13]] * 2, np.float32),
                         length_n=np.array([[5, 6, 7, 8, 1, 2, 0, 4]] * 2, np.int32))
  element_b = np.array([1, 4 + 3])  # turned by one; mirrored, 3 - c
  moved = alignment.permute_words(words, element_b, 4)
  np.testing.assert_array_equal(
      moved.amplitude_n, [[1, 2, 3, 0, 11, 12, 13, 10], [3, 2, 1, 0, 13, 12, 11, 10]])
  np.testing.assert_array_equal(
      moved.length_n, [[6, 7, 8, 5, 2, 0, 4, 1], [8, 7, 6, 5, 4, 0, 2, 1]])
  np.testing.assert_array_equal(moved.position_n,
                                [[1, 5, 9, 13, 1, 0, 9, 13], [1, 5, 9, 13, 1, 0, 9, 13]])
  source_bn = np.array([[1, 2, 3, 0, 5, 6, 7, 4], [3, 2, 1, 0, 7, 6, 5, 4]])
  for name in ('waveform_np', 'spectrum_nf', 'onset_n', 'time_n', 'valid_n'):
    for b in range(2):
      np.testing.assert_array_equal(getattr(moved, name)[b], getattr(words, name)[b][source_bn[b]])
  turn = jax.jit(lambda w, e: alignment.permute_words(w, e, 4))
  for a, b in zip(turn(jax.tree.map(jnp.asarray, words), jnp.asarray(element_b)), moved):
    assert isinstance(b, np.ndarray) and a.dtype == b.dtype
    np.testing.assert_array_equal(a, b)


def test_band_means_by_hand_and_absent_channels_and_bins():
  # Catches bins counted from the wrong end, and an absent word or an invalid bin in a mean.
  words = fake_words(b=2, slots=2, channels=4)
  bin_valid = np.ones((2, 26), bool)
  bin_valid[:, 15:] = False  # the device's band ends within bins 13 to 17
  valid_bn = np.ones((2, 8), bool)
  valid_bn[0, 1] = valid_bn[1, 4:] = False  # one channel; one whole slot
  words = words._replace(bin_valid_f=bin_valid, valid_n=valid_bn,
                         spectrum_nf=np.broadcast_to(np.arange(1., 27), (2, 8, 26)))
  feature_wcf, sentence_w = alignment.window_features(words, 4)
  assert sentence_w.tolist() == [0, 0, 1]
  np.testing.assert_allclose(feature_wcf[1, 0, 1:], [2.5, 6.5, 10.5, 14, 0, 0], rtol=1e-6)
  np.testing.assert_array_equal(feature_wcf[0, 1], np.zeros(7))
  np.testing.assert_array_equal(feature_wcf[0, 2, 0], words.amplitude_n[0, 2])


def test_gaussian_model_is_the_one_written_down():
  # Catches a covariance about the grand mean, shrinkage the wrong way round, and a lost prior:
  # against scipy's density, with the sum over classes by hand.
  from scipy.special import logsumexp
  from scipy.stats import multivariate_normal
  words, label_b, subject_b = wearers({'A': 0, 'B': 0, 'C': 0})
  feature_wcf, sentence_w = alignment.window_features(words, CHANNELS)
  label_w = np.where(np.arange(len(sentence_w)) % 3, label_b[sentence_w], 0)
  model = alignment.fit(feature_wcf, label_w, subject_b[sentence_w], shrinkage=0.2)
  x_wd = feature_wcf.reshape(len(feature_wcf), -1).astype(float)
  mean_kd = np.stack([x_wd[label_w == k].mean(0) for k in range(CLASSES)])
  covariance_dd = np.cov((x_wd - mean_kd[label_w]).T, bias=True)
  size = len(covariance_dd)
  covariance_dd = 0.8 * covariance_dd + 0.2 * np.trace(covariance_dd) / size * np.eye(size)
  prior_k = np.bincount(label_w) / len(label_w)
  score_g = []
  for perm_c in alignment.dihedral(CHANNELS):
    turned_wd = feature_wcf[:30][:, perm_c].reshape(30, -1)
    log_wk = np.stack([multivariate_normal.logpdf(turned_wd, mean_d, covariance_dd)
                       for mean_d in mean_kd], axis=1)
    score_g.append(logsumexp(log_wk + np.log(prior_k)[None], axis=1).mean())
  best, second = np.sort(score_g)[::-1][:2]
  found = alignment.place(model, feature_wcf[:30])
  assert found.element == int(np.argmax(score_g))
  np.testing.assert_allclose(found.margin, best - second, rtol=1e-6)


def test_a_close_call_takes_the_training_wearers_usual_element():
  # Catches a coin toss between a band and its mirror image.
  words, label_b, subject_b = wearers()
  feature_wcf, sentence_w = alignment.window_features(words, CHANNELS)
  subject_w = subject_b[sentence_w]
  train_w = subject_w != 'new'
  model = alignment.fit(feature_wcf[train_w], label_b[sentence_w][train_w], subject_w[train_w])
  new_wcf = feature_wcf[~train_w]
  sure = alignment.place(model, new_wcf)
  close = alignment.place(model, new_wcf, least_margin=sure.margin + 1)
  assert sure.element != 0 and close == (0, sure.margin)


def test_survives_storage_a_missing_class_and_a_dead_feature(tmp_path):
  # Catches a NaN from a wearer without one class or a feature that never varies, label -1 taken
  # for a class, and a field lost in a checkpoint.
  words, label_b, subject_b = wearers()
  feature_wcf, sentence_w = alignment.window_features(words, CHANNELS)
  feature_wcf[..., 6] = 0
  label_w, subject_w = label_b[sentence_w].copy(), subject_b[sentence_w]
  label_w[(subject_w == 'C') & (label_w == 2)] = -1
  model = alignment.fit(feature_wcf, label_w, subject_w)
  assert [model.element_of(s) for s in WORN] == [inverse(e) for e in WORN.values()]
  assert model.label_k.tolist() == [0, 1, 2, 3]
  np.savez(tmp_path / 'alignment.npz', **model.to_arrays())
  with np.load(tmp_path / 'alignment.npz', allow_pickle=False) as stored:
    back = alignment.Alignment.from_arrays(dict(stored))
  new_wcf = feature_wcf[subject_w == 'new']
  assert alignment.place(back, new_wcf) == alignment.place(model, new_wcf)
  with pytest.raises(ValueError, match='label_k'):
    alignment.Alignment.from_arrays({k: v for k, v in model.to_arrays().items() if k != 'label_k'})
  with pytest.raises(ValueError, match="'Z' is no training subject"):
    model.element_of('Z')


def _montage(**changes):
  table = {'position_c': np.array([[1, 3, 5, 7, 9, 11, 13, 15]] * 2),
           'ring_c': np.ones((2, 8), int), 'valid_c': np.ones((2, 8), bool)}
  for name, (row, channel, value) in changes.items():
    table[name][row, channel] = value
  return table


@pytest.mark.parametrize('field, change', [
    ('valid_c', (1, 7, False)), ('ring_c', (1, 3, 2)), ('ring_c', (slice(None), slice(None), 0)),
    ('position_c', (1, 3, 8)), ('position_c', (0, slice(None), np.arange(1, 9)))])
def test_what_is_not_one_full_ring_is_refused_by_field(field, change):
  # Catches rotating a ring with a gap, two rings, a half ring or electrodes out of order.
  assert alignment.ring_channels(_montage()) == 8
  with pytest.raises(ValueError, match=f'segments.{field}'):
    alignment.ring_channels(_montage(**{field: change}))
