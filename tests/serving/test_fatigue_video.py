"""Fatigue over time in one video: windows, what is not answered, files, and the command line."""

import csv

import jax
import numpy as np
import pytest

from aemg_jax import config as config_lib
from aemg_jax.models.posture_fatigue import ConvConfig, PostureFatigueConfig
from aemg_jax.sequences import motion as motion_lib
from aemg_jax.sequences.motion import MotionConfig
from aemg_jax.serving import fatigue_video
from aemg_jax.serving.keypoint_input import KeypointVideo
from aemg_jax.signal.keypoints import POINTS
from aemg_jax.signal.wavelets import WaveletConfig
from aemg_jax.training import checkpoints, optim
from aemg_jax.training.state import init_state
from aemg_jax.training.tasks import MotionTask

pytestmark = pytest.mark.heavy

FRAMES, RATE_HZ = 40, 30.0
TASK = MotionTask(PostureFatigueConfig(
    frames=FRAMES, levels=2, image=ConvConfig((2,), (2,), (1,)), posture=ConvConfig((), (), ()), dense=4,
    width=3, hidden=4), WaveletConfig(levels=2))
MOTION = MotionConfig(frames=FRAMES, stride=10)


def keypoint_tkd(n_frames, rate_hz=RATE_HZ, seed=0):
  """A person who sways a little, every point seen."""
  rng = np.random.default_rng(seed)
  base_ka = rng.uniform(0.3, 0.7, (11, 3))
  base_ka[1:3] = ((0.6, 0.4, 0), (0.4, 0.4, 0))
  hz_ka, t = rng.uniform(0.3, 1, (11, 3)), np.arange(n_frames)[:, None, None] / rate_hz
  point_tka = base_ka[None] + 0.03 * np.sin(2 * np.pi * hz_ka[None] * t)
  return np.concatenate([point_tka, np.full((n_frames, 11, 1), 0.9)], -1).astype(np.float32)


def video(keypoints):
  return KeypointVideo('v', keypoints, RATE_HZ, np.array([640, 480], np.float32))


@pytest.fixture(name='workdir', scope='module')
def _workdir(tmp_path_factory):
  """A checkpoint with drawn parameters, as training leaves one."""
  path = tmp_path_factory.mktemp('model')
  tx = optim.make_tx(optim.OptimConfig(), 1)
  motion = motion_lib.keypoint_motion(keypoint_tkd(FRAMES), np.array([640, 480]), RATE_HZ, MOTION)
  feature_btf, _, pose = motion_lib.cut(motion, np.zeros(1, int), FRAMES)
  state = init_state(TASK, tx, {'feature_btf': feature_btf, 'pose': pose}, 0)
  louder = jax.tree.map(lambda x: 5 * x, state.params['class'])
  state = state.replace(params={**state.params, 'class': louder})
  meta = {'kind': 'motion_fatigue', 'task': config_lib.as_plain(TASK), 'windows': config_lib.as_plain(MOTION),
          'mean': [0.1] * 87, 'sd': [2.0] * 87, 'dataset': 'made_up', 'synthetic': True}
  with checkpoints.Checkpoints(path) as folder:
    folder.save(state, meta)
  return str(path)


@pytest.fixture(name='model', scope='module')
def _model(workdir):
  return fatigue_video.load(workdir)


def test_each_window_is_answered_from_itself(model):
  """A window that is cut a frame off or sees its neighbours; time of its start for that of its end."""
  frames_tkd = keypoint_tkd(130)
  found = fatigue_video.curve(video(frames_tkd), model, 0.5, 130)
  np.testing.assert_allclose(found.time_s, (40 + 15 * np.arange(7)) / 30)
  motion = motion_lib.keypoint_motion(frames_tkd, np.array([640, 480]), RATE_HZ, MOTION)
  window_tf = (motion.feature_tf[75:115] - 0.1) / 2
  heads = jax.jit(model.task.heads)(model.params, model.extra, {
      'feature_btf': window_tf[None].astype(np.float32)})
  odds = np.exp(np.asarray(heads.class_bk)[0])
  np.testing.assert_allclose(found.fatigued_b[5], odds[1] / odds.sum(), rtol=1e-4)
  np.testing.assert_allclose(found.borg_b[5], np.clip(5 + 3 * np.asarray(heads.value_b)[0], 0, 10), rtol=1e-4)
  assert found.fatigued_b.std() > 1e-5 and not found.looped_b.any()
  np.testing.assert_allclose([found.visibility_b, found.valid_b], np.tile([[0.9], [1]], (1, 7)), rtol=1e-6)


def test_hidden_people_get_no_answer(model):
  """A number where the arms were out of sight: the model then answers from its training mean."""
  frames_tkd = keypoint_tkd(200)
  frames_tkd[80:, :, 3] = 0.2
  found = fatigue_video.curve(video(frames_tkd), model, 40 / 30, 200)
  assert np.isnan(found.fatigued_b).tolist() == np.isnan(found.borg_b).tolist() == [False] * 2 + [True] * 3
  np.testing.assert_allclose(found.visibility_b, [0.9, 0.9, 0.2, 0.2, 0.2], rtol=1e-5)


def test_too_short_says_how_long(model):
  """An empty curve, or an error that leaves the user to guess."""
  with pytest.raises(ValueError, match=r'39 frames, 1\.3 s at 30 .*expected at least 40 frames \(1\.3 s\)'):
    fatigue_video.curve(video(keypoint_tkd(39)), model, 1.0, 39)
  assert len(fatigue_video.curve(video(keypoint_tkd(40)), model, 1.0, 40).time_s) == 1


def test_files(workdir, tmp_path):
  """A looped video's curve under the name of a recorded one; another video's rate taken for 30."""
  source = tmp_path / 'curl.npz'
  np.savez(source, keypoints=keypoint_tkd(20, 10.0), fps=10.0, width=640, height=480)
  written = fatigue_video.run(str(source), workdir, str(tmp_path / 'new' / 'out'), stride_s=0.2)
  assert [path.rsplit('/', 1)[1] for path in written] == ['curl.fatigue.csv', 'curl.fatigue.png']
  with open(written[0], newline='', encoding='utf-8') as file:
    rows = list(csv.DictReader(file))
  assert len(rows) == 4 and rows[0]['time_s'] == '1.333' and rows[-1]['time_s'] == '1.933'
  assert {row['frames'] for row in rows} == {'recorded'} and 0 < float(rows[0]['fatigued']) < 1
  looped = fatigue_video.run(str(source), workdir, str(tmp_path), loop_frames=90, stride_s=0.2)
  assert looped[0].endswith('/curl.looped.fatigue.csv')
  with open(looped[0], newline='', encoding='utf-8') as file:
    again = list(csv.DictReader(file))
  assert [row['time_s'] for row in again[:4]] == [row['time_s'] for row in rows]
  assert [row['frames'] for row in again[:6]] == ['recorded'] * 4 + ['looped'] * 2
  for path in written + looped:
    if path.endswith('.png'):
      with open(path, 'rb') as file:
        assert file.read(8) == b'\x89PNG\r\n\x1a\n'


def test_the_picture_says_what_it_shows(model, monkeypatch):
  """A looped recording's curve without the word; confidence of the left arm drawn as the right's."""
  frames_tkd = keypoint_tkd(90)
  frames_tkd[:, [k for k, name in enumerate(POINTS) if name.startswith('right')], 3] = 0.3
  shown = video(frames_tkd)._replace(notes=('LOOPED: 45 frames repeated to 90',))
  figures = []
  monkeypatch.setattr(fatigue_video.figure_style, 'render', lambda draw, height_in: figures.append(draw))
  fatigue_video.picture(shown, fatigue_video.curve(shown, model, 0.5, 45), model)
  from matplotlib.figure import Figure
  figure = Figure()
  figures[0](figure)
  assert 'LOOPED' in figure.get_suptitle() and 'made_up (SYNTHETIC)' in figure.get_suptitle()
  seen = {line.get_label(): line.get_ydata() for line in figure.axes[2].lines}
  np.testing.assert_allclose(seen['right arm'], 0.3, rtol=1e-5)
  np.testing.assert_allclose(seen['left arm'], 0.9, rtol=1e-5)


@pytest.mark.parametrize('change, word', [
    ({'kind': 'fatigue'}, "kind 'fatigue', expected 'motion_fatigue'"),
    ({'windows': {**config_lib.as_plain(MOTION), 'kind': 'imu'}}, "windows.kind: got 'imu'")])
def test_other_models_are_refused(workdir, monkeypatch, change, word):
  """A model of IMUs fed with key points; a traceback for the wrong folder."""
  meta = checkpoints.load_meta(workdir) | change
  monkeypatch.setattr(checkpoints, 'load_meta', lambda path: meta)
  with pytest.raises(ValueError, match=word):
    fatigue_video.load(workdir)
