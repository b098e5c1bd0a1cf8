"""Several processes on one machine: the same numbers as in one, the same end for all of them."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from unittest import mock

import jax
import numpy as np
import pod_worker
import pytest

from aemg_jax.training import checkpoints, loop, parallel, processes, writers

ROOT = pathlib.Path(__file__).parents[2]
HASHES = ('params_hash', 'extra_hash', 'rest_hash')
ADDRESS = {'JAX_COORDINATOR_ADDRESS': 'host:12', 'JAX_NUM_PROCESSES': '4', 'JAX_PROCESS_ID': '3'}
TASK_OF_4 = {'SLURM_JOB_ID': '1', 'SLURM_STEP_NODELIST': 'n[1-4]', 'SLURM_NTASKS': '4',
             'SLURM_PROCID': '2', 'SLURM_LOCALID': '0'}


def _pod(workdir, n_processes, n_devices, *flags):
  flags_xla = '--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true'
  env = {**os.environ, 'XLA_FLAGS': flags_xla, 'JAX_PLATFORMS': 'cpu'}
  command = ['bash', str(ROOT / 'launch/local_pod.sh'), str(n_processes), str(n_devices), sys.executable,
             str(ROOT / 'tests/training/pod_worker.py'), str(workdir), *flags]
  return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _done(pod):
  text = pod.communicate()[0]
  assert pod.returncode == 0, text[-4000:]
  return text


def _result(workdir, name):
  """Scalars as written, and the hashes of what was saved last."""
  meta = checkpoints.load_meta(workdir / name)
  return writers.read(workdir / name), meta['step'], [meta[h] for h in HASHES]


def _check(tmp_path, runs):
  pods = [tmp_path / 'pod1', tmp_path / 'pod2']
  for workdir in pods:
    _done(_pod(workdir, 2, 2, f'--runs={",".join(runs)}'))
  for name in runs:
    first, second = (_result(workdir, name) for workdir in pods)
    assert first == second
    for n in (4, 1):
      layout = parallel.Pmap(tuple(jax.devices()[:n]))
      with mock.patch.dict(loop.LAYOUTS, pmap=lambda config, layout=layout: layout):
        one = pod_worker.run(f'{name.split("-")[0]}-pmap', tmp_path / f'one{n}-{name}', 3, 2)
      assert len(one.history) == len(first[0]) == 3
      for a, b in zip(one.history, first[0]):
        np.testing.assert_allclose(a['loss'], b['loss'], rtol=1e-5)
        np.testing.assert_allclose(a['grad_norm'], b['grad_norm'], rtol=1e-4)


@pytest.mark.heavy
def test_two_processes_of_two_devices_repeat_bitwise_and_equal_one(tmp_path):
  """Catches: batches, k-means or draws that depend on the process; a reduction over one process."""
  _check(tmp_path, ['vq-pmap'])


@pytest.mark.slow
def test_every_task_in_two_processes(tmp_path):
  """Catches: the same in the other tasks, and with the state in pieces over processes."""
  _check(tmp_path, ['vq-fsdp', 'masked-pmap', 'masked-fsdp', 'supervised-pmap', 'fatigue-fsdp'])


def _until(condition, what, limit_s=300):
  deadline = time.monotonic() + limit_s
  while not condition():
    assert time.monotonic() < deadline, f'{what}: not within {limit_s} s'
    time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['vq-pmap', 'vq-fsdp'])
def test_sigterm_to_one_process_saves_one_step_and_a_killed_job_goes_on(tmp_path, name):
  """Catches: processes that save different steps, or wait for ever for one that has left; a resume
  that is not where the last save was."""
  flags = (f'--runs={name}', '--steps=40', '--checkpoint_every=6')
  _done(_pod(tmp_path / 'straight', 2, 2, *flags))
  workdir, lines = tmp_path / 'parts', lambda: len(writers.read(tmp_path / 'parts' / name))
  pod = _pod(workdir, 2, 2, *flags, '--pause_s=0.2')
  _until(lambda: lines() > 2, 'a step')
  os.kill(int((workdir / 'pid.1').read_text()), signal.SIGTERM)
  text = _done(pod)
  saved = checkpoints.load_meta(workdir / name)['step']
  assert set(re.findall(r'SIGTERM: saved after (\d+) of 40', text)) == {str(saved)} and saved < 40
  pod = _pod(workdir, 2, 2, *flags, '--pause_s=0.2')
  _until(lambda: lines() > saved + 8, 'a resumed step')
  os.kill(int((workdir / 'pid.1').read_text()), signal.SIGKILL)
  text = pod.communicate()[0]
  assert pod.returncode != 0 and f'resuming at step {saved}' in text
  text = _done(_pod(workdir, 2, 2, *flags))
  assert re.search(r'resuming at step (\d+)', text).group(1) != '0'
  assert _result(workdir, name) == _result(tmp_path / 'straight', name)


@pytest.mark.parametrize('environ, arguments, expected', [
    ({}, (), None),
    ({}, ('a:1', 2, 1), dict(coordinator_address='a:1', num_processes=2, process_id=1)),
    (ADDRESS, (), dict(coordinator_address='host:12', num_processes=4, process_id=3)),
    (TASK_OF_4, (), {}), ({**TASK_OF_4, 'SLURM_NTASKS': '1'}, (), None),
    ({k: v for k, v in TASK_OF_4.items() if k != 'SLURM_PROCID'}, (), None),  # not under srun
])
def test_where_the_processes_are_told_of_each_other(environ, arguments, expected):
  """Catches: a laptop that waits for other processes; a pod whose hosts each train alone."""
  assert processes.settings(environ, *arguments, has_tpu=False) == expected
  if expected is None:
    assert processes.settings(environ, has_tpu=True) == {}
    assert processes.settings({**environ, 'JAX_PLATFORMS': 'cpu'}, has_tpu=True) is None


@pytest.mark.parametrize('environ, arguments, message', [
    ({}, ('a:1', 2), '--process_id: missing'), ({}, ('a', 2, 0), "--coordinator: got 'a', expected host:port"),
    ({}, ('a:1', 2, 2), '--process_id: got 2, expected below 2'),
    ({'JAX_NUM_PROCESSES': '2'}, (), 'JAX_COORDINATOR_ADDRESS, JAX_PROCESS_ID: missing'),
    ({**ADDRESS, 'JAX_NUM_PROCESSES': 'x'}, (), "JAX_NUM_PROCESSES: got 'x', expected a number"),
])
def test_half_an_address_is_refused(environ, arguments, message):
  """Catches: a process that trains alone, or hangs, because one variable is misspelt."""
  with pytest.raises(ValueError, match=re.escape(message)):
    processes.settings(environ, *arguments, has_tpu=False)
