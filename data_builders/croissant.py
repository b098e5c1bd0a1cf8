"""Croissant metadata of a built set: croissant.json beside its shards.

Croissant (MLCommons) is JSON-LD that search engines and catalogues of datasets read. It describes
the shards with their checksums and every field of a record. Reading the shards takes TFDS: the
mlcroissant package knows no ArrayRecord. No date of publication is given, as none is known and the
same input must give the same bytes.
"""

from collections.abc import Mapping
import json
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

FILE = 'croissant.json'
SPECIFICATION = 'http://mlcommons.org/croissant/1.1'
SHARDS, RECORDS = 'shards', 'records'
LARGE = 'application/octet-stream'
TYPES = {'int16': 'cr:Int16', 'int32': 'cr:Int32', 'int64': 'cr:Int64', 'float32': 'cr:Float32',
         'float64': 'cr:Float64', 'bool': 'sc:Boolean', 'object': 'sc:Text', 'str': 'sc:Text'}
DESCRIPTIONS = {
    'record_id': 'Unique within the set; the records are in its order.',
    'dataset': 'Name of the set.',
    'subject': 'Who was recorded, unique within the set.',
    'session': 'As the source names it.',
    'repetition': 'From 0; -1 where the recording holds several or none.',
    'kind': 'emg, imu or keypoints.',
    'signal': 'Samples by channels, as stored by the source: raw units, native rate.',
    'rate_hz': 'Native sampling rate in Hz.',
    'bandwidth_hz': 'Highest frequency in Hz that carries information; 0 for envelopes.',
    'is_envelope': 'Whether the device already rectified and smoothed the signal.',
    'sensors': 'One for each channel.',
    'sensors/name': 'Muscle, joint or name of the channel.',
    'sensors/ring': '1, 2, ... for electrodes on a ring round the limb; 0 when on none.',
    'sensors/angle_deg': 'Angle on the ring in degrees; NaN when on none.',
    'sensors/row': 'Row in an electrode grid; -1 when in none.',
    'sensors/column': 'Column in an electrode grid; -1 when in none.',
    'sensors/unit': 'Unit of signal times scale; nominal where the device documents none.',
    'sensors/scale': 'Multiplies the stored number to give the unit.',
    'labels': 'Spans with the native name of what was done.',
    'labels/start': 'First sample of the span.',
    'labels/stop': 'Sample after the last of the span.',
    'labels/name': 'Native name of the label.',
    'annotations': 'Spans with a named value.',
    'annotations/start': 'First sample of the span.',
    'annotations/stop': 'Sample after the last of the span.',
    'annotations/name': 'Name of the value: repetition, borg, percent_mvc, cue, ...',
    'annotations/value': 'The value.',
    'licence': 'Of the recording, as its source states it.',
}
# The context that the specification prescribes.
CONTEXT = {
    '@language': 'en', '@vocab': 'https://schema.org/', 'sc': 'https://schema.org/',
    'cr': 'http://mlcommons.org/croissant/', 'rai': 'http://mlcommons.org/croissant/RAI/',
    'dct': 'http://purl.org/dc/terms/', 'conformsTo': 'dct:conformsTo',
    'data': {'@id': 'cr:data', '@type': '@json'},
    'examples': {'@id': 'cr:examples', '@type': '@json'},
    'dataType': {'@id': 'cr:dataType', '@type': '@vocab'},
    'name': {'@container': '@language'}, 'description': {'@container': '@language'},
    **{key: f'cr:{key}' for key in (
        'arrayShape', 'citeAs', 'column', 'containedIn', 'equivalentProperty', 'extract', 'field',
        'fileProperty', 'fileObject', 'fileSet', 'format', 'includes', 'isArray', 'isLiveDataset',
        'jsonPath', 'key', 'md5', 'parentField', 'path', 'recordSet', 'references', 'regex',
        'repeated', 'replace', 'samplingRate', 'separator', 'source', 'subField', 'transform')},
}


def describe(info: tfds.core.DatasetInfo, summary: str, shards: Mapping[str, Mapping[str, Any]],
             licence: str, homepage: str) -> str:
  """The text of croissant.json.

  Args:
    info: of the built set.
    summary: what the set is, in a sentence.
    shards: file name -> bytes and sha256.
    licence: as the source states it.
    homepage: of the public source; '' where there is none.
  """
  document = {
      '@context': CONTEXT, '@type': 'sc:Dataset', 'conformsTo': SPECIFICATION,
      'name': info.full_name.rsplit('/', 1)[0].replace('/', '-'), 'description': summary,
      'license': licence, 'citeAs': info.citation, 'version': str(info.version),
      'distribution': [_shard(name, shard) for name, shard in sorted(shards.items())] + [{
          '@id': SHARDS, '@type': 'cr:FileSet', 'name': SHARDS,
          'description': 'TFDS shards: a record is a tf.train.Example.', 'encodingFormat': LARGE,
          'includes': f'{info.name}-*'}],
      'recordSet': [{
          '@id': RECORDS, '@type': 'cr:RecordSet', 'name': RECORDS,
          'description': 'One record is one recording.', 'key': {'@id': f'{RECORDS}/record_id'},
          'field': [_field(name, info.features[name]) for name in sorted(info.features)]}],
  }
  if homepage:
    document['url'] = homepage
  return json.dumps(document, indent=1, sort_keys=True) + '\n'


def _shard(name: str, shard: Mapping[str, Any]) -> dict[str, Any]:
  return {'@id': name, '@type': 'cr:FileObject', 'name': name, 'contentUrl': name,
          'contentSize': f'{shard["bytes"]} B', 'encodingFormat': LARGE, 'sha256': shard['sha256']}


def _field(name: str, feature: tfds.features.FeatureConnector) -> dict[str, Any]:
  """A field of a record; a group of columns becomes a field with fields."""
  field = {'@id': f'{RECORDS}/{name}', '@type': 'cr:Field', 'name': name.rsplit('/', 1)[-1],
           'description': DESCRIPTIONS[name]}
  if isinstance(feature, tfds.features.FeaturesDict):
    inner = [_field(f'{name}/{key}', feature[key]) for key in sorted(feature)]
    return {**field, 'subField': inner}
  field['dataType'] = TYPES[np.dtype(feature.np_dtype).name]
  field['source'] = {'fileSet': {'@id': SHARDS}, 'extract': {'column': name}}
  if feature.shape:
    shape = ','.join(str(-1 if size is None else size) for size in feature.shape)
    field.update(isArray=True, arrayShape=shape)
  return field
