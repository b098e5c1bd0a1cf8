"""The manifest: every mistake in it is one line that names file and key; nothing in it can hang."""

import pathlib
import time

import numpy as np
import pytest

from data_builders import build as build_lib
from data_builders.emg_folder import make_dummy_data, manifest, parser
from data_builders.emg_folder.template import Template

EXAMPLE = make_dummy_data.example(1)
TABLE = make_dummy_data.example(2)


def fault(folder, text):
  """The error for the manifest `text`."""
  path = folder / manifest.FILE
  path.write_bytes(text if isinstance(text, bytes) else text.encode())
  with pytest.raises(ValueError) as error:
    manifest.read([str(folder)])
  assert str(error.value).startswith(f'{path}: ') and len(str(error.value)) < 900
  return str(error.value).removeprefix(f'{path}: ')


@pytest.mark.parametrize('old, new, expected', [
    ('licence: CC0 1.0\n', '', "licence: got 'nothing', expected text"),
    ('licence:', 'license:', "licence: got 'nothing'"),
    ('ring: 1}', 'ring: 1, rng: 2}', "channels[0].rng: got '2', expected no such key"),
    ('labels:', 'colour: red\nlabels:', "colour: got 'red', expected no such key, but one of"),
    ('unit: uV', 'unit: microvolts', "channels[0].unit: got 'microvolts', expected one of"),
    ('angle_deg: 90', 'angle_deg: 360', "channels[1].angle_deg: got '360', expected a number, at"),
    (', angle_deg: 90', '', "channels[1].angle_deg: got 'nothing'"),
    ('rate_hz: 1000', 'rate_hz: 1 kHz', "rate_hz: got '1 kHz', expected a number"),
    ('rate_hz: 1000', 'rate_hz: .nan', "rate_hz: got '.nan'"),
    ('bandwidth_hz: 450 ', 'bandwidth_hz: 501 ', "bandwidth_hz: got '501'"),
    ('dtype: float32', 'dtype: float16', "dtype: got 'float16', expected one of"),
    ('format: csv', 'format: xls', "format: got 'xls', expected one of"),
    ('format: csv', 'format: mat', "files: got 'P{subject}"),
    ('format: csv', 'format: csv\narrays: {transposed: true}', 'arrays: got '),
    ('format: csv', 'format: csv\ncsv: {delimiter: ;}', "csv.delimiter: got ';', expected one of"),
    ('format: csv', 'format: csv\nenvelope: yes', "envelope: got 'yes', expected one of"),
    ('name: example_csv', 'name: ../up', "name: got '../up', expected a-z"),
    ('name: example_csv', 'name: [a]', "name: got ['a'], expected text"),
    ("'P{subject}", "'../{subject}", "files: got '../{subject}"),
    ("'P{subject}", "'/{subject}", "files: got '/{subject}"),
    ("'notes/*.csv'", "'../*.csv'", "ignore: got ['../*.csv']"),
    ("'P{subject}", "'P{patient}", "files: got 'P{patient}/day{session}"),
    ("'P{subject}", "'{subject}{subject}", 'at most once'),
    ('{subject}/', '*/', "subject: got 'nothing', expected text, or {subject} in files"),
    ('dtype:', 'session: 2\ndtype:', "session: got '2', expected nothing"),
    ('signal: radial', 'signal: flexor', 'channels: got'),
    ('fist: hand close, ', '', "common_names: got"),
    ('hand close: fist', 'hand close: grip', "'hand close': 'grip' is not"),
    ('labels:', 'known_rejects: [ugly]\nlabels:', "'ugly' is not"),
    ('names: {rest: rest, fist: hand close, open: hand open}', 'ignore: [x]', 'labels.names: got'),
    ('names:', 'signal: button\n  names:', 'labels: got'),
    ('names:', 'ignore: [rest]\n  names:', "('rest' is in both)"),
    ('rest: rest, fist', 'rest: [1], fist', "labels.names: got {'rest': ['1']"),
    ('time: {signal: t_ms, unit: ms}', 'time: {unit: ms}', 'time.signal: got'),
    ('time: {signal: t_ms', 'repetition: {signal: button}\ntime: {signal: t_ms',
     'repetition.signal: got'),
])
def test_a_mistake_is_named_with_its_key(tmp_path, old, new, expected):
  """A misspelt key that is passed over, or an error that does not say where."""
  assert EXAMPLE.count(old) >= 1
  assert expected in fault(tmp_path, EXAMPLE.replace(old, new, 1))


@pytest.mark.parametrize('text, expected', [
    ('', 'the whole file: got None'),
    ('- a', 'the whole file: got'),
    ('a: [1', 'expected YAML'),
    ('a: 1\na: 2', 'a key that is there twice'),
    (b'name: \xff', "can't decode"),
    ('a: &x [1]\nb: *x', 'an alias (*), expected none'),
    ('a: &a [x,x]\n' + ''.join(f'{b}: &{b} [*{a},*{a}]\n' for a, b in zip('abcdefgh', 'bcdefghi')),
     'an alias'),
    ('a: ' + '[' * 20_000, 'expected YAML'),
    ('{' * 5_000, 'expected YAML'),
    ('? [a]\n: 1', 'or no text'),
    ('a: !!python/object/apply:os.system [exit]', "name: got 'nothing'"),
    ('#' * 300_000, 'expected at most'),
])
def test_hostile_yaml_is_an_error(tmp_path, text, expected):
  """A bomb of aliases, endless nesting, code in tags, a later key that wins in silence."""
  begun = time.process_time()
  assert expected in fault(tmp_path, text)
  assert time.process_time() - begun < 10


def test_text_stays_text(tmp_path):
  """YAML's own reading: `no` as false, 010 as 8, 1:30 as 90, 2001-01-01 as a date."""
  names = '{no: off, 010: 1:30, 2001-01-01: ~}'
  (tmp_path / manifest.FILE).write_text(EXAMPLE.split('labels:')[0] + f'labels: {{names: {names}}}')
  found = manifest.read([str(tmp_path)])
  assert found.labels.names == {'no': 'off', '010': '1:30', '2001-01-01': '~'}


def test_there_must_be_one_manifest(tmp_path):
  """The wrong one of two manifests, or an error that does not tell what is missing."""
  with pytest.raises(ValueError, match='holds 0 files emg_folder.yaml, expected one'):
    build_lib.build('emg_folder', str(tmp_path / 'd'), str(tmp_path), progress=False)
  for name in 'ab':
    make_dummy_data.main(tmp_path / name)
  with pytest.raises(ValueError, match='holds 2 files emg_folder.yaml'):
    manifest.read([str(tmp_path)])


@pytest.mark.parametrize('pattern, path, fields', [
    ('P{subject}/{label}_{repetition}.csv', 'P01/fist_12.csv',
     {'subject': '01', 'label': 'fist', 'repetition': '12'}),
    ('{subject}_{session}.csv', 'a_b_c.csv', {'subject': 'a', 'session': 'b_c'}),
    ('{label}_{repetition}.csv', 'hand_open_2_3.csv', {'label': 'hand_open_2', 'repetition': '3'}),
    ('{label}_{repetition}.csv', 'fist_x.csv', None),
    ('{subject}/*.csv', 'a/b/c.csv', None),
    ('{subject}.csv', '.csv', None),
    ('**/{subject}.csv', 'a.csv', {'subject': 'a'}),
    ('**/{subject}.csv', 'x/y/a.csv', {'subject': 'a'}),
    ('**/{subject}/*/{label}.csv', 'x/y/1/fist.csv', {'subject': 'y', 'label': 'fist'}),
    ('S*_{label}.csv', 'S_x.csv', {'label': 'x'}),
    ('a.csv', 'abcsv', None),
    ('{repetition}.csv', '٣.csv', None),
])
def test_patterns_of_paths(pattern, path, fields):
  """A field that takes too much, or a dot that stands for any character."""
  assert Template(pattern).match(path) == fields


def test_no_pattern_takes_for_ever():
  """Backtracking: 2^n ways to split a name among stars and fields."""
  begun = time.process_time()
  template = Template('{subject}' + '*a' * 18 + '{label}{repetition}b')
  assert template.match('a' * 255) is None
  assert Template('**/' * 18 + 'x').match('a/' * 120 + 'y') is None
  assert time.process_time() - begun < 10


@pytest.mark.parametrize('rows, expected', [
    ('file,begin,stop,label\n', r"columns \['file', 'begin', 'stop', 'label'\], expected"),
    ('file,start,stop,label,mood\n', 'columns '),
    ('file,start,stop,label\nsub1_a.edf,0,x,0\n', "line 2: could not convert string to float: 'x'"),
    ('file,start,stop,label\nsub1_a.edf,0,inf,0\n', 'line 2: a number that is not finite'),
    ('file,start,stop,label\nsub1_a.edf,0,1\n', 'line 2: another number of cells'),
    ('file,start,stop,label\nsub1_a.edf,0,1,0,9\n', 'line 2: another number of cells'),
    ('file,start,stop,label\nsub1_z.edf,0,1,0\n', "line 2 of spans.csv names 'sub1_z.edf'"),
    (None, "labels.table.file: got 'spans.csv', expected a file"),
])
def test_a_mistake_in_the_table_is_named_with_its_line(tmp_path, rows, expected):
  """Spans of a misspelt file that vanish, or a table that is passed over."""
  (tmp_path / 'sub1_a.edf').write_bytes(b'')
  (tmp_path / manifest.FILE).write_text(TABLE)
  if rows is not None:
    (tmp_path / 'spans.csv').write_text(rows)
  with pytest.raises(ValueError, match=expected):
    parser.find_jobs(manifest.read([str(tmp_path)]))


REAL = {
    'contraction_intensity': ('contraction_intensity_mvc', """
name: ci
licence: not stated
files: 'S{subject}/S*_{session}_C{label}_R{repetition}.csv'
format: csv
csv: {header: false}
dtype: float32
rate_hz: 1000
bandwidth_hz: 450
channels: [%s]
labels: {names: {'1': no movement, '2': wrist flexion, '3': wrist extension, '7': hand open}}
""" % ', '.join(f'{{signal: {i}}}' for i in range(8)), 160),
    'grabmyo': ('grabmyo_partial', """
name: grab
licence: CC BY 4.0
files: 'session{session}_participant{subject}_gesture{label}_trial{repetition}.hea'
format: wfdb
dtype: int32
rate_hz: 2048
bandwidth_hz: 500
channels: [%s]
labels: {names: [%s]}
""" % (', '.join(f'{{signal: F{i}}}' for i in range(1, 17)) + ', '
       + ', '.join(f'{{signal: W{i}}}' for i in range(1, 13)),
       ', '.join(str(i) for i in range(1, 18))), 10),
    'ninapro/db1': ('ninapro_db1', """
name: db1
licence: Ninapro terms
files: 'S{subject}_A1_E{session}.mat'
format: mat
dtype: float64
rate_hz: 100
envelope: true
channels: [%s]
labels: {signal: restimulus, names: [%s]}
repetition: {signal: rerepetition}
""" % (', '.join(f'{{signal: emg/{i}}}' for i in range(10)), ', '.join(map(str, range(13)))), 10),
}


@pytest.mark.real
@pytest.mark.parametrize('name', REAL)
def test_real_folders_give_what_their_own_builders_give(name, tmp_path, real_archive):
  """A reader that only reads what our own tests write."""
  from aemg_jax.sources import read_records
  from data_builders import raw
  zip_name, text, n_records = REAL[name]
  archive = real_archive(f'{zip_name}.zip')
  own = read_records(build_lib.build(name, str(tmp_path), archive, progress=False))
  with raw.open_raw(archive, str(tmp_path)) as folder:
    tops = sorted({job.path.removesuffix(job.name) for job in raw.find_files(
        [folder], r'(S\d+/[^/]*\.csv|[^/]*\.hea|[^/]*\.mat)', 'recording')})
    (pathlib.Path(tops[0]) / manifest.FILE).write_text(text)
    source = read_records(build_lib.build('emg_folder', str(tmp_path), folder, progress=False))
  expected = {r.signal_tc.tobytes(): r for r in own}
  assert len(source) == len(own) == n_records and len(expected) == n_records
  for record in source:
    twin = expected[record.signal_tc.tobytes()]
    assert (record.rate_hz, record.bandwidth_hz) == (twin.rate_hz, twin.bandwidth_hz)
    assert record.repetition == twin.repetition
    np.testing.assert_allclose([s.scale for s in record.sensors], [s.scale for s in twin.sensors],
                               rtol=1e-12)
    assert [(s.start, s.stop) for s in record.labels] == [(s.start, s.stop) for s in twin.labels]
    assert {a for a in record.annotations} <= {a for a in twin.annotations}
