"""Families of codes and polysemy, on words made by hand."""

import types

import numpy as np
import pytest

from aemg_jax.evaluation import code_families, figure_data, figures_codes
from aemg_jax.evaluation.code_families import LIFT, QUIET, STEP, STRONG, Placed
from aemg_jax.evaluation.codebook import Coded
from tests import tiny_runs
from tests.fake_words import fake_words


@pytest.mark.parametrize('amplitude, lift_q, before, after, want', [
    (QUIET - 0.1, (9, 0, 0), 1, 1, 'quiet'), (1, (9, 0, 0), STEP, STEP, 'burst'),
    (1, (1, 1, 1), STEP, 0, 'rising'), (1, (1, 1, 1), np.nan, STEP, 'falling'),
    (1, (LIFT, 1, 1), 0, 0, 'onset'), (QUIET, (LIFT, 0, LIFT + 1), 0, np.nan, 'offset'),
    (STRONG, (1, 9, 1), 0, 0, 'strong'), (STRONG - 0.1, (1, 1, LIFT - 0.1), -1, -1, 'weak')])
def test_the_rule(amplitude, lift_q, before, after, want):
  """Catches: families in another order than the rule says, NaN of a first slot taken for a step, onset
  and offset exchanged."""
  assert code_families.family(amplitude, np.array(lift_q, float), before, after) == want


def _coded(code_bsc, amplitude_bsc, segment_b):
  b, slots, channels = np.shape(code_bsc)
  words = fake_words(b=b, slots=slots, channels=channels)
  code_bn = np.reshape(code_bsc, (b, -1))
  words = words._replace(valid_n=code_bn >= 0, amplitude_n=np.reshape(amplitude_bsc, (b, -1)))
  return Coded(tiny_runs.VQ, words, np.asarray(segment_b), code_bn, {})


def _prepared(label, n_samples):
  return types.SimpleNamespace(segments={'label': np.array(label), 'n_samples': np.array(n_samples)},
                               labels=('a', 'b'))


def test_words_know_their_neighbours_and_place():
  """Catches: the other channel's amplitude as the slot before, a step over a gap or from one sentence
  to the next, unlabelled segments, a place counted from the sentence instead of the repetition."""
  code_bsc = np.full((3, 4, 4), -1)
  code_bsc[0, :, 0] = [3, 5, 3, 7]
  code_bsc[0, 1, 2] = 9
  code_bsc[1, 0, 0] = 3  # of a segment without a label
  code_bsc[2, :, 1] = [4, -1, 4, 4]
  amplitude_bsc = np.zeros((3, 4, 4))
  amplitude_bsc[0, :, 0] = [0, 1, 3, 2]
  amplitude_bsc[2, :, 1] = [1, 100, 2, 5]
  coded = _coded(code_bsc, amplitude_bsc, [1, 0, 2])
  late_bn = coded.words.onset_n.copy()
  late_bn[0, 12:] += 30  # the last slot of the first sentence begins after a gap
  coded.words.onset_n[:] = late_bn
  words = code_families.place_words(coded, _prepared([-1, 1, 0], [200, 400, 208]), np.arange(3))
  rows = {(int(s), int(slot), int(c)): i for i, (s, (_, slot), c) in enumerate(
      zip(words.segment, words.slot, words.channel))}
  assert set(rows) == {(1, 0, 0), (1, 1, 0), (1, 2, 0), (1, 3, 0), (1, 1, 2), (2, 0, 1), (2, 2, 1), (2, 3, 1)}
  got = {place: (words.code[i], words.label[i], words.before[i], words.after[i]) for place, i in rows.items()}
  nan = np.nan
  for place, want in {(1, 0, 0): (3, 1, nan, -1), (1, 1, 0): (5, 1, 1, -2), (1, 2, 0): (3, 1, 2, nan),
                      (1, 3, 0): (7, 1, nan, nan), (1, 1, 2): (9, 1, nan, nan), (2, 0, 1): (4, 0, nan, nan),
                      (2, 2, 1): (4, 0, nan, -3), (2, 3, 1): (4, 0, 3, nan)}.items():
    np.testing.assert_array_equal(got[place], want)
  part = {place: int(words.part[i]) for place, i in rows.items()}
  assert [part[1, s, 0] for s in range(4)] == [0, 0, 1, 1]  # middles at 26, 78, 130 and 212 of 400
  assert [part[2, s, 1] for s in (0, 2, 3)] == [0, 1, 2]  # at 26, 130 and 182 of 208


def _placed(code, label, part=None, amplitude=None, channel=None, slot=None):
  n = len(code)
  full = lambda x, value: np.full(n, value) if x is None else np.asarray(x)
  return Placed(np.asarray(code), np.asarray(label), np.arange(n), full(channel, 0), full(part, 1),
                full(amplitude, 1.0), np.full(n, np.nan), np.zeros(n),
                np.stack([np.arange(n), np.zeros(n, int)], 1) if slot is None else np.asarray(slot),
                np.tile(np.arange(n, dtype=float)[:, None], (1, 3)))


def test_codes_by_hand():
  """Catches: entropy that is not of the gestures, lifts over an even share instead of all words', codes out
  of order, a code that has no word."""
  words = _placed([2, 2, 2, 2, 5, 5, 5, 9], [0, 1, 0, 1, 0, 0, 0, 1], [0, 0, 1, 2, 1, 1, 1, 1])
  got = code_families.describe(words, 2, most=2)
  assert got['code_m'].tolist() == [2, 5] and got['share_m'].tolist() == [4 / 8, 3 / 8]
  base = code_families._entropy(np.array([5, 3]) / 8)
  np.testing.assert_allclose(got['entropy_m'], [np.log(2) / base, 0])
  np.testing.assert_allclose(got['gesture_mg'], [[0.5, 0.5], [1, 0]])
  np.testing.assert_allclose(got['lift_mq'], [[0.5 / 0.25, 0.25 / 0.625, 0.25 / 0.125], [0, 1 / 0.625, 0]])
  assert got['family_m'].tolist() == ['onset', 'strong'] and np.isnan(got['before_m']).all()
  np.testing.assert_allclose(got['spectrum_mf'], [[1.5] * 3, [5] * 3])
  np.testing.assert_allclose(got['deviation_mf'], [[np.sqrt(1.25)] * 3, [np.sqrt(2 / 3)] * 3])
  assert len(code_families.describe(words, 2)['code_m']) == 3


def test_the_code_of_many_gestures():
  """Catches: a code of rest, a rare pair, words of the other electrodes counted as the code's, a context of
  other moments."""
  code = [1] * 6 + [2] * 4 + [3] * 8 + [7]
  label = [0, 1, 2, 0, 1, 2] + [0, 1, 0, 1] + [0, 1, 2, 2, 1, 0, 0, 1] + [2]
  channel = [0] * 3 + [1] * 3 + [0] * 4 + [1] * 8 + [1]
  amplitude = [1.0] * 6 + [2.0] * 4 + [-1.0] * 8 + [6.0]
  slot = [[i, 0] for i in range(18)] + [[6, 0]]  # the last at the moment of code 2's first
  words = _placed(code, label, None, amplitude, channel, slot)
  got = code_families.polysemous(words, 3, 2)
  assert (got['code'], got['electrode']) == (1, 0)  # 3 words in 3 gestures
  few = words._replace(label=np.where(words.code == 1, 0, words.label))
  got = code_families.polysemous(few, 3, 2)
  assert (got['code'], got['electrode']) == (2, 0) and got['count_g'].tolist() == [2, 2, 0]
  np.testing.assert_allclose(got['base_g'], [5 / 7, 2 / 7, 0])
  np.testing.assert_allclose(got['spectrum_gf'][:2], [[7] * 3, [8] * 3])
  np.testing.assert_array_equal(got['context_gc'], [[2, 6], [2, np.nan], [np.nan, np.nan]])
  quiet = words._replace(amplitude=-words.amplitude**2)
  assert code_families.polysemous(quiet, 3, 2)['code'] == 3  # nothing is loud


def test_what_was_measured_is_written(tmp_path):
  """Catches: keys that the file does not know, a gesture without words, bins outside the band as numbers,
  a set without labels."""
  rng = np.random.default_rng(0)
  code_bsc = rng.integers(0, 6, (8, 4, 4))
  coded = _coded(code_bsc, rng.normal(size=code_bsc.shape), np.arange(8))
  coded.words.bin_valid_f[:, 13:] = False
  prepared = _prepared([0] * 8, [208] * 8)
  prepared.config = tiny_runs.tiny_set.FIXED
  code_families.measure(coded, prepared, np.arange(8), 'one subject', tmp_path)
  families, polysemy = (figure_data.read_figure_data(tmp_path, k) for k in ('families', 'polysemy'))
  spectrum_mf = families['spectrum_mf']
  assert np.isnan(spectrum_mf[:, 13:]).all() and np.isfinite(spectrum_mf[:, :13]).all()
  assert polysemy['count_g'][1] == 0 and np.isnan(polysemy['spectrum_gf'][1]).all()
  table = figures_codes.family_table(families)
  assert len(table.rows) == 6 and table.rows[0][1][0] == str(families['code_m'][0])
  code_families.measure(coded, _prepared([-1] * 8, [208] * 8), np.arange(8), '', tmp_path / 'none')
  assert not (tmp_path / 'none').exists()
