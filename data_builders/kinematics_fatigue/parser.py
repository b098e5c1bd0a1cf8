"""Parses anyone's key-point recordings with Borg ratings. NumPy only: worker processes import this.

Layout: SUBJECT/TASK/NAME.npz (or NAME.csv with NAME.video.csv; see keypoint_files.py), and beside
it NAME.borg.csv with the header start_s,end_s,borg and a row per rated span, in s of the video.
"""

from collections.abc import Sequence
import os
import re

from aemg_jax.records import Annotation, Record, Sensor
import numpy as np

from data_builders.jobs import (
    BAD_FORMAT, BAD_VALUE, MISSING_FILE, MISSING_LABEL, TOO_SHORT, UNKNOWN_FILE, Job, Reject,
    Unusable)
from data_builders.kinematics_fatigue import keypoint_files
from data_builders.kinematics_fatigue.keypoint_files import COLUMNS, PARTS, Recording
from data_builders.raw import find_files

NAME = 'kinematics_fatigue'
LICENCE = 'not stated (the recordings are those of whoever builds the set)'
BORG_HEADER = 'start_s,end_s,borg'
BORG_MAX = 10.0  # CR-10; ratings on the scale from 6 to 20 would go beyond
MAX_FPS = 1000.0
MAX_SIDE_PX = 1 << 15
MAX_MEDIAN = 2.0  # widths and heights of the frame; key points in pixels lie far above
MIN_FRAMES = 30

_NAMES = r'([\w-]+)/([\w-]+)/([\w-]+)'
_FILE = re.compile(_NAMES + r'(\.npz|\.csv|\.borg\.csv|\.video\.csv)', re.ASCII)
_SENSORS = tuple(Sensor(name=name, unit='normalised') for name in COLUMNS)


def find_jobs(folders: Sequence[str]) -> list[Job]:
  """All files of all recordings, in order of record id."""
  jobs = find_files(folders, r'[^/]+/[^/]+/[^/]+\.(?:npz|csv)', 'SUBJECT/TASK/NAME.npz or .csv')
  return sorted(jobs, key=lambda job: (record_id(job.name), job.name))


def record_id(name: str) -> str:
  """'S1/reach/take1.npz' and 'S1/reach/take1.borg.csv' -> 'S1/reach/take1'; '' for other names."""
  match = _FILE.fullmatch(name)
  return '' if match is None else name.removesuffix(match[4])


def parse(job: Job) -> list[Record | Reject]:
  """Key points and their ratings -> one record; one without the other -> a reject."""
  match = _FILE.fullmatch(job.name)
  if match is None:
    return [Reject(job.name, UNKNOWN_FILE, 'expected SUBJECT/TASK/NAME.npz, .csv, .borg.csv or'
                   ' .video.csv, names of letters, digits, _ and -')]
  stem, kind = job.path.removesuffix(match[4]), match[4]
  has = {end: os.path.isfile(stem + end) for end in ('.npz', '.csv', '.borg.csv')}
  if kind in ('.borg.csv', '.video.csv'):  # read along with the key points
    return [] if has['.npz'] or has['.csv'] else [Reject(
        job.name, MISSING_FILE, f'no {match[3]}.npz or {match[3]}.csv is there, expected one')]
  if kind == '.csv' and has['.npz']:
    return [Reject(job.name, BAD_FORMAT, f'{match[3]}.npz is there too, expected one of them')]
  if not has['.borg.csv']:
    return [Reject(job.name, MISSING_LABEL, f'{match[3]}.borg.csv is not there, expected it')]
  try:
    read = keypoint_files.read_npz if kind == '.npz' else keypoint_files.read_csv
    recording = checked(read(job.path))
    notes = _ratings(f'{stem}.borg.csv', recording)
  except Unusable as unusable:
    return [unusable.reject(job.name)]
  keypoint_tc = recording.keypoint_tc
  whole = [Annotation(0, len(keypoint_tc), name, value)
           for name, value in (('frame_width_px', recording.width_px),
                               ('frame_height_px', recording.height_px))]
  return [Record(
      record_id=record_id(job.name), dataset=NAME, subject=match[1], session=match[2],
      repetition=-1, kind='keypoints', signal_tc=keypoint_tc, rate_hz=recording.fps,
      bandwidth_hz=recording.fps / 2, is_envelope=False, sensors=_SENSORS, labels=(),
      annotations=tuple(whole + notes), licence=LICENCE)]


def checked(recording: Recording) -> Recording:
  """The recording, if its numbers can be what they say.

  Raises:
    Unusable: too few frames, a number that is not finite or out of range, or another unit.
  """
  fps, keypoint_tc = recording.fps, recording.keypoint_tc
  sides = (recording.width_px, recording.height_px)
  if not 0 < fps <= MAX_FPS:
    raise Unusable(BAD_VALUE, f'fps is {fps}, expected within (0, {MAX_FPS:g}]')
  if not all(1 <= side <= MAX_SIDE_PX and side == int(side) for side in sides):
    raise Unusable(BAD_VALUE, f'frames of {sides} pixels, expected whole numbers')
  if len(keypoint_tc) < MIN_FRAMES:
    raise Unusable(TOO_SHORT, f'{len(keypoint_tc)} frames, expected at least {MIN_FRAMES}')
  bad_tc = ~np.isfinite(keypoint_tc)
  if bad_tc.any():
    frame, column = np.argwhere(bad_tc)[0]
    raise Unusable(BAD_VALUE, f'{keypoint_tc[frame, column]} in frame {frame}, {COLUMNS[column]},'
                   ' expected a number (0, with visibility 0, where nobody was found)')
  keypoint_tkd = keypoint_tc.reshape(len(keypoint_tc), -1, len(PARTS))
  visibility_tk = keypoint_tkd[..., -1]
  if visibility_tk.min() < 0 or visibility_tk.max() > 1 or visibility_tk.max() == 0:
    raise Unusable(BAD_VALUE, f'visibility from {visibility_tk.min():g} to'
                   f' {visibility_tk.max():g}, expected within [0, 1] and not 0 throughout')
  size = float(np.median(np.abs(keypoint_tkd[..., :2][visibility_tk > 0])))
  if size > MAX_MEDIAN:
    raise Unusable(BAD_VALUE, f'x and y are {size:g} in the median, expected shares of the frame,'
                   ' not pixels')
  return recording


def _ratings(path: str, recording: Recording) -> list[Annotation]:
  """The rated spans in frames, in order of time."""
  name, n_frames, fps = os.path.basename(path), len(recording.keypoint_tc), recording.fps
  header, rows = keypoint_files.text_rows(path)
  if header != BORG_HEADER:
    raise Unusable(BAD_FORMAT, f'{name}: header {header[:60]!r}, expected {BORG_HEADER!r}')
  if not rows:
    raise Unusable(MISSING_LABEL, f'{name}: holds no span, expected one or more')
  try:
    spans = [(float(start), float(end), float(borg))
             for start, end, borg in (row.split(',') for row in rows)]
  except ValueError as error:
    raise Unusable(BAD_FORMAT, f'{name}: {error}, expected {BORG_HEADER}') from error
  notes = []
  for start_s, end_s, borg in spans:
    # One frame more than the video has: half-frames of whoever timed the end.
    if not (0 <= start_s < end_s <= (n_frames + 1) / fps and 0 <= borg <= BORG_MAX):
      raise Unusable(BAD_VALUE, f'{name}: {start_s:g} to {end_s:g} s rated {borg:g}, expected a'
                     f' span within {n_frames / fps:g} s and a CR-10 rating from 0 to {BORG_MAX:g}')
    start, stop = round(start_s * fps), min(round(end_s * fps), n_frames)
    if start >= stop:
      raise Unusable(BAD_VALUE, f'{name}: {start_s:g} to {end_s:g} s holds no frame')
    notes.append(Annotation(start, stop, 'borg', borg))
  notes.sort(key=lambda note: note.start)
  for before, after in zip(notes, notes[1:]):
    if after.start < before.stop:
      raise Unusable(BAD_VALUE, f'{name}: the span from frame {after.start} begins before frame'
                     f' {before.stop}, where another ends, expected no overlap')
  return notes
