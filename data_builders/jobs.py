"""The vocabulary between a parser and the build machinery. No TFDS: worker processes start fast."""

import dataclasses

REJECTS_FILE = 'rejects.json'

DUPLICATE = 'duplicate'
TOO_SHORT = 'too short'
BAD_SIZE = 'bad size'
BAD_FORMAT = 'bad format'
BAD_VALUE = 'bad value'
BAD_TIME = 'bad time stamps'
MISSING_FILE = 'missing file'
NO_RECORDING = 'no recording'
MISSING_LABEL = 'missing label'
NOT_ALIGNED = 'labels not aligned'
CONSTANT_CHANNEL = 'constant channel'
UNKNOWN_FILE = 'unknown file'
UNKNOWN_LABEL = 'unknown label'
INVALID_RECORD = 'invalid record'


@dataclasses.dataclass(frozen=True)
class Job:
  """One unit of parsing, usually one raw file.

  Attributes:
    name: the file as the source names it, relative to the set's folder.
    path: where it lies; '' for generated data.
    n_bytes: its size (for generated data, of the signal): shards are cut by it.
  """
  name: str
  path: str
  n_bytes: int


@dataclasses.dataclass(frozen=True)
class Reject:
  """A raw file that gives no record: its name, a reason to count by, and what was expected."""
  name: str
  reason: str
  detail: str


class Unusable(Exception):
  """Raised inside a parser with what stands against a file, or a part of one: reason and detail."""

  def reject(self, name: str) -> Reject:
    """The reject of what is called `name`."""
    return Reject(name, *self.args)
