"""Augmentation keeps the grid, draws per example and never revives an absent word."""

import jax
import numpy as np
import pytest

from aemg_jax.training import augment as augment_lib
from aemg_jax.training.augment import AugmentConfig
from tests.fake_words import fake_words

CROP = AugmentConfig(random_length=True, single_slot=0.3)
B = 64
augment = jax.jit(augment_lib.augment, static_argnums=(2, 3))


def _keys(b=B, seed=0):
  return jax.random.split(jax.random.key(seed), b)


def _words(first=0, stop=4, b=B):
  """Words whose slots `first` to `stop` exist; the spectrum's first bin says which slot it was."""
  words = fake_words(b=b)
  slot_n = np.repeat(np.arange(4), 4)
  exists_n = (slot_n >= first) & (slot_n < stop)
  words = words._replace(valid_n=np.broadcast_to(exists_n, (b, 16)).copy(),
                         time_n=words.time_n * exists_n)
  words.spectrum_nf[..., 0] = slot_n
  return words


@pytest.mark.heavy
@pytest.mark.parametrize('first, stop', [(0, 4), (0, 3), (2, 4), (3, 4)])
def test_a_crop_is_a_run_of_existing_slots_moved_to_the_front(first, stop):
  """Catches: slots and channels mixed up; a run that starts in the empty slots before a crop in
  seconds, which trains on nothing."""
  out = jax.tree.map(np.asarray, augment(_words(first, stop), _keys(), CROP, 4))
  seen = set()
  for valid_n, spectrum_nf, time_n, position_n in zip(
      out.valid_n, out.spectrum_nf, out.time_n, out.position_n):
    length = valid_n.sum() // 4
    assert length >= 1 and valid_n.tolist() == [True] * 4 * length + [False] * (16 - 4 * length)
    slot_s = spectrum_nf[valid_n, 0].reshape(length, 4)
    start = int(slot_s[0, 0])
    assert (slot_s == start + np.arange(length)[:, None]).all()
    assert first <= start and start + length <= stop
    assert (time_n[valid_n].reshape(length, 4) == 1 + np.arange(length)[:, None]).all()
    assert (position_n[valid_n].reshape(length, 4) == fake_words().position_n[0, :4]).all()
    seen.add((start, length))
  n = stop - first
  assert len(seen) == n * (n + 1) // 2  # every run occurs


@pytest.mark.heavy
def test_time_counts_from_one_when_the_first_channel_is_absent():
  """Catches: the time of the run read from a channel that was gated off."""
  words = _words()
  words.valid_n[:, ::4] = False
  words.time_n[:, ::4] = 0
  out = augment(words, _keys(), CROP, 4)
  assert (np.where(out.valid_n, out.time_n, 99).min(1) == 1).all()


@pytest.mark.heavy
def test_absent_words_stay_absent_and_dropout_takes_whole_channels():
  """Catches: a channel brought back to life, or dropped in some slots of a sentence only."""
  words = fake_words(b=B, valid_share=0.7)
  out = augment(words, _keys(), AugmentConfig(channel_dropout=0.25), 4)
  assert not (out.valid_n & ~words.valid_n).any()
  lost = (words.valid_n & ~out.valid_n).reshape(B, 4, 4)
  held = words.valid_n.reshape(B, 4, 4)
  assert ((lost == held) | ~lost.any(1, keepdims=True)).all()
  assert lost.sum() / held.sum() == pytest.approx(0.25, abs=0.06)


@pytest.mark.heavy
def test_gain_is_per_channel_and_the_same_in_every_part_of_a_word():
  """Catches: a gain drawn per slot; a spectrum (power) that moves by another factor than the
  amplitude or the waveform."""
  words = fake_words(b=B)
  out = augment(words, _keys(), AugmentConfig(gain=0.4), 4)
  gain_bn = np.asarray(out.amplitude_n - words.amplitude_n)
  np.testing.assert_allclose(gain_bn, np.tile(gain_bn[:, :4], 4), atol=1e-5)
  np.testing.assert_allclose(out.spectrum_nf - words.spectrum_nf,
                             np.broadcast_to(2 * gain_bn[..., None], words.spectrum_nf.shape), atol=1e-4)
  np.testing.assert_allclose(out.waveform_np, words.waveform_np * np.exp(gain_bn)[..., None], rtol=1e-4)
  assert gain_bn[:, :4].std() == pytest.approx(0.4, rel=0.2)
  shared = augment(words, _keys(), AugmentConfig(common_gain=0.4), 4).amplitude_n - words.amplitude_n
  np.testing.assert_allclose(shared, np.broadcast_to(shared[:, :1], shared.shape), atol=1e-5)


@pytest.mark.heavy
def test_an_example_is_augmented_alike_in_any_batch():
  """Catches: one draw for the whole batch, which changes with the number of devices."""
  words = fake_words(b=4)
  config = AugmentConfig(0.4, 0.2, 0.3, 0.2, 0.5, True)
  whole = augment(words, _keys(4), config, 4)
  alone = augment(jax.tree.map(lambda x: x[2:3], words), _keys(4)[2:3], config, 4)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a[2:3], b, atol=1e-6), whole, alone)
  assert not np.allclose(whole.spectrum_nf[0] - words.spectrum_nf[0],
                         whole.spectrum_nf[1] - words.spectrum_nf[1])


@pytest.mark.heavy
def test_nothing_asked_is_nothing_done():
  """Catches: noise or a crop that is on by default."""
  words = fake_words(b=2)
  jax.tree.map(np.testing.assert_array_equal, augment(words, _keys(2), AugmentConfig(), 4), words)
