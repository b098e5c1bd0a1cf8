"""What several configs share: sizes, presets, and what each dataset calls its parts."""

# The paper's base and large; `tiny` is what two CPU cores can evaluate over 17 folds.
SIZES = {
    'tiny': dict(width=96, layers=2, heads=4, head_dim=24, mlp_dim=192),
    'base': dict(width=256, layers=6, heads=8, head_dim=64, mlp_dim=1024),
    'large': dict(width=512, layers=12, heads=16, head_dim=64, mlp_dim=2048),
}
PRESETS = ('default', 'paper')
_EVALUATION = tuple(f'Evaluation/Male{i}' for i in range(15)) + ('Evaluation/Female0', 'Evaluation/Female1')
_PRETRAINING = tuple(f'PreTraining/Male{i}' for i in range(12)) + tuple(f'PreTraining/Female{i}' for i in range(7))

# fixed_scale: a constant of the device in its own unit, about the RMS of a contraction; no statistic
# of a person. max_channels: electrodes of the grid.
DATASETS = {
    'synthetic_emg': dict(
        path='synthetic_emg/ring8_200hz/1.0.0', channels=8, fixed_scale=100.0, synthetic=True,
        rest_labels=('rest',), pretraining=(), evaluation=(), calibration=(), test=()),
    'myo_armband': dict(
        path='myo_armband/1.0.0', channels=8, fixed_scale=10.0, synthetic=False, rest_labels=(),
        pretraining=_PRETRAINING, evaluation=_EVALUATION, calibration=('training0',),
        test=('Test0', 'Test1')),
}


def parse(variant: str | None) -> dict:
  """'DATASET[,preset=P][,size=S]' -> dict(dataset, preset, size); ValueError lists what is known."""
  words = (variant or 'synthetic_emg').split(',')
  chosen = dict(dataset=words[0], preset='default', size='tiny')
  known = dict(dataset=DATASETS, preset=PRESETS, size=SIZES)
  for word in words[1:]:
    key, _, value = word.partition('=')
    if key not in chosen:
      raise ValueError(f'config variant {variant!r}: got {key!r}, expected preset= or size=')
    chosen[key] = value
  for key, value in chosen.items():
    if value not in known[key]:
      raise ValueError(f'config variant {variant!r}: {key}: got {value!r}, expected one of {sorted(known[key])}')
  return chosen


def blocks(size: str, **changes) -> dict:
  """Transformer sizes with layer scale."""
  return {**SIZES[size], 'layer_scale': 0.1, 'dropout': 0.1, **changes}


def encoder(dataset: str, preset: str, size: str, **changes) -> dict:
  """Sentence encoder of a preset: waveforms and full attention, or spectra and slot tokens."""
  inputs = ('waveform',) if preset == 'paper' else ('spectrum', 'amplitude')
  mixing = 'words' if preset == 'paper' else 'slots'
  return dict(blocks=blocks(size), inputs=inputs, mixing=mixing, max_slots=16,
              max_channels=DATASETS[dataset]['channels']) | changes


def prepare(dataset: str, preset: str, scale: str) -> dict:
  """Prepare settings of a preset with 'session' or 'fixed' scale."""
  data = DATASETS[dataset]
  return dict(
      rectify=dict(rate_hz=200.0, highpass_hz=2.0, scale=scale, fixed_scale=data['fixed_scale']),
      contraction=dict(gate=preset == 'paper'),
      word=dict(slot_samples=50 if preset == 'paper' else 52),
      sentence=dict(max_slots=16, max_channels=data['channels']),
      segment='spans', rest_labels=data['rest_labels'])
