"""Fixtures of the builders' tests."""

from collections.abc import Callable
import os
import pathlib

import pytest


@pytest.fixture(scope='session')
def real_archive() -> Callable[[str], str]:
  """Name of an archive of real recordings -> its path. Skips, visibly, where none are at hand."""
  if 'AEMG_RAW_DIR' not in os.environ:
    pytest.skip('AEMG_RAW_DIR is not set: no real recordings')
  return lambda name: str(pathlib.Path(os.environ['AEMG_RAW_DIR']) / name)
