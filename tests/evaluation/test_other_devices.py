"""What lets a set of another device be evaluated: units of classical features, the grid of a frozen encoder."""

import dataclasses

import numpy as np
import pytest

from aemg_jax.evaluation import evaluate
from aemg_jax.evaluation.transfer import TransferMethod
from aemg_jax.models import ClassifierConfig
from aemg_jax.sentences import cache
from aemg_jax.sentences.views import View
from aemg_jax.sentences.words import RectifyConfig
from tests import tiny_runs, tiny_set


def test_features_know_no_unit(tmp_path):
  """Catches: constants of log features added in volts, where they are larger than the signal."""
  records = tiny_set.records()
  in_volts = [dataclasses.replace(r, signal_tc=r.signal_tc.astype(np.float64) * 1e-5) for r in records]
  in_volts_config = dataclasses.replace(tiny_set.FIXED, rectify=RectifyConfig(scale='fixed', fixed_scale=1e-3))
  volts = cache.open_prepared(tiny_set.write(str(tmp_path / 'volts'), in_volts, in_volts_config))
  found = []
  for prepared in (tiny_set.prepared(), volts):
    table = evaluate._window_table(prepared)
    _, rows = table.windows(26), np.arange(20)
    found.append(table.gather(('log_hudgins',), 26, rows))
  np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-5)


@pytest.mark.heavy
def test_an_encoder_of_slots_takes_another_montage():
  """Catches: a checkpoint refused for the number of electrodes alone, one of another size or mixing taken."""
  def config(encoder):
    network = evaluate.Network('x', TransferMethod(
        model=ClassifierConfig(encoder, classes=3), start='checkpoint', tune='lda'))
    return evaluate.EvaluateConfig('x', (View('fixed', tiny_set.FIXED), View('session', tiny_set.SESSION)),
                                   (), networks=(network,))
  checkpoint = tiny_runs.workdir('supervised')
  wider = dataclasses.replace(tiny_set.ENCODER, max_channels=6)
  assert evaluate._pretrained(checkpoint, config(wider)).hash == evaluate._pretrained(
      checkpoint, config(tiny_set.ENCODER)).hash
  for other in (dict(mixing='words'), dict(blocks=dataclasses.replace(tiny_set.BLOCKS, width=8))):
    with pytest.raises(ValueError, match='of another size or kind'):
      evaluate._pretrained(checkpoint, config(dataclasses.replace(wider, **other)))
