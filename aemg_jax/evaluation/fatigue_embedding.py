"""A frozen sentence encoder's embeddings of the windows of fatigue trials: one more group of inputs.

A window is cut into slots of the encoder's length, each a sentence of its own, tokenised with the
settings that the encoder was trained with; the window's embedding is the mean over its slots, less
that of the person's rested windows. Two things differ from the encoder's training: words are
centred on the rested windows, where training took the mean of the whole session, which would look
ahead; and electrodes on no ring have no place, so that channel i of C is given the place at 360 i / C
degrees, ring 0, as `sentences.rectify` does. Letters: b sequence, w window, k slot, e width.
"""

import functools
import hashlib
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from aemg_jax import config as config_lib
from aemg_jax.models import ClassifierConfig
from aemg_jax.models.heads import Embedder, GestureClassifier
from aemg_jax.models.sentence_encoder import EncoderConfig
from aemg_jax.records import Record
from aemg_jax.sentences import rectify, segments, sentence, session
from aemg_jax.sentences.words import PrepareConfig, Words
from aemg_jax.sequences import sequences as sequences_lib
from aemg_jax.sequences.trials import Trial
from aemg_jax.training import checkpoints, parallel

KINDS = ('', 'pretrained', 'random')
SLOTS_AT_ONCE = 256
COMPONENTS = 16  # principal components of the training windows that the model is given


def load(records: Sequence[Record], trials: Sequence[Trial], config: sequences_lib.SequenceConfig,
         checkpoint: str, kind: str, seed: int, cache_dir: pathlib.Path) -> dict[str, np.ndarray]:
  """{record_id: [W, E]} less the person's rested mean; computed once per checkpoint and windows.

  Args:
    records, trials: one trial a record.
    config: says which windows are rested.
    checkpoint: work directory of a masked model.
    kind: 'pretrained', or 'random' for its encoder with fresh parameters.
    seed: of the fresh parameters.
    cache_dir: of the embeddings.

  Raises:
    ValueError: a checkpoint without a sentence encoder, more channels than it takes.
  """
  meta = checkpoints.load_meta(checkpoint)
  if 'job' not in meta or 'encoder' not in meta['job']['task']['model']:
    raise ValueError(f'{checkpoint}: holds no sentence encoder, expected one that aemg train wrote')
  prepare = config_lib.section(PrepareConfig, meta['job']['prepare'], f'{checkpoint}: prepare')
  encoder = config_lib.section(
      EncoderConfig, meta['job']['task']['model']['encoder'], f'{checkpoint}: encoder')
  identity = [kind, seed, meta['params_hash'], config_lib.as_plain(prepare), config_lib.as_plain(config),
              [[t.record_id, t.start_s_w.tolist()] for t in trials]]
  key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:10]
  path = cache_dir / f'embedding-{kind}-{key}.npz'
  if not path.exists():
    params = {'encoder': checkpoints.load_params(checkpoint)['encoder']} if kind == 'pretrained' else None
    found = _embed_all(records, trials, config, prepare, ClassifierConfig(encoder), params, seed)
    cache_dir.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix('.tmp.npz')
    np.savez_compressed(temporary, **found)
    os.replace(temporary, path)
  with np.load(path, allow_pickle=False) as stored:
    return {trial.record_id: stored[trial.record_id] for trial in trials}


def of_sequences(sequences: sequences_lib.Sequences, by_record: dict[str, np.ndarray]) -> np.ndarray:
  """[B, W, E] float32 of the sequences' windows."""
  n_windows = sequences.feature_bwcf.shape[1]
  first_b, record_b = sequences.segments['first_window'], sequences.segments['record_id']
  return np.stack([by_record[record][first:first + n_windows] for record, first
                   in zip(record_b.tolist(), first_b)]).astype(np.float32)


def compressed(embedding_bwe: np.ndarray, valid_bw: np.ndarray, train: np.ndarray) -> np.ndarray:
  """[B, W, COMPONENTS] principal components of the training rows' valid windows, of unit variance."""
  known_ne = embedding_bwe[train][valid_bw[train]].astype(np.float64)
  mean_e = known_ne.mean(axis=0)
  _, singular_k, basis_ke = np.linalg.svd(known_ne - mean_e[None], full_matrices=False)
  scale_k = np.maximum(singular_k / np.sqrt(len(known_ne)), 1e-6)
  whole_bwk = (embedding_bwe - mean_e[None, None]) @ (basis_ke / scale_k[:, None])[:COMPONENTS].T
  return np.where(valid_bw[..., None], whole_bwk, 0.0).astype(np.float32)


def _embed_all(records, trials, config, prepare: PrepareConfig, model: ClassifierConfig, params: Any,
               seed: int) -> dict[str, np.ndarray]:
  """All records, a person at a time, for a person's rested windows may lie in another record."""
  by_id, found = {record.record_id: record for record in records}, {}
  for subject in sorted({t.subject for t in trials}):
    own = [t for t in trials if t.subject == subject]
    rested_w = np.zeros(sum(len(t.start_s_w) for t in own), bool)
    rested_w[sequences_lib.rested_windows(own, config)] = True
    words = [_words(by_id[t.record_id], t, prepare) for t in own]
    window_k = np.concatenate([window + shift for (window, _), shift in zip(
        words, np.cumsum([0] + [len(t.start_s_w) for t in own]))])
    joined = jax.tree.map(lambda *x: np.concatenate(x), *[w for _, w in words])
    joined = _centred(joined, rested_w[window_k])
    if params is None:
      params = _fresh(model, jax.tree.map(lambda x: x[:1], joined), seed)
    slot_ke = parallel.map_blocks(Embedder(model), params, joined, SLOTS_AT_ONCE)
    window_we = np.zeros((len(rested_w), slot_ke.shape[1]))
    np.add.at(window_we, window_k, slot_ke)
    window_we /= np.maximum(np.bincount(window_k, minlength=len(rested_w)), 1)[:, None]
    window_we -= window_we[rested_w].mean(axis=0, keepdims=True)
    parts = np.split(window_we, np.cumsum([len(t.start_s_w) for t in own])[:-1])
    found |= {t.record_id: part for t, part in zip(own, parts)}
  return found


def _words(record: Record, trial: Trial, prepare: PrepareConfig) -> tuple[np.ndarray, Words]:
  """([K] window of each slot, one-slot sentences): slots side by side from each window's start."""
  samples, rate_hz = prepare.word.slot_samples, prepare.rectify.rate_hz
  rectified = rectify.rectify(record, prepare.rectify, samples)
  scale = rectify.session_scale([rectified.signal_tc], prepare.rectify)
  if not scale > 0:
    raise ValueError(f'{record.record_id}: scale: got {scale} from a checkpoint of another device, expected '
                     "one that was trained with the scale 'session'")
  signal_tc = session.pad_channels(rectified.signal_tc / scale, prepare)
  starts, windows = [], []
  for window, (start_s, stop_s) in enumerate(zip(trial.start_s_w, trial.stop_s_w)):
    first, last = round(start_s * rate_hz), min(round(stop_s * rate_hz), len(signal_tc)) - samples
    at = np.arange(first, last + 1, samples)
    starts.append(at if len(at) else np.array([max(0, last)]))
    windows.append(np.full(len(starts[-1]), window))
  start_k = np.concatenate(starts).astype(np.int32)
  size = 1 << (len(start_k) - 1).bit_length()  # few sizes, few compilations
  length = 1 << (len(signal_tc) - 1).bit_length()
  add_axis = lambda tree: jax.tree.map(lambda x: np.asarray(x)[None], tree)
  words = sentence.tokenise_windows_batch(
      np.pad(signal_tc, ((0, length - len(signal_tc)), (0, 0)))[None],
      np.array([len(signal_tc)], np.int32), np.resize(start_k, size)[None],
      add_axis(segments.channels_of(rectified, prepare)),
      add_axis(session.session_rest([signal_tc], prepare)), prepare)
  return np.concatenate(windows), Words(*(np.asarray(x)[0, :len(start_k)] for x in words))


def _centred(words: Words, rested_k: np.ndarray) -> Words:
  """Log spectrum and log amplitude less each channel's mean over the rested slots."""
  def less(value_kn, valid_kn):
    weight_kn = (valid_kn & rested_k[:, None]).reshape(valid_kn.shape + (1,) * (value_kn.ndim - 2))
    mean_n = (value_kn * weight_kn).sum(axis=0) / np.maximum(weight_kn.sum(axis=0), 1)
    keep_kn = valid_kn.reshape(valid_kn.shape + (1,) * (value_kn.ndim - 2))
    return np.where(keep_kn, value_kn - mean_n[None], 0).astype(np.float32)
  return words._replace(spectrum_nf=less(words.spectrum_nf, words.valid_n),
                        amplitude_n=less(words.amplitude_n, words.valid_n))


@functools.lru_cache
def _initialiser(model: ClassifierConfig):
  return jax.jit(GestureClassifier(model).init)


def _fresh(model: ClassifierConfig, words: Words, seed: int) -> dict[str, Any]:
  params = _initialiser(model)(jax.random.key(seed), words)['params']
  return jax.device_get({'encoder': params['encoder']})
