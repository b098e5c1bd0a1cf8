"""The loss of slots as sentences of their own, against sentences cut by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aemg_jax.sentences.words import Words
from aemg_jax.training.augment import single_slots
from aemg_jax.training.task import Draw
from aemg_jax.training.tasks import SupervisedTask
from tests import tiny_set
from tests.fake_words import fake_words

B, SLOTS, C = 3, 4, 4


def _words():
  """Sentences of 4, 2 and 1 slots, the last with an absent channel."""
  words = fake_words(b=B)
  valid_bn = np.arange(SLOTS * C)[None] < np.array([16, 8, 4])[:, None]
  valid_bn[2, 1] = False
  return words._replace(valid_n=valid_bn)


def test_each_slot_becomes_a_sentence_at_the_first_time():
  """Catches: channels taken for slots; a slot that keeps its place in time, which no window has;
  fields of a sentence repeated in another order than its slots."""
  words = _words()._replace(fallback=np.array([False, True, False]))
  cut = single_slots(words, C)
  for b in range(B):
    for s in range(SLOTS):
      w, n = b * SLOTS + s, slice(s * C, (s + 1) * C)
      np.testing.assert_array_equal(cut.spectrum_nf[w], words.spectrum_nf[b, n])
      np.testing.assert_array_equal(cut.valid_n[w], words.valid_n[b, n])
      np.testing.assert_array_equal(cut.time_n[w], words.valid_n[b, n].astype(int))
      assert cut.fallback[w] == words.fallback[b]


@pytest.mark.heavy
def test_slots_of_a_sentence_weigh_what_it_weighs():
  """Catches: long sentences that weigh more; absent slots in the mean; a share that is not one."""
  task = SupervisedTask(tiny_set.MODEL, slot_share=1.0)
  batch = {'words': _words(), 'label': np.array([0, 1, 2], np.int32), 'weight': np.array([1, 2, 1], np.float32)}
  params, extra = task.init(jax.random.key(0), batch)
  params = jax.tree.map(lambda x: x + 0.3 * jax.random.normal(jax.random.key(1), x.shape), params)
  draw = Draw(jax.random.key(2), jnp.arange(B), B)

  def summed(share):
    no_dropout = dataclasses.replace(tiny_set.MODEL, encoder=dataclasses.replace(
        tiny_set.MODEL.encoder, blocks=dataclasses.replace(tiny_set.MODEL.encoder.blocks, dropout=0.0)))
    return SupervisedTask(no_dropout, slot_share=share).loss(params, extra, batch, draw, True)

  expected = 0.0
  for b, (slots, weight) in enumerate(((4, 1.0), (2, 2.0), (1, 1.0))):
    for s in range(slots):
      alone = _alone(batch['words'], b, s)
      one = {'words': alone, 'label': batch['label'][b:b + 1], 'weight': np.ones(1, np.float32)}
      expected += weight / slots * float(task.loss(params, extra, one, draw, False)[0])
  total, (count, metrics, _) = summed(1.0)
  np.testing.assert_allclose(total, expected, rtol=1e-5)
  np.testing.assert_allclose([count, metrics['accuracy'][1]], 4.0)
  mixed = 0.75 * summed(0.0)[0] + 0.25 * total
  np.testing.assert_allclose(summed(0.25)[0], mixed, rtol=1e-5)


def _alone(words: Words, b: int, s: int) -> Words:
  """Slot s of sentence b at the front of an otherwise empty grid."""
  move = lambda x: np.roll(x[b:b + 1], -s * C, axis=1)
  moved = Words(*(move(x) if x.shape[1:2] == (SLOTS * C,) else x[b:b + 1] for x in words))
  kept_n = np.arange(SLOTS * C) < C
  return moved._replace(valid_n=moved.valid_n & kept_n[None], time_n=np.where(kept_n, 1, 0)[None].astype(np.int32))


def test_a_share_outside_0_to_1_is_refused():
  """Catches: a typing error that trains on a negative loss."""
  with pytest.raises(ValueError, match='slot_share: got 1.5, expected 0 to 1'):
    SupervisedTask(slot_share=1.5)
