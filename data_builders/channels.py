"""Checks the channels of a recording. NumPy only: worker processes import this."""

import numpy as np

PROBES = 8


def constant(signal_tc: np.ndarray) -> np.ndarray:
  """Indices of the channels of [T, C] that are one number throughout (NaN is none).

  A few samples rule out nearly all channels; only the others are searched, which takes long.
  """
  some_tc = signal_tc[::max(1, len(signal_tc) // PROBES)]
  alike = np.flatnonzero((some_tc == signal_tc[0]).all(axis=0))
  if not alike.size:
    return alike
  return alike[(signal_tc[:, alike] == signal_tc[0, alike]).all(axis=0)]
