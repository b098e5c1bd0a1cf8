"""Building on Apache Beam: what a runner makes is, byte for byte, what worker processes make.

Marker `beam`: Beam needs an environment of its own (constraints/beam.txt says why).
"""

import json
import pathlib

import pytest

from data_builders import build as build_lib
from data_builders import intake, on_beam
from data_builders.intake import Outline
from data_builders.jobs import Reject
from data_builders.myo_armband import make_dummy_data

FOLDER = pathlib.Path(build_lib.__file__).parent
DIRECT = ('DirectRunner', ())
SMALL = 2 * 8 * 2 * make_dummy_data.N_SAMPLES  # two files of myo_armband


def bytes_of(folder) -> dict[str, bytes]:
  return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.fixture
def small_shards(monkeypatch):
  """More than 10 shards, and duplicates that lie in other shards than their originals."""
  pytest.importorskip('apache_beam')
  monkeypatch.setattr(intake, 'BYTES_PER_SHARD', SMALL)


def build(tmp_path, where, name='myo_armband', raw=None, **kwargs) -> pathlib.Path:
  raw = raw or FOLDER / name.split('/')[0] / 'dummy_data'
  return build_lib.build(name, str(tmp_path / where), str(raw), progress=False, **kwargs)


@pytest.mark.beam
@pytest.mark.parametrize('options', [
    (), ('direct_num_workers=2', 'direct_running_mode=multi_processing')], ids=['one', 'two'])
def test_a_runner_makes_the_same_bytes_as_workers(small_shards, tmp_path, options):
  """Duplicates kept because no worker sees both, counts of one shard, lengths in another order."""
  ours = bytes_of(build(tmp_path, 'a'))
  folder = build(tmp_path, 'b', beam=('DirectRunner', options))
  metadata = json.loads((folder / 'metadata.json').read_text())
  assert len(metadata['shards']) > 10 and metadata['reject_counts'] == {'duplicate': 7}
  assert bytes_of(folder) == ours


@pytest.mark.beam
@pytest.mark.parametrize('name', ['synthetic_emg/ring4_500hz', 'uci_emg/distinct'])
def test_a_configured_parser_reaches_the_workers(small_shards, tmp_path, name):
  """A worker that parses with the default configuration; generated data."""
  raw = None if name.startswith('synthetic') else FOLDER / 'uci_emg/dummy_data'
  one, two = (bytes_of(build_lib.build(
      name, str(tmp_path / where), raw and str(raw), progress=False, beam=beam))
              for where, beam in (('a', ('', ())), ('b', DIRECT)))
  assert one == two


@pytest.mark.beam
def test_a_bad_file_stops_before_anything_is_written(small_shards, tmp_path):
  """A traceback of the runner, or half a set; rejects that --skip_bad does not count."""
  make_dummy_data.main(tmp_path / 'raw')
  bad = tmp_path / 'raw/EvaluationDataset/Male2/training0/classe_1.dat'
  bad.write_bytes(b'')
  with pytest.raises(ValueError, match='Male2/training0/classe_1.dat: too short'):
    build(tmp_path, 'a', raw=tmp_path / 'raw', beam=DIRECT)
  assert [p.name for p in (tmp_path / 'a').rglob('*') if p.is_file()] == ['.lock']
  folders = [build(tmp_path, where, raw=tmp_path / 'raw', skip_bad=True, beam=beam)
             for where, beam in (('a', DIRECT), ('b', ('', ())))]
  assert bytes_of(folders[0]) == bytes_of(folders[1])


@pytest.mark.beam
def test_the_command_passes_runner_and_options_on(small_shards, tmp_path, capfd):
  """Options that never reach the runner; a misspelt runner as a traceback."""
  argv = ['myo_armband', '--raw', str(FOLDER / 'myo_armband/dummy_data'), '--data_dir',
          str(tmp_path)]
  assert build_lib.main([*argv, '--beam_runner', 'NoRunner']) == 2
  assert 'error: --beam_runner: ' in capfd.readouterr().err
  config = on_beam.download_config('DirectRunner', ['direct_num_workers=3'])
  assert config.beam_options.get_all_options()['direct_num_workers'] == 3
  assert build_lib.main([*argv, '--beam_runner', 'DirectRunner']) == 0


@pytest.mark.parametrize('kwargs, expected', [
    ({'beam': ('', ['a=b'])}, '--beam_options: got a=b, expected --beam_runner too'),
    ({'beam': DIRECT, 'workers': 2}, '--workers: got 2 with --beam_runner'),
])
def test_what_does_not_go_together_is_refused(tmp_path, kwargs, expected):
  """An option that is ignored in silence."""
  with pytest.raises(ValueError, match=expected):
    build(tmp_path, 'a', **kwargs)


def test_without_beam_the_extra_is_named(monkeypatch, tmp_path):
  """An ImportError for a user who has not read about the extra."""
  monkeypatch.setitem(__import__('sys').modules, 'apache_beam', None)
  with pytest.raises(ValueError, match='--beam_runner: .*expected the extra beam'):
    build(tmp_path, 'a', beam=DIRECT)


@pytest.mark.parametrize('item', [
    Outline('a.dat', 'a/1', 'a', 1 / 3, ('rest', 'fist'), 'ab'), Reject('a.dat', 'bad size', 'ü')])
def test_outlines_survive_the_way(item):
  """Seconds that lose bits, labels that come back as a list."""
  assert on_beam._from_json(on_beam._to_json(item)) == item
