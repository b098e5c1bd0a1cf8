"""Decision delay, on made-up predictions whose answers are known by hand."""

import json

import numpy as np
import pytest

from aemg_jax.data import splits
from aemg_jax.evaluation import baselines, delays, evaluate, results, sentence_windows
from aemg_jax.evaluation.delays import DelayConfig
from aemg_jax.evaluation.results import Predictions
from aemg_jax.sentences.words import PrepareConfig
from tests import tiny_set
from tests.evaluation import tiny_table

PREPARE = PrepareConfig()  # 200 Hz, slots of 52 samples
SEGMENTS = {'label': np.array([0, 1, 0, 1]), 'subject': np.array(['a', 'a', 'b', 'b'])}
STARTS = np.arange(0, 149, 5)  # of windows in 200 samples


def _predictions(log_prob_of, starts=STARTS, n_segments=4):
  """log_prob_of(segment, start) -> log probability of the true label less that of the other."""
  segment_w = np.repeat(np.arange(n_segments), len(starts)).astype(np.int32)
  start_w = np.tile(starts, n_segments).astype(np.int32)
  margin_w = np.array([log_prob_of(*place) for place in zip(segment_w, start_w)], np.float32)
  log_prob_wk = np.zeros((len(start_w), 2), np.float32)
  log_prob_wk[np.arange(len(start_w)), SEGMENTS['label'][segment_w]] = margin_w
  rows = np.arange(n_segments, dtype=np.int32)
  return Predictions(segment_w, start_w, log_prob_wk, rows, np.zeros((n_segments, 2), np.float32))


def _brute(predictions, delay):
  """{(segment, time): pooled scores}, by looking at every pair."""
  found = {}
  for segment, start in zip(predictions.window_segment, predictions.window_start):
    stop, mine = start + 52, predictions.window_segment == segment
    begins = predictions.window_start[mine].min()
    inside = mine & (predictions.window_start >= stop - delay) & (predictions.window_start + 52 <= stop)
    if stop - begins >= delay and inside.any():
      found[int(segment), int(stop - begins)] = predictions.window_log_prob[inside].sum(0)
  return found


@pytest.mark.parametrize('delay, windows', [(52, 1), (56, 1), (57, 2), (60, 2), (100, 10), (200, 30)])
def test_a_decision_pools_what_its_delay_holds(delay, windows):
  """Catches: windows of the repetition before, windows that end later, one window too many, decisions
  before the delay has passed."""
  noise = np.random.default_rng(0).normal(size=(4, 200))
  predictions = _predictions(lambda segment, start: noise[segment, start])
  mixed = np.random.default_rng(1).permutation(len(predictions.window_start))
  shuffled = predictions._replace(**{f: getattr(predictions, f)[mixed] for f in Predictions._fields[:3]})
  for given in (predictions, shuffled):
    segment_m, passed_m, pooled_mk = delays.decide(given, 52, delay)
    got = {(int(s), int(t)): p for s, t, p in zip(segment_m, passed_m, pooled_mk)}
    want = _brute(predictions, delay)
    assert got.keys() == want.keys() and len(got) == len(segment_m)
    for place in want:
      np.testing.assert_allclose(got[place], want[place], rtol=1e-5, atol=1e-5)
  late = [p for (s, t), p in want.items() if (s, t) == (2, 197)]
  if late:
    own = noise[2, STARTS[30 - windows:]]
    np.testing.assert_allclose(late[0][0], own.sum(), rtol=1e-5)


def test_repetitions_do_not_help_each_other():
  """Catches: sums that run on from one repetition into the next, of another gesture: all windows are
  right, those of the first sure, those of the second not."""
  predictions = _predictions(lambda segment, start: 1 if segment % 2 else 1000)
  for delay in (52, 100, 150, 190):
    segment_m, _, pooled_mk = delays.decide(predictions, 52, delay)
    right_m = pooled_mk.argmax(1) == SEGMENTS['label'][segment_m]
    assert right_m.all() and set(segment_m) == {0, 1, 2, 3}


def test_the_future_is_not_seen():
  """Catches: windows that end after the decision: all are wrong until 120 samples, and sure ones after."""
  predictions = _predictions(lambda segment, start: -1 if start + 52 <= 120 else 1000)
  for delay in (52, 75, 100):
    segment_m, passed_m, pooled_mk = delays.decide(predictions, 52, delay)
    right_m = pooled_mk.argmax(1) == SEGMENTS['label'][segment_m]
    np.testing.assert_array_equal(right_m, passed_m > 120)


def test_a_gap_is_no_window():
  """Catches: pooling a number of windows instead of a span of time; a crop's start taken as 0."""
  starts = np.concatenate([np.arange(40, 61, 5), np.arange(120, 141, 5)])
  predictions = _predictions(lambda segment, start: float(start), starts)
  segment_m, passed_m, pooled_mk = delays.decide(predictions, 52, 60)
  got = {int(t): p[0] for s, t, p in zip(segment_m, passed_m, pooled_mk) if s == 0}
  assert got == {62: 95, 67: 105, 72: 115, 132: 120, 137: 245, 142: 255, 147: 265, 152: 275}


def _measured(predictions, ms=(100, 260, 300, 500), **others):
  by_length = {52: {0: predictions}} | {int(k[1:]): {0: v} for k, v in others.items()}
  return delays.measure(DelayConfig(ms), by_length, PREPARE, SEGMENTS)


def test_accuracies_by_hand():
  """Catches: a mean over decisions instead of subjects, 'same times' that differ between delays, a
  window's own length that is not the window accuracy, windows of 260 ms passed off as 100 ms."""
  predictions = _predictions(
      lambda segment, start: (1 if start >= 20 else -1.5) if segment < 2 else (1 if start % 10 else -2))
  got = _measured(predictions)
  assert got['window_ms'] == 260 and got['stride_ms'] == 25 and got['samples'] == [52]
  assert [p['delay_ms'] for p in got['points']] == [260, 300, 500]
  assert [p['windows'] for p in got['points']] == [1, 2, 10]
  assert [p['decisions'] for p in got['points']] == [4 * 30, 4 * 28, 4 * 20]
  one, two, ten = (p['mean'] for p in got['points'])
  window = results.score(predictions, SEGMENTS, 2)[0]
  assert one['all'] == np.mean([window[s]['window'] for s in 'ab']) == (26 / 30 + 15 / 30) / 2
  assert one['same_times'] == (1 + 10 / 20) / 2  # starts 50, 55, ..., 145
  assert two == {'all': 25 / 28 / 2, 'same_times': 0.5} and ten == {'all': 0.5, 'same_times': 0.5}
  assert got['points'][0]['ci95']['same_times'] == [0.5, 1.0]
  short = _measured(predictions, s20=_predictions(lambda segment, start: 1, np.arange(0, 181, 5)))
  assert [p['delay_ms'] for p in short['points']] == [100, 260, 300, 500]
  assert short['points'][0]['mean'] == {'all': 1.0, 'same_times': 1.0}
  assert short['points'][0]['decisions'] == 4 * 37 and short['samples'] == [20, 52]
  json.dumps(short, allow_nan=False)


def test_what_is_too_short_for_a_delay_has_no_point():
  """Catches: NaN for a subject whose repetitions are over before the delay; a mean over the others."""
  predictions = _predictions(lambda segment, start: 1)
  keep_w = (predictions.window_segment < 2) | (predictions.window_start < 20)
  less = predictions._replace(**{f: getattr(predictions, f)[keep_w] for f in Predictions._fields[:3]})
  got = _measured(less)
  assert [p['delay_ms'] for p in got['points']] == [260, 300]
  assert got['points'][1]['mean'] == {'all': 1.0, 'same_times': 1.0}
  unknown = _predictions(lambda segment, start: -np.inf if segment == 0 else 1)
  assert _measured(unknown)['points'][2]['mean']['all'] == 0.75


def test_settings_and_resuming():
  """Catches: delays out of order, a row kept without the lengths that are asked for now."""
  for ms in ((300, 260), (0, 260), (260, 260)):
    with pytest.raises(ValueError, match='DelayConfig.ms'):
      DelayConfig(ms)
  config = DelayConfig(short=('lda-ls4',))
  assert config.short_samples('lda-ls4', PREPARE) == (20, 30, 40)
  assert config.short_samples('cnn', PREPARE) == ()
  assert delays.lacks({}, (20,)) and not delays.lacks({}, ())
  row = {'delays': {'ms': list(config.ms), 'samples': [20, 52]}}
  assert not delays.lacks(row, (20,)) and delays.lacks(row, (20, 30))
  assert delays.measured(row, config) and not delays.measured(row, DelayConfig((260,)))
  assert not delays.measured({}, config) and delays.measured({}, DelayConfig(()))


def test_an_lda_is_fitted_on_shorter_windows():
  """Catches: features of long windows under a short one's name; a short window that ends elsewhere."""
  segments, table = tiny_table.make()
  fold = splits.loso(segments, tiny_table.SUBJECTS)[0]
  method = delays.WithShort(baselines.baseline('lda-log-hudgins'), (20, 30))
  whole = method.predict(table, fold, 0)
  np.testing.assert_array_equal(
      whole.window_log_prob, baselines.baseline('lda-log-hudgins').predict(table, fold).window_log_prob)
  for n, by_seed in method.found.items():
    (short,) = by_seed[0]
    assert short.window_start.max() == (150 - n) // 5 * 5
    own = baselines.baseline('lda-log-hudgins').predict(table.of_length(n), fold)
    np.testing.assert_array_equal(short.window_log_prob, own.window_log_prob)
  assert table.of_length(20) is table.of_length(20)


@pytest.mark.heavy
def test_a_network_reads_slots_that_end_early():
  """Catches: samples after the decision in a short word, a spectrum over the zeros behind it, words
  of one window under another's number."""
  from aemg_jax.data import batches
  prepared = tiny_set.prepared()
  centre = batches.make_centre(prepared, 'none', ())
  rows = [splits.Row(4, 'a', 0.0, 0.9), splits.Row(2, 'b', 0.1, 0.5)]
  seen = {}
  for n in (0, 20, 30):
    segment_w, start_w, word_wx = sentence_windows.map_windows(
        prepared, rows, centre, lambda w: np.concatenate(
            [w.amplitude_n, w.length_n, w.onset_n, w.spectrum_nf.reshape(len(w.length_n), -1)], 1),
        window_samples=n)
    seen[n] = start_w
    for segment, start, word_x in zip(segment_w, start_w, word_wx):
      x_tc = prepared.rectified[int(segment)]['signal_tc'][start:start + (n or 52)].astype(np.float64)
      np.testing.assert_allclose(word_x[:4], np.log((x_tc**2).mean(0) + 1e-3) / 2, atol=1e-4)
      assert (word_x[4:8] == len(x_tc)).all() and (word_x[8:12] == start).all()
      hann_t = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(len(x_tc)) / len(x_tc))
      power_fc = abs(np.fft.rfft(x_tc * hann_t[:, None], 52, axis=0))[1:]**2 / len(x_tc)
      np.testing.assert_allclose(word_x[12:].reshape(4, 26), np.log(power_fc + 1e-3).T, atol=2e-3)
  assert len(seen[20]) - len(seen[0]) == 7 + 7 and seen[30].max() == 150
  with pytest.raises(ValueError, match='got 19 samples, expected 20 to 52'):
    sentence_windows.map_windows(prepared, rows, centre, lambda w: w.amplitude_n, window_samples=19)


@pytest.mark.heavy
def test_evaluate_measures_delays_of_rows_that_are_there(tmp_path):
  """Catches: a second training for delays of stored predictions; stale delays; a row that stays without
  its shorter windows."""
  prepared, ran = tiny_set.prepared(), []
  protocol = evaluate.protocols.ProtocolConfig(kind='loso')
  folds = evaluate.protocols.make_folds(prepared.segments, protocol)
  table = evaluate._window_table(prepared)

  class Counted(baselines.LdaBaseline):
    def predict(self, *args):
      ran.append(1)
      return super().predict(*args)
  method, rows = Counted(('log_hudgins',), 0.001), []

  def run(config):
    evaluate._one(rows, tmp_path, prepared, config, protocol, folds, 'lda', method, table, (0,), None)
    return rows[0]
  plain = run(DelayConfig(()))
  assert 'delays' not in plain and len(ran) == 3
  got = run(DelayConfig((260, 500)))['delays']
  assert len(ran) == 3 and [p['delay_ms'] for p in got['points']] == [260, 500]
  assert got['points'][0]['mean']['all'] == pytest.approx(plain['mean']['window'])
  assert [p['delay_ms'] for p in run(DelayConfig((260, 300)))['delays']['points']] == [260, 300]
  got = run(DelayConfig((100, 260, 300), short=('lda',)))['delays']
  assert len(ran) == 3 + 6 and [p['delay_ms'] for p in got['points']] == [100, 260, 300]
  run(DelayConfig((100, 260, 300), short=('lda',)))
  assert len(ran) == 9 and len(rows) == 1
  assert sorted(p.name for p in (tmp_path / 'predictions').iterdir()) == [
      'loso-lda-seed0-100ms.npz', 'loso-lda-seed0.npz']
