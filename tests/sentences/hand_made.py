"""Records, datasets and montages made by hand for the tests of this folder."""

import numpy as np

from aemg_jax import records, sources
from aemg_jax.sentences import contractions, sentence
from aemg_jax.sentences.words import (
    ContractionConfig, PrepareConfig, SentenceConfig, WordConfig)

OFF = PrepareConfig(sentence=SentenceConfig(max_slots=4, max_channels=4))
GATED = PrepareConfig(
    contraction=ContractionConfig(gate=True), sentence=SentenceConfig(max_slots=4, max_channels=4))
CHANNEL_GATED = PrepareConfig(
    word=WordConfig(channel_gate=True), sentence=SentenceConfig(max_slots=4, max_channels=4))


def channels(n=4, of=4, bandwidth_hz=100.0) -> sentence.Channels:
  place_c = np.where(np.arange(of) < n, 1 + 16 * np.arange(of) // n, 0).astype(np.int32)
  return sentence.Channels(
      place_c, (place_c > 0).astype(np.int32), place_c > 0, np.float32(bandwidth_hz))


def rest(median=-4.0, mad=0.25, of=4) -> contractions.RestStatistics:
  return contractions.RestStatistics(
      np.float32(median), np.float32(mad), np.full(of, median - 1.5, np.float32),
      np.full(of, mad, np.float32))


def noise(n_samples, n_channels=4, seed=0) -> np.ndarray:
  return np.random.default_rng(seed).normal(size=(n_samples, n_channels)).astype(np.float32)


def record(name='r0', n_samples=600, subject='s0', session='d0', seed=0, scale=1.0, rate_hz=200.0,
           labels=None, n_channels=4, signal_tc=None, **changes) -> records.Record:
  """Noise at 100 units with a label span over all of it, unless told otherwise."""
  if signal_tc is None:
    signal_tc = 100 * noise(n_samples, n_channels, seed).astype(np.float64)
  if labels is None:
    labels = (records.Label(0, len(signal_tc), 'fist'),)
  sensors = tuple(records.Sensor(f'e{i}', 1, 360 * i / signal_tc.shape[1], scale=scale)
                  for i in range(signal_tc.shape[1]))
  fields = dict(
      record_id=name, dataset='made', subject=subject, session=session, repetition=-1, kind='emg',
      signal_tc=signal_tc, rate_hz=rate_hz, bandwidth_hz=rate_hz / 2, is_envelope=False,
      sensors=sensors, labels=labels, annotations=(), licence='none')
  return records.Record(**(fields | changes))


class Source(list):
  """What sources.read_records gives, for records in memory."""

  def __init__(self, items, fingerprint='f' * 64, labels=('rest', 'open', 'fist')):
    super().__init__(items)
    self.meta = sources.DatasetMeta(
        name='made', config='', version='1.0.0', licence='none', fingerprint=fingerprint,
        label_names=labels, common_names={}, counts={}, reject_counts={}, rejects=())
