"""Builds one dataset: python -m data_builders.build NAME[/CONFIG] [--raw DIR_OR_ZIP] --data_dir D.

Writes D/NAME[/CONFIG]/VERSION/ (TFDS layout, ArrayRecord) with rejects.json inside, or nothing: the
folder appears in one rename when all is written. A complete build is recognised and kept. Exit
code 2 and one line on standard error for anything that the user can mend. No TensorFlow.
"""

import argparse
from collections.abc import Iterator, Sequence
import contextlib
import errno
import fcntl
import functools
import importlib
import json
import os
import pathlib
import shutil
import sys

from absl import logging

from data_builders import raw
from data_builders.download import download
from data_builders.jobs import REJECTS_FILE

BUILDERS = ('myo_armband', 'synthetic_emg')
DOWNLOADS = 'downloads'
TFDS_DIR = '.tfds'


def main(argv: Sequence[str] | None = None) -> int:
  """Returns the exit code."""
  logging.use_absl_handler()
  logging.set_verbosity(logging.INFO)
  args = _arguments(argv)
  try:
    folder = build(args.name, args.data_dir, args.raw, args.workers, args.skip_bad)
  except Exception as error:
    if is_disk_full(error):
      reason = f'{args.data_dir}: no space left on the disk, expected room for the set ({error})'
    elif isinstance(error, (ValueError, OSError)):
      reason = str(error)
    else:
      raise  # a bug: show where
    sys.stderr.write(f'error: {" ".join(reason.split())}\n')
    return 2
  sys.stdout.write(f'{folder}\n')
  return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
  parser = argparse.ArgumentParser(prog='python -m data_builders.build')
  parser.add_argument('name', metavar='NAME', 
                      help=f'one of {", ".join(BUILDERS)}; NAME/CONFIG picks a configuration')
  parser.add_argument('--raw', 
                      help='directory or zip with the raw files; downloaded when not given')
  parser.add_argument('--data_dir', required=True, help='where datasets go')
  parser.add_argument('--workers', type=int, default=1, 
                      help='processes that parse; any number gives the same bytes')
  parser.add_argument('--skip_bad', action='store_true',
                      help='count unusable files as rejects instead of stopping at the first')
  return parser.parse_args(argv)


def build(name: str, data_dir: str, raw_path: str | None = None, workers: int = 1,
          skip_bad: bool = False, progress: bool = True) -> pathlib.Path:
  """Builds `name` ('NAME' or 'NAME/CONFIG') unless it is there; returns its folder.

  Raises:
    ValueError: unknown name, bad raw data, or another build of the same dataset under way.
  """
  name, _, config = name.partition('/')
  if name not in BUILDERS:
    raise ValueError(f'{name}: unknown dataset, expected one of {list(BUILDERS)}')
  if workers < 1:
    raise ValueError(f'--workers: got {workers}, expected at least 1')
  import tensorflow_datasets as tfds  # here, because spawned workers import this module anew
  tfds.disable_progress_bar()
  cls = importlib.import_module(f'data_builders.{name}.{name}_dataset_builder').Builder
  if config and config not in cls.builder_configs:
    raise ValueError(f'{name}/{config}: unknown configuration, expected one of'
                     f' {sorted(cls.builder_configs)}')
  home = pathlib.Path(data_dir) / name
  home.mkdir(parents=True, exist_ok=True)
  with _only_build(home), contextlib.ExitStack() as stack:
    make = functools.partial(cls, config=config or cls.DEFAULT_BUILDER_CONFIG_NAME,
                             data_dir=data_dir, file_format='array_record')
    folder = pathlib.Path(make().data_dir)
    if folder.exists():
      _check_complete(folder)
      logging.info('%s: complete, kept', folder)
      return folder
    _remove_leftovers(home)
    if raw_path is not None and not cls.URL:
      raise ValueError(f'--raw: got {raw_path}, expected nothing: {name} is generated')
    downloaded = raw_path is None and bool(cls.URL)
    if downloaded:
      raw_path = download(cls.URL, pathlib.Path(data_dir) / DOWNLOADS, cls.registered_sha256(),
                          progress)
    raw_dir = None if raw_path is None else stack.enter_context(
        raw.open_raw(os.fspath(raw_path), str(home)))
    builder = make(raw_dir=raw_dir, workers=workers, skip_bad=skip_bad, progress=progress,
                   require_published=downloaded)
    try:
      builder.download_and_prepare(download_dir=str(home / TFDS_DIR), file_format='array_record')
    finally:
      shutil.rmtree(home / TFDS_DIR, ignore_errors=True)  # an empty folder of TFDS's
  return folder


@contextlib.contextmanager
def _only_build(home: pathlib.Path) -> Iterator[None]:
  """Holds the dataset's lock; the system drops it even when the process is killed."""
  with (home / '.lock').open('w') as lock:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      raise ValueError(f'{home}: another build is writing here, expected to be alone') from error
    yield


def _remove_leftovers(home: pathlib.Path) -> None:
  """Removes what a killed build left: nobody else writes here while the lock is held."""
  for pattern in (f'{raw.RAW_PREFIX}*', TFDS_DIR, '**/incomplete.*'):
    for path in home.glob(pattern):
      logging.info('%s: left by an interrupted build, removed', path)
      shutil.rmtree(path)


def _check_complete(folder: pathlib.Path) -> None:
  """Every shard that the metadata lists must be there in full size."""
  try:
    shards = json.loads((folder / 'metadata.json').read_text())['shards']
    missing = [name for name in ('dataset_info.json', 'features.json', REJECTS_FILE)
               if not (folder / name).is_file()]
    missing += [name for name, shard in shards.items() if not (folder / name).is_file()
                or (folder / name).stat().st_size != shard['bytes']]
  except (OSError, KeyError, json.JSONDecodeError):
    missing = ['metadata.json']
  if missing:
    raise ValueError(f'{folder}: {missing[0]} is missing or damaged, expected a complete dataset'
                     ' (delete the folder to build it again)')


def is_disk_full(error: BaseException) -> bool:
  """Also for writers in C++ that only pass the text of the error on."""
  return getattr(error, 'errno', None) == errno.ENOSPC or os.strerror(errno.ENOSPC) in str(error)


if __name__ == '__main__':
  sys.exit(main())
