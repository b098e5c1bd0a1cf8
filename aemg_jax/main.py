"""The one way in: `aemg COMMAND --config=configs/X.py[:variant] --workdir=...`.

Commands: prepare, train, evaluate, report, predict. A mistake of the user's is one line on stderr
and exit code 2.
"""

import logging as std_logging
import os
import sys
from collections.abc import Callable, Sequence

from absl import flags, logging
from ml_collections import config_flags

from aemg_jax.config import section

_CONFIG = config_flags.DEFINE_config_file('config', None, 'configs/X.py[:variant]')
_WORKDIR = flags.DEFINE_string('workdir', '', 'folder of the run')
_DATA_DIR = flags.DEFINE_string('data_dir', '', 'folder of built datasets (prepare)')
_PREPARED = flags.DEFINE_multi_string('prepared', [], 'prepared set; repeat for a mixture (train)')
_INIT = flags.DEFINE_string('init', '', 'work directory of the tokeniser (train of the masked task)')
_CHECKPOINT = flags.DEFINE_string('checkpoint', '', 'work directory of a trained model (evaluate, predict)')
_TOKENISER = flags.DEFINE_string('tokeniser', '', 'work directory of the VQ model (evaluate)')
_SPLIT = flags.DEFINE_string('split', '', 'explicit split table, CSV (evaluate)')
_INPUT = flags.DEFINE_string('input', '', 'recording, NPZ (predict)')
_OUTPUT = flags.DEFINE_string('output', '', 'predictions, CSV (predict)')


def _need(**given: str) -> None:
  for name, value in given.items():
    if not value:
      raise ValueError(f'--{name}: missing')


def _config(cls):
  if _CONFIG.value is None:
    raise ValueError('--config: missing, expected configs/X.py[:variant]')
  return section(cls, _CONFIG.value.to_dict(), 'config')


def _prepare() -> None:
  from aemg_jax.sentences import views
  _need(data_dir=_DATA_DIR.value, workdir=_WORKDIR.value)
  views.prepare_views(_config(views.ViewsConfig), _DATA_DIR.value, _WORKDIR.value)


def _train() -> None:
  from aemg_jax.training import jobs
  _need(workdir=_WORKDIR.value)
  jobs.run(_config(jobs.JobConfig), _PREPARED.value, _WORKDIR.value, _INIT.value)


def _evaluate() -> None:
  from aemg_jax.evaluation import evaluate
  _need(workdir=_WORKDIR.value)
  evaluate.run(_config(evaluate.EvaluateConfig), _WORKDIR.value, _CHECKPOINT.value,
               _TOKENISER.value, _SPLIT.value)


def _report() -> None:
  from aemg_jax.evaluation import evaluate
  _need(workdir=_WORKDIR.value)
  evaluate.report(_WORKDIR.value)


def _predict() -> None:
  from aemg_jax.serving import predict
  _need(checkpoint=_CHECKPOINT.value, input=_INPUT.value, output=_OUTPUT.value)
  predict.predict_file(_CHECKPOINT.value, _INPUT.value, _OUTPUT.value)


COMMANDS: dict[str, Callable[[], None]] = {
    'prepare': _prepare,
    'train': _train,
    'evaluate': _evaluate,
    'report': _report,
    'predict': _predict,
}


def run(argv: Sequence[str]) -> int:
  """Runs a command; returns the exit code. argv is [program, command, flags]."""
  try:
    if len(argv) < 2 or argv[1].startswith('-') or argv[1] not in COMMANDS:
      got = argv[1] if len(argv) > 1 else 'nothing'
      raise ValueError(f'aemg: got {got}, expected one of {", ".join(COMMANDS)}')
    rest = flags.FLAGS([argv[0], *argv[2:]])
    if rest[1:]:
      raise ValueError(f'aemg {argv[1]}: got {rest[1:]}, expected flags only')
    logging.use_absl_handler()
    logging.set_verbosity(logging.INFO)
    logging.get_absl_handler().addFilter(_own_or_warning)
    COMMANDS[argv[1]]()
  except (ValueError, flags.Error, OSError, AttributeError, KeyError) as error:
    if isinstance(error, (AttributeError, KeyError)) and _CONFIG.present and _ours(error):
      raise
    sys.stderr.write('error: ' + ' '.join(str(error).split()) + '\n')
    return 2
  return 0


def _own_or_warning(record) -> bool:
  """Keeps the chatter of orbax and TFDS, which log through absl too, off the terminal."""
  if record.msg == 'Metadata file does not exist: %s':
    return False  # orbax says so of every item that was written without metadata of its own
  return record.levelno > std_logging.INFO or not any(
      f'{os.sep}{name}{os.sep}' in record.pathname for name in ('orbax', 'tensorflow_datasets', 'jax'))


def _ours(error: BaseException) -> bool:
  """Whether the error rose in this package (a fault of ours), not in a config file or its flags."""
  trace = error.__traceback__
  while trace.tb_next is not None:
    trace = trace.tb_next
  return 'aemg_jax' in trace.tb_frame.f_globals.get('__name__', '')


def cli() -> None:
  """Entry point of the `aemg` script."""
  if len(sys.argv) > 1 and sys.argv[1] in ('--help', '-h', '--helpfull'):
    sys.stdout.write(__doc__ + '\n' + flags.FLAGS.main_module_help() + '\n')
    sys.exit(0)
  sys.exit(run(sys.argv))


if __name__ == '__main__':
  cli()
