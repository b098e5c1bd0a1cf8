"""The border between config files and code: every mistake there stops the run and is named."""

import dataclasses
import json

import pytest

from aemg_jax.config import as_plain, section


@dataclasses.dataclass(frozen=True)
class Inner:
  size: int = 3
  share: float = 0.5
  names: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Other:
  on: bool = False

  def __post_init__(self):
    if self.on:
      raise ValueError('Other.on: got True, expected False')


@dataclasses.dataclass(frozen=True)
class Outer:
  title: str
  inner: Inner = Inner()
  either: Inner | Other = Other()
  parts: tuple[Inner, ...] = ()


def test_sections_become_dataclasses_and_back():
  """Catches: nested sections left as dicts, lists that cannot be hashed, a lost 'kind'."""
  values = {'title': 't', 'inner': {'share': 1}, 'either': {'kind': 'Inner', 'size': 4},
            'parts': [{'names': ['a', 'b']}, {}]}
  got = section(Outer, values)
  assert got == Outer('t', Inner(share=1.0), Inner(4), (Inner(names=('a', 'b')), Inner()))
  assert isinstance(got.inner.share, float) and hash(got)
  assert section(Outer, json.loads(json.dumps(as_plain(got)))) == got
  assert as_plain(got)['either'] == {'kind': 'Inner', 'size': 4, 'share': 0.5, 'names': []}
  assert section(Outer, {'title': 't'}) == Outer('t')


@pytest.mark.parametrize('values, message', [
    ({}, r"config: missing \['title'\]"),
    ({'title': 't', 'tilte': 't'}, 'config.tilte: unknown key, expected one of .*title'),
    ({'title': 't', 'inner': {'sise': 3}}, 'config.inner.sise: unknown key'),
    ({'title': 3}, 'config.title: got 3, expected str'),
    ({'title': 't', 'inner': {'size': 3.0}}, 'config.inner.size: got 3.0, expected int'),
    ({'title': 't', 'inner': {'size': True}}, 'config.inner.size: got True, expected int'),
    ({'title': 't', 'inner': {'share': True}}, 'config.inner.share: got True, expected float'),
    ({'title': 't', 'inner': {'share': '1'}}, "config.inner.share: got '1', expected float"),
    ({'title': 't', 'inner': {'names': 'ab'}}, "config.inner.names: got 'ab', expected a list"),
    ({'title': 't', 'inner': {'names': [1]}}, r'config.inner.names\[0\]: got 1, expected str'),
    ({'title': 't', 'inner': 3}, 'config.inner: got 3, expected a section'),
    ({'title': 't', 'parts': [{'size': 'x'}]}, r"config.parts\[0\].size: got 'x'"),
    ({'title': 't', 'either': {'size': 4}}, r"config.either: .*kind is one of \['Inner', 'Other'\]"),
    ({'title': 't', 'either': {'kind': 'Innre'}}, r"config.either: .*one of \['Inner', 'Other'\]"),
    ({'title': 't', 'either': {'kind': 'Other', 'size': 4}}, 'config.either.size: unknown key'),
    ({'title': 't', 'either': {'kind': 'Other', 'on': True}}, 'Other.on: got True'),
])
def test_mistakes_are_named_by_their_path(values, message):
  """Catches: a typo or a wrong type that silently takes the default."""
  with pytest.raises(ValueError, match=message) as error:
    section(Outer, values, 'config')
  assert '\n' not in str(error.value)
