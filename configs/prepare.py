"""Sentences of a dataset, with each session's own scale and with the device's fixed scale.

aemg prepare --config=configs/prepare.py:myo_armband --data_dir=D --workdir=W
aemg prepare --config=configs/prepare.py:myo_armband+uci_emg/distinct+ninapro/db1 --data_dir=D --workdir=W
Variants: SET[+SET...][,preset=paper][,channels=C]; a set is a folder of D, as NAME or NAME/CONFIG.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(variant=None):
  """View 'session' feeds pre-training, view 'fixed' the strictly inductive rows."""
  chosen = common.parse(variant)
  views = [dict(name=scale, prepare=common.prepare(chosen, scale)) for scale in ('session', 'fixed')]
  return ConfigDict(dict(datasets=common.paths(chosen), views=views))
