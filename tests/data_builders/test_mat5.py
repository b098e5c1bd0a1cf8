"""The MATLAB v5 reader against scipy's writer, bytes built by hand, and hostile files."""

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import scipy.io

from data_builders import mat5

ALL = ('emg', 'label', 'other')


def element(kind, data, order='<') -> bytes:
  return struct.pack(order + 'II', kind, len(data)) + data + b'\0' * (-len(data) % 8)


def matrix(array, name='emg', mat_class=7, stored=7, order='<', shape=None, data=None) -> bytes:
  """One matrix element; `stored`, `shape` and `data` need not fit the array."""
  shape = array.shape if shape is None else shape
  data = array.T.tobytes() if data is None else data
  return element(mat5.MATRIX, element(6, struct.pack(order + 'II', mat_class, 0), order)
                 + element(5, struct.pack(f'{order}{len(shape)}i', *shape), order)
                 + element(1, name.encode(), order) + element(stored, data, order), order)


def compressed(inner, level=6) -> bytes:
  packed = zlib.compress(inner, level)
  return struct.pack('<II', mat5.COMPRESSED, len(packed)) + packed


def mat_file(tmp_path, *elements, version=0x100, order='<'):
  """Path of a file with these elements."""
  mark = b'IM' if order == '<' else b'MI'
  path = tmp_path / 'x.mat'
  path.write_bytes(b'MATLAB 5.0 MAT-file'.ljust(124) + struct.pack(order + 'H', version) + mark
                   + b''.join(elements))
  return str(path)


@pytest.mark.parametrize('do_compression', [False, True])
@pytest.mark.parametrize('dtype', ['float64', 'float32', 'int8', 'uint8', 'int16', 'uint16',
                                   'int32', 'uint32', 'int64', 'uint64'])
def test_it_reads_what_scipy_writes(tmp_path, dtype, do_compression):
  """Rows taken for columns, a wrong type, names or numbers that lie in the tag itself."""
  rng = np.random.default_rng(0)
  wanted = {'emg': rng.integers(0, 100, (37, 5)).astype(dtype), 'label': np.array([[3]], dtype),
            'other': rng.integers(0, 100, (9, 1)).astype(dtype)}
  path = str(tmp_path / 'x.mat')
  scipy.io.savemat(path, wanted | {'unused': np.zeros((4, 4)), 'text': 'abc', 's': {'a': 1},
                                   'cell': np.array([[1, 'a']], object)},
                   do_compression=do_compression)
  arrays = mat5.read_arrays(path, ALL)
  assert set(arrays) == set(wanted)
  for name, array in wanted.items():
    np.testing.assert_array_equal(arrays[name], array, strict=True)
    assert arrays[name].flags.c_contiguous
  assert mat5.read_arrays(path, ('label', 'absent')).keys() == {'label'}


def test_doubles_stored_as_bytes_and_big_endian(tmp_path):
  """A reader that goes by the class of a matrix and not by what is stored; one byte order."""
  labels = np.array([[0], [7], [200]], np.uint8)
  path = mat_file(tmp_path, matrix(labels, 'label', mat_class=6, stored=2))
  np.testing.assert_array_equal(mat5.read_arrays(path, ALL)['label'], labels, strict=True)
  emg = np.arange(6, dtype=np.float32).reshape(3, 2)
  path = mat_file(tmp_path, matrix(emg.astype('>f4'), order='>'), order='>')
  np.testing.assert_array_equal(mat5.read_arrays(path, ALL)['emg'], emg, strict=True)


EMG = np.arange(6, dtype=np.float32).reshape(3, 2)
GOOD = matrix(EMG)


@pytest.mark.parametrize('elements, said', [
    ((GOOD[:-8],), 'cut short'),
    ((GOOD[:4],), 'cut short'),
    ((struct.pack('<II', 14, 1 << 31) + GOOD[8:],), 'cut short: an element of 2147483648'),
    ((element(9, b'12345678'),), 'element of type 9'),
    ((GOOD, GOOD), 'there twice'),
    ((matrix(EMG, stored=200),), 'stored as type 200'),  # ends the process of scipy.io.loadmat
    ((matrix(EMG, stored=8),), 'stored as type 8'),  # likewise
    ((matrix(EMG, stored=4),), 'has 24 bytes, expected'),
    ((matrix(EMG, shape=(3, 4)),), 'has 24 bytes, expected'),
    ((matrix(EMG, shape=(-3, -2)),), 'expected 2 dimensions'),
    ((matrix(EMG, shape=(3, 2, 1)),), 'expected 2 dimensions'),
    ((matrix(EMG, shape=(2**31 - 1, 2**31 - 1)),), 'has 24 bytes, expected'),
    ((matrix(EMG, mat_class=2),), 'variable emg is struct'),
    ((matrix(EMG, mat_class=3),), 'variable emg is object'),
    ((matrix(EMG, mat_class=16),), 'variable emg is function'),
    ((matrix(EMG, mat_class=5),), 'variable emg is sparse'),
    ((matrix(EMG, mat_class=99),), 'variable emg is of class 99'),
    ((matrix(EMG, mat_class=0x807),), 'variable emg is complex'),
    ((compressed(GOOD)[:-4],), 'cut short'),
    ((compressed(matrix(EMG, data=b'\0' * 8)),), 'has 8 bytes, expected'),
    ((compressed(GOOD + bytes(64)),), 'more bytes follow'),
    ((compressed(element(9, b'12345678')),), 'expected a matrix in it'),
    ((struct.pack('<II', mat5.COMPRESSED, 16) + b'no zlib stream!!',), 'damaged'),
])
def test_bad_files_are_named(tmp_path, elements, said):
  """A crash, or a matrix with a guessed shape."""
  with pytest.raises(mat5.MatError, match=said):
    mat5.read_arrays(mat_file(tmp_path, *elements), ALL)


def test_other_formats_are_named(tmp_path):
  """Files of MATLAB 7.3, of MATLAB 4 or of something else read as v5."""
  with pytest.raises(mat5.MatError, match=r'v7\.3 \(HDF5\)'):
    mat5.read_arrays(mat_file(tmp_path, GOOD, version=0x200), ALL)
  path = tmp_path / 'y.mat'
  for data in (b'', b'\x89HDF\r\n', b'no MATLAB file' * 20):
    path.write_bytes(data)
    with pytest.raises(mat5.MatError, match='expected a MATLAB v5 header'):
      mat5.read_arrays(str(path), ALL)


@pytest.mark.heavy
def test_flipped_bits_of_a_compressed_variable_are_seen(tmp_path):
  """A checksum that is never compared: wrong numbers that look like numbers."""
  emg = np.random.default_rng(1).normal(size=(50, 4))
  buffer = io.BytesIO()
  scipy.io.savemat(buffer, {'emg': emg}, do_compression=True)
  good = buffer.getvalue()
  path = tmp_path / 'x.mat'
  flips = range(8 * (mat5.HEADER_BYTES + 8), 8 * len(good), 29)
  seen = 0
  for bit in flips:
    path.write_bytes(good[:bit // 8] + bytes([good[bit // 8] ^ 1 << bit % 8]) + good[bit // 8 + 1:])
    try:
      arrays = mat5.read_arrays(str(path), ALL)
    except mat5.MatError:
      arrays = {}
    if 'emg' in arrays:  # a bit that the format leaves unused
      np.testing.assert_array_equal(arrays['emg'], emg)
    seen += 'emg' not in arrays
  assert seen >= len(flips) - 2


def test_a_bomb_is_not_inflated(tmp_path):
  """128 MiB of zeros in 128 kB: allocated as declared, or inflated as far as it goes."""
  n_bytes, limit = 128 << 20, 8 << 20
  head = matrix(EMG, shape=(n_bytes // 16, 4))[:-32]  # without the data part
  stream = zlib.compressobj(9)
  packed = stream.compress(head + struct.pack('<II', 7, n_bytes))
  packed += b''.join(stream.compress(bytes(1 << 20)) for _ in range(128)) + stream.flush()
  path = mat_file(tmp_path, struct.pack('<II', mat5.COMPRESSED, len(packed)) + packed)
  tracemalloc.start()
  with pytest.raises(mat5.MatError, match=f'part of {n_bytes} bytes, expected at most {limit}'):
    mat5.read_arrays(path, ALL, limit)
  assert mat5.read_arrays(path, ('label',), limit) == {}  # skipped unread
  assert tracemalloc.get_traced_memory()[1] < limit
  tracemalloc.stop()


def cell(*elements, name='gestures', shape=None) -> bytes:
  """One cell array of these matrix elements."""
  shape = (len(elements), 1) if shape is None else shape
  return element(mat5.MATRIX, element(6, struct.pack('<II', mat5.CELL, 0))
                 + element(5, struct.pack(f'<{len(shape)}i', *shape))
                 + element(1, name.encode()) + b''.join(elements))


@pytest.mark.parametrize('do_compression', [False, True])
@pytest.mark.parametrize('shape', [(3, 1), (1, 3)])
def test_it_reads_cells_that_scipy_writes(tmp_path, shape, do_compression):
  """Cells out of order, rows taken for columns, small matrices that lie in the tag itself."""
  rng = np.random.default_rng(0)
  wanted = [rng.normal(size=(4, 7)), rng.integers(0, 9, (1, 1)).astype(np.uint8),
            rng.normal(size=(2, 9)).astype(np.float32)]
  cells = np.empty(3, object)
  cells[:] = wanted
  path = str(tmp_path / 'x.mat')
  scipy.io.savemat(path, {'gestures': cells.reshape(shape), 'other': np.zeros((4, 4))},
                   do_compression=do_compression)
  found = mat5.read_cells(path, ('gestures', 'absent'))
  assert found.keys() == {'gestures'}
  for array, expected in zip(found['gestures'], wanted, strict=True):
    np.testing.assert_array_equal(array, expected, strict=True)
    assert array.flags.c_contiguous


A = matrix(np.arange(6.0).reshape(3, 2), '', stored=9, mat_class=6)


@pytest.mark.parametrize('elements, said', [
    ((cell(A, A)[:-8],), 'cut short'),
    ((cell(A, A[:-8]),), 'cut short'),
    ((cell(A, A, shape=(1, 3)),), 'cut short'),
    ((cell(A, A, shape=(1, 1)),), 'bytes follow the data'),
    ((cell(A, A, shape=(2, 1, 1)),), r'shape \(2, 1, 1\), expected a vector of at most 1000'),
    ((cell(A, A, A, A, shape=(2, 2)),), 'expected a vector'),
    ((cell(A, shape=(2**31 - 1, 1)),), 'expected a vector of at most 1000'),
    ((cell(A, shape=(-1, -1)),), 'expected a vector'),
    ((cell(A, struct.pack('<II', 14, 0)),), 'cell 2 of variable gestures is of type 14 and 0'),
    ((cell(element(9, bytes(8))),), 'cell 1 of variable gestures is of type 9'),
    ((cell(A, cell(A, name='')),), 'cell 2 of variable gestures is cell'),
    ((cell(matrix(EMG, '', mat_class=0x807)),), 'cell 1 of variable gestures is complex'),
    ((cell(matrix(EMG, '', shape=(9, 9))),), 'cell 1 of variable gestures has 24 bytes'),
    ((cell(struct.pack('<II', 14, 1 << 30) + A[8:]), bytes(8)), 'bytes follow the data'),
    ((cell(struct.pack('<II', 14, len(A) + 8) + A[8:] + bytes(16)),), 'bytes follow the data'),
    ((matrix(EMG, 'gestures'),), 'variable gestures is a matrix, expected cells'),
    ((matrix(EMG, 'gestures', mat_class=4),), 'variable gestures is char, expected cells'),
    ((compressed(cell(A, A) + bytes(64)),), 'more bytes follow'),
    ((compressed(cell(A, A))[:-4],), 'cut short'),
    ((cell(A), cell(A)), 'there twice'),
])
def test_bad_cells_are_named(tmp_path, elements, said):
  """A crash, a cell that reads on into the next one, or a matrix with a guessed shape."""
  with pytest.raises(mat5.MatError, match=said):
    mat5.read_cells(mat_file(tmp_path, *elements), ('gestures',))


def test_cells_are_limited_together(tmp_path):
  """Many cells that are each below the limit."""
  path = mat_file(tmp_path, compressed(cell(A, A, A)))
  assert len(mat5.read_cells(path, ('gestures',), 3 * 48)['gestures']) == 3
  with pytest.raises(mat5.MatError, match='part of 48 bytes, expected at most 47'):
    mat5.read_cells(path, ('gestures',), 3 * 48 - 1)
  assert mat5.read_arrays(path, ('other',)) == {}


def test_padding_of_a_cell_is_passed_over(tmp_path):
  """The next cell read from within the padding of this one."""
  padded = struct.pack('<II', mat5.MATRIX, len(A) - 8 + 4) + A[8:] + bytes(4)
  path = mat_file(tmp_path, cell(padded, A, bytes(4), shape=(2, 1)))
  cells = mat5.read_cells(path, ('gestures',))['gestures']
  np.testing.assert_array_equal(cells, [np.arange(6.0).reshape(3, 2)] * 2)
