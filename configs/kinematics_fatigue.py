"""Fatigue from motion: the synthetic reaching set under splits S0 to S3, imu_borg with each person left out,
its features as they are and counted from each recording's first 10 s.

aemg evaluate --config=configs/kinematics_fatigue.py --data_dir=D --workdir=W
D holds synthetic_reaching and imu_borg (python -m data_builders.build).
Variants: [small|paper][,part=synthetic|imu|imu_baseline|own]; `own` is what you built as kinematics_fatigue
(python -m data_builders.build kinematics_fatigue --raw=...).

small, two AMD EPYC cores that other jobs used too, 2026-11-21, code of 3ee609a, one command: 7 min 35 s (5 min
19 s of processor time); the synthetic part alone, since then with shuffled labels on every split, 5 min 23 s.
imu_borg, over all windows: BiLSTM macro-F1 46.3 %, MAE 2.17, counted from the first 10 s 46.8 % and 2.23; elapsed
time alone 70.0 % and 0.85; majority 47.1 % and 1.93. The synthetic part is no result. `paper`: not yet run.
"""

from ml_collections import ConfigDict

# `paper` is Long & Yang's network and schedule; `small` was cut until it ran on two busy cores,
# before any of its networks had been tested.
SIZES = {
    'paper': dict(
        network=dict(epochs=50, stair_epochs=10, batch_size=32,
                     optim=dict(learning_rate=1e-4, schedule='stairs', stair_steps=1)),
        image=dict(channels=(8, 16, 32), strides=(1, 2, 2), paddings=(1, 1, 1)),
        posture=dict(channels=(8, 12, 16, 20), strides=(1, 2, 3, 3), paddings=(1, 1, 1, 0)),
        cells=20, model={}, stride=100),
    'small': dict(
        network=dict(epochs=12, batch_size=16, balanced=True,
                     optim=dict(learning_rate=3e-3, schedule='constant', clip_norm=1.0)),
        image=dict(channels=(4, 8), strides=(3, 2), paddings=(1, 1)),
        posture=dict(channels=(2, 4), strides=(2, 5), paddings=(1, 0)),
        cells=10, model=dict(dense=16, width=8, hidden=16, dropout=0.1), stride=300),
}
NO_POSTURE = dict(channels=(), strides=(), paddings=())
PARTS = ('synthetic', 'imu', 'imu_baseline')
OWN = 'own'  # not in the default: there is no public set


def _parse(variant):
  size, *rest = (variant or 'small').split(',')
  parts = PARTS
  for word in rest:
    key, _, value = word.partition('=')
    if key != 'part' or value not in (*PARTS, OWN):
      raise ValueError(f'config variant {word!r}: expected part=NAME, NAME one of {(*PARTS, OWN)}')
    parts = (value,)
  if size not in SIZES:
    raise ValueError(f'config variant {size!r}: expected one of {sorted(SIZES)}')
  return SIZES[size], parts


def _methods(size, model, voxel, wavelet, every):
  """Every row on all splits, but the LSTM on S0, where the paper has one."""
  def network(**changes):
    task = dict(model=size['model'] | model | changes.pop('model', {}), voxel=voxel, wavelet=wavelet)
    return dict(kind='NetworkMethod', task=task, **size['network'], **changes)
  return [
      dict(name='majority', method=dict(kind='MajorityMethod'), splits=every),
      dict(name='elapsed time only', method=dict(kind='ElapsedMethod'), splits=every),
      dict(name='ridge on summaries', method=dict(kind='RidgeMethod'), splits=every),
      dict(name='BiLSTM', method=network(), splits=every),
      dict(name='LSTM', method=network(model=dict(bidirectional=False)), splits=('S0',)),
      dict(name='BiLSTM, shuffled labels', method=network(shuffled=True), splits=every),
  ]


def _synthetic(size):
  cells, network = size['cells'], size['network']
  if size is SIZES['small']:
    size = size | dict(network=network | dict(epochs=5, batch_size=8))
  model = dict(cells=cells, image=size['image'], posture=size['posture'])
  every = ('S0', 'S1', 'S2', 'S3')
  return dict(
      name='synthetic_reaching', path='synthetic_reaching', synthetic=True, deploy='BiLSTM', blocks=4,
      windows=dict(kind='keypoints', frames=450, stride=size['stride'], rate_hz=30.0),
      methods=_methods(size, model, dict(cells=cells), {}, every))


def _imu(size, baseline_s=0.0):
  """Two curls a window (4.5 s), five levels as the window has room for; 12 signals and their slopes."""
  model = dict(frames=224, features=24, levels=5, image=size['image'], posture=NO_POSTURE)
  return dict(
      name='imu_borg_baseline' if baseline_s else 'imu_borg', path='imu_borg', synthetic=False,
      windows=dict(kind='imu', frames=224, stride=50, rate_hz=50.0, baseline_s=baseline_s),
      methods=[m for m in _methods(size, model, {}, dict(levels=5), ('S2',)) if m['name'] != 'LSTM'])


def get_config(variant=None):
  """`small` (default) or `paper`, all parts; imu_baseline counts features from the first 10 s."""
  size, parts = _parse(variant)
  own = dict(name='kinematics_fatigue', path='kinematics_fatigue', synthetic=False)
  of = {'synthetic': _synthetic, OWN: lambda size: _synthetic(size) | own, 'imu': _imu,
        'imu_baseline': lambda size: _imu(size, 10.0)}
  return ConfigDict(dict(title='Fatigue from motion', motion=[of[part](size) for part in parts]))
