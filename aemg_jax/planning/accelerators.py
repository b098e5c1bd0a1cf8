"""Accelerators a job may be planned for. Figures are the makers' published peaks, none measured here."""

import dataclasses

GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Accelerator:
  """One device of a pod.

  Attributes:
    bfloat16_flop_s, float32_flop_s: of matrix products, dense. float32 is what JAX does by default:
      TF32 on NVIDIA, passes of bfloat16 on a TPU.
    memory_bytes, memory_bytes_s: of the device and its bandwidth.
    host_devices: devices joined by the fast links; 0 is all of them (a TPU slice).
    fast_bytes_s: one device's sending over the fast links, in one direction.
    slow_bytes_s: one device's share of the network between hosts, in one direction.
  """
  bfloat16_flop_s: float
  float32_flop_s: float
  memory_bytes: float
  memory_bytes_s: float
  host_devices: int
  fast_bytes_s: float
  slow_bytes_s: float

  def __post_init__(self):
    for field in dataclasses.fields(self):
      if field.name != 'host_devices' and not getattr(self, field.name) > 0:
        raise ValueError(f'Accelerator.{field.name}: got {getattr(self, field.name)}, expected above 0')

  def flop_s(self, dtype: str) -> float:
    return self.bfloat16_flop_s if dtype == 'bfloat16' else self.float32_flop_s

  def link_bytes_s(self, count: int) -> float:
    """Of a ring over `count` devices: its slowest link decides."""
    return self.fast_bytes_s if not self.host_devices or count <= self.host_devices else self.slow_bytes_s


def _gpu(dense: float, tf32: float, gib: float, memory: float, nvlink: float, network: float) -> Accelerator:
  return Accelerator(dense * 1e12, tf32 * 1e12, gib * GIB, memory * 1e12, 8, nvlink * 1e9, network * 1e9)


def _tpu(dense: float, gib: float, memory: float, ici: float) -> Accelerator:
  return Accelerator(dense * 1e12, dense * 1e12, gib * GIB, memory * 1e12, 0, ici * 1e9, ici * 1e9)


# TFLOP/s, GiB, TB/s, GB/s. GPU networks: one 400 Gbit/s port a device (A100: 200). TPU: half of the
# published interconnect bandwidth, which counts both directions.
ACCELERATORS = {
    'a100': _gpu(312, 156, 80, 2.04, 300, 25),
    'h100': _gpu(989, 495, 80, 3.35, 450, 50),
    'h200': _gpu(989, 495, 141, 4.8, 450, 50),
    'tpu-v4': _tpu(275, 32, 1.23, 150),
    'tpu-v5e': _tpu(197, 16, 0.82, 100),
    'tpu-v5p': _tpu(459, 95, 2.77, 300),
    'tpu-v6e': _tpu(918, 32, 1.64, 224),
}


def find(name: str) -> Accelerator:
  """Raises ValueError that lists the known names."""
  if name not in ACCELERATORS:
    raise ValueError(f'--device: got {name!r}, expected one of {", ".join(sorted(ACCELERATORS))}')
  return ACCELERATORS[name]
