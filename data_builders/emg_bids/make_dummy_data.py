"""Writes dummy_data/: a tiny EMG-BIDS dataset of invented numbers, always the same bytes.

Run: python -m data_builders.emg_bids.make_dummy_data
"""

from collections.abc import Sequence
import json
import pathlib

import numpy as np

FOLDER = pathlib.Path(__file__).parent / 'dummy_data'
RATE_HZ, N_SAMPLES = 100, 250  # the third block of 1 s is half padding
EMG = tuple(f'emg{i}' for i in range(4))
JOINT = 'joint0'  # in radians, which EDF and BDF writers label uV
RECORDINGS = ('sub-01/ses-a/emg/sub-01_ses-a_task-hand_run-1_emg.bdf',
              'sub-01/ses-a/emg/sub-01_ses-a_task-hand_run-2_emg.bdf',
              'sub-02/ses-b/emg/sub-02_ses-b_task-hand_run-1_emg.edf')
ASIDE = 'sourcedata/sub-01/ses-a/emg/sub-01_ses-a_task-hand_run-9_emg.bdf'  # no raw data
EVENTS = (('0.0', '1.0', 'rest'), ('1.0', '0.8', 'fist'), ('1.8', '0.7', 'open'),
          ('0.5', '0.25', 'BAD_IK'), ('2.0', '0', 'button'), ('1.0', 'n/a', 'fist'))


def tsv(path: pathlib.Path, *rows: Sequence[str]) -> None:
  """Writes a table; the first row is its header."""
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_bytes(''.join('\t'.join(row) + '\n' for row in rows).encode())


def write_signals(path: pathlib.Path, counts_tc: np.ndarray, names: Sequence[str],
                  rate_hz: int = RATE_HZ, marked: bool = True) -> None:
  """Writes counts of 1 uV, the last second filled with the last sample, as MNE does it."""
  import edfio
  bits, cls, signal = ((24, edfio.Bdf, edfio.BdfSignal) if path.suffix == '.bdf' else
                       (16, edfio.Edf, edfio.EdfSignal))
  bound, n_samples = 1 << (bits - 1), len(counts_tc)
  padded_tc = np.pad(counts_tc, ((0, -n_samples % rate_hz), (0, 0)), 'edge')
  notes = [edfio.EdfAnnotation(n_samples / rate_hz, -n_samples % rate_hz / rate_hz, 'BAD_ACQ_SKIP')]
  path.parent.mkdir(parents=True, exist_ok=True)
  cls([signal.from_digital(column.astype(np.int32 if bits == 24 else np.int16), rate_hz,
                           label=name, physical_dimension='uV',
                           physical_range=(-bound, bound - 1), digital_range=(-bound, bound - 1))
       for name, column in zip(names, padded_tc.T, strict=True)],
      annotations=notes if marked and n_samples % rate_hz else []).write(path)


def main(folder: pathlib.Path = FOLDER) -> None:
  """Writes every file below `folder`."""
  rng = np.random.default_rng(0)
  folder.mkdir(parents=True, exist_ok=True)
  (folder / 'dataset_description.json').write_text(json.dumps(
      {'Name': 'Example of EMG-BIDS', 'BIDSVersion': '1.11.0', 'DatasetType': 'raw',
       'License': 'CC0'}, indent=1) + '\n')
  (folder / 'README').write_text('Invented numbers.\n')
  tsv(folder / 'participants.tsv', ('participant_id', 'age'), ('sub-01', 'n/a'), ('sub-02', 'n/a'))
  for name in (*RECORDINGS, ASIDE):
    counts_tc = rng.normal(0, 40, (N_SAMPLES, len(EMG) + 1)).round()
    write_signals(folder / name, counts_tc, (*EMG, JOINT))
  tsv(folder / 'task-hand_channels.tsv',  # inherited by all recordings
      ('name', 'type', 'units', 'high_cutoff', 'sampling_frequency', 'status'),
      *((name, 'EMG', 'V', '45', str(RATE_HZ), 'good') for name in EMG),
      (JOINT, 'MISC', 'rad', 'n/a', str(RATE_HZ), 'good'))
  (folder / 'task-hand_emg.json').write_text(json.dumps(
      {'TaskName': 'hand', 'SamplingFrequency': RATE_HZ, 'RecordingType': 'continuous',
       'EMGPlacementScheme': 'Other', 'EMGReference': 'n/a', 'PowerLineFrequency': 50,
       'SoftwareFilters': 'n/a'}, indent=1) + '\n')
  for name in RECORDINGS:
    path, (subject, session, *_) = folder / name, name.split('/')
    tsv(path.with_name(f'{path.stem[:-4]}_events.tsv'), ('onset', 'duration', 'trial_type'),
        *EVENTS)
    tsv(path.with_name(f'{subject}_{session}_electrodes.tsv'), ('name', 'x', 'y'),
        *((electrode, f'{np.cos(np.pi * i / 2):.0f}', f'{np.sin(np.pi * i / 2):.0f}')
          for i, electrode in enumerate(EMG)))
    path.with_name(f'{subject}_{session}_coordsystem.json').write_text(json.dumps(
        {'EMGCoordinateSystem': 'Other', 'EMGCoordinateUnits': 'cm',
         'EMGCoordinateSystemDescription': 'x and y in the plane of the band'}) + '\n')


if __name__ == '__main__':
  main()
