"""Several views of the same recordings, for example with and without a person's own scale."""

import dataclasses
import os

from aemg_jax.sentences.prepare import prepare
from aemg_jax.sentences.words import PrepareConfig

PREPARED = 'prepared'


@dataclasses.dataclass(frozen=True)
class View:
  """A name, and the settings behind it."""
  name: str
  prepare: PrepareConfig


@dataclasses.dataclass(frozen=True)
class ViewsConfig:
  """Attributes:
    datasets: paths of built datasets below the data directory, e.g. 'myo_armband/1.0.0'.
    views: each becomes workdir/prepared/NAME.
    num_shards: of each view.
  """
  datasets: tuple[str, ...]
  views: tuple[View, ...]
  num_shards: int = 4


def view_path(workdir: str, name: str) -> str:
  """Where a view of a run lies."""
  return os.path.join(workdir, PREPARED, name)


def prepare_views(config: ViewsConfig, data_dir: str, workdir: str) -> None:
  """Prepares every view; one that is already there, made by the same settings, is kept."""
  if len({view.name for view in config.views}) < len(config.views):
    raise ValueError('ViewsConfig.views: two views of one name')
  for view in config.views:
    out = view_path(workdir, view.name)
    os.makedirs(os.path.dirname(out), exist_ok=True)
    prepare([os.path.join(data_dir, name) for name in config.datasets], out, view.prepare,
            config.num_shards)
