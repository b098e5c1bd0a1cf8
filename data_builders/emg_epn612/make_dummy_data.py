"""Writes dummy_data/: the documented layout and format, tiny, invented numbers, always the same.

Run: python -m data_builders.emg_epn612.make_dummy_data
"""

from collections.abc import Sequence
import json
import pathlib
from typing import Any

import numpy as np

from data_builders.emg_epn612 import parser

FOLDER = pathlib.Path(__file__).parent / 'dummy_data'
NAME = 'Invented Name'  # stands where the published files name a person
LENGTHS = (110, 112, 108)  # of the trials in turn
GESTURE = slice(30, 80)
# The device's numbers for the gestures, as in the published header.
DEVICE = {'waveOut': 1, 'waveIn': 2, 'fist': 3, 'open': 4, 'pinch': 5, 'noGesture': 6}
UNKNOWN_POSE = 65535


def main(folder: pathlib.Path = FOLDER) -> None:
  """Writes every file below `folder`."""
  rng = np.random.default_rng(0)
  first = section(rng, parser.LABEL_NAMES)
  tested = section(rng, ('fist', 'noGesture'))
  save(folder, 'trainingJSON', 1, first, tested)
  save(folder, 'trainingJSON', 54, {}, {})
  # Kept back by the authors: no labels. The first is a trial of the first user once more.
  hidden = {'idx_1': without_label(tested['idx_1'])}
  hidden['idx_2'] = without_label(section(rng, ('open',))['idx_1'])
  save(folder, 'testingJSON', 10, section(rng, ('noGesture', 'fist')), hidden)


def section(rng: np.random.Generator, gestures: Sequence[str]) -> dict[str, Any]:
  """idx_K -> trial."""
  return {f'idx_{i + 1}': trial(rng, gesture, LENGTHS[i % len(LENGTHS)])
          for i, gesture in enumerate(gestures)}


def trial(rng: np.random.Generator, gesture: str, n_samples: int) -> dict[str, Any]:
  """One recording; the device's other streams, slower, are cut to 3 samples."""
  width = np.full(n_samples, 2.0)
  if gesture != parser.REST:
    width[GESTURE] = 8 + 4 * parser.LABEL_NAMES.index(gesture)
  counts_tc = rng.normal(0, width[:, None], (n_samples, 8)).clip(-128, 127).astype(int)
  content = {'gestureName': gesture, 'startPointforGestureExecution': GESTURE.start,
             'myoDetection': [UNKNOWN_POSE, DEVICE[gesture], DEVICE['noGesture']]}
  if gesture != parser.REST:
    mask = np.zeros(n_samples, int)
    mask[GESTURE] = 1
    content |= {'groundTruth': mask.tolist(), 'groundTruthIndex': [GESTURE.start + 1, GESTURE.stop]}
  return content | {
      'quaternion': {axis: [0.5, 0.5001, -0.4999] for axis in 'wxyz'},
      'emg': {f'ch{i + 1}': counts_tc[:, i].tolist() for i in range(8)},
      'gyroscope': {axis: [0.0625, -1.5, 2] for axis in 'xyz'},
      'accelerometer': {axis: [0.01, 0.02, 1] for axis in 'xyz'}}


def without_label(content: dict[str, Any]) -> dict[str, Any]:
  """A copy of the trial as the testing group keeps it back."""
  hidden = ('gestureName', 'groundTruth', 'groundTruthIndex')
  return {name: value for name, value in content.items() if name not in hidden}


def save(folder: pathlib.Path, group: str, number: int, training: dict[str, Any],
         testing: dict[str, Any]) -> None:
  """Writes the file of one person."""
  rng = np.random.default_rng(number)
  user = {
      'generalInfo': {
          'deviceModel': 'Myo Armband', 'samplingFrequencyInHertz': 200,
          'recordingTimeInSeconds': 5, 'repetitionsForSynchronizationGesture': 5,
          'myoPredictionLabel': DEVICE},
      'userInfo': {
          'name': NAME, 'age': 99, 'gender': 'invented', 'occupation': 'invented',
          'ethnicGroup': 'invented', 'handedness': 'invented', 'ArmDamage': 'False',
          'distanceFromElbowToMyoInCm': 0, 'distanceFromElbowToUlnaInCm': 0,
          'armPerimeterInCm': 0, 'date': '01-Jan-2000 00:00:00'},
      'synchronizationGesture': {'samples': {'idx_1': without_label(trial(rng, 'waveOut', 100))}},
      'trainingSamples': training, 'testingSamples': testing}
  path = folder / f'{group}/user{number}/user{number}.json'
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(json.dumps(user, separators=(',', ':')))


if __name__ == '__main__':
  main()
