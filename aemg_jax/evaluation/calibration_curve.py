"""Accuracy against seconds of a new wearer's unlabelled data: what a wearer feels.

Models train once per fold on the other wearers. Then for each length the mean and the way the band is
worn are estimated from the first seconds of the wearer's stream alone (`data.self_calibration`), and
the same test rows are predicted; 'all' takes the stream and the test rows themselves, unlabelled
(transductive). With `labelled` an LDA is given the stream's labels too: at 35 s of MyoArmband that is one
repetition of each gesture, and the rest is predicted inductively. The test rows are those of the test
sessions outside the longest stretch, so every point of a curve is of one test set.
"""

import dataclasses
import json
import math
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from absl import logging
import numpy as np
import tqdm

from aemg_jax import config as config_lib
from aemg_jax.data import montage, splits
from aemg_jax.data.self_calibration import SelfCalibration, first_seconds, total_s, weight
from aemg_jax.evaluation import baselines, results, self_training
from aemg_jax.evaluation.self_training import Head, SelfTraining
from aemg_jax.evaluation.transfer import TransferData, TransferMethod
from aemg_jax.evaluation.window_table import WindowTable

CURVE_FILE = 'calibration_curve.json'
ALL = math.inf
MORE_PEOPLE = '-more-people'


@dataclasses.dataclass(frozen=True)
class CurveNetwork:
  """A named network of view 'fixed' and centre 'session'; `align` says whether bands are turned."""
  name: str
  network: TransferMethod

  def __post_init__(self):
    method = self.network
    if (method.view, method.centre) != ('fixed', 'session'):
      raise ValueError(f'CurveNetwork.network: {self.name!r}: got view {method.view!r} and centre '
                       f"{method.centre!r}, expected 'fixed' and 'session': a wearer's scale and mean "
                       'may come from the seconds of the curve alone')
    if method.teachers:
      raise ValueError(f'CurveNetwork.network: {self.name!r}: got teachers, expected none: see CurveConfig.teacher')
    if method.features:
      raise ValueError(f'CurveNetwork.network: {self.name!r}: got features {method.features!r}, expected (): '
                       'their mean would come from whole sessions')


@dataclasses.dataclass(frozen=True)
class CurveConfig:
  """Which curves; no `seconds` draws none.

  Attributes:
    seconds: lengths of unlabelled data, rising; 'all' is always added.
    subjects: who is tested in turn, the others train; names or prefixes, empty is all.
    train_subjects: who train in every fold besides; rows then say so in their names.
    stream_sessions: whose repetitions in time order are the stream; empty is all, by name.
    test_sessions: tested; empty is all.
    baselines: names of `baselines.BASELINES` that centre; each without and with turned bands.
    self_training: of those with turned bands, once more, on the stream.
    labelled: those with turned bands, once more, fitted on the stream and its labels too; no 'all'.
    networks: trained once per fold.
    teacher: name of one of these that helps to label the stream for `taught`, of the baselines with turned bands.
    taught: see `teacher`.
  """
  seconds: tuple[float, ...] = ()
  subjects: tuple[str, ...] = ()
  train_subjects: tuple[str, ...] = ()
  stream_sessions: tuple[str, ...] = ()
  test_sessions: tuple[str, ...] = ()
  baselines: tuple[str, ...] = ()
  self_training: SelfTraining = SelfTraining()
  labelled: bool = False
  networks: tuple[CurveNetwork, ...] = ()
  teacher: str = ''
  taught: SelfTraining = SelfTraining()

  def __post_init__(self):
    if bool(self.teacher) != bool(self.taught.rounds) or self.teacher not in ('', *(n.name for n in self.networks)):
      raise ValueError(f'CurveConfig.teacher: got {self.teacher!r} with {self.taught.rounds} rounds, expected one of '
                       f'{[n.name for n in self.networks]} and rounds, or neither')
    if list(self.seconds) != sorted(set(self.seconds)) or any(s < 0 for s in self.seconds):
      raise ValueError(f'CurveConfig.seconds: got {self.seconds!r}, expected rising numbers from 0')
    for name in self.baselines:
      if not baselines.baseline(name).centre:
        raise ValueError(f'CurveConfig.baselines: got {name!r}, expected one that centres')

  @property
  def teacher_network(self) -> TransferMethod | None:
    """The network of that name."""
    return next((network.network for network in self.networks if network.name == self.teacher), None)


@dataclasses.dataclass(frozen=True)
class CurveFold:
  """A leave-one-subject-out fold and the tested wearer's unlabelled stream in time order."""
  fold: splits.Fold
  stream: tuple[splits.Row, ...]
  sessions: tuple[int, ...]

  def taken(self, seconds: float) -> tuple[splits.Row, ...]:
    """The unlabelled crops of a length."""
    if seconds == ALL:
      return tuple(dict.fromkeys(self.stream + self.fold.test))
    return first_seconds(self.stream, seconds)


def curve_folds(segments: splits.Segments, config: CurveConfig) -> tuple[CurveFold, ...]:
  """One per subject; ValueError where a stream is shorter than the longest length."""
  subjects = splits.select_subjects(segments, config.subjects, 'CurveConfig.subjects')
  more = config.train_subjects and splits.select_subjects(segments, config.train_subjects, 'CurveConfig.train_subjects')
  if set(more) & set(subjects):
    raise ValueError(f'CurveConfig.train_subjects: {min(set(more) & set(subjects))!r} is tested, expected others')
  found = []
  for subject in subjects:
    stream = splits.stream(segments, subject, config.stream_sessions)
    longest = first_seconds(stream, max(config.seconds))
    if total_s(longest) < max(config.seconds) - 1e-6:
      raise ValueError(f'CurveConfig.seconds: {subject!r} has {total_s(longest):g} s in the stream '
                       f'sessions, expected {max(config.seconds):g}')
    used = {row.segment for row in longest}
    test = [row for row in splits.whole_rows(segments, [subject], config.test_sessions)
            if row.segment not in used]
    train = splits.whole_rows(segments, [s for s in (*subjects, *more) if s != subject])
    fold = splits.check_fold(segments, splits.Fold(subject, train, (), tuple(test)))
    mine = splits.column_keys(segments, 'subject') == subject
    found.append(CurveFold(fold, stream, tuple(np.unique(segments['session_index'][mine]).tolist())))
  return tuple(found)


def run(config: CurveConfig, workdir: str, data: TransferData, table: WindowTable | None,
        seeds: Sequence[int], checkpoint_hash: str | None) -> None:
  """Writes workdir/calibration_curve.json; curves already there are kept.

  Args:
    config: see CurveConfig.
    workdir: of the run.
    data: with the view 'fixed'.
    table: of the baselines.
    seeds: of the networks.
    checkpoint_hash: of the networks that start from one.
  """
  prepared = data.views['fixed']
  folds = curve_folds(prepared.segments, config)
  path = pathlib.Path(workdir) / CURVE_FILE
  rows = json.loads(path.read_text(encoding='utf-8'))['rows'] if path.exists() else []
  shared = {align: None for align in (False, True)}
  networks = _Fitted(data, config.teacher_network)
  for way in _ways(config):
    name, method, own = way.name + MORE_PEOPLE * bool(config.train_subjects), way.method, way.own
    own_seeds = tuple(seeds) if way.teacher or isinstance(method, TransferMethod) else (0,)
    starts = checkpoint_hash if getattr(method, 'start', '') == 'checkpoint' else None
    identity = json.loads(json.dumps({
        'method': name, 'seeds': list(own_seeds), 'checkpoint_hash': starts,
        'split_hash': splits.split_hash([f.fold for f in folds]),
        'config': {'method': config_lib.as_plain(method), 'align': way.align, 'seconds': list(config.seconds),
                   'stream_sessions': list(config.stream_sessions)}
                  | ({'self_training': config_lib.as_plain(own)} if own.rounds else {})
                  | ({'labelled': True} if way.labelled else {})
                  | ({'teacher': config_lib.as_plain(way.teacher)} if way.teacher else {})}))
    if any(all(row[k] == v for k, v in identity.items()) for row in rows):
      logging.info('calibration curve: %s is there already', name)
      continue
    shared[way.align] = shared[way.align] or [SelfCalibration(prepared, f.fold.train, way.align) for f in folds]
    fresh = _curve(name, way, config, folds, shared[way.align], networks, table, own_seeds, identity)
    rows = [row for row in rows if row['method'] != name] + fresh
    results.write_results(path, prepared.labels, rows)


class _Way(NamedTuple):
  """A method, whether bands are turned, how it goes on with the stream, whether it is given its labels, who helps."""
  name: str
  method: baselines.LdaBaseline | TransferMethod
  align: bool
  own: SelfTraining = SelfTraining()
  labelled: bool = False
  teacher: TransferMethod | None = None


class _Fitted:
  """Networks of each fold and seed; the teacher is trained once for its own curve and for whom it helps."""

  def __init__(self, data: TransferData, teacher: TransferMethod | None):
    self.data, self._teacher, self._found = data, teacher, {}

  def of(self, method: TransferMethod, curve_fold: CurveFold, calibration: SelfCalibration, seed: int):
    """What `TransferMethod.fitted` gives."""
    fit = lambda: method.fitted(self.data, curve_fold.fold, calibration.centre, seed)
    if method != self._teacher:
      return fit()
    key = curve_fold.fold.name, seed
    if key not in self._found:
      self._found[key] = fit()
    return self._found[key]


def _ways(config: CurveConfig) -> Iterator[_Way]:
  for name in config.baselines:
    aligned, method = name.removesuffix('-centred') + '-aligned', baselines.baseline(name)
    yield _Way(name, method, False)
    yield _Way(aligned, method, True)
    if config.self_training.rounds:
      yield _Way(f'{aligned}-self-trained', method, True, config.self_training)
    if config.labelled:
      yield _Way(f'{aligned}-labelled', method, True, labelled=True)
  for network in config.networks:
    yield _Way(network.name, network.network, network.network.align, network.network.self_training)
  for name in config.baselines if config.teacher else ():
    yield _Way(f"{name.removesuffix('-centred')}-aligned-self-trained-taught", baselines.baseline(name), True,
               config.taught, teacher=config.teacher_network)


def _curve(name: str, way: _Way, config: CurveConfig, folds, calibrations, networks: _Fitted, table, seeds,
           identity) -> list[dict[str, Any]]:
  """One result row for each length."""
  begin_s, prepared = time.monotonic(), networks.data.views['fixed']
  found: dict[float, dict[int, list[results.Predictions]]] = {}
  refused: dict[float, list[bool]] = {}
  with tqdm.tqdm(total=len(folds) * len(seeds), desc=f'curve {name}', unit='fold', disable=None) as bar:
    for seed in seeds:
      for curve_fold, calibration in zip(folds, calibrations):
        predict = _predictor(way, curve_fold, calibration, networks, table, seed)
        for seconds in (*config.seconds, *[ALL] * (not way.labelled)):
          stream = curve_fold.taken(seconds)
          got = results.check(predict(stream), curve_fold.fold.test, len(prepared.labels))
          found.setdefault(seconds, {}).setdefault(seed, []).append(got)
          refused.setdefault(seconds, []).append(calibration.place(stream, way.labelled).refused)
        bar.update()
  rows = []
  for seconds, by_seed in found.items():
    said = 'all' if seconds == ALL else f'{seconds:g} s'
    whole = {seed: results.concatenate(parts) for seed, parts in by_seed.items()}
    row = results.result_row(
        whole, prepared.segments, len(prepared.labels), protocol=f'curve-{said.replace(" ", "")}',
        uses_target=('' if way.labelled else 'un') + f'labelled {said}' + ' + equal counts' * way.own.balanced
        if seconds else 'none',
        transductive=seconds == ALL,
        wall_s=(time.monotonic() - begin_s) / len(found), **identity)
    row |= {'seconds': None if seconds == ALL else seconds, 'refused': float(np.mean(refused[seconds]))}
    logging.info('calibration curve: %s, %s: repetition %.1f %%, window %.1f %%, refused %.0f %%', name, said,
                 100 * row['mean']['repetition'], 100 * row['mean']['window'], 100 * row['refused'])
    rows.append(row)
  return rows


def _predictor(way: _Way, curve_fold: CurveFold, calibration: SelfCalibration, networks: _Fitted,
               table: WindowTable | None, seed: int):
  """Trains; the result predicts the test rows from crops of the stream."""
  fold, method, own = curve_fold.fold, way.method, way.own
  if isinstance(method, TransferMethod):
    fitted = networks.of(method, curve_fold, calibration, seed)

    def predict(stream):
      centre, model = calibration.of(stream, curve_fold.sessions), fitted
      if stream and own.transductive:
        model = fitted.adapted(stream, centre, own)
      return model(fold.test, centre)

    return predict
  teacher = networks.of(way.teacher, curve_fold, calibration, seed) if way.teacher else None
  return _LdaCurve(way, table, curve_fold, calibration, teacher).predict


class _LdaCurve:
  """An LDA whose training windows are centred by session and turned, as the networks' words are."""

  def __init__(self, way: _Way, table: WindowTable, curve_fold: CurveFold, calibration: SelfCalibration,
               teacher: Callable[..., results.Predictions] | None = None):
    method = way.method
    self._way, self._method, self._table, self._calibration = way, method, table, calibration
    self._teacher, self._sessions = teacher, curve_fold.sessions
    self._fold, self._place = curve_fold.fold, calibration.worn
    rows = table.rows(self._fold.train, method.train_stride)
    segment_w = table.windows(method.train_stride)[0][rows]
    session_w = np.asarray(table.segments['session_index'])[segment_w]
    feature_wf = table.gather(method.features, method.train_stride, rows)
    parts, means, order = [], [], []
    for session in np.unique(session_w):
      element = 0 if self._place is None else int(calibration.centre.element_s[session])
      mine = feature_wf[session_w == session][:, self._columns(element)]
      means.append(mine.mean(axis=0))
      parts.append(mine - means[-1][None])
      order.append(np.flatnonzero(session_w == session))
    self._mean_f = np.mean(means, axis=0)
    self._label_w = np.asarray(table.segments['label'])[segment_w][np.concatenate(order)]
    self._feature_wf = np.concatenate(parts)
    self._fitted = method.fit_features(self._feature_wf, self._label_w)

  def _columns(self, element: int) -> np.ndarray:
    """Columns of the features in the frame; a turn that leaves a place empty is not for an LDA."""
    if self._place is None or (montage.elements(self._place) == montage.ABSENT).any():
      return np.arange(self._table.width(self._method.features))
    real_c = np.flatnonzero(self._place.valid_c)  # padding is not in the table
    perm_c = np.searchsorted(real_c, montage.elements(self._place)[element][real_c])
    return self._table.turned_columns(self._method.features, perm_c)

  def predict(self, stream: Sequence[splits.Row]) -> results.Predictions:
    """The test rows, centred on the stream's mean shrunk towards the training wearers'."""
    method, table = self._method, self._table
    column_f = self._columns(self._calibration.place(stream, self._way.labelled).element)
    mean_f, fitted = self._mean_f, self._fitted
    seen = table.rows(stream, method.train_stride) if stream else np.zeros(0, int)
    if seen.size:
      share = weight(total_s(stream))
      seen_wf = table.gather(method.features, method.train_stride, seen)[:, column_f]
      mean_f = share * seen_wf.mean(axis=0) + (1 - share) * self._mean_f
      segment_u = table.windows(method.train_stride)[0][seen]
      if self._way.own.rounds:
        fitted = self._gone_on(seen_wf - mean_f[None], segment_u, stream)
      if self._way.labelled:
        fitted = self._told(seen_wf - mean_f[None], np.asarray(table.segments['label'])[segment_u])
    return method.predict_features(
        fitted, table, self._fold,
        lambda rows: table.gather(method.features, baselines.TEST_STRIDE, rows)[:, column_f] - mean_f[None])

  def _gone_on(self, feature_uf: np.ndarray, segment_u: np.ndarray,
               stream: Sequence[splits.Row]) -> baselines.FittedLda:
    """Fitted on the stream too."""
    fits, taught_rk = [], None
    if self._teacher is not None:
      rows = [row for row in stream if row.segment in segment_u]  # others hold no window
      told = self._teacher(rows, self._calibration.of(stream, self._sessions))
      taught_rk = told.segment_log_prob[np.searchsorted(told.segment_rows, np.unique(segment_u))]
      taught_rk = taught_rk[:, self._fitted.model.classes_]

    def fit_head(feature_wf, label_w):
      fits.append(self._method.fit_features(feature_wf, label_w))
      return Head(fits[-1].model.classes_, fits[-1].log_prob)

    self_training.fit(fit_head, self._feature_wf, self._label_w, feature_uf, segment_u, self._way.own,
                      teacher_rk=taught_rk)
    return fits[-1]

  def _told(self, feature_uf: np.ndarray, label_u: np.ndarray) -> baselines.FittedLda:
    """Fitted on the stream and its labels too: of each gesture as much weight as the training wearers'."""
    theirs_k, own_k = (np.bincount(label, minlength=self._table.n_labels) for label in (self._label_w, label_u))
    repeats_k = theirs_k / np.maximum(own_k, 1)
    own_w = np.repeat(np.arange(len(label_u)), np.maximum(1, np.round(repeats_k[label_u])).astype(int))
    return self._method.fit_features(np.concatenate([self._feature_wf, feature_uf[own_w]]),
                                     np.concatenate([self._label_w, label_u[own_w]]))
