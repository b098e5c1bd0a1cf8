"""Three made-up sets of different devices, prepared into one folder, once per process."""

import dataclasses
import functools
import os
from unittest import mock

import numpy as np

from aemg_jax.records import Label
from aemg_jax.sentences import cache, prepare
from aemg_jax.sentences.words import PrepareConfig, RectifyConfig, SentenceConfig
from tests import tiny_set
from tests.sentences.hand_made import Source, noise, record

OPEN = PrepareConfig(sentence=SentenceConfig(max_slots=4, max_channels=0, more_channels='even'),
                     rectify=RectifyConfig(scale='fixed', fixed_scale=0.0), skip_gaps=True)


def built(name, config, factor, n_channels, subject='s0', **changes):
  """A set of one long span of rest in three, in its own unit and rate."""
  labels = [Label(200 * i, 200 * (i + 1), ('fist', 'rest', 'rest')[i]) for i in range(3)]
  signal_tc = factor * noise(600, n_channels, seed=len(config)).astype(np.float64)
  made = [record('r0', dataset=name, subject=subject, signal_tc=signal_tc, labels=tuple(labels),
                 n_channels=n_channels, **changes)]
  source = Source(made, fingerprint=(name + config)[:1] * 64)
  source.meta = dataclasses.replace(
      source.meta, name=name, config=config, common_names={'rest': 'rest'},
      counts={'labels': {'fist': 1, 'rest': 2 + len(config)}})
  return source


def read_records(path: str) -> Source:
  """Microvolts; many electrodes, a wide band and volts; an envelope at 100 Hz."""
  return {'a/x': lambda: built('a', 'x', 80.0, 4),
          'a/y': lambda: built('a', 'y', 3e-4, 24, rate_hz=1000.0),
          'b': lambda: built('b', '', 20.0, 3, rate_hz=100.0, bandwidth_hz=0.0, is_envelope=True)}[path]()


@functools.lru_cache
def prepared() -> cache.Prepared:
  """Open for reading."""
  out = os.path.join(tiny_set.folder(), 'mixture')
  with mock.patch.object(prepare.sources, 'read_records', read_records):
    prepare.prepare(['a/x', 'a/y', 'b'], out, OPEN, num_shards=2)
    prepare.prepare(['a/x', 'a/y', 'b'], out, OPEN, num_shards=2)  # the same: nothing to do
  return cache.open_prepared(out, OPEN)
