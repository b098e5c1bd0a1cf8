"""The same recording at several rates, and how many of its words keep their code."""

from collections.abc import Callable
import dataclasses

import numpy as np
from scipy import signal as sps

from aemg_jax.data import batches
from aemg_jax.records import Label, Record
from aemg_jax.sentences import cache, devices, session
from aemg_jax.sentences.words import PrepareConfig, Words
from aemg_jax.signal.resample import rate_ratio

LEFT = 0.9  # of the Nyquist frequency, after a resampler's filter


def at_rate(record: Record, rate_hz: float) -> Record:
  """The recording through scipy's resampler, whose filter limits its band; at its own rate nothing is done to it."""
  up, down = rate_ratio(record.rate_hz, rate_hz)
  signal_tc, ratio = record.signal_tc.astype(np.float64), rate_hz / record.rate_hz
  if up != down:
    signal_tc = sps.resample_poly(signal_tc, up, down, axis=0, padtype='line')
  sample = lambda place: len(signal_tc) if place == record.n_samples else round(place * ratio)
  band_hz = record.bandwidth_hz if up == down else min(record.bandwidth_hz, LEFT * rate_hz / 2)
  return dataclasses.replace(
      record, signal_tc=signal_tc, rate_hz=float(rate_hz), bandwidth_hz=band_hz, annotations=(),
      labels=tuple(Label(sample(x.start), sample(x.stop), x.name) for x in record.labels))


def session_words(records: list[Record], config: PrepareConfig) -> Words:
  """All words of one subject-session, its own mean taken away."""
  first = records[0]
  device = devices.Device(first.dataset, 1.0, frozenset(), {})
  whole = session.Session(
      0, device, first.dataset, first.subject, first.session, tuple(range(len(records))))
  labels = tuple(sorted({label.name for record in records for label in record.labels}))
  row, _, words = session.prepare_session(whole, records, labels, config, session.Rejects())
  words = Words(*(np.concatenate(x) for x in zip(*words)))
  mean_cf = cache._mean(row['feature_sum'], row['feature_count'])
  return batches.centred(words, np.zeros(len(words.valid_n), int), batches.Centre(mean_cf[None], True))


def same_codes(records: list[Record], rates_hz, config: PrepareConfig,
               code_of: Callable[[Words], np.ndarray]) -> list[float]:
  """Share of the words that have the code of the first rate, for each other rate.

  Args:
    records: of one subject-session, at their own rate.
    rates_hz: that they are taken to.
    config: of the words; those of all rates must be in the same places.
    code_of: centred words -> [b, n] codes.
  """
  found = []
  for rate_hz in rates_hz:
    words = session_words([at_rate(record, rate_hz) for record in records], config)
    found.append((words.valid_n, code_of(words)))
  (first_valid_bn, first_bn), *others = found
  for valid_bn, _ in others:
    np.testing.assert_array_equal(valid_bn, first_valid_bn)
  return [float((code_bn == first_bn)[first_valid_bn].mean()) for _, code_bn in others]
