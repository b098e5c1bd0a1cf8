"""The ablation's grid, its resumption, and its table with corrected paired tests."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from aemg_jax.evaluation import ablate, ablate_table, published, results
from aemg_jax.evaluation.ablate import AblateConfig, Arm
from aemg_jax.evaluation.protocols import ProtocolConfig
from aemg_jax.evaluation.self_training import SelfTraining
from aemg_jax.evaluation.transfer import TransferMethod
from aemg_jax.sentences.views import View
from tests import tiny_set

METHOD = TransferMethod(tiny_set.MODEL, steps=2)
ARMS = (Arm('plain', 'reference', METHOD),
        Arm('longer', 'updates', dataclasses.replace(METHOD, steps=3)),
        Arm('smoother', 'loss', dataclasses.replace(METHOD, smoothing=0.2)))
CONFIG = AblateConfig('made up', (), (View('fixed', tiny_set.FIXED),), ProtocolConfig('loso'), ARMS, 'plain',
                      synthetic=True)


@pytest.fixture(name='workdir')
def _workdir(tmp_path):
  shutil.copytree(tiny_set.prepared().path, tmp_path / 'prepared' / 'fixed')
  return tmp_path


@pytest.fixture(name='runs')
def _runs(monkeypatch):
  """(steps, smoothing, seed, fold) of every fold that is run; predictions are right the more steps."""
  seen = []

  def predict(self, data, fold, seed):
    seen.append((self.steps, self.smoothing, seed, fold.name))
    rows = np.unique([row.segment for row in fold.test]).astype(np.int32)
    label = data.views['fixed'].segments['label'][rows]
    guess = np.where(np.arange(len(rows)) % self.steps == 0, (label + 1) % 3, label)
    log_prob = np.log(0.1 + 0.7 * np.eye(3)[guess]).astype(np.float32)
    return results.Predictions(rows, np.zeros_like(rows), log_prob, rows, log_prob)

  monkeypatch.setattr(TransferMethod, 'predict', predict)
  return seen


def test_an_interrupted_grid_goes_on_where_it_was(workdir, runs):
  """Catches: finished cells run again, a half-written cell taken for a finished one, a budget that is
  drawn anew, and a table over cells of another setting."""
  ablate.run(CONFIG, workdir, budget=0.3)  # 3 of 9 cells: seed 0 of every arm
  assert [(r[2], r[3]) for r in runs[:3]] == [(0, 's0'), (0, 's1'), (0, 's2')] and len(runs) == 9
  cells = sorted((workdir / ablate.CELLS).glob('*.json'))
  assert len(cells) == 3 and max(c.stat().st_size for c in cells) < 10_000
  (workdir / ablate.CELLS / 'half.123.tmp').write_text('{')
  cells[0].unlink()
  del runs[:]
  ablate.run(CONFIG, workdir)
  assert len(runs) == 7 * 3 and len({(a, b, seed) for a, b, seed, _ in runs}) == 7
  stored = json.loads((workdir / 'ablation.json').read_text())
  assert stored['finished'] == stored['cells'] == 9
  assert {tuple(a['seeds']) for a in stored['arms']} == {(0, 1, 2)}
  del runs[:]
  changed = dataclasses.replace(CONFIG, arms=(dataclasses.replace(
      ARMS[0], network=dataclasses.replace(METHOD, steps=4)), *ARMS[1:]))
  ablate.run(changed, workdir, budget=0.3)
  assert {r[0] for r in runs} == {4} and len(runs) == 3
  assert json.loads((workdir / 'ablation.json').read_text())['finished'] == 7  # not the old reference's cells
  assert (workdir / 'ablation.md').read_text().count('Synthetic data: not a result') == 1


def test_a_budget_is_a_start_of_the_same_order():
  """Catches: a budget that leaves the reference out, two budgets of which the larger lacks a cell of
  the smaller, and an order that depends on how the arms are listed."""
  cells = ablate.grid(CONFIG, 'split', {'fixed': 'a'}, 'code')
  other = ablate.grid(dataclasses.replace(CONFIG, arms=ARMS[::-1]), 'split', {'fixed': 'a'}, 'code')
  assert [c.key for c in cells] == [c.key for c in other] and len({c.key for c in cells}) == 9
  taken = [ablate.within_budget(cells, share) for share in (1e-6, 0.1, 0.2, 0.5, 1.0)]
  assert [len(t) for t in taken] == [1, 1, 2, 5, 9] and taken[0][0].arm.name == 'plain'
  assert all(set(a) <= set(b) for a, b in zip(taken, taken[1:]))
  for bad in (0.0, 1.5):
    with pytest.raises(ValueError, match='--budget'):
      ablate.within_budget(cells, bad)


def test_a_cells_key_is_of_all_that_decides_its_numbers():
  """Catches: numbers of another split, other words, other code or another setting taken for these; and
  a name, which decides nothing, that makes a finished cell run again."""
  def key(config=CONFIG, split='s', prepared='p', code='c'):
    return ablate.grid(config, split, {'v': prepared}, code)[0].key

  longer = dataclasses.replace(CONFIG, protocol=ProtocolConfig('loso', test_sessions=('test',)))
  assert len({key(), key(split='t'), key(prepared='q'), key(code='d'), key(longer)}) == 5
  renamed = dataclasses.replace(
      CONFIG, arms=(dataclasses.replace(ARMS[0], name='new'), *ARMS[1:]), reference='new')
  assert key(renamed) == key()
  assert len(ablate.code_version()) == 16


@pytest.mark.parametrize('make, message', [
    (lambda: dataclasses.replace(CONFIG, reference='none'), 'AblateConfig.reference'),
    (lambda: dataclasses.replace(CONFIG, arms=ARMS + ARMS[:1]), 'each name once'),
    (lambda: dataclasses.replace(CONFIG, arms=ARMS + (Arm('same', 'x', METHOD),)),
     "'plain' and 'same' are one setting"),
    (lambda: dataclasses.replace(CONFIG, views=()), 'AblateConfig.views'),
    (lambda: Arm('a', 'b', dataclasses.replace(METHOD, start='checkpoint')), 'Arm.stages')])
def test_grids_that_cannot_be(make, message):
  """Catches: an arm compared with nothing, one arm twice, a checkpoint that nothing makes."""
  with pytest.raises(ValueError, match=message):
    make()


def test_people_who_are_tested_may_not_pre_train(workdir):
  """Catches: pre-training stages on the people of the test folds, which every fold would have seen."""
  from aemg_jax.training import jobs
  from tests import tiny_runs
  job = dataclasses.replace(tiny_runs.job('vq'), subjects=('s0', 's1'))
  assert isinstance(job, jobs.JobConfig)
  arm = Arm('leaky', 'pre-training', dataclasses.replace(METHOD, start='checkpoint'), (job,), 'fixed')
  with pytest.raises(ValueError, match="Arm.stages: 'leaky': subject 's0' pre-trains and is tested"):
    ablate.run(dataclasses.replace(CONFIG, arms=ARMS + (arm,)), workdir)


@pytest.mark.heavy
def test_stages_are_trained_on_the_folds_own_people(workdir, monkeypatch):
  """Catches: a checkpoint of another fold or seed, stages in the wrong order, the tested person among
  those who pre-train, a finished stage trained again."""
  from aemg_jax.training import checkpoints
  from tests import tiny_runs
  stages = tuple(tiny_runs.job(kind, subjects=()) for kind in ('vq', 'masked'))
  network = dataclasses.replace(METHOD, start='checkpoint', tune='lda', whole_sentence=False)
  arm = Arm('masked', 'pre-training', network, stages, 'fixed')
  config = dataclasses.replace(CONFIG, arms=(arm,), reference='masked', seeds=(0,))
  started = []
  run = ablate.jobs.run
  monkeypatch.setattr(ablate.jobs, 'run', lambda job, *rest: started.append(job) or run(job, *rest))
  ablate.run(config, workdir)
  assert [j.subjects for j in started[::2]] == [('s1', 's2'), ('s0', 's2'), ('s0', 's1')]
  assert [type(j.task).__name__ for j in started[:2]] == ['VQTask', 'MaskedTask']
  folders = sorted((workdir / ablate.STAGES).iterdir())
  assert len(folders) == 6 and len({checkpoints.load_meta(f)['params_hash'] for f in folders}) == 6
  stored = json.loads((workdir / 'ablation.json').read_text())
  assert stored['arms'][0]['repetition']['mean'] > 0.6


@pytest.mark.heavy
def test_few_people_are_labelled_and_all_of_a_fold_pre_train(workdir, monkeypatch):
  """Catches: heads fitted on everybody, stages on the labelled alone, vectors or stages made anew for every draw, one
  draw's score for the mean of all."""
  from tests import tiny_runs
  people_of = lambda rows: tuple(sorted({str(tiny_set.prepared().segments['subject'][row.segment]) for row in rows}))
  network = TransferMethod(tiny_set.MODEL, centre='session', tune='lda', start='checkpoint', whole_sentence=False)
  arm = Arm('masked', 'pre-training', network, tuple(tiny_runs.job(kind, subjects=()) for kind in ('vq', 'masked')), 'fixed')
  words = Arm('words', 'none', dataclasses.replace(network, start='scratch', reads='words', shrinkage=0.9))
  config = dataclasses.replace(CONFIG, arms=(arm, words), reference='masked', seeds=(0,), labelled=1, draws=3)
  labelled, started, drawn = [], [], []

  def evaluate(*args):
    row, predictions = score(*args)
    drawn.append(row)
    return row | {'per_subject': {s: v | {'window': len(drawn) / 10} for s, v in row['per_subject'].items()}}, predictions

  fit, run, score = ablate.closed_form.fit, ablate.jobs.run, ablate.protocols.evaluate
  monkeypatch.setattr(ablate.closed_form, 'fit', lambda name, s, v, fold, *rest: labelled.append(
      (fold.name, people_of(fold.train))) or fit(name, s, v, fold, *rest))
  monkeypatch.setattr(ablate.jobs, 'run', lambda job, *rest: started.append(job.subjects) or run(job, *rest))
  monkeypatch.setattr(ablate.protocols, 'evaluate', evaluate)
  ablate.run(config, workdir)
  assert [len(people) for _, people in labelled] == [1] * 18
  assert labelled[:9] == labelled[9:] and len(set(labelled)) > 3
  assert started[::2] == [('s1', 's2'), ('s0', 's2'), ('s0', 's1')] and len(started) == 6
  stored = json.loads((workdir / 'ablation.json').read_text())
  assert [a['window']['mean'] for a in stored['arms']] == pytest.approx([0.2, 0.5])
  with pytest.raises(ValueError, match="AblateConfig.labelled: 'plain' has tune 'all'"):
    dataclasses.replace(CONFIG, labelled=1)
  itself = Arm('itself', 'x', dataclasses.replace(words.network, self_training=SelfTraining(1)))
  with pytest.raises(ValueError, match="AblateConfig.labelled: 'itself' trains itself"):
    dataclasses.replace(config, arms=(arm, itself))
  with pytest.raises(ValueError, match='AblateConfig.draws: got 2 with labelled 0'):
    dataclasses.replace(CONFIG, draws=2)


def _cells(table):
  """{(arm, seed): scores of subjects} -> cells."""
  score = lambda scores: {f's{i}': {'repetition': x, 'window': x / 2} for i, x in enumerate(scores)}
  return [{'arm': arm, 'factor': 'f', 'seed': seed, 'uses_target': 'none', 'key': f'{arm}{seed}',
           'commit': f'c{seed}', 'config': {'arm': {'name': arm}}, 'per_subject': score(scores)} for (arm, seed), scores in table.items()]


def test_differences_are_paired_by_subject_and_seed_and_corrected():
  """Catches: p of unpaired scores, a seed that only one of the two has, seeds taken for subjects, p
  that is not corrected: against scipy and by hand."""
  from scipy import stats
  rng = np.random.default_rng(0)
  plain, harder = rng.uniform(0.5, 0.9, 8), rng.uniform(0, 0.5, 8)
  better = plain + np.array([.05, .04, .03, .06, .02, .07, .01, .08])
  worse = plain + np.array([.01, -.04, .03, -.06, .02, -.07, .01, -.08])
  arms = {e['arm']: e for e in ablate_table.arms('plain', _cells({
      ('plain', 0): plain, ('plain', 1): harder, ('better', 0): better, ('worse', 0): worse}))}
  assert arms['plain']['commits'] == ['c0', 'c1'] and arms['worse']['config'] == {'arm': {'name': 'worse'}}
  assert list(arms) == ['plain', 'better', 'worse'] and 'difference' not in arms['plain']['repetition']
  assert arms['plain']['repetition']['mean'] == pytest.approx((plain.mean() + harder.mean()) / 2)
  got = arms['better']['repetition']
  assert got['difference'] == pytest.approx(0.045)
  assert got['p'] == pytest.approx(stats.wilcoxon(better - plain).pvalue)
  assert got['p_holm'] == pytest.approx(2 * got['p'])
  assert arms['worse']['repetition']['p_holm'] == pytest.approx(arms['worse']['repetition']['p'])
  low, high = got['ci95']
  assert low < got['mean'] < high


def test_the_config_parses_for_every_kind_of_set():
  """Catches: an arm that the dataclasses refuse, two arms that are one, pre-training that may see the
  people who are tested, and the evaluation subjects of MyoArmband in a grid of choices."""
  from aemg_jax.config import section
  from configs import ablate as config
  for variant in (None, 'synthetic_emg,part=pretraining', 'myo_armband', 'myo_armband,part=pretraining',
                  'myo_armband,size=base', 'ninapro/db1'):
    parsed = section(AblateConfig, config.get_config(variant).to_dict(), 'config')
    assert len(parsed.seeds) >= 3 and parsed.arms[0].name == parsed.reference
    assert not any(job.subjects for arm in parsed.arms for job in arm.stages)
    assert not any('Evaluation' in name for name in parsed.protocol.subjects)
    assert parsed.labelled == (1 if "part" in (variant or "") else 0)
  for variant, message in (('preset=paper', "preset: got 'paper'"), ('part=heads', "part: got 'heads'")):
    with pytest.raises(ValueError, match=message):
      config.get_config(f'myo_armband,{variant}')


def test_every_subject_is_tested_once_in_groups():
  """Catches: a subject in two groups or in none, or trained on in its own group."""
  from aemg_jax.data import splits
  segments = tiny_set.prepared().segments
  folds = splits.groups_out(segments, tiny_set.SUBJECTS, 2)
  tested = [{segments['subject'][r.segment] for r in fold.test} for fold in folds]
  assert tested == [{'s0', 's2'}, {'s1'}]
  assert [{segments['subject'][r.segment] for r in fold.train} for fold in folds] == tested[::-1]
  for groups in (1, 4):
    with pytest.raises(ValueError, match='expected 2 to 3'):
      splits.groups_out(segments, tiny_set.SUBJECTS, groups)


def test_holm_by_hand():
  """Catches: Bonferroni, a p that falls below a smaller one's, and a p above 1."""
  assert ablate_table.holm([0.01, 0.04, 0.03, 0.9]) == pytest.approx([0.04, 0.09, 0.09, 0.9])
  assert ablate_table.holm([0.6, 0.7]) == [1.0, 1.0] and ablate_table.holm([]) == []


def test_the_table_goes_to_a_page(tmp_path):
  """Catches: a table whose columns do not fit its heading, or that no page can take."""
  arms = ablate_table.arms('plain', _cells({
      ('plain', 0): np.full(6, 0.5), ('b', 0): np.linspace(0.5, 0.9, 6)}))
  store = {'labels': [], 'ablation': {'reference': 'plain', 'arms': arms}}
  table = published.tables(store)['ABLATION']
  assert len({line.count('|') for line in table.splitlines()}) == 1
  assert '| 50.0 [50.0, 50.0] | reference |' in table and '+20.0 (' in table
  assert table in published.with_tables('x\n<!-- ABLATION -->\n', published.tables(store))
