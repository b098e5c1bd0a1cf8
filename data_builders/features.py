"""A `Record` as TFDS sees it: the features of an example, and the shards they are written to."""

import dataclasses
import os
from typing import Any

from aemg_jax.records import Record
from array_record.python import array_record_module
import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import writer as tfds_writer
from tensorflow_datasets.proto import tf_example_pb2

# One record in each compressed block, as TFDS has it, for random reads. Level 1 packs EMG 2 to 4 %
# less than TFDS's level 3, in under half the time.
ARRAY_RECORD_OPTIONS = 'group_size:1,zstd:1'


def record_features(n_channels: int | None, dtype: Any) -> tfds.features.FeaturesDict:
  """Features that hold every field of a `Record` with `n_channels` channels (None: any number).

  Numbers that must not lose bits (rates, scales, angles) are raw float64 bytes: a TFDS example
  would otherwise keep them as float32.
  """
  raw = tfds.features.Encoding.BYTES
  scalar = lambda: tfds.features.Tensor(shape=(), dtype=np.float64, encoding=raw)
  column = lambda kind: tfds.features.Tensor(shape=(None,), dtype=kind, encoding=raw)
  texts = lambda: tfds.features.Sequence(tfds.features.Text())
  return tfds.features.FeaturesDict({
      'record_id': tfds.features.Text(),
      'dataset': tfds.features.Text(),
      'subject': tfds.features.Text(),
      'session': tfds.features.Text(),
      'repetition': np.int64,
      'kind': tfds.features.Text(),
      'signal': tfds.features.Tensor(shape=(None, n_channels), dtype=dtype, encoding=raw,
                                     doc='[T, C] as stored by the source'),
      'rate_hz': scalar(),
      'bandwidth_hz': scalar(),
      'is_envelope': np.bool_,
      'sensors': {'name': texts(), 'ring': column(np.int64), 'angle_deg': column(np.float64),
                  'row': column(np.int64), 'column': column(np.int64), 'unit': texts(),
                  'scale': column(np.float64)},
      'labels': {'start': column(np.int64), 'stop': column(np.int64), 'name': texts()},
      'annotations': {'start': column(np.int64), 'stop': column(np.int64), 'name': texts(),
                      'value': column(np.float64)},
      'licence': tfds.features.Text(),
  })


def to_example(record: Record) -> dict[str, Any]:
  """The feature dictionary of a record, for Beam; `aemg_jax.sources` turns it back."""
  example = {f.name: getattr(record, f.name) for f in dataclasses.fields(Record)}
  example['signal'] = example.pop('signal_tc')
  for field, whole, real in (('sensors', ('ring', 'row', 'column'), ('angle_deg', 'scale')),
                             ('labels', ('start', 'stop'), ()),
                             ('annotations', ('start', 'stop'), ('value',))):
    spans = example[field]
    columns = {name: np.array([getattr(s, name) for s in spans], np.int64) for name in whole}
    columns |= {name: np.array([getattr(s, name) for s in spans], np.float64) for name in real}
    columns['name'] = [s.name for s in spans]
    if field == 'sensors':
      columns['unit'] = [s.unit for s in spans]
    example[field] = columns
  return example


class Writer(tfds_writer.ExampleWriter):
  """TFDS's, but for the options of ArrayRecord."""

  def write(self, path, examples):
    if self.file_format != tfds.core.FileFormat.ARRAY_RECORD:
      return super().write(path, examples)
    writer = array_record_module.ArrayRecordWriter(os.fspath(path), ARRAY_RECORD_OPTIONS)
    for _, data in examples:
      writer.write(data)
    writer.close()


class SortedWriter(Writer):
  """For examples that TFDS encoded: puts their features in order of name.

  TFDS leaves that order to protobuf, which draws it anew in each process: the same records would
  give other bytes, and so another fingerprint, on every build.
  """

  def write(self, path, examples):
    return super().write(path, ((key, sort_features(data)) for key, data in examples))


def sort_features(data: bytes) -> bytes:
  return tf_example_pb2.Example.FromString(data).SerializeToString(deterministic=True)
