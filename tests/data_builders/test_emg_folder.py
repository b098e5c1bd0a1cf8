"""Folders with a manifest: the README's examples, every format, and files that do not fit."""

import shutil

from aemg_jax.records import Label, Record, validate
from aemg_jax.sources import read_records
import edfio
import numpy as np
import pytest
from scipy.io import savemat

from data_builders import build as build_lib
from data_builders import wfdb_record
from data_builders.emg_folder import emg_folder_dataset_builder, make_dummy_data, manifest, parser
from data_builders.jobs import (BAD_FORMAT, BAD_SIZE, BAD_VALUE, CONSTANT_CHANNEL, UNKNOWN_FILE,
                                UNKNOWN_LABEL, Reject)

BASE = """
name: lab
licence: CC0
files: '{subject}.%s'
format: %s
dtype: %s
rate_hz: 100
channels: [{signal: %s}, {signal: %s}]
"""


def parse_all(folder, text):
  """Every record and reject of a folder with the manifest `text`."""
  (folder / manifest.FILE).write_text(text, encoding='utf-8')
  found = manifest.read([str(folder)])
  return [item for job in parser.find_jobs(found) for item in parser.parse(found, job)]


def numbers(n=50, channels=2):
  """Whole numbers [n, channels], all different."""
  return (np.arange(n * channels).reshape(n, channels) * 7 % 101 - 50).astype(np.int16)


def write_edf(path, counts_tc, physical=(-3.2768, 3.2767), unit='mV', rate_hz=100):
  """An EDF or BDF file, as its name ends, with signals EMG1, EMG2, ... and whole seconds."""
  bits = 24 if path.suffix == '.bdf' else 16
  bound = 1 << (bits - 1)
  cls, signal_cls = {24: (edfio.Bdf, edfio.BdfSignal), 16: (edfio.Edf, edfio.EdfSignal)}[bits]
  cls([signal_cls.from_digital(column.astype(np.int32 if bits == 24 else np.int16), rate_hz,
                               label=f'EMG{i + 1}', physical_dimension=unit,
                               physical_range=physical, digital_range=(-bound, bound - 1))
       for i, column in enumerate(counts_tc.T)],
      annotations=[edfio.EdfAnnotation(0.2, None, 'start')]).write(path)


def test_first_example_is_built_as_the_readme_says(tmp_path):
  """A README whose example does not work; fields of the path taken for one another."""
  make_dummy_data.main(tmp_path / 'raw')
  folder = build_lib.build('emg_folder', str(tmp_path), str(tmp_path / 'raw'), progress=False)
  assert folder == tmp_path / 'emg_folder/example_csv/1.0.0'
  source = read_records(folder)
  record = source[0]
  assert (record.record_id, record.dataset) == ('P01/day1/fist_1.csv', 'emg_folder/example_csv')
  assert (record.subject, record.session, record.repetition) == ('01', '1', 0)
  assert record.labels == (Label(0, 120, 'hand close'),)
  assert [s.angle_deg for s in record.sensors] == [0, 90, 180, 270]
  assert record.sensors[0].name == 'flexor carpi radialis'
  row = (tmp_path / 'raw' / record.record_id).read_text().splitlines()[3].split(',')
  np.testing.assert_array_equal(record.signal_tc[2], np.float32(row[1:5]))
  assert source.meta.common_names['hand close'] == 'fist'


def test_second_example_is_built_as_the_readme_says(tmp_path):
  """Spans in seconds taken for samples; counts without their gain; a broken file not counted."""
  rng = np.random.default_rng(0)
  raw = tmp_path / 'raw'
  raw.mkdir()
  for name in ('sub07_a', 'sub07_b', 'sub12_a', 'sub12_b'):
    counts_tc = rng.integers(-500, 500, (1500, 2))
    counts_tc[:, 1] *= name != 'sub12_b'
    write_edf(raw / f'{name}.edf', counts_tc, rate_hz=500)
  readme = make_dummy_data.README.read_text().split('    file,start')[1].split('\n\n')[0]
  lines = [line.strip().split(' ')[0] for line in f'file,start{readme}'.splitlines()]
  (raw / 'spans.csv').write_text('\n'.join(lines) + '\n')
  (raw / manifest.FILE).write_text(make_dummy_data.example(2))
  source = read_records(build_lib.build('emg_folder', str(tmp_path), str(raw), progress=False))
  assert source.meta.reject_counts == {CONSTANT_CHANNEL: 1} and len(source) == 3
  record = source[0]
  assert record.labels == (Label(0, 750, 'rest'), Label(750, 1375, 'curl'))
  assert [(a.start, a.name, a.value) for a in record.annotations] == [
      (750, 'repetition', 0.0), (750, 'borg', 3.5)]
  assert record.signal_tc.dtype == np.int32
  assert [(s.unit, s.scale) for s in record.sensors] == [('mV', pytest.approx(1e-4))] * 2
  assert source[1].labels == () and source[1].subject == '07' and source[1].session == 'b'


def test_folders_of_one_name_do_not_overwrite_each_other(tmp_path):
  """A second lab's folder taken for the first one's build, or replacing it."""
  for i in (1, 2):
    make_dummy_data.main(tmp_path / f'raw{i}')
  (tmp_path / 'raw2/P01/day1/open_2.csv').unlink()
  first = build_lib.build('emg_folder', str(tmp_path), str(tmp_path / 'raw1'), progress=False)
  before = {p: p.read_bytes() for p in first.iterdir()}
  archive = shutil.make_archive(str(tmp_path / 'again'), 'zip', tmp_path / 'raw1')
  assert build_lib.build('emg_folder', str(tmp_path), archive, progress=False) == first
  with pytest.raises(ValueError, match='was built from other files than those of .*raw2'):
    build_lib.build('emg_folder', str(tmp_path), str(tmp_path / 'raw2'), progress=False)
  file = tmp_path / 'raw1' / manifest.FILE
  file.write_text(file.read_text().replace('bandwidth_hz: 450', 'bandwidth_hz: 400'))
  with pytest.raises(ValueError, match='was built from other files'):  # the manifest counts too
    build_lib.build('emg_folder', str(tmp_path), str(tmp_path / 'raw1'), progress=False)
  text = (tmp_path / 'raw2' / manifest.FILE).read_text()
  (tmp_path / 'raw2' / manifest.FILE).write_text(text.replace('example_csv', 'other_lab'))
  second = build_lib.build('emg_folder', str(tmp_path), str(tmp_path / 'raw2'), progress=False)
  assert second == tmp_path / 'emg_folder/other_lab/1.0.0'
  assert {p: p.read_bytes() for p in first.iterdir()} == before
  assert len(read_records(second)) == len(read_records(first)) - 1


def test_the_schema_is_the_manifests(tmp_path):
  """A set whose features do not say how many channels it has, or in which type."""
  builder = emg_folder_dataset_builder.Builder(
      raw_dirs=[str(make_dummy_data.FOLDER)], data_dir=str(tmp_path))
  signal = builder.info.features['signal']
  assert (signal.shape, signal.np_dtype) == ((None, 4), np.float32)


def with_csv(folder, signal_tc):
  np.savetxt(folder / 'p1.csv', signal_tc, '%d', ',', header='a,b', comments='')


def with_npz(folder, signal_tc):
  np.savez_compressed(folder / 'p1.npz', emg=np.asfortranarray(signal_tc))


def with_mat(folder, signal_tc):
  savemat(folder / 'p1.mat', {'emg': signal_tc.astype(float)}, do_compression=True)


def with_wfdb(folder, signal_tc, form='16'):
  import wfdb  # here and below: with it come pandas and half a second for every process
  wfdb.wrsamp('p1', fs=100, units=['mV', 'mV'], sig_name=['a', 'b'], fmt=[form, form],
              d_signal=(signal_tc + 3).astype(np.int64), adc_gain=[1000.0, 500.0], baseline=[3, 3],
              write_dir=str(folder))


FORMATS = [(with_csv, 'csv', ('a', 'b')), (with_npz, 'npz', ('emg/0', 'emg/1')),
           (with_mat, 'mat', ('emg/0', 'emg/1')), (with_wfdb, 'wfdb', ('a', 'b')),
           (None, 'edf', ('EMG1', 'EMG2')), (None, 'bdf', ('EMG1', 'EMG2'))]


@pytest.mark.parametrize('write, form, names', FORMATS, ids=[row[1] for row in FORMATS])
def test_every_format_gives_the_numbers_that_were_written(tmp_path, write, form, names):
  """A column for a row, a sign or a byte order lost, counts less another baseline."""
  signal_tc = numbers(200)
  if write:
    write(tmp_path, signal_tc)
  else:  # physical from -bound to bound - 1: zero at count 0, gain 1
    bound = 1 << (23 if form == 'bdf' else 15)
    write_edf(tmp_path / f'p1.{form}', signal_tc, (-bound, bound - 1))
  ends = 'hea' if form == 'wfdb' else form
  for order, places in ((names, [0, 1]), (names[::-1], [1, 0])):
    kind = 'edf' if form == 'bdf' else form
    record, = parse_all(tmp_path, BASE % (ends, kind, 'int32', *order))
    np.testing.assert_array_equal(record.signal_tc, signal_tc[:, places])
    assert validate(record).subject == 'p1' and record.signal_tc.dtype == np.int32
    if form == 'wfdb':
      assert [s.scale for s in record.sensors] == [[1e-3, 2e-3][i] for i in places]
      assert {s.unit for s in record.sensors} == {'mV'}


def test_counts_with_no_whole_baseline_are_read_as_physical_numbers_only(tmp_path):
  """A zero that is off by half a count, in silence."""
  counts_tc = numbers(100)
  write_edf(tmp_path / 'p1.edf', counts_tc, (-3, 3))  # 0 at count -0.5
  reject, = parse_all(tmp_path, BASE % ('edf', 'edf', 'int32', 'EMG1', 'EMG2'))
  assert 'expected a whole number' in reject.detail
  record, = parse_all(tmp_path, BASE % ('edf', 'edf', 'float64', 'EMG1', 'EMG2'))
  np.testing.assert_allclose(record.signal_tc, (counts_tc + 0.5) * 6 / 65535, atol=1e-12)
  assert {s.scale for s in record.sensors} == {1.0}


def test_a_signal_of_labels_becomes_runs(tmp_path):
  """Non-contiguous labels merged, rest labelled where the manifest ignores it, 1.0 against '1'."""
  stimulus = np.repeat([0, 1, 0, 4, 1], 20)
  np.savez(tmp_path / 'p1.npz', emg=numbers(100).T, stimulus=stimulus.astype(float),
           rep=np.repeat([0, 1, 0, 1, 2], 20)[:, None])
  record, = parse_all(tmp_path, BASE % ('npz', 'npz', 'int16', 'emg/0', 'emg/1') + (
      'arrays: {transposed: true}\nrepetition: {signal: rep}\n'
      "labels: {signal: stimulus, names: {'1': fist, '4': open}, ignore: ['0']}\n"))
  assert record.labels == (Label(20, 40, 'fist'), Label(60, 80, 'open'), Label(80, 100, 'fist'))
  assert [(a.start, a.stop, a.value) for a in record.annotations] == [
      (20, 40, 0.0), (60, 80, 0.0), (80, 100, 1.0)]


ROW = '%g,%d,%d,x\n'
GOOD = 't,a,b,label\n' + ''.join(ROW % (t / 100, t % 7, t % 5) for t in range(50))
KEYS = (BASE % ('csv', 'csv', 'int16', 'a', 'b')
        + 'time: {signal: t}\nlabels: {signal: label, names: [x]}\n')


@pytest.mark.parametrize('data, reason, detail', [
    (b'', BAD_FORMAT, "channels[0].signal is 'a', found 0 times"),
    (b't,a,b,label\n', BAD_FORMAT, 'no row'),
    (GOOD.encode('utf-16'), BAD_FORMAT, "can't decode"),
    (GOOD.replace('0.3,2,0', '0.3,,0').encode(), BAD_FORMAT, "could not convert string ''"),
    (GOOD.replace('0.3,2,0,x', '').encode(), BAD_FORMAT, 'line 32 is empty'),
    (GOOD.replace('0.3,2,0', '0.3,nan,0').encode(), BAD_VALUE, 'nan at sample 30, channels[0]'),
    (GOOD.replace('0.3,2,0', '0.3,2,0.5').encode(), BAD_VALUE, 'finite number that int16 holds'),
    (GOOD.replace('0.3,2,0', '0.3,2,40000').encode(), BAD_VALUE, '40000.0 at sample 30'),
    (GOOD.replace('0.3,2', '0.1,2').encode(), BAD_VALUE, 'time goes back'),
    (GOOD.replace('0.3,2,0,x\n', '').encode(), BAD_VALUE, 'a rate of 97.9592 Hz, expected 100'),
    (GOOD.replace('0.3,2,0,x', '0.3,2,0,y').encode(), UNKNOWN_LABEL, "label 'y', expected one of"),
    (b't,a,b,label\n0,1,2,x\n', BAD_SIZE, '1 samples'),
    (''.join(ROW % (t / 100, 3, t) for t in range(50)).join(('t,a,b,label\n', '')).encode(),
     CONSTANT_CHANNEL, "channels[0].signal ('a') is 3"),
    (GOOD.replace('t,a,b', 't,a,a').encode(), BAD_FORMAT, 'found 2 times'),
    (b'\0\1\2' * 100, BAD_FORMAT, 'found 0 times'),
])
def test_bad_csv(tmp_path, data, reason, detail):
  """A bad file that becomes a record, or stops the run with an error of the reader."""
  (tmp_path / 'p1.csv').write_bytes(data)
  reject, = parse_all(tmp_path, KEYS)
  assert isinstance(reject, Reject) and (reject.reason, reject.name) == (reason, 'p1.csv')
  assert detail in reject.detail


@pytest.mark.heavy
@pytest.mark.parametrize('form', ['npz', 'mat', 'edf', 'bdf', 'hea', 'dat'])
def test_damaged_binary_files_are_rejects(tmp_path, form):
  """A crash, a hang or an allocation of what a damaged header asks for."""
  write, kind, names = {'npz': FORMATS[1], 'mat': FORMATS[2], 'hea': FORMATS[3],
                        'dat': FORMATS[3]}.get(form, (None, 'edf', ('EMG1', 'EMG2')))
  path, signal_tc = tmp_path / f'p1.{form}', numbers(100)
  write(tmp_path, signal_tc) if write else write_edf(path, signal_tc)
  text = BASE % ('hea' if kind == 'wfdb' else form, kind, 'float64', *names)
  whole, rng = path.read_bytes(), np.random.default_rng(0)
  (tmp_path / manifest.FILE).write_text(text)
  found = manifest.read([str(tmp_path)])
  job, = parser.find_jobs(found)
  cuts = [whole[:n] for n in range(0, len(whole), max(1, len(whole) // 40))]
  # A header may end without its last lines' ends, a zip with a remark.
  useless = [] if form == 'hea' else cuts + ([] if form == 'npz' else [whole + b'\0' * 3])
  flips = []
  for _ in range(200):
    data = bytearray(whole)
    data[rng.integers(len(data) if form != 'edf' else 1024)] ^= rng.integers(1, 256)
    flips.append(bytes(data))
  for data in cuts + flips + useless:
    path.write_bytes(data)
    item, = parser.parse(found, job)
    if isinstance(item, Record):
      assert data not in useless and form != 'dat'  # whose checksums find each flip
      validate(item)


def test_an_array_larger_than_its_file_is_not_allocated(tmp_path):
  """A header of 2^50 values."""
  import io
  import zipfile
  header = io.BytesIO()
  np.lib.format.write_array_header_1_0(
      header, {'descr': '<f8', 'fortran_order': False, 'shape': (1 << 49, 2)})
  with zipfile.ZipFile(tmp_path / 'p1.npz', 'w') as archive:
    archive.writestr('emg.npy', header.getvalue())
  reject, = parse_all(tmp_path, BASE % ('npz', 'npz', 'int16', 'emg/0', 'emg/1'))
  assert reject.reason == BAD_FORMAT and 'shape (562949953421312, 2)' in reject.detail


def test_pickles_are_not_loaded(tmp_path):
  """An object array, which would run code of the file's choice."""
  np.savez(tmp_path / 'p1.npz', emg=np.array([[print, 1]], object))
  reject, = parse_all(tmp_path, BASE % ('npz', 'npz', 'int16', 'emg/0', 'emg/1'))
  assert 'type object, expected numbers' in reject.detail


@pytest.mark.parametrize('form', wfdb_record.BYTES)
def test_samples_are_what_wfdb_reads(tmp_path, form):
  """A sign lost in 24 bits, signals one after the other, or the other byte order."""
  import wfdb
  top = 1 << (8 * wfdb_record.BYTES[form] - 1)
  stored_tc = np.array([[-top + 9, 7], [-1, top - 9], [0, -256], [1, 65]])
  with_wfdb(tmp_path, stored_tc - 3, form)
  counts = wfdb_record.read_counts(str(tmp_path / 'p1.hea'), ('a', 'b'))
  expected = wfdb.rdrecord(str(tmp_path / 'p1'), physical=False, return_res=32).d_signal
  np.testing.assert_array_equal(counts.counts_tc, expected)
  np.testing.assert_array_equal(counts.counts_tc, stored_tc)
  assert counts.counts_tc.dtype == np.int32


def test_a_wfdb_header_opens_no_other_file(tmp_path):
  """A header that reads what is no part of its record."""
  with_wfdb(tmp_path, numbers(100))
  header = (tmp_path / 'p1.hea').read_text()
  (tmp_path / 'p1.hea').write_text(header.replace('p1.dat', 'p2.dat'))
  (tmp_path / 'p1.dat').rename(tmp_path / 'p2.dat')
  reject, = parse_all(tmp_path, BASE % ('hea', 'wfdb', 'int16', 'a', 'b'))
  assert reject.reason == BAD_FORMAT and "['p2.dat']" in reject.detail
  assert wfdb_record.samples_file('a/p1.hea') == 'a/p1.dat'


def test_a_file_that_no_pattern_matches_is_not_left_out_in_silence(tmp_path):
  """A third of the recordings lost to a pattern that forgets them."""
  for name in ('p1_1.csv', 'p1_x.csv', 'p1_0.csv'):
    (tmp_path / name).write_text(GOOD)
  text = KEYS.replace('{subject}', '{subject}_{repetition}')
  items = parse_all(tmp_path, text)
  assert [getattr(item, 'reason', '') for item in items] == [UNKNOWN_FILE, '', UNKNOWN_FILE]
  assert 'expected at least 1' in items[0].detail and items[1].repetition == 0
  assert len(parse_all(tmp_path, text + "ignore: ['*_x.csv', '*_0.csv']\n")) == 1
