"""Accuracy against unlabelled seconds: what each point may see, and that it is one test set."""

import dataclasses
import math

import numpy as np
import pytest

from aemg_jax.data import batches, self_calibration, splits
from aemg_jax.evaluation import (
    baselines, calibration_curve, evaluate, figure_style, report_curve, results)
from aemg_jax.evaluation.calibration_curve import CurveConfig, CurveNetwork, _Way
from aemg_jax.evaluation.self_training import SelfTraining
from aemg_jax.evaluation.transfer import TransferData, TransferMethod
from aemg_jax.signal import features
from tests import tiny_set

CONFIG = CurveConfig(seconds=(0.0, 0.5, 2.0), stream_sessions=('cal',), test_sessions=('test',),
                     baselines=('lda-features-centred',))


@pytest.fixture(scope='module', name='rows')
def _rows(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('curve')
  data = TransferData({'fixed': tiny_set.prepared()}, None)
  table = evaluate._window_table(tiny_set.prepared())
  calibration_curve.run(CONFIG, workdir, data, table, (0,), None)
  return {(row['method'], row['protocol']): row for row in evaluate._read_json(
      workdir / calibration_curve.CURVE_FILE, ('labels', 'rows'))['rows']}


def test_every_length_has_a_row_on_one_test_set(rows):
  """Catches: a length that is lost, a test set that changes along the curve, an 'all' sold as
  inductive, or zero seconds said to use the target."""
  said = ('curve-0s', 'curve-0.5s', 'curve-2s', 'curve-all')
  assert set(rows) == {(m, s) for m in ('lda-features-centred', 'lda-features-aligned') for s in said}
  assert len({row['split_hash'] for row in rows.values()}) == 1
  for (_, protocol), row in rows.items():
    assert row['transductive'] == (protocol == 'curve-all')
    assert row['uses_target'] == {'curve-0s': 'none', 'curve-all': 'unlabelled all'}.get(
        protocol, f'unlabelled {row["seconds"]} s'.replace('2.0', '2'))
    assert sum(map(sum, row['confusion'])) == 18  # 3 subjects x 2 repetitions x 3 labels
  assert rows['lda-features-centred', 'curve-all']['mean']['repetition'] > 0.9


def test_the_report_shows_the_curve(rows, tmp_path):
  """Catches: 'all' drawn as a number of seconds, lengths sorted as text, a point of another method; confusions of 'all'
  or of a shorter length."""
  table = {protocol: round(100 * row['mean']['repetition'], 1) for (m, protocol), row in rows.items()
           if m == 'lda-features-centred'}
  results.write_results(tmp_path / calibration_curve.CURVE_FILE, tiny_set.LABELS, list(rows.values())[::-1])
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(figure_style, 'DPI', 30)
    section, = report_curve.curve_sections(tmp_path)
  text, picture, shown, wrong = section.blocks
  assert picture.png.startswith(b'\x89PNG')
  assert shown.columns[1:] == ('0 s', '0.5 s', '2 s', 'all')
  cells = {cells[0]: cells[1:] for _, cells in shown.rows}['lda-features-centred']
  assert [float(c.split(' /')[0]) for c in cells] == [
      table[f'curve-{s}'] for s in ('0s', '0.5s', '2s', 'all')]
  protocol, method = wrong.caption.partition(': the 3 hardest subjects')[0].split(', ')
  assert protocol == 'curve-2s'
  assert rows[method, protocol]['mean'] == max((r['mean'] for (_, p), r in rows.items() if p == protocol),
                                               key=lambda mean: mean['repetition'])
  assert report_curve.curve_sections(tmp_path / 'elsewhere') == []


def test_a_stream_is_cut_in_time_order_and_never_tested():
  """Catches: test repetitions in the stream, a stream sorted by gesture, crops too long."""
  segments = tiny_set.prepared().segments
  one_session = dataclasses.replace(CONFIG, stream_sessions=(), test_sessions=())
  for config in (CONFIG, one_session):
    for f in calibration_curve.curve_folds(segments, config):
      longest = f.taken(2.0)
      assert not {r.segment for r in longest} & {r.segment for r in f.fold.test}
      assert f.taken(0.0) == () and len(f.taken(0.5)) == 1
      assert self_calibration.total_s(longest) == pytest.approx(2.0)
      assert set(f.taken(math.inf)) >= set(f.fold.test)
      assert [segments['label'][r.segment] for r in longest] == [0, 1, 2]
      assert {segments['subject'][r.segment] for r in f.stream} == {f.fold.name}
  with pytest.raises(ValueError, match="'s0' has 5.4 s in the stream sessions, expected 60"):
    calibration_curve.curve_folds(segments, dataclasses.replace(CONFIG, seconds=(60.0,)))


def test_more_people_train_in_every_fold():
  """Catches: people who train in no fold, who are tested too, rows that do not say so."""
  segments = tiny_set.prepared().segments
  config = dataclasses.replace(CONFIG, subjects=('s0', 's1'), train_subjects=('s2',))
  trained = [{segments['subject'][row.segment] for row in f.fold.train}
             for f in calibration_curve.curve_folds(segments, config)]
  assert trained == [{'s1', 's2'}, {'s0', 's2'}]
  with pytest.raises(ValueError, match="CurveConfig.train_subjects: 's1' is tested"):
    calibration_curve.curve_folds(segments, dataclasses.replace(config, train_subjects=('s1',)))


def test_a_point_sees_its_own_seconds_alone():
  """Catches: a session mean, scale or placement from all of the target. Later seconds and the test
  rows are made 1000 times louder: the centre of the first second must stay as it is, to the bit."""
  config = dataclasses.replace(CONFIG, seconds=(0.9,))
  quiet = tiny_set.prepared()
  curve_fold = calibration_curve.curve_folds(quiet.segments, config)[2]
  heard = {row.segment for row in curve_fold.taken(0.9)}
  loud = dataclasses.replace(quiet, sentences=_Loud(quiet, heard), sessions=_loud_sessions(quiet))
  centres = [self_calibration.SelfCalibration(p, curve_fold.fold.train, align=True).of(
      curve_fold.taken(0.9), curve_fold.sessions) for p in (quiet, loud)]
  mine = list(curve_fold.sessions)
  np.testing.assert_array_equal(centres[0].mean_scf[mine], centres[1].mean_scf[mine])
  np.testing.assert_array_equal(centres[0].element_s[mine], centres[1].element_s[mine])


class _Loud:
  """Sentences of s2 outside some segments, louder."""

  def __init__(self, prepared, heard):
    self._prepared, self._heard = prepared, heard

  def __len__(self):
    return len(self._prepared.sentences)

  def read(self, rows):
    got = dict(self._prepared.sentences.read(rows))
    subject_b = self._prepared.segments['subject'][got['segment']]
    change_b = (subject_b == 's2') & ~np.isin(got['segment'], list(self._heard))
    got['amplitude_n'] = got['amplitude_n'] + 7 * change_b[:, None].astype(np.float32)
    return got


def _loud_sessions(prepared):
  total = prepared.sessions['feature_sum'].copy()
  total[prepared.sessions['subject'] == 's2'] += 1e6
  return prepared.sessions | {'feature_sum': total}


def test_the_mean_is_shrunk_towards_the_training_wearers_as_written():
  """Catches: the shares exchanged, a mean over padding, a training mean in another wearer's frame."""
  prepared = tiny_set.prepared()
  curve_fold = calibration_curve.curve_folds(prepared.segments, CONFIG)[0]
  calibration = self_calibration.SelfCalibration(prepared, curve_fold.fold.train, align=False)
  sessions = np.unique(prepared.segments['session_index'][[r.segment for r in curve_fold.fold.train]])
  own = batches.make_centre(prepared, 'session', ()).mean_scf
  prior_cf = own[sessions].mean(0)
  none = calibration.of((), curve_fold.sessions)
  np.testing.assert_allclose(none.mean_scf[curve_fold.sessions[0]], prior_cf, rtol=1e-6)
  stream = curve_fold.stream[:6]  # the whole session
  got = calibration.of(stream, curve_fold.sessions)
  share = 5.4**2 / (5.4**2 + 20**2)
  mine = prepared.segments['session_index'][stream[0].segment]
  np.testing.assert_allclose(got.mean_scf[curve_fold.sessions[1]],
                             share * own[mine] + (1 - share) * prior_cf, rtol=1e-4)
  with pytest.raises(ValueError, match="data of scale 'session', expected 'fixed'"):
    self_calibration.SelfCalibration(tiny_set.prepared('session'), curve_fold.fold.train, False)


def test_a_curve_goes_on_with_its_stream_alone(tmp_path):
  """Catches: labels of the stream or windows of the test in the fit, a row that does not say what was assumed,
  zero seconds that have seen something."""
  own = SelfTraining(2, 0.5, balanced=True)
  config = dataclasses.replace(CONFIG, seconds=(0.0, 2.0), self_training=own)
  prepared = tiny_set.prepared()
  table = evaluate._window_table(prepared)
  curve_fold = calibration_curve.curve_folds(prepared.segments, config)[2]
  calibration = self_calibration.SelfCalibration(prepared, curve_fold.fold.train, align=True)
  method, stream = baselines.baseline('lda-features-centred'), curve_fold.taken(2.0)
  of = lambda own, table: calibration_curve._LdaCurve(_Way('', method, True, own), table, curve_fold, calibration)
  plain, gone_on = of(SelfTraining(), table), of(own, table)
  np.testing.assert_array_equal(gone_on.predict(()).window_log_prob, plain.predict(()).window_log_prob)
  want = gone_on.predict(stream).window_log_prob
  assert np.abs(want - plain.predict(stream).window_log_prob).max() > 1e-3
  unread = [row.segment for row in (*curve_fold.stream, *curve_fold.fold.test)]
  label_s = np.array(prepared.segments['label'])
  label_s[unread] = 0
  hidden = evaluate._window_table(dataclasses.replace(prepared, segments=prepared.segments | {'label': label_s}))
  np.testing.assert_array_equal(of(own, hidden).predict(stream).window_log_prob, want)
  calibration_curve.run(config, tmp_path, TransferData({'fixed': prepared}, None), table, (0,), None)
  rows = {(row['method'], row['seconds']): row for row in evaluate._read_json(
      tmp_path / calibration_curve.CURVE_FILE, ('labels', 'rows'))['rows']}
  assert rows['lda-features-aligned-self-trained', 2.0]['uses_target'] == 'unlabelled 2 s + equal counts'
  assert rows['lda-features-aligned-self-trained', 0.0]['uses_target'] == 'none'


def test_a_labelled_stream_is_read_and_the_test_is_not(tmp_path):
  """Catches: labels of the test in the fit, those of the stream ignored, a gesture that outweighs the others' windows,
  'all', which would be labelled test data, and a row that says it had no labels."""
  prepared = tiny_set.prepared()
  config = dataclasses.replace(CONFIG, seconds=(0.0, 0.5, 2.0), labelled=True)
  curve_fold = calibration_curve.curve_folds(prepared.segments, config)[2]
  calibration = self_calibration.SelfCalibration(prepared, curve_fold.fold.train, align=True)
  method, stream = baselines.baseline('lda-features-centred'), curve_fold.taken(2.0)

  def predicted(changed, label):
    label_s = np.array(prepared.segments['label'])
    label_s[[row.segment for row in changed]] = label
    table = evaluate._window_table(dataclasses.replace(prepared, segments=prepared.segments | {'label': label_s}))
    return calibration_curve._LdaCurve(_Way('', method, True, labelled=True), table, curve_fold, calibration).predict(
        stream)

  want = predicted((), 0)
  np.testing.assert_array_equal(predicted(curve_fold.fold.test, 0).window_log_prob, want.window_log_prob)
  assert np.abs(predicted(stream[:1], 1).window_log_prob - want.window_log_prob).max() > 0.1
  fits, fit = [], baselines.LdaBaseline.fit_features
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(baselines.LdaBaseline, 'fit_features', lambda self, x, y: fits.append(y) or fit(self, x, y))
    predicted((), 0)
  before_k, after_k = np.bincount(fits[0]), np.bincount(fits[-1])  # the crop of the third gesture holds no window
  np.testing.assert_allclose(after_k, [2, 2, 1] * before_k, rtol=0.2)
  calibration_curve.run(config, tmp_path, TransferData({'fixed': prepared}, None), evaluate._window_table(prepared), (0,),
                        None)
  rows = [row for row in evaluate._read_json(tmp_path / calibration_curve.CURVE_FILE, ('labels', 'rows'))['rows']
          if row['method'] == 'lda-features-aligned-labelled']
  assert [row['uses_target'] for row in rows] == ['none', 'labelled 0.5 s', 'labelled 2 s']


def test_turned_columns_are_the_features_of_turned_channels():
  """Catches: blocks by channel taken for blocks by feature, and pairs left where they were."""
  rng = np.random.default_rng(0)
  x_wtc, perm_c = rng.normal(size=(3, 52, 5)) * np.arange(1, 6), rng.permutation(5)
  for name, function in features.FEATURES.items():
    np.testing.assert_allclose(function(x_wtc[:, :, perm_c]),
                               function(x_wtc)[:, features.turned_columns(name, perm_c)], atol=1e-9,
                               err_msg=name)


@pytest.mark.heavy
def test_a_network_is_trained_once_and_asked_at_every_length(tmp_path):
  """Catches: a network trained anew for each length, or one that never sees the target's centre."""
  from aemg_jax.evaluation import transfer
  from tests.evaluation.test_transfer import METHOD
  method = dataclasses.replace(METHOD, centre='session', align=True, whole_sentence=False)
  config = dataclasses.replace(CONFIG, networks=(CurveNetwork('net', method),), teacher='net', taught=SelfTraining(1))
  trained = []
  with pytest.MonkeyPatch.context() as patch:
    train = transfer.TransferMethod._train
    patch.setattr(transfer.TransferMethod, '_train', lambda *args: trained.append(1) or train(*args))
    for _ in range(2):
      calibration_curve.run(config, tmp_path, TransferData({'fixed': tiny_set.prepared()}, None),
                            evaluate._window_table(tiny_set.prepared()), (0,), None)
  assert len(trained) == 3  # for its own curve and as a teacher
  rows = {(row['method'], row['protocol']): row for row in evaluate._read_json(
      tmp_path / calibration_curve.CURVE_FILE, ('rows',))['rows']}
  assert len(rows) == 16 and all(row['mean']['repetition'] > 0.9 for (name, _), row in rows.items() if name == 'net')
  assert rows['lda-features-aligned-self-trained-taught', 'curve-2s']['config']['teacher']['align']


def test_a_teacher_is_asked_of_the_stream_alone():
  """Catches: a teacher that is not heard, shown the test, or shown crops too short for a window."""
  prepared = tiny_set.prepared()
  table, config = evaluate._window_table(prepared), dataclasses.replace(CONFIG, seconds=(0.0, 2.0))
  curve_fold = calibration_curve.curve_folds(prepared.segments, config)[2]
  calibration = self_calibration.SelfCalibration(prepared, curve_fold.fold.train, align=True)
  stream, asked = curve_fold.taken(2.0), []

  def teacher(rows, centre):
    asked.append((rows, centre))
    segment_r = np.unique([row.segment for row in rows])
    wrong = np.log(np.eye(3)[(prepared.segments['label'][segment_r] + 1) % 3] + 1e-9)
    return results.Predictions(segment_r, segment_r, wrong, segment_r, wrong)

  way = _Way('', baselines.baseline('lda-features-centred'), True, SelfTraining(1, 0.98, taught=1.0))
  alone = calibration_curve._LdaCurve(way, table, curve_fold, calibration)
  taught = calibration_curve._LdaCurve(way, table, curve_fold, calibration, teacher)
  np.testing.assert_array_equal(taught.predict(()).window_log_prob, alone.predict(()).window_log_prob)
  assert not asked
  found = taught.predict(stream)
  (rows, centre), = asked
  assert set(rows) < set(stream) and stream[-1] not in rows  # 0.2 s
  np.testing.assert_array_equal(centre.mean_scf, calibration.of(stream, curve_fold.sessions).mean_scf)
  label_r = prepared.segments['label'][found.segment_rows]
  seen = label_r < 2  # the gestures of the stream
  assert not (found.segment_log_prob.argmax(1) == label_r)[seen].all()
  assert (alone.predict(stream).segment_log_prob.argmax(1) == label_r)[seen].all()


@pytest.mark.parametrize('make, message', [
    (lambda: CurveConfig(seconds=(2.0, 0.0)), 'CurveConfig.seconds'),
    (lambda: CurveConfig(teacher='net', taught=SelfTraining(1)), "CurveConfig.teacher: got 'net'"),
    (lambda: CurveConfig(taught=SelfTraining(1)), "CurveConfig.teacher: got '' with 1 rounds"),
    (lambda: CurveConfig(baselines=('lda-hudgins',)), "got 'lda-hudgins', expected one that centres"),
    (lambda: CurveNetwork('x', TransferMethod(view='session', centre='session')), "got view 'session'"),
    (lambda: CurveNetwork('x', TransferMethod(centre='session', tune='lda', features=('ls4',))), 'got features'),
    (lambda: CurveNetwork('x', TransferMethod(
        centre='session', tune='lda', self_training=SelfTraining(1), teachers=(TransferMethod(),))), 'got teachers'),
    (lambda: CurveNetwork('x', TransferMethod()), "centre 'training', expected 'fixed' and 'session'")])
def test_curves_that_cannot_be(make, message):
  """Catches: a network whose scale or mean has seen all of the target before its first second."""
  with pytest.raises(ValueError, match=message):
    make()


def test_a_baseline_predicts_as_before():
  """Catches: a curve's way of fitting that changes the published baselines."""
  table = evaluate._window_table(tiny_set.prepared())
  fold = splits.loso(tiny_set.prepared().segments, tiny_set.SUBJECTS)[0]
  method = baselines.baseline('lda-hudgins-standardised')
  got = method.predict(table, fold)
  rows = table.rows(fold.test, baselines.TEST_STRIDE)
  fitted = method.fit(table, fold)
  x_wf = (table.gather(method.features, baselines.TEST_STRIDE, rows) - fitted.shift_f) / fitted.scale_f
  np.testing.assert_array_equal(got.window_log_prob.argmax(1), fitted.model.predict(x_wf))
