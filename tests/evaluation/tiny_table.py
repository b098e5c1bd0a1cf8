"""A prepared set in miniature: noise whose channels carry the label, for every evaluation test."""

import numpy as np

from aemg_jax.evaluation import window_table

N_LABELS = 3
SUBJECTS = ('s0', 's1', 's2', 's3')
SESSIONS = ('cal', 'test')


def make(seed=0, permute=False, change=None, n_samples=150, n_repetitions=3):
  """(segments, WindowTable) of 4 subjects x 2 sessions x repetitions x 3 labels.

  Args:
    seed: of the noise.
    permute: labels are shuffled within each subject.
    change: (mask over segments) -> those signals are multiplied by 1000.
    n_samples: per segment.
    n_repetitions: per label and session.
  """
  rng = np.random.default_rng(seed)
  rows = [(s, e, r, k) for s in SUBJECTS for e in SESSIONS for r in range(n_repetitions)
          for k in range(N_LABELS)]
  columns = dict(zip(('subject', 'session', 'repetition', 'label'), map(np.array, zip(*rows))))
  segments = columns | {
      'record_id': np.array([f'{s}/{e}/{r}_{k}' for s, e, r, k in rows]),
      'start_s': np.zeros(len(rows)), 'stop_s': np.full(len(rows), n_samples / 200.0)}
  gain = 1 + 3 * np.eye(N_LABELS)
  signals = [rng.normal(size=(n_samples, N_LABELS)) * 10 * gain[k] for *_, k in rows]
  if change is not None:
    signals = [x * 1000 if hit else x for x, hit in zip(signals, change(segments))]
  if permute:
    for subject in SUBJECTS:
      of = segments['subject'] == subject
      segments['label'][of] = rng.permutation(segments['label'][of])
  return segments, window_table.WindowTable(segments, signals.__getitem__, N_LABELS)
