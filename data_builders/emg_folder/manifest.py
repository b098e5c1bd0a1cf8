"""The manifest: what a folder of recordings holds, in one YAML file, every key checked.

Its keys are documented in README.md; this module is their only definition.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import os
import re

from aemg_jax.records import SIGNAL_DTYPES, UNITS, Sensor

from data_builders import jobs
from data_builders.emg_folder.sections import REQUIRED, Section, read_yaml
from data_builders.emg_folder.template import Template
from data_builders.gestures import COMMON

FILE = 'emg_folder.yaml'
FORMATS = ('csv', 'npz', 'mat', 'edf', 'wfdb')
EXTENSIONS = {'csv': (), 'npz': ('.npz',), 'mat': ('.mat',), 'edf': ('.edf', '.bdf'),
              'wfdb': ('.hea',)}
DELIMITERS = {'comma': ',', 'semicolon': ';', 'tab': '\t', 'space': None}
TIME_UNITS = {'s': 1.0, 'ms': 1e-3, 'us': 1e-6}
LABEL_UNITS = ('s', 'sample')
REASONS = tuple(sorted(value for name, value in vars(jobs).items()
                       if name.isupper() and name != 'REJECTS_FILE'))
MAX_CHANNELS = 4096
_NAME = re.compile(r'[a-z][a-z0-9_]{0,63}')


@dataclasses.dataclass(frozen=True)
class Signal:
  """Where a sequence of numbers lies: a column's name or number, a variable, or VARIABLE/COLUMN."""
  name: str
  key: str  # of the manifest, for errors


@dataclasses.dataclass(frozen=True)
class Channel:
  """One EMG channel. `unit` and `scale` are None where the file's own header says them."""
  signal: Signal
  sensor: Sensor
  from_header: bool


@dataclasses.dataclass(frozen=True)
class Labels:
  """Where labels come from: the path, `signal` or `table` (one of the three, or none of them).

  Attributes:
    names: as found -> native label name.
    ignore: as found, of stretches without a label.
    signal: one value per sample.
    table, unit: path of the table of spans below the folder, and the unit of its starts and stops.
  """
  names: Mapping[str, str]
  ignore: frozenset[str]
  signal: Signal | None
  table: str
  unit: str


@dataclasses.dataclass(frozen=True)
class Manifest:
  """A checked manifest; the keys of README.md. `folder` is where it lies."""
  folder: str
  name: str
  licence: str
  files: Template
  ignore: tuple[Template, ...]
  format: str
  delimiter: str | None
  header: bool
  transposed: bool
  dtype: str
  rate_hz: float
  bandwidth_hz: float
  is_envelope: bool
  time: Signal | None
  time_unit_s: float
  max_gap_s: float
  subject: str
  session: str
  first_repetition: int
  repetition: Signal | None
  channels: tuple[Channel, ...]
  labels: Labels
  common_names: Mapping[str, str]
  known_rejects: frozenset[str]

  @property
  def label_names(self) -> tuple[str, ...]:
    return tuple(dict.fromkeys(self.labels.names.values()))

  @property
  def path(self) -> str:
    return os.path.join(self.folder, FILE)


def read(folders: Sequence[str]) -> Manifest:
  """Finds the one manifest below `folders` and reads it. Raises ValueError naming file and key."""
  found = sorted(os.path.join(at, FILE) for top in folders for at, _, names in os.walk(top)
                 if FILE in names)
  if len(found) != 1:
    raise ValueError(f'{", ".join(map(str, folders))}: holds {len(found)} files {FILE}, expected'
                     f' one{": " if found else ""}{", ".join(found)}')
  return read_file(found[0])


def read_file(path: str) -> Manifest:
  """Reads one manifest. Raises ValueError naming file and key."""
  top = read_yaml(path)
  name, licence = top.text('name'), top.text('licence')
  if not _NAME.fullmatch(name):
    raise top.wrong('name', 'a-z, 0-9 and _, beginning with a letter, at most 64 characters')
  files = _template(top, 'files', top.text('files'))
  form = top.choice('format', FORMATS)
  if EXTENSIONS[form] and not files.text.lower().endswith(EXTENSIONS[form]):
    raise top.wrong('files', f'a pattern that ends in {" or ".join(EXTENSIONS[form])} for the'
                    f' format {form}')
  dtype = top.choice('dtype', SIGNAL_DTYPES)
  csv = _only_for(top, 'csv', form == 'csv')
  arrays = _only_for(top, 'arrays', form in ('npz', 'mat'))
  rate_hz = top.number('rate_hz', low=1e-3, high=1e9)
  is_envelope = top.flag('envelope', False)
  bandwidth_hz = top.number('bandwidth_hz', 0.0 if is_envelope else rate_hz / 2, high=rate_hz / 2,
                            low=0.0 if is_envelope else 1e-6)
  if is_envelope and bandwidth_hz:
    raise top.wrong('bandwidth_hz', '0 or nothing for an envelope')
  time, repetition = top.section('time'), top.section('repetition')
  labels = _labels(top, files)
  manifest = Manifest(
      folder=os.path.dirname(path), name=name, licence=licence, files=files,
      ignore=tuple(_template(top, 'ignore', text) for text in top.texts('ignore')), format=form,
      delimiter=DELIMITERS[csv.choice('delimiter', tuple(DELIMITERS), 'comma')],
      header=csv.flag('header', True), transposed=arrays.flag('transposed', False), dtype=dtype,
      rate_hz=rate_hz, bandwidth_hz=bandwidth_hz, is_envelope=is_envelope,
      time=_signal(time, 'signal', 'time.signal', bool(time.values)),
      time_unit_s=TIME_UNITS[time.choice('unit', tuple(TIME_UNITS), 's')],
      max_gap_s=time.number('max_gap_s', 10 / rate_hz, low=0),
      subject=_fixed(top, 'subject', files), session=_fixed(top, 'session', files),
      first_repetition=repetition.number('first', 1, low=0, high=1, whole=True),
      repetition=_signal(repetition, 'signal', 'repetition.signal', False),
      channels=_channels(top, form), labels=labels,
      common_names=top.mapping('common_names'), known_rejects=frozenset(top.texts('known_rejects')))
  if manifest.repetition and 'repetition' in files.fields:
    raise repetition.wrong('signal', 'nothing, as {repetition} is in files')
  for signal in (manifest.time, manifest.repetition, labels.signal):
    if signal is not None and form in ('edf', 'wfdb'):
      raise top.wrong(signal.key.split('.')[0], f'no signal ({signal.name!r}) for the format {form}'
                      ', whose header has the rate (labels come from a table or the path)')
  _check_names(top, manifest)
  for section in (top, csv, arrays, time, repetition):
    section.finish()
  return manifest


def _template(top: Section, key: str, text: str) -> Template:
  try:
    return Template(text)
  except ValueError as error:
    raise top.wrong(key, f'a pattern of paths ({error})') from error


def _only_for(top: Section, key: str, applies: bool) -> Section:
  if key in top and not applies:
    raise top.wrong(key, 'nothing for this format')
  return top.section(key)


def _signal(section: Section, key: str, path: str, required: bool) -> Signal | None:
  name = section.text(key, REQUIRED if required else None)
  return None if name is None else Signal(name, path)


def _fixed(top: Section, key: str, files: Template) -> str:
  """The subject or session of all files; '' where their path says it."""
  if key in files.fields:
    if key in top:
      raise top.wrong(key, f'nothing, as {{{key}}} is in files')
    return ''
  return top.text(key, REQUIRED if key == 'subject' else '1', 'text, or {subject} in files')


def _channels(top: Section, form: str) -> tuple[Channel, ...]:
  channels = []
  for i, entry in enumerate(top.sections('channels', top.section('channel_defaults').values)):
    name = entry.text('signal')
    if i >= MAX_CHANNELS:
      raise top.wrong('channels', f'at most {MAX_CHANNELS}')
    ring = entry.number('ring', 0, low=0, whole=True)
    from_header = form in ('edf', 'wfdb') and 'unit' not in entry
    if 'scale' in entry and form in ('edf', 'wfdb'):
      raise entry.wrong('scale', "nothing, as the file's header has it")
    channels.append(Channel(Signal(name, f'channels[{i}].signal'), Sensor(
        name=entry.text('name', name), ring=ring,
        angle_deg=entry.number('angle_deg', REQUIRED if ring else float('nan'), low=0,
                               high=359.999999),
        row=entry.number('row', -1, low=0, whole=True),
        column=entry.number('column', -1, low=0, whole=True),
        unit=entry.choice('unit', UNITS, 'nominal'), scale=entry.number('scale', 1.0, low=1e-30)),
        from_header))
    entry.finish()
  if len({channel.signal.name for channel in channels}) < len(channels):
    raise top.wrong('channels', 'each signal only once')
  return tuple(channels)


def _labels(top: Section, files: Template) -> Labels:
  section, table = top.section('labels'), top.section('labels').section('table')
  keys = [key for key in ('signal', 'table') if key in section]
  sources = keys + ['{label} in files'] * ('label' in files.fields)
  if 'labels' not in top and not sources:
    return Labels({}, frozenset(), None, '', 's')
  if len(sources) != 1:
    raise top.wrong('labels', 'its labels from one of: {label} in files, labels.signal,'
                    f' labels.table (found {sources or "none"})')
  names = section.mapping('names')
  if not names:
    raise section.wrong('names', 'the names of all labels: a list, or "as found: name"')
  labels = Labels(
      names=names, ignore=frozenset(section.texts('ignore')),
      signal=_signal(section, 'signal', 'labels.signal', False),
      table=_table_path(section.section('table')) if 'table' in section else '',
      unit=table.choice('unit', LABEL_UNITS, 's'))
  if both := set(labels.ignore) & set(names):
    raise section.wrong('ignore', f'none of labels.names ({sorted(both)[0]!r} is in both)')
  section.finish()
  return labels


def _table_path(section: Section) -> str:
  text = section.text('file')
  section.choice('unit', LABEL_UNITS, 's')
  if Template(text).fields or '*' in text:
    raise section.wrong('file', 'one file below the manifest')
  section.finish()
  return text


def _check_names(top: Section, manifest: Manifest) -> None:
  for native, common in manifest.common_names.items():
    if native not in manifest.label_names or common not in COMMON:
      raise top.wrong('common_names', f'names of labels.names, each with one of {list(COMMON)}'
                      f' ({native!r}: {common!r} is not)')
  if unknown := sorted(manifest.known_rejects - set(REASONS)):
    raise top.wrong('known_rejects', f'some of {list(REASONS)} ({unknown[0]!r} is not)')
