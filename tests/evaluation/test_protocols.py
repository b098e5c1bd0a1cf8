"""Protocols from config to row."""

import types

import numpy as np
import pytest

from aemg_jax import config
from aemg_jax.data import split_table, splits
from aemg_jax.evaluation import baselines, protocols, transfer
from tests.evaluation import tiny_table

TARGET = {'calibration_sessions': ('cal',), 'test_sessions': ('test',)}


def _folds(**fields):
  segments = tiny_table.make()[0]
  return segments, protocols.make_folds(segments, protocols.ProtocolConfig(**fields))


def test_each_kind_makes_its_folds():
  # Catches a kind wired to another one's function, and fields that are not passed on.
  segments, folds = _folds(kind='loso', subjects=('s0', 's2'))
  assert folds == splits.loso(segments, ('s0', 's2'))
  segments, folds = _folds(kind='loso', train_subjects=('s1', 's3'))
  people = lambda rows: {str(segments['subject'][row.segment]) for row in rows}
  assert [(people(f.test), people(f.train)) for f in folds] == [
      ({'s0'}, {'s1', 's2', 's3'}), ({'s2'}, {'s0', 's1', 's3'})]
  assert protocols.ProtocolConfig(kind='loso', train_subjects=('s1',)).title == 'loso-more-people'
  segments, folds = _folds(kind='within', **TARGET)
  assert folds == splits.within(segments, tiny_table.SUBJECTS, ('cal',), ('test',))
  segments, folds = _folds(kind='cross', train_subjects=('s1',))
  assert folds == splits.cross(segments, ('s1',), ('s0', 's2', 's3'))
  segments, folds = _folds(kind='few_shot', fraction=0.2, subjects=('s*',), **TARGET)
  assert folds == splits.few_shot(segments, tiny_table.SUBJECTS, ('cal',), ('test',), 0.2)
  segments, folds = _folds(kind='few_shot', **TARGET)
  assert folds == splits.few_shot(segments, tiny_table.SUBJECTS, ('cal',), ('test',), None)


@pytest.mark.parametrize('fields, message', [
    ({'kind': 'los'}, "kind: got 'los', expected one of"),
    ({'kind': 'loso', 'fraction': 0.1}, "fraction: got 0.1, which 'loso' does not use"),
    ({'kind': 'within', 'train_subjects': ('s1',)}, 'train_subjects'),
    ({'kind': 'within', 'test_sessions': ('test',)}, 'calibration_sessions: empty'),
    ({'kind': 'few_shot', 'fraction': 5.0} | TARGET, 'fraction: got 5.0'),
])
def test_a_config_that_says_what_is_not_used_is_refused(fields, message):
  # Catches a 5 % few-shot that quietly runs as plain LOSO.
  with pytest.raises(ValueError, match=message):
    protocols.ProtocolConfig(**fields)


def test_a_config_section_becomes_the_dataclass():
  # Catches fields that the config border cannot build.
  got = config.section(protocols.ProtocolConfig, {'kind': 'few_shot', 'fraction': 0.05,
                                                  'calibration_sessions': ['cal'],
                                                  'test_sessions': ['test']})
  assert got.title == 'few_shot-5pct' and got.labelled_target == 'labelled 5 %'
  with pytest.raises(ValueError, match='subjects: .*s9.* fits no subject'):
    _folds(kind='loso', subjects=('s9',))
  with pytest.raises(ValueError, match='train_subjects: empty'):
    _folds(kind='cross')
  for kind in ('cross', 'loso'):
    with pytest.raises(ValueError, match="train_subjects: 's1' is one of the subjects that are tested"):
      _folds(kind=kind, subjects=('s0', 's1'), train_subjects=('s1',))


def test_titles_and_the_uses_target_column():
  # Catches a labelled or transductive row that reads as zero-shot.
  title = {kind: protocols.ProtocolConfig(kind=kind, **fields) for kind, fields in
           (('loso', {}), ('within', TARGET), ('few_shot', TARGET))}
  assert [title[kind].title for kind in title] == ['loso', 'within', 'few_shot-first_cycle']
  assert protocols.uses_target(title['loso'].labelled_target, False) == 'none'
  assert protocols.uses_target(title['loso'].labelled_target, True) == 'unlabelled'
  assert protocols.uses_target('', True, 'equal counts') == 'unlabelled + equal counts'
  assert protocols.uses_target(title['within'].labelled_target, False) == 'labelled cal'
  assert protocols.uses_target(
      title['few_shot'].labelled_target, True) == 'labelled first cycle + unlabelled'


def test_evaluate_gives_a_row_and_predictions_for_every_seed():
  # Catches lost folds or seeds, a seed that is not passed on, and a row without its provenance.
  segments, table = tiny_table.make()
  seen = []
  class Spy:
    transductive = True
    def predict(self, data, fold, seed):
      seen.append((fold.name, seed))
      return baselines.baseline('lda-hudgins').predict(data, fold, seed)
  protocol = protocols.ProtocolConfig(kind='loso')
  folds = protocols.make_folds(segments, protocol)
  row, by_seed = protocols.evaluate('spy', Spy(), table, segments, 3, protocol, folds, (4, 5))
  assert seen == [(s, seed) for seed in (4, 5) for s in tiny_table.SUBJECTS]
  assert row['seeds'] == [4, 5] and set(row['per_subject']) == set(tiny_table.SUBJECTS)
  assert (row['method'], row['protocol'], row['uses_target']) == ('spy', 'loso', 'unlabelled')
  assert row['split_hash'] == splits.split_hash(folds) and row['wall_s'] > 0
  assert set(by_seed) == {4, 5}
  assert np.array_equal(np.sort(by_seed[4].segment_rows), np.arange(len(segments['label'])))
  assert row['mean']['repetition'] > 0.95


def test_a_split_table_runs_as_the_protocol_that_it_was_written_from(tmp_path):
  # Catches a table whose calibration is not called labelled, and another result by another path.
  segments, table = tiny_table.make()
  protocol = protocols.ProtocolConfig(kind='few_shot', fraction=0.2, **TARGET)
  folds = protocols.make_folds(segments, protocol)
  split_table.write_split_table(tmp_path / 'f.csv', folds)
  again = protocols.ProtocolConfig(kind='table', table=str(tmp_path / 'f.csv'))
  method = baselines.baseline('lda-hudgins')
  rows = [protocols.evaluate('lda', method, table, segments, 3, p,
                             protocols.make_folds(segments, p))[0] for p in (protocol, again)]
  assert rows[0]['split_hash'] == rows[1]['split_hash']
  assert rows[0]['per_subject'] == rows[1]['per_subject']
  assert [row['uses_target'] for row in rows] == ['labelled 20 %', 'labelled']
  assert rows[0]['config']['method']['features'] == ('hudgins',)


@pytest.mark.parametrize('scale, fixed_scale, uses', [
    ('fixed', 10.0, 'none'), ('fixed', 0.0, 'unlabelled'), ('session', 0.0, 'none')])
def test_a_scale_that_was_probed_from_everybody_is_no_inductive_row(scale, fixed_scale, uses):
  """Catches: a row called strictly inductive on a set whose scale the tested people's recordings chose."""
  segments, table = tiny_table.make()
  rectify = types.SimpleNamespace(scale=scale, fixed_scale=fixed_scale)
  view = types.SimpleNamespace(config=types.SimpleNamespace(rectify=rectify))

  class OnTable:
    transductive = False
    def predict(self, data, fold, seed):
      return baselines.baseline('lda-hudgins').predict(table, fold, seed)
  protocol = protocols.ProtocolConfig(kind='loso')
  row, _ = protocols.evaluate('net', OnTable(), transfer.TransferData({'v': view}, None), segments, 3, protocol,
                              protocols.make_folds(segments, protocol))
  assert (row['uses_target'], row['transductive']) == (uses, uses == 'unlabelled')
