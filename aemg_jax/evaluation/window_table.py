"""Windowed features of a prepared set, computed once and kept in memory over methods and folds."""

from collections.abc import Callable, Sequence

import numpy as np
import tqdm

from aemg_jax.data import splits
from aemg_jax.signal import features


class WindowTable:
  """Features per window, with the segment and the start of each window.

  Features are computed recording by recording, so that no array of all raw windows ever exists, and
  stored as float32 by (feature, stride).
  """

  def __init__(self, segments: splits.Segments, signal_of: Callable[[int], np.ndarray],
               n_labels: int, rate_hz: float = 200.0, window_samples: int = 52):
    """Args:
      segments: table of segments, see `aemg_jax.data.splits`.
      signal_of: row of the table -> [T, C] rectified signal in a unit of the DEVICE (counts): the
        log features add constants in that unit, and the session's scale must not be divided out of
        features that are to be strictly inductive.
      n_labels: K, labels of the prepared set (some may be absent from the table).
      rate_hz: of the signals.
      window_samples: window length.
    """
    self.segments = segments
    self.n_labels = n_labels
    self.rate_hz = rate_hz
    self.window_samples = window_samples
    self._signal_of = signal_of
    self._starts: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    self._blocks: dict[tuple[str, int], np.ndarray] = {}
    self._means: dict[tuple[str, int], np.ndarray] = {}
    self._others: dict[int, WindowTable] = {}
    keys = [f'{subject}\n{session}' for subject, session in zip(
        splits.column_keys(segments, 'subject'), np.asarray(segments['session']))]
    self._session_s = np.unique(keys, return_inverse=True)[1]

  def of_length(self, window_samples: int) -> 'WindowTable':
    """The table of the same segments with windows of another length, kept."""
    if window_samples not in self._others:
      self._others[window_samples] = WindowTable(
          self.segments, self._signal_of, self.n_labels, self.rate_hz, window_samples)
    return self._others[window_samples]

  def windows(self, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """(segment_w, start_w) int32 of all windows at a stride, in table order."""
    if stride not in self._starts:
      self._compute((), stride)
    return self._starts[stride]

  def rows(self, crops: Sequence[splits.Row], stride: int) -> np.ndarray:
    """Indices of the windows at a stride that lie wholly within the crops, each segment in order.

    A crop shorter than a window has none.
    """
    segment_w, start_w = self.windows(stride)
    first_s = np.searchsorted(segment_w, np.arange(len(self._session_s) + 1))
    chosen = [np.zeros(0, np.int64)]
    for crop in crops:
      low, high = splits.crop_samples(self.segments, crop, self.rate_hz)
      index = np.arange(first_s[crop.segment], first_s[crop.segment + 1])
      start = start_w[index]
      chosen.append(index[(start >= low) & (start + self.window_samples <= high)])
    return np.concatenate(chosen)

  def gather(self, names: Sequence[str], stride: int, rows: np.ndarray,
             centre: bool = False) -> np.ndarray:
    """Features of windows.

    Args:
      names: of `features.FEATURES`, side by side in this order.
      stride: in samples.
      rows: [W] indices from `rows`.
      centre: subtract the mean over ALL windows of the window's own subject-session, labels unused.

    Returns:
      [W, F] float64.
    """
    self._compute(names, stride)
    parts = []
    for name in names:
      part_wf = self._blocks[name, stride][rows].astype(np.float64)
      if centre:
        part_wf -= self._session_mean(name, stride)[self._session_s[self.windows(stride)[0][rows]]]
      parts.append(part_wf)
    return np.concatenate(parts, 1)

  def width(self, names: Sequence[str]) -> int:
    """Columns of some features that have been gathered before."""
    widths = {name: block_wf.shape[1] for (name, _), block_wf in self._blocks.items()}
    return sum(widths[name] for name in names)

  def turned_columns(self, names: Sequence[str], perm_c: np.ndarray) -> np.ndarray:
    """[F] columns of gathered features after the channels are taken in the order `perm_c`."""
    parts, first = [], 0
    for name in names:
      parts.append(first + features.turned_columns(name, perm_c))
      first += len(parts[-1])
    return np.concatenate(parts)

  def _session_mean(self, name: str, stride: int) -> np.ndarray:
    """[n_session, F]; zeros for a session without a window."""
    if (name, stride) not in self._means:
      block_wf = self._blocks[name, stride]
      session_w = self._session_s[self.windows(stride)[0]]
      mean = np.zeros((self._session_s.max() + 1, block_wf.shape[1]))
      for session in np.unique(session_w):
        mean[session] = block_wf[session_w == session].mean(0, dtype=np.float64)
      self._means[name, stride] = mean
    return self._means[name, stride]

  def _compute(self, names: Sequence[str], stride: int) -> None:
    """One pass over the recordings for those of the features that are not there yet."""
    missing = [name for name in names if (name, stride) not in self._blocks]
    if not missing and stride in self._starts:
      return
    functions = {name: features.feature(name) for name in missing}
    parts: dict[str, list[np.ndarray]] = {name: [] for name in missing}
    segment_parts, start_parts = [], []
    for i in tqdm.tqdm(range(len(self._session_s)), desc=f'features, stride {stride}',
                       unit='recording', disable=None, leave=False):
      window_wtc, start = features.cut_windows(self._signal_of(i), self.window_samples, stride)
      segment_parts.append(np.full(start.shape, i, np.int32))
      start_parts.append(start)
      if start.size:
        for name, function in functions.items():
          parts[name].append(function(window_wtc).astype(np.float32))
    self._starts[stride] = np.concatenate(segment_parts), np.concatenate(start_parts)
    for name in missing:
      if not parts[name]:
        raise ValueError(f'windows: no segment has {self.window_samples} samples')
      self._blocks[name, stride] = np.concatenate(parts[name])
