"""What each builder makes of its dummy data: one row for every configuration with a format of its own."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Row:
  """Expected of every record, and of the set.

  Attributes:
    name: NAME or NAME/CONFIG.
    n_records: records in the set built from dummy_data.
    channels, rate_hz, bandwidth_hz, dtype: of each record.
    units: of its channels, as a set.
    labels: label names that occur in the dummy data.
    kind, is_envelope: of each record.
    rings: ring numbers that occur among the sensors; {0} where there is no ring.
    generated: the set has no raw files.
    config: the configuration that records name beside the set, where the raw folder names it.
  """
  name: str
  n_records: int
  channels: int
  rate_hz: float
  bandwidth_hz: float
  dtype: str
  units: frozenset[str]
  labels: frozenset[str]
  kind: str = 'emg'
  is_envelope: bool = False
  rings: frozenset[int] = frozenset({1})
  generated: bool = False
  config: str = ''

  @property
  def dataset(self) -> str:
    return self.name.split('/')[0]

  @property
  def source(self) -> str:
    return f'{self.dataset}/{self.config}' if self.config else self.dataset


_FOREARM = {'hand close', 'hand open', 'wrist extension', 'wrist flexion', 'radial deviation'}
_UCI = frozenset({'hand at rest', 'hand clenched in a fist', 'wrist flexion', 'wrist extension',
                  'radial deviations', 'ulnar deviations', 'extended palm'})
_FINGERS = {'index flexion', 'index extension', 'thumb extension'}
_HAND = {'thumb up', 'fingers flexed together in fist', 'wrist extension with closed hand'}
_GRASPS = {'rest', 'large diameter grasp', 'medium wrap'}
_DB6 = {f'grasp {number:02d}' for number in (1, 3, 4, 6, 9, 10, 11)}
_V, _NOMINAL, _TARGETED = frozenset({'V'}), frozenset({'nominal'}), frozenset({0, 1})
_CAPG_HAND = frozenset({
    'thumb up', 'extension of index and middle, flexion of the others',
    'flexion of ring and little finger, extension of the others',
    'thumb opposing base of little finger', 'abduction of all fingers',
    'fingers flexed together in fist', 'pointing index', 'adduction of extended fingers'})
ROWS = (
    Row('myo_armband', 17, 8, 200.0, 100.0, 'int16', frozenset({'nominal'}),
        frozenset(_FOREARM | {'neutral', 'ulnar deviation'})),
    Row('contraction_intensity', 13, 8, 1000.0, 450.0, 'float32', frozenset({'nominal'}),
        frozenset({'no movement', 'wrist flexion', 'wrist extension', 'wrist pronation',
                   'wrist supination', 'chuck grip', 'hand open'})),
    Row('curl_borg', 2, 3, 1000.0, 500.0, 'int16', frozenset({'mV'}), frozenset({'curl'}),
        rings=frozenset({0})),
    Row('synthetic_emg/ring8_200hz', 40, 8, 200.0, 90.0, 'int16', frozenset({'uV'}),
        frozenset(_FOREARM | {'rest'}), generated=True),
    Row('synthetic_emg/ring4_500hz', 24, 4, 500.0, 225.0, 'int16', frozenset({'uV'}),
        frozenset(_FOREARM | {'rest'}), generated=True),
    Row('synthetic_fatigue/short', 8, 3, 1000.0, 450.0, 'int16', frozenset({'uV'}),
        frozenset({'hold'}), rings=frozenset({0}), generated=True),
    Row('synthetic_reaching', 8, 44, 30.0, 15.0, 'float32', frozenset({'normalised'}), frozenset(),
        kind='keypoints', rings=frozenset({0}), generated=True),
    Row('grabmyo', 3, 28, 2048.0, 500.0, 'int32', frozenset({'mV'}),
        frozenset({'lateral prehension', 'hand close', 'rest'}), rings=frozenset({1, 2, 3, 4})),
    Row('three_dc', 4, 10, 1000.0, 460.0, 'int16', frozenset({'nominal'}),
        frozenset({'no motion', 'wrist flexion', 'chuck grip', 'pinch grip'})),
    Row('toro_ossaba/published', 7, 4, 1024.0, 512.0, 'float64', frozenset({'nominal'}),
        frozenset(f'gesture {i}' for i in range(5))),
    Row('toro_ossaba/converted', 1, 4, 1024.0, 512.0, 'float64', frozenset({'nominal'}),
        frozenset({'gesture 0'})),
    Row('uci_emg/raw', 4, 8, 1000.0, 100.0, 'int16', frozenset({'nominal'}), _UCI),
    Row('uci_emg/distinct', 4, 8, 200.0, 100.0, 'int16', frozenset({'nominal'}), _UCI),
    Row('ninapro/db1', 3, 10, 100.0, 0.0, 'float64', _V,
        frozenset(_FINGERS | _HAND | _GRASPS | {'cut something'}), is_envelope=True,
        rings=_TARGETED),
    Row('ninapro/db2', 3, 12, 2000.0, 1000.0, 'float32', _V,
        frozenset(_HAND | _GRASPS | {'cut something', 'flexion of the little finger',
                                     'abduction of the thumb',
                                     'flexion of index finger and thumb'}), rings=_TARGETED),
    Row('ninapro/db3', 1, 12, 2000.0, 1000.0, 'float32', _V,
        frozenset(_GRASPS | {'precision sphere grasp'}), rings=_TARGETED),
    Row('ninapro/db3_10ch', 1, 10, 2000.0, 1000.0, 'float32', _V,
        frozenset(_GRASPS | {'precision sphere grasp'}), rings=_TARGETED),
    Row('ninapro/db4', 2, 12, 2000.0, 1000.0, 'float32', _NOMINAL,
        frozenset(_FINGERS | _GRASPS - {'medium wrap'} | {'tripod grasp', 'cut something'}),
        rings=_TARGETED),
    Row('ninapro/db5', 3, 16, 200.0, 100.0, 'float32', _NOMINAL,
        frozenset(_FINGERS | _HAND - {'thumb up'} | _GRASPS - {'medium wrap'}
                  | {'abduction of all fingers', 'prismatic pinch grasp', 'cut something'}),
        rings=frozenset({1, 2})),
    Row('ninapro/db6', 3, 14, 2000.0, 1000.0, 'float32', _V, frozenset(_DB6 | {'rest'}),
        rings=_TARGETED),
    Row('ninapro/db7', 2, 12, 2000.0, 1000.0, 'float32', _V,
        frozenset(_GRASPS - {'medium wrap'} | {'lateral grasp',
                                               'open a bottle with a tripod grasp'}),
        rings=_TARGETED),
    Row('emg_epn612', 11, 8, 200.0, 100.0, 'int16', _NOMINAL,
        frozenset({'noGesture', 'fist', 'waveIn', 'waveOut', 'open', 'pinch'})),
    Row('emg2pose', 5, 16, 2000.0, 850.0, 'float32', frozenset({'uV'}),
        frozenset({'ShakaVulcanPeace', 'unconstrained', 'OneHandedFreeStyle'})),
    Row('csl_hdemg', 4, 168, 2048.0, 1024.0, 'float64', _NOMINAL,
        frozenset({'idle', 'gesture 2', 'gesture 11'}), rings=frozenset({0})),
    Row('hyser/pr_dynamic', 2, 256, 2048.0, 500.0, 'int32', _V,
        frozenset({'hand close', 'wrist flexion'}), rings=frozenset({0})),
    Row('hyser/pr_maintenance', 1, 256, 2048.0, 500.0, 'int32', _V,
        frozenset({'thumb extension'}), rings=frozenset({0})),
    Row('hyser/mvc', 1, 256, 2048.0, 500.0, 'int32', _V, frozenset({'index flexion'}),
        rings=frozenset({0})),
    Row('mcs_emg', 1, 4, 2000.0, 1000.0, 'float64', frozenset({'mV'}),
        frozenset({'rest', 'wrist extension', 'wrist flexion', 'ulnar deviation',
                   'radial deviation', 'grip', 'abduction of all fingers',
                   'adduction of all fingers', 'supination', 'pronation'}), rings=frozenset({0})),
    Row('fors_emg', 14, 8, 985.0, 492.5, 'float64', _NOMINAL,
        frozenset({'thumb up', 'index', 'right angle', 'peace', 'index little', 'thumb little',
                   'hand close', 'hand open', 'wrist extension', 'wrist flexion',
                   'ulnar deviation', 'radial deviation'}), rings=frozenset({0})),
    Row('generic_neuromotor/discrete_gestures', 2, 16, 2000.0, 850.0, 'float32', _V,
        frozenset({'index_press', 'index_release', 'middle_press', 'middle_release', 'thumb_click',
                   'thumb_down', 'thumb_in', 'thumb_out', 'thumb_up'})),
    Row('generic_neuromotor/handwriting', 1, 16, 2000.0, 850.0, 'float32', _V,
        frozenset({'handwriting'})),
    Row('generic_neuromotor/wrist', 1, 16, 2000.0, 850.0, 'float32', _V, frozenset()),
    Row('capgmyo/dba', 9, 128, 1000.0, 380.0, 'float64', _NOMINAL, _CAPG_HAND,
        rings=frozenset({0})),
    Row('capgmyo/dbb', 6, 128, 1000.0, 380.0, 'float64', _NOMINAL,
        frozenset({'thumb up', 'adduction of extended fingers',
                   'extension of index and middle, flexion of the others'}),
        rings=frozenset({0})),
    Row('capgmyo/dbc', 12, 128, 1000.0, 380.0, 'float64', _NOMINAL,
        frozenset({f'{finger} {way}' for way in ('flexion', 'extension')
                   for finger in ('index', 'middle', 'ring', 'little finger', 'thumb')}
                  | {'thumb abduction', 'thumb adduction'}), rings=frozenset({0})),
    Row('shoulder_mvic', 3, 6, 1000.0, 500.0, 'float64', frozenset({'mV'}),
        frozenset({'internal rotation', 'external rotation'}), rings=frozenset({0})),
    Row('putemg', 3, 24, 5120.0, 900.0, 'float64', _NOMINAL,
        frozenset({'idle', 'fist', 'flexion', 'extension', 'pinch index', 'pinch middle',
                   'pinch ring', 'pinch small'}), rings=frozenset({1, 2, 3})),
    Row('cerqueira_fatigue', 2, 4, 34000 / 27, 17000 / 27, 'float64', _V,
        frozenset({'biceps brachii', 'deltoid anterior (complex)'}), rings=frozenset({0})),
    Row('plux_fatigue', 1, 1, 1000.0, 500.0, 'int16', frozenset({'mV'}), frozenset(),
        rings=frozenset({0})),
    Row('imu_borg', 2, 18, 50.0, 25.0, 'float64', frozenset({'deg/s', 'm/s^2', 'rad'}),
        frozenset(), kind='imu', rings=frozenset({0})),
    Row('emg_folder', 24, 4, 1000.0, 450.0, 'float32', frozenset({'uV'}),
        frozenset({'rest', 'hand close', 'hand open'}), config='example_csv'),
    Row('emg_bids', 3, 4, 100.0, 45.0, 'int32', frozenset({'uV'}),
        frozenset({'rest', 'fist', 'open'}), config='example_of_emg_bids'),
    Row('kinematics_fatigue', 3, 44, 30.0, 15.0, 'float32', frozenset({'normalised'}),
        frozenset(), kind='keypoints', rings=frozenset({0})),
)
