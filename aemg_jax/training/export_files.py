"""The files of an exported model: parameters that any framework reads, JSON, and a model card."""

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors.numpy

from aemg_jax.training import items

PyTree = Any
_WITH_WEIGHTS = ('params', 'extra', 'alignment')
CONFIG, WEIGHTS, GOLDEN, CARD = 'config.json', 'model.safetensors', 'golden.safetensors', 'README.md'


def write(folder: str, config: Mapping[str, Any], params: PyTree, extra: PyTree, alignment: PyTree,
          golden: PyTree, card: str) -> None:
  """Writes the four files; names of tensors are paths, 'params/encoder/...', 'extra/...', 'alignment/...'."""
  tensors = _flat(dict(zip(_WITH_WEIGHTS, (params, extra, alignment))))
  safetensors.numpy.save_file(tensors, os.path.join(folder, WEIGHTS),
                              metadata={'format': 'aemg_jax', 'params_hash': items.params_hash(params)})
  safetensors.numpy.save_file(_flat(golden), os.path.join(folder, GOLDEN))
  with open(os.path.join(folder, CARD), 'w', encoding='utf-8') as file:
    file.write(card)
  with open(os.path.join(folder, CONFIG), 'w', encoding='utf-8') as file:
    json.dump(config, file, indent=1, sort_keys=True)
    file.write('\n')


def is_export(folder: str) -> bool:
  """Whether `aemg export` wrote the folder; else it is a work directory or nothing."""
  return os.path.isfile(os.path.join(folder, CONFIG))


def read(folder: str) -> tuple[dict[str, Any], PyTree, PyTree, PyTree, PyTree]:
  """config, params, extra, golden and alignment of an exported model.

  Raises:
    ValueError: a file is missing or damaged, or parameters are not those that the config names.
  """
  try:
    with open(os.path.join(folder, CONFIG), encoding='utf-8') as file:
      config = json.load(file)
    trees = _nested(safetensors.numpy.load_file(os.path.join(folder, WEIGHTS)))
    golden = _nested(safetensors.numpy.load_file(os.path.join(folder, GOLDEN)))
  except (OSError, ValueError, safetensors.SafetensorError) as error:
    raise ValueError(f'{folder}: damaged or incomplete ({" ".join(str(error).split())}), expected what aemg '
                     'export wrote') from error
  parts = {name: trees[name] if name in trees else {} for name in _WITH_WEIGHTS}
  stored_of = {'alignment_hash': items.params_hash({}), **config}  # the first versions had no alignment
  for name, tree in parts.items():
    found, stored = items.params_hash(tree), stored_of[f'{name}_hash']
    if found != stored:
      raise ValueError(f'{folder}/{WEIGHTS}: {name}: hash {found[:12]}, expected {stored[:12]} as in {CONFIG}')
  return config, parts['params'], parts['extra'], golden, parts['alignment']


def _flat(tree: PyTree) -> dict[str, np.ndarray]:
  return {name: np.asarray(leaf, order='C') for name, leaf in items.flat(tree).items()}


def _nested(flat: Mapping[str, np.ndarray]) -> dict[str, Any]:
  nested: dict[str, Any] = {}
  for name, leaf in flat.items():
    *folders, last = name.split('/')
    inside = nested
    for folder in folders:
      inside = inside.setdefault(folder, {})
    inside[last] = leaf
  return nested
