"""Every config parses into its dataclass; the tiny ones run two steps on a synthetic recording or two."""

import importlib
import itertools
import os
import pathlib

import numpy as np
import pytest

from aemg_jax.config import section
from aemg_jax.evaluation.evaluate import EvaluateConfig
from aemg_jax.sentences import cache
from aemg_jax.sentences.views import ViewsConfig
from aemg_jax.training import checkpoints, jobs
from configs import common, pretrain_all
from data_builders.synthetic_emg import generator
from tests import tiny_set

FOLDER = pathlib.Path(common.__file__).parent
OF = {'prepare': ViewsConfig, 'vq': jobs.JobConfig, 'masked': jobs.JobConfig,
      'gesture_model': jobs.JobConfig, 'gesture': EvaluateConfig, 'curve': EvaluateConfig,
      'cross_dataset': EvaluateConfig}
# tests/evaluation, tests/training/test_pretrain.py
ELSEWHERE = {'ablate', 'fatigue_former', 'few_subjects', 'kinematics_fatigue', 'pretrain_all'}
MIXTURE = 'myo_armband+uci_emg/distinct+ninapro/db1+ninapro/db2'
MIXED = {'prepare', 'vq', 'masked'}  # the configs that take several sets
VARIANTS = [None, 'ninapro/db1', 'hyser/pr_dynamic,channels=12'] + [
    f'{d},preset={p},size={s}' for d, p, s in itertools.product(
        common.DATASETS, common.PRESETS, common.SIZES)]


def _get(name, variant):
  return importlib.import_module(f'configs.{name}').get_config(variant)


def test_every_config_is_tried_here():
  """Catches: a new config without a smoke test."""
  assert {p.stem for p in FOLDER.glob('*.py')} - {'__init__', 'common'} == set(OF) | ELSEWHERE


@pytest.mark.parametrize('name', OF)
def test_every_variant_parses(name):
  """Catches: a key that the dataclass does not know, a size or preset that cannot be built."""
  for variant in VARIANTS:
    parsed = section(OF[name], _get(name, variant).to_dict(), 'config')
    assert hash(parsed) is not None
  with pytest.raises(ValueError, match="preset: got 'papre', expected one of"):
    _get(name, 'synthetic_emg,preset=papre')
  with pytest.raises(ValueError, match="dataset: got 'uci_emg\\+', expected SET or SET"):
    _get(name, 'uci_emg+')
  with pytest.raises(ValueError, match="channels: got 'many', expected a number"):
    _get(name, 'uci_emg,channels=many')


def test_what_the_masked_task_predicts():
  """Catches: a variant that changes nothing, weights without the head that they train."""
  for predict, weights in (('words', (0.0, 1.0)), ('both', (1.0, 1.0)), ('codes', (1.0, 0.0))):
    task = section(jobs.JobConfig, _get('masked', f'synthetic_emg,predict={predict}').to_dict(), 'config').task
    assert (task.code_weight, task.reconstruction_weight) == weights
    assert task.model.reconstructs == 27 * bool(weights[1])
  with pytest.raises(ValueError, match="predict: got 'word', expected one of"):
    _get('masked', 'synthetic_emg,predict=word')


def test_a_checkpoint_on_the_curve():
  """Catches: rows of a checkpoint that no variant asks for, lost ones, people whom it was trained on."""
  names = lambda variant: {n.name for n in section(OF['curve'], _get('curve', variant).to_dict()).curve.networks}
  more = names('myo_armband,start=checkpoint') - names('myo_armband')
  assert more == {'pretrained-lda-aligned', 'pretrained-lda-aligned-self-trained'}
  with pytest.raises(ValueError, match='expected people whom pre-training did not see'):
    _get('curve', 'myo_armband,start=checkpoint,part=pretraining')


def test_bins_of_a_codebook():
  """Catches: a variant that is passed over, bins that a waveform would hold, a mixture of rates that reads them all."""
  assert [_get('vq', v).task.model.bins for v in ('synthetic_emg', 'synthetic_emg,bins=23')] == [0, 23]
  assert [pretrain_all.get_config(v).job.task.model.bins for v in ('vq', 'vq,preset=paper')] == [23, 0]
  with pytest.raises(ValueError, match="bins: got 'all', expected a number"):
    _get('vq', 'synthetic_emg,bins=all')
  for variant, why in (('bins=27', 'got 27, expected 0 to 26'), ('preset=paper,bins=23', 'got 23 with waveforms')):
    with pytest.raises(ValueError, match=rf'VQConfig\.bins: {why}'):
      section(OF['vq'], _get('vq', f'synthetic_emg,{variant}').to_dict(), 'config')


@pytest.mark.parametrize('name', OF)
def test_a_mixture_parses_where_it_has_a_meaning(name):
  """Catches: MyoArmband's evaluation subjects pre-trained on, because a mixture was asked for."""
  if name not in MIXED:
    with pytest.raises(ValueError, match='dataset: got 4 sets, expected one'):
      _get(name, MIXTURE)
    return
  parsed = section(OF[name], _get(name, f'{MIXTURE},temperature=2').to_dict(), 'config')
  if name == 'prepare':
    assert parsed.datasets[1:] == ('uci_emg/distinct', 'ninapro/db1', 'ninapro/db2')
    assert {v.prepare.sentence.max_channels for v in parsed.views} == {16}
    return
  assert parsed.temperature == 2 and parsed.task.model.encoder.max_channels == 16
  assert {p.split('/')[0] for p in parsed.subjects} == {
      'myo_armband:PreTraining', 'uci_emg*', 'ninapro*'}


@pytest.fixture(name='synthetic', scope='module')
def _synthetic():
  """(preset, scale) -> folder of one cycle of two subjects, prepared as the preset says."""
  device = generator.DEVICES['ring8_200hz']
  wanted = [job for job in generator.jobs(device) if job.name.split('/')[1] in ('S00', 'S01')]
  records = [generator.generate(device, job)[0] for job in wanted if job.name.endswith('cycle00')]

  def folder(preset, scale):
    out = os.path.join(tiny_set.folder(), 'synthetic', preset, scale)
    config = section(ViewsConfig, _get('prepare', f'synthetic_emg,preset={preset}').to_dict())
    view = next(view for view in config.views if view.name == scale)
    return tiny_set.write(out, records, view.prepare, generator.LABEL_NAMES[1:])

  return folder


def _small(config):
  """As a user would: the same inputs, grid, targets and heads without the stack of blocks, which
  other tests know and which would take most of the time to compile."""
  config.loop.update(steps=2, checkpoint_every=2, progress=False)
  config.batch_size = 8
  config.optim.warmup_steps = 1
  model = config.task.model
  model.encoder.blocks.update(width=16, layers=0)
  if 'decoder' in model:
    model.decoder.update(width=16, layers=0)
    model.quantiser.update(codes=16, kmeans_words=64, kmeans_iterations=1)
  return section(jobs.JobConfig, config.to_dict(), 'config')


@pytest.mark.heavy
@pytest.mark.parametrize('preset', common.PRESETS)
def test_two_steps_of_each_job(synthetic, preset, tmp_path):
  """Catches: a preset whose words, grid, targets and model do not fit together."""
  variant = f'synthetic_emg,preset={preset}'
  names = ('vq', 'masked') + ('gesture_model',) * (preset == 'default')  # a compilation each
  for name in names:
    scale, init = 'fixed' if name == 'gesture_model' else 'session', ''
    if name == 'masked':
      init = str(tmp_path / 'vq')
    job = _small(_get(name, variant))
    fit = jobs.run(job, [synthetic(preset, scale)], str(tmp_path / name), init)
    assert [line['step'] for line in fit.history] == [0, 1]
    assert all(np.isfinite(line['loss']) for line in fit.history)
  assert checkpoints.load_meta(tmp_path / 'vq')['labels'] == list(generator.SYNERGIES)


@pytest.mark.heavy
@pytest.mark.parametrize('preset', common.PRESETS)
def test_each_network_of_the_evaluation_gets_its_view(synthetic, preset):
  """Catches: a method whose view, checkpoint or protocol the config does not give."""
  config = section(EvaluateConfig, _get('gesture', f'synthetic_emg,preset={preset}').to_dict())
  views = {v.name: cache.open_prepared(synthetic(preset, v.name), v.prepare) for v in config.views}
  titles = {protocol.title for dataset in common.DATASETS for protocol in section(
      EvaluateConfig, _get('gesture', f'{dataset},preset={preset}').to_dict()).protocols}
  for network in config.networks:
    assert set(network.protocols) <= titles
    grid = views[network.network.view].config.sentence
    assert network.network.model.max_channels == grid.max_channels
