"""EMG-BIDS: what MNE-BIDS writes comes back; padding, bad spans, angles and originals stay out."""

import json
import pathlib
import shutil

from aemg_jax.records import Annotation, Label, Record, Sensor, validate
from aemg_jax.sources import read_records
import numpy as np
import pytest

from data_builders import build as build_lib
from data_builders.emg_bids import layout, make_dummy_data, parser
from data_builders.emg_bids.make_dummy_data import EMG, RECORDINGS, tsv, write_signals
from data_builders.jobs import (BAD_FORMAT, BAD_SIZE, BAD_VALUE, CONSTANT_CHANNEL, UNKNOWN_FILE,
                                Reject)

BDF, EDF = RECORDINGS[0], RECORDINGS[2]


@pytest.fixture
def root(tmp_path):
  """A copy of the dummy dataset."""
  return pathlib.Path(shutil.copytree(make_dummy_data.FOLDER, tmp_path / 'raw'))


def parse(root, name=BDF):
  """The record or reject of one recording."""
  dataset = layout.describe([str(root)])
  job, = [job for job in layout.find_jobs(str(root)) if job.name == name]
  item, = parser.parse(dataset, job)
  return validate(item) if isinstance(item, Record) else item


def signals(n_samples=250, n_channels=5):
  return np.random.default_rng(1).integers(-99, 99, (n_samples, n_channels))


def write_with_mne_bids(root, record, run, form):
  """Writes a record as MNE-BIDS does it, with the electrodes table that it does not write."""
  import mne
  import mne_bids
  info = mne.create_info([s.name for s in record.sensors], record.rate_hz, 'emg')
  info['line_freq'] = 50
  raw = mne.io.RawArray(record.signal_tc.T * 1e-6, info, verbose='error')
  raw.set_annotations(mne.Annotations(
      [s.start / record.rate_hz for s in record.labels],
      [(s.stop - s.start) / record.rate_hz for s in record.labels],
      [s.name for s in record.labels]))
  path = mne_bids.BIDSPath(subject='01', session=record.session, task='hand', run=str(run),
                           root=root, datatype='emg')
  mne_bids.write_raw_bids(raw, path, format=form, allow_preload=True, emg_placement='Other',
                          verbose='error')
  start = root / 'sub-01' / f'ses-{record.session}' / 'emg' / f'sub-01_ses-{record.session}'
  tsv(pathlib.Path(f'{start}_electrodes.tsv'), ('name', 'x', 'y'),
      *((s.name, repr(float(np.cos(np.radians(s.angle_deg)))),
         repr(float(np.sin(np.radians(s.angle_deg))))) for s in record.sensors))
  pathlib.Path(f'{start}_coordsystem.json').write_text(json.dumps(
      {'EMGCoordinateSystem': 'Other', 'EMGCoordinateUnits': 'n/a'}))
  description = root / 'dataset_description.json'
  text = json.loads(description.read_text())
  description.write_text(json.dumps(text | {'Name': 'Written by MNE-BIDS', 'License': 'CC0'}))


def check_round_trip(records, folder, step_uv=1e-4):
  """The built set holds the records that were written, one run each."""
  source = read_records(folder)
  assert source.meta.config == 'written_by_mne_bids' and source.meta.licence == 'CC0'
  assert len(source) == len(records)
  by_place = {(r.session, r.record_id.rsplit('-', 1)[1]): r for r in source}
  for run, record in enumerate(records):
    found = by_place[record.session, str(run)]
    assert found.signal_tc.shape == record.signal_tc.shape  # nothing padded, nothing cut
    np.testing.assert_allclose(found.signal_tc, record.signal_tc, atol=step_uv)
    np.testing.assert_array_equal(found.signal_tc.round(), record.signal_tc)
    assert found.labels == record.labels and found.annotations == ()
    assert (found.rate_hz, found.bandwidth_hz) == (record.rate_hz, record.bandwidth_hz)
    assert [(s.name, s.ring, s.unit, s.scale) for s in found.sensors] == [
        (s.name, 1, 'uV', 1.0) for s in record.sensors]
    np.testing.assert_allclose([s.angle_deg for s in found.sensors],
                               [s.angle_deg for s in record.sensors], atol=1e-5)


@pytest.mark.heavy
@pytest.mark.parametrize('form', ['BDF', 'EDF'])
def test_what_mne_bids_writes_comes_back(tmp_path, form):
  """Volts taken for microvolts, padding kept, spans one sample off, angles from another start."""
  sensors = tuple(Sensor(f'emg{i}', 1, 45.0 * i) for i in range(8))
  records = [Record(
      'x', 'x', '01', session, -1, 'emg', signals(n, 8).astype(np.int16), 200.0, 100.0, False,
      sensors, (Label(0, 200, 'rest'), Label(200, n, 'fist')), (), 'CC0')
      for session, n in (('a', 430), ('a', 400), ('b', 601))]
  for run, record in enumerate(records):
    write_with_mne_bids(tmp_path / 'raw', record, run, form)
  folder = build_lib.build('emg_bids', str(tmp_path), str(tmp_path / 'raw'), progress=False)
  check_round_trip(records, folder, 1e-4 if form == 'BDF' else 2e-3)  # 200 uV in 24 or 16 bits


@pytest.mark.real
def test_a_real_subject_written_as_emg_bids_comes_back(tmp_path, real_archive):
  """An assumption that only invented numbers meet: all 84 recordings of one MyoArmband subject."""
  archive = real_archive('myoarmband_cote_allard.zip')
  own = read_records(build_lib.build('myo_armband', str(tmp_path), archive, progress=False))
  records = [r for r in own if r.subject == 'Evaluation/Male0']
  assert len(records) == 84
  for run, record in enumerate(records):
    write_with_mne_bids(tmp_path / 'raw', record, run, 'BDF')
  check_round_trip(records, build_lib.build('emg_bids', str(tmp_path), str(tmp_path / 'raw'),
                                            progress=False))


def test_a_recording_is_what_its_tables_say(root):
  """An angle labelled uV taken for EMG, a bad span for a label, the table's V for the unit."""
  record = parse(root)
  assert record.record_id == 'sub-01_ses-a_task-hand_run-1'
  assert (record.dataset, record.subject, record.session) == (
      'emg_bids/example_of_emg_bids', '01', 'a')
  assert record.signal_tc.shape == (250, 4) and record.signal_tc.dtype == np.int32
  assert record.labels == (Label(0, 100, 'rest'), Label(100, 180, 'fist'), Label(180, 250, 'open'))
  assert record.annotations == (Annotation(50, 75, 'BAD_IK', 1.0),)
  assert [(s.name, s.ring, s.angle_deg, s.unit, s.scale) for s in record.sensors] == [
      (f'emg{i}', 1, 90.0 * i, 'uV', 1.0) for i in range(4)]
  assert record.bandwidth_hz == 45.0 and record.licence == 'CC0'


def test_originals_and_derivatives_are_no_recordings(root):
  """A split's copy in sourcedata built as data: the same signals in train and test."""
  assert [job.name for job in layout.find_jobs(str(root))] == sorted(RECORDINGS)
  assert (root / make_dummy_data.ASIDE).is_file()
  (root / 'participants.tsv.lock').write_text('')  # MNE-BIDS leaves such where it may
  names = [job.name for job in layout.raw_files(str(root))]
  assert not any('sourcedata' in name or name.endswith('.lock') for name in names)
  assert {'participants.tsv', RECORDINGS[0]} <= set(names)


def test_counts_are_those_of_the_file(root):
  """Samples of another signal, in another order, or scaled."""
  counts_tc = signals()
  for name in (BDF, EDF):
    write_signals(root / name, counts_tc, ('joint0', *EMG))
    channels = (root / 'task-hand_channels.tsv').read_text().splitlines()
    (root / 'task-hand_channels.tsv').write_text(
        '\n'.join([channels[0], channels[-1], *channels[1:-1]]) + '\n')
    record = parse(root, name)
    np.testing.assert_array_equal(record.signal_tc, counts_tc[:, 1:])
    shutil.copy(make_dummy_data.FOLDER / 'task-hand_channels.tsv', root)


@pytest.mark.parametrize('stated, expected', [
    (2.5, 250), (2.49, 250), (None, 300), (3.0, 300), (2.0, 300), (2.99, 300)])
def test_padding_without_a_mark_goes_only_where_the_duration_says_so(root, stated, expected):
  """A tail of padding taken for rest; a quiet end of a recording cut off."""
  write_signals(root / BDF, signals(), (*EMG, 'joint0'), marked=False)
  sidecar = root / 'task-hand_emg.json'
  content = json.loads(sidecar.read_text())
  sidecar.write_text(json.dumps(content | ({} if stated is None else
                                           {'RecordingDuration': stated})))
  assert parse(root).n_samples == expected


def test_a_file_shorter_than_its_duration_is_a_reject(root):
  """A transfer that ended early, between two blocks."""
  sidecar = root / 'task-hand_emg.json'
  sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | {'RecordingDuration': 9}))
  write_signals(root / BDF, signals(300), (*EMG, 'joint0'))
  assert parse(root).reason == BAD_SIZE


def test_overlapping_events_are_annotations(root):
  """A label under another: which one a model would learn is chance."""
  events = root / f'{BDF[:-8]}_events.tsv'
  tsv(events, ('onset', 'duration', 'trial_type'), ('0', '2.0', 'stage/a'), ('1.0', '0.5', 'fist'))
  record = parse(root)
  assert record.labels == ()
  assert record.annotations == (Annotation(0, 200, 'stage/a', 1.0),
                                Annotation(100, 150, 'fist', 1.0))


def test_grids_and_other_places(root):
  """Rows and columns exchanged, two grids in one, a place for an electrode without coordinates."""
  channels = [('name', 'type', 'units', 'group', 'target_muscle', 'status')]
  channels += [(f'emg{i}', 'EMG', 'V', 'g', f'muscle {i}', 'bad' if i == 1 else 'good')
               for i in range(4)] + [('joint0', 'MISC', 'rad', 'n/a', 'n/a', 'good')]
  tsv(root / 'task-hand_channels.tsv', *channels)
  table = root / 'sub-01/ses-a/emg/sub-01_ses-a_electrodes.tsv'
  tsv(table, ('name', 'x', 'y', 'group'), ('emg0', '0', '0', 'g'), ('emg1', '30', '0', 'g'),
      ('emg2', '0', '10', 'g'), ('emg3', 'n/a', 'n/a', 'g'), ('emg3', '0', '0', 'h'))
  record = parse(root)
  assert [(s.row, s.column) for s in record.sensors] == [(0, 0), (0, 1), (1, 0), (-1, -1)]
  assert {s.ring for s in record.sensors} == {0}
  assert [s.name for s in record.sensors] == [f'muscle {i}' for i in range(4)]
  assert Annotation(0, 250, 'bad_channel', 1.0) in record.annotations


def test_recordings_with_other_numbers_of_channels_are_one_set(root, tmp_path):
  """A set that cannot hold a subject with one electrode less."""
  rows = (root / 'task-hand_channels.tsv').read_text().splitlines()
  (root / EDF).with_name('sub-02_ses-b_task-hand_run-1_channels.tsv').write_text(
      '\n'.join([rows[0], rows[1].replace('EMG', 'MISC'), *rows[2:]]) + '\n')
  source = read_records(build_lib.build('emg_bids', str(tmp_path), str(root), progress=False))
  assert [r.n_channels for r in source] == [4, 4, 3]
  assert [s.name for s in source[2].sensors] == ['emg1', 'emg2', 'emg3']


def edit(name, old, new):
  """A change of one text file."""
  return lambda root: (root / name).write_text((root / name).read_text().replace(old, new))


def cut(root):
  (root / BDF).write_bytes((root / BDF).read_bytes()[:-100])


def constant(root):
  counts_tc = signals()
  counts_tc[:, 2] = 7
  write_signals(root / BDF, counts_tc, (*EMG, 'joint0'))


EVENTS = f'{BDF[:-8]}_events.tsv'
CHANNELS = 'task-hand_channels.tsv'
ELECTRODES = 'sub-01/ses-a/emg/sub-01_ses-a_electrodes.tsv'


@pytest.mark.parametrize('spoil, reason, detail', [
    (cut, BAD_FORMAT, 'is it cut short'),
    (constant, CONSTANT_CHANNEL, "'emg2' is 7"),
    (lambda root: (root / BDF).write_bytes(b''), BAD_FORMAT, 'begins with'),
    (lambda root: (root / BDF).rename(root / BDF.replace('run-1', 'Run_1')), UNKNOWN_FILE, 'sub-'),
    (lambda root: (root / CHANNELS).unlink(), BAD_FORMAT, 'no channels.tsv applies'),
    (edit(CHANNELS, 'EMG', 'MISC'), BAD_FORMAT, 'no channel of type EMG'),
    (edit(CHANNELS, 'name\t', 'label\t'), BAD_FORMAT, 'expected ['),
    (edit(CHANNELS, 'emg3', 'emg9'), BAD_FORMAT, 'MNE-BIDS: RuntimeError'),
    (edit(CHANNELS, '\t100\t', '\t200\t'), BAD_VALUE, 'a rate of 200 Hz beside the file'),
    (edit(CHANNELS, '\t45\t', '\thigh\t'), BAD_FORMAT, "'high', expected a cut-off"),
    (edit(CHANNELS, '\tgood\n', '\n'), BAD_FORMAT, 'other numbers of cells'),
    (edit('task-hand_emg.json', '100', '"fast"'), BAD_FORMAT, "'fast', expected a sampling"),
    (edit('task-hand_emg.json', '{', '['), BAD_FORMAT, 'MNE-BIDS: JSONDecodeError'),
    (edit(EVENTS, '1.8\t0.7', '1.8\t9.9'), BAD_VALUE, "event 'open' from sample 180 to 1170"),
    (edit(EVENTS, '1.8\t0.7', 'late\t0.7'), BAD_FORMAT, "'late', expected a time in s"),
    (edit(EVENTS, '1.8\t0.7', 'inf\t0.7'), BAD_FORMAT, 'an event from inf s for 0.7 s'),
    (edit(EVENTS, '1.8\t0.7', '1.8\t-1'), BAD_FORMAT, 'an event from 1.8 s for -1.0 s'),
    (edit(EVENTS, '0.0\t1.0', '-2.0\t1.0'), BAD_VALUE, "event 'rest' from sample -200"),
    (edit(ELECTRODES, 'x', 'z'), BAD_FORMAT, 'electrodes.tsv: columns'),
    (lambda root: (root / EVENTS).write_bytes(b'onset\tduration\ttrial_type\n1\t1\t\xff\n'),
     BAD_FORMAT, 'UTF-8'),
])
def test_bad_recordings(root, spoil, reason, detail):
  """A bad table or file that becomes a record, or stops the run with an error of a reader."""
  spoil(root)
  name = BDF if (root / BDF).exists() else BDF.replace('run-1', 'Run_1')
  item = parse(root, name)
  assert isinstance(item, Reject) and (item.reason, item.name) == (reason, name), item
  assert detail in item.detail


@pytest.mark.parametrize('name', [BDF, CHANNELS, EVENTS, ELECTRODES, 'task-hand_emg.json'])
def test_flipped_bytes_and_cuts_are_rejects_or_records(root, name):
  """A crash or a hang of a reader on a damaged file."""
  whole, rng = (root / name).read_bytes(), np.random.default_rng(0)
  dataset = layout.describe([str(root)])
  job = layout.find_jobs(str(root))[0]
  for i in range(40):
    data = bytearray(whole[:rng.integers(len(whole))] if i % 4 == 0 else whole)
    for _ in range(3):
      if data:
        data[rng.integers(min(len(data), 2048))] ^= rng.integers(1, 256)
    (root / name).write_bytes(data)
    item, = parser.parse(dataset, job)
    if isinstance(item, Record):
      validate(item)


@pytest.mark.parametrize('name, text, expected', [
    (None, None, 'holds 0 files dataset_description.json'),
    ('dataset_description.json', '{"Name": "..."}', "Name: got '...', expected"),
    ('dataset_description.json', '{}', "Name: got 'None'"),
    ('dataset_description.json', 'x', 'expected JSON'),
    ('sub-02/dataset_description.json', '{}', 'holds 2 files'),
])
def test_a_broken_description_stops_the_build(root, tmp_path, name, text, expected):
  """A set without a name, or a folder of two datasets."""
  if name is None:
    (root / 'dataset_description.json').unlink()
  else:
    (root / name).write_text(text)
  with pytest.raises(ValueError, match=expected.replace('.', r'\.')):
    build_lib.build('emg_bids', str(tmp_path / 'built'), str(root), progress=False)
