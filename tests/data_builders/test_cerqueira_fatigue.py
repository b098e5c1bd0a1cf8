"""The parser of Cerqueira's fatigue set against trials and levels written by hand."""

import json

from aemg_jax.records import validate
import numpy as np
import pytest

from data_builders import build as build_lib
from data_builders import jobs
from data_builders.cerqueira_fatigue import make_dummy_data, parser
from data_builders.jobs import Reject

N_SAMPLES = 400
TRIAL = 'subject_2/trial_3'
LEVELS = ((0.02, 0), (0.1, 0), (0.2, 1), (0.25, 2), (9.0, 2))


def emg(n_samples=N_SAMPLES):
  return np.random.default_rng(4).normal(0, 1e-4, (n_samples, 4)).round(8)


def write(tmp_path, trial=TRIAL, emg_tc=None, levels=LEVELS, n_padding=0):
  """A trial with its levels; returns the paths of both."""
  side = parser.SIDES[(int(trial.rpartition('_')[2]) - 1) % 2]
  paths = [tmp_path / folder / f'{trial}.csv' for folder in ('sEMG_data', parser.LABEL_FOLDER)]
  make_dummy_data.write_trial(paths[0], side, emg() if emg_tc is None else emg_tc, n_padding)
  make_dummy_data.write_levels(paths[1], levels)
  return paths


def parse_folder(tmp_path):
  (job,) = parser.find_jobs([str(tmp_path)])
  (item,) = parser.parse(job)
  return item


@pytest.mark.parametrize('trial, its_id, side, order', [
    ('subject_2/trial_3', 'subject02/trial03', 'right', (0, 1, 2, 3)),
    ('subject_13/trial_12', 'subject13/trial12', 'left', (1, 0, 3, 2))])
def test_channels_are_found_by_the_muscle(tmp_path, trial, its_id, side, order):
  """The order of the right arm used for the left, or a column of time for one of EMG."""
  write(tmp_path, trial)
  record = validate(parse_folder(tmp_path))
  np.testing.assert_array_equal(record.signal_tc, emg()[:, order])
  assert [s.name for s in record.sensors] == [
      f'{side} biceps brachii', f'{side} deltoid anterior', f'{side} deltoid medius',
      f'{side} deltoid posterior']
  assert {(s.unit, s.scale, s.ring) for s in record.sensors} == {('V', 1.0, 0)}
  assert record.rate_hz == pytest.approx(1 / 0.00079411718, rel=1e-5)  # as measured by an audit
  assert (record.record_id, record.session, record.repetition) == (its_id, '1', -1)


@pytest.mark.parametrize('trial, label', [
    (1, 'deltoid anterior'), (2, 'deltoid anterior'), (3, 'deltoid posterior'),
    (5, 'biceps brachii'), (6, 'biceps brachii'), (8, 'deltoid medius'),
    (9, 'deltoid anterior (complex)'), (12, 'deltoid posterior (complex)')])
def test_the_trial_gives_the_exercise(tmp_path, trial, label):
  """A muscle for each trial in place of one for each pair of arms."""
  write(tmp_path, f'subject_2/trial_{trial}')
  record = parse_folder(tmp_path)
  assert [(s.start, s.stop, s.name) for s in record.labels] == [(0, N_SAMPLES, label)]


def test_levels_are_spans_on_the_clock_of_the_samples(tmp_path):
  """Levels by row of their file, a shifted start, or a span beyond the recording."""
  write(tmp_path)
  record = validate(parse_folder(tmp_path))
  assert {a.name for a in record.annotations} == {'fatigue_level'}
  first = [int(np.ceil(s * parser.RATE_HZ)) for s in (0.02, 0.2, 0.25)]
  assert [(a.start, a.stop, a.value) for a in record.annotations] == [
      (first[0], first[1], 0), (first[1], first[2], 1), (first[2], N_SAMPLES, 2)]


def test_levels_that_end_early_leave_the_rest_without(tmp_path):
  """The last level stretched over time of which nobody said anything."""
  write(tmp_path, levels=((0.0, 0), (0.1, 1), (0.15, 1)))
  (_, last) = parse_folder(tmp_path).annotations
  assert last.stop == int(0.15 * parser.RATE_HZ) + 1 < N_SAMPLES


@pytest.mark.parametrize('sensor', [None, 2])
@pytest.mark.parametrize('fill', ['0', ''])
def test_padding_at_the_end_is_cut_off(tmp_path, sensor, fill):
  """Zeros, or the data of three sensors, kept as signal; a clock that jumps back to 0."""
  path, _ = write(tmp_path)
  lines = path.read_text().splitlines()
  for i in range(len(lines) - 30, len(lines)):
    cells = lines[i].split(',')
    for column in range(8) if sensor is None else (2 * sensor, 2 * sensor + 1):
      cells[column] = fill
    lines[i] = ','.join(cells)
  path.write_text('\r\n'.join(lines) + '\r\n')
  record = validate(parse_folder(tmp_path))
  np.testing.assert_array_equal(record.signal_tc, emg()[:-30])


def test_zeros_within_a_trial_are_signal(tmp_path):
  """A recording cut at a sample that happens to be 0."""
  values = emg()
  values[0] = values[200] = values[-1] = 0
  write(tmp_path, emg_tc=values)
  assert parse_folder(tmp_path).n_samples == N_SAMPLES


def test_names_with_a_capital_and_folders_within_folders(tmp_path):
  """Subjects 1, 2 and 8 lost for the spelling of their files."""
  write(tmp_path, 'subject_8/subject_8/trial_1')
  (tmp_path / parser.LABEL_FOLDER / 'subject_8/subject_8').rename(tmp_path / 'x')
  (tmp_path / 'x/trial_1.csv').rename(tmp_path / parser.LABEL_FOLDER / 'subject_8/Trial_1.csv')
  assert parse_folder(tmp_path).record_id == 'subject08/trial01'
  write(tmp_path, 'subject_8/trial_1')
  with pytest.raises(ValueError, match='subject08/trial01 is there twice'):
    parser.find_jobs([str(tmp_path)])


def edit(number, change):
  """Changes one line of a file; 0 is the header."""
  def edited(data):
    lines = data.split(b'\n')
    lines[number] = change(lines[number])
    return b'\n'.join(lines)
  return edited


@pytest.mark.parametrize('change, reason, detail', [
    (lambda data: b'', jobs.BAD_FORMAT, "columns ['']"),
    (lambda data: b'\xff\xfe' + data, jobs.BAD_FORMAT, "can't decode"),
    (edit(0, lambda line: line.replace(b'R DELTOID MEDIUS', b'L DELTOID MEDIUS')),
     jobs.BAD_FORMAT, 'expected pairs of X [s]'),
    (edit(0, lambda line: line.replace(b'[V]', b'[mV]')), jobs.BAD_FORMAT, 'expected pairs'),
    (edit(0, lambda line: line.replace(b'MEDIUS', b'ANTERIOR')), jobs.BAD_FORMAT, 'pairs'),
    (edit(0, lambda line: line + b',X [s]'), jobs.BAD_FORMAT, 'expected pairs'),
    (lambda data: data[:data.index(b'\n')], jobs.TOO_SHORT, '0 samples'),
    (lambda data: b'\n'.join(data.split(b'\n')[:100]), jobs.TOO_SHORT, '99 samples'),
    (edit(9, lambda line: b''), jobs.BAD_FORMAT, '400 lines with 399 rows'),
    (edit(9, lambda line: line + b',1'), jobs.BAD_FORMAT, 'number of columns'),
    (edit(9, lambda line: line.replace(b',', b';')), jobs.BAD_FORMAT, 'columns'),
    (edit(9, lambda line: b'x' + line), jobs.BAD_FORMAT, 'could not convert'),
    (edit(9, lambda line: line[:line.rindex(b',')] + b',inf'), jobs.BAD_VALUE,
     'inf at sample 8, deltoid posterior'),
    (edit(9, lambda line: line[:line.rindex(b',')] + b','), jobs.BAD_VALUE, 'nan at sample 8'),
    (edit(9, lambda line: b'0,0' + line[line.index(b',', 12):]), jobs.BAD_TIME,
     'sensor 1: time runs backwards at sample 8'),
    (edit(9, lambda line: b',' + line.partition(b',')[2]), jobs.BAD_TIME, 'sensor 1: time holds')])
def test_bad_trials_are_rejected(tmp_path, change, reason, detail):
  """The other arm, a shifted column, a gap in time, or a traceback."""
  path, _ = write(tmp_path)
  path.write_bytes(change(path.read_bytes()))
  item = parse_folder(tmp_path)
  assert isinstance(item, Reject) and item.reason == reason and detail in item.detail


def test_trials_of_another_shape_are_rejected(tmp_path, monkeypatch):
  """Seconds of padding, a dead sensor, sensors that run apart, another rate, a huge file."""
  write(tmp_path, n_padding=1300)
  assert parse_folder(tmp_path).detail.startswith('the last 1300 of 1700 rows lack data')
  write(tmp_path, emg_tc=np.zeros((N_SAMPLES, 4)) + [0, 1, 2, 3])
  item = parse_folder(tmp_path)
  assert item.reason == jobs.CONSTANT_CHANNEL and item.detail.startswith('biceps brachii is 0.0')
  path, _ = write(tmp_path)
  lines = path.read_text().splitlines()
  shifted = [line.split(',') for line in lines]
  for cells in shifted[1:]:
    cells[6] = f'{float(cells[6]) + 0.0008:.9f}'
  path.write_text('\n'.join(','.join(cells) for cells in shifted) + '\n')
  assert 'the sensors are 0.0008 s apart' in parse_folder(tmp_path).detail
  monkeypatch.setattr(parser, 'RATE_HZ', 1000.0)
  write(tmp_path)
  monkeypatch.undo()
  assert 'a median time step of 0.001 s' in parse_folder(tmp_path).detail
  monkeypatch.setattr(parser, 'MAX_BYTES', 1000)
  assert parse_folder(tmp_path).reason == jobs.BAD_SIZE


@pytest.mark.parametrize('levels, reason, detail', [
    (None, jobs.MISSING_LABEL, 'no self_perceived_fatigue_index/subject_2/trial_3.csv'),
    ((), jobs.BAD_FORMAT, 'expected (0, 1, 2)'),
    (((0.0, 0), (0.1, 3)), jobs.BAD_FORMAT, 'expected (0, 1, 2)'),
    (((0.0, 0), (0.1, 'nan')), jobs.BAD_FORMAT, 'expected (0, 1, 2)'),
    (((0.0, 0), (0.1, 'x')), jobs.BAD_FORMAT, 'could not convert'),
    (((0.0, 0), (0.1, '1,2')), jobs.BAD_FORMAT, 'number of columns'),
    (((0.0, 0), (0.2, 1), (0.1, 2)), jobs.NOT_ALIGNED, 'expected that it rises'),
    (((0.0, 0), (0.2, 1), (0.2, 2)), jobs.NOT_ALIGNED, 'expected that it rises'),
    (((0.0, 0), ('nan', 1), (0.2, 2)), jobs.NOT_ALIGNED, 'expected that it rises'),
    (((1.5, 0), (2.0, 1)), jobs.NOT_ALIGNED, 'begins at 1.5 s'),
    (((-0.5, 0), (2.0, 1)), jobs.NOT_ALIGNED, 'begins at -0.5 s')])
def test_bad_levels_are_rejected(tmp_path, levels, reason, detail):
  """A level at a guessed time, or one that the set does not have."""
  _, path = write(tmp_path, levels=levels or ())
  if levels is None:
    path.unlink()
  item = parse_folder(tmp_path)
  assert isinstance(item, Reject) and item.reason == reason and detail in item.detail


@pytest.mark.parametrize('trial', ['subject_14/trial_1', 'subject_0/trial_1', 'subject_1/trial_13',
                                   'subject_1/trial_01', 'subject_1/subject_2/trial_1'])
def test_unknown_names_are_rejected(tmp_path, trial):
  """A trial of another study taken for one of these."""
  write(tmp_path, trial)
  assert parse_folder(tmp_path).reason == jobs.UNKNOWN_FILE


def test_trials_are_in_order_and_maximal_contractions_are_none(tmp_path):
  """Trial 10 before trial 2, or a file of one muscle taken for a trial."""
  for trial in (10, 2):
    path, _ = write(tmp_path, f'subject_1/trial_{trial}')
  (path.parent / 'MVC').mkdir()
  (path.parent / 'MVC/subject_1_MVC_R_BICEPS.csv').write_text('x')
  assert [parser.record_id(job.name) for job in parser.find_jobs([str(tmp_path)])] == [
      'subject01/trial02', 'subject01/trial10']


def test_documented_defects_are_counted_and_do_not_stop_the_build(tmp_path):
  """A set that cannot be built as published."""
  make_dummy_data.main(tmp_path / 'raw')
  folder = build_lib.build('cerqueira_fatigue', str(tmp_path), str(tmp_path / 'raw'),
                           progress=False)
  rejects = json.loads((folder / 'rejects.json').read_text())
  assert rejects['reject_counts'] == {jobs.NOT_ALIGNED: 1}
  assert rejects['rejects'][0]['name'] == 'sEMG_data/subject_1/trial_11.csv'
  assert rejects['counts']['records'] == 2


def test_dummy_data_is_what_its_script_writes(tmp_path):
  """Dummy files edited by hand, that no longer say what the format is."""
  make_dummy_data.main(tmp_path)
  stored = make_dummy_data.FOLDER
  names = sorted(str(p.relative_to(stored)) for p in stored.rglob('*') if p.is_file())
  assert names == sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob('*') if p.is_file())
  assert all((stored / name).read_bytes() == (tmp_path / name).read_bytes() for name in names)
