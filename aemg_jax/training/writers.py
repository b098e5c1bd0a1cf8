"""Scalars of a run: JSON lines always, TensorBoard beside them; on process 0 only."""

import json
import math
import os
from collections.abc import Mapping
from typing import Any

import jax
import tensorboardX

FILE = 'scalars.jsonl'


class Writer:
  """Appends {'step': k, name: value, ...} lines to `workdir`/scalars.jsonl.

  `step` is the number of the batch, from 0, everywhere: in the file, in TensorBoard, in errors.
  """

  def __init__(self, workdir: str | os.PathLike, resume_step: int = 0):
    """Opens the file; drops lines of `resume_step` and later: they will be written again."""
    self._file = self._board = None
    if jax.process_index():
      return
    os.makedirs(workdir, exist_ok=True)
    path = os.path.join(workdir, FILE)
    drop_from(path, resume_step)
    self._file = open(path, 'a', encoding='utf-8')
    self._board = tensorboardX.SummaryWriter(os.path.join(workdir, 'tensorboard'),
                                             purge_step=resume_step or None)

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    """One line, flushed, so that a killed run loses at most the line being written."""
    if self._file is None:
      return
    values = {name: _json_number(scalars[name]) for name in sorted(scalars)}
    self._file.write(json.dumps({'step': step, **values}) + '\n')
    self._file.flush()
    for name, value in scalars.items():
      self._board.add_scalar(name, float(value), step)

  def close(self) -> None:
    if self._file is not None:
      self._file.close()
      self._board.close()

  def __enter__(self) -> 'Writer':
    return self

  def __exit__(self, *unused) -> None:
    self.close()


def read(workdir: str | os.PathLike) -> list[dict[str, Any]]:
  """All lines of a work directory's scalars, [] if there are none; without a last one cut off."""
  return _lines(os.path.join(workdir, FILE))


def drop_from(path: str, step: int) -> None:
  """Rewrites the file atomically with only the lines before `step`."""
  if not os.path.exists(path):
    return
  kept = [line for line in _lines(path) if line['step'] < step]
  temporary = f'{path}.tmp'
  with open(temporary, 'w', encoding='utf-8') as f:
    f.writelines(json.dumps(line) + '\n' for line in kept)
  os.replace(temporary, path)


def _lines(path: str) -> list[dict[str, Any]]:
  if not os.path.exists(path):
    return []
  with open(path, encoding='utf-8') as f:
    texts = f.read().split('\n')
  lines = []
  for i, text in enumerate(texts):
    if not text:
      continue
    try:
      lines.append(json.loads(text))
    except json.JSONDecodeError as error:
      if i == len(texts) - 1:  # no newline after it: the write was cut off
        continue
      raise ValueError(f'{path}: line {i + 1} is {text[:60]!r}, expected a JSON object') from error
  return lines


def _json_number(value: float) -> float | str:
  value = float(value)
  return value if math.isfinite(value) else str(value)  # NaN and infinity are not JSON
