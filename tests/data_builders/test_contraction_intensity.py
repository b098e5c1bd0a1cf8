"""The ContractionIntensity parser against files written by hand, and real recordings."""


from aemg_jax.sources import read_records
import numpy as np
import pytest

from data_builders import build as build_lib
from data_builders import jobs as reasons
from data_builders.contraction_intensity import parser
from data_builders.jobs import Job, Reject

ROW = ','.join(f'0.0{c}' for c in range(8))
GOOD = ''.join(','.join(f'{t * 1e-3 - c:.5g}' for c in range(8)) + '\n' for t in range(64))


def parse_text(tmp_path, data, name='S3/S3_80P_C2_R4.csv'):
  path = tmp_path / 'x.csv'
  path.write_bytes(data if isinstance(data, bytes) else data.encode())
  (item,) = parser.parse(Job(name, str(path), path.stat().st_size))
  return item


def test_rows_are_samples_and_columns_channels(tmp_path):
  """A transposed file, a dropped first row (there is no header), or digits lost in storing."""
  record = parse_text(tmp_path, GOOD)
  assert record.signal_tc.shape == (64, 8) and record.signal_tc.dtype == np.float32
  printed = [','.join(f'{x:.5g}' for x in row) for row in record.signal_tc]
  assert printed == GOOD.split()
  assert [s.angle_deg for s in record.sensors] == [0, 45, 90, 135, 180, 225, 270, 315]
  assert record.bandwidth_hz == 450


@pytest.mark.parametrize('name, record_id, session, repetition, label, percent_mvc', [
    ('S3/S3_80P_C2_R4.csv', 'S03/80P/C2/R4', '80P', 3, 'wrist flexion', 80),
    ('S10/S10_20P_C3_R1.csv', 'S10/20P/C3/R1', '20P', 0, 'wrist extension', 20),
    ('S1/S1_MVC_C4_R2.csv', 'S01/MVC/C4/R2', 'MVC', 1, 'wrist pronation', 100),
    ('S1/S1_Ramp_C5_R1.csv', 'S01/Ramp/C5/R1', 'Ramp', 0, 'wrist supination', None),
    ('S1/S1_Light_C6_R1.csv', 'S01/Light/C6/R1', 'Light', 0, 'chuck grip', None),
    ('S1/S1_Hard_C7_R1.csv', 'S01/Hard/C7/R1', 'Hard', 0, 'hand open', None),
    ('S1/S1_80P_C1_R1.csv', 'S01/80P/C1/R1', '80P', 0, 'no movement', None)])
def test_the_name_gives_class_effort_and_repetition(
    tmp_path, name, record_id, session, repetition, label, percent_mvc):
  """Classes shifted by one, an effort invented for a ramp, or rest held to be 80 % of maximum."""
  record = parse_text(tmp_path, GOOD, name)
  assert (record.record_id, record.session) == (record_id, session)
  assert (record.subject, record.repetition) == (name.split('/')[0], repetition)
  assert [(s.start, s.stop, s.name) for s in record.labels] == [(0, 64, label)]
  expected = [] if percent_mvc is None else [(0, 64, 'percent_mvc', percent_mvc)]
  assert [(a.start, a.stop, a.name, a.value) for a in record.annotations] == expected


@pytest.mark.parametrize('data, reason, detail', [
    ('', reasons.TOO_SHORT, 'no samples'),
    ('\n\n', reasons.TOO_SHORT, 'no samples'),
    (GOOD[:-1], reasons.BAD_FORMAT, '63 lines'),
    (GOOD + ROW + '\n', reasons.BAD_SIZE, '65 samples'),
    (GOOD[:GOOD.rindex('0.063')], reasons.BAD_SIZE, '63 samples'),
    (GOOD.replace('0.001,', ''), reasons.BAD_FORMAT, 'columns'),
    (GOOD.replace('0.001,', '\n0.001,'), reasons.BAD_FORMAT, '65 lines'),
    ((ROW[:-5] + '\n') * 64, reasons.BAD_FORMAT, 'of 7'),
    (GOOD.replace(',', ';'), reasons.BAD_FORMAT, 'could not convert'),
    (b'\xff\xfe' + GOOD.encode(), reasons.BAD_FORMAT, 'decode'),
    (GOOD.encode().replace(b'0.001', b'0.\x001'), reasons.BAD_FORMAT, 'could not convert'),
    (GOOD.replace('0.001', 'nan'), reasons.BAD_VALUE, 'nan in row 1, column 0'),
    (GOOD.replace('-0.998', '1e999'), reasons.BAD_VALUE, 'inf in row 2, column 1'),
    (GOOD.replace('-0.998', '-1e9'), reasons.BAD_VALUE, '-1000000000.0 in row 2'),
    ((ROW + '\n') * 64, reasons.CONSTANT_CHANNEL, 'channel 0'),
    (b'0,' * (5 << 20), reasons.BAD_SIZE, 'more than'),
    (b'\x00' * 4096, reasons.BAD_FORMAT, 'expected rows'),
])
def test_a_bad_file_is_a_reject_with_its_reason(tmp_path, data, reason, detail):
  """A damaged file that becomes a record, or an exception of the reader."""
  item = parse_text(tmp_path, data)
  assert isinstance(item, Reject) and item.reason == reason
  assert detail in item.detail and 'expected' in item.detail


@pytest.mark.parametrize('name', [
    'S3/S4_80P_C2_R1.csv', 'S11/S11_80P_C2_R1.csv', 'S3/S3_80P_C8_R1.csv', 'S3/S3_80P_C0_R1.csv',
    'S3/S3_90P_C2_R1.csv', 'S3/S3_80P_C2_R5.csv', 'S03/S03_80P_C2_R1.csv', 'S3/notes.csv'])
def test_an_unknown_name_is_a_reject(tmp_path, name):
  """A file whose subject, class or effort would be a guess."""
  assert parse_text(tmp_path, GOOD, name).reason == reasons.UNKNOWN_FILE


@pytest.mark.real
def test_the_real_part_has_the_documented_counts(tmp_path, real_archive):
  """A changed class order, effort or unit: pinned on 160 of the 3220 published files."""
  archive = real_archive('contraction_intensity_mvc.zip')
  folder = build_lib.build('contraction_intensity', str(tmp_path), archive, progress=False)
  source = read_records(folder)
  records = list(source)
  assert len(records) == 160 and not source.meta.reject_counts
  assert source.meta.counts['labels'] == {
      name: 40 for name in ('hand open', 'no movement', 'wrist extension', 'wrist flexion')}
  assert source.meta.counts['seconds'] == pytest.approx(483.2)
  assert len({r.subject for r in records}) == 10
  rms = lambda level, label: np.median([
      np.sqrt(r.signal_tc.var(axis=0).mean()) for r in records
      if (r.session, r.labels[0].name) == (level, label)])
  for label in ('wrist flexion', 'wrist extension', 'hand open'):
    levels = [rms(level, label) for level in ('20P', '50P', '80P', 'MVC')]
    assert levels == sorted(levels) and levels[-1] > 3 * levels[0]
    assert levels[0] > 2 * rms('20P', 'no movement')
  assert rms('80P', 'no movement') == pytest.approx(rms('20P', 'no movement'), rel=0.2)
