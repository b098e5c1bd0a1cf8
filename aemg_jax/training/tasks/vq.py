"""Step 1: vector-quantised reconstruction of words."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from aemg_jax.models import quantiser
from aemg_jax.models.sentence_encoder import zscore_waveform
from aemg_jax.models.vq_autoencoder import VQAutoencoder, VQConfig
from aemg_jax.sentences.words import Words
from aemg_jax.training import losses, parallel
from aemg_jax.training.task import Draw, Task

COLLAPSE = 0.05  # share of codes in use below which the loop warns


def target_and_weight(words: Words, target: str) -> tuple[jax.Array, jax.Array]:
  """What is reconstructed and the weight of each element, both [b, n, size]; a word weighs 1 in all."""
  mask = words.valid_n[..., None]
  if target == 'spectrum':
    value, mask = words.spectrum_nf, mask & words.bin_valid_f[:, None, :]
  elif target == 'amplitude':
    value = words.amplitude_n[..., None]
  else:
    samples_p = jnp.arange(words.waveform_np.shape[-1])
    value = zscore_waveform(words)
    mask = mask & (samples_p[None, None] < words.length_n[..., None])
  weight = jnp.broadcast_to(mask, value.shape).astype(jnp.float32)
  return value, weight / jnp.maximum(weight.sum(-1, keepdims=True), 1.0)


@dataclasses.dataclass(frozen=True)
class VQTask(Task):
  """Batch: words. `extra` holds the codebook: EMA from sums over all devices, dead codes revived."""
  model: VQConfig = VQConfig()

  def init(self, key, batch):
    codes_key, params_key = jax.random.split(key)
    codebook = quantiser.init_codebook(codes_key, self.model.quantiser)
    params = VQAutoencoder(self.model).init(params_key, batch['words'], codebook)['params']
    return params, {'codebook': codebook}

  def loss(self, params, extra, batch, draw: Draw, train: bool):
    words = batch['words']
    words = words._replace(valid_n=words.valid_n & (batch['weight'] > 0)[:, None])
    keys_b = draw.keys_b() if train else None
    codebook = quantiser.Codebook(*extra['codebook'])
    out = VQAutoencoder(self.model).apply({'params': params}, words, codebook, keys_b)
    n_words = words.valid_n.sum().astype(jnp.float32)
    total, metrics = 0.0, {}
    for name, output in out.output.items():
      target, weight = target_and_weight(self.model.heard(words), name)
      metrics[f'error_{name}'] = losses.squared_error(output, target, weight)
      metrics[f'power_{name}'] = losses.masked_sum(target**2, weight)
      total += metrics[f'error_{name}'][0]
    code_bnd = codebook.code_kd[out.index_bn]
    commitment, _ = losses.cosine_distance(out.z_bnd, jax.lax.stop_gradient(code_bnd), words.valid_n)
    total += self.model.commitment * commitment
    metrics['commitment'] = (commitment, n_words)
    stats = quantiser.code_stats(out.z_bnd, out.index_bn, words.valid_n, self.model.quantiser.codes,
                                 draw.row_b, draw.n_rows, draw.key)
    return total, (n_words, metrics, stats)

  def update(self, extra, stats, key):
    return {'codebook': quantiser.update(quantiser.Codebook(*extra['codebook']), stats, self.model.quantiser)}

  def report(self, extra, stats):
    ema_used, ema_perplexity = quantiser.usage(jnp.where(extra['codebook'].count_k > 1e-2,
                                                         extra['codebook'].count_k, 0.0))
    used, perplexity = quantiser.usage(stats.count_k)
    return {'batch_codes_used': used, 'batch_perplexity': perplexity,
            'codes_used': ema_used, 'perplexity': ema_perplexity}


def kmeans_start(task: VQTask, state, batches):
  """The state with a codebook from k-means on encoded words of the first batches.

  Args:
    task: see VQTask; 0 iterations keep the random codebook.
    state: at step 0.
    batches: step -> this process's batch; as many are read as give `kmeans_words` valid words of all.
  """
  config = task.model.quantiser
  if not config.kmeans_iterations:
    return state
  parts, words_held, step = [], 0, 0
  while words_held < config.kmeans_words:
    batch = batches(step)
    z_bnd = parallel.map_batches(_Encode(task.model), state.params, batch['words'])
    counted_bn = batch['words'].valid_n & (batch['weight'] > 0)[:, None]
    z_bnd, counted_bn = parallel.all_rows((z_bnd, counted_bn))
    parts.append(z_bnd[counted_bn])
    words_held, step = words_held + len(parts[-1]), step + 1
    if step > 10 * config.kmeans_words:
      raise ValueError(f'k-means: {words_held} valid words in {step} batches, expected {config.kmeans_words}')
  z_md = jnp.asarray(np.concatenate(parts)[:config.kmeans_words])
  key = jax.random.fold_in(jax.random.wrap_key_data(state.key), 2**30)
  fit = jax.jit(quantiser.kmeans_codebook, static_argnums=2)
  return state.replace(extra={'codebook': fit(z_md, key, config, words_held / step)})


@dataclasses.dataclass(frozen=True)
class _Encode:
  model: VQConfig

  def __call__(self, params, words):
    return VQAutoencoder(self.model).apply({'params': params}, words, method='encode')
