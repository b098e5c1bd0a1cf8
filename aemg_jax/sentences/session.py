"""One subject-session: unlabelled statistics over all its recordings, then the words."""

import collections
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from aemg_jax.records import Record
from aemg_jax.sentences import contractions, electrodes, rectify, segments, sentence
from aemg_jax.sentences.devices import Device
from aemg_jax.sentences.words import PrepareConfig, Words

BATCH_VALUES = 1 << 19  # samples times channels in one call of the tokeniser: stays in the cache
MAX_BATCH = 64

_energy_batch = jax.jit(
    jax.vmap(contractions.window_energy, in_axes=(0, 0, None)), static_argnums=2)
_rest = jax.jit(contractions.rest_statistics, static_argnums=2)


@dataclasses.dataclass(frozen=True)
class Session:
  """Where the recordings of one subject-session of a built set are.

  Attributes:
    source: which of the sets.
    device: of the set.
    dataset, subject, session: as the recordings name them.
    records: rows of the set.
  """
  source: int
  device: Device
  dataset: str
  subject: str
  session: str
  records: tuple[int, ...]

  @property
  def key(self) -> str:
    return f'{self.dataset}/{self.subject}/{self.session}'


class Rejects:
  """Recordings and spans that gave no words, by reason."""

  def __init__(self):
    self.items: list[dict[str, str]] = []

  def add(self, name: str, reason: str, detail: str) -> None:
    self.items.append({'name': name, 'reason': reason, 'detail': detail})

  def summary(self) -> dict[str, Any]:
    counts = collections.Counter(item['reason'] for item in self.items)
    return {'counts': dict(sorted(counts.items())), 'items': self.items}


def prepare_session(
    session: Session, records: Sequence[Record], labels: tuple[str, ...], config: PrepareConfig,
    rejects: Rejects) -> tuple[dict[str, Any], list[segments.Segment], list[Words]] | None:
  """One session: its row, its segments and the words of each; None when nothing is usable."""
  kept, signals = [], []
  for record in records:
    try:
      keep_c = electrodes.choose(
          record.sensors, config.sentence.max_channels, config.sentence.more_channels)
      signals.append(rectify.rectify(record, config.rectify, config.word.min_valid, keep_c))
      kept.append(record)
    except rectify.RejectedError as error:
      rejects.add(f'{record.dataset}/{record.record_id}', error.reason, str(error))
  if not kept:
    return None
  scale = rectify.session_scale(
      [signal.signal_tc for signal in signals], config.rectify, session.device.fixed_scale)
  if not (np.isfinite(scale) and scale > 0):
    raise ValueError(f'{session.key}: the session scale is {scale}, expected a positive number')
  scaled = [pad_channels(signal.signal_tc / scale, config) for signal in signals]
  rest = session_rest(scaled, config)
  cut = [segment for record, signal, signal_tc in zip(kept, signals, scaled)
         for segment in segments.cut(
             record, session.device, signal, signal_tc, labels, config, rejects.add)]
  words = tokenise_segments(cut, rest, config)
  total_cf, count_c = _feature_sums(words, config)
  row = {'key': session.key, 'dataset': session.dataset, 'source': session.device.source,
         'subject': session.subject, 'session': session.session, 'scale': scale, 'rest_median': rest.median,
         'rest_mad': rest.mad, 'rest_median_c': rest.median_c, 'rest_mad_c': rest.mad_c,
         'feature_sum': total_cf, 'feature_count': count_c}
  return row, cut, words


def pad_channels(signal_tc: np.ndarray, config: PrepareConfig) -> np.ndarray:
  """[T, max_channels] float32."""
  missing = config.sentence.max_channels - signal_tc.shape[1]
  if missing < 0:
    raise ValueError(f'SentenceConfig.max_channels: got {config.sentence.max_channels}, '
                     f'the signal has {signal_tc.shape[1]} channels')
  return np.pad(signal_tc, ((0, 0), (0, missing))).astype(np.float32)


def session_rest(
    signals: Sequence[np.ndarray], config: PrepareConfig) -> contractions.RestStatistics:
  """Rest over all recordings of a session.

  Args:
    signals: [T, max_channels] each, over the session scale.
  """
  windows = []
  for rows, signal_btc, length_b in _batches(signals, config):
    energy_bwc, valid_bw = jax.device_get(_energy_batch(signal_btc, length_b, config.contraction))
    windows += [energy_bwc[b][valid_bw[b]] for b in range(len(rows))]
  energy_wc = np.concatenate(windows)
  size = 1 << (len(energy_wc) - 1).bit_length()  # few sizes, few compilations
  energy_wc = np.pad(energy_wc, ((0, size - len(energy_wc)), (0, 0)))
  valid_w = np.arange(size) < sum(len(w) for w in windows)
  return jax.device_get(_rest(energy_wc, valid_w, config.contraction))


def tokenise_segments(
    cut: Sequence[segments.Segment], rest: contractions.RestStatistics,
    config: PrepareConfig) -> list[Words]:
  """Words of segments of one session, batched by length; leading axis: its sentences with words."""
  words: list[Words] = [None] * len(cut)
  for rows, signal_btc, length_b in _batches([segment.signal_tc for segment in cut], config):
    size = len(length_b)
    take = [*rows, *rows[:1] * (size - len(rows))]
    channels_b = jax.tree.map(lambda *x: np.stack(x), *[cut[i].channels for i in take])
    rest_b = jax.tree.map(lambda x: np.stack([x] * size), rest)
    batch = jax.device_get(
        sentence.tokenise_batch(signal_btc, length_b, channels_b, rest_b, config))
    for b, row in enumerate(rows):
      used = batch.valid_n[b].any(axis=1)
      words[row] = jax.tree.map(lambda x: x[b][used], batch)  # pylint: disable=cell-var-from-loop
  return words


def _batches(
    signals: Sequence[np.ndarray], config: PrepareConfig,
) -> Iterator[tuple[list[int], np.ndarray, np.ndarray]]:
  """Rows, padded signals and lengths, in batches of few shapes."""
  by_length = collections.defaultdict(list)
  for row, signal_tc in enumerate(signals):
    by_length[_bucket(len(signal_tc), config)].append(row)
  channels = config.sentence.max_channels
  for length, rows in sorted(by_length.items()):
    most = max(1, min(MAX_BATCH, BATCH_VALUES // (length * channels)))
    for first in range(0, len(rows), most):
      some = rows[first:first + most]
      size = min(most, 1 << (len(some) - 1).bit_length())
      signal_btc = np.zeros((size, length, channels), np.float32)
      length_b = np.zeros(size, np.int32)
      for b, row in enumerate(some):
        length_b[b] = len(signals[row])
        signal_btc[b, :length_b[b]] = signals[row]
      yield some, signal_btc, length_b


def _bucket(n_samples: int, config: PrepareConfig) -> int:
  """Whole slots, in steps of at most a quarter."""
  n_slots = -(-n_samples // config.word.slot_samples)
  step = max(1, 1 << max(0, n_slots.bit_length() - 3))
  return -(-n_slots // step) * step * config.word.slot_samples


def _feature_sums(words: Sequence[Words], config: PrepareConfig) -> tuple[np.ndarray, np.ndarray]:
  """[C, F + 1] sums of log spectrum and log amplitude over valid words, and [C] their number."""
  channels = config.sentence.max_channels
  total_cf = np.zeros((channels, config.word.n_bins + 1))
  count_c = np.zeros(channels, np.int64)
  for word in words:
    feature_snf = np.concatenate([word.spectrum_nf, word.amplitude_n[..., None]], axis=-1)
    feature_kcf = feature_snf.reshape(-1, channels, feature_snf.shape[-1]).astype(np.float64)
    valid_kc = word.valid_n.reshape(-1, channels)
    total_cf += (feature_kcf * valid_kc[..., None]).sum(axis=0)
    count_c += valid_kc.sum(axis=0)
  return total_cf, count_c
