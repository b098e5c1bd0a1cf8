"""Alignment of electrode rings: which rotation and mirror image brings a band into one frame.

The dihedral group of a ring of C electrodes has 2 C elements, few enough to try them all (METHOD
section 5.2, a discrete Procrustes). Training wearers are placed by their labelled class means, a
new wearer by the likelihood of unlabelled windows under Gaussian classes fitted on the aligned
training data. Letters beyond the house's: g group element, w window (a slot of a sentence or an
evaluation window), d flattened channel x feature.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aemg_jax.sentences.rectify import N_POSITIONS
from aemg_jax.sentences.words import Array, Words
from aemg_jax.signal.features import BAND_EDGES

SHRINKAGE = 0.01
LEAST_MARGIN = 0.45  # nats per window; chosen on MyoArmband's pre-training subjects
_WORD_FIELDS = ('waveform_np', 'spectrum_nf', 'amplitude_n', 'length_n', 'onset_n', 'time_n',
                'ring_n', 'valid_n')
_TINY = 1e-12


class Placement(NamedTuple):
  """Element of a wearer, and by how much the likeliest won: nats per window over the second."""
  element: int
  margin: float


@dataclasses.dataclass(frozen=True, eq=False)
class Alignment:
  """A fitted frame: training wearers' elements, and Gaussian classes with one covariance.

  Attributes:
    channels: electrodes of the ring.
    subject_s: names of the training wearers.
    element_s: [S] int32 rows of `dihedral(channels)`.
    label_k: [K] int64 labels of the classes.
    mean_kd: [K, channels * F] class means of aligned data.
    whiten_dd: [d, d] so that |(x - mean) @ whiten|^2 is the Mahalanobis distance.
    log_prior_k: [K] share of each class in the training windows.
  """
  channels: int
  subject_s: np.ndarray
  element_s: np.ndarray
  label_k: np.ndarray
  mean_kd: np.ndarray
  whiten_dd: np.ndarray
  log_prior_k: np.ndarray

  def element_of(self, subject: str) -> int:
    """The element of a training wearer."""
    found = np.flatnonzero(self.subject_s == subject)
    if not found.size:
      raise ValueError(f'alignment: {subject!r} is no training subject, expected one of '
                       f'{self.subject_s.tolist()}')
    return int(self.element_s[found[0]])

  def to_arrays(self) -> dict[str, np.ndarray]:
    """Plain arrays for np.savez."""
    return {f.name: np.asarray(getattr(self, f.name)) for f in dataclasses.fields(self)}

  @classmethod
  def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> 'Alignment':
    """The inverse of `to_arrays`; a missing or unknown field raises ValueError."""
    names = {f.name for f in dataclasses.fields(cls)}
    if set(arrays) != names:
      raise ValueError(f'alignment: got fields {sorted(arrays)}, expected {sorted(names)}')
    return cls(**{k: int(v) if k == 'channels' else np.asarray(v) for k, v in arrays.items()})


@functools.lru_cache
def _dihedral(channels: int) -> np.ndarray:
  place_c = np.arange(channels)
  turn_g1 = np.arange(channels)[:, None]
  perm_gc = np.concatenate([place_c + turn_g1, turn_g1 - place_c]) % channels
  perm_gc.setflags(write=False)
  return perm_gc.astype(np.int32)


def dihedral(channels: int) -> np.ndarray:
  """[2C, C] int32: aligned_c = raw[perm[g, c]]; C rotations, identity first, then C mirrors."""
  if channels < 3:
    raise ValueError(f'alignment: a ring of {channels} electrodes, expected at least 3')
  return _dihedral(channels)


def ring_channels(segments: Mapping[str, np.ndarray]) -> int:
  """Electrodes of the one full ring that all segments share, in ring order.

  Raises:
    ValueError: a channel is missing (`valid_c`), the channels are on several rings or on none
      (`ring_c`), or they do not go evenly once round from position 1 (`position_c`).
  """
  channels = np.shape(segments['valid_c'])[-1]
  if not np.all(segments['valid_c']):
    count = np.sum(segments['valid_c'], axis=-1).min()
    raise ValueError(f'alignment: segments.valid_c: {count} of {channels} channels, expected a '
                     'full ring in every segment')
  rings = np.unique(segments['ring_c']).tolist()
  if len(rings) != 1 or rings[0] < 1:
    raise ValueError(f'alignment: segments.ring_c: channels on rings {rings}, expected one ring')
  wanted_c = _positions(channels)
  wrong = np.flatnonzero((np.atleast_2d(segments['position_c']) != wanted_c).any(axis=-1))
  if wrong.size:
    found = np.atleast_2d(segments['position_c'])[wrong[0]].tolist()
    raise ValueError(f'alignment: segments.position_c: got {found}, expected {wanted_c.tolist()}, '
                     'electrodes evenly round one ring and in its order')
  return channels


def _positions(channels: int) -> np.ndarray:
  """[C] places of an evenly spaced ring, 1..16."""
  turn_c = np.floor(N_POSITIONS * np.arange(channels) / channels + 0.5)
  return (1 + turn_c.astype(np.int32) % N_POSITIONS).astype(np.int32)


def window_features(words: Words, channels: int) -> tuple[np.ndarray, np.ndarray]:
  """Log amplitude and six band means of the log spectrum, of every slot that holds a word.

  Args:
    words: leading b, centred per session (`batches.centred`): an absent channel counts as the
      session's mean, 0. Bins outside the information band are in no mean; a band without any is 0.
    channels: C of the grid.

  Returns:
    feature_wcf: [W, C, 7] float32.
    sentence_w: [W] the row b of each window.
  """
  valid_bn = np.asarray(words.valid_n)
  b, n = valid_bn.shape
  spectrum_bnf = np.asarray(words.spectrum_nf)
  bins = spectrum_bnf.shape[-1]
  edges = [max(1, round(e * bins / 26)) for e in BAND_EDGES[:-1]] + [bins + 1]  # bin 1 is column 0
  member_fj = np.stack([(np.arange(1, bins + 1) >= low) & (np.arange(1, bins + 1) < high)
                        for low, high in zip(edges, edges[1:])], axis=1).astype(np.float32)
  inside_bf = np.asarray(words.bin_valid_f).astype(np.float32)
  total_bnj = (spectrum_bnf * inside_bf[:, None]) @ member_fj
  band_bnj = total_bnj / np.maximum(inside_bf @ member_fj, 1)[:, None]
  feature_bnf = np.concatenate([np.asarray(words.amplitude_n)[..., None], band_bnj], axis=-1)
  feature_bnf = np.where(valid_bn[..., None], feature_bnf, 0).astype(np.float32)
  used_w = valid_bn.reshape(-1, channels).any(axis=1)
  feature_wcf = feature_bnf.reshape(b * n // channels, channels, -1)
  return feature_wcf[used_w], np.repeat(np.arange(b), n // channels)[used_w]


def fit(feature_wcf: np.ndarray, label_w: np.ndarray, subject_w: np.ndarray, iterations: int = 8,
        shrinkage: float = SHRINKAGE) -> Alignment:
  """Brings training wearers into one frame and fits the Gaussian classes there.

  Each wearer takes the element whose class means are nearest to the template (the mean over
  wearers of the aligned class means; squared distance, each feature over its standard deviation),
  from identity to a fixed point or for `iterations`. A class that a wearer lacks counts nowhere
  for that wearer; windows with label -1 are left out.

  Args:
    feature_wcf: [W, C, F] session-centred features of training wearers alone.
    label_w: [W] labels, -1 for none.
    subject_w: [W] name of the wearer: a subject, or a subject's session where bands were re-worn.
    iterations: at most.
    shrinkage: s in covariance <- (1 - s) covariance + s tr / d I.
  """
  used_w = np.asarray(label_w) >= 0
  if not used_w.any():
    raise ValueError('alignment: label_w: no labelled window, expected some')
  feature_wcf = np.asarray(feature_wcf, np.float64)[used_w]
  label_k, class_w = np.unique(np.asarray(label_w)[used_w], return_inverse=True)
  subject_s, wearer_w = np.unique(np.asarray(subject_w)[used_w].astype(str), return_inverse=True)
  channels = feature_wcf.shape[1]
  perm_gc = dihedral(channels)
  mean_skcf, present_sk = _class_means(feature_wcf, class_w, wearer_w, len(label_k), len(subject_s))
  mean_skcf /= _deviation(feature_wcf)[None, None, None]
  element_s = _nearest_elements(mean_skcf, present_sk, perm_gc, iterations)
  aligned_wd = _permuted(feature_wcf, perm_gc[element_s[wearer_w]])
  count_k = np.bincount(class_w, minlength=len(label_k))
  mean_kd = np.stack([aligned_wd[class_w == k].mean(axis=0) for k in range(len(label_k))])
  residual_wd = aligned_wd - mean_kd[class_w]
  size = aligned_wd.shape[1]
  covariance_dd = residual_wd.T @ residual_wd / len(residual_wd)
  isotropic = max(np.trace(covariance_dd) / size, _TINY)
  covariance_dd = (1 - shrinkage) * covariance_dd + shrinkage * isotropic * np.eye(size)
  whiten_dd = np.linalg.inv(np.linalg.cholesky(covariance_dd)).T
  return Alignment(channels, subject_s, element_s, label_k, mean_kd, whiten_dd,
                   np.log(count_k / count_k.sum()))


def _permuted(feature_wcf: np.ndarray, perm_wc: np.ndarray) -> np.ndarray:
  """[W, C * F] with each window's channels in its own order."""
  return np.take_along_axis(feature_wcf, perm_wc[:, :, None], axis=1).reshape(len(feature_wcf), -1)


def _deviation(feature_wcf: np.ndarray) -> np.ndarray:
  """[F] over windows and channels alike, so that no place round the ring is preferred."""
  deviation_f = feature_wcf.std(axis=(0, 1))
  return np.where(deviation_f > _TINY, deviation_f, np.inf)


def _class_means(feature_wcf, class_w, wearer_w, classes: int, wearers: int):
  """[S, K, C, F] means, 0 where a wearer lacks a class, and [S, K] which are there."""
  total_skcf = np.zeros((wearers, classes, *feature_wcf.shape[1:]))
  np.add.at(total_skcf, (wearer_w, class_w), feature_wcf)
  count_sk = np.zeros((wearers, classes))
  np.add.at(count_sk, (wearer_w, class_w), 1)
  return total_skcf / np.maximum(count_sk, 1)[:, :, None, None], count_sk > 0


def _nearest_elements(mean_skcf, present_sk, perm_gc, iterations: int) -> np.ndarray:
  """[S] int32 elements at the fixed point, or after `iterations`."""
  turned_gskcf = np.stack([mean_skcf[:, :, perm_c] for perm_c in perm_gc])
  weight_sk11 = present_sk[:, :, None, None].astype(float)
  wearers = np.arange(len(mean_skcf))
  element_s = np.zeros(len(mean_skcf), np.int32)
  for _ in range(iterations):
    aligned_skcf = turned_gskcf[element_s, wearers] * weight_sk11
    template_kcf = aligned_skcf.sum(axis=0) / np.maximum(weight_sk11.sum(axis=0), 1)
    square_gskcf = (turned_gskcf - template_kcf[None, None])**2 * weight_sk11[None]
    new_s = square_gskcf.sum(axis=(2, 3, 4)).argmin(axis=0).astype(np.int32)
    if np.array_equal(new_s, element_s):
      break
    element_s = new_s
  return element_s


def place(model: Alignment, feature_wcf: np.ndarray,
          least_margin: float = LEAST_MARGIN) -> Placement:
  """The element under which unlabelled windows of one wearer are likeliest.

  Differs from METHOD 5.2: a close call is not made. Below `least_margin` the wearer gets the
  training wearers' most common element, since a wrong mirror image costs far more than none.

  Args:
    model: a fitted frame.
    feature_wcf: [W, C, F] session-centred features of the wearer, of all classes alike.
    least_margin: 0 always takes the likeliest.
  """
  feature_wcf = np.asarray(feature_wcf, np.float64)
  if feature_wcf.ndim != 3 or not len(feature_wcf) or feature_wcf.shape[1] != model.channels:
    raise ValueError(f'alignment: feature_wcf: got shape {feature_wcf.shape}, expected some '
                     f'windows of {model.channels} channels')
  mean_kd = model.mean_kd @ model.whiten_dd
  score_g = []
  for perm_c in dihedral(model.channels):
    x_wd = feature_wcf[:, perm_c].reshape(len(feature_wcf), -1) @ model.whiten_dd
    square_wk = (x_wd**2).sum(1, keepdims=True) - 2 * x_wd @ mean_kd.T + (mean_kd**2).sum(1)[None]
    log_wk = model.log_prior_k[None] - square_wk / 2
    top_w1 = log_wk.max(axis=1, keepdims=True)
    score_g.append(float((top_w1[:, 0] + np.log(np.exp(log_wk - top_w1).sum(axis=1))).mean()))
  order = np.argsort(-np.array(score_g), kind='stable')
  margin = score_g[order[0]] - score_g[order[1]]
  usual = np.bincount(model.element_s).argmax()
  return Placement(int(order[0] if margin >= least_margin else usual), margin)


def fit_and_place(words: Words, label_b: np.ndarray, subject_b: Sequence[str], train_b: np.ndarray,
                  channels: int, iterations: int = 8,
                  least_margin: float = LEAST_MARGIN) -> tuple[Alignment, dict[str, Placement]]:
  """The frame of a fold's training wearers, and every other wearer's place in it.

  Args:
    words: leading b, centred per session; training and held-out sentences together.
    label_b: [b]; read where `train_b` is True alone.
    subject_b: [b] name of the wearer.
    train_b: [b] the sentence may give labels and statistics.
    channels: C of the grid, see `ring_channels`.

  Returns:
    The frame, fitted on `train_b` alone, and {held-out wearer: Placement}.
  """
  feature_wcf, sentence_w = window_features(words, channels)
  subject_w, train_w = np.asarray(subject_b)[sentence_w], np.asarray(train_b)[sentence_w]
  model = fit(feature_wcf[train_w], np.asarray(label_b)[sentence_w][train_w], subject_w[train_w],
              iterations)
  others = np.setdiff1d(subject_w[~train_w], model.subject_s)
  return model, {
      str(s): place(model, feature_wcf[subject_w == s], least_margin) for s in others}


def permute_words(words: Words, element: int | Array, channels: int) -> Words:
  """Words in the aligned order of channels, within every slot; NumPy in, NumPy out, else JAX.

  The place round the ring belongs to the grid: a word takes the position of where it goes.

  Args:
    words: leading b, on one ring (`ring_channels`).
    element: row of `dihedral(channels)`, or [b] one for each sentence.
    channels: C of the grid.
  """
  xp = np if isinstance(words.valid_n, np.ndarray) and not isinstance(element, jax.Array) else jnp
  b, n = words.valid_n.shape
  slots = n // channels
  perm_bc = xp.asarray(dihedral(channels))[xp.broadcast_to(xp.asarray(element), (b,))]
  first_1s1 = (xp.arange(slots, dtype=perm_bc.dtype) * channels)[None, :, None]
  source_bn = (first_1s1 + perm_bc[:, None, :]).reshape(b, n)

  def move(x):
    index = source_bn.reshape(b, n, *(1,) * (x.ndim - 2))
    return xp.take_along_axis(x, index, axis=1)

  moved = {name: move(getattr(words, name)) for name in _WORD_FIELDS}
  position_1n = xp.tile(xp.asarray(_positions(channels)), slots)[None]
  moved['position_n'] = xp.where(moved['valid_n'], position_1n, 0).astype(words.position_n.dtype)
  return words._replace(**moved)
