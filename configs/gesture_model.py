"""One gesture classifier from all labelled subjects, for `aemg predict`.

aemg train --config=configs/gesture_model.py:myo_armband --prepared=W/prepared/fixed --workdir=W/model
aemg predict --checkpoint=W/model --input=recording.npz --output=gestures.csv
Variants: SET[,preset=paper][,size=base][,channels=C]. It trains on the evaluation subjects too, so its own
accuracy says nothing: configs/gesture.py measures the same network on subjects it has not seen.
Not yet run on real recordings.
"""

from ml_collections import ConfigDict

from configs import common, gesture


def get_config(variant=None):
  """The device's fixed scale, the training subjects' mean; `paper` z-scores.

  A ring is turned as the whole recording says, if that is sure (transductive in this one thing): with
  everything else taken from the wearer too, the README's Transformer gains 7 points by it on MyoArmband,
  where three of 17 people wear the band mirrored.
  """
  c = common.one(variant)
  paper = c['preset'] == 'paper'
  same = gesture.transformer(c)  # as configs/gesture.py's transformer-scratch
  return ConfigDict(dict(
      task=dict(kind='SupervisedTask', model=same['model'], smoothing=same['smoothing'],
                augment={} if paper else same['augment']),
      prepare=common.prepare(c, same['view']), optim=same['optim'],
      loop=dict(steps=same['steps'], checkpoint_every=200, log_every=10),
      batch_size=same['batch_size'], subjects=c['data']['evaluation'],
      centre='none' if paper else same['centre'], align=c['data']['ring'] and not paper))
