"""The scripts for pods: what they would run, without a cluster."""

import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import jsonschema
import pytest
import yaml

ROOT = pathlib.Path(__file__).parent.parent
LAUNCH = ROOT / 'launch'
COMMAND = ('train', '--config=configs/pretrain_all.py:vq,size=base', "--config.leave_out=('a b','c\"d')")
TPU = ('--name', 'pod', '--zone', 'z', '--project', 'p')
SLURM = ('--nodes', '4', '--gpus', '8')
JOBSET = ('--image', 'i:1', '--hosts', '4')
SLICE = ('--tpu', 'tpu-v5p-slice', '--topology', '2x2x4')


def _run(script, *arguments, **variables):
  environment = {'PATH': os.environ['PATH'], **variables}
  return subprocess.run(['bash', str(LAUNCH / script), *arguments], env=environment, text=True,
                        capture_output=True, check=False, cwd=ROOT)


def _dry(script, *arguments, **variables):
  done = _run(script, *arguments, '--dry_run', *COMMAND, **variables)
  assert done.returncode == 0, done.stderr
  return done.stdout


def _shellcheck(*arguments, **kwargs):
  program = pathlib.Path(sys.executable).parent / 'shellcheck'
  return subprocess.run([str(program), '-x', '-s', 'bash', *arguments], capture_output=True, text=True,
                        check=False, **kwargs)


def test_every_script_passes_shellcheck():
  """Catches: an unquoted path with a space, a variable that is never set."""
  scripts = [str(path) for path in sorted(LAUNCH.glob('[a-z]*.sh'))]
  assert len(scripts) >= 6
  found = _shellcheck('-S', 'warning', *scripts, cwd=ROOT)
  assert found.returncode == 0, found.stdout


def test_tpu_workers_get_the_command_word_for_word():
  """Catches: quotes that one of the three shells on the way takes away."""
  text = _dry('tpu_pod.sh', *TPU, '--repo', 'https://host/aemg.git')
  call = shlex.split(text)
  assert call[:6] == ['gcloud', 'compute', 'tpus', 'tpu-vm', 'ssh', 'pod'] and '--worker=all' in call
  shell, option, worker = shlex.split(call[-1].removeprefix('--command='))
  assert (shell, option) == ('bash', '-c')
  start = worker.index('-m aemg_jax.main') + len('-m aemg_jax.main')
  assert shlex.split(worker[start:worker.index('2>&1')]) == list(COMMAND)
  assert subprocess.run(['bash', '-n', '-c', worker], check=False).returncode == 0
  assert 'git clone' in worker and 'nohup' in _dry('tpu_pod.sh', *TPU, '--detach')


@pytest.mark.parametrize('per_gpu, tasks, cpus', [((), 1, 64), (('--per_gpu',), 8, 8)])
def test_slurm_script_asks_for_what_was_said_and_runs_the_command(per_gpu, tasks, cpus, tmp_path):
  """Catches: a process a node that is given one GPU's cores; a job that ends for good when stopped."""
  script = _dry('slurm.sh', *SLURM, *per_gpu, '--partition', 'h100')
  options = dict(re.findall(r'^#SBATCH --([a-z-]+)(?:=(.*))?$', script, re.M))
  assert options['ntasks-per-node'] == str(tasks) and options['cpus-per-task'] == str(cpus)
  assert options['partition'] == 'h100' and 'requeue' in options and 'account' not in options
  assert options['signal'] == 'B:TERM@120'
  head, _, rest = script.partition('set -euo')
  assert all(line.startswith('#') for line in head.splitlines() if line)  # or SLURM ignores the rest
  step = next(line for line in rest.splitlines() if line.startswith('srun'))
  assert shlex.split(step[:-1])[5:] == list(COMMAND)
  found = _shellcheck('-', input=script)
  assert found.returncode == 0, found.stdout


def _fake(folder, **programs):
  for name, text in programs.items():
    path = folder / name
    path.write_text(f'#!/usr/bin/env bash\n{text}\n')
    path.chmod(0o755)
  return f'{folder}:{os.environ["PATH"]}'


@pytest.mark.parametrize('srun, restarts, status, requeued', [
    ('exit 0', 0, 0, False), ('exit 3', 0, 3, False),
    ('trap "exit 0" TERM; kill -TERM $PPID; sleep 1 & wait', 0, 0, True),
    ('trap "exit 0" TERM; kill -TERM $PPID; sleep 1 & wait', 20, 0, False)])
def test_slurm_job_goes_on_only_after_it_was_stopped(srun, restarts, status, requeued, tmp_path):
  """Catches: a mistake that is queued again for ever, or a pre-empted run that is not."""
  script = _dry('slurm.sh', *SLURM)
  path = _fake(tmp_path, srun=srun, scontrol=f'echo "$*" >{tmp_path}/calls')
  done = subprocess.run(['bash'], input=script, text=True, timeout=60, check=False, env={
      'PATH': path, 'SLURM_JOB_ID': '7', 'SLURM_RESTART_COUNT': str(restarts)})
  assert done.returncode == status
  calls = tmp_path / 'calls'
  assert calls.exists() == requeued
  assert not requeued or calls.read_text() == 'requeue 7\n'


# Written by hand after the API references of JobSet and Kubernetes; unknown fields are errors.
SCHEMA = jsonschema.Draft202012Validator(json.loads((ROOT / 'tests/jobset_schema.json').read_text()))


@pytest.mark.parametrize('options', [SLICE, ('--gpus', '8'), (*SLICE, '--claim', 'emg', '--restarts', '0')])
def test_jobset_keeps_its_schema(options):
  """Catches: a field at the wrong depth, a number where Kubernetes wants a string."""
  found = yaml.safe_load(_dry('jobset.sh', *JOBSET, *options))
  SCHEMA.validate(found)
  job = found['spec']['replicatedJobs'][0]['template']['spec']
  assert job['completions'] == job['parallelism'] == 4
  container = job['template']['spec']['containers'][0]
  assert container['command'][:2] == ['bash', '-c'] and container['command'][4:] == list(COMMAND)
  names = {e['name'] for e in container['env']} if 'env' in container else set()
  assert names == (set() if '--tpu' in options else
                   {'JAX_COORDINATOR_ADDRESS', 'JAX_NUM_PROCESSES', 'JAX_PROCESS_ID'})
  assert ('volumes' in job['template']['spec']) == ('--claim' in options)


@pytest.mark.parametrize('python, status', [
    ('[[ "$*" == "-m aemg_jax.main train"* ]]', 0), ('exit 3', 3),
    ('trap "exit 0" TERM; kill -TERM $PPID; sleep 1 & wait', 75)])
def test_a_pod_that_was_told_to_stop_does_not_count_as_finished(python, status, tmp_path):
  """Catches: a pre-empted run, which saves and exits 0, taken for one that is complete."""
  found = yaml.safe_load(_dry('jobset.sh', *JOBSET, *SLICE))
  job = found['spec']['replicatedJobs'][0]['template']['spec']
  command = job['template']['spec']['containers'][0]['command']
  done = subprocess.run(command, env={'PATH': _fake(tmp_path, python=python)}, timeout=60, check=False)
  assert done.returncode == status


def _set(path, value):
  def change(found):
    *inside, last = path
    for key in inside:
      found = found[key]
    found[last] = value
  return change


POD = ('spec', 'replicatedJobs', 0, 'template', 'spec', 'template', 'spec')


@pytest.mark.parametrize('change', [
    _set((*POD, 'restartPolicy'), 'Sometimes'), _set((*POD, 'containers'), []), _set((*POD, 'nodeSelectors'), {}),
    _set((*POD, 'terminationGracePeriodSeconds'), '120'), _set((*POD, 'containers', 0, 'env', 0, 'value'), 4),
    _set((*POD, 'containers', 0, 'env', 0, 'valueFrom'), {'fieldRef': {'fieldPath': 'x'}}),
    _set((*POD, 'containers', 0, 'resources', 'limits'), {'nvidia.com/gpu': 0}),
    _set(('spec', 'failurePolicy', 'rules', 0, 'action'), 'RestartJob'), _set(('metadata', 'name'), 'A_b'),
    _set(('spec', 'completions'), 4), _set(('apiVersion',), 'jobset.x-k8s.io/v1alpha1')])
def test_the_schema_bites(change):
  """Catches: a check that passes everything."""
  found = yaml.safe_load(_dry('jobset.sh', *JOBSET, '--gpus', '8'))
  SCHEMA.validate(found)
  change(found)
  with pytest.raises(jsonschema.ValidationError):
    SCHEMA.validate(found)


def test_the_schema_is_one():
  """Catches: a misspelt keyword or reference, which a validator passes over in silence."""
  jsonschema.Draft202012Validator.check_schema(SCHEMA.schema)
  text = json.dumps(SCHEMA.schema)
  defined = set(SCHEMA.schema['$defs'])
  assert set(re.findall(r'"#/\$defs/(\w+)"', text)) <= defined
  keywords = set()

  def walk(node, names=False):
    if isinstance(node, dict):
      keywords.update(() if names else node)
      for key, inner in node.items():
        walk(inner, names=not names and key in ('properties', '$defs'))
    elif isinstance(node, list):
      for inner in node:
        walk(inner)

  walk(SCHEMA.schema)
  assert keywords <= set(jsonschema.Draft202012Validator.VALIDATORS) | {'$schema', '$defs', 'title'}


@pytest.mark.parametrize('script, arguments, message', [
    ('tpu_pod.sh', TPU[:4], '--name, --zone and --project are needed'),
    ('tpu_pod.sh', (*TPU, '--nmae', 'x'), "unknown option '--nmae'"),
    ('tpu_pod.sh', (*TPU, 'train'), 'gcloud is not installed'),
    ('tpu_pod.sh', TPU, 'no command'),
    ('slurm.sh', ('--nodes', 'four', '--gpus', '8', 'train'), "--nodes is 'four', expected a number"),
    ('slurm.sh', (*SLURM, 'train'), 'sbatch is not installed'),
    ('slurm.sh', SLURM, 'no command'),
    ('jobset.sh', (*JOBSET, 'train'), '--tpu and --topology, or --gpus'),
    ('jobset.sh', (*JOBSET, *SLICE, '--gpus', '8', 'train'), 'and no --tpu'),
    ('jobset.sh', (*JOBSET, '--gpus', '8', '--name', 'A_b', 'train'), 'expected a DNS label'),
    ('jobset.sh', (*JOBSET, '--gpus', '8', 'train'), 'kubectl is not installed')])
def test_a_mistake_is_one_line(script, arguments, message, tmp_path):
  """Catches: a job that is submitted without a part of what was asked for."""
  for name in ('bash', 'dirname', 'sed', 'cat'):  # and nothing else, so that no cluster is reached
    (tmp_path / name).symlink_to(shutil.which(name))
  done = _run(script, *arguments, PATH=str(tmp_path))
  assert done.returncode == 2 and message in done.stderr and done.stderr.count('\n') == 1


@pytest.mark.parametrize('script', ['tpu_pod.sh', 'slurm.sh', 'jobset.sh'])
def test_help_is_the_head_of_the_script(script):
  """Catches: help that prints code, or nothing."""
  done = _run(script, '--help')
  assert done.returncode == 0 and f'bash launch/{script}' in done.stdout and '--dry_run' in done.stdout
  assert 'set -euo' not in done.stdout
