"""Methods that are compared on windows of motion: the networks, ridge, and controls that see no motion.

Each trains on a fold's training windows alone; no setting is chosen on tested windows.
"""

import dataclasses
import hashlib
import json
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy import special
from sklearn import isotonic, linear_model

from aemg_jax import config as config_lib
from aemg_jax.data import loader, splits
from aemg_jax.sequences import motion
from aemg_jax.training import loop, parallel, state
from aemg_jax.training.optim import OptimConfig, make_tx
from aemg_jax.training.tasks.fatigue import BORG_CENTRE, BORG_SCALE
from aemg_jax.training.tasks.motion import MotionTask

BLOCK_ROWS = 16


class Predictions(NamedTuple):
  """Of test windows: segment_rows [B] int, score_b [B] share that says fatigued, value_b [B] Borg."""
  segment_rows: np.ndarray
  score_b: np.ndarray
  value_b: np.ndarray


class Trained(NamedTuple):
  """A network: parameters, extra (running moments, wavelets), and the scaler of its input."""
  params: Any
  extra: Any
  scaler: motion.Scaler


def training_rows(windows: motion.Windows, fold: splits.Fold) -> np.ndarray:
  """Rows that train; ValueError where they hold one class only."""
  rows = np.array([row.segment for row in fold.train])
  if len(np.unique(windows.segments['label'][rows])) < 2:
    raise ValueError(f'fold {fold.name!r}: training windows hold one class only, expected both')
  return rows


def test_rows(fold: splits.Fold) -> np.ndarray:
  return np.array([row.segment for row in fold.test])


@dataclasses.dataclass(frozen=True)
class NetworkMethod:
  """A network trained from scratch for every fold, for a fixed number of epochs.

  Attributes:
    task: input, model and losses.
    optim: `stair_steps` of its schedule are set from `stair_epochs`.
    epochs, batch_size: of the training.
    stair_epochs: with the schedule 'stairs', epochs between two falls of the learning rate.
    balanced: both classes weigh the same in the loss.
    shuffled: a control: labels and ratings of the training windows are exchanged at random.
  """
  task: MotionTask = MotionTask()
  optim: OptimConfig = OptimConfig(learning_rate=1e-4, schedule='stairs', stair_steps=1)
  epochs: int = 50
  batch_size: int = 32
  stair_epochs: int = 10
  balanced: bool = False
  shuffled: bool = False

  def predict(self, windows: motion.Windows, fold: splits.Fold, seed: int) -> Predictions:
    """Trains for the fold and predicts its test windows."""
    trained = self.train(windows, training_rows(windows, fold), seed, name=fold.name)
    rows = test_rows(fold)
    return self.score(trained, make_batch(windows, rows, trained.scaler), rows)

  def train(self, windows: motion.Windows, rows: np.ndarray, seed: int, name: str,
            workdir: str | None = None, meta: dict[str, Any] | None = None) -> Trained:
    """From the given windows; saved, with the scaler in its meta, if there is a workdir."""
    scaler = motion.fit_scaler(windows, rows)
    source = make_batch(windows, rows, scaler)
    if self.balanced:
      share_k = np.bincount(source['label'], minlength=2) / len(rows)
      source['weight'] = (0.5 / share_k[source['label']]).astype(np.float32)
    if self.shuffled:
      order = np.random.default_rng(seed).permutation(len(rows))
      source |= {key: source[key][order] for key in ('label', 'borg', 'weight')}
    per_epoch = -(-len(rows) // self.batch_size)
    optim = self.optim
    if optim.schedule == 'stairs':
      optim = dataclasses.replace(optim, stair_steps=self.stair_epochs * per_epoch)
    steps = self.epochs * per_epoch
    # a constant rate does not depend on the length of a run: folds of other sizes share a compiled step
    tx = make_tx(optim, optim.warmup_steps + 1 if optim.schedule == 'constant' else steps)
    feed = loader.Loader([source], self.batch_size, seed)
    begin = state.init_state(self.task, tx, jax.tree.map(lambda x: x[:1], feed(0)), seed)
    config = loop.LoopConfig(steps=steps, log_every=per_epoch, checkpoint_every=steps, progress=False)
    meta = {**(meta or {}), 'mean': scaler.mean_f.tolist(), 'sd': scaler.sd_f.tolist()}
    fit = loop.fit(self.task, tx, feed, begin, config, workdir=workdir, meta=meta, name=name)
    return Trained(*jax.device_get((fit.state.params, fit.state.extra)), scaler)

  def score(self, trained: Trained, batch: dict[str, Any], rows: np.ndarray) -> Predictions:
    """Predictions of windows: see `score_windows`."""
    return Predictions(rows, *score_windows(self.task, trained.params, trained.extra, batch))


def score_windows(task: MotionTask, params: Any, extra: Any,
                  batch: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
  """([B] probability of fatigue, [B] Borg) of windows, a block of them at a time.

  Args:
    task, params, extra: of a checkpoint.
    batch: feature_btf, and pose where the model has postures.
  """
  batch = {key: batch[key] for key in ('feature_btf', 'pose') if key in batch}
  heads = parallel.map_blocks(_Heads(task), (params, extra), batch, BLOCK_ROWS)
  return special.softmax(heads.class_bk, axis=1)[:, 1], heads.value_b * BORG_SCALE + BORG_CENTRE


@dataclasses.dataclass(frozen=True)
class _Heads:
  """((params, extra), batch) -> MotionHeads, for parallel.map_blocks."""
  task: MotionTask

  def __call__(self, variables, batch):
    return self.task.heads(*variables, batch)


def make_batch(windows: motion.Windows, rows: np.ndarray, scaler: motion.Scaler) -> dict[str, Any]:
  """Rows as MotionTask takes them."""
  feature_btf = motion.standardise(windows.feature_btf[rows], windows.valid_btf[rows], scaler)
  pose = {} if windows.pose is None else {'pose': jax.tree.map(lambda x: x[rows], windows.pose)}
  return {'feature_btf': feature_btf, **pose, 'label': windows.segments['label'][rows].astype(np.int32),
          'borg': windows.borg_b[rows], 'weight': np.ones(len(rows), np.float32)}


@dataclasses.dataclass(frozen=True)
class RidgeMethod:
  """Ridge on mean and deviation of every feature over the window; both classes weigh the same."""
  alpha: float = 10.0

  def predict(self, windows: motion.Windows, fold: splits.Fold, seed: int) -> Predictions:
    """Fits a classifier and a regressor."""
    train, test = training_rows(windows, fold), test_rows(fold)
    scaler = motion.fit_scaler(windows, train)
    x_btf = motion.standardise(windows.feature_btf, windows.valid_btf, scaler)
    x_bf = np.concatenate([x_btf.mean(1), x_btf.std(1)], axis=1)
    mean_f, sd_f = x_bf[train].mean(0), x_bf[train].std(0) + 1e-6
    x_bf = (x_bf - mean_f[None]) / sd_f[None]
    classifier = linear_model.RidgeClassifier(self.alpha, class_weight='balanced')
    score_b = classifier.fit(x_bf[train], windows.segments['label'][train]).decision_function(x_bf[test])
    value_b = linear_model.Ridge(self.alpha).fit(x_bf[train], windows.borg_b[train]).predict(x_bf[test])
    return Predictions(test, special.expit(score_b), value_b)


@dataclasses.dataclass(frozen=True)
class ElapsedMethod:
  """A control: logistic regression on the seconds since the recording began, and isotonic Borg."""

  def predict(self, windows: motion.Windows, fold: splits.Fold, seed: int) -> Predictions:
    """Sees no motion."""
    train, test = training_rows(windows, fold), test_rows(fold)
    x_b, label_b = windows.elapsed_s_b / 60, windows.segments['label']
    classifier = linear_model.LogisticRegression(C=1e3, class_weight='balanced')
    score_b = classifier.fit(x_b[train, None], label_b[train]).predict_proba(x_b[test, None])[:, 1]
    fit = isotonic.IsotonicRegression(out_of_bounds='clip').fit(x_b[train], windows.borg_b[train])
    return Predictions(test, score_b, fit.predict(x_b[test]))


@dataclasses.dataclass(frozen=True)
class MajorityMethod:
  """A control: the commoner class of the training windows, and their median Borg."""

  def predict(self, windows: motion.Windows, fold: splits.Fold, seed: int) -> Predictions:
    """The same for every window."""
    train, test = training_rows(windows, fold), test_rows(fold)
    commoner = float(windows.segments['label'][train].mean() >= 0.5)
    same = lambda value: np.full(len(test), value)
    return Predictions(test, same(commoner), same(np.median(windows.borg_b[train])))


Method = NetworkMethod | RidgeMethod | ElapsedMethod | MajorityMethod


def mark(method: Method, *more: Any) -> str:
  """Ten letters that differ with the method's settings and with what else is given."""
  plain = [type(method).__name__, config_lib.as_plain(method), *more]
  return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:10]
