"""Batches by number, and the only user of grain.

Batch k is a pure function of (sources, weights, batch size, seed, k): the position of a run is its
step, nothing needs saving, and process p of P takes slice p of the same global batch k.
"""

import concurrent.futures
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

PyTree = Any
Batch = dict[str, Any]


class Loader:
  """`loader(step)` is the batch of a step, as a dict of numpy leaves [b, ...].

  A source is either in memory, a dict (nested as one likes) of arrays with one leading length, or
  random access: `len(source)` and `source[i]` -> dict of arrays without the batch axis. All sources
  have the same keys and shapes. Unless a source has the key 'index', the row is added as 'index'
  (int32; rows of the second source count on from the end of the first).
  """

  def __init__(self, sources: Sequence[Any], batch_size: int, seed: int,
               weights: Sequence[float] | None = None, shuffle: bool = True,
               process_index: int | None = None, process_count: int | None = None):
    """Args:
      sources: data sets of a mixture; a shorter one is repeated, each pass in another order.
      batch_size: of the GLOBAL batch, over all processes.
      seed: of the order.
      weights: share of each source in every stretch of the stream; sizes of the sources if None.
      shuffle: False takes rows in order.
      process_index, process_count: JAX's if None.
    """
    self._sources = _Sources(sources)
    self._batch_size = batch_size
    self._process = jax.process_index() if process_index is None else process_index
    self._processes = jax.process_count() if process_count is None else process_count
    if batch_size < 1 or batch_size % self._processes:
      raise ValueError(f'batch_size: got {batch_size}, '
                       f'expected a positive multiple of the {self._processes} processes')
    if not 0 <= self._process < self._processes:
      raise ValueError(f'process_index: got {self._process}, expected below {self._processes}')
    self._order = _order(self._sources.sizes, weights, seed, shuffle)

  @property
  def n_rows(self) -> int:
    """Rows of all sources."""
    return sum(self._sources.sizes)

  def rows(self, step: int) -> np.ndarray:
    """[b] int64 rows of this process's part of batch `step`, counted over all sources."""
    if step < 0:
      raise ValueError(f'step: got {step}, expected 0 or more')
    local = self._batch_size // self._processes
    start = step * self._batch_size + self._process * local
    return self._at(start, start + local)

  def stream(self, start: int, stop: int) -> np.ndarray:
    """Rows of the global batches `start`, ..., `stop` - 1, one after the other."""
    return self._at(start * self._batch_size, stop * self._batch_size)

  def mine(self, row_b: np.ndarray) -> np.ndarray:
    """This process's part of the rows of a global batch."""
    local = len(row_b) // self._processes
    return row_b[self._process * local:(self._process + 1) * local]

  def take(self, row_b: np.ndarray) -> Batch:
    """The batch of some rows."""
    return self._sources.take(row_b)

  def __call__(self, step: int) -> Batch:
    return self.take(self.rows(step))

  def _at(self, start: int, stop: int) -> np.ndarray:
    return np.array([self._order[i] for i in range(start, stop)], np.int64)


def evaluation_batches(source: Any, batch_size: int) -> Iterator[Batch]:
  """Every row once, in order, in batches of one size.

  Each batch has 'weight' [b] float32: the source's own, or 1; 0 on the rows that fill up the last
  batch (copies of the last row).
  """
  if batch_size < 1:
    raise ValueError(f'batch_size: got {batch_size}, expected 1 or more')
  sources = _Sources([source])
  n = sources.sizes[0]
  for start in range(0, n, batch_size):
    row_b = np.arange(start, start + batch_size)
    batch = sources.take(np.minimum(row_b, n - 1))
    weight_b = batch['weight'] if 'weight' in batch else np.ones(batch_size, np.float32)
    yield {**batch, 'weight': np.where(row_b < n, weight_b, 0).astype(np.float32)}


class Prefetch:
  """Computes batch k + 1, ..., k + depth in a thread while step k runs; any step may be asked for.

  Args:
    batches: step -> batch; only ever called by one thread at a time, in order.
    stop: batches from this number on are not computed ahead.
    depth: batches held ahead.
    put: what the thread does with a batch that is ready, such as sending it to the devices.
  """

  def __init__(self, batches: Callable[[int], Batch], stop: int, depth: int = 2,
               put: Callable[[Batch], PyTree] | None = None):
    self._batches, self._stop, self._depth = batches, stop, depth
    self._put = put or (lambda batch: batch)
    self._pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix='prefetch')
    self._ahead: dict[int, concurrent.futures.Future] = {}

  def __call__(self, step: int) -> PyTree:
    wanted = range(step, max(step + 1, min(step + 1 + self._depth, self._stop)))
    for k in [k for k in self._ahead if k not in wanted]:
      self._ahead.pop(k).cancel()
    for k in wanted:
      if k not in self._ahead:
        self._ahead[k] = self._pool.submit(lambda k=k: self._put(self._batches(k)))
    return self._ahead[step].result()

  def again(self, step: int) -> Batch:
    """The batch of any step as `batches` gives it, after those that are being computed."""
    return self._pool.submit(self._batches, step).result()

  def close(self) -> None:
    self._pool.shutdown(wait=True, cancel_futures=True)


class _Sources:
  """Rows of several sources behind one count."""

  def __init__(self, sources: Sequence[Any]):
    if not sources:
      raise ValueError('sources: got none, expected at least one')
    self._sources = [dict(s) if isinstance(s, Mapping) else s for s in sources]
    self.sizes = [_size(source, i) for i, source in enumerate(self._sources)]
    self._starts = np.cumsum([0] + self.sizes)

  def take(self, row_b: np.ndarray) -> Batch:
    source_b = np.searchsorted(self._starts, row_b, side='right') - 1
    parts, places = [], []
    for i, source in enumerate(self._sources):
      place = np.flatnonzero(source_b == i)
      if len(place):
        parts.append(_gather(source, row_b[place] - self._starts[i]))
        places.append(place)
    if len(parts) == 1:
      batch = parts[0]
    else:
      back = np.argsort(np.concatenate(places))
      batch = jax.tree.map(lambda *xs: np.concatenate(xs)[back], *parts)
    return batch if 'index' in batch else {**batch, 'index': row_b.astype(np.int32)}


def _gather(source: Any, row_b: np.ndarray) -> Batch:
  if isinstance(source, dict):
    return jax.tree.map(lambda x: x[row_b], source)
  many = getattr(source, '__getitems__', None)  # what ArrayRecord offers to read many rows at once
  items = many([int(row) for row in row_b]) if many else [source[int(row)] for row in row_b]
  return jax.tree.map(lambda *xs: np.stack(xs), *items)


def _size(source: Any, i: int) -> int:
  if isinstance(source, dict):
    sizes = {len(x) for x in jax.tree.leaves(source)}
    if len(sizes) != 1:
      raise ValueError(f'sources[{i}]: arrays have lengths {sorted(sizes)}, expected one for all')
    (size,) = sizes
  else:
    size = len(source)
  if not size:
    raise ValueError(f'sources[{i}]: got 0 rows, expected at least one')
  return size


def _order(sizes: Sequence[int], weights: Sequence[float] | None, seed: int, shuffle: bool):
  """Random access to the endless stream of rows: `order[i]` is the row at place i."""
  import grain  # here alone, because it has no Windows wheel and prediction must run there

  weights = list(sizes if weights is None else weights)
  if len(weights) != len(sizes) or not all(np.isfinite(w) and w > 0 for w in weights):
    raise ValueError(f'weights: got {weights}, expected {len(sizes)} positive numbers')
  streams, start = [], 0
  for i, size in enumerate(sizes):
    stream = grain.MapDataset.range(start, start + size)
    if shuffle:
      stream = stream.seed(int(np.random.SeedSequence([seed, i]).generate_state(1)[0])).shuffle()
    streams.append(stream.repeat(None))
    start += size
  return grain.MapDataset.mix(streams, weights=[w / sum(weights) for w in weights])
