"""`aemg export`: a checkpoint as safetensors, config.json and a model card."""

import os
from typing import Any

import jax
import numpy as np

from aemg_jax.data import frames
from aemg_jax.sentences import folders
from aemg_jax.serving import load
from aemg_jax.training import export_files, golden

_TASKS = {'VQTask': 'vector-quantised tokeniser of EMG words',
          'MaskedTask': 'sentence encoder pre-trained by predicting the codes of masked words',
          'SupervisedTask': 'gesture classifier'}


def export(checkpoint: str, out: str) -> None:
  """Loads a checkpoint, which must prove itself, and writes the folder `out`, all or nothing.

  Raises:
    ValueError: see `load.load_pretrained`; or `out` is there already.
  """
  loaded = load.load_pretrained(checkpoint)
  out = os.path.abspath(out)
  if os.path.exists(out):
    raise ValueError(f'{out}: is there already, expected a new folder')
  task = load.task_of(loaded.config, checkpoint)
  proof = golden.prove(task, loaded.tokeniser.prepare, loaded.params)
  with folders.new_folder(out) as folder:
    export_files.write(folder, loaded.config, loaded.params, _plain(loaded.extra),
                       frames.as_arrays(loaded.tokeniser.frames), proof, card(loaded.config, loaded.params))


def _plain(extra: Any) -> Any:
  return jax.tree.map(np.asarray, extra)


def _alignment(found: dict[str, Any] | None) -> str:
  if found is None:
    return 'none: electrodes are taken in the order of the recording.'
  each = [f'of {name}, fitted on {about["wearers"]} people ({about["ways_to_wear"]} ways to wear it), '
          f'confidence {frames.wanted(about["least_confidence"])}' for name, about in found.items()]
  return '; '.join(each) + '. A new wearer is turned from unlabelled data.'


def card(config: dict[str, Any], params: Any) -> str:
  """The model card: what it is, what it was made of, how to use it, and what is not known."""
  job, prepare = config['job'], config['job']['prepare']
  encoder = job['task']['model']['encoder'] if 'encoder' in job['task']['model'] else {}
  size = sum(x.size for x in jax.tree.leaves(params))
  datasets = [d for prepared in config['prepared'] for d in prepared['datasets']]
  devices = {d['source']: d for prepared in config['prepared'] for d in prepared['devices']}
  lines = [
      f'# {_TASKS[job["task"]["kind"]][0].upper()}{_TASKS[job["task"]["kind"]][1:]}', '',
      f'{size:,} parameters, {config["step"]} updates of {job["batch_size"]} sentences, seed {job["seed"]}. '
      f'Parameters: `{export_files.WEIGHTS}` (SHA-256 of their content {config["params_hash"][:16]}). '
      f'Everything else the checkpoint says of itself: `{export_files.CONFIG}`.', '',
      '## Use', '', '```python', 'import aemg_jax', "loaded = aemg_jax.load_pretrained('.')",
      'words = loaded.tokeniser(record)  # an aemg_jax.records.Record',
      "vectors = loaded.encoder.apply({'params': loaded.params['encoder']}, words).slot_bsd", '```', '',
      f'Loading runs `{export_files.GOLDEN}` (made-up words and their outputs) and refuses differences above '
      f'{config["golden_tolerance"]:g} of the largest output.', '',
      '## Data', '', '| set | version | licence | people | electrodes | rate in Hz | unit |',
      '|---|---|---|---|---|---|---|']
  for entry in datasets:
    source = f'{entry["name"]}/{entry["config"]}' if entry['config'] else entry['name']
    device, people = devices[source], config['split'][source] if source in config['split'] else []
    electrodes = ', '.join(sorted({f'{len(e["kept"])} of {e["of"]}' for e in device['electrodes']}))
    rates = ' to '.join(dict.fromkeys(f'{r:g}' for r in device['rate_hz']))
    lines.append(f'| {source} | {entry["version"]} | {entry["licence"]} | {len(people)} | {electrodes} | '
                 f'{rates} | {", ".join(device["units"])} |')
  lines += [
      '', 'People are those whose recordings trained it (their names are in `split` of the config): whoever '
      'is tested must not be among them. The licences of the recordings hold for what is made of them as far as '
      'the law says so; sets without a stated licence are named as such.', '',
      '## Words', '',
      f'{prepare["rectify"]["rate_hz"]:g} Hz, high-pass {prepare["rectify"]["highpass_hz"]:g} Hz, scale: '
      f'{prepare["rectify"]["scale"]}, slots of {prepare["word"]["slot_samples"]} samples on a grid of '
      f'{prepare["sentence"]["max_slots"]} slots x {prepare["sentence"]["max_channels"]} electrodes, '
      f'centred on the mean of: {job["centre"]}. '
      f'Inputs: {", ".join(encoder["inputs"]) if encoder else "waveform"}. '
      f'Alignment model: {_alignment(config["alignment"])}', '',
      '## Limits', '',
      'No accuracy is stated here: it depends on who is tested and how. Not a medical device.', '']
  return '\n'.join(lines)

