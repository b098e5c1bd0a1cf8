"""Between a parser and the writer: parallel parsing in order, duplicates, rejects, counts."""

import collections
from collections.abc import Callable, Iterable, Iterator, Sequence
import concurrent.futures
import dataclasses
import hashlib
import multiprocessing
from typing import Any

from absl import logging
from aemg_jax.records import Record, validate
import numpy as np

from data_builders.encoding import encode
from data_builders.jobs import DUPLICATE, INVALID_RECORD, UNKNOWN_LABEL, Job, Reject

BYTES_PER_SHARD = 256 << 20
JOBS_PER_TASK = 16
BYTES_PER_TASK = 64 << 20


@dataclasses.dataclass(frozen=True)
class Schema:
  """What every record of a set has in common.

  Attributes:
    label_names: that may occur.
    channels: of the signal; None: any number.
    dtype: of the signal.
  """
  label_names: frozenset[str]
  channels: int | None
  dtype: str


@dataclasses.dataclass(frozen=True)
class Outline:
  """What the whole set must know of a record: all but its signal.

  Attributes:
    name: of the job it came from.
    record_id, subject: of the record.
    seconds: its length.
    labels: the name of every span.
    sha256: over dtype, shape and bytes of the signal.
  """
  name: str
  record_id: str
  subject: str
  seconds: float
  labels: tuple[str, ...]
  sha256: str


def outline(job: Job, item: Record | Reject, schema: Schema) -> Outline | Reject:
  """Validates a parsed item by itself; what depends on others is `Intake`'s."""
  if isinstance(item, Reject):
    return item
  try:
    validate(item)
  except ValueError as error:
    return Reject(job.name, INVALID_RECORD, str(error))
  labels = tuple(label.name for label in item.labels)
  unknown = sorted(set(labels) - schema.label_names)
  if unknown:
    return Reject(job.name, UNKNOWN_LABEL, f'got {unknown}, expected {sorted(schema.label_names)}')
  dtype, shape = item.signal_tc.dtype, item.signal_tc.shape
  if dtype != np.dtype(schema.dtype) or schema.channels not in (None, shape[1]):
    return Reject(job.name, INVALID_RECORD, f'signal of {shape[1]} channels of {dtype}, expected'
                  f' {schema.channels or "any number"} of {schema.dtype}')
  digest = hashlib.sha256(f'{schema.dtype} {shape}'.encode())
  digest.update(np.ascontiguousarray(item.signal_tc).data)
  return Outline(job.name, item.record_id, item.subject, item.n_samples / item.rate_hz, labels,
                 digest.hexdigest())


def parse_outlined(parse: Callable[[Job], Sequence[Record | Reject]], schema: Schema,
                   job: Job) -> list[tuple[Outline | Reject, Record | Reject]]:
  """What comes of a job, each with its outline: the work that any process can do."""
  return [(outline(job, item, schema), item) for item in parse(job)]


def parse_encoded(parse: Callable[[Job], Sequence[Record | Reject]], schema: Schema,
                  job: Job) -> list[tuple[Outline | Reject, bytes]]:
  """The same with the bytes to write instead of the record; none of a reject."""
  return [(its, encode(item, schema.channels is None) if isinstance(its, Outline) else b'')
          for its, item in parse_outlined(parse, schema, job)]


class Intake:
  """Takes outlines in order: drops duplicates, counts records and rejects."""

  def __init__(self, dataset: str, known_rejects: Iterable[str], skip_bad: bool):
    self.dataset = dataset
    self.known_rejects, self.skip_bad = frozenset(known_rejects), skip_bad
    self.n_records, self.seconds, self.last_id = 0, 0.0, ''
    self.rejects: list[Reject] = []
    self.labels: collections.Counter[str] = collections.Counter()
    self.subjects: set[str] = set()
    self._first_with: dict[str, str] = {}

  def take(self, item: Outline | Reject) -> bool:
    """Whether to write the record; if not, it is a counted reject. Raises on a bad file."""
    if isinstance(item, Outline):
      item = self._check(item)
    if isinstance(item, Reject):
      if item.reason not in self.known_rejects and not self.skip_bad:
        raise ValueError(f'{item.name}: {item.reason}: {item.detail} (--skip_bad counts such files'
                         ' as rejects and goes on)')
      self.rejects.append(item)
      return False
    self.n_records += 1
    self.seconds += item.seconds
    self.labels.update(item.labels)
    self.subjects.add(item.subject)
    return True

  def _check(self, item: Outline) -> Outline | Reject:
    if item.record_id <= self.last_id:
      raise AssertionError(f'{item.record_id}: comes after {self.last_id}: jobs not in order')
    self.last_id = item.record_id
    first = self._first_with.setdefault(item.sha256, item.record_id)
    if first != item.record_id:
      return Reject(item.name, DUPLICATE,
                    f'{item.record_id} has the same signal, byte by byte, as {first}')
    return item

  def finish(self) -> dict[str, Any]:
    """Counts for the metadata and rejects.json. Raises when nothing is left."""
    by_reason = collections.Counter(r.reason for r in self.rejects)
    if not self.n_records:
      raise ValueError(f'{self.dataset}: no usable recording among the raw files, expected at least'
                       f' one (rejects: {dict(by_reason)})')
    for reason, count in sorted(by_reason.items()):
      logging.warning('%s: %d rejected: %s', self.dataset, count, reason)
    return {
        'counts': {'records': self.n_records, 'subjects': len(self.subjects),
                   'seconds': round(self.seconds, 3), 'labels': dict(sorted(self.labels.items()))},
        'reject_counts': dict(sorted(by_reason.items())),
        'rejects': [dataclasses.asdict(r) for r in self.rejects],
    }


def shard_jobs(jobs: Sequence[Job]) -> list[Sequence[Job]]:
  """Splits the jobs, in order, into shards of about BYTES_PER_SHARD."""
  shards, size = [[]], 0
  for job in jobs:
    if shards[-1] and size + job.n_bytes > BYTES_PER_SHARD:
      shards.append([])
      size = 0
    shards[-1].append(job)
    size += job.n_bytes
  return shards


def parse_all(parse: Callable[[Job], Sequence[Any]], jobs: Sequence[Job],
              workers: int) -> Iterator[tuple[Job, Sequence[Any]]]:
  """Parses in order; with several workers a bounded number of tasks runs ahead."""
  if workers == 1:
    for job in jobs:
      yield job, parse(job)
    return
  tasks = _tasks(jobs)
  with pool(workers) as executor:
    ahead = collections.deque()
    for task in tasks[:2 * workers]:
      ahead.append((task, executor.submit(_parse_task, parse, task)))
    for task in tasks[2 * workers:] + [None] * len(ahead):
      done, future = ahead.popleft()
      yield from zip(done, future.result(), strict=True)
      if task is not None:
        ahead.append((task, executor.submit(_parse_task, parse, task)))


def pool(workers: int) -> concurrent.futures.ProcessPoolExecutor:
  """New processes; fork is unsafe where the caller has threads."""
  return concurrent.futures.ProcessPoolExecutor(
      workers, mp_context=multiprocessing.get_context('spawn'))


def _tasks(jobs: Sequence[Job]) -> list[Sequence[Job]]:
  """Some jobs each, fewer where files are large: a task's recordings are in memory together."""
  tasks, size = [], 0
  for job in jobs:
    if not tasks or len(tasks[-1]) == JOBS_PER_TASK or size + job.n_bytes > BYTES_PER_TASK:
      tasks.append([])
      size = 0
    tasks[-1].append(job)
    size += job.n_bytes
  return tasks


def _parse_task(parse, jobs):
  return [parse(job) for job in jobs]
