"""FatigueFormer and its baselines on curls with Borg ratings, leave-one-subject-out.

aemg evaluate --config=configs/fatigue_former.py --data_dir=D --workdir=W
D holds curl_borg, plux_fatigue and contraction_intensity (python -m data_builders.build).
Variants: [small|full][,length=N].

small, two AMD EPYC cores shared with other jobs (load 6 to 14), 2026-11-21, code of 0dbe370: about 10 minutes of
processor time and 35 by the clock, in several starts. FatigueFormer: macro-F1 of 3 classes
58.8 %, Borg MAE 1.35; elapsed time alone: 68.5 % and 0.73. `full` and other lengths: not yet run.
"""

from ml_collections import ConfigDict

# Sizes were set before any look at a tested subject: `full` is the re-design's, `small` fits 9 subjects.
SIZES = {
    'full': dict(width=128, heads=4, head_dim=32, mlp_dim=256, layers=(3, 2), learning_rate=3e-4),
    'small': dict(width=32, heads=2, head_dim=16, mlp_dim=64, layers=(2, 1), learning_rate=1e-3),
}
STEPS = 380  # 60 epochs of about 404 training sequences at batch 64


def _parse(variant):
  size, _, rest = (variant or 'small').partition(',')
  key, _, length = rest.partition('=')
  if size not in SIZES or (rest and (key != 'length' or not length.isdigit())):
    raise ValueError(f'config variant {variant!r}: expected {sorted(SIZES)}[,length=N]')
  return SIZES[size], int(length or 5)


def _model(size, branches):
  blocks = {name: size[name] for name in ('width', 'heads', 'head_dim', 'mlp_dim')}
  blocks |= dict(layer_scale=0.0, dropout=0.1)
  time, still = size['layers']
  return dict(kind='FatigueFormerConfig', branches=branches, temporal=blocks | dict(layers=time),
              static=blocks | dict(layers=still))


def _network(size, model, split):
  return dict(kind='NetworkMethod', split=split, steps=STEPS, task=dict(model=model),
              probe=dict(model=_model(size, 'temporal')),
              optim=dict(learning_rate=size['learning_rate'], warmup_steps=STEPS // 10, weight_decay=0.01,
                         clip_norm=1.0))


def _methods(size):
  lstm = dict(kind='FatigueLSTMConfig', width=size['width'], hidden=size['width'])
  threshold = lambda column: dict(kind='ThresholdMethod', column=column)
  methods = {
      'majority': dict(kind='MajorityMethod'),
      'elapsed time only': threshold('elapsed_s'),
      'repetition index only': threshold('repetition'),
      'MDF threshold': threshold('mdf'),
      'SVM': dict(kind='ClassicalMethod', model='svm'),
      'random forest': dict(kind='ClassicalMethod', model='random_forest'),
      'Transformer, all features': _network(size, _model(size, 'temporal'), False),
      'FatigueFormer': _network(size, _model(size, 'both'), True),
      'LSTM': _network(size, lstm, False),
      'static only': _network(size, _model(size, 'static'), True),
      'temporal only': _network(size, _model(size, 'temporal'), True),
  }
  return [dict(name=name, method=method) for name, method in methods.items()]


def get_config(variant=None):
  """`small` (default) or `full`, sequences of 5 windows."""
  size, length = _parse(variant)
  sequence = dict(length=length)
  time = dict(by='time', need_borg=False)
  config = dict(
      title='curl_borg: fatigue, leave one subject out',
      data=dict(path='curl_borg', sequence=sequence),
      methods=_methods(size),
      seeds=(0, 1, 2),
      transferred='FatigueFormer',
      rising=dict(path='plux_fatigue', windows=time,
                  sequence=sequence | dict(baseline='first', baseline_windows=20)),
      flat=dict(path='contraction_intensity', windows=time | dict(mains_hz=60.0),
                sequence=sequence | dict(baseline='lowest_mvc', baseline_windows=0),
                sessions=('20P', '50P', '80P'), without_labels=('no movement',)))
  return ConfigDict(config)
