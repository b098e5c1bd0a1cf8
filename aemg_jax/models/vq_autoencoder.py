"""Step 1: words -> codes -> reconstruction of what a word must carry (METHOD sections 1, 3, 5.4).

Differs from paper: a straight-through gradient reaches the encoder, losses see valid words only,
and `default` reconstructs log spectrum and log amplitude, since the phase of interference EMG is noise.
"""

import dataclasses
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from aemg_jax.models import layers, norms
from aemg_jax.models.quantiser import Codebook, QuantiserConfig, lookup, normalise
from aemg_jax.models.sentence_encoder import EncoderConfig, SentenceEncoder
from aemg_jax.sentences.words import Words

TARGETS = ('waveform', 'spectrum', 'amplitude')


@dataclasses.dataclass(frozen=True)
class VQConfig:
  """Attributes:
    encoder: of words; mixing must be 'words' (a code belongs to one word).
    quantiser: the codebook.
    decoder: blocks over the quantised words.
    targets: what is reconstructed.
    slot_samples, n_bins: sizes of a word's waveform and spectrum.
    commitment: weight of the commitment loss.
    bins: lowest bins of the spectrum that are read and reconstructed, so that what one device hears above them and another
      does not changes no code; 0 is all that a device hears.
  """
  encoder: EncoderConfig = EncoderConfig(mixing='words')
  quantiser: QuantiserConfig = QuantiserConfig()
  decoder: layers.BlocksConfig = layers.BlocksConfig()
  targets: tuple[str, ...] = ('spectrum', 'amplitude')
  slot_samples: int = 52
  n_bins: int = 26
  commitment: float = 1.0
  bins: int = 0

  def __post_init__(self):
    if self.encoder.mixing != 'words':
      raise ValueError(f"VQConfig.encoder.mixing: got {self.encoder.mixing!r}, expected 'words'")
    if not 0 <= self.bins <= self.n_bins:
      raise ValueError(f'VQConfig.bins: got {self.bins}, expected 0 to {self.n_bins}')
    if self.bins and 'waveform' in self.encoder.inputs + self.targets:
      raise ValueError(f'VQConfig.bins: got {self.bins} with waveforms, which hold every frequency; expected 0')
    unknown = set(self.targets) - set(TARGETS)
    if unknown or not self.targets:
      raise ValueError(f'VQConfig.targets: got {self.targets!r}, expected some of {TARGETS}')

  @property
  def sizes(self) -> dict[str, int]:
    """{target: numbers of a word}."""
    known = {'waveform': self.slot_samples, 'spectrum': self.n_bins, 'amplitude': 1}
    return {target: known[target] for target in self.targets}

  def heard(self, words: Words) -> Words:
    """Words, leading b, whose bins above `bins` count as not heard."""
    if not self.bins:
      return words
    return words._replace(bin_valid_f=words.bin_valid_f & (np.arange(self.n_bins) < self.bins)[None])


class Reconstruction(NamedTuple):
  """z_bnd unit vectors, index_bn codes, output: {target: [b, n, size]}."""
  z_bnd: jax.Array
  index_bn: jax.Array
  output: dict[str, jax.Array]


class VQAutoencoder(nn.Module):
  """Encoder, z = l2(W2 tanh(W1 h)), lookup, decoder."""
  config: VQConfig

  def setup(self):
    c = self.config
    self.encoder = SentenceEncoder(c.encoder)
    self.to_code_1 = nn.Dense(c.encoder.blocks.width)
    self.to_code_2 = nn.Dense(c.quantiser.width)
    self.from_code = nn.Dense(c.decoder.width)
    self.position = nn.Embed(c.encoder.positions, c.decoder.width,
                             embedding_init=nn.initializers.normal(0.02))
    self.decoder = layers.Blocks(c.decoder)
    self.hidden = nn.Dense(c.decoder.width)
    self.heads = {t: nn.Dense(size) for t, size in c.sizes.items()}

  def encode(self, words: Words, keys_b: jax.Array | None = None) -> jax.Array:
    """[b, n, d_code] unit vectors, float32."""
    word_bnd = self.encoder(self.config.heard(words), None, keys_b).word_bnd.astype(jnp.float32)
    return normalise(self.to_code_2(jnp.tanh(self.to_code_1(word_bnd))))

  def decode(self, quantised_bnd: jax.Array, words: Words, keys_b: jax.Array | None = None):
    """{target: [b, n, size]} from quantised words and their places."""
    tok_bnd = self.from_code(quantised_bnd) + self.position(words.position_n)
    tok_bnd = self.decoder(tok_bnd, words.valid_n, keys_b)
    hidden_bnd = norms.gelu(self.hidden(tok_bnd.astype(jnp.float32)))
    return {t: head(hidden_bnd) for t, head in self.heads.items()}

  def __call__(self, words: Words, codebook: Codebook,
               keys_b: jax.Array | None = None) -> Reconstruction:
    z_bnd = self.encode(words, keys_b)
    index_bn, quantised_bnd = lookup(z_bnd, codebook)
    return Reconstruction(z_bnd, index_bn, self.decode(quantised_bnd, words, keys_b))
