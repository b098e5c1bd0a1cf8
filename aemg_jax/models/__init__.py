"""Models: one file each, all built on `layers.Blocks`. MODELS names those a config may ask for."""

import flax.linen as nn

from aemg_jax.models.fatigue_former import (
    FatigueFormer, FatigueFormerConfig, FatigueLSTM, FatigueLSTMConfig)
from aemg_jax.models.heads import ClassifierConfig, GestureClassifier, MaskedConfig, MaskedModel
from aemg_jax.models.posture_fatigue import PostureFatigue, PostureFatigueConfig
from aemg_jax.models.vq_autoencoder import VQAutoencoder, VQConfig
from aemg_jax.models.window_cnn import WindowCNN, WindowCNNConfig

# name -> (module, its config)
MODELS = {
    'vq_autoencoder': (VQAutoencoder, VQConfig),
    'masked_model': (MaskedModel, MaskedConfig),
    'gesture_classifier': (GestureClassifier, ClassifierConfig),
    'window_cnn': (WindowCNN, WindowCNNConfig),
    'fatigue_former': (FatigueFormer, FatigueFormerConfig),
    'fatigue_lstm': (FatigueLSTM, FatigueLSTMConfig),
    'posture_fatigue': (PostureFatigue, PostureFatigueConfig),
}
_MODULE_OF = {config: module for module, config in MODELS.values()}


def build(config) -> nn.Module:
  """The module of a model's config."""
  if type(config) not in _MODULE_OF:
    raise ValueError(f'model: got {type(config).__name__}, expected the config of one of {sorted(MODELS)}')
  return _MODULE_OF[type(config)](config)
