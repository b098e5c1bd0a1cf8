"""What a codebook holds: usage, perplexity, explained variance and a probe on code histograms.

`code_families` says what its frequent codes stand for.
"""

import dataclasses
import json
import os
from collections.abc import Sequence

from absl import logging
import jax
import numpy as np
from sklearn.linear_model import RidgeClassifier

from aemg_jax import config as config_lib
from aemg_jax.data import batches, frames, montage, splits
from aemg_jax.evaluation import code_families, figure_data
from aemg_jax.models import quantiser
from aemg_jax.models.vq_autoencoder import VQAutoencoder, VQConfig
from aemg_jax.sentences import cache
from aemg_jax.sentences.words import Words
from aemg_jax.training import checkpoints, jobs, parallel
from aemg_jax.training.tasks.vq import target_and_weight

RESULT_FILE = 'codebook.json'
_ROWS = 256


@dataclasses.dataclass(frozen=True)
class _Reconstruct:
  """({'params', 'codebook'}, words) -> codes and reconstructions."""
  model: VQConfig

  def __call__(self, params, words):
    out = VQAutoencoder(self.model).apply(
        {'params': params['params']}, words, quantiser.Codebook(*params['codebook']))
    return {'index_bn': out.index_bn, **out.output}


@dataclasses.dataclass(frozen=True)
class Coded:
  """Sentences of a prepared set under a trained tokeniser.

  Attributes:
    model: of the tokeniser.
    words: all sentences, leading b, as the tokeniser read them.
    segment_b: segment of each sentence.
    code_bn: code of each word, -1 where absent.
    output: {target: [b, n, size]} reconstructions.
    framed: rings were turned to the tokeniser's own frame, by unlabelled words.
  """
  model: VQConfig
  words: Words
  segment_b: np.ndarray
  code_bn: np.ndarray
  output: dict[str, np.ndarray]
  framed: bool = False


def tokeniser_of(workdir: str) -> tuple[VQConfig, dict]:
  """Model, and parameters and codebook, of a tokeniser's work directory."""
  meta = checkpoints.load_meta(workdir)
  if meta['job']['task']['kind'] != 'VQTask':
    raise ValueError(f"{workdir}: holds a {meta['job']['task']['kind']}, expected a VQTask")
  model = config_lib.section(VQConfig, meta['job']['task']['model'], f'{workdir}: task.model')
  return model, {'params': checkpoints.load_params(workdir),
                 'codebook': quantiser.as_codebook(checkpoints.load_extra(workdir)['codebook'])}


def encode(model: VQConfig, trees: dict, words: Words) -> tuple[np.ndarray, dict[str, np.ndarray]]:
  """Code of each word, -1 where absent, and {target: [b, n, size]} reconstructions; words are centred."""
  parts, n = [], len(words.valid_n)
  for first in range(0, n, _ROWS):
    row = np.minimum(np.arange(first, first + _ROWS), n - 1)
    block = jax.tree.map(lambda x: np.asarray(x)[row], words)
    out = parallel.map_batches(_Reconstruct(model), trees, block)
    parts.append(jax.tree.map(lambda x: x[:n - first], out))
  output = jax.tree.map(lambda *xs: np.concatenate(xs), *parts)
  return np.where(words.valid_n, output.pop('index_bn'), -1), output


def load(tokeniser: str, prepared: cache.Prepared) -> Coded:
  """Runs the tokeniser of a work directory over every sentence of a prepared set, set by set."""
  model, trees = tokeniser_of(tokeniser)
  meta = checkpoints.load_meta(tokeniser)
  found = jobs.stored_frames(meta, checkpoints.load_extra(tokeniser, item='alignment'), tokeniser)
  centre, parts, framed = _centre(meta, prepared), [], False
  source_r = prepared.segments['source']
  for name in dict.fromkeys(source_r.tolist()):
    rows, own = np.flatnonzero(source_r == name), centre
    frame = frames.frame_of(found, list(meta['split']), name)
    if frame is not None:
      own = batches.in_frame(prepared, centre, rows, frame)
      framed |= own.frame is not None
    data = batches.sentence_arrays(prepared, rows, None, own)
    parts.append((data['words'], data['segment']))
  words, segment_b = jax.tree.map(lambda *xs: np.concatenate(xs), *parts)
  code_bn, output = encode(model, trees, words)
  return Coded(model, words, segment_b, code_bn, output, framed)


def _centre(meta, prepared: cache.Prepared) -> batches.Centre:
  """As in training; its 'training' mean is the stored one, not one over this set's sessions."""
  if meta['job']['centre'] != 'training':
    return batches.make_centre(prepared, meta['job']['centre'], ())
  return batches.stored_centre(prepared, meta['mean_of'])


def explained_variance(coded: Coded, target: str, row_b: np.ndarray) -> float:
  """1 - residual / variance about the mean, over the elements of valid words."""
  words = coded.model.heard(jax.tree.map(lambda x: x[row_b], coded.words))
  value, weight = (np.asarray(x, np.float64) for x in target_and_weight(words, target))
  mean_size = (value * weight).sum((0, 1)) / np.maximum(weight.sum((0, 1)), 1e-12)
  residual = (weight * (value - coded.output[target][row_b])**2).sum()
  return float(1 - residual / (weight * (value - mean_size[None, None])**2).sum())


def histograms(coded: Coded, n_segments: int) -> np.ndarray:
  """[segment, channel * K] share of each code in each channel's words."""
  codes, channels = coded.model.quantiser.codes, coded.model.encoder.max_channels
  b, n = coded.code_bn.shape
  counts = np.zeros((n_segments, channels, codes))
  segment_bn = np.broadcast_to(coded.segment_b[:, None], (b, n))
  channel_bn = np.broadcast_to(np.arange(n)[None] % channels, (b, n))
  valid_bn = coded.code_bn >= 0
  np.add.at(counts, (segment_bn[valid_bn], channel_bn[valid_bn], coded.code_bn[valid_bn]), 1)
  counts /= np.maximum(counts.sum(-1, keepdims=True), 1)
  return counts.reshape(n_segments, -1)


def histogram_probe(coded: Coded, prepared: cache.Prepared, folds: Sequence[splits.Fold],
                    align: bool, alpha: float = 1.0) -> dict[str, float]:
  """{subject: accuracy per repetition} of ridge regression on code histograms.

  Args:
    coded: see Coded.
    prepared: the set that was coded, session-centred.
    folds: train and calibration rows fit, test rows are scored.
    align: turn each wearer's ring first; the target's unlabelled data say how (transductive).
    alpha: of the ridge; 1 was best on the 19 pre-training subjects of MyoArmband.
  """
  segments = prepared.segments
  feature = histograms(coded, len(segments['label']))
  subject_s = splits.column_keys(segments, 'subject')
  right: dict[str, list[bool]] = {}
  for fold in folds:
    train = np.array([row.segment for row in fold.train + fold.calibration])
    test = np.array([row.segment for row in fold.test])
    placed = _placed(feature, coded, prepared, train, test) if align else feature
    model = RidgeClassifier(alpha=alpha).fit(placed[train], segments['label'][train])
    hit = model.predict(placed[test]) == segments['label'][test]
    for segment, ok in zip(test, hit):
      right.setdefault(str(subject_s[segment]), []).append(bool(ok))
  return {subject: float(np.mean(hits)) for subject, hits in right.items()}


def _placed(feature, coded: Coded, prepared: cache.Prepared, train, test) -> np.ndarray:
  """Histograms with each wearer's channels turned to the training wearers' frame."""
  centre = batches.aligned(prepared, batches.make_centre(prepared, 'session', ()), train, test)
  if centre.element_s is None:
    return feature
  order = montage.elements(centre.worn)[centre.element_s[prepared.segments['session_index']]]
  blocks = feature.reshape(*order.shape, -1)
  placed = np.take_along_axis(blocks, np.maximum(order, 0)[:, :, None], axis=1)
  return np.where(order[:, :, None] == montage.ABSENT, 0, placed).reshape(feature.shape)


def measure(coded: Coded, prepared: cache.Prepared, folds: Sequence[splits.Fold], workdir: str) -> None:
  """Writes codebook.json and what the report's pictures of codes need, measured on the folds' test subjects."""
  tested = np.unique([row.segment for fold in folds for row in fold.test])
  row_b = np.flatnonzero(np.isin(coded.segment_b, tested))
  code_m = coded.code_bn[row_b][coded.code_bn[row_b] >= 0]
  count_k = np.bincount(code_m, minlength=coded.model.quantiser.codes)
  share = count_k[count_k > 0] / count_k.sum()
  variance = {t: explained_variance(coded, t, row_b) for t in coded.model.targets}
  probe = histogram_probe(coded, prepared, folds, align=False)
  aligned = probe if coded.framed else None
  if not coded.framed and _turns(prepared):
    aligned = histogram_probe(coded, prepared, folds, align=True)
  found = {
      'codes': len(count_k), 'codes_used': int((count_k > 0).sum()),
      'used_share': float((count_k > 0).mean()), 'perplexity': float(np.exp(-(share * np.log(share)).sum())),
      'explained_variance': variance, 'histogram_probe': float(np.mean(list(probe.values()))),
      'histogram_probe_per_subject': probe,
      'histogram_probe_aligned': float(np.mean(list(aligned.values()))) if aligned else None,
      'histogram_probe_aligned_per_subject': aligned, 'words': int(count_k.sum()),
      'split_hash': splits.split_hash(folds)}
  with open(os.path.join(workdir, RESULT_FILE + '.tmp'), 'w', encoding='utf-8') as file:
    json.dump(found, file, indent=1)
  os.replace(os.path.join(workdir, RESULT_FILE + '.tmp'), os.path.join(workdir, RESULT_FILE))
  measured_on = f'{len(probe)} test subjects, {len(code_m)} words'
  code_families.measure(coded, prepared, row_b, measured_on, workdir)
  figure_data.save_figure_data(
      workdir, 'codebook', measured_on=measured_on,
      code_count_k=count_k, variance_name=list(variance), explained_variance=list(variance.values()),
      hist_probe_accuracy=found['histogram_probe'], chance=1 / len(prepared.labels))
  logging.info('codebook: %d of %d codes used, perplexity %.0f, explained variance %s, '
               'histogram probe %.3f (rings aligned, transductive: %s)',
               found['codes_used'], found['codes'], found['perplexity'],
               {k: round(v, 3) for k, v in variance.items()}, found['histogram_probe'],
               found['histogram_probe_aligned'])


def _turns(prepared: cache.Prepared) -> bool:
  """Whether the montage can be worn in several ways; others are left alone."""
  return montage.common(prepared.segments, np.arange(len(prepared.segments['label']))) is not None
