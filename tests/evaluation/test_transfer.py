"""Networks in the harness: where a fold starts, and which samples a score has seen."""

import dataclasses

import jax
import numpy as np
import pytest

from aemg_jax.data import batches, splits
from aemg_jax.evaluation import sentence_windows, transfer
from aemg_jax.evaluation.transfer import Pretrained, TransferData, TransferMethod
from aemg_jax.models import WindowCNN, WindowCNNConfig
from aemg_jax.training import checkpoints, loop
from aemg_jax.training.augment import AugmentConfig
from tests import tiny_runs, tiny_set

pytestmark = pytest.mark.heavy  # all but a few need a trained checkpoint

# The task, optimiser and batch of tiny_runs' supervised job, so that all share one compiled step.
METHOD = TransferMethod(
    tiny_set.MODEL, optim=tiny_runs.OPTIM, steps=tiny_runs.STEPS['supervised'], batch_size=16,
    augment=AugmentConfig(gain=0.1), smoothing=0.0)


def _data(pretrained=None):
  return TransferData({'fixed': tiny_set.prepared()}, pretrained)


def _folds():
  return splits.loso(tiny_set.prepared().segments, tiny_set.SUBJECTS)


def _pretrained():
  encoder = checkpoints.load_params(tiny_runs.workdir('supervised'))['encoder']
  return Pretrained(encoder, checkpoints.params_hash(encoder))


def _train(method, data, fold, seed=0):
  prepared = data.views[method.view]
  centre = batches.make_centre(prepared, method.centre, transfer._sessions(prepared, fold))
  return method._train(data, fold, centre, seed)


@pytest.fixture(name='begins')
def _begins(monkeypatch):
  """Hashes of the parameters that each fold starts from; 'training' then spoils them in place."""
  tiny_runs.workdir('supervised')  # trained before training is taken away
  seen = []

  def fit(task, tx, feed, begin, config, **rest):
    params = jax.device_get(begin.params)
    seen.append({name: checkpoints.params_hash(tree) for name, tree in params.items()})
    for leaf in jax.tree.leaves(begin.params):
      if isinstance(leaf, np.ndarray):
        leaf += 1
    return loop.Fit(begin, [], 0.0)

  monkeypatch.setattr(transfer.loop, 'fit', fit)
  return seen


def test_every_fold_starts_from_the_checkpoints_hash(begins):
  """(f) Catches: the second fold going on from the first's parameters, which saw its test subject."""
  data = _data(_pretrained())
  method = dataclasses.replace(METHOD, start='checkpoint')
  for fold in _folds():
    _train(method, data, fold)
  assert [b['encoder'] for b in begins] == [data.pretrained.hash] * 3
  assert len({b['head'] for b in begins}) == 1  # and from one fresh head
  assert begins[0]['head'] != checkpoints.params_hash(
      checkpoints.load_params(tiny_runs.workdir('supervised'))['head'])


def test_scratch_starts_afresh_and_differs_by_seed(begins):
  """Catches: a 'scratch' row that starts from the checkpoint, or seeds that change nothing."""
  data = _data(_pretrained())
  for seed in (0, 0, 1):
    _train(METHOD, data, _folds()[0], seed)
  hashes = [b['encoder'] for b in begins]
  assert hashes[0] == hashes[1] != hashes[2] and data.pretrained.hash not in hashes


def test_a_checkpoint_changed_in_memory_is_refused(begins):
  """(f) Catches: an encoder that something has trained on since it was loaded."""
  pretrained = _pretrained()
  method = dataclasses.replace(METHOD, start='checkpoint')
  jax.tree.leaves(pretrained.encoder)[0][...] += 1e-6
  with pytest.raises(ValueError, match='the checkpoint changed in memory'):
    _train(method, _data(pretrained), _folds()[0])
  with pytest.raises(ValueError, match='expected --checkpoint'):
    _train(method, _data(), _folds()[0])
  assert not begins


@pytest.mark.parametrize('changes, message', [
    (dict(start='here'), "TransferMethod.start: got 'here'"),
    (dict(tune='some'), "TransferMethod.tune: got 'some'"),
    (dict(centre='subject'), "TransferMethod.centre: got 'subject'"),
    (dict(model=WindowCNNConfig(), start='checkpoint'), 'TransferMethod.model: got WindowCNNConfig'),
    (dict(model=WindowCNNConfig(), tune='lda'), 'TransferMethod.model: got WindowCNNConfig'),
    (dict(others_wear=True, centre='session'), "others_wear: got align False and centre 'session'")])
def test_methods_that_cannot_be(changes, message):
  """Catches: a typo that means 'scratch', a CNN without an encoder to start from."""
  with pytest.raises(ValueError, match=message):
    dataclasses.replace(METHOD, **changes)


def test_what_uses_the_target_says_so():
  """Catches: a row that centres or scales on the tested session, printed as inductive."""
  assert not METHOD.transductive
  assert dataclasses.replace(METHOD, centre='session').transductive
  assert dataclasses.replace(METHOD, view='session').transductive


def test_windows_are_of_their_own_samples_alone():
  """Catches: a window score that has seen its neighbours, or a window across the crop's border."""
  prepared = tiny_set.prepared()
  centre = batches.make_centre(prepared, 'none', ())
  rows = [splits.Row(4, 'a', 0.0, 0.9), splits.Row(2, 'b', 0.1, 0.5)]  # 180 and 80 samples
  segment_w, start_w, amplitude_wc = sentence_windows.map_windows(
      prepared, rows, centre, lambda words: words.amplitude_n)
  assert start_w[segment_w == 4].tolist() == list(range(0, 129, 5))
  assert start_w[segment_w == 2].tolist() == list(range(20, 49, 5))
  for segment, start, amplitude_c in zip(segment_w, start_w, amplitude_wc):
    x_tc = prepared.rectified[int(segment)]['signal_tc'][start:start + 52].astype(np.float64)
    np.testing.assert_allclose(amplitude_c, np.log((x_tc**2).mean(0) + 1e-3) / 2, atol=1e-4)


def test_a_closed_form_head_on_the_frozen_encoder_learns():
  """Catches: windows and labels out of step; a class without training windows that gets one; a
  calibration without a window."""
  prepared, fold = tiny_set.prepared(), _folds()[2]
  method = dataclasses.replace(METHOD, tune='lda', start='checkpoint', whole_sentence=False)
  label = prepared.segments['label']
  fold = dataclasses.replace(fold, train=tuple(r for r in fold.train if label[r.segment] != 2))
  got = method.predict(_data(_pretrained()), fold, 0)
  known = label[got.segment_rows] != 2
  right = got.segment_log_prob.argmax(1) == label[got.segment_rows]
  assert right[known].mean() > 0.9
  assert (got.window_log_prob[:, 2] == -80).all()
  short = dataclasses.replace(fold.test[0], stop_s=0.2)
  with pytest.raises(ValueError, match="no window of 52 samples in 1 crops, the first of 's2-"):
    method.predict(_data(_pretrained()), dataclasses.replace(fold, calibration=(short,)), 0)


def test_a_closed_form_head_after_training_sits_on_the_trained_encoder():
  """Catches: LDA on the encoder that training began with, or training that is left out."""
  fold = _folds()[2]
  method = dataclasses.replace(METHOD, tune='all_then_lda', whole_sentence=False)
  got = method.predict(_data(), fold, 0)
  encoder = _train(METHOD, _data(), fold)['encoder']
  frozen = dataclasses.replace(method, tune='lda', start='checkpoint')
  want = frozen.predict(_data(Pretrained(encoder, checkpoints.params_hash(encoder))), fold, 0)
  np.testing.assert_array_equal(got.window_log_prob, want.window_log_prob)
  untrained = dataclasses.replace(frozen, start='scratch').predict(_data(), fold, 0)
  assert np.abs(got.window_log_prob - untrained.window_log_prob).max() > 1


def test_training_examples_are_windows_worn_as_others_wear_them(monkeypatch):
  """Catches: sentences where windows are asked for, calibration recordings turned, ways that weigh alike."""
  prepared = tiny_set.prepared()
  fold = splits.few_shot(prepared.segments, tiny_set.SUBJECTS, ('cal',), ('test',), None)[0]
  centre = batches.make_centre(prepared, 'training', transfer._sessions(prepared, fold))
  turned = dataclasses.replace(centre, mean_scf=centre.mean_scf + 1)
  monkeypatch.setattr(transfer.wears, 'as_others_wear', lambda *_: [(centre, 0.75), (turned, 0.25)])
  method = dataclasses.replace(METHOD, windows=True, others_wear=True)
  sources, weights = method._sources(prepared, fold, centre)
  assert weights == [0.75, 0.25, 1.0]
  windows = (tiny_set.N_SAMPLES - 52) // 26 + 1
  for source, rows in zip(sources, (fold.train, fold.train, fold.calibration)):
    assert source['words'].valid_n.shape == (windows * len(rows), 4)
    labels = prepared.segments['label'][[row.segment for row in rows]]
    assert sorted(source['label']) == sorted(np.repeat(labels, windows))
  np.testing.assert_allclose(sources[1]['words'].amplitude_n, sources[0]['words'].amplitude_n - 1, atol=1e-5)
  assert not np.array_equal(sources[2]['words'].amplitude_n[:1], sources[0]['words'].amplitude_n[:1])
  sentences, weights = dataclasses.replace(method, windows=False, others_wear=False)._sources(prepared, fold, centre)
  assert weights == [1.0, 1.0] and sentences[0]['words'].valid_n.shape[1] == 16


def test_a_window_network_reads_what_it_is_given():
  """Catches: an input that is left out, an absent electrode that is seen, correlations of amplitude."""
  words = jax.tree.map(lambda x: x[:6], batches.sentence_arrays(
      tiny_set.prepared(), [0, 1, 2], None, batches.make_centre(tiny_set.prepared(), 'none', ()))['words'])
  louder = words._replace(waveform_np=words.waveform_np * 3.0)
  changed = words._replace(spectrum_nf=words.spectrum_nf + 1.0, amplitude_n=words.amplitude_n - 1.0)
  absent = words._replace(valid_n=np.where(np.arange(16) % 4 == 1, False, words.valid_n))
  for inputs, differs in (('waveform', (True, False, True)), ('words', (False, True, True)),
                          ('correlation', (False, False, True))):
    model = WindowCNN(WindowCNNConfig(classes=3, features=(8,), max_channels=4, inputs=(inputs,)))
    params = model.init(jax.random.key(0), words)
    want = model.apply(params, words)
    for other, expected in zip((louder, changed, absent), differs):
      assert (np.abs(model.apply(params, other) - want).max() > 1e-2) == expected
    garbage = absent._replace(waveform_np=np.where(absent.valid_n[..., None], absent.waveform_np, 9.0),
                              spectrum_nf=np.where(absent.valid_n[..., None], absent.spectrum_nf, 9.0))
    np.testing.assert_array_equal(model.apply(params, garbage), model.apply(params, absent))
  with pytest.raises(ValueError, match="WindowCNNConfig.inputs: got .'word',.,"):
    WindowCNNConfig(inputs=('word',))
