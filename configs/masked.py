"""Step 2: masked-word prediction of the codes of step 1.

aemg train --config=configs/masked.py:myo_armband --prepared=W/prepared/session --init=W/vq --workdir=W/masked
Variants: SET[+SET...][,preset=paper][,size=base][,channels=C][,temperature=T][,predict=words|both].
predict=words reconstructs the clean words in place of their codes, both does both.
"""

from ml_collections import ConfigDict

from configs import common

# METHOD section 5.1: gain jitter, channel dropout and noise make invariances; the target stays clean.
AUGMENT = dict(gain=0.4, noise=0.3, channel_dropout=0.2)
PREDICT = {'codes': (1.0, 0.0), 'words': (0.0, 1.0), 'both': (1.0, 1.0)}  # weights of codes and of clean words


def get_config(variant=None):
  """`default` predicts clean codes from augmented words, `paper` from masked words alone."""
  predict, rest = common.taken(variant, 'predict', 'codes')
  if predict not in PREDICT:
    raise ValueError(f'config variant {variant!r}: predict: got {predict!r}, expected one of {sorted(PREDICT)}')
  c = common.parse(rest)
  code_weight, reconstruction_weight = PREDICT[predict]
  paper = c['preset'] == 'paper'
  return ConfigDict(dict(
      task=dict(kind='MaskedTask',
                model=dict(encoder=common.encoder(c), reconstructs=27 * bool(reconstruction_weight)),
                augment={} if paper else AUGMENT, code_weight=code_weight, reconstruction_weight=reconstruction_weight,
                mask=dict(ratio=0.5, slot_share=0.0 if paper else 0.5, channel_share=0.0, span_share=0.0,
                          symmetric=True, every=False)),
      prepare=common.prepare(c, 'session'),
      optim=dict(learning_rate=1e-3, warmup_steps=100, weight_decay=0.05, clip_norm=1.0),
      loop=dict(steps=c['data']['steps']['masked'], checkpoint_every=250, log_every=10),
      batch_size=64, subjects=common.pretraining(c), centre='session', temperature=c['temperature'], buckets=(),
      align=False))  # as configs/vq.py says
