"""Key points of a person in videos -> DIR/NAME.npz, which `parser.py` reads.

  python -m data_builders.kinematics_fatigue.extract VIDEO... --out DIR [--sheet] [--overlay]

`launch/keypoints.sh` runs it in the environment that it needs: MediaPipe and OpenCV, no JAX.
What was found and done is said on stdout, and kept in the NPZ as `notes`.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
import contextlib
import json
import os
import sys

import numpy as np

from data_builders.jobs import Unusable
from data_builders.kinematics_fatigue import findings, frame_times, overlay, parser, video_file
from data_builders.kinematics_fatigue import pose as pose_lib
from data_builders.kinematics_fatigue.findings import Found
from data_builders.kinematics_fatigue.frame_times import BadVideo
from data_builders.kinematics_fatigue.keypoint_files import FPS, HEIGHT, KEYPOINTS, WIDTH, Recording


def main(argv: Sequence[str] | None = None) -> int:
  """Returns the exit code: 2 if a video gave no key points, whatever the others did."""
  args = _arguments(argv)
  failed = 0
  for path in args.videos:
    try:
      for line in extract(path, args):
        sys.stdout.write(f'{path}: {line}\n')
    except (BadVideo, OSError) as error:
      failed += 1
      sys.stderr.write(f'error: {path}: {error}\n')
  if failed and len(args.videos) > 1:
    sys.stderr.write(f'error: {failed} of {len(args.videos)} videos gave no key points\n')
  return 2 if failed else 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
  read = argparse.ArgumentParser(prog='launch/keypoints.sh', description=__doc__.splitlines()[0])
  read.add_argument('videos', nargs='+', metavar='VIDEO')
  read.add_argument('--out', required=True, metavar='DIR')
  read.add_argument('--sheet', action='store_true', help='DIR/NAME.sheet.png, frames to look at')
  read.add_argument('--overlay', action='store_true', help='DIR/NAME.overlay.mp4, all frames')
  read.add_argument('--crop', type=_crop, metavar='LEFT,TOP,WIDTH,HEIGHT',
                    help='part of the upright frame to use, in pixels')
  read.add_argument('--overwrite', action='store_true', help='replace files that are there')
  args = read.parse_args(argv)
  names = [name_of(path) for path in args.videos]
  if same := sorted({name for name in names if names.count(name) > 1}):
    read.error(f'VIDEO: {same[0]} names several of them, expected names that differ, as each gives'
               f' {same[0]}.npz')
  return args


def _crop(text: str) -> video_file.Crop:
  try:
    left, top, width, height = (int(part) for part in text.split(','))
  except ValueError:
    left, top, width, height = -1, 0, 0, 0
  if min(left, top) < 0 or min(width, height) < 16:
    raise argparse.ArgumentTypeError(f'got {text!r}, expected LEFT,TOP,WIDTH,HEIGHT in whole'
                                     ' pixels, at least 16 wide and high')
  return left, top, width, height


def name_of(path: str) -> str:
  return os.path.splitext(os.path.basename(path))[0]


def extract(path: str, args: argparse.Namespace) -> list[str]:
  """Writes the files of one video, all or none.

  Args:
    path: of the video.
    args: `out`, `sheet`, `overlay`, `crop` and `overwrite`, as on the command line.

  Returns:
    Lines that say what was found and done.

  Raises:
    BadVideo: it gives no recording that could be used.
    OSError: a file cannot be written.
  """
  stem = os.path.join(args.out, name_of(path))
  if os.path.exists(f'{stem}.npz') and not args.overwrite:
    return [f'{stem}.npz is there and kept (--overwrite replaces it)']
  video = video_file.open_video(path, args.crop)
  os.makedirs(args.out, exist_ok=True)
  with _files(stem) as temporary:
    found = _follow(video, args, temporary)
    regular = frame_times.regular(found.keypoint_tkd, found.time_s, video.fps)
    notes = [*findings.about_video(found, video, regular.fps), *findings.about_people(found),
             *regular.notes]
    recording = Recording(regular.keypoint_tkd.reshape(len(regular.keypoint_tkd), -1), regular.fps,
                          *found.size_px)
    try:
      parser.checked(recording)
    except Unusable as error:
      raise BadVideo(': '.join(error.args)) from error
    with open(temporary('.npz'), 'wb') as file:
      np.savez(file, **{KEYPOINTS: regular.keypoint_tkd, FPS: regular.fps,
                        WIDTH: found.size_px[0], HEIGHT: found.size_px[1]},
               notes=json.dumps({'video': os.path.basename(path), **pose_lib.MODEL,
                                 'notes': notes}))
  return [*notes, f'wrote {stem}.npz']


def _follow(video: video_file.VideoFile, args: argparse.Namespace,
            temporary: Callable[[str], str]) -> Found:
  """The one pass over the frames: pose, people, pictures."""
  import tqdm
  found, look_frames = Found(), max(1, round(findings.LOOK_S * video.fps))
  sheet = overlay.Sheet() if args.sheet else None
  film = overlay.OverlayVideo(temporary('.overlay.mp4'), video.fps or 30) if args.overlay else None
  bones = pose_lib.bones() if args.sheet or args.overlay else []
  with contextlib.closing(pose_lib.Pose()) as pose:
    bar = tqdm.tqdm(
        video.frames(), total=video.n_frames or None, unit=' frames',
        desc=os.path.basename(video.path), mininterval=0.5 if sys.stderr.isatty() else 20)
    for index, (image_hwc, time_s) in enumerate(bar):
      rgb_hwc = np.ascontiguousarray(image_hwc[..., ::-1])
      keypoint_kd = pose.keypoints(rgb_hwc)
      if index % look_frames == 0:
        found.people.append(pose.people(rgb_hwc))
      found.rows.append(keypoint_kd)
      found.times.append(time_s)
      if bones:
        drawn_hwc = overlay.draw(image_hwc, keypoint_kd, bones)
        if sheet is not None:
          sheet.add(index, drawn_hwc, time_s)
        if film is not None:
          film.add(drawn_hwc)
      if index and found.size_px != image_hwc.shape[1::-1]:
        raise BadVideo(f'its frames change size, from {found.size_px} to {image_hwc.shape[1::-1]}'
                       ' pixels, expected one size: cut or convert it')
      found.size_px = image_hwc.shape[1::-1]
  if not found.rows:
    raise BadVideo('no frame of it can be read')
  if film is not None:
    film.close()
  if sheet is not None:
    with open(temporary('.sheet.png'), 'wb') as file:
      file.write(sheet.png())
  return found


@contextlib.contextmanager
def _files(stem: str) -> Iterator[Callable[[str], str]]:
  """Yields temporary(ending) -> a path; what was written there gets its name `stem + ending` at the
  end of the block, the NPZ last, and is removed if the block fails."""
  folder, name = os.path.split(stem)
  written = {}

  def temporary(ending: str) -> str:
    return written.setdefault(ending, os.path.join(folder, f'.{name}.{os.getpid()}{ending}'))
  try:
    yield temporary
    for ending in sorted(written, key=lambda ending: ending == '.npz'):
      os.replace(written[ending], f'{stem}{ending}')
  finally:
    for path in written.values():
      with contextlib.suppress(FileNotFoundError):
        os.remove(path)


if __name__ == '__main__':
  sys.exit(main())
