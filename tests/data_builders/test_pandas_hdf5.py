"""Data frames in HDF5 as pandas lays them out, written by h5py."""

import numpy as np
import pytest

from data_builders import hdf5, pandas_hdf5
from data_builders.generic_neuromotor import make_dummy_data

h5py = pytest.importorskip('h5py')
FRAME = {'start': np.array([1.0, 2.0]), 'name': np.array([b'a', b'bc']),
         'end': np.array([3.0, 4.0])}


def columns(tmp_path, write, read=True):
  with h5py.File(tmp_path / 'x.hdf5', 'w') as file:
    write(file)
  with hdf5.HdfFile(str(tmp_path / 'x.hdf5')) as file:
    found = pandas_hdf5.columns(file, 'prompts')
    return {name: column.read().tolist() for name, column in found.items()} if read else found


@pytest.mark.parametrize('write', [make_dummy_data.write_blocks, make_dummy_data.write_columns])
def test_columns_of_a_table_are_found_by_name(tmp_path, write):
  """Columns taken by position: blocks put columns of one type together."""
  assert columns(tmp_path, lambda f: write(f, 'prompts', FRAME)) == {
      'index': [0, 1], 'start': [1.0, 2.0], 'end': [3.0, 4.0], 'name': [b'a', b'bc']}


def test_names_pickled_by_python_2_are_read_too(tmp_path):
  """Sets of 2018: the same list as text with S'...' in it."""
  def write(file):
    make_dummy_data.write_blocks(file, 'prompts', FRAME)
    file['prompts/table'].attrs['values_block_0_kind'] = np.bytes_(
        b"(lp1\nS'end'\np2\naS'start'\np3\na.")
  assert columns(tmp_path, write)['end'] == [1.0, 2.0]


@pytest.mark.parametrize('kind', [
    b'', b'\x80\x04]\x94.', b'(lp0\nVstart\np1\na.', b'cos\nsystem\n(Vstart\np1\naVend\np2\ntR.',
    'a text of variable length', 5, np.bytes_(b'(lp0\n' + b'V\np1\na' * 3000)])
def test_names_that_are_no_list_leave_the_block_out(tmp_path, kind):
  """Numbers under the name of another column; a pickle that is run."""
  def write(file):
    make_dummy_data.write_blocks(file, 'prompts', FRAME)
    file['prompts/table'].attrs['values_block_0_kind'] = (
        np.bytes_(kind) if isinstance(kind, bytes) and kind else kind)
  assert set(columns(tmp_path, write)) == {'index', 'name'}


def test_the_fixed_layout_gives_numbers_and_no_texts(tmp_path):
  """A pickled column that is read, or numbers lost together with it."""
  frame = FRAME | {'name': None}
  found = columns(tmp_path, lambda f: make_dummy_data.write_fixed(f, 'prompts', frame), read=False)
  assert set(found) == {'start', 'end', 'name'} and found['name'].dataset is None
  with pytest.raises(hdf5.HdfError, match='pickled'):
    found['name'].read()
  with h5py.File(tmp_path / 'x.hdf5') as file:
    assert file['prompts/block0_values'][:, found['end'].index].tolist() == [3.0, 4.0]


def _fixed(path, value):
  def write(file):
    make_dummy_data.write_fixed(file, 'prompts', FRAME | {'name': None})
    del file[f'prompts/{path}']
    file[f'prompts/{path}'] = value
  return write


@pytest.mark.parametrize('write, detail', [
    (lambda f: None, 'holds \\[\\]'),
    (lambda f: f.create_group('prompts/table'), 'no dataset prompts/table'),
    (lambda f: f.create_dataset('prompts/table', data=[1.0]), 'expected rows'),
    (_fixed('block0_items', np.array([1.0])), 'expected names'),
    (_fixed('block0_items', np.array([b'start'])), '1 names of'),
    (_fixed('block0_items', np.array([b'start', b'\xff'])), 'not UTF-8'),
    (_fixed('block0_values', np.array([1.0])), r'2 names of \(1,\)'),
])
def test_what_is_no_frame_is_named(tmp_path, write, detail):
  """A traceback, or numbers of no known meaning."""
  with pytest.raises(hdf5.HdfError, match=detail):
    columns(tmp_path, write)
