"""The same real recording at 200, 1000 and 2000 Hz has the same codes, by pre-training subjects' codebook.

MyoArmband is native at 200 Hz, 3DC at 1000, GRABMyo at 2048 Hz. The codebook reads what all rates have in
common (`bins`); with every bin, those from 90 to 100 Hz, which one version hears and another does not, change
65 to 71 % of the codes (MyoArmband).
"""

from unittest import mock

import pytest

from aemg_jax import sources
from aemg_jax.config import section
from aemg_jax.evaluation import codebook
from aemg_jax.sentences import prepare
from aemg_jax.sentences.words import PrepareConfig, with_channels
from aemg_jax.training import jobs
from configs import vq
from tests import resampled
from tests.sentences import hand_made

pytestmark = pytest.mark.real
TRAIN = tuple(f'PreTraining/Male{i}' for i in range(4))
RATES_HZ = (200, 1000, 2000)


@pytest.fixture(name='coder', scope='module')
def _coder(build, tmp_path_factory):
  """(words' settings, centred words -> codes); 256 codes, 150 updates on four pre-training subjects."""
  found = sources.read_records(str(build('myo_armband', 'myoarmband_cote_allard.zip') / 'myo_armband'))
  mine = hand_made.Source([r for r in found if r.subject in TRAIN], labels=found.meta.label_names)
  job = vq.get_config(f'myo_armband,bins={vq.COMMON_BINS}')
  job.loop.update(steps=150, checkpoint_every=150, progress=False)
  job.subjects = TRAIN
  config, out = section(jobs.JobConfig, job.to_dict()), tmp_path_factory.mktemp('rates')
  with mock.patch.object(prepare.sources, 'read_records', lambda path: mine):
    prepare.prepare(['made'], str(out / 'prepared'), config.prepare, num_shards=1)
  jobs.run(config, [str(out / 'prepared')], str(out / 'vq'))
  model, trees = codebook.tokeniser_of(str(out / 'vq'))
  chosen = section(PrepareConfig, job.prepare.to_dict() | {
      'sentence': job.prepare.sentence.to_dict() | {'more_channels': 'even'}})
  return with_channels(chosen, 8), lambda words: codebook.encode(model, trees, words)[0]


@pytest.mark.parametrize('name, archive, subject', [
    ('myo_armband', 'myoarmband_cote_allard.zip', 'PreTraining/Male5'),
    ('myo_armband', 'myoarmband_cote_allard.zip', 'PreTraining/Female2'),
    ('three_dc', '3dc.zip', 'Participant1'), ('grabmyo', 'grabmyo_partial.zip', '')])
def test_most_words_keep_their_code(build, coder, name, archive, subject):
  """Catches: a tokeniser whose words depend on the amplifier's rate: a high-pass, resampler, scale or mean
  that moves with it; a codebook that reads bins which a slow version lacks."""
  found = sources.read_records(str(build(name, archive) / name))
  records = [r for r in found if not subject or r.subject == subject]
  records = [r for r in records if r.session == records[0].session][:40]
  config, code_of = coder
  native = records[0].rate_hz
  shares = resampled.same_codes(records, [native, *(r for r in RATES_HZ if r != native)], config, code_of)
  assert len(records) >= 8 and min(shares) >= 0.95, shares
