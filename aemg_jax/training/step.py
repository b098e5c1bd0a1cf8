"""One update of the state, written once for every way of spreading it over devices."""

from collections.abc import Callable
from typing import Any

import jax
import optax

from aemg_jax.training import metrics as metrics_lib
from aemg_jax.training.state import TrainState, step_key
from aemg_jax.training.task import Draw, Task

PyTree = Any
Reduce = Callable[[PyTree], PyTree]


def update(task: Task, tx: optax.GradientTransformation, reduce: Reduce, microbatches: int,
           state: TrainState, batch: PyTree, row_b: jax.Array, n_rows: int
           ) -> tuple[TrainState, dict[str, jax.Array]]:
  """(state, batch) -> (state, {name: [] scalar}).

  Args:
    task, tx: the loss and the optimiser.
    reduce: from sums over the rows at hand to sums over the global batch.
    microbatches: parts that the rows are computed in, one after the other. Losses, gradients and
      statistics are SUMS over rows and what is random belongs to a row, so that the update is the
      same for any number of parts, up to the order of the sums.
    state: see TrainState.
    batch: leaves [b, ...], the rows at hand.
    row_b: [b] int32 their places in the global batch.
    n_rows: of the global batch.

  Raises:
    ValueError: if the rows do not divide into the microbatches.
  """
  b = row_b.shape[0]
  if b % microbatches:
    raise ValueError(f'LoopConfig.microbatches: got {microbatches}, expected a divisor of the '
                     f'{b} rows that are computed together')
  draw_key, update_key = jax.random.split(step_key(state.key, state.step))

  def loss(params: PyTree, part: PyTree, row_b: jax.Array):
    return task.loss(params, state.extra, part, Draw(draw_key, row_b, n_rows), True)

  grad_of_sum = jax.value_and_grad(loss, has_aux=True)
  if microbatches > 1:
    grad_of_sum = optax.microbatch(grad_of_sum, argnums=(1, 2), microbatch_size=b // microbatches)
  (total, (count, sums, stats)), grads = reduce(grad_of_sum(state.params, batch, row_b))
  grads = jax.tree.map(lambda g: metrics_lib.ratio(g, count.astype(g.dtype)), grads)
  updates, opt_state = tx.update(grads, state.opt_state, state.params)
  extra = task.update(state.extra, stats, update_key)
  scalars = {**metrics_lib.reduce(sums), 'loss': metrics_lib.ratio(total, count)}
  scalars |= task.report(extra, stats)
  scalars['grad_norm'] = optax.global_norm(grads)
  new = state.replace(step=state.step + 1, params=optax.apply_updates(state.params, updates),
                      extra=extra, opt_state=opt_state)
  return new, scalars
