"""Methods of the fatigue evaluation: networks, SVM and random forest, one-number rules, majority.

Each trains on a fold's training subjects alone. Settings are fixed beforehand: none is chosen on a
tested subject.
"""

import dataclasses
import hashlib
import json
import pathlib
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy import special
from sklearn import ensemble, isotonic, svm

from aemg_jax import config as config_lib
from aemg_jax.data import loader, splits
from aemg_jax.evaluation import fatigue_embedding
from aemg_jax.evaluation import fatigue_saliency as saliency
from aemg_jax.evaluation import metrics
from aemg_jax.models import FatigueFormerConfig, FatigueLSTMConfig, build
from aemg_jax.models.fatigue_former import FeatureBatch
from aemg_jax.sequences import sequences as sequences_lib
from aemg_jax.signal.fatigue_features import FEATURE_NAMES
from aemg_jax.training import loop, parallel, state
from aemg_jax.training.optim import OptimConfig, make_tx
from aemg_jax.training.tasks.fatigue import BORG_CENTRE, BORG_SCALE, FatigueTask

MILD_MOST = 3.0  # mild fatigue is Borg 0 against 1 to 3
COLUMNS = ('mdf', 'elapsed_s', 'repetition')
CLASSICAL = ('svm', 'random_forest')


class Predictions(NamedTuple):
  """Of the test rows of a fold, or of all folds.

  Attributes:
    segment_rows: [B] int rows of the table of sequences.
    class_b: [B] int guess of CLASS_NAMES.
    above_bj: [B, 3] score of Borg > 0 (trained for mild fatigue where the method can), > 2, > 5; at
      least 0.5 where the guess is yes.
    value_b: [B] predicted Borg.
  """
  segment_rows: np.ndarray
  class_b: np.ndarray
  above_bj: np.ndarray
  value_b: np.ndarray


class FatigueData(NamedTuple):
  """What methods learn from.

  Attributes:
    sequences: of all subjects.
    split_dir: where feature splits are kept; '' keeps none.
    trained: parameters trained so far.
    embedding_bwe: [B, W, E] of a frozen encoder, see `fatigue_embedding`; or None.
  """
  sequences: sequences_lib.Sequences
  split_dir: str
  trained: dict[Any, Any]
  embedding_bwe: np.ndarray | None = None


def training_rows(data: FatigueData, fold: splits.Fold) -> np.ndarray:
  """Rows that train; ValueError where they hold one class only."""
  rows = np.array([row.segment for row in fold.train])
  found = np.unique(data.sequences.segments['label'][rows])
  if len(found) < 2:
    names = [sequences_lib.CLASS_NAMES[k] for k in found]
    raise ValueError(f'fold {fold.name!r}: training sequences hold the classes {names} only, '
                     'expected at least two')
  return rows


def test_rows(fold: splits.Fold) -> np.ndarray:
  """Rows that are tested."""
  return np.array([row.segment for row in fold.test])


@dataclasses.dataclass(frozen=True)
class NetworkMethod:
  """A network trained from scratch for every fold.

  Attributes:
    task: model and losses.
    split: features by the saliency of a probe; else every encoder sees all.
    probe: the probe's task; trained as the network is.
    rule: of the split.
    optim, steps, batch_size: of every training.
  """
  task: FatigueTask = FatigueTask()
  split: bool = True
  probe: FatigueTask = FatigueTask(FatigueFormerConfig(branches='temporal'))
  rule: saliency.SplitConfig = saliency.SplitConfig()
  optim: OptimConfig = OptimConfig(learning_rate=3e-4, weight_decay=0.01, clip_norm=1.0)
  steps: int = 380
  batch_size: int = 64

  @property
  def has_fusion(self) -> bool:
    """Two encoders that attend to each other."""
    return isinstance(self.task.model, FatigueFormerConfig) and self.task.model.branches == 'both'

  def predict(self, data: FatigueData, fold: splits.Fold, seed: int) -> Predictions:
    """Trains for the fold and predicts its test rows."""
    params, scaler, split = self.train(data, fold, seed)
    rows = test_rows(fold)
    return self.score(params, self.batch(data, fold, rows, scaler, split), rows)

  def batch(self, data: FatigueData, fold: splits.Fold, rows: np.ndarray,
            scaler: sequences_lib.Scaler, split: saliency.FeatureSplit) -> dict[str, Any]:
    """Rows as the fold's model takes them."""
    made = make_batch(data.sequences, rows, scaler, split)
    if data.embedding_bwe is None:
      return made
    whole_bwe = fatigue_embedding.compressed(
        data.embedding_bwe, data.sequences.valid_bwc.any(axis=2), training_rows(data, fold))
    return {**made, 'features': made['features']._replace(embedding_bwe=whole_bwe[rows])}

  def train(self, data: FatigueData, fold: splits.Fold, seed: int, workdir: str | None = None):
    """(parameters, Scaler, FeatureSplit) from the fold's training rows; saved if there is a workdir."""
    rows = training_rows(data, fold)
    scaler = sequences_lib.fit_scaler(data.sequences, rows)
    split = self.find_split(data, fold, seed) if self.split else saliency.all_features()
    key = (self.task, self.split, self.optim, self.steps, self.batch_size, fold.name, seed)
    if key not in data.trained:
      source = self.batch(data, fold, rows, scaler, split)
      tx = make_tx(self.optim, self.steps)
      feed = loader.Loader([source], self.batch_size, seed)
      begin = state.init_state(self.task, tx, jax.tree.map(lambda x: x[:1], feed(0)), seed)
      config = loop.LoopConfig(steps=self.steps, log_every=self.steps, checkpoint_every=self.steps,
                               progress=False)
      meta = {'split': saliency.as_json(split), 'mean': scaler.mean_f.tolist(),
              'sd': scaler.sd_f.tolist(), 'features': list(FEATURE_NAMES)}
      fit = loop.fit(self.task, tx, feed, begin, config, workdir=workdir, meta=meta, name=fold.name)
      data.trained[key] = jax.device_get(fit.state.params)
    return data.trained[key], scaler, split

  def find_split(self, data: FatigueData, fold: splits.Fold, seed: int) -> saliency.FeatureSplit:
    """The fold's split, from its file if there is one; embeddings have no part in it."""
    probe = dataclasses.replace(self, task=self.probe, split=False)
    mark = hashlib.sha256(json.dumps(config_lib.as_plain(probe)).encode()).hexdigest()[:10]
    path = pathlib.Path(data.split_dir) / f'{fold.name}-seed{seed}-{mark}.json' if data.split_dir else None
    if path is not None and path.exists():
      return saliency.from_json(json.loads(path.read_text(encoding='utf-8')))
    params, scaler, every = probe.train(data._replace(embedding_bwe=None), fold, seed)
    batch = make_batch(data.sequences, training_rows(data, fold), scaler, every)
    split = saliency.find_split(self.probe, params, batch, seed, self.rule)
    if path is not None:
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_text(json.dumps(saliency.as_json(split), indent=1), encoding='utf-8')
    return split

  def score(self, params, batch, rows: np.ndarray) -> Predictions:
    """Predictions of the fused heads."""
    heads = parallel.map_blocks(_Heads(self.task.model), params, batch['features'], saliency.BLOCK_ROWS)
    return Predictions(rows, heads.class_bk.argmax(axis=1), special.expit(heads.ordinal_bj),
                       heads.value_b * BORG_SCALE + BORG_CENTRE)


@dataclasses.dataclass(frozen=True)
class _Heads:
  """(params, FeatureBatch) -> fused Heads, for parallel.map_blocks."""
  model: FatigueFormerConfig | FatigueLSTMConfig

  def __call__(self, params, features):
    return build(self.model).apply({'params': params}, features)['fused']


def make_batch(sequences: sequences_lib.Sequences, rows: np.ndarray, scaler: sequences_lib.Scaler,
               split: saliency.FeatureSplit) -> dict[str, Any]:
  """Rows as FatigueTask takes them."""
  chosen = sequences._replace(**{name: getattr(sequences, name)[rows]
                                 for name in sequences._fields if name != 'segments'})
  repeat = lambda mask_f: np.repeat(mask_f[None], len(rows), axis=0)
  features = FeatureBatch(sequences_lib.standardise(chosen, scaler), chosen.valid_bwc,
                          repeat(split.temporal_f), repeat(split.static_f))
  return {'features': features, 'label': sequences.segments['label'][rows].astype(np.int32),
          'borg': chosen.borg_b, 'weight': np.ones(len(rows), np.float32)}


@dataclasses.dataclass(frozen=True)
class ClassicalMethod:
  """SVM (RBF, C 1) or random forest on means and deviations over the windows, channels side by side."""
  model: str
  trees: int = 100

  def __post_init__(self):
    if self.model not in CLASSICAL:
      raise ValueError(f'ClassicalMethod.model: got {self.model!r}, expected one of {CLASSICAL}')

  def predict(self, data: FatigueData, fold: splits.Fold, seed: int) -> Predictions:
    """Fits a classifier per question and a regressor on the training rows."""
    train, test = training_rows(data, fold), test_rows(fold)
    z_bwcf = sequences_lib.standardise(
        data.sequences, sequences_lib.fit_scaler(data.sequences, train))
    x_bf = np.concatenate([z_bwcf.mean(axis=1), z_bwcf.std(axis=1)], axis=1).reshape(len(z_bwcf), -1)
    borg_b, label_b = data.sequences.borg_b, data.sequences.segments['label']
    guess_b = self._classifier(seed).fit(x_bf[train], label_b[train]).predict(x_bf[test])
    above_bj = np.stack([
        self._above(x_bf, borg_b > limit, rows, test, seed)
        for limit, rows in _questions(borg_b, train)], axis=1)
    regressor = svm.SVR() if self.model == 'svm' else ensemble.RandomForestRegressor(
        self.trees, min_samples_leaf=3, random_state=seed)
    value_b = regressor.fit(x_bf[train], borg_b[train]).predict(x_bf[test])
    return Predictions(test, guess_b, above_bj, value_b)

  def _classifier(self, seed: int):
    if self.model == 'svm':
      return svm.SVC(class_weight='balanced')
    return ensemble.RandomForestClassifier(self.trees, min_samples_leaf=3, class_weight='balanced',
                                           random_state=seed)

  def _above(self, x_bf, yes_b, rows, test, seed):
    if len(np.unique(yes_b[rows])) < 2:
      return np.full(len(test), float(yes_b[rows].all()))
    fitted = self._classifier(seed).fit(x_bf[rows], yes_b[rows])
    if self.model == 'svm':
      return special.expit(fitted.decision_function(x_bf[test]))
    return fitted.predict_proba(x_bf[test])[:, list(fitted.classes_).index(True)]


@dataclasses.dataclass(frozen=True)
class ThresholdMethod:
  """One number against thresholds of best macro-F1 on training subjects; Borg by isotonic regression.

  The number: 'mdf' (ln of median frequency over the baseline, mean over channels and windows),
  'elapsed_s' or 'repetition', which know no EMG: controls for what time alone tells.
  """
  column: str

  def __post_init__(self):
    if self.column not in COLUMNS:
      raise ValueError(f'ThresholdMethod.column: got {self.column!r}, expected one of {COLUMNS}')

  def predict(self, data: FatigueData, fold: splits.Fold, seed: int) -> Predictions:
    """Chooses thresholds on the training rows."""
    train, test = training_rows(data, fold), test_rows(fold)
    borg_b = data.sequences.borg_b
    x_b = column(data.sequences, self.column)
    if np.corrcoef(x_b[train], borg_b[train])[0, 1] < 0:
      x_b = -x_b
    spread = max(float(x_b[train].std()), 1e-9)
    cuts = [best_threshold(x_b[rows], borg_b[rows] > limit) for limit, rows in _questions(borg_b, train)]
    above_bj = special.expit((x_b[test][:, None] - np.array(cuts)[None]) / spread)
    guess_b = (above_bj[:, 1] >= 0.5).astype(int) + ((above_bj[:, 1] >= 0.5) & (above_bj[:, 2] >= 0.5))
    fit = isotonic.IsotonicRegression(out_of_bounds='clip').fit(x_b[train], borg_b[train])
    return Predictions(test, guess_b, above_bj, fit.predict(x_b[test]))


@dataclasses.dataclass(frozen=True)
class MajorityMethod:
  """The commonest answer of the training rows, and their median Borg."""

  def predict(self, data: FatigueData, fold: splits.Fold, seed: int) -> Predictions:
    """The same for every test row."""
    train, test = training_rows(data, fold), test_rows(fold)
    borg_b, n = data.sequences.borg_b, len(test)
    commonest = np.bincount(data.sequences.segments['label'][train]).argmax()
    above = [float((borg_b[rows] > limit).mean() >= 0.5) for limit, rows in _questions(borg_b, train)]
    return Predictions(test, np.full(n, commonest), np.tile(above, (n, 1)),
                       np.full(n, np.median(borg_b[train])))


def column(sequences: sequences_lib.Sequences, name: str) -> np.ndarray:
  """[B] the one number of a ThresholdMethod."""
  if name == 'elapsed_s':
    return sequences.elapsed_s_b
  if name == 'repetition':
    return sequences.segments['repetition'].astype(float)
  return feature_column(sequences, name)


def feature_column(sequences: sequences_lib.Sequences, name: str) -> np.ndarray:
  """[B] ln of a feature over its baseline, mean over valid windows and channels."""
  value_bwc = sequences.feature_bwcf[..., FEATURE_NAMES.index(name)]
  return value_bwc.sum(axis=(1, 2)) / np.maximum(sequences.valid_bwc.sum(axis=(1, 2)), 1)


def best_threshold(x_b: np.ndarray, yes_b: np.ndarray) -> float:
  """Of the midpoints between neighbours, that whose answer x >= t has the best macro-F1."""
  known = np.unique(x_b)
  cuts = (known[1:] + known[:-1]) / 2 if len(known) > 1 else known
  score = [metrics.macro_f1(metrics.confusion(yes_b.astype(int), (x_b >= t).astype(int), 2)) for t in cuts]
  return float(cuts[int(np.argmax(score))])


def _questions(borg_b: np.ndarray, train: np.ndarray) -> tuple[tuple[float, np.ndarray], ...]:
  """(limit, training rows) of Borg > 0 (mild: among 0 to 3), > 2 and > 5."""
  return ((0.0, train[borg_b[train] <= MILD_MOST]), (2.0, train), (5.0, train))
