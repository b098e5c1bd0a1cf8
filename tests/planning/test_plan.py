"""The plan's counts against sums by hand, against XLA's own, and as a person sees them."""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aemg_jax.config import section
from aemg_jax.models import layers
from aemg_jax.planning import accelerators, plan, program, table
from aemg_jax.training import jobs, losses, optim
from aemg_jax.training import step as step_lib
from configs import masked, vq

# XLA's CPU compiler hands products and reductions to a library; what was fused around the reductions of the norms
# is then written, and kept for the backward pass (launch/README.md has the numbers).
PLAIN_XLA = {'xla_cpu_experimental_ynn_fusion_type': ''}
WIDE = dict(width=256, layers=2, heads=4, head_dim=64, mlp_dim=1024)
# name -> (config, changes to every stack of blocks)
SIZES = {
    'tiny': (masked, dict(dropout=0.0)),
    'wide': (masked, WIDE | dict(dropout=0.0)),
    'wide, loop': (masked, WIDE | dict(scan=True, dropout=0.0)),
    'wide, loop and all again': (masked, WIDE | dict(layers=4, remat='all', scan=True, dropout=0.0)),
    'wide, loop and some again': (masked, WIDE | dict(layers=4, remat='dots', scan=True, dropout=0.0)),
    'tokeniser': (vq, WIDE | dict(dropout=0.0)),
}


def _blocks(config, changes):
  """The config with other sizes in every stack that has layers."""
  if isinstance(config, layers.BlocksConfig):
    return dataclasses.replace(config, **changes) if config.layers else config
  if not dataclasses.is_dataclass(config):
    return config
  return dataclasses.replace(config, **{f.name: _blocks(getattr(config, f.name), changes)
                                        for f in dataclasses.fields(config)})


@functools.cache
def _job(name='tiny', batch_size=4, **loop):
  module, changes = SIZES[name]
  config = module.get_config('myo_armband,preset=paper').to_dict()
  config['loop'] |= loop
  job = section(jobs.JobConfig, config | {'batch_size': batch_size}, 'config')
  return dataclasses.replace(job, task=_blocks(job.task, changes))


def _lowered(job, task):
  """The train step of one device, as XLA gets it."""
  tx = optim.make_tx(job.optim, job.loop.steps)
  n = job.batch_size

  def step(state, batch):
    return step_lib.update(task, tx, lambda x: x, 1, state, batch, jnp.arange(n, dtype=jnp.int32), n)

  return jax.jit(step, donate_argnums=0).lower(plan.state_shapes(job, task), plan.batch_shapes(job, n))


def test_costs_by_hand():
  """Catches: a loop counted once, a fused array that is given memory, a dead one that still holds it."""
  x, w = jnp.zeros((8, 16)), jnp.zeros((16, 32))

  def once(x, w):
    return ((x * 2 + 1) @ w).sum()

  found = program.cost(jax.make_jaxpr(once)(x, w))
  assert found.flops == 2 * 8 * 16 * 32
  # x * 2 is never written; x * 2 + 1 and the product are, and both are alive at the product
  assert found.peak_bytes == 4 * (8 * 16 + 8 * 32)
  assert found.seconds(1e3, 1e30) == pytest.approx(found.flops / 1e3)
  assert found.seconds(1e30, 1.0) == pytest.approx(4 * (3 * 8 * 16 + 16 * 32 + 2 * 8 * 32 + 1))

  def five_times(x, w):
    return jax.lax.scan(lambda s, _: (s + once(x, w), None), 0.0, None, 5)

  looped = program.cost(jax.make_jaxpr(five_times)(x, w))
  assert looped.flops == 5 * found.flops
  assert found.peak_bytes <= looped.peak_bytes <= found.peak_bytes + 16


def test_products_of_bfloat16_take_half_the_memory():
  """Catches: a plan for a pod with the float32 copies in which a CPU multiplies bfloat16."""
  x, y = jnp.zeros((8, 16), jnp.bfloat16), jnp.zeros((16, 32), jnp.bfloat16)
  wide = lambda x, y: jnp.dot(x.astype(jnp.float32), y.astype(jnp.float32))
  asked = lambda x, y: jnp.dot(x, y, preferred_element_type=jnp.float32)
  chain = lambda dot: program.cost(jax.make_jaxpr(lambda x, y: dot(x, y).astype(jnp.bfloat16) * 2)(x, y))
  plain = program.cost(jax.make_jaxpr(lambda x, y: jnp.dot(x, y) * 2)(x, y))
  assert plain.peak_bytes == 2 * 8 * 32
  for dot in (wide, asked):
    assert chain(dot)._replace(elementwise=0) == plain._replace(elementwise=0)
  kept = program.cost(jax.make_jaxpr(asked)(x, y))
  assert kept.peak_bytes == 4 * 8 * 32  # a result in float32 stays that


@pytest.mark.heavy
@pytest.mark.parametrize('name', ['tiny', 'wide', 'tokeniser'])
def test_flops_are_xla_s(name, monkeypatch):
  """Catches: a product that is not counted or counted twice. XLA counts the elementwise operations too."""
  cost, analysis = _both_flops(_job(name), 1024, monkeypatch)
  assert cost.flops + cost.elementwise == pytest.approx(analysis['flops'], rel=0.02)
  assert cost.elementwise < 0.06 * cost.flops


def _both_flops(job, codes, monkeypatch):
  """(ours, XLA's) of a step of four sentences in which nothing loops."""
  monkeypatch.setattr(losses, 'CPU_LOGITS', 2**40)  # one stretch of words: XLA counts a loop once
  task = plan.without_remat(plan.planned_task(job, codes))
  cost, _ = plan.trace(task, plan.state_shapes(job, task), plan.batch_shapes(job, 4))
  return cost, _lowered(job, task).cost_analysis()


@pytest.mark.slow
@pytest.mark.parametrize('size', ['base', 'large'])
@pytest.mark.parametrize('preset', ['default', 'paper'])
@pytest.mark.parametrize('module', [vq, masked])
def test_flops_of_the_full_sizes_are_xla_s(module, preset, size, monkeypatch):
  """Catches: what only the configs have (dropout, slots, the frozen tokeniser) left out of the count. Products
  alone, which MFU counts, are within 5 % of all that XLA counts."""
  config = module.get_config(f'myo_armband,preset={preset},size={size},channels=16').to_dict()
  job = section(jobs.JobConfig, config | {'batch_size': 4}, 'config')
  cost, analysis = _both_flops(job, 8192, monkeypatch)
  assert cost.flops == pytest.approx(analysis['flops'], rel=0.05)
  assert cost.flops + cost.elementwise == pytest.approx(analysis['flops'], rel=0.02)


@pytest.mark.heavy
@pytest.mark.parametrize('name', SIZES)
def test_memory_is_xla_s(name):
  """Catches: activations of another size or lifetime, above all under recomputation."""
  job = _job(name)
  task = plan.planned_task(job, 1024)
  begin, batch = plan.state_shapes(job, task), plan.batch_shapes(job, 4)
  cost, _ = plan.trace(task, begin, batch)
  found = _lowered(job, task).compile(compiler_options=PLAIN_XLA).memory_analysis()
  assert cost.peak_bytes == pytest.approx(found.temp_size_in_bytes, rel=0.15)
  planned = plan.tree_bytes((begin, batch)) + cost.peak_bytes
  whole = found.argument_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
  assert planned == pytest.approx(whole + found.temp_size_in_bytes, rel=0.15)


@pytest.mark.heavy
def test_bytes_on_the_wire_are_those_of_the_compiled_step():
  """Catches: a statistic that is summed over devices and not in the plan."""
  from aemg_jax.training import parallel
  job = _job('tiny', 8)
  task = plan.planned_task(job, 16)
  tx = optim.make_tx(job.optim, job.loop.steps)
  begin, batch = plan.state_shapes(job, task), plan.batch_shapes(job, 8)
  shards = jax.tree.map(lambda x: jax.ShapeDtypeStruct((8, 1, *x.shape[1:]), x.dtype), batch)
  text = parallel.train_step(task, tx).lower(begin, shards).as_text()
  summed = 0
  for reduce in re.findall(r'"stablehlo.all_reduce".*?\}\) : \((.*?)\) ->', text, re.DOTALL):
    for shape in re.findall(r'tensor<([\dx]*)f32>', reduce):
      summed += 4 * int(np.prod([int(x) for x in shape.split('x') if x]))
  _, stats = plan.trace(task, begin, plan.batch_shapes(job, 1))
  wire = plan.wire_bytes(plan.tree_bytes(begin.params), stats, 8, 8)
  assert wire['pmap'] == pytest.approx(2 * 7 / 8 * summed, rel=0.01)


def test_bytes_on_the_wire_by_hand():
  """Catches: a ring that sends everything, a group of all devices that still sums between groups."""
  assert plan.wire_bytes(1000, 24, 1, 1) == {'pmap': 0.0, 'fsdp': 0.0}
  assert plan.wire_bytes(1000, 24, 4, 4) == {'pmap': 1536.0, 'fsdp': 2250.0 + 36.0}
  assert plan.wire_bytes(1000, 0, 4, 2)['fsdp'] == 3 * 500 + 2 * 0.5 * 500


@pytest.mark.heavy
def test_a_plan_adds_up_and_is_readable():
  """Catches: a state that is not shared out under fsdp, microbatches that cost no time, a wrong unit."""
  pod = plan.PodConfig('h100', 4, hours=10.0, epochs=2.0, codes=64)
  one, split = _job('tiny', 16), _job('tiny', 16, microbatches=2, parallel='fsdp')
  found, parts = plan.make_plan(one, pod), plan.make_plan(split, pod)
  assert parts.model_flops == pytest.approx(found.model_flops)
  assert parts.step.peak_bytes < found.step.peak_bytes
  state = sum(found.state_bytes.values())
  assert found.held_bytes['pmap'] - found.held_bytes['fsdp'] == pytest.approx(0.75 * state)
  assert found.step_s('pmap') > found.wire_s['pmap'] == pytest.approx(found.wire_bytes['pmap'] / 450e9)
  slow = plan.make_plan(one, dataclasses.replace(pod, flop_s=1e9))
  assert slow.compute_s == pytest.approx(slow.step.flops / 1e9, rel=0.2) and slow.mfu['pmap'] > 0.8
  text = table.lines(found, one, pod)
  # 10 h x 2 of 8 electrodes with a word each 0.25 s
  assert '2.3e+06 words' in text and f'{found.parameters / 1e6:.2f} M' in text and 'fits' in text
  assert all(len(line) <= 120 for line in text.splitlines())


def test_what_cannot_be_planned_is_said():
  """Catches: a batch that no pod could split, an unknown device, an open number of channels."""
  with pytest.raises(ValueError, match='batch_size: got 4, expected a multiple of 256 devices'):
    plan.make_plan(_job(), plan.PodConfig(count=256))
  with pytest.raises(ValueError, match="--device: got 'h1000', expected one of a100"):
    plan.PodConfig('h1000').accelerator()
  with pytest.raises(ValueError, match='--fill'):
    plan.PodConfig(fill=0.0)
  with pytest.raises(ValueError, match='channels=16'):
    any_set = masked.get_config('uci_emg').to_dict()
    plan.make_plan(section(jobs.JobConfig, any_set, 'config'), plan.PodConfig())
  assert accelerators.find('tpu-v5e').link_bytes_s(256) == 100e9
  assert accelerators.find('h100').link_bytes_s(8) > accelerators.find('h100').link_bytes_s(9)
