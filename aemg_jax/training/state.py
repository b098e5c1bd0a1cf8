"""Everything that training changes, in one pytree."""

import functools
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from aemg_jax.training.task import Task

PyTree = Any


class TrainState(flax.struct.PyTreeNode):
  """State after `step` updates.

  Attributes:
    step: [] int32, updates done; also the number of the next batch.
    params: trained by gradient.
    extra: the task's other state (a codebook), {} if none.
    opt_state: the optimiser's.
    key: [2] uint32 key data of the run; never changes, steps and devices are folded into it.
  """
  step: jax.Array
  params: PyTree
  extra: PyTree
  opt_state: PyTree
  key: jax.Array


def init_state(task: Task, tx: optax.GradientTransformation, batch: PyTree,
               seed: int) -> TrainState:
  """A fresh state at step 0; the same for the same seed, whatever the number of devices.

  Args:
    task, tx: see `parallel.train_step`.
    batch: an example batch; one row is enough, only shapes should matter.
    seed: of parameters and of every later random choice.
  """
  return _init(task, tx)(jax.random.key(seed), batch)


def start_from(state: TrainState, tx: optax.GradientTransformation, params: PyTree,
               extra: PyTree | None = None) -> TrainState:
  """`state` with other starting parameters (fine-tuning); the optimiser starts afresh for them."""
  return state.replace(params=params, opt_state=tx.init(params),
                       extra=state.extra if extra is None else extra)


def step_key(key: jax.Array, step: jax.Array) -> jax.Array:
  """The key of a step, equal on all devices."""
  return jax.random.fold_in(jax.random.wrap_key_data(key), step)


@functools.lru_cache(maxsize=32)
def _init(task: Task, tx: optax.GradientTransformation):

  @jax.jit
  def init(key: jax.Array, batch: PyTree) -> TrainState:
    init_key, run_key = jax.random.split(key)
    params, extra = task.init(init_key, batch)
    return TrainState(step=jnp.zeros((), jnp.int32), params=params, extra=extra,
                      opt_state=tx.init(params), key=jax.random.key_data(run_key))

  return init
