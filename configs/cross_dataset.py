"""A set that pre-training never saw: probes of a frozen encoder against scratch, and heads from few labelled people.

aemg evaluate --config=configs/cross_dataset.py:uci_emg/distinct,on=myo_armband --workdir=W --checkpoint=MYO/masked
Variants: SET[,on=NAME][,inputs=amplitude][,montage=ring]. `on` says in the rows what the checkpoint was pre-trained
on; without it no row starts from one. `inputs=amplitude` adds encoders of log amplitudes alone, `montage=ring` takes
the ring without the muscles beside it (prepared with `channels=8`). One work directory a prepared set: rows there are kept.

Nothing here was chosen on these sets: features, shrinkage, copies, augmentation and sizes are those of MyoArmband's
19 pre-training people (LEDGER.md). Updates from scratch are 24 epochs, as in the aligned row there, and for few people
an eighth of 60 epochs of everybody.
"""

from ml_collections import ConfigDict

from configs import common, few_subjects, gesture, masked

# Whose labels make the frame of a set's rings in the comparison of few people: the first eight by number, set apart
# before any score was seen. DB1's electrodes were placed by protocol, and are not turned there.
FRAME = {'uci_emg/distinct': ('01', '03', '04', '05', '06', '07', '08', '09')}
COMPARED = {'uci_emg/distinct': (
    '10', '12', '14', '15', '16', '17', '18', '19', '20', '21', '22', '23', '24', '25', '26', '27', '28', '29', '31',
    '32', '33', '35', '36')}
_OWN = {'on': ('',), 'inputs': ('', 'amplitude'), 'montage': ('', 'ring')}


def _parse(variant):
  """The set as `common.one` knows it, and this config's own choices."""
  name, *words = (variant or 'uci_emg/distinct').split(',')
  own, rest = dict.fromkeys(_OWN, ''), []
  for word in words:
    key, _, value = word.partition('=')
    if key not in _OWN:
      rest.append(word)
      continue
    own[key] = value
    if key != 'on' and value not in _OWN[key][1:]:
      raise ValueError(f'config variant {variant!r}: {key}: got {value!r}, expected one of {_OWN[key][1:]}')
  if own['montage'] == 'ring':
    rest.append('channels=8')
  return common.one(','.join([name, *rest])), own


def _rows(c, own):
  """{name: changes} of closed-form heads on frozen vectors, the same in all protocols."""
  features = dict(reads='none', features=gesture.FEATURES)
  plain = {} if own['inputs'] else {'classical features': features, 'words': dict(reads='words')}
  encoders = {'random encoder': {}}
  if own['on']:
    encoders[f'encoder of {own["on"]}'] = dict(start='checkpoint')
  said = ', '.join(filter(None, [own['inputs'], own['montage'] and 'ring alone']))
  if own['inputs']:
    model = dict(kind='ClassifierConfig', encoder=common.encoder(c, inputs=(own['inputs'],)), pool='slots')
    encoders = {name: changes | dict(model=model) for name, changes in encoders.items()}
  return {f'{name} ({said})' if said else name: changes for name, changes in (plain | encoders).items()}


def _loso(c, own):
  """As recorded, and where a ring is known with every band turned to the training wearers' frame."""
  session = dict(view='session', centre='session')
  networks = []
  for turned in (False, True)[:1 + c['data']['ring']]:
    tail = ', aligned' * turned
    networks += [dict(name=name + tail, network=gesture.transformer(
        c, tune='lda', align=turned, **session, **{'augment': {}} | changes))
                 for name, changes in _rows(c, own).items()]
  if not own['inputs'] and not own['montage']:
    aligned = c['data']['ring']
    networks.append(dict(name='Transformer from scratch' + ', aligned' * aligned, network=gesture.transformer(
        c, align=aligned, steps=c['data']['steps']['gesture'] * 2 // 5, **session)))
  return networks


def _few(c, own):
  """The same vectors from few people, with augmented copies of what can be augmented, and a network from scratch."""
  align, copies = c['datasets'][0] in FRAME, dict(copies=few_subjects.COPIES, augment=masked.AUGMENT)
  session = dict(view='session', centre='session', align=align)
  networks = []
  for name, changes in _rows(c, own).items():
    networks.append(dict(name=name, network=gesture.transformer(
        c, tune='lda', **session, **{'augment': {}} | changes)))
    if 'features' not in changes:
      networks.append(dict(name=f'{name} + copies', network=gesture.transformer(
          c, tune='lda', **session, **changes, **copies)))
  if not own['inputs'] and not own['montage']:
    networks.append(dict(name='Transformer from scratch', network=gesture.transformer(
        c, steps=c['data']['steps']['gesture'] // 8, **session)))
  return networks


def get_config(variant=None):
  """Leave-one-subject-out, and 1, 2 and 4 labelled people."""
  c, own = _parse(variant)
  name = c['datasets'][0]
  inductive = () if own['inputs'] or own['montage'] else ('lda-features', 'lda-features-centred')
  return ConfigDict(dict(
      title=f'{name}, not seen in pre-training',
      views=[dict(name=scale, prepare=common.prepare(c, scale)) for scale in ('session', 'fixed')],
      protocols=[dict(kind='loso')], baselines=inductive, networks=_loso(c, own), seeds=(0,), probe_protocol='',
      delays=dict(ms=(), short=()), synthetic=c['data']['synthetic'],
      few=dict(labelled=(1, 2, 4), draws=8, subjects=COMPARED.get(name, ()), frame_subjects=FRAME.get(name, ()),
               networks=_few(c, own))))
