"""What every builder shares: the machinery round one parser.

A builder supplies `_jobs` (which files to parse) and `_parser` (one job -> records and rejects);
`intake` parses and encodes in parallel, drops duplicates and counts rejects. The shards are written
in order of `record_id`, one record at a time: no shuffling, so TFDS needs no TensorFlow at any size.
With a Beam runner TFDS writes the shards on its workers (`on_beam`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import functools
import hashlib
import itertools
import json
import os
from typing import Any

from absl import logging
from aemg_jax.records import Record
from etils import epath
import numpy as np
import tensorflow_datasets as tfds
from tqdm import tqdm

from data_builders import croissant, features, on_beam
from data_builders.intake import (
    Intake, Schema, parse_all, parse_encoded, parse_outlined, shard_jobs)
from data_builders.jobs import REJECTS_FILE, Job, Reject
from data_builders.raw import content_sha256

SPLIT = 'train'


@dataclasses.dataclass(frozen=True)
class Facts:
  """One row of the table of all sets: the set as published, and what of it was at hand.

  Attributes:
    subjects: people, duplicates not counted.
    channels, rate_hz, classes: in words where they differ between parts ('8 to 12').
    size: of the download ('35 MB').
    real_bytes: 'all', 'part' or 'none': how much of the published set the parser was run on.
  """
  subjects: str
  channels: str
  rate_hz: str
  classes: str
  size: str
  real_bytes: str


class RecordBuilder(tfds.core.ShardBasedBuilder, skip_registration=True):
  """Base of all builders. A subclass gives the attributes and methods marked "subclass".

  Attributes:
    LABEL_NAMES: every native label name, in the source's order (subclass).
    LICENCE: of the recordings, as the source states it (subclass).
    KNOWN_REJECTS: reasons that the published set is documented to contain. Those are counted; any
      other reason stops the build, unless `skip_bad` is given (subclass, optional).
    COMMON_NAMES: native label name -> name in `gestures.COMMON` (subclass, optional).
    FACTS: the set's row in the table of all sets (subclass).
    HOMEPAGE: of the public source (subclass).
    URLS: of the archives there; () where a person must fetch them, which
      MANUAL_DOWNLOAD_INSTRUCTIONS then explains (subclass).
    SAMPLE_URLS: of the smallest part that gives one subject; () where the source has none.
    MUST_ACCEPT: the licence asks for consent before a download (--accept_license).
    GENERATED: there are no raw files.
    PUBLISHED_SHA256: `raw.content_sha256` of the published set; '' where unknown (subclass).
    PUBLISHED_FILES: raw files that the whole set has by its documentation, or at least has; 0 where
      that does not say (subclass).
    DESCRIBED_BY_RAW: the raw folder itself says its name, channels and labels (`_describe`).
  """
  HOMEPAGE = ''
  URLS: tuple[str, ...] = ()
  SAMPLE_URLS: tuple[str, ...] = ()
  MUST_ACCEPT = False
  GENERATED = False
  PUBLISHED_SHA256 = ''
  PUBLISHED_FILES = 0
  DESCRIBED_BY_RAW = False
  FACTS: Facts
  LABEL_NAMES: tuple[str, ...] = ()
  COMMON_NAMES: Mapping[str, str] = {}
  LICENCE = ''
  KNOWN_REJECTS: frozenset[str] = frozenset()

  def __init__(self, *, raw_dirs: Sequence[str] = (), workers: int = 1, skip_bad: bool = False,
               progress: bool = False, require_published: bool = False, **kwargs):
    """Args beyond TFDS's own.

    raw_dirs: folders with the raw files; none lets TFDS's download manager fetch them.
    workers: processes that parse. Any number gives the same bytes.
    skip_bad: count unusable files as rejects instead of stopping at the first.
    progress: show a bar.
    require_published: stop if the raw files differ from the published set.
    """
    self._raw_dirs, self._workers, self._progress = tuple(raw_dirs), workers, progress
    self._skip_bad, self._require_published = skip_bad, require_published
    if self.DESCRIBED_BY_RAW and raw_dirs:
      kwargs['config'] = self._describe(self._raw_dirs)
    super().__init__(**kwargs)

  @classmethod
  def registered_sha256(cls, url: str) -> str | None:
    """The archive's checksum in checksums.tsv, if its bytes were ever seen."""
    infos = cls.url_infos or {}
    return infos[url].checksum if url in infos else None

  def urls(self, sample: bool = False) -> tuple[str, ...]:
    """What to download for this configuration: all of it, or the smallest part."""
    return self.SAMPLE_URLS if sample else self.URLS

  def raw_sha256(self) -> str:
    """One checksum over the files in `raw_dirs` that records come from."""
    return content_sha256(self._raw_files(self._jobs(self._raw_dirs)))

  # Subclass: shapes, jobs and the parser.
  def _channels_and_dtype(self) -> tuple[int | None, Any]:
    raise NotImplementedError

  def _describe(self, folders: Sequence[str]) -> tfds.core.BuilderConfig:
    """Reads what the raw folders say of themselves; for DESCRIBED_BY_RAW only."""
    raise NotImplementedError

  def _raw_files(self, jobs: Sequence[Job]) -> Sequence[Job]:
    """All files that the records of `jobs` come from, for the checksum."""
    return jobs

  def _jobs(self, folders: Sequence[str]) -> Sequence[Job]:
    """Jobs, such that record ids come out ascending. Raises ValueError on a wrong layout."""
    raise NotImplementedError

  def _parser(self) -> Callable[[Job], Sequence[Record | Reject]]:
    """A picklable function; live in a module without TFDS, so that workers start fast."""
    raise NotImplementedError

  def _info(self) -> tfds.core.DatasetInfo:
    return self.dataset_info_from_configs(
        features=features.record_features(*self._channels_and_dtype()), supervised_keys=None,
        homepage=self.HOMEPAGE, license=self.LICENCE, disable_shuffling=True,
        metadata=tfds.core.MetadataDict())

  def _shards(self, dl_manager: tfds.download.DownloadManager) -> list[Sequence[Job]]:
    """The jobs of each shard; checks the raw files and begins to count."""
    folders = self._raw_dirs or self._locate_raw(dl_manager)
    jobs = self._jobs(folders)
    raw_sha256 = '' if self.GENERATED else content_sha256(self._raw_files(jobs))
    published = self._is_published(', '.join(folders), len(jobs), raw_sha256)
    self._intake = Intake(self.name, self.KNOWN_REJECTS, self._skip_bad)
    self._raw_metadata = {'raw_sha256': raw_sha256, 'raw_is_published': published}
    self._bar.reset(len(jobs))
    return shard_jobs(jobs)

  def _is_published(self, where: str, n_files: int, raw_sha256: str) -> bool:
    """Whether these are the published bytes. Raises, or warns, where they are known not to be."""
    message = ''
    if n_files < self.PUBLISHED_FILES:
      message = f'{n_files} raw files, expected {self.PUBLISHED_FILES} as published'
    elif self.PUBLISHED_SHA256 and raw_sha256 != self.PUBLISHED_SHA256:
      message = (f'the {n_files} raw files have sha256 {raw_sha256}, expected'
                 f' {self.PUBLISHED_SHA256} as published')
    if message and self._require_published:
      raise ValueError(f'{where}: {message} (cut short? --raw takes a part of a set)')
    if message:
      logging.warning('%s: %s', self.name, message)
    return bool(self.PUBLISHED_SHA256) and not message

  def _shard_iterators_per_split(self, dl_manager):
    """For TFDS to write on Beam."""
    shards, folder = self._shards(dl_manager), epath.Path(self.data_dir)
    parse = functools.partial(parse_outlined, self._parser(), self._schema())
    kept = on_beam.admit(self._beam, folder, parse, shards, self._intake)
    self._shard_lengths = [len(ids) for ids in kept]
    return {SPLIT: [on_beam.Shard(parse, features.to_example, part, ids)
                    for part, ids in zip(shards, kept, strict=True)]}

  def _locate_raw(self, dl_manager: tfds.download.DownloadManager) -> list[str]:
    """Where TFDS's own download manager puts the raw files, when none were given."""
    if self.GENERATED:
      return []
    if not self.urls():
      return [os.fspath(dl_manager.manual_dir)]
    folders = dl_manager.download_and_extract(list(self.urls()))
    return [os.fspath(f) for f in (folders if isinstance(folders, list) else [folders])]

  def _schema(self) -> Schema:
    """By the features, which TFDS fixes before some sets know what their raw files say."""
    signal = self.info.features['signal']
    return Schema(frozenset(self.LABEL_NAMES), signal.shape[1], np.dtype(signal.np_dtype).name)

  def _write_shards(self, shards: Sequence[Sequence[Job]]) -> None:
    """Parses and writes here, all shards with one pool of workers; what TFDS does on Beam."""
    parse = functools.partial(parse_encoded, self._parser(), self._schema())
    parsed = parse_all(parse, list(itertools.chain(*shards)), self._workers)
    template, writer = self._get_filename_template(split_name=SPLIT), self._example_writer()
    paths, lengths = [], []
    for i, jobs in enumerate(shards):
      before = self._intake.n_records
      paths.append(template.sharded_filepath(shard_index=i, num_shards=len(shards)))
      writer.write(paths[-1], self._taken(itertools.islice(parsed, len(jobs))))
      lengths.append(self._intake.n_records - before)
    self.info.set_splits(tfds.core.SplitDict([tfds.core.SplitInfo(
        name=SPLIT, shard_lengths=lengths, num_bytes=sum(p.stat().length for p in paths),
        filename_template=template)]))

  def _taken(self, parsed: Iterator[tuple[Job, Sequence[Any]]]) -> Iterator[tuple[str, bytes]]:
    for _, items in parsed:
      self._bar.update()
      for outline, data in items:
        if self._intake.take(outline):
          yield outline.record_id, data

  def _example_writer(self):
    kind = features.Writer if self._beam is None else features.SortedWriter
    return kind(file_format=self.info.file_format)

  def _log_download_bytes(self) -> None:
    """TFDS's own prints an unknown size here."""

  def _log_download_done(self) -> None:
    logging.info('%s: complete', self.data_dir)

  def _download_and_prepare(self, dl_manager, download_config=None) -> None:
    """Adds to TFDS's: refuses an empty result, and writes counts and checksums into the set."""
    self._beam = on_beam.settings(download_config)
    with tqdm(desc=f'parse {self.name}', unit='file', disable=not self._progress) as self._bar:
      if self._beam is None:
        self._write_shards(self._shards(dl_manager))
      else:
        super()._download_and_prepare(dl_manager, download_config)
    counts = self._intake.finish()
    folder = epath.Path(self.data_dir)  # TFDS's incomplete folder: renamed when all is written
    if self._beam is not None:
      on_beam.tidy(self.info, folder, self._shard_lengths)
    shards = {p.name: {'bytes': p.stat().length, 'sha256': file_sha256(p)}
              for p in sorted(folder.iterdir()) if '-of-' in p.name}
    self.info.metadata.update(
        licence=self.LICENCE, label_names=list(self.LABEL_NAMES),
        common_names=dict(self.COMMON_NAMES), order='record_id', shards=shards,
        **self._raw_metadata, **counts)
    (folder / REJECTS_FILE).write_text(json.dumps(counts, indent=1, sort_keys=True) + '\n')
    summary = self.builder_config.description if self.builder_config else type(self).__doc__
    (folder / croissant.FILE).write_text(croissant.describe(
        self.info, summary, shards, self.LICENCE, self.HOMEPAGE))


def file_sha256(path: epath.Path) -> str:
  with path.open('rb') as f:
    return hashlib.file_digest(f, 'sha256').hexdigest()
