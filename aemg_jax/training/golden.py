"""Made-up words and what a model makes of them, kept in its checkpoint so that whoever loads it can check."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from aemg_jax.models import VQConfig, build
from aemg_jax.models.sentence_encoder import SentenceEncoder
from aemg_jax.sentences.rectify import N_POSITIONS
from aemg_jax.sentences.words import PrepareConfig, Words

PyTree = Any
SHOWN = 8  # words of each sentence whose head outputs are kept
# Largest difference, over the largest output; sums in another order move float32 by 1e-6, bfloat16 by 1e-2.
TOLERANCE = {'float32': 1e-3, 'bfloat16': 5e-2}


def words(prepare: PrepareConfig) -> Words:
  """Three sentences of noise on the grid, the same on any machine: no recording is behind them.

  A full one; one of a few electrodes that ends early; one of an envelope, without a spectrum.
  """
  rng = np.random.default_rng(0)
  slots, channels = prepare.sentence.max_slots, prepare.sentence.max_channels
  n, p, f = slots * channels, prepare.word.slot_samples, prepare.word.n_bins
  slot_n, channel_n = np.divmod(np.arange(n), channels)
  valid_bn = np.ones((3, n), bool)
  valid_bn[1] = (slot_n < max(1, slots // 2)) & (channel_n < max(1, channels // 2))
  length_bn = np.where(valid_bn, p, 0).astype(np.int32)
  length_bn[1] = np.where(valid_bn[1] & (slot_n == slots // 2 - 1), prepare.word.min_valid, length_bn[1])
  exists_bnp = np.arange(p)[None, None] < length_bn[..., None]
  normal = lambda *shape: rng.standard_normal(shape).astype(np.float32)
  present = lambda value_n: np.where(valid_bn, value_n[None], 0).astype(np.int32)
  bins_bf = np.ones((3, f), bool)
  bins_bf[1, f // 2:], bins_bf[2] = False, False
  return Words(
      waveform_np=np.where(exists_bnp, normal(3, n, p), 0).astype(np.float32),
      spectrum_nf=np.where(valid_bn[..., None], normal(3, n, f), 0).astype(np.float32),
      amplitude_n=np.where(valid_bn, normal(3, n), 0).astype(np.float32),
      length_n=length_bn, onset_n=present(slot_n * p), time_n=present(slot_n + 1),
      position_n=present(1 + N_POSITIONS * channel_n // channels), ring_n=present(np.ones(n)),
      valid_n=valid_bn, bin_valid_f=bins_bf, fallback=np.zeros(3, bool))


def prove(task: Any, prepare: PrepareConfig, params: PyTree) -> dict[str, PyTree]:
  """{'words': inputs by field, 'outputs': ...}, for a checkpoint."""
  some = words(prepare)
  return {'words': some._asdict(), 'outputs': outputs(task, params, some)}


def outputs(task: Any, params: PyTree, some: Words) -> dict[str, np.ndarray]:
  """What the model of a task gives for words, on this process's first device.

  Returns:
    'encoder': [3, slots, d] slot vectors, if it has one; 'head': codes before the lookup, logits of
    codes or logits of gestures.
  """
  with jax.default_matmul_precision('highest'), jax.default_device(jax.local_devices()[0]):
    found = _forward(task.model, params, some)
  return {name: np.asarray(value, np.float32) for name, value in jax.device_get(found).items()}


@functools.partial(jax.jit, static_argnums=0)
def _forward(model: Any, params: PyTree, some: Words) -> dict[str, jax.Array]:
  module, found = build(model), {}
  if isinstance(model, VQConfig):
    return {'head': module.apply({'params': params}, some, method='encode')[:, :SHOWN]}
  if hasattr(model, 'encoder'):
    encoded = SentenceEncoder(model.encoder).apply({'params': params['encoder']}, some)
    found['encoder'] = encoded.slot_bsd
  if hasattr(model, 'codes'):
    hidden_bn = jax.numpy.zeros(some.valid_n.shape, bool).at[:, ::2].set(True)
    return found | {'head': module.apply({'params': params}, some, hidden_bn & some.valid_n)[:, :SHOWN]}
  return found | {'head': module.apply({'params': params}, some)}


def tolerance(task: Any) -> float:
  """Largest difference that is allowed, over the largest output."""
  blocks = task.model.encoder.blocks if hasattr(task.model, 'encoder') else None
  return TOLERANCE[getattr(blocks, 'dtype', 'float32')]


def check(where: str, stored: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray],
          allowed: float) -> float:
  """Returns the largest difference over the largest stored output.

  Raises:
    ValueError: it is above `allowed`, or an output is missing or no number.
  """
  if set(stored) != set(found):
    raise ValueError(f'{where}: golden outputs {sorted(stored)}, expected {sorted(found)}')
  worst = 0.0
  for name, value in stored.items():
    if value.shape != found[name].shape or not np.isfinite(found[name]).all():
      raise ValueError(f'{where}: golden output {name!r}: got {found[name].shape} with '
                       f'{np.isfinite(found[name]).mean():.0%} numbers, expected {value.shape} of numbers')
    apart = float(np.abs(value - found[name]).max() / max(np.abs(value).max(), 1e-12))
    worst = max(worst, apart)
    if apart > allowed:
      raise ValueError(f'{where}: golden output {name!r} is {apart:.2g} away from what was stored, expected '
                       f'at most {allowed:g}: another model, a damaged file or a device that computes wrongly')
  return worst
