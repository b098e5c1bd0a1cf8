"""Placing a new wearer without labels: known rotations and mirrors, doubt, refusal, data that arrive."""

import dataclasses
import functools

import numpy as np
import pytest
from hypothesis import given, settings, strategies

from aemg_jax.data import alignment, montage, placement
from aemg_jax.data.alignment_features import window_features
from aemg_jax.sentences.words import Words
from tests.data.made_wearers import CHANNELS, RING, WORN, inverse, rows, wearers

GROUP = montage.elements(RING)
MANY = {f'S{i}': e for i, e in enumerate((0, 0, 7, 2, 0, 9, 0, 3))}


def model_and_new(**options):
  words, label_b, subject_b = wearers(**options)
  windows, sentence_w = window_features(words, CHANNELS)
  subject_w, train_w = subject_b[sentence_w], subject_b[sentence_w] != 'new'
  model = alignment.fit(windows.take(train_w), label_b[sentence_w][train_w], subject_w[train_w], GROUP)
  return model, windows.take(~train_w)


def test_known_rotation_and_mirror_are_recovered_with_and_without_labels():
  """Catches: the element's inverse stored in its place, a training side left at identity, and a
  likelihood that does not turn the channels."""
  words, label_b, subject_b = wearers()
  model, placed = placement.fit_and_place(words, label_b, subject_b, subject_b != 'new', RING)
  assert {s: model.element_of(s) for s in 'ABCDE'} == {s: inverse(WORN[s]) for s in 'ABCDE'}
  assert placed['new'].element == inverse(WORN['new'])
  assert placed['new'].margin > 1 and placed['new'].confidence > 0.9 and not placed['new'].refused


@pytest.mark.parametrize('name, worn, element', [
    ('two rings', montage.Montage((1, 5, 9, 13) * 2, (1,) * 4 + (2,) * 4, (True,) * 8), 6),
    ('grid', montage.Montage((1, 1, 5, 5, 9, 9, 13, 13), (0,) * 8, (True,) * 8), 3),
    ('ring and muscles', montage.Montage((1, 5, 9, 13, 1, 1), (1,) * 4 + (0,) * 2, (True,) * 6), 5)])
def test_other_montages_are_recovered_too(name, worn, element):
  """Catches: a search that only knows one full ring."""
  words, label_b, subject_b = wearers({'A': 0, 'B': 0, 'C': 1, 'new': element}, place=worn)
  model, placed = placement.fit_and_place(words, label_b, subject_b, subject_b != 'new', worn)
  assert model.element_of('C') == inverse(1, worn), name
  assert placed['new'][0] == inverse(element, worn) and not placed['new'].refused, name


@pytest.mark.parametrize('gain', (0.03, 30.0))
def test_a_shifted_half_ring_is_found_though_electrodes_fall_out(gain):
  """Catches: densities of different numbers of electrodes compared with each other: with large
  features the shift that keeps fewest would win, with small ones the one that keeps all."""
  worn = montage.Montage(montage.ring(8).position_c[:6], (1,) * 6, (True,) * 6)
  perm_gc = montage.elements(worn)
  assert perm_gc[1].tolist() == [1, 2, 3, 4, 5, -1] and (perm_gc < 0).any(1).sum() == len(perm_gc) - 2
  people = {s: 0 for s in ('A', 'B', 'C', 'new')}
  full, label_b, subject_b = wearers(people, place=montage.ring(8), noise=1.5)
  grid = lambda x: x.reshape(len(x), 3, 8, *x.shape[2:])
  fields = ('waveform_np', 'spectrum_nf', 'amplitude_n', 'length_n', 'onset_n', 'time_n',
            'position_n', 'ring_n', 'valid_n')
  for shift in (0, 1, 2, -1):
    cut = {}
    for name in fields:
      x = grid(getattr(full, name))
      new_b = (subject_b == 'new').reshape(-1, *[1] * (x.ndim - 1))
      x = np.where(new_b, np.roll(x, -shift, axis=2), x)[:, :, :6]
      cut[name] = x.reshape(len(x), 18, *x.shape[3:]) * (gain if name in fields[1:3] else 1)
    words = Words(**{**full._asdict(), **cut})
    _, placed = placement.fit_and_place(words, label_b, subject_b, subject_b != 'new', worn,
                                        least_confidence=0)
    perm_c = perm_gc[placed['new'].element]
    there_c = np.flatnonzero(perm_c >= 0)  # place c of the frame is electrode c - shift of the new wearer
    assert len(there_c) == 6 - abs(shift) and set(perm_c[there_c] - there_c) == {-shift}, (shift, perm_c)


def test_held_out_data_and_labels_touch_no_fitted_number():
  """Catches: a template, deviation, covariance, temperature or prior that a held-out wearer enters,
  and a placement that reads labels."""
  words, label_b, subject_b = wearers()
  held_b = subject_b == 'new'
  model, placed = placement.fit_and_place(words, label_b, subject_b, ~held_b, RING)
  other_b = np.where(held_b, 77, label_b)
  _, same = placement.fit_and_place(words, other_b, subject_b, ~held_b, RING)
  assert same == placed
  loud = words._replace(amplitude_n=np.where(held_b[:, None], 9, words.amplitude_n),
                        spectrum_nf=np.where(held_b[:, None, None], 5, words.spectrum_nf),
                        waveform_np=np.where(held_b[:, None, None], 7, words.waveform_np))
  changed, _ = placement.fit_and_place(loud, other_b, subject_b, ~held_b, RING)
  for name, value in model.to_arrays().items():
    np.testing.assert_array_equal(changed.to_arrays()[name], value, err_msg=name)


@functools.lru_cache
def _fitted(seed):
  words, label_b, subject_b = wearers(seed=seed, repetitions=3)
  model, _ = placement.fit_and_place(words, label_b, subject_b, subject_b != 'new', RING, least_confidence=0.9)
  return words, subject_b, model


@settings(max_examples=25, deadline=None)
@given(seed=strategies.integers(0, 2), turn=strategies.integers(0, len(GROUP) - 1),
       absent=strategies.floats(0, 0.2))
def test_turning_or_mirroring_a_recording_changes_no_aligned_word(seed, turn, absent):
  """Catches: an alignment that depends on how the band was put on, in any field of a word: what a
  model then reads, and so every prediction, is the same to the bit."""
  words, subject_b, model = _fitted(seed)
  raw = rows(words, subject_b == 'new')
  raw = raw._replace(valid_n=np.random.default_rng(seed).random(raw.valid_n.shape) >= absent)

  def aligned(band):
    windows, _ = window_features(band, CHANNELS)
    found = placement.place(model, windows)
    assert not found.refused
    return montage.permute_words(band, found.element, RING)

  for name, a, b in zip(Words._fields, aligned(montage.permute_words(raw, turn, RING)), aligned(raw)):
    np.testing.assert_array_equal(a, b, err_msg=name)


def test_turning_only_permutes_the_scores():
  """Catches: a prior or a centre that prefers one way of wearing, which a turn would then defeat."""
  model, new = model_and_new()
  plain_g = placement.scores(model, new.take(slice(0, 4)))
  for turn, perm_c in enumerate(GROUP):
    turned = new.take(slice(0, 4))._replace(site_wcf=new.site_wcf[:4, perm_c],
                                           pair_wcc=new.pair_wcc[:4][:, perm_c][:, :, perm_c])
    product_g = [int(np.flatnonzero((GROUP == perm_c[row]).all(1))[0]) for row in GROUP]
    np.testing.assert_allclose(placement.scores(model, turned), plain_g[product_g], atol=1e-9,
                               err_msg=str(turn))


def test_an_unsure_call_takes_the_training_wearers_usual_element():
  """Catches: a coin toss between a band and its mirror image."""
  model, new = model_and_new()
  sure = placement.place(model, new)
  close = placement.place(model, new, least_confidence=1.1)
  assert sure.element != model.usual == close.element and close.refused
  assert (close.confidence, close.margin) == (sure.confidence, sure.margin)
  assert not placement.place(model, new, least_confidence=0).refused


def test_known_labels_make_a_few_windows_say_more():
  """Catches: labels that are not read, or read as places of the model's classes."""
  words, label_b, subject_b = wearers()
  windows, sentence_w = window_features(words, CHANNELS)
  subject_w, label_w = subject_b[sentence_w], label_b[sentence_w]
  train_w = subject_w != 'new'
  model = alignment.fit(windows.take(train_w), label_w[train_w] + 3, subject_w[train_w], GROUP)
  new, told_w = windows.take(~train_w), label_w[~train_w] + 3
  told = placement.place(model, new, label_w=told_w)
  assert told.element == inverse(WORN['new']) and not told.refused
  assert placement.place(model, new, label_w=told_w[::-1], least_confidence=0).element != told.element


def test_a_montage_that_cannot_turn_is_left_alone():
  """Catches: targeted muscles scored, refused or permuted."""
  words, label_b, subject_b = wearers({s: 0 for s in ('A', 'B', 'new')},
                                      place=montage.Montage((1, 6, 12), (0,) * 3, (True,) * 3))
  worn = montage.Montage((1, 6, 12), (0,) * 3, (True,) * 3)
  _, placed = placement.fit_and_place(words, label_b, subject_b, subject_b != 'new', worn)
  assert placed['new'] == (0, 1.0, 0.0, False)


def _calibrated(**options):
  words, label_b, subject_b = wearers(MANY, **options)
  windows, sentence_w = window_features(words, CHANNELS)
  data = windows, label_b[sentence_w], subject_b[sentence_w]
  return placement.calibrated(alignment.fit(*data, GROUP), *data)


def test_the_least_confidence_is_chosen_on_the_training_wearers():
  """Catches: a threshold that ignores them. Clear wearers are accepted at once; where nothing tells
  the places apart, sure wrong stretches take away the temperature or all acceptance."""
  clear, hopeless = _calibrated(noise=0.3, repetitions=3), _calibrated(noise=60.0, repetitions=3)
  assert clear.least_confidence == 0.9 and clear.temperature > hopeless.temperature
  assert clear.element_s.tolist() == [inverse(e) for e in MANY.values()]
  _, new = model_and_new(worn={'A': 0, 'new': 3}, noise=60.0, seed=9)
  assert placement.place(hopeless, new).refused
  few = alignment.fit(*_first_three())
  assert placement.calibrated(few, *_first_three()[:3]) is few


def _first_three():
  words, label_b, subject_b = wearers({'A': 0, 'B': 0, 'C': 0})
  windows, sentence_w = window_features(words, CHANNELS)
  return windows, label_b[sentence_w], subject_b[sentence_w], GROUP


def test_online_decides_once_it_is_sure_and_not_before():
  """Catches: a decision from the first window, one that later windows change, a sum that forgets
  earlier windows, and a wearer who is asked for data for ever."""
  model, new = model_and_new(noise=1.5)
  online = placement.Online(model)
  assert online.placement.element == model.usual and online.placement.refused
  for seen in range(1, len(new.site_wcf)):
    got = online.add(new.take(slice(seen - 1, seen)))
    assert got == placement.place(model, new.take(slice(0, seen)))
    if online.decided:
      break
  assert online.decided and seen > 1 and got.element == inverse(WORN['new'])
  assert online.add(new.take(slice(0, 2))) == got and online.windows == seen
  never = placement.Online(dataclasses.replace(model, least_confidence=np.array(2.0)), most_windows=3)
  for i in range(5):
    never.add(new.take(slice(i, i + 1)))
  assert never.decided and never.windows == 3 and never.placement.element == model.usual


def test_windows_of_another_montage_are_refused():
  """Catches: a band of another number of electrodes scored in silence, and no windows at all."""
  model, new = model_and_new()
  for bad in (new.take(slice(0, 0)), new._replace(site_wcf=new.site_wcf[:, :5])):
    with pytest.raises(ValueError, match='expected some of 6 channels'):
      placement.place(model, bad)
