"""Speed of the 32 fatigue features against antropy and neurokit2.

  pip install --no-deps neurokit2==0.2.13  # its bounds on pandas and setuptools are not needed
  python tests/benchmarks/features.py --out tests/benchmarks/results/features_cpu.json

The libraries compute, window by window, the seven of the 32 that either has; their time for a
window is the sum over these of the faster library's, and beside it that of each library alone.
Ours is timed twice: the same seven from a block of windows in memory, and `windowed` on a recording
(cutting, transfers and all 32 features). Runs of both sides take turns, and `cpu_s` is the
process's own time, which other jobs on the machine change little.
"""

import argparse
import dataclasses
import json
import os
import platform
import time
import warnings

import antropy
import jax
import neurokit2
import numpy as np

from aemg_jax.signal import complexity, features, filters
from aemg_jax.signal import fatigue_features as ff

RATE_HZ, WINDOW_S, STRIDE_S = 1000.0, 1.0, 0.5
RECORDING_S, CHANNELS = 32.0, 3
LIBRARY_WINDOWS = 12  # so many windows and channels for the libraries, which take 40 ms each
SETTINGS = ff.FeatureSettings(fuzzy_power=1)  # the only one that neurokit2 has


def recording() -> np.ndarray:
  """White noise through 20 to 450 Hz, its level rising, float32."""
  rng = np.random.default_rng(0)
  noise_tc = rng.normal(size=(round(RECORDING_S * RATE_HZ), CHANNELS))
  level_t = np.linspace(0.5, 1, len(noise_tc))
  return filters.highpass(noise_tc * level_t[:, None], RATE_HZ, 20.0).astype(np.float32)


def library_functions(n_samples: int) -> dict[str, dict]:
  """Feature -> library -> function of one window, float64."""
  scales = np.array(complexity.dfa_scales(n_samples, SETTINGS.dfa_shortest, SETTINGS.dfa_fraction,
                                          SETTINGS.dfa_ratio))
  r, kmax = SETTINGS.tolerance, SETTINGS.higuchi_kmax
  return {
      'zc': {'antropy': antropy.num_zerocross},
      'spectral_entropy': {
          'antropy': lambda x: antropy.spectral_entropy(x, RATE_HZ, normalize=True)},
      'sample_entropy': {
          'antropy': lambda x: antropy.sample_entropy(x, 2, float(r * x.std())),
          'neurokit2': lambda x: neurokit2.entropy_sample(x, tolerance=r * x.std())[0]},
      'fuzzy_entropy': {
          'neurokit2': lambda x: neurokit2.entropy_fuzzy(x, tolerance=r * x.std())[0]},
      'higuchi': {'antropy': lambda x: antropy.higuchi_fd(x, kmax),
                  'neurokit2': lambda x: neurokit2.fractal_higuchi(x, k_max=kmax)[0]},
      'dfa': {'antropy': antropy.detrended_fluctuation,
              'neurokit2': lambda x: neurokit2.fractal_dfa(x, scale=scales, overlap=False)[0]},
      'lempel_ziv': {
          'antropy': lambda x: antropy.lziv_complexity((x > x.mean()).astype(int), normalize=True),
          'neurokit2': lambda x: neurokit2.complexity_lempelziv(x, symbolize='mean')[0]},
  }


def our_functions(n_samples: int) -> dict:
  """Feature -> jitted function of a block of windows, that feature alone; and all of the seven."""
  scales = complexity.dfa_scales(n_samples, SETTINGS.dfa_shortest, SETTINGS.dfa_fraction,
                                 SETTINGS.dfa_ratio)
  entropies = lambda z: complexity.template_entropies(
      z, SETTINGS.template_length, SETTINGS.tolerance, SETTINGS.fuzzy_tolerance,
      SETTINGS.fuzzy_power)

  def same(window_tc):
    z_tc, sd_c = ff._standardised(window_tc)
    return (*ff._non_linear(z_tc, SETTINGS).values(),
            ff._time(window_tc, z_tc, sd_c, SETTINGS)['zc'],
            ff._frequency(window_tc, RATE_HZ, SETTINGS)['spectral_entropy'])

  return {'same_seven': jax.jit(same),
          'sample_entropy': jax.jit(lambda z: entropies(z)[0]),
          'fuzzy_entropy': jax.jit(lambda z: entropies(z)[1]),
          'higuchi': jax.jit(lambda z: complexity.higuchi(z, SETTINGS.higuchi_kmax)),
          'dfa': jax.jit(lambda z: complexity.detrended_fluctuation(z, scales)),
          'lempel_ziv': jax.jit(lambda z: complexity.lempel_ziv(z > 0))}


class Clock:
  """Wall and process seconds a window and channel of repeated runs of one thing."""

  def __init__(self, work, columns: int):
    self.work, self.columns, self.wall_s, self.cpu_s = work, columns, [], []
    self.value = work()  # compiles

  def run(self) -> None:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    self.work()
    self.wall_s.append((time.perf_counter() - wall_s) / self.columns)
    self.cpu_s.append((time.process_time() - cpu_s) / self.columns)

  def summary(self) -> dict:
    return {'wall_s': float(np.median(self.wall_s)), 'cpu_s': float(np.median(self.cpu_s)),
            'windows_per_s': 1 / float(np.median(self.wall_s)), 'runs': len(self.wall_s)}


def compared(feature: str, ours: dict, library: dict[str, dict]) -> dict:
  fastest = min(library, key=lambda name: library[name]['cpu_s'])
  row = {'feature': feature, 'libraries': library, 'fastest': fastest}
  if feature in ours:
    row |= {'ours': ours[feature],
            'ratio_cpu': library[fastest]['cpu_s'] / ours[feature]['cpu_s'],
            'ratio_wall': library[fastest]['wall_s'] / ours[feature]['wall_s']}
  return row


def difference(functions: dict, column_tc: np.ndarray, column_cf: np.ndarray) -> dict:
  """Largest relative difference of ours from each library on the first windows."""
  result = {}
  for feature, libraries in functions.items():
    mine_c = column_cf[:, ff.FEATURE_NAMES.index(feature)]
    for name, function in libraries.items():
      theirs_c = np.array([function(x) for x in column_tc.T])
      result[f'{feature}/{name}'] = float(np.max(np.abs(mine_c / theirs_c - 1)))
  return result


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--out', required=True, help='JSON file to write')
  parser.add_argument('--rounds', type=int, default=7, help='runs of everything, in turns')
  args = parser.parse_args()
  warnings.simplefilter('ignore')
  load_before = os.getloadavg()
  signal_tc = recording()
  length = round(WINDOW_S * RATE_HZ)
  window_ntc, _ = features.cut_windows(signal_tc, length, round(STRIDE_S * RATE_HZ))
  column_tc = window_ntc.transpose(1, 0, 2).reshape(length, -1)
  block_tc = column_tc[:, :ff.BLOCK_COLUMNS]
  z_tc = jax.device_put(((block_tc - block_tc.mean(0)) / block_tc.std(0)).astype(np.float32))
  few = [np.ascontiguousarray(x) for x in column_tc.T[:LIBRARY_WINDOWS]]
  functions = library_functions(length)
  all_32 = Clock(lambda: ff.windowed(signal_tc, RATE_HZ, WINDOW_S, STRIDE_S, SETTINGS),
                 column_tc.shape[1])
  alone = {name: Clock(lambda f=f: jax.block_until_ready(f(z_tc)), block_tc.shape[1])
           for name, f in our_functions(length).items()}
  library = {(feature, name): Clock(lambda f=f: [f(x) for x in few], len(few))
             for feature, rows in functions.items() for name, f in rows.items()}
  for _ in range(args.rounds):
    for clock in (all_32, *alone.values(), *library.values()):
      clock.run()
  ours = {name: clock.summary() for name, clock in alone.items()}
  rows = [compared(feature, ours, {name: library[feature, name].summary() for name in names})
          for feature, names in functions.items()]
  total = lambda choose: {kind: sum(row['libraries'][choose(row)][kind] for row in rows
                                    if choose(row) in row['libraries'])
                          for kind in ('wall_s', 'cpu_s')}
  times = {'faster_of_both': total(lambda row: row['fastest']),
           'antropy_without_fuzzy_entropy': total(lambda row: 'antropy'),
           'neurokit2_without_zc_and_spectral_entropy': total(lambda row: 'neurokit2')}
  mine = {'same_seven': ours['same_seven'], 'all_32_from_a_recording': all_32.summary()}
  ratios = {f'{kind[:-2]}: {name} over {which}': times[name][kind] / mine[which][kind]
            for which in mine for name in times for kind in ('cpu_s', 'wall_s')}
  column_cf = all_32.value.reshape(-1, len(ff.FEATURE_NAMES))[:LIBRARY_WINDOWS]
  result = {
      'machine': {'cores': os.cpu_count(), 'load_before': load_before,
                  'load_after': os.getloadavg(), 'platform': platform.platform(),
                  'device': jax.devices()[0].device_kind, 'jax': jax.__version__,
                  'numpy': np.__version__, 'xla_flags': os.environ.get('XLA_FLAGS', ''),
                  'antropy': antropy.__version__,
                  'neurokit2': neurokit2.__version__},
      'config': dataclasses.asdict(SETTINGS), 'rate_hz': RATE_HZ, 'window_s': WINDOW_S,
      'windows_and_channels': column_tc.shape[1], 'library_windows': LIBRARY_WINDOWS,
      'ours': mine, 'libraries': times, 'ratios': ratios, 'features': rows,
      'largest_relative_difference': difference(
          functions, column_tc[:, :LIBRARY_WINDOWS], column_cf)}
  partial = args.out + '.partial'
  with open(partial, 'w', encoding='utf-8') as file:
    json.dump(result, file, indent=1)
    file.write('\n')
  os.replace(partial, args.out)


if __name__ == '__main__':
  main()
