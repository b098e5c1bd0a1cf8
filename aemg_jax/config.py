"""The border between a config file (plain nested data) and the code (frozen dataclasses)."""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar('T')


def section(cls: type[T], values: Mapping[str, Any], where: str = '') -> T:
  """Builds the frozen dataclass `cls` from a mapping, nested sections included.

  Args:
    cls: a dataclass; fields whose type is a dataclass are built from sub-mappings.
    values: e.g. an ml_collections.ConfigDict or what json.load gives.
    where: path of the section, for error messages.

  Raises:
    ValueError: on an unknown key, a missing one, or a value of another type than the field's.
  """
  where = where or cls.__name__
  fields = {f.name: f for f in dataclasses.fields(cls)}
  types = typing.get_type_hints(cls)
  built = {}
  for key in values:
    if key not in fields:
      raise ValueError(f'{where}.{key}: unknown key, expected one of {sorted(fields)}')
    built[key] = _value(types[key], values[key], f'{where}.{key}')
  missing = [
      name for name, f in fields.items() if name not in built
      and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
  ]
  if missing:
    raise ValueError(f'{where}: missing {missing}')
  return cls(**built)


def _value(kind: Any, value: Any, where: str) -> Any:
  if dataclasses.is_dataclass(kind):
    if dataclasses.is_dataclass(value):
      value = dataclasses.asdict(value)
    if not isinstance(value, Mapping):
      raise ValueError(f'{where}: got {value!r}, expected a section')
    return section(kind, value, where)
  if typing.get_origin(kind) is tuple:
    if isinstance(value, str) or not isinstance(value, (list, tuple)):
      raise ValueError(f'{where}: got {value!r}, expected a list')
    item_kind = typing.get_args(kind)[0]
    return tuple(_value(item_kind, v, f'{where}[{i}]') for i, v in enumerate(value))
  if kind is float and isinstance(value, int) and not isinstance(value, bool):
    return float(value)
  if kind in (int, float, str, bool) and type(value) is not kind:
    raise ValueError(f'{where}: got {value!r}, expected {kind.__name__}')
  return value
