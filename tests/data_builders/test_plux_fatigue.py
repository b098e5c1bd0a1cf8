"""The PLUX parser against files written by hand, and the published recording itself."""

import json
import os

from aemg_jax.sources import read_records
import numpy as np
import pytest

from data_builders import build as build_lib
from data_builders.jobs import Job
from data_builders.plux_fatigue import make_dummy_data, parser

h5py = pytest.importorskip('h5py')


def counts(n: int = 600) -> np.ndarray:
  return (np.arange(n) * 7 % 4096).astype('<u2')[:, None]


def parse(path):
  (item,) = parser.parse(Job(parser.FILE, str(path), os.path.getsize(path)))
  return item


def test_counts_become_millivolts_by_the_data_sheet(tmp_path):
  """Another baseline, resolution (16 bits) or gain: EMG that is off by a factor or an offset."""
  counts_tc = counts()
  counts_tc[:3, 0] = 0, 2048, 4095
  make_dummy_data.write(tmp_path / parser.FILE, counts_tc)
  record = parse(tmp_path / parser.FILE)
  assert record.signal_tc.dtype == np.int16
  (sensor,) = record.sensors
  expected_mv = (counts_tc / 4096 - 0.5) * 3000 / 1000
  np.testing.assert_allclose(record.signal_tc * sensor.scale, expected_mv, rtol=0, atol=1e-12)
  assert sensor.unit == 'mV' and record.signal_tc[:3, 0].tolist() == [-2048, 0, 2047]
  assert (record.labels, record.annotations, record.repetition) == ((), (), -1)


def test_the_device_may_record_on_another_channel(tmp_path):
  """The channel number taken for a constant."""
  path = tmp_path / parser.FILE
  make_dummy_data.write(path, counts(), channels=np.array([5], np.int32))
  with h5py.File(path, 'a') as file:
    group = file[make_dummy_data.DEVICE_ADDRESS]
    group.move('raw/channel_2', 'raw/channel_5')
  assert parse(path).n_samples == 600


def _edit(change):
  def edited(path):
    make_dummy_data.write(path, counts())
    with h5py.File(path, 'a') as file:
      change(file[make_dummy_data.DEVICE_ADDRESS])
  return edited


def _replace(group, data):
  del group['raw/channel_2']
  group['raw/channel_2'] = data


def _cut(path):
  make_dummy_data.write(path, counts())
  path.write_bytes(path.read_bytes()[:-5000])


@pytest.mark.parametrize('make, reason, detail', [
    (lambda path: path.write_bytes(b''), 'bad format', 'expected HDF5'),
    (lambda path: path.write_bytes(b'time,emg\n0,2048\n'), 'bad format', 'expected HDF5'),
    (_cut, 'bad format', 'truncated'),
    (_edit(lambda g: g.pop('raw/channel_2')), 'bad format', 'expected HDF5'),
    (_edit(lambda g: g.attrs.modify('resolution', [16])), 'bad format', 'is 16, expected 12'),
    (_edit(lambda g: g.attrs.create('resolution', [12, 12])), 'bad format', '(2,)'),
    (_edit(lambda g: g.attrs.create('resolution', '12')), 'bad format', 'expected a number'),
    (_edit(lambda g: g.attrs.create('sampling rate', 500)), 'bad format', 'is 500, expected 1000'),
    (_edit(lambda g: g.attrs.create('sampling rate', np.nan)), 'bad format', 'nan, expected 1000'),
    (_edit(lambda g: g.attrs.modify('nsamples', 601)), 'bad size', '600 samples'),
    (_edit(lambda g: g.file.create_group('other')), 'bad format', '2 devices'),
    (_edit(lambda g: _replace(g, counts()[:, 0])), 'bad format', '(600,) of uint16'),
    (_edit(lambda g: _replace(g, counts() * 1.0)), 'bad format', 'of float64'),
    (_edit(lambda g: _replace(g, counts().T)), 'bad format', '(1, 600)'),
    (_edit(lambda g: _replace(g, h5py.ExternalLink('/etc/hostname', '/'))), 'bad format',
     'expected HDF5'),
    (lambda path: make_dummy_data.write(path, counts() + np.uint16(1)), 'bad value', '4096'),
    (lambda path: make_dummy_data.write(path, counts() * 0), 'constant channel', 'is 0 throughout'),
    (lambda path: make_dummy_data.write(path, counts(499)), 'too short', '499 samples'),
])
def test_bad_files_are_named(tmp_path, make, reason, detail):
  """A damaged or foreign file that becomes a recording, or stops the build with a traceback."""
  make(tmp_path / parser.FILE)
  reject = parse(tmp_path / parser.FILE)
  assert reject.reason == reason and detail in reject.detail, reject


def test_a_size_that_is_only_declared_is_not_read(tmp_path):
  """Gigabytes allocated for a file of some kilobytes."""
  path = tmp_path / parser.FILE

  def declare(group):
    del group['raw/channel_2']
    group.create_dataset('raw/channel_2', shape=(2**40, 1), dtype='<u2', chunks=(1024, 1))
    group.attrs['nsamples'] = np.int64(2**40)

  _edit(declare)(path)
  item = parse(path)
  assert item.reason == 'bad format' and 'declares 2199023255552 bytes' in item.detail


@pytest.mark.parametrize('seed', range(40))
def test_flipped_bits_neither_hang_nor_escape(tmp_path, seed):
  """An exception of HDF5 that nobody catches, or a text attribute on which it loops."""
  make_dummy_data.main(tmp_path)
  path = tmp_path / parser.FILE
  data, rng = bytearray(path.read_bytes()), np.random.default_rng(seed)
  for i in rng.integers(len(data) if seed % 2 else 8192, size=10):
    data[i] ^= 1 << rng.integers(8)
  path.write_bytes(data)
  parse(path)


def median_frequency_hz(signal: np.ndarray, rate_hz: float) -> float:
  """The frequency that halves the power of a Hann-windowed periodogram within 20 to 400 Hz."""
  power = np.abs(np.fft.rfft((signal - signal.mean()) * np.hanning(len(signal)))) ** 2
  frequency_hz = np.fft.rfftfreq(len(signal), 1 / rate_hz)
  total = np.cumsum(np.where((frequency_hz >= 20) & (frequency_hz <= 400), power, 0))
  return float(frequency_hz[np.searchsorted(total, total[-1] / 2)])


@pytest.mark.real
def test_the_published_recording_shows_fatigue(tmp_path, real_archive):
  """A wrong rate or channel: the median frequency of the biceps falls from 75 to 55 Hz."""
  archive = real_archive('plux_emg_fatigue.zip')
  folder = build_lib.build('plux_fatigue', str(tmp_path), archive, progress=False)
  metadata = json.loads((folder / 'metadata.json').read_text())
  assert metadata['raw_is_published'] and metadata['reject_counts'] == {}
  assert metadata['counts'] == {'records': 1, 'subjects': 1, 'seconds': 126.9, 'labels': {}}
  (record,) = read_records(folder)
  assert record.n_samples == 126900
  counts_t = record.signal_tc[:, 0].astype(np.int64) + 2048
  assert ((counts_t == 0).sum(), (counts_t == 4095).sum()) == (12, 26)
  emg_mv = record.signal_tc[:, 0] * record.sensors[0].scale
  parts = [emg_mv[start:start + 10_000] for start in range(0, 120_000, 10_000)]
  median_hz = [median_frequency_hz(part, record.rate_hz) for part in parts]
  assert median_hz[0] == pytest.approx(74.2, abs=0.5)
  assert median_hz[-1] == pytest.approx(56.2, abs=0.5)
  assert np.polyfit(range(12), median_hz, 1)[0] < -0.8  # Hz in 10 s
  assert parts[0].std() == pytest.approx(0.244, abs=0.005)
  assert parts[-1].std() == pytest.approx(0.448, abs=0.005)
