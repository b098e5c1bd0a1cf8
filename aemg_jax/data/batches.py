"""Prepared sentences as in-memory batches, centred, with labels."""

import dataclasses
from collections.abc import Mapping, Sequence

from absl import logging
import numpy as np

from aemg_jax.data import frames, montage, placement, splits
from aemg_jax.sentences import cache
from aemg_jax.sentences.words import Words

CENTRES = ('none', 'training', 'session')


@dataclasses.dataclass(frozen=True)
class Centre:
  """The mean feature that is taken away: [n_session, C, F + 1], log spectrum then log amplitude.

  Attributes:
    mean_scf: one row per session of the prepared set; under 'training' equal rows for all sessions of
      one built set.
    transductive: the mean of a session uses all of that session's unlabelled words.
    element_s: [n_session] how each session's montage is worn (row of `montage.elements`), if aligned.
    worn: the montage of the aligned sessions.
    frame: where they were brought, if aligned.
    place_mean_cf: the 'training' mean by place of the frame, if aligned.
  """
  mean_scf: np.ndarray
  transductive: bool
  element_s: np.ndarray | None = None
  worn: montage.Montage | None = None
  frame: frames.Frame | None = None
  place_mean_cf: np.ndarray | None = None


def make_centre(prepared: cache.Prepared, kind: str, train_sessions: Sequence[int]) -> Centre:
  """'session': each session's own mean; 'training': the mean over training sessions; 'none': 0.

  Each built set of a mixture has its own 'training' mean; one without a training session has that of
  all the others together.
  """
  if kind not in CENTRES:
    raise ValueError(f'centre: got {kind!r}, expected one of {CENTRES}')
  own_scf = cache.session_center(prepared)
  if kind == 'session':
    return Centre(own_scf, True)
  if kind == 'none':
    return Centre(np.zeros_like(own_scf), False)
  train, source_s = np.asarray(train_sessions, np.int64), prepared.sessions['source']
  mean_scf = np.empty_like(own_scf)
  for source in np.unique(source_s):
    rows = train[source_s[train] == source]
    mean_scf[source_s == source] = cache.training_center(prepared, rows if rows.size else train)
  return Centre(mean_scf, False)


def stored_centre(prepared: cache.Prepared, mean_of: Mapping[str, Sequence[Sequence[float]]]) -> Centre:
  """The 'training' centre of a checkpoint, for a prepared set of the same built sets."""
  mean_scf = [stored_mean(mean_of, source) for source in prepared.sessions['source'].tolist()]
  return Centre(np.stack(mean_scf), False)


def stored_mean(mean_of: Mapping[str, Sequence[Sequence[float]]], source: str) -> np.ndarray:
  """[C, F + 1] 'training' mean that a checkpoint keeps of a built set, or of its only one."""
  if source not in mean_of and len(mean_of) > 1:
    raise ValueError(f'centre: the model was trained on {sorted(mean_of)}, got {source!r}, expected '
                     'the name of one of these sets')
  return np.array(mean_of[source] if source in mean_of else next(iter(mean_of.values())), np.float32)


def centred(words: Words, session_b: np.ndarray, centre: Centre) -> Words:
  """Words of a batch with the mean of their session taken away; absent words stay 0.

  Args:
    words: leading b.
    session_b: row of the session of each sentence.
    centre: see `make_centre`.
  """
  slots = words.valid_n.shape[1] // centre.mean_scf.shape[1]
  mean_bnf = np.tile(centre.mean_scf[session_b], (1, slots, 1))
  valid_bn = words.valid_n
  spectrum_bnf = np.where(valid_bn[..., None], words.spectrum_nf - mean_bnf[..., :-1], 0)
  amplitude_bn = np.where(valid_bn, words.amplitude_n - mean_bnf[..., -1], 0)
  words = words._replace(spectrum_nf=spectrum_bnf.astype(np.float32),
                         amplitude_n=amplitude_bn.astype(np.float32))
  if centre.element_s is None:
    return words
  return montage.permute_words(words, centre.element_s[session_b], centre.worn)


def aligned(prepared: cache.Prepared, centre: Centre, train_rows: Sequence[int],
            target_rows: Sequence[int]) -> Centre:
  """The centre with every session's place in the frame: labels of train_rows, target_rows unlabelled.

  Where the rows have several montages, or one of which nothing turns, the data are left alone. A
  'training' mean becomes that of the training wearers' places.

  Args:
    prepared: a set.
    centre: of each 'session' if there are targets, whose unlabelled data are used.
    train_rows, target_rows: segments.
  """
  if not centre.transductive and len(target_rows):
    raise ValueError("aligned: expected the centre of each 'session'")
  worn = montage.common(prepared.segments, [*train_rows, *target_rows])
  if worn is None:
    logging.info('alignment: no ring or grid that all segments share: left as it is')
    return centre
  seen = centre if centre.transductive else make_centre(prepared, 'none', ())
  data = sentence_arrays(prepared, [*train_rows, *target_rows], None, seen)
  subject_b = splits.column_keys(prepared.segments, 'subject')[data['segment']]
  model, placed = placement.fit_and_place(
      data['words'], data['label'], subject_b, np.isin(data['segment'], train_rows), worn)
  found = {s: model.element_of(s) for s in model.subject_s} | {s: p.element for s, p in placed.items()}
  subject_s = splits.column_keys(prepared.sessions, 'subject')
  element_s = np.array([found[s] if s in found else model.usual for s in subject_s], np.int32)
  centre = dataclasses.replace(centre, element_s=element_s, worn=worn,
                               frame=frames.Frame(model, worn, centre.transductive))
  return centre if centre.transductive or not centre.mean_scf.any() else _mean_by_place(
      prepared, centre, np.unique(prepared.segments['session_index'][list(train_rows)]))


def in_frame(prepared: cache.Prepared, centre: Centre, rows: Sequence[int], frame: frames.Frame) -> Centre:
  """The centre with every wearer's place in a stored frame; segments of another montage are left alone.

  Wearers that the frame was fitted on keep their place, others are placed by their unlabelled words.

  Args:
    prepared: a set.
    centre: a 'training' mean in it must be by place of the frame, as a checkpoint keeps it.
    rows: segments whose wearers are placed.
    frame: see `frames.stored`.
  """
  if montage.common(prepared.segments, rows) != frame.worn:
    logging.warning('alignment: not the montage that the frame was fitted for: left as it is')
    return centre
  seen = make_centre(prepared, 'session' if frame.centred else 'none', ())  # as it was fitted
  data = sentence_arrays(prepared, rows, None, seen)
  subject_b = splits.column_keys(prepared.segments, 'subject')[data['segment']]
  known = [str(s) for s in frame.model.subject_s]
  found = {}
  for subject in np.unique(subject_b).tolist():
    words = _take(data, np.flatnonzero(subject_b == subject))['words']
    found[subject] = (frame.model.element_of(subject) if subject in known
                      else frames.place(frame, words, frame.worn).element)
  logging.info('alignment: %d of %d wearers turned to a stored frame',
               sum(element != frame.model.usual for element in found.values()), len(found))
  subject_s = splits.column_keys(prepared.sessions, 'subject')
  element_s = np.array([found[s] if s in found else frame.model.usual for s in subject_s], np.int32)
  mean_scf = centre.mean_scf
  if not centre.transductive and mean_scf.any():
    mean_scf = np.stack([montage.by_electrode(*x, frame.worn) for x in zip(mean_scf, element_s)])
  return dataclasses.replace(centre, mean_scf=mean_scf, element_s=element_s, worn=frame.worn, frame=frame)


def _mean_by_place(prepared: cache.Prepared, centre: Centre, train_sessions: np.ndarray) -> Centre:
  """The mean over the training sessions' words at each place, for every session by its own electrodes."""
  total_cf, count_c1 = 0.0, 0.0
  for session in train_sessions:
    element = centre.element_s[session]
    turned = lambda x_cf: np.nan_to_num(montage.by_place(x_cf, element, centre.worn))  # pylint: disable=W0640
    total_cf += turned(prepared.sessions['feature_sum'][session])
    count_c1 += turned(prepared.sessions['feature_count'][session][:, None])
  place_mean_cf = (total_cf / np.maximum(count_c1, 1)).astype(np.float32)
  mean_scf = np.stack([montage.by_electrode(place_mean_cf, e, centre.worn) for e in centre.element_s])
  return dataclasses.replace(centre, mean_scf=mean_scf, place_mean_cf=place_mean_cf)


def sentence_arrays(prepared: cache.Prepared, segment_rows: Sequence[int],
                    crops: Sequence[tuple[int, int]] | None, centre: Centre) -> dict:
  """All sentences of some segments as a batch in memory.

  Args:
    prepared: the set.
    segment_rows: rows of its segment table.
    crops: (start, stop) in samples for each segment; words not wholly inside are absent. None is
      all of each.
    centre: see `make_centre`.

  Returns:
    {'words', 'label' [b] (-1 for none), 'segment' [b], 'index' [b] sentence rows, 'weight' [b]}.
  """
  segments = prepared.segments
  parts, low, high = [], [], []
  for i, row in enumerate(segment_rows):
    first, count = segments['first_sentence'][row], segments['n_sentences'][row]
    parts.append(np.arange(first, first + count))
    start, stop = (0, np.inf) if crops is None else crops[i]
    low.append(np.full(count, start))
    high.append(np.full(count, stop))
  if not parts or not sum(map(len, parts)):
    raise ValueError(f'{prepared.path}: no sentence in {len(segment_rows)} segments, expected some')
  index_b, low_b, high_b = np.concatenate(parts), np.concatenate(low), np.concatenate(high)
  rows = prepared.sentences.read(index_b)
  segment_b = rows['segment'].astype(np.int64)
  words = cache.as_words(rows)
  inside_bn = (words.onset_n >= low_b[:, None]) & (words.onset_n + words.length_n <= high_b[:, None])
  words = words._replace(valid_n=words.valid_n & inside_bn)
  words = centred(words, segments['session_index'][segment_b], centre)
  used_b = words.valid_n.any(axis=1)
  batch = {'words': words, 'label': segments['label'][segment_b].astype(np.int32),
           'segment': segment_b, 'index': index_b.astype(np.int32),
           'weight': np.ones(len(index_b), np.float32)}
  return _take(batch, np.flatnonzero(used_b))


def _take(batch: dict, row_b: np.ndarray) -> dict:
  words = Words(*(x[row_b] for x in batch['words']))
  return {k: words if k == 'words' else v[row_b] for k, v in batch.items()}


def first_words(prepared: cache.Prepared) -> Words:
  """One sentence with leading b, for shapes."""
  return cache.as_words(prepared.sentences.read([0]))


class SentenceSource:
  """The same sentences read as they are asked for: `len(source)`, `source[i]` without a batch axis."""

  def __init__(self, prepared: cache.Prepared, segment_rows: Sequence[int], centre: Centre):
    first, count = prepared.segments['first_sentence'], prepared.segments['n_sentences']
    self._rows = np.concatenate([np.arange(first[r], first[r] + count[r]) for r in segment_rows])
    self._prepared, self._centre = prepared, centre

  def __len__(self) -> int:
    return len(self._rows)

  def __getitem__(self, i: int) -> dict:
    return self.__getitems__([i])[0]

  def __getitems__(self, places: Sequence[int]) -> list[dict]:
    """Many sentences in one read, for the loader."""
    rows = self._rows[np.asarray(places)]
    stored = self._prepared.sentences.read(rows)
    segment_b = stored['segment']
    words = centred(cache.as_words(stored), self._prepared.segments['session_index'][segment_b], self._centre)
    label_b = self._prepared.segments['label'][segment_b]
    return [{'words': Words(*(x[b] for x in words)), 'label': np.int32(label_b[b]), 'index': np.int32(row),
             'weight': np.float32(1)} for b, row in enumerate(rows)]
