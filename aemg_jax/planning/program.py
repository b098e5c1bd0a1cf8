"""Operations, memory and traffic of a traced program, read from its jaxpr.

The compiler is imitated in five rules. What is computed twice alike is computed once. An elementwise
operation is fused into what reads it, and is written to memory only where a product, a gather or a
loop reads it, or where it is dear (an exponential) and read more than once. A value lives from its
making to its last reader, those readers included that read it through fused operations. A fused
operation may write over an operand that dies there. A product reads and writes the narrow type where its
operand is widened for it or its result is narrowed: a CPU's way to multiply bfloat16, which no accelerator needs.
"""

import math
from typing import NamedTuple

import jax
from jax.extend import core

ALIASES = {'reshape', 'squeeze', 'expand_dims', 'copy', 'copy_p', 'optimization_barrier', 'pvary', 'name',
           'sharding_constraint'}
DEAR = {'exp', 'log', 'log1p', 'tanh', 'logistic', 'erf', 'rsqrt', 'sqrt', 'div', 'pow', 'cos', 'sin'}
MOVES = {'broadcast_in_dim', 'transpose', 'slice', 'dynamic_slice', 'iota', 'pad', 'rev', 'split', 'bitcast_convert_type',
         'stop_gradient', 'random_seed'}
# What no fusion goes through; reductions take fused operands but write their result.
APART = {'dot_general', 'conv_general_dilated', 'gather', 'scatter', 'scatter-add', 'scatter_add', 'sort',
         'concatenate', 'dynamic_update_slice', 'cumsum', 'top_k', 'scan', 'while', 'cond', 'random_bits',
         'threefry2x32', 'random_fold_in', 'random_split', 'random_wrap', 'random_unwrap', 'fft'}
RECOMPUTED = {'checkpoint', 'remat', 'remat2'}
LOOPS = {'scan', 'while', 'cond'}
REDUCTIONS = {'reduce_sum', 'reduce_max', 'reduce_min', 'reduce_and', 'reduce_or', 'argmax', 'argmin',
              'reduce_prod'}


class Cost(NamedTuple):
  """Of one run of a program.

  Attributes:
    flops: of matrix products and convolutions, a multiply-add counted as two.
    peak_bytes: most that values made by the program (its results included) hold at once.
    largest: [(bytes, shape, dtype), ...] of the values alive then, the largest first.
    ops: [(flops, bytes read and written), ...] of each operation that touches memory.
    elementwise: arithmetic outside of products, one for each element made or summed; transcendental
      functions are not in it. It hides behind the traffic of `ops`.
  """
  flops: float
  peak_bytes: int
  largest: list[tuple[int, tuple, str]]
  ops: list[tuple[float, float]]
  elementwise: float

  def seconds(self, flop_s: float, memory_bytes_s: float) -> float:
    """Roofline, operation by operation: each takes the longer of its arithmetic and its traffic."""
    return sum(max(flops / flop_s, moved / memory_bytes_s) for flops, moved in self.ops)


class _Op(NamedTuple):
  name: str
  ins: tuple[int, ...]
  outs: tuple[int, ...]
  flops: float
  elementwise: float
  inner: Cost | None
  times: int


def cost(closed: core.ClosedJaxpr) -> Cost:
  """Cost of a program traced with `jax.make_jaxpr`; loops count as often as they run."""
  values: list = []
  ops: list[_Op] = []
  known: dict = {}
  inputs = [_new(values, v.aval) for v in (*closed.jaxpr.constvars, *closed.jaxpr.invars)]
  env = dict(zip((*closed.jaxpr.constvars, *closed.jaxpr.invars), inputs))
  _inline(closed.jaxpr, env, ops, values, known)
  results = [env[v] for v in closed.jaxpr.outvars if not isinstance(v, core.Literal)]
  return _simulate(_narrow(ops, values, set(results)), values, set(inputs), set(results))


def _new(values: list, aval) -> int:
  values.append(aval)
  return len(values) - 1


def _inline(jaxpr: core.Jaxpr, env: dict, ops: list[_Op], values: list, known: dict) -> None:
  """Appends the operations of a jaxpr, those of its calls in their place.

  `env` has the value of each variable, `known` the results of each operation so far.
  """
  for eqn in jaxpr.eqns:
    name = eqn.primitive.name
    ins = tuple(env[v] for v in eqn.invars if not isinstance(v, core.Literal))
    inner = _called(eqn)
    if inner is not None:
      constants, body = inner
      operands = [None if isinstance(v, core.Literal) else env[v] for v in eqn.invars]
      operands = operands[len(operands) - len(body.invars):]
      operands = [_new(values, v.aval) if i is None else i for i, v in zip(operands, body.invars)]
      names = dict(zip(body.invars, operands))
      names |= {v: _new(values, v.aval) for v in constants}
      # what `jax.checkpoint` computes again is kept apart from the first time
      _inline(body, names, ops, values, {} if name in RECOMPUTED else known)
      for out, v in zip(eqn.outvars, body.outvars):
        env[out] = _new(values, v.aval) if isinstance(v, core.Literal) else names[v]
    elif name in ALIASES and len(ins) == len(eqn.outvars):
      env |= dict(zip(eqn.outvars, ins))
    else:
      alike = (name, tuple(str(v) if isinstance(v, core.Literal) else env[v] for v in eqn.invars),
               str(eqn.params) if name not in LOOPS else id(eqn))
      if alike not in known:
        known[alike] = tuple(_new(values, v.aval) for v in eqn.outvars)
        ops.append(_Op(name, ins, known[alike], _flops(eqn), _elementwise(eqn), *_loop(eqn)))
      env |= dict(zip(eqn.outvars, known[alike]))


def _narrow(ops: list[_Op], values: list, results: set[int]) -> list[_Op]:
  """The operations with products of the narrow type, see above."""
  made, readers = {}, {}
  for op in ops:
    made |= dict.fromkeys(op.outs, op)
    for value in op.ins:
      readers.setdefault(value, []).append(op)
  narrower = lambda a, b: _bytes(values[a]) < _bytes(values[b])
  is_cast = lambda op: op is not None and op.name == 'convert_element_type'
  source, target = {}, {}
  for op in ops:
    if op.name == 'dot_general':
      out, read = op.outs[0], readers[op.outs[0]] if op.outs[0] in readers else []
      source |= {i: made[i].ins[0] for i in op.ins
                 if i in made and is_cast(made[i]) and narrower(made[i].ins[0], i)}
      if len(read) == 1 and is_cast(read[0]) and out not in results and narrower(read[0].outs[0], out):
        target[out] = read[0].outs[0]
  gone, found = set(target.values()), []
  for op in ops:
    if op.name == 'dot_general':
      op = op._replace(ins=tuple(source[i] if i in source else i for i in op.ins),
                       outs=tuple(target[o] if o in target else o for o in op.outs))
      found.append(op)
    elif not (is_cast(op) and op.outs[0] in gone):
      found.append(op)
  return found


def _called(eqn):
  """(constant variables, body) of a call that runs once, or None."""
  for key in ('jaxpr', 'call_jaxpr', 'fun_jaxpr'):
    body = eqn.params.get(key)
    if body is not None and eqn.primitive.name not in LOOPS:
      body = getattr(body, 'jaxpr', body)
      return body.constvars, body
  return None


def _loop(eqn) -> tuple[Cost | None, int]:
  name = eqn.primitive.name
  if name == 'scan':
    return cost(eqn.params['jaxpr']), eqn.params['length']
  if name == 'while':  # how often is not known: once
    return cost(eqn.params['body_jaxpr']), 1
  if name == 'cond':
    return max(map(cost, eqn.params['branches']), key=lambda c: c.flops), 1
  return None, 1


def _flops(eqn) -> float:
  if eqn.primitive.name == 'dot_general':
    (contracted, _), _ = eqn.params['dimension_numbers']
    shape = eqn.invars[0].aval.shape
    return 2.0 * math.prod(eqn.outvars[0].aval.shape) * math.prod(shape[i] for i in contracted)
  if eqn.primitive.name == 'conv_general_dilated':
    kernel = eqn.invars[1].aval.shape
    out_features = kernel[eqn.params['dimension_numbers'].rhs_spec[0]]
    return 2.0 * math.prod(eqn.outvars[0].aval.shape) * math.prod(kernel) / out_features
  return 0.0


def _elementwise(eqn) -> float:
  name = eqn.primitive.name
  if name in REDUCTIONS:
    return float(math.prod(eqn.invars[0].aval.shape))
  if name in APART or name in MOVES or name in DEAR - {'div'}:
    return 0.0
  return float(sum(math.prod(v.aval.shape) for v in eqn.outvars if hasattr(v.aval, 'shape')))


def _fused(op: _Op) -> bool:
  return op.name not in APART and op.name not in REDUCTIONS


def _bytes(aval) -> int:
  dtype = getattr(aval, 'dtype', None)
  if dtype is None:
    return 0
  size = 8 if jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key) else dtype.itemsize
  return math.prod(aval.shape) * size


def _simulate(ops: list[_Op], values: list, inputs: set[int], results: set[int]) -> Cost:
  written = _written(ops, results)
  sources = _sources(ops, written | inputs)
  last = _last_use(ops, sources, written, results)
  dying: dict[int, list[int]] = {}
  for value, time in last.items():
    if value not in inputs:
      dying.setdefault(time, []).append(value)
  alive, held, peak, at_peak, costs = set(), 0, 0, set(), []
  for time, op in enumerate(ops):
    made = [v for v in op.outs if v in written and last.get(v, -1) >= time]
    dead = [v for v in dying.get(time, ()) if v in alive]
    over = dead if _fused(op) else []
    alive.difference_update(over)
    held += sum(_bytes(values[v]) for v in made) - sum(_bytes(values[v]) for v in over)
    alive.update(made)
    inside = op.inner.peak_bytes if op.inner else 0
    if held + inside > peak:
      peak, at_peak = held + inside, set(alive)
    late = [v for v in dying.get(time, ()) if v in alive]
    alive.difference_update(late)
    held -= sum(_bytes(values[v]) for v in late)
    if op.inner:
      costs += [(f * op.times, m * op.times) for f, m in op.inner.ops]
    elif made or op.flops:
      touched = set(made).union(*(sources.get(i, {i}) for i in op.ins))
      costs.append((op.flops, float(sum(_bytes(values[v]) for v in touched))))
  described = ((_bytes(values[v]), values[v].shape, str(values[v].dtype)) for v in at_peak)
  flops = sum(op.times * op.inner.flops if op.inner else op.flops for op in ops)
  elementwise = sum(op.times * op.inner.elementwise if op.inner else op.elementwise for op in ops)
  return Cost(flops, peak, sorted(described, reverse=True), costs, elementwise)


def _written(ops: list[_Op], results: set[int]) -> set[int]:
  """Values that reach memory."""
  readers: dict[int, list[_Op]] = {}
  for op in ops:
    for value in op.ins:
      readers.setdefault(value, []).append(op)
  written = set(results)
  for op in ops:
    for value in op.outs:
      read = readers.get(value, ())
      if read and (not _fused(op) or any(r.name in APART for r in read)
                   or (op.name in DEAR and len(read) > 1)):
        written.add(value)
  return written


def _sources(ops: list[_Op], written: set[int]) -> dict[int, set[int]]:
  """For each value, the written ones that it is computed from when it is read (itself, if written)."""
  found: dict[int, set[int]] = {v: {v} for v in written}
  for op in ops:
    for value in op.outs:
      if value not in written:
        found[value] = set().union(*(found.get(i, ()) for i in op.ins))
  return found


def _last_use(ops, sources, written, results) -> dict[int, int]:
  last: dict[int, int] = {}
  for time, op in enumerate(ops):
    if _fused(op) and not any(v in written for v in op.outs):
      continue  # its reader reads for it
    for value in op.ins:
      for source in sources.get(value, (value,)):
        last[source] = time
    for value in op.outs:
      last.setdefault(value, -1)
  for value in results:
    last[value] = len(ops)
  return last
