"""The tasks: any device count, padding, masks, and what a word weighs."""

import dataclasses

import every_task
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from aemg_jax.models import MaskedConfig
from aemg_jax.training import parallel
from aemg_jax.training.augment import AugmentConfig
from aemg_jax.training.state import init_state
from aemg_jax.training.task import Draw
from aemg_jax.training.tasks import MaskedTask, VQTask
from aemg_jax.training.tasks.masked import MaskConfig, draw_mask
from aemg_jax.training.tasks.vq import target_and_weight
from tests import tiny_runs, tiny_set
from tests.fake_words import fake_words

ONE, EIGHT = tuple(jax.devices()[:1]), tuple(jax.devices()[:8])
SGD = optax.sgd(1.0)


def _step(task, devices):
  state = parallel.replicate(init_state(task, SGD, every_task.rows(1), seed=0), devices)
  state, scalars = parallel.train_step(task, SGD, devices)(
      state, parallel.shard_batch(every_task.rows(), devices))
  return jax.device_get((state.params, state.extra, scalars)), state


@pytest.mark.heavy
@pytest.mark.parametrize('name', every_task.TASKS)
def test_eight_devices_equal_one_with_unequal_validity(name):
  """Catches: a mean of per-device means; masks, dropout, augmentation, EMA counts or revived codes
  that depend on which device holds a row."""
  one, eight = _step(every_task.TASKS[name], ONE)[0], _step(every_task.TASKS[name], EIGHT)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5), one, eight[0])
  assert parallel.replicas_agree(eight[1])
  assert one[2]['grad_norm'] > 0


@pytest.fixture(name='masked', scope='module')
def _masked():
  """(task, state, jitted loss in training)."""
  task = MaskedTask(MaskedConfig(tiny_set.ENCODER, 16), tiny_runs.VQ)
  state = init_state(task, SGD, every_task.rows(1), seed=0)

  @jax.jit
  def loss(batch):
    draw = Draw(jax.random.key(1), jnp.arange(16), 16)
    return task.loss(state.params, state.extra, batch, draw, True)

  return task, loss


@pytest.mark.heavy
def test_absent_words_change_no_loss_of_the_masked_task(masked):
  """(d) Catches: padding in attention, in a slot's sum, in the loss or in the code counts."""
  total, (count, metrics, stats) = masked[1](every_task.rows())
  batch, words = every_task.rows(), every_task.rows()['words']
  gone_bn = ~words.valid_n | (batch['weight'] == 0)[:, None]
  batch['words'] = words._replace(
      spectrum_nf=np.where(gone_bn[..., None], 50, words.spectrum_nf).astype(np.float32),
      amplitude_n=np.where(gone_bn, -50, words.amplitude_n).astype(np.float32),
      waveform_np=np.where(gone_bn[..., None], 9, words.waveform_np).astype(np.float32))
  other, (count_2, metrics_2, stats_2) = masked[1](batch)
  np.testing.assert_allclose(other, total, rtol=1e-6)
  jax.tree.map(np.testing.assert_array_equal, (count, metrics, stats), (count_2, metrics_2, stats_2))


@pytest.mark.heavy
def test_mask_and_complement_cover_each_valid_word_once(masked):
  """Catches: words predicted twice or never, and rows of weight 0 in the count."""
  batch = every_task.rows()
  n_valid = (batch['words'].valid_n & (batch['weight'] > 0)[:, None]).sum()
  _, (count, metrics, stats) = masked[1](batch)
  assert count == metrics['masked_accuracy'][1] == stats.sum() == n_valid


@pytest.mark.heavy
def test_bins_above_the_common_ones_decide_nothing():
  """Catches: bins above `bins` that are still read, or reconstructed by either step; a field that does nothing."""
  batch, words = every_task.rows(), every_task.rows()['words']
  top_f = np.arange(words.spectrum_nf.shape[-1]) >= 3
  heard = (words, words._replace(bin_valid_f=words.bin_valid_f & ~top_f),
           words._replace(spectrum_nf=np.where(top_f, 7.0, words.spectrum_nf).astype(np.float32)))
  nothing_seen = MaskConfig(ratio=1.0, slot_share=0.0, symmetric=False)  # targets alone tell the words apart

  def losses(bins):
    vq = dataclasses.replace(tiny_runs.VQ, bins=bins)
    model = MaskedConfig(tiny_set.ENCODER, 16, sum(vq.sizes.values()))
    for task in (VQTask(vq), MaskedTask(model, vq, mask=nothing_seen, code_weight=0.0, reconstruction_weight=1.0)):
      state = init_state(task, SGD, every_task.rows(1), seed=0)
      draw = Draw(jax.random.key(1), jnp.arange(16), 16)
      loss = jax.jit(lambda words: task.loss(state.params, state.extra, batch | {'words': words}, draw, False)[0])
      yield [float(loss(x)) for x in heard]

  for every, lowest in zip(losses(0), losses(3)):
    assert len(set(every)) == 3
    assert lowest == [every[1]] * 3


@pytest.mark.heavy
def test_mask_ratio_and_whole_slots():
  """Catches: the ratio taken of what is kept; slot masks that leave a channel of the slot visible."""
  words = fake_words(b=400, valid_share=0.8)
  keys_b = jax.random.split(jax.random.key(0), 400)
  draw = lambda **fields: np.asarray(draw_mask(words, keys_b, MaskConfig(**fields), 4))
  single_bn = draw(ratio=0.3, slot_share=0.0)
  assert not (single_bn & ~words.valid_n).any()
  assert single_bn.sum() / words.valid_n.sum() == pytest.approx(0.3, abs=0.02)
  slots_bn = draw(ratio=0.3, slot_share=1.0)
  whole = (slots_bn | ~words.valid_n).reshape(400, 4, 4).all(-1) | ~slots_bn.reshape(400, 4, 4).any(-1)
  assert whole.all() and slots_bn.sum() / words.valid_n.sum() == pytest.approx(0.3, abs=0.05)
  mixed = (draw(ratio=0.5, slot_share=0.5) | ~words.valid_n).reshape(400, 4, 4)
  by_slot = (mixed.all(-1) | ~(mixed & words.valid_n.reshape(400, 4, 4)).any(-1)).all(-1).mean()
  assert 0.4 < by_slot < 0.62
  one = draw_mask(jax.tree.map(lambda x: x[7:8], words), keys_b[7:8], MaskConfig(), 4)
  np.testing.assert_array_equal(one[0], np.asarray(draw_mask(words, keys_b, MaskConfig(), 4))[7])


@pytest.mark.heavy
def test_masks_of_channels_and_spans():
  """Catches: channels masked in one slot alone, a span with gaps or of another length, kinds in other shares."""
  words = fake_words(b=400, valid_share=1.0)
  keys_b = jax.random.split(jax.random.key(0), 400)
  draw = lambda **shares: np.asarray(
      draw_mask(words, keys_b, MaskConfig(**{'slot_share': 0.0} | shares), 4)).reshape(400, 4, 4)  # slots, channels
  channel_bsc = draw(ratio=0.3, channel_share=1.0)
  assert (channel_bsc == channel_bsc[:, :1]).all() and channel_bsc.mean() == pytest.approx(0.3, abs=0.05)
  span_bsc = draw(ratio=0.5, span_share=1.0)
  assert (span_bsc == span_bsc[..., :1]).all()
  span_bs = span_bsc[..., 0]
  assert (span_bs.sum(1) == 2).all()
  assert ((span_bs & ~np.roll(span_bs, 1, axis=1)).sum(1) == 1).all()  # one run, which may go on at the beginning
  assert set(map(tuple, span_bs.tolist())) == {tuple(np.roll([True, True, False, False], i).tolist()) for i in range(4)}
  mixed_bsc = draw(ratio=0.5, slot_share=0.25, channel_share=0.5, span_share=0.25)
  by_channel = (mixed_bsc == mixed_bsc[:, :1]).all((1, 2)) & mixed_bsc.any((1, 2)) & ~mixed_bsc.all((1, 2))
  by_slot = (mixed_bsc == mixed_bsc[..., :1]).all((1, 2))
  assert 0.36 < by_channel.mean() < 0.6 and 0.45 < by_slot.mean() < 0.65 and (by_channel | by_slot).all()


@pytest.mark.heavy
def test_clean_words_are_reconstructed_from_augmented_ones():
  """Catches: the augmented word as the target, seen words left out where all count, a weight without effect."""
  batch, gain = every_task.rows(), AugmentConfig(gain=1.0)
  valid = (batch['words'].valid_n & (batch['weight'] > 0)[:, None]).sum()

  def made(augment=gain, **changes):
    fields = dict(augment=augment, mask=MaskConfig(0.0, 0.0, False, every=True), reconstruction_weight=1.0) | changes
    model = MaskedConfig(tiny_set.ENCODER, 16, 27 * bool(fields['reconstruction_weight']))
    return MaskedTask(model, tiny_runs.VQ, **fields)

  def loss(task, bias):
    state = init_state(task, SGD, every_task.rows(1), seed=0)
    head = {'kernel': jnp.zeros_like(state.params['reconstruction']['kernel']), 'bias': bias}
    draw = Draw(jax.random.key(1), jnp.arange(16), 16)
    return task.loss(state.params | {'reconstruction': head}, state.extra, batch, draw, True)
  words, used_bn = batch['words'], batch['words'].valid_n & (batch['weight'] > 0)[:, None]
  want = ((words.spectrum_nf - 2.0)**2).mean(-1) + (words.amplitude_n - 3.0)**2
  bias = jnp.array([2.0] * 26 + [3.0])
  total, (count, metrics, _) = loss(made(code_weight=0.0), bias)
  np.testing.assert_allclose(total, want[used_bn].sum(), rtol=1e-5)
  assert count == valid and metrics['masked_error'][0] == total
  both, (_, parts, _) = loss(made(code_weight=0.5, reconstruction_weight=3.0), bias)
  codes = loss(made(code_weight=1.0, reconstruction_weight=1e-9), bias)[0]
  np.testing.assert_allclose(both, 0.5 * codes + 3.0 * parts['masked_error'][0], rtol=1e-5)
  _, (hidden, _, _) = loss(made(mask=MaskConfig(0.5, 0.0, False)), bias)
  assert 0.3 * valid < hidden < 0.7 * valid


@pytest.mark.heavy
def test_a_word_weighs_one_whatever_its_length_and_band():
  """Catches: long words or wide bands weighing more; padding samples or unheard bins in the target."""
  words = fake_words(b=2, valid_share=0.6)
  length_bn = np.where(np.arange(16) % 2, 30, 52)[None] * np.ones((2, 1), int)
  bins = np.arange(26)[None] < np.array([[26], [9]])
  words = words._replace(length_n=length_bn.astype(np.int32), bin_valid_f=bins)
  for target, size in (('spectrum', 26), ('amplitude', 1), ('waveform', 52)):
    value, weight = target_and_weight(words, target)
    assert value.shape == weight.shape == (2, 16, size)
    np.testing.assert_allclose(weight.sum(-1), words.valid_n, atol=1e-6)
  spectrum = target_and_weight(words, 'spectrum')[1]
  assert not spectrum[1, :, 9:].any() and spectrum[1, :, :9].any()
  waveform = target_and_weight(words, 'waveform')[1]
  assert not waveform[:, 1::2, 30:].any() and waveform[:, 0::2, 30:].any()


def test_codes_of_the_masked_task_must_be_the_tokenisers():
  """Catches: logits for 256 codes over a codebook of 16."""
  with pytest.raises(ValueError, match="MaskedTask.model.codes: got 256, expected the tokeniser's 16"):
    MaskedTask(MaskedConfig(tiny_set.ENCODER), tiny_runs.VQ)


@pytest.mark.parametrize('make, message', [
    (lambda: MaskedTask(MaskedConfig(tiny_set.ENCODER, 16, 26), tiny_runs.VQ, reconstruction_weight=1.0),
     'reconstructs: got 26 with reconstruction_weight 1.0, expected 27'),
    (lambda: MaskedTask(MaskedConfig(tiny_set.ENCODER, 16, 27), tiny_runs.VQ), 'got 27 with reconstruction_weight 0.0'),
    (lambda: MaskedTask(MaskedConfig(tiny_set.ENCODER, 16), tiny_runs.VQ, code_weight=0.0), 'expected one above 0'),
    (lambda: MaskConfig(slot_share=0.6, span_share=0.6), 'expected a sum of at most 1'),
    (lambda: MaskConfig(ratio=0.0), 'MaskConfig.ratio: got 0 with symmetric True')])
def test_objectives_that_cannot_be(make, message):
  """Catches: a head that nothing trains, a loss of nothing, masks of more than all examples."""
  with pytest.raises(ValueError, match=message):
    make()
