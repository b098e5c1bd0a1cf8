"""Builds one dataset: python -m data_builders.build NAME[/CONFIG] [--raw DIR_OR_ZIP] --data_dir D.

Writes D/NAME[/CONFIG]/VERSION/ (TFDS layout, ArrayRecord) with rejects.json inside, or nothing: the
folder appears in one rename when all is written. A complete build is recognised and kept. Exit
code 2 and one line on standard error for anything that the user can mend. No TensorFlow.
With --beam_runner the parsing and writing is done by an Apache Beam runner (extra beam).
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
from typing import Any

from absl import logging

from data_builders import raw
from data_builders.download import download
from data_builders.jobs import REJECTS_FILE

BUILDERS = tuple(sorted(path.parent.name for path in
                        pathlib.Path(__file__).parent.glob('*/*_dataset_builder.py')))
DOWNLOADS = 'downloads'
SAMPLE_DIR = 'sample'
TFDS_DIR = '.tfds'


def main(argv: Sequence[str] | None = None) -> int:
  """Returns the exit code."""
  logging.use_absl_handler()
  logging.set_verbosity(logging.INFO)
  args = _arguments(argv)
  try:
    folder = build(args.name, args.data_dir, args.raw, args.workers, args.skip_bad,
                   sample=args.sample, accept_licence=args.accept_license,
                   beam=(args.beam_runner, args.beam_options))
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
                      help='directory, zip or tar with the raw files; downloaded when not given')
  parser.add_argument('--data_dir', required=True, help='where datasets go')
  parser.add_argument('--workers', type=int, default=1,
                      help='processes that parse; any number gives the same bytes')
  parser.add_argument('--skip_bad', action='store_true',
                      help='count unusable files as rejects instead of stopping at the first')
  parser.add_argument('--sample', action='store_true',
                      help='download one subject only, where the source allows it, into D/sample')
  parser.add_argument('--accept_license', action='store_true',
                      help='download a set whose licence asks for consent, having read it')
  parser.add_argument('--beam_runner', metavar='RUNNER', default='',
                      help='an Apache Beam runner, such as DirectRunner, instead of --workers')
  parser.add_argument('--beam_options', metavar='NAME=VALUE', nargs='+', default=(),
                      help='options of the runner')
  return parser.parse_args(argv)


def build(name: str, data_dir: str, raw_path: str | None = None, workers: int = 1,
          skip_bad: bool = False, progress: bool = True, sample: bool = False,
          accept_licence: bool = False,
          beam: tuple[str, Sequence[str]] = ('', ())) -> pathlib.Path:
  """Builds `name` ('NAME' or 'NAME/CONFIG') unless it is there; returns its folder.

  With `sample`, downloads the smallest part that gives a subject and builds below D/sample. With
  the name of a `beam` runner, and its options, that does the work.

  Raises:
    ValueError: unknown name, bad raw data, or another build of the same dataset under way.
  """
  name, _, config = name.partition('/')
  if name not in BUILDERS:
    raise ValueError(f'{name}: unknown dataset, expected one of {list(BUILDERS)}')
  if workers < 1:
    raise ValueError(f'--workers: got {workers}, expected at least 1')
  beam_config = _beam_config(*beam, workers)
  if sample:
    if raw_path is not None:
      raise ValueError(f'--raw: got {raw_path} with --sample, expected one of them')
    data_dir = os.path.join(data_dir, SAMPLE_DIR)
  cls = load_builder(name)
  if config and config not in cls.builder_configs:
    raise ValueError(f'{name}/{config}: unknown configuration, expected one of'
                     f' {sorted(cls.builder_configs)}')
  home = pathlib.Path(data_dir) / name
  home.mkdir(parents=True, exist_ok=True)
  with _only_build(home), contextlib.ExitStack() as stack:
    make = functools.partial(cls, config=config or cls.DEFAULT_BUILDER_CONFIG_NAME,
                             data_dir=data_dir, file_format='array_record')
    _remove_leftovers(home)

    def open_raw() -> list[str]:
      paths = [raw_path] if raw_path is not None else _fetch(
          make(), pathlib.Path(data_dir) / DOWNLOADS, sample, accept_licence, progress)
      if raw_path is not None and cls.GENERATED:
        raise ValueError(f'--raw: got {raw_path}, expected nothing: {name} is generated')
      return [stack.enter_context(raw.open_raw(os.fspath(p), str(home))) for p in paths]

    raw_dirs = open_raw() if cls.DESCRIBED_BY_RAW else []  # they name the folder to write
    builder = make(raw_dirs=raw_dirs)
    folder = pathlib.Path(builder.data_dir)
    if folder.exists():
      _check_complete(folder)
      if cls.DESCRIBED_BY_RAW:
        _check_same_raw(folder, raw_path, builder.raw_sha256())
      logging.info('%s: complete, kept', folder)
      return folder
    raw_dirs = raw_dirs or open_raw()
    builder = make(raw_dirs=raw_dirs, workers=workers, skip_bad=skip_bad, progress=progress,
                   require_published=raw_path is None and not sample)
    try:
      builder.download_and_prepare(download_dir=str(home / TFDS_DIR), file_format='array_record',
                                   download_config=beam_config)
    finally:
      shutil.rmtree(home / TFDS_DIR, ignore_errors=True)  # an empty folder of TFDS's
  return folder


def _beam_config(runner: str, options: Sequence[str], workers: int) -> Any:
  """What TFDS needs to build on a Beam runner; None without one."""
  if options and not runner:
    raise ValueError(f'--beam_options: got {" ".join(options)}, expected --beam_runner too')
  if not runner:
    return None
  if workers > 1:
    raise ValueError(f'--workers: got {workers} with --beam_runner, expected one of them')
  from data_builders import on_beam  # here, because spawned workers import this module anew
  return on_beam.download_config(runner, options)


def load_builder(name: str) -> type:
  """The builder class of the set `name`, one of BUILDERS."""
  import tensorflow_datasets as tfds  # here, because spawned workers import this module anew
  tfds.disable_progress_bar()
  return importlib.import_module(f'data_builders.{name}.{name}_dataset_builder').Builder


def _fetch(builder: Any, folder: pathlib.Path, sample: bool, accept_licence: bool,
           progress: bool) -> list[pathlib.Path]:
  """Downloads the archives of the builder's configuration; [] for generated data."""
  if builder.GENERATED:
    return []
  urls = builder.urls(sample)
  if not urls:
    how = ('the source offers no part of it, expected no --sample' if sample else
           f'expected --raw: {" ".join((builder.MANUAL_DOWNLOAD_INSTRUCTIONS or "").split())}')
    raise ValueError(f'{builder.name}: cannot be downloaded; {how}')
  if builder.MUST_ACCEPT and not accept_licence:
    raise ValueError(f'{builder.name}: its licence asks for consent ({builder.LICENCE}; see'
                     f' {builder.HOMEPAGE}), expected --accept_license after reading it')
  return [download(url, folder, builder.registered_sha256(url), progress) for url in urls]


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


def _check_same_raw(folder: pathlib.Path, raw_path: str | None, raw_sha256: str) -> None:
  """Another folder may have described itself by the same name."""
  if json.loads((folder / 'metadata.json').read_text())['raw_sha256'] != raw_sha256:
    raise ValueError(f'{folder}: was built from other files than those of {raw_path}, expected the'
                     ' same (give these another name, or delete the folder to build it again)')


def is_disk_full(error: BaseException) -> bool:
  """Also for writers in C++ that only pass the text of the error on."""
  return getattr(error, 'errno', None) == errno.ENOSPC or os.strerror(errno.ENOSPC) in str(error)


if __name__ == '__main__':
  sys.exit(main())
