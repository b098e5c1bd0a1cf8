"""Arrays behind the report's pictures of one recording, of reconstructed words and of codes in time."""

import numpy as np

from aemg_jax.evaluation import figure_data
from aemg_jax.evaluation.codebook import Coded
from aemg_jax.sentences import cache, contractions

_WORDS = 12


def recording(prepared: cache.Prepared, workdir: str) -> None:
  """A labelled recording with its contractions, slots and words, for recording.npz.

  The contraction detector is run on it whether or not the set was gated.
  """
  segment = _typical_segment(prepared)
  row = prepared.rectified[segment]
  n, config = int(row['n_samples']), prepared.config
  rate_hz, hop = config.rectify.rate_hz, config.contraction.hop
  signal_tc = row['signal_tc']
  rest = contractions.RestStatistics(*(x[0] for x in cache.rest_of(prepared, [segment])))
  active_f = contractions.contraction_frames(signal_tc, n, rest, config.contraction, rate_hz)
  start_e, stop_e = (np.asarray(x) for x in contractions.events(active_f, n, hop))
  exists_e = stop_e > start_e
  energy_wc, valid_w = contractions.window_energy(signal_tc, n, config.contraction)
  energy_w = np.asarray(contractions.log_energy(np.asarray(energy_wc).sum(1)))[np.asarray(valid_w)]
  words = _words_of(prepared, segment)
  channels = int(prepared.segments['valid_c'][segment].sum())
  slot_start_s, slot_stop_s, valid_sc = _slots(words, channels, config.sentence.max_channels, rate_hz)
  median, mad = float(rest.median), float(rest.mad)
  figure_data.save_figure_data(
      workdir, 'recording', record_id=str(prepared.segments['record_id'][segment]), unit='session scale',
      rate_hz=rate_hz, signal_tc=signal_tc[:n, :channels],
      channel_name=[f'electrode {i + 1}' for i in range(channels)],
      label_start_s=[0.0], label_stop_s=[n / rate_hz],
      label_name=[prepared.labels[prepared.segments['label'][segment]]],
      event_start_s=start_e[exists_e] / rate_hz, event_stop_s=stop_e[exists_e] / rate_hz,
      slot_start_s=slot_start_s, slot_stop_s=slot_stop_s, word_valid_sc=valid_sc,
      energy_time_s=(np.arange(len(energy_w)) * hop + config.contraction.window / 2) / rate_hz,
      energy=energy_w, rest_median=median, on_threshold=median + config.contraction.on_mad * mad,
      off_threshold=median + config.contraction.off_mad * mad)


def codes_and_words(coded: Coded, prepared: cache.Prepared, workdir: str) -> None:
  """Reconstructed words and the codes of one repetition of each gesture: words.npz and codes.npz."""
  rng = np.random.default_rng(0)
  place = np.argwhere(coded.words.valid_n)
  place = place[rng.choice(len(place), min(_WORDS, len(place)), replace=False)]
  b, n = place[:, 0], place[:, 1]
  target = 'spectrum' if 'spectrum' in coded.model.targets else 'waveform'
  value = coded.words.spectrum_nf if target == 'spectrum' else _zscored(coded)
  rate_hz, samples = prepared.config.rectify.rate_hz, prepared.config.word.slot_samples
  bins = np.arange(1, prepared.config.word.n_bins + 1)
  axis = bins * rate_hz / samples if target == 'spectrum' else np.arange(samples) * 1000 / rate_hz
  has_amplitude = 'amplitude' in coded.model.targets
  nan_n = np.full(len(place), np.nan)
  figure_data.save_figure_data(
      workdir, 'words', target=target, axis=axis,
      title=[f'{_label(prepared, coded.segment_b[i])}, code {coded.code_bn[i, j]}' for i, j in place],
      target_nx=value[b, n], reconstruction_nx=coded.output[target][b, n],
      target_amplitude_n=coded.words.amplitude_n[b, n] if has_amplitude else nan_n,
      reconstruction_amplitude_n=coded.output['amplitude'][b, n, 0] if has_amplitude else nan_n)
  _codes(coded, prepared, workdir)


def _codes(coded: Coded, prepared: cache.Prepared, workdir: str) -> None:
  subject = prepared.segments['subject'][_typical_segment(prepared)]
  channels, config = coded.model.encoder.max_channels, prepared.config
  names, grids = [], []
  for label, name in enumerate(prepared.labels):
    mine = (prepared.segments['subject'] == subject) & (prepared.segments['label'] == label)
    if mine.any():
      row = np.flatnonzero(coded.segment_b == np.flatnonzero(mine)[0])[0]
      names.append(name)
      grids.append(coded.code_bn[row].reshape(-1, channels))
  valid_bn = coded.words.valid_n
  counts = np.bincount(coded.code_bn[valid_bn], minlength=coded.model.quantiser.codes)
  sums = np.bincount(coded.code_bn[valid_bn], weights=coded.words.amplitude_n[valid_bn],
                     minlength=len(counts))
  figure_data.save_figure_data(
      workdir, 'codes', label_name=names, title=[f'{subject}: {name}' for name in names],
      channel_name=[f'{i + 1}' for i in range(channels)],
      slot_s=config.word.slot_samples / config.rectify.rate_hz, code_gsc=np.stack(grids),
      code_value_k=sums / np.maximum(counts, 1),
      value_name='mean log amplitude of the code, over the session mean')


def _typical_segment(prepared: cache.Prepared) -> int:
  """The first segment of the second label (the first label is often rest), else the first labelled one."""
  labelled = np.flatnonzero(prepared.segments['label'] >= 0)
  second = np.flatnonzero(prepared.segments['label'] == min(1, len(prepared.labels) - 1))
  return int((second if len(second) else labelled)[0])


def _words_of(prepared: cache.Prepared, segment: int):
  first, count = (int(prepared.segments[k][segment]) for k in ('first_sentence', 'n_sentences'))
  return cache.as_words(prepared.sentences.read(range(first, first + count)))


def _slots(words, channels: int, max_channels: int, rate_hz: float):
  """Start, stop in s and word presence [S, C] of every slot that holds a word."""
  grid = lambda x: x.reshape(-1, max_channels)
  valid_sc = grid(words.valid_n)
  used_s = valid_sc.any(1)
  onset_s = np.where(valid_sc, grid(words.onset_n), 0).max(1)[used_s]
  length_s = np.where(valid_sc, grid(words.length_n), 0).max(1)[used_s]
  return onset_s / rate_hz, (onset_s + length_s) / rate_hz, valid_sc[used_s][:, :channels]


def _zscored(coded: Coded) -> np.ndarray:
  from aemg_jax.models.sentence_encoder import zscore_waveform
  return np.asarray(zscore_waveform(coded.words))


def _label(prepared: cache.Prepared, segment: int) -> str:
  label = int(prepared.segments['label'][segment])
  return prepared.labels[label] if label >= 0 else 'no label'
