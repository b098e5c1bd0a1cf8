"""How fast sets are built, against only reading the same files with their reader, as JSON.

    python -m tests.benchmarks.builders --raw DIR_OF_ARCHIVES --out FILE [--sets NAME ...] [--big_mb 1024]

DIR_OF_ARCHIVES holds the archives of RAW. For each set, in one process: `read` opens every raw file
with the reader that its parser uses and does nothing with the arrays; `build` is the whole build
with one worker (parse, validate, checksum, encode, write, checksums of raw files and shards). Both
are given in MB of raw (unpacked) input and in records per second, by CPU time (user and system of
the process) and by wall time; on a loaded machine only the CPU time means much. `random_read` takes
records of the built set in random order. `big` is the peak memory while a synthetic input of
--big_mb is built, against one of an eighth of it.

`read_archive` and `build_archive` begin with the archive, as a user does: both unpack it first.
`worker` is what each of several processes does of a build: all but finding, hashing and unpacking raw
files and writing, which one process does for all.

The target (60 % of reading) is met where reading is the work, as for text. Where it is a copy of
memory (.dat, HDF5) or makes more signal than it reads (compressed .mat), the price is
what any build pays: two checksums, the checks of the signal and ArrayRecord's compression
(data_builders/README.md, "Speed").
"""

import argparse
from collections.abc import Callable
import functools
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
import time

from aemg_jax.sources import read_records
import numpy as np

from data_builders import build as build_lib
from data_builders import intake, mat5, raw

RAW = {'ninapro/db1': 'ninapro_db1.zip', 'uci_emg/raw': 'uci_emg_gestures.zip',
       'three_dc': '3dc.zip', 'myo_armband': 'myoarmband_cote_allard.zip',
       'plux_fatigue': 'plux_emg_fatigue.zip'}
TARGET = 0.6
READS = 300
BIG_FILE_BYTES = 1 << 20


def read_mat(path: str) -> None:
  mat5.read_arrays(path, ('emg', 'restimulus', 'stimulus', 'rerepetition'))


def read_table(path: str) -> None:
  np.loadtxt(path, delimiter='\t', skiprows=1, usecols=range(10))


def read_commas(path: str) -> None:
  np.fromstring(pathlib.Path(path).read_bytes().replace(b'\n', b','), np.int64, sep=',')


def read_dat(path: str) -> None:
  np.fromfile(path, '<i2').reshape(-1, 8)


def read_hdf5(path: str) -> None:
  import h5py
  with h5py.File(path) as f:
    f.visititems(lambda name, item: item[()] if isinstance(item, h5py.Dataset) else None)


READERS = {'ninapro/db1': read_mat, 'uci_emg/raw': read_table, 'three_dc': read_commas,
           'myo_armband': read_dat, 'plux_fatigue': read_hdf5}


def timed(works: dict[str, Callable[[], object]], repeats: int) -> dict[str, dict[str, float]]:
  """CPU and wall seconds of each work's repeat with the least CPU time; they take turns."""
  runs = {name: [] for name in works}
  for _ in range(repeats):
    for name, work in works.items():
      wall_s, cpu_s = time.perf_counter(), time.process_time()
      work()
      runs[name].append((time.process_time() - cpu_s, time.perf_counter() - wall_s))
  return {name: dict(zip(('cpu_s', 'wall_s'), min(its))) for name, its in runs.items()}


def speed(run: dict[str, float], n_bytes: int, n_records: int) -> dict[str, float]:
  return {f'{what}_per_{clock}_s': round(amount / run[f'{clock}_s'], 2)
          for what, amount in (('mb', n_bytes / 1e6), ('records', n_records))
          for clock in ('cpu', 'wall')} | {k: round(v, 3) for k, v in run.items()}


def measure(name: str, archive: pathlib.Path, folder: pathlib.Path, repeats: int) -> dict:
  """Reading, building and random reading of one set."""
  with raw.open_raw(str(archive), str(folder)) as top:
    cls = build_lib.load_builder(name.split('/')[0])
    builder = cls(config=name.partition('/')[2] or cls.DEFAULT_BUILDER_CONFIG_NAME)
    jobs = builder._jobs([top])
    n_bytes = sum(job.n_bytes for job in jobs)

    def read_archive() -> None:
      with raw.open_raw(str(archive), str(folder)) as again:
        for job in builder._jobs([again]):
          READERS[name](job.path)

    def build(source: str) -> None:
      shutil.rmtree(folder / 'built', ignore_errors=True)
      build_lib.build(name, str(folder / 'built'), source, progress=False)
    parse = functools.partial(intake.parse_encoded, builder._parser(), builder._schema())
    did = timed({'read': lambda: [READERS[name](job.path) for job in jobs],
                 'worker': lambda: [len(parse(job)) for job in jobs],
                 'build': lambda: build(top), 'read_archive': read_archive,
                 'build_archive': lambda: build(str(archive))}, repeats)
    records = read_records(next(p.parent for p in (folder / 'built').rglob('metadata.json')))
    order = np.random.default_rng(0).integers(len(records), size=READS).tolist()
    n_read = sum(records[i].signal_tc.nbytes for i in order)
    did |= timed({'random_read': lambda: sum(len(records[i].labels) for i in order)}, repeats)
    bound = {'worker': 'read', 'build': 'read', 'build_archive': 'read_archive'}
    share = {what: round(did[than]['cpu_s'] / did[what]['cpu_s'], 3)
             for what, than in bound.items()}
    return {'set': name, 'files': len(jobs), 'raw_mb': round(n_bytes / 1e6, 2),
            'signal_mb': round(sum(r.signal_tc.nbytes for r in records) / 1e6, 2),
            'records': len(records), 'read': speed(did['read'], n_bytes, len(jobs)),
            'build': speed(did['build'], n_bytes, len(records)),
            'read_archive': speed(did['read_archive'], n_bytes, len(jobs)),
            'build_archive': speed(did['build_archive'], n_bytes, len(records)),
            'worker': speed(did['worker'], n_bytes, len(records)),
            'share_of_reading': share,
            'reaches_target': {what: its >= TARGET for what, its in share.items()},
            'random_read': speed(did['random_read'], n_read, READS)}


def peak_mb(n_files: int, folder: pathlib.Path) -> dict[str, float]:
  """Peak memory of a process that builds `n_files` files of 1 MiB in the layout of myo_armband."""
  rng = np.random.default_rng(0)
  for i in range(n_files):
    top = ('EvaluationDataset', 'PreTrainingDataset')[i % 2]
    path = folder / f'big/{top}/Male{i // 56}/training0/classe_{i // 2 % 28}.dat'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(rng.integers(-99, 99, BIG_FILE_BYTES // 2, np.int16).tobytes())
  command = [sys.executable, '-m', 'tests.benchmarks.builders', '--build_only', str(folder)]
  done = subprocess.run(command, check=True, capture_output=True, text=True)
  shutil.rmtree(folder / 'big')
  shutil.rmtree(folder / 'built')
  return {'input_mb': n_files * BIG_FILE_BYTES / 1e6, **json.loads(done.stdout.splitlines()[-1])}


def build_only(folder: pathlib.Path) -> None:
  """Builds and prints the memory before it and at its peak."""
  build_lib.load_builder('myo_armband')
  before_mb = high_water_mb()
  build_lib.build('myo_armband', str(folder / 'built'), str(folder / 'big'), progress=False)
  sys.stdout.write(json.dumps({'before_mb': before_mb, 'peak_mb': high_water_mb()}) + '\n')


def high_water_mb() -> float:
  """Peak memory of this process; not ru_maxrss, which a child inherits from its parent."""
  line, = (x for x in pathlib.Path('/proc/self/status').read_text().splitlines() if 'VmHWM' in x)
  return round(int(line.split()[1]) * 1024 / 1e6, 1)


def commit() -> str:
  command = ['git', 'rev-parse', '--short', 'HEAD']
  return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--raw', type=pathlib.Path, help='folder with the archives')
  parser.add_argument('--out', type=pathlib.Path)
  parser.add_argument('--sets', nargs='*', default=list(RAW))
  parser.add_argument('--repeats', type=int, default=3)
  parser.add_argument('--big_mb', type=int, default=1024, help='MiB; 0: leave it out')
  parser.add_argument('--build_only', type=pathlib.Path, help=argparse.SUPPRESS)
  args = parser.parse_args()
  if args.build_only:
    build_only(args.build_only)
    return
  result = {'benchmark': 'builders', 'cores': os.cpu_count(), 'python': platform.python_version(),
            'numpy': np.__version__, 'load_average': round(os.getloadavg()[0], 2),
            'commit': commit(), 'repeats': args.repeats, 'target_share_of_reading': TARGET,
            'sets': [], 'big': []}
  for name in args.sets:
    with tempfile.TemporaryDirectory() as folder:
      result['sets'].append(measure(name, args.raw / RAW[name], pathlib.Path(folder),
                                    args.repeats))
  for n_files in (args.big_mb // 8, args.big_mb) if args.big_mb else ():
    with tempfile.TemporaryDirectory() as folder:
      result['big'].append(peak_mb(n_files, pathlib.Path(folder)))
  text = json.dumps(result, indent=1) + '\n'
  if args.out:
    args.out.write_text(text)
  sys.stdout.write(text)


if __name__ == '__main__':
  main()
