"""The parser of curls with Borg ratings against files written by hand, and real recordings."""

import json

from aemg_jax.sources import read_records
import numpy as np
import pytest

from data_builders import build as build_lib
from data_builders import jobs as reasons
from data_builders.curl_borg import curl_borg_dataset_builder, make_dummy_data, parser
from data_builders.jobs import Job, Reject


def raw_text(gap_s=0.0, end=''):
  """900 samples in blocks of 150 that arrive every 0.15 s from 10 s on; a gap after sample 449."""
  rows = [f'{10 + 0.15 * (t // 150) + (gap_s if t >= 450 else 0):.5f},{t % 1024}{end},'
          f'{1023 - t}{end},{t % 7}{end},509{end}\n' for t in range(900)]
  return 'Time,A1,A2,A3,RE\n' + ''.join(rows)


# Clicks just before, and at, the arrival of a block.
CLICKS = 'Time,Times,Borg,L,R\n10.149,1,1,20,180\n10.3,2,3,10,100\n10.74,3,9,,\n'
RAW = raw_text()


def parse_texts(tmp_path, raw=RAW, clicks=CLICKS, name='02.csv'):
  for file, data in (('02.csv', raw), ('02_click.csv', clicks)):
    if data is not None:
      (tmp_path / file).write_bytes(data if isinstance(data, bytes) else data.encode())
  return parser.parse(Job(name, str(tmp_path / name), 1))


@pytest.mark.parametrize('end', ['', '.0'])
def test_counts_become_millivolts_about_the_zero_of_the_converter(tmp_path, end):
  """A zero other than 512, a gain of 1000, the reference taken for a channel, a lost first row."""
  (record,) = parse_texts(tmp_path, raw_text(end=end))
  t = np.arange(900)
  assert record.signal_tc.dtype == np.int16
  np.testing.assert_array_equal(record.signal_tc, np.stack([t, 1023 - t, t % 7], 1) - 512)
  assert [s.name for s in record.sensors] == ['A1', 'A2', 'A3']
  assert {s.unit for s in record.sensors} == {'mV'}
  # By the sensor's transfer function: (511 / 1024 - 0.5) * 3.3 V / 1009 is what 511 stands for.
  assert -record.sensors[0].scale == pytest.approx((511 / 1024 - 0.5) * 3300 / 1009)
  assert (record.record_id, record.subject, record.repetition) == ('02', '02', -1)


def test_the_active_part_counts_from_the_first_sample_after_the_click(tmp_path):
  """L and R counted from the start of the file, or taken for times; a block at the click's time."""
  (record,) = parse_texts(tmp_path)
  # 10.149 s: the block of 10.15 s, from sample 150. 10.3 s: that block came by then, so from 450.
  spans = [(170, 330), (460, 550)]
  assert [(s.start, s.stop, s.name) for s in record.labels] == [(*s, 'curl') for s in spans]
  assert [(a.start, a.stop, a.name, a.value) for a in record.annotations] == [
      (170, 330, 'repetition', 0), (170, 330, 'borg', 1),
      (460, 550, 'repetition', 1), (460, 550, 'borg', 3)]  # the last click rates no repetition


def test_an_active_part_ends_at_the_next_click(tmp_path):
  """Spans that overlap, or run past the end of the recording."""
  (record,) = parse_texts(tmp_path, clicks=CLICKS.replace('180', '99999').replace(',100', ',9999'))
  assert [(s.start, s.stop) for s in record.labels] == [(170, 450), (460, 750)]


def test_lost_samples_are_marked_where_they_are(tmp_path):
  """A recording whose 8 s gap nobody can see, or a late block taken for one."""
  (record,) = parse_texts(tmp_path, raw_text(gap_s=5), CLICKS.replace('10.74', '15.74'))
  gaps = [a for a in record.annotations if a.name == 'gap_s']
  assert [(a.start, a.stop) for a in gaps] == [(450, 451)] and gaps[0].value == pytest.approx(5.15)
  assert record.n_samples == 900
  (record,) = parse_texts(tmp_path, raw_text(gap_s=0.3), CLICKS.replace('10.74', '11'))
  assert not [a for a in record.annotations if a.name == 'gap_s']


def test_spreadsheet_leavings_and_line_ends_change_nothing(tmp_path):
  """Subject 05, with its empty columns and rows, or a Windows checkout, refused."""
  (plain,) = parse_texts(tmp_path)
  spread = ''.join(line + ',,\n' for line in CLICKS.splitlines()) + ',,,,,,\n' * 3
  for raw, clicks in ((RAW, spread), (RAW.replace('\n', '\r\n'), CLICKS.replace('\n', '\r\n'))):
    (record,) = parse_texts(tmp_path, raw, clicks)
    assert (record.labels, record.annotations) == (plain.labels, plain.annotations)
    np.testing.assert_array_equal(record.signal_tc, plain.signal_tc)


def test_a_recording_and_its_clicks_need_each_other(tmp_path):
  """A subject who vanishes uncounted, or a recording without ratings that passes as known."""
  assert parse_texts(tmp_path, name='02_click.csv') == []
  (tmp_path / '02.csv').unlink()
  (item,) = parse_texts(tmp_path, raw=None, name='02_click.csv')
  assert item.reason == reasons.MISSING_FILE and '02.csv' in item.detail
  (tmp_path / '02_click.csv').unlink()
  (item,) = parse_texts(tmp_path, clicks=None)
  assert item.reason == reasons.MISSING_LABEL
  known = curl_borg_dataset_builder.Builder.KNOWN_REJECTS
  assert reasons.MISSING_FILE in known and reasons.MISSING_LABEL not in known


@pytest.mark.parametrize('raw, reason, detail', [
    ('', reasons.BAD_FORMAT, 'no end of line'),
    (RAW[:-1], reasons.BAD_FORMAT, 'no end of line'),
    (RAW.replace('RE', 'A4', 1), reasons.BAD_FORMAT, 'header'),
    (CLICKS, reasons.BAD_FORMAT, 'header'),
    (RAW[:5000].rpartition('\n')[0] + '\n', reasons.TOO_SHORT, 'samples'),
    (RAW.replace(',509', '', 1), reasons.BAD_FORMAT, 'columns'),
    (RAW.replace(',509\n', '\n'), reasons.BAD_FORMAT, 'of 4'),
    (RAW.replace(',509\n', ',509\n\n', 1), reasons.BAD_FORMAT, '901 lines'),
    (b'\xff' + RAW.encode(), reasons.BAD_FORMAT, 'decode'),
    (RAW.replace(',300,723', ',1024,723'), reasons.BAD_VALUE, '1024.0 in row 300, A1'),
    (RAW.replace(',300,723', ',300,-1'), reasons.BAD_VALUE, '-1.0 in row 300, A2'),
    (RAW.replace(',300,723', ',300,0.5'), reasons.BAD_VALUE, '0.5 in row 300, A2'),
    (RAW.replace(',300,723', ',nan,723'), reasons.BAD_VALUE, 'nan in row 300, A1'),
    (RAW.replace('10.30000,300', 'nan,300'), reasons.BAD_VALUE, 'clock'),
    (RAW.replace('10.75000,899', 'inf,899'), reasons.BAD_VALUE, 'clock'),
    (RAW.replace('10.30000,300', '10.10000,300'), reasons.BAD_VALUE, 'rising clock'),
    (RAW.replace('10.', '10'), reasons.BAD_VALUE, 'expected 1000 Hz'),
    (b'0,0,0,0,0\n' * (4 << 20), reasons.BAD_SIZE, '02.csv: more than'),
])
def test_a_bad_recording_is_a_reject_with_its_reason(tmp_path, raw, reason, detail):
  """A damaged recording that becomes a record, or an exception of the reader."""
  (item,) = parse_texts(tmp_path, raw)
  assert isinstance(item, Reject) and item.reason == reason
  assert detail in item.detail and 'expected' in item.detail


def test_a_constant_channel_is_a_reject(tmp_path):
  """An electrode that was off, taken for a muscle at rest."""
  rows = [line.split(',') for line in RAW.splitlines()]
  text = '\n'.join(','.join([*row[:2], '7' if i else 'A2', *row[3:]]) for i, row in enumerate(rows))
  (item,) = parse_texts(tmp_path, text + '\n')
  assert item.reason == reasons.CONSTANT_CHANNEL and 'A2 is 7 throughout' in item.detail


@pytest.mark.parametrize('clicks, reason, detail', [
    ('', reasons.BAD_FORMAT, 'no end of line'),
    (RAW, reasons.BAD_FORMAT, 'click header'),
    ('Time,Times,Borg,L,R\n', reasons.TOO_SHORT, '0 clicks'),
    ('Time,Times,Borg,L,R\n10.74,1,9,,\n', reasons.TOO_SHORT, '1 clicks'),
    (CLICKS.replace('20,180', ','), reasons.BAD_FORMAT, 'click 1 of 3 has 3 fields'),
    (CLICKS[:CLICKS.index('10.74')], reasons.BAD_FORMAT, 'click 2 of 2 has 5 fields'),
    (CLICKS.replace('20,180', '20,x'), reasons.BAD_FORMAT, 'click 1'),
    (CLICKS.replace('20,180', '20,' + '9' * 5000), reasons.BAD_FORMAT, 'click 1'),
    (b'\x80' + CLICKS.encode(), reasons.BAD_FORMAT, 'decode'),
    (CLICKS.replace('20,180', '180,20'), reasons.BAD_VALUE, 'L < R'),
    (CLICKS.replace('20,180', '-1,20'), reasons.BAD_VALUE, 'L < R'),
    (CLICKS.replace('2,3,10', '2,11,10'), reasons.BAD_VALUE, 'rating'),
    (CLICKS.replace('2,3,10', '2,nan,10'), reasons.BAD_VALUE, 'rating'),
    (CLICKS.replace('2,3,10', '3,3,10'), reasons.BAD_VALUE, 'its count'),
    (CLICKS.replace('10.149', '9.9'), reasons.BAD_VALUE, 'within the recording'),
    (CLICKS.replace('10.74', '10.75'), reasons.BAD_VALUE, 'within the recording'),
    (CLICKS.replace('10.149', '10.5'), reasons.BAD_VALUE, 'rising'),
    (CLICKS.replace('10.3', 'nan'), reasons.BAD_VALUE, 'rising'),
    (CLICKS.replace('20,180', '300,400'), reasons.BAD_VALUE, 'less than the 300 samples'),
    (b',' * (1 << 17), reasons.BAD_SIZE, '02_click.csv: more than'),
])
def test_bad_clicks_are_a_reject_with_their_reason(tmp_path, clicks, reason, detail):
  """Ratings of another subject, or of another time, on a recording."""
  (item,) = parse_texts(tmp_path, clicks=clicks)
  assert isinstance(item, Reject) and item.reason == reason
  assert detail in item.detail and 'expected' in item.detail


def test_the_missing_recording_is_counted(tmp_path):
  """A partial copy that stops the build, or builds as if it were whole."""
  folder = build_lib.build('curl_borg', str(tmp_path), str(make_dummy_data.FOLDER), progress=False)
  assert [r.subject for r in read_records(folder)] == ['02', '05']
  assert json.loads((folder / 'rejects.json').read_text())['rejects'] == [
      {'name': '07_click.csv', 'reason': 'missing file',
       'detail': '07.csv is not there, expected it beside'}]


@pytest.mark.real
def test_the_real_part_has_the_documented_counts(tmp_path, real_archive):
  """Spans or ratings out of step with the muscles: pinned on 9 of the 31 subjects."""
  archive = real_archive('liuyu175_curl_borg.zip')
  folder = build_lib.build('curl_borg', str(tmp_path), archive, progress=False)
  source = read_records(folder)
  records = list(source)
  assert [r.subject for r in records] == ['02', '03', '04', '09', '21', '25', '27', '28', '29']
  assert source.meta.counts['labels'] == {'curl': 490}
  assert source.meta.counts['seconds'] == pytest.approx(1130.94)
  assert source.meta.reject_counts == {'missing file': 22}
  borg = [a.value for r in records for a in r.annotations if a.name == 'borg']
  assert np.bincount(np.array(borg, int)).tolist() == [41, 42, 37, 37, 46, 42, 45, 48, 50, 102]
  assert [(r.subject, a.start) for r in records for a in r.annotations if a.name == 'gap_s'] == [
      ('09', 93260)]
  for record in records:
    power_t = np.square(record.signal_tc - record.signal_tc.mean(axis=0)).sum(axis=1)
    inside = np.concatenate([np.arange(s.start, s.stop) for s in record.labels])
    whole = slice(record.labels[0].start, record.labels[-1].stop)
    assert power_t[inside].sum() > 0.8 * power_t[whole].sum()
    assert len(inside) < 0.6 * len(power_t[whole])
    first, last = record.labels[0], record.labels[-1]
    rms_c = lambda s: record.signal_tc[s.start:s.stop].std(axis=0)
    assert (rms_c(last)[1:] > 1.1 * rms_c(first)[1:]).all()  # it rises with fatigue
