"""Time stamps by hand."""

import numpy as np
import pytest

from data_builders import timestamps


@pytest.mark.parametrize('time_s, expected', [
    (np.arange(100) / 2000 + 1.7e9, ''),  # as stored: steps of 0.0005 s, give or take 2e-7
    (np.r_[np.arange(50), np.arange(90, 150)] / 2000, ''),
    (np.r_[np.arange(50), np.arange(49, 90)] / 2000, ''),
    (np.r_[np.arange(50), np.arange(48, 90)] / 2000, 'backwards at sample 50'),
    (np.arange(100) / 2010, ''),
    (np.arange(100) / 2048, 'step of 0.000488281 s, expected 0.0005 s'),
    (np.arange(100.0), 'step of 1 s'),
    (np.r_[0.0, np.nan, 0.001], 'NaN'),
    (np.r_[0.0, np.inf], 'infinity'),
    (np.zeros(9), 'step of 0 s'),
])
def test_only_the_documented_rate_passes(time_s, expected):
  """A rate that is off by 2 %, or a recording refused because samples were lost on the way."""
  problem = timestamps.problem(time_s, 2000.0)
  assert expected in problem and bool(expected) == bool(problem)
