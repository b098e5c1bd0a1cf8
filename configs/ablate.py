"""The grid of ablations: which part of the default brings how much, on people set apart for choices.

aemg ablate --config=configs/ablate.py:myo_armband --data_dir=D --workdir=W [--budget=0.2]
Variants: SET[,size=base][,channels=C]. MyoArmband: the 19 pre-training subjects in 5 groups, each tested once
by models that saw neither its labels nor, before adaptation, its recordings; other sets: all their subjects.
"""

from ml_collections import ConfigDict

from configs import common, gesture, masked, vq

GROUPS = 5
REFERENCE = 'aligned, spectrum + amplitude, augmented'
SEEDS = (0, 1, 2)


def _scratch(c, steps):
  """Arms that train from scratch: (factor, name, changes of the network, of its encoder)."""
  session = dict(view='session', centre='session', align=bool(c['data']['ring']))
  base = gesture.transformer(c, steps=steps, **session)
  mild = dict(gesture.AUGMENT, gain=0.2, noise=0.1, channel_dropout=0.0)
  inductive = dict(view='fixed', centre='training', align=False)
  wide = {'tiny': dict(width=192, mlp_dim=384)}.get(c['size'], {})
  table = [
      ('reference', REFERENCE, {}, {}, {}),
      ('word inputs', 'amplitude', {}, dict(inputs=('amplitude',)), {}),
      ('word inputs', 'spectrum', {}, dict(inputs=('spectrum',)), {}),
      ('word inputs', 'waveform', {}, dict(inputs=('waveform',)), {}),
      ('word inputs', 'waveform + amplitude', {}, dict(inputs=('waveform', 'amplitude')), {}),
      ('channels', 'every word attends to every word', {}, dict(mixing='words'), {}),
      ('gating', 'slots of contractions alone', dict(view='gated'), {}, {}),
      *[('alignment', 'not aligned', dict(align=False), {}, {})] * base['align'],
      ('normalisation', 'training mean, fixed scale', inductive, {}, {}),
      ('normalisation', 'session mean, fixed scale', dict(view='fixed'), {}, {}),
      ('normalisation', 'session scale, no mean', dict(centre='none', align=False), {}, {}),
      ('augmentation', 'none', dict(augment={}), {}, {}),
      ('augmentation', 'mild', dict(augment=mild), {}, {}),
      ('augmentation', 'no single slots', dict(augment=dict(gesture.AUGMENT, single_slot=0.0)), {}, {}),
      ('size', '1 layer', {}, {}, dict(layers=1)),
      *[('size', 'twice as wide', {}, {}, wide)] * bool(wide),
  ]
  arms = []
  for factor, name, changes, encoder, blocks in table:
    network = {**base, **changes}
    network['model'] = dict(base['model'], encoder=dict(
        base['model']['encoder'], **encoder), pool='words' if encoder.get('mixing') == 'words' else 'slots')
    network['model']['encoder']['blocks'] = dict(base['model']['encoder']['blocks'], **blocks)
    arms.append(dict(name=name, factor=factor, network=network))
  return arms


def _pretrained(c, variant):
  """Arms with a closed form on a frozen encoder: (factor, name, codes, targets, changes of masking)."""
  frozen = dict(view='session', centre='session', align=bool(c['data']['ring']), tune='lda', augment={})
  network = gesture.transformer(c, start='checkpoint', **frozen)
  both, clean = ('spectrum', 'amplitude'), masked.AUGMENT
  table = [
      ('pre-training', 'codes, augmented input', 256, both, {}),
      ('pre-training', 'codes, input as it is', 256, both, dict(augment={})),
      ('codebook', '64 codes', 64, both, {}),
      ('codebook', '1024 codes', 1024, both, {}),
      ('codebook', 'codes of the spectrum', 256, ('spectrum',), {}),
      ('codebook', 'codes of the waveform', 256, ('waveform',), {}),
      ('masking', 'words alone', 256, both, dict(mask=dict(ratio=0.5, slot_share=0.0))),
      ('masking', 'slots alone', 256, both, dict(mask=dict(ratio=0.5, slot_share=1.0))),
      ('masking', 'a quarter', 256, both, dict(mask=dict(ratio=0.25, slot_share=0.5))),
      ('masking', 'channels alone', 256, both, dict(mask=dict(slot_share=0.0, channel_share=1.0))),
      ('masking', 'spans alone', 256, both, dict(mask=dict(slot_share=0.0, span_share=1.0))),
      ('masking', 'nothing masked', 256, both, dict(mask=dict(ratio=0.0, slot_share=0.0, symmetric=False, every=True))),
      ('objective', 'clean words', 256, both, _predict('words')),
      ('objective', 'codes and clean words', 256, both, _predict('both')),
  ]
  arms = [dict(name='random encoder', factor='pre-training', network=dict(network, start='scratch'))]
  for factor, name, codes, targets, changes in table:
    first, second = vq.get_config(variant).to_dict(), masked.get_config(variant).to_dict()
    first['task']['model']['quantiser']['codes'] = codes
    first['task']['model']['targets'] = targets
    second['task']['model'] |= changes.pop('model', {})
    second['task'].update(dict(augment=clean) | changes)
    stages = [dict(job, subjects=(), loop=dict(job['loop'], progress=False)) for job in (first, second)]
    arms.append(dict(name=name, factor=factor, network=network, stages=stages))
  return arms


def _predict(what: str) -> dict:
  """Changes of the masked task."""
  codes, words = masked.PREDICT[what]
  return dict(code_weight=codes, reconstruction_weight=words, model=dict(reconstructs=27))


def get_config(variant=None):
  """From scratch at a quarter of the LOSO rows' updates; every arm and seed is one cell."""
  c = common.one(variant)
  data = c['data']
  if c['preset'] != 'default':
    raise ValueError(f"config variant {variant!r}: preset: got {c['preset']!r}, expected 'default'")
  gated = common.prepare(c, 'session')
  views = [dict(name=scale, prepare=common.prepare(c, scale)) for scale in ('session', 'fixed')]
  views.append(dict(name='gated', prepare=dict(gated, contraction=dict(gate=True))))
  folds = dict(kind='loso') if data['synthetic'] else dict(
      kind='groups_out', groups=GROUPS, subjects=data['pretraining'])
  return ConfigDict(dict(
      title=f'Ablations on {c["datasets"][0]}', datasets=common.paths(c), views=views, protocol=folds,
      arms=_scratch(c, data['steps']['gesture'] // 4) + _pretrained(c, variant),
      reference=REFERENCE, seeds=SEEDS, synthetic=data['synthetic']))
