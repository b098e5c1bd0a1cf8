"""Fatigue from motion, end to end: leaks, controls, scores, what a checkpoint says, resuming."""

import dataclasses
import json

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from aemg_jax.config import as_plain, section
from aemg_jax.data import motion_splits
from aemg_jax.evaluation import motion_fatigue, motion_methods, motion_scores
from aemg_jax.models.posture_fatigue import ConvConfig, PostureFatigueConfig
from aemg_jax.sequences import motion
from aemg_jax.signal.kinematics import KinematicsConfig
from aemg_jax.signal.voxels import VoxelConfig
from aemg_jax.signal.wavelets import WaveletConfig
from aemg_jax.training import checkpoints, optim
from aemg_jax.training.tasks import MotionTask
from configs import kinematics_fatigue
from data_builders import build

TINY = MotionTask(PostureFatigueConfig(
    frames=64, features=6, levels=3, cells=10, image=ConvConfig((2,), (2,), (1,)),
    posture=ConvConfig((2, 2), (2, 5), (1, 0)), dense=4, width=3, hidden=4, dropout=0.0),
    WaveletConfig(levels=3), VoxelConfig(cells=10))
NETWORK = motion_methods.NetworkMethod(
    TINY, optim.OptimConfig(learning_rate=1e-2, schedule='constant'), epochs=1, batch_size=16, balanced=True)
CONTROLS = (motion_methods.MajorityMethod(), motion_methods.ElapsedMethod(), motion_methods.RidgeMethod())


def _windows(n=40, seed=0):
  """Four people whose first feature grows with Borg, 10 windows each."""
  rng = np.random.default_rng(seed)
  borg_b = np.tile(np.linspace(0, 9.9, 10), n // 10)
  feature_btf = rng.normal(size=(n, 8, 3)) + borg_b[:, None, None] * np.array([1, 0, 0])[None, None]
  subject_b = np.repeat([f'P{i}' for i in range(n // 10)], 10)
  start_s = np.tile(np.arange(10) * 5.0, n // 10)
  table = {'record_id': subject_b, 'subject': subject_b, 'session': np.tile(['a', 'b'], n // 2),
           'repetition': np.full(n, -1), 'label': (borg_b >= 7).astype(np.int32), 'start_s': start_s,
           'stop_s': start_s + 5}
  return motion.Windows(feature_btf.astype(np.float32), np.ones((n, 8, 3), bool), None,
                        borg_b.astype(np.float32), start_s + 5, table)


def _fold(windows):
  return motion_splits.folds_of('S2', windows.segments, 1.0, 2, 0)[0]


@pytest.mark.parametrize('method', CONTROLS, ids=lambda m: type(m).__name__)
def test_the_held_out_person_changes_nothing_that_is_learnt(method):
  """Catches: a scaler, a threshold or a majority over tested windows: other tested values and labels
  must leave the answer to the same tested window alone."""
  windows = _windows()
  fold = _fold(windows)
  before = method.predict(windows, fold, 0)
  rows = motion_methods.test_rows(fold)
  feature_btf, borg_b = windows.feature_btf.copy(), windows.borg_b.copy()
  feature_btf[rows[1:]], borg_b[rows] = 50.0, 3.0
  label_b = windows.segments['label'].copy()
  label_b[rows] = 1 - label_b[rows]
  changed = windows._replace(feature_btf=feature_btf, borg_b=borg_b,
                             segments=windows.segments | {'label': label_b})
  after = method.predict(changed, fold, 0)
  assert before.score_b[0] == after.score_b[0] and before.value_b[0] == after.value_b[0]


def test_controls_see_what_they_may():
  """Catches: a control that reads motion, a ridge that does not, a class turned round."""
  windows = _windows()
  fold = _fold(windows)
  still = windows._replace(feature_btf=np.zeros_like(windows.feature_btf))
  macro = {}
  for method in CONTROLS:
    found = method.predict(windows, fold, 0)
    macro[type(method).__name__] = motion_scores.score(found, windows)['all']['macro_f1']
    if not isinstance(method, motion_methods.RidgeMethod):
      np.testing.assert_array_equal(method.predict(still, fold, 0).score_b, found.score_b)
  assert macro['ElapsedMethod'] == 1.0 and macro['RidgeMethod'] > 0.9
  assert macro['MajorityMethod'] == pytest.approx(7 / 17)  # 7 of 10 windows are rested


def test_scores_are_scikit_learns():
  """Catches: fatigue as the negative class, a score of other people in a person's, a mean over people
  where all windows are meant."""
  windows = _windows()
  rng = np.random.default_rng(1)
  rows = rng.permutation(40)[:25]
  found = motion_methods.Predictions(rows, rng.random(25), rng.uniform(0, 10, 25))
  scored = motion_scores.score(found, windows)
  for name, here in (('all', np.ones(25, bool)), ('P2', windows.segments['subject'][rows] == 'P2')):
    got = scored['all'] if name == 'all' else scored['per_subject'][name]
    label, borg = windows.segments['label'][rows[here]], windows.borg_b[rows[here]]
    guess = found.score_b[here] >= 0.5
    assert got['windows'] == here.sum() and got['fatigued'] == label.sum()
    assert got['accuracy'] == pytest.approx(sk.accuracy_score(label, guess))
    assert got['macro_f1'] == pytest.approx(sk.f1_score(label, guess, average='macro'))
    assert got['borg_mae'] == pytest.approx(sk.mean_absolute_error(borg, found.value_b[here]))
    assert got['borg_spearman'] == pytest.approx(stats.spearmanr(borg, found.value_b[here]).statistic)


def test_stairs_fall_every_ten_epochs():
  """Catches: a fall at every step, or steps counted in epochs; the paper: 1e-4, x0.1 every 10 of 50."""
  paper = section(motion_fatigue.MotionFatigueConfig, kinematics_fatigue.get_config('paper').to_dict())
  method = next(m.method for m in paper.motion[0].methods if m.name == 'BiLSTM')
  assert (method.epochs, method.stair_epochs, method.batch_size) == (50, 10, 32)
  assert as_plain(method.task.model) == as_plain(PostureFatigueConfig())
  config = dataclasses.replace(method.optim, stair_steps=10 * 7)
  rate = optim.learning_rate(config, 350)
  np.testing.assert_allclose([rate(i) for i in (0, 69, 70, 139, 140, 349)],
                             [1e-4, 1e-4, 1e-5, 1e-5, 1e-6, 1e-8], rtol=1e-5)
  with pytest.raises(ValueError, match='OptimConfig.stair_steps: got 0'):
    optim.OptimConfig(schedule='stairs')


def test_every_variant_parses():
  """Catches: a key that no dataclass knows; a part or size that is misspelt."""
  for variant in (None, 'paper', 'small,part=synthetic', 'small,part=imu', 'paper,part=own'):
    parsed = section(motion_fatigue.MotionFatigueConfig, kinematics_fatigue.get_config(variant).to_dict())
    assert all(part.synthetic == (part.name == 'synthetic_reaching') for part in parsed.motion)
  for variant in ('tiny', 'small,part=all', 'small,imu'):
    with pytest.raises(ValueError, match='config variant'):
      kinematics_fatigue.get_config(variant)


@pytest.fixture(name='ran', scope='module')
def _ran(tmp_path_factory):
  """(workdir, data_dir, config) of a run of a tiny network on the synthetic set."""
  data, work = tmp_path_factory.mktemp('data'), tmp_path_factory.mktemp('work')
  build.build('synthetic_reaching', str(data), progress=False)
  windows = motion.MotionConfig(frames=64, stride=200, kinematics=KinematicsConfig(groups=('angle',)))
  named = motion_fatigue.NamedMethod
  methods = (named('majority', CONTROLS[0]), named('elapsed time only', CONTROLS[1]),
             named('net', NETWORK, ('S2',)), named('net, shuffled labels', dataclasses.replace(
                 NETWORK, shuffled=True), ('S2',)))
  part = motion_fatigue.PartConfig('toy', 'synthetic_reaching', True, methods, windows, 4, 100, 'net')
  config = motion_fatigue.MotionFatigueConfig('Toy', (part,))
  motion_fatigue.run(config, str(data), str(work))
  return work, data, config


@pytest.mark.heavy
def test_all_of_it_runs_and_is_marked(ran):
  """Catches: a split without its rows; synthetic numbers without their mark; S0 that is not called leaky."""
  work = ran[0]
  found = json.loads((work / 'toy_results.json').read_text())
  assert found['synthetic'] and found['windows']['fatigued'] > 10
  rows = {(row['split'], row['method']): row for row in found['rows']}
  assert {split for split, _ in rows} == set(motion_splits.NAMES) and len(rows) == 2 * 4 + 2
  assert [row['leaky'] for row in found['rows']] == [row['split'] == 'S0' for row in found['rows']]
  assert rows['S2', 'net']['folds'] == 4 and list(rows['S2', 'net']['per_subject'])[3] == 'S03'
  table = (work / 'toy_table.md').read_text()
  assert 'SYNTHETIC: not a result' in table and 'leaky, for comparison with the paper only' in table
  page = (work / 'report.html').read_text()
  assert page.count('Synthetic data: not a result') == 5  # the facts and four splits
  for name in ('skeletons', 'wavelets', 'voxels', 'fatigue'):
    assert (work / 'figures' / f'toy-{name}.png').stat().st_size > 5000


@pytest.mark.heavy
def test_the_checkpoint_says_what_serving_needs(ran):
  """Catches: a model without its rate, window, smoothing, levels, scaler or the meaning of its classes."""
  (folder,) = (ran[0] / 'toy').glob('model-*')
  meta = checkpoints.load_meta(folder)
  assert section(motion.MotionConfig, meta['windows']) == ran[2].motion[0].windows
  assert section(MotionTask, meta['task']) == TINY
  assert meta['class_names'] == ['rested', 'fatigued'] and meta['fatigued_from_borg'] == 7.0
  assert len(meta['mean']) == len(meta['sd']) == len(meta['features']) == 6 and meta['synthetic']
  windows = motion.make_windows(motion_fatigue.sources.read_records(str(ran[1] / 'synthetic_reaching'))[:1],
                                ran[2].motion[0].windows)[0]
  scaler = motion.Scaler(np.array(meta['mean']), np.array(meta['sd']))
  batch = motion_methods.make_batch(windows, np.arange(3), scaler)
  score_b, value_b = motion_methods.score_windows(
      TINY, checkpoints.load_params(folder), checkpoints.load_extra(folder), batch)
  assert ((score_b > 0) & (score_b < 1)).all() and np.isfinite(value_b).all()


@pytest.mark.heavy
def test_the_same_command_goes_on(ran, monkeypatch):
  """Catches: folds trained again, a table that changes when the run is repeated."""
  work, data, config = ran
  rows = lambda: [row | {'commit': ''} for row in json.loads((work / 'toy_results.json').read_text())['rows']]
  before = rows()
  (work / 'toy_results.json').unlink()
  monkeypatch.setattr(motion_methods.NetworkMethod, 'predict', None)
  motion_fatigue.run(config, str(data), str(work))
  assert rows() == before


def test_a_config_that_does_not_fit_is_refused():
  """Catches: two rows of one name, a split that is not there, a deployed control."""
  named = motion_fatigue.NamedMethod
  part = lambda *methods, **more: motion_fatigue.PartConfig('x', 'y', True, methods, **more)
  with pytest.raises(ValueError, match='expected different names'):
    part(named('a', CONTROLS[0]), named('a', CONTROLS[1]))
  with pytest.raises(ValueError, match="splits: got .'S9'."):
    part(named('a', CONTROLS[0], ('S9',)))
  with pytest.raises(ValueError, match="deploy: got 'a', expected one of"):
    part(named('a', CONTROLS[0]), deploy='a')
