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


TURNS = {'a': np.array([0, 0, 2, 0, 5]), 'b': np.array([1, 0, 0, 7])}  # electrodes on, by wearer
_LABELS = ('open', 'fist', 'point')


def ring(name: str, turns, labelled: bool = True) -> Source:
  """People whose gestures are at places of the arm, with bands that are worn some electrodes on."""
  rng, made = np.random.default_rng(ord(name)), []
  gain_kc = rng.uniform(0.2, 2.0, (len(_LABELS), 8))**2
  for i, turn in enumerate(turns):
    signal_tc = np.concatenate([gain_c[None] * rng.normal(size=(800, 8)) for gain_c in gain_kc])
    labels = [Label(800 * k, 800 * (k + 1), label) for k, label in enumerate(_LABELS)]
    made.append(record(f'r{i}', dataset=name, subject=f's{i}', signal_tc=50 * np.roll(signal_tc, turn, axis=1),
                       labels=tuple(labels) if labelled else ()))
  source = Source(made, fingerprint=name * 64, labels=('rest', *_LABELS))
  source.meta = dataclasses.replace(source.meta, name=name)
  return source


@functools.lru_cache
def rings() -> cache.Prepared:
  """Two sets of rings, one of electrodes here and there and one without labels."""
  made = {name: ring(name, turns) for name, turns in TURNS.items()} | {
      'c': ring('c', [0, 1]), 'd': ring('d', [0, 3], labelled=False)}
  for i, one in enumerate(made['c']):
    sensors = tuple(dataclasses.replace(s, angle_deg=10.0 * j**2) for j, s in enumerate(one.sensors[:5]))
    made['c'][i] = dataclasses.replace(one, sensors=sensors, signal_tc=one.signal_tc[:, :5])
  out = os.path.join(tiny_set.folder(), 'rings')
  with mock.patch.object(prepare.sources, 'read_records', made.__getitem__):
    prepare.prepare(list(made), out, OPEN, num_shards=1)
  return cache.open_prepared(out, OPEN)
