"""The reader of hostile HDF5 files against files made by h5py."""

import numpy as np
import pytest

from data_builders import hdf5

h5py = pytest.importorskip('h5py')
TABLE = np.array([(0.5, [1, 2]), (1.5, [3, 4])], dtype=[('time', '>f8'), ('emg', '>i2', (2,))])


@pytest.fixture
def make(tmp_path):
  """Writes a file; returns its path."""
  def write(fill):
    path = str(tmp_path / 'x.hdf5')
    with h5py.File(path, 'w') as file:
      fill(file)
    return path
  return write


def test_fields_of_a_table_come_out_in_native_order(make):
  """Big-endian numbers handed on as such, or a field taken for the whole row."""
  with hdf5.HdfFile(make(lambda f: f.create_dataset('a/b', data=TABLE))) as file:
    dataset = file.dataset('a/b')
    assert hdf5.fields(dataset) == {'time': np.dtype('>f8'), 'emg': np.dtype(('>i2', (2,)))}
    emg_tc = hdf5.read(dataset, 'emg')
    assert emg_tc.dtype == np.dtype('=i2') and emg_tc.dtype.isnative
    np.testing.assert_array_equal(emg_tc, [[1, 2], [3, 4]])
    np.testing.assert_array_equal(hdf5.read(dataset, 'time', 1), [1.5])
    assert file.names('a') == ['b'] and file.names('c') == []


def test_an_array_has_no_fields(make):
  """None for a type: NumPy takes that for float64."""
  with hdf5.HdfFile(make(lambda f: f.create_dataset('x', data=[1.0]))) as file:
    assert hdf5.fields(file.dataset('x')) == {}


def test_texts_of_fixed_length_only(make):
  """A text of variable length, on which HDF5 can loop for ever, or one of gigabytes."""
  values = {'fixed': np.bytes_(b'a\nb'), 'variable': 'text', 'number': 5, 'two': [b'a', b'b']}

  def write(file):
    file.create_dataset('x', data=[1.0]).attrs.update(values)
  with hdf5.HdfFile(make(write)) as file:
    dataset = file.dataset('x')
    assert {name: hdf5.fixed_text(dataset, name, 3) for name in (*values, 'none')} == {
        'fixed': b'a\nb', 'variable': b'', 'number': b'', 'two': b'', 'none': b''}
    assert hdf5.fixed_text(dataset, 'fixed', 2) == b''


def test_blocks_cover_every_row_once(make, monkeypatch):
  """Rows lost or read twice at the seams."""
  monkeypatch.setattr(hdf5, 'BLOCK_BYTES', 8 * 300)
  with hdf5.HdfFile(make(lambda f: f.create_dataset('x', data=np.arange(1000)))) as file:
    parts = list(hdf5.read_blocks(file.dataset('x')))
  assert [(start, len(part)) for start, part in parts] == [(0, 300), (300, 300), (600, 300),
                                                           (900, 100)]
  np.testing.assert_array_equal(np.concatenate([part for _, part in parts]), np.arange(1000))


def _virtual(file):
  layout = h5py.VirtualLayout((3,), 'i4')
  layout[:] = h5py.VirtualSource('/etc/hostname', 'x', shape=(3,))
  file.create_virtual_dataset('x', layout)


@pytest.mark.parametrize('fill, detail', [
    (lambda f: f.create_group('x'), 'no dataset x'),
    (lambda f: None, 'no dataset x'),
    (lambda f: f.create_dataset('x', data='text'), 'of object'),
    (lambda f: f.create_dataset('x', data=['a', 'b'], dtype=h5py.string_dtype()), 'of object'),
    (lambda f: f.create_dataset('x', (2,), dtype=h5py.vlen_dtype(np.uint8)), 'of object'),
    (lambda f: f.create_dataset('x', data=h5py.Empty('f8')), 'None of float64'),
    (lambda f: f.create_dataset('x', (3,), 'i1', external=[('/etc/hostname', 0, 3)]),
     'no dataset x in the file itself'),
    (_virtual, 'no dataset x in the file itself'),
    (lambda f: f.__setitem__('x', h5py.ExternalLink('/etc/hostname', '/x')), 'is a link'),
    (lambda f: (f.create_dataset('y', data=[1]), f.__setitem__('x', h5py.SoftLink('/y'))),
     'is a link'),
    (lambda f: f.create_dataset('x', (2**40,), 'f4', chunks=(1024,)), 'declares 4398046511104'),
    (lambda f: f.create_dataset('x', data=np.zeros(2**24, 'i1'), chunks=True, compression='gzip'),
     'declares 16777216'),
    (lambda f: (f.create_dataset('x', (1,), 'f4', chunks=(2**26,), maxshape=(None,)),
                f.create_dataset('y', data=np.zeros(9999))), 'in chunks of 268435456'),
])
def test_a_declaration_that_could_harm_is_refused(make, fill, detail):
  """Gigabytes for a file of some kilobytes, another file's content, or a loop on damaged texts."""
  with hdf5.HdfFile(make(fill)) as file:
    with pytest.raises(hdf5.HdfError, match=detail):
      file.dataset('x')


@pytest.mark.parametrize('data', [b'', b'time,emg\n', b'\x89HDF\r\n\x1a\n' + bytes(100)])
def test_what_is_no_hdf5_is_an_error_of_ours(tmp_path, data):
  """An exception of h5py that no parser expects."""
  (tmp_path / 'x').write_bytes(data)
  with pytest.raises(hdf5.HdfError, match='no HDF5'):
    hdf5.HdfFile(str(tmp_path / 'x'))
