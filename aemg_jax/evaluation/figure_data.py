"""The NPZ files behind the report's pictures of signals and codes: their keys, checked both ways.

Evaluation writes them with `save_figure_data`, the report reads them with `read_figure_data`;
`figures.py` says what each key holds. No pickles.
"""

import os
import pathlib
import zipfile
from typing import Any

import numpy as np

# key: kind of dtype (U text, f real, i integer, b bool), then one letter an axis. A letter has one
# length throughout a file.
KEYS = {
    'recording': {
        'record_id': 'U', 'unit': 'U', 'rate_hz': 'f', 'signal_tc': 'f tc', 'channel_name': 'U c',
        'label_start_s': 'f l', 'label_stop_s': 'f l', 'label_name': 'U l',
        'event_start_s': 'f e', 'event_stop_s': 'f e',
        'slot_start_s': 'f s', 'slot_stop_s': 'f s', 'word_valid_sc': 'b sc',
        'energy_time_s': 'f w', 'energy': 'f w',
        'rest_median': 'f', 'on_threshold': 'f', 'off_threshold': 'f',
    },
    'codebook': {
        'measured_on': 'U', 'code_count_k': 'i k',
        'variance_name': 'U v', 'explained_variance': 'f v',
        'hist_probe_accuracy': 'f', 'chance': 'f',
    },
    'words': {
        'target': 'U', 'axis': 'f x', 'title': 'U n',
        'target_nx': 'f nx', 'reconstruction_nx': 'f nx',
        'target_amplitude_n': 'f n', 'reconstruction_amplitude_n': 'f n',
    },
    'codes': {
        'label_name': 'U g', 'title': 'U g', 'channel_name': 'U c', 'slot_s': 'f',
        'code_gsc': 'i gsc', 'code_value_k': 'f k', 'value_name': 'U',
    },
    'families': {
        'measured_on': 'U', 'rule': 'U', 'label_name': 'U g', 'frequency_f': 'f f',
        'code_m': 'i m', 'family_m': 'U m', 'share_m': 'f m', 'amplitude_m': 'f m', 'before_m': 'f m',
        'after_m': 'f m', 'lift_mq': 'f mq', 'gesture_mg': 'f mg', 'entropy_m': 'f m',
        'spectrum_mf': 'f mf', 'deviation_mf': 'f mf',
    },
    'polysemy': {
        'measured_on': 'U', 'label_name': 'U g', 'channel_name': 'U c', 'frequency_f': 'f f',
        'code': 'i', 'electrode': 'i', 'count_g': 'i g', 'base_g': 'f g',
        'spectrum_gf': 'f gf', 'context_gc': 'f gc',
    },
}
_MAY_BE_NAN = {
    'explained_variance', 'hist_probe_accuracy', 'target_amplitude_n', 'reconstruction_amplitude_n',
    'before_m', 'after_m', 'spectrum_mf', 'deviation_mf', 'spectrum_gf', 'context_gc',
}
_KINDS = {'U': 'U', 'f': 'fiu', 'i': 'iu', 'b': 'b'}
_SAID = {'U': 'text', 'f': 'numbers', 'i': 'integers', 'b': 'booleans'}


def figure_data_path(workdir: str | os.PathLike, kind: str) -> pathlib.Path:
  """Where the NPZ of a kind of figure lies."""
  return pathlib.Path(workdir) / 'figure_data' / f'{kind}.npz'


def save_figure_data(workdir: str | os.PathLike, kind: str, **arrays: Any) -> pathlib.Path:
  """Checks the arrays against KEYS[kind] and writes workdir/figure_data/kind.npz atomically."""
  path = figure_data_path(workdir, kind)
  arrays = {key: np.asarray(value) for key, value in arrays.items()}
  for key, declared in KEYS[kind].items():  # an empty list has no dtype of its own
    if key in arrays and arrays[key].size == 0:
      arrays[key] = arrays[key].astype({'U': 'U1', 'f': float, 'i': int, 'b': bool}[declared[0]])
  _check(kind, arrays, path)
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary = path.with_name(f'.{kind}.tmp.npz')
  np.savez_compressed(temporary, **arrays)
  os.replace(temporary, path)
  return path


def read_figure_data(workdir: str | os.PathLike, kind: str) -> dict[str, np.ndarray] | None:
  """The arrays of workdir/figure_data/kind.npz, or None where there is no such file."""
  path = figure_data_path(workdir, kind)
  if not path.exists():
    return None
  try:
    with np.load(path, allow_pickle=False) as stored:
      arrays = {key: stored[key] for key in stored.files}
  except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
    raise ValueError(f'{path}: expected an NPZ without pickles: {error}') from error
  _check(kind, arrays, path)
  return arrays


def _check(kind: str, arrays: dict[str, np.ndarray], path: pathlib.Path) -> None:
  lengths: dict[str, tuple[int, str]] = {}
  for key in arrays:
    if key not in KEYS[kind]:
      raise ValueError(f'{path}: {key}: unknown key, expected one of {sorted(KEYS[kind])}')
  for key, declared in KEYS[kind].items():
    if key not in arrays:
      raise ValueError(f'{path}: {key}: missing')
    dtype, _, axes = declared.partition(' ')
    array = arrays[key]
    if array.dtype.kind not in _KINDS[dtype]:
      raise ValueError(f'{path}: {key}: got dtype {array.dtype}, expected {_SAID[dtype]}')
    if array.ndim != len(axes):
      raise ValueError(f'{path}: {key}: got shape {array.shape}, expected axes [{", ".join(axes)}]')
    for axis, length in zip(axes, array.shape):
      first, owner = lengths.setdefault(axis, (length, key))
      if length != first:
        raise ValueError(f'{path}: {key}: axis {axis} is {length} long, {first} in {owner}')
    if dtype == 'f' and key not in _MAY_BE_NAN and not np.isfinite(array).all():
      raise ValueError(f'{path}: {key}: expected finite numbers')
  _check_values(kind, arrays, path)


def _check_values(kind: str, arrays: dict[str, np.ndarray], path: pathlib.Path) -> None:
  if kind == 'words' and str(arrays['target']) not in ('spectrum', 'waveform'):
    raise ValueError(f"{path}: target: got {str(arrays['target'])!r}, "
                     "expected 'spectrum' or 'waveform'")
  if kind == 'codebook' and (arrays['code_count_k'].size == 0 or arrays['code_count_k'].min() < 0):
    raise ValueError(f'{path}: code_count_k: expected counts of at least 0, one a code')
  if kind == 'codes' and arrays['code_gsc'].size:
    low, high = arrays['code_gsc'].min(), arrays['code_gsc'].max()
    if low < -1 or high >= arrays['code_value_k'].size:
      raise ValueError(f'{path}: code_gsc: got {low}..{high}, expected -1 (absent) to '
                       f"{arrays['code_value_k'].size - 1}")
  if kind == 'recording' and (arrays['signal_tc'].size == 0 or not arrays['rate_hz'] > 0):
    raise ValueError(f'{path}: signal_tc, rate_hz: expected samples and a positive rate')
