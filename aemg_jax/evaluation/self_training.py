"""Unlabelled recordings as training data: a closed-form head labels them, and is fitted on them too.

A repetition's windows get one label, the best by the mean of their log probabilities: a contraction is
one gesture. So a head that is right about most repetitions learns from windows that it had got wrong.
After Yarowsky (ACL 1995) and Lee (pseudo-labels, ICML workshop 2013).
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

from absl import logging
import numpy as np
from scipy import optimize, special

EVEN_STEPS, LEAST_SHARE = 20, 1e-3


class Head(NamedTuple):
  """classes: [k] labels that trained. log_prob: [W, D] vectors -> [W, k]."""
  classes: np.ndarray
  log_prob: Callable[[np.ndarray], np.ndarray]


class Fitted(NamedTuple):
  """A head, and the [V, D] windows with [V] labels, some of them its own, that it was fitted on."""
  head: Head
  vector_vd: np.ndarray
  label_v: np.ndarray


@dataclasses.dataclass(frozen=True)
class SelfTraining:
  """Attributes:
    rounds: how often the head labels and is fitted again; 0 is never.
    share: of the weight of all windows of a fit, that of the unlabelled ones.
    subjects: whose recordings, names or prefixes; empty is the tested people's own (transductive).
    balanced: each person's repetitions are known to hold every label equally often, and are labelled so: an
      assumption about their sessions, which a protocol may grant and true use seldom does.
    even: power of a label's share of each person's repetitions by which its probability is divided before they are
      labelled; 0 leaves it as it is, at 1 no label is preferred because the head gives it often.
    taught: weight of other networks' mean log probabilities of a repetition, if there are any, beside the head's own.
    least: repetitions below which nothing is learnt from them.
    own_share: after `subjects`, each tested person's own recordings with this share (transductive); 0 is not.
  """
  rounds: int = 0
  share: float = 0.6
  subjects: tuple[str, ...] = ()
  balanced: bool = False
  even: float = 0.0
  taught: float = 0.5
  least: int = 1
  own_share: float = 0.0

  def __post_init__(self):
    if self.rounds < 0:
      raise ValueError(f'SelfTraining.rounds: got {self.rounds!r}, expected 0 or more')
    if not 0 < self.share < 1:
      raise ValueError(f'SelfTraining.share: got {self.share!r}, expected within (0, 1)')
    if self.even < 0 or self.even and self.balanced:
      raise ValueError(f'SelfTraining.even: got {self.even!r} with balanced {self.balanced}, expected 0 or more, and 0 '
                       'where every label occurs equally often')
    if not 0 <= self.taught <= 1:
      raise ValueError(f'SelfTraining.taught: got {self.taught!r}, expected within [0, 1]')
    if not 0 <= self.own_share < 1 or self.own_share and not self.subjects:
      raise ValueError(f'SelfTraining.own_share: got {self.own_share!r} with subjects {self.subjects!r}, expected '
                       'within [0, 1), and 0 where nobody comes before the tested person')

  @property
  def transductive(self) -> bool:
    """Uses unlabelled data of the tested session."""
    return self.rounds > 0 and (not self.subjects or self.own_share > 0)

  @property
  def own(self) -> 'SelfTraining':
    """What is done with the tested person's own recordings, if `transductive`."""
    return dataclasses.replace(self, share=self.own_share or self.share, subjects=(), own_share=0.0)


def fit(fit_head: Callable[[np.ndarray, np.ndarray], Head], vector_wd: np.ndarray, label_w: np.ndarray,
        vector_ud: np.ndarray, segment_u: np.ndarray, config: SelfTraining,
        copies_ud: Sequence[np.ndarray] = (), person_u: np.ndarray | None = None,
        teacher_rk: np.ndarray | None = None) -> Fitted:
  """A head of labelled windows w and of unlabelled windows u under the labels that it gives them, and all of these.

  Args:
    fit_head: [W, D] vectors and [W] labels to a head.
    vector_wd, label_w: labelled.
    vector_ud, segment_u: unlabelled, and the repetition of each.
    config: see SelfTraining. Windows are repeated whole times to come nearest to its share.
    copies_ud: the unlabelled windows augmented, which train under the labels of the windows as they are.
    person_u: whose each unlabelled window is; None is one person's.
    teacher_rk: [R, K] mean log probabilities of the repetitions, sorted, over the head's labels; None is no teacher's.
  """
  fitted = Fitted(fit_head(vector_wd, label_w), vector_wd, label_w)
  if len(np.unique(segment_u)) < config.least:
    return fitted
  of_labelled, of_unlabelled = repeats(len(vector_wd), len(vector_ud) * (1 + len(copies_ud)), config.share)
  every_ud = np.concatenate([vector_ud, *copies_ud])
  vector_vd = np.concatenate([vector_wd] * of_labelled + [every_ud] * of_unlabelled)
  _, first_r, segment_u = np.unique(segment_u, return_index=True, return_inverse=True)
  person_r = np.zeros(len(first_r)) if person_u is None else person_u[first_r]
  windows_r1 = np.bincount(segment_u)[:, None]
  before_u = None
  for done in range(config.rounds):
    mean_rk = _pooled(fitted.head.log_prob(vector_ud), segment_u) / windows_r1
    if teacher_rk is not None:
      mean_rk = (1 - config.taught) * mean_rk + config.taught * teacher_rk
    if config.balanced:
      best_r = _equally_often(mean_rk * windows_r1, person_r)
    else:
      best_r = _evened(mean_rk, person_r, config.even).argmax(1)
    label_u = fitted.head.classes[best_r][segment_u]
    if before_u is not None and np.array_equal(label_u, before_u):
      logging.info('self-training: the labels stayed after %d rounds', done)
      break
    every_u = np.tile(label_u, 1 + len(copies_ud))
    label_v = np.concatenate([label_w] * of_labelled + [every_u] * of_unlabelled)
    fitted, before_u = Fitted(fit_head(vector_vd, label_v), vector_vd, label_v), label_u
  return fitted


def repeats(labelled: int, unlabelled: int, share: float) -> tuple[int, int]:
  """How often labelled and unlabelled windows are taken so that the latter are `share` of all."""
  wanted = share / (1 - share) * labelled / unlabelled
  return (1, round(wanted)) if wanted >= 1 else (round(1 / wanted), 1)


def _pooled(log_prob_uk: np.ndarray, segment_u: np.ndarray) -> np.ndarray:
  """[R, K] sum over each repetition's windows."""
  pooled_rk = np.zeros((segment_u.max() + 1, log_prob_uk.shape[1]))
  np.add.at(pooled_rk, segment_u, log_prob_uk)
  return pooled_rk


def _evened(mean_rk: np.ndarray, person_r: np.ndarray, power: float) -> np.ndarray:
  """[R, K] mean log probabilities less `power` times the log of each label's share of the person's repetitions."""
  evened_rk = mean_rk.copy()
  for person in np.unique(person_r) if power else ():
    mine_r, log_share_k = person_r == person, np.zeros(mean_rk.shape[1])
    for _ in range(EVEN_STEPS):  # half way each time: shares and labels settle together
      share_k = special.softmax(mean_rk[mine_r] - power * log_share_k[None], axis=1).mean(0)
      log_share_k = (log_share_k + np.log(share_k + LEAST_SHARE)) / 2
    evened_rk[mine_r] -= power * log_share_k[None]
  return evened_rk


def _equally_often(pooled_rk: np.ndarray, person_r: np.ndarray) -> np.ndarray:
  """[R] class of each repetition, the most probable in which each occurs R / K times, rounded, for each person."""
  best_r = np.zeros(len(pooled_rk), np.int64)
  for person in np.unique(person_r):
    mine_r = np.flatnonzero(person_r == person)
    places = -(-len(mine_r) // pooled_rk.shape[1])
    row, place = optimize.linear_sum_assignment(np.repeat(pooled_rk[mine_r], places, axis=1), maximize=True)
    best_r[mine_r[row]] = place // places
  return best_r
