"""`aemg ablate`: a grid of arms x seeds over the same folds, one small JSON for each finished cell.

A cell's file is named by a hash of everything that decides its numbers: the arm, the seed, the folds,
the prepared data and the source code that computes it. An interrupted run goes on; a changed arm, split
or line of code is another cell, and the old file is left where it is and in no table. Pre-training stages
run for each fold on that fold's training people alone, unless an arm names other people.
"""

import dataclasses
import hashlib
import json
import math
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from absl import logging
import numpy as np

from aemg_jax import config as config_lib
from aemg_jax.data import batches, splits
from aemg_jax.evaluation import ablate_table, closed_form, protocols, results
from aemg_jax.evaluation.few_subjects import StoredVectors
from aemg_jax.evaluation.transfer import Pretrained, TransferData, TransferMethod
from aemg_jax.sentences import cache
from aemg_jax.sentences.views import View, ViewsConfig, prepare_views, view_path
from aemg_jax.sentences.words import with_channels
from aemg_jax.training import checkpoints, jobs

CELLS, STAGES, TABLE = 'cells', 'stages', 'ablation'
_STAGE_CODE = ('config.py', 'sentences', 'signal', 'data', 'models', 'training')
_CODE = (*_STAGE_CODE, 'evaluation/transfer.py', 'evaluation/closed_form.py', 'evaluation/sentence_windows.py',
         'evaluation/protocols.py', 'evaluation/results.py', 'evaluation/baselines.py', 'evaluation/metrics.py',
         'evaluation/self_training.py', 'evaluation/few_subjects.py', 'evaluation/ablate.py')


@dataclasses.dataclass(frozen=True)
class Arm:
  """One setting.

  Attributes:
    name: in the table.
    factor: what it varies, e.g. 'word inputs'; arms of a factor stand together.
    network: trained or probed for every fold.
    stages: jobs before it, each started from the one before (a tokeniser, then masked words); the last
      one's encoder is the network's checkpoint. `subjects` () is the fold's training people.
    stage_view: of the stages' words.
  """
  name: str
  factor: str
  network: TransferMethod
  stages: tuple[jobs.JobConfig, ...] = ()
  stage_view: str = 'session'

  def __post_init__(self):
    if bool(self.stages) != (self.network.start == 'checkpoint'):
      raise ValueError(f'Arm.stages: {self.name!r}: {len(self.stages)} stages and start '
                       f"{self.network.start!r}, expected stages and 'checkpoint', or neither")


@dataclasses.dataclass(frozen=True)
class AblateConfig:
  """Attributes:
    title: of the table.
    datasets: built sets below the data directory, from which missing views are prepared.
    views: prepared sets.
    protocol: whose folds all arms share.
    arms: each is compared with the reference.
    reference: name of an arm.
    seeds: of every arm; at least three tell an arm from its seed.
    labelled: how many of each fold's training people give labels to closed-form heads; the others give stages their
      recordings alone. 0 is all.
    draws: how often these are drawn; a person's score is the mean. The same draws for every arm and seed.
    synthetic: the data come from a generator, and the table says so.
  """
  title: str
  datasets: tuple[str, ...]
  views: tuple[View, ...]
  protocol: protocols.ProtocolConfig
  arms: tuple[Arm, ...]
  reference: str
  seeds: tuple[int, ...] = (0, 1, 2)
  labelled: int = 0
  draws: int = 1
  synthetic: bool = False

  def __post_init__(self):
    if self.draws < 1 or self.draws > 1 and not self.labelled:
      raise ValueError(f'AblateConfig.draws: got {self.draws!r} with labelled {self.labelled!r}, expected 1 or more, '
                       'and 1 where all give labels')
    names = [arm.name for arm in self.arms]
    if len(set(names)) < len(names):
      raise ValueError(f'AblateConfig.arms: got {names}, expected each name once')
    for arm in self.arms if self.labelled else ():
      if arm.network.self_training.rounds:
        raise ValueError(f'AblateConfig.labelled: {arm.name!r} trains itself, expected a head of the labelled alone')
      if arm.network.tune not in closed_form.HEADS or arm.network.centre != 'session' or arm.network.align:
        raise ValueError(f'AblateConfig.labelled: {arm.name!r} has tune {arm.network.tune!r}, centre '
                         f'{arm.network.centre!r} and align {arm.network.align}, expected one of '
                         f"{tuple(closed_form.HEADS)}, 'session' and False")
    if self.reference not in names:
      raise ValueError(f'AblateConfig.reference: got {self.reference!r}, expected one of {names}')
    same = [config_lib.as_plain(arm) | {'name': '', 'factor': ''} for arm in self.arms]
    for i, settings in enumerate(same):
      if settings in same[:i]:
        raise ValueError(f'AblateConfig.arms: {names[same.index(settings)]!r} and {names[i]!r} are '
                         'one setting')
    views = {view.name for view in self.views}
    wanted = {v for arm in self.arms for v in (arm.network.view, *[arm.stage_view] * bool(arm.stages))}
    if wanted - views:
      raise ValueError(f'AblateConfig.views: got {sorted(views)}, expected {sorted(wanted)}')


@dataclasses.dataclass(frozen=True)
class Cell:
  """An arm under a seed, and the hash of all that decides its numbers."""
  arm: Arm
  seed: int
  key: str


def code_version(parts: Sequence[str] = _CODE) -> str:
  """sha256 of the source that a cell's numbers depend on, 16 digits."""
  root, digest = pathlib.Path(config_lib.__file__).parent, hashlib.sha256()
  for part in parts:
    files = sorted((root / part).rglob('*.py')) if (root / part).is_dir() else [root / part]
    for file in files:
      digest.update(f'{file.relative_to(root).as_posix()}\n'.encode() + file.read_bytes())
  return digest.hexdigest()[:16]


def grid(config: AblateConfig, split_hash: str, prepared: dict[str, str], code: str) -> tuple[Cell, ...]:
  """All cells in the order in which a budget takes them: seed by seed, the reference first, the other
  arms by their name's hash, so that a small budget is no choice of ours and a larger one contains it."""
  def place(arm: Arm):
    return arm.name != config.reference, hashlib.sha256(arm.name.encode()).hexdigest()

  def key(arm: Arm, seed: int) -> str:
    named = {k: v for k, v in config_lib.as_plain(arm).items() if k not in ('name', 'factor')}
    parts = {'arm': named, 'protocol': config_lib.as_plain(config.protocol), 'seed': seed, 'code': code,
             'split': split_hash, 'prepared': prepared, 'labelled': [config.labelled, config.draws]}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]

  arms = sorted(config.arms, key=place)
  return tuple(Cell(arm, seed, key(arm, seed)) for seed in config.seeds for arm in arms)


def within_budget(cells: Sequence[Cell], budget: float) -> tuple[Cell, ...]:
  """The first part of the cells, at least one."""
  if not 0 < budget <= 1:
    raise ValueError(f'--budget: got {budget:g}, expected above 0 and at most 1')
  return tuple(cells[:max(1, math.ceil(budget * len(cells) - 1e-9))])


def run(config: AblateConfig, workdir: str, data_dir: str = '', budget: float = 1.0) -> None:
  """Runs what is missing of the budget's cells, and writes ablation.json and ablation.md.

  Args:
    config: see AblateConfig.
    workdir: of prepared/VIEW, cells and stages.
    data_dir: of built sets; '' takes the views that are there.
    budget: share of the cells.
  """
  if data_dir:
    prepare_views(ViewsConfig(config.datasets, config.views), data_dir, workdir)
  views = {v.name: cache.open_prepared(view_path(workdir, v.name), v.prepare) for v in config.views}
  first = next(iter(views.values()))
  config = _with_channels(config, first.config.sentence.max_channels)
  folds = protocols.make_folds(first.segments, config.protocol)
  for arm in config.arms:
    _check_people(arm, first.segments, folds)
  code, split_hash = code_version(), splits.split_hash(folds)
  prepared = {name: view.meta['fingerprint'] for name, view in views.items()}
  cells = grid(config, split_hash, prepared, code)
  chosen = within_budget(cells, budget)
  folder = pathlib.Path(workdir) / CELLS
  folder.mkdir(exist_ok=True)
  for i, cell in enumerate(chosen):
    path = folder / f'{cell.key}.json'
    there = path.exists()
    logging.info('ablate: %d of %d: %s, seed %d%s', i + 1, len(chosen), cell.arm.name, cell.seed,
                 ' is there already' if there else '')
    if there:
      continue
    stored = _run_cell(cell, config, views, folds, workdir, code)
    temporary = path.with_suffix(f'.{os.getpid()}.tmp')
    temporary.write_text(json.dumps(stored, indent=1, allow_nan=False) + '\n', encoding='utf-8')
    os.replace(temporary, path)
  done = [(cell, folder / f'{cell.key}.json') for cell in cells]
  stored = [json.loads(path.read_text(encoding='utf-8')) for _, path in done if path.exists()]
  ablate_table.write(workdir, {
      'title': config.title, 'synthetic': config.synthetic, 'reference': config.reference,
      'cells': len(cells), 'finished': len(stored), 'split_hash': split_hash, 'code': code,
      'arms': ablate_table.arms(config.reference, stored)}, TABLE)


def _with_channels(config: AblateConfig, channels: int) -> AblateConfig:
  """The prepared sets' number of channels wherever the config leaves that open."""
  arms = tuple(dataclasses.replace(
      arm, network=with_channels(arm.network, channels),
      stages=tuple(with_channels(job, channels) for job in arm.stages)) for arm in config.arms)
  return dataclasses.replace(config, arms=arms)


def _check_people(arm: Arm, segments: splits.Segments, folds: Sequence[splits.Fold]) -> None:
  """Raises ValueError if a stage would learn from people who are tested."""
  subject_s = splits.column_keys(segments, 'subject')
  tested = {str(subject_s[row.segment]) for fold in folds for row in fold.test}
  for job in arm.stages:
    if job.subjects:
      field = f'Arm {arm.name!r}: stages.subjects'
      shared = tested & set(splits.select_subjects(segments, job.subjects, field))
      if shared:
        raise ValueError(f'Arm.stages: {arm.name!r}: subject {min(shared)!r} pre-trains and is tested')


class _StagedMethod:
  """A network whose checkpoint is made anew from the people who train in each fold, and few of whom may be labelled."""

  def __init__(self, cell: Cell, config: AblateConfig, views: dict[str, cache.Prepared],
               folds: Sequence[splits.Fold], workdir: str):
    self._cell, self._config, self._views, self._workdir = cell, config, views, workdir
    self._folds = {fold.name: fold for fold in folds}
    self._stored: dict[str, tuple[StoredVectors, list[StoredVectors]]] = {}
    self.transductive, self.assumes = cell.arm.network.transductive, cell.arm.network.assumes

  def predict(self, data: TransferData, fold: splits.Fold, seed: int) -> results.Predictions:
    """Runs the stages that are missing, then the network; with few labelled people a head on vectors made once."""
    method = self._cell.arm.network
    if not self._config.labelled:
      return method.predict(self._pretrained(data, fold.name, seed), fold, seed)
    prepared, whole = data.views[method.view], self._folds[fold.name]
    centre = batches.make_centre(prepared, 'session', ())
    if fold.name not in self._stored:
      vectors, copies = method.vectors(self._pretrained(data, fold.name, seed), None, centre, seed)
      self._stored[fold.name] = (StoredVectors(vectors, whole.train, whole.test, centre),
                                 [StoredVectors(copy, whole.train, (), centre) for copy in copies])
    vectors, copies = self._stored[fold.name]
    return closed_form.fit(method.closed_head, method.shrinkage, vectors, fold, centre, copies)(fold.test, centre)

  def _pretrained(self, data: TransferData, fold_name: str, seed: int) -> TransferData:
    arm, start = self._cell.arm, ''
    if not arm.stages:
      return data
    prepared = self._views[arm.stage_view]
    subject_s = splits.column_keys(prepared.segments, 'subject')
    people = tuple(sorted({str(subject_s[row.segment]) for row in self._folds[fold_name].train}))
    for job in arm.stages:
      job = dataclasses.replace(job, subjects=job.subjects or people, seed=seed)
      parts = {'job': config_lib.as_plain(job), 'from': os.path.basename(start), 'code': code_version(_STAGE_CODE),
               'prepared': prepared.meta['fingerprint']}
      key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]
      out = os.path.join(self._workdir, STAGES, key)
      jobs.run(job, [prepared.path], out, start)
      start = out
    encoder = checkpoints.load_params(start)['encoder']
    return data._replace(pretrained=Pretrained(encoder, checkpoints.params_hash(encoder)))


def _run_cell(cell: Cell, config: AblateConfig, views, folds, workdir: str, code: str) -> dict[str, Any]:
  """What the cell's file holds."""
  prepared, arm = views[cell.arm.network.view], cell.arm
  method = _StagedMethod(cell, config, views, folds, workdir)
  settings = {'arm': config_lib.as_plain(arm), 'protocol': config_lib.as_plain(config.protocol),
              'labelled': config.labelled, 'draws': config.draws}
  rows = []
  for draw in range(config.draws):
    drawn = folds
    if config.labelled:
      drawn = [splits.some_labelled(prepared.segments, fold, config.labelled, draw) for fold in folds]
    rows.append(protocols.evaluate(
        arm.name, method, TransferData(views, None), prepared.segments, len(prepared.labels),
        config.protocol, drawn, (cell.seed,), None, settings)[0])
  row, wall_s = rows[0], sum(row['wall_s'] for row in rows)
  per_subject = {s: {name: round(float(np.mean([each['per_subject'][s][name] for each in rows])), 6)
                     for name in results.SCORES} for s in row['per_subject']}
  return {'key': cell.key, 'arm': arm.name, 'factor': arm.factor, 'seed': cell.seed,
          'uses_target': row['uses_target'], 'per_subject': per_subject, 'code': code,
          'split_hash': row['split_hash'], 'commit': row['commit'], 'wall_s': round(wall_s, 1),
          'config': row['config']}
