"""Fatigue from motion, end to end and resumable: built records -> windows -> splits S0 to S3 -> tables, a
model for serving, pictures, report.

Synthetic and recorded data never share a table or a file of results.
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from absl import logging
import numpy as np
import tqdm

from aemg_jax import config as config_lib
from aemg_jax import sources
from aemg_jax.data import motion_splits, splits
from aemg_jax.evaluation import motion_methods, motion_report, motion_scores, results
from aemg_jax.evaluation.motion_methods import (
    ElapsedMethod, MajorityMethod, NetworkMethod, Predictions, RidgeMethod)
from aemg_jax.sequences import motion
from aemg_jax.signal import kinematics
from aemg_jax.signal.wavelets import WaveletConfig

MODEL_FOLDER = 'model'


@dataclasses.dataclass(frozen=True)
class NamedMethod:
  """A method, its name in tables, and the splits that it is tried on."""
  name: str
  method: NetworkMethod | RidgeMethod | ElapsedMethod | MajorityMethod
  splits: tuple[str, ...] = motion_splits.NAMES


@dataclasses.dataclass(frozen=True)
class PartConfig:
  """A dataset with its windows and methods.

  Attributes:
    name: of its files.
    path: below the folder of built datasets.
    synthetic: from a generator, and marked so.
    windows: how records are cut.
    methods: rows of the tables.
    blocks, gap_frames: of S1.
    deploy: the method trained on all windows and kept as a checkpoint for `aemg fatigue-video`; '' none.
  """
  name: str
  path: str
  synthetic: bool
  methods: tuple[NamedMethod, ...]
  windows: motion.MotionConfig = motion.MotionConfig()
  blocks: int = 2
  gap_frames: int = 450
  deploy: str = ''

  def __post_init__(self):
    names = [m.name for m in self.methods]
    if len(set(names)) < len(names):
      raise ValueError(f'PartConfig.methods: got {names}, expected different names')
    unknown = sorted({s for m in self.methods for s in m.splits} - set(motion_splits.NAMES))
    if unknown:
      raise ValueError(f'PartConfig.methods: splits: got {unknown}, expected some of {motion_splits.NAMES}')
    networks = [m.name for m in self.methods if isinstance(m.method, NetworkMethod)]
    if self.deploy and self.deploy not in networks:
      raise ValueError(f'PartConfig.deploy: got {self.deploy!r}, expected one of {networks}')


@dataclasses.dataclass(frozen=True)
class MotionFatigueConfig:
  """Attributes:
    title: of the report.
    motion: the datasets.
    seeds: of networks and draws; scores are means over them.
  """
  title: str
  motion: tuple[PartConfig, ...]
  seeds: tuple[int, ...] = (0,)


def run(config: MotionFatigueConfig, data_dir: str, workdir: str) -> None:
  """Writes NAME_results.json, NAME_table.md and NAME/predictions of each part, NAME/model of a deployed one,
  and report.html; predictions and models that are there are kept.

  Raises:
    ValueError: a dataset that is not built, windows that a split cannot divide, a fold of one class.
  """
  root, parts = pathlib.Path(workdir), []
  for part in config.motion:
    source = sources.read_records(os.path.join(data_dir, part.path))
    records = tqdm.tqdm(source, desc=f'windows {part.name}', unit='record', disable=None)
    windows, refused = motion.make_windows(records, part.windows)
    head = {'title': f'{config.title}: {part.name}', 'synthetic': part.synthetic, 'seeds': list(config.seeds),
            'config': config_lib.as_plain(part), 'dataset': source.meta.name,
            'fingerprint': source.meta.fingerprint, 'licence': source.meta.licence,
            'people': sorted(set(windows.segments['subject'].tolist())), 'refused': dict(refused),
            'windows': {'n': len(windows.borg_b), 'fatigued': int(windows.segments['label'].sum())}}
    rows, curves = _rows(root, part, windows, config.seeds, head)
    if part.deploy:
      _deploy(root, part, windows, config.seeds[0], head)
    drawn = motion_report.pictures(part.name, source[0], part.windows, _wavelet(part), curves,
                                   'each person by a network that was trained without this person')
    parts.append(motion_report.PartResult(head | {'rows': rows}, drawn))
  motion_report.write(root, config.title, parts)


def _rows(root: pathlib.Path, part: PartConfig, windows: motion.Windows, seeds: Sequence[int],
          head: dict[str, Any]) -> tuple[list[dict[str, Any]], motion_report.Curves]:
  """A row for every split and method, the files written anew after each; and what the first network says of
  every recording in S2."""
  rows, curves, gap_s = [], {}, part.gap_frames / part.windows.rate_hz
  for split in motion_splits.NAMES:
    for named in (m for m in part.methods if split in m.splits):
      scored = []
      for seed in seeds:
        folds = motion_splits.folds_of(split, windows.segments, gap_s, part.blocks, seed)
        parts = _predict(root / part.name / 'predictions', named, windows, split, folds, seed)
        whole = Predictions(*map(np.concatenate, zip(*parts)))
        scored.append(motion_scores.score(whole, windows))
        if split == 'S2' and not curves and isinstance(named.method, NetworkMethod):
          curves = _curves(whole, windows)
      rows.append({'split': split, 'split_hash': splits.split_hash(folds), 'leaky': split == 'S0',
                   'method': named.name, 'folds': len(folds), 'commit': results.git_commit(),
                   **motion_scores.mean_of(scored)})
      logging.info('%s: %s: %s: macro-F1 %.3f, Borg MAE %.2f', part.name, split, named.name,
                   rows[-1]['all']['macro_f1'], rows[-1]['all']['borg_mae'])
      _write(root, part, head | {'rows': rows})
  return rows, curves


def _curves(predictions: Predictions, windows: motion.Windows) -> motion_report.Curves:
  """{recording: its windows in order of time}."""
  rows, found = predictions.segment_rows, {}
  for record in sorted(set(windows.segments['record_id'][rows].tolist())):
    here = np.flatnonzero(windows.segments['record_id'][rows] == record)
    here = here[np.argsort(windows.elapsed_s_b[rows[here]])]
    found[record] = {'time_s': windows.elapsed_s_b[rows[here]], 'borg': windows.borg_b[rows[here]],
                     'value': predictions.value_b[here], 'score': predictions.score_b[here]}
  return found


def _wavelet(part: PartConfig) -> WaveletConfig:
  """Of the first network; the default where there is none."""
  networks = [m.method for m in part.methods if isinstance(m.method, NetworkMethod)]
  return networks[0].task.wavelet if networks else WaveletConfig()


def _predict(folder: pathlib.Path, named: NamedMethod, windows: motion.Windows, split: str, folds,
             seed: int) -> list[Predictions]:
  """Each fold's predictions, from their files where they are."""
  parts = []
  data = [windows.feature_btf.sum(dtype=np.float64).item(), splits.split_hash(folds), seed]
  key = motion_methods.mark(named.method, *data)
  for fold in tqdm.tqdm(folds, desc=f'{split} {named.name}', unit='fold', disable=None):
    path = folder / f'{split}-{named.name.replace(" ", "_")}-{fold.name}-seed{seed}-{key}.npz'
    if not path.exists():
      results.save_predictions(path, named.method.predict(windows, fold, seed), windows.segments)
    with np.load(path, allow_pickle=False) as stored:
      parts.append(Predictions(*(stored[field] for field in Predictions._fields)))
  return parts


def _deploy(root: pathlib.Path, part: PartConfig, windows: motion.Windows, seed: int,
            head: dict[str, Any]) -> None:
  """Trains on every window and keeps the checkpoint, which says all that serving needs."""
  method = next(m.method for m in part.methods if m.name == part.deploy)
  meta = {
      'kind': 'motion_fatigue', 'task': config_lib.as_plain(method.task),
      'windows': config_lib.as_plain(part.windows), 'features': list(feature_names(part.windows)),
      'class_names': list(motion.CLASS_NAMES), 'fatigued_from_borg': part.windows.fatigued_from,
      'method': part.deploy, 'seed': seed} | {
          key: head[key] for key in ('dataset', 'fingerprint', 'synthetic', 'people')}
  key = motion_methods.mark(method, windows.feature_btf.sum(dtype=np.float64).item(), seed)
  folder = root / part.name / f'{MODEL_FOLDER}-{key}'
  method.train(windows, np.arange(len(windows.borg_b)), seed, 'deploy', str(folder), meta)
  logging.info('%s: model for serving: %s', part.name, folder)


def feature_names(config: motion.MotionConfig) -> tuple[str, ...]:
  """Names of the columns of key-point features; of an IMU they are the sensors', then their slopes."""
  return kinematics.names(config.kinematics) if config.kind == 'keypoints' else ()


def _write(root: pathlib.Path, part: PartConfig, found: dict[str, Any]) -> None:
  """Both files of a part, each whole or as it was."""
  root.mkdir(parents=True, exist_ok=True)
  table = motion_scores.markdown(found['title'], part.synthetic, found['rows'])
  for name, text in ((f'{part.name}_results.json', json.dumps(found, indent=1, allow_nan=False) + '\n'),
                     (f'{part.name}_table.md', table)):
    temporary = root / f'{name}.tmp'
    temporary.write_text(text, encoding='utf-8')
    os.replace(temporary, root / name)
