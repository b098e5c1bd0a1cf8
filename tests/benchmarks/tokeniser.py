"""Speed of the tokeniser, and of filtering and resampling apart.

  python tests/benchmarks/tokeniser.py --out tests/benchmarks/results/tokeniser_cpu.json

Speeds are in channel-samples/s at the stage's own rate and in times real time (seconds of
recording, all channels at once, per second of work). `channel_samples_2khz` gives every stage in
samples of a 2 kHz recording, the unit of the public NumPy tokeniser's 2.0 M channel-samples/s.
"""

import argparse
import dataclasses
import json
import os
import platform
import time

import jax
import numpy as np

from aemg_jax.sentences import contractions, sentence
from aemg_jax.sentences.words import ContractionConfig, PrepareConfig, SentenceConfig
from aemg_jax.signal import filters, resample

SEGMENT_S = 5.2  # a repetition of 20 slots of 52 samples
RAW_HZ, RATE_HZ = 2000.0, 200.0
PUBLIC = {'channel_samples_2khz': 2.0e6, 'times_real_time': [83, 88],
          'what': 'public NumPy tokeniser with its resampling on 2 loaded cores'}


def timed(work, seconds: float) -> list[float]:
  """Seconds of each of at least 5 runs, after one that compiles."""
  work()
  runs, start = [], time.perf_counter()
  while len(runs) < 5 or time.perf_counter() - start < seconds:
    before = time.perf_counter()
    work()
    runs.append(time.perf_counter() - before)
  return runs


def speed(runs: list[float], recording_s: float, n_channels: int, rate_hz: float) -> dict:
  median_s = float(np.median(runs))
  return {'median_s': median_s, 'best_s': min(runs), 'runs': len(runs),
          'channel_samples': recording_s * rate_hz * n_channels / median_s,
          'channel_samples_2khz': recording_s * RAW_HZ * n_channels / median_s,
          'times_real_time': recording_s / median_s}


def tokeniser(n_channels: int, batch: int, gate: bool, seconds: float) -> dict:
  """Rectified 200 Hz segments to sentences, device to device."""
  config = PrepareConfig(
      contraction=ContractionConfig(gate=gate),
      sentence=SentenceConfig(max_slots=16, max_channels=n_channels))
  n_samples = round(SEGMENT_S * RATE_HZ)
  rng = np.random.default_rng(0)
  level_bt = np.repeat(rng.choice([0.1, 1.0], (batch, n_samples // 104)), 104, axis=1)
  signal_btc = rng.normal(size=(batch, n_samples, n_channels)) * level_bt[..., None]
  places_c = 1 + 16 * np.arange(n_channels) // n_channels
  one = (np.int32(n_samples),
         sentence.Channels(places_c.astype(np.int32), np.ones(n_channels, np.int32),
                           np.ones(n_channels, bool), np.float32(100)),
         contractions.RestStatistics(
             np.float32(np.log(n_channels * 0.01)), np.float32(0.15),
             np.full(n_channels, -4.6, np.float32), np.full(n_channels, 0.15, np.float32)))
  rows = jax.tree.map(lambda x: np.stack([x] * batch), one)
  args = jax.device_put((signal_btc.astype(np.float32), *rows))
  work = lambda: jax.block_until_ready(sentence.tokenise_batch(*args, config))
  words = int(work().valid_n.sum())
  runs = timed(work, seconds)
  return {'channels': n_channels, 'batch': batch, 'gate': gate, 'words_per_batch': words,
          **speed(runs, batch * SEGMENT_S, n_channels, RATE_HZ)}


def rectifying(n_channels: int, seconds: float) -> dict:
  """High-pass and resampling of a 2 kHz recording, float64, one process."""
  recording_s = 30.0
  signal_tc = np.random.default_rng(0).normal(size=(round(recording_s * RAW_HZ), n_channels))
  stages = {
      'highpass': lambda: filters.highpass(signal_tc, RAW_HZ, 2.0),
      'resample': lambda: resample.resample(signal_tc, RAW_HZ, RATE_HZ),
      'highpass_then_resample': lambda: resample.resample(
          filters.highpass(signal_tc, RAW_HZ, 2.0), RAW_HZ, RATE_HZ)}
  return {'channels': n_channels} | {
      name: speed(timed(work, seconds), recording_s, n_channels, RAW_HZ)
      for name, work in stages.items()}


def end_to_end(tokenised: dict, rectified: dict) -> dict:
  """High-pass, resampling and tokeniser one after the other, from 2 kHz."""
  both = 1 / rectified['highpass_then_resample']['times_real_time']
  resampled = 1 / rectified['resample']['times_real_time']
  alone = 1 / tokenised['times_real_time']
  public = PUBLIC['channel_samples_2khz']
  channels = tokenised['channels']
  as_samples = lambda work: RAW_HZ * channels / work
  return {'channels': channels,
          'tokeniser_over_public': as_samples(alone) / public,
          'resample_and_tokeniser_over_public': as_samples(resampled + alone) / public,
          'all_over_public': as_samples(both + alone) / public,
          'all_times_real_time': 1 / (both + alone)}


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--out', required=True, help='JSON file to write')
  parser.add_argument('--seconds', type=float, default=1.0, help='time for each stage')
  args = parser.parse_args()
  tokenised = [tokeniser(c, b, gate, args.seconds)
               for c in (8, 12, 16) for b in (1, 32, 256) for gate in (False, True)]
  rectified = [rectifying(c, args.seconds) for c in (8, 12, 16)]
  batched = [t for t in tokenised if t['batch'] == 32 and not t['gate']]
  result = {
      'machine': {'cores': os.cpu_count(), 'load_before': os.getloadavg()[0],
                  'platform': platform.platform(), 'device': jax.devices()[0].device_kind,
                  'jax': jax.__version__, 'numpy': np.__version__},
      'config': dataclasses.asdict(PrepareConfig()), 'segment_s': SEGMENT_S,
      'tokeniser': tokenised, 'rectify': rectified, 'public': PUBLIC,
      'compared': [end_to_end(t, r) for t, r in zip(batched, rectified)]}
  partial = args.out + '.partial'
  with open(partial, 'w', encoding='utf-8') as file:
    json.dump(result, file, indent=1)
    file.write('\n')
  os.replace(partial, args.out)


if __name__ == '__main__':
  main()
