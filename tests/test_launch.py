"""The launch scripts, with a stand-in for Python that notes its calls: nothing is installed."""

import os
import pathlib
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.heavy

ROOT = pathlib.Path(__file__).parent.parent
SCRIPTS = sorted([*(ROOT / 'launch').glob('*.sh'), ROOT / '.ci' / 'run'])
# Answers as a Python of VERSION; notes everything else in CALLS; fails where a call holds FAIL.
FAKE_PYTHON = """#!/usr/bin/env bash
case "$*" in
  *'import sys'*) echo "${FAKE_VERSION:-3.11}"; exit ;;
  *'from ensurepip'*) exit "${FAKE_NO_ENSUREPIP:-0}" ;;
  *'import pip'*) exit ;;
  '-m venv'*)
    folder=${@: -1}
    mkdir -p "$folder/bin" && cp "$0" "$folder/bin/python" && rm -f "$folder"/aemg_jax.* ;;
esac
echo "$(basename "$(dirname "$(dirname "$0")")"): $*" >>"$CALLS"
[[ -z ${SAY:-} ]] || echo "$SAY"
[[ -z ${KILL:-} || "$*" != *"$KILL"* ]] || kill -9 0
[[ -z ${FAIL:-} || "$*" != *"$FAIL"* ]] || exit "${FAIL_STATUS:-1}"
if [[ "$*" == *'aemg_jax.main report'* ]]; then
  mkdir -p "$REPORT"
  cp "$CALLS.report" "$REPORT/report.md"
fi
"""

REPORT = """# Gestures

| run |  |
|:--|:--|
| Seeds | 0 |

| method | target data used | repetition | 95 % interval |
|:--|:--|--:|--:|
| **loso** |  |  |  |
| lda\\_a | none | 80.0 | 70.1–90.2 |
| transformer-scratch | 5 % | 9.0 | 8.1–9.2 |

| method | repetition |
|:--|--:|
| other | 1 |
"""
TABLE = """
method               target data used  repetition  95 % interval
loso
lda_a                none              80.0        70.1-90.2
transformer-scratch  5 %               9.0         8.1-9.2

"""


def _executable(path: pathlib.Path, text: str) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(text)
  path.chmod(0o755)


class Checkout:
  """A copy of what the scripts need, with its own PATH."""

  def __init__(self, folder: pathlib.Path):
    self.root, self.bin, self.calls_file = folder / 'repo', folder / 'usr' / 'bin', folder / 'calls'
    for name in ('launch', 'constraints', '.ci'):
      shutil.copytree(ROOT / name, self.root / name)
    for name in ('setup.cfg', 'pyproject.toml'):
      shutil.copy(ROOT / name, self.root / name)
    _executable(self.bin / 'python3.11', FAKE_PYTHON)
    _executable(self.bin / 'id', '#!/bin/sh\necho 1000\n')

  def run(self, script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
    """Runs a script in a clean environment, with the calls of this run only in `calls`."""
    self.calls_file.write_text('')
    self.calls_file.with_suffix('.report').write_text(REPORT)
    environment = {
        'PATH': f'{self.bin}:/usr/bin:/bin', 'HOME': str(self.root), 'CALLS': str(self.calls_file),
        'REPORT': str(self.root / 'runs' / 'quickstart-synthetic_emg'),
        'PYTHON': str(self.bin / 'python3.11'), **variables}
    return subprocess.run(
        ['bash', str(self.root / script), *arguments], env=environment, cwd=self.root.parent,
        text=True, capture_output=True, start_new_session=True, timeout=60, check=False)

  @property
  def calls(self) -> list[str]:
    return self.calls_file.read_text().splitlines()

  @property
  def installs(self) -> list[str]:
    return [call for call in self.calls if '-m pip install' in call]

  def runs(self, marker: str) -> list[str]:
    return [call for call in self.calls if marker in call]


@pytest.fixture
def checkout(tmp_path) -> Checkout:
  return Checkout(tmp_path)


@pytest.mark.parametrize('script', SCRIPTS, ids=lambda p: p.name)
def test_syntax(script):
  """A script that does not parse, or shellcheck's findings where it is installed."""
  subprocess.run(['bash', '-n', str(script)], check=True)
  if shutil.which('shellcheck'):
    subprocess.run(['shellcheck', '-x', '-S', 'warning', '-s', 'bash', str(script)], check=True)


@pytest.mark.parametrize('script', ['launch/quickstart.sh', 'launch/run_tests.sh', 'launch/keypoints.sh'])
def test_help_installs_nothing(checkout, script):
  """--help that starts an installation, or lists no options, or prints code."""
  done = checkout.run(script, '--help')
  assert done.returncode == 0 and not checkout.calls
  assert f'bash {script}' in done.stdout and '  --' in done.stdout
  assert 'set -euo' not in done.stdout and '#' not in done.stdout


def test_second_run_installs_nothing(checkout):
  """A stamp that never matches (every run waits for pip), or matches with other extras."""
  assert checkout.run('launch/run_tests.sh').returncode == 0
  assert len(checkout.installs) == 2 and checkout.installs[-1].endswith('--editable .[dev]')
  assert '--constraint constraints/py311.txt' in checkout.installs[-1]
  assert checkout.run('launch/run_tests.sh').returncode == 0
  assert not checkout.installs and checkout.runs('-m pytest')
  assert checkout.run('launch/quickstart.sh').returncode == 0
  assert checkout.installs[-1].endswith('--editable .')
  checkout.run('launch/run_tests.sh')
  assert not checkout.installs, 'the extras of both scripts are in'


@pytest.mark.parametrize('changed', ['setup.cfg', 'constraints/py311.txt'])
def test_changed_requirements_are_installed(checkout, changed):
  """A stamp that does not cover a file which decides what is installed."""
  checkout.run('launch/run_tests.sh')
  checkout.run('launch/quickstart.sh')
  with open(checkout.root / changed, 'a') as file:
    file.write('\n# changed\n')
  checkout.run('launch/run_tests.sh')
  assert checkout.installs
  checkout.run('launch/quickstart.sh')
  assert checkout.installs, 'installed from the old file'


def test_failed_and_killed_installs_are_repeated(checkout):
  """A stamp written before pip has finished; a half-unpacked package taken for a whole one."""
  done = checkout.run('launch/run_tests.sh', FAIL='--editable', SAY='no such version')
  assert done.returncode == 2 and 'no such version' in done.stderr and 'pip failed' in done.stderr
  assert not checkout.runs('-m pytest')
  checkout.run('launch/run_tests.sh', FAIL='nothing')
  assert checkout.installs and not checkout.runs('-m venv'), 'pip itself said that it failed'
  (checkout.root / '.venv' / 'aemg_jax.stamp').unlink()
  failed = {'FAIL': '--editable', 'SAY': 'Installing collected packages: jax'}
  for how in (failed, {'KILL': '--editable'}):
    assert checkout.run('launch/run_tests.sh', **how).returncode in (2, -9)
    assert checkout.installs and not checkout.runs('-m pytest')
    checkout.run('launch/run_tests.sh')
    assert checkout.runs('-m venv --clear') and checkout.installs and checkout.runs('-m pytest')
    (checkout.root / '.venv' / 'aemg_jax.stamp').unlink()


def test_active_environment_is_used_and_never_cleared(checkout, tmp_path):
  """A .venv made beside the active one; somebody's own environment wiped."""
  active = tmp_path / 'mine'
  _executable(active / 'bin' / 'python', FAKE_PYTHON)
  (active / 'aemg_jax.installing').write_text('left by a killed install\n')
  assert checkout.run('launch/run_tests.sh', VIRTUAL_ENV=str(active)).returncode == 0
  assert checkout.installs[0].startswith('mine:') and not checkout.runs('-m venv')
  assert not (checkout.root / '.venv').exists()


@pytest.mark.parametrize('version', ['3.10', '3.13', '2.7'])
def test_unsupported_python_is_named(checkout, tmp_path, version):
  """An installation begun with a Python for which nothing is pinned."""
  done = checkout.run('launch/run_tests.sh', FAKE_VERSION=version)
  assert done.returncode == 2 and 'needs Python 3.11 or 3.12' in done.stderr and not checkout.calls
  _executable(tmp_path / 'mine' / 'bin' / 'python', FAKE_PYTHON)
  done = checkout.run('launch/run_tests.sh', FAKE_VERSION=version,
                      VIRTUAL_ENV=str(tmp_path / 'mine'))
  assert done.returncode == 2 and f'has Python {version}, needs' in done.stderr
  assert not checkout.calls


def test_debian_without_venv_is_told_what_to_install(checkout):
  """ensurepip's traceback on a bare Debian instead of the package's name; apt-get without root."""
  _executable(checkout.bin / 'apt-get', '#!/bin/sh\necho "apt-get $*" >>"$CALLS"\n')
  done = checkout.run('launch/run_tests.sh', FAKE_NO_ENSUREPIP='1')
  assert done.returncode == 2 and 'apt-get install python3.11-venv' in done.stderr
  assert not checkout.calls
  _executable(checkout.bin / 'id', '#!/bin/sh\necho 0\n')
  done = checkout.run('launch/run_tests.sh', FAKE_NO_ENSUREPIP='1')
  assert [c.split()[-1] for c in checkout.runs('apt-get install')] == ['python3.11-venv']
  assert done.returncode == 2 and not checkout.runs('-m venv')


FILES = '.venv: -m pytest -n auto --dist loadfile'


def test_sets_of_tests(checkout):
  """TensorFlow in the environment of the fast set; arguments lost; sets in another order."""
  checkout.run('launch/run_tests.sh', 'tests/models', '-k', 'two  words')
  assert checkout.runs('-m pytest') == [f'{FILES} tests/models -k two  words']
  assert checkout.run('.ci/run').returncode == 0
  assert checkout.runs('-m pytest') == [
      FILES, f'{FILES} -m heavy', f'{FILES} -m real',
      '.venv-tf: -m pytest -n auto --dist load -m tf', f'{FILES.replace("venv", "venv-beam")} -m beam',
      f'{FILES} -m keypoints']
  assert checkout.runs('.venv-keypoints: -m pip install')
  assert all('tfds-test' not in c and 'dev,' not in c for c in checkout.runs('.venv:'))


@pytest.mark.parametrize('name, extra, added, replaced', [
    ('tf', 'tfds-test', 'tensorflow-cpu', ''), ('beam', 'beam', 'apache-beam', 'protobuf')])
def test_environments_of_their_own(checkout, name, extra, added, replaced):
  """Two pins of one package, which pip refuses; a version that is not pinned at all."""
  assert checkout.run('launch/run_tests.sh', f'--{name}').returncode == 0
  install = checkout.installs[-1]
  assert install.endswith(f'--editable .[dev,{extra}]')
  path = pathlib.Path(install.split('--constraint ')[1].split()[0])
  assert path.parent == checkout.root / f'.venv-{name}' and '--constraint' not in install.split(
      str(path))[1]
  pins = [line for line in path.read_text().splitlines() if line and not line.startswith('#')]
  names = [pin.split('==')[0] for pin in pins]
  assert len(names) == len(set(names)) and {added, 'jax'} <= set(names)
  if replaced:
    main = (ROOT / 'constraints' / 'py311.txt').read_text()
    assert not {p for p in pins if p.startswith(f'{replaced}==')} & set(main.splitlines())


def test_failing_set_ends_the_run(checkout):
  """A failure hidden by a later set that passes; 'no tests' of the fast set taken for success."""
  done = checkout.run('launch/run_tests.sh', '--all', FAIL='-m real')
  assert done.returncode == 1 and not checkout.runs('-m tf')
  assert checkout.run('launch/run_tests.sh', FAIL='-m pytest', FAIL_STATUS='5').returncode == 5
  done = checkout.run('launch/run_tests.sh', '--all', FAIL='-m real', FAIL_STATUS='5')
  assert done.returncode == 0 and checkout.runs('-m tf')


def test_ci_finds_the_recordings(checkout):
  """`real` tests that are always skipped because nobody says where the recordings are."""
  probe = 'case "$*" in *"-m real"*) echo "raw=$AEMG_RAW_DIR" ;; esac\n'
  _executable(checkout.bin / 'python3.11', FAKE_PYTHON + probe)
  assert 'raw=\n' in checkout.run('.ci/run').stdout
  (checkout.root.parent / 'shared' / 'data').mkdir(parents=True)
  assert f'raw={checkout.root.parent}/shared/data\n' in checkout.run('.ci/run').stdout
  assert 'raw=/elsewhere\n' in checkout.run('.ci/run', AEMG_RAW_DIR='/elsewhere').stdout


def test_quickstart_goes_through_all_steps(checkout):
  """A step left out or out of order; no table or path of the report at the end."""
  done = checkout.run('launch/quickstart.sh')
  assert done.returncode == 0, done.stderr
  steps = [c for c in checkout.calls if 'data_builders.build' in c or 'aemg_jax.main' in c]
  words = ['data_builders.build synthetic_emg', 'main prepare', 'configs/vq.py',
           'configs/masked.py', 'main evaluate', 'main report']
  assert len(steps) == len(words) and all(w in s for w, s in zip(words, steps))
  assert '--raw' not in steps[0]
  for i in range(1, 8):
    assert f'[{i}/7]' in done.stdout
  assert TABLE in done.stdout and 'other' not in done.stdout
  assert done.stdout.splitlines()[-1].endswith('runs/quickstart-synthetic_emg/report.html')


def test_quickstart_from_a_checkpoint_trains_none(checkout):
  """A pre-training that nobody uses, the checkpoint not handed on, a missing one found at the end."""
  done = checkout.run('launch/quickstart.sh', '--checkpoint', 'gone')
  assert done.returncode == 2 and 'no such folder' in done.stderr and not checkout.calls
  (checkout.root.parent / 'weights').mkdir()
  done = checkout.run('launch/quickstart.sh', '--checkpoint', 'weights')
  assert done.returncode == 0 and '[5/5]' in done.stdout and '[6/' not in done.stdout
  assert not [c for c in checkout.calls if 'main train' in c]
  evaluate, = checkout.runs('main evaluate')
  assert f'--checkpoint={checkout.root.parent}/weights' in evaluate and '--tokeniser' not in evaluate


def test_quickstart_stops_at_a_failed_step(checkout):
  """Training on data that was not built; an exit code of 0 after a failure."""
  done = checkout.run('launch/quickstart.sh', FAIL='main prepare', FAIL_STATUS='2')
  assert done.returncode == 2 and not checkout.runs('main train')
  assert 'step 3 (prepare: recordings to words) stopped with status 2' in done.stderr


def test_quickstart_on_real_recordings(checkout):
  """A relative path lost when the script changes folder; a missing zip found after installing."""
  done = checkout.run('launch/quickstart.sh', '--dataset', 'myo_armband', '--raw=no.zip')
  assert done.returncode == 2 and 'no.zip' in done.stderr and not checkout.calls
  (checkout.root.parent / 'my set.zip').write_text('')
  checkout.run('launch/quickstart.sh', '--dataset', 'myo_armband', '--raw', 'my set.zip',
               '--data_dir', 'd')
  build, = checkout.runs('data_builders.build')
  here = checkout.root.parent
  assert f'build myo_armband --raw {here}/my set.zip --data_dir {here}/d' in build


@pytest.mark.parametrize('arguments, word', [
    (['--foo', 'x'], '--foo'), (['--dataset'], 'needs a value'), (['--dataset', 'x'], 'synthetic_emg'),
    (['--extras', 'amd'], 'gpu or tpu')])
def test_quickstart_refuses_bad_arguments(checkout, arguments, word):
  """A misspelt option that is ignored, and found out after the installation."""
  done = checkout.run('launch/quickstart.sh', *arguments)
  assert done.returncode == 2 and word in done.stderr and not checkout.calls
  assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize('arguments, word', [
    (['a.mp4'], '--out is missing'), (['--out', 'o'], 'no video'), (['a.mp4', '--out'], 'needs a value'),
    (['gone.mp4', '--out', 'o'], 'gone.mp4'), (['a.mp4', '--sheets', '--out=o'], "'--sheets'")])
def test_keypoints_refuses_bad_arguments(checkout, arguments, word):
  """Half a GB installed before a mistyped option or file name is said."""
  (checkout.root.parent / 'a.mp4').write_text('')
  done = checkout.run('launch/keypoints.sh', *arguments)
  assert done.returncode == 2 and word in done.stderr and not checkout.calls
  assert len(done.stderr.splitlines()) == 1


def test_keypoints_in_an_environment_of_their_own(checkout):
  """MediaPipe's old protobuf in an environment that others use; jax installed along with it; names
  with spaces lost; an install repeated at each run, or not repeated after it was killed."""
  (checkout.root.parent / 'my curl.mp4').write_text('')
  arguments = ['my curl.mp4', '--out=o', '--sheet', '--crop', '1,2,30,40']
  failed = checkout.run('launch/keypoints.sh', *arguments, FAIL='pip install', VIRTUAL_ENV='/elsewhere')
  assert failed.returncode == 2 and not checkout.runs('extract')
  assert checkout.run('launch/keypoints.sh', *arguments).returncode == 0
  install, = checkout.installs
  assert install.startswith('.venv-keypoints: ') and install.endswith(
      f'--no-deps --requirement {checkout.root}/constraints/keypoints.txt')
  assert checkout.runs('extract') == [
      '.venv-keypoints: -P -m data_builders.kinematics_fatigue.extract --sheet --crop 1,2,30,40 --out o'
      ' -- my curl.mp4']
  assert checkout.run('launch/keypoints.sh', *arguments, FAIL='extract', FAIL_STATUS='2').returncode == 2
  assert not checkout.installs
  with open(checkout.root / 'constraints' / 'keypoints.txt', 'a') as file:
    file.write('another==1.0\n')
  checkout.run('launch/keypoints.sh', *arguments)
  assert checkout.installs
