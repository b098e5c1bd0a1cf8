"""Predictions for one recording from a trained gesture model: NPZ in, CSV out.

Needs neither grain, array_record nor TFDS, so it runs on Windows too.

    signal_tc  [T, C] as recorded; int16, int32, float32 or float64
    rate_hz    [] sampling rate
    angle_deg  [C] angle of each electrode round the limb in [0, 360); optional, else the channels are
               taken as evenly spaced round one ring, in their order
    scale      [] multiplies the signal to give the unit of the training recordings; optional, else 1
    unit       [] name of that unit; optional, else 'nominal'
    source     [] NAME or NAME/CONFIG of the training set that the device belongs to; optional where the
               model was trained on one set
"""

import csv
import functools
import os
import zipfile
import zlib
from typing import Any

import jax
import numpy as np

from aemg_jax import config as config_lib
from aemg_jax.data import batches
from aemg_jax.evaluation.sentence_windows import STRIDE
from aemg_jax.models import ClassifierConfig, WindowCNNConfig, build
from aemg_jax.records import UNITS, Record, Sensor, validate
from aemg_jax.sentences import sentence
from aemg_jax.sentences.words import PrepareConfig, Words
from aemg_jax.serving import load
from aemg_jax.training import checkpoints
from aemg_jax.training.tasks import SupervisedTask

COLUMNS = ('time_s', 'label', 'probability')
REQUIRED = ('signal_tc', 'rate_hz')
OPTIONAL = {'angle_deg': None, 'scale': 1.0, 'unit': 'nominal', 'source': 'input'}
_WINDOWS_AT_ONCE = 1024


def predict_file(checkpoint: str, input: str, output: str) -> None:  # pylint: disable=W0622
  """Writes a CSV with one line per window: time_s, label, probability.

  time_s is the END of the window, in seconds from the start of the recording: the moment from
  which the prediction could have been known. Under 'session' scale or centre the statistics are
  those of the whole recording. A model that was trained on turned rings turns this one as the whole
  recording says, if that is sure; the log tells.

  Args:
    checkpoint: work directory of a SupervisedTask (`aemg train --config=configs/gesture_model.py`).
    input: NPZ, see the module's docstring.
    output: CSV, written in one step.

  Raises:
    ValueError: naming the file and the field: no such model, no such recording.
  """
  meta = checkpoints.load_meta(checkpoint)
  prepare, task = _settings(checkpoint, meta)
  params = checkpoints.load_params(checkpoint)
  record = read_recording(input)
  most = prepare.sentence.max_channels
  if record.n_channels > most and prepare.sentence.more_channels == 'refuse':
    raise ValueError(f'{input}: signal_tc: got {record.n_channels} channels, expected at most {most}')
  tokeniser = load.tokeniser_of(meta, checkpoints.load_extra(checkpoint, item='alignment'), checkpoint)
  end_s, log_prob_wk = log_probabilities(record, tokeniser, task, params)
  best_w = log_prob_wk.argmax(1)
  rows = [(f'{time:.4f}', meta['labels'][k], f'{np.exp(log_prob_wk[w, k]):.6f}')
          for w, (time, k) in enumerate(zip(end_s, best_w))]
  _write(output, rows)


def _settings(checkpoint: str, meta: dict[str, Any]) -> tuple[PrepareConfig, SupervisedTask]:
  kind = meta['job']['task']['kind'] if 'job' in meta else 'model without a job'
  if kind != SupervisedTask.__name__:
    raise ValueError(f'{checkpoint}: holds a {kind}, expected a SupervisedTask '
                     '(aemg train --config=configs/gesture_model.py)')
  fields = {k: v for k, v in meta['job']['task'].items() if k != 'kind'}
  return (config_lib.section(PrepareConfig, meta['job']['prepare'], f'{checkpoint}: prepare'),
          config_lib.section(SupervisedTask, fields, f'{checkpoint}: task'))


def read_recording(path: str) -> Record:
  """A validated recording from an NPZ; ValueError names the file and the field."""
  values = _load(path)
  known = f'expected {REQUIRED} and perhaps {tuple(OPTIONAL)}'
  for name in REQUIRED:
    if name not in values:
      raise ValueError(f'{path}: {name}: missing, {known}')
  for name in values:
    if name not in REQUIRED and name not in OPTIONAL:
      raise ValueError(f'{path}: {name}: unknown field, {known}')
  values = OPTIONAL | values
  rate_hz, scale = (float(_scalar(path, values, name, 'iuf')) for name in ('rate_hz', 'scale'))
  unit, source = (_scalar(path, values, name, 'U') for name in ('unit', 'source'))
  signal_tc = values['signal_tc']
  if signal_tc.ndim != 2:
    raise ValueError(f'{path}: signal_tc: got shape {signal_tc.shape}, expected [T, C]')
  angle_c = _angles(path, values['angle_deg'], signal_tc.shape[1])
  sensors = tuple(Sensor(f'electrode {i + 1}', 1, float(angle), unit=unit, scale=scale)
                  for i, angle in enumerate(angle_c))
  return validate(Record(
      record_id=os.path.basename(path), dataset=source, subject='unknown', session='input',
      repetition=-1, kind='emg', signal_tc=signal_tc, rate_hz=rate_hz, bandwidth_hz=rate_hz / 2,
      is_envelope=False, sensors=sensors, labels=(), annotations=(), licence='not stated'))


def _load(path: str) -> dict[str, np.ndarray]:
  try:
    with open(path, 'rb') as file:
      stored = np.load(file, allow_pickle=False)
      if not isinstance(stored, np.lib.npyio.NpzFile):
        raise ValueError('a single array')
      return {name: stored[name] for name in stored.files}
  except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
    raise ValueError(
        f'{path}: cannot be read ({error}), expected an NPZ without Python objects') from error


def _scalar(path: str, values: dict[str, Any], name: str, kinds: str) -> Any:
  value = np.asarray(values[name])
  if value.size != 1 or value.dtype.kind not in kinds:
    expected = 'one text' if kinds == 'U' else 'one number'
    raise ValueError(f'{path}: {name}: got {values[name]!r}, expected {expected}')
  return value.item()


def _angles(path: str, angle_deg: np.ndarray | None, channels: int) -> np.ndarray:
  if angle_deg is None:
    return 360 * np.arange(channels) / channels
  if angle_deg.shape != (channels,) or angle_deg.dtype.kind not in 'iuf':
    raise ValueError(f'{path}: angle_deg: got {angle_deg.dtype} {angle_deg.shape}, expected '
                     f'{channels} numbers, one per channel')
  return angle_deg


def log_probabilities(record: Record, tokeniser: load.Tokeniser, task: SupervisedTask,
                      params: Any) -> tuple[np.ndarray, np.ndarray]:
  """Every window of a recording through the tokeniser and the model.

  Args:
    record: validated.
    tokeniser, task: that the model was trained with.
    params: of the model.

  Returns:
    end_s [W] and log_prob_wk [W, K].
  """
  prepare, samples = tokeniser.prepare, tokeniser.prepare.word.slot_samples
  signal_tc, channels, rest = tokeniser.signal(record, samples)
  words_at = functools.partial(_words_at, signal_tc, channels, rest, prepare)
  slots = np.arange(0, len(signal_tc) - samples + 1, samples, dtype=np.int32)
  centre = tokeniser.centre_of(record, words_at(slots) if tokeniser.transductive else None, channels)
  forward = jax.jit(functools.partial(_log_prob, task.model))
  starts = np.arange(0, len(signal_tc) - samples + 1, STRIDE, dtype=np.int32)
  parts = []
  for first in range(0, len(starts), _WINDOWS_AT_ONCE):
    words = words_at(np.resize(starts[first:first + _WINDOWS_AT_ONCE], _WINDOWS_AT_ONCE))
    words = batches.centred(words, np.zeros(_WINDOWS_AT_ONCE, int), centre)
    parts.append(np.asarray(forward(params, words))[:len(starts) - first])
  return (starts + samples) / prepare.rectify.rate_hz, np.concatenate(parts)


def _log_prob(model: ClassifierConfig | WindowCNNConfig, params: Any, words: Words) -> jax.Array:
  return jax.nn.log_softmax(build(model).apply({'params': params}, words))


def _words_at(signal_tc, channels, rest, prepare: PrepareConfig, starts_w: np.ndarray) -> Words:
  add_axis = lambda tree: jax.tree.map(lambda x: np.asarray(x)[None], tree)
  words = sentence.tokenise_windows_batch(
      signal_tc[None], np.array([len(signal_tc)], np.int32), starts_w[None], add_axis(channels),
      add_axis(rest), prepare)
  return Words(*(np.asarray(x)[0] for x in words))


def _write(path: str, rows: list[tuple[str, str, str]]) -> None:
  folder, name = os.path.split(os.path.abspath(path))
  temporary = os.path.join(folder, f'.{name}.{os.getpid()}.tmp')
  try:
    with open(temporary, 'w', newline='', encoding='utf-8') as file:
      writer = csv.writer(file, lineterminator='\n')
      writer.writerow(COLUMNS)
      writer.writerows(rows)
    os.replace(temporary, path)
  finally:
    if os.path.exists(temporary):
      os.remove(temporary)
