"""Prepared data on disk: tables, sharded rows, and the fingerprint that guards them."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from aemg_jax.config import section
from aemg_jax.sentences import (
    contractions, devices, electrodes, rectify, segments, sentence, session, slots, words)
from aemg_jax.sentences.shards import ShardedRows, one_line
from aemg_jax.sentences.words import PrepareConfig, Words, with_channels
from aemg_jax.signal import filters, resample

META_FILE = 'prepared.json'
TOKENISER_MODULES = (
    words, rectify, contractions, slots, sentence, segments, session, devices, electrodes, filters,
    resample)


def code_version() -> str:
  """Version of the tokeniser and a hash of its source: a change of code makes other words."""
  digest = hashlib.sha256()
  for module in TOKENISER_MODULES:
    with open(module.__file__, encoding='utf-8') as file:
      digest.update(file.read().encode())
  return f'{sentence.TOKENISER_VERSION}-{digest.hexdigest()[:16]}'


def fingerprint(config: dict, code: str, datasets: list[dict]) -> str:
  """sha256 over everything that made the words."""
  parts = {'config': config, 'code_version': code, 'datasets': datasets}
  return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def config_dict(config: PrepareConfig) -> dict:
  """The config as JSON gives it back."""
  return json.loads(json.dumps(dataclasses.asdict(config)))


def as_stored(config: PrepareConfig, meta: dict) -> PrepareConfig:
  """The expected config, with the prepared data's number of channels where it leaves that open."""
  return with_channels(config, meta['config']['sentence']['max_channels'])


def difference(old: Any, new: Any, where: str = '') -> str:
  """The first field that differs between two JSON values, as 'path: old, expected new'; or ''."""
  if isinstance(old, dict) and isinstance(new, dict):
    for key in sorted(set(old) | set(new)):
      path = f'{where}.{key}' if where else key
      if key not in old or key not in new:
        return f'{path}: only in {"the data" if key in old else "the expectation"}'
      found = difference(old[key], new[key], path)
      if found:
        return found
    return ''
  if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
    found = [difference(a, b, f'{where}[{i}]') for i, (a, b) in enumerate(zip(old, new))]
    return next((text for text in found if text), '')
  return '' if old == new else f'{where}: made with {old!r}, expected {new!r}'


def sentence_dtype(config: PrepareConfig) -> np.dtype:
  """Layout of one sentence: the fields of Words, and the row of its segment. Little-endian."""
  n = config.sentence.max_slots * config.sentence.max_channels
  p, f = config.word.slot_samples, config.word.n_bins
  return np.dtype([
      ('waveform_np', '<f4', (n, p)), ('spectrum_nf', '<f4', (n, f)), ('amplitude_n', '<f4', (n,)),
      ('length_n', '<i4', (n,)), ('onset_n', '<i4', (n,)), ('time_n', '<i4', (n,)),
      ('position_n', '<i4', (n,)), ('ring_n', '<i4', (n,)), ('valid_n', '?', (n,)),
      ('bin_valid_f', '?', (f,)), ('fallback', '?'), ('segment', '<i4')])


def rectified_dtype(n_samples: int, n_channels: int) -> np.dtype:
  """Layout of one rectified segment: over the session scale, zero past `n_samples`."""
  return np.dtype([('n_samples', '<i4'), ('signal_tc', '<f4', (n_samples, n_channels))])


def write_meta(folder: str, meta: dict) -> None:
  """Adds the size of every file and writes prepared.json."""
  sizes = {name: os.path.getsize(os.path.join(folder, name)) for name in sorted(os.listdir(folder))}
  with open(os.path.join(folder, META_FILE), 'w', encoding='utf-8') as file:
    json.dump(meta | {'files': sizes}, file, indent=1, sort_keys=True)
    file.write('\n')


def read_meta(path: str) -> dict:
  """prepared.json, with every file it lists checked for its size."""
  meta_path = os.path.join(path, META_FILE)
  try:
    with open(meta_path, encoding='utf-8') as file:
      meta = json.load(file)
  except FileNotFoundError:
    raise ValueError(f'{meta_path}: not found, expected data written by aemg prepare') from None
  except json.JSONDecodeError as error:
    raise ValueError(f'{meta_path}: damaged ({one_line(error)})') from error
  for name, size in meta['files'].items():
    file_path = os.path.join(path, name)
    if not os.path.exists(file_path):
      raise ValueError(f'{file_path}: not found, expected {size} bytes; prepare the data again')
    if os.path.getsize(file_path) != size:
      raise ValueError(f'{file_path}: {os.path.getsize(file_path)} bytes, expected {size}; '
                       'prepare the data again')
  return meta


def check_meta(path: str, meta: dict, config: dict | None, datasets: list[dict] | None) -> None:
  """Raises ValueError that says which part of the fingerprint is not the expected one."""
  parts = (('config', config), ('code_version', code_version()), ('datasets', datasets))
  for name, expected in parts:
    found = '' if expected is None else difference(meta[name], expected, name)
    if found:
      raise ValueError(f'{path}: stale or foreign prepared data: {found}; prepare it again')
  if meta['fingerprint'] != fingerprint(meta['config'], meta['code_version'], meta['datasets']):
    raise ValueError(f'{path}: stale or foreign prepared data: fingerprint: '
                     f'{META_FILE} was changed after it was written; prepare it again')


@dataclasses.dataclass(frozen=True)
class Prepared:
  """Prepared data, open for reading.

  Attributes:
    path: the folder.
    config: what made it.
    meta: prepared.json.
    labels: names of the labels, in the order of `segments['label']`.
    segments: name -> array with one row per segment.
    sessions: name -> array with one row per dataset/subject/session.
    sentences: rows of Words fields and `segment`.
    rectified: one row per segment: `signal_tc` over the session scale, `n_samples`.
  """
  path: str
  config: PrepareConfig
  meta: dict[str, Any]
  labels: tuple[str, ...]
  segments: dict[str, np.ndarray]
  sessions: dict[str, np.ndarray]
  sentences: ShardedRows
  rectified: ShardedRows


def open_prepared(
    path: str, config: PrepareConfig | None = None, datasets: list[dict] | None = None) -> Prepared:
  """Opens prepared data, after checking that it is what the caller expects.

  Args:
    path: folder written by `prepare`.
    config: expected config; None takes what is there.
    datasets: expected datasets as in prepared.json; None takes what is there.

  Raises:
    ValueError: missing, damaged, stale or foreign data; the message names the file or field.
  """
  meta = read_meta(path)
  expected = None if config is None else config_dict(as_stored(config, meta))
  check_meta(path, meta, expected, datasets)
  built = section(PrepareConfig, meta['config'], f'{os.path.join(path, META_FILE)}: config')
  counts, n_shards = meta['counts'], meta['num_shards']
  return Prepared(
      path, built, meta, tuple(meta['labels']),
      _load_table(os.path.join(path, 'segments.npz')),
      _load_table(os.path.join(path, 'sessions.npz')),
      ShardedRows(path, 'sentences', n_shards, counts['sentences'], sentence_dtype(built)),
      ShardedRows(path, 'rectified', n_shards, counts['segments'],
                  rectified_dtype(meta['max_samples'], built.sentence.max_channels)))


def _load_table(path: str) -> dict[str, np.ndarray]:
  with np.load(path, allow_pickle=False) as table:
    return {name: table[name] for name in table.files}


def as_words(rows: dict[str, np.ndarray]) -> Words:
  """The Words of what `Prepared.sentences` returned."""
  return Words(**{name: rows[name] for name in Words._fields})


def channels_of(prepared: Prepared, rows: Sequence[int]) -> sentence.Channels:
  """Montage of segments, with a leading axis, for the tokeniser."""
  table = prepared.segments
  return sentence.Channels(
      *(table[name][rows] for name in ('position_c', 'ring_c', 'valid_c', 'bandwidth_hz')))


def rest_of(prepared: Prepared, rows: Sequence[int]) -> contractions.RestStatistics:
  """Rest statistics of the sessions of segments, with a leading axis, for the tokeniser."""
  session = prepared.segments['session_index'][rows]
  names = ('rest_median', 'rest_mad', 'rest_median_c', 'rest_mad_c')
  return contractions.RestStatistics(*(prepared.sessions[name][session] for name in names))


def session_center(prepared: Prepared) -> np.ndarray:
  """[n_session, C, F + 1] mean feature of each session: log spectrum, then log amplitude."""
  return _mean(prepared.sessions['feature_sum'], prepared.sessions['feature_count'])


def training_center(prepared: Prepared, session_rows: Sequence[int]) -> np.ndarray:
  """[C, F + 1] mean feature over the words of the given sessions only."""
  rows = np.asarray(session_rows, np.int64)
  if not rows.size:
    raise ValueError('training_center: got no session, expected at least one')
  return _mean(prepared.sessions['feature_sum'][rows].sum(axis=0),
               prepared.sessions['feature_count'][rows].sum(axis=0))


def _mean(total: np.ndarray, count: np.ndarray) -> np.ndarray:
  """Zero where a channel has no word."""
  return (total / np.maximum(count, 1)[..., None]).astype(np.float32)
