"""The 32 fatigue features against formulas, antropy, neurokit2 and the stored values."""

import json
import os
import pathlib

from hypothesis import given, settings, strategies as st
import jax
import numpy as np
import pytest

from aemg_jax.signal import complexity
from aemg_jax.signal import fatigue_features as ff
from tests import fatigue_formulas

RATE_HZ, LENGTH, COLUMNS = 1000.0, 256, ff.BLOCK_COLUMNS  
LARGEST = float(np.finfo(np.float32).max)
AMPLITUDES = ('iemg', 'mav', 'rms', 'wl', 'log_detector', 'dasdv')
POWERS = ('var', 'total_power', 'sm1', 'sm2')


def block(columns):
  """[256, 64] float32, zeros after the columns given."""
  columns_tc = np.stack(columns, axis=1).astype(np.float32)
  return np.pad(columns_tc, ((0, 0), (0, COLUMNS - columns_tc.shape[1])))


def compute(window_tc):
  """One compiled graph a precision, the one that `windowed` uses."""
  return ff.features(window_tc, RATE_HZ, ff.FeatureSettings())


def named(value_cf):
  return {name: np.asarray(value_cf)[:, f] for f, name in enumerate(ff.FEATURE_NAMES)}


@pytest.fixture(name='signals', scope='module')
def _signals():
  """Unlike windows: white and smooth noise, tones, a burst, an offset, ADC counts, a heavy tail."""
  rng = np.random.default_rng(0)
  t = np.arange(LENGTH)
  white = rng.normal(size=(6, LENGTH))
  smooth = np.convolve(rng.normal(size=LENGTH + 7), np.hanning(8), 'valid')
  rows = [white[0], smooth[:LENGTH], np.sin(0.5 * t) + 0.1 * white[1],
          white[2] * np.exp(-((t - 90) / 25) ** 2) + 0.01 * white[5], 1e-3 * white[3] + 4e-4,
          np.round(40 * smooth[:LENGTH]) + 0.5, rng.standard_t(3, LENGTH),
          np.sin(0.02 * t ** 1.5) + 0.01 * white[4]]
  return np.array(rows).astype(np.float32)


@pytest.fixture(name='expected', scope='module')
def _expected(signals):
  rows = [fatigue_formulas.every_feature(x.astype(np.float64), RATE_HZ) for x in signals]
  return {name: np.array([row[name] for row in rows]) for name in ff.FEATURE_NAMES}


@pytest.fixture(name='in_float64', scope='module')
def _in_float64(signals):
  with jax.enable_x64(True):
    value_cf = compute(block(list(signals)).astype(np.float64))
    assert value_cf.dtype == np.float64
    return named(np.asarray(value_cf)[:len(signals)])


@pytest.fixture(name='in_float32', scope='module')
def _in_float32(signals):
  value_cf = compute(block(list(signals)))
  assert value_cf.dtype == np.float32
  return named(np.asarray(value_cf)[:len(signals)])


def test_names_and_groups():
  """Catches: a feature added without its place, or named twice."""
  assert len(set(ff.FEATURE_NAMES)) == 32 and [len(n) for n in ff.GROUPS.values()] == [12, 9, 6, 5]


@pytest.mark.heavy
@pytest.mark.parametrize('name', ff.FEATURE_NAMES)
def test_float64_is_the_formula(name, in_float64, expected):
  """Catches: a wrong formula, an off-by-one, another wavelet mode, pairs met twice or never."""
  np.testing.assert_allclose(in_float64[name], expected[name], rtol=1e-9, atol=0)


@pytest.mark.heavy
@pytest.mark.parametrize('name', ff.FEATURE_NAMES)
def test_float32_is_near_the_formula(name, in_float32, expected):
  """Catches: sums that cancel. 2.4e-6 (skewness) was the largest difference; counts are exact."""
  np.testing.assert_allclose(in_float32[name], expected[name], rtol=1e-5, atol=0)


def test_gain_changes_amplitudes_only(signals, in_float32):
  """Catches: a threshold or tolerance that is absolute; a scale forgotten or squared."""
  gain = 1.37 * 2 ** 21  # no power of two, which the code itself takes out
  louder = named(compute(block(list(signals * gain))))
  for name in ff.FEATURE_NAMES:
    factor = gain ** (2 if name in POWERS else 1 if name in AMPLITUDES else 0)
    np.testing.assert_allclose(
        louder[name][:len(signals)], in_float32[name] * factor, rtol=2e-5, err_msg=name)


def test_extremes_saturate():
  """Catches: infinity or NaN from 1e30 squared, from 1e-30 squared, from log 0 or from 0 / 0."""
  rng = np.random.default_rng(1)
  noise, zeros, alternating = rng.normal(size=LENGTH), np.zeros(LENGTH), np.resize([1, -1], LENGTH)
  impulse = np.eye(LENGTH)[100]
  shapes = [zeros, zeros + 1, zeros + 0.1, impulse, alternating, np.arange(LENGTH), noise,
            noise + 1e6, np.sign(noise), np.cumsum(noise)]
  value_cf = np.asarray(compute(block(
      [s * scale for scale in (1, 3e38 / 1e7, 1e30, 1e-30, 1e-38) for s in shapes])))
  assert np.isfinite(value_cf).all()
  got = named(value_cf)
  for name in ff.FEATURE_NAMES:  # silence, and what a flat window leaves undefined
    assert got[name][0] == 0 or name == 'lempel_ziv'
  undefined = ('kurtosis', 'skewness', 'sample_entropy', 'fuzzy_entropy', 'higuchi', 'dfa', 'var',
               'zc', 'ssc', 'wamp')
  assert all(got[name][flat] == 0 for name in undefined for flat in (1, 2, 11, 12, 21, 22, 31, 32))
  assert got['var'][26] == np.float32(LARGEST)  # 1e60
  assert got['rms'][26] == pytest.approx(1e30 * np.sqrt((noise ** 2).mean()), rel=1e-5)
  assert got['zc'][4] == 255 and got['mnf'][4] == 500 and got['ssc'][4] == 254


ANY_FLOAT = st.floats(width=32, allow_nan=False, allow_infinity=False)


@pytest.mark.heavy
@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.lists(ANY_FLOAT, min_size=1, max_size=12), st.booleans()),
                min_size=1, max_size=8))
def test_every_finite_window_has_finite_features(patterns):
  """Catches: a division, logarithm or overflow that some pattern reaches; repeated, or held."""
  columns = [np.resize(p, LENGTH) if repeat else np.repeat(p, -(-LENGTH // len(p)))[:LENGTH]
             for p, repeat in patterns]
  value_cf = np.asarray(compute(block(columns)))
  assert np.isfinite(value_cf).all(), np.argwhere(~np.isfinite(value_cf))


@pytest.mark.heavy
def test_entropies_of_other_lengths_and_powers(signals):
  """Catches: an odd number of templates treated as an even one; m and p that are fixed; infinity.

  The last column has no two templates within 0.2: ln of the number of pairs.
  """
  z_tc = np.stack([(x - x.mean()) / x.std() for x in signals[1:4, :66].astype(np.float64)], 1)
  apart_t1 = np.random.default_rng(0).permutation(66)[:, None]
  sample_c, fuzzy_c = complexity.template_entropies(
      np.concatenate([z_tc, apart_t1], 1).astype(np.float32), 3, 0.2, 0.2, 1)
  expected = np.array([fatigue_formulas.entropies(x, 3, 1) for x in z_tc.T])
  np.testing.assert_allclose(np.stack([sample_c, fuzzy_c], 1)[:3], expected, rtol=1e-5)
  assert sample_c[3] == pytest.approx(np.log(63 * 62 / 2), rel=1e-6) and np.isfinite(fuzzy_c[3])


def test_lempel_ziv_of_long_matches():
  """Catches: matches cut at 32 symbols, or taken past the end."""
  rng = np.random.default_rng(0)
  part = rng.integers(0, 2, 70)
  joined = lambda *pieces: np.concatenate(pieces)
  rows = [np.resize(part, 256), np.resize(part[:33], 256), joined(part, 1 - part, part[:46], part),
          np.zeros(256), np.eye(256)[40], np.resize([0, 1], 256), rng.integers(0, 2, 256),
          joined(np.zeros(200), part[:56]),
          joined(part[:60], [0], part[:60], [1], part[:60], part[:64], np.ones(10))]
  got_c = jax.jit(complexity.lempel_ziv)(np.array(rows, bool).T)
  np.testing.assert_allclose(got_c, [fatigue_formulas.lempel_ziv(r) for r in rows], rtol=1e-6)
  textbook = [int(b) for b in '0001101001000101']  # 0 . 001 . 10 . 100 . 1000 . 101
  assert fatigue_formulas.lempel_ziv(textbook) == 6 * 4 / 16


def test_windows_are_each_channel_of_each_stride():
  """Catches: windows and channels exchanged, a block's end lost, padding taken for a window."""
  rng = np.random.default_rng(0)
  signal_tc = rng.normal(size=(256 + 29 * 64 + 63, 3)) * [[1, 2, 4]]
  value_ncf = ff.windowed(signal_tc, RATE_HZ, 0.256, 0.064)
  assert value_ncf.shape == (30, 3, 32) and value_ncf.dtype == np.float32
  windows = [(0, 0), (7, 2), (21, 1), (29, 0), (29, 2)]  # column 64 is window 21, channel 1
  columns = [signal_tc[64 * n:64 * n + 256, c] for n, c in windows]
  expected_cf = np.asarray(compute(block(columns)))
  for row, (n, c) in enumerate(windows):
    np.testing.assert_array_equal(value_ncf[n, c], expected_cf[row])
  assert ff.windowed(signal_tc[:255], RATE_HZ, 0.256, 0.064).shape == (0, 3, 32)


@pytest.mark.parametrize('call, message', [
    (lambda x: ff.features(x[:223], RATE_HZ), r'window_tc: got shape \(223, 2\).*224 samples'),
    (lambda x: ff.features(x[:, 0], RATE_HZ), r'window_tc: got shape \(300,\), expected \[T, C\]'),
    (lambda x: ff.features(x, 400.0), r'rate_hz: got 400.0, expected at least 500.0'),
    (lambda x: ff.features(x, float('nan')), 'rate_hz: got nan'),
    (lambda x: ff.windowed(x[:, 0], RATE_HZ, 0.25, 0.1), r'signal_tc: got shape \(300,\)'),
    (lambda x: ff.windowed(np.where(np.eye(300, 2), np.nan, x), RATE_HZ, 0.25, 0.1),
     'signal_tc: sample 0 of channel 0 is nan, expected a finite number'),
    (lambda x: ff.windowed(x, RATE_HZ, 0.25, 0.0), 'windows: got length 250 and stride 0'),
])
def test_bad_input(call, message):
  """Catches: a bad window or rate that gives numbers, or an error that names nothing."""
  with pytest.raises(ValueError, match=message):
    call(np.zeros((300, 2), np.float32))


def antropy_functions():
  antropy = pytest.importorskip('antropy')
  binary = lambda x: (x > x.mean()).astype(int)
  return {
      'sample_entropy': lambda x: antropy.sample_entropy(x, 2, 0.2 * float(x.std())),
      'higuchi': lambda x: antropy.higuchi_fd(x, 10),
      'dfa': antropy.detrended_fluctuation,
      'lempel_ziv': lambda x: antropy.lziv_complexity(binary(x), normalize=True),
      'spectral_entropy': lambda x: antropy.spectral_entropy(x, RATE_HZ, normalize=True)}


def neurokit2_functions():
  """neurokit2 0.2.13 asks for pandas < 3 and setuptools < 82, against our pins, and runs with ours:
  pip install --no-deps neurokit2==0.2.13."""
  neurokit2 = pytest.importorskip('neurokit2')
  return {
      'sample_entropy': lambda x: neurokit2.entropy_sample(x, tolerance=0.2 * x.std())[0],
      'fuzzy_entropy': lambda x: neurokit2.entropy_fuzzy(x, tolerance=0.2 * x.std())[0],
      'higuchi': lambda x: neurokit2.fractal_higuchi(x, k_max=10)[0],
      'lempel_ziv': lambda x: neurokit2.complexity_lempelziv(x, symbolize='mean')[0]}


@pytest.mark.heavy  # importing either takes seconds
@pytest.mark.parametrize('functions', [antropy_functions, neurokit2_functions])
def test_libraries_agree(functions, signals, in_float64):
  """Catches: a definition that is ours alone.

  antropy's spectrum lacks zero frequency and halves Nyquist's: both are taken out for it.
  neurokit2's membership has p = 1.
  """
  rows = signals.astype(np.float64)
  z_tc = ((rows - rows.mean(1, keepdims=True)) / rows.std(1, keepdims=True)).T
  spectrum = np.fft.rfft(rows)
  spectrum[:, [0, -1]] = 0
  band = np.fft.irfft(spectrum)
  with jax.enable_x64(True):
    other = {
        'fuzzy_entropy': complexity.template_entropies(z_tc, 2, 0.2, 0.2, 1)[1],
        'spectral_entropy': ff._frequency(
            band.T, RATE_HZ, ff.FeatureSettings())['spectral_entropy']}
  for name, function in functions().items():
    theirs = [function(x) for x in (band if name == 'spectral_entropy' else rows)]
    mine = np.asarray(other.get(name, in_float64[name]))
    np.testing.assert_allclose(mine, theirs, rtol=1e-9, err_msg=name)


@pytest.mark.real
def test_stored_values_of_a_real_window():
  """Catches: a feature that drifts from the values that libraries agreed on, to their printing."""
  raw = os.environ.get('AEMG_RAW_DIR', '')
  folder = pathlib.Path(os.environ.get(
      'AEMG_ORACLE_DIR', os.path.join(os.path.dirname(raw.rstrip('/')), 'oracles')))
  if not (folder / 'semg_features_plux_20000_21000.json').exists():
    pytest.skip('neither AEMG_ORACLE_DIR nor the folder beside AEMG_RAW_DIR has the stored values')
  stored = json.loads((folder / 'semg_features_plux_20000_21000.json').read_text())
  window_t = np.load(folder / 'semg_window_plux_20000_21000.npy')
  with jax.enable_x64(True):
    got = {k: float(v[0]) for k, v in named(ff.features(window_t[:, None], 1000.0)).items()}
  printed = {'iemg': 'IEMG', 'mav': 'MAV', 'rms': 'RMS', 'wl': 'WL', 'zc': 'ZC', 'ssc': 'SSC',
             'mnf': 'MNF', 'mdf': 'MDF', 'sample_entropy': 'SampEn', 'higuchi': 'HFD10',
             'wavelet_entropy': 'WavEntropy'}
  for name, key in printed.items():
    assert got[name] == pytest.approx(stored[key], rel=1e-14), name
  assert got['var'] == pytest.approx(stored['Hjorth'][0], rel=1e-14)
  assert got['finsm5'] == pytest.approx(stored['FInsm5'] * 1e18, rel=1e-13)  # Hz^-6 to kHz^-6
  # a slope of logarithms of fluctuations; 4e-12 was measured
  assert got['dfa'] == pytest.approx(stored['DFA(antropy scales)'], rel=1e-11)
  energies = [got[f'energy_d{k}'] for k in range(5, 0, -1)]
  energies = [1 - sum(energies), *energies]
  assert [round(e, 4) for e in energies] == stored['WavEnergy(A5,D5..D1)']
