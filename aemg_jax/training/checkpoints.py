"""Checkpoints of a run, and the only user of orbax.

    workdir/checkpoints/STEP/params      the model's parameters, restorable alone on any machine
                            /extra       the task's other state (a codebook), likewise
                            /rest        step, key and optimiser state, as a flat {path: leaf}
                            /meta        JSON: config, labels, fingerprint, ..., params_hash

Arrays are written as host numpy arrays, so no file depends on the number of devices.
"""

import hashlib
import os
import pathlib
import shutil
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from aemg_jax.training.state import TrainState

PyTree = Any
FOLDER = 'checkpoints'
SCORE = 'score'
TEMPORARY = ocp.utils.TMP_DIR_SUFFIX


class Checkpoints:
  """The checkpoints of one work directory; keeps the latest and the one of the lowest score."""

  def __init__(self, workdir: str | os.PathLike, keep: int = 1, track_best: bool = False):
    """Opens or makes `workdir`/checkpoints, and removes what a killed run left half-written.

    Args:
      workdir: of the run.
      keep: latest checkpoints kept.
      track_best: keep the one of the lowest score too; only then does `save` take a score.
    """
    self._path = os.path.join(os.path.abspath(workdir), FOLDER)
    os.makedirs(self._path, exist_ok=True)
    self._remove(lambda name: TEMPORARY in name)
    policies = [checkpoint_managers.LatestN(keep)]
    if track_best:
      policies.append(checkpoint_managers.BestN(
          get_metric_fn=_score, reverse=True, n=1, keep_checkpoints_without_metrics=False))
    self._manager = ocp.CheckpointManager(self._path, options=ocp.CheckpointManagerOptions(
        preservation_policy=checkpoint_managers.AnyPreservationPolicy(policies),
        best_fn=_score if track_best else None, best_mode='min', enable_async_checkpointing=False))

  @property
  def path(self) -> str:
    return self._path

  def latest_step(self) -> int | None:
    return self._manager.latest_step()

  def best_step(self) -> int | None:
    """The step of the lowest score, None if none was saved with one."""
    return self._manager.best_step()

  def save(self, state: TrainState, meta: Mapping[str, Any], score: float | None = None) -> str:
    """Writes the state atomically under its own step and returns the folder.

    Args:
      state: replicated or on one device.
      meta: JSON values; `params_hash` is added.
      score: lower is better; None is never the best.

    Raises:
      ValueError: if it could not be written; earlier checkpoints are untouched.
    """
    host = jax.tree.map(np.array, state)
    step = int(host.step)
    if step in self._manager.all_steps():
      return os.path.join(self._path, str(step))
    self._check_space(host)
    items = {
        'params': ocp.args.StandardSave(host.params),
        'rest': ocp.args.StandardSave(_flat(_rest(host))),
        'meta': ocp.args.JsonSave({**meta, 'step': step, 'params_hash': params_hash(host.params)}),
    }
    if jax.tree.leaves(host.extra):
      items['extra'] = ocp.args.StandardSave(host.extra)
    try:
      self._manager.save(step, args=ocp.args.Composite(**items), force=True,
                         metrics=None if score is None else {SCORE: float(score)})
      self._manager.wait_until_finished()
    except Exception as error:  # orbax and tensorstore raise many kinds, a full disk among them
      self._remove(lambda name: name == str(step) or TEMPORARY in name)
      raise ValueError(f'{self._path}: could not write the checkpoint of step {step}: '
                       f'{_one_line(error)}; it needs about {_size_mb(host):.1f} MB, '
                       f'{self._free_mb():.1f} MB are free there') from error
    return os.path.join(self._path, str(step))

  def restore_latest(self, state: TrainState) -> TrainState | None:
    """The latest checkpoint as numpy leaves shaped as `state`, or None if there is none.

    Raises:
      ValueError: if it is damaged, or its leaves are not those of `state`.
    """
    step = self.latest_step()
    if step is None:
      return None
    folder = os.path.join(self._path, str(step))
    params = load_params(folder, state.params)
    extra = load_extra(folder, state.extra)
    wanted = _rest(state)
    rest = _unflat(wanted, _load(folder, 'rest', _flat(wanted)))
    return state.replace(params=params, extra=extra, **rest)

  def close(self) -> None:
    self._manager.close()

  def _remove(self, unwanted: Callable[[str], bool]) -> None:
    if jax.process_index():
      return
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
  params = _load(folder, 'params', abstract)
  found, stored = params_hash(params), load_meta(folder)['params_hash']
  if found != stored:
    raise ValueError(f'{folder}/params: damaged: hash {found[:12]}, expected {stored[:12]}')
  return params


def load_extra(path: str | os.PathLike, abstract: PyTree | None = None) -> PyTree:
  """The task's other state alone (a codebook), as numpy leaves; {} if there is none.

  Without `abstract` a named tuple comes back as a dict of its fields.
  """
  folder = step_folder(path)
  if not os.path.isdir(os.path.join(folder, 'extra')):
    if abstract is not None and jax.tree.leaves(abstract):
      _compare(f'{folder}/extra', {}, _shapes(abstract))
    return {} if abstract is None else abstract
  return _load(folder, 'extra', abstract)


def load_meta(path: str | os.PathLike) -> dict[str, Any]:
  """The JSON that was saved beside the arrays."""
  folder = step_folder(path)
  try:
    with ocp.Checkpointer(ocp.JsonCheckpointHandler()) as reader:
      meta = reader.restore(os.path.join(folder, 'meta'))
  except ImportError:
    raise  # a broken installation, not a damaged file
  except Exception as error:
    raise _damaged(f'{folder}/meta', error) from error
  if not isinstance(meta, dict) or 'params_hash' not in meta:
    raise ValueError(f'{folder}/meta: damaged: no params_hash in it, expected what save() wrote')
  return meta


def step_folder(path: str | os.PathLike) -> str:
  """The folder of one step, from a work directory, its `checkpoints` or the folder itself."""
  path = os.path.abspath(path)
  if os.path.isdir(os.path.join(path, 'params')):
    return path
  parent = os.path.join(path, FOLDER) if os.path.isdir(os.path.join(path, FOLDER)) else path
  names = os.listdir(parent) if os.path.isdir(parent) else []
  steps = [int(name) for name in names if name.isdigit()]
  if not steps:
    raise ValueError(f'{path}: no checkpoint there, expected a work directory with {FOLDER}/STEP')
  return os.path.join(parent, str(max(steps)))


def params_hash(params: PyTree) -> str:
  """SHA-256 over the sorted paths, dtypes, shapes and bytes of the leaves."""
  digest = hashlib.sha256()
  flat = _flat(params)
  for name in sorted(flat):
    leaf = np.ascontiguousarray(flat[name])
    digest.update(f'{name} {leaf.dtype} {leaf.shape}\n'.encode())
    digest.update(leaf.tobytes())
  return digest.hexdigest()


def _load(folder: str, item: str, abstract: PyTree | None) -> PyTree:
  """One item as numpy leaves; strict about names and shapes if `abstract` is given."""
  path = os.path.join(folder, item)
  try:
    stored = ocp.StandardCheckpointHandler().metadata(pathlib.Path(path)).tree
    shapes = _shapes(stored)
  except ImportError:
    raise  # a broken installation, not a damaged file
  except Exception as error:
    raise _damaged(path, error) from error
  if abstract is not None:
    _compare(path, shapes, _shapes(abstract))
  like = stored if abstract is None else abstract
  target = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), like)
  try:
    with ocp.StandardCheckpointer() as reader:
      return reader.restore(path, target)
  except ImportError:
    raise  # a broken installation, not a damaged file
  except Exception as error:
    raise _damaged(path, error) from error


def _compare(path: str, found: dict[str, str], wanted: dict[str, str]) -> None:
  wrong = [f'{name} is missing (expected {wanted[name]})' for name in wanted if name not in found]
  wrong += [f'{name} {found[name]} is left over' for name in found if name not in wanted]
  wrong += [f'{name} is {found[name]}, expected {wanted[name]}'
            for name in wanted if name in found and found[name] != wanted[name]]
  if wrong:
    more = f'; and {len(wrong) - 4} more' if len(wrong) > 4 else ''
    raise ValueError(f'{path}: checkpoint of another model: ' + '; '.join(wrong[:4]) + more)


def _shapes(tree: PyTree) -> dict[str, str]:
  return {name: f'{np.dtype(x.dtype)}{list(x.shape)}' for name, x in _flat(tree).items()}


def _flat(tree: PyTree) -> dict[str, Any]:
  leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
  return {jax.tree_util.keystr(path, simple=True, separator='/'): leaf for path, leaf in leaves}


def _unflat(like: PyTree, flat: Mapping[str, Any]) -> PyTree:
  return jax.tree.unflatten(jax.tree.structure(like), [flat[name] for name in _flat(like)])


def _size_mb(host: TrainState) -> float:
  return sum(leaf.nbytes for leaf in jax.tree.leaves(host)) / 1e6


def _score(metrics: Mapping[str, float]) -> float:
  return metrics[SCORE]


def _rest(state: TrainState) -> dict[str, PyTree]:
  return {'step': state.step, 'key': state.key, 'opt_state': state.opt_state}


def _damaged(path: str, error: Exception) -> ValueError:
  return ValueError(f'{path}: damaged or unreadable checkpoint, expected one that aemg wrote: '
                    f'{_one_line(error)}')


def _one_line(error: Exception) -> str:
  text = ' '.join(str(error).split()) or type(error).__name__
  return text if len(text) <= 200 else f'{text[:100]} ... {text[-100:]}'
