"""Losses, optimiser, one training loop, every collective, every checkpoint."""
