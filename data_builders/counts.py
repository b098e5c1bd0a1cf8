"""Whole numbers as a recorder stored them, with what makes each channel of them physical."""

from collections.abc import Sequence
import dataclasses
from typing import Any

import numpy as np

WHOLE = 1e-6  # a baseline this near to a whole number is one: headers hold 8 digits


class FormatError(ValueError):
  """A file that is not what its format asks for; the message says what was found and expected."""


@dataclasses.dataclass(frozen=True)
class Counts:
  """Physical value = (counts_tc - baselines) * gains, in units.

  Attributes:
    counts_tc: [T, C] int32, as stored.
    units: as the header names them.
    gains: units per count, above 0.
    baselines: the count that stands for 0; not always whole.
    rate_hz: of all these channels.
  """
  counts_tc: np.ndarray
  units: tuple[str, ...]
  gains: tuple[float, ...]
  baselines: tuple[float, ...]
  rate_hz: float

  def centred(self) -> np.ndarray:
    """Counts less their baselines [T, C], int32 where they fit; `gains` makes them physical.

    Raises:
      FormatError: where a baseline is not whole.
    """
    for channel, baseline in enumerate(self.baselines):
      if abs(baseline - round(baseline)) > WHOLE:
        raise FormatError(f'channel {channel} has its 0 at {baseline!r} counts, expected a whole'
                          ' number to keep the counts (else read it as float64)')
    whole = [round(baseline) for baseline in self.baselines]
    largest = max(map(abs, whole)) + max(int(self.counts_tc.max()), -int(self.counts_tc.min()))
    return self.counts_tc - np.array(whole, np.int32 if largest < 1 << 31 else np.int64)

  def physical(self) -> np.ndarray:
    """Float64 [T, C] in `units`."""
    return (self.counts_tc - np.array(self.baselines)) * np.array(self.gains)


def pick(names: Sequence[str], wanted: Sequence[str]) -> list[int]:
  """Places of the signals `wanted` among `names`.

  Raises:
    FormatError: for one that is not there, or there twice.
  """
  for name in wanted:
    if (n := list(names).count(name)) != 1:
      raise FormatError(f'{n or "no"} signals named {name!r} among {len(names)}'
                        f' ({shorten(list(names))}), expected one')
  return [list(names).index(name) for name in wanted]


def shorten(value: Any) -> str:
  """At most 200 characters: what a damaged file says can be long."""
  text = str(value)
  return text if len(text) <= 200 else f'{text[:200]}...'
