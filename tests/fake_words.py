"""Made-up words for model and training tests; no recording behind them."""

import numpy as np

from aemg_jax.sentences.words import Words


def fake_words(seed: int = 0, b: int = 2, slots: int = 4, channels: int = 4, samples: int = 52,
               valid_share: float = 1.0) -> Words:
  """A batch of words on a slots x channels grid, ring positions spread over 16."""
  rng = np.random.default_rng(seed)
  n, bins = slots * channels, samples // 2
  normal = lambda *shape: rng.normal(size=shape).astype(np.float32)
  position_n = np.tile(1 + np.round(16 * np.arange(channels) / channels).astype(np.int32) % 16, slots)
  time_n = np.repeat(np.arange(1, slots + 1, dtype=np.int32), channels)
  full = lambda row_n: np.broadcast_to(row_n, (b, n)).astype(np.int32)
  return Words(
      waveform_np=normal(b, n, samples), spectrum_nf=normal(b, n, bins), amplitude_n=normal(b, n),
      length_n=full(np.full(n, samples)), onset_n=full((time_n - 1) * samples), time_n=full(time_n),
      position_n=full(position_n), ring_n=full(np.ones(n)), valid_n=rng.random((b, n)) < valid_share,
      bin_valid_f=np.ones((b, bins), bool), fallback=np.zeros(b, bool))
