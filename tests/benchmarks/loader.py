"""Sentences per second out of the loader, from memory and from ArrayRecord, and what a train step waits.

    python -m tests.benchmarks.loader [--out FILE] [--sentences 2048] [--batches 100] [--train base,large]

A sentence is 128 words with 52 samples, 26 spectrum bins and the words' scalar fields, batch 64.
The files are written to a temporary folder and read from the page cache: this measures the code,
not a disk. `stall` is how long a step of a given length waits for its batch behind the prefetch.

`train`: the masked task's own step on this machine, fed as `aemg train` with in_memory=False does, from
prepared (synthetic) data in ArrayRecord. `stall_share` is the wait for the batch over the whole step;
`alone` the sentences a second of the loader while nothing trains, over those that the step consumes.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time

import numpy as np

from aemg_jax.data import loader
from aemg_jax.sentences.words import Words

WORDS, SAMPLES, BINS, BATCH = 128, 52, 26, 64
SHAPES = Words(waveform_np=('<f4', (WORDS, SAMPLES)), spectrum_nf=('<f4', (WORDS, BINS)),
               amplitude_n=('<f4', (WORDS,)), length_n=('<i4', (WORDS,)), onset_n=('<i4', (WORDS,)),
               time_n=('<i4', (WORDS,)), position_n=('<i4', (WORDS,)), ring_n=('<i4', (WORDS,)),
               valid_n=('?', (WORDS,)), bin_valid_f=('?', (BINS,)), fallback=('?', ()))
DTYPE = np.dtype([(name, kind, shape) for name, (kind, shape) in zip(Words._fields, SHAPES)])


class Sentences:
  """Random access over fixed-size structs in one ArrayRecord file."""

  def __init__(self, path: str):
    import array_record.python.array_record_data_source as array_record

    self._source = array_record.ArrayRecordDataSource([path])

  def __len__(self) -> int:
    return len(self._source)

  def __getitem__(self, row: int) -> dict[str, Words]:
    return self.__getitems__([row])[0]

  def __getitems__(self, rows: list[int]) -> list[dict[str, Words]]:
    structs = [np.frombuffer(record, DTYPE)[0] for record in self._source.__getitems__(rows)]
    return [{'words': Words(*(struct[name] for name in Words._fields))} for struct in structs]


def write(path: str, sentences: np.ndarray) -> None:
  from array_record.python.array_record_module import ArrayRecordWriter

  writer = ArrayRecordWriter(path, 'group_size:1,uncompressed')
  for sentence in sentences:
    writer.write(sentence.tobytes())
  writer.close()


def rate(load, batches: int, batch_size: int = BATCH) -> float:
  """Sentences per second, after one batch to warm up."""
  load(0)
  start_s = time.perf_counter()
  for step in range(1, batches + 1):
    load(step)
  return batches * batch_size / (time.perf_counter() - start_s)


def stall_ms(load, batches: int, step_s: float) -> float:
  """Median wait in ms for a batch if each step takes `step_s` and the prefetch works meanwhile."""
  ahead, waits = loader.Prefetch(load, batches), []
  for step in range(batches):
    start_s = time.perf_counter()
    ahead(step)
    waits.append(time.perf_counter() - start_s)
    time.sleep(step_s)
  ahead.close()
  return 1e3 * float(np.median(waits[1:]))


def at_train_step(folder: str, size: str, preset: str, batch_size: int, steps: int) -> dict:
  """Waits of `steps` real steps after one that compiles, and the loader alone."""
  import jax

  from aemg_jax.planning import plan
  from aemg_jax.training import jobs, optim, parallel, state
  from tests.benchmarks import made_set

  job = made_set.job(size, preset, batch_size=batch_size, in_memory=False)
  path = made_set.prepared(os.path.join(folder, preset), job)
  job, sets = jobs.open_sets(job, [path])
  load = loader.Loader([part.source for part in jobs.mixture(job, sets)], batch_size, seed=0)
  task, tx = plan.planned_task(job, 8192), optim.make_tx(job.optim, job.loop.steps)
  held = parallel.replicate(state.init_state(task, tx, jax.tree.map(lambda x: x[:1], load(0)), 0))
  step, layout = parallel.train_step(task, tx), parallel.Pmap()
  ahead, waits_s, whole_s = loader.Prefetch(load, steps + 1, put=layout.put_batch), [], []
  for number in range(steps + 1):
    start_s = time.perf_counter()
    batch = ahead(number)
    waits_s.append(time.perf_counter() - start_s)
    held, scalars = step(held, batch)
    jax.block_until_ready(scalars)
    whole_s.append(time.perf_counter() - start_s)
  ahead.close()
  step_s = float(np.median(whole_s[1:]))
  alone = rate(load, max(4, 256 // batch_size), batch_size)
  return {'size': size, 'preset': preset, 'batch': batch_size, 'steps': steps, 'step_s': round(step_s, 4),
          'wait_ms': round(1e3 * float(np.median(waits_s[1:])), 3),
          'stall_share': round(sum(waits_s[1:]) / sum(whole_s[1:]), 5),
          'consumed_sentences_per_s': round(batch_size / step_s, 2), 'alone_sentences_per_s': round(alone),
          'alone_over_consumed': round(alone * step_s / batch_size, 1)}


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--sentences', type=int, default=2048)
  parser.add_argument('--batches', type=int, default=100)
  parser.add_argument('--train', default='base', help="sizes, '' for none")
  parser.add_argument('--train_batch', type=int, default=8)
  parser.add_argument('--train_steps', type=int, default=10)
  parser.add_argument('--out', default='')
  args = parser.parse_args()
  sentences = np.zeros(args.sentences, DTYPE)
  rng = np.random.default_rng(0)
  for name in ('waveform_np', 'spectrum_nf', 'amplitude_n'):
    sentences[name] = rng.normal(size=sentences[name].shape)
  memory = {'words': Words(*(np.ascontiguousarray(sentences[name]) for name in Words._fields))}
  from_memory = loader.Loader([memory], BATCH, seed=0)
  with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, 'sentences.array_record')
    write(path, sentences)
    from_files = loader.Loader([Sentences(path)], BATCH, seed=0)
    result = {
        'benchmark': 'loader', 'batch': BATCH, 'words': WORDS, 'bytes_per_sentence': DTYPE.itemsize,
        'sentences': args.sentences, 'batches': args.batches, 'cores': os.cpu_count(),
        'load_average': round(os.getloadavg()[0], 2), 'python': platform.python_version(),
        'numpy': np.__version__,
        'order_rows_per_s': round(rate(from_memory.rows, args.batches)),
        'memory_sentences_per_s': round(rate(from_memory, args.batches)),
        'array_record_sentences_per_s': round(rate(from_files, args.batches)),
        'memory_stall_ms_at_20_ms_steps': round(stall_ms(from_memory, 20, 0.02), 3),
        'array_record_stall_ms_at_20_ms_steps': round(stall_ms(from_files, 20, 0.02), 3),
    }
    result['train'] = [at_train_step(os.path.join(folder, size), size, preset, args.train_batch, args.train_steps)
                       for size in filter(None, args.train.split(',')) for preset in ('default', 'paper')]
  text = json.dumps(result, indent=1)
  if args.out:
    with open(args.out, 'w', encoding='utf-8') as f:
      f.write(text + '\n')
  sys.stdout.write(text + '\n')


if __name__ == '__main__':
  main()
