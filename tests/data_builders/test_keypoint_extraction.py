"""Key points from video: times, findings, files and arguments.

A made-up video and pose stand in for OpenCV and MediaPipe; test_keypoint_videos.py has those.
"""

import dataclasses
import json
import os

import numpy as np
import pytest

from data_builders.kinematics_fatigue import extract, findings, frame_times, keypoint_files, parser
from data_builders.kinematics_fatigue import pose as pose_lib
from data_builders.kinematics_fatigue import video_file
from data_builders.kinematics_fatigue.frame_times import BadVideo

SIZE_PX = (64, 48)
STILL_KD = np.full((11, 4), 0.5, np.float32)
STILL_KD[1:3, 0] = (0.6, 0.4)  # shoulders 0.2 frame widths apart


def still(n_frames):
  return np.repeat(STILL_KD[None], n_frames, 0)


def moving(time_s):
  """Key points that move along straight lines, all visible."""
  keypoint_tkd = still(len(time_s))
  keypoint_tkd[..., :3] += 0.01 * np.asarray(time_s)[:, None, None]
  return keypoint_tkd


@pytest.mark.parametrize('header_fps', [30000 / 1001, 15.0, 0.0])
def test_a_steady_rate_changes_nothing(header_fps):
  """Interpolating what times in whole ms merely round; a header's wrong rate believed."""
  time_s = np.round(np.arange(300) * 1001 / 30000, 3)
  regular = frame_times.regular(moving(time_s), time_s, header_fps)
  np.testing.assert_array_equal(regular.keypoint_tkd, moving(time_s))
  assert regular.fps == pytest.approx(30000 / 1001, rel=1e-5) and not regular.notes
  assert header_fps < 29 or regular.fps == header_fps


def test_variable_rate_is_interpolated():
  """Frames taken as evenly spaced when they are not: speeds wrong by the ratio of rates."""
  step_s = np.random.default_rng(0).choice([1 / 30, 1 / 30, 1 / 30, 2 / 30, 5 / 30], 200)
  time_s = np.concatenate([[0], step_s.cumsum()])
  regular = frame_times.regular(moving(time_s), time_s, 24.0)
  assert regular.fps == pytest.approx(30) and regular.keypoint_tkd.dtype == np.float32
  assert len(regular.keypoint_tkd) == round(time_s[-1] * 30) + 1
  at_s = np.arange(len(regular.keypoint_tkd)) / 30
  np.testing.assert_allclose(regular.keypoint_tkd, moving(at_s), atol=1e-6)
  note, = regular.notes
  assert 'variable frame rate' in note and '33 to 167 ms' in note and '30 frames/s' in note


def test_what_lies_between_is_not_invented():
  """A line drawn over a pause of the recording, or from a place to the zeros of an empty frame."""
  time_s = np.concatenate([np.arange(40) / 25, 2.5 + np.arange(40) / 25])
  keypoint_tkd = moving(time_s)
  keypoint_tkd[[10, 60]] = 0
  regular = frame_times.regular(keypoint_tkd, time_s, 25.0)
  at_s = np.arange(len(regular.keypoint_tkd)) / 25
  empty = ~regular.keypoint_tkd.any((1, 2))
  gap = (at_s > 1.5601) & (at_s < 2.4999)
  # After the pause frames lie half-way between the regular ones: two stand beside frame 60.
  assert empty[gap].all() and empty[[10, 82, 83]].all() and empty.sum() == gap.sum() + 3
  np.testing.assert_allclose(regular.keypoint_tkd[~empty], moving(at_s)[~empty], atol=1e-6)
  assert any('1 gaps' in note and '(0.9 s' in note for note in regular.notes)


def test_frames_that_go_back_in_time_are_dropped():
  """A frame shown twice, or out of order, that makes an infinite speed."""
  time_s = np.insert(np.arange(60) / 30, 20, 18 / 30)
  regular = frame_times.regular(moving(time_s), time_s, 30.0)
  np.testing.assert_array_equal(regular.keypoint_tkd, moving(np.delete(time_s, 20)))
  assert regular.notes == ('1 frames do not come after the ones before them: dropped',)


@pytest.mark.parametrize('time_s', [np.zeros(60), np.full(60, np.nan)])
def test_without_times_the_header_decides(time_s):
  """A container without times read as a rate of infinity; a made-up rate where none is stated."""
  regular = frame_times.regular(still(60), time_s, 25.0)
  assert regular.fps == 25 and 'no times' in regular.notes[0]
  for header_fps in (0.0, 90000.0):
    with pytest.raises(BadVideo, match=f'header says {header_fps:g}'):
      frame_times.regular(still(60), time_s, header_fps)
  with pytest.raises(BadVideo, match='1 frame'):
    frame_times.regular(still(1), time_s[:1], 25.0)


def found(keypoint_tkd, people=(1,), fps=30):
  time_s = np.arange(len(keypoint_tkd)) / fps
  return findings.Found(list(keypoint_tkd), list(time_s), list(people), SIZE_PX)


def test_nobody_and_hardly_anybody_are_refused():
  """An NPZ full of zeros; a recording of a poster that the estimator saw in passing."""
  with pytest.raises(BadVideo, match='no person was found in any of 60 frames'):
    list(findings.about_people(found(0 * still(60))))
  rarely = still(60)
  rarely[25:] = 0
  with pytest.raises(BadVideo, match='25 of 60 frames only, expected at least 50%'):
    list(findings.about_people(found(rarely)))
  rarely[:40] = STILL_KD
  line, = findings.about_people(found(rarely))
  assert line == 'a person in 40 of 60 frames, the others are 0 with visibility 0'


def test_hidden_points_and_several_people_are_named():
  """A hidden arm, or a second person in the frame, that nobody hears of."""
  keypoint_tkd = still(60)
  keypoint_tkd[:, [4, 6], 3] = 0.1
  lines = list(findings.about_people(found(keypoint_tkd, people=(1, 3, 2, 0))))
  assert lines[0].endswith('mostly hidden: right_elbow, right_wrist')
  assert 'up to 3, at 2 of 4 looks' in lines[1] and '--crop' in lines[1] and len(lines) == 2


def test_a_jump_to_another_person_is_seen():
  """The follower going over to somebody else, even when it loses a frame on the way."""
  keypoint_tkd = still(90)
  keypoint_tkd[30:, :, 0] += 0.3
  keypoint_tkd[29] = 0
  keypoint_tkd[60:, :, 0] -= 0.01  # no jump: a twentieth of the shoulders' distance
  *_, line = findings.about_people(found(keypoint_tkd))
  assert 'jumps' in line and '1 times (at 1.00 s)' in line
  keypoint_tkd[20:50] = 0  # out of sight for a second: people walk
  assert len(list(findings.about_people(found(keypoint_tkd)))) == 1


@dataclasses.dataclass(frozen=True)
class FakeVideo(video_file.VideoFile):
  """Frames without content; `broken` at some frame."""
  length: int = 60
  broken: int = -1

  def frames(self):
    for index in range(self.length):
      if index == self.broken:
        raise OSError('no space left')
      yield self._cropped(np.full((SIZE_PX[1], SIZE_PX[0], 3), index, np.uint8)), index / 30


class FakePose:
  """A person in all frames but the very first."""

  def keypoints(self, rgb_hwc):
    return STILL_KD if rgb_hwc.max() else 0 * STILL_KD

  def people(self, rgb_hwc):
    return 1 + int(rgb_hwc.max() >= 30)

  def close(self):
    pass


@pytest.fixture(name='run')
def _run(tmp_path, monkeypatch):
  """run(arguments...) -> exit code; the videos are those of `made`, OUT is tmp_path / 'out'."""
  made = {'a.mp4': {}, 'short.mp4': {'length': 29}, 'broken.mp4': {'broken': 50},
          'empty.mp4': {'length': 0}, 'turned.mov': {'rotation_deg': 90, 'n_frames': 100}}

  def open_video(path, crop):
    name = os.path.basename(path)
    if name not in made:
      raise BadVideo('no such file')
    header = {'path': path, 'fps': 30.0, 'n_frames': 60, 'rotation_deg': 0, 'crop': crop}
    return FakeVideo(**header | made[name])
  monkeypatch.setattr(video_file, 'open_video', open_video)
  monkeypatch.setattr(pose_lib, 'Pose', FakePose)
  return lambda *arguments: extract.main([*arguments, '--out', str(tmp_path / 'out')])


def test_what_is_written_is_what_the_set_reads(run, tmp_path, capsys):
  """Another name, type or order of axes than the parser's; notes that change the reading."""
  assert run('in/a.mp4') == 0
  recording = parser.checked(keypoint_files.read_npz(tmp_path / 'out' / 'a.npz'))
  expected_tkd = still(60)
  expected_tkd[0] = 0
  np.testing.assert_array_equal(recording.keypoint_tc.reshape(60, 11, 4), expected_tkd)
  assert (recording.fps, recording.width_px, recording.height_px) == (30, *SIZE_PX)
  with np.load(tmp_path / 'out' / 'a.npz', allow_pickle=False) as stored:
    notes = json.loads(stored['notes'].item())
  assert notes['video'] == 'a.mp4' and notes['model_complexity'] == 1
  said = capsys.readouterr().out
  assert 'several people, up to 2, at 1 of 2 looks' in said and 'wrote' in said
  assert all(f'in/a.mp4: {note}\n' in said for note in notes['notes'])


@pytest.mark.parametrize('name, word', [
    ('short.mp4', '29 frames, expected at least 30'), ('broken.mp4', 'no space left'),
    ('empty.mp4', 'no frame'), ('gone.mp4', 'no such file')])
def test_failures_leave_nothing_behind(run, tmp_path, capsys, name, word):
  """Half a file, a temporary one, or the old one destroyed; other videos that are then not done."""
  out = tmp_path / 'out'
  out.mkdir()
  old = out / name.replace('.mp4', '.npz')
  old.write_bytes(b'old')
  assert run(name, 'a.mp4', '--overwrite') == 2
  assert sorted(os.listdir(out)) == sorted({'a.npz', old.name}) and old.read_bytes() == b'old'
  error = capsys.readouterr().err
  assert f'error: {name}: ' in error and word in error and '1 of 2 videos' in error


def test_a_full_disk_leaves_nothing_behind(run, tmp_path, monkeypatch, capsys):
  """Half an NPZ under the name of a whole one, or a temporary file that nobody removes."""
  def full(file, **arrays):
    del arrays
    file.write(b'PK')
    raise OSError('no space left on the disk')
  monkeypatch.setattr(np, 'savez', full)
  assert run('a.mp4') == 2 and not os.listdir(tmp_path / 'out')
  assert 'error: a.mp4: no space left' in capsys.readouterr().err


def test_existing_files_are_kept_unless_told(run, tmp_path, capsys):
  """Hours of work done twice, or key points replaced by those of another video of the same name."""
  (tmp_path / 'out').mkdir()
  path = tmp_path / 'out' / 'a.npz'
  path.write_bytes(b'old')
  assert run('a.mp4') == 0 and path.read_bytes() == b'old'
  assert 'is there and kept' in capsys.readouterr().out
  assert run('a.mp4', '--overwrite') == 0 and path.read_bytes() != b'old'


def test_direction_crop_and_lost_frames_are_said(run, tmp_path, capsys):
  """A frame size of before the crop: x and y would be shares of another frame."""
  assert run('turned.mov', '--crop', '4,8,20,40') == 0
  said = capsys.readouterr().out
  assert '60 frames of 20 x 40 pixels (portrait), turned by 90 degrees' in said
  assert 'only the part 4,8,20,40' in said and 'says 100 frames, 60 could be read' in said
  recording = keypoint_files.read_npz(tmp_path / 'out' / 'turned.npz')
  assert (recording.width_px, recording.height_px) == (20, 40)


@pytest.mark.parametrize('arguments, word', [
    (['a.mp4', 'b/a.mov'], 'a names several'), (['a.mp4', '--crop', '0,0,9,99'], 'at least 16'),
    (['a.mp4', '--crop', '1,2,3'], 'LEFT,TOP,WIDTH,HEIGHT'),
    (['a.mp4', '--crop=-1,0,50,50'], "got '-1,0"), ([], 'VIDEO')])
def test_bad_arguments(run, capsys, arguments, word):
  """One video's key points under another's name; a crop that is silently another."""
  with pytest.raises(SystemExit) as stopped:
    run(*arguments)
  assert stopped.value.code == 2 and word in capsys.readouterr().err


def test_crop_beyond_the_frame(run, capsys):
  """A slice beyond the frame, which NumPy cuts without a word."""
  assert run('a.mp4', '--crop', '40,0,30,48') == 2
  assert 'beyond its frames of 64 x 48 pixels' in capsys.readouterr().err
