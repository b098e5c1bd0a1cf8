"""One training job: prepared sets -> a task -> the loop -> checkpoints that know what made them."""

import dataclasses
import functools
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from absl import logging
import jax
import numpy as np

from aemg_jax import config as config_lib
from aemg_jax.data import batches, buckets, frames, loader, splits
from aemg_jax.models import quantiser
from aemg_jax.models.vq_autoencoder import VQConfig
from aemg_jax.sentences import cache
from aemg_jax.sentences.words import PrepareConfig, with_channels
from aemg_jax.training import checkpoints, golden, loop, optim, state
from aemg_jax.training.tasks import MaskedTask, SupervisedTask, VQTask
from aemg_jax.training.tasks.vq import COLLAPSE, kmeans_start


@dataclasses.dataclass(frozen=True)
class JobConfig:
  """Attributes:
    task: what is learnt.
    prepare: settings that the prepared sets must have been made with.
    optim, loop, batch_size, seed: of the run; batch_size is global.
    subjects: exact names or prefixes ('PreTraining/*'); empty is all.
    centre: features minus 'session' means, 'training' means (over the chosen subjects) or 'none'.
    weights: share of each prepared set in the mixture; empty is by what they hold.
    temperature: a built set of n sentences counts n ** (1 / temperature): 1 is by size, more is more
      even.
    in_memory: hold the sentences in memory; else read them as they come.
    buckets: rising numbers of slots; batches of sentences of like length are cut to the smallest that
      holds them. Empty leaves them whole. In memory only.
    align: turn each training wearer's ring or grid into a frame that is fitted on the labels of each
      built set; the checkpoint then carries the frames, and whoever loads it turns new wearers. Sets of
      which nothing turns, or without labels, are left alone. In memory only.
  """
  task: VQTask | MaskedTask | SupervisedTask
  prepare: PrepareConfig
  optim: optim.OptimConfig
  loop: loop.LoopConfig
  batch_size: int = 64
  seed: int = 0
  subjects: tuple[str, ...] = ()
  centre: str = 'session'
  weights: tuple[float, ...] = ()
  temperature: float = 1.0
  in_memory: bool = True
  buckets: tuple[int, ...] = ()
  align: bool = False

  def __post_init__(self):
    if self.align and not self.in_memory:
      raise ValueError('JobConfig.align: reads all labelled sentences at once, expected in_memory=True')
    if not self.temperature > 0:
      raise ValueError(f'JobConfig.temperature: got {self.temperature}, expected more than 0')


class Part(NamedTuple):
  """One built set within a prepared one.

  Attributes:
    name: NAME/CONFIG of the built set.
    prepared: which of the prepared sets.
    rows: [S] segments that are trained on.
    source: their sentences, for the loader.
    centre: what was taken away.
  """
  name: str
  prepared: int
  rows: np.ndarray
  source: Any
  centre: batches.Centre


def run(job: JobConfig, prepared_dirs: Sequence[str], workdir: str, init: str = '') -> loop.Fit:
  """Trains, or goes on training, in `workdir`.

  Args:
    job: see JobConfig.
    prepared_dirs: folders of `aemg prepare`.
    workdir: of checkpoints and scalars.
    init: checkpoint of step 1 for the masked task (its tokeniser and codes).

  Raises:
    ValueError: prepared data of another config, a masked task without a tokeniser, a checkpoint in
      the work directory that another job wrote.
  """
  job, sets = open_sets(job, prepared_dirs)
  job, extra = _with_tokeniser(_with_classes(job, sets), init)
  _check_grid(job)
  parts = mixture(job, sets)
  feed = loader.Loader([part.source for part in parts], job.batch_size, job.seed, shares(job, parts))
  feed = _bucketed(job, parts, feed) if job.buckets else feed
  tx = optim.make_tx(job.optim, job.loop.steps)
  begin = state.init_state(job.task, tx, jax.tree.map(lambda x: x[:1], feed(0)), job.seed)
  if extra is not None:
    begin = begin.replace(extra=extra)
  found = {part.name: part.centre.frame for part in parts if part.centre.frame is not None}
  carried = frames.as_arrays(found)
  meta = _meta(job, sets, parts, extra) | {'alignment': frames.as_meta(found)}
  _check_frames(init, carried)
  _check_workdir(workdir, meta)
  logging.info('train: %d sentences, %d parameters', feed.n_rows,
               sum(x.size for x in jax.tree.leaves(begin.params)))
  is_vq = isinstance(job.task, VQTask)
  return loop.fit(
      job.task, tx, feed, begin, job.loop, workdir=workdir, meta=meta,
      record_ids=lambda index_b: _record_ids(sets, index_b),
      prepare_extra=(lambda s: kmeans_start(job.task, s, feed)) if is_vq else None,
      warn_below={'codes_used': COLLAPSE} if is_vq else None,
      prove=functools.partial(_beside, job, carried),
      name=os.path.basename(os.path.normpath(workdir)))


def _beside(job: JobConfig, carried: dict[str, Any], params: Any) -> dict[str, Any]:
  """What a checkpoint carries beside its parameters."""
  return {'golden': golden.prove(job.task, job.prepare, params), 'alignment': carried}


def open_sets(job: JobConfig, prepared_dirs: Sequence[str]) -> tuple[JobConfig, list[cache.Prepared]]:
  """The prepared sets, and the job with their number of channels wherever it leaves that open."""
  sets = [cache.open_prepared(path, job.prepare) for path in prepared_dirs]
  if not sets:
    raise ValueError('train: no prepared set, expected --prepared=DIR')
  channels = sets[0].config.sentence.max_channels
  for other in sets[1:]:
    found = other.config.sentence.max_channels
    if found != channels:
      raise ValueError(f'{other.path}: SentenceConfig.max_channels: got {found}, expected {channels} as in '
                       f'{sets[0].path}; prepare both with one number')
  return with_channels(job, channels), sets


def mixture(job: JobConfig, sets: Sequence[cache.Prepared]) -> list[Part]:
  """Every built set in the prepared ones, with the sentences of the chosen subjects."""
  chosen = splits.select_over([p.segments for p in sets], job.subjects, 'JobConfig.subjects')
  parts = []
  for i, (prepared, subjects) in enumerate(zip(sets, chosen)):
    rows = np.flatnonzero(np.isin(splits.column_keys(prepared.segments, 'subject'), subjects))
    if isinstance(job.task, SupervisedTask):
      rows = rows[prepared.segments['label'][rows] >= 0]
    if not rows.size:
      raise ValueError(f'{prepared.path}: JobConfig.subjects chooses nobody there, expected some')
    session = prepared.segments['session_index'][rows]
    whole = batches.make_centre(prepared, job.centre, np.unique(session))
    source_r = prepared.segments['source'][rows]
    for name in dict.fromkeys(source_r.tolist()):
      mine = rows[source_r == name]
      centre = _aligned(prepared, name, whole, mine) if job.align else whole
      if job.in_memory:
        source = batches.sentence_arrays(prepared, mine, None, centre)
        del source['segment']
      else:
        source = batches.SentenceSource(prepared, mine, centre)
      parts.append(Part(name, i, mine, source, centre))
  return parts


def _aligned(prepared: cache.Prepared, name: str, centre: batches.Centre, rows: np.ndarray) -> batches.Centre:
  """The centre of a built set's sessions in a frame of their own, or as it is."""
  if (prepared.segments['label'][rows] >= 0).any():
    centre = batches.aligned(prepared, centre, rows, ())
  if centre.frame is None:
    logging.warning('train: %s is not aligned: its montages do not turn, differ, or have no labels', name)
  else:
    element_s = centre.frame.model.element_s
    logging.info('train: %s: %d of %d wearers turned; of new ones: confidence %s', name,
                 (element_s != centre.frame.model.usual).sum(), len(element_s),
                 frames.wanted(float(centre.frame.model.least_confidence)))
  return centre


def shares(job: JobConfig, parts: Sequence[Part]) -> list[float] | None:
  """Share of each part in a batch; None is by size."""
  if job.temperature == 1 and (not job.weights or len(parts) == 1):
    return None
  size = np.array([len(p.source['index']) if isinstance(p.source, dict) else len(p.source) for p in parts])
  share = size ** (1 / job.temperature)
  if job.weights:
    place = np.array([part.prepared for part in parts])
    if len(job.weights) != place[-1] + 1:
      raise ValueError(f'JobConfig.weights: got {len(job.weights)}, expected one for each of the '
                       f'{place[-1] + 1} prepared sets')
    share = share / np.bincount(place, share)[place] * np.array(job.weights)[place]
  return (share / share.sum()).tolist()


def _bucketed(job: JobConfig, parts: Sequence[Part], feed: loader.Loader) -> buckets.Buckets:
  """Batches cut to their length, and how full they are, logged."""
  if not job.in_memory:
    raise ValueError('JobConfig.buckets: the length of every sentence is needed, expected in_memory=True')
  channels = job.prepare.sentence.max_channels
  slots_r = np.concatenate([buckets.slots_used(part.source['words'].valid_n, channels) for part in parts])
  found = buckets.Buckets(feed, slots_r, job.buckets, channels, job.seed)
  logging.info('train: %.1f %% of slots hold words, %.1f %% cut to %s slots', *(
      100 * share for share in found.fill(buckets.STRETCH)), list(job.buckets))
  return found


def _with_classes(job: JobConfig, sets: Sequence[cache.Prepared]) -> JobConfig:
  """A supervised task has as many classes as its prepared sets have labels, which must be the same."""
  if not isinstance(job.task, SupervisedTask):
    return job
  for other in sets[1:]:
    if other.labels != sets[0].labels:
      raise ValueError(f'{other.path}: labels {other.labels}, expected {sets[0].labels} as in {sets[0].path}')
  model = dataclasses.replace(job.task.model, classes=len(sets[0].labels))
  return dataclasses.replace(job, task=dataclasses.replace(job.task, model=model))


def _check_grid(job: JobConfig) -> None:
  """A model that takes another grid than the sentences' would mix up slots and channels in silence."""
  model, sentence, word = job.task.model, job.prepare.sentence, job.prepare.word
  expected = {'max_channels': sentence.max_channels, 'max_slots': sentence.max_slots,
              'slot_samples': word.slot_samples, 'n_bins': word.n_bins}
  for part in (getattr(model, 'encoder', model), model):
    for name, value in expected.items():
      if getattr(part, name, value) != value:
        raise ValueError(f'JobConfig.task: {type(part).__name__}.{name}: got {getattr(part, name)}, '
                         f'expected {value} as in JobConfig.prepare')


def _with_tokeniser(job: JobConfig, init: str) -> tuple[JobConfig, Any]:
  """The masked task predicts the codes of a trained tokeniser: its model, parameters and codebook."""
  if not isinstance(job.task, MaskedTask):
    if init:
      raise ValueError(f'train: --init={init} is for the masked task alone')
    return job, None
  if not init:
    raise ValueError('train: the masked task needs the tokeniser of step 1, expected --init=WORKDIR')
  stored_job = checkpoints.load_meta(init)['job']
  stored = stored_job['task']
  if stored['kind'] != 'VQTask':
    raise ValueError(f'{init}: holds a {stored["kind"]}, expected the tokeniser of a VQTask')
  found = cache.difference(stored_job['prepare'], config_lib.as_plain(job.prepare))
  if found:
    raise ValueError(f'{init}: a tokeniser of other words: prepare.{found}')
  vq = config_lib.section(VQConfig, stored['model'], f'{init}: task.model')
  reconstructs = sum(vq.sizes.values()) if job.task.reconstruction_weight else 0
  model = dataclasses.replace(job.task.model, codes=vq.quantiser.codes, reconstructs=reconstructs)
  task = dataclasses.replace(job.task, vq=vq, model=model)
  extra = {'vq_params': checkpoints.load_params(init),
           'codebook': quantiser.as_codebook(checkpoints.load_extra(init)['codebook'])}
  return dataclasses.replace(job, task=task), extra


def _meta(job: JobConfig, sets: Sequence[cache.Prepared], parts: Sequence[Part], extra) -> dict[str, Any]:
  """What a checkpoint must say of itself, as JSON."""
  labels = sets[0].labels
  meta = {'job': config_lib.as_plain(job), 'labels': list(labels),
          'prepared': [{k: p.meta[k] for k in ('fingerprint', 'datasets', 'devices')} for p in sets],
          'split': {part.name: np.unique(sets[part.prepared].segments['subject'][part.rows]).tolist()
                    for part in parts},
          'golden_tolerance': golden.tolerance(job.task)}
  if job.centre == 'training':
    meta['mean_of'] = {part.name: _training_mean(sets[part.prepared], part) for part in parts}
  if extra is not None:
    meta['tokeniser'] = checkpoints.params_hash(extra)
  return meta


def _training_mean(prepared: cache.Prepared, part: Part) -> list[list[float]]:
  mean_cf = part.centre.place_mean_cf
  if mean_cf is None:
    mean_cf = part.centre.mean_scf[prepared.segments['session_index'][part.rows[0]]]
  return [[round(float(x), 6) for x in row] for row in mean_cf]


def _check_frames(init: str, carried: dict[str, Any]) -> None:
  """Codes know the place of a word: a tokeniser of another frame would see every electrode moved."""
  if init and checkpoints.params_hash(checkpoints.load_extra(init, item='alignment')) != (
      checkpoints.params_hash(carried)):
    raise ValueError(f'{init}: a tokeniser of another frame, expected one that was trained with the same '
                     'JobConfig.align, sets and subjects')


def stored_frames(meta: dict[str, Any], alignment: dict[str, Any], where: str) -> dict[str, frames.Frame]:
  """{built set: frame} of a checkpoint, from its meta and its item 'alignment'."""
  found = frames.stored(meta['alignment'] if 'alignment' in meta else None, alignment, where)
  return {name: frame._replace(centred=meta['job']['centre'] == 'session') for name, frame in found.items()}


def _check_workdir(workdir: str, meta: dict[str, Any]) -> None:
  """A work directory belongs to one job; only its length may change between runs.

  A setting that is newer than the checkpoint had what is now its default.
  """
  stored = checkpoints.latest_meta(workdir)
  if stored is None:
    return
  made_of = ('prepared', 'tokeniser')
  whole = lambda job: config_lib.as_plain(config_lib.section(JobConfig, job, workdir))
  old, new = (whole(m['job']) | {'loop': None} | {k: m[k] for k in made_of if k in m} for m in (stored, meta))
  found = cache.difference(old, new)
  if found:
    raise ValueError(f'{workdir}: holds the checkpoint of another job: {found}; take another --workdir')


def _record_ids(sets, index_b) -> list[str]:
  """Records of sentence rows; with several sets a row alone does not tell the set, so all are named."""
  names = []
  for index in index_b:
    found = []
    for prepared in sets:
      if index < len(prepared.sentences):
        segment = int(prepared.sentences[int(index)]['segment'])
        found.append(f"{prepared.segments['dataset'][segment]}/{prepared.segments['record_id'][segment]}")
    names.append(' or '.join(found))
  return names
