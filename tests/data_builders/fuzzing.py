"""Fuzzing of parsers and of archives: spoilt files, read in a process of its own.

    python -m tests.data_builders.fuzzing [NAME[/CONFIG] ...] [--cases 2000] [--seed 0] [--out F]

Without a name: every format of the contract table, and every kind of archive. --out adds one row
for each to a JSON file (tests/benchmarks/results/fuzz.json holds the last full run).

A case is a number: it decides which of the dummy files is spoilt and how, so a failure is repeated
by its seed (`--cases 1 --seed N`). The process that reads has 1 GiB of memory beyond what the good
files took, and 10 s for each case: of CPU time, as the machine may be loaded.
"""

import argparse
import collections
from collections.abc import Callable, Iterator, Sequence
import dataclasses
import datetime
import functools
import io
import json
import multiprocessing
import os
import pathlib
import random
import resource
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from typing import Any
import zipfile

from aemg_jax.records import Record, validate

from data_builders import build as build_lib
from data_builders import raw
from data_builders.jobs import Job, Reject
from tests.data_builders.contract_table import ROWS
from tests.data_builders.spoiling import spoil

MEMORY_BYTES = 1 << 30
CASE_S = 10  # of CPU time
START_S = 60  # the same, with the first import of a reader
WAIT = 12  # times as long, for a process that only waits
POLL_S = 0.2

Check = Callable[[Sequence[Job]], dict[str, int]]  # raises, or says how many of what came


class Worker:
  """A process that runs checks; one that dies or hangs is replaced.

  Attributes:
    counts: what the checks gave since `prepare`, the good files left out.
  """

  def __init__(self):
    self._process = None
    self.counts: collections.Counter[str] = collections.Counter()

  def prepare(self, check: Check, jobs: Sequence[Job]) -> None:
    """Runs `check` on good files, and sets the limit of memory above what that took."""
    self._prepared = (check, jobs)
    if self._process is None or not self._process.is_alive():
      context = multiprocessing.get_context('spawn')
      self._pipe, theirs = context.Pipe()
      self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
      self._process.start()
      theirs.close()
    self._pipe.send((check, jobs))
    fault, _ = self._answer(START_S)
    if fault:
      raise AssertionError(f'the good files: {fault}')

  def run(self, jobs: Sequence[Job]) -> str:
    """What went wrong; '' if nothing did."""
    self._pipe.send((None, jobs))
    fault, counts = self._answer(CASE_S)
    self.counts.update(counts)
    if not self._process.is_alive():
      self.prepare(*self._prepared)
    return fault

  def _answer(self, limit_s: float) -> tuple[str, dict[str, int]]:
    used_s, end_s = self._cpu_s(), time.monotonic() + WAIT * limit_s
    fault = f'no answer within {limit_s} s'
    while time.monotonic() < end_s and self._cpu_s() - used_s < limit_s:
      try:
        if self._pipe.poll(min(POLL_S, limit_s)):
          return self._pipe.recv()
      except (EOFError, ConnectionResetError):
        fault = 'the process died'
        break
    self.stop()
    return f'{fault} (exit code {self._process.exitcode})', {}

  def _cpu_s(self) -> float:
    """CPU time that the process has used."""
    try:
      stat = pathlib.Path(f'/proc/{self._process.pid}/stat').read_text().rpartition(')')[2].split()
    except (FileNotFoundError, ProcessLookupError):
      return 0.0
    return (int(stat[11]) + int(stat[12])) / os.sysconf('SC_CLK_TCK')

  def stop(self) -> None:
    if self._process is not None:
      self._process.kill()
      self._process.join()


def _serve(pipe) -> None:
  """Answers each list of jobs with a fault or '', and counts."""
  unlimited = resource.getrlimit(resource.RLIMIT_AS)[1]
  while True:
    try:
      new, jobs = pipe.recv()
    except EOFError:
      return
    if new is not None:
      check = new
      resource.setrlimit(resource.RLIMIT_AS, (unlimited, unlimited))
    fault, counts = '', {}
    try:
      counts = check(jobs)
    except Exception as error:  # whatever a reader may raise is what we look for
      fault = f'{type(error).__name__}: {error}'[:500]
    if new is not None:
      pages = int(pathlib.Path('/proc/self/statm').read_text().split()[0])
      limit = pages * resource.getpagesize() + MEMORY_BYTES
      resource.setrlimit(resource.RLIMIT_AS, (limit, unlimited))
    pipe.send((fault, counts))


class ParserCheck:
  """Raises unless every job gives valid records of the set's shape and labels, or rejects.

  A job may give nothing only where it does so for the good files, which are checked first: another
  job reads its file.
  """

  def __init__(self, parse: Callable, shape: tuple[int, str], label_names: frozenset[str]):
    self._parse, self._shape, self._label_names = parse, shape, label_names
    self._silent: frozenset[str] | None = None

  def __call__(self, jobs: Sequence[Job]) -> dict[str, int]:
    found = {job.name: self._parse(job) for job in jobs}
    if self._silent is None:
      self._silent = frozenset(name for name, items in found.items() if not items)
    for name, items in found.items():
      if not items and name not in self._silent:
        raise AssertionError(f'{name}: neither a record nor a reject')
      for item in items:
        self._check(item)
    return collections.Counter('rejects' if isinstance(item, Reject) else 'records'
                               for items in found.values() for item in items)

  def _check(self, item: Any) -> None:
    if isinstance(item, Reject):
      if not (item.name and item.reason and item.detail):
        raise AssertionError(f'{item}: expected a name, a reason and a detail')
      return
    if not isinstance(item, Record):
      raise AssertionError(f'{type(item)}: expected a Record or a Reject')
    validate(item)
    if (item.n_channels, str(item.signal_tc.dtype)) != self._shape:
      raise AssertionError(f'{item.signal_tc.shape} of {item.signal_tc.dtype}, expected'
                           f' {self._shape}')
    unknown = {label.name for label in item.labels} - self._label_names
    if unknown:
      raise AssertionError(f'labels {unknown}, expected those of the set')


def check_archive(scratch: str, jobs: Sequence[Job]) -> dict[str, int]:
  """Raises unless each archive is unpacked into its folder, or refused with its path."""
  counts = collections.Counter()
  for job in jobs:
    try:
      with raw.open_raw(job.path, scratch) as folder:
        counts['records'] += 1
        outside = set(os.listdir(scratch)) - {os.path.basename(folder)}
        links = [p for p in pathlib.Path(folder).rglob('*') if p.is_symlink()]
        if outside or links:
          raise AssertionError(f'wrote {outside | set(links)}')
    except ValueError as error:
      if job.path not in str(error):
        raise AssertionError(f'{error}: does not name {job.path}') from error
      counts = collections.Counter(rejects=1)  # some are refused half-way
    if os.listdir(scratch):
      raise AssertionError(f'left {os.listdir(scratch)}')
  return counts


@dataclasses.dataclass
class Target:
  """Files to spoil, and how they are read.

  Attributes:
    name: for the report.
    folder: a private copy of the good files.
    files: their bytes, by path relative to `folder`.
    jobs: what is parsed when all files are good.
    check: of jobs.
  """
  name: str
  folder: pathlib.Path
  files: dict[str, bytes]
  jobs: Sequence[Job]
  check: Check

  def fuzz(self, worker: Worker, seeds: Sequence[int]) -> list[str]:
    """One line for every case that went wrong."""
    worker.prepare(self.check, self.jobs)
    faults = []
    for seed in seeds:
      rng = random.Random(f'{self.name} {seed}')
      path = rng.choice(sorted(self.files))
      how, data = spoil(rng, self.files[path])
      if rng.random() < 0.05 and all(job.path != str(self.folder / path) for job in self.jobs):
        how = 'missing'
        (self.folder / path).unlink()
      else:
        (self.folder / path).write_bytes(data)
      for jobs in self._reading(self.folder / path):
        before = worker.counts.total()
        fault = worker.run(jobs)
        if fault or worker.counts.total() > before:
          break  # else another job reads the file
      else:
        fault = 'no job gave anything: none was tried'
      (self.folder / path).write_bytes(self.files[path])
      if fault:
        faults.append(f'{self.name}, seed {seed} ({how} in {path}): {fault}')
    return faults

  def _reading(self, path: pathlib.Path) -> Iterator[list[Job]]:
    """The jobs that a spoilt file may touch: its own, then those of files nearer and farther."""
    for top in (path, *path.parents):
      near = [job for job in self.jobs if pathlib.Path(job.path).is_relative_to(top)]
      if near:
        yield [dataclasses.replace(job, n_bytes=os.path.getsize(job.path)) for job in near]
      if top == self.folder:
        return


def builder_target(name: str, folder: pathlib.Path) -> Target:
  """The dummy files of NAME[/CONFIG], copied below `folder`."""
  dataset, _, config = name.partition('/')
  cls = build_lib.load_builder(dataset)
  copy = folder / name.replace('/', '-')
  shutil.copytree(pathlib.Path(build_lib.__file__).parent / dataset / 'dummy_data', copy)
  builder = cls(config=config or cls.DEFAULT_BUILDER_CONFIG_NAME, data_dir=str(folder / 'none'),
                raw_dirs=[str(copy)])  # some read their schema there
  jobs = builder._jobs([str(copy)])
  # What this configuration reads: others would dilute the cases.
  paths = sorted({pathlib.Path(job.path) for job in builder._raw_files(jobs)})
  files = {str(path.relative_to(copy)): path.read_bytes() for path in paths}
  channels, dtype = builder._channels_and_dtype()
  shape = channels, str(dtype.__name__ if isinstance(dtype, type) else dtype)
  check = ParserCheck(builder._parser(), shape, frozenset(builder.LABEL_NAMES))
  return Target(name, copy, files, jobs, check)


def archive_target(kind: str, folder: pathlib.Path, write: Callable[[pathlib.Path], Any]) -> Target:
  """An archive that `write` makes."""
  copy, scratch = folder / kind, folder / f'{kind}-scratch'
  copy.mkdir()
  scratch.mkdir()
  path = copy / 'set'
  write(path)
  return Target(kind, copy, {'set': path.read_bytes()},
                [Job('set', str(path), path.stat().st_size)],
                functools.partial(check_archive, str(scratch)))


def write_zip(path: pathlib.Path) -> None:
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
    for i in range(3):
      archive.writestr(zipfile.ZipInfo(f'set/s{i}/a.txt'), f'{i}, ' * 400, zipfile.ZIP_DEFLATED)


def write_tar(path: pathlib.Path, mode: str = 'w') -> None:
  data = b'1, 2, 3\n' * 200
  with tarfile.open(path, mode) as archive:
    for i in range(3):
      entry = tarfile.TarInfo(f'set/s{i}/a.txt')  # without the time of day
      entry.size = len(data)
      archive.addfile(entry, io.BytesIO(data))


FORMATS = [row.name for row in ROWS if not row.generated]
ARCHIVES = {'zip': write_zip, 'tar': write_tar} | {
    f'tar.{kind}': functools.partial(write_tar, mode=f'w:{kind}') for kind in ('gz', 'bz2', 'xz')}


def fuzz_one(name: str, seeds: Sequence[int]) -> tuple[list[str], dict[str, Any]]:
  """Faults of one of FORMATS or ARCHIVES, and its row for the report."""
  worker, begun = Worker(), time.monotonic()
  with tempfile.TemporaryDirectory() as folder:
    target = (archive_target(name, pathlib.Path(folder), ARCHIVES[name]) if name in ARCHIVES else
              builder_target(name, pathlib.Path(folder)))
    faults = target.fuzz(worker, seeds)
  worker.stop()
  commit = subprocess.run(['git', 'rev-parse', '--short', 'HEAD'], capture_output=True, text=True)
  return faults, {
      'name': name, 'cases': len(seeds), 'first_seed': seeds[0],
      'records': worker.counts['records'], 'rejects': worker.counts['rejects'],
      'faults': len(faults),
      'seconds': round(time.monotonic() - begun, 1), 'date': str(datetime.date.today()),
      'commit': commit.stdout.strip()}


def add_row(path: pathlib.Path, row: dict[str, Any]) -> None:
  """Puts the row into the report, in place of an older one of that name."""
  rows = json.loads(path.read_text())['formats'] if path.exists() else []
  rows = sorted([*(r for r in rows if r['name'] != row['name']), row], key=lambda r: r['name'])
  lines = ',\n'.join(f'  {json.dumps(r)}' for r in rows)
  path.write_text(f'{{"benchmark": "fuzz", "case_s": {CASE_S}, "memory_bytes": {MEMORY_BYTES},'
                  f' "formats": [\n{lines}\n]}}\n')


def main() -> int:
  parser = argparse.ArgumentParser(prog='python -m tests.data_builders.fuzzing')
  parser.add_argument('names', nargs='*', metavar='NAME', help='NAME or NAME/CONFIG of a builder,'
                      f' or a kind of archive: {", ".join(ARCHIVES)}')
  parser.add_argument('--cases', type=int, default=2000)
  parser.add_argument('--seed', type=int, default=0, help='the first case')
  parser.add_argument('--out', type=pathlib.Path, help='JSON file to add to')
  args = parser.parse_args()
  n_faults = 0
  for name in args.names or [*FORMATS, *ARCHIVES]:
    faults, row = fuzz_one(name, range(args.seed, args.seed + args.cases))
    n_faults += len(faults)
    sys.stdout.write(''.join(f'{fault}\n' for fault in faults) + f'{row}\n')
    sys.stdout.flush()
    if args.out:
      add_row(args.out, row)
  return 1 if n_faults else 0


if __name__ == '__main__':
  sys.exit(main())
