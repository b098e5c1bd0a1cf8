"""The sub-datasets of Hyser, one configuration of the builder for each: which files and labels."""

from collections.abc import Mapping
import dataclasses

_FINGERS = ('thumb', 'index', 'middle', 'ring', 'little')
GESTURES = (
    *(f'{finger} finger extension'.replace('thumb finger', 'thumb') for finger in _FINGERS),
    'wrist flexion', 'wrist extension', 'wrist radial', 'wrist ulnar', 'wrist pronation',
    'wrist supination', 'extension of thumb and index fingers',
    'extension of index and middle fingers',
    *(f'wrist {way} combined with hand {state}' for state in ('close', 'open')
      for way in ('flexion', 'extension', 'radial', 'ulnar', 'pronation', 'supination')),
    'extension of thumb, index and middle fingers', 'extension of index, middle and ring fingers',
    'extension of middle, ring and little fingers',
    'extension of index, middle, ring and little fingers', 'hand close', 'hand open',
    'thumb and index fingers pinch', 'thumb, index and middle fingers pinch',
    'thumb and middle fingers pinch')
DIRECTIONS = ('extension', 'flexion')
COMBINATIONS = (
    'thumb + index', 'thumb + middle', 'thumb + ring', 'thumb + little', 'index + middle',
    'thumb + index + middle', 'index + middle + ring', 'middle + ring + little',
    'index + middle + ring + little', 'all fingers', 'thumb + index (opposing)',
    'thumb + middle (opposing)', 'thumb + ring (opposing)', 'thumb + little (opposing)',
    'index + middle (opposing)')
COMMON_NAMES = {
    'thumb extension': 'thumb extension', 'index finger extension': 'index extension',
    'middle finger extension': 'middle extension', 'ring finger extension': 'ring extension',
    'little finger extension': 'little extension', 'wrist flexion': 'wrist flexion',
    'wrist extension': 'wrist extension', 'wrist radial': 'radial deviation',
    'wrist ulnar': 'ulnar deviation', 'wrist pronation': 'pronation',
    'wrist supination': 'supination', 'hand close': 'fist', 'hand open': 'open',
    'thumb and index fingers pinch': 'pinch',
    'thumb, index and middle fingers pinch': 'tripod grip',
    **{f'{finger} {way}': f'{finger} {way}' for finger in _FINGERS for way in DIRECTIONS}}


@dataclasses.dataclass(frozen=True)
class Task:
  """One sub-dataset.

  Attributes:
    name: of the configuration.
    description: for the metadata.
    stem: pattern of the file names, without extension. Its groups: `label` and `way` (which of
      `label_names`, see `parser.label_index`), `sample` (the number of the trial, from 1).
    label_names: in the order of the numbers in names or in the file of labels.
    label_file: text file with the gesture of every sample; '' where the name says it.
    max_number: of the group `label`; 0 where there is none.
    max_samples: of the group `sample`; 1 where there is none.
    example: a file name, for errors.
  """
  name: str
  description: str
  stem: str
  label_names: tuple[str, ...]
  label_file: str = ''
  max_number: int = 0
  max_samples: int = 1
  example: str = ''


_SAMPLE = r'sample(?P<sample>[1-9]\d{0,2})'
TASKS: Mapping[str, Task] = {task.name: task for task in (
    Task('pr_dynamic', 'Pattern recognition: 1 s each, from rest into one of 34 gestures.',
         rf'dynamic_raw_{_SAMPLE}', GESTURES, 'label_dynamic.txt', max_samples=204,
         example='dynamic_raw_sample1'),
    Task('pr_maintenance', 'Pattern recognition: 4 s each, one of 34 gestures held.',
         rf'maintenance_raw_{_SAMPLE}', GESTURES, 'label_maintenance.txt', max_samples=68,
         example='maintenance_raw_sample1'),
    Task('mvc', 'Maximal voluntary contraction of one finger, 10 s each.',
         r'mvc_raw_finger(?P<label>\d)_(?P<way>extension|flexion)',
         tuple(f'{finger} {way}' for finger in _FINGERS for way in DIRECTIONS),
         max_number=len(_FINGERS), example='mvc_raw_finger1_extension'),
    Task('1dof', 'Contractions of one finger along a prescribed force, 25 s each.',
         rf'1dof_raw_finger(?P<label>\d)_{_SAMPLE}', _FINGERS, max_number=len(_FINGERS),
         max_samples=3, example='1dof_raw_finger1_sample1'),
    Task('ndof', 'Contractions of several fingers along a prescribed force, 25 s each.',
         rf'ndof_raw_combination(?P<label>[1-9]\d?)_{_SAMPLE}', COMBINATIONS,
         max_number=len(COMBINATIONS), max_samples=2, example='ndof_raw_combination1_sample1'),
    Task('random', 'Contractions of the fingers as the subject liked, 25 s each: no labels.',
         rf'random_raw_{_SAMPLE}', (), max_samples=5, example='random_raw_sample1'),
)}
