"""Words of people who share one anatomy and wear their electrodes in ways that are known."""

import numpy as np

from aemg_jax.data import montage
from aemg_jax.sentences.words import Words
from tests.fake_words import fake_words

CHANNELS, CLASSES, SLOTS = 6, 4, 3
RING = montage.ring(CHANNELS)
WORN = {'A': 0, 'B': 0, 'C': 7, 'D': 2, 'E': 0, 'new': 9}  # how each band is worn
NOISE = 0.5


def inverse(element, worn=RING):
  """Row of the group that undoes a row."""
  perm_gc = montage.elements(worn)
  return int(np.flatnonzero((perm_gc == np.argsort(perm_gc[element])).all(1))[0])


def wearers(worn=None, seed=0, repetitions=6, place=RING, noise=NOISE, informative=None):
  """Uncentred words, label_b, subject_b. A person's raw channels are the anatomy's in the order `worn`.

  Args:
    worn: {person: element of the group}.
    seed, repetitions: of the made-up data; repetition by repetition all labels in turn.
    place: the montage.
    noise: deviation of a word about its class.
    informative: channels that know the class; all if None.
  """
  rng = np.random.default_rng(seed)
  channels = place.channels
  pattern_kcf = rng.normal(size=(CLASSES, channels, 27))
  if informative is not None:
    pattern_kcf[:, np.setdiff1d(np.arange(channels), informative)] = 0
  worn = WORN if worn is None else worn
  people, label_r = list(worn), np.tile(np.arange(CLASSES), repetitions)
  b = len(people) * len(label_r)
  words = fake_words(seed, b=b, slots=SLOTS, channels=channels)
  label_b, subject_b = np.tile(label_r, len(people)), np.repeat(people, len(label_r))
  feature_bscf = pattern_kcf[label_b][:, None] + noise * rng.normal(size=(b, SLOTS, channels, 27))
  perm_gc = montage.elements(place)
  for i, person in enumerate(subject_b):
    feature_bscf[i] = feature_bscf[i][:, perm_gc[worn[person]]]
  feature_bnf = feature_bscf.reshape(b, -1, 27).astype(np.float32)
  full = lambda row_c: np.broadcast_to(np.tile(row_c, SLOTS), (b, channels * SLOTS)).astype(np.int32)
  return words._replace(spectrum_nf=feature_bnf[..., :-1], amplitude_n=feature_bnf[..., -1],
                        position_n=full(place.position_c), ring_n=full(place.ring_c),
                        valid_n=full(place.valid_c).astype(bool)), label_b, subject_b


def rows(words, row_b):
  """Some of the sentences."""
  return Words(*(x[row_b] for x in words))
