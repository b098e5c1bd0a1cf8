"""Training wearers' recordings as if each wore the montage like each of the others.

A held-out wearer of whom nothing is known may wear a band as any training wearer does. Turning at random destroys
the anatomy (METHOD section 5.1); here every recording is taken to the training wearers' common frame and from there
to where another of them wears it, as often as wearers do. Statistics and labels of training wearers alone.
"""

from collections.abc import Sequence

from absl import logging
import numpy as np

from aemg_jax.data import batches, montage, placement, splits
from aemg_jax.sentences.cache import Prepared


def as_others_wear(prepared: Prepared, centre: batches.Centre,
                   train_rows: Sequence[int]) -> list[tuple[batches.Centre, float]]:
  """A centre for each way that training wearers wear the montage, and the share of them who do.

  Under such a centre `batches.sentence_arrays` and the like give every training session as it would be worn that
  way, its electrodes' means taken away as a held-out wearer's are. Where the montage does not turn, or not as a
  group (electrodes fall out), it is the centre alone.

  Args:
    prepared: a set.
    centre: 'training' or 'none', not aligned.
    train_rows: segments with labels.
  """
  if centre.transductive or centre.element_s is not None:
    raise ValueError("as_others_wear: got a centre of each session, or an aligned one, expected 'training' or 'none'")
  worn = montage.common(prepared.segments, train_rows)
  if worn is None or (montage.elements(worn) == montage.ABSENT).any():
    logging.info('wears: no ring or grid that all training segments share and that turns as a whole: left as it is')
    return [(centre, 1.0)]
  data = batches.sentence_arrays(prepared, train_rows, None, batches.make_centre(prepared, 'none', ()))
  subject_b = splits.column_keys(prepared.segments, 'subject')[data['segment']]
  model, _ = placement.fit_and_place(data['words'], data['label'], subject_b, np.ones(len(subject_b), bool), worn,
                                     least_confidence=1.0)  # nobody is placed
  subject_s, element_m = splits.column_keys(prepared.sessions, 'subject'), model.element_s
  mean_cf = centre.mean_scf[np.unique(prepared.segments['session_index'][list(train_rows)])[0]]
  found = []
  for way, count in zip(*np.unique(element_m, return_counts=True)):
    turned = {s: montage.compose(model.element_of(s), montage.inverse(way, worn), worn) for s in model.subject_s}
    element_s = np.array([turned.get(s, 0) for s in subject_s], np.int32)
    mean_scf = np.stack([montage.by_electrode(mean_cf, e, worn) for e in element_s])
    found.append((batches.Centre(mean_scf, False, element_s, worn), float(count / len(element_m))))
  return found
