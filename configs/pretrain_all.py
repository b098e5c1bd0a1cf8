"""The headline job: pre-training on every gesture set that was built, on a pod.

aemg prepare --config=configs/pretrain_all.py --data_dir=D --workdir=W [--dry_run]
aemg train --config=configs/pretrain_all.py:vq,size=base --prepared=W/prepared --workdir=W/vq [--dry_run]
aemg train --config=configs/pretrain_all.py:masked,size=base --prepared=W/prepared --init=W/vq \\
    --workdir=W/masked
Variants: vq|masked[,size=base|large|tiny][,temperature=T][,preset=paper].

--dry_run prints the sets, people, words, shares and passes, and does nothing. MyoArmband gives its
pre-training part alone; any other set that is to be tested later must be left out
(--config.leave_out="('uci_emg','ninapro')"). launch/README.md has the pods. Not yet run at base or large: 20
steps at size tiny on six real and seven invented sets are tests.
"""

from ml_collections import ConfigDict

from configs import common, masked, vq

BATCH = {'tiny': 64, 'base': 2048, 'large': 2048}
# (updates, of which warm-up, peak learning rate); the published rates are for batches of 64 a device
SCHEDULES = {'vq': (50_000, 2_000, 5e-4), 'masked': (200_000, 5_000, 1e-3)}
LEAVE_OUT = (
    'uci_emg/raw',  # the recordings of uci_emg/distinct, with every sample nine times
    'synthetic_emg',  # no recordings
    'cerqueira_fatigue', 'shoulder_mvic')  # shoulder and upper arm: labels are exercises


def get_config(variant=None):
  """The step's own config, for all sets: 16 channels, evenly chosen where there are more."""
  step, _, rest = (variant or 'vq').partition(',')
  if step not in SCHEDULES:
    raise ValueError(f'config variant {variant!r}: got {step!r}, expected one of {sorted(SCHEDULES)}')
  rest = rest if 'size=' in rest else f'{rest},size=base'.lstrip(',')
  rest = rest if 'temperature=' in rest else f'{rest},temperature=2'
  every = f'every_set,channels={common.MIXED_CHANNELS},{rest}'
  job = {'vq': vq, 'masked': masked}[step].get_config(every)
  steps, warmup, rate = SCHEDULES[step]
  job.loop.update(steps=steps, checkpoint_every=1000, log_every=50)
  job.optim.update(learning_rate=rate, warmup_steps=warmup)
  chosen = common.parse(every)
  if step == 'vq' and chosen['preset'] != 'paper':
    job.task.model.bins = vq.COMMON_BINS  # sets differ in what they hear above
  job.batch_size = BATCH[chosen['size']]
  job.in_memory = False
  job.subjects = ('myo_armband:PreTraining/*',)
  return ConfigDict(dict(job=job, leave_out=LEAVE_OUT, num_shards=16))
