"""What is said of a codebook, against numbers by hand."""

import json
import types

import numpy as np
import pytest

from aemg_jax.data import batches, splits
from aemg_jax.evaluation import codebook
from aemg_jax.evaluation.codebook import Coded
from aemg_jax.training import checkpoints
from tests import tiny_runs, tiny_set
from tests.fake_words import fake_words


def _coded(code_bn, segment_b, **output):
  words = fake_words(b=len(code_bn))
  words = words._replace(valid_n=code_bn >= 0)
  return Coded(tiny_runs.VQ, words, np.asarray(segment_b), code_bn, output)


def test_histograms_by_hand():
  """Catches: absent words counted as a code, channels pooled, two sentences of a segment not added."""
  code_bn = np.full((3, 16), -1)
  code_bn[0, [0, 4, 8]] = [5, 5, 7]  # channel 0, slots 0 to 2
  code_bn[1, 0] = 7  # the same segment's second sentence
  code_bn[2, 3] = 2  # channel 3 of another segment
  got = codebook.histograms(_coded(code_bn, [1, 1, 0]), 3).reshape(3, 4, 16)
  want = np.zeros((3, 4, 16))
  want[1, 0, [5, 7]] = 0.5
  want[0, 3, 2] = 1
  np.testing.assert_allclose(got, want)


def test_explained_variance_by_hand():
  """Catches: absent words or unheard bins in the sums, a mean over the wrong axis, a ratio of sums
  of squares without the mean."""
  code_bn = np.where(np.random.default_rng(0).random((4, 16)) < 0.7, 1, -1)
  amplitude_bns = np.random.default_rng(1).normal(size=(4, 16, 1))
  coded = _coded(code_bn, [0, 0, 1, 1], amplitude=amplitude_bns)
  row_b = np.array([0, 2, 3])
  valid = code_bn[row_b] >= 0
  value = coded.words.amplitude_n[row_b][valid].astype(np.float64) + 3
  coded = Coded(coded.model, coded.words._replace(amplitude_n=coded.words.amplitude_n + 3),
                coded.segment_b, code_bn, coded.output)
  residual = ((value - amplitude_bns[row_b, :, 0][valid])**2).sum()
  want = 1 - residual / ((value - value.mean())**2).sum()
  assert codebook.explained_variance(coded, 'amplitude', row_b) == pytest.approx(want, rel=1e-5)
  spectrum = coded.words.spectrum_nf
  coded = Coded(coded.model, coded.words, coded.segment_b, code_bn, {'spectrum': spectrum})
  assert codebook.explained_variance(coded, 'spectrum', row_b) == 1
  mean_f = spectrum[row_b][valid].mean(0)
  flat = {'spectrum': np.broadcast_to(mean_f, spectrum.shape)}
  coded = Coded(coded.model, coded.words, coded.segment_b, code_bn, flat)
  assert codebook.explained_variance(coded, 'spectrum', row_b) == pytest.approx(0, abs=1e-5)


def test_probe_needs_codes_that_tell_the_label():
  """Catches: a probe that sees the test repetitions, or labels out of step with histograms."""
  rng = np.random.default_rng(0)
  label = np.tile(np.arange(3), 12)
  subject = np.repeat(['a', 'b', 'c'], 12)
  segments = {'label': label, 'subject': subject, 'start_s': np.zeros(36), 'stop_s': np.ones(36),
              'record_id': np.arange(36).astype(str), 'session': np.full(36, 'x')}
  folds = splits.loso(segments, ('a', 'b', 'c'))
  telling = rng.integers(0, 4, (36, 16)) + 4 * label[:, None]
  prepared = types.SimpleNamespace(segments=segments)
  told = codebook.histogram_probe(_coded(telling, np.arange(36)), prepared, folds, align=False)
  assert told == {'a': 1.0, 'b': 1.0, 'c': 1.0}
  mute = codebook.histogram_probe(
      _coded(rng.integers(0, 12, (36, 16)), np.arange(36)), prepared, folds, align=False)
  assert np.mean(list(mute.values())) < 0.6


@pytest.mark.heavy
def test_measured_on_test_subjects_with_the_trainings_centre(tmp_path):
  """Catches: usage counted over subjects that trained it; the tested set's own mean in place of the
  stored one; codes for absent words."""
  workdir, prepared = tiny_runs.workdir('vq'), tiny_set.prepared()
  coded = codebook.load(workdir, prepared)
  mean_cf = np.array(checkpoints.load_meta(workdir)['mean_of']['made'], np.float32)
  centre = batches.Centre(np.stack([mean_cf] * 6), False)
  want = batches.sentence_arrays(prepared, np.arange(36), None, centre)['words']
  np.testing.assert_allclose(coded.words.spectrum_nf, want.spectrum_nf, atol=1e-6)
  assert ((coded.code_bn >= 0) == want.valid_n).all()
  folds = splits.loso(prepared.segments, tiny_set.SUBJECTS)[2:]
  codebook.measure(coded, prepared, folds, str(tmp_path))
  found = json.loads((tmp_path / 'codebook.json').read_text())
  codes = coded.code_bn[tiny_set.rows_of('s2')].ravel()
  share = np.bincount(codes, minlength=16) / len(codes)
  assert found['words'] == 12 * 16 and found['codes'] == 16
  assert found['used_share'] == (share > 0).mean() and found['codes_used'] == (share > 0).sum()
  entropy = -(share[share > 0] * np.log(share[share > 0])).sum()
  assert found['perplexity'] == pytest.approx(np.exp(entropy))
  assert list(found['histogram_probe_per_subject']) == ['s2']


@pytest.mark.heavy
def test_only_a_tokeniser_has_codes():
  """Catches: a classifier's parameters read as a tokeniser's."""
  with pytest.raises(ValueError, match='supervised: holds a SupervisedTask, expected a VQTask'):
    codebook.load(tiny_runs.workdir('supervised'), tiny_set.prepared())
