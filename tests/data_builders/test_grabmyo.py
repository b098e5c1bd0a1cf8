"""The GRABMyo parser against WFDB records written by hand, hostile headers, and real records."""

import sys

from aemg_jax.records import validate
from aemg_jax.sources import read_records
import numpy as np
import pytest

from data_builders import build as build_lib
from data_builders import jobs, raw, wfdb_record
from data_builders.grabmyo import make_dummy_data, parser
from data_builders.jobs import Reject

NAME = 'session2_participant9_gesture15_trial4'
N_SAMPLES = 240


def stored_signal():
  """Full-range int16 [240, 32]; no two samples or channels are alike."""
  rng = np.random.default_rng(3)
  return rng.integers(-32767, 32767, (N_SAMPLES, 32)).astype('<i2')


def write_record(folder, name=NAME, signal_tc=None):
  """A good record whose channel c has the gain 1000 (c + 1) per mV and the baseline 100 c - 900."""
  make_dummy_data.write(folder / name, stored_signal() if signal_tc is None else signal_tc,
                        1000.0 * np.arange(1, 33), 100 * np.arange(32) - 900)
  return folder / f'{name}.hea', folder / f'{name}.dat'


def parse_folder(folder):
  (job,) = parser.find_jobs([str(folder)])
  (item,) = parser.parse(job)
  return item


def test_integers_become_millivolts_of_the_electrodes(tmp_path):
  """Raw integers taken for a signal, a baseline added or wrapped, a U channel among the kept."""
  write_record(tmp_path)
  record = validate(parse_folder(tmp_path))
  assert record.signal_tc.shape == (N_SAMPLES, 28) and record.signal_tc.dtype == np.int32
  names = [s.name for s in record.sensors]
  assert names == [f'F{i}' for i in range(1, 17)] + [f'W{i}' for i in range(1, 13)]
  column = [*range(16), *range(17, 23), *range(25, 31)]  # F1-F16 U1 W1-W6 U2 U3 W7-W12 U4
  stored_tc = stored_signal()[:, column].astype(float)
  baseline, gain = np.array(column) * 100 - 900, (np.array(column) + 1) * 1000.0
  np.testing.assert_array_equal(record.signal_tc, stored_tc - baseline)
  assert np.abs(record.signal_tc).max() > 32768  # more than 16 bits, so nothing wrapped
  np.testing.assert_allclose(record.signal_tc * [s.scale for s in record.sensors],
                             (stored_tc - baseline) / gain, rtol=1e-15)
  assert {s.unit for s in record.sensors} == {'mV'} and record.rate_hz == 2048


def test_the_signal_is_what_wfdb_calls_physical(tmp_path):
  """Our arithmetic against the reader's own, for records of another gain in every channel."""
  import wfdb  # here and below: with it come pandas and half a second for every process
  make_dummy_data.main(tmp_path)
  for job in parser.find_jobs([str(tmp_path)]):
    (record,) = parser.parse(job)
    physical = wfdb.rdrecord(job.path.removesuffix('.hea'))
    column = [physical.sig_name.index(s.name) for s in record.sensors]
    np.testing.assert_allclose(record.signal_tc * [s.scale for s in record.sensors],
                               physical.p_signal[:, column], rtol=1e-15)


def test_names_give_subject_day_gesture_and_trial(tmp_path):
  """Trial numbers kept 1-based, the gesture off by one, or record ids that sort as text."""
  write_record(tmp_path)
  record = parse_folder(tmp_path)
  assert record.record_id == 'participant09/session2/gesture15_trial4'
  assert (record.subject, record.session, record.repetition) == ('participant9', 'session2', 3)
  assert [(s.start, s.stop, s.name) for s in record.labels] == [(0, N_SAMPLES, 'hand open')]
  assert parser.record_id('session1_participant10_gesture9_trial1.hea') < parser.record_id(
      'session1_participant10_gesture10_trial1.hea')


@pytest.mark.parametrize('number, label', enumerate([
    'lateral prehension', 'thumb adduction', 'thumb and little finger opposition',
    'thumb and index finger opposition', 'thumb and index finger extension',
    'thumb and little finger extension', 'index and middle finger extension',
    'little finger extension', 'index finger extension', 'thumb finger extension',
    'wrist extension', 'wrist flexion', 'forearm supination', 'forearm pronation', 'hand open',
    'hand close', 'rest'], start=1))
def test_gestures_are_in_the_order_of_the_release(tmp_path, number, label):
  """A label order other than the release's MotionSequence.txt."""
  write_record(tmp_path, f'session1_participant43_gesture{number}_trial7')
  record = parse_folder(tmp_path)
  assert (record.repetition, record.labels[0].name) == (6, label)


def test_four_rings(tmp_path):
  """All electrodes of the forearm on one ring, or 45 degrees between six electrodes."""
  write_record(tmp_path)
  sensors = {s.name: (s.ring, s.angle_deg) for s in parse_folder(tmp_path).sensors}
  assert [sensors[n] for n in ('F1', 'F8', 'F9', 'F16')] == [(1, 0), (1, 315), (2, 0), (2, 315)]
  assert [sensors[n] for n in ('W1', 'W6', 'W7', 'W12')] == [(3, 0), (3, 300), (4, 0), (4, 300)]


GAIN, BASELINE = b'1000.0(', b'(-900)'  # of the first channel
FIRST = NAME.encode() + b'.dat 16 1000.0(-900)/mV 16 0 '


@pytest.mark.parametrize('old, new, reason, detail', [
    (b' 32 2048 240', b' 32 2048 99999999999', jobs.BAD_SIZE, '99999999999 samples'),
    (b' 32 2048 240', b' 32 2048 ' + b'9' * 5000, jobs.BAD_FORMAT, 'expected a WFDB header'),
    (b' 32 2048 240', b' 32 2048 102400', jobs.BAD_SIZE, 'expected 6553600'),
    (b' 32 2048 240', b' 32 2048 199', jobs.TOO_SHORT, '199 samples, expected 200'),
    (b' 32 2048 240', b' 32 2048 0', jobs.TOO_SHORT, '0 samples, expected 200'),
    (b' 32 2048 240', b' 32 2048', jobs.BAD_SIZE, 'None samples, expected 200'),
    (b' 32 2048 240', b' 32 1000 240', jobs.BAD_FORMAT, 'fs is 1000, expected 2048'),
    (b' 32 2048 240', b' 32 ' + b'9' * 400 + b' 240', jobs.BAD_FORMAT, 'expected a WFDB header'),
    (b' 32 2048 240', b' 28 2048 240', jobs.BAD_FORMAT, 'n_sig is 28, expected 32'),
    (b' 32 2048 240', b'/2 32 2048 240', jobs.BAD_FORMAT, 'expected'),  # of several segments
    (FIRST, b'../../../../etc/passwd 16 1000.0(-900)/mV 16 0 ', jobs.BAD_FORMAT, 'signal line'),
    (FIRST, FIRST.replace(b'9_', b'8_', 1), jobs.BAD_FORMAT, 'file_name is'),
    (FIRST, b'~ 16 1000.0(-900)/mV 16 0 ', jobs.BAD_FORMAT, 'file_name is'),
    (FIRST, FIRST.replace(b' 16 ', b' 212 ', 1), jobs.BAD_FORMAT, "fmt is ['212'"),
    (FIRST, FIRST.replace(b' 16 ', b' 16x4 ', 1), jobs.BAD_FORMAT, 'samps_per_frame is [4'),
    (FIRST, FIRST.replace(b' 16 ', b' 16:9 ', 1), jobs.BAD_FORMAT, 'skew is [9'),
    (FIRST, FIRST.replace(b' 16 ', b' 16+64 ', 1), jobs.BAD_FORMAT, 'byte_offset is [64'),
    (GAIN, b'0(', jobs.BAD_FORMAT, 'gain of F1 is 200.0'),
    (GAIN, b'0.0(', jobs.BAD_FORMAT, 'gain of F1 is 200.0'),
    (GAIN, b'(', jobs.BAD_FORMAT, 'gain of F1 is 200.0'),
    (GAIN, b'nan(', jobs.BAD_FORMAT, 'expected'),
    (GAIN, b'-1000.0(', jobs.BAD_FORMAT, 'gain of F1 is -1000.0'),
    (GAIN, b'1e999(', jobs.BAD_FORMAT, 'gain of F1 is inf'),
    (GAIN, b'1e-320(', jobs.BAD_FORMAT, 'gain of F1 is 1e-320'),
    (BASELINE, b'(99999999999)', jobs.BAD_FORMAT, 'baseline of F1 is 99999999999'),
    (b'/mV', b'/uV', jobs.BAD_FORMAT, "units is ['uV'"),
    (b' F1\n', b' F2\n', jobs.BAD_FORMAT, "sig_name is ['F2'"),
    (b' F1\n', b'\n', jobs.BAD_FORMAT, 'sig_name is'),
    (b' U4\n', b' U4\n# ' + b'x' * 8192, jobs.BAD_SIZE, 'expected 1 to 8192'),
    (b'-900', b'\xff\xfe-900', '', ''),  # the reader drops what is not ASCII
])
def test_hostile_headers_are_rejected(tmp_path, old, new, reason, detail):
  """A header that makes the reader allocate, open another file, fail, or scale by its default."""
  header, _ = write_record(tmp_path)
  assert old in header.read_bytes()
  header.write_bytes(header.read_bytes().replace(old, new, 1))
  item = parse_folder(tmp_path)
  if not reason:
    validate(item)
    return
  assert isinstance(item, Reject) and item.reason == reason
  assert detail in item.detail and 'expected' in item.detail


@pytest.mark.parametrize('content', [b'', b'\n', b'# only a comment\n', b'\x00' * 3000,
                                     b'x' * 8000, b'a/3 1 1 1\n', 'é 32'.encode('utf-16')])
def test_what_is_no_header_is_rejected(tmp_path, content):
  """A traceback of the reader on an empty or alien file."""
  header, _ = write_record(tmp_path)
  header.write_bytes(content)
  assert parse_folder(tmp_path).reason in (jobs.BAD_FORMAT, jobs.BAD_SIZE)


@pytest.mark.parametrize('change, reason, detail', [
    (lambda data: data[:-2], jobs.BAD_SIZE, '.dat of 15358 bytes, expected 15360'),
    (lambda data: data + data, jobs.BAD_SIZE, '.dat of 30720 bytes'),
    (lambda data: b'', jobs.BAD_SIZE, '.dat of 0 bytes'),
    (lambda data: data[:1000] + bytes([data[1000] ^ 1]) + data[1001:], jobs.BAD_VALUE, 'checksum'),
    (lambda data: np.frombuffer(data, '<i2').byteswap().tobytes(), jobs.BAD_VALUE, 'checksum'),
    (lambda data: np.frombuffer(data, '<i2').reshape(32, -1).T.tobytes(), jobs.BAD_VALUE,
     'checksum'),
])
def test_damaged_samples_are_rejected(tmp_path, change, reason, detail):
  """A bit flip, swapped bytes, planar order or a truncated copy that goes into a training set."""
  _, dat = write_record(tmp_path)
  dat.write_bytes(change(dat.read_bytes()))
  item = parse_folder(tmp_path)
  assert isinstance(item, Reject) and item.reason == reason and detail in item.detail


@pytest.mark.parametrize('value, column, reason, detail', [
    (-32768, 17, jobs.BAD_VALUE, '-32768 (no sample) at sample 0, channel W1'),
    (5, 31, '', ''),  # U4: unused, so what is in it does not matter
    (5, 15, jobs.CONSTANT_CHANNEL, 'channel F16 is 5 throughout')])
def test_channels_without_a_signal_are_rejected(tmp_path, value, column, reason, detail):
  """WFDB's mark of a missing sample taken for -32768, or a dead electrode for a signal."""
  signal_tc = stored_signal()
  signal_tc[:1 if value == -32768 else None, column] = value
  write_record(tmp_path, signal_tc=signal_tc)
  item = parse_folder(tmp_path)
  assert item.reason == reason and detail in item.detail if reason else validate(item)


def test_a_header_without_checksums_is_rejected(tmp_path):
  """Samples that nothing vouches for."""
  header, _ = write_record(tmp_path)
  first, *lines = header.read_text().splitlines()
  lines = [' '.join([*line.split()[:5], line.split()[-1]]) for line in lines]
  header.write_text('\n'.join([first, *lines]))
  assert 'checksum of F1' in parse_folder(tmp_path).detail


@pytest.mark.parametrize('missing, reason', [('.dat', jobs.BAD_SIZE), ('.hea', jobs.UNKNOWN_FILE)])
def test_half_a_record_is_rejected_not_ignored(tmp_path, missing, reason):
  """An interrupted download that only looks smaller."""
  write_record(tmp_path)
  (tmp_path / f'{NAME}{missing}').unlink()
  assert parse_folder(tmp_path).reason == reason


@pytest.mark.parametrize('name', [
    'session4_participant1_gesture1_trial1', 'session1_participant44_gesture1_trial1',
    'session1_participant1_gesture18_trial1', 'session1_participant1_gesture1_trial8',
    'session0_participant1_gesture1_trial1', 'session1_participant1_gesture1_trial0',
    'session1_participant01_gesture1_trial1', 'session1_rest'])
def test_unknown_names_are_rejected(tmp_path, name):
  """A record of another study taken for one of these."""
  write_record(tmp_path, name)
  assert parse_folder(tmp_path).reason == jobs.UNKNOWN_FILE


@pytest.mark.parametrize('folder, accepted', [
    ('filecache::x', False), ('a::b', False), ('a[1]*?', True), ('s3:é x', True)])
def test_folders_are_no_addresses(tmp_path, folder, accepted):
  """An archive whose folder names make the reader's file layer fetch something else."""
  (tmp_path / folder).mkdir()
  write_record(tmp_path / folder)
  item = parse_folder(tmp_path)
  assert validate(item) if accepted else (item.reason, "holds '::'" in item.detail) == (
      jobs.UNKNOWN_FILE, True)


def test_shards_are_cut_by_the_size_of_the_signals(tmp_path):
  """Jobs as large as their headers: the published set would be one shard of 17 GB."""
  header, dat = write_record(tmp_path)
  (job,) = parser.find_jobs([str(tmp_path)])
  assert job.n_bytes == header.stat().st_size + dat.stat().st_size


def test_the_checksum_of_a_set_covers_its_samples(tmp_path):
  """Recordings that were changed, under headers that were not, taken for the same set."""
  make_dummy_data.main(tmp_path)
  headers = parser.find_jobs([str(tmp_path)])
  before = raw.content_sha256(wfdb_record.record_files(headers))
  path = next(tmp_path.rglob('*.dat'))
  data = bytearray(path.read_bytes())
  data[100] ^= 1
  path.write_bytes(data)
  assert raw.content_sha256(wfdb_record.record_files(headers)) != before


@pytest.mark.real
def test_ten_real_records_have_the_documented_counts(tmp_path, real_archive):
  """A changed parser or scale: pinned on published records, against the reader's own millivolts."""
  import wfdb
  archive = real_archive('grabmyo_partial.zip')
  source = read_records(build_lib.build('grabmyo', str(tmp_path), archive, progress=False))
  assert source.meta.reject_counts == {} and source.meta.counts == {
      'records': 10, 'subjects': 1, 'seconds': 50.0,
      'labels': {'hand close': 2, 'hand open': 3, 'thumb finger extension': 1,
                 'wrist extension': 2, 'wrist flexion': 2}}
  with build_lib.raw.open_raw(archive, str(tmp_path)) as folder:
    for job, record in zip(parser.find_jobs([folder]), source, strict=True):
      assert parser.record_id(job.name) == record.record_id
      physical = wfdb.rdrecord(job.path.removesuffix('.hea'))
      column = [physical.sig_name.index(s.name) for s in record.sensors]
      found_tc = record.signal_tc * [s.scale for s in record.sensors]
      np.testing.assert_allclose(found_tc, physical.p_signal[:, column], rtol=1e-15)
      assert record.n_samples == 10240 and 0.1 < np.abs(found_tc).max() < 10  # millivolts
