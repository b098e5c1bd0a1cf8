"""A task small enough to check by hand: a linear map, a codebook-like count, weights per row."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from aemg_jax.training import losses
from aemg_jax.training import metrics
from aemg_jax.training.task import Task


@dataclasses.dataclass(frozen=True)
class ToyTask(Task):
  """Fits y = x @ w + b on masked rows; `extra` holds an EMA over batches of summed inputs.

  Attributes:
    width: of the output.
    noise: standard deviation of what the key adds to the input in training.
  """
  width: int = 3
  noise: float = 0.0

  def init(self, key, batch):
    shape = (batch['x_bf'].shape[1], self.width)
    params = {'dense': {'kernel': jax.random.normal(key, shape), 'bias': jnp.zeros(self.width)}}
    return params, {'ema_f': jnp.zeros(shape[0]), 'draw': jnp.zeros(()),
                    'shared': jnp.zeros(())}

  def loss(self, params, extra, batch, draw, train):
    x_bf = batch['x_bf']
    noise_bf = jax.vmap(lambda key: jax.random.normal(key, x_bf.shape[1:]))(draw.keys_b())
    if train:
      x_bf = x_bf + self.noise * noise_bf
    y_bd = x_bf @ params['dense']['kernel'] + params['dense']['bias'][None]
    mask_bd = jnp.broadcast_to(batch['weight'][:, None], y_bd.shape)
    total, count = losses.squared_error(y_bd, batch['y_bd'], mask_bd)
    shared = jax.random.uniform(draw.key) / draw.n_rows
    stats = {'shared': shared * draw.row_b.size,
             'sum_f': jnp.sum(batch['weight'][:, None] * x_bf, axis=0)}
    sums = {'noise_squared': (jnp.sum(noise_bf**2), jnp.float32(noise_bf.size))}
    return total, (count, sums, stats)

  def update(self, extra, stats, key):
    ema_f = 0.9 * extra['ema_f'] + 0.1 * stats['sum_f']
    return {'ema_f': ema_f, 'draw': jax.random.uniform(key), 'shared': stats['shared']}

  def report(self, extra, stats):
    return metrics.codebook_metrics(jnp.abs(stats['sum_f']))


def batch(seed: int = 0, b: int = 16, f: int = 5, d: int = 3) -> dict[str, np.ndarray]:
  """A global batch whose rows' weights differ strongly from one eighth to the next."""
  rng = np.random.default_rng(seed)
  weight_b = np.zeros(b, np.float32)
  weight_b[: b // 4] = 1
  weight_b[b // 2] = 1
  return {
      'x_bf': rng.normal(size=(b, f)).astype(np.float32),
      'y_bd': (rng.normal(size=(b, d)) * (1 + np.arange(b))[:, None]).astype(np.float32),
      'weight': weight_b,
      'index': np.arange(b, dtype=np.int32) + 100 * seed,
  }
