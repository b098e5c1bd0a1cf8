"""Wavelet approximations of one window, every level alone, as constant matrices.

Level l of Long & Yang ("Deep Learning-Based Fatigue Detection Using Kinematic Information from
Videos", eq. 6) keeps what a decomposition to depth l leaves as approximation: `wavedec` to depth l,
details zeroed, `waverec`. That is linear in the window, so PyWavelets runs once, on the identity,
and an accelerator needs one product. Letters: l level, t and s sample, f feature.

Differs from paper: eq. 6 as printed sums the nested approximations; here each stands alone. Not
`pywt.upcoef`, whose cut to the window's length is late by samples from level 3 on.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pywt


@dataclasses.dataclass(frozen=True)
class WaveletConfig:
  """Approximations A1..A`levels` of a window.

  Attributes:
    wavelet: PyWavelets' name; 'db4' is the Daubechies wavelet of 8 taps ('db8' has 16).
    levels: at most what PyWavelets finds sensible for the window, 6 for 450 samples.
    mode: PyWavelets' extension of the signal beyond the window.
  """
  wavelet: str = 'db4'
  levels: int = 6
  mode: str = 'symmetric'


def matrices(n_samples: int, config: WaveletConfig = WaveletConfig()) -> np.ndarray:
  """Approximations of a window as matrices, one a level: A_l(x) = matrix_lts[l - 1] @ x.

  Returns:
    [levels, n_samples, n_samples] float64, computed once per argument and read-only.

  Raises:
    ValueError: for an unknown wavelet or mode, and for more levels than the window has room for.
  """
  return _matrices(n_samples, config)


def approximations(window_tf: jax.Array, matrix_lts: jax.Array | np.ndarray) -> jax.Array:
  """All levels of all features.

  Args:
    window_tf: [..., T, F] of one window each: samples outside of it play no part. float32 is good to
      1e-6 (1 + |value|) for z-scored features; it loses digits to an offset.
    matrix_lts: [L, T, T] of `matrices`. Pass it to a jitted function as an argument: closed over, it
      is compiled into the program.

  Returns:
    [..., T, F, L] in the window's dtype; upper band edges are rate / 2 ** (l + 1).
  """
  if matrix_lts.shape[-1] != window_tf.shape[-2]:
    raise ValueError(f'window_tf: got {window_tf.shape[-2]} samples, '
                     f'expected {matrix_lts.shape[-1]} as the matrices')
  out_ltf = jnp.einsum('lts,...sf->...ltf', jnp.asarray(matrix_lts, window_tf.dtype), window_tf,
                       precision=jax.lax.Precision.HIGHEST)  # TF32 or bfloat16 would lose 3 digits
  return jnp.moveaxis(out_ltf, -3, -1)


@functools.lru_cache(maxsize=8)
def _matrices(n_samples: int, config: WaveletConfig) -> np.ndarray:
  if config.wavelet not in pywt.wavelist(kind='discrete'):
    raise ValueError(f'wavelet: got {config.wavelet!r}, expected one of {pywt.wavelist(kind="discrete")}')
  if config.mode not in pywt.Modes.modes:
    raise ValueError(f'mode: got {config.mode!r}, expected one of {pywt.Modes.modes}')
  most = pywt.dwt_max_level(n_samples, config.wavelet)
  if not 1 <= config.levels <= most:
    raise ValueError(f'levels: got {config.levels}, expected 1 to {most} for {n_samples} samples of '
                     f'{config.wavelet}')
  identity = np.eye(n_samples)
  matrix_lts = np.stack([_approximation(identity, level, config) for level in range(1, config.levels + 1)])
  matrix_lts.flags.writeable = False
  return matrix_lts


def _approximation(signal_tf: np.ndarray, level: int, config: WaveletConfig) -> np.ndarray:
  """What PyWavelets leaves of [T, F] when the details of levels 1..`level` are zeroed."""
  coarse, *details = pywt.wavedec(signal_tf, config.wavelet, config.mode, level, axis=0)
  kept = [coarse] + [np.zeros_like(detail) for detail in details]
  return pywt.waverec(kept, config.wavelet, config.mode, axis=0)[:len(signal_tf)]
