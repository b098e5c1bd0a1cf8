"""A YAML file read key by key: a key that nobody asks for, or a value of another kind, is an error.

Every error names the file, the key and what was expected there.
"""

from collections.abc import Sequence
import math
import os
from typing import Any

from data_builders import optional

MAX_BYTES = 256 << 10  # 256 channels take 25 kB
REQUIRED = object()


class Section:
  """A mapping of a YAML file; `finish` raises if it holds a key that nobody asked for."""

  def __init__(self, values: Any, file: str, path: str = ''):
    self._file, self._path, self._asked = file, path, []
    if not isinstance(values, dict):
      raise self._error('', values, 'keys with values')
    self._values = values

  def __contains__(self, key: str) -> bool:
    return key in self._values

  def _error(self, key: str, found: Any, expected: str) -> ValueError:
    where = f'{self._path}.{key}' if self._path and key else self._path or key or 'the whole file'
    text = repr(found)
    return ValueError(f'{self._file}: {where}: got {text[:200]}, expected {expected}')

  def wrong(self, key: str, expected: str) -> ValueError:
    """The error for a value that is right in kind and wrong for another reason."""
    return self._error(key, self._values[key] if key in self._values else 'nothing', expected)

  def _take(self, key: str, default: Any, expected: str) -> Any:
    self._asked.append(key)
    if key in self._values:
      return self._values[key]
    if default is REQUIRED:
      raise self._error(key, 'nothing', expected)
    return default

  def text(self, key: str, default: Any = REQUIRED, expected: str = 'text') -> Any:
    value = self._take(key, default, expected)
    if key in self._values and not (isinstance(value, str) and value.strip()):
      raise self._error(key, value, expected)
    return value

  def choice(self, key: str, known: Sequence[str], default: Any = REQUIRED) -> Any:
    value = self.text(key, default, f'one of {list(known)}')
    if key in self._values and value not in known:
      raise self._error(key, value, f'one of {list(known)}')
    return value

  def number(self, key: str, default: Any = REQUIRED, low: float = -math.inf,
             high: float = math.inf, whole: bool = False) -> Any:
    """A finite number within [low, high]."""
    bounds = ''.join((f', at least {low:g}' if low > -math.inf else '',
                      f', at most {high:g}' if high < math.inf else ''))
    expected = f'a {"whole " if whole else ""}number{bounds}'
    text = self.text(key, default, expected)
    if key not in self._values:
      return text
    try:
      value = int(text) if whole else float(text)
    except ValueError as error:
      raise self._error(key, text, expected) from error
    if not (math.isfinite(value) and low <= value <= high):
      raise self._error(key, text, expected)
    return value

  def flag(self, key: str, default: bool) -> bool:
    return self.choice(key, ('true', 'false'), str(default).lower()) == 'true'

  def texts(self, key: str) -> tuple[str, ...]:
    """A list of different texts; () where there is none."""
    values = self._take(key, [], 'a list')
    if not isinstance(values, list) or not all(isinstance(v, str) and v for v in values):
      raise self._error(key, values, 'a list of texts')
    if len(set(values)) < len(values):
      raise self._error(key, values, 'each only once')
    return tuple(values)

  def mapping(self, key: str) -> dict[str, str]:
    """Text -> text; a list of texts stands for each itself. {} where there is none."""
    values = self._take(key, {}, 'keys with texts')
    if isinstance(values, list):
      return {text: text for text in self.texts(key)}
    if not isinstance(values, dict) or not all(isinstance(v, str) and v for v in values.values()):
      raise self._error(key, values, 'a list of texts, or keys with texts')
    return values

  def section(self, key: str) -> 'Section':
    """The mapping below `key`, empty where there is none."""
    return Section(self._take(key, {}, 'keys'), self._file, self._name(key))

  def sections(self, key: str, defaults: dict[str, Any]) -> list['Section']:
    """The mappings in the list below `key`, which is not empty, over `defaults`."""
    values = self._take(key, REQUIRED, 'a list with at least one entry')
    if not isinstance(values, list) or not values:
      raise self._error(key, values, 'a list with at least one entry')
    return [Section({**defaults, **value} if isinstance(value, dict) else value, self._file,
                    f'{self._name(key)}[{i}]') for i, value in enumerate(values)]

  def _name(self, key: str) -> str:
    return f'{self._path}.{key}' if self._path else key

  @property
  def values(self) -> dict[str, Any]:
    """A copy of all that is here; counts as asked for."""
    self._asked += self._values
    return dict(self._values)

  def finish(self) -> None:
    """Raises ValueError for the first key that nobody asked for."""
    for key in self._values:
      if key not in self._asked:
        raise self._error(key, self._values[key], f'no such key, but one of {self._asked}')


def read_yaml(path: str) -> Section:
  """The mapping that a YAML file holds. All its scalars stay text: `no`, `010` and `1:30` too.

  Raises:
    ValueError: not UTF-8 or YAML, too large, aliases, or a key that is there twice.
  """
  yaml = optional.reader('pyyaml', 'the manifest')

  # The base of SafeLoader: it knows text, lists and mappings only, and makes no other object.
  class Loader(yaml.BaseLoader):

    def compose_node(self, parent, index):
      if self.check_event(yaml.AliasEvent):  # with them a short file can hold 10^9 entries
        mark = self.peek_event().start_mark
        raise yaml.MarkedYAMLError(problem='an alias (*), expected none', problem_mark=mark)
      return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
      keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
      if len(keys) < len(node.value) or len(set(keys)) < len(keys):
        raise yaml.MarkedYAMLError(problem='a key that is there twice, or no text, expected texts'
                                   ' that differ', problem_mark=node.start_mark)
      return super().construct_mapping(node, deep)

  size = os.path.getsize(path)
  if size > MAX_BYTES:
    raise ValueError(f'{path}: {size} bytes, expected at most {MAX_BYTES}')
  try:
    with open(path, encoding='utf-8') as f:
      values = yaml.load(f.read(), Loader)
  except (yaml.YAMLError, UnicodeError, RecursionError, ValueError) as error:
    raise ValueError(f'{path}: {" ".join(str(error).split())[:300]}, expected YAML') from error
  return Section(values, path)
