"""The house's rules that a machine can check, by reading the source without importing it."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
# Left imports nothing to its right; those in one tuple are peers and do not import each other.
FLOW = (('records', 'config'), ('sources', 'signal'), ('sentences', 'sequences'), ('data',), ('models',),
        ('training',), ('evaluation', 'planning'), ('serving',), ('main',))
RANK = {name: i for i, names in enumerate(FLOW) for name in names}
ONLY_IN = {'orbax': 'aemg_jax/training/checkpoints.py', 'grain': 'aemg_jax/data/loader.py',
           'tensorflow': None, 'clu': None}
COLLECTIVES = {'psum', 'pmean', 'pmax', 'pmin', 'all_gather', 'all_to_all', 'ppermute',
               'psum_scatter', 'axis_index', 'axis_size', 'pmap', 'shard_map'}
COLLECTIVES_IN = 'aemg_jax/training/parallel.py'
MAX_LINES = 350
FILES = sorted(path for folder in ('aemg_jax', 'data_builders', 'configs')
               for path in (ROOT / folder).rglob('*.py'))


def imports(tree: ast.AST) -> set[str]:
  """Full dotted names of all imports, those inside functions too."""
  names = set()
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      names |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      names |= {f'{"." * node.level}{node.module or ""}.{alias.name}' for alias in node.names}
  return names


def names_used(tree: ast.AST) -> set[str]:
  """Attributes and plain names, so that both `jax.lax.psum` and an imported `psum` are seen."""
  return ({n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
          | {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
          | {name.rsplit('.', 1)[-1] for name in imports(tree)})


def faults(path: str, source: str) -> list[str]:
  """What is wrong with a file at `path`, relative to the root."""
  tree, found = ast.parse(source), []
  package, *rest = pathlib.PurePath(path).with_suffix('').parts
  for name in sorted(imports(tree)):
    top, *inner = name.split('.')
    if name.startswith('.'):
      found.append(f'relative import {name}, expected the full name')
    if package == 'data_builders' and top == 'aemg_jax' and inner[:1] != ['records']:
      found.append(f'imports {name}, builders may only import aemg_jax.records')
    if package == 'aemg_jax' and top in ('data_builders', 'configs', 'tests'):
      found.append(f'imports {name}, the disk is the border')
    if package == 'aemg_jax' and name == 'aemg_jax':
      found.append('imports aemg_jax as a whole, expected the module that is needed')
    elif package == 'aemg_jax' and top == 'aemg_jax' and rest[0] in RANK and inner[0] != rest[0]:
      if inner[0] in RANK and RANK[inner[0]] >= RANK[rest[0]]:
        found.append(f'{rest[0]} imports {name}, which is not to its left')
    if package == 'aemg_jax' and top in ONLY_IN and path != ONLY_IN[top]:
      found.append(f'imports {name}, allowed in {ONLY_IN[top]} only')
  if package == 'aemg_jax':
    if rest[0] not in RANK and rest[0] != '__init__':
      found.append(f'{rest[0]} has no place in the order of imports')
    if path != COLLECTIVES_IN:
      found += [f'uses {name}, allowed in {COLLECTIVES_IN} only'
                for name in sorted(names_used(tree) & COLLECTIVES)]
    if 'print' in {n.func.id for n in ast.walk(tree)
                   if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}:
      found.append('calls print, expected absl logging')
  if len(source.splitlines()) > MAX_LINES:
    found.append(f'{len(source.splitlines())} lines, expected at most {MAX_LINES}')
  return found


def test_the_tree_keeps_the_rules():
  """Catches: a shortcut through the layers, a second user of orbax, grain or collectives."""
  wrong = {}
  for file in FILES:
    path = file.relative_to(ROOT).as_posix()
    if found := faults(path, file.read_text(encoding='utf-8')):
      wrong[path] = found
  assert len(FILES) > 20
  assert not wrong, '\n'.join(f'{path}: {found}' for path, found in wrong.items())


def test_tests_are_short_and_uniquely_named():
  """Catches: two test files of one name, which pytest refuses to import together."""
  files = sorted((ROOT / 'tests').rglob('*.py'))
  names = [f.name for f in files if f.name.startswith('test_')]
  assert not {name for name in names if names.count(name) > 1}
  assert not {f.name for f in files if len(f.read_text(encoding='utf-8').splitlines()) > MAX_LINES}


@pytest.mark.parametrize('path, source, fault', [
    ('aemg_jax/signal/a.py', 'from aemg_jax.sentences import words', 'not to its left'),
    ('aemg_jax/signal/a.py', 'def f():\n  import aemg_jax.sources', 'not to its left'),
    ('aemg_jax/records.py', 'from aemg_jax import config', 'not to its left'),
    ('aemg_jax/models/a.py', 'from aemg_jax.training.losses import masked_sum', 'not to its left'),
    ('aemg_jax/training/loop.py', 'import orbax.checkpoint as ocp', 'checkpoints.py only'),
    ('aemg_jax/data/splits.py', 'import grain', 'loader.py only'),
    ('aemg_jax/sources.py', 'import tensorflow as tf', 'allowed in None'),
    ('aemg_jax/models/a.py', 'import jax\njax.lax.psum(1, "i")', 'uses psum'),
    ('aemg_jax/models/a.py', 'from jax.lax import axis_index as i', 'uses axis_index'),
    ('aemg_jax/main.py', 'from configs import smoke', 'the disk is the border'),
    ('aemg_jax/main.py', 'import data_builders.build', 'the disk is the border'),
    ('data_builders/x/y.py', 'from aemg_jax.signal import filters', 'aemg_jax.records'),
    ('data_builders/x/y.py', 'import aemg_jax', 'aemg_jax.records'),
    ('aemg_jax/data/a.py', 'import aemg_jax', 'as a whole'),
    ('aemg_jax/main.py', 'print(1)', 'calls print'),
    ('aemg_jax/data/a.py', 'from . import loader', 'relative import'),
    ('aemg_jax/utils.py', '', 'no place'),
    ('configs/a.py', '\n' * 351, '351 lines'),
])
def test_each_rule_bites(path, source, fault):
  """Catches: a rule that passes everything."""
  assert any(fault in found for found in faults(path, source)), faults(path, source)


@pytest.mark.parametrize('path, source', [
    ('aemg_jax/training/checkpoints.py', 'import orbax.checkpoint\nimport aemg_jax.training.state'),
    ('aemg_jax/data/loader.py', 'def f():\n  import grain'),
    ('aemg_jax/main.py', 'from aemg_jax.evaluation import report\nfrom aemg_jax import sources'),
    ('data_builders/x/y.py', 'import tensorflow_datasets\nfrom aemg_jax.records import Record'),
])
def test_what_is_allowed_passes(path, source):
  """Catches: a rule that refuses what the design asks for."""
  assert not faults(path, source)
