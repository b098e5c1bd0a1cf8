"""Sentences per second out of the loader, from memory and from ArrayRecord, as one line of JSON.

    python -m tests.benchmarks.loader [--sentences 2048] [--batches 100] [--out FILE]

A sentence is 128 words with 52 samples, 26 spectrum bins and the words' scalar fields, batch 64.
The files are written to a temporary folder and read from the page cache: this measures the code,
not a disk. `stall` is how long a step of a given length waits for its batch behind the prefetch.
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


def rate(load, batches: int) -> float:
  """Sentences per second, after one batch to warm up."""
  load(0)
  start_s = time.perf_counter()
  for step in range(1, batches + 1):
    load(step)
  return batches * BATCH / (time.perf_counter() - start_s)


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


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--sentences', type=int, default=2048)
  parser.add_argument('--batches', type=int, default=100)
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
  text = json.dumps(result)
  if args.out:
    with open(args.out, 'w', encoding='utf-8') as f:
      f.write(text + '\n')
  sys.stdout.write(text + '\n')


if __name__ == '__main__':
  main()
