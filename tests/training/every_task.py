"""Each of the tasks, tiny, and batches that fit them all."""

import dataclasses

import numpy as np

from aemg_jax.data.loader import Loader
from aemg_jax.models import FatigueFormerConfig, MaskedConfig
from aemg_jax.models.fatigue_former import FeatureBatch
from aemg_jax.models.layers import BlocksConfig
from aemg_jax.training.augment import AugmentConfig
from aemg_jax.training.tasks import FatigueTask, MaskedTask, SupervisedTask, VQTask
from tests import tiny_runs, tiny_set
from tests.fake_words import fake_words

AUGMENT = AugmentConfig(gain=0.4, noise=0.3, channel_dropout=0.2)
TINY = BlocksConfig(width=8, layers=1, heads=2, head_dim=4, mlp_dim=8, layer_scale=0.0, dropout=0.1)
DYING = dataclasses.replace(tiny_runs.QUANTISER, codes=64, decay=0.1, revive_below=0.5)
TASKS = {
    'vq': VQTask(dataclasses.replace(tiny_runs.VQ, quantiser=DYING)),
    'masked': MaskedTask(MaskedConfig(
        dataclasses.replace(tiny_set.ENCODER, blocks=tiny_runs.NO_LAYERS), 16), tiny_runs.VQ, AUGMENT),
    'supervised': SupervisedTask(tiny_set.MODEL, AUGMENT, 0.1),
    'fatigue': FatigueTask(FatigueFormerConfig(TINY, TINY, features=6, max_windows=4)),
}


def rows(b: int = 16):
  """Rows of very unequal length, absent words in between, rows of weight 0; features and ratings."""
  words = fake_words(b=b, valid_share=0.7)
  valid_bn = words.valid_n & (np.arange(16)[None] < np.linspace(2, 16, b)[:, None])
  rng = np.random.default_rng(0)
  windows_bw = np.arange(4)[None] < np.linspace(1, 4, b)[:, None]
  group_bf = np.repeat(np.array([[1, 1, 1, 0, 0, 0]], bool), b, axis=0)
  features = FeatureBatch(rng.normal(size=(b, 4, 3, 6)).astype(np.float32),
                          np.repeat(windows_bw[..., None], 3, axis=2), group_bf, ~group_bf)
  return {'words': words._replace(valid_n=valid_bn), 'index': np.arange(b, dtype=np.int32),
          'label': (np.arange(b) % 4 - 1).astype(np.int32), 'features': features,
          'borg': np.where(np.arange(b) % 4, np.arange(b) % 10, np.nan).astype(np.float32),
          'weight': (np.arange(b) % 8 > 0).astype(np.float32)}


def batches(b: int) -> Loader:
  """Global batches of b rows out of 40; this process's part of them."""
  return Loader([rows(40)], b, seed=5)
