"""Networks as methods of the harness: from scratch, fine-tuned, or frozen with a closed-form head.

Every fold starts from the same stored parameters (hash-checked) or from fresh ones, with a fresh head.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from aemg_jax.data import batches as batches_lib
from aemg_jax.data import frames, loader, splits, wears
from aemg_jax.evaluation import closed_form, sentence_windows
from aemg_jax.evaluation.baselines import pool_windows
from aemg_jax.evaluation.results import Predictions, concatenate
from aemg_jax.evaluation.self_training import SelfTraining
from aemg_jax.evaluation.window_table import WindowTable
from aemg_jax.models import ClassifierConfig, WindowCNNConfig, build
from aemg_jax.models.heads import Embedder
from aemg_jax.sentences.cache import Prepared
from aemg_jax.signal import features as features_lib
from aemg_jax.training import loop, parallel, state
from aemg_jax.training.augment import AugmentConfig, augment
from aemg_jax.training.checkpoints import params_hash
from aemg_jax.training.optim import OptimConfig, make_tx
from aemg_jax.training.tasks.supervised import SupervisedTask

STARTS = ('scratch', 'checkpoint')
TUNES = ('all', 'head', *closed_form.HEADS, *(f'all_then_{name}' for name in closed_form.HEADS))
READS = {'encoder': None, 'words': closed_form.flat_words, 'none': closed_form.no_vector}
_FORWARD_ROWS = 1024


class Pretrained(NamedTuple):
  """A checkpoint to start from.

  Attributes:
    encoder, hash: the subtree of parameters that transfers, and its hash.
    frame: that its training wearers of this set were turned to, if any: what the encoder reads.
  """
  encoder: Any
  hash: str
  frame: frames.Frame | None = None


class TransferData(NamedTuple):
  """What a network needs of a run.

  Attributes:
    views: prepared sets by scale ('session', 'fixed').
    pretrained: a checkpoint.
    table: of the set's windows, for networks that put classical features beside the encoder's.
  """
  views: dict[str, Prepared]
  pretrained: Pretrained | None
  table: WindowTable | None = None

  @property
  def scale_of_everybody(self) -> bool:
    """Whether a 'fixed' scale is no constant of the config but was probed from the set, tested people included."""
    settings = [view.config.rectify for view in self.views.values()]
    return any(r.scale == 'fixed' and not r.fixed_scale for r in settings)


@dataclasses.dataclass(frozen=True)
class TransferMethod:
  """A network in the harness.

  Attributes:
    model: a Transformer over words or the window CNN; `classes` is set from the prepared set.
    view: 'fixed' scale (no statistic of a person) or 'session' scale.
    centre: features minus the 'training' subjects' mean or each 'session's own (transductive).
    align: turn each wearer's electrode ring to the training wearers' (unlabelled target data), or to the frame of
      the checkpoint that it starts from.
    start: 'scratch' or 'checkpoint'.
    tune: 'all' parameters, only the 'head', a closed-form head on the frozen encoder ('lda', 'ridge',
      'prototypes'), or on the encoder after all parameters were trained ('all_then_lda', ...).
    optim, steps, batch_size: of the fold's training.
    augment, smoothing, slot_share: see the supervised task.
    windows: train on single windows, half a slot apart, in place of sentences.
    others_wear: train on every recording as if worn as each of the training people wears it; inductive.
    whole_sentence: score a repetition from whole sentences; else from its windows.
    shrinkage: of the LDA and the ridge, see `closed_form`.
    features: names of `signal.features.FEATURES` beside the encoder's vector; closed-form heads only.
    reads: what a closed-form head has of the words: the 'encoder's vector, the 'words' themselves or 'none'.
    copies: augmented copies of each training window, for a closed-form head without features.
    self_training: unlabelled windows that train a closed-form head too.
    teachers: networks of the same fold that help to label the tested person's windows for that.
  """
  model: ClassifierConfig | WindowCNNConfig = ClassifierConfig()
  view: str = 'fixed'
  centre: str = 'training'
  align: bool = False
  start: str = 'scratch'
  tune: str = 'all'
  optim: OptimConfig = OptimConfig(learning_rate=2e-3, weight_decay=0.05, clip_norm=1.0)
  steps: int = 400
  batch_size: int = 64
  augment: AugmentConfig = AugmentConfig()
  smoothing: float = 0.1
  slot_share: float = 0.0
  windows: bool = False
  others_wear: bool = False
  whole_sentence: bool = True
  shrinkage: float = 0.01
  features: tuple[str, ...] = ()
  reads: str = 'encoder'
  copies: int = 0
  self_training: SelfTraining = SelfTraining()
  teachers: tuple['TransferMethod', ...] = ()

  def __post_init__(self):
    for name, known in (('start', STARTS), ('tune', TUNES), ('centre', batches_lib.CENTRES), ('reads', READS)):
      if getattr(self, name) not in known:
        raise ValueError(f'TransferMethod.{name}: got {getattr(self, name)!r}, expected one of {tuple(known)}')

    network = isinstance(self.model, ClassifierConfig)
    if not network and (self.start == 'checkpoint' or self.tune != 'all'):
      raise ValueError(f'TransferMethod.model: got {type(self.model).__name__}, expected a '
                       'ClassifierConfig to start from a checkpoint or to freeze an encoder')
    for name in self.features:
      features_lib.feature(name)
    if self.features and not self.closed_head:
      raise ValueError(f'TransferMethod.features: got {self.features!r} with tune {self.tune!r}, '
                       'expected () without a closed-form head')
    if self.reads != 'encoder' and self.tune not in closed_form.HEADS:
      raise ValueError(f'TransferMethod.reads: got {self.reads!r} with tune {self.tune!r}, expected one of '
                       f'{tuple(closed_form.HEADS)}: no encoder is trained')
    if self.self_training.rounds and not self.closed_head:
      raise ValueError(f'TransferMethod.self_training: got tune {self.tune!r}, expected a closed-form head')
    if self.teachers and not self.self_training.transductive:
      raise ValueError("TransferMethod.teachers: expected self_training on the tested person's own windows")
    if any((teacher.start, teacher.view) != ('scratch', self.view) for teacher in self.teachers):
      raise ValueError(f"TransferMethod.teachers: expected start 'scratch' and view {self.view!r}")
    if self.copies and (not self.closed_head or self.features):
      raise ValueError(f'TransferMethod.copies: got {self.copies!r} with tune {self.tune!r} and features '
                       f'{self.features!r}, expected a closed-form head and no features, which nothing augments')
    if self.others_wear and (self.align or self.centre == 'session'):
      raise ValueError(f'TransferMethod.others_wear: got align {self.align} and centre {self.centre!r}, expected '
                       "False and 'training' or 'none'")
    if not 0 <= self.shrinkage < 1:
      raise ValueError(f'TransferMethod.shrinkage: got {self.shrinkage!r}, expected within [0, 1)')

  @property
  def closed_head(self) -> str:
    """Name of the closed-form head, '' where the head is trained."""
    return self.tune.removeprefix('all_then_') if self.tune not in ('all', 'head') else ''

  @property
  def transductive(self) -> bool:
    """Uses unlabelled data of the tested session."""
    return self.centre == 'session' or self.view == 'session' or self.self_training.transductive

  @property
  def assumes(self) -> str:
    """What is taken to be known of the tested session's labels, for tables."""
    return 'equal counts' if self.self_training.transductive and self.self_training.balanced else ''

  def predict(self, data: TransferData, fold: splits.Fold, seed: int) -> Predictions:
    """Trains for the fold and predicts its test rows."""
    return self.predict_lengths(data, fold, seed, ())[0]

  def predict_lengths(self, data: TransferData, fold: splits.Fold, seed: int,
                      short_samples: Sequence[int]) -> tuple[Predictions, ...]:
    """`predict`, then the same model's predictions from windows of fewer samples than a slot has."""
    if short_samples and isinstance(self.model, WindowCNNConfig):
      raise ValueError('DelayConfig.short: got a WindowCNNConfig, which reads whole slots alone, expected '
                       'a ClassifierConfig or a baseline')
    prepared = data.views[self.view]
    centre = batches_lib.make_centre(prepared, self.centre, _sessions(prepared, fold))
    frame = data.pretrained.frame if self.start == 'checkpoint' and data.pretrained else None
    target = fold.calibration + fold.test + self._pool(prepared, fold)
    if self.align and frame is not None:
      rows = [row.segment for row in fold.train + target]
      centre = batches_lib.in_frame(prepared, centre, rows, frame)
    elif self.align and fold.train:
      centre = batches_lib.aligned(prepared, centre, [row.segment for row in fold.train],
                                   [row.segment for row in target])
    predict = self.fitted(data, fold, centre, seed)
    parts = [(predict, fold.test)]
    if self.self_training.transductive:
      taught = [teacher.predict(data, fold, seed) for teacher in self.teachers]
      parts = predict.each_adapted(fold.test, centre, self.self_training.own, taught)
    return tuple(concatenate([each(rows, centre, length) for each, rows in parts]) for length in (0, *short_samples))

  def fitted(self, data: TransferData, fold: splits.Fold, centre: batches_lib.Centre,
             seed: int) -> Callable[..., Predictions]:
    """Trains for the fold; the result predicts rows under any centre of their sessions.

    It takes the rows, the centre and, for windows of fewer samples than a slot has, their number. With a
    closed-form head it is a `closed_form.FittedHead`, not yet adapted to the tested people.
    """
    method = dataclasses.replace(
        self, model=dataclasses.replace(self.model, classes=len(data.views[self.view].labels)))
    prepared = data.views[self.view]
    if not self.closed_head:
      return functools.partial(method._predict_rows, prepared, method._train(data, fold, centre, seed))
    vectors, copies = method.vectors(data, fold, centre, seed)
    found = closed_form.fit(self.closed_head, self.shrinkage, vectors, fold, centre, copies)
    pool = self._pool(prepared, fold)
    return found.adapted(pool, centre, self.self_training) if pool else found

  def vectors(self, data: TransferData, fold: splits.Fold | None, centre: batches_lib.Centre,
              seed: int) -> tuple[closed_form.WindowVectors, list[closed_form.WindowVectors]]:
    """What a closed-form head reads, and the same of augmented copies; only trained encoders ask for a fold."""
    prepared, embed = data.views[self.view], READS[self.reads]
    if embed is None:
      if self.tune not in closed_form.HEADS:
        encoder = self._train(data, fold, centre, seed)['encoder']
      else:
        encoder = (self._encoder(data) if self.start == 'checkpoint'
                   else _random_encoder(self.model, prepared, seed))
      embed = functools.partial(_apply, Embedder(self.model), {'encoder': encoder})
    vectors = closed_form.WindowVectors(prepared, embed, self.features, data.table)
    copies = [dataclasses.replace(vectors, embed=_Augmented(embed, self.augment, self.model.max_channels, seed, i))
              for i in range(self.copies)]
    return vectors, copies

  def _pool(self, prepared: Prepared, fold: splits.Fold) -> tuple[splits.Row, ...]:
    """Recordings of the people who give unlabelled data, none of them tested."""
    config = self.self_training
    if not config.rounds or not config.subjects:
      return ()
    subjects = splits.select_subjects(prepared.segments, config.subjects, 'SelfTraining.subjects')
    subject_s = splits.column_keys(prepared.segments, 'subject')
    tested = {str(subject_s[row.segment]) for row in fold.calibration + fold.test}
    if tested & set(subjects):
      raise ValueError(f'SelfTraining.subjects: {min(tested & set(subjects))!r} is tested in fold '
                       f'{fold.name!r}, expected people who are not')
    trained = {str(subject_s[row.segment]) for row in fold.train}
    return splits.whole_rows(prepared.segments, [s for s in subjects if s not in trained])

  def _predict_rows(self, prepared: Prepared, params, rows, centre, window_samples: int = 0) -> Predictions:
    forward = _LogProb(self.model)
    segment_w, start_w, log_prob_wk = sentence_windows.map_windows(
        prepared, rows, centre, functools.partial(_apply, forward, params), window_samples=window_samples)
    segment_rows = np.unique([row.segment for row in rows]).astype(np.int32)
    if window_samples or not self.whole_sentence:
      pooled = pool_windows(log_prob_wk, segment_w, segment_rows, 'mean_log_prob')
      return Predictions(segment_w, start_w, log_prob_wk, segment_rows, pooled)
    batch = batches_lib.sentence_arrays(prepared, *_crops(prepared, rows), centre)
    log_prob_bk = _apply(forward, params, batch['words'])
    slots_b = _slots(batch['words'], self.model.max_channels)
    order = np.searchsorted(segment_rows, batch['segment'])
    pooled_rk = np.zeros((len(segment_rows), log_prob_bk.shape[1]))
    np.add.at(pooled_rk, order, log_prob_bk * slots_b[:, None])
    pooled_rk /= np.bincount(order, weights=slots_b, minlength=len(segment_rows))[:, None]
    return Predictions(segment_w, start_w, log_prob_wk, segment_rows, pooled_rk.astype(np.float32))

  def _train(self, data: TransferData, fold: splits.Fold, centre, seed: int):
    """Parameters after the fold's training."""
    sources, weights = self._sources(data.views[self.view], fold, centre)
    task = SupervisedTask(self.model, self.augment, self.smoothing, self.slot_share)
    settings = self.optim
    if self.tune == 'head':
      settings = dataclasses.replace(settings, frozen=('encoder',))
    tx = make_tx(settings, self.steps)
    feed = loader.Loader(sources, self.batch_size, seed, weights)
    begin = state.init_state(task, tx, jax.tree.map(lambda x: x[:1], feed(0)), seed)
    if self.start == 'checkpoint':
      begin = state.start_from(begin, tx, {**begin.params, 'encoder': self._encoder(data)})
    config = loop.LoopConfig(steps=self.steps, log_every=self.steps, checkpoint_every=self.steps,
                             progress=False)
    return jax.device_get(loop.fit(task, tx, feed, begin, config, name=fold.name).state.params)

  def _sources(self, prepared: Prepared, fold: splits.Fold, centre) -> tuple[list[dict[str, Any]], list[float]]:
    """Examples, and their weights: those of other people and the target's own weigh alike."""
    ways = [(centre, 1.0)]
    if self.others_wear and fold.train:
      ways = wears.as_others_wear(prepared, centre, [row.segment for row in fold.train])
    sources, weights = [], []
    for rows, centres in ((fold.train, ways), (fold.calibration, [(centre, 1.0)])):
      for each, share in centres if rows else ():
        if self.windows:
          sources.append(sentence_windows.window_arrays(prepared, rows, each, closed_form.half_slot(prepared)))
        else:
          source = batches_lib.sentence_arrays(prepared, *_crops(prepared, rows), each)
          sources.append({k: v for k, v in source.items() if k != 'segment'})
        weights.append(share)
    return sources, weights

  def _encoder(self, data: TransferData):
    """The checkpoint's encoder, unchanged since it was loaded."""
    if data.pretrained is None:
      raise ValueError("TransferMethod.start: 'checkpoint' without a checkpoint, expected --checkpoint")
    if params_hash(data.pretrained.encoder) != data.pretrained.hash:
      raise ValueError('the checkpoint changed in memory: a fold would not start from its own parameters')
    return jax.tree.map(np.copy, data.pretrained.encoder)


@dataclasses.dataclass(frozen=True)
class _Augmented:
  """Words with leading b, augmented -> [b, d]; each call has keys of its own."""
  embed: Callable[[Any], np.ndarray]
  config: AugmentConfig
  max_channels: int
  seed: int
  copy: int
  calls: Iterator[int] = dataclasses.field(default_factory=itertools.count)

  def __call__(self, words) -> np.ndarray:
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(self.seed), self.copy), next(self.calls))
    changed = augment(words, jax.random.split(key, len(words.valid_n)), self.config, self.max_channels)
    return self.embed(jax.tree.map(np.asarray, changed))


@dataclasses.dataclass(frozen=True)
class _LogProb:
  """(params, words) -> [b, k] log probabilities, for parallel.map_batches."""
  model: ClassifierConfig | WindowCNNConfig

  def __call__(self, params, words):
    return jax.nn.log_softmax(build(self.model).apply({'params': params}, words))


def _apply(forward, params, words) -> np.ndarray:
  return parallel.map_blocks(forward, params, words, _FORWARD_ROWS)


def _random_encoder(model: ClassifierConfig, prepared: Prepared, seed: int):
  words = batches_lib.first_words(prepared)
  params = jax.jit(build(model).init)(jax.random.key(seed), words)['params']
  return jax.device_get(params['encoder'])


def _sessions(prepared: Prepared, fold: splits.Fold) -> np.ndarray:
  """Sessions that may give the training mean: of the source, or the target's labelled ones alone."""
  rows = fold.train or fold.calibration
  return np.unique(prepared.segments['session_index'][[row.segment for row in rows]])


def _crops(prepared: Prepared, rows) -> tuple[list[int], list[tuple[int, int]]]:
  rate_hz = prepared.config.rectify.rate_hz
  return ([row.segment for row in rows],
          [splits.crop_samples(prepared.segments, row, rate_hz) for row in rows])


def _slots(words, max_channels: int) -> np.ndarray:
  """[b] slots that hold a word."""
  b = len(words.valid_n)
  return words.valid_n.reshape(b, -1, max_channels).any(-1).sum(-1).astype(float)
