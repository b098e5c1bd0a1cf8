"""Reads one recording's key points from NPZ or CSV, as if the file were hostile. NumPy only.

Both give the 11 points of the upper body, each x, y, z and visibility as MediaPipe Pose has them:
x and y in widths and heights of the frame, z in widths, visibility from 0 to 1.
"""

from collections.abc import Mapping
import dataclasses
import io
import math
import os
import struct
import tokenize
import zipfile
import zlib

import numpy as np

from data_builders.jobs import BAD_FORMAT, BAD_SIZE, MISSING_FILE, Unusable

POINTS = ('nose', 'left_shoulder', 'right_shoulder', 'left_elbow', 'right_elbow', 'left_wrist',
          'right_wrist', 'left_pinky', 'right_pinky', 'left_index', 'right_index')
PARTS = ('x', 'y', 'z', 'v')
COLUMNS = tuple(f'{point}_{part}' for point in POINTS for part in PARTS)
FPS, WIDTH, HEIGHT, KEYPOINTS = 'fps', 'width', 'height', 'keypoints'
VIDEO_HEADER = f'{FPS},{WIDTH},{HEIGHT}'
MAX_BYTES = 128 << 20  # 7 hours at 30 frames a second as NPZ

# What zipfile and NumPy raise on damaged files.
_NPZ_ERRORS = (OSError, ValueError, EOFError, RuntimeError, NotImplementedError, MemoryError,
               SyntaxError, TypeError, LookupError, OverflowError, struct.error,
               tokenize.TokenError, zipfile.BadZipFile, zlib.error)


@dataclasses.dataclass(frozen=True)
class Recording:
  """Key points of one video.

  Attributes:
    keypoint_tc: [T, 44] float32, in the order of COLUMNS.
    fps: frames a second.
    width_px, height_px: of a frame.
  """
  keypoint_tc: np.ndarray
  fps: float
  width_px: float
  height_px: float


def read_npz(path: str) -> Recording:
  """`keypoints` [T, 11, 4] float32, and the numbers `fps`, `width` and `height`.

  Raises:
    Unusable: the file is no such NPZ.
  """
  try:
    with zipfile.ZipFile(path) as archive:
      names = archive.namelist()
      missing = {f'{key}.npy' for key in (KEYPOINTS, FPS, WIDTH, HEIGHT)} - set(names)
      if missing:
        raise Unusable(BAD_FORMAT, f'holds {sorted(names)}, lacks {sorted(missing)}')
      keypoint_tkd = _array(archive, KEYPOINTS)
      fps, width, height = (_number(_array(archive, key), key) for key in (FPS, WIDTH, HEIGHT))
  except _NPZ_ERRORS as error:
    raise Unusable(BAD_FORMAT, f'{error!r}, expected a complete NPZ') from error
  shape = (len(POINTS), len(PARTS))
  if keypoint_tkd.dtype != np.float32 or keypoint_tkd.ndim != 3 or keypoint_tkd.shape[1:] != shape:
    raise Unusable(BAD_FORMAT, f'{KEYPOINTS} is {keypoint_tkd.shape} of {keypoint_tkd.dtype},'
                   f' expected [T, {shape[0]}, {shape[1]}] of float32')
  return Recording(keypoint_tkd.reshape(len(keypoint_tkd), len(COLUMNS)), fps, width, height)


def _array(archive: zipfile.ZipFile, key: str) -> np.ndarray:
  """One member. Not by numpy.load: that allocates what a header declares before it reads."""
  entry = archive.getinfo(f'{key}.npy')
  if entry.file_size > MAX_BYTES:
    raise Unusable(BAD_SIZE, f'{key} has {entry.file_size} bytes, expected at most {MAX_BYTES}')
  if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
    raise Unusable(BAD_FORMAT, f'{key} is packed by method {entry.compress_type}, expected what'
                   ' NumPy writes')
  data = io.BytesIO(archive.read(entry))
  version = np.lib.format.read_magic(data)
  if version != (1, 0):
    raise Unusable(BAD_FORMAT, f'{key} is NPY {version}, expected (1, 0)')
  shape, fortran, dtype = np.lib.format.read_array_header_1_0(data)
  values = data.read()
  if len(values) != math.prod(shape) * dtype.itemsize:
    raise Unusable(BAD_FORMAT, f'{key} declares {shape} of {dtype} and has {len(values)} bytes')
  # Objects are refused by frombuffer.
  return np.frombuffer(values, dtype).reshape(shape, order='F' if fortran else 'C')


def _number(array: np.ndarray, key: str) -> float:
  if array.size != 1 or array.dtype.kind not in 'iuf':
    raise Unusable(BAD_FORMAT, f'{key} is {array.shape} of {array.dtype}, expected a number')
  return float(array.item())


def read_csv(path: str) -> Recording:
  """Columns `nose_x`, `nose_y`, `nose_z`, `nose_v`, ...; fps and size in NAME.video.csv beside it.

  Other columns are ignored. A point without columns was not estimated: it is 0 throughout, with
  visibility 0.

  Raises:
    Unusable: one of the two is no such file.
  """
  video_path = f'{path.removesuffix(".csv")}.video.csv'
  if not os.path.isfile(video_path):
    raise Unusable(MISSING_FILE, f'{os.path.basename(video_path)} is not there, expected'
                   f' {VIDEO_HEADER} in it')
  header, rows = text_rows(video_path)
  if header != VIDEO_HEADER or len(rows) != 1:
    raise Unusable(BAD_FORMAT, f'{os.path.basename(video_path)}: {header[:60]!r} and {len(rows)}'
                   f' rows, expected {VIDEO_HEADER} and one')
  video = _floats(rows, dict(enumerate(VIDEO_HEADER.split(','))), 3)[0]
  header, rows = text_rows(path)
  names = header.split(',')
  columns = {i: name for i, name in enumerate(names) if name in COLUMNS}
  points = [point for point in POINTS if f'{point}_{PARTS[0]}' in names]
  expected = [f'{point}_{part}' for point in points for part in PARTS]
  if not points or sorted(columns.values()) != sorted(expected):
    raise Unusable(BAD_FORMAT, f'header {header[:60]!r}, expected {COLUMNS[0]} and so on: x, y, z'
                   ' and v of each point, once')
  keypoint_tc = np.zeros((len(rows), len(COLUMNS)), np.float32)
  with np.errstate(over='ignore'):  # what float32 cannot hold becomes inf, which is rejected
    keypoint_tc[:, [COLUMNS.index(name) for name in columns.values()]] = _floats(
        rows, columns, len(names))
  return Recording(keypoint_tc, *video.tolist())


def text_rows(path: str) -> tuple[str, list[str]]:
  """Header and lines of a text table, as spreadsheets and programs write it."""
  if os.path.getsize(path) > MAX_BYTES:
    raise Unusable(BAD_SIZE, f'{os.path.getsize(path)} bytes, expected at most {MAX_BYTES}')
  with open(path, 'rb') as f:
    data = f.read()
  try:
    header, *rows = data.decode('utf-8-sig').replace('\r\n', '\n').split('\n')
  except UnicodeDecodeError as error:
    raise Unusable(BAD_FORMAT, f'{os.path.basename(path)}: {error}, expected text') from error
  if not rows or rows.pop():
    raise Unusable(BAD_FORMAT, f'{os.path.basename(path)}: no end of line at the end (is it cut'
                   ' short?)')
  return header, rows


def _floats(rows: list[str], columns: Mapping[int, str], n_columns: int) -> np.ndarray:
  """The chosen columns [row, column] as float64."""
  if not rows:
    return np.zeros((0, len(columns)))
  for i, row in enumerate(rows):
    if row.count(',') != n_columns - 1:
      raise Unusable(BAD_FORMAT, f'row {i} has {row.count(",") + 1} fields, expected {n_columns}')
  try:
    return np.loadtxt(rows, comments=None, delimiter=',', usecols=list(columns), ndmin=2)
  except ValueError as error:
    raise Unusable(BAD_FORMAT, f'{error}, expected numbers for {list(columns.values())[0]} and so'
                   ' on') from error
