"""Generates synthetic EMG of isometric holds to exhaustion. SYNTHETIC: no person was recorded.

A recording is one hold of a percentage of the maximal force, from rested to the time limit; tau in
[0, 1] is the time over the limit.

  time limit  EMG of a hold at 20, 40, 60, 80 % lasts 600, 150, 60, 25 s, times each subject's own
              endurance: the power-like course of Frey Law & Avin 2010 (Ergonomics 53:109), whose
              coefficients are not used. At 20 % elbow flexors held 8.2 (sd 6.2) min (Smith et al.,
              PMC2758423).
  pool        120 motor units, recruited from small to large, thresholds and sizes exponential in
              the rank, the rate rising linearly with the drive from 8 per s; a renewal process.
              After Fuglevand, Winter & Patla 1993 (J Neurophysiol 70:2470); no force is computed.
  amplitude   Rested EMG grows as force^1.1. At the limit it is below its maximum, by more at lower
              forces (by 19 to 55 % for 65 to 20 % of maximal force: Fuglevand, Zackowski, Huey &
              Enoka 1993, J Physiol 460:549); between, it rises linearly. The drive follows from
              it, so that larger units join in.
  potentials  The impulse response whose power spectrum is that of Stulen & De Luca 1981 (IEEE
              Trans Biomed Eng 28:515), fh^4 f^2 / ((f^2 + fl^2) (f^2 + fh^2)^2), fl 40 and fh
              100 Hz at 4 m/s, stretched in time by conduction velocity.
  velocity    2.6 to 5.3 m/s, faster in larger units (Andreassen & Arendt-Nielsen 1987, J Physiol
              391:561), and lower by 30 % at the limit, times each subject's own share. So velocity
              falls from fatigue and rises from recruitment, which at low force may nearly balance
              (quadriceps: Arendt-Nielsen, Mills & Forster 1989, doi 10.1002/mus.880120610).
  rating      10 tau^g, g each subject's own, in whole numbers: ratings of constant work rise
              linearly with time (Buckley & Borg 2011, Appl Physiol Nutr Metab 36:682).

Differences between subjects were chosen by hand. Ratings follow time by construction.
"""

import dataclasses
import functools
import math
import zlib

from aemg_jax.records import Annotation, Label, Record, Sensor
import numpy as np

from data_builders.jobs import Job

NAME = 'synthetic_fatigue'
LICENCE = 'CC0-1.0 (synthetic: no person was recorded)'
LABEL_NAMES = ('hold',)
TIME_LIMIT_S = {20: 600.0, 40: 150.0, 60: 60.0, 80: 25.0}
RATE_HZ, BANDWIDTH_HZ, FINE = 1000.0, 450.0, 2  # potentials are drawn at FINE times the rate
N_CHANNELS, STEP_UV, NOISE_UV, HUM_UV, HUM_HZ = 3, 0.5, 4.0, 2.0, 50.0
FULL_UV = 400.0  # RMS, rested, all units at their highest rate
N_UNITS, THRESHOLD_RANGE, SIZE_RANGE = 120, 30.0, 10.0
LEAST_RATE_HZ, MOST_RATE_HZ, MOST_RATE_FALL_HZ, INTERVAL_CV = 8.0, 35.0, 10.0, 0.2
LOW_HZ, HIGH_HZ, AT_M_S = 40.0, 100.0, 4.0
SLOWEST_M_S, FASTEST_M_S, VELOCITY_LOSS = 2.6, 5.3, 0.3
FORCE_POWER = 1.1
LIMIT_AT_20, LIMIT_AT_65 = 0.45, 0.81  # amplitude at the limit over its maximum
POTENTIAL_S = 0.05  # a few hundredths of its peak are left of the slowest one
SEED = 1


@dataclasses.dataclass(frozen=True)
class Study:
  """A configuration: virtual subjects, and by how much each time limit is shortened."""
  name: str
  n_subjects: int
  shortened: float


STUDIES = {study.name: study for study in (
    Study('isometric', 8, 1.0), Study('short', 2, 20.0))}
DEFAULT = 'isometric'


@dataclasses.dataclass(frozen=True)
class Subject:
  """What one virtual person brings.

  Attributes:
    endurance: factor on every time limit.
    loss: share of the conduction velocity that is gone at the limit.
    exponent: of the rating.
    spectrum: factor on both corners.
    gain_uc: [unit, channel] amplitude.
  """
  endurance: float
  loss: float
  exponent: float
  spectrum: float
  gain_uc: np.ndarray


def jobs(study: Study) -> list[Job]:
  """One job per recording, in order of record id."""
  n_bytes = lambda *hold: 2 * N_CHANNELS * _n_samples(study, *hold)
  return [Job(f'S{subject:02d}/{percent}P', '', n_bytes(subject, percent))
          for subject in range(study.n_subjects) for percent in TIME_LIMIT_S]


def _rng(*indices: int) -> np.random.Generator:
  return np.random.default_rng([SEED, zlib.crc32(NAME.encode()), *indices])


@functools.lru_cache(maxsize=64)
def draw_subject(subject: int) -> Subject:
  """The same person at every force and in every study."""
  rng = _rng(0, subject)
  endurance, loss, exponent = rng.lognormal(0, (0.2, 0.15, 0.15))
  rank_u1 = np.arange(1, N_UNITS + 1)[:, None] / N_UNITS
  depth_uc = rng.lognormal(0, 0.5, (N_UNITS, N_CHANNELS)) * rng.lognormal(0, 0.3, N_CHANNELS)
  gain_uc = SIZE_RANGE ** rank_u1 * depth_uc
  return Subject(endurance, VELOCITY_LOSS * loss, exponent, rng.uniform(0.85, 1.15), gain_uc)


def _n_samples(study: Study, subject: int, percent: int) -> int:
  limit_s = TIME_LIMIT_S[percent] / study.shortened
  return round(draw_subject(subject).endurance * limit_s * RATE_HZ)


def rates(drive_t: np.ndarray) -> np.ndarray:
  """[unit, T] firing rates in Hz of a drive in [0, 1], 1 that of the highest rates of all units."""
  rank_u = np.arange(1, N_UNITS + 1) / N_UNITS
  threshold_u = THRESHOLD_RANGE ** rank_u
  most_u = MOST_RATE_HZ - MOST_RATE_FALL_HZ * threshold_u / THRESHOLD_RANGE
  excitation_t = drive_t * (THRESHOLD_RANGE + most_u[-1] - LEAST_RATE_HZ)
  above_ut = excitation_t[None] - threshold_u[:, None]
  rate_ut = np.minimum(LEAST_RATE_HZ + above_ut, most_u[:, None])
  return np.where(above_ut >= 0, rate_ut, 0.0)


def amplitude(percent: int, tau: np.ndarray) -> np.ndarray:
  """EMG amplitude over its rested maximum."""
  rested = (percent / 100) ** FORCE_POWER
  limit = LIMIT_AT_20 + (LIMIT_AT_65 - LIMIT_AT_20) * (percent - 20) / 45
  return rested + (limit - rested) * tau


def drive(subject: Subject, amplitude_t: np.ndarray) -> np.ndarray:
  """The drive whose rested EMG has the amplitude, over the mean of the channels."""
  grid = np.linspace(0, 1, 400)
  power_t = (rates(grid) * np.square(subject.gain_uc).mean(axis=1)[:, None]).sum(axis=0)
  return np.interp(amplitude_t, np.sqrt(power_t / power_t[-1]), grid)


def potential(time_s: np.ndarray) -> np.ndarray:
  """Impulse response with the spectrum of Stulen & De Luca at 4 m/s, of unit energy; 0 before 0.

  That of wh^2 s / ((s + wl) (s + wh)^2), w = 2 pi f.
  """
  low, high = 2 * math.pi * LOW_HZ, 2 * math.pi * HIGH_HZ
  slow = -high**2 * low / (high - low)**2
  late = np.maximum(time_s, 0.0)
  shape = slow * np.exp(-low * late) + (high**3 / (high - low) * late - slow) * np.exp(-high * late)
  return np.where(time_s > 0, shape, 0.0) / math.sqrt(_energy(low, high))


def _energy(low: float, high: float) -> float:
  """Integral of the square of the impulse response."""
  slow, linear = -high**2 * low / (high - low)**2, high**3 / (high - low)
  both, twice = low + high, 2 * high
  return (slow**2 / (2 * low) + 2 * slow * (linear / both**2 - slow / both) + slow**2 / twice
          - 2 * slow * linear / twice**2 + 2 * linear**2 / twice**3)


def generate(study: Study, job: Job) -> list[Record]:
  """The recording named by the job; the same bytes each time on one NumPy."""
  subject_name, session = job.name.split('/')
  index, percent = int(subject_name[1:]), int(session[:-1])
  subject, rng = draw_subject(index), _rng(1, index, percent, round(study.shortened))
  n_samples = _n_samples(study, index, percent)
  emg_tc = _emg(subject, percent, n_samples, rng)
  emg_tc += NOISE_UV * rng.standard_normal(emg_tc.shape)
  angle_t = 2 * np.pi * (HUM_HZ * np.arange(n_samples) / RATE_HZ + rng.uniform())
  emg_tc += math.sqrt(2) * HUM_UV * np.sin(angle_t)[:, None] * rng.uniform(0.5, 1.5, N_CHANNELS)
  counts_tc = np.clip(np.rint(emg_tc / STEP_UV), -32768, 32767).astype(np.int16)
  return [Record(
      record_id=job.name, dataset=NAME, subject=subject_name, session=session, repetition=0,
      kind='emg', signal_tc=counts_tc, rate_hz=RATE_HZ, bandwidth_hz=BANDWIDTH_HZ,
      is_envelope=False, sensors=tuple(
          Sensor(f'flexor {c + 1}', unit='uV', scale=STEP_UV) for c in range(N_CHANNELS)),
      labels=(Label(0, n_samples, LABEL_NAMES[0]),),
      annotations=(Annotation(0, n_samples, 'percent_mvc', float(percent)),
                   *_ratings(subject, n_samples)), licence=LICENCE)]


def _emg(subject: Subject, percent: int, n_samples: int, rng) -> np.ndarray:
  """[T, C] uV without noise: all potentials added up at the finer rate, then band-limited."""
  n_fine = FINE * n_samples
  tau_b = np.linspace(0, 1, 1 + max(20, n_samples // 500))
  rate_ub = rates(drive(subject, amplitude(percent, tau_b)))
  emg_ct = np.zeros((N_CHANNELS, n_fine))
  for units in np.array_split(np.arange(N_UNITS), 12):  # few at a time, to bound memory
    train_ut = [_train(subject, unit, rate_ub[unit], tau_b, n_fine, rng) for unit in units]
    emg_ct += subject.gain_uc[units].T @ np.array(train_ut)
  spectrum_cf = np.fft.rfft(emg_ct)[:, :n_samples // 2 + 1]
  spectrum_cf[:, np.fft.rfftfreq(n_samples, 1 / RATE_HZ) > BANDWIDTH_HZ] = 0
  emg_ct = np.fft.irfft(spectrum_cf, n_samples) / FINE
  power = (rates(np.ones(1)) * np.square(subject.gain_uc).mean(axis=1)[:, None]).sum()
  return FULL_UV * emg_ct.T / math.sqrt(power)


def _train(subject: Subject, unit: int, rate_b: np.ndarray, tau_b: np.ndarray, n_fine: int,
           rng) -> np.ndarray:
  """[T] potentials of one unit, at the finer rate."""
  fine_hz = FINE * RATE_HZ
  spike_s = _spikes(rate_b, tau_b * n_fine / fine_hz, rng)
  velocity = SLOWEST_M_S + (FASTEST_M_S - SLOWEST_M_S) * unit / (N_UNITS - 1)
  tau_s = spike_s * fine_hz / n_fine
  speed_s = velocity / AT_M_S * subject.spectrum * (1 - subject.loss * tau_s)
  first_s = np.ceil(spike_s * fine_hz).astype(int)
  place_sk = first_s[:, None] + np.arange(round(POTENTIAL_S * fine_hz))[None]
  shape_sk = potential((place_sk / fine_hz - spike_s[:, None]) * speed_s[:, None])
  return np.bincount(place_sk.ravel(), shape_sk.ravel(), minlength=n_fine)[:n_fine]


def _spikes(rate_b: np.ndarray, time_b: np.ndarray, rng) -> np.ndarray:
  """Times in s of a renewal process, its rate given at some times: one of rate 1, stretched."""
  expected_b = np.append(0, np.cumsum((rate_b[1:] + rate_b[:-1]) / 2 * np.diff(time_b)))
  most = int(1.2 * expected_b[-1] + 20)
  interval = np.maximum(rng.normal(1, INTERVAL_CV, most), 0.1)
  count = np.cumsum(interval) - interval[0] * rng.uniform()
  count = count[count < expected_b[-1]]
  return np.interp(count, expected_b + 1e-9 * time_b, time_b)  # rising where nothing fires, too


def _ratings(subject: Subject, n_samples: int) -> tuple[Annotation, ...]:
  """Spans of one rating each."""
  rating_t = np.rint(10 * (np.arange(n_samples) / n_samples) ** subject.exponent)
  edges = np.flatnonzero(np.diff(rating_t, prepend=-1, append=-1))
  return tuple(Annotation(int(start), int(stop), 'borg', float(rating_t[start]))
               for start, stop in zip(edges[:-1], edges[1:]))
