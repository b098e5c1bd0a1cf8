"""The one way in: `aemg COMMAND --config=configs/X.py[:variant] --workdir=...`.

Commands: prepare, train, evaluate, ablate, results, report, predict, export, and
`aemg fatigue-video VIDEO_OR_NPZ --checkpoint=...`. A mistake of the user's is one line on stderr and exit code 2.
"""

import functools
import logging as std_logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence

from absl import flags, logging
from ml_collections import ConfigDict, config_flags

from aemg_jax.config import section

_CONFIG = config_flags.DEFINE_config_file(  # fields that a config leaves at their default may be set too
    'config', None, 'configs/X.py[:variant]', lock_config=False, accept_new_attributes=True)
_WORKDIR = flags.DEFINE_string('workdir', '', 'folder of the run')
_DATA_DIR = flags.DEFINE_string('data_dir', '', 'folder of built datasets (prepare, ablate, evaluate of fatigue)')
_PREPARED = flags.DEFINE_multi_string('prepared', [], 'prepared set; repeat for a mixture (train)')
_INIT = flags.DEFINE_string('init', '', 'work directory of the tokeniser (train, masked task)')
_CHECKPOINT = flags.DEFINE_string('checkpoint', '',
                                  'work directory of a trained model (evaluate, predict, fatigue-video)')
_TOKENISER = flags.DEFINE_string('tokeniser', '', 'work directory of the VQ model (evaluate)')
_SPLIT = flags.DEFINE_string('split', '', 'explicit split table, CSV (evaluate)')
_INPUT = flags.DEFINE_string('input', '', 'recording, NPZ (predict)')
_BUDGET = flags.DEFINE_float('budget', 1.0, 'share of the cells that is run (ablate)')
_STORE = flags.DEFINE_string('store', '', 'JSON of published results (results)')
_TABLES = flags.DEFINE_string('tables', '', 'name in the markers of the tables of --store (results)')
_WRITE = flags.DEFINE_string('write', '', 'page whose tables are made anew (results)')
_OUTPUT = flags.DEFINE_string('output', '', 'predictions, CSV (predict); new folder (export)')
_OUT = flags.DEFINE_string('out', '.', 'folder of the results (fatigue-video)')
_STRIDE_S = flags.DEFINE_float('stride_s', 1.0, 'seconds between windows (fatigue-video)')
_LOOP = flags.DEFINE_integer('loop', 0, 'repeat a short video to so many frames, to try it (fatigue-video)')
_DRY_RUN = flags.DEFINE_bool('dry_run', False, 'say what would be done (prepare, train of pretrain_all)')
_COORDINATOR = flags.DEFINE_string('coordinator', '', 'host:port of process 0 of several (train); else '
                                   "from JAX's variables, SLURM or the metadata of a TPU")
_NUM_PROCESSES = flags.DEFINE_integer('num_processes', 0, 'how many there are (with --coordinator)')
_PROCESS_ID = flags.DEFINE_integer('process_id', -1, 'which this is, from 0 (with --coordinator)')
_DEVICE = flags.DEFINE_string('device', 'h100', 'accelerator of the pod (plan)')
_COUNT = flags.DEFINE_integer('count', 8, 'devices of the pod (plan)')
_FLOP_S = flags.DEFINE_float('flop_s', 0.0, "a device's, instead of the maker's figure (plan)")
_MEMORY_BYTES_S = flags.DEFINE_float('memory_bytes_s', 0.0, "bandwidth, instead of the maker's (plan)")
_LINK_BYTES_S = flags.DEFINE_float('link_bytes_s', 0.0, "of a device's links, instead of the maker's (plan)")
_HOURS = flags.DEFINE_float('hours', 1000.0, 'of EMG (plan)')
_EPOCHS = flags.DEFINE_float('epochs', 100.0, 'passes over them (plan)')
_FILL = flags.DEFINE_float('fill', 1.0, "share of a sentence's grid that holds words (plan)")
_CODES = flags.DEFINE_integer('codes', 8192, 'of the tokeniser that a masked task predicts (plan)')


def _need(**given: str) -> None:
  for name, value in given.items():
    if not value:
      raise ValueError(f'--{name}: missing')


def _config(cls):
  if _CONFIG.value is None:
    raise ValueError('--config: missing, expected configs/X.py[:variant]')
  return section(cls, _CONFIG.value.to_dict(), 'config')


def _of_all_sets() -> bool:
  """Whether the config is that of a mixture of every set; only these know a dry run."""
  every = _CONFIG.value is not None and 'leave_out' in _CONFIG.value
  if _DRY_RUN.value and not every:
    raise ValueError('--dry_run: expected a config of every set (configs/pretrain_all.py)')
  return every


def _prepare() -> None:
  from aemg_jax.sentences import views
  _need(data_dir=_DATA_DIR.value, workdir=_WORKDIR.value)
  if _of_all_sets():
    from aemg_jax.training import pretrain
    sys.stdout.write(pretrain.prepare_all(
        _config(pretrain.PretrainConfig), _DATA_DIR.value, _WORKDIR.value, _DRY_RUN.value))
    return
  views.prepare_views(_config(views.ViewsConfig), _DATA_DIR.value, _WORKDIR.value)


def _train() -> None:
  from aemg_jax.training import jobs, processes
  _need(workdir=_WORKDIR.value)
  processes.join(_COORDINATOR.value, _NUM_PROCESSES.value, _PROCESS_ID.value)
  if _of_all_sets():
    from aemg_jax.training import pretrain
    sys.stdout.write(pretrain.train(
        _config(pretrain.PretrainConfig), _PREPARED.value, _WORKDIR.value, _INIT.value, _DRY_RUN.value))
    return
  jobs.run(_config(jobs.JobConfig), _PREPARED.value, _WORKDIR.value, _INIT.value)


def _evaluate() -> None:
  from aemg_jax.evaluation import evaluate, fatigue, motion_fatigue
  _need(workdir=_WORKDIR.value)
  if _CONFIG.value is not None and 'transferred' in _CONFIG.value:  # a field of fatigue's config alone
    _need(data_dir=_DATA_DIR.value)
    fatigue.run(_config(fatigue.FatigueConfig), _DATA_DIR.value, _WORKDIR.value, _CHECKPOINT.value)
    return
  if _CONFIG.value is not None and 'motion' in _CONFIG.value:  # likewise
    _need(data_dir=_DATA_DIR.value)
    motion_fatigue.run(_config(motion_fatigue.MotionFatigueConfig), _DATA_DIR.value, _WORKDIR.value)
    return
  evaluate.run(_config(evaluate.EvaluateConfig), _WORKDIR.value, _CHECKPOINT.value,
               _TOKENISER.value, _SPLIT.value)


def _ablate() -> None:
  from aemg_jax.evaluation import ablate
  _need(workdir=_WORKDIR.value)
  ablate.run(_config(ablate.AblateConfig), _WORKDIR.value, _DATA_DIR.value, _BUDGET.value)


def _results() -> None:
  from aemg_jax.evaluation import published
  _need(store=_STORE.value)
  if not _WORKDIR.value and not _WRITE.value:
    raise ValueError('results: neither --workdir nor --write, expected a run to add or a page to write')
  if _WORKDIR.value:
    published.add(_STORE.value, _WORKDIR.value, _TABLES.value)
  if _WRITE.value:
    published.write_page(_WRITE.value, _STORE.value)


def _report() -> None:
  from aemg_jax.evaluation import evaluate
  _need(workdir=_WORKDIR.value)
  evaluate.report(_WORKDIR.value)


def _predict() -> None:
  from aemg_jax.serving import predict
  _need(checkpoint=_CHECKPOINT.value, input=_INPUT.value, output=_OUTPUT.value)
  predict.predict_file(_CHECKPOINT.value, _INPUT.value, _OUTPUT.value)


def _fatigue_video(path: str) -> None:
  from aemg_jax.serving import fatigue_video
  _need(checkpoint=_CHECKPOINT.value)
  fatigue_video.run(path, _CHECKPOINT.value, _OUT.value, _LOOP.value, _STRIDE_S.value)


def _plan() -> None:
  from aemg_jax.planning import plan, table
  from aemg_jax.training import jobs
  job = _config(jobs.JobConfig)
  pod = plan.PodConfig(_DEVICE.value, _COUNT.value, _FLOP_S.value, _MEMORY_BYTES_S.value,
                       _LINK_BYTES_S.value, _HOURS.value, _EPOCHS.value, _FILL.value,
                       _CODES.value)
  sys.stdout.write(table.lines(plan.make_plan(job, pod), job, pod))


def _export() -> None:
  from aemg_jax.serving import export
  _need(checkpoint=_CHECKPOINT.value, output=_OUTPUT.value)
  export.export(_CHECKPOINT.value, _OUTPUT.value)


COMMANDS: dict[str, Callable[..., None]] = {
    'prepare': _prepare,
    'train': _train,
    'evaluate': _evaluate,
    'ablate': _ablate,
    'results': _results,
    'report': _report,
    'predict': _predict,
    'export': _export,
    'plan': _plan,
    'fatigue-video': _fatigue_video,
}
FILES = {'fatigue-video': 'VIDEO or NPZ'}  # commands that take one file beside the flags


def run(argv: Sequence[str]) -> int:
  """Runs a command; returns the exit code. argv is [program, command, flags]."""
  try:
    command = _parse(argv)
  except Exception as error:  # pylint: disable=W0718  # a config file may raise anything
    return _fail(_parse_message(argv, error))
  logging.use_absl_handler()
  logging.set_verbosity(logging.INFO)
  logging.get_absl_handler().addFilter(_own_or_warning)
  try:
    command()
  except OSError as error:
    return _fail(str(error))
  except ValueError as error:
    if not _ours(error):
      raise  # numpy's or JAX's: no word for the user, but a fault of this package
    return _fail(str(error))
  return 0


def _parse(argv: Sequence[str]) -> Callable[[], None]:
  """The command, with all flags parsed and the config file loaded."""
  if len(argv) < 2 or argv[1] not in COMMANDS:
    got = repr(argv[1]) if len(argv) > 1 else 'nothing'
    raise ValueError(f'aemg: got {got}, expected one of {", ".join(COMMANDS)}')
  flags.FLAGS.set_gnu_getopt(argv[1] in FILES)  # the file may come before the flags
  rest = flags.FLAGS([argv[0], *argv[2:]])
  if argv[1] in FILES and len(rest) != 2:
    raise ValueError(f'aemg {argv[1]}: got {rest[1:]}, expected one {FILES[argv[1]]} and flags')
  if rest[1:] and argv[1] not in FILES:
    raise ValueError(f'aemg {argv[1]}: got {rest[1:]}, expected flags only')
  if _CONFIG.value is not None and not isinstance(_CONFIG.value, ConfigDict):
    getattr(_CONFIG.value, 'lock', None)  # a file that could not be loaded says so only now
    raise ValueError(f'--config: got a {type(_CONFIG.value).__name__} from get_config(), '
                     'expected a ConfigDict')
  return functools.partial(COMMANDS[argv[1]], *rest[1:])


def _fail(message: str) -> int:
  sys.stderr.write('error: ' + ' '.join(message.split()) + '\n')
  return 2


def _parse_message(argv: Sequence[str], error: Exception) -> str:
  """One line about flags or the config file, whatever ml_collections wrapped round it."""
  text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
  if 'Traceback' in text or isinstance(error, OSError):
    text = text.strip().splitlines()[-1].strip()  # the end of a traceback, or of a list of attempts
  elif _ours(error) or isinstance(error, flags.Error):
    return text
  named = ' '.join(arg for arg in argv[2:] if arg.startswith(('--config', '-config')))
  frame = traceback.extract_tb(error.__traceback__)[-1]
  if 'site-packages' in frame.filename or frame.filename.startswith('<'):
    return f'{named}: ' + text.replace('\\n', '; ').replace("\\'", "'")
  return f'{named}: {type(error).__name__}: {text} ({frame.filename}:{frame.lineno})'


def _own_or_warning(record) -> bool:
  """Keeps the chatter of orbax and TFDS, which log through absl too, off the terminal."""
  if record.msg == 'Metadata file does not exist: %s':
    return False  # orbax says so of every item that was written without metadata of its own
  return record.levelno > std_logging.INFO or not any(
      f'{os.sep}{name}{os.sep}' in record.pathname for name in ('orbax', 'tensorflow_datasets', 'jax'))


def _ours(error: BaseException) -> bool:
  """Whether this package raised the error itself, with a message for the user."""
  trace = error.__traceback__
  while trace.tb_next is not None:
    trace = trace.tb_next
  return trace.tb_frame.f_code.co_filename.startswith(os.path.dirname(__file__) + os.sep)


def cli() -> None:
  """Entry point of the `aemg` script."""
  if len(sys.argv) > 1 and sys.argv[1] in ('--help', '-h', '--helpfull'):
    sys.stdout.write(__doc__ + '\n' + flags.FLAGS.main_module_help() + '\n')
    sys.exit(0)
  sys.exit(run(sys.argv))


if __name__ == '__main__':
  cli()
