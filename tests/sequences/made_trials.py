"""Trials and sequences with features of our own making: no signal, no feature graph to compile."""

import numpy as np

from aemg_jax.sequences.sequences import SequenceConfig, make_sequences
from aemg_jax.sequences.trials import Trial
from aemg_jax.signal.fatigue_features import FEATURE_NAMES


def trial(subject='A', n=12, channels=2, seed=0, borg=None, percent_mvc=np.nan):
  """n windows of positive random features that grow with Borg; Borg rises from 0 to 9."""
  rng = np.random.default_rng(seed)
  borg_w = np.linspace(0, 9, n).round() if borg is None else np.asarray(borg, float)
  growth_w11 = (1 + 0.2 * borg_w)[:, None, None]
  feature_wcf = growth_w11 * rng.uniform(0.9, 1.1, (n, channels, len(FEATURE_NAMES)))
  at_w = 2.0 * np.arange(n)
  return Trial(f'{subject}/{seed}', subject, 's', feature_wcf, np.ones((n, channels), bool), borg_w,
               np.full(n, percent_mvc), np.arange(n), at_w, at_w + 1, at_w + 1)


def sequences(subjects='ABCD', n=12, length=3, change=''):
  """Sequences of several subjects; `change` multiplies one subject's features at random."""
  trials = []
  for i, subject in enumerate(subjects):
    made = trial(subject, n, seed=i)
    if subject == change:
      noise = np.random.default_rng(99).uniform(0.1, 9, made.feature_wcf.shape)
      made = made._replace(feature_wcf=made.feature_wcf * noise)
    trials.append(made)
  return make_sequences(trials, SequenceConfig(length=length))[0]
