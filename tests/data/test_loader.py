"""Batch k as a pure function of (seed, k, process)."""

import threading
import time

import numpy as np
import pytest

from aemg_jax.data import loader
from aemg_jax.sentences.words import Words


def _source(n, base=0):
  return {'x_bf': (base + np.arange(n * 3)).reshape(n, 3).astype(np.float32),
          'nested': {'label': np.arange(n) + base}}


class _Rows:
  """A random-access source over a dict of arrays."""

  def __init__(self, arrays):
    self._arrays = arrays

  def __len__(self):
    return len(self._arrays['x_bf'])

  def __getitem__(self, i):
    label = self._arrays['nested']['label'][i]
    return {'x_bf': self._arrays['x_bf'][i], 'nested': {'label': label}}


def _same(a, b):
  assert sorted(a) == sorted(b)
  np.testing.assert_array_equal(a['x_bf'], b['x_bf'])
  np.testing.assert_array_equal(a['nested']['label'], b['nested']['label'])
  np.testing.assert_array_equal(a['index'], b['index'])


def test_batch_k_is_the_same_from_any_start_and_in_any_order():
  """Catches: a stateful iterator, whose order a resume cannot find again."""
  straight = [loader.Loader([_source(37)], 8, seed=3)(k) for k in range(12)]
  fresh = loader.Loader([_source(37)], 8, seed=3)
  for k in (11, 0, 5, 5, 7):
    _same(fresh(k), straight[k])


def test_union_over_processes_is_the_global_batch():
  """Catches: rows that depend on the number of processes, or that two processes share."""
  for k in (0, 3, 9):
    whole = loader.Loader([_source(37), _source(11, base=1000)], 8, seed=3)(k)
    for n in (1, 2, 4):
      parts = [loader.Loader([_source(37), _source(11, base=1000)], 8, seed=3, process_index=p,
                             process_count=n)(k) for p in range(n)]
      assert all(len(part['index']) == 8 // n for part in parts)
      np.testing.assert_array_equal(np.concatenate([p['index'] for p in parts]), whole['index'])
      np.testing.assert_array_equal(np.concatenate([p['x_bf'] for p in parts]), whole['x_bf'])


def test_each_epoch_holds_each_row_once_in_another_order():
  """Catches: sampling with replacement; the same order every epoch; the order of the file."""
  load = loader.Loader([_source(24)], 8, seed=3)
  epochs = [np.concatenate([load(3 * e + k)['index'] for k in range(3)]) for e in range(3)]
  for epoch in epochs:
    assert sorted(epoch) == list(range(24))
  assert len({tuple(epoch) for epoch in epochs} | {tuple(range(24))}) == 4
  other = np.concatenate([loader.Loader([_source(24)], 8, seed=4)(k)['index'] for k in range(3)])
  assert tuple(other) != tuple(epochs[0])


def test_leaves_of_a_row_stay_together():
  """Catches: labels gathered in another order than the signals, in and across sources."""
  load = loader.Loader([_source(10), _Rows(_source(20, base=1000))], 8, seed=3)
  for k in range(6):
    batch = load(k)
    row_b, second_b = batch['index'], batch['index'] >= 10
    want_b = np.where(second_b, row_b - 10 + 1000, row_b)
    np.testing.assert_array_equal(batch['nested']['label'], want_b)
    want_x_b = np.where(second_b, (row_b - 10) * 3 + 1000, row_b * 3)
    np.testing.assert_array_equal(batch['x_bf'][:, 0], want_x_b)


@pytest.mark.parametrize('weights, share', [((3, 1), 0.75), ((1, 1), 0.5), (None, 0.25)])
def test_mixture_has_its_proportions_in_every_stretch(weights, share):
  """Catches: weights ignored, or a small source used up at the start."""
  load = loader.Loader([_source(10), _source(30, base=1000)], 40, seed=3, weights=weights)
  for k in range(5):
    assert abs(np.mean(load(k)['index'] < 10) - share) <= 0.05


def test_random_access_and_memory_give_the_same_batches():
  """Catches: two readers with two orders."""
  a = loader.Loader([_source(20)], 4, seed=3)
  b = loader.Loader([_Rows(_source(20))], 4, seed=3)
  for k in range(7):
    _same(a(k), b(k))


def test_words_pass_through():
  """Catches: a named tuple of leaves turned into something else."""
  fields = {name: np.arange(6 * 2).reshape(6, 2) for name in Words._fields}
  batch = loader.Loader([{'words': Words(**fields)}], 3, seed=0)(0)
  assert isinstance(batch['words'], Words)
  np.testing.assert_array_equal(batch['words'].onset_n[:, 0], 2 * batch['index'])


def test_own_index_is_kept():
  """Catches: sentence rows of the prepared set replaced by rows of a fold's subset."""
  batch = loader.Loader([{**_source(5), 'index': np.arange(5) + 70}], 5, seed=0)(0)
  assert sorted(batch['index']) == [70, 71, 72, 73, 74]


def test_unshuffled_is_the_order_of_the_file():
  """Catches: evaluation-like use that is shuffled all the same."""
  load = loader.Loader([_source(10)], 4, seed=0, shuffle=False)
  assert [load(k)['index'].tolist() for k in range(3)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0, 1]]


def test_evaluation_sees_each_row_once_and_weighs_padding_zero():
  """Catches: a last batch dropped, or its filling counted."""
  for source in (_source(10), _Rows(_source(10))):
    batches = list(loader.evaluation_batches(source, 4))
    assert [len(b['index']) for b in batches] == [4, 4, 4]
    weight = np.concatenate([b['weight'] for b in batches])
    index = np.concatenate([b['index'] for b in batches])
    assert weight.tolist() == [1] * 10 + [0] * 2
    assert index[weight > 0].tolist() == list(range(10))
  own = {**_source(3), 'weight': np.array([0.5, 2, 0], np.float32)}
  assert next(loader.evaluation_batches(own, 4))['weight'].tolist() == [0.5, 2, 0, 0]


@pytest.mark.parametrize('kwargs, message', [
    (dict(sources=[]), 'sources: got none'),
    (dict(sources=[_source(0)]), r'sources\[0\]: got 0 rows'),
    (dict(sources=[{'a': np.zeros(3), 'b': np.zeros(4)}]), r'lengths \[3, 4\]'),
    (dict(weights=[1, 2]), 'weights: got .* expected 1 positive'),
    (dict(weights=[0.0]), 'expected 1 positive'),
    (dict(batch_size=9, process_index=0, process_count=2), 'batch_size: got 9'),
    (dict(process_index=2, process_count=2), 'process_index: got 2'),
])
def test_wrong_settings_are_refused(kwargs, message):
  """Catches: a setting that only shows as a strange batch."""
  with pytest.raises(ValueError, match=message):
    loader.Loader(**{'sources': [_source(4)], 'batch_size': 8, 'seed': 0, **kwargs})


def test_prefetch_gives_the_same_batches_and_never_past_the_end():
  """Catches: an order that depends on the thread; a read of a batch that the run does not have."""
  asked = []
  load = loader.Loader([_source(37)], 8, seed=3)

  def batches(step):
    asked.append(step)
    return load(step)

  ahead = loader.Prefetch(batches, stop=6)
  for k in (0, 1, 2, 3, 4, 5, 2):
    _same(ahead(k), load(k))
  ahead.close()
  assert asked[:6] == [0, 1, 2, 3, 4, 5] and max(asked) == 5


def test_prefetch_works_ahead_in_its_thread_and_passes_errors_on():
  """Catches: no overlap with the step; an error that hangs the run or is lost."""
  threads = []

  def batches(step):
    threads.append(threading.current_thread())
    if step == 2:
      raise ValueError('record 7: broken')
    return {'x': np.zeros(1)}

  ahead = loader.Prefetch(batches, stop=9, depth=1)
  ahead(0)
  deadline = time.monotonic() + 5
  while len(threads) < 2 and time.monotonic() < deadline:
    time.sleep(0.01)
  assert len(threads) == 2 and threading.current_thread() not in threads
  ahead(1)
  with pytest.raises(ValueError, match='record 7: broken'):
    ahead(2)
  ahead.close()


def test_prefetch_sends_in_its_thread_and_gives_a_batch_again_as_it_was():
  """Catches: transfers in the way of the step; an error message about what is on the devices."""
  threads = []

  def put(batch):
    threads.append(threading.current_thread())
    return {'sent': batch['index']}

  load = loader.Loader([_source(37)], 8, seed=3)
  ahead = loader.Prefetch(load, stop=3, put=put)
  for k in range(3):
    np.testing.assert_array_equal(ahead(k)['sent'], load(k)['index'])
  _same(ahead.again(1), load(1))
  ahead.close()
  assert len(threads) == 3 and threading.current_thread() not in threads
