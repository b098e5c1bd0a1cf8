"""Makes videos of all kinds for test_keypoint_videos.py, where OpenCV is.

  PYTHON make_test_videos.py FOLDER [VIDEO]

VIDEO shows one person; without it only the videos without a person are made.
"""

import pathlib
import struct
import sys

import cv2
import numpy as np
from PIL import Image

PART = slice(150, 330)  # columns of bicep_curl.gif with the person
FPS = 10


def read(path) -> list[np.ndarray]:
  capture, frames = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG), []
  while capture.grab():
    frames.append(capture.retrieve()[1])
  return frames


def write(path, frames) -> None:
  code = cv2.VideoWriter_fourcc(*'mp4v')
  writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, FPS, frames[0].shape[1::-1])
  for image_hwc in frames:
    writer.write(np.ascontiguousarray(image_hwc))
  writer.release()


def turn(path) -> None:
  """Asks players to turn by 90 degrees clockwise, as phones do: the matrix of a track's header."""
  data = bytearray(path.read_bytes())
  start = data.index(b'tkhd') + 4 + 4 + 20 + 16
  assert struct.unpack('>9i', data[start:start + 36])[:2] == (1 << 16, 0)
  data[start:start + 36] = struct.pack('>9i', 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
  path.write_bytes(data)


def main(folder: pathlib.Path, source: str | None) -> None:
  rng = np.random.default_rng(0)
  write(folder / 'nobody.mp4', rng.integers(0, 255, (40, 240, 320, 3), np.uint8))
  (folder / 'text.mp4').write_text('no video')
  (folder / 'empty.mp4').write_bytes(b'')
  (folder / 'cut.mp4').write_bytes((folder / 'nobody.mp4').read_bytes()[:10000])
  if source is None:
    return
  frames = read(source)
  write(folder / 'upright.mp4', frames[:40])
  write(folder / 'turned.mp4', [np.rot90(image_hwc) for image_hwc in frames[:40]])
  turn(folder / 'turned.mp4')
  write(folder / 'portrait.mp4', [image_hwc[:, PART] for image_hwc in frames[:40]])
  write(folder / 'short.mp4', frames[:12])
  write(folder / 'two.mp4', [np.hstack([a[:, PART], b[:, PART]])
                             for a, b in zip(frames[:40], frames[60:100])])
  write(folder / 'change.mp4', [np.hstack([a[:, PART], 0 * a[:, PART]][::side])
                                for side in (1, -1) for a in frames[:30]])
  pictures = [Image.fromarray(image_hwc[..., ::-1]) for image_hwc in frames[:40]]
  step_ms = rng.choice([30, 40, 40, 40, 120], 40)
  step_ms[20] = 900
  pictures[0].save(folder / 'variable.gif', save_all=True, append_images=pictures[1:],
                   duration=step_ms.tolist())


if __name__ == '__main__':
  main(pathlib.Path(sys.argv[1]), *(sys.argv[2:] or [None]))
