"""A prepared set of noise whose louder electrode is the label, made once per process."""

import atexit
import dataclasses
import functools
import os
import shutil
import tempfile
from unittest import mock

import numpy as np

from aemg_jax.models import ClassifierConfig
from aemg_jax.models.layers import BlocksConfig
from aemg_jax.models.sentence_encoder import EncoderConfig
from aemg_jax.records import Label
from aemg_jax.sentences import cache, prepare
from aemg_jax.sentences.words import PrepareConfig, RectifyConfig, SentenceConfig
from tests.sentences import hand_made

LABELS = ('open', 'fist', 'point')
SUBJECTS = ('s0', 's1', 's2')
SESSIONS = ('cal', 'test')
N_SAMPLES = 180  # 3 slots of 52 and a short one
FIXED = PrepareConfig(rectify=RectifyConfig(scale='fixed', fixed_scale=100.0),
                      sentence=SentenceConfig(max_slots=4, max_channels=4), rest_labels=('rest',))
SESSION = dataclasses.replace(FIXED, rectify=RectifyConfig())
BLOCKS = BlocksConfig(width=16, layers=1, heads=2, head_dim=8, mlp_dim=16, dropout=0.1)
ENCODER = EncoderConfig(BLOCKS, max_slots=4, max_channels=4)
MODEL = ClassifierConfig(ENCODER, classes=3)


def records(repetitions: int = 2, change: str = '', factor: float = 1000.0):
  """One recording a repetition; those of subject `change` are multiplied by `factor`."""
  rng = np.random.default_rng(0)
  found = []
  for subject in SUBJECTS:
    for session in SESSIONS:
      for repetition in range(repetitions):
        for k, label in enumerate(LABELS):
          gain_c = 1 + 3 * (np.arange(4) == k)
          signal_tc = 30.0 * gain_c * rng.normal(size=(N_SAMPLES, 4))
          signal_tc *= factor if subject == change else 1
          found.append(hand_made.record(
              f'{subject}-{session}-{repetition}-{k}', subject=subject, session=session,
              repetition=repetition, signal_tc=signal_tc, labels=(Label(0, N_SAMPLES, label),)))
  return found


@functools.lru_cache
def folder() -> str:
  """Of this process, removed at its end."""
  path = tempfile.mkdtemp(prefix='aemg_tests_')
  atexit.register(shutil.rmtree, path, ignore_errors=True)
  return path


def write(out: str, made, config: PrepareConfig, labels=LABELS) -> str:
  """Prepares records in memory into `out`."""
  source = hand_made.Source(made, labels=('rest', *labels))
  with mock.patch.object(prepare.sources, 'read_records', lambda path: source):
    prepare.prepare(['made'], out, config, num_shards=1)
  return out


@functools.lru_cache
def prepared(view: str = 'fixed', change: str = '') -> cache.Prepared:
  """Open for reading."""
  config = {'fixed': FIXED, 'session': SESSION}[view]
  out = os.path.join(folder(), f'set-{change}', 'prepared', view)
  return cache.open_prepared(write(out, records(change=change), config))


def rows_of(subject: str, session: str = '') -> np.ndarray:
  """Segment rows."""
  table = prepared().segments
  mine = table['subject'] == subject
  return np.flatnonzero(mine & (table['session'] == session) if session else mine)
