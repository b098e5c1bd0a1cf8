"""Invented people who reach and lift until they are tired, as key points of a video. NumPy only.

SYNTHETIC: no person was recorded. A model of three parts:

  movement    The hands go from target to target on straight lines with the speed of least jerk,
              10 s^3 - 15 s^4 + 6 s^5 (Flash & Hogan 1985, J Neurosci 5:1688), and rest on each.
  fatigue     F rises from 0 to 1 as (t / T)^g, g each person's own. With it movements take up
              to 35 % longer, hands end up to 2.5 times as far from the target, tremor grows from
              0.5 to 3 mm and slows from 9 to 7.5 Hz, shoulders and head sink. Borg is 10 F to the
              nearest half.
  camera      In front of a seated person, weak perspective; key points carry noise of a pixel,
              and a hand is hidden now and then: its points are wrong and their visibility is low.

The sizes of these changes were chosen by hand: **the classes are separable by construction**, and
no number measured here says anything of people. Axes are an image's: mm right, down and away.
"""

import dataclasses

from aemg_jax.records import Annotation, Record, Sensor
import numpy as np

from data_builders.jobs import Job
from data_builders.kinematics_fatigue.keypoint_files import COLUMNS, POINTS

NAME = 'synthetic_reaching'
LICENCE = 'CC0-1.0 (synthetic: no person was recorded)'
TASKS = ('lift', 'reach')
N_SUBJECTS = 4
RATE_HZ, WIDTH_PX, HEIGHT_PX = 30.0, 854, 480
DURATION_S, RATING_S = 100.0, 5.0
SLOWER, SCATTER_MM, SCATTER_MORE = 0.35, 6.0, 1.5
TREMOR_MM, TREMOR_HZ = (0.5, 3.0), (9.0, 7.5)
SLUMP_MM, HEAD_DOWN_MM, HEAD_FORWARD_MM = 30.0, 35.0, 25.0
NOISE_PX = 0.8
# Targets of the left hand from the middle of the shoulders; the right one's are mirrored.
TARGETS = {'reach': np.array([[150., 250, -250], [420, 80, -330], [60, 60, -420],
                              [380, 300, -300]]),
           'lift': np.array([[180., 330, -260], [200, -60, -330]])}
REST = np.array([200., 340, -230])
SEED = 2


@dataclasses.dataclass(frozen=True)
class Person:
  """Sizes in mm, and how this one tires.

  Attributes:
    shoulder_mm, upper_mm, fore_mm, head_mm: width, arm, height of the nose over the shoulders.
    scale_px: pixels a mm.
    move_s, rest_s: a movement and a stay on a target, rested.
    growth: g.
    tremor: factor.
  """
  shoulder_mm: float
  upper_mm: float
  fore_mm: float
  head_mm: float
  scale_px: float
  move_s: float
  rest_s: float
  growth: float
  tremor: float


def jobs() -> list[Job]:
  """One job per person and task, in order of record id."""
  return [Job(f'S{subject:02d}/{task}/take1', '', 44 * 4 * round(DURATION_S * RATE_HZ))
          for subject in range(N_SUBJECTS) for task in TASKS]


def draw_person(subject: int) -> Person:
  """The same in every task."""
  rng = np.random.default_rng([SEED, 0, subject])
  size = rng.normal(1, 0.06)
  return Person(
      shoulder_mm=370 * size * rng.normal(1, 0.04), upper_mm=290 * size, fore_mm=255 * size,
      head_mm=230 * size, scale_px=rng.uniform(0.38, 0.52), move_s=rng.uniform(0.7, 1.0),
      rest_s=rng.uniform(0.2, 0.4), growth=rng.uniform(0.7, 1.4),
      tremor=rng.lognormal(0, 0.2))


def generate(job: Job) -> list[Record]:
  """The recording named by the job; the same bytes each time on one NumPy."""
  subject_name, task, _ = job.name.split('/')
  person = draw_person(int(subject_name[1:]))
  rng = np.random.default_rng([SEED, 1, int(subject_name[1:]), TASKS.index(task)])
  n_frames = round(DURATION_S * RATE_HZ)
  fatigue_t = (np.arange(n_frames) / n_frames) ** person.growth
  keypoint_tkd = project(points(person, task, fatigue_t, rng), person, rng)
  notes = [Annotation(0, n_frames, 'frame_width_px', float(WIDTH_PX)),
           Annotation(0, n_frames, 'frame_height_px', float(HEIGHT_PX))]
  return [Record(
      record_id=job.name, dataset=NAME, subject=subject_name, session=task, repetition=-1,
      kind='keypoints',
      signal_tc=keypoint_tkd.reshape(n_frames, len(COLUMNS)).astype(np.float32), rate_hz=RATE_HZ,
      bandwidth_hz=RATE_HZ / 2, is_envelope=False,
      sensors=tuple(Sensor(name=name, unit='normalised') for name in COLUMNS), labels=(),
      annotations=tuple(notes + ratings(fatigue_t)), licence=LICENCE)]


def ratings(fatigue_t: np.ndarray) -> list[Annotation]:
  """A rating every RATING_S: 10 F at the end of its span, to the nearest half."""
  step = round(RATING_S * RATE_HZ)
  found = []
  for start in range(0, len(fatigue_t), step):
    stop = min(start + step, len(fatigue_t))
    found.append(Annotation(start, stop, 'borg', float(np.round(20 * fatigue_t[stop - 1]) / 2)))
  return found


def points(person: Person, task: str, fatigue_t: np.ndarray,
           rng: np.random.Generator) -> np.ndarray:
  """[T, 11, 3] mm from where the middle of the shoulders was at first."""
  point_tka = np.zeros((len(fatigue_t), len(POINTS), 3))
  sway_t = _wander(len(fatigue_t), 0.3, rng)
  trunk_ta = fatigue_t[:, None] * np.array([0, SLUMP_MM, -SLUMP_MM / 2])[None] + 4 * sway_t[:, None]
  head_ta = np.array([0, -person.head_mm, -90])[None] + fatigue_t[:, None] * np.array(
      [0, HEAD_DOWN_MM, -HEAD_FORWARD_MM])[None]
  nod_t = _wander(len(fatigue_t), 0.5, rng)
  point_tka[:, POINTS.index('nose')] = trunk_ta + head_ta + 3 * nod_t[:, None]
  path_ta = hand_path(person, task, fatigue_t, rng)
  for side, sign in (('right', -1), ('left', 1)):  # as seen by the camera
    mirror_a = np.array([sign, 1, 1])
    shoulder_ta = trunk_ta + mirror_a[None] * np.array([person.shoulder_mm / 2, 0, 0])[None]
    hand_ta = path_ta if side == 'right' or task == 'lift' else np.broadcast_to(REST, path_ta.shape)
    hand_ta = mirror_a[None] * (hand_ta + tremor(person, fatigue_t, rng))
    elbow_ta, wrist_ta = _arm(shoulder_ta, hand_ta, person, sign)
    pointing_ta = _unit(wrist_ta - elbow_ta)
    across_ta = mirror_a[None] * np.array([-20., 5, 0])[None]
    for name, at_ta in (('shoulder', shoulder_ta), ('elbow', elbow_ta), ('wrist', wrist_ta),
                        ('index', wrist_ta + 85 * pointing_ta + across_ta),
                        ('pinky', wrist_ta + 75 * pointing_ta - across_ta)):
      point_tka[:, POINTS.index(f'{side}_{name}')] = at_ta
  return point_tka


def hand_path(person: Person, task: str, fatigue_t: np.ndarray,
              rng: np.random.Generator) -> np.ndarray:
  """[T, 3] mm of the left hand, before mirroring: ever slower and less exact."""
  targets, path, number = TARGETS[task], [], 0
  here_a, n_frames = targets[0], len(fatigue_t)
  while (at := sum(map(len, path))) < n_frames:
    tired = fatigue_t[at]
    number += 1 if task == 'lift' else rng.integers(1, len(targets))
    scatter_mm = SCATTER_MM * (1 + SCATTER_MORE * tired)
    there_a = targets[number % len(targets)] + rng.normal(0, scatter_mm, 3)
    move, rest = (max(2, round(seconds * (1 + SLOWER * tired) * rng.lognormal(0, 0.08) * RATE_HZ))
                  for seconds in (person.move_s, person.rest_s))
    share_t1 = least_jerk(np.arange(1, move + 1) / move)[:, None]
    path += [here_a[None] + share_t1 * (there_a - here_a)[None],
             np.repeat(there_a[None], rest, axis=0)]
    here_a = there_a
  return np.concatenate(path)[:n_frames]


def least_jerk(share: np.ndarray) -> np.ndarray:
  """Share of the way at a share of the time (Flash & Hogan 1985, eq. 2)."""
  return 10 * share ** 3 - 15 * share ** 4 + 6 * share ** 5


def tremor(person: Person, fatigue_t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """[T, 3] mm, RMS from 0.5 to 3 along each axis, at 9 to 7.5 Hz with a wandering phase."""
  hz_t = TREMOR_HZ[0] + (TREMOR_HZ[1] - TREMOR_HZ[0]) * fatigue_t
  rms_t = person.tremor * (TREMOR_MM[0] + (TREMOR_MM[1] - TREMOR_MM[0]) * fatigue_t)
  phase_ta = 2 * np.pi * np.cumsum(hz_t)[:, None] / RATE_HZ + rng.uniform(0, 2 * np.pi, (1, 3))
  phase_ta = phase_ta + np.cumsum(rng.normal(0, 0.25, (len(hz_t), 3)), axis=0)
  return np.sqrt(2) * rms_t[:, None] * np.sin(phase_ta)


def project(point_tka: np.ndarray, person: Person, rng: np.random.Generator) -> np.ndarray:
  """[T, 11, 4] as MediaPipe gives them: shares of the frame (z of its width), and visibility."""
  middle_a = np.array([WIDTH_PX / 2, 0.45 * HEIGHT_PX, 0])
  pixel_tka = point_tka * person.scale_px + middle_a[None, None]
  pixel_tka += rng.normal(0, NOISE_PX, pixel_tka.shape) * np.array([1, 1, 3])[None, None]
  visible_tk = rng.uniform(0.85, 1.0, pixel_tka.shape[:2])
  for side in ('left', 'right'):
    hand = [POINTS.index(f'{side}_{name}') for name in ('wrist', 'index', 'pinky')]
    for start in rng.integers(0, len(point_tka), 3):
      spell = slice(int(start), int(start) + int(rng.integers(5, 13)))
      pixel_tka[spell, hand] += rng.normal(0, 40, 3)
      visible_tk[spell, hand] = rng.uniform(0.05, 0.3)
  share_tka = pixel_tka / np.array([WIDTH_PX, HEIGHT_PX, WIDTH_PX])[None, None]
  return np.concatenate([share_tka, visible_tk[..., None]], axis=-1)


def _arm(shoulder_ta: np.ndarray, hand_ta: np.ndarray, person: Person,
         sign: int) -> tuple[np.ndarray, np.ndarray]:
  """Elbow and wrist: two links that reach for the hand's place, the elbow down and out."""
  reach_ta = hand_ta - shoulder_ta
  length_t1 = np.linalg.norm(reach_ta, axis=1, keepdims=True)
  far = 0.99 * (person.upper_mm + person.fore_mm)
  along_ta, length_t1 = reach_ta / length_t1, np.minimum(length_t1, far)
  down_a = np.array([0.4 * sign, 1.0, 0.2])
  aside_ta = _unit(down_a[None] - (along_ta @ down_a)[:, None] * along_ta)
  foot_t1 = (person.upper_mm ** 2 - person.fore_mm ** 2 + length_t1 ** 2) / (2 * length_t1)
  height_t1 = np.sqrt(np.maximum(person.upper_mm ** 2 - foot_t1 ** 2, 0))
  return shoulder_ta + foot_t1 * along_ta + height_t1 * aside_ta, shoulder_ta + length_t1 * along_ta


def _unit(vector_ta: np.ndarray) -> np.ndarray:
  return vector_ta / np.linalg.norm(vector_ta, axis=1, keepdims=True)


def _wander(n_frames: int, hz: float, rng: np.random.Generator) -> np.ndarray:
  """[T] slow noise of RMS about 1: a sum of sines below `hz`."""
  time_s = np.arange(n_frames)[:, None] / RATE_HZ
  turn_t6 = rng.uniform(0.02, hz, (1, 6)) * time_s + rng.uniform(0, 1, (1, 6))
  return np.sin(2 * np.pi * turn_t6).sum(1) / np.sqrt(3)
