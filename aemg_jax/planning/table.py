"""A plan as a plain table."""

from aemg_jax.planning.plan import Plan, PodConfig, compute_dtype
from aemg_jax.training import jobs

SHAPES = 5  # largest activations that are listed


def lines(plan: Plan, job: jobs.JobConfig, pod: PodConfig) -> str:
  """What a person wants to know before asking for a pod; one fact a line."""
  device, layout = pod.accelerator(), job.loop.parallel
  dtype = compute_dtype(job.task)
  flop_s = device.flop_s(dtype)
  step_s = plan.step_s(layout)
  words = pod.fill * plan.words * pod.count
  held = plan.held_bytes[layout]
  room = 'fits' if held <= 0.9 * device.memory_bytes else 'DOES NOT FIT, with a tenth for the system'
  rows = [
      ('job', f'{type(job.task).__name__}, {layout}, {dtype}, {pod.count} x {pod.device}'),
      ('parameters', f'{plan.parameters / 1e6:.2f} M'),
      ('batch', f'{job.batch_size} sentences: {plan.rows} a device in {job.loop.microbatches} part(s), '
                f'{plan.words:,} words ({pod.fill:.0%} filled)'),
      ('products', f'{plan.model_flops / plan.words / 1e6:.1f} MFLOP a word and step, '
                   f'{plan.step.flops * job.loop.microbatches / plan.words / 1e6:.1f} with recomputation'),
      ('attention', 'scores in memory; flash attention on a GPU needs less memory and time than this'),
      ('', ''), ('memory of a device', ''),
      *((f'  {name}', _size(size)) for name, size in plan.state_bytes.items()),
      ('  batch', _size(plan.batch_bytes)),
      ('  activations, gradients', f'{_size(plan.step.peak_bytes)} at the peak, of it'),
      *((f'    {dtype} {"x".join(map(str, shape))}', f'{count} x {_size(size)}')
        for size, shape, dtype, count in _grouped(plan)),
      *((f'  in all, {name}', _size(size)) for name, size in plan.held_bytes.items()),
      ('  device has', f'{_size(device.memory_bytes)}: {layout} {room}'),
      ('', ''), ('time of a step', f'products at {flop_s / 1e12:.0f} TFLOP/s, memory at '
                 f'{device.memory_bytes_s / 1e12:.2f} TB/s, links at '
                 f'{device.link_bytes_s(pod.count) / 1e9:.0f} GB/s, nothing overlapped'),
      ('  computing', f'{plan.compute_s * 1e3:.2f} ms'),
      *((f'  sending, {name}', f'{_size(size)} = {plan.wire_s[name] * 1e3:.2f} ms')
        for name, size in plan.wire_bytes.items()),
      *((f'  step and MFU, {name}', f'{plan.step_s(name) * 1e3:.2f} ms, {plan.mfu[name]:.1%}')
        for name in plan.wire_bytes),
      ('', ''), ('words', f'{words / step_s:,.0f} a second on {pod.count} devices ({layout})'),
      ('data', f'{pod.hours:g} hours x {pod.epochs:g} epochs = {total_words(job, pod):.3g} words, '
               f'{total_words(job, pod) / words:,.0f} steps'),
      ('duration', _duration(total_words(job, pod) / words * step_s)),
  ]
  width = max(len(name) for name, _ in rows) + 2
  return '\n'.join(f'{name:<{width}}{value}'.rstrip() for name, value in rows) + '\n'


def total_words(job: jobs.JobConfig, pod: PodConfig) -> float:
  """Words in all epochs: each electrode of the grid emits one a slot, of those that are filled."""
  slot_s = job.prepare.word.slot_samples / job.prepare.rectify.rate_hz
  return pod.epochs * pod.hours * 3600 / slot_s * job.prepare.sentence.max_channels * pod.fill


def _grouped(plan: Plan) -> list[tuple[int, tuple, str, int]]:
  counts: dict[tuple, int] = {}
  for value in plan.step.largest:
    counts[value] = counts.get(value, 0) + 1
  order = sorted(counts, key=lambda value: -value[0] * counts[value])[:SHAPES]
  return [(*value, counts[value]) for value in order]


def _size(size: float) -> str:
  for unit, scale in (('GB', 1e9), ('MB', 1e6)):
    if size >= scale:
      return f'{size / scale:.2f} {unit}'
  return f'{size / 1e3:.1f} kB'


def _duration(seconds: float) -> str:
  return f'{seconds / 86400:.2f} days' if seconds >= 86400 else f'{seconds / 3600:.2f} hours'
