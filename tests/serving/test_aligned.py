"""Models of turned rings: what the checkpoint carries, and new wearers turned by it.

Synthetic EMG of bands that are worn known numbers of electrodes on, one of them mirrored. (Worn parts of an
electrode on, as in the set itself, seven people do not suffice to be sure of an eighth, who is refused.)
"""

import csv
import dataclasses
import functools
import os
from unittest import mock

import jax
import numpy as np
import pytest

import aemg_jax
from aemg_jax.data import batches, frames, montage, splits
from aemg_jax.evaluation import codebook, evaluate, transfer
from aemg_jax.models.vq_autoencoder import VQAutoencoder
from aemg_jax.models import quantiser
from aemg_jax.serving import export, load, predict
from aemg_jax.sentences import cache, views
from aemg_jax.sentences.words import PrepareConfig, RectifyConfig, SentenceConfig
from aemg_jax.training import checkpoints, export_files, items, jobs
from data_builders.synthetic_emg import generator
from tests import tiny_runs, tiny_set

pytestmark = pytest.mark.heavy

DEVICE = generator.DEVICES['ring8_200hz']
PREPARE = PrepareConfig(rectify=RectifyConfig(scale='fixed', fixed_scale=100.0),
                        sentence=SentenceConfig(max_slots=8, max_channels=8), rest_labels=('rest',))
WORN = {'S00': 0, 'S01': 0, 'S02': 2, 'S03': 0, 'S04': 9, 'S05': 0, 'S06': 0}
NEW = 'S07'
GROUP = montage.dihedral(8)


def _straight(device, subject, session, draw=generator.draw_subject):
  return dataclasses.replace(draw(device, subject, session), rotation=0.0, mirror=False)


@functools.lru_cache
def records(subject):
  """Two cycles of one person."""
  wanted = [f'{DEVICE.name}/{subject}/session0/cycle{cycle:02d}' for cycle in range(2)]
  with mock.patch.object(generator, 'draw_subject', _straight):
    made = [generator.generate(DEVICE, job)[0] for job in generator.jobs(DEVICE) if job.name in wanted]
  return [turned(record, WORN.get(subject, 5)) for record in made]


@functools.lru_cache
def prepared():
  made = [record for subject in WORN for record in records(subject)]
  out = os.path.join(tiny_set.folder(), 'aligned', 'prepared')
  return cache.open_prepared(tiny_set.write(out, made, PREPARE, generator.LABEL_NAMES[1:]), PREPARE)


def job(kind, **changes):
  """The tiny job on a grid of 8 electrodes."""
  task = tiny_runs.TASKS[kind]
  wide = dict(max_slots=8, max_channels=8)
  encoder = dataclasses.replace(task.model.encoder, **wide)
  task = dataclasses.replace(task, model=dataclasses.replace(task.model, encoder=encoder))
  return tiny_runs.job(kind, **{'task': task, 'prepare': PREPARE, 'subjects': (), 'align': True, **changes})


@functools.lru_cache
def workdir(kind, centre):
  path = os.path.join(tiny_set.folder(), 'aligned', f'{kind}-{centre}')
  jobs.run(job(kind, centre=centre), [prepared().path], path)
  return path


@functools.lru_cache
def loaded(kind, centre):
  return aemg_jax.load_pretrained(workdir(kind, centre))


def turned(record, element):
  """The same recording from a band that was put on another way; 1 is one electrode on."""
  return dataclasses.replace(record, signal_tc=record.signal_tc[:, GROUP[element]])


def long_recording(subject=NEW):
  first, second = records(subject)
  return dataclasses.replace(first, signal_tc=np.concatenate([first.signal_tc, second.signal_tc]), labels=())


@pytest.mark.parametrize('kind, centre', [('vq', 'session'), ('supervised', 'training')])
def test_a_turn_of_the_ring_changes_no_word_and_no_code(kind, centre):
  """Catches: a mean taken from the wrong electrode, a turn that is applied twice or not at all, a frame that
  prefers a way of wearing."""
  model, one = loaded(kind, centre), long_recording()
  placed = model.tokeniser.place(one)
  assert not placed.refused and placed.confidence >= 0.9
  words = model.tokeniser(one)
  moved = 0
  for element in (1, 5, 8, 11):
    again = model.tokeniser(turned(one, element))
    for name in words._fields:
      np.testing.assert_allclose(getattr(again, name), getattr(words, name), atol=2e-6, err_msg=name)
    plain = dataclasses.replace(model.tokeniser, frames={})(turned(one, element))
    moved += not np.allclose(plain.amplitude_n, words.amplitude_n, atol=1e-2)
    if kind == 'vq':
      np.testing.assert_array_equal(codes(model, again), codes(model, words))
  assert moved >= 3  # the electrodes did differ


def codes(model, words):
  module = VQAutoencoder(load.task_of(model.config, '').model)
  z_bnd = module.apply({'params': model.params}, words, method='encode')
  return np.asarray(quantiser.lookup(z_bnd, quantiser.as_codebook(model.extra['codebook']))[0])


def _predicted(record, tmp_path, name):
  source, out = str(tmp_path / f'{name}.npz'), str(tmp_path / f'{name}.csv')
  np.savez(source, signal_tc=record.signal_tc, rate_hz=record.rate_hz, scale=DEVICE.step_uv, unit='uV')
  predict.predict_file(workdir('supervised', 'training'), source, out)
  with open(out, newline='', encoding='utf-8') as file:
    return list(csv.DictReader(file))


def test_a_turn_of_the_ring_changes_no_prediction(tmp_path):
  """Catches: `aemg predict` that turns otherwise than load_pretrained, or not at all."""
  one = long_recording()
  rows = _predicted(one, tmp_path, 'a')
  for element in (1, 12):
    again = _predicted(turned(one, element), tmp_path, f'b{element}')
    assert [r['label'] for r in again] == [r['label'] for r in rows]
    np.testing.assert_allclose([float(r['probability']) for r in again],
                               [float(r['probability']) for r in rows], atol=1e-4)
  assert len({r['label'] for r in rows}) > 1


def test_training_wearers_are_turned_and_their_mean_is_by_place():
  """Catches: a frame whose turns the batches do not see; a mean over electrodes that do not correspond."""
  plain, = jobs.mixture(job('supervised', align=False), [prepared()])
  part, = jobs.mixture(job('supervised'), [prepared()])
  frame, segment = part.centre.frame, prepared().segments
  assert list(frame.model.subject_s) == [f'{DEVICE.name}/{s}' for s in WORN]
  assert frame.model.element_s.tolist() == [0, 0, 6, 0, 9, 0, 0]  # what undoes WORN
  subject_b = segment['subject'][prepared().sentences.read(part.source['index'])['segment']]
  total_cf = 0.0
  for subject, element in zip(frame.model.subject_s, frame.model.element_s):
    mine = subject_b == subject
    for name in ('valid_n', 'time_n', 'position_n'):
      raw, moved = (getattr(x.source['words'], name)[mine] for x in (plain, part))
      np.testing.assert_array_equal(moved, raw if name != 'valid_n' else raw.reshape(
          len(raw), 8, 8)[:, :, GROUP[element]].reshape(raw.shape), err_msg=name)
    session, = np.flatnonzero(prepared().sessions['subject'] == subject)
    total_cf = total_cf + prepared().sessions['feature_sum'][session][GROUP[element]]
  count = prepared().sessions['feature_count'].sum(0)
  assert (count == count[0]).all()
  np.testing.assert_allclose(part.centre.place_mean_cf, total_cf / count[0], rtol=1e-5)
  words = part.source['words']
  amplitude_wc = words.amplitude_n.reshape(-1, 8)[words.valid_n.reshape(-1, 8).all(1)]
  np.testing.assert_allclose(amplitude_wc.mean(0), 0, atol=1e-4)  # at each place


def test_an_unsure_or_foreign_recording_is_left_alone_and_said_to_be(caplog):
  """Catches: a band turned by chance after one second; electrodes elsewhere that are turned all the same."""
  tokeniser, one = loaded('vq', 'session').tokeniser, records(NEW)[0]
  alone = dataclasses.replace(tokeniser, frames={})
  short = dataclasses.replace(one, signal_tc=one.signal_tc[:120], labels=())
  placed = tokeniser.place(short)
  assert placed.refused and placed.element == tokeniser.frames['made'].model.usual == 0
  shifted = tuple(dataclasses.replace(s, angle_deg=i * 22.5) for i, s in enumerate(one.sensors))
  half = dataclasses.replace(one, sensors=shifted)
  assert tokeniser.place(half) is None
  caplog.clear()
  for record, message in ((short, 'not aligned: confidence'), (half, 'not aligned: its montage')):
    jax.tree.map(np.testing.assert_array_equal, tokeniser(record), alone(record))
    assert message in caplog.messages[-1] and caplog.records[-1].levelname == 'WARNING'
  with caplog.at_level('INFO', 'absl'):
    tokeniser(long_recording())
  assert 'electrodes in the order 4 5 6 7 8 1 2 3' in caplog.messages[-1]


def test_the_checkpoint_carries_the_frame_and_so_does_an_export(tmp_path):
  """Catches: a frame lost on the way, or one of other numbers than were fitted."""
  model, part = loaded('supervised', 'training'), jobs.mixture(job('supervised'), [prepared()])[0]
  export.export(workdir('supervised', 'training'), str(tmp_path / 'out'))
  again = aemg_jax.load_pretrained(tmp_path / 'out')
  wanted = part.centre.frame
  for found in (model.tokeniser.frames['made'], again.tokeniser.frames['made']):
    assert found.worn == wanted.worn
    for name, value in wanted.model.to_arrays().items():
      stored = found.model.to_arrays()[name]
      assert stored.dtype == value.dtype and stored.shape == value.shape, name
      np.testing.assert_array_equal(stored, value, err_msg=name)
  assert model.config['alignment']['made']['wearers'] == len(WORN)
  np.testing.assert_allclose(model.config['mean_of']['made'], part.centre.place_mean_cf, atol=1e-6)
  card = (tmp_path / 'out' / export_files.CARD).read_text()
  assert 'of made, fitted on 7 people (16 ways to wear it)' in card
  meta, arrays = frames.as_meta({'made': wanted}), frames.as_arrays({'made': wanted})
  assert meta == model.config['alignment']
  with pytest.raises(ValueError, match='here: alignment of .*made.*, expected that of'):
    frames.stored(meta, {}, 'here')
  with pytest.raises(ValueError, match='expected the 1 of Montage'):
    frames.stored({'made': meta['made'] | {'ring_c': [0] * 8}}, arrays, 'here')


def test_a_changed_frame_is_refused(monkeypatch):
  """Catches: a frame that is in no hash."""
  whole = checkpoints._load
  def changed(folder, item, abstract):
    tree = whole(folder, item, abstract)
    if item == 'alignment':
      tree['made']['element_s'] = tree['made']['element_s'] + 1
    return tree
  monkeypatch.setattr(checkpoints, '_load', changed)
  with pytest.raises(ValueError, match='alignment: damaged: hash'):
    aemg_jax.load_pretrained(workdir('vq', 'session'))


def test_older_checkpoints_have_none(monkeypatch):
  """Catches: a checkpoint of before that no longer loads or goes on."""
  whole = checkpoints.load_meta

  def before(path):
    meta = {k: v for k, v in whole(path).items() if k != 'alignment_hash'}
    del meta['job']['align']
    return meta

  monkeypatch.setattr(checkpoints, 'load_meta', before)
  model = aemg_jax.load_pretrained(tiny_runs.workdir('masked'))
  assert model.tokeniser.frames == {} and model.config['alignment'] is None
  assert model.tokeniser.place(tiny_set.records()[0]) is None
  assert tiny_runs.run('masked', tiny_runs.workdir('masked'), tiny_runs.workdir('vq')).history == []


def test_jobs_say_what_cannot_be(tmp_path, caplog):
  """Catches: codes of electrodes in another order; a set that nothing turns in silence."""
  with pytest.raises(ValueError, match='JobConfig.align: reads all .*in_memory=True'):
    job('vq', in_memory=False)
  with pytest.raises(ValueError, match='a tokeniser of another frame'):
    as_it_is = job('masked', align=False, centre='session')
    jobs.run(as_it_is, [prepared().path], str(tmp_path), workdir('vq', 'session'))
  unknown = dataclasses.replace(prepared(), segments=prepared().segments | {
      'label': np.full_like(prepared().segments['label'], -1)})
  part, = jobs.mixture(job('vq'), [unknown])
  assert part.centre.frame is None and 'is not aligned' in caplog.messages[-1]
  assert part.centre.place_mean_cf is None and isinstance(part.centre, batches.Centre)
  assert items.params_hash(frames.as_arrays({})) == items.params_hash({})


@functools.lru_cache
def with_new():
  """The set and one wearer more, whom no job has seen."""
  made = [record for subject in (*WORN, NEW) for record in records(subject)]
  out = os.path.join(tiny_set.folder(), 'aligned', 'with_new')
  return cache.open_prepared(tiny_set.write(out, made, PREPARE, generator.LABEL_NAMES[1:]), PREPARE)


@pytest.mark.parametrize('centre', ['session', 'training'])
def test_codes_are_read_in_the_tokeniser_s_frame(centre):
  """Catches: codes of electrodes in another order than the codebook was trained in; a mean by place that is
  taken from electrodes; wearers turned a second time for the probe."""
  part, = jobs.mixture(job('vq', centre=centre), [prepared()])
  coded = codebook.load(workdir('vq', centre), with_new())
  known_b = coded.segment_b < len(prepared().segments['label'])
  for name in coded.words._fields:
    found, wanted = getattr(coded.words, name)[known_b], getattr(part.source['words'], name)
    np.testing.assert_allclose(found, wanted, atol=2e-6, err_msg=name)
  assert coded.framed
  plain = batches.make_centre(with_new(), 'none', ())
  raw = batches.sentence_arrays(with_new(), np.unique(coded.segment_b[~known_b]), None, plain)['words']
  shift_nc = (raw.amplitude_n - coded.words.amplitude_n[~known_b]).reshape(-1, 8)
  assert shift_nc.std(axis=0).min() > 0.1  # the new wearer is turned: no mean of electrodes explains it


def _evaluated(**changes):
  method = transfer.TransferMethod(tiny_set.MODEL, centre='session', align=True, start='checkpoint', tune='lda')
  network = evaluate.Network('n', dataclasses.replace(method, **changes))
  return evaluate.EvaluateConfig('made', (views.View('fixed', PREPARE),), (), (), (network,))


def test_an_encoder_is_evaluated_in_its_own_frame(monkeypatch):
  """Catches: wearers turned to a frame of the fold's people, in which the encoder has never seen an electrode;
  a network that would show it electrodes as they are worn."""
  path = workdir('supervised', 'training')
  frame = evaluate._frame(path, _evaluated(), with_new())
  tested = [f'{DEVICE.name}/{subject}' for subject in ('S02', 'S05', NEW)]
  fold = splits.loso(with_new().segments, tested)[2]
  seen = []
  keep = lambda self, data, fold, centre, seed: seen.append(centre)
  monkeypatch.setattr(transfer.TransferMethod, 'fitted', keep)
  data = transfer.TransferData({'fixed': with_new()}, transfer.Pretrained(None, '', frame))
  with pytest.raises(TypeError):  # nothing was fitted
    _evaluated().networks[0].network.predict(data, fold, 0)
  assert seen[0].frame is frame and seen[0].transductive
  element_of = dict(zip(with_new().sessions['subject'], seen[0].element_s))
  known = dict(zip(frame.model.subject_s, frame.model.element_s))
  placed = loaded('supervised', 'training').tokeniser.place(long_recording())
  assert [element_of[s] for s in tested] == [known[tested[0]], known[tested[1]], placed.element] == [6, 0, 3]
  with pytest.raises(ValueError, match="networks 'n' would show it others, expected align=True"):
    evaluate._frame(path, _evaluated(align=False), with_new())
  unaligned = tiny_runs.workdir('supervised')
  assert evaluate._frame(unaligned, _evaluated(align=False), tiny_set.prepared()) is None
