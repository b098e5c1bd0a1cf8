"""Ways to compute the same blocks: dtype, loop over layers, recomputation, attention by backend."""

import collections
import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aemg_jax.models import layers, norms, products, quantiser

PLAIN = layers.BlocksConfig(width=16, layers=3, heads=2, head_dim=8, mlp_dim=24, dropout=0.1)
WAYS = [dict(scan=True), dict(remat='all'), dict(remat='dots'), dict(scan=True, remat='all'),
        dict(scan=True, remat='dots')]


@functools.cache
def _inputs():
  rng = np.random.default_rng(0)
  tok_bnd = jnp.asarray(rng.normal(size=(2, 5, 16)), jnp.float32)
  valid_bn = jnp.asarray([[1, 1, 0, 1, 1], [1, 0, 0, 0, 0]], bool)
  return tok_bnd, valid_bn, jax.random.split(jax.random.key(1), 2)


@functools.cache
def _params():
  params = jax.jit(layers.Blocks(PLAIN).init)(jax.random.key(0), *_inputs())
  return jax.tree.map(lambda x: x + 0.1 * jax.random.normal(jax.random.key(2), x.shape), params)


def _loss(config, params):
  tok_bnd, valid_bn, keys_b = _inputs()
  out_bnd = layers.Blocks(config).apply(params, tok_bnd, valid_bn, keys_b)
  out_bnd = jnp.where(valid_bn[..., None], out_bnd.astype(jnp.float32), 0.0)
  return jnp.sum(out_bnd**2 * jnp.arange(16.0)[None, None])


@functools.cache
def _value_and_grad(config):
  return jax.jit(jax.value_and_grad(functools.partial(_loss, config)))(_params())


def _operations(jaxpr, counts=None):
  """{primitive: how often it is written down}, calls and loop bodies included once."""
  counts = collections.Counter() if counts is None else counts
  for eqn in jaxpr.eqns:
    counts[eqn.primitive.name] += 1
    for value in eqn.params.values():
      if hasattr(getattr(value, 'jaxpr', value), 'eqns'):
        _operations(getattr(value, 'jaxpr', value), counts)
  return counts


def _written(config):
  return _operations(jax.make_jaxpr(jax.grad(functools.partial(_loss, config)))(_params()).jaxpr)


@pytest.mark.heavy
@pytest.mark.parametrize('way', WAYS, ids=str)
def test_loop_and_recomputation_change_no_number(way):
  """Catches: layers in another order, dropout of one layer used for all, parameters of another name."""
  config = dataclasses.replace(PLAIN, **way)
  init = lambda c: jax.eval_shape(layers.Blocks(c).init, jax.random.key(0), *_inputs())
  shapes = lambda c: jax.tree.map(jnp.shape, init(c))
  assert shapes(config) == shapes(PLAIN)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4),
               _value_and_grad(config), _value_and_grad(PLAIN))


@pytest.mark.heavy
def test_recomputation_and_loop_are_there():
  """Catches: a setting that is read and does nothing, whose results are then equal for no reason."""
  plain, all_, dots = (_written(dataclasses.replace(PLAIN, remat=r)) for r in ('none', 'all', 'dots'))
  looped = _written(dataclasses.replace(PLAIN, scan=True))
  products = lambda counts: counts['dot_general']
  # a block has 8 products (q, k, v, scores, weights, out, 2 of the MLP), of which 2 are of activations
  assert products(all_) >= products(plain) + 3 * 6
  assert products(plain) < products(dots) <= products(plain) + 3 * 2
  assert looped['scan'] >= 2 and products(looped) == products(plain) / 3
  assert plain['scan'] == 0


@pytest.mark.heavy
def test_bfloat16_computes_in_bfloat16_with_float32_parameters():
  """Catches: products left in float32, backward above all, or parameters, gradients and sums in bfloat16."""
  config = dataclasses.replace(PLAIN, dtype='bfloat16', dropout=0.0)
  loss = functools.partial(_loss, config)
  jaxpr = jax.make_jaxpr(jax.grad(loss))(_params()).jaxpr
  products = [eqn for eqn in _flat(jaxpr) if eqn.primitive.name == 'dot_general']
  linear = [eqn for eqn in products if all(v.aval.ndim == 2 for v in eqn.invars)]
  # 6 products with parameters in a block, each with two in its gradient; attention's have batches
  assert len(linear) == 3 * 6 * PLAIN.layers and len(products) - len(linear) == 3 * 2 * PLAIN.layers
  assert {v.aval.dtype.name for eqn in linear for v in eqn.invars} == {'bfloat16'}
  assert {v.aval.dtype.name for eqn in products for v in eqn.outvars} == {'float32'}
  value, grads = _value_and_grad(config)
  assert {x.dtype.name for x in jax.tree.leaves(grads)} == {'float32'}
  exact_value, exact = _value_and_grad(dataclasses.replace(PLAIN, dropout=0.0))
  assert float(value) == pytest.approx(float(exact_value), rel=0.03)
  a, b = (jnp.concatenate([x.ravel() for x in jax.tree.leaves(g)]) for g in (grads, exact))
  assert float(a @ b / jnp.linalg.norm(a) / jnp.linalg.norm(b)) > 0.99
  assert not np.array_equal(a, b)


@pytest.mark.heavy
@pytest.mark.parametrize('features, axes, use_bias', [((7,), 1, True), ((2, 3), 1, False), ((5,), 2, True)])
def test_dense_is_flax_s(features, axes, use_bias):
  """Catches: other parameters from the same key, a bias of the wrong axis, a wrong gradient by hand."""
  flax = nn.DenseGeneral(features, axis=tuple(range(-axes, 0)), use_bias=use_bias)
  x = jax.random.normal(jax.random.key(0), (2, 3, 4, 6))
  params = jax.jit(flax.init)(jax.random.key(1), x)
  ours = lambda dtype: products.Dense(features, axes, use_bias, dtype)
  jax.tree.map(np.testing.assert_array_equal, jax.jit(ours('float32').init)(jax.random.key(1), x), params)
  params = jax.tree.map(lambda p: p + jax.random.normal(jax.random.key(2), p.shape), params)
  both = lambda m: jax.jit(jax.value_and_grad(lambda p, x: (m.apply(p, x).astype(jnp.float32)**2).mean(),
                                              (0, 1)))(params, x)
  near = lambda tol: lambda a, b: np.testing.assert_allclose(a, b, rtol=tol, atol=tol)
  jax.tree.map(near(2e-5), both(ours('float32')), both(flax))
  jax.tree.map(near(0.05), both(ours('bfloat16')), both(flax))
  kernel = both(ours('bfloat16'))[1][0]['params']['kernel']
  assert not np.array_equal(kernel, kernel.astype(jnp.bfloat16))  # nowhere rounded to bfloat16


def _flat(jaxpr):
  for eqn in jaxpr.eqns:
    yield eqn
    for value in eqn.params.values():
      if hasattr(getattr(value, 'jaxpr', value), 'eqns'):
        yield from _flat(getattr(value, 'jaxpr', value))


def _attention_inputs(dtype, n=7, m=9, d=8):
  rng = np.random.default_rng(3)
  q, k, v = (jnp.asarray(rng.normal(size=(2, size, 3, d)), dtype) for size in (n, m, m))
  valid_bm = jnp.asarray(rng.random((2, m)) < 0.6).at[:, 0].set(True)
  return q, k, v, valid_bm


@pytest.mark.heavy
def test_einsum_attention_is_the_library_s():
  """Catches: a wrong scale, a masked key that is attended, a sum over queries instead of keys."""
  q, k, v, valid_bm = _attention_inputs(jnp.float32)
  want = lambda q, k, v: jax.nn.dot_product_attention(q, k, v, mask=valid_bm[:, None, None, :])
  got = lambda q, k, v: layers.attend(q, k, v, valid_bm, 'einsum')
  near = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5)
  for f in (lambda f: f(q, k, v),
            lambda f: jax.jit(jax.grad(lambda *x: (f(*x)**2).sum(), (0, 1, 2)))(q, k, v)):
    jax.tree.map(near, f(got), f(want))
  np.testing.assert_array_equal(layers.attend(q, k, v, valid_bm), got(q, k, v))  # 'auto' without a GPU
  nothing = layers.attend(q, k, v, jnp.zeros_like(valid_bm), 'einsum')
  assert np.isfinite(nothing).all()


@pytest.mark.skipif(jax.default_backend() != 'gpu', reason='cudnn attention needs a GPU')
def test_cudnn_attention_is_the_einsum():
  """Catches: another mask or scale on the GPU than everywhere else."""
  q, k, v, valid_bm = _attention_inputs(jnp.bfloat16, 128, 128, 64)
  run = lambda q, a: layers.attend(q, k, v, valid_bm, a).astype(jnp.float32)
  for f in (run, jax.grad(lambda q, a: (run(q, a)**2).sum())):
    cudnn, einsum = (np.asarray(f(q, a), np.float32) for a in ('cudnn', 'einsum'))
    np.testing.assert_allclose(cudnn, einsum, rtol=0.05, atol=0.05)


@pytest.mark.heavy
@pytest.mark.parametrize('ours, flax, shape', [
    (norms.LayerNorm(), nn.LayerNorm(), (3, 5, 8)),
    (norms.GroupNorm(4), nn.GroupNorm(num_groups=4), (6, 5, 8))])
def test_norms_are_flax_s(ours, flax, shape):
  """Catches: a wrong gradient by hand, a group of the wrong channels, another name of a parameter."""
  x, g = (3 * jax.random.normal(jax.random.key(i), shape) + 1 for i in range(2))
  params = flax.init(jax.random.key(0), x)
  params = jax.tree.map(lambda p: p + jax.random.normal(jax.random.key(5), p.shape), params)
  both = [jax.vjp(m.apply, params, x) for m in (ours, flax)]
  results = [(y, back(g)) for y, back in both]
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), *results)


@pytest.mark.heavy
def test_gelu_is_jax_s():
  """Catches: a slip in the derivative written by hand, steps of bfloat16 within."""
  x = jnp.linspace(-6, 6, 101)
  half = x.astype(jnp.bfloat16)
  np.testing.assert_array_equal(norms.gelu(half), norms.gelu(half.astype(jnp.float32)).astype(jnp.bfloat16))
  np.testing.assert_allclose(norms.gelu(x), jax.nn.gelu(x), atol=1e-6)
  slope = lambda f: jax.vmap(jax.grad(f))(x)
  np.testing.assert_allclose(slope(norms.gelu), slope(jax.nn.gelu), atol=2e-6)


def test_first_of_max_is_argmax():
  """Catches: the last of equal codes, or an index past the end for NaN."""
  x_nk = jnp.asarray([[1.0, 3, 3, 2], [5, 1, 5, 5], [0, 0, 0, 0], [np.nan] * 4])
  np.testing.assert_array_equal(quantiser.first_of_max(x_nk)[:3], [1, 0, 0])
  assert quantiser.first_of_max(x_nk)[3] < 4


@pytest.mark.parametrize('fields, message', [
    (dict(dtype='float16'), 'BlocksConfig.dtype'), (dict(remat='some'), 'BlocksConfig.remat'),
    (dict(attention='flash'), 'BlocksConfig.attention'), (dict(attention='cudnn'), "expected 'bfloat16'")])
def test_unknown_ways_are_refused(fields, message):
  """Catches: a misspelt way that would run as the default."""
  with pytest.raises(ValueError, match=message):
    layers.BlocksConfig(**fields)
