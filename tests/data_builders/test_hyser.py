"""The Hyser parser against WFDB records written by hand, hostile headers and files of labels."""

from aemg_jax.records import validate
import numpy as np
import pytest

from data_builders import jobs
from data_builders.hyser import make_dummy_data, parser
from data_builders.hyser.tasks import COMBINATIONS, GESTURES, TASKS
from data_builders.jobs import Reject

N_SAMPLES = 30


def stored_signal():
  """Full-range int16 [30, 256]; no two samples or channels are alike."""
  return np.random.default_rng(3).integers(-32767, 32767, (N_SAMPLES, 256)).astype('<i2')


def write_record(folder, name='subject03_session2/dynamic_raw_sample4', labels='1,7,34,7',
                 signal_tc=None):
  """A good record whose channel c has the gain 1000 (c + 1) per V and the baseline 10 c - 900."""
  make_dummy_data.write(folder / name, stored_signal() if signal_tc is None else signal_tc,
                        1000.0 * np.arange(1, 257), 10 * np.arange(256) - 900)
  if labels is not None:
    (folder / name).with_name('label_dynamic.txt').write_text(labels)
  return folder / f'{name}.hea', folder / f'{name}.dat'


def parse_folder(folder, config='pr_dynamic'):
  (job,) = parser.find_jobs(TASKS[config], [str(folder)])
  (item,) = parser.parse(config, job)
  return item


def test_integers_become_units_of_the_header_at_their_place(tmp_path):
  """Raw integers taken for a signal, a baseline added, grids swapped, or row and column."""
  write_record(tmp_path)
  record = validate(parse_folder(tmp_path))
  assert record.signal_tc.shape == (N_SAMPLES, 256) and record.signal_tc.dtype == np.int32
  np.testing.assert_array_equal(record.signal_tc,
                                stored_signal().astype(int) - (10 * np.arange(256) - 900))
  assert [s.scale for s in record.sensors] == pytest.approx(
      list(1 / (1000.0 * np.arange(1, 257))), rel=1e-15)
  assert {s.unit for s in record.sensors} == {'V'} and record.rate_hz == 2048
  place = [(s.name, s.row, s.column) for s in record.sensors]
  assert place[:9] == [(f'ED-8-{i}', 7, i - 1) for i in range(8, 0, -1)] + [('ED-7-8', 6, 7)]
  assert [place[i][0] for i in (63, 64, 128, 192, 255)] == [
      'ED-1-1', 'EP-8-8', 'FD-8-8', 'FP-8-8', 'FP-1-1']
  assert len(set(place)) == 256


def test_channels_are_found_by_name(tmp_path):
  """Columns taken in the order of the file, whatever its header says."""
  header, _ = write_record(tmp_path)
  text = header.read_text().replace(' ED-8-8\n', ' X\n').replace(' FP-1-1\n', ' ED-8-8\n')
  header.write_text(text.replace(' X\n', ' FP-1-1\n'))
  record = parse_folder(tmp_path)
  np.testing.assert_array_equal(record.signal_tc[:, 0] + 10 * 255 - 900, stored_signal()[:, 255])


@pytest.mark.heavy
def test_other_units_are_passed_on_if_they_agree(tmp_path):
  """A unit in code that the header contradicts, or one scale for two units."""
  header, _ = write_record(tmp_path)
  header.write_text(header.read_text().replace('/V ', '/mV '))
  assert {s.unit for s in parse_folder(tmp_path).sensors} == {'mV'}
  header.write_text(header.read_text().replace('/mV ', '/uV ', 1))
  assert parse_folder(tmp_path).detail.startswith("units ['mV', 'uV'], expected one of")


@pytest.mark.parametrize('sample, label, repetition', [
    (1, 'thumb extension', 0), (2, 'wrist extension', 0),
    (3, 'thumb and middle fingers pinch', 0), (4, 'wrist extension', 1)])
def test_the_file_of_labels_gives_gesture_and_repetition(tmp_path, sample, label, repetition):
  """Samples or gestures counted from 0, or repetitions over all gestures."""
  write_record(tmp_path, f'subject03_session2/dynamic_raw_sample{sample}')
  record = parse_folder(tmp_path)
  assert [(s.start, s.stop, s.name) for s in record.labels] == [(0, N_SAMPLES, label)]
  assert record.repetition == repetition
  assert (record.subject, record.session) == ('subject03', 'session2')
  assert record.record_id == f'subject03/session2/sample00{sample}'


@pytest.mark.heavy
def test_each_task_has_its_own_files_and_labels(tmp_path):
  """The maintained gestures labelled by the dynamic ones' file; combinations off by one."""
  folder = tmp_path / 'subject05_session1'
  names = {'pr_maintenance': 'maintenance_raw_sample2', 'mvc': 'mvc_raw_finger4_flexion',
           '1dof': '1dof_raw_finger5_sample3', 'ndof': 'ndof_raw_combination11_sample2',
           'random': 'random_raw_sample5'}
  for name in ('dynamic_raw_sample1', *names.values()):
    write_record(tmp_path, f'subject05_session1/{name}')
  (folder / 'label_maintenance.txt').write_text('31,9\n')
  (folder / 'mvc_force_finger4_flexion.hea').write_text('x 5 100 10\n')
  (folder / 'mvc_preprocess_finger4_flexion.hea').write_text('x')
  found = {config: parse_folder(tmp_path, config) for config in TASKS}
  assert {config: ([s.name for s in r.labels], r.repetition) for config, r in found.items()} == {
      'pr_dynamic': (['thumb extension'], 0), 'pr_maintenance': (['wrist ulnar'], 0),
      'mvc': (['ring flexion'], 0), '1dof': (['little'], 2),
      'ndof': (['thumb + index (opposing)'], 1), 'random': ([], 4)}
  assert found['ndof'].record_id == 'subject05/session1/combination011_sample002'
  for config, record in found.items():
    assert {s.name for s in record.labels} <= set(TASKS[config].label_names)


def test_lists_of_gestures_and_combinations():
  """A name too few shifts every label after it."""
  assert (len(GESTURES), len(set(GESTURES)), len(COMBINATIONS)) == (34, 34, 15)
  known = {1: 'thumb extension', 5: 'little finger extension', 6: 'wrist flexion',
           11: 'wrist supination', 13: 'extension of index and middle fingers',
           14: 'wrist flexion combined with hand close',
           19: 'wrist supination combined with hand close',
           25: 'wrist supination combined with hand open', 30: 'hand close', 31: 'hand open',
           32: 'thumb and index fingers pinch'}
  assert {number: GESTURES[number - 1] for number in known} == known


@pytest.mark.parametrize('labels, reason, detail', [
    (None, jobs.MISSING_LABEL, 'no label_dynamic.txt'),
    ('1,2,3', jobs.MISSING_LABEL, 'has 3 labels, expected 4'),
    ('', jobs.BAD_VALUE, "holds b''"),
    ('1,2,3,35', jobs.BAD_VALUE, "b'35', expected numbers from 1 to 34"),
    ('0,2,3,4', jobs.BAD_VALUE, "b'0'"),
    ('1,2,3,-4', jobs.BAD_VALUE, "b'-4'"),
    ('1,2,x,4', jobs.BAD_VALUE, "b'x'"),
    ('1,2,\udcff,4', jobs.BAD_VALUE, 'expected numbers'),
    ('1,' * 4000, jobs.BAD_SIZE, 'more than 4096 bytes')])
def test_bad_files_of_labels_are_rejected(tmp_path, labels, reason, detail):
  """A guessed gesture, or a traceback."""
  header, _ = write_record(tmp_path, labels=None)
  if labels is not None:
    (header.parent / 'label_dynamic.txt').write_bytes(labels.encode(errors='surrogateescape'))
  item = parse_folder(tmp_path)
  assert isinstance(item, Reject) and item.reason == reason and detail in item.detail


FIRST = b'dynamic_raw_sample4.dat 16 1000.0(-900)/V 16 0 '


@pytest.mark.parametrize('old, new, reason, detail', [
    (b' 256 2048 30', b' 256 1000 30', jobs.BAD_FORMAT, 'rate of 1000.0 Hz'),
    (b' 256 2048 30', b' 256 2048 99999999999', jobs.BAD_FORMAT, 'expected 99999999999 samples'),
    (b' 256 2048 30', b' 255 2048 30', jobs.BAD_FORMAT, 'expected'),
    (b' 256 2048 30', b'/2 256 2048 30', jobs.BAD_FORMAT, 'expected'),
    (FIRST, FIRST + b'0 0 0 X\n' + FIRST, jobs.BAD_FORMAT, '257 lines of signals, expected 256'),
    (FIRST, FIRST.replace(b'sample4', b'sample5'), jobs.BAD_FORMAT, 'file name'),
    (FIRST, FIRST.replace(b' 16 ', b' 212 ', 1), jobs.BAD_FORMAT, 'format'),
    (FIRST, FIRST.replace(b'1000.0', b'0'), jobs.BAD_FORMAT, "gain of 'ED-8-8'"),
    (FIRST, FIRST.replace(b'1000.0', b'1e-320'), jobs.BAD_FORMAT, 'inf units per count'),
    (FIRST, FIRST.replace(b'1000.0', b'0.5'), jobs.BAD_FORMAT, '2 units per count'),
    (FIRST, FIRST.replace(b'/V', b'/lx'), jobs.BAD_FORMAT, "units ['V', 'lx']"),
    (b' ED-8-8\n', b' ED-8-7\n', jobs.BAD_FORMAT, 'expected one')])
def test_hostile_headers_are_rejected(tmp_path, old, new, reason, detail):
  """A header that makes the reader open another file, fail, or scale by its default."""
  header, _ = write_record(tmp_path)
  assert old in header.read_bytes()
  header.write_bytes(header.read_bytes().replace(old, new, 1))
  item = parse_folder(tmp_path)
  assert isinstance(item, Reject) and item.reason == reason and detail in item.detail


@pytest.mark.heavy
def test_bad_samples_are_rejected(tmp_path, monkeypatch):
  """A truncated copy, a flipped bit, a dead electrode, or 60 s and more read into memory."""
  _, dat = write_record(tmp_path)
  good = dat.read_bytes()
  for data, reason, detail in (
      (good[:-2], jobs.BAD_FORMAT, '.dat of 15358 bytes'), (b'', jobs.BAD_SIZE, '.dat of 0 bytes'),
      (good[:99] + bytes([good[99] ^ 1]) + good[100:], jobs.BAD_FORMAT, 'checksum')):
    dat.write_bytes(data)
    item = parse_folder(tmp_path)
    assert item.reason == reason and detail in item.detail
  signal_tc = stored_signal()
  signal_tc[:, 200] = 5
  write_record(tmp_path, signal_tc=signal_tc)
  assert parse_folder(tmp_path).detail.startswith('channel FP-7-8 is constant')
  write_record(tmp_path, signal_tc=stored_signal()[:19])
  assert parse_folder(tmp_path).reason == jobs.TOO_SHORT
  monkeypatch.setattr(parser, 'MAX_DAT_BYTES', 9000)
  assert 'expected 1 to 9000' in parse_folder(tmp_path).detail


@pytest.mark.parametrize('missing', ['.hea', '.dat'])
def test_half_a_record_is_rejected_not_ignored(tmp_path, missing):
  """An interrupted download that only looks smaller."""
  header, _ = write_record(tmp_path)
  header.with_suffix(missing).unlink()
  reason = {'.hea': jobs.UNKNOWN_FILE, '.dat': jobs.BAD_SIZE}[missing]
  assert parse_folder(tmp_path).reason == reason


@pytest.mark.parametrize('name', [
    'subject21_session1/dynamic_raw_sample1', 'subject00_session1/dynamic_raw_sample1',
    'subject1_session1/dynamic_raw_sample1', 'subject01_session3/dynamic_raw_sample1',
    'subject01_session1/dynamic_raw_sample205', 'subject01_session1/dynamic_raw_sample0',
    'subject01_session1/dynamic_raw_sample01', 'subject01_session1/dynamic_raw_sample1_copy'])
def test_unknown_names_are_rejected(tmp_path, name):
  """A record of another study taken for one of these."""
  write_record(tmp_path, name)
  assert parse_folder(tmp_path).reason == jobs.UNKNOWN_FILE


def test_a_path_is_no_address(tmp_path):
  """An archive whose folder names make the reader's file layer fetch something else."""
  write_record(tmp_path / 'filecache::x')
  assert "holds '::'" in parse_folder(tmp_path).detail


def test_samples_are_in_order_of_number(tmp_path):
  """Sample 10 before sample 2: jobs whose record ids do not ascend."""
  for sample in (10, 2, 1):
    write_record(tmp_path, f'subject01_session1/dynamic_raw_sample{sample}')
  ids = [parser.record_id(TASKS['pr_dynamic'], job.name)
         for job in parser.find_jobs(TASKS['pr_dynamic'], [str(tmp_path)])]
  assert ids == [f'subject01/session1/sample{n:03d}' for n in (1, 2, 10)]


def test_shards_are_cut_by_the_size_of_the_signals(tmp_path):
  """Jobs as large as their headers: the published set would be one shard."""
  header, dat = write_record(tmp_path)
  (job,) = parser.find_jobs(TASKS['pr_dynamic'], [str(tmp_path)])
  assert job.n_bytes == header.stat().st_size + dat.stat().st_size
