"""From records to a folder of prepared data, and the refusal of what is not the expected data."""

import dataclasses
import json
import os
import pathlib
import pickle
import resource
import shutil

import numpy as np
import pytest

from aemg_jax.records import Annotation, Label
from aemg_jax.sentences import cache, folders, prepare, shards
from aemg_jax.sentences.words import PrepareConfig, RectifyConfig, SentenceConfig
from tests.sentences.hand_made import Source, noise, record

CONFIG = PrepareConfig(sentence=SentenceConfig(max_slots=4, max_channels=4), rest_labels=('rest',))
RECORDING = dataclasses.replace(CONFIG, segment='recording')


def _records(factor=1.0):
  """Two sessions; four label spans that are no rest; one recording that is too short."""
  signal_tc = factor * 100 * noise(900, seed=4).astype(np.float64)
  labels = (Label(0, 300, 'open'), Label(300, 500, 'rest'), Label(500, 900, 'open'))
  return [record('a', seed=1), record('b', signal_tc=signal_tc, labels=labels),
          record('c', n_samples=3), record('d', subject='s1', seed=2, n_channels=3)]


@pytest.fixture
def run(monkeypatch, tmp_path):
  """run(source, config, out) prepares records in memory; without `out`, to a new folder."""
  def _run(source, config=CONFIG, out=None, **kwargs):
    out = tmp_path / f'out{len(list(tmp_path.iterdir()))}' if out is None else out
    monkeypatch.setattr(prepare.sources, 'read_records', lambda path: source)
    prepare.prepare(['made'], str(out), config, **kwargs)
    return str(out)
  return _run


@pytest.fixture(scope='module')
def made(tmp_path_factory):
  out = tmp_path_factory.mktemp('prepared') / 'made'
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(prepare.sources, 'read_records', lambda path: Source(_records()))
    prepare.prepare(['made'], str(out), CONFIG, num_shards=2)
  return str(out)


def test_tables_by_hand(made):
  """Catches: labels or spans of another record, rest as a class, wrong session of a segment."""
  prepared = cache.open_prepared(made, CONFIG)
  table = prepared.segments
  assert prepared.labels == ('open', 'fist')  # the dataset's order, without rest
  assert table['record_id'].tolist() == ['a', 'b', 'b', 'd']
  assert table['label'].tolist() == [1, 0, 0, 1]
  assert table['repetition'].tolist() == [0, 0, 1, 0]
  assert table['start_s'].tolist() == [0, 0, 2.5, 0]
  assert table['stop_s'].tolist() == [3, 1.5, 4.5, 3]
  assert table['session_index'].tolist() == [0, 0, 0, 1]
  assert table['n_sentences'].tolist() == [3, 2, 2, 3]  # 12, 6, 8 and 12 slots of 4 a sentence
  assert table['first_sentence'].tolist() == [0, 3, 5, 7] and len(prepared.sentences) == 10
  assert table['valid_c'][3].tolist() == [True, True, True, False]
  assert prepared.sessions['key'].tolist() == ['made/s0/d0', 'made/s1/d0']
  assert prepared.sessions['n_segments'].tolist() == [3, 1]
  assert prepared.meta['rejects']['counts'] == {'too short': 1}
  assert prepared.meta['rejects']['items'][0]['name'] == 'made/c'


def test_rows_belong_to_their_segment(made):
  """Catches: shards read in another order than written, or words of the wrong segment."""
  prepared = cache.open_prepared(made)
  order = [9, 0, 5, 5, 2]
  rows = prepared.sentences.read(order)
  owner = np.repeat(np.arange(4), prepared.segments['n_sentences'])
  assert rows['segment'].tolist() == owner[order].tolist()
  signal = prepared.rectified[2]
  assert signal['n_samples'] == 400 and not signal['signal_tc'][400:].any()
  words = cache.as_words(prepared.sentences[5])  # first sentence of segment 2
  np.testing.assert_array_equal(words.waveform_np[1], signal['signal_tc'][:52, 1])
  again = pickle.loads(pickle.dumps(prepared.sentences))
  np.testing.assert_array_equal(again[5]['spectrum_nf'], words.spectrum_nf)


def test_signal_times_scale_is_the_recording(made):
  """Catches: a scale that cannot be undone, so that baselines see other units."""
  prepared = cache.open_prepared(made)
  scale = prepared.sessions['scale']
  scaled = prepared.rectified.read([0, 1, 2])
  both = [scaled['signal_tc'][i][:n] for i, n in enumerate(scaled['n_samples'])]
  assert 90 < scale[0] < 110  # 100 units of noise
  assert np.sqrt(np.mean(np.concatenate(both) ** 2)) == pytest.approx(1, abs=0.05)


def test_feature_means(made):
  """Catches: invalid words in the centre, or a training centre that saw another session."""
  prepared = cache.open_prepared(made)
  rows = prepared.sentences.read(range(len(prepared.sentences)))
  session = prepared.segments['session_index'][rows['segment']]
  feature_bncf = np.concatenate([rows['spectrum_nf'], rows['amplitude_n'][..., None]], -1)
  feature_bjcf = feature_bncf.reshape(len(session), 4, 4, 27)
  valid_bjc = rows['valid_n'].reshape(len(session), 4, 4)
  center = cache.session_center(prepared)
  for s in range(2):
    for c in range(4):
      mine = feature_bjcf[session == s][:, :, c][valid_bjc[session == s][:, :, c]]
      expected = mine.mean(axis=0) if len(mine) else np.zeros(27)
      np.testing.assert_allclose(center[s, c], expected, rtol=1e-4, atol=1e-4)
  np.testing.assert_array_equal(cache.training_center(prepared, [1]), center[1])
  with pytest.raises(ValueError, match='got no session'):
    cache.training_center(prepared, [])


@pytest.mark.heavy
@pytest.mark.parametrize('config', [CONFIG, dataclasses.replace(
    RECORDING, contraction=dataclasses.replace(CONFIG.contraction, gate=True))])
def test_scaling_by_1000_changes_nothing(run, config):
  """Acceptance test (i). Catches: any threshold or floor in the recording's own unit."""
  louder = [dataclasses.replace(r, signal_tc=r.signal_tc * 1000) for r in _records()]
  plain = cache.open_prepared(run(Source(_records()), config))
  scaled = cache.open_prepared(run(Source(louder), config))
  a, b = (p.sentences.read(range(len(p.sentences))) for p in (plain, scaled))
  for name in a:
    np.testing.assert_allclose(a[name], b[name], rtol=1e-5, atol=1e-5, err_msg=name)
  np.testing.assert_allclose(scaled.sessions['scale'], 1000 * plain.sessions['scale'])


def test_fixed_scale_is_no_statistic(run):
  """Catches: session statistics in the strictly inductive rows."""
  config = dataclasses.replace(CONFIG, rectify=RectifyConfig(scale='fixed', fixed_scale=50.0))
  prepared = cache.open_prepared(run(Source(_records()), config))
  assert prepared.sessions['scale'].tolist() == [50, 50]


def test_whole_recordings_and_repetitions(run):
  """Catches: spans in the 'recording' mode; a repetition annotation that is not read."""
  notes = (Annotation(0, 900, 'repetition', 5.0),)
  items = _records()
  items[1] = dataclasses.replace(items[1], annotations=notes)
  whole = cache.open_prepared(run(Source(items), RECORDING))
  assert whole.segments['record_id'].tolist() == ['a', 'b', 'd']
  assert whole.segments['label'].tolist() == [1, -1, 1]  # b holds two spans that are no rest
  spans = cache.open_prepared(run(Source(items)))
  assert spans.segments['repetition'].tolist() == [0, 5, 5, 0]


def test_same_input_same_bytes(run, made):
  """Catches: time stamps, hash order or thread order in the files."""
  again = run(Source(_records()), num_shards=2)
  assert sorted(os.listdir(again)) == sorted(os.listdir(made))
  for name in os.listdir(made):
    with open(os.path.join(made, name), 'rb') as a, open(os.path.join(again, name), 'rb') as b:
      assert a.read() == b.read(), name


def test_stale_and_foreign_data_are_refused(run, made, monkeypatch):
  """Catches: words of another config, code or dataset used in silence."""
  other = dataclasses.replace(CONFIG, word=dataclasses.replace(CONFIG.word, power_floor=0.01))
  expected = 'config.word.power_floor: made with 0.001, expected 0.01'
  with pytest.raises(ValueError, match=expected):
    cache.open_prepared(made, other)
  with pytest.raises(ValueError, match=expected):
    run(Source(_records()), other, out=made)
  with pytest.raises(ValueError, match=r'datasets\[0\].dataset_fingerprint: made with'):
    run(Source(_records(), fingerprint='0' * 64), out=made)
  run(Source(_records()), out=made)  # the same: nothing to do
  monkeypatch.setattr(cache, 'code_version', lambda: '2-00')
  with pytest.raises(ValueError, match="code_version: made with .* expected '2-00'"):
    cache.open_prepared(made)


def _copy(made, tmp_path):
  return shutil.copytree(made, tmp_path / 'copy')


def test_damaged_files_are_named(made, tmp_path):
  """Catches: a cut or missing shard found in the middle of training, or never."""
  copy = _copy(made, tmp_path)
  shard = copy / shards.shard_name('sentences', 1, 2)
  whole = shard.read_bytes()
  shard.write_bytes(whole[:-7])
  sizes = f'{len(whole) - 7} bytes, expected {len(whole)}'
  with pytest.raises(ValueError, match=f'{shard.name}: {sizes}'):
    cache.open_prepared(str(copy))
  shard.write_bytes(whole[:2000] + whole[2000:3000][::-1] + whole[3000:])  # inside the first row
  with pytest.raises(ValueError, match=f'{shard.name}: damaged'):
    prepared = cache.open_prepared(str(copy))
    prepared.sentences.read(range(len(prepared.sentences)))
  shard.unlink()
  with pytest.raises(ValueError, match=f'{shard.name}: not found'):
    cache.open_prepared(str(copy))


def test_edited_meta_is_refused(made, tmp_path):
  """Catches: prepared.json changed by hand to look like another config."""
  copy = _copy(made, tmp_path)
  meta = json.loads((copy / cache.META_FILE).read_text())
  meta['config']['word']['power_floor'] = 0.01
  (copy / cache.META_FILE).write_text(json.dumps(meta))
  with pytest.raises(ValueError, match='fingerprint'):
    cache.open_prepared(str(copy))
  with pytest.raises(ValueError, match='prepared.json: not found'):
    cache.open_prepared(str(tmp_path))


def test_interrupted_leaves_nothing(run, tmp_path, monkeypatch):
  """Catches: half a folder that a later run takes for a whole one."""
  def stop(*args):
    raise KeyboardInterrupt
  monkeypatch.setattr(prepare, '_write_table', stop)
  with pytest.raises(KeyboardInterrupt):
    run(Source(_records()))
  assert not list(tmp_path.iterdir())


@pytest.fixture
def full_disk():
  """Files end at 4 kB, as on a disk that takes no more."""
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
  yield
  resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_full_disk_is_one_line_and_leaves_nothing(run, tmp_path, full_disk):
  """Catches: a traceback from the shard writer, and files left on a full disk."""
  with pytest.raises(ValueError, match=f'{tmp_path}.*: cannot write .*nothing was left') as error:
    run(Source(_records()))
  assert '\n' not in str(error.value) and not list(tmp_path.iterdir())


def test_full_disk_in_mid_write(tmp_path, full_disk):
  """Catches: the writer's own RuntimeError, which nothing above it knows."""
  row = np.frombuffer(np.random.default_rng(0).bytes(1 << 16), np.uint8)
  with pytest.raises(OSError, match='writing'):
    with shards.ShardWriter(str(tmp_path), 'rows', 1) as writer:
      writer.write([row] * 400)  # it buffers 16 MB before it looks


def test_killed_run_is_cleared_and_a_running_one_left(run, tmp_path):
  """Catches: gigabytes left by a killed run, or the files of a running one removed."""
  prefix = folders._partial_prefix('out')
  (tmp_path / f'{prefix}999999999.x').mkdir()
  (tmp_path / f'{prefix}{os.getpid()}.x').mkdir()
  run(Source(_records()), out=tmp_path / 'out')
  assert sorted(p.name for p in tmp_path.iterdir()) == sorted([f'{prefix}{os.getpid()}.x', 'out'])


def test_array_record_is_imported_late():
  """Catches: `import aemg_jax.sentences...` that fails on Windows, where it has no wheels."""
  for file in pathlib.Path(shards.__file__).parent.glob('*.py'):
    for line in file.read_text().splitlines():
      assert not line.startswith(('import array_record', 'from array_record')), file.name


def test_bad_input_is_named(run, tmp_path):
  """Catches: an output folder overwritten; a set with more electrodes cut off in silence."""
  (tmp_path / 'mine.txt').write_text('x')
  with pytest.raises(ValueError, match='holds other files'):
    run(Source(_records()), out=tmp_path)
  with pytest.raises(ValueError, match='SentenceConfig.max_channels: got 4, but made/wide has 5'):
    run(Source([record('wide', n_channels=5)]))
  with pytest.raises(ValueError, match=r"no usable recording.*'too short': 1"):
    run(Source([record('c', n_samples=3)]))
  assert [p.name for p in tmp_path.iterdir()] == ['mine.txt']
