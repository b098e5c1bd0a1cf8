"""Several built sets in one batch: shares by temperature, a mean for each, one grid."""

import dataclasses

import numpy as np
import pytest

from aemg_jax.data import batches, splits
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


def test_open_grids_take_the_sets_number_of_channels():
  """Catches: a model of 0 channels, or one grid read as another."""
  model = dataclasses.replace(tiny_runs.TASKS['vq'].model.encoder, max_channels=0)
  task = dataclasses.replace(tiny_runs.TASKS['vq'], model=dataclasses.replace(
      tiny_runs.TASKS['vq'].model, encoder=model))
  prepared = tiny_mixture.prepared()
  job, sets = jobs.open_sets(_job(task=task), [prepared.path])
  assert job.task.model.encoder.max_channels == job.prepare.sentence.max_channels == 24
  assert job.prepare == sets[0].config
