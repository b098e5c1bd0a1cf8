"""Built datasets -> prepared sentences on disk. Offline, one process, deterministic bytes.

A session at a time: its recordings are rectified, its unlabelled statistics taken over all of them
(scale, rest, feature means), then its segments become words.
"""

import collections
import itertools
import os
from collections.abc import Sequence
from typing import Any

from absl import logging
import numpy as np
from tqdm import tqdm

from aemg_jax import sources
from aemg_jax.records import Record
from aemg_jax.sentences import cache, folders, segments, shards
from aemg_jax.sentences import devices as devices_lib
from aemg_jax.sentences import session as session_words
from aemg_jax.sentences.words import PrepareConfig, Words


def prepare(
    dataset_dirs: Sequence[str], out: str, config: PrepareConfig, num_shards: int = 4) -> None:
  """Writes prepared data to the folder `out`, all or nothing.

  Does nothing when `out` already holds exactly this. See `cache` for the files.

  Args:
    dataset_dirs: folders of built datasets.
    out: folder to make.
    config: all that decides the words.
    num_shards: shards of each kind of row.

  Raises:
    ValueError: unusable dataset or config, a full disk, or `out` holds something else; nothing is
      left behind.
  """
  if num_shards < 1:
    raise ValueError(f'num_shards: got {num_shards}, expected at least 1')
  if not dataset_dirs:
    raise ValueError('dataset_dirs: got none, expected at least one built dataset')
  opened = [sources.read_records(path) for path in dataset_dirs]
  datasets = [dataset_entry(source.meta) for source in opened]
  _check_distinct(datasets)
  out = os.path.abspath(out)
  if os.path.isdir(out) and os.listdir(out):
    if not os.path.exists(os.path.join(out, cache.META_FILE)):
      raise ValueError(f'{out}: holds other files, expected a new or empty folder')
    meta = cache.read_meta(out)
    config = cache.as_stored(config, meta)
    cache.check_meta(out, meta, cache.config_dict(config), datasets)
    logging.info('%s is up to date', out)
    return
  with folders.new_folder(out) as folder:
    _write(opened, datasets, folder, config, num_shards)


def dataset_entry(meta: sources.DatasetMeta) -> dict[str, str]:
  """What prepared.json keeps of a dataset."""
  return {'name': meta.name, 'config': meta.config, 'version': meta.version,
          'dataset_fingerprint': meta.fingerprint, 'licence': meta.licence}


def _check_distinct(datasets: list[dict[str, str]]) -> None:
  counts = collections.Counter((entry['name'], entry['config']) for entry in datasets)
  twice = [name for name, count in counts.items() if count > 1]
  if twice:
    raise ValueError(f'dataset_dirs: {"/".join(filter(None, twice[0]))} is given '
                     f'{counts[twice[0]]} times, expected once')


def _index(
    outlines: Sequence[Sequence[Record]], devices: Sequence[devices_lib.Device],
    config: PrepareConfig) -> tuple[list[session_words.Session], int]:
  """Sessions in order of their first recording, and the longest recording at the common rate."""
  found: dict[tuple[int, str, str, str], list[int]] = {}
  longest = 1
  for s, records in enumerate(outlines):
    for i, record in enumerate(records):
      found.setdefault((s, record.dataset, record.subject, record.session), []).append(i)
      longest = max(longest, segments.longest(record, devices[s], config))
  return [session_words.Session(s, devices[s], *names, tuple(rows))
          for (s, *names), rows in found.items()], longest


def _write(
    opened: Sequence[sources.RecordSource], datasets: list[dict[str, str]], folder: str,
    config: PrepareConfig, num_shards: int) -> None:
  outlines = [[devices_lib.outline(record) for record in source] for source in opened]
  config = devices_lib.resolve(itertools.chain(*outlines), config)
  devices = [devices_lib.describe(source, records, config)
             for source, records in zip(opened, outlines)]
  labels = segments.label_names(opened, devices, config)
  sessions, longest = _index(outlines, devices, config)
  rejects = session_words.Rejects()
  segment_rows, session_rows = [], []
  row_dtype = cache.rectified_dtype(longest, config.sentence.max_channels)
  with (shards.ShardWriter(folder, 'sentences', num_shards) as sentence_writer,
        shards.ShardWriter(folder, 'rectified', num_shards) as signal_writer):
    for session in tqdm(sessions, desc='prepare', unit='session'):
      records = [opened[session.source][i] for i in session.records]
      done = session_words.prepare_session(session, records, labels, config, rejects)
      if done is None:
        continue
      row, cut, words = done
      row['n_segments'] = len(cut)
      for segment, sentences in zip(cut, words):
        segment_rows.append(_segment_row(
            segment, len(segment_rows), len(session_rows), sentence_writer, sentences, config))
        signal_writer.write(_signal_row(segment, row_dtype))
      session_rows.append(row)
    n_sentences = sentence_writer.n_rows
  if not segment_rows:
    raise ValueError(f'{datasets[0]["name"]}: no usable recording, expected at least one '
                     f'(rejects: {rejects.summary()["counts"]})')
  _write_table(os.path.join(folder, 'segments.npz'), segment_rows)
  _write_table(os.path.join(folder, 'sessions.npz'), session_rows)
  counts = {'segments': len(segment_rows), 'sessions': len(session_rows), 'sentences': n_sentences,
            'words': int(sum(row['feature_count'].sum() for row in session_rows))}
  stored, code = cache.config_dict(config), cache.code_version()
  cache.write_meta(folder, {
      'fingerprint': cache.fingerprint(stored, code, datasets), 'config': stored,
      'code_version': code, 'datasets': datasets, 'labels': list(labels), 'counts': counts,
      'devices': [device.as_json() for device in devices],
      'n_channels_max': config.sentence.max_channels, 'max_samples': longest,
      'num_shards': num_shards, 'rejects': rejects.summary()})
  for reason, count in rejects.summary()['counts'].items():
    logging.warning('%d rejected: %s', count, reason)


def _segment_row(
    segment: segments.Segment, row: int, session_index: int, writer: shards.ShardWriter,
    sentences: Words, config: PrepareConfig) -> dict[str, Any]:
  """Writes the sentences and returns the row of the segment table."""
  rows = np.zeros(len(sentences.fallback), cache.sentence_dtype(config))
  for name in Words._fields:
    rows[name] = getattr(sentences, name)
  rows['segment'] = row
  first = writer.n_rows
  writer.write(rows)
  return segment.row | segment.channels._asdict() | {
      'n_samples': len(segment.signal_tc), 'first_sentence': first, 'n_sentences': len(rows),
      'session_index': session_index}


def _signal_row(segment: segments.Segment, dtype: np.dtype) -> np.ndarray:
  row = np.zeros(1, dtype)
  row['signal_tc'][0, :len(segment.signal_tc)] = segment.signal_tc
  row['n_samples'] = len(segment.signal_tc)
  return row


def _write_table(path: str, rows: list[dict[str, Any]]) -> None:
  np.savez(path, **{name: np.array([row[name] for row in rows]) for name in rows[0]})
