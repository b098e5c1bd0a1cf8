"""The tokeniser: words against NumPy, and what must not change them."""

import jax
import numpy as np
import pytest

from aemg_jax.sentences import sentence
from aemg_jax.sentences.words import PrepareConfig, SentenceConfig, WordConfig
from tests.sentences.hand_made import CHANNEL_GATED, GATED, OFF, channels, noise, rest

TOKENISE = jax.jit(sentence.tokenise, static_argnums=4)
WINDOWS = jax.jit(sentence.tokenise_windows, static_argnums=5)


def _tokenise(signal_tc, n_samples, config, montage=channels(), statistics=rest(), length=900):
  """One compilation for each config: the signal is padded with zeros to `length`."""
  signal_tc = np.pad(signal_tc, ((0, length - len(signal_tc)), (0, 0)))
  return jax.device_get(TOKENISE(signal_tc, n_samples, montage, statistics, config))


def _bursts(n_samples=900):
  """Two contractions in rest."""
  signal_tc = 0.02 * noise(n_samples)
  signal_tc[200:400] *= 50
  signal_tc[600:700] *= 50
  return signal_tc


@pytest.mark.parametrize('length', [52, 31])
def test_features_against_numpy(length):
  """Catches: a wrong window, bin, norm or logarithm; a partial word treated as a whole one."""
  signal_tc = noise(52 + length)
  words = _tokenise(signal_tc, len(signal_tc), OFF)
  for channel in range(4):
    for slot, part in enumerate((signal_tc[:52, channel], signal_tc[52:, channel])):
      part, word = part.astype(np.float64), slot * 4 + channel
      window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(len(part)) / len(part))
      power = np.abs(np.fft.rfft(part * window, 52)[1:]) ** 2 / len(part)
      expected_f = np.log(power + 1e-3)
      np.testing.assert_allclose(words.spectrum_nf[0, word], expected_f, rtol=1e-3, atol=1e-4)
      expected = 0.5 * np.log((part ** 2).mean() + 1e-3)
      np.testing.assert_allclose(words.amplitude_n[0, word], expected, rtol=1e-5)
      np.testing.assert_array_equal(words.waveform_np[0, word, :len(part)], part)
      assert not words.waveform_np[0, word, len(part):].any()
      assert words.length_n[0, word] == len(part)


def test_a_sine_lands_in_its_bin():
  """Catches: bins shifted by one, as when DC is kept."""
  time_s = np.arange(52) / 200
  signal_tc = np.sin(2 * np.pi * (10 * 200 / 52) * time_s)[:, None].repeat(4, 1).astype(np.float32)
  assert _tokenise(signal_tc, 52, OFF).spectrum_nf[0, 0].argmax() == 9  # bin 10 is the tenth


def test_places_by_hand():
  """Catches: channel-major words, time from 0, places given to absent words."""
  words = _tokenise(noise(300), 277, OFF, channels(n=2))
  valid_sjc = words.valid_n.reshape(5, 4, 4)
  # the slot at 260 has 17 samples, too few
  expected_sj = np.array([[1, 1, 1, 1], [1, 0, 0, 0]] + [[0] * 4] * 3, bool)
  np.testing.assert_array_equal(valid_sjc[..., 0], expected_sj)
  np.testing.assert_array_equal(valid_sjc[..., 1], expected_sj)
  assert not valid_sjc[..., 2:].any()
  np.testing.assert_array_equal(words.time_n[0].reshape(4, 4)[:, 0], [1, 2, 3, 4])
  onset_sj = words.onset_n.reshape(5, 4, 4)[..., 1]
  np.testing.assert_array_equal(onset_sj[:2], [[0, 52, 104, 156], [208, 0, 0, 0]])
  np.testing.assert_array_equal(words.position_n[0].reshape(4, 4)[0], [1, 9, 0, 0])
  np.testing.assert_array_equal(words.ring_n[0].reshape(4, 4)[0], [1, 1, 0, 0])
  for name in ('waveform_np', 'spectrum_nf', 'amplitude_n', 'length_n', 'onset_n', 'time_n',
               'position_n', 'ring_n'):
    assert not getattr(words, name)[~words.valid_n].any(), name


def test_bins_above_the_band_are_masked():
  """Catches: bins of a filtered band read as information; an envelope with a spectrum."""
  assert sentence.bin_valid(100.0, OFF).sum() == 26
  assert sentence.bin_valid(52.0, OFF).tolist() == [True] * 13 + [False] * 13  # 13 * 3.846 = 50.0
  assert not sentence.bin_valid(0.0, OFF).any()


@pytest.mark.parametrize('config', [OFF, GATED, CHANNEL_GATED])
def test_what_follows_the_end_changes_nothing(config):
  """Catches: padding in the energy, the window or a word (METHOD section 2), by a single bit."""
  signal_tc = _bursts(700)  # the last slot holds 24 samples
  clean = _tokenise(signal_tc, 700, config)
  dirty = _tokenise(np.concatenate([signal_tc, 100 * noise(200)]), 700, config)
  assert clean.valid_n.any()
  for name, a, b in zip(clean._fields, clean, dirty):
    np.testing.assert_array_equal(a, b, err_msg=name)


@pytest.mark.heavy
def test_more_padding_changes_nothing():
  """Catches: slots or sentences that depend on the padded length; test (d) for the tokeniser."""
  short, longer = (_tokenise(_bursts(), 900, GATED, length=length) for length in (900, 1900))
  used = len(short.valid_n)
  assert len(longer.valid_n) > used and not longer.valid_n[used:].any()
  for name, a, b in zip(short._fields, short, longer):
    np.testing.assert_allclose(a, b[:used], rtol=1e-5, atol=1e-6, err_msg=name)  # other XLA program


@pytest.mark.parametrize('config', [OFF, GATED, CHANNEL_GATED])
def test_windows_give_the_words_of_sentences(config):
  """Catches: a second tokeniser that differs from the first: other gather, window or gate."""
  signal_tc = _bursts()
  words = _tokenise(signal_tc, 900, config)
  valid_kc = words.valid_n.reshape(-1, 4)
  slots_k = np.flatnonzero(valid_kc.any(1) & (words.length_n.reshape(-1, 4).max(1) == 52))
  onset_k = words.onset_n.reshape(-1, 4).max(axis=1)[slots_k]
  size = 18  # one compilation for all configs
  starts = np.resize(onset_k, size).astype(np.int32)
  got = jax.device_get(WINDOWS(signal_tc, 900, starts, channels(), rest(), config))
  assert len(slots_k) >= 2 and (got.time_n[got.valid_n] == 1).all()
  for name in ('waveform_np', 'spectrum_nf', 'amplitude_n', 'length_n', 'onset_n', 'valid_n',
               'position_n', 'ring_n'):
    whole_kc = getattr(words, name).reshape(-1, 4, *getattr(words, name).shape[2:])[slots_k]
    np.testing.assert_allclose(getattr(got, name)[:len(slots_k)], whole_kc, rtol=2e-5, atol=2e-5)


def test_gate_skips_rest():
  """Catches: rest tokenised although the gate is on; sentences that lose a burst."""
  words = _tokenise(_bursts(), 900, GATED)
  onsets = np.unique(words.onset_n[words.valid_n])
  assert not words.fallback.any()
  assert ((onsets > 150) & (onsets < 440) | (onsets > 550) & (onsets < 740)).all()
  assert (onsets < 440).any() and (onsets > 550).any()


def test_channel_gate_keeps_the_strongest():
  """Catches: a gate on the sum of the channels, and a slot left without a word."""
  signal_tc = 1e-3 * noise(104)
  signal_tc[:52, 2] += noise(52)[:, 0]
  words = _tokenise(signal_tc, 104, CHANNEL_GATED)
  valid_jc = words.valid_n[0].reshape(4, 4)
  assert valid_jc[0].tolist() == [False, False, True, False]
  assert valid_jc[1].sum() == 1
  strongest = (signal_tc[52:].astype(np.float64) ** 2).mean(0).argmax()
  assert valid_jc[1, strongest]


@pytest.mark.parametrize('config', [OFF, GATED])
def test_three_samples_give_no_word(config):
  """Catches: NaN or a crash for a recording shorter than a word."""
  words = _tokenise(noise(3), 3, config)
  assert not words.valid_n.any()
  assert all(np.isfinite(leaf).all() for leaf in words)


@pytest.mark.heavy
def test_batch_equals_single():
  """Catches: statistics or montages of one row used for another under vmap."""
  signal_btc = np.stack([_bursts(), noise(900, seed=5)])
  length_b = np.array([900, 700], np.int32)
  montages, statistics = [channels(), channels(n=3)], [rest(), rest(median=-1.0)]
  stack = lambda items: jax.tree.map(lambda *x: np.stack(x), *items)
  batch = jax.device_get(
      sentence.tokenise_batch(signal_btc, length_b, stack(montages), stack(statistics), GATED))
  for b in range(2):
    one = _tokenise(signal_btc[b], length_b[b], GATED, montages[b], statistics[b])
    for name, got, expected in zip(one._fields, batch, one):
      np.testing.assert_allclose(got[b], expected, rtol=2e-5, atol=2e-5, err_msg=name)


def test_other_sizes_of_word():
  """Catches: 52 or 26 written into the code (the `paper` preset has 50)."""
  config = PrepareConfig(word=WordConfig(slot_samples=50, min_valid=10),
                         sentence=SentenceConfig(max_slots=2, max_channels=4))
  words = _tokenise(noise(160), 160, config)
  assert words.spectrum_nf.shape == (9, 8, 25) and words.valid_n.sum() == 16


def test_wrong_number_of_channels_names_the_field():
  """Catches: silent broadcasting of a signal that was not padded."""
  with pytest.raises(ValueError, match='SentenceConfig.max_channels: got 4.* 3 channels'):
    sentence.tokenise(noise(60, 3), 60, channels(), rest(), OFF)
