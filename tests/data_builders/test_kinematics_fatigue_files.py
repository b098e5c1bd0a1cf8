"""Damaged and hostile files of key points: a reject with a reason, and no exception that escapes."""

import io
import re
import zipfile

import numpy as np
import pytest

from data_builders.jobs import Job
from data_builders.kinematics_fatigue import keypoint_files, make_dummy_data, parser

TAKE = 'S1/reach/take1'
SPANS = ((0, 1, 2), (1, 2, 8))
KEYPOINTS = make_dummy_data.keypoints


def parse(tmp_path, end='.npz'):
  return parser.parse(Job(f'{TAKE}{end}', str(tmp_path / f'{TAKE}{end}'), 0))


def write(tmp_path, keypoint_tkd=None):
  make_dummy_data.write_npz(tmp_path / f'{TAKE}.npz',
                            KEYPOINTS(0) if keypoint_tkd is None else keypoint_tkd)
  make_dummy_data.write_borg(tmp_path / f'{TAKE}.borg.csv', SPANS)


@pytest.mark.parametrize('end, change, detail', [
    ('.borg.csv', lambda data: b'0,1,5\n', 'header'),
    ('.borg.csv', lambda data: data[:-1], 'cut short'),
    ('.borg.csv', lambda data: b'', 'cut short'),
    ('.borg.csv', lambda data: data.replace(b'8', b'\xff'), 'expected text'),
    ('.csv', lambda data: b'', 'cut short'),
    ('.csv', lambda data: data[:-6], 'cut short'),
    ('.csv', lambda data: data[:-15] + b'\n', 'fields'),
    ('.csv', lambda data: data.replace(b'\n', b'\n\n'), 'fields'),
    ('.csv', lambda data: data.replace(b'nose_v', b'nose'), 'header'),
    ('.csv', lambda data: data.replace(b'nose_', b'hip_').replace(b'left_', b'l').replace(
        b'right_', b'r'), 'header'),
    ('.csv', lambda data: data.replace(b'nose_y', b'nose_x'), 'header'),
    ('.csv', lambda data: data.replace(b'label', b'nose_x'), 'header'),
    ('.csv', lambda data: re.sub(rb'up,[^,]*', b'up,zero', data, count=1), 'expected numbers'),
    ('.csv', lambda data: re.sub(rb'up,[^,]*', b'up,nan', data, count=1), 'nan in frame 0'),
    ('.csv', lambda data: re.sub(rb'up,[^,]*', b'up,1e99', data, count=1), 'inf in frame 0'),
    ('.video.csv', lambda data: b'fps,width\n30,640\n', 'expected fps,width,height'),
    ('.video.csv', lambda data: b'fps,width,height\n', 'and 0 rows'),
    ('.video.csv', lambda data: b'fps,width,height\n30,640\n', 'fields'),
    ('.video.csv', lambda data: b'fps,width,height\n30,wide,480\n', 'expected numbers'),
])
def test_bad_text_files_are_named(tmp_path, end, change, detail):
  """A damaged table that is read all the same, shifted by a row or a column."""
  make_dummy_data.write_csv(tmp_path / f'{TAKE}.csv', KEYPOINTS(0))
  make_dummy_data.write_borg(tmp_path / f'{TAKE}.borg.csv', SPANS)
  path = tmp_path / f'{TAKE}{end}'
  path.write_bytes(change(path.read_bytes()))
  (reject,) = parse(tmp_path, '.csv')
  assert detail in reject.detail, reject
  path.unlink()
  expected = {'.borg.csv': 'missing label', '.video.csv': 'missing file', '.csv': None}[end]
  assert expected is None or parse(tmp_path, '.csv')[0].reason == expected


def _npy(header: bytes, values: bytes = b'') -> bytes:
  """An NPY file, version 1.0, with any header."""
  return b'\x93NUMPY\x01\x00' + len(header).to_bytes(2, 'little') + header + values


@pytest.mark.parametrize('member, detail', [
    (_npy(b"{'descr':'<f4','fortran_order':False,'shape':(1000000000000,11,4)}\n"), 'has 0 bytes'),
    (_npy(b"{'descr':'<f4','fortran_order':False,'shape':(-1,-11,4)}\n", bytes(176)), 'expected'),
    (_npy(b"{'descr':'|O','fortran_order':False,'shape':(1,)}\n", b'cos\nsystem\n.'), 'declares'),
    (_npy(b"{'descr':'<f4','shape':(1,)}\n"), 'expected a complete NPZ'),
    (_npy(b'((((((((((((\n'), 'expected a complete NPZ'),
    (b'\x93NUMPY\x03\x00', 'expected (1, 0)'),
    (b'', 'expected a complete NPZ'),
])
def test_hostile_members_are_refused(tmp_path, member, detail):
  """Memory for what a header declares, code in a pickle, or an exception that nobody catches."""
  write(tmp_path)
  path = tmp_path / f'{TAKE}.npz'
  rest = {name: array for name, array in np.load(path).items() if name != 'keypoints'}
  np.savez(path, **rest)
  with zipfile.ZipFile(path, 'a') as archive:
    archive.writestr('keypoints.npy', member)
  (reject,) = parse(tmp_path)
  assert reject.reason == 'bad format' and detail in reject.detail, reject


def test_a_member_that_unpacks_to_gigabytes_is_refused(tmp_path, monkeypatch):
  """A zip bomb in the place of key points."""
  monkeypatch.setattr(keypoint_files, 'MAX_BYTES', 20_000)
  write(tmp_path, np.zeros((200, 11, 4), np.float32))
  (reject,) = parse(tmp_path)
  assert reject.reason == 'bad size' and '35328' in reject.detail
  (tmp_path / f'{TAKE}.npz').unlink()
  make_dummy_data.write_csv(tmp_path / f'{TAKE}.csv', make_dummy_data.keypoints(0, 200))
  (reject,) = parse(tmp_path, '.csv')
  assert reject.reason == 'bad size' and 'expected at most 20000' in reject.detail


def test_members_are_packed_as_numpy_packs_them(tmp_path):
  """LZMA, which can ask for a dictionary of gigabytes."""
  write(tmp_path)
  path = tmp_path / f'{TAKE}.npz'
  with zipfile.ZipFile(path) as archive:
    members = {name: archive.read(name) for name in archive.namelist()}
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_LZMA) as archive:
    for name, data in members.items():
      archive.writestr(name, data)
  (reject,) = parse(tmp_path)
  assert reject.reason == 'bad format' and 'packed by method 14' in reject.detail


@pytest.mark.heavy
def test_damaged_archives_are_refused(tmp_path):
  """An exception of zipfile, zlib or NumPy that nobody catches; numbers that fail their CRC."""
  write(tmp_path)
  path = tmp_path / f'{TAKE}.npz'
  packed = io.BytesIO()
  np.savez_compressed(packed, **np.load(path))
  for data in (path.read_bytes(), packed.getvalue()):
    path.write_bytes(data)
    (whole,) = parse(tmp_path)
    for seed in range(150):
      rng, damaged = np.random.default_rng(seed), bytearray(data)
      for i in rng.integers(len(data), size=1 + seed % 4):
        damaged[i] ^= 1 << rng.integers(8)
      path.write_bytes(damaged if seed % 3 else damaged[:rng.integers(len(data))])
      (item,) = parse(tmp_path)
      if hasattr(item, 'signal_tc'):
        np.testing.assert_array_equal(item.signal_tc, whole.signal_tc)
