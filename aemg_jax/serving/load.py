"""A trained model from a checkpoint or an export, local or in a bucket, that has proved itself.

    loaded = aemg_jax.load_pretrained('gs://bucket/run')
    words = loaded.tokeniser(record)
    encoded = loaded.encoder.apply({'params': loaded.params['encoder']}, words)
"""

import dataclasses
import os
import tempfile
from typing import Any, NamedTuple

from absl import logging
from etils import epath
import flax.linen as nn
import jax
import numpy as np

from aemg_jax import config as config_lib
from aemg_jax.data import batches, montage, placement
from aemg_jax.data import frames as frames_lib
from aemg_jax.models import build
from aemg_jax.models.sentence_encoder import SentenceEncoder
from aemg_jax.records import Record
from aemg_jax.sentences import contractions, electrodes, rectify, segments, sentence, session
from aemg_jax.sentences.words import PrepareConfig, Words
from aemg_jax.training import checkpoints, export_files, golden, items
from aemg_jax.training.tasks import MaskedTask, SupervisedTask, VQTask

TASKS = {kind.__name__: kind for kind in (VQTask, MaskedTask, SupervisedTask)}
PROOF = ('job', 'labels', 'prepared', 'split', 'alignment', 'golden_tolerance')
_PARTS = ('params', 'extra', 'golden', 'alignment', 'meta')


class Signal(NamedTuple):
  """signal_tc [T, max_channels] over the session scale, the montage, and the recording's rest."""
  signal_tc: np.ndarray
  channels: sentence.Channels
  rest: contractions.RestStatistics


@dataclasses.dataclass(frozen=True)
class Tokeniser:
  """Recordings to words as in training.

  Attributes:
    prepare: all that decides the words.
    devices: {set: what training knew of its device}: electrodes kept, units, scale.
    centre: kind of mean that is taken away: 'session', 'training' or 'none'.
    mean_of: {set: 'training' mean}, {} for other kinds; by place of the set's frame if it has one.
    frames: {set: the frame that its training wearers were turned to}, {} without alignment.
  """
  prepare: PrepareConfig
  devices: dict[str, Any]
  centre: str
  mean_of: dict[str, Any]
  frames: dict[str, frames_lib.Frame] = dataclasses.field(default_factory=dict)

  def __call__(self, record: Record) -> Words:
    """All sentences of one recording, leading b; statistics of a session are the recording's own.

    `record.dataset` says whose device it is, where the model was trained on several sets. A ring is turned
    as the recording's own words say, if they are sure; the log tells.
    """
    words, channels = self._words(record)
    return batches.centred(words, np.zeros(len(words.valid_n), int), self.centre_of(record, words, channels))

  def place(self, record: Record) -> placement.Placement | None:
    """How the recording's ring is worn and how sure that is; None where nothing is to be turned."""
    return self._placed(record, *self._words(record))

  @property
  def transductive(self) -> bool:
    """Whether the recording's own words decide what is taken away, or how a ring is turned."""
    return self.centre == 'session' or bool(self.frames)

  def centre_of(self, record: Record, words: Words | None, channels: sentence.Channels) -> batches.Centre:
    """What is taken away from words of a recording, and how its ring is turned.

    Args:
      record: says whose device it is.
      words: leading b, all that is known of the wearer; read if `transductive` alone.
      channels: the montage.
    """
    mean_cf, transductive = self._mean(record, words), self.centre == 'session'
    placed = self._placed(record, words, channels)
    if placed is None:
      return batches.Centre(mean_cf[None], transductive)
    worn = self.frames[self.device(record)['source']].worn
    if self.centre == 'training':
      mean_cf = montage.by_electrode(mean_cf, placed.element, worn)
    return batches.Centre(mean_cf[None], transductive, np.array([placed.element], np.int32), worn)

  def _words(self, record: Record) -> tuple[Words, sentence.Channels]:
    signal = self.signal(record, self.prepare.word.min_valid)
    whole = segments.Segment(signal.signal_tc, signal.channels, {})
    words, = session.tokenise_segments([whole], signal.rest, self.prepare)
    return words, signal.channels

  def _placed(self, record: Record, words: Words | None,
              channels: sentence.Channels) -> placement.Placement | None:
    source = self.device(record)['source'] if self.frames else ''
    if source not in self.frames:
      return None
    if self.centre == 'session':  # as the training wearers' words were
      own = batches.Centre(self._mean(record, words)[None], True)
      words = batches.centred(words, np.zeros(len(words.valid_n), int), own)
    worn = montage.Montage(*(tuple(getattr(channels, name).tolist()) for name in montage.Montage._fields))
    placed = frames_lib.place(self.frames[source], words, worn)
    sure = placed is not None and not placed.refused
    logging.log(logging.INFO if sure else logging.WARNING, '%s: %s', record.record_id,
                frames_lib.in_words(self.frames[source], placed))
    return placed

  def signal(self, record: Record, min_samples: int) -> Signal:
    """The recording rectified as in training, on the grid's channels."""
    prepare = self.prepare
    keep_c = electrodes.choose(record.sensors, prepare.sentence.max_channels, prepare.sentence.more_channels)
    rectified = rectify.rectify(record, prepare.rectify, min_samples, keep_c)
    scale = rectify.session_scale([rectified.signal_tc], prepare.rectify, self.device(record)['fixed_scale'])
    signal_tc = session.pad_channels(rectified.signal_tc / scale, prepare)
    return Signal(signal_tc, segments.channels_of(rectified, prepare),
                  session.session_rest([signal_tc], prepare))

  def device(self, record: Record) -> dict[str, Any]:
    """What training knew of the recording's device: of the set that it names, or of the only one."""
    if record.dataset in self.devices:
      return self.devices[record.dataset]
    if len(self.devices) > 1:
      raise ValueError(f'{record.record_id}: dataset: got {record.dataset!r}, expected one of the sets '
                       f'that the model was trained on: {sorted(self.devices)}')
    return next(iter(self.devices.values()))

  def _mean(self, record: Record, words: Words | None) -> np.ndarray:
    if self.centre == 'training':
      return batches.stored_mean(self.mean_of, record.dataset)
    channels = self.prepare.sentence.max_channels
    if self.centre == 'none':
      return np.zeros((channels, self.prepare.word.n_bins + 1), np.float32)
    feature_bnf = np.concatenate([words.spectrum_nf, words.amplitude_n[..., None]], -1)
    feature_kcf = feature_bnf.reshape(-1, channels, feature_bnf.shape[-1]).astype(np.float64)
    valid_kc1 = words.valid_n.reshape(-1, channels, 1)
    return ((feature_kcf * valid_kc1).sum(0) / np.maximum(valid_kc1.sum(0), 1)).astype(np.float32)


class Pretrained(NamedTuple):
  """Attributes:
    model: the Flax module of the whole network.
    params: its parameters, numpy leaves.
    config: everything the checkpoint says of itself, as JSON: job, sets with licences, split, ...
    tokeniser: recordings to words.
    encoder: the sentence encoder alone; its parameters are params['encoder'].
    extra: other state, such as a codebook.
  """
  model: nn.Module
  params: Any
  config: dict[str, Any]
  tokeniser: Tokeniser
  encoder: SentenceEncoder | None
  extra: Any


def load_pretrained(path: str | os.PathLike) -> Pretrained:
  """Loads a model, strictly, and runs its golden inputs.

  Args:
    path: a work directory of `aemg train`, one checkpoint in it, or a folder of `aemg export`; local,
      or anything etils knows (gs://, s3://, az://, hf://).

  Raises:
    ValueError: nothing there, damaged, a weight without a place or a place without a weight, a
      checkpoint that does not say where it comes from, or golden outputs that are not reproduced.
  """
  with tempfile.TemporaryDirectory() as folder:
    local = _local(path, folder)
    if export_files.is_export(local):
      config, params, extra, proof, alignment = export_files.read(local)
    else:
      local = checkpoints.step_folder(local)
      config, params = checkpoints.load_meta(local), checkpoints.load_params(local)
      extra, proof, alignment = (checkpoints.load_extra(local, item=name)
                                 for name in ('extra', 'golden', 'alignment'))
  missing = [name for name in PROOF if name not in config] + ['golden'] * (not proof)
  if missing:
    raise ValueError(f'{path}: a checkpoint without {missing}, expected one that proves itself (written by '
                     'aemg train of this version)')
  task = task_of(config, str(path))
  some = Words(**proof['words'])
  module = build(task.model)
  wanted = jax.eval_shape(lambda: task.init(jax.random.key(0), {'words': some}))[0]
  items.compare(f'{path}: params', items.shapes(params), items.shapes(wanted))
  apart = golden.check(str(path), proof['outputs'], golden.outputs(task, params, some),
                       config['golden_tolerance'])
  logging.info('%s: golden outputs reproduced to %.1g', path, apart)
  encoder = SentenceEncoder(task.model.encoder) if 'encoder' in params else None
  return Pretrained(module, params, config, tokeniser_of(config, alignment, str(path)), encoder, extra)


def task_of(config: dict[str, Any], where: str) -> Any:
  """The task that a checkpoint was trained on."""
  stored = config['job']['task']
  if stored['kind'] not in TASKS:
    raise ValueError(f'{where}: task: got {stored["kind"]!r}, expected one of {sorted(TASKS)}')
  return config_lib.section(TASKS[stored['kind']], {k: v for k, v in stored.items() if k != 'kind'},
                            f'{where}: task')


def tokeniser_of(config: dict[str, Any], alignment: dict[str, Any], where: str) -> Tokeniser:
  """The tokeniser settings of a checkpoint; `alignment` is its item of that name, {} for none."""
  return Tokeniser(
      config_lib.section(PrepareConfig, config['job']['prepare'], f'{where}: prepare'),
      {d['source']: d for prepared in config['prepared'] for d in prepared['devices']},
      config['job']['centre'], config['mean_of'] if 'mean_of' in config else {},
      frames_lib.stored(config['alignment'] if 'alignment' in config else None, alignment, where))


def _local(path: str | os.PathLike, folder: str) -> str:
  """The path itself if it is local; else a copy of what is needed of it."""
  text = os.fspath(path)
  if '://' not in text:
    return text
  remote = epath.Path(text)
  if (remote / export_files.CONFIG).exists():
    names = [p.name for p in remote.iterdir()]
    for name in names:
      (remote / name).copy(epath.Path(folder) / name)
    return folder
  parent = remote / checkpoints.FOLDER if (remote / checkpoints.FOLDER).exists() else remote
  if not (parent / 'params').exists():
    steps = [int(p.name) for p in parent.iterdir() if p.name.isdigit()] if parent.exists() else []
    if not steps:
      raise ValueError(f'{path}: no checkpoint there, expected a work directory with '
                       f'{checkpoints.FOLDER}/STEP')
    parent = parent / str(max(steps))
  for part in _PARTS:
    if (parent / part).exists():
      _copy(parent / part, epath.Path(folder) / part)
  return folder


def _copy(source: epath.Path, target: epath.Path) -> None:
  if not source.is_dir():
    source.copy(target)
    return
  target.mkdir(parents=True, exist_ok=True)
  for inside in source.iterdir():
    _copy(inside, target / inside.name)
