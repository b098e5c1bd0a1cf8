"""Fatigue, end to end and resumable: built records -> features -> folds -> scores -> other datasets."""

import collections
import dataclasses
import hashlib
import json
import os
import pathlib
from typing import Any

from absl import logging
import numpy as np
import tqdm

from aemg_jax import config as config_lib
from aemg_jax import sources
from aemg_jax.data import splits
from aemg_jax.evaluation import (
    fatigue_embedding, fatigue_explain, fatigue_pairs, fatigue_report, fatigue_saliency, fatigue_scores,
    fatigue_transfer, results)
from aemg_jax.evaluation.fatigue_methods import (
    ClassicalMethod, FatigueData, MajorityMethod, NetworkMethod, Predictions, ThresholdMethod)
from aemg_jax.sequences import sequences as sequences_lib
from aemg_jax.sequences import trials as trials_lib

RESULTS_FILE = 'fatigue_results.json'
TABLE_FILE = 'fatigue_table.md'
FOLDS = ('subject', 'effort')


@dataclasses.dataclass(frozen=True)
class DataConfig:
  """A built dataset as sequences.

  Attributes:
    path: below the folder of built datasets.
    windows, sequence: how it is cut.
    sessions, without_labels: sessions to read (empty is all), and records of these labels left out.
  """
  path: str
  windows: trials_lib.WindowConfig = trials_lib.WindowConfig()
  sequence: sequences_lib.SequenceConfig = sequences_lib.SequenceConfig()
  sessions: tuple[str, ...] = ()
  without_labels: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class NamedMethod:
  """Attributes:
    name: in tables.
    method: what it is.
    pairs: trains it again for pairs of people (fatigue_pairs).
    embedding: of a checkpoint's frozen encoder as a further input, of `fatigue_embedding.KINDS`.
  """
  name: str
  method: NetworkMethod | ClassicalMethod | ThresholdMethod | MajorityMethod
  pairs: bool = True
  embedding: str = ''

  def __post_init__(self):
    network = isinstance(self.method, NetworkMethod)
    if self.embedding not in fatigue_embedding.KINDS or (self.embedding and not network):
      raise ValueError(f'NamedMethod.embedding: got {self.embedding!r} for {self.name!r}, expected one of '
                       f'{fatigue_embedding.KINDS}, and of a network')


@dataclasses.dataclass(frozen=True)
class FatigueConfig:
  """Attributes:
    title: of the run.
    data: trained and tested on.
    folds: 'subject' leaves one out, 'effort' one effort and half of the people (see fatigue_pairs).
    synthetic: the data come from a generator, and table and report say so.
    methods: rows of the table.
    seeds: of networks and forests.
    rising: a dataset without ratings; does the score rise along it?
    flat: a dataset of efforts without fatigue; does the score stay flat over them?
    transferred: the method whose score is asked there, trained on all of `data`; '' asks none.
  """
  title: str
  data: DataConfig
  methods: tuple[NamedMethod, ...]
  seeds: tuple[int, ...] = (0,)
  rising: DataConfig = DataConfig('')
  flat: DataConfig = DataConfig('')
  transferred: str = ''
  folds: str = 'subject'
  synthetic: bool = False

  def __post_init__(self):
    names = [m.name for m in self.methods]
    if len(set(names)) < len(names):
      raise ValueError(f'FatigueConfig.methods: got {names}, expected different names')
    if self.folds not in FOLDS:
      raise ValueError(f'FatigueConfig.folds: got {self.folds!r}, expected one of {FOLDS}')
    networks = [m.name for m in self.methods if isinstance(m.method, NetworkMethod)]
    if self.transferred and self.transferred not in networks:
      raise ValueError(f'FatigueConfig.transferred: got {self.transferred!r}, expected one of {networks}')


def run(config: FatigueConfig, data_dir: str, workdir: str, checkpoint: str = '') -> None:
  """Writes features/, predictions/, splits/, RESULTS_FILE, TABLE_FILE and the report; keeps what is there.

  Args:
    config: see FatigueConfig.
    data_dir: folder of built datasets (data_builders.build).
    workdir: of the run.
    checkpoint: of a masked model, for methods with embeddings.

  Raises:
    ValueError: a dataset that is not built, too short for a sequence, a fold of one class.
  """
  root = pathlib.Path(workdir)
  asked = {named.embedding for named in config.methods} - {''}
  if asked and not checkpoint:
    raise ValueError('evaluate: methods read embeddings of a frozen encoder, expected --checkpoint=WORKDIR')
  sequences, refused = load_sequences(config.data, data_dir, root / 'features')
  folds = _folds(config, sequences)
  mark = _hash({'features': _digest(sequences), 'split': splits.split_hash(folds)})
  plain = FatigueData(sequences, str(root / 'splits' / mark), {})
  views = {'': (plain, mark)} | {kind: _with_embedding(
      plain, mark, config, kind, data_dir, checkpoint, root / 'features') for kind in sorted(asked)}
  report = {
      'title': config.title, 'synthetic': config.synthetic, 'labels': list(sequences_lib.CLASS_NAMES),
      'rows': [], 'config': config_lib.as_plain(config), 'sequences': _counts(sequences),
      'refused': refused}
  for named in config.methods:
    report['rows'].append(_row(named, *views[named.embedding], folds, config, root / 'predictions'))
    _write(root, report)
  networks = [m.method for m in config.methods if isinstance(m.method, NetworkMethod) and m.method.split]
  if networks:
    report['split'] = _split_report(networks[-1], plain, folds, config.seeds[0])
    _write(root, report)
  if config.transferred:
    _explained(config, plain, mark, folds, data_dir, root, report)
  if config.folds == 'subject':
    pairs = fatigue_pairs.pair_folds(sequences.segments)
    for named, row in zip(config.methods, report['rows']):
      if named.pairs:
        parts = _predict(named, *views[named.embedding], pairs, config.seeds[0], root / 'predictions')
        row['pairs'] = fatigue_pairs.score(parts, sequences)
        _write(root, report)
  logging.info('report: %s', fatigue_report.write(root, report))


def _folds(config: FatigueConfig, sequences: sequences_lib.Sequences) -> tuple[splits.Fold, ...]:
  if config.folds == 'effort':
    return fatigue_pairs.effort_folds(sequences)
  return splits.loso(sequences.segments, splits.select_subjects(sequences.segments, (), 'subjects'))


def _row(named: NamedMethod, data: FatigueData, mark: str, folds, config: FatigueConfig,
         folder: pathlib.Path) -> dict[str, Any]:
  """Scores of a method over all folds."""
  by_seed = _by_seed(named, data, mark, folds, config.seeds, folder)
  row = {'method': named.name, 'config': config_lib.as_plain(named.method), 'embedding': named.embedding,
         'split_hash': splits.split_hash(folds)} | fatigue_scores.summarise(by_seed, data.sequences)
  if config.folds == 'effort':
    row['by_effort'] = fatigue_scores.by_effort(by_seed, data.sequences)
  logging.info('fatigue: %s: macro-F1 %.3f, Borg MAE %.2f', named.name,
               row['mean']['class_macro_f1'], row['mean']['borg_mae'])
  return row


def _by_seed(named: NamedMethod, data: FatigueData, mark: str, folds, seeds,
             folder: pathlib.Path) -> dict[int, Predictions]:
  """Predictions of all folds, by seed."""
  return {seed: Predictions(*(np.concatenate(arrays) for arrays in zip(
      *_predict(named, data, mark, folds, seed, folder)))) for seed in seeds}


def _explained(config: FatigueConfig, data: FatigueData, mark: str, folds, data_dir: str,
               root: pathlib.Path, report: dict[str, Any]) -> None:
  """What the transferred method does elsewhere, attends to and predicts over time."""
  named, seed = next(m for m in config.methods if m.name == config.transferred), config.seeds[0]
  others = {name: load_sequences(part, data_dir, root / 'features')
            for name, part in (('rising', config.rising), ('flat', config.flat)) if part.path}
  key = _hash({'data': mark, 'method': config_lib.as_plain(named.method)})
  if others:
    report['transfer'] = fatigue_transfer.measure(
        named.method, data, others, seed, str(root / 'model' / key))
    _write(root, report)
  by_seed = _by_seed(named, data, mark, folds, config.seeds, root / 'predictions')
  report['trajectories'] = fatigue_explain.trajectories(by_seed, data.sequences)
  if named.method.has_fusion:
    path = root / 'explained' / f'{key}-seed{seed}.json'
    if not path.exists():
      path.parent.mkdir(parents=True, exist_ok=True)
      text = json.dumps(fatigue_explain.explain(named.method, data, folds, seed))
      path.write_text(text, encoding='utf-8')
    report['explained'] = json.loads(path.read_text(encoding='utf-8'))
  _write(root, report)


def _with_embedding(data: FatigueData, mark: str, config: FatigueConfig, kind: str, data_dir: str,
                    checkpoint: str, cache_dir: pathlib.Path) -> tuple[FatigueData, str]:
  """The data with a frozen encoder's embeddings, and their mark; the feature splits stay the same."""
  records = list(sources.read_records(os.path.join(data_dir, config.data.path)))
  path = _trials_path(config.data, data_dir, cache_dir)
  by_record = fatigue_embedding.load(records, _load_trials(path)[0], config.data.sequence, checkpoint,
                                     kind, config.seeds[0], cache_dir)
  embedding_bwe = fatigue_embedding.of_sequences(data.sequences, by_record)
  digest = hashlib.sha256(embedding_bwe.tobytes()).hexdigest()
  return (data._replace(trained={}, embedding_bwe=embedding_bwe),
          _hash({'data': mark, 'embedding': digest}))


def load_sequences(config: DataConfig, data_dir: str,
                   cache_dir: pathlib.Path) -> tuple[sequences_lib.Sequences, dict[str, int]]:
  """Sequences of a built dataset and refusals by reason; features are computed once per settings."""
  path = _trials_path(config, data_dir, cache_dir)
  if not path.exists():
    source = sources.read_records(os.path.join(data_dir, config.path))
    found, rejects = [], collections.Counter()
    for record in tqdm.tqdm(source, desc=f'features {source.meta.name}', unit='record', disable=None):
      if config.sessions and record.session not in config.sessions:
        continue
      if any(label.name in config.without_labels for label in record.labels):
        continue
      trial, refused = trials_lib.make_trial(record, config.windows)
      found.append(trial)
      rejects += refused
    _save_trials(path, found, rejects)
  trials, rejects = _load_trials(path)
  sequences, refused = sequences_lib.make_sequences(trials, config.sequence)
  return sequences, dict(rejects + refused)


def _trials_path(config: DataConfig, data_dir: str, cache_dir: pathlib.Path) -> pathlib.Path:
  meta = sources.read_records(os.path.join(data_dir, config.path)).meta
  key = _hash({'fingerprint': meta.fingerprint, 'windows': config_lib.as_plain(config.windows),
               'sessions': list(config.sessions), 'without': list(config.without_labels)})
  return cache_dir / f'{meta.name}-{key}.npz'


def _predict(named: NamedMethod, data: FatigueData, mark: str, folds, seed: int,
             folder: pathlib.Path) -> list[Predictions]:
  """Each fold's predictions, from their files where they are."""
  key = _hash({'data': mark, 'method': config_lib.as_plain(named.method), 'seed': seed})
  parts = []
  for fold in tqdm.tqdm(folds, desc=named.name, unit='fold', disable=None):
    path = folder / f'{named.name.replace(" ", "_")}-{fold.name}-seed{seed}-{key}.npz'
    if not path.exists():
      results.save_predictions(path, named.method.predict(data, fold, seed), data.sequences.segments)
    with np.load(path, allow_pickle=False) as stored:
      parts.append(Predictions(*(stored[field] for field in Predictions._fields)))
  return parts


def _save_trials(path: pathlib.Path, trials: list[trials_lib.Trial], rejects: collections.Counter) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  arrays = {f'{i}/{name}': value for i, trial in enumerate(trials) for name, value in trial._asdict().items()}
  temporary = path.with_suffix('.tmp.npz')
  np.savez_compressed(temporary, n_trials=len(trials), rejects=json.dumps(rejects), **arrays)
  os.replace(temporary, path)


def _load_trials(path: pathlib.Path) -> tuple[list[trials_lib.Trial], collections.Counter]:
  with np.load(path, allow_pickle=False) as stored:
    plain = lambda x: str(x) if x.dtype.kind == 'U' else x
    trials = [trials_lib.Trial(*(plain(stored[f'{i}/{name}']) for name in trials_lib.Trial._fields))
              for i in range(int(stored['n_trials']))]
    return trials, collections.Counter(json.loads(str(stored['rejects'])))


def _split_report(method: NetworkMethod, data: FatigueData, folds, seed: int) -> dict[str, Any]:
  """The features' groups in every fold, and how well the folds agree."""
  found = {fold.name: method.find_split(data, fold, seed) for fold in folds}
  return {'jaccard': fatigue_saliency.stability(list(found.values())),
          'folds': {name: fatigue_saliency.as_json(split) for name, split in found.items()}}


def _write(root: pathlib.Path, report: dict[str, Any]) -> None:
  """Both files, each whole or as it was."""
  for name, text in ((RESULTS_FILE, json.dumps(report, indent=1, allow_nan=False) + '\n'),
                     (TABLE_FILE, fatigue_scores.table_of(report))):
    temporary = root / f'{name}.tmp'
    temporary.write_text(text, encoding='utf-8')
    os.replace(temporary, root / name)


def _counts(sequences: sequences_lib.Sequences) -> dict[str, Any]:
  borg, n = np.unique(sequences.borg_b, return_counts=True)
  return {'n': len(sequences.borg_b), 'windows': sequences.feature_bwcf.shape[1],
          'by_class': np.bincount(sequences.segments['label'], minlength=3).tolist(),
          'by_borg': {f'{b:g}': int(k) for b, k in zip(borg, n)}}


def _digest(sequences: sequences_lib.Sequences) -> str:
  return hashlib.sha256(sequences.feature_bwcf.tobytes() + sequences.borg_b.tobytes()).hexdigest()


def _hash(values: dict[str, Any]) -> str:
  return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:10]
