"""What the documentation of Ninapro says about its databases DB1 to DB7: one row for each.

Tables only; parser.py holds the code. Where each fact is from: README.md.
"""

import dataclasses
import functools
import re

from aemg_jax.records import Sensor

REST = 'rest'
# The exercises, in the order of their numbers (A to D in the documentation).
FINGERS = (
    'index flexion', 'index extension', 'middle flexion', 'middle extension', 'ring flexion',
    'ring extension', 'little finger flexion', 'little finger extension', 'thumb adduction',
    'thumb abduction', 'thumb flexion', 'thumb extension')
HAND_AND_WRIST = (
    'thumb up', 'extension of index and middle, flexion of the others',
    'flexion of ring and little finger, extension of the others',
    'thumb opposing base of little finger', 'abduction of all fingers',
    'fingers flexed together in fist', 'pointing index', 'adduction of extended fingers',
    'wrist supination (axis: middle finger)', 'wrist pronation (axis: middle finger)',
    'wrist supination (axis: little finger)', 'wrist pronation (axis: little finger)',
    'wrist flexion', 'wrist extension', 'wrist radial deviation', 'wrist ulnar deviation',
    'wrist extension with closed hand')
GRASPS = (
    'large diameter grasp', 'small diameter grasp', 'fixed hook grasp',
    'index finger extension grasp', 'medium wrap', 'ring grasp', 'prismatic four fingers grasp',
    'stick grasp', 'writing tripod grasp', 'power sphere grasp', 'three finger sphere grasp',
    'precision sphere grasp', 'tripod grasp', 'prismatic pinch grasp', 'tip pinch grasp',
    'quadpod grasp', 'lateral grasp', 'parallel extension grasp', 'extension type grasp',
    'power disk grasp', 'open a bottle with a tripod grasp', 'turn a screw', 'cut something')
FORCES = (
    'flexion of the little finger', 'flexion of the ring finger', 'flexion of the middle finger',
    'flexion of the index finger', 'abduction of the thumb', 'flexion of the thumb',
    'flexion of index and little finger', 'flexion of ring and middle finger',
    'flexion of index finger and thumb')
# DB6 numbers its seven grasps with gaps, and no source says which number is which grasp.
_DB6_NUMBERS = (1, 3, 4, 6, 9, 10, 11)

COMMON_NAMES = {
    REST: 'rest', 'little finger flexion': 'little flexion',
    'little finger extension': 'little extension', 'thumb up': 'thumb up',
    'thumb opposing base of little finger': 'thumb opposition', 'abduction of all fingers': 'open',
    'fingers flexed together in fist': 'fist', 'pointing index': 'point',
    'wrist supination (axis: middle finger)': 'supination',
    'wrist pronation (axis: middle finger)': 'pronation', 'wrist flexion': 'wrist flexion',
    'wrist extension': 'wrist extension', 'wrist radial deviation': 'radial deviation',
    'wrist ulnar deviation': 'ulnar deviation', 'large diameter grasp': 'power grip',
    'small diameter grasp': 'power grip', 'medium wrap': 'power grip',
    'tripod grasp': 'tripod grip', 'prismatic pinch grasp': 'pinch', 'tip pinch grasp': 'pinch',
    'lateral grasp': 'lateral grip'}
COMMON_NAMES |= {name: name for name in FINGERS if name not in COMMON_NAMES}

_MUSCLES = ('flexor digitorum superficialis', 'extensor digitorum superficialis',
            'biceps brachii', 'triceps brachii')


def _ring(unit: str, ring: int = 1, first_deg: float = 0.0) -> tuple[Sensor, ...]:
  """8 electrodes at equal distances; in which sense they run round the arm is not documented."""
  return tuple(Sensor(f'ring {ring} electrode {i + 1}', ring, (first_deg + 45.0 * i) % 360,
                      unit=unit) for i in range(8))


def _targeted(unit: str, n_muscles: int = 4) -> tuple[Sensor, ...]:
  return _ring(unit) + tuple(Sensor(name, unit=unit) for name in _MUSCLES[:n_muscles])


@dataclasses.dataclass(frozen=True)
class Database:
  """One configuration of the builder.

  Attributes:
    name: of the configuration.
    folder: of its raw files, where several databases lie in one directory.
    description: for people.
    urls: of the archives, that of the smallest part that gives one subject first.
    subjects: numbers in the names of its files.
    elsewhere: numbers of subjects that another configuration holds.
    file: regular expression of its file names: subject and exercise, or subject and session.
    numbers: of the movements in the labels, where they have gaps.
    rate_hz, dtype, is_envelope: of the EMG.
    columns: of the variable `emg`; None for a column without an electrode, which must be constant.
    n_missing: columns that may be without an electrode, and which is known from the data only.
    exercises: names of the movements of exercise 1, 2, ...
    cumulative: label numbers go on from one exercise to the next, instead of beginning at 1 again.
    n_files: that are published.
    n_repetitions: most repetitions of one movement that any source states.
  """
  name: str
  folder: str
  description: str
  urls: tuple[str, ...]
  subjects: tuple[int, ...]
  rate_hz: float
  columns: tuple[Sensor | None, ...]
  exercises: tuple[tuple[str, ...], ...]
  cumulative: bool
  n_repetitions: int
  n_files: int
  dtype: str = 'float32'
  is_envelope: bool = False
  elsewhere: tuple[int, ...] = ()
  file: str = r'S(?P<subject>[1-9]\d*)_E(?P<exercise>[1-9])_A1\.mat'
  numbers: tuple[int, ...] = ()
  n_missing: int = 0

  @property
  def file_form(self) -> str:
    """`file` for people: 'S{subject}_A1_E{exercise}.mat'."""
    named = re.sub(r'\(\?P<(\w+)>[^()]*\)', r'{\1}', self.file)
    return re.sub(r'\(\?:[^()]*\)\??', '', named).replace('\\', '')

  @functools.cached_property
  def label_names(self) -> tuple[str, ...]:
    """Rest, then the movements of all exercises."""
    return (REST, *(name for exercise in self.exercises for name in exercise))

  @property
  def n_channels(self) -> int:
    return sum(sensor is not None for sensor in self.columns) - self.n_missing


def _numbered(first: int, last: int) -> tuple[int, ...]:
  return tuple(range(first, last + 1))


def _urls(pattern: str, subjects: tuple[int, ...]) -> tuple[str, ...]:
  return tuple(f'https://ninapro.hevs.ch/files/{pattern.format(s)}' for s in subjects)


_TEN, _DB3_SHORT = _numbered(1, 10), (6, 7)
_DB3_FULL = tuple(s for s in _numbered(1, 11) if s not in _DB3_SHORT)
# The copy of DB3 at Dryad is said to write A1 before E.
_DB3_FILE = r'S(?P<subject>[1-9]\d*)_(?:A1_)?E(?P<exercise>[1-9])(?:_A1)?\.mat'
_ALL_52, _ALL_49 = (FINGERS, HAND_AND_WRIST, GRASPS), (HAND_AND_WRIST, GRASPS, FORCES)

DATABASES = {database.name: database for database in (
    Database('db1', 'db1', '27 intact subjects, 10 Otto Bock electrodes (envelopes at 100 Hz)',
             _urls('DB1/Preprocessed/s{}.zip', _numbered(1, 27)), _numbered(1, 27), 100.0,
             _targeted('V', 2), _ALL_52, False, 10, 81, dtype='float64', is_envelope=True,
             file=r'S(?P<subject>[1-9]\d*)_A1_E(?P<exercise>[1-9])\.mat'),
    Database('db2', 'db2', '40 intact subjects, 12 Delsys Trigno electrodes',
             _urls('DB2_Preproc/DB2_s{}.zip', _numbered(1, 40)), _numbered(1, 40), 2000.0,
             _targeted('V'), _ALL_49, True, 10, 120),
    Database('db3', 'db3', '9 of the 11 amputees, 12 Delsys Trigno electrodes',
             _urls('db3_Preproc/s{}_0.zip', _DB3_FULL), _DB3_FULL, 2000.0, _targeted('V'), _ALL_49,
             True, 10, 26, elsewhere=_DB3_SHORT, file=_DB3_FILE),
    Database('db3_10ch', 'db3', 'amputees 6 and 7 of DB3, who had room for 10 electrodes',
             _urls('db3_Preproc/s{}_0.zip', _DB3_SHORT), _DB3_SHORT, 2000.0, _targeted('V'),
             _ALL_49, True, 10, 6, elsewhere=_DB3_FULL, file=_DB3_FILE, n_missing=2),
    Database('db4', 'db4', '10 intact subjects, 12 Cometa electrodes',
             _urls('DB4_Preproc/s{}.zip', _TEN), _TEN, 2000.0, _targeted('nominal'), _ALL_52,
             False, 10, 30),
    Database('db5', 'db5', '10 intact subjects, two Myo armbands',
             _urls('DB5_Preproc/s{}.zip', _TEN), _TEN, 200.0,
             _ring('nominal') + _ring('nominal', 2, 22.5), _ALL_52, False, 10, 30),
    Database('db6', 'db6', '10 intact subjects, 14 Delsys Trigno electrodes, 10 sessions each',
             tuple(url for s in _TEN for part in 'ab' for url in
                   _urls(f'DB6_Preproc/DB6_s{{}}_{part}.zip', (s,))), _TEN, 2000.0,
             _ring('V') + (None, None)
             + tuple(Sensor(f'below the ring {i}', unit='V') for i in range(1, 7)),
             (tuple(f'grasp {number:02d}' for number in _DB6_NUMBERS),), True, 12, 100,
             numbers=_DB6_NUMBERS,
             file=r'S(?P<subject>[1-9]\d*)_(?P<session>D[1-5]_T[12])\.mat'),
    Database('db7', 'db7', '20 intact subjects and 2 amputees, 12 Delsys Trigno IM electrodes',
             _urls('DB7_Preproc/Subject_{}.zip', _numbered(1, 22)), _numbered(1, 22), 2000.0,
             _targeted('V'), _ALL_49[:2], True, 10, 44),
)}
