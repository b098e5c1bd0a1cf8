"""aemg_jax: EMG foundation models at accelerator scale, from raw recordings to evaluated transfer."""

__version__ = '0.1.0'
