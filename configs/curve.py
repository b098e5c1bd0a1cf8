"""Self-calibration: accuracy against seconds of a new wearer's unlabelled data.

aemg evaluate --config=configs/curve.py:myo_armband[,start=checkpoint] --workdir=W [--checkpoint=W/masked]
Variants: as of configs/gesture.py, and part=pretraining: the subjects set apart for pre-training, one left
out in turn, for choices (a set that sets none apart has all its subjects). people=more: those set apart give labels in
every fold. start=checkpoint: LDA on the checkpoint's frozen encoder too, as it is and gone on with the stream. Needs
W/prepared/fixed alone.
"""

from ml_collections import ConfigDict

from configs import common, gesture

OWN = dict(rounds=3, share=0.6, even=1.0, least=4)
TAUGHT = dict(OWN, taught=0.7)
SECONDS = (0.0, 2.0, 5.0, 10.0, 20.0, 35.0, 60.0)


def get_config(variant=None):
  """Networks of two thirds of the aligned LOSO row's updates, without and with turned bands."""
  words = (variant or 'synthetic_emg').split(',')
  own = ('part=pretraining', 'people=more', 'start=checkpoint')
  pretraining, more, checkpoint = (word in words for word in own)
  c = common.one(','.join(word for word in words if word not in own))
  if more and (pretraining or not c['data']['pretraining']):
    raise ValueError(f"config variant {variant!r}: people=more: expected people set apart who are not tested")
  if checkpoint and pretraining:
    raise ValueError(f'config variant {variant!r}: start=checkpoint: expected people whom pre-training did not see')
  data, synthetic = c['data'], c['data']['synthetic']
  steps = data['steps']['gesture'] * 4 // 15
  network = lambda **changes: gesture.transformer(c, steps=steps, centre='session', **changes)
  windows = [dict(name='window-network-aligned', network=gesture.window(
      c, data['steps']['gesture'] // 2, centre='session', align=True))] if data['pretraining'] else []
  frozen = dict(start='checkpoint', tune='lda', augment={}, align=True)
  started = [dict(name='pretrained-lda-aligned', network=network(**frozen)),
             dict(name='pretrained-lda-aligned-self-trained', network=network(**frozen, self_training=OWN))] * checkpoint
  session = dict(stream_sessions=data['calibration'], test_sessions=data['test'])
  return ConfigDict(dict(
      title=f'Self-calibration on {c["datasets"][0]}' + ', pre-training part' * pretraining,
      views=[dict(name='fixed', prepare=common.prepare(c, 'fixed'))], protocols=(), probe_protocol='',
      seeds=(0,), synthetic=synthetic,
      curve=dict(
          seconds=SECONDS[:4] if synthetic else SECONDS, baselines=('lda-features-centred',),
          self_training=dict(rounds=3, share=0.6, balanced=True, least=4), labelled=True,
          subjects=data['pretraining'] if pretraining else data['evaluation'],
          train_subjects=data['pretraining'] * more,
          networks=[dict(name='transformer-centred', network=network()),
                    dict(name='transformer-aligned', network=network(align=True)), *windows, *started],
          teacher=windows[0]['name'] if windows else '', taught=TAUGHT if windows else {},
          **({} if pretraining else session))))
