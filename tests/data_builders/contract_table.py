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

  @property
  def dataset(self) -> str:
    return self.name.split('/')[0]


_FOREARM = {'hand close', 'hand open', 'wrist extension', 'wrist flexion', 'radial deviation'}
_UCI = frozenset({'hand at rest', 'hand clenched in a fist', 'wrist flexion', 'wrist extension',
                  'radial deviations', 'ulnar deviations', 'extended palm'})
ROWS = (
    Row('myo_armband', 17, 8, 200.0, 100.0, 'int16', frozenset({'nominal'}),
        frozenset(_FOREARM | {'neutral', 'ulnar deviation'})),
    Row('contraction_intensity', 13, 8, 1000.0, 450.0, 'float32', frozenset({'nominal'}),
        frozenset({'no movement', 'wrist flexion', 'wrist extension', 'wrist pronation',
                   'wrist supination', 'chuck grip', 'hand open'})),
    Row('synthetic_emg/ring8_200hz', 40, 8, 200.0, 90.0, 'int16', frozenset({'uV'}),
        frozenset(_FOREARM | {'rest'}), generated=True),
    Row('synthetic_emg/ring4_500hz', 24, 4, 500.0, 225.0, 'int16', frozenset({'uV'}),
        frozenset(_FOREARM | {'rest'}), generated=True),
    Row('uci_emg/raw', 4, 8, 1000.0, 100.0, 'int16', frozenset({'nominal'}), _UCI),
    Row('uci_emg/distinct', 4, 8, 200.0, 100.0, 'int16', frozenset({'nominal'}), _UCI),
)
