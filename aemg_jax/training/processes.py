"""Which process of how many this one is. Called once, before anything else touches JAX."""

import importlib.util
import os
from collections.abc import Mapping

from absl import logging
import jax

SLURM = ('SLURM_JOB_ID', 'SLURM_STEP_NODELIST', 'SLURM_NTASKS', 'SLURM_PROCID', 'SLURM_LOCALID')
EXPLICIT = ('JAX_COORDINATOR_ADDRESS', 'JAX_NUM_PROCESSES', 'JAX_PROCESS_ID')


def settings(environ: Mapping[str, str], coordinator: str = '', num_processes: int = 0,
             process_id: int = -1, has_tpu: bool | None = None) -> dict[str, str | int] | None:
  """Arguments for `jax.distributed.initialize`; None for a job of one process.

  In this order: the arguments; JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID; SLURM
  with several tasks; a TPU host, whose metadata JAX asks. An empty dict leaves it all to JAX.

  Args:
    environ: of the process.
    coordinator: host:port of process 0; all three are given or none.
    num_processes, process_id: how many there are, and which this is, from 0.
    has_tpu: whether libtpu is installed; looked up if None.

  Raises:
    ValueError: if some are given and others not, or they make no sense.
  """
  given = {'coordinator': coordinator, 'num_processes': num_processes or '',
           'process_id': process_id if process_id >= 0 else ''}
  if any(value != '' for value in given.values()):
    return _explicit(given, '--')
  if any(name in environ for name in EXPLICIT):
    return _explicit({name: environ.get(name, '') for name in EXPLICIT}, '')
  if all(name in environ for name in SLURM) and int(environ['SLURM_NTASKS']) > 1:
    return {}
  if has_tpu is None:
    has_tpu = importlib.util.find_spec('libtpu') is not None
  platforms = environ.get('JAX_PLATFORMS', '')
  if has_tpu and (not platforms or 'tpu' in platforms.split(',')):
    return {}
  return None


def join(coordinator: str = '', num_processes: int = 0, process_id: int = -1) -> None:
  """Joins the other processes of the job, if there are any; see `settings`."""
  arguments = settings(os.environ, coordinator, num_processes, process_id)
  if arguments is None:
    return
  jax.config.update('jax_cpu_collectives_implementation', 'gloo')
  jax.config.update('jax_enable_preemption_service', False)  # the loop has its own handler
  jax.distributed.initialize(**arguments, heartbeat_timeout_seconds=30)
  logging.info('process %d of %d: %d of %d devices', jax.process_index(), jax.process_count(),
               jax.local_device_count(), jax.device_count())


def _explicit(given: Mapping[str, str | int], prefix: str) -> dict[str, str | int]:
  missing = [prefix + name for name, value in given.items() if value == '']
  if missing:
    raise ValueError(f'{", ".join(missing)}: missing, expected coordinator, number of processes '
                     'and this process together')
  address, count, mine = given.values()
  host, _, port = str(address).rpartition(':')
  if not host or not port.isdigit():
    raise ValueError(f'{prefix}{list(given)[0]}: got {address!r}, expected host:port')
  for name, value in list(given.items())[1:]:
    if not str(value).isdigit():
      raise ValueError(f'{prefix}{name}: got {value!r}, expected a number')
  if int(mine) >= int(count):
    raise ValueError(f'{prefix}{list(given)[2]}: got {mine}, expected below {count}')
  return {'coordinator_address': str(address), 'num_processes': int(count), 'process_id': int(mine)}
