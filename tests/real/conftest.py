"""Sets built from the raw recordings in AEMG_RAW_DIR, once for all tests of this folder."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope='session')
def build(tmp_path_factory):
  """(builder's name, archive in AEMG_RAW_DIR) -> data directory that holds the built set."""
  if 'AEMG_RAW_DIR' not in os.environ:
    pytest.skip('AEMG_RAW_DIR is not set, expected the folder of the raw recordings')
  data_dir = tmp_path_factory.mktemp('built')

  def run(name: str, archive: str) -> pathlib.Path:
    raw = os.path.join(os.environ['AEMG_RAW_DIR'], archive)
    if not (data_dir / name).exists():
      subprocess.run([sys.executable, '-m', 'data_builders.build', name, '--raw', raw,
                      '--data_dir', str(data_dir), '--workers', '2'], cwd=ROOT, check=True)
    return data_dir

  return run
