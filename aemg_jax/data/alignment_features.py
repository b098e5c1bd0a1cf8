"""What alignment sees of a window: each electrode's amplitude and bands, and pairs of electrodes.

Pairs are the off-diagonal entries of the log-Euclidean covariance. With them the likelihood found the
labelled element of 18 of MyoArmband's 19 pre-training wearers from 20 s, without them of 15.

Letters beyond the house's: w window (a slot of a sentence), d flattened frame: site features of
place 0, 1, ..., then the pairs of the upper triangle times sqrt 2, row by row.
"""

import functools
from typing import NamedTuple

import numpy as np

from aemg_jax.data.montage import ABSENT
from aemg_jax.sentences.words import Words
from aemg_jax.signal.features import BAND_EDGES

# Of the trace per electrode, and of the squared scale: keeps the logarithm of a silent channel finite.
_RIDGE, _FLOOR = 0.02, 5e-4


class Windows(NamedTuple):
  """Windows of one or more wearers; NaN where an electrode has no word.

  Attributes:
    site_wcf: [W, C, F] of each electrode.
    pair_wcc: [W, C, C] symmetric; the diagonal is not read.
  """
  site_wcf: np.ndarray
  pair_wcc: np.ndarray

  def take(self, index) -> 'Windows':
    """Some of the windows, by index or mask."""
    return Windows(self.site_wcf[index], self.pair_wcc[index])

  def mean(self) -> 'Windows':
    """One window that is their mean over those which have the electrode; NaN where none has."""
    return Windows(*(_nanmean(x)[None] for x in self))


def _nanmean(x: np.ndarray) -> np.ndarray:
  seen = np.isfinite(x)
  total = np.where(seen, x, 0).sum(axis=0, dtype=np.float64)
  count = seen.sum(axis=0)
  return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def window_features(words: Words, channels: int) -> tuple[Windows, np.ndarray]:
  """Features of every slot that holds a word.

  Site features are the log amplitude and six band means of the log spectrum; bins outside the
  information band are in no mean, a band without any is 0. Pairs come from the waveforms.

  Args:
    words: leading b; centred or not, alignment takes each wearer's mean away itself.
    channels: C of the grid.

  Returns:
    windows, float32, and sentence_w [W]: the row b of each.
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
  site_bnf = np.concatenate([np.asarray(words.amplitude_n)[..., None], band_bnj], axis=-1)
  site_bnf = np.where(valid_bn[..., None], site_bnf, np.nan).astype(np.float32)
  valid_wc = valid_bn.reshape(-1, channels)
  used_w = valid_wc.any(axis=1)
  site_wcf = site_bnf.reshape(b * n // channels, channels, -1)[used_w]
  waveform_wcp = np.asarray(words.waveform_np).reshape(b * n // channels, channels, -1)[used_w]
  pair_wcc = log_covariance(waveform_wcp, valid_wc[used_w])
  return Windows(site_wcf, pair_wcc), np.repeat(np.arange(b), n // channels)[used_w]


def log_covariance(waveform_wcp: np.ndarray, valid_wc: np.ndarray) -> np.ndarray:
  """[W, C, C] float32 matrix logarithm of X X' / P + ridge; NaN in rows and columns of absent channels."""
  x_wcp = np.where(valid_wc[..., None], waveform_wcp, 0).astype(np.float64)
  cov_wcc = x_wcp @ x_wcp.transpose(0, 2, 1) / x_wcp.shape[-1]
  channels = cov_wcc.shape[-1]
  ridge_w = _RIDGE * np.trace(cov_wcc, axis1=1, axis2=2) / channels + _FLOOR
  value_wc, vector_wcc = np.linalg.eigh(cov_wcc + ridge_w[:, None, None] * np.eye(channels)[None])
  log_wcc = (vector_wcc * np.log(value_wc)[:, None]) @ vector_wcc.transpose(0, 2, 1)
  both_wcc = valid_wc[:, :, None] & valid_wc[:, None, :]
  return np.where(both_wcc, log_wcc, np.nan).astype(np.float32)


@functools.lru_cache
def pairs(channels: int) -> tuple[np.ndarray, np.ndarray]:
  """The two electrodes of each pair, in the order of the frame."""
  return np.triu_indices(channels, 1)


def flat(windows: Windows, perm_c: np.ndarray) -> np.ndarray:
  """[W, d] float64 in the frame: place c takes electrode perm[c]; NaN where none comes."""
  source_c = np.where(perm_c == ABSENT, 0, perm_c)
  site_wcf = np.where((perm_c == ABSENT)[None, :, None], np.nan, windows.site_wcf[:, source_c])
  row, column = pairs(len(perm_c))
  gone_p = (perm_c[row] == ABSENT) | (perm_c[column] == ABSENT)
  pair_wp = np.sqrt(2) * windows.pair_wcc[:, source_c[row], source_c[column]]
  pair_wp = np.where(gone_p[None], np.nan, pair_wp)
  return np.concatenate([site_wcf.reshape(len(site_wcf), -1), pair_wp], 1, dtype=np.float64)


def seen(perm_c: np.ndarray, features: int) -> np.ndarray:
  """[d] whether an electrode, or both of a pair, come to the place."""
  there_c = perm_c != ABSENT
  row, column = pairs(len(perm_c))
  return np.concatenate([np.repeat(there_c, features), there_c[row] & there_c[column]])
