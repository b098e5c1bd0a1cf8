"""Key points of one video: files of all kinds, other frame rates, and recordings that are looped."""

import stat
import subprocess

import numpy as np
import pytest

from aemg_jax.serving import keypoint_input
from aemg_jax.serving.keypoint_input import KeypointVideo


def moving(n_frames, rate_hz=10.0):
  """All points move along straight lines and are seen."""
  keypoint_tkd = np.full((n_frames, 11, 4), 0.9, np.float32)
  keypoint_tkd[..., :3] = 0.01 * np.arange(n_frames)[:, None, None] / rate_hz
  return keypoint_tkd


def video(keypoint_tkd, rate_hz=10.0):
  return KeypointVideo('v', keypoint_tkd, rate_hz, np.array([640, 480], np.float32))


def write(path, **changes):
  np.savez(path, **{'keypoints': moving(40), 'fps': 10.0, 'width': 640, 'height': 480, 'notes': '{}'} | changes)
  return str(path)


def test_what_the_script_writes_is_read(tmp_path):
  """Width for height, or a reader that other fields upset."""
  found = keypoint_input.of_file(write(tmp_path / 'curl.npz'), 'unused')
  np.testing.assert_array_equal(found.keypoint_tkd, moving(40))
  assert (found.name, found.rate_hz, found.frame_px.tolist()) == ('curl', 10, [640, 480])


@pytest.mark.parametrize('changes, field', [
    ({'keypoints': moving(40)[:, :9]}, 'keypoints: got float32 (40, 9, 4)'),
    ({'keypoints': moving(40).astype(int)}, 'keypoints: got int64'), ({'fps': 0}, 'fps: got'),
    ({'width': np.nan}, 'width: got'), ({'height': [480, 480]}, 'height: got'), ({'fps': '10'}, 'fps: got'),
    ({'keypoints': 0 * moving(40)}, 'visibility is 0 throughout'),
    ({'keypoints': np.array([None])}, 'allow_pickle')])
def test_other_files_are_refused(tmp_path, changes, field):
  """9 points of another estimator, a frame rate of 0, an empty recording: a curve of nonsense."""
  path = write(tmp_path / 'a.npz', **changes)
  with pytest.raises(ValueError) as refused:
    keypoint_input.of_file(path, 'unused')
  assert path in str(refused.value) and field in str(refused.value)


def test_files_that_are_no_npz(tmp_path):
  """numpy's words, or a text file taken for a video, for what the user can mend."""
  with pytest.raises(ValueError, match='no such file'):
    keypoint_input.of_file(str(tmp_path / 'gone.mp4'), 'unused')
  for data in (b'', b'text', b'PK\x03\x04'):
    (tmp_path / 'a.npz').write_bytes(data)
    with pytest.raises(ValueError, match="cannot be read .*expected an NPZ with .'keypoints'"):
      keypoint_input.of_file(str(tmp_path / 'a.npz'), 'unused')
  np.savez(tmp_path / 'a.npz', keypoints=moving(40), fps=30)
  with pytest.raises(ValueError, match=r"lacks \['height', 'width'\]"):
    keypoint_input.of_file(str(tmp_path / 'a.npz'), 'unused')


def test_a_video_goes_through_the_script(tmp_path, monkeypatch):
  """A video that nobody extracts, in the caller's own environment; the script's failure ignored."""
  source, script = tmp_path / 'my curl.MP4', tmp_path / 'keypoints.sh'
  source.write_text('')
  monkeypatch.setattr(keypoint_input, 'SCRIPT', script)
  with pytest.raises(ValueError, match='run "bash launch/keypoints.sh .*my curl.MP4 --out .*out"'):
    keypoint_input.of_file(str(source), str(tmp_path / 'out'))
  stored = write(tmp_path / 'stored.npz')
  script.write_text(f'[[ -z ${{VIRTUAL_ENV:-}} && $2 == --out ]] && cp "{stored}" "$3/my curl.npz"')
  script.chmod(stat.S_IRUSR)
  monkeypatch.setenv('VIRTUAL_ENV', '/somewhere')
  (tmp_path / 'out').mkdir()
  found = keypoint_input.of_file(str(source), str(tmp_path / 'out'))
  assert found.name == 'my curl' and len(found.keypoint_tkd) == 40
  monkeypatch.setattr(subprocess, 'run', lambda *a, **k: subprocess.CompletedProcess(a, 2))
  with pytest.raises(ValueError, match='exit code 2'):
    keypoint_input.of_file(str(source), str(tmp_path / 'out'))


@pytest.mark.parametrize('rate_hz', [30.0, 24.0, 4.0])
def test_another_rate_keeps_the_movement(rate_hz):
  """Frames of 10 a second given to a model of 30 as they are: everything three times as fast."""
  found = keypoint_input.at_rate(video(moving(40)), rate_hz)
  assert found.rate_hz == rate_hz and len(found.keypoint_tkd) == int(3.9 * rate_hz + 1e-6) + 1
  np.testing.assert_allclose(found.keypoint_tkd, moving(len(found.keypoint_tkd), rate_hz), atol=1e-6)
  assert ('5 Hz' in found.notes[0]) == (rate_hz > 10) and f'to {rate_hz:g}' in found.notes[0]


def test_the_same_rate_changes_nothing():
  """29.97 frames a second smeared by interpolation to 30."""
  same = video(moving(40), 29.97)
  assert keypoint_input.at_rate(same, 30.0) is same


def test_empty_frames_stay_empty():
  """Movement made up between a place and the zeros of a frame in which nobody was found."""
  keypoint_tkd = moving(40)
  keypoint_tkd[10:12] = 0
  found = keypoint_input.at_rate(video(keypoint_tkd), 30.0).keypoint_tkd
  assert np.flatnonzero(~found.any((1, 2))).tolist() == list(range(28, 36))
  assert (found[found.any((1, 2)), :, 3] > 0.89).all()


def test_looping_says_so():
  """A repeated recording that passes for a long one."""
  found = keypoint_input.looped(keypoint_input.at_rate(video(moving(40)), 30.0), 300)
  assert len(found.keypoint_tkd) == 300 and 'LOOPED: 118 frames repeated to 300' in found.notes[0]
  np.testing.assert_array_equal(found.keypoint_tkd[118:236], found.keypoint_tkd[:118])
  with pytest.raises(ValueError, match='--loop: got 40 frames, expected more than the 40'):
    keypoint_input.looped(video(moving(40)), 40)
