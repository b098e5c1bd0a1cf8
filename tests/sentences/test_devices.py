"""What a set says of itself: electrodes kept, scale, rest in the gaps; several sets in one folder."""

import dataclasses

import pytest

from aemg_jax.records import Sensor
from aemg_jax.sentences import cache, devices, electrodes, prepare
from aemg_jax.sentences.words import SentenceConfig
from tests import tiny_mixture
from tests.sentences.hand_made import Source


def _ring(n, ring=1):
  return tuple(Sensor(f'r{ring}e{i}', ring, 360 * i / n) for i in range(n))


def _grid(rows, columns):
  return tuple(Sensor(f'{r}-{c}', row=r, column=c) for r in range(rows) for c in range(columns))


@pytest.mark.parametrize('sensors, most, how, kept', [
    (_ring(8), 8, 'refuse', range(8)),
    (_ring(16), 8, 'even', range(0, 16, 2)),
    (_ring(16), 8, 'rings', range(0, 16, 2)),
    (_ring(8) + _ring(8, 2), 12, 'rings', [*range(8), 8, 10, 12, 14]),
    (_ring(8) + _ring(8, 2), 8, 'even', [0, 2, 4, 6, 9, 11, 13, 15]),
    (_ring(8) + (Sensor('biceps'), Sensor('triceps')), 9, 'rings', range(9)),
    (tuple(Sensor(f'm{i}') for i in range(6)), 3, 'even', [0, 2, 4]),
])
def test_electrodes_kept_by_hand(sensors, most, how, kept):
  """Catches: neighbours instead of electrodes all round, a ring left out, an electrode kept twice."""
  assert electrodes.choose(sensors, most, how).tolist() == list(kept)


def test_a_grid_keeps_every_column():
  """Catches: one and the same column of every row, which covers an eighth of the limb."""
  kept = electrodes.choose(_grid(8, 16), 16, 'even')
  assert sorted(i % 16 for i in kept) == list(range(16)) and len({i // 16 for i in kept}) == 8
  with pytest.raises(ValueError, match='128 channels, expected at most 16'):
    electrodes.choose(_grid(8, 16), 16, 'refuse')


@pytest.mark.parametrize('rest, gaps', [(20, set()), (21, {'relax'}), (0, set())])
def test_rest_is_a_gap_where_it_is_far_more_frequent(rest, gaps):
  """Catches: a cued resting class dropped (UCI, 3DC), or Ninapro's gaps taken for a gesture."""
  counts = {'fist': 10, 'open': 10, 'point': 4} | ({'relax': rest} if rest else {})
  meta = dataclasses.replace(Source([]).meta, common_names={'relax': 'rest', 'fist': 'fist'},
                             counts={'labels': counts})
  assert devices.gap_labels(meta) == gaps


@pytest.fixture(name='mixed', scope='module')
def _mixed():
  return tiny_mixture.prepared()


def test_sets_of_several_devices_lie_in_one_folder(mixed):
  """Catches: one scale for all units, sessions of two sets merged by name, bands mixed up."""
  assert mixed.config.sentence.max_channels == 24
  assert mixed.sessions['source'].tolist() == ['a/x', 'a/y', 'b']
  assert mixed.sessions['scale'].tolist() == pytest.approx([100.0, 1e-4, 10.0])
  assert mixed.segments['valid_c'].sum(1)[mixed.segments['source'] == 'a/y'].tolist() == [24]
  by_name = {d['source']: d for d in mixed.meta['devices']}
  assert [d['gap_labels'] for d in by_name.values()] == [['rest'], ['rest'], []]
  assert by_name['b'] | {'electrodes': 0} == {
      'source': 'b', 'fixed_scale': 10.0, 'gap_labels': [], 'rate_hz': [100.0, 100.0],
      'band_hz': [0.0, 0.0], 'units': ['nominal'], 'envelope': [True], 'electrodes': 0}
  words = cache.as_words(mixed.sentences.read(range(len(mixed.sentences))))
  source_b = mixed.segments['source'][mixed.sentences.read(range(len(mixed.sentences)))['segment']]
  assert not words.bin_valid_f[source_b == 'b'].any() and words.bin_valid_f[source_b == 'a/y'].any()
  assert {n: words.valid_n[source_b == n].reshape(-1, 24).any(0).sum() for n in by_name} == {
      'a/x': 4, 'a/y': 24, 'b': 3}
  for name in by_name:  # each in its own unit: words of all sets are of one size
    valid = words.valid_n & (source_b == name)[:, None]
    assert abs(words.amplitude_n[valid].mean()) < 2.5


def test_one_set_twice_is_refused(monkeypatch, tmp_path):
  """Catches: every recording counted twice; two configurations of one set refused."""
  monkeypatch.setattr(prepare.sources, 'read_records', tiny_mixture.read_records)
  with pytest.raises(ValueError, match='dataset_dirs: a/x is given 2 times'):
    prepare.prepare(['a/x', 'a/x'], str(tmp_path / 'out'), tiny_mixture.OPEN)


def test_rows_of_short_segments_are_cut_on_disk_and_whole_when_read(mixed):
  """Catches: samples lost with the zero bytes that end a row."""
  rows = mixed.rectified.read(range(len(mixed.segments['label'])))
  assert rows['signal_tc'].shape[1:] == (mixed.meta['max_samples'], 24)
  for signal_tc, n_samples in zip(rows['signal_tc'], rows['n_samples']):
    assert signal_tc[n_samples - 8:n_samples].any() and not signal_tc[n_samples:].any()


def test_electrodes_that_were_left_out_are_named(monkeypatch, tmp_path):
  """Catches: a wide montage cut in silence, or refused although the config allows it."""
  source = tiny_mixture.built('wide', '', 80.0, 6)
  monkeypatch.setattr(prepare.sources, 'read_records', lambda path: source)
  config = dataclasses.replace(tiny_mixture.OPEN, sentence=SentenceConfig(4, 3, 'even'))
  prepare.prepare(['0'], str(tmp_path / 'out'), config)
  made = cache.open_prepared(str(tmp_path / 'out'))
  assert made.meta['devices'][0]['electrodes'] == [
      {'of': 6, 'kept': ['e0', 'e2', 'e4'], 'position': [1, 6, 12], 'ring': [1, 1, 1]}]
  assert made.segments['position_c'].tolist() == [[1, 6, 12]] * len(made.segments['label'])
