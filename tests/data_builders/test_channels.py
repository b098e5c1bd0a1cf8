"""Channels that are one number throughout."""

import numpy as np
import pytest

from data_builders import channels


@pytest.mark.parametrize('n_samples', [1, 2, 7, 8, 9, 1000])
def test_agrees_with_a_search_of_every_sample(n_samples):
  """A channel that moves between the few samples that are looked at first, or in the last alone."""
  rng = np.random.default_rng(n_samples)
  signal_tc = np.zeros((n_samples, 40), np.int16)
  signal_tc[rng.integers(n_samples, size=30), np.arange(30)] = 1
  signal_tc[-1, 30] = -1
  signal_tc[:, 31] = 7
  expected = [c for c in range(40) if len(set(signal_tc[:, c].tolist())) == 1]
  assert channels.constant(signal_tc).tolist() == expected


def test_nan_is_no_constant():
  """A channel without a number reported as 'nan throughout'."""
  signal_tc = np.array([[np.nan, 1.0]] * 20)
  assert channels.constant(signal_tc).tolist() == [1]
