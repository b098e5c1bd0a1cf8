"""The 32 fatigue features of a window in float64, formula by formula: NumPy, SciPy, PyWavelets."""

import math

import numpy as np
import pywt
from scipy import stats

FINSM5_FROM_HZ, R, KMAX = 5.0, 0.2, 10


def time_domain(x):
  d, sd = np.diff(x), np.std(x)
  return {
      'iemg': np.abs(x).sum(), 'mav': np.abs(x).mean(), 'rms': np.sqrt((x ** 2).mean()),
      'var': np.var(x), 'wl': np.abs(d).sum(), 'zc': (x[:-1] * x[1:] < 0).sum(),
      'ssc': (d[:-1] * d[1:] < 0).sum(), 'wamp': (np.abs(d) > 0.2 * sd).sum(),
      'log_detector': np.exp(np.log(np.abs(x)).mean()),
      'kurtosis': stats.kurtosis(x, fisher=False), 'skewness': stats.skew(x),
      'dasdv': np.sqrt((d ** 2).sum() / (len(x) - 1)),
  }


def frequency_domain(x, rate_hz):
  f = np.arange(len(x) // 2 + 1) * rate_hz / len(x)
  power = np.array([abs(np.sum(x * np.exp(-2j * np.pi * j * np.arange(len(x)) / len(x)))) ** 2
                    for j in range(len(f))]) * 2 / len(x) ** 2
  p = power / power.sum()
  band = lambda low, high: power[(f >= low) & (f < high)].sum()
  kept, khz = f >= FINSM5_FROM_HZ, f / 1000
  return {
      'mnf': (f * power).sum() / power.sum(),
      'mdf': f[np.searchsorted(np.cumsum(power), power.sum() / 2)],
      'total_power': power.sum(), 'peak_frequency': f[np.argmax(power)],
      'sm1': (f * power).sum(), 'sm2': (f ** 2 * power).sum(),
      'low_high_ratio': band(20, 80) / band(80, 250),
      'spectral_entropy': stats.entropy(p) / np.log(len(p)),
      'finsm5': (power[kept] / khz[kept]).sum() / (power[kept] * khz[kept] ** 5).sum(),
  }


def time_frequency(x):
  coefficients = pywt.wavedec(x, 'db4', mode='symmetric', level=5)
  energy = np.array([(c ** 2).sum() for c in coefficients])  # A5, D5, ..., D1
  named = {f'energy_d{6 - i}': energy[i] / energy.sum() for i in range(1, 6)}
  return named | {'wavelet_entropy': stats.entropy(energy)}


def entropies(x, m=2, power=2):
  """(sample, fuzzy) from all pairs of templates."""
  x = (x - x.mean()) / x.std()
  count = len(x) - m
  pairs = ~np.eye(count, dtype=bool)
  matches, similar = [], []
  for length in (m, m + 1):
    template = np.array([x[i:i + length] for i in range(count)])
    distance = np.abs(template[:, None] - template[None]).max(axis=-1)
    matches.append((distance <= R)[pairs].sum())
    template = template - template.mean(axis=1, keepdims=True)
    distance = np.abs(template[:, None] - template[None]).max(axis=-1)
    similar.append(np.exp(-(distance / R) ** power)[pairs].mean())
  return -np.log(matches[1] / matches[0]), np.log(similar[0]) - np.log(similar[1])


def higuchi(x):
  lengths = []
  for k in range(1, KMAX + 1):
    of_phase = []
    for m in range(k):
      points = x[m::k]
      of_phase.append(
          np.abs(np.diff(points)).sum() * (len(x) - 1) / ((len(points) - 1) * k) / k)
    lengths.append(np.mean(of_phase))
  return np.polyfit(-np.log(np.arange(1, KMAX + 1)), np.log(lengths), 1)[0]


def dfa(x):
  scales, n = [], 4.0
  while n <= 0.1 * len(x):
    scales.append(int(n))
    n *= 1.2
  scales = sorted(set(scales))
  walk, fluctuations = np.cumsum(x - x.mean()), []
  for n in scales:
    left = []
    for start in range(0, len(x) - n + 1, n):
      piece, t = walk[start:start + n], np.arange(n)
      left.append(piece - np.polyval(np.polyfit(t, piece, 1), t))
    fluctuations.append(np.sqrt(np.mean(np.square(left))))
  return np.polyfit(np.log(scales), np.log(fluctuations), 1)[0]


def lempel_ziv(bits):
  """c log2(n) / n, word by word with string search."""
  text, position, words = ''.join('01'[int(b)] for b in bits), 0, 0
  while position < len(text):
    length = 1
    while position + length <= len(text) and text[position:position + length] in (
        text[:position + length - 1]):
      length += 1
    position, words = position + length, words + 1
  return words * math.log2(len(text)) / len(text)


def every_feature(x, rate_hz):
  """Name -> value."""
  sample, fuzzy = entropies(x)
  return {**time_domain(x), **frequency_domain(x, rate_hz), **time_frequency(x),
          'sample_entropy': sample, 'fuzzy_entropy': fuzzy, 'higuchi': higuchi(x), 'dfa': dfa(x),
          'lempel_ziv': lempel_ziv(x > x.mean())}
