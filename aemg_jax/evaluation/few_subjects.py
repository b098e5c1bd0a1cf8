"""Closed-form heads from few labelled people: what pre-training and unlabelled people are worth.

For each draw n people give their labels and all others are tested; those n are tested by a head of n
others, so that every person is tested once a draw, and more people contain fewer of the same draw.
Rings are turned once, to the frame of people outside the comparison, so that heads and vectors differ
alone (METHOD 5.5).
"""

import dataclasses
import json
import pathlib
import time
from collections.abc import Sequence
from typing import Any

from absl import logging
import numpy as np
import tqdm

from aemg_jax import config as config_lib
from aemg_jax.data import batches, splits
from aemg_jax.evaluation import closed_form, protocols, results, sentence_windows
from aemg_jax.evaluation.transfer import TransferData, TransferMethod

PREFIX = 'subjects-'


@dataclasses.dataclass(frozen=True)
class FewNetwork:
  """A named method: a closed-form head on vectors that no label of the fold changes, or a network for each fold."""
  name: str
  network: TransferMethod

  def __post_init__(self):
    method = self.network
    if method.tune not in (*closed_form.HEADS, 'all'):
      raise ValueError(f'FewNetwork.network: {self.name!r}: got tune {method.tune!r}, expected one of '
                       f"{(*closed_form.HEADS, 'all')}")
    if method.teachers:
      raise ValueError(f'FewNetwork.network: {self.name!r}: got teachers, expected none: they are of one fold')
    if method.centre != 'session':
      raise ValueError(f"FewNetwork.network: {self.name!r}: got centre {method.centre!r}, expected 'session'")


@dataclasses.dataclass(frozen=True)
class FewSubjectsConfig:
  """Which comparison; no `labelled` is none.

  Attributes:
    labelled: how many people give labels, rising.
    draws: how often they are drawn.
    subjects: who is compared, names or prefixes; empty is all.
    frame_subjects: whose labels make the frame that rings are turned to; none of `subjects`.
    networks: see FewNetwork.
  """
  labelled: tuple[int, ...] = ()
  draws: int = 8
  subjects: tuple[str, ...] = ()
  frame_subjects: tuple[str, ...] = ()
  networks: tuple[FewNetwork, ...] = ()

  def __post_init__(self):
    if list(self.labelled) != sorted(set(self.labelled)) or any(n < 1 for n in self.labelled):
      raise ValueError(f'FewSubjectsConfig.labelled: got {self.labelled!r}, expected rising numbers from 1')
    if self.draws < 1:
      raise ValueError(f'FewSubjectsConfig.draws: got {self.draws!r}, expected at least 1')


def run(config: FewSubjectsConfig, workdir: str, data: TransferData, checkpoint_hash: str | None) -> None:
  """Adds a row for each method and number of people to workdir/results.json; rows already there are kept.

  Args:
    config: see FewSubjectsConfig.
    workdir: of the run.
    data: views, table and checkpoint of the run.
    checkpoint_hash: of the networks that start from one.
  """
  prepared = next(iter(data.views.values()))
  segments = prepared.segments
  folds = {n: {draw: splits.few_subjects(segments, _subjects(segments, config), n, draw)
               for draw in range(config.draws)} for n in config.labelled}
  path = pathlib.Path(workdir) / 'results.json'
  rows = json.loads(path.read_text(encoding='utf-8'))['rows'] if path.exists() else []
  for network in config.networks:
    method, source = network.network, None
    for n, by_draw in folds.items():
      identity = json.loads(json.dumps({
          'method': network.name, 'protocol': f'{PREFIX}{n}', 'seeds': list(by_draw),
          'checkpoint_hash': checkpoint_hash if method.start == 'checkpoint' else None,
          'split_hash': splits.split_hash([fold for pair in by_draw.values() for fold in pair]),
          'config': {'method': config_lib.as_plain(method), 'frame_subjects': list(config.frame_subjects)}}))
      if any(all(row[k] == v for k, v in identity.items()) for row in rows):
        logging.info('few subjects: %s, %d labelled, is there already', network.name, n)
        continue
      source = source or _Source(config, method, data)
      row = _row(source, by_draw, identity)
      rows = [r for r in rows if (r['method'], r['protocol']) != (row['method'], row['protocol'])] + [row]
      results.write_results(path, prepared.labels, rows)


def _subjects(segments: splits.Segments, config: FewSubjectsConfig) -> tuple[str, ...]:
  return splits.select_subjects(segments, config.subjects, 'FewSubjectsConfig.subjects')


def _row(source: '_Source', by_draw, identity) -> dict[str, Any]:
  begin_s, prepared = time.monotonic(), source.prepared
  by_seed = {}
  for draw, pair in tqdm.tqdm(by_draw.items(), desc=f"{identity['protocol']} {identity['method']}", unit='draw',
                              disable=None):
    parts = [results.check(source.predict(fold), fold.test, len(prepared.labels)) for fold in pair]
    by_seed[draw] = results.concatenate(parts)
  row = results.result_row(by_seed, prepared.segments, len(prepared.labels), transductive=True,
                           uses_target=protocols.uses_target('', True, source.assumes),
                           wall_s=time.monotonic() - begin_s, **identity)
  logging.info('few subjects: %s, %s: repetition %.1f %%, window %.1f %%', identity['protocol'],
               identity['method'], 100 * row['mean']['repetition'], 100 * row['mean']['window'])
  return row


class _Source:
  """Vectors of all people under one centre and frame, and the heads that folds ask for."""

  def __init__(self, config: FewSubjectsConfig, method: TransferMethod, data: TransferData):
    self.prepared = prepared = data.views[method.view]
    segments, self._method, self.assumes = prepared.segments, method, method.assumes
    compared = _subjects(segments, config)
    framed = bool(method.align or config.frame_subjects)
    frame = splits.select_subjects(segments, config.frame_subjects, 'FewSubjectsConfig.frame_subjects') * framed
    lent = splits.select_subjects(segments, method.self_training.subjects, 'SelfTraining.subjects')
    pool = lent if method.self_training.rounds and method.self_training.subjects else ()
    for field, people in (('FewSubjectsConfig.frame_subjects', frame), ('SelfTraining.subjects', pool)):
      if set(people) & set(compared):
        raise ValueError(f'{field}: {min(set(people) & set(compared))!r} is compared, expected others')
    tested, self._pool = splits.whole_rows(segments, compared), splits.whole_rows(segments, pool)
    self.centre = batches.make_centre(prepared, 'session', ())
    if method.align:
      by = splits.whole_rows(segments, frame)
      others = [row.segment for row in (*tested, *self._pool) if row not in set(by)]
      self.centre = batches.aligned(prepared, self.centre, [row.segment for row in by], others)
    self._data = data
    if method.tune == 'all':
      return
    vectors, copies = method.vectors(data, None, self.centre, 0)
    everybody = tuple(dict.fromkeys(tested + self._pool))
    self._vectors = StoredVectors(vectors, everybody, tested, self.centre)
    self._copies = [StoredVectors(copy, everybody, (), self.centre) for copy in copies]

  def predict(self, fold: splits.Fold) -> results.Predictions:
    """Test rows of a fold, by a network of its training rows, or a head of them and of the pool."""
    if self._method.tune == 'all':
      return self._method.fitted(self._data, fold, self.centre, 0)(fold.test, self.centre)
    head = closed_form.fit(self._method.closed_head, self._method.shrinkage, self._vectors, fold, self.centre,
                           self._copies)
    if self._pool:
      head = head.adapted(self._pool, self.centre, self._method.self_training)
    if not self._method.self_training.transductive:
      return head(fold.test, self.centre)
    adapted = head.each_adapted(fold.test, self.centre, self._method.self_training.own)
    return results.concatenate([each(rows, self.centre) for each, rows in adapted])


class StoredVectors:
  """Vectors made once under one centre, asked for like `closed_form.WindowVectors`, whole segments alone."""

  def __init__(self, vectors: closed_form.WindowVectors, rows: Sequence[splits.Row],
               test_rows: Sequence[splits.Row], centre: batches.Centre):
    self.prepared, self.features = vectors.prepared, vectors.features
    half = closed_form.half_slot(vectors.prepared)
    self._stored = {half: vectors(rows, centre, half)}
    if test_rows:
      self._stored[sentence_windows.STRIDE] = vectors(test_rows, centre)

  def __call__(self, rows: Sequence[splits.Row], centre: batches.Centre, stride: int = sentence_windows.STRIDE,
               window_samples: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[W] segment, [W] first sample and [W, D] vector."""
    del centre, window_samples
    segment_w, start_w, vector_wd = self._stored[stride]
    mine = np.isin(segment_w, [row.segment for row in rows])
    return segment_w[mine], start_w[mine], vector_wd[mine]
