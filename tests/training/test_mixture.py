"""Several built sets in one batch: shares by temperature, a mean for each, one grid."""

import dataclasses

import numpy as np
import pytest

from aemg_jax.data import batches, frames, splits
from aemg_jax.training import jobs
from tests import tiny_mixture, tiny_runs


def _job(**changes):
  return tiny_runs.job('masked', prepare=tiny_mixture.OPEN, **{'subjects': (), **changes})


def test_every_set_has_its_own_training_mean():
  """Catches: the first set's mean taken from all of them, which leaves the others off by decades."""
  prepared = tiny_mixture.prepared()
  centre = batches.make_centre(prepared, 'training', range(3))
  own_scf = batches.make_centre(prepared, 'session', ()).mean_scf  # one session a set
  np.testing.assert_array_equal(centre.mean_scf, own_scf)
  unseen = batches.make_centre(prepared, 'training', [0]).mean_scf
  np.testing.assert_array_equal(unseen[1], own_scf[0])  # never a statistic of the set that is tested
  parts = jobs.mixture(_job(), [prepared])
  stored = {part.name: jobs._training_mean(prepared, part) for part in parts}
  again = batches.stored_centre(prepared, stored)
  np.testing.assert_allclose(again.mean_scf, own_scf, atol=1e-6)
  with pytest.raises(ValueError, match=r"trained on \['a/x', 'a/y', 'b'\], got 'c'"):
    batches.stored_mean(stored, 'c')


@pytest.mark.parametrize('temperature, weights, expected', [
    (1.0, (), None), (2.0, (), 'root'), (1e9, (), 'even'), (1.0, (1.0,), 'size')])
def test_shares_by_temperature(temperature, weights, expected):
  """Catches: the power turned upside down, so that the largest set takes all."""
  prepared = tiny_mixture.prepared()
  job = _job(temperature=temperature, weights=weights)
  parts = jobs.mixture(job, [prepared])
  assert [part.name for part in parts] == ['a/x', 'a/y', 'b']
  size = np.array([len(part.source['index']) for part in parts], float)
  assert size.tolist() == [1, 1, 6]
  found = jobs.shares(job, parts)
  if expected is None:
    assert found is None  # the loader's own: by size
    return
  wanted = {'root': np.sqrt(size), 'even': np.ones(3), 'size': size}[expected]
  np.testing.assert_allclose(found, wanted / wanted.sum(), rtol=1e-6)


def test_weights_are_of_prepared_sets_and_temperature_of_what_they_hold():
  """Catches: a prepared set of three built ones that counts three times."""
  job = _job(temperature=2.0, weights=(3.0, 1.0))
  prepared = tiny_mixture.prepared()
  parts = jobs.mixture(job, [prepared, prepared])
  found = np.array(jobs.shares(job, parts))
  np.testing.assert_allclose([found[:3].sum(), found[3:].sum()], [0.75, 0.25])
  with pytest.raises(ValueError, match='JobConfig.weights: got .*, expected one for each of the 1'):
    jobs.shares(job, parts[:3])


def test_subjects_of_a_mixture_are_asked_for_with_their_set():
  """Catches: a namesake of another set trained on in place of a subject that is held out."""
  table = tiny_mixture.prepared().segments
  assert splits.select_subjects(table, ['a:s0'], 'f') == ('a:s0',)
  alone = {k: v[table['dataset'] == 'a'] for k, v in table.items()}
  assert splits.select_subjects(alone, ['a:s0'], 'f') == ('s0',)
  assert splits.select_over([table, alone], ['b*'], 'f') == [('b:s0',), ()]
  with pytest.raises(ValueError, match="f: 'c:s0' fits no subject, expected one of"):
    splits.select_over([table, alone], ['c:s0'], 'f')
  with pytest.raises(ValueError, match='JobConfig.subjects chooses nobody there'):
    jobs.mixture(_job(subjects=('b:*',)), [tiny_mixture.prepared(), dataclasses.replace(
        tiny_mixture.prepared(), segments=alone)])


@pytest.mark.heavy
def test_every_set_has_a_frame_of_its_own_and_one_without_a_ring_none():
  """Catches: a frame over the wearers of two sets; a turn of one set's sessions by another's; electrodes
  without an order or labels turned; a mean by another set's places in the checkpoint."""
  prepared, job = tiny_mixture.rings(), tiny_runs.job('vq', prepare=tiny_mixture.OPEN, subjects=(), align=True,
                                                      centre='training')
  parts = {part.name: part for part in jobs.mixture(job, [prepared])}
  assert list(parts) == ['a', 'b', 'c', 'd']
  source_s, subject_s = prepared.sessions['source'], splits.column_keys(prepared.sessions, 'subject')
  own = batches.make_centre(prepared, 'training', range(len(source_s))).mean_scf
  plain = {part.name: part for part in jobs.mixture(dataclasses.replace(job, align=False), [prepared])}
  for name, part in parts.items():
    mine = source_s == name
    if name in ('c', 'd'):  # electrodes here and there; no label
      assert part.centre.frame is None and part.centre.element_s is None
      np.testing.assert_array_equal(part.centre.mean_scf[mine], own[mine])
      for a, b in zip(part.source['words'], plain[name].source['words']):
        np.testing.assert_array_equal(a, b)
      continue
    model, turns = part.centre.frame.model, tiny_mixture.TURNS[name]
    assert sorted(model.subject_s) == sorted(subject_s[mine])
    undone = (model.element_s - turns) % 8  # to one frame, whichever way that is turned
    assert len(set(undone.tolist())) == 1 and model.element_s.max() < 8
    np.testing.assert_array_equal(part.centre.element_s[mine], model.element_s)
    words = part.source['words']
    amplitude_wc = words.amplitude_n.reshape(-1, 8)[words.valid_n.reshape(-1, 8).all(1)]
    np.testing.assert_allclose(amplitude_wc.mean(0), 0, atol=1e-3)  # at each place of the set's own frame
    stored = np.array(jobs._training_mean(prepared, part))
    assert not np.allclose(stored, own[mine][0], atol=0.05)  # by place, not by electrode
    np.testing.assert_allclose(stored, part.centre.place_mean_cf, atol=1e-5)
    turned = next(i for i, turn in enumerate(turns) if turn != turns[1])
    assert not np.allclose(part.centre.mean_scf[np.flatnonzero(mine)[turned]], stored, atol=0.05)
  carried = frames.as_arrays({name: part.centre.frame for name, part in parts.items() if part.centre.frame})
  assert set(carried) == {'a', 'b'}
  assert not np.allclose(carried['a']['mean_kd'], carried['b']['mean_kd'], atol=0.05)


def test_open_grids_take_the_sets_number_of_channels():
  """Catches: a model of 0 channels, or one grid read as another."""
  model = dataclasses.replace(tiny_runs.TASKS['vq'].model.encoder, max_channels=0)
  task = dataclasses.replace(tiny_runs.TASKS['vq'], model=dataclasses.replace(
      tiny_runs.TASKS['vq'].model, encoder=model))
  prepared = tiny_mixture.prepared()
  job, sets = jobs.open_sets(_job(task=task), [prepared.path])
  assert job.task.model.encoder.max_channels == job.prepare.sentence.max_channels == 24
  assert job.prepare == sets[0].config
