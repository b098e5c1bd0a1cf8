"""Jobs: what a work directory belongs to, where tokenisers come from, and exact resumption."""

import dataclasses
import json
import os
import shutil

import jax
import numpy as np
import pytest

from aemg_jax import config as config_lib
from aemg_jax.data import batches, loader
from aemg_jax.models import ClassifierConfig, quantiser
from aemg_jax.training import checkpoints, jobs, loop
from aemg_jax.training.loop import LoopConfig
from aemg_jax.training.tasks import SupervisedTask, VQTask
from tests import tiny_runs, tiny_set


@pytest.fixture(name='fit')
def _fit(monkeypatch):
  """jobs.run without training: what it would have called `loop.fit` with."""
  tiny_runs.workdir('vq')  # trained before training is taken away
  seen = {}

  def fit(task, tx, batches_fn, begin, config, **rest):
    seen.update(rest, task=task, batches=batches_fn, state=begin)
    return loop.Fit(begin, [], 0.0)

  monkeypatch.setattr(jobs.loop, 'fit', fit)
  return seen


@pytest.mark.heavy
def test_a_work_directory_belongs_to_one_job():
  """Catches: a run that goes on from parameters of other settings or data."""
  workdir = tiny_runs.workdir('vq')
  before = sorted(os.listdir(workdir))
  for changes, message in (
      (dict(seed=1), 'seed: made with 0, expected 1'),
      (dict(centre='none'), "centre: made with 'training', expected 'none'"),
      (dict(batch_size=32), 'batch_size: made with 16, expected 32')):
    with pytest.raises(ValueError, match=f'vq: holds the checkpoint of another job: {message}'):
      tiny_runs.run('vq', workdir, **changes)
  assert sorted(os.listdir(workdir)) == before


def test_a_job_from_before_a_setting_goes_on(monkeypatch):
  """Catches: a run that an update of the library cuts off, since its stored job lacks a new setting; one that goes on
  with another value of it."""
  meta = {'job': config_lib.as_plain(tiny_runs.job('vq')), 'prepared': []}
  stored = json.loads(json.dumps(meta))
  del stored['job']['align'], stored['job']['task']['model']['bins']
  monkeypatch.setattr(jobs.checkpoints, 'latest_meta', lambda path: stored)
  jobs._check_workdir('w', meta)
  stored['job']['task']['model']['bins'] = 3
  with pytest.raises(ValueError, match='w: holds the checkpoint of another job: task.model.bins: made with 3, expected 0'):
    jobs._check_workdir('w', meta)


@pytest.mark.heavy
def test_the_masked_task_needs_the_tokeniser_of_its_own_words(tmp_path):
  """Catches: codes of a random tokeniser, of another preset's words, or of another model."""
  vq = tiny_runs.workdir('vq')
  for kind, init, changes, message in (
      ('masked', '', {}, 'needs the tokeniser of step 1, expected --init'),
      ('vq', vq, {}, 'is for the masked task alone'),
      ('masked', tiny_runs.workdir('supervised'), {}, 'holds a SupervisedTask, expected'),
      ('masked', str(tmp_path), {}, 'no checkpoint there')):
    with pytest.raises(ValueError, match=message):
      tiny_runs.run(kind, tmp_path / 'new', init, **changes)
  job = dataclasses.replace(tiny_runs.job('masked'), prepare=tiny_set.SESSION)
  with pytest.raises(ValueError, match='vq: a tokeniser of other words: prepare.rectify.fixed_scale'):
    jobs.run(job, [tiny_set.prepared('session').path], str(tmp_path / 'new'), vq)
  assert not (tmp_path / 'new').exists()


@pytest.mark.heavy
def test_the_masked_task_predicts_the_stored_codes(fit, tmp_path):
  """Catches: a freshly drawn codebook in place of the trained one; a head of the wrong size."""
  vq = tiny_runs.workdir('vq')
  tiny_runs.run('masked', tmp_path / 'new', vq)
  want = {'vq_params': checkpoints.load_params(vq),
          'codebook': checkpoints.load_extra(vq)['codebook']}
  got = jax.device_get(fit['state'].extra)
  got['codebook'] = got['codebook']._asdict()
  jax.tree.map(np.testing.assert_array_equal, got, want)
  assert fit['task'].model.codes == 16 and fit['task'].vq == tiny_runs.VQ


@pytest.mark.heavy
def test_another_tokeniser_is_another_job(fit, tmp_path, monkeypatch):
  """Catches: a masked run that goes on with the codes of a tokeniser trained anew."""
  vq = tiny_runs.workdir('vq')
  tiny_runs.run('masked', tmp_path, vq)
  stored = dict(fit['meta'], params_hash='')
  monkeypatch.setattr(jobs.checkpoints, 'latest_meta', lambda path: stored)
  tiny_runs.run('masked', tmp_path, vq)
  stored['tokeniser'] = 'of another training'
  with pytest.raises(ValueError, match="another job: tokeniser: made with 'of another training'"):
    tiny_runs.run('masked', tmp_path, vq)


@pytest.mark.heavy
def test_a_resumed_tokeniser_is_bitwise_the_same(tmp_path):
  """Catches: k-means run again, a codebook or optimiser left out, batches that start over."""
  def run(name):
    job = tiny_runs.job('vq')
    config = LoopConfig(4, log_every=1, checkpoint_every=2, keep=3, progress=False)
    path = str(tmp_path / name)
    return jobs.run(dataclasses.replace(job, loop=config), [tiny_set.prepared().path], path)

  whole = run('a')
  shutil.rmtree(tmp_path / 'a' / 'checkpoints' / '4')
  resumed = run('a')
  assert [line['step'] for line in resumed.history] == [2, 3]
  jax.tree.map(np.testing.assert_array_equal, *map(jax.device_get, (whole.state, resumed.state)))
  assert [line['loss'] for line in whole.history[2:]] == [line['loss'] for line in resumed.history]


@pytest.mark.heavy
def test_a_collapsing_codebook_is_warned_of(fit, tmp_path):
  """Catches: a threshold on a scalar that no step writes."""
  tiny_runs.run('vq', tmp_path)
  assert fit['warn_below'] == {'codes_used': 0.05}
  count_k = np.where(np.arange(100) < 4, 9.0, 1e-3)
  few = quantiser.Codebook(np.eye(100), count_k, np.eye(100))
  scalars = VQTask(tiny_runs.VQ).report({'codebook': few}, few)
  assert float(scalars['codes_used']) == pytest.approx(0.04)


@pytest.mark.heavy
def test_classes_and_centre_come_from_the_prepared_set(fit, tmp_path):
  """Catches: a head of 7 classes over 3 labels; a checkpoint whose mean is that of all subjects."""
  model = dataclasses.replace(tiny_set.MODEL, classes=7)
  job = dataclasses.replace(tiny_runs.job('supervised'), task=SupervisedTask(model))
  prepared = tiny_set.prepared()
  jobs.run(job, [prepared.path], str(tmp_path))
  assert fit['task'].model.classes == 3 and fit['meta']['labels'] == list(tiny_set.LABELS)
  centre = batches.make_centre(prepared, 'training', range(4))  # sessions of s0 and s1
  np.testing.assert_allclose(fit['meta']['mean_of']['made'], centre.mean_scf[0], atol=1e-6)
  rows = np.concatenate([tiny_set.rows_of(s) for s in ('s0', 's1')])
  seen = np.concatenate([fit['batches'](step)['index'] for step in range(12)])
  assert set(seen) <= set(prepared.segments['first_sentence'][rows])
  assert fit['record_ids'](np.array([0, 35])) == ['made/s0-cal-0-0', 'made/s2-test-1-2']


def test_sets_of_other_labels_do_not_mix(tmp_path):
  """Catches: label 1 meaning another gesture in the second set."""
  other = tiny_set.write(os.path.join(str(tmp_path), 'set'), tiny_set.records(1), tiny_set.FIXED,
                         tiny_set.LABELS[::-1])
  with pytest.raises(ValueError, match=r"set: labels \('point', 'fist', 'open'\), expected"):
    jobs.run(tiny_runs.job('supervised'), [tiny_set.prepared().path, other], str(tmp_path / 'w'))


def test_a_model_of_another_grid_is_refused(tmp_path):
  """Catches: a 16-channel grid cut into slots of 8, which trains without a word."""
  for encoder, name in ((dict(max_channels=8), 'max_channels: got 8, expected 4'),
                        (dict(max_slots=2), 'max_slots: got 2, expected 4')):
    model = ClassifierConfig(dataclasses.replace(tiny_set.ENCODER, **encoder))
    job = dataclasses.replace(tiny_runs.job('supervised'), task=SupervisedTask(model))
    with pytest.raises(ValueError, match=f'EncoderConfig.{name}'):
      jobs.run(job, [tiny_set.prepared().path], str(tmp_path))
  job = dataclasses.replace(tiny_runs.job('vq'), task=VQTask(
      dataclasses.replace(tiny_runs.VQ, n_bins=25)))
  with pytest.raises(ValueError, match='VQConfig.n_bins: got 25, expected 26'):
    jobs.run(job, [tiny_set.prepared().path], str(tmp_path))


def test_sentences_read_as_they_come_are_those_in_memory(fit, tmp_path):
  """Catches: another order or centre when a set does not fit in memory."""
  tiny_runs.run('vq', tmp_path / 'a')
  whole = fit['batches'](1)
  tiny_runs.run('vq', tmp_path / 'b', in_memory=False)
  jax.tree.map(np.testing.assert_array_equal, fit['batches'](1), whole)
  assert isinstance(fit['batches'], loader.Loader)
