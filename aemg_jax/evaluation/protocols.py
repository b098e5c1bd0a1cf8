"""Protocols as data -> folds, and the one runner that turns (method, folds) into a result row."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import tqdm

from aemg_jax.data import split_table, splits
from aemg_jax.evaluation import results


class Method(Protocol):
  """Anything that can be evaluated: a baseline, or a network with its own training."""

  transductive: bool

  def predict(self, data: Any, fold: splits.Fold, seed: int) -> results.Predictions:
    """Trains from scratch or from its checkpoint for this fold and predicts the test rows."""


@dataclasses.dataclass(frozen=True)
class ProtocolConfig:
  """Which folds. Subjects are exact names or prefixes ('PreTraining/*'); empty is all.

  Attributes:
    kind: of PROTOCOLS, or 'table'.
    name: in tables and file names; empty is made from the kind and the fraction.
    subjects: who is tested.
    train_subjects: `cross`: who trains; `loso`: who trains in every fold beside the others, never tested.
    calibration_sessions: `within` and `few_shot`: the target's labelled sessions in time order.
    test_sessions: tested sessions; empty is all.
    fraction: `few_shot`: share of the target's seconds; 0 is the first cycle.
    groups: `groups_out`: into how many parts the subjects go, each tested once.
    table: path of an explicit split table (kind 'table').
  """
  kind: str
  name: str = ''
  subjects: tuple[str, ...] = ()
  train_subjects: tuple[str, ...] = ()
  calibration_sessions: tuple[str, ...] = ()
  test_sessions: tuple[str, ...] = ()
  fraction: float = 0.0
  groups: int = 0
  table: str = ''

  def __post_init__(self):
    if self.kind not in PROTOCOLS:
      raise ValueError(
          f'ProtocolConfig.kind: got {self.kind!r}, expected one of {sorted(PROTOCOLS)}')
    if not 0 <= self.fraction <= 1:
      raise ValueError(f'ProtocolConfig.fraction: got {self.fraction!r}, expected within [0, 1]')
    for field, kinds in _USED_BY.items():
      if getattr(self, field) and self.kind not in kinds:
        raise ValueError(f'ProtocolConfig.{field}: got {getattr(self, field)!r}, which '
                         f'{self.kind!r} does not use')
    for field in ('calibration_sessions', 'test_sessions'):
      if self.kind in ('within', 'few_shot') and not getattr(self, field):
        raise ValueError(f'ProtocolConfig.{field}: empty, expected sessions for {self.kind!r}')

  @property
  def title(self) -> str:
    """Name of the protocol in tables and file names."""
    if self.name:
      return self.name
    if self.kind == 'loso' and self.train_subjects:
      return 'loso-more-people'
    if self.kind == 'few_shot':
      return f'few_shot-{100 * self.fraction:g}pct' if self.fraction else 'few_shot-first_cycle'
    return self.kind

  @property
  def labelled_target(self) -> str:
    """What labelled data of the target the protocol gives to a method; empty is none."""
    if self.kind == 'within':
      return 'labelled ' + ' + '.join(self.calibration_sessions)
    if self.kind == 'few_shot':
      return f'labelled {100 * self.fraction:g} %' if self.fraction else 'labelled first cycle'
    return ''


_USED_BY = {
    'subjects': ('loso', 'groups_out', 'within', 'cross', 'few_shot'),
    'train_subjects': ('cross', 'loso'),
    'calibration_sessions': ('within', 'few_shot'),
    'test_sessions': ('loso', 'within', 'cross', 'few_shot'),
    'fraction': ('few_shot',),
    'groups': ('groups_out',),
    'table': ('table',),
}


def _subjects(segments: splits.Segments, config: ProtocolConfig) -> tuple[str, ...]:
  return splits.select_subjects(segments, config.subjects, 'ProtocolConfig.subjects')


def _apart(segments: splits.Segments, config: ProtocolConfig) -> tuple[tuple[str, ...], tuple[str, ...]]:
  """train_subjects, and subjects or else all the others."""
  train = splits.select_subjects(segments, config.train_subjects, 'ProtocolConfig.train_subjects')
  if not config.subjects:
    return train, tuple(s for s in _subjects(segments, config) if s not in train)
  both = set(train) & set(_subjects(segments, config))
  if both:
    raise ValueError(f'ProtocolConfig.train_subjects: {min(both)!r} is one of the subjects that are tested')
  return train, _subjects(segments, config)


def _loso(segments, config):
  if not config.train_subjects:
    return splits.loso(segments, _subjects(segments, config), config.test_sessions)
  more, tested = _apart(segments, config)
  return splits.loso(segments, tested, config.test_sessions, more)


def _groups_out(segments, config):
  return splits.groups_out(segments, _subjects(segments, config), config.groups)


def _within(segments, config):
  return splits.within(segments, _subjects(segments, config), config.calibration_sessions,
                       config.test_sessions)


def _cross(segments, config):
  if not config.train_subjects:
    raise ValueError('ProtocolConfig.train_subjects: empty, expected the part that trains')
  train, test = _apart(segments, config)
  return splits.cross(segments, train, test, config.test_sessions)


def _few_shot(segments, config):
  return splits.few_shot(segments, _subjects(segments, config), config.calibration_sessions,
                         config.test_sessions, config.fraction or None)


def _table(segments, config):
  return split_table.read_split_table(config.table, segments)


PROTOCOLS: dict[str, Callable[[splits.Segments, ProtocolConfig], tuple[splits.Fold, ...]]] = {
    'loso': _loso,
    'groups_out': _groups_out,
    'within': _within,
    'cross': _cross,
    'few_shot': _few_shot,
    'table': _table,
}


def make_folds(segments: splits.Segments, config: ProtocolConfig) -> tuple[splits.Fold, ...]:
  """The folds of a protocol; ValueError names the field that does not fit the prepared set."""
  return PROTOCOLS[config.kind](segments, config)


def uses_target(labelled: str, transductive: bool, assumes: str = '') -> str:
  """The uses_target column: 'none', 'unlabelled', 'labelled 5 %', 'labelled 5 % + unlabelled', and what is assumed."""
  parts = [labelled] * bool(labelled) + ['unlabelled'] * transductive + [assumes] * bool(assumes)
  return ' + '.join(parts) or 'none'


def evaluate(name: str, method: Method, data: Any, segments: splits.Segments, n_labels: int,
             protocol: ProtocolConfig, folds: Sequence[splits.Fold], seeds: Sequence[int] = (0,),
             checkpoint_hash: str | None = None, config: Mapping[str, Any] | None = None,
             known: Mapping[int, results.Predictions] | None = None,
             ) -> tuple[dict[str, Any], dict[int, results.Predictions]]:
  """Runs a method over all folds and seeds.

  Args:
    name: of the method, in tables.
    method: see `Method`.
    data: whatever the method's predict takes.
    segments: table that the folds index.
    n_labels: K.
    protocol: for the row's title and uses_target.
    folds: of `make_folds`.
    seeds: each gives a full set of predictions.
    checkpoint_hash: that every fold started from; None for methods without one.
    config: settings to store in the row; None stores the method's own fields and the protocol's.
    known: what an earlier run of the same predicted; these seeds are not run again.

  Returns:
    the row for results.json, and {seed: predictions of all folds}.
  """
  for fold in folds:  # made by `make_folds` or by hand
    splits.check_fold(segments, fold)
  begin_s = time.monotonic()
  by_seed = dict(known or {})
  with tqdm.tqdm(total=len(seeds) * len(folds), desc=f'{protocol.title} {name}', unit='fold',
                 disable=None) as bar:
    for seed in seeds:
      if seed in by_seed:
        bar.update(len(folds))
        continue
      parts = []
      for fold in folds:
        parts.append(results.check(method.predict(data, fold, seed), fold.test, n_labels))
        bar.update()
      by_seed[seed] = results.concatenate(parts)
  labelled = protocol.labelled_target
  if not labelled and any(fold.calibration for fold in folds):
    labelled = 'labelled'
  if config is None:
    settings = dataclasses.asdict(method) if dataclasses.is_dataclass(method) else {}
    config = {'method': settings, 'protocol': dataclasses.asdict(protocol)}
  transductive = method.transductive or getattr(data, 'scale_of_everybody', False)
  row = results.result_row(
      {seed: by_seed[seed] for seed in seeds}, segments, n_labels, method=name, protocol=protocol.title,
      uses_target=uses_target(labelled, transductive, getattr(method, 'assumes', '')), transductive=transductive,
      split_hash=splits.split_hash(folds), checkpoint_hash=checkpoint_hash, config=dict(config),
      wall_s=time.monotonic() - begin_s)
  return row, by_seed
