"""Step 1: the tokeniser's codebook by vector-quantised reconstruction.

aemg train --config=configs/vq.py:myo_armband --prepared=W/prepared/session --workdir=W/vq
Variants: SET[+SET...][,preset=paper][,size=base][,channels=C][,temperature=T][,bins=B].
bins=23 leaves out what a recording of 200 Hz may lack once it has been resampled: it has the same codes at every rate.
"""

from ml_collections import ConfigDict

from configs import common

COMMON_BINS = 23  # of 3.85 Hz: 90 Hz, 0.9 of half of 200 Hz, is what a resampler's filter leaves
# K by METHOD section 5.4: a few hundred codes until data are thousands of hours.
CODES = {'tiny': 256, 'base': 8192, 'large': 8192}


def get_config(variant=None):
  """`default` reconstructs log spectrum and log amplitude, `paper` the z-scored waveform.

  `align` turns rings of labelled sets into one frame, which the checkpoint then carries; a masked job
  must say the same as its tokeniser. Off: the published rows were pre-trained as recorded, evaluation
  fits a frame of its own for each fold, and 17 of MyoArmband's 19 pre-training people wear the band alike.
  """
  bins, rest = common.taken(variant, 'bins', '0')
  if not bins.isdecimal():
    raise ValueError(f'config variant {variant!r}: bins: got {bins!r}, expected a number')
  c = common.parse(rest)
  paper = c['preset'] == 'paper'
  codes = CODES[c['size']] * (4 if paper and c['size'] == 'tiny' else 1)
  slot = 50 if paper else 52
  depth = dict(layers=2) if paper and c['size'] == 'tiny' else {} if paper else dict(layers=0)
  decoder = common.blocks(c['size'], layers=2 if paper else 0, dropout=0.0)
  if c['size'] == 'large':  # the released parameter count leaves room for base's heads and MLP only
    decoder |= dict(heads=common.SIZES['base']['heads'], mlp_dim=common.SIZES['base']['mlp_dim'])
  return ConfigDict(dict(
      task=dict(kind='VQTask', model=dict(
          encoder=common.encoder(c, mixing='words', blocks=common.blocks(c['size'], dropout=0.0, **depth)),
          quantiser=dict(codes=codes, width=32 if c['size'] == 'tiny' else 256),
          decoder=decoder, targets=('waveform',) if paper else ('spectrum', 'amplitude'),
          slot_samples=slot, n_bins=slot // 2, bins=int(bins))),
      prepare=common.prepare(c, 'session'),
      optim=dict(learning_rate=1e-3, warmup_steps=50, weight_decay=1e-4, clip_norm=1.0),
      loop=dict(steps=c['data']['steps']['vq'], checkpoint_every=200, log_every=10),
      batch_size=32, subjects=common.pretraining(c), centre='session', temperature=c['temperature'],
      align=False))
