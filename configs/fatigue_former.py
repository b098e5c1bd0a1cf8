"""FatigueFormer and its baselines on curls with Borg ratings, leave-one-subject-out.

aemg evaluate --config=configs/fatigue_former.py --data_dir=D --workdir=W
D holds curl_borg, plux_fatigue (its reader: extra formats) and contraction_intensity, by
python -m data_builders.build.
Variants: [small|full][,length=N][,data=synthetic_fatigue][,checkpoint=yes].
data=synthetic_fatigue is SYNTHETIC: one effort and half of the virtual people are left out.
checkpoint=yes adds rows with embeddings of a masked model's frozen encoder, --checkpoint=W/masked.

small, two AMD EPYC cores shared with other jobs, 2026-11-21, code of 3ee609a, one command from a fresh clone: 37
minutes. FatigueFormer, three seeds: macro-F1 of 3 classes 62.7 %, Borg MAE 1.21; elapsed time alone: 68.5 % and 0.73.
data=synthetic_fatigue: 20 minutes. `full` (ten times the processor time for an update:
0.20 s against 0.019 s) and other lengths: not yet run.
"""

from ml_collections import ConfigDict

# Sizes were set before any look at a tested subject: `full` is the re-design's, `small` fits 9 subjects.
SIZES = {
    'full': dict(width=128, heads=4, head_dim=32, mlp_dim=256, layers=(3, 2), learning_rate=3e-4),
    'small': dict(width=32, heads=2, head_dim=16, mlp_dim=64, layers=(2, 1), learning_rate=1e-3),
}
VARIANTS = f'expected {sorted(SIZES)}[,length=N][,data=curl_borg or synthetic_fatigue][,checkpoint=yes]'
SYNTHETIC = ('majority', 'elapsed time only', 'MDF threshold', 'SVM', 'random forest', 'FatigueFormer',
             'LSTM')
STEPS = 380  # 60 epochs of about 404 training sequences at batch 64


def _parse(variant):
  """(size, length, dataset, with embeddings of a checkpoint)."""
  size, *words = (variant or 'small').split(',')
  found = dict(length='5', data='curl_borg', checkpoint='no')
  for word in words:
    key, _, value = word.partition('=')
    if key not in found:
      raise ValueError(f'config variant {variant!r}: {VARIANTS}')
    found[key] = value
  if (size not in SIZES or not found['length'].isdigit() or found['checkpoint'] not in ('yes', 'no')
      or found['data'] not in ('curl_borg', 'synthetic_fatigue')):
    raise ValueError(f'config variant {variant!r}: {VARIANTS}')
  return SIZES[size], int(found['length']), found['data'], found['checkpoint'] == 'yes'


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
  """curl_borg, `small`, sequences of 5 windows."""
  size, length, data, embedded = _parse(variant)
  sequence = dict(length=length)
  time = dict(by='time', need_borg=False)
  if data == 'synthetic_fatigue':
    methods = [m | dict(pairs=False) for m in _methods(size) if m['name'] in SYNTHETIC]
    return ConfigDict(dict(
        title='SYNTHETIC: synthetic_fatigue, leave one effort and half of the people out',
        data=dict(path='synthetic_fatigue/isometric', windows=dict(by='time'), sequence=sequence | dict(
            baseline='lowest_mvc', baseline_windows=20, most=30)),
        folds='effort', synthetic=True, methods=methods, transferred='FatigueFormer'))
  methods = _methods(size)
  if embedded:
    former = next(m['method'] for m in methods if m['name'] == 'FatigueFormer')
    methods += [dict(name=f'FatigueFormer and a {kind} encoder', method=former, pairs=False, embedding=kind)
                for kind in ('pretrained', 'random')]
  return ConfigDict(dict(
      title='curl_borg: fatigue, leave one subject out',
      data=dict(path='curl_borg', sequence=sequence),
      methods=methods,
      seeds=(0, 1, 2),
      transferred='FatigueFormer',
      rising=dict(path='plux_fatigue', windows=time,
                  sequence=sequence | dict(baseline='first', baseline_windows=20)),
      flat=dict(path='contraction_intensity', windows=time | dict(mains_hz=60.0),
                sequence=sequence | dict(baseline='lowest_mvc', baseline_windows=0),
                sessions=('20P', '50P', '80P'), without_labels=('no movement',))))
