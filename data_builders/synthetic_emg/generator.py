"""Generates synthetic surface EMG of wrist and hand gestures. SYNTHETIC: no person was recorded.

A recording is one cycle: rest, gesture, rest, ... each gesture once, in a drawn order.

  sources     Each muscle is three independent Gaussian processes (patches of motor units). Surface
              EMG at moderate force is close to Gaussian with the band-limited spectrum of Shwedyk,
              Balasubramanian & Scott 1977 (IEEE Trans Biomed Eng 24:417), as fitted by Stulen &
              De Luca 1981 (ibid. 28:515): S(f) = fh^4 f^2 / ((f^2 + fl^2) (f^2 + fh^2)^2), with
              fl near 40 Hz and fh near 100 Hz here.
  gestures    A muscle synergy each (d'Avella, Saltiel & Bizzi 2003, Nat Neurosci 6:300): one
              activation vector, common to all subjects, times each subject's own deviations. EMG
              amplitude is taken as proportional to activation.
  electrodes  On a ring round the forearm. A source reaches an electrode by a von Mises kernel of
              the angle between them: tissue spreads potentials round the limb (Roeleveld et al.
              1997, Acta Physiol Scand 161:465). Each band is rotated, a fixed share also mirrored.
  noise       White sensor noise and 50 Hz hum, then rounding to the device's step.

The angles and the synergies are schematic, chosen by hand after forearm anatomy, not measured.
"""

import dataclasses
import functools
import math
import zlib

from aemg_jax.records import Annotation, Label, Record, Sensor
import numpy as np

from data_builders.jobs import Job

NAME = 'synthetic_emg'
LICENCE = 'CC0-1.0 (synthetic: no person was recorded)'
REST = 'rest'
# Angle on the limb in degrees: brachioradialis, extensor carpi radialis, extensor digitorum,
# extensor carpi ulnaris, flexor carpi ulnaris, flexor digitorum, flexor carpi radialis, pronator.
MUSCLE_ANGLE_DEG = np.array([0., 45., 90., 140., 200., 245., 290., 325.])
SYNERGIES = {
    'hand close': (.10, .35, .15, .25, .25, .90, .25, .15),
    'hand open': (.10, .25, .90, .30, .15, .10, .10, .10),
    'wrist flexion': (.10, .05, .05, .10, .75, .40, .80, .25),
    'wrist extension': (.20, .85, .45, .75, .10, .10, .05, .10),
    'radial deviation': (.30, .60, .10, .10, .10, .15, .60, .20),
}
LABEL_NAMES = (REST, *SYNERGIES)
COMMON_NAMES = {REST: 'rest', 'wrist flexion': 'wrist flexion', 'hand close': 'fist',
                'wrist extension': 'wrist extension', 'hand open': 'open',
                'radial deviation': 'radial deviation'}
REST_ACTIVATION = 0.01
PATCHES_DEG = np.array([-12., 0., 12.])
FULL_ACTIVATION_UV = 400.0  # RMS over one electrode, the muscle under it fully active
HUM_HZ = 50.0
ROTATION_SD_DEG, DONNING_SD_DEG, MIRRORED_SHARE = 30.0, 8.0, 0.25
HOLD_S, REST_S, RAMP_S, MAX_DELAY_S = 2.0, 1.0, 0.2, 0.15
SEED = 1


@dataclasses.dataclass(frozen=True)
class Device:
  """A virtual band.

  Attributes:
    name: of the configuration.
    n_electrodes: evenly round the limb.
    rate_hz: sampling rate; the anti-alias filter passes up to 0.45 of it, at most 450 Hz.
    step_uv: one count.
    noise_uv, hum_uv: RMS of the sensor noise, mean RMS of the hum.
    n_subjects, n_sessions, n_cycles: size of the set.
  """
  name: str
  n_electrodes: int
  rate_hz: float
  step_uv: float
  noise_uv: float
  hum_uv: float
  n_subjects: int
  n_sessions: int
  n_cycles: int

  @property
  def bandwidth_hz(self) -> float:
    return min(450.0, 0.45 * self.rate_hz)


DEVICES = {device.name: device for device in (
    Device('ring8_200hz', 8, 200.0, 4.0, 4.0, 2.0, n_subjects=8, n_sessions=1, n_cycles=5),
    Device('ring4_500hz', 4, 500.0, 1.0, 6.0, 3.0, n_subjects=6, n_sessions=1, n_cycles=4),
    Device('ring10_1000hz', 10, 1000.0, 1.0, 3.0, 1.5, n_subjects=6, n_sessions=2, n_cycles=3),
    Device('ring16_2000hz', 16, 2000.0, 0.5, 3.0, 1.0, n_subjects=6, n_sessions=1, n_cycles=4),
)}
DEFAULT = 'ring8_200hz'


@dataclasses.dataclass(frozen=True)
class Subject:
  """What one virtual person brings.

  Attributes:
    activation_gm: [gesture, muscle] in [0, 1], rest first.
    gain_m: [muscle] factor on the amplitude.
    source_angle_deg: [muscle * patch].
    low_hz, high_hz: [muscle] corners of the spectrum.
    spread_rad: width of the electrode kernel.
    rotation: of the band, in electrodes; channel e sits at angle (+-e + rotation) * 360 / C.
    mirror: whether channel numbers run the other way round.
  """
  activation_gm: np.ndarray
  gain_m: np.ndarray
  source_angle_deg: np.ndarray
  low_hz: np.ndarray
  high_hz: np.ndarray
  spread_rad: float
  rotation: float
  mirror: bool


def jobs(device: Device) -> list[Job]:
  """One job per recording, in order of record id."""
  n_bytes = 2 * device.n_electrodes * int(cycle_s() * device.rate_hz)
  return [Job(f'{device.name}/S{subject:02d}/session{session}/cycle{cycle:02d}', '', n_bytes)
          for subject in range(device.n_subjects) for session in range(device.n_sessions)
          for cycle in range(device.n_cycles)]


def cycle_s() -> float:
  return len(SYNERGIES) * (HOLD_S + REST_S) + REST_S


def _rng(device: Device, *indices: int) -> np.random.Generator:
  return np.random.default_rng([SEED, zlib.crc32(device.name.encode()), *indices])


@functools.lru_cache(maxsize=64)
def draw_subject(device: Device, subject: int, session: int) -> Subject:
  """The same person in every session, with the band put on anew."""
  rng = _rng(device, 1, subject)
  n_muscles = len(MUSCLE_ANGLE_DEG)
  synergies = np.array([(REST_ACTIVATION,) * n_muscles, *SYNERGIES.values()])
  co_contraction = rng.uniform(0, 0.08)
  activation = synergies * rng.lognormal(0, 0.25, synergies.shape)
  activation[1:] += co_contraction
  angle = MUSCLE_ANGLE_DEG + rng.normal(0, 7, n_muscles)
  spectrum = rng.uniform(0.85, 1.15)
  gain = rng.lognormal(0, 0.25) * rng.lognormal(0, 0.15, n_muscles)
  low_hz, high_hz = (spectrum * hz * rng.uniform(0.9, 1.1, n_muscles) for hz in (40.0, 100.0))
  spread_rad = rng.uniform(0.45, 0.7)
  order = _rng(device, 0).permutation(device.n_subjects)  # a fixed share: small sets have both
  mirror = bool(order[subject] < round(MIRRORED_SHARE * device.n_subjects))
  turn_deg = rng.normal(0, ROTATION_SD_DEG)
  if session:
    turn_deg += _rng(device, 2, subject, session).normal(0, DONNING_SD_DEG)
  rotation = turn_deg / 360 * device.n_electrodes
  return Subject(np.clip(activation, 0, 1), gain, (angle[:, None] + PATCHES_DEG).ravel(), low_hz,
                 high_hz, spread_rad, float(rotation % device.n_electrodes), mirror)


def electrode_gain(device: Device, subject: Subject) -> np.ndarray:
  """[C, muscle * patch] amplitude of each source at each electrode; at most 1."""
  direction = -1 if subject.mirror else 1
  turn = direction * np.arange(device.n_electrodes) + subject.rotation
  angle_c = 2 * np.pi * turn / device.n_electrodes
  apart_cs = angle_c[:, None] - np.deg2rad(subject.source_angle_deg)[None, :]
  return np.exp((np.cos(apart_cs) - 1) / subject.spread_rad**2)


def spectrum(frequency_hz: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
  """Power density of Stulen & De Luca 1981, up to its factor."""
  f2 = frequency_hz**2
  return high_hz**4 * f2 / ((f2 + low_hz**2) * (f2 + high_hz**2)**2)


def _sources(device: Device, subject: Subject, n_samples: int, rng) -> np.ndarray:
  """[T, muscle * patch] noise whose RMS over the full spectrum, before the band limit, is 1."""
  frequency = np.fft.rfftfreq(n_samples, 1 / device.rate_hz)
  full = np.arange(0.5, 2000.0)
  shaped = []
  for low_hz, high_hz in zip(subject.low_hz, subject.high_hz):
    density = spectrum(frequency, low_hz, high_hz) / spectrum(full, low_hz, high_hz).sum()
    density[frequency > device.bandwidth_hz] = 0
    white = np.fft.rfft(rng.standard_normal((len(PATCHES_DEG), n_samples)), axis=1)
    response = np.sqrt(density * device.rate_hz / 2)  # white noise has 2 / rate per Hz
    shaped.append(np.fft.irfft(white * response[None, :], n_samples, axis=1))
  return np.concatenate(shaped).T


def _envelopes(device: Device, subject: Subject, order: np.ndarray, n_samples: int, rng) -> tuple:
  """Returns activation_tm [T, muscle] and the label spans of one cycle."""
  rate = device.rate_hz
  activation_tm = np.tile(subject.activation_gm[0], (n_samples, 1))
  time = np.arange(n_samples) / rate
  labels, start_s = [], 0.0
  for gesture in order:
    labels.append(Label(round(start_s * rate), round((start_s + REST_S) * rate), REST))
    onset = start_s + REST_S + rng.uniform(0, MAX_DELAY_S)
    offset = start_s + REST_S + HOLD_S - rng.uniform(0, MAX_DELAY_S)
    rise = np.clip((time - onset) / RAMP_S, 0, 1) * np.clip((offset - time) / RAMP_S, 0, 1)
    shape = np.sin(np.pi / 2 * rise)**2 * rng.lognormal(0, 0.2)
    wobble = 1 + 0.1 * np.sin(2 * np.pi * (rng.uniform(0.5, 3) * time + rng.uniform()))
    target = subject.activation_gm[gesture] * rng.lognormal(0, 0.12, len(subject.gain_m))
    activation_tm += (shape * wobble)[:, None] * (target - subject.activation_gm[0])[None, :]
    start_s += REST_S + HOLD_S
    labels.append(Label(labels[-1].stop, round(start_s * rate), LABEL_NAMES[gesture]))
  labels.append(Label(labels[-1].stop, n_samples, REST))
  return np.maximum(activation_tm, 0), tuple(labels)


def generate(device: Device, job: Job) -> list[Record]:
  """The recording named by the job; the same bytes each time on one NumPy."""
  _, subject_name, session_name, cycle_name = job.name.split('/')
  indices = int(subject_name[1:]), int(session_name[7:]), int(cycle_name[5:])
  subject = draw_subject(device, *indices[:2])
  rng = _rng(device, 3, *indices)
  n_samples = round(cycle_s() * device.rate_hz)
  order = 1 + rng.permutation(len(SYNERGIES))
  activation_tm, labels = _envelopes(device, subject, order, n_samples, rng)
  source_ts = _sources(device, subject, n_samples, rng)
  amplitude_ts = np.repeat(activation_tm * subject.gain_m, len(PATCHES_DEG), axis=1)
  gain_cs = electrode_gain(device, subject) / math.sqrt(len(PATCHES_DEG))
  emg_uv = FULL_ACTIVATION_UV * (source_ts * amplitude_ts) @ gain_cs.T
  emg_uv += device.noise_uv * rng.standard_normal(emg_uv.shape)
  hum = math.sqrt(2) * np.sin(2 * np.pi * (HUM_HZ * np.arange(n_samples) / device.rate_hz
                                           + rng.uniform()))
  emg_uv += hum[:, None] * device.hum_uv * rng.uniform(0.5, 1.5, device.n_electrodes)
  counts_tc = np.clip(np.rint(emg_uv / device.step_uv), -32768, 32767).astype(np.int16)
  whole = (('true_rotation_electrodes', subject.rotation), ('true_mirror', float(subject.mirror)))
  return [Record(
      record_id=job.name, dataset=NAME, subject=f'{device.name}/{subject_name}',
      session=session_name, repetition=indices[2], kind='emg', signal_tc=counts_tc,
      rate_hz=device.rate_hz, bandwidth_hz=device.bandwidth_hz, is_envelope=False,
      sensors=tuple(Sensor(f'emg{i}', ring=1, angle_deg=360.0 * i / device.n_electrodes, unit='uV',
                           scale=device.step_uv) for i in range(device.n_electrodes)),
      labels=labels,
      annotations=tuple(Annotation(0, n_samples, name, value) for name, value in whole)
      + tuple(Annotation(s.start, s.stop, 'repetition', float(indices[2])) for s in labels),
      licence=LICENCE)]
