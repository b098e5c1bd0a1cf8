"""Speed of key points from video, in the environment that extracts them:

  PYTHONPATH=. .venv-keypoints/bin/python tests/benchmarks/keypoint_extraction.py \
      --video bicep_curl.gif --out tests/benchmarks/results/keypoint_extraction_cpu.json

A video is read once, then enlarged or reduced to each height; the frames are followed by the same code
that `launch/keypoints.sh` runs. Wall time is what a user waits; processor time is over all cores, and says
more when other jobs run.
"""

import argparse
from collections.abc import Callable
import contextlib
from importlib import metadata
import json
import os
import platform
import statistics
import tempfile
import time

import cv2
import numpy as np

from data_builders.kinematics_fatigue import extract, pose, video_file

HEIGHTS_PX = (270, 480, 1080)


def timed(work: Callable[[], object], frames: int, runs: int) -> dict:
  """Medians over runs, after one that warms up."""
  work()
  wall, used = [], []
  for _ in range(runs):
    before, before_used = time.perf_counter(), time.process_time()
    work()
    wall.append(time.perf_counter() - before)
    used.append(time.process_time() - before_used)
  return {'frames': frames, 'runs': runs, 'wall_s': wall, 'frames_per_s': frames / statistics.median(wall),
          'best_frames_per_s': frames / min(wall),
          'processor_ms_per_frame': 1000 * statistics.median(used) / frames}


def rows_of(frames: list[np.ndarray], runs: int) -> list[dict]:
  """Pose and people alone, on frames in memory."""
  rows = []
  for height in HEIGHTS_PX:
    scale = height / frames[0].shape[0]
    size = (round(frames[0].shape[1] * scale), height)
    images = [np.ascontiguousarray(cv2.resize(image_hwc, size)[..., ::-1]) for image_hwc in frames]
    with contextlib.closing(pose.Pose()) as estimator:
      for what, step in (('pose', estimator.keypoints), ('people', estimator.people)):
        rows.append({'what': what, 'width': size[0], 'height': height}
                    | timed(lambda step=step, images=images: [step(x) for x in images], len(images), runs))
  return rows


def whole(path: str, frames: int, runs: int) -> list[dict]:
  """A file to an NPZ; with pictures too; and reading alone."""
  rows = []
  with tempfile.TemporaryDirectory() as folder:
    for what, options in (('video to NPZ', ()),
                          ('video to NPZ, sheet and overlay', ('--sheet', '--overlay'))):
      command = [path, '--out', folder, '--overwrite', *options]
      rows.append({'what': what} | timed(lambda command=command: extract.main(command), frames, runs))
  read = lambda: sum(1 for _ in video_file.open_video(path, None).frames())
  return rows + [{'what': 'reading alone'} | timed(read, frames, runs)]


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--video', required=True, help='of one person')
  parser.add_argument('--out', required=True, help='JSON file to write')
  parser.add_argument('--frames', type=int, default=100, help='of the video, for pose and people')
  parser.add_argument('--runs', type=int, default=3)
  args = parser.parse_args()
  load_before = os.getloadavg()[0]
  frames = [image_hwc for image_hwc, _ in video_file.open_video(args.video, None).frames()]
  rows = rows_of(frames[:args.frames], args.runs) + whole(args.video, len(frames), args.runs)
  result = {
      'machine': {'cores': os.cpu_count(), 'load_before': load_before, 'load_after': os.getloadavg()[0],
                  'platform': platform.platform(), 'python': platform.python_version(),
                  'mediapipe': metadata.version('mediapipe'),
                  'opencv': metadata.version('opencv-python-headless')},
      'video': {'name': os.path.basename(args.video), 'frames': len(frames),
                'width': frames[0].shape[1], 'height': frames[0].shape[0]},
      'model': pose.MODEL, 'rows': rows}
  partial = args.out + '.partial'
  with open(partial, 'w', encoding='utf-8') as file:
    json.dump(result, file, indent=1)
    file.write('\n')
  os.replace(partial, args.out)


if __name__ == '__main__':
  main()
