"""Checkpoints of a run, and the only user of orbax.

    workdir/checkpoints/STEP/params      the parameters to use, restorable alone on any machine
                            /extra       the task's other state (a codebook), likewise
                            /rest        step, key and optimiser state, as a flat {path: leaf}
                            /meta        JSON: config, labels, ..., and a hash of each item

Process 0 writes host numpy arrays, so no file depends on the number of devices or processes. All
processes read: `workdir` must be a folder that all of them see. Where the optimiser averages the
parameters, `params` holds the average, and `rest` those that are trained on.
"""

import concurrent.futures
import json
import operator
import os
import pathlib
import shutil
from collections.abc import Callable, Mapping
from typing import Any

from absl import logging
import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from aemg_jax.training import items, parallel
from aemg_jax.training.items import params_hash
from aemg_jax.training.state import TrainState

PyTree = Any
FOLDER = 'checkpoints'
SCORE = 'score'
TEMPORARY = ocp.utils.TMP_DIR_SUFFIX
DAMAGED = '.damaged'


class Checkpoints:
  """The checkpoints of one work directory; keeps the latest and the one of the lowest score.

  `save` copies the state and a thread writes it; the next `check`, `save` or `close` raises its error.
  """

  def __init__(self, workdir: str | os.PathLike, keep: int = 2, track_best: bool = False,
               prove: Callable[[PyTree], PyTree] | None = None):
    """Opens or makes `workdir`/checkpoints, and removes what a killed run left half-written.

    Args:
      keep: latest checkpoints kept; the one before the latest stands in if that is damaged.
      track_best: keep the one of the lowest score too; only then does `save` take a score.
      prove: parameters -> {item: arrays} that are saved beside them, such as `golden`.
    """
    self._prove = prove
    self._path = os.path.join(os.path.abspath(workdir), FOLDER)
    self._writes, self._manager = jax.process_index() == 0, None
    self._pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix='checkpoint')
    self._pending: concurrent.futures.Future | None = None
    if self._writes:
      os.makedirs(self._path, exist_ok=True)
      self._remove(lambda name: TEMPORARY in name)
      self._forget_damaged_scores()
      self._manager = self._open(keep, track_best)

  def _open(self, keep: int, track_best: bool) -> ocp.CheckpointManager:
    policies, score_of = [checkpoint_managers.LatestN(keep)], operator.itemgetter(SCORE)
    if track_best:
      policies.append(checkpoint_managers.BestN(
          get_metric_fn=score_of, reverse=True, n=1, keep_checkpoints_without_metrics=False))
    return ocp.CheckpointManager(self._path, options=ocp.CheckpointManagerOptions(
        preservation_policy=checkpoint_managers.AnyPreservationPolicy(policies),
        best_fn=score_of if track_best else None, best_mode='min', create=False,
        enable_async_checkpointing=False,  # the thread of `save` is what makes it so
        multiprocessing_options=_alone()))

  @property
  def path(self) -> str:
    return self._path

  def latest_step(self) -> int | None:
    """The newest step, on process 0."""
    self._wait()
    return self._manager.latest_step()

  def best_step(self) -> int | None:
    """The step of the lowest score, on process 0; None if none was saved with one."""
    self._wait()
    return self._manager.best_step()

  def save(self, state: TrainState, meta: Mapping[str, Any], score: float | None = None) -> None:
    """Copies the state to the host and has it written atomically under its own step.

    Args:
      state: on any devices; all processes must call.
      meta: JSON values; the step and hashes of all items are added.
      score: lower is better; None is never the best.

    Raises:
      ValueError: if this one or the one before could not be written; earlier ones are untouched.
    """
    host = parallel.to_host(state)
    if not self._writes:
      return
    self._wait()
    if int(host.step) not in self._manager.all_steps():
      self._check_space(host)
      self._pending = self._pool.submit(self._write, host, dict(meta), score)

  def check(self) -> None:
    """Raises what a write that has ended ran into."""
    if self._pending is not None and self._pending.done():
      self._wait()

  def close(self, meet: bool = True) -> None:
    """Waits for the last write; on all processes, unless not all of them come here."""
    try:
      self._wait()
    finally:
      self._pool.shutdown()
      if self._manager is not None:
        self._manager.close()
    if meet:
      parallel.meet(f'{FOLDER} closed')

  def __enter__(self) -> 'Checkpoints':
    return self

  def __exit__(self, kind, *unused) -> None:
    self.close(meet=kind is None)

  def restore_latest(self, state: TrainState) -> TrainState | None:
    """The latest sound checkpoint as numpy leaves shaped as `state`, or None if there is none.

    A damaged one is put aside, with a warning, and the one before it is taken.

    Raises:
      ValueError: if all are damaged, or the leaves are not those of `state`.
    """
    self._wait()
    step, found = self._latest_sound(state) if self._writes else (-1, None)
    agreed = int(parallel.largest(step))
    if not self._writes and agreed >= 0:
      found = _restore(self._path, agreed, state)
    return found

  def _latest_sound(self, state: TrainState) -> tuple[int, TrainState | None]:
    bad: dict[int, ValueError] = {}
    for step in sorted(self._manager.all_steps(), reverse=True):
      try:
        found = _restore(self._path, step, state)
      except ValueError as error:
        logging.warning('%s; the checkpoint before it is taken, if there is one', error)
        bad[step] = error
        continue
      for name in bad:
        aside = os.path.join(self._path, f'{name}{DAMAGED}')
        shutil.rmtree(aside, ignore_errors=True)
        os.rename(os.path.join(self._path, str(name)), aside)
      self._manager.reload()
      return step, found
    if bad:
      raise bad[max(bad)]
    return -1, None

  def _write(self, host: TrainState, meta: dict[str, Any], score: float | None) -> None:
    step, trees = int(host.step), items.split(host)
    if self._prove is not None:
      trees |= self._prove(trees['params'])
    meta = {**meta, 'step': step, **{f'{name}_hash': params_hash(tree) for name, tree in trees.items()}}
    args = {name: ocp.args.StandardSave(tree) for name, tree in trees.items() if jax.tree.leaves(tree)}
    args['meta'] = ocp.args.JsonSave({**meta, 'meta_hash': items.json_hash(meta)})
    try:
      self._manager.save(step, args=ocp.args.Composite(**args), force=True,
                         metrics=None if score is None else {SCORE: float(score)})
      self._manager.wait_until_finished()
    except Exception as error:  # orbax and tensorstore raise many kinds, a full disk among them
      self._remove(lambda name: name == str(step) or TEMPORARY in name)
      raise ValueError(f'{self._path}: could not write the checkpoint of step {step}: '
                       f'{_one_line(error)}; it needs about {_size_mb(host):.1f} MB, '
                       f'{self._free_mb():.1f} MB are free there') from error

  def _wait(self) -> None:
    pending, self._pending = self._pending, None
    if pending is not None:
      pending.result()

  def _forget_damaged_scores(self) -> None:
    """Orbax reads all scores at once and would not start for one that is damaged."""
    for step in _steps(self._path):
      folder = pathlib.Path(self._path, str(step), 'metrics')
      try:
        float(json.loads((folder / 'metrics').read_bytes())[SCORE])
      except (OSError, ValueError, KeyError, TypeError):
        if folder.is_dir():
          logging.warning('%s: damaged: the score of step %d is forgotten', folder, step)
          shutil.rmtree(folder)

  def _remove(self, unwanted: Callable[[str], bool]) -> None:
    for name in os.listdir(self._path):
      if unwanted(name):
        shutil.rmtree(os.path.join(self._path, name), ignore_errors=True)

  def _check_space(self, host: TrainState) -> None:
    if _size_mb(host) > self._free_mb():
      raise ValueError(f'{self._path}: disk full: a checkpoint needs {_size_mb(host):.1f} MB, '
                       f'{self._free_mb():.1f} MB are free')

  def _free_mb(self) -> float:
    return shutil.disk_usage(self._path).free / 1e6


def load_params(path: str | os.PathLike, abstract: PyTree | None = None) -> PyTree:
  """Parameters alone, as numpy leaves, checked against the stored hash.

  Args:
    path: a work directory (its latest checkpoint), its `checkpoints` folder or one step's folder.
    abstract: a tree of the wanted shapes (arrays or ShapeDtypeStructs); None takes what is stored.

  Raises:
    ValueError: naming the file and the leaf that is missing, left over or of another shape.
  """
  folder = step_folder(path)
  return _checked(folder, 'params', load_meta(folder), abstract)


def load_extra(path: str | os.PathLike, abstract: PyTree | None = None, item: str = 'extra') -> PyTree:
  """The task's other state alone (a codebook), 'golden' or 'alignment', as numpy leaves; {} without one.

  Without `abstract` a named tuple comes back as a dict of its fields.
  """
  folder = step_folder(path)
  return _checked(folder, item, load_meta(folder), abstract)


def load_meta(path: str | os.PathLike) -> dict[str, Any]:
  """The JSON that was saved beside the arrays."""
  folder = step_folder(path)
  try:
    with ocp.Checkpointer(ocp.JsonCheckpointHandler(multiprocessing_options=_alone()),
                          multiprocessing_options=_alone()) as reader:
      meta = reader.restore(os.path.join(folder, 'meta'))
  except ImportError:
    raise  # a broken installation, not a damaged file
  except Exception as error:
    raise _damaged(f'{folder}/meta', error) from error
  if not isinstance(meta, dict) or 'params_hash' not in meta:
    raise ValueError(f'{folder}/meta: damaged: no params_hash in it, expected what save() wrote')
  stored = meta.pop('meta_hash', None)  # the first versions wrote none
  if stored not in (None, items.json_hash(meta)):
    raise ValueError(f'{folder}/meta: damaged: hash {items.json_hash(meta)[:12]}, expected {stored[:12]}')
  return meta


def latest_meta(workdir: str | os.PathLike) -> dict[str, Any] | None:
  """`load_meta` of the newest checkpoint whose own is sound; None without one; raises if none is."""
  errors = []
  for step in sorted(_steps(os.path.join(workdir, FOLDER)), reverse=True):
    try:
      return load_meta(os.path.join(workdir, FOLDER, str(step)))
    except ValueError as error:
      errors.append(error)
  if errors:
    raise errors[0]
  return None


def step_folder(path: str | os.PathLike) -> str:
  """The folder of one step, from a work directory, its `checkpoints` or the folder itself."""
  path = os.path.abspath(path)
  if os.path.isdir(os.path.join(path, 'params')):
    return path
  parent = os.path.join(path, FOLDER) if os.path.isdir(os.path.join(path, FOLDER)) else path
  steps = _steps(parent)
  if not steps:
    raise ValueError(f'{path}: no checkpoint there, expected a work directory with {FOLDER}/STEP')
  return os.path.join(parent, str(max(steps)))


def _steps(parent: str) -> list[int]:
  names = os.listdir(parent) if os.path.isdir(parent) else []
  return [int(name) for name in names if name.isdigit()]


def _restore(path: str, step: int, like: TrainState) -> TrainState:
  folder = os.path.join(path, str(step))
  meta = load_meta(folder)
  found = {name: _checked(folder, name, meta, tree) for name, tree in items.split(like).items()}
  return items.join(like, found)


def _checked(folder: str, item: str, meta: Mapping[str, Any], abstract: PyTree | None) -> PyTree:
  """One item, {} if it is empty, with the hash that `meta` says."""
  stored = meta.get(f'{item}_hash')  # the first versions wrote that of params alone
  if stored == params_hash({}) or stored is None and not os.path.isdir(os.path.join(folder, item)):
    items.compare(f'{folder}/{item}', {}, items.shapes({} if abstract is None else abstract))
    return {} if abstract is None else abstract
  tree = _load(folder, item, abstract)
  found = params_hash(tree)
  if stored not in (None, found):
    raise ValueError(f'{folder}/{item}: damaged: hash {found[:12]}, expected {stored[:12]}')
  return tree


def _alone() -> ocp.options.MultiprocessingOptions:
  """This process reads or writes without waiting for others."""
  me = jax.process_index()
  if jax.process_count() == 1:
    return ocp.options.MultiprocessingOptions()
  return ocp.options.MultiprocessingOptions(primary_host=me, active_processes={me},
                                            barrier_sync_key_prefix=f'process{me}')


def _load(folder: str, item: str, abstract: PyTree | None) -> PyTree:
  """One item as numpy leaves; strict about names and shapes if `abstract` is given."""
  path = os.path.join(folder, item)
  try:
    reader = ocp.StandardCheckpointHandler(multiprocessing_options=_alone())
    stored = reader.metadata(pathlib.Path(path)).tree
    shapes = items.shapes(stored)
  except ImportError:
    raise  # a broken installation, not a damaged file
  except Exception as error:
    raise _damaged(path, error) from error
  if abstract is not None:
    items.compare(path, shapes, items.shapes(abstract))
  like = stored if abstract is None else abstract
  target = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), like)
  try:
    with ocp.StandardCheckpointer(multiprocessing_options=_alone()) as reader:
      return reader.restore(path, target)
  except ImportError:
    raise  # a broken installation, not a damaged file
  except Exception as error:
    raise _damaged(path, error) from error


def _size_mb(host: TrainState) -> float:
  return sum(leaf.nbytes for leaf in jax.tree.leaves(host)) / 1e6


def _damaged(path: str, error: Exception) -> ValueError:
  return ValueError(f'{path}: damaged or unreadable checkpoint, expected one that aemg wrote: '
                    f'{_one_line(error)}')


def _one_line(error: Exception) -> str:
  text = ' '.join(str(error).split()) or type(error).__name__
  return text if len(text) <= 200 else f'{text[:100]} ... {text[-100:]}'
