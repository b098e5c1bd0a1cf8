"""The border between a config file (plain nested data) and the code (frozen dataclasses)."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar('T')


def section(cls: type[T], values: Mapping[str, Any], where: str = '') -> T:
  """Builds the frozen dataclass `cls` from a mapping, nested sections included.

  Args:
    cls: a dataclass; fields whose type is a dataclass are built from sub-mappings. Where several
      dataclasses may stand, the sub-mapping names its own under 'kind'.
    values: e.g. an ml_collections.ConfigDict or what json.load gives.
    where: path of the section, for error messages.

  Raises:
    ValueError: on an unknown key, a missing one, or a value of another type than the field's.
  """
  where = where or cls.__name__
  fields = {f.name: f for f in dataclasses.fields(cls)}
  hints = typing.get_type_hints(cls)
  built = {}
  for key in values:
    if key not in fields:
      raise ValueError(f'{where}.{key}: unknown key, expected one of {sorted(fields)}')
    built[key] = _value(hints[key], values[key], f'{where}.{key}')
  missing = [
      name for name, f in fields.items() if name not in built
      and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
  ]
  if missing:
    raise ValueError(f'{where}: missing {missing}')
  return cls(**built)


def as_plain(config: Any) -> dict[str, Any]:
  """A frozen dataclass as nested plain data that `section` takes back, 'kind' included."""

  def plain(kind: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(value):
      hints = typing.get_type_hints(type(value))
      fields = {f.name: plain(hints[f.name], getattr(value, f.name)) for f in dataclasses.fields(value)}
      return ({'kind': type(value).__name__} if _choices(kind) else {}) | fields
    if isinstance(value, (list, tuple)):
      return [plain((typing.get_args(kind) or (Any,))[0], v) for v in value]
    return value

  return plain(type(config), config)


def _choices(kind: Any) -> dict[str, type]:
  """The dataclasses of a union, by name; empty for any other type."""
  if not isinstance(kind, types.UnionType):
    return {}
  return {k.__name__: k for k in typing.get_args(kind) if dataclasses.is_dataclass(k)}


def _value(kind: Any, value: Any, where: str) -> Any:
  choices = _choices(kind)
  if choices:
    if not isinstance(value, Mapping) or value.get('kind') not in choices:
      raise ValueError(f'{where}: expected a section whose kind is one of {sorted(choices)}')
    return section(choices[value['kind']], {k: v for k, v in value.items() if k != 'kind'}, where)
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
