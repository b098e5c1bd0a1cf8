"""What is declared, what is pinned, and what each platform gets."""

import ast
import configparser
import importlib
import importlib.metadata
import pathlib
import re
import sys

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
import pytest

ROOT = pathlib.Path(__file__).parent.parent
ROWS = ('py311.txt', 'py312.txt')
WINDOWS = {'sys_platform': 'win32', 'platform_system': 'Windows', 'os_name': 'nt', 'extra': ''}
NO_WINDOWS_WHEEL = {'array-record', 'grain', 'uvloop'}
NOT_ON_WINDOWS = {'array_record', 'grain', 'uvloop', 'fcntl', 'resource', 'pwd', 'grp', 'termios'}
DISTRIBUTION = {'absl': 'absl-py', 'sklearn': 'scikit-learn', 'pywt': 'pywavelets',
                'orbax': 'orbax-checkpoint', 'yaml': 'pyyaml', 'cv2': 'opencv-python-headless',
                'google': 'protobuf'}
# Runs in an environment of its own, which holds nothing but the pins of keypoints.txt.
KEYPOINTS = ('extract', 'findings', 'frame_times', 'overlay', 'pose', 'video_file')


def setup_cfg() -> configparser.ConfigParser:
  parser = configparser.ConfigParser(delimiters=('=',), interpolation=None)
  parser.read_string((ROOT / 'setup.cfg').read_text())
  return parser


def requirement_lists() -> dict[str, list[Requirement]]:
  """Requirements by extra; '' holds what is always installed."""
  cfg = setup_cfg()
  texts = {'': cfg['options']['install_requires'], **cfg['options.extras_require']}
  lines = {extra: [s for s in text.splitlines() if s.strip()] for extra, text in texts.items()}
  return {extra: [Requirement(line) for line in rows] for extra, rows in lines.items()}


def pins(name: str) -> dict[str, str]:
  """Canonical name -> version of a constraints file."""
  lines = [line.strip() for line in (ROOT / 'constraints' / name).read_text().splitlines()]
  pairs = [line.split('==') for line in lines if line and not line.startswith('#')]
  return {canonicalize_name(distribution): version for distribution, version in pairs}


def closure(requirements: list[Requirement], environment: dict[str, str]) -> set[str]:
  """Canonical names of all that `requirements` pull in, as far as it is installed here."""
  names, todo = set(), [(r, e) for r in requirements for e in ('', *r.extras)]
  seen = set()
  while todo:
    requirement, extra = todo.pop()
    if requirement.marker and not requirement.marker.evaluate({**environment, 'extra': extra}):
      continue
    name = canonicalize_name(requirement.name)
    names.add(name)
    for wanted in ('', *requirement.extras):
      if (name, wanted) in seen:
        continue
      seen.add((name, wanted))
      try:
        lines = importlib.metadata.requires(name) or []
      except importlib.metadata.PackageNotFoundError:
        lines = []
      todo += [(Requirement(line), wanted) for line in lines]
  return names


def module_imports(path: pathlib.Path, everywhere: bool) -> set[str]:
  """Top-level names of the packages that a file imports; only when it is loaded, or everywhere."""
  names, todo = set(), [ast.parse(path.read_text())]
  while todo:
    node = todo.pop()
    if isinstance(node, ast.Import):
      names |= {alias.name.split('.')[0] for alias in node.names}
    elif isinstance(node, ast.ImportFrom) and not node.level:
      names.add(node.module.split('.')[0])
    elif everywhere or not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
      todo += ast.iter_child_nodes(node)
  return names


def test_every_requirement_has_its_line_of_justification():
  """A dependency that somebody added without saying what for."""
  lines = (ROOT / 'setup.cfg').read_text().splitlines()
  known = {str(r) for rows in requirement_lists().values() for r in rows}
  found = 0
  for before, line in zip(lines, lines[1:]):
    if line.startswith('    ') and not line.strip().startswith('#'):
      try:
        is_requirement = str(Requirement(line.strip())) in known
      except ValueError:
        continue
      if is_requirement:
        found += 1
        assert before.strip().startswith('#'), f'setup.cfg: no comment above {line.strip()!r}'
  assert found == sum(map(len, requirement_lists().values()))


@pytest.mark.parametrize('row', ROWS)
def test_every_requirement_is_pinned(row):
  """A requirement, or one that it pulls in, whose version would float; a pin outside our bounds."""
  pinned = pins(row)
  for extra, requirements in requirement_lists().items():
    more = {'tfds-test': 'tensorflow.txt', 'beam': 'beam.txt'}
    versions = {**pinned, **pins(more[extra])} if extra in more else pinned
    for requirement in requirements:
      version = versions[canonicalize_name(requirement.name)]
      assert version in requirement.specifier, f'{row}: {requirement} against {version}'
  lists = requirement_lists()
  linux = {'sys_platform': 'linux', 'platform_system': 'Linux', 'os_name': 'posix'}
  missing = closure(lists[''] + lists['dev'] + lists['bench'], linux) - set(pinned)
  missing |= closure(lists[''], WINDOWS) - set(pinned)
  assert not missing


def test_rows_pin_the_same_packages():
  """A package added to the constraints of one Python and forgotten in the other."""
  first, second = (set(pins(row)) for row in ROWS)
  assert first == second
  assert not first & set(pins('tensorflow.txt')), 'pinned in two places'
  held_back = {name for name in first & set(pins('beam.txt'))
               if {pins(row)[name] for row in ROWS} == {pins('beam.txt')[name]}}
  assert not held_back, 'in beam.txt without need'


@pytest.mark.parametrize('path', sorted((ROOT / 'constraints').iterdir()), ids=lambda p: p.name)
def test_constraints_are_plain_pins(path):
  """A registry host, a machine's path, an option or a loose bound in a constraints file."""
  lines = [s for s in path.read_text().splitlines() if s and not s.startswith('#')]
  for line in lines:
    assert re.fullmatch(r'[a-z0-9-]+==[0-9][0-9A-Za-z.+]*', line), f'{path.name}: {line!r}'
  names = [line.split('==')[0] for line in lines]
  assert len(names) == len(set(names))
  assert not re.search(r'://|\b(work|tmp|home|root)/', path.read_text())


def test_tensorflow_is_in_one_extra_only():
  """TensorFlow in what everybody installs."""
  for extra, requirements in requirement_lists().items():
    names = {canonicalize_name(r.name) for r in requirements}
    assert ('tensorflow-cpu' in names) == (extra == 'tfds-test')
    assert not names & {'tensorflow', 'tf-nightly', 'clu'}
  assert 'tensorflow-cpu' not in pins('py311.txt')


def test_windows_gets_no_package_without_a_windows_wheel():
  """A marker that was forgotten or misspelt, ours or a dependency's: pip would fail on Windows."""
  requirements = requirement_lists()['']
  linux = {'sys_platform': 'linux', 'platform_system': 'Linux', 'os_name': 'posix'}
  assert NO_WINDOWS_WHEEL <= closure(requirements, linux)
  assert not NO_WINDOWS_WHEEL & closure(requirements, WINDOWS)


def test_library_loads_without_what_windows_lacks():
  """A module that imports, when loaded, what Windows cannot have: no prediction there."""
  for path in (ROOT / 'aemg_jax').rglob('*.py'):
    found = module_imports(path, everywhere=False) & NOT_ON_WINDOWS
    assert not found, f'{path.relative_to(ROOT)}: import {found} inside the function that needs it'


def test_every_import_is_declared():
  """A package that is only there because another needs it; a reader of one format for everybody."""
  lists = requirement_lists()
  always = {canonicalize_name(r.name) for r in lists['']}
  readers = {canonicalize_name(r.name) for r in lists['formats'] + lists['bids'] + lists['beam']}
  for folder in ('aemg_jax', 'data_builders', 'configs'):
    for path in (ROOT / folder).rglob('*.py'):
      # Readers and Beam are imported in the function that needs them: others load without.
      optional = readers if folder == 'data_builders' else set()
      if path.parent.name == 'kinematics_fatigue' and path.stem in KEYPOINTS:
        optional = set(pins('keypoints.txt'))
      for everywhere, declared in ((False, always), (True, always | optional)):
        names = module_imports(path, everywhere) - set(sys.stdlib_module_names)
        names -= {'aemg_jax', 'data_builders', 'configs'}
        names = {canonicalize_name(DISTRIBUTION[n] if n in DISTRIBUTION else n) for n in names}
        assert names <= declared, f'{path.relative_to(ROOT)}: {names - declared} not in setup.cfg'


def test_key_points_need_their_own_environment_only():
  """JAX, or another package of the main environment, where MediaPipe runs: it is not there."""
  todo, seen = [f'data_builders.kinematics_fatigue.{name}' for name in KEYPOINTS], set()
  while todo:
    path = ROOT / todo.pop().replace('.', '/')
    path = path / '__init__.py' if path.is_dir() else path.with_suffix('.py')
    if path in seen or not path.is_file():
      continue
    seen.add(path)
    for node in ast.walk(ast.parse(path.read_text())):
      if isinstance(node, ast.ImportFrom):
        todo += [node.module, *(f'{node.module}.{alias.name}' for alias in node.names)]
    names = module_imports(path, everywhere=True) - set(sys.stdlib_module_names)
    names = {canonicalize_name(DISTRIBUTION.get(n, n)) for n in names} - {'aemg-jax', 'data-builders'}
    missing = names - set(pins('keypoints.txt'))
    assert not missing, f'{path.relative_to(ROOT)}: {missing} not in keypoints.txt'
  assert ROOT / 'aemg_jax' / 'records.py' in seen


def test_readers_of_formats_are_tested():
  """A reader that users install and no test imports, or another version of it."""
  lists = requirement_lists()
  assert {str(r) for r in lists['formats'] + lists['bids']} <= {str(r) for r in lists['dev']}


def test_packages_and_their_data_are_all_installed():
  """A folder without __init__.py, which setuptools leaves out and an editable install hides."""
  for folder in ('aemg_jax', 'data_builders', 'configs'):
    for path in (ROOT / folder).rglob('*.py'):
      missing = [p for p in (path.parent, *path.parent.parents)
                 if p.is_relative_to(ROOT / folder) and not (p / '__init__.py').exists()]
      assert not missing, f'{path.relative_to(ROOT)} is in no package: {missing}'


def test_git_does_not_ignore_source_folders():
  """An unanchored data/ or build/ in .gitignore, which swallows aemg_jax/data or tests/data."""
  ignored = {line for line in (ROOT / '.gitignore').read_text().splitlines() if line.endswith('/')}
  tops = [ROOT / name for name in ('aemg_jax', 'data_builders', 'tests')]
  folders = {p.name for top in tops for p in top.rglob('*')
             if p.is_dir() and p.name != '__pycache__'}
  assert not {f'{name}/' for name in folders} & ignored
  assert {'/data/', '/runs/', '.venv*/'} <= ignored


def test_console_script_exists():
  """`aemg` installed, but pointing at a function that was renamed."""
  target = setup_cfg()['options.entry_points']['console_scripts'].split('=')[1].strip()
  module, function = target.split(':')
  assert callable(getattr(importlib.import_module(module), function))
