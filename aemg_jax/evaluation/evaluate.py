"""Runs every method under every protocol of a config, resumably, and leaves what the report needs."""

import dataclasses
import datetime
import json
import os
import pathlib
import platform
from typing import Any

from absl import logging
import jax
import numpy as np

from aemg_jax import config as config_lib
from aemg_jax.data import frames, splits
from aemg_jax.evaluation import (
    baselines, calibration_curve, codebook, few_subjects, protocols, results, showcase)
from aemg_jax.evaluation import delays as delays_lib
from aemg_jax.evaluation import report as report_lib
from aemg_jax.evaluation.transfer import Pretrained, TransferData, TransferMethod
from aemg_jax.evaluation.window_table import WindowTable
from aemg_jax.models.sentence_encoder import EncoderConfig
from aemg_jax.sentences import cache
from aemg_jax.sentences.views import View, view_path
from aemg_jax.sentences.words import with_channels
from aemg_jax.training import checkpoints, export_files, jobs

FEATURE_SCALE = 10.0
RUN_FILE = 'run.json'
RESULTS_FILE = 'results.json'


@dataclasses.dataclass(frozen=True)
class Network:
  """A named network; `protocols` are titles, empty is all."""
  name: str
  network: TransferMethod
  protocols: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class EvaluateConfig:
  """Attributes:
    title: of the report.
    views: prepared sets of the run, by scale; 'fixed' also feeds the baselines.
    protocols: which folds.
    baselines: names of `baselines.BASELINES`.
    networks: trained or probed for every fold.
    seeds: of the networks.
    probe_protocol: the protocol whose folds measure the codebook; empty measures none.
    synthetic: the data come from a generator, and the report says so.
    curve: accuracy against seconds of unlabelled data.
    delays: accuracy against decision delay, of every row from its stored predictions.
    few: accuracy against the number of labelled people.
  """
  title: str
  views: tuple[View, ...]
  protocols: tuple[protocols.ProtocolConfig, ...]
  baselines: tuple[str, ...] = ()
  networks: tuple[Network, ...] = ()
  seeds: tuple[int, ...] = (0,)
  probe_protocol: str = 'loso'
  synthetic: bool = False
  curve: calibration_curve.CurveConfig = calibration_curve.CurveConfig()
  delays: delays_lib.DelayConfig = delays_lib.DelayConfig()
  few: few_subjects.FewSubjectsConfig = few_subjects.FewSubjectsConfig()

  def __post_init__(self):
    names = [view.name for view in self.views]
    for view in self.views:
      if view.name != view.prepare.rectify.scale:  # or rows would not be what they say of the target
        raise ValueError(f'EvaluateConfig.views: view {view.name!r} has the scale '
                         f'{view.prepare.rectify.scale!r}, expected the one of its name')
    needed = ['session'] * bool(self.protocols) + ['fixed'] * bool(self.needs_table or self.curve.seconds)
    needed += [n.network.view for n in self.networks + self.few.networks]
    missing = sorted(set(needed) - set(names))
    if missing or len(set(names)) < len(names):
      raise ValueError(f'EvaluateConfig.views: got {names}, expected each of {sorted(set(needed))} once')
    known = [*self.baselines, *(n.name for n in self.networks)]
    for name in self.delays.short:
      if name not in known:
        raise ValueError(f'DelayConfig.short: got {name!r}, expected some of {known}')
    kinds = [p.kind for p in self.protocols]
    if self.protocols and self.probe_protocol and self.probe_protocol not in kinds:
      raise ValueError(f'EvaluateConfig.probe_protocol: got {self.probe_protocol!r}, expected one of {kinds}')

  @property
  def needs_table(self) -> bool:
    """Whether anything reads classical features of windows."""
    networks = self.networks + self.few.networks
    return bool(self.baselines or self.curve.baselines or any(n.network.features for n in networks))


def run(config: EvaluateConfig, workdir: str, checkpoint: str = '', tokeniser: str = '',
        split: str = '') -> None:
  """Evaluates into workdir/results.json, predictions/ and figure_data/; rows already there are kept.

  Args:
    config: see EvaluateConfig.
    workdir: holds prepared/VIEW of `aemg prepare`.
    checkpoint: work directory or export of the masked model, for networks that start from it.
    tokeniser: work directory of the VQ model, for the codebook's rows; '' leaves them out.
    split: an explicit split table in place of the config's protocols.

  Raises:
    ValueError: prepared data of another config, a checkpoint of another size, a malformed split.
  """
  results.git_commit()  # of the code that runs, whatever is checked out while it does
  views = {v.name: cache.open_prepared(view_path(workdir, v.name), v.prepare) for v in config.views}
  first = next(iter(views.values()))
  config = _with_channels(config, first.config.sentence.max_channels)
  segments, labels = first.segments, first.labels
  wanted = config.protocols
  if split:
    wanted = (protocols.ProtocolConfig(kind='table', table=split),)
  pretrained = _pretrained(checkpoint, config)
  if pretrained is not None:
    pretrained = pretrained._replace(frame=_frame(checkpoint, config, first))
  for name in config.baselines:
    baselines.baseline(name)
  folds_of = {protocol: protocols.make_folds(segments, protocol) for protocol in wanted}
  _write_run(config, workdir, first)
  rows = _rows_so_far(workdir, labels)
  table = _window_table(views['fixed']) if config.needs_table else None
  data = TransferData(views, pretrained, table)
  for protocol, folds in folds_of.items():
    for name, method, source, seeds in _methods(config, protocol, data, table):
      _one(rows, workdir, first, config.delays, protocol, folds, name, method, source, seeds, pretrained)
  if config.curve.seconds:
    calibration_curve.run(config.curve, workdir, data, table, config.seeds, pretrained.hash if pretrained else None)
  if config.few.labelled:
    few_subjects.run(config.few, workdir, data, pretrained.hash if pretrained else None)
  if tokeniser and config.probe_protocol:
    probed = next(p for p in config.protocols if p.kind == config.probe_protocol)
    codes = codebook.load(tokeniser, views['session'])
    codebook.measure(codes, views['session'], protocols.make_folds(segments, probed), workdir)
    showcase.codes_and_words(codes, views['session'], workdir)
  showcase.recording(views['session' if 'session' in views else 'fixed'], workdir)


def _methods(config: EvaluateConfig, protocol, data: TransferData, table: WindowTable | None):
  for name in config.baselines:
    yield name, baselines.baseline(name), table, (0,)
  for network in config.networks:
    if not network.protocols or protocol.title in network.protocols or protocol.kind == 'table':
      yield network.name, network.network, data, config.seeds


def _one(rows, workdir, prepared: cache.Prepared, wanted: delays_lib.DelayConfig, protocol, folds, name,
         method, source, seeds, pretrained):
  """One row, unless the same one is there: same method, settings, split, seeds, checkpoint and lengths."""
  uses_checkpoint = getattr(method, 'start', '') == 'checkpoint'
  checkpoint_hash = pretrained.hash if uses_checkpoint and pretrained else None
  settings = {'method': config_lib.as_plain(method), 'protocol': config_lib.as_plain(protocol)}
  identity = json.loads(json.dumps({
      'method': name, 'protocol': protocol.title, 'config': settings, 'seeds': list(seeds),
      'split_hash': splits.split_hash(folds), 'checkpoint_hash': checkpoint_hash}))
  short = wanted.short_samples(name, prepared.config)
  files = delays_lib.prediction_files(workdir, protocol.title, name, seeds, prepared.config, short)
  row = next((row for row in rows if all(row[k] == v for k, v in identity.items())), None)
  if row is None or delays_lib.lacks(row, short):
    run = delays_lib.WithShort(method, short) if short else method
    known, commits = ({}, {}) if short else _other_seeds(rows, identity, files)
    row, by_seed = protocols.evaluate(name, run, source, prepared.segments, len(prepared.labels), protocol,
                                      folds, seeds, checkpoint_hash, settings, known)
    row |= {'commits': commits} if commits else {}  # of the seeds that were there already
    for (length, seed), path in files.items():
      predictions = results.concatenate(run.found[length][seed]) if length in short else by_seed[seed]
      results.save_predictions(path, predictions, prepared.segments)
    logging.info('evaluate: %s %s: repetition %.1f %%, window %.1f %% (%.0f s)', protocol.title, name,
                 100 * row['mean']['repetition'], 100 * row['mean']['window'], row['wall_s'])
  elif delays_lib.measured(row, wanted) or not all(path.exists() for path in files.values()):
    logging.info('evaluate: %s %s is there already', protocol.title, name)
    return
  if wanted.ms:
    row['delays'] = delays_lib.measure(wanted, delays_lib.load(files), prepared.config, prepared.segments)
  rows[:] = [r for r in rows if (r['method'], r['protocol']) != (name, protocol.title)] + [row]
  results.write_results(pathlib.Path(workdir) / RESULTS_FILE, prepared.labels, rows)


def _other_seeds(rows, identity, files) -> tuple[dict[int, results.Predictions], dict[str, str]]:
  """Predictions of a row that is the same but for its fewer seeds, and the commit of each."""
  same = [row for row in rows if all(row[k] == v for k, v in identity.items() if k != 'seeds')]
  seeds = set(same[0]['seeds']) & set(identity['seeds']) if same else set()
  found = {seed: results.load_predictions(path) for (_, seed), path in files.items() if seed in seeds and path.exists()}
  commits = same[0].get('commits', {}) if same else {}
  return found, {str(seed): commits.get(str(seed), same[0]['commit']) for seed in found}


def _pretrained(checkpoint: str, config: EvaluateConfig) -> Pretrained | None:
  """The encoder of a checkpoint, which must have the shape of the config's encoders."""
  wanted = [n.network for n in config.networks + config.curve.networks + config.few.networks
            if n.network.start == 'checkpoint']
  if not checkpoint:
    if wanted:
      raise ValueError('evaluate: networks start from a checkpoint, expected --checkpoint=WORKDIR')
    return None
  if export_files.is_export(checkpoint):
    meta, params, *_ = export_files.read(checkpoint)
  else:
    meta, params = checkpoints.load_meta(checkpoint), checkpoints.load_params(checkpoint)
  if 'job' not in meta or 'encoder' not in meta['job']['task']['model']:
    raise ValueError(f'{checkpoint}: holds no sentence encoder, expected one that aemg train wrote')
  stored = config_lib.section(EncoderConfig, meta['job']['task']['model']['encoder'], f'{checkpoint}: encoder')
  for method in wanted:
    encoder = method.model.encoder
    if encoder.mixing == 'slots':  # has no parameter of a channel, so another montage's grid will do
      encoder = dataclasses.replace(encoder, max_channels=stored.max_channels)
    found = cache.difference(*(json.loads(json.dumps(config_lib.as_plain(c))) for c in (stored, encoder)))
    view = next(v for v in config.views if v.name == method.view)
    found = found or cache.difference(
        meta['job']['prepare']['word'], config_lib.as_plain(view.prepare.word), 'word')
    if found:
      raise ValueError(f'{checkpoint}: encoder of another size or kind: {found}')
  encoder = params['encoder']
  return Pretrained(encoder, checkpoints.params_hash(encoder))


def _frame(checkpoint: str, config: EvaluateConfig, prepared: cache.Prepared) -> frames.Frame | None:
  """The frame that a checkpoint's encoder reads; networks that would show it electrodes elsewhere are refused."""
  if export_files.is_export(checkpoint):
    meta, *_, alignment = export_files.read(checkpoint)
  else:
    meta, alignment = checkpoints.load_meta(checkpoint), checkpoints.load_extra(checkpoint, item='alignment')
  found = jobs.stored_frames(meta, alignment, checkpoint)
  sources = np.unique(prepared.segments['source']).tolist()
  of = {name: frames.frame_of(found, list(meta['split']), name) for name in sources} if found else {}
  if not any(of.values()):
    return None
  if len(sources) > 1:
    raise ValueError(f'{checkpoint}: an encoder of aligned wearers, got {sources}, expected one built set')
  for place, networks in (('networks', config.networks), ('curve.networks', config.curve.networks),
                          ('few.networks', config.few.networks)):
    for entry in networks:
      if entry.network.start == 'checkpoint' and (place != 'networks' or not entry.network.align):
        raise ValueError(f'{checkpoint}: an encoder of aligned wearers: {place} {entry.name!r} would show it '
                         'others, expected align=True among networks')
  return of[sources[0]]


def _with_channels(config: EvaluateConfig, channels: int) -> EvaluateConfig:
  """Views and networks with the prepared sets' number of channels wherever the config leaves that open."""
  networks = tuple(dataclasses.replace(n, network=_network_with_channels(n.network, channels)) for n in config.networks)
  curves = tuple(dataclasses.replace(n, network=with_channels(n.network, channels)) for n in config.curve.networks)
  views = tuple(with_channels(view, channels) for view in config.views)
  curve = dataclasses.replace(config.curve, networks=curves)
  few = dataclasses.replace(config.few, networks=tuple(
      dataclasses.replace(n, network=with_channels(n.network, channels)) for n in config.few.networks))
  return dataclasses.replace(config, networks=networks, views=views, curve=curve, few=few)


def _network_with_channels(method: TransferMethod, channels: int) -> TransferMethod:
  teachers = tuple(with_channels(teacher, channels) for teacher in method.teachers)
  return dataclasses.replace(with_channels(method, channels), teachers=teachers)


def _window_table(prepared: cache.Prepared) -> WindowTable:
  """Rectified signals in tenths of the device's fixed scale, padding left out.

  The constants that log features add are METHOD 5.6's, in counts of a Myo, a tenth of its fixed scale: in volts
  they would swamp every signal.
  """
  used_c = prepared.segments['valid_c'].any(axis=0)

  def signal_of(segment: int):
    row = prepared.rectified[segment]
    return row['signal_tc'][:row['n_samples'], used_c] * FEATURE_SCALE

  return WindowTable(prepared.segments, signal_of, len(prepared.labels),
                     prepared.config.rectify.rate_hz)


def _rows_so_far(workdir: str, labels) -> list[dict[str, Any]]:
  path = pathlib.Path(workdir) / RESULTS_FILE
  if not path.exists():
    return []
  stored = _read_json(path, ('labels', 'rows'))
  if stored['labels'] != list(labels):
    raise ValueError(f'{path}: labels {stored["labels"]}, expected {list(labels)}; take another --workdir')
  return stored['rows']


def _read_json(path: pathlib.Path, keys: tuple[str, ...]) -> dict[str, Any]:
  try:
    stored = json.loads(path.read_text(encoding='utf-8'))
  except ValueError as error:
    raise ValueError(f'{path}: damaged ({error}), expected what aemg evaluate wrote') from error
  if not isinstance(stored, dict) or not set(keys) <= set(stored):
    raise ValueError(f'{path}: damaged, expected the keys {list(keys)}')
  return stored


def _write_run(config: EvaluateConfig, workdir: str, prepared: cache.Prepared) -> None:
  datasets = [{'name': d['name'], 'version': d['version'], 'licence': d['licence'],
               'synthetic': config.synthetic} for d in prepared.meta['datasets']]
  stored = {'title': config.title, 'datasets': datasets}
  path = os.path.join(workdir, RUN_FILE)
  with open(path + '.tmp', 'w', encoding='utf-8') as file:
    json.dump(stored, file, indent=1)
  os.replace(path + '.tmp', path)


def report(workdir: str) -> None:
  """Writes report.html and report.md from what `run` left in the work directory."""
  path = pathlib.Path(workdir) / RUN_FILE
  if not path.exists():
    raise ValueError(f'{path}: not found, expected a work directory of aemg evaluate')
  stored = _read_json(path, ('title', 'datasets'))
  header = report_lib.RunHeader(
      title=stored['title'], config=stored['title'], commit=results.git_commit(),
      date=datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%d'),
      hardware=f'{jax.device_count()} x {jax.devices()[0].device_kind}, {os.cpu_count()} cores, '
      f'{platform.machine()}, jax {jax.__version__}',
      datasets=tuple(report_lib.Dataset(**d) for d in stored['datasets']))
  report_lib.write_report(workdir, header)
