"""The training loop. It knows no model: a task, an optimiser, and batches by number."""

import contextlib
import dataclasses
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from absl import logging
import jax
import numpy as np
import optax
import tqdm

from aemg_jax.data import loader
from aemg_jax.training import fsdp, parallel
from aemg_jax.training.checkpoints import Checkpoints
from aemg_jax.training.state import TrainState
from aemg_jax.training.task import Task
from aemg_jax.training.writers import Writer

PyTree = Any
Batches = Callable[[int], Mapping[str, Any]]
Evaluate = Callable[[TrainState], Mapping[str, float]]
LAYOUTS = {'pmap': lambda config: parallel.Pmap(), 'fsdp': lambda config: fsdp.Fsdp(config.fsdp_devices)}


class NonFiniteLoss(ValueError):
  """The loss or the gradient became NaN or infinite."""


class Interrupted(SystemExit):
  """SIGINT or SIGTERM came; the state was saved.

  Its code is 128 + the signal's number, so that a script does not go on with half a model; in a job
  that `processes.join` made one of several it is 0 after SIGTERM, as schedulers expect.
  """


@dataclasses.dataclass(frozen=True)
class LoopConfig:
  """How long to train and what to keep.

  Attributes:
    steps: updates in all, resumed ones included.
    log_every: steps between lines of scalars; the first and the last step are always written.
    checkpoint_every: steps between checkpoints, which is also when `evaluate` runs; the last too.
    keep: latest checkpoints kept beside the best; the second stands in for a damaged first.
    best: name of the scalar of `evaluate` whose lowest value is the best; '' keeps none.
    progress: show a bar (on process 0).
    parallel: 'pmap', the whole state on each device, or 'fsdp', the state in pieces over devices.
    fsdp_devices: devices that share one copy of the state with 'fsdp'; 0 is all.
    microbatches: parts that each device computes its rows in, for batches that do not fit; the
      gradient is that of the whole batch.
  """
  steps: int
  log_every: int = 50
  checkpoint_every: int = 1000
  keep: int = 2
  best: str = ''
  progress: bool = True
  parallel: str = 'pmap'
  fsdp_devices: int = 0
  microbatches: int = 1

  def __post_init__(self):
    for name in ('steps', 'log_every', 'checkpoint_every', 'keep', 'microbatches'):
      if getattr(self, name) < 1:
        raise ValueError(f'LoopConfig.{name}: got {getattr(self, name)}, expected 1 or more')
    if self.parallel not in LAYOUTS:
      raise ValueError(f'LoopConfig.parallel: got {self.parallel!r}, expected one of {sorted(LAYOUTS)}')

  @property
  def layout(self) -> 'parallel.Pmap | fsdp.Fsdp':
    """How the state and the batches lie on the devices."""
    return LAYOUTS[self.parallel](self)


@dataclasses.dataclass(frozen=True)
class Fit:
  """What training gives.

  Attributes:
    state: the final state, on the devices.
    history: the scalars written by this call, [{'step': ..., 'loss': ..., ...}, ...].
    wall_s: seconds this call took.
  """
  state: TrainState
  history: list[dict[str, float]]
  wall_s: float


def fit(task: Task, tx: optax.GradientTransformation, batches: Batches, state: TrainState,
        config: LoopConfig, *, workdir: str | os.PathLike | None = None,
        meta: Mapping[str, Any] | None = None,
        record_ids: Callable[[np.ndarray], Sequence[str]] | None = None,
        prepare_extra: Callable[[TrainState], TrainState] | None = None,
        evaluate: Evaluate | None = None, warn_below: Mapping[str, float] | None = None,
        prove: Callable[[PyTree], PyTree] | None = None, name: str = 'train') -> Fit:
  """Trains to `config.steps`, from the latest checkpoint in `workdir` if there is one.

  Args:
    task, tx: see `parallel.train_step`; equal ones share a compiled step.
    batches: step -> this process's numpy leaves [b, ...]; a pure function of the step.
    state: at step 0; also says what a checkpoint must look like. It is copied, not donated.
    config: see LoopConfig.
    workdir: for checkpoints and scalars; None writes nothing.
    meta: JSON kept in each checkpoint (model config, prepare config, labels, fingerprint).
    record_ids: batch['index'] -> record ids, for the message about a non-finite loss.
    prepare_extra: state -> state, run only at step 0 (k-means of a codebook).
    evaluate: state -> scalars, run before each checkpoint, and at the end.
    warn_below: {scalar: threshold}; a warning is logged whenever a written scalar is below.
    prove: parameters -> {item: arrays} kept in each checkpoint, so that whoever loads it can check them.
    name: before the progress bar.

  Raises:
    NonFiniteLoss: naming the step and the records; no checkpoint is made of such a state.
    Interrupted: after saving, on SIGINT or SIGTERM, if there is a workdir.
  """
  start_s = time.monotonic()
  # 1. The latest checkpoint replaces the whole state: parameters, codebook, optimiser, step, key.
  store = _open(workdir, config, prove) if workdir is not None else None
  restored = store.restore_latest(state) if store else None
  state = state if restored is None else restored
  first = int(state.step)
  if restored is not None:
    logging.info('%s: resuming at step %d from %s', name, first, store.path)
  # 2. Only a run that starts at step 0 is prepared: a resumed one carries the result in its state.
  if first == 0 and prepare_extra is not None:
    state = prepare_extra(state)
  # 3. To the devices. Fresh buffers, so that donation takes nothing from the caller.
  state = config.layout.put_state(state)
  # 4. Scalars from `first` on will be written again; batches go on with number `first`.
  writer = Writer(workdir, first) if workdir is not None else None
  run = _Run(task, tx, config, store, writer, dict(meta or {}), record_ids, evaluate,
             dict(warn_below or {}), name)
  state = run.steps(state, first, batches)
  return Fit(state, run.history, time.monotonic() - start_s)


def _open(workdir: str | os.PathLike, config: LoopConfig, prove) -> Checkpoints:
  return Checkpoints(workdir, config.keep, bool(config.best), prove)


@dataclasses.dataclass
class _Run:
  """The pieces of one call of `fit`."""
  task: Task
  tx: optax.GradientTransformation
  config: LoopConfig
  store: Checkpoints | None
  writer: Writer | None
  meta: dict[str, Any]
  record_ids: Callable[[np.ndarray], Sequence[str]] | None
  evaluate: Evaluate | None
  warn_below: dict[str, float]
  name: str
  history: list[dict[str, float]] = dataclasses.field(default_factory=list)

  def steps(self, state: TrainState, first: int, batches: Batches) -> TrainState:
    """Steps `first` to the last, with batches computed ahead and signals held back."""
    with contextlib.ExitStack() as stack:
      for resource in (self.store, self.writer):
        if resource is not None:
          stack.enter_context(resource)
      stop = stack.enter_context(_stop_signals(enabled=self.store is not None))
      ahead = loader.Prefetch(batches, self.config.steps, put=self.config.layout.put_batch)
      stack.enter_context(contextlib.closing(ahead))
      return self._steps(state, first, ahead, stop)

  def _steps(self, state: TrainState, first: int, ahead: loader.Prefetch, stop: list[int]) -> TrainState:
    """Scalars are fetched one step late: the host never waits for a step before it has queued the
    next, except where a checkpoint needs to know that all is finite.

    Nothing crosses between host and devices in a step: batches were sent by the prefetch. A signal
    to any process reaches all of them with the scalars of the same step, so all save the same.
    """
    step_fn = self.config.layout.train_step(self.task, self.tx, self.config.microbatches)
    last, late = self.config.steps - 1, None
    with self._bar(first) as bar:
      for step in range(first, self.config.steps):
        batch = ahead(step)
        with jax.transfer_guard('disallow' if step > first else 'allow'):  # the first compiles
          state, scalars = step_fn(state, batch)
        heard = parallel.largest(stop[0] if stop else 0)
        signum = 0
        if late is not None:
          self._finish(*late[:2], ahead, bar)
          signum = int(late[2])
        late = (step, scalars, heard)
        due = step == last or (step + 1) % self.config.checkpoint_every == 0
        if due or signum:
          self._finish(*late[:2], ahead, bar)
          signum = signum or int(heard)
          late = None
          self._checkpoint(state, step, evaluate=due)
        if signum and step != last:
          self._interrupted(signum, step)
    return state

  def _finish(self, step: int, scalars: Mapping[str, jax.Array], ahead: loader.Prefetch, bar) -> None:
    """Looks at the scalars of a step: finite, shown, written."""
    if self.store is not None:
      self.store.check()
    values = {key: float(value) for key, value in jax.device_get(dict(scalars)).items()}
    if not (math.isfinite(values['loss']) and math.isfinite(values['grad_norm'])):
      raise NonFiniteLoss(self._blame(step, values, ahead.again(step)))
    bar.set_postfix_str(f"loss {values['loss']:.4g}", refresh=False)
    bar.update(1)
    if step % self.config.log_every == 0 or step == self.config.steps - 1:
      self._write(step, values)

  def _write(self, step: int, values: Mapping[str, float]) -> None:
    self.history.append({'step': step, **values})
    if self.writer is not None:
      self.writer.write(step, values)
    for key, least in self.warn_below.items():
      if key in values and values[key] < least:
        logging.warning('%s: step %d: %s is %.4g, expected at least %g', self.name, step, key,
                        values[key], least)

  def _checkpoint(self, state: TrainState, step: int, evaluate: bool) -> None:
    score = None
    if evaluate and self.evaluate is not None:
      values = dict(self.evaluate(state))
      self._write(step, values)
      if self.config.best:
        if self.config.best not in values:
          raise ValueError(f'LoopConfig.best: got {self.config.best!r}, '
                           f'expected one of {sorted(values)}')
        score = values[self.config.best]
    if self.store is not None:
      self.store.save(state, self.meta, score)

  def _blame(self, step: int, values: Mapping[str, float], batch: Mapping[str, Any]) -> str:
    """One line: the step, the scalars, and the records whose inputs are not finite (or all)."""
    text = (f"{self.name}: step {step}: loss is {values['loss']}, gradient norm is "
            f"{values['grad_norm']}, expected finite numbers; ")
    if 'index' not in batch:
      return text + "the batch has no 'index' to name its records by"
    index_b = np.asarray(batch['index'])
    bad_b = ~_finite_rows(batch, len(index_b))
    ids = [str(i) for i in (self.record_ids(index_b) if self.record_ids else index_b)]
    guilty = sorted({i for i, bad in zip(ids, bad_b) if bad})
    if guilty:
      return text + f'records with non-finite input: {", ".join(guilty)}'
    return text + f'inputs are finite; records of the batch: {", ".join(sorted(set(ids)))}'

  def _interrupted(self, signum: int, step: int) -> None:
    logging.warning('%s: %s: saved after %d of %d steps in %s; run the same command to go on',
                    self.name, signal.Signals(signum).name, step + 1, self.config.steps,
                    self.store.path)
    expected = jax.distributed.is_initialized() and signum == signal.SIGTERM
    raise Interrupted(0 if expected else 128 + signum)

  def _bar(self, first: int):
    shown = self.config.progress and jax.process_index() == 0
    return tqdm.tqdm(total=self.config.steps, initial=first, desc=self.name, unit='step',
                     disable=not shown, mininterval=0.5, dynamic_ncols=True)


def _finite_rows(batch: Mapping[str, Any], n: int) -> np.ndarray:
  finite_b = np.ones(n, bool)
  for leaf in jax.tree.leaves(dict(batch)):
    if np.issubdtype(np.asarray(leaf).dtype, np.floating):
      finite_b &= np.isfinite(np.reshape(leaf, (n, -1))).all(axis=1)
  return finite_b


@contextlib.contextmanager
def _stop_signals(enabled: bool) -> Iterator[list[int]]:
  """Collects SIGINT and SIGTERM instead of dying of them; a second one has its usual effect.

  Only with somewhere to save to, and only in the main thread, where Python lets handlers be set.
  """
  received: list[int] = []
  if not enabled or threading.current_thread() is not threading.main_thread():
    yield received
    return
  before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}

  def handler(signum, unused_frame):
    received.append(signum)
    signal.signal(signum, before[signum])
    logging.warning('%s: finishing the step and saving; once more to stop at once',
                    signal.Signals(signum).name)

  for signum in before:
    signal.signal(signum, handler)
  try:
    yield received
  finally:
    for signum, old in before.items():
      signal.signal(signum, old)
