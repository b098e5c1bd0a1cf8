"""Fitted frames of the sets that a model was trained on: kept in its checkpoint, used for new wearers.

A checkpoint says in JSON which montage turns and how sure a placement must be, and carries the numbers
of each `alignment.Alignment` beside its parameters. A recording of another montage, or of a set without a
frame, is left as it is; one that is too short or too uniform to tell counts as worn as usual.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from aemg_jax.data import montage, placement
from aemg_jax.data.alignment import Alignment
from aemg_jax.data.alignment_features import window_features
from aemg_jax.sentences.words import Words


class Frame(NamedTuple):
  """A fitted frame, the montage that turns in it, and whether words less their session's mean fitted it."""
  model: Alignment
  worn: montage.Montage
  centred: bool = True


def item(name: str) -> str:
  """The name under which a checkpoint keeps the numbers of a set's frame."""
  return name.replace('/', '-')


def as_meta(frames: Mapping[str, Frame]) -> dict[str, Any] | None:
  """{set: montage, and what a person wants to know}, as JSON; None without a frame."""
  found = {}
  for name, frame in frames.items():
    model, worn = frame.model, frame.worn
    found[name] = {key: list(places) for key, places in worn._asdict().items()} | {
        'wearers': len(model.subject_s), 'ways_to_wear': len(model.perm_gc), 'usual': model.usual,
        'least_confidence': float(model.least_confidence)}
  return found or None


def as_arrays(frames: Mapping[str, Frame]) -> dict[str, dict[str, np.ndarray]]:
  """{item: arrays of numbers}."""
  return {item(name): frame.model.to_arrays() for name, frame in frames.items()}


def stored(meta: Mapping[str, Any] | None, arrays: Mapping[str, Mapping[str, np.ndarray]],
           where: str) -> dict[str, Frame]:
  """The inverse of `as_meta` and `as_arrays`.

  Raises:
    ValueError: they are not of each other, a field is missing, or the montage is worn in other ways
      than the numbers were fitted for.
  """
  meta = meta or {}
  if {item(name) for name in meta} != set(arrays):
    raise ValueError(f'{where}: alignment of {sorted(meta)}, expected that of {sorted(arrays)}')
  found = {}
  for name, about in meta.items():
    worn = montage.Montage(*(tuple(about[field]) for field in montage.Montage._fields))
    model = Alignment.from_arrays(arrays[item(name)])
    if not np.array_equal(model.perm_gc, montage.elements(worn)):
      raise ValueError(f'{where}: alignment of {name}: fitted for {len(model.perm_gc)} ways to wear the '
                       f'montage, expected the {len(montage.elements(worn))} of {worn}')
    found[name] = Frame(model, worn)
  return found


def frame_of(found: Mapping[str, Frame], trained_on: Sequence[str], source: str) -> Frame | None:
  """A set's frame; to a model of one set every other set is that one, as its mean is."""
  name = source if source in trained_on or len(trained_on) > 1 else trained_on[0]
  return found[name] if name in found else None


def place(frame: Frame, words: Words, worn: montage.Montage) -> placement.Placement | None:
  """How one wearer's unlabelled words say that the montage is worn; None where it is another one.

  Args:
    frame: of the set that the device belongs to.
    words: leading b, of all that is known of the wearer; centred if the frame's were.
    worn: the montage of the recording.
  """
  if worn != frame.worn:
    return None
  windows, _ = window_features(words, worn.channels)
  if not len(windows.site_wcf):
    return placement.Placement(frame.model.usual, 0.0, 0.0, True)
  return placement.place(frame.model, windows)


def wanted(least: float) -> str:
  """The least confidence at which wearers are turned, in words."""
  return (f'expected at least {least:.3g}' if least < placement.NEVER else
          'and none was right often enough among the training wearers')


def in_words(frame: Frame, placed: placement.Placement | None) -> str:
  """One line for the log."""
  if placed is None:
    return 'not aligned: its montage is not the one that the model was aligned for'
  confidence = f'confidence {placed.confidence:.3g}'
  if placed.refused:
    least = wanted(float(frame.model.least_confidence))
    return f'not aligned: {confidence}, {least}; taken as worn the way most of the training wearers do'
  order = ' '.join('-' if c == montage.ABSENT else str(c + 1) for c in frame.model.perm_gc[placed.element])
  return f'aligned ({confidence}): electrodes in the order {order}'
