"""Events against a slow plain-Python reference, and bursts at known times."""

import jax
import numpy as np
import pytest

from aemg_jax.sentences import contractions
from aemg_jax.sentences.words import ContractionConfig
from tests.sentences.hand_made import noise, rest

CONFIG = ContractionConfig(gate=True)
RATE_HZ = 200.0
FRAMES = jax.jit(contractions.contraction_frames, static_argnums=(3, 4))
ENERGY = jax.jit(contractions.window_energy, static_argnums=2)
REST = jax.jit(contractions.rest_statistics, static_argnums=2)
EVENTS = jax.jit(contractions.events, static_argnums=2)


def _reference(signal_tc, n_samples, statistics, config):
  """METHOD section 3 in loops, float64."""
  signal_tc = np.asarray(signal_tc[:n_samples], np.float64)
  starts = [s for s in range(0, n_samples, config.hop) if s == 0 or s + config.window <= n_samples]
  levels = [np.log((signal_tc[s:s + config.window] ** 2).sum()
                   / min(config.window, n_samples) + 1e-8) for s in starts]
  state, states = False, []
  for level in levels:
    if level > statistics.median + config.on_mad * statistics.mad:
      state = True
    elif level < statistics.median + config.off_mad * statistics.mad:
      state = False
    states.append(state)
  n_frames = -(-n_samples // config.hop)
  active = [states[min(max(f - (config.window // config.hop - 1) // 2, 0), len(states) - 1)]
            for f in range(n_frames)]
  for value, shortest, inside in ((True, config.min_event_s, False),
                                  (False, config.merge_gap_s, True)):
    for start, stop in _runs(active, value):
      short = (stop - start) * config.hop < shortest * RATE_HZ
      if short and not (inside and (start == 0 or stop == n_frames)):
        active[start:stop] = [not value] * (stop - start)
  return active


def _runs(values, value):
  edges = [0] + [i for i in range(1, len(values)) if values[i] != values[i - 1]] + [len(values)]
  return [(a, b) for a, b in zip(edges, edges[1:]) if a < b and values[a] == value]


@pytest.mark.parametrize('seed', range(12))
def test_frames_match_slow_reference(seed):
  """Catches: a hysteresis without memory, swapped drop and merge, frames off by a window."""
  rng = np.random.default_rng(seed)
  n_samples = int(rng.integers(30, 900))
  steps = np.repeat(rng.choice([0.1, 0.13, 0.16, 0.2, 1.0], size=100), rng.integers(3, 40, 100))
  signal_tc = np.zeros((900, 4), np.float32)
  signal_tc[:n_samples] = (noise(900, seed=seed) * steps[:900, None])[:n_samples]
  statistics = rest(median=-2.8, mad=0.12)
  active_f = FRAMES(signal_tc, n_samples, statistics, CONFIG, RATE_HZ)
  expected = _reference(signal_tc, n_samples, statistics, CONFIG)
  assert active_f.tolist() == expected + [False] * (90 - len(expected))


def test_reference_sees_events_and_gaps():
  """Guards the test above: its random signals must have several runs, or it shows nothing."""
  rng = np.random.default_rng(3)
  steps = np.repeat(rng.choice([0.1, 0.13, 0.16, 0.2, 1.0], size=100), rng.integers(3, 40, 100))
  active = _reference(noise(900) * steps[:900, None], 900, rest(median=-2.8, mad=0.12), CONFIG)
  assert len(_runs(active, True)) >= 3


def test_rest_statistics_against_numpy():
  """Catches: a statistic over all windows, over invalid ones, or without 1.4826."""
  energy_wc = np.exp(noise(64, 3, seed=1)).astype(np.float32)
  valid_w = np.arange(64) < 50
  got = REST(energy_wc, valid_w, ContractionConfig(rest_quantile=0.2))
  values_wk = np.log(np.concatenate([energy_wc.sum(1)[:, None], energy_wc], 1)[:50] + 1e-8)
  lowest_wk = np.sort(values_wk, axis=0)[:10]
  median_k = np.median(lowest_wk, axis=0)
  mad_k = 1.4826 * np.median(np.abs(lowest_wk - median_k[None]), axis=0)
  np.testing.assert_allclose([got.median, *got.median_c], median_k, rtol=1e-5)
  np.testing.assert_allclose([got.mad, *got.mad_c], mad_k, rtol=1e-4)


@pytest.mark.heavy
def test_bursts_are_found_where_they_are():
  """Catches: events shifted by the energy window, or rest taken for a contraction."""
  signal_tc = 0.05 * noise(2000)
  bursts = [(300, 700), (1200, 1500)]
  for start, stop in bursts:
    signal_tc[start:stop] *= 20
  statistics = rest(median=np.log(4 * 0.05 ** 2), mad=0.15)  # four channels
  active_f = FRAMES(signal_tc, 2000, statistics, CONFIG, RATE_HZ)
  start_f, stop_f = EVENTS(active_f, 2000, CONFIG.hop)
  found = [(int(a), int(b)) for a, b in zip(start_f, stop_f) if b > a]
  assert len(found) == 2
  for (start, stop), (a, b) in zip(bursts, found):
    # the window smears a strong burst by up to half its length to either side
    assert start - 30 <= a <= start and stop <= b <= stop + 30


def test_window_energy_ignores_what_follows_the_recording():
  """Catches: padding or the next recording's samples in the energy of the last windows."""
  signal_tc = noise(100)
  clean_wc, valid_w = ENERGY(
      np.where(np.arange(100)[:, None] < 73, signal_tc, 0), 73, CONFIG)
  dirty_wc, _ = ENERGY(signal_tc, 73, CONFIG)
  np.testing.assert_array_equal(clean_wc, dirty_wc)
  assert valid_w.tolist() == [True] * 3 + [False] * 7  # starts 0, 10, 20: 20 + 50 <= 73
  np.testing.assert_allclose(clean_wc[2], (signal_tc[20:70] ** 2).mean(0), rtol=1e-5)


def test_events_stop_at_the_last_sample():
  """Catches: an event that reaches past the recording, into padding."""
  active_f = np.array([0, 1, 1, 0, 0, 1, 1, 1], bool)
  start_f, stop_f = EVENTS(active_f, 73, 10)
  assert [(int(a), int(b)) for a, b in zip(start_f, stop_f) if b > a] == [(10, 30), (50, 73)]
