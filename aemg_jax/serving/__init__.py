"""Prediction from a checkpoint, without the training or data-building stack."""
