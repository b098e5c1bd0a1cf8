"""The checkpoint that comes with the package."""

import pathlib

import pytest

import aemg_jax
from aemg_jax.config import section
from aemg_jax.evaluation import evaluate
from aemg_jax.training import export_files
from configs import common, few_subjects

FOLDER = pathlib.Path(aemg_jax.__file__).parent / 'pretrained'
LIMIT_BYTES = 8 << 20


def test_all_weights_together_are_small_and_described():
  """Catches: weights too large for a repository, a folder without its card."""
  files = [path for path in FOLDER.rglob('*') if path.is_file()]
  assert files and sum(path.stat().st_size for path in files) < LIMIT_BYTES
  for folder in {path.parent for path in files}:
    assert export_files.is_export(folder)
    card = (folder / export_files.CARD).read_text(encoding='utf-8')
    assert all(f'## {part}\n' in card for part in ('Use', 'Data', 'Numbers', 'Limits'))


def test_nobody_who_is_evaluated_trained_it():
  """Catches: a checkpoint of another split."""
  config, *_ = export_files.read(FOLDER / 'myo_armband_tiny')
  data = common.of('myo_armband')
  assert set(config['job']['subjects']) == set(data['pretraining'])
  assert not set(config['job']['subjects']) & set(data['evaluation'])


@pytest.mark.heavy
def test_it_proves_itself_and_evaluation_takes_it():
  """Catches: golden outputs that this machine does not give, a size that the configs do not ask for."""
  loaded = aemg_jax.load_pretrained(FOLDER / 'myo_armband_tiny')
  config = section(evaluate.EvaluateConfig, few_subjects.get_config('myo_armband').to_dict(), 'config')
  pretrained = evaluate._pretrained(str(FOLDER / 'myo_armband_tiny'), config)
  assert pretrained.hash and set(pretrained.encoder) == set(loaded.params['encoder'])
