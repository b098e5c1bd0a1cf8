"""Windows of a recording: where they lie, what is refused and counted."""

import dataclasses

import numpy as np
import pytest

from aemg_jax.records import Annotation, Label, Record, Sensor
from aemg_jax.sequences import trials
from aemg_jax.signal import fatigue_features

N = 6000
SPANS = ((500, 1100), (2000, 2999), (4000, 5000))
CONFIG = trials.WindowConfig(mains_hz=0.0)


@pytest.fixture(autouse=True)
def _no_graph(monkeypatch):
  """Every feature is the mean |x| of its piece, in NumPy."""

  def windowed(signal_tc, rate_hz, window_s, stride_s):
    assert window_s == stride_s
    size = round(window_s * rate_hz)
    piece_nc = np.abs(signal_tc.reshape(-1, size, signal_tc.shape[1])).mean(axis=1)
    return np.repeat(piece_nc[..., None], len(fatigue_features.FEATURE_NAMES), axis=2)

  monkeypatch.setattr(fatigue_features, 'windowed', windowed)


def _record(signal_tc=None, borg=(0, 1, 2), gap_s=0.0):
  if signal_tc is None:
    signal_tc = 100 * np.random.default_rng(0).normal(size=(N, 2))
  notes = [Annotation(*span, 'borg', float(b)) for span, b in zip(SPANS, borg)]
  if gap_s:
    notes.append(Annotation(3000, 3001, 'gap_s', gap_s))
  labels = tuple(Label(*span, 'curl') for span in SPANS)
  return Record('r', 'd', 'A', 's', -1, 'emg', np.asarray(signal_tc, np.float32), 1000.0, 500.0,
                False, (Sensor('a'), Sensor('b')), labels, tuple(notes), 'x')


def test_features_come_from_inside_the_window_only():
  """Catches: a piece that reaches out of the active part, or a part's end that no piece covers."""
  signal_tc = np.zeros((N, 2))
  signal_tc[:, :] = 1e-3 * np.random.default_rng(1).normal(size=(N, 2))
  loud = np.random.default_rng(2).normal(size=(N, 2))
  inside = np.zeros(N, bool)
  for start, stop in SPANS:
    inside[start + 60:stop] = True  # the causal filter rings on for some samples
  quiet, refused = trials.make_trial(_record(np.where(inside[:, None], signal_tc, loud)), CONFIG)
  full, _ = trials.make_trial(_record(loud), CONFIG)
  assert not refused and (quiet.feature_wcf < 0.4 * full.feature_wcf).all()
  late = loud.copy()
  late[4900:5000] *= 10
  louder, _ = trials.make_trial(_record(late), CONFIG)
  assert (louder.feature_wcf[2] > full.feature_wcf[2] * 1.3).all()


def test_what_a_window_carries():
  """Catches: Borg of another repetition, times without the gap in the clock."""
  made, _ = trials.make_trial(_record(borg=(0, 4, 7), gap_s=8.5), CONFIG)
  np.testing.assert_array_equal(made.borg_w, [0, 4, 7])
  np.testing.assert_allclose(made.elapsed_s_w, [0.6, 2.499, 13.0])
  np.testing.assert_array_equal(made.repetition_w, [0, 1, 2])


def _spoiled(kind):
  signal_tc = 100 * np.random.default_rng(0).normal(size=(N, 2))
  start, stop = SPANS[1]
  if kind == 'flat':
    signal_tc[start:stop, 0] = 7
  elif kind == 'clipped':
    signal_tc[:, 0] = signal_tc[:, 0].clip(-400, 400)
    signal_tc[start:start + 500, 0] = 400
  elif kind == 'disconnected':
    time_s = np.arange(start - 400, stop) / 1000  # the notch takes a while
    signal_tc[start - 400:stop, 0] = 300 * np.sin(2 * np.pi * 50 * time_s)
  return signal_tc


@pytest.mark.parametrize('kind', ['flat', 'clipped', 'disconnected'])
def test_a_spoiled_channel_is_counted_and_masked(kind):
  """Catches: a flat, clipped or open channel that trains as EMG, or takes others with it."""
  config = dataclasses.replace(CONFIG, mains_hz=50.0)
  made, refused = trials.make_trial(_record(_spoiled(kind)), config)
  assert dict(refused) == {kind: 1}
  np.testing.assert_array_equal(made.valid_wc, [[True, True], [False, True], [True, True]])
  assert np.isfinite(made.feature_wcf).all() and not made.feature_wcf[1, 0].any()


def test_missing_borg_and_short_windows_are_counted():
  """Catches: a NaN rating that reaches training, or a window dropped in silence."""
  made, refused = trials.make_trial(_record(borg=(0, 1)), CONFIG)
  assert dict(refused) == {'missing Borg': 1} and not np.isnan(made.borg_w).any()
  _, refused = trials.make_trial(_record(), dataclasses.replace(CONFIG, piece_s=0.9))
  assert dict(refused) == {'short window': 1}


def test_windows_by_time_need_no_labels():
  """Catches: isometric windows that miss the stride, or ask for ratings."""
  config = dataclasses.replace(CONFIG, by='time', need_borg=False)
  made, _ = trials.make_trial(dataclasses.replace(_record(), labels=()), config)
  np.testing.assert_allclose(made.start_s_w, np.arange(11) * 0.5)
