"""What several configs share: sizes, presets, and what is known of a set beyond its own metadata."""

# The paper's base and large; `tiny` is what two CPU cores can evaluate over 17 folds.
SIZES = {
    'tiny': dict(width=96, layers=2, heads=4, head_dim=24, mlp_dim=192),
    'base': dict(width=256, layers=6, heads=8, head_dim=64, mlp_dim=1024),
    'large': dict(width=512, layers=12, heads=16, head_dim=64, mlp_dim=2048),
}
PRESETS = ('default', 'paper')
MIXED_CHANNELS = 16  # of a mixture: 16 slots of 16 electrodes are the paper's 256 words
_EVALUATION = tuple(f'Evaluation/Male{i}' for i in range(15)) + ('Evaluation/Female0', 'Evaluation/Female1')
_PRETRAINING = (tuple(f'PreTraining/Male{i}' for i in range(12))
                + tuple(f'PreTraining/Female{i}' for i in range(7)))

# Any built set: channels, fixed scale and rest between gestures are taken from the set itself.
ANY = dict(
    channels=0, more_channels='even', fixed_scale=0.0, skip_gaps=True, rest_labels=(), synthetic=False,
    ring=False, pretraining=(), evaluation=(), calibration=(), test=(),
    steps=dict(vq=600, masked=1000, gesture=1260))
# Sets of which more is known: who trains and who is tested, and what published rows were made with.
# fixed_scale: a constant of the device in its own unit, about the RMS of a contraction; no statistic
# of a person. channels: electrodes of the grid. ring: one full ring, which can be aligned.
# Updates for each fold (gesture). On MyoArmband 60 epochs of 16 subjects' 1344 repetitions: leave-4-of-19-out
# over the pre-training subjects, 61 epochs (400 updates) and 152 (1000) scored alike, 86.6 and 85.9 % of
# repetitions strictly inductive, 92.1 and 92.6 session-centred (two seeds, windows): the shorter was taken.
DATASETS = {
    'synthetic_emg': ANY | dict(
        path='synthetic_emg/ring8_200hz/1.0.0', channels=8, more_channels='refuse', fixed_scale=100.0,
        skip_gaps=False, synthetic=True, ring=True, rest_labels=('rest',),
        steps=dict(vq=300, masked=250, gesture=150)),
    'myo_armband': ANY | dict(
        path='myo_armband/1.0.0', channels=8, more_channels='refuse', fixed_scale=10.0, skip_gaps=False,
        ring=True, pretraining=_PRETRAINING, evaluation=_EVALUATION, calibration=('training0',),
        test=('Test0', 'Test1')),
    # the same armband, whose counts are stored times 1e-5; 60 epochs of 30 subjects' 24 repetitions
    'uci_emg/distinct': ANY | dict(
        path='uci_emg/distinct', channels=8, more_channels='refuse', fixed_scale=1e-4, ring=True,
        steps=dict(vq=600, masked=1000, gesture=675)),
    # rest fills the gaps; 60 epochs of 9 subjects' 120 repetitions. A ring and two muscles, placed by protocol
    'ninapro/db1': ANY | dict(
        path='ninapro/db1', channels=10, more_channels='rings', fixed_scale=0.1,
        steps=dict(vq=600, masked=1000, gesture=1012)),
}


def of(name: str) -> dict:
  """What is known of a set: NAME, NAME/CONFIG or NAME/CONFIG/VERSION below the data directory."""
  if name in DATASETS:
    return DATASETS[name]
  generated = name.split('/')[0] == 'synthetic_emg'
  return ANY | dict(path=name, synthetic=generated)


def parse(variant: str | None) -> dict:
  """'SET[+SET...][,preset=P][,size=S][,channels=C][,temperature=T]' -> dict; ValueError says what is known.

  Keys: datasets (names), data (`of` the only one, or ANY for a mixture), preset, size, channels (0: as
  many as the widest montage), temperature.
  """
  words = (variant or 'synthetic_emg').split(',')
  names = tuple(words[0].split('+'))
  if not all(names) or len(set(names)) < len(names):
    raise ValueError(f'config variant {variant!r}: dataset: got {words[0]!r}, expected SET or SET+SET, each '
                     'once')
  chosen = dict(preset='default', size='tiny', channels='', temperature='1')
  for word in words[1:]:
    key, _, value = word.partition('=')
    if key not in chosen:
      raise ValueError(f'config variant {variant!r}: got {key!r}, expected one of {sorted(chosen)} and =')
    chosen[key] = value
  for key, known in (('preset', PRESETS), ('size', SIZES)):
    if chosen[key] not in known:
      raise ValueError(f'config variant {variant!r}: {key}: got {chosen[key]!r}, expected one of '
                       f'{sorted(known)}')
  data = of(names[0]) if len(names) == 1 else ANY | dict(channels=MIXED_CHANNELS)
  channels = _number(variant, 'channels', chosen['channels'] or data['channels'], int)
  return dict(datasets=names, data=data, preset=chosen['preset'], size=chosen['size'], channels=channels,
              temperature=_number(variant, 'temperature', chosen['temperature'], float))


def _number(variant: str | None, key: str, text: str | int, kind: type):
  try:
    return kind(text)
  except ValueError:
    raise ValueError(f'config variant {variant!r}: {key}: got {text!r}, expected a number') from None


def taken(variant: str | None, key: str, default: str) -> tuple[str, str | None]:
  """The value of a config's own `key=value`, the last one or the default, and the variant without it, for `parse`."""
  words = (variant or '').split(',')
  found = [word.removeprefix(f'{key}=') for word in words if word.startswith(f'{key}=')]
  return (found or [default])[-1], ','.join(word for word in words if not word.startswith(f'{key}=')) or None


def one(variant: str | None) -> dict:
  """`parse`, for configs that take one set."""
  c = parse(variant)
  if len(c['datasets']) > 1:
    raise ValueError(f'config variant {variant!r}: dataset: got {len(c["datasets"])} sets, expected one')
  return c


def paths(c: dict) -> tuple:
  """Folders of the sets below the data directory."""
  return tuple(of(name)['path'] for name in c['datasets'])


def pretraining(c: dict) -> tuple:
  """Who pre-trains: the part of a set that is set apart for it, and everybody of other sets."""
  if not any(of(name)['pretraining'] for name in c['datasets']):
    return ()
  if len(c['datasets']) == 1:
    return c['data']['pretraining']
  chosen = []
  for name in c['datasets']:
    base = name.split('/')[0]
    chosen += [f'{base}:{subject}' for subject in of(name)['pretraining']] or [f'{base}*']
  return tuple(chosen)


def blocks(size: str, **changes) -> dict:
  """Transformer sizes with layer scale; `large` is compiled as a loop over its layers."""
  return {**SIZES[size], 'layer_scale': 0.1, 'dropout': 0.1, 'dtype': 'float32', 'scan': size == 'large',
          'remat': 'none', 'attention': 'auto', **changes}


def encoder(c: dict, **changes) -> dict:
  """Sentence encoder of a preset: waveforms and full attention, or spectra and slot tokens."""
  paper = c['preset'] == 'paper'
  inputs = ('waveform',) if paper else ('spectrum', 'amplitude')
  return dict(blocks=blocks(c['size']), inputs=inputs, mixing='words' if paper else 'slots', max_slots=16,
              max_channels=c['channels']) | changes


def prepare(c: dict, scale: str) -> dict:
  """Prepare settings of a preset with 'session' or 'fixed' scale."""
  data, paper = c['data'], c['preset'] == 'paper'
  return dict(
      rectify=dict(rate_hz=200.0, highpass_hz=2.0, scale=scale, fixed_scale=data['fixed_scale']),
      contraction=dict(gate=paper),
      word=dict(slot_samples=50 if paper else 52),
      sentence=dict(max_slots=16, max_channels=c['channels'], more_channels=data['more_channels']),
      segment='spans', rest_labels=data['rest_labels'], skip_gaps=data['skip_gaps'])
