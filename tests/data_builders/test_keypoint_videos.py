"""Key points from real frames by OpenCV and MediaPipe, in their own environment.

Needs .venv-keypoints (`launch/run_tests.sh --keypoints` makes it) or AEMG_KEYPOINT_PYTHON. What shows
a person is made of bicep_curl_video.zip in AEMG_RAW_DIR, and skipped without.
"""

import os
import pathlib
import subprocess
import zipfile

import numpy as np
import pytest

from aemg_jax.signal import keypoints, kinematics
from data_builders.kinematics_fatigue import keypoint_files, parser

pytestmark = pytest.mark.keypoints

ROOT = pathlib.Path(__file__).parents[2]
ZIP = 'bicep_curl_video.zip'
FLAT = keypoints.KeypointConfig(z_over_width=1e-9)
ONLY_ANGLES = kinematics.KinematicsConfig(groups=('angle',), smooth_frames=1)


@pytest.fixture(name='python', scope='module')
def _python():
  """python(*arguments) runs the other environment's interpreter in the repository."""
  path = os.environ.get('AEMG_KEYPOINT_PYTHON', str(ROOT / '.venv-keypoints' / 'bin' / 'python'))
  if not os.path.exists(path):
    pytest.skip(f'{path} is not there: bash launch/run_tests.sh --keypoints')
  return lambda *arguments: subprocess.run(
      [path, *map(str, arguments)], cwd=ROOT, env={'PYTHONPATH': str(ROOT), 'HOME': '/nowhere'},
      capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(name='videos', scope='module')
def _videos(python, tmp_path_factory):
  """A folder of videos without a person, and if there are recordings of some with."""
  folder = tmp_path_factory.mktemp('videos')
  source = []
  if 'AEMG_RAW_DIR' in os.environ:
    with zipfile.ZipFile(os.path.join(os.environ['AEMG_RAW_DIR'], ZIP)) as archive:
      source = [archive.extract('bicep_curl.gif', folder)]
  made = python('-P', 'tests/data_builders/make_test_videos.py', folder, *source)
  assert made.returncode == 0, made.stderr
  return folder


@pytest.fixture(name='people', scope='module')
def _people(videos, python):
  """Output folder and what was said of all videos with a person."""
  if 'AEMG_RAW_DIR' not in os.environ:
    pytest.skip(f'AEMG_RAW_DIR is not set, expected the folder of {ZIP}')
  names = ('upright.mp4', 'turned.mp4', 'portrait.mp4', 'two.mp4', 'change.mp4', 'variable.gif')
  done = python('-P', '-m', 'data_builders.kinematics_fatigue.extract', '--out', videos / 'out',
                *(videos / name for name in names))
  assert done.returncode == 0, done.stderr
  said = {name: [line.split(': ', 1)[1] for line in done.stdout.splitlines() if name in line]
          for name in names}
  return videos / 'out', said


def read(folder, name):
  return parser.checked(keypoint_files.read_npz(folder / f'{name}.npz'))


def points(recording):
  return recording.keypoint_tc.reshape(len(recording.keypoint_tc), 11, 4)


def test_the_environment_is_alone(python):
  """JAX or protobuf 5 installed along: the environment would be twice as large, or not work."""
  done = python('-c', 'import cv2, mediapipe; from importlib import metadata, util;'
                      'print(util.find_spec("jax"), metadata.version("protobuf"))')
  assert done.stdout == 'None 4.25.9\n', done.stderr


@pytest.mark.parametrize('name, word', [
    ('nobody', 'no person was found in any of 40 frames'), ('text', 'cannot be read as a video'),
    ('empty', 'cannot be read as a video'), ('cut', 'cannot be read as a video')])
def test_what_cannot_be_used(python, videos, tmp_path, name, word):
  """FFmpeg's or MediaPipe's chatter, a traceback, or a file instead of one line and exit code 2."""
  done = python('-P', '-m', 'data_builders.kinematics_fatigue.extract', videos / f'{name}.mp4',
                '--out', tmp_path / 'out', '--sheet', '--overlay')
  assert done.returncode == 2 and not done.stdout
  lines = [line for line in done.stderr.splitlines() if 'frames/s' not in line and line.strip()]
  assert len(lines) == 1 and word in lines[0], lines
  assert lines[0].startswith(f'error: {videos / name}.mp4: ')
  assert not (tmp_path / 'out').exists() or not os.listdir(tmp_path / 'out')


def test_a_person_curling(python, videos, people, tmp_path):
  """Left for right, x for y, a wrong frame size, or points of another order: the angle says so."""
  del people  # skips without recordings
  done = python('-P', '-m', 'data_builders.kinematics_fatigue.extract', videos / 'bicep_curl.gif',
                '--out', tmp_path, '--sheet', '--overlay')
  assert done.returncode == 0, done.stderr
  assert '214 of 214 frames' in done.stdout and 'mostly hidden: right_elbow' in done.stdout
  assert not [line for line in done.stderr.splitlines() if 'frames/s' not in line and line.strip()]
  recording = read(tmp_path, 'bicep_curl')
  assert (recording.fps, recording.width_px, recording.height_px) == (10, 480, 270)
  pose = keypoints.clean(points(recording), (480, 270), 10.0, FLAT)
  angle_tf, valid_tf = kinematics.features(pose, 10.0, ONLY_ANGLES)
  elbow = [angle.name for angle in ONLY_ANGLES.angles].index('left_elbow')
  assert valid_tf[:, elbow].mean() > 0.95
  swing_deg = np.degrees(np.percentile(angle_tf[:, elbow], [0, 100]))
  np.testing.assert_allclose(swing_deg, [68, 170], atol=4)
  check = """import cv2, sys, numpy as np
film, drawn = cv2.VideoCapture(sys.argv[1] + '.overlay.mp4'), []
while film.grab():
  drawn.append(film.retrieve()[1].astype(int))
bare = cv2.VideoCapture(sys.argv[2]).read()[1]
changed = np.abs(drawn[0] - bare).max(2) > 60
row, column = np.nonzero(changed)
size = cv2.imread(sys.argv[1] + '.sheet.png').shape
print(len(drawn), size, changed.sum() > 30, column.mean(), row.mean())
"""
  shown = python('-c', check, tmp_path / 'bicep_curl', videos / 'bicep_curl.gif').stdout
  assert shown.startswith('214 (1350, 1920, 3) True ')
  x_px, y_px = map(float, shown.split()[-2:])
  visible = points(recording)[0, [0, 1, 2, 3, 5, 7, 9], :2].mean(0) * (480, 270)
  assert np.abs(visible - (x_px, y_px)).max() < 25, 'drawn elsewhere than the person'


def test_a_phone_held_upright(people):
  """A person lying on the side, as the rotation was not heeded; width and height swapped."""
  folder, said = people
  upright, turned = read(folder, 'upright'), read(folder, 'turned')
  assert (turned.width_px, turned.height_px) == (480, 270)
  assert 'turned by 90 degrees as its header asks' in said['turned.mp4'][0]
  visible = [0, 1, 2, 3, 5]
  difference = points(turned)[:, visible, :2] - points(upright)[:, visible, :2]
  assert np.abs(difference).mean() < 0.01
  portrait = read(folder, 'portrait')
  assert (portrait.width_px, portrait.height_px) == (180, 270)
  assert '(portrait)' in said['portrait.mp4'][0]


def test_several_people(people):
  """Somebody's fatigue told from two people's movements, without a word."""
  _, said = people
  assert any('several people, up to 2, at ' in line for line in said['two.mp4'])
  assert any('jumps by more than a shoulder width 1 times' in line for line in said['change.mp4'])
  assert not any('people' in line or 'jumps' in line for line in said['upright.mp4'])


def test_variable_frame_rate(people):
  """Times of the frames not read, or the mean rate taken: speeds would be wrong."""
  folder, said = people
  recording = read(folder, 'variable')
  assert 24 < recording.fps < 26, 'most frames are 40 ms apart'
  assert any('variable frame rate, frames 30 to 900 ms' in line for line in said['variable.gif'])
  hidden_t = ~points(recording).any((1, 2))
  assert 20 <= hidden_t.sum() <= 23, 'the pause of 0.9 s at 25 frames/s'
  assert 'a person in 40 of 40 frames' in ' '.join(said['variable.gif'])
