"""Which recordings an EMG-BIDS dataset holds, and what tables and headers say of all of them."""

from collections.abc import Iterator, Sequence
import csv
import dataclasses
import json
import math
import os
import re
from typing import Any

from data_builders import edf
from data_builders.counts import WHOLE, FormatError, shorten
from data_builders.jobs import Job

DESCRIPTION = 'dataset_description.json'
# Not raw data of this dataset: originals, and what others computed from it.
ASIDE = ('sourcedata', 'derivatives', 'code', 'stimuli', '.datalad', '.git')
MAX_SIDECAR_BYTES = 16 << 20
MISSING = ('n/a', '', 'nan', 'NaN')
BAD = 'BAD'  # begins descriptions of spans not to be used, as MNE has it

_FILE = re.compile(r'(?:.*/)?sub-([a-zA-Z0-9+]+)(?:/ses-([a-zA-Z0-9+]+))?/emg/'
                   r'(sub-\1(?:_ses-\2)?(?:_[a-z]+-[a-zA-Z0-9+]+)*)_emg\.(?:bdf|edf)')


@dataclasses.dataclass(frozen=True)
class Dataset:
  """What holds for a whole dataset.

  Attributes:
    root: folder of dataset_description.json.
    name: of the built set: the dataset's, in a-z, 0-9 and _.
    licence: as stated, 'not stated' where it is not.
    dtype: int32 where the zeros of all EMG signals are whole counts, else float64.
    n_channels: EMG channels; None where recordings differ.
    label_names: descriptions of events that last, in order of name.
  """
  root: str
  name: str
  licence: str
  dtype: str
  n_channels: int | None
  label_names: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Event:
  """A stretch of time of some type, in s from the first sample."""
  onset_s: float
  duration_s: float
  name: str


def find_root(folders: Sequence[str]) -> str:
  """The folder with the only dataset description. Raises ValueError."""
  found = sorted(at for top in folders for at, names in _walk(top) if DESCRIPTION in names)
  if len(found) != 1:
    raise ValueError(f'{", ".join(map(str, folders))}: holds {len(found)} files {DESCRIPTION},'
                     f' expected one{": " if found else ""}{", ".join(found)}')
  return found[0]


def _walk(top: str) -> Iterator[tuple[str, list[str]]]:
  for at, folders, names in os.walk(top):
    folders[:] = sorted(set(folders) - set(ASIDE))
    yield at, names


def find_jobs(root: str) -> list[Job]:
  """Every file sub-*/[ses-*/]emg/*_emg.{bdf,edf}, in order of record id. Raises ValueError."""
  jobs = {}
  for at, names in _walk(root):
    for name in names:
      path = os.path.join(at, name)
      place = os.path.relpath(path, root).replace(os.sep, '/')
      if re.search(r'_emg\.(bdf|edf)$', place, re.IGNORECASE):
        job = Job(place, path, os.path.getsize(path))
        if (key := record_id(place) or place) in jobs:
          raise ValueError(f'{path}: {key} is there twice, also as {jobs[key].name}, expected once')
        jobs[key] = job
  if not jobs:
    raise ValueError(f'{root}: holds no sub-*/emg/*_emg.bdf or .edf, expected an EMG-BIDS dataset')
  return [jobs[key] for key in sorted(jobs)]


def record_id(name: str) -> str:
  """'sub-01/ses-a/emg/sub-01_ses-a_task-x_run-1_emg.bdf' -> 'sub-01_ses-a_task-x_run-1'."""
  match = _FILE.fullmatch(name)
  return '' if match is None else match[3]


def raw_files(root: str) -> list[Job]:
  """The whole dataset but what lies aside: tables are inherited from any folder above."""
  return [Job(os.path.relpath(os.path.join(at, name), root).replace(os.sep, '/'),
              os.path.join(at, name), os.path.getsize(os.path.join(at, name)))
          for at, names in _walk(root) for name in sorted(names)
          if not name.endswith('.lock')]  # left by MNE-BIDS where the package filelock is there


def describe(folders: Sequence[str]) -> Dataset:
  """Reads the description, and header, channels and events of every recording.

  A recording that cannot be read is passed over here; parsing it says what is wrong.

  Raises:
    ValueError: no dataset, or a broken description.
  """
  root = find_root(folders)
  description = read_json(os.path.join(root, DESCRIPTION))
  title, licence = description.get('Name'), description.get('License')
  name = re.sub(r'[^a-z0-9]+', '_', str(title).lower()).strip('_')[:64]
  if not isinstance(title, str) or not re.search('[a-z]', name):
    raise ValueError(f'{os.path.join(root, DESCRIPTION)}: Name: got {str(title)[:80]!r}, expected'
                     ' some text with letters')
  counts, whole, labels = set(), True, set()
  for job in find_jobs(root):
    try:
      labels |= {event.name for event in events(root, job.name)}
      names = emg_names(root, job.name)
      whole &= all(abs(b - round(b)) <= WHOLE
                   for b in edf.calibrations(edf.read_header(job.path), names)[1])
      counts.add(len(names))
    except ValueError:
      continue
  return Dataset(
      root=root, name=name if name[0].isalpha() else f'bids_{name}'[:64],
      licence=licence if isinstance(licence, str) and licence.strip() else 'not stated',
      dtype='int32' if whole else 'float64', n_channels=counts.pop() if len(counts) == 1 else None,
      label_names=tuple(sorted(name for name in labels if not name.upper().startswith(BAD))))


def sidecar(root: str, name: str, suffix: str, extension: str) -> str | None:
  """Path of the nearest table or JSON that applies to a recording, by BIDS's inheritance.

  It applies if each of its entities is one of the recording's; in one folder, the one with most
  entities is the nearest.

  Raises:
    FormatError: where two are equally near.
  """
  wanted = set(record_id(name).split('_'))
  folder = os.path.dirname(name)
  while True:
    found: dict[int, list[str]] = {}
    at = os.path.join(root, folder)
    for file in sorted(os.listdir(at)):
      stem, dot, end = file.partition('.')
      *entities, last = stem.split('_')
      if (last, f'{dot}{end}') == (suffix, extension) and set(entities) <= wanted:
        found.setdefault(len(entities), []).append(os.path.join(at, file))
    if found:
      nearest = found[max(found)]
      if len(nearest) > 1:
        raise FormatError(f'{", ".join(map(os.path.basename, nearest))} all apply, expected one')
      return nearest[0]
    if not folder:
      return None
    folder = os.path.dirname(folder)


def read_json(path: str) -> dict[str, Any]:
  """A JSON object. Raises FormatError naming the file."""
  try:
    with open(path, encoding='utf-8-sig') as f:
      content = json.loads(f.read(MAX_SIDECAR_BYTES))
  except (ValueError, RecursionError) as error:
    raise FormatError(f'{path}: {str(error)[:200]}, expected JSON') from error
  if not isinstance(content, dict):
    raise FormatError(f'{path}: holds {type(content).__name__}, expected a JSON object')
  return content


def read_tsv(path: str, needed: Sequence[str]) -> list[dict[str, str]]:
  """Rows of a table. Raises FormatError naming the file."""
  try:
    with open(path, encoding='utf-8-sig', newline='') as f:
      lines = f.read(MAX_SIDECAR_BYTES).splitlines()
    rows = list(csv.DictReader(lines, delimiter='\t', quoting=csv.QUOTE_NONE, restval=None))
  except (UnicodeError, csv.Error) as error:
    raise FormatError(f'{path}: {str(error)[:200]}, expected a table in UTF-8') from error
  header = lines[0].split('\t') if lines else []
  if not set(needed) <= set(header) or len(set(header)) < len(header):
    raise FormatError(f'{path}: columns {str(header)[:200]}, expected {list(needed)} and each once')
  if any(None in row or None in row.values() for row in rows):
    raise FormatError(f'{path}: rows with other numbers of cells than the header, expected one'
                      ' number')
  return rows


def channels(root: str, name: str) -> list[dict[str, str]]:
  """Rows of channels.tsv for the EMG channels: neither other types, nor angles under that type."""
  path = sidecar(root, name, 'channels', '.tsv')
  if path is None:
    raise FormatError('no channels.tsv applies, expected one: it says which signals are EMG')
  rows = [row for row in read_tsv(path, ('name', 'type', 'units')) if row['type'] == 'EMG'
          and not row['units'].lower().startswith(('rad', 'deg'))]
  if not rows:
    raise FormatError(f'{path}: no channel of type EMG, expected some')
  return rows


def emg_names(root: str, name: str) -> list[str]:
  return [row['name'] for row in channels(root, name)]


def events(root: str, name: str) -> list[Event]:
  """Rows of events.tsv that last and say of which type they are; [] where there is no table.

  Raises:
    FormatError: a broken table, or times that are no numbers.
  """
  path = sidecar(root, name, 'events', '.tsv')
  found = []
  for row in [] if path is None else read_tsv(path, ('onset', 'duration')):
    if row['onset'] in MISSING or row['duration'] in MISSING:
      continue
    try:
      event = Event(float(row['onset']), float(row['duration']), row.get('trial_type', 'n/a'))
    except ValueError as error:
      raise FormatError(f'{path}: {shorten(error)}, expected a time in s') from error
    if not (math.isfinite(event.onset_s) and 0 <= event.duration_s < math.inf):
      raise FormatError(f'{path}: an event from {event.onset_s} s for {event.duration_s} s,'
                        ' expected finite times, and a duration of at least 0')
    if event.duration_s and event.name not in MISSING:
      found.append(event)
  return found
