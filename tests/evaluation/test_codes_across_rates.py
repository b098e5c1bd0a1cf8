"""Codes belong to the muscle, not to the amplifier's rate: synthetic; real recordings are in tests/real."""

import jax
import numpy as np
import pytest

from aemg_jax.models import quantiser
from aemg_jax.sentences import rectify
from tests import resampled, tiny_set
from tests.sentences import hand_made

pytestmark = pytest.mark.heavy  # compiles the tokeniser and k-means
RATES_HZ = (2000, 1000, 200)


@pytest.fixture(name='records', scope='module')
def _records():
  """2 kHz noise that falls with frequency, louder at one electrode after another, on an offset."""
  rng, found = np.random.default_rng(0), []
  for k in range(16):
    white_fc = np.fft.rfft(rng.normal(size=(8320, 4)), axis=0)
    slope_f = 1 / (1 + np.fft.rfftfreq(8320, 1 / 2000) / 60)
    signal_tc = np.fft.irfft(white_fc * slope_f[:, None], 8320, axis=0) * (1 + (np.arange(4) == k % 4) / 2)
    found.append(hand_made.record(f'r{k}', signal_tc=300 * signal_tc + 50, rate_hz=2000.0))
  return found


@pytest.fixture(name='code_of', scope='module')
def _code_of(records):
  """The quantiser itself: 16 codes by k-means on the words' spectra and amplitudes at 2 kHz."""
  def unit(words):
    heard_bnf = np.where(words.bin_valid_f[:, None], words.spectrum_nf, 0)
    return quantiser.normalise(np.concatenate([heard_bnf, words.amplitude_n[..., None]], -1))
  z_bnd = unit(resampled.session_words([resampled.at_rate(r, 2000) for r in records], tiny_set.SESSION))
  config = quantiser.QuantiserConfig(codes=16, width=27, kmeans_iterations=10)
  book = quantiser.kmeans_codebook(z_bnd.reshape(-1, 27), jax.random.key(0), config, 1024.0)
  return lambda words: np.asarray(quantiser.lookup(unit(words), book)[0])


def test_resampled_recordings_keep_their_codes(records, code_of):
  """Catches: bins above a slow recording's band that count in a fast one, a comparison of codes that are
  all one."""
  assert min(resampled.same_codes(records, RATES_HZ, tiny_set.SESSION, code_of)) >= 0.95
  words = resampled.session_words(records, tiny_set.SESSION)
  assert len(np.unique(code_of(words))) == 16


def test_a_late_sample_is_seen(records, code_of, monkeypatch):
  """Catches: a measure that nothing can lower: two samples (10 ms) late, codes change."""
  resample = rectify.resample.resample
  monkeypatch.setattr(rectify.resample, 'resample', lambda x_tc, rate_hz, *rest: np.roll(
      resample(x_tc, rate_hz, *rest), 2 * (rate_hz > 1500), axis=0))
  assert min(resampled.same_codes(records, (2000, 200), tiny_set.SESSION, code_of)) < 0.9
