"""What the items of a checkpoint hold, as named leaves: how a state is split, joined, compared, hashed."""

from collections.abc import Mapping
import hashlib
import json
from typing import Any

import jax
import numpy as np

from aemg_jax.training import optim
from aemg_jax.training.state import TrainState

PyTree = Any


def split(state: TrainState) -> dict[str, PyTree]:
  """{'params': those to use, 'extra': ..., 'rest': {path: leaf} of everything else}."""
  rest = {'step': state.step, 'key': state.key, 'opt_state': state.opt_state}
  if isinstance(state.opt_state, optim.Averaged):
    rest |= {'opt_state': state.opt_state._replace(params={}), 'trained': state.params}
  return {'params': optim.served(state.params, state.opt_state), 'extra': state.extra,
          'rest': flat(rest)}


def join(like: TrainState, found: Mapping[str, PyTree]) -> TrainState:
  """The state that `split` gave `found` for; `like` has its structure."""
  params, rest, opt_state = found['params'], found['rest'], like.opt_state
  if isinstance(opt_state, optim.Averaged):
    params = _unflat({'trained': like.params}, rest)['trained']
    opt_state = _unflat({'opt_state': opt_state._replace(params={})}, rest)['opt_state']
    opt_state = opt_state._replace(params=found['params'])
  else:
    opt_state = _unflat({'opt_state': opt_state}, rest)['opt_state']
  return like.replace(params=params, extra=found['extra'], opt_state=opt_state, step=rest['step'],
                      key=rest['key'])


def params_hash(params: PyTree) -> str:
  """SHA-256 over the sorted paths, dtypes, shapes and bytes of the leaves."""
  digest = hashlib.sha256()
  named = flat(params)
  for name in sorted(named):
    leaf = np.ascontiguousarray(named[name])
    digest.update(f'{name} {leaf.dtype} {leaf.shape}\n'.encode())
    digest.update(leaf.tobytes())
  return digest.hexdigest()


def json_hash(meta: Mapping[str, Any]) -> str:
  """SHA-256 of JSON values, the same before and after they were written."""
  return hashlib.sha256(json.dumps(json.loads(json.dumps(meta)), sort_keys=True).encode()).hexdigest()


def compare(path: str, found: Mapping[str, str], wanted: Mapping[str, str]) -> None:
  """Raises ValueError that names the leaves in which two results of `shapes` differ."""
  wrong = [f'{name} is missing (expected {wanted[name]})' for name in wanted if name not in found]
  wrong += [f'{name} {found[name]} is left over' for name in found if name not in wanted]
  wrong += [f'{name} is {found[name]}, expected {wanted[name]}'
            for name in wanted if name in found and found[name] != wanted[name]]
  if wrong:
    more = f'; and {len(wrong) - 4} more' if len(wrong) > 4 else ''
    raise ValueError(f'{path}: checkpoint of another model: ' + '; '.join(wrong[:4]) + more)


def shapes(tree: PyTree) -> dict[str, str]:
  """{path: dtype and shape} of the leaves."""
  return {name: f'{np.dtype(x.dtype)}{list(x.shape)}' for name, x in flat(tree).items()}


def flat(tree: PyTree) -> dict[str, Any]:
  """{path: leaf}."""
  leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
  return {jax.tree_util.keystr(path, simple=True, separator='/'): leaf for path, leaf in leaves}


def _unflat(like: PyTree, named: Mapping[str, Any]) -> PyTree:
  return jax.tree.unflatten(jax.tree.structure(like), [named[name] for name in flat(like)])
