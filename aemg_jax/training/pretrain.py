"""Pre-training on every gesture set that was built: each prepared once, all in one mixture."""

import dataclasses
import glob
import json
import os
import pathlib
from collections.abc import Sequence

from absl import logging
import numpy as np

from aemg_jax import sources
from aemg_jax.sentences import cache, devices, prepare
from aemg_jax.training import jobs

LEAST_LABELS = 2  # a set of fewer names no gestures: fatigue, pose or one exercise


@dataclasses.dataclass(frozen=True)
class PretrainConfig:
  """Attributes:
    job: of one step. Its `subjects` restrict the sets that they name; other sets give everybody.
    leave_out: NAME or NAME/CONFIG of built sets that are not used. Whoever is to be tested later
      must be in a set that is left out, or be left out by `job.subjects`.
    num_shards: of each prepared set.
  """
  job: jobs.JobConfig
  leave_out: tuple[str, ...] = ()
  num_shards: int = 4


@dataclasses.dataclass(frozen=True)
class Found:
  """A built set, and why it is not used ('' if it is)."""
  path: str
  meta: sources.DatasetMeta
  why_not: str

  @property
  def name(self) -> str:
    return devices.source_name(self.meta)


def find(config: PretrainConfig, data_dir: str) -> list[Found]:
  """Every built set below the data directory, by name; the newest version of each.

  Raises:
    ValueError: no set is left, or two have the same raw files.
  """
  folders = [pathlib.Path(path).parent for depth in ('*/*', '*/*/*') for path in
             glob.glob(os.path.join(glob.escape(data_dir), depth, sources.INFO_FILE))]
  newest = {folder.parent: folder for folder in sorted(folders) if 'incomplete.' not in folder.name}
  found, raw = [], {}
  for path in sorted(newest.values()):
    source = sources.read_records(path)
    name = devices.source_name(source.meta)
    why_not = ''
    if {name, source.meta.name} & set(config.leave_out):
      why_not = 'left out by the config'
    elif source[0].kind != 'emg':
      why_not = f'holds {source[0].kind}, no EMG'
    elif len(source.meta.label_names) < LEAST_LABELS:
      why_not = 'names no gestures'
    found.append(Found(str(path), source.meta, why_not))
    digest = json.loads((path / sources.METADATA_FILE).read_text()).get('raw_sha256', '')
    if digest and not why_not and raw.setdefault(digest, name) != name:
      raise ValueError(f'{data_dir}: {raw[digest]} and {name} come from the same raw files, expected one '
                       'of them in PretrainConfig.leave_out')
  if all(f.why_not for f in found):
    raise ValueError(f'{data_dir}: no built gesture set among {[f.name for f in found]}, expected at least one')
  return found


def prepare_all(config: PretrainConfig, data_dir: str, workdir: str, dry_run: bool = False) -> str:
  """Prepares each set into workdir/prepared/NAME; those that are there are kept.

  Returns:
    A table of all sets, and of those that are left out the reason.
  """
  lines = [('set', 'people', 'hours', 'licence', 'what becomes of it')]
  for one in find(config, data_dir):
    out = os.path.join(workdir, 'prepared', one.name.replace('/', '-'))
    there = os.path.exists(os.path.join(out, cache.META_FILE))
    counts = one.meta.counts
    lines.append((one.name, counts['subjects'], f'{counts["seconds"] / 3600:.2f}', one.meta.licence.partition(' (')[0],
                  one.why_not or ('prepared already' if there else 'to be prepared')))
    if not dry_run and not one.why_not:
      os.makedirs(os.path.dirname(out), exist_ok=True)
      prepare.prepare([one.path], out, config.job.prepare, config.num_shards)
  return _table(lines)


def prepared_sets(folders: Sequence[str]) -> list[str]:
  """Prepared sets, each given itself or by a folder of several."""
  found = []
  for folder in map(pathlib.Path, folders):
    inside = sorted(str(path.parent) for path in folder.glob('*/' + cache.META_FILE))
    found += inside if inside and not (folder / cache.META_FILE).exists() else [str(folder)]
  return found


def train(config: PretrainConfig, prepared: Sequence[str], workdir: str, init: str = '',
          dry_run: bool = False) -> str:
  """Trains on all prepared sets together, or only says what it would train on.

  Returns:
    A table of the sets: people, sentences, words, share of a batch and passes over the set.
  """
  dirs = prepared_sets(prepared)
  job, sets = jobs.open_sets(config.job, dirs)
  job = dataclasses.replace(job, subjects=_subjects(job.subjects, sets))
  parts = jobs.mixture(dataclasses.replace(job, in_memory=False, align=False), sets)
  table = describe(job, sets, parts)
  logging.info('pretrain:\n%s', table)
  if not dry_run:
    jobs.run(job, dirs, workdir, init)
  return table


def _subjects(patterns: Sequence[str], sets: Sequence[cache.Prepared]) -> tuple[str, ...]:
  """Patterns of the datasets that are there, and everybody of those that no pattern names."""
  names = sorted({name for prepared in sets for name in prepared.segments['dataset'].tolist()})
  known = [pattern for pattern in patterns if pattern.split(':')[0] in names]
  named = {pattern.split(':')[0] for pattern in known}
  return (*known, *(f'{name}:*' for name in names if name not in named))


def describe(job: jobs.JobConfig, sets: Sequence[cache.Prepared], parts: Sequence[jobs.Part]) -> str:
  """What a run sees of each set, and how often."""
  size = np.array([len(part.source) for part in parts], float)
  share = np.array(jobs.shares(job, parts) or (size / size.sum()).tolist())
  lines = [('set', 'people', 'electrodes', 'Hz', 'sentences', 'words', 'share %', 'passes')]
  drawn = job.loop.steps * job.batch_size
  words = 0
  for part, n, p in zip(parts, size, share):
    prepared = sets[part.prepared]
    device = next(d for d in prepared.meta['devices'] if d['source'] == part.name)
    of = prepared.segments['session_index'][part.rows]
    mine = int(prepared.sessions['feature_count'][np.unique(of)].sum())
    words += mine
    electrodes = sorted({f'{len(e["kept"])} of {e["of"]}' for e in device['electrodes']})
    lines.append((part.name, len(np.unique(prepared.segments['subject'][part.rows])), ', '.join(electrodes),
                  f'{device["rate_hz"][0]:g}' + ' envelope' * (True in device['envelope']), int(n), mine,
                  f'{100 * p:.1f}', f'{drawn * p / n:.1f}'))
  return _table(lines) + (
      f'{len(parts)} sets, {int(size.sum())} sentences, {words} words; temperature {job.temperature:g}\n'
      f'{job.loop.steps} steps of {job.batch_size} sentences on a grid of {job.prepare.sentence.max_slots} x '
      f'{job.prepare.sentence.max_channels} words\n')


def _table(lines: Sequence[Sequence[object]]) -> str:
  widths = [max(len(str(line[i])) for line in lines) for i in range(len(lines[0]))]
  return ''.join('  '.join(str(x).ljust(w) for x, w in zip(line, widths)).rstrip() + '\n' for line in lines)
