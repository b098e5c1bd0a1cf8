"""The grid of ablations: which part of the default brings how much, on people set apart for choices.

aemg ablate --config=configs/ablate.py:myo_armband --data_dir=D --workdir=W [--budget=0.2]
Variants: SET[,part=pretraining][,size=base][,channels=C]. Networks from scratch: MyoArmband's 19 pre-training
subjects in 5 groups, other sets leave one out, tested by models that saw neither their labels nor, before adaptation,
their recordings. part=pretraining: codebook, masks and objective of a frozen encoder; one half of the people
pre-trains, one of it is labelled, the other half is tested, and the other way round.
"""

from ml_collections import ConfigDict

from configs import common, gesture, masked, vq

GROUPS = 5
REFERENCES = {'networks': 'aligned, spectrum + amplitude, augmented', 'pretraining': 'codes, augmented input'}
FEW = dict(labelled=1, draws=8)  # where pre-training is worth most (METHOD 5.5)
SEEDS = (0, 1, 2)


def _scratch(c, steps):
  """Arms that train from scratch: (factor, name, changes of the network, of its encoder)."""
  session = dict(view='session', centre='session', align=bool(c['data']['ring']))
  base = gesture.transformer(c, steps=steps, **session)
  inductive = dict(view='fixed', centre='training', align=False)
  wide = {'tiny': dict(width=192, mlp_dim=384)}.get(c['size'], {})
  table = [
      ('reference', REFERENCES['networks'], {}, {}, {}),
      ('word inputs', 'amplitude', {}, dict(inputs=('amplitude',)), {}),
      ('word inputs', 'spectrum', {}, dict(inputs=('spectrum',)), {}),
      ('word inputs', 'waveform', {}, dict(inputs=('waveform',)), {}),
      ('word inputs', 'waveform + amplitude', {}, dict(inputs=('waveform', 'amplitude')), {}),
      ('gating', 'slots of contractions alone', dict(view='gated'), {}, {}),
      *[('alignment', 'not aligned', dict(align=False), {}, {})] * base['align'],
      ('normalisation', 'training mean, fixed scale', inductive, {}, {}),
      ('normalisation', 'session mean, fixed scale', dict(view='fixed'), {}, {}),
      ('normalisation', 'session scale, no mean', dict(centre='none', align=False), {}, {}),
      ('augmentation', 'none', dict(augment={}), {}, {}),
      ('augmentation', 'mild', dict(augment=gesture.MILD), {}, {}),
      ('augmentation', 'no single slots', dict(augment=dict(gesture.AUGMENT, single_slot=0.0)), {}, {}),
      ('size', '1 layer', {}, {}, dict(layers=1)),
      *[('size', 'twice as wide', {}, {}, wide)] * bool(wide),
  ]
  arms = []
  for factor, name, changes, encoder, blocks in table:
    network = {**base, **changes}
    network['model'] = dict(base['model'], encoder=dict(
        base['model']['encoder'], **encoder))
    network['model']['encoder']['blocks'] = dict(base['model']['encoder']['blocks'], **blocks)
    arms.append(dict(name=name, factor=factor, network=network))
  return arms


def _pretrained(c, variant):
  """Arms with a closed form on a frozen encoder: (factor, name, codes, targets, changes of the masked task)."""
  network = gesture.transformer(c, view='session', centre='session', tune='lda', augment={})
  both = ('spectrum', 'amplitude')
  unmasked = dict(mask=dict(ratio=0.0, slot_share=0.0, symmetric=False, every=True))
  table = [
      ('reference', REFERENCES['pretraining'], 256, both, {}),
      ('augmentation', 'input as it is', 256, both, dict(augment={})),
      ('codebook', '64 codes', 64, both, {}),
      ('codebook', '1024 codes', 1024, both, {}),
      ('codebook', 'codes of the spectrum', 256, ('spectrum',), {}),
      ('codebook', 'codes of the waveform', 256, ('waveform',), {}),
      ('masking', 'words alone', 256, both, dict(mask=dict(slot_share=0.0))),
      ('masking', 'slots alone', 256, both, dict(mask=dict(slot_share=1.0))),
      ('masking', 'a quarter', 256, both, dict(mask=dict(ratio=0.25))),
      ('masking', 'channels alone', 256, both, dict(mask=dict(slot_share=0.0, channel_share=1.0))),
      ('masking', 'spans alone', 256, both, dict(mask=dict(slot_share=0.0, span_share=1.0))),
      ('masking', 'nothing masked', 256, both, unmasked),
      ('objective', 'clean words', 256, both, _predict('words')),
      ('objective', 'clean words, nothing masked', 256, both, _predict('words') | unmasked),
      ('objective', 'codes and clean words', 256, both, _predict('both')),
  ]
  arms = []
  for factor, name, codes, targets, changes in table:
    jobs = [vq.get_config(variant).to_dict(), masked.get_config(variant).to_dict()]
    tokeniser, task = (job['task'] for job in jobs)
    tokeniser['model']['quantiser']['codes'], tokeniser['model']['targets'] = codes, targets
    for field, value in changes.items():
      task[field] = {**task[field], **value} if value and isinstance(value, dict) else value
    for job, part in zip(jobs, (2, 4)):  # of the updates: as the arms from scratch have a quarter of theirs
      job |= dict(subjects=(), loop=dict(job['loop'], steps=job['loop']['steps'] // part, progress=False))
    arms.append(dict(name=name, factor=factor, network=network | dict(start='checkpoint'), stages=jobs))
  controls = {'random encoder': {}, 'words themselves': dict(reads='words'),
              'words and an augmented copy': dict(reads='words', copies=1, augment=masked.AUGMENT)}
  return arms + [dict(name=name, factor='no pre-training', network=network | changes)
                 for name, changes in controls.items()]


def _predict(what: str) -> dict:
  """Changes of the masked task."""
  codes, words = masked.PREDICT[what]
  return dict(code_weight=codes, reconstruction_weight=words, model=dict(reconstructs=27))


def get_config(variant=None):
  """From scratch at a quarter of the LOSO rows' updates; every arm and seed is one cell."""
  part, rest = common.taken(variant, 'part', 'networks')
  if part not in REFERENCES:
    raise ValueError(f'config variant {variant!r}: part: got {part!r}, expected one of {sorted(REFERENCES)}')
  c = common.one(rest)
  data = c['data']
  if c['preset'] != 'default':
    raise ValueError(f"config variant {variant!r}: preset: got {c['preset']!r}, expected 'default'")
  pretraining, people = part == 'pretraining', dict(subjects=data['pretraining'])
  views = [dict(name='session', prepare=common.prepare(c, 'session'))]
  if not pretraining:
    views += [dict(name='fixed', prepare=common.prepare(c, 'fixed')),
              dict(name='gated', prepare=dict(common.prepare(c, 'session'), contraction=dict(gate=True)))]
  folds = dict(kind='groups_out', groups=2 if pretraining else GROUPS, **people)
  if data['synthetic'] and not pretraining:
    folds = dict(kind='loso')
  return ConfigDict(dict(
      title=f'{"Pre-training" if pretraining else "Ablations"} on {c["datasets"][0]}', datasets=common.paths(c), views=views,
      protocol=folds, arms=_pretrained(c, rest) if pretraining else _scratch(c, data['steps']['gesture'] // 4),
      reference=REFERENCES[part], seeds=SEEDS, synthetic=data['synthetic'], **(FEW if pretraining else {})))
