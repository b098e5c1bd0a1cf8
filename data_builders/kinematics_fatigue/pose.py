"""MediaPipe Pose on single frames: key points of one person, and how many people there are.

Needs mediapipe 0.10.14, whose wheel holds the models: see constraints/keypoints.txt. Of the
landmark model's three sizes only the middle one (complexity 1) is in it; others are downloaded.
"""

import contextlib
import os
import sys
import warnings

import numpy as np

from data_builders.kinematics_fatigue.keypoint_files import PARTS, POINTS

MODEL = {'estimator': 'MediaPipe Pose', 'model_complexity': 1, 'smooth_landmarks': True,
         'min_detection_confidence': 0.5, 'min_tracking_confidence': 0.5}
# MediaPipe Pose follows one person. The detector inside, by itself, finds all of them.
_DETECTOR = """
input_stream: "image"
output_stream: "detections"
node {
  calculator: "PoseDetectionCpu"
  input_stream: "IMAGE:image"
  output_stream: "DETECTIONS:detections"
}
"""


class Pose:
  """Follows a person through the frames of one video, given in order.

  MediaPipe smooths over frames with a filter that takes them as 1/30 s apart, whatever they are.
  """

  def __init__(self):
    with _silent():
      from google.protobuf import text_format
      from mediapipe.framework import calculator_pb2
      from mediapipe.python import solution_base
      from mediapipe.python.solutions import pose
      warnings.filterwarnings('ignore', module='google.protobuf')
      options = {key: value for key, value in MODEL.items() if key != 'estimator'}
      self._pose = pose.Pose(static_image_mode=False, **options)
      graph = text_format.Parse(_DETECTOR, calculator_pb2.CalculatorGraphConfig())
      self._detector = solution_base.SolutionBase(graph_config=graph)
      self._place = [pose.PoseLandmark[name.upper()] for name in POINTS]
      blank_hwc = np.zeros((64, 64, 3), np.uint8)  # the models warn on their first image
      self._pose.process(blank_hwc)
      self._detector.process(blank_hwc)

  def keypoints(self, rgb_hwc: np.ndarray) -> np.ndarray:
    """[11, 4] float32: x, y, z in shares of the frame and visibility; 0 where nobody is found."""
    found = self._pose.process(rgb_hwc).pose_landmarks
    if found is None:
      return np.zeros((len(POINTS), len(PARTS)), np.float32)
    points = [found.landmark[place] for place in self._place]
    keypoint_kd = np.array([(p.x, p.y, p.z, p.visibility) for p in points], np.float32)
    keypoint_kd[:, 3] = np.clip(keypoint_kd[:, 3], 0, 1)
    return keypoint_kd

  def people(self, rgb_hwc: np.ndarray) -> int:
    """People in the frame, as far as the detector sees them."""
    return len(self._detector.process(rgb_hwc).detections or ())

  def close(self) -> None:
    self._pose.close()
    self._detector.close()


def bones() -> list[tuple[int, int]]:
  """Pairs of points to connect in a picture, as MediaPipe draws them."""
  from mediapipe.python.solutions import pose
  place = {pose.PoseLandmark[name.upper()].value: i for i, name in enumerate(POINTS)}
  return sorted((place[a], place[b]) for a, b in pose.POSE_CONNECTIONS if a in place and b in place)


@contextlib.contextmanager
def _silent():
  """Keeps what MediaPipe's C++ writes to stderr while it starts off the terminal.

  Python's own messages still get there.
  """
  sys.stderr.flush()
  kept, python_stderr = os.dup(2), sys.stderr
  with open(os.devnull, 'wb') as nowhere, os.fdopen(os.dup(kept), 'w') as stderr:
    os.dup2(nowhere.fileno(), 2)
    sys.stderr = stderr
    try:
      yield
    finally:
      sys.stderr = python_stderr
      os.dup2(kept, 2)
      os.close(kept)
