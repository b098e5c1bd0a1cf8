"""Few labelled people: 1, 2, 4 and 8 of the evaluation subjects, all others tested (METHOD 5.5).

aemg evaluate --config=configs/few_subjects.py:myo_armband --workdir=W --checkpoint=W/masked
Variants: SET[,size=base][,channels=C], of a set with people set apart for pre-training. Their labels make the frame
of the rings, and nothing else of them is labelled.
"""

from ml_collections import ConfigDict

from configs import common, gesture, masked

# On MyoArmband's pre-training subjects (13 of the 19 as the pool, the other 6 compared, LEDGER.md).
POOL = dict(rounds=3, share=0.85)
COPIES = 1
# As the rows of configs/gesture.py that go on with the wearer's own repetitions.
OWN, EVENED = dict(own_share=0.6), dict(even=1.0)


def get_config(variant=None):
  """Words, features and encoders as vectors; plain, with copies, with the pool, with the tested person's own, evened."""
  c = common.one(variant or 'myo_armband')
  data = c['data']
  if not data['pretraining']:
    raise ValueError(f'config variant {variant!r}: {c["datasets"][0]} sets no people apart for pre-training')
  copies = dict(copies=COPIES, augment=masked.AUGMENT)
  pool = dict(self_training=POOL | dict(subjects=data['pretraining']))
  own = dict(self_training=pool['self_training'] | OWN)
  evened = dict(self_training=own['self_training'] | EVENED)
  features = dict(reads='none', features=gesture.FEATURES)
  words, encoder = dict(reads='words'), dict(start='checkpoint')
  rows = {
      'words': words, 'words + copies': words | copies, 'words + pool': words | pool,
      'words + copies + pool': words | copies | pool,
      'classical features': features, 'classical features + pool': features | pool,
      'random encoder': {}, 'random encoder + copies + pool': copies | pool,
      'pre-trained encoder': encoder, 'pre-trained encoder + copies': encoder | copies,
      'pre-trained encoder + copies + pool': encoder | copies | pool,
      'classical features + pool + own': features | own,
      'words + copies + pool + own': words | copies | own,
      'random encoder + copies + pool + own': copies | own,
      'pre-trained encoder + copies + pool + own': encoder | copies | own,
      'classical features + pool + own, evened': features | evened,
      'words + copies + pool + own, evened': words | copies | evened,
      'random encoder + copies + pool + own, evened': copies | evened,
      'pre-trained encoder + copies + pool + own, evened': encoder | copies | evened,
  }
  networks = [dict(name=name, network=gesture.transformer(c, view='session', centre='session', tune='lda',
                                                          align=data['ring'], **{'augment': {}} | changes))
              for name, changes in rows.items()]
  return ConfigDict(dict(
      title=f'Few labelled people of {c["datasets"][0]}',
      views=[dict(name=scale, prepare=common.prepare(c, scale)) for scale in ('session', 'fixed')],
      protocols=(), probe_protocol='', seeds=(0,), synthetic=data['synthetic'],
      few=dict(labelled=(1, 2, 4, 8), draws=8, subjects=data['evaluation'], frame_subjects=data['pretraining'],
               networks=networks)))
