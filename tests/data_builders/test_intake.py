"""What a builder's output goes through before it is written, whatever the dataset."""

from aemg_jax.records import Label
import numpy as np
import pytest

from data_builders import intake
from data_builders.jobs import DUPLICATE, Job
from tests.test_records import make_record, with_value

JOB = Job('raw/a.csv', '', 0)


def make_intake(skip_bad=False):
  return intake.Intake('made_up', (DUPLICATE,), skip_bad)


def take(taken, record):
  """Whether the record is taken."""
  schema = intake.Schema(frozenset({'rest', 'fist'}), None, str(record.signal_tc.dtype))
  return taken.take(intake.outline(JOB, record, schema))


@pytest.mark.parametrize('record, reason, expected', [
    (make_record(**with_value(np.nan)), 'invalid record', 'a finite value at sample 7, channel 1'),
    (make_record(rate_hz=-1.0), 'invalid record', 'rate_hz: got -1.0'),
    (make_record(labels=(Label(0, 9, 'pinch'),)), 'unknown label',
     "got ['pinch'], expected ['fist', 'rest']"),
])
def test_a_bad_record_stops_by_file_name_or_is_counted(record, reason, expected):
  """NaN, a wrong rate or an unknown gesture that reaches the dataset."""
  with pytest.raises(ValueError) as error:
    take(make_intake(), record)
  assert str(error.value).startswith(f'raw/a.csv: {reason}: ') and expected in str(error.value)
  tolerant = make_intake(skip_bad=True)
  assert not take(tolerant, record)
  assert [(r.name, r.reason) for r in tolerant.rejects] == [('raw/a.csv', reason)]


@pytest.mark.parametrize('channels, dtype, expected', [
    (3, 'float32', '2 channels of float32, expected 3 of float32'),
    (2, 'int16', '2 channels of float32, expected 2 of int16'),
    (None, 'float64', 'expected any number of float64')])
def test_a_signal_of_another_kind_is_a_reject(channels, dtype, expected):
  """One recording of other channels in a set: bytes that decode to another signal."""
  record = make_record(signal_tc=np.ones((20, 2), np.float32))
  schema = intake.Schema(frozenset({'rest', 'fist'}), channels, dtype)
  item = intake.outline(JOB, record, schema)
  assert item.reason == 'invalid record' and expected in item.detail
  assert intake.parse_encoded(lambda job: [record], schema, JOB) == [(item, b'')]


def test_records_out_of_order_are_our_bug():
  """A reader that trusts an order which the writer never had."""
  taken = make_intake()
  take(taken, make_record(record_id='b'))
  with pytest.raises(AssertionError, match='a: comes after b'):
    take(taken, make_record(record_id='a'))


def test_the_same_bytes_in_another_shape_are_no_duplicate():
  """Silence of 10 x 4 dropped as a copy of silence of 20 x 2; a copy under another label kept."""
  taken = make_intake()
  signal_tc = np.zeros((20, 2), np.int16)
  first = make_record(record_id='a', signal_tc=signal_tc)
  assert take(taken, first)
  four = make_record(record_id='b', signal_tc=signal_tc.reshape(10, 4), labels=(), annotations=(),
                     sensors=first.sensors * 2)
  assert take(taken, four)
  assert not take(taken, make_record(record_id='c', signal_tc=signal_tc.copy(), labels=()))
  in_columns = np.asfortranarray(signal_tc)
  assert not take(taken, make_record(record_id='d', signal_tc=in_columns, labels=()))
  assert taken.finish()['reject_counts'] == {'duplicate': 2}


def test_jobs_are_cut_into_shards_in_order(monkeypatch):
  """A shard that is empty, or a job that is lost at the cut."""
  monkeypatch.setattr(intake, 'BYTES_PER_SHARD', 10)
  jobs = [Job(str(i), '', size) for i, size in enumerate((30, 4, 6, 1, 9, 10))]
  shards = intake.shard_jobs(jobs)
  assert [[job.name for job in shard] for shard in shards] == [
      ['0'], ['1', '2'], ['3', '4'], ['5']]


def test_large_files_are_not_parsed_by_the_dozen_in_one_task():
  """16 recordings of 100 MB held by each worker: out of memory on the largest sets only."""
  small = [Job(f's{i:02d}', '', 1 << 10) for i in range(40)]
  assert [len(task) for task in intake._tasks(small)] == [16, 16, 8]
  sizes_mb = (100, 100, 30, 30, 30, 100)
  large = [Job(f'l{i}', '', size << 20) for i, size in enumerate(sizes_mb)]
  tasks = intake._tasks(large)
  assert [job for task in tasks for job in task] == large
  assert [[job.n_bytes >> 20 for job in task] for task in tasks] == [
      [100], [100], [30, 30], [30], [100]]
  assert intake._tasks([]) == []
