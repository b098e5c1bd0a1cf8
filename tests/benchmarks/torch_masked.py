"""The masked model and its tokeniser as a plain eager PyTorch module: what `train_step.py` compares with.

Same sizes, same number of parameters up to biases, same work in a step: codes of the tokeniser, masked
rounds, cross-entropy over all codes at masked words, AdamW. Attention is PyTorch's own fused one.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
  """Pre-LN block with LayerNorm on queries and keys and learned residual scales."""

  def __init__(self, c):
    super().__init__()
    inner = c.heads * c.head_dim
    self.heads = c.heads
    self.norm_1, self.norm_2 = nn.LayerNorm(c.width), nn.LayerNorm(c.width)
    self.query_norm, self.key_norm = nn.LayerNorm(c.head_dim), nn.LayerNorm(c.head_dim)
    self.qkv, self.out = nn.Linear(c.width, 3 * inner, bias=False), nn.Linear(inner, c.width)
    self.mlp_in, self.mlp_out = nn.Linear(c.width, c.mlp_dim), nn.Linear(c.mlp_dim, c.width)
    self.scale_0, self.scale_1 = (nn.Parameter(torch.full((c.width,), 0.1)) for _ in range(2))
    self.dropout = nn.Dropout(c.dropout)

  def forward(self, x, mask):
    b, n, _ = x.shape
    q, k, v = self.qkv(self.norm_1(x)).view(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
    mixed = F.scaled_dot_product_attention(self.query_norm(q), self.key_norm(k), v, attn_mask=mask)
    x = x + self.dropout(self.out(mixed.transpose(1, 2).reshape(b, n, -1))) * self.scale_0
    hidden = self.mlp_out(F.gelu(self.mlp_in(self.norm_2(x)), approximate='tanh'))
    return x + self.dropout(hidden) * self.scale_1


class Encoder(nn.Module):
  """Waveforms [b, n, p] to vectors [b, n, d]: temporal encoder, tables, mask token, blocks."""

  def __init__(self, c, samples, words):
    super().__init__()
    convs = []
    for i, (kernel, stride) in enumerate(((15, 2), (3, 1), (3, 1))):
      convs += [nn.Conv1d(8 if i else 1, 8, kernel, stride, kernel // 2), nn.GroupNorm(4, 8), nn.GELU('tanh')]
    self.convs, self.linear = nn.Sequential(*convs), nn.Linear(-(-samples // 2) * 8, c.width)
    self.tables = nn.ModuleList(nn.Embedding(size, c.width) for size in (17, 5, 17, words + 1))
    self.mask = nn.Parameter(torch.zeros(c.width))
    self.blocks = nn.ModuleList(Block(c) for _ in range(c.layers))
    self.norm = nn.LayerNorm(c.width)

  def forward(self, words, masked):
    b, n, p = words['waveform'].shape
    x = self.linear(self.convs(words['waveform'].reshape(b * n, 1, p)).flatten(1)).view(b, n, -1)
    x = torch.where(masked[..., None], self.mask, x)
    for table, name in zip(self.tables, ('position', 'ring', 'time', 'order')):
      x = x + table(words[name])
    for block in self.blocks:
      x = block(x, words['valid'][:, None, None, :])
    return self.norm(x)


class Step:
  """`step()` makes one update and returns the loss."""

  def __init__(self, task, batch, seed: int = 0):
    torch.manual_seed(seed)
    config, vq = task.model.encoder, task.vq
    samples = batch['words'].waveform_np.shape[-1]
    self.symmetric, codes = task.mask.symmetric, task.model.codes
    self.model = Encoder(config.blocks, samples, config.max_words)
    self.head = nn.Linear(config.blocks.width, codes)
    self.tokeniser = Encoder(vq.encoder.blocks, samples, config.max_words).eval()
    self.to_code = nn.Sequential(nn.Linear(config.blocks.width, config.blocks.width), nn.Tanh(),
                                 nn.Linear(config.blocks.width, vq.quantiser.width))
    self.code = F.normalize(torch.randn(codes, vq.quantiser.width), dim=-1)
    self.optimiser = torch.optim.AdamW([*self.model.parameters(), *self.head.parameters()], 5e-4)
    w = batch['words']
    order = np.broadcast_to(np.arange(w.valid_n.shape[1]) + 1, w.valid_n.shape).copy()
    as_index = lambda x: torch.from_numpy(np.asarray(x, np.int64))
    self.words = {'waveform': torch.from_numpy(w.waveform_np), 'valid': torch.from_numpy(w.valid_n),
                  'position': as_index(w.position_n), 'ring': as_index(w.ring_n), 'time': as_index(w.time_n),
                  'order': as_index(order)}

  def __call__(self) -> float:
    valid = self.words['valid']
    with torch.no_grad():
      z = F.normalize(self.to_code(self.tokeniser(self.words, torch.zeros_like(valid))), dim=-1)
      index = (z @ self.code.T).argmax(-1)
    masked = valid & (torch.rand(valid.shape) < 0.5)
    total = count = 0
    for hidden in [masked, valid & ~masked] if self.symmetric else [masked]:
      logits = self.head(self.model(self.words, hidden)[hidden])
      total = total + F.cross_entropy(logits, index[hidden], reduction='sum')
      count = count + hidden.sum()
    self.optimiser.zero_grad()
    loss = total / count
    loss.backward()
    self.optimiser.step()
    return loss.item()

  def parameters(self) -> int:
    return sum(p.numel() for m in (self.model, self.head) for p in m.parameters())
