"""Fatigue from motion: the synthetic reaching set under splits S0 to S3, imu_borg with each person left out.

aemg evaluate --config=configs/kinematics_fatigue.py --data_dir=D --workdir=W
D holds synthetic_reaching and imu_borg (python -m data_builders.build).
Variants: [small|paper][,part=synthetic|imu]. For your own recordings (python -m data_builders.build
kinematics_fatigue --raw=...): --config.motion[0].path=kinematics_fatigue --config.motion[0].synthetic=False.

Not yet run.
"""

from ml_collections import ConfigDict

# `paper` is Long & Yang's network and schedule; `small` was set before any run and fits two cores.
SIZES = {
    'paper': dict(
        network=dict(epochs=50, stair_epochs=10, batch_size=32,
                     optim=dict(learning_rate=1e-4, schedule='stairs', stair_steps=1)),
        image=dict(channels=(8, 16, 32), strides=(1, 2, 2), paddings=(1, 1, 1)),
        posture=dict(channels=(8, 12, 16, 20), strides=(1, 2, 3, 3), paddings=(1, 1, 1, 0)),
        cells=20, model={}, stride=100),
    'small': dict(
        network=dict(epochs=12, batch_size=16, balanced=True,
                     optim=dict(learning_rate=2e-3, schedule='constant', clip_norm=1.0)),
        image=dict(channels=(4, 8), strides=(2, 2), paddings=(1, 1)),
        posture=dict(channels=(4, 8), strides=(2, 5), paddings=(1, 0)),
        cells=10, model=dict(dense=16, width=8, hidden=16, dropout=0.1), stride=150),
}
NO_POSTURE = dict(channels=(), strides=(), paddings=())
PARTS = ('synthetic', 'imu')


def _parse(variant):
  size, *rest = (variant or 'small').split(',')
  parts = PARTS
  for word in rest:
    key, _, value = word.partition('=')
    if key != 'part' or value not in PARTS:
      raise ValueError(f'config variant {word!r}: expected part=NAME, NAME one of {PARTS}')
    parts = (value,)
  if size not in SIZES:
    raise ValueError(f'config variant {size!r}: expected one of {sorted(SIZES)}')
  return SIZES[size], parts


def _methods(size, model, voxel, wavelet, of_bilstm, of_others):
  """Every row; `of_bilstm` and `of_others` are the splits of the networks, controls are on the former."""
  def network(**changes):
    task = dict(model=size['model'] | model | changes.pop('model', {}), voxel=voxel, wavelet=wavelet)
    return dict(kind='NetworkMethod', task=task, **size['network'], **changes)
  return [
      dict(name='majority', method=dict(kind='MajorityMethod'), splits=of_bilstm),
      dict(name='elapsed time only', method=dict(kind='ElapsedMethod'), splits=of_bilstm),
      dict(name='ridge on summaries', method=dict(kind='RidgeMethod'), splits=of_bilstm),
      dict(name='BiLSTM', method=network(), splits=of_bilstm),
      dict(name='LSTM', method=network(model=dict(bidirectional=False)), splits=of_others),
      dict(name='BiLSTM, shuffled labels', method=network(shuffled=True), splits=of_others),
  ]


def _synthetic(size):
  cells = size['cells']
  model = dict(cells=cells, image=size['image'], posture=size['posture'])
  every = ('S0', 'S1', 'S2', 'S3')
  return dict(
      name='synthetic_reaching', path='synthetic_reaching', synthetic=True, deploy='BiLSTM', blocks=4,
      windows=dict(kind='keypoints', frames=450, stride=size['stride'], rate_hz=30.0),
      methods=_methods(size, model, dict(cells=cells), {}, every, ('S0', 'S2')))


def _imu(size):
  """Two curls a window (4.5 s), five levels as the window has room for; 12 signals and their slopes."""
  image = dict(channels=(8, 16), strides=(2, 2), paddings=(1, 1)) if size is SIZES['small'] else size['image']
  model = dict(frames=224, features=24, levels=5, image=image, posture=NO_POSTURE)
  return dict(
      name='imu_borg', path='imu_borg', synthetic=False,
      windows=dict(kind='imu', frames=224, stride=50, rate_hz=50.0),
      methods=_methods(size, model, {}, dict(levels=5), ('S2',), ('S2',)))


def get_config(variant=None):
  """`small` (default) or `paper`, both parts."""
  size, parts = _parse(variant)
  of = {'synthetic': _synthetic, 'imu': _imu}
  return ConfigDict(dict(title='Fatigue from motion', motion=[of[part](size) for part in parts]))
