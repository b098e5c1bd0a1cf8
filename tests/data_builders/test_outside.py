"""The README's example for other projects, in an environment that has only what it says."""

import pathlib
import re
import shutil
import subprocess
import sys
import venv

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
import pytest

from data_builders import build as build_lib
from tests.test_packaging import requirement_lists

ROOT = pathlib.Path(build_lib.__file__).parents[1]
README = ROOT / 'data_builders/README.md'
REQUIREMENTS = ROOT / 'data_builders/requirements.txt'
CHECKOUT = ('aemg_jax', 'configs', 'data_builders', 'setup.cfg', 'pyproject.toml', 'README.md')


def example() -> tuple[str, str]:
  """The commands, and the program."""
  text = README.read_text().split('<!-- EXAMPLE -->')[1].split('<!-- END OF EXAMPLE -->')[0]
  bash, = re.findall(r'```bash\n(.*?)```', text, re.DOTALL)
  python, = re.findall(r'```python\n(.*?)```', text, re.DOTALL)
  return bash, python


def test_requirements_need_no_accelerator():
  """JAX or TensorFlow on a machine that only builds; a version that the package would refuse."""
  lines = [x for x in REQUIREMENTS.read_text().splitlines() if x and not x.startswith('#')]
  found = [Requirement(line) for line in lines]
  names = {canonicalize_name(r.name) for r in found}
  assert not names & {'jax', 'jaxlib', 'flax', 'tensorflow', 'tensorflow-cpu', 'torch'}
  ours = {canonicalize_name(r.name): r for r in requirement_lists()['']}
  for requirement in found:
    declared = ours[canonicalize_name(requirement.name)]
    assert (requirement.specifier, requirement.extras) == (declared.specifier, declared.extras)


@pytest.mark.heavy
def test_the_example_runs_in_an_environment_of_its_own(tmp_path):
  """A builder that imports the library; a requirement that only our environment happens to have."""
  probe = [sys.executable, '-m', 'pip', 'download', '--no-deps', '-d', str(tmp_path), 'iniconfig']
  if subprocess.run(probe, capture_output=True, timeout=300).returncode:
    pytest.skip('no package index')
  for name in CHECKOUT:
    copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
    (tmp_path / 'aemg').mkdir(exist_ok=True)
    copy(ROOT / name, tmp_path / 'aemg' / name)
  venv.create(tmp_path / 'venv', with_pip=True)
  bash, python = example()
  version = f'py{sys.version_info.major}{sys.version_info.minor}'
  environment = {'PATH': f'{tmp_path}/venv/bin:/usr/bin:/bin', 'HOME': str(tmp_path),
                 'PIP_CONSTRAINT': str(ROOT / f'constraints/{version}.txt')}
  for command in (['bash', '-euc', bash], ['python', '-c', python]):
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True,
                          timeout=1200)
    assert done.returncode == 0, done.stderr[-3000:]
  assert done.stdout.split('\n')[0].startswith("40 (3200, 8) [b'rest', b'hand")
  assert done.stdout.split('\n')[1] == '(4, 100, 8) int16 17'
  packages = tmp_path.glob('venv/lib/*/site-packages/*.dist-info')
  installed = {p.name.split('-')[0].lower() for p in packages}
  assert 'aemg_jax' in installed
  assert not installed & {'jax', 'jaxlib', 'tensorflow', 'flax', 'scipy'}
