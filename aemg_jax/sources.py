"""Opens a built dataset: records by index, in order of `record_id`, without the builder's code.

No TensorFlow: TFDS reads ArrayRecord and decodes examples in NumPy.
"""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import hashlib
import json
import operator
import os
import pathlib
from typing import Any

from aemg_jax.records import Annotation, Label, Record, Sensor

SPLIT = 'train'
INFO_FILE = 'dataset_info.json'
METADATA_FILE = 'metadata.json'
METADATA_KEYS = ('licence', 'label_names', 'common_names', 'order', 'shards', 'counts', 'reject_counts', 'rejects')


@dataclasses.dataclass(frozen=True)
class DatasetMeta:
  """What a built dataset says about itself.

  Attributes:
    name, config, version, licence: as the builder states them; config is '' where there is none.
    fingerprint: SHA-256 over name, config, version, label names and the checksum of every shard.
    label_names: every native label name, in the source's order.
    common_names: label name -> common name of the gesture, where there is one.
    counts: records, subjects, seconds and labels.
    reject_counts: rejected raw files by reason.
    rejects: each rejected file: name, reason, detail.
  """
  name: str
  config: str
  version: str
  licence: str
  fingerprint: str
  label_names: tuple[str, ...]
  common_names: Mapping[str, str]
  counts: Mapping[str, Any]
  reject_counts: Mapping[str, int]
  rejects: tuple[Mapping[str, str], ...]


class RecordSource(Sequence):
  """Random access to the records of one dataset; `source[i]` is a `Record`.

  Attributes:
    meta: DatasetMeta.
    path: the dataset's folder.
  """

  def __init__(self, path: pathlib.Path, meta: DatasetMeta, examples: Sequence[Mapping[str, Any]]):
    self.path, self.meta, self._examples = path, meta, examples

  def __len__(self) -> int:
    return len(self._examples)

  def __getitem__(self, index) -> Record | list[Record]:
    if isinstance(index, slice):
      return [self[i] for i in range(*index.indices(len(self)))]
    i = operator.index(index)
    if not -len(self) <= i < len(self):
      raise IndexError(f'{self.path}: record {i} of {len(self)}')
    return _to_record(self._examples[i % len(self)])

  def __iter__(self) -> Iterator[Record]:
    return (self[i] for i in range(len(self)))


def read_records(dataset_dir: str | os.PathLike) -> RecordSource:
  """Opens D/NAME[/CONFIG]/VERSION, or a folder above it that holds one dataset only.

  Raises:
    ValueError: when there is no dataset, several, or one that is incomplete.
  """
  path = _find(pathlib.Path(dataset_dir))
  try:
    info = json.loads((path / INFO_FILE).read_text())
    metadata = json.loads((path / METADATA_FILE).read_text())
  except (OSError, json.JSONDecodeError) as error:
    raise ValueError(f'{path}: {error}, expected a dataset of data_builders.build') from error
  missing = [key for key in METADATA_KEYS if key not in metadata]
  if missing or metadata['order'] != 'record_id':
    raise ValueError(f'{path / METADATA_FILE}: lacks {missing or "order by record_id"}, expected a'
                     ' dataset of data_builders.build')
  for name, shard in metadata['shards'].items():
    size = (path / name).stat().st_size if (path / name).is_file() else 'no file'
    if size != shard['bytes']:
      raise ValueError(f'{path / name}: {size}, expected {shard["bytes"]} bytes (build it again)')
  import tensorflow_datasets as tfds  # here: it takes a second, and only this function needs it
  examples = tfds.builder_from_directory(path).as_data_source(split=SPLIT)
  meta = _meta(info, metadata)
  if len(examples) != meta.counts['records']:
    raise ValueError(f'{path}: {len(examples)} records, expected {meta.counts["records"]}')
  return RecordSource(path, meta, examples)


def _find(path: pathlib.Path) -> pathlib.Path:
  if not path.is_dir():
    raise ValueError(f'{path}: no such folder, expected a dataset of data_builders.build')
  found = [path] if (path / INFO_FILE).is_file() else sorted(
      p.parent for depth in ('*', '*/*') for p in path.glob(f'{depth}/{INFO_FILE}')
      if not p.parent.name.startswith('incomplete.'))
  if len(found) != 1:
    inside = f': {[str(p.relative_to(path)) for p in found]}' if found else ''
    raise ValueError(f'{path}: holds {len(found)} built datasets{inside}, expected one (python -m'
                     ' data_builders.build makes them)')
  return found[0]


def _meta(info: Mapping[str, Any], metadata: Mapping[str, Any]) -> DatasetMeta:
  config = info['configName'] if 'configName' in info else ''
  identity = {
      'name': info['name'], 'config': config, 'version': info['version'],
      'label_names': metadata['label_names'],
      'shards': {name: shard['sha256'] for name, shard in metadata['shards'].items()},
  }
  fingerprint = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
  return DatasetMeta(
      name=info['name'], config=config, version=info['version'], licence=metadata['licence'],
      fingerprint=fingerprint, label_names=tuple(metadata['label_names']),
      common_names=metadata['common_names'], counts=metadata['counts'], reject_counts=metadata['reject_counts'],
      rejects=tuple(metadata['rejects']))


def _to_record(example: Mapping[str, Any]) -> Record:
  text = lambda name: example[name].decode()
  return Record(
      record_id=text('record_id'), dataset=text('dataset'), subject=text('subject'),
      session=text('session'), repetition=int(example['repetition']), kind=text('kind'),
      signal_tc=example['signal'], rate_hz=float(example['rate_hz']),
      bandwidth_hz=float(example['bandwidth_hz']), is_envelope=bool(example['is_envelope']),
      sensors=_rows(Sensor, example['sensors']), labels=_rows(Label, example['labels']),
      annotations=_rows(Annotation, example['annotations']), licence=text('licence'))


def _rows(cls: type, columns: Mapping[str, Any]) -> tuple[Any, ...]:
  """Columns of equal length -> one `cls` per row, in Python's own types."""
  plain = {name: [v.decode() if isinstance(v, bytes) else v.item() for v in column]
           for name, column in columns.items()}
  return tuple(cls(**dict(zip(plain, row))) for row in zip(*plain.values(), strict=True))
