"""Readers that a build needs only for some formats."""

import importlib
import types


def reader(package: str, what: str, extra: str = 'formats') -> types.ModuleType:
  """The module of an optional package.

  Args:
    package: its name in the registry; the module's has `_` for `-`, and pyyaml's is yaml.
    what: what is read with it.
    extra: of setup.cfg, where it is listed.

  Raises:
    ValueError: it is not installed; says what to install.
  """
  module = {'pyyaml': 'yaml'}.get(package, package.replace('-', '_'))
  try:
    return importlib.import_module(module)
  except ImportError as error:
    raise ValueError(f'{what}: read with the package {package}, which is not installed,'
                     f" expected pip install {package}, or 'aemg_jax[{extra}]'") from error
