"""TFDS builders that turn raw EMG datasets into one record contract (`aemg_jax.records`)."""
