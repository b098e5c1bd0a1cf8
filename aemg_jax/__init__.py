"""aemg_jax: EMG foundation models at accelerator scale, from raw recordings to evaluated transfer."""

__version__ = '0.1.0'


def load_pretrained(path):
  """A trained model by its checkpoint or export: see `aemg_jax.serving.load.load_pretrained`."""
  from aemg_jax.serving import load  # here: `import aemg_jax` alone must not import JAX
  return load.load_pretrained(path)
