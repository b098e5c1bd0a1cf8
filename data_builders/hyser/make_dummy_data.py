"""Writes dummy_data/: the published layout and format, tiny, invented numbers, always the same.

Run: python -m data_builders.hyser.make_dummy_data
"""

import pathlib

import numpy as np

from data_builders.hyser import parser

FOLDER = pathlib.Path(__file__).parent / 'dummy_data'
N_SAMPLES = 24
RECORDS = ('pr_dataset/subject01_session1/dynamic_raw_sample2',
           'pr_dataset/subject20_session2/dynamic_raw_sample1',
           'pr_dataset/subject01_session1/maintenance_raw_sample1',
           'mvc_dataset/subject01_session1/mvc_raw_finger2_flexion')
LABELS = {'pr_dataset/subject01_session1/label_dynamic.txt': '30,30,34',
          'pr_dataset/subject20_session2/label_dynamic.txt': '6',
          'pr_dataset/subject01_session1/label_maintenance.txt': '1,30'}


def main(folder: pathlib.Path = FOLDER) -> None:
  """Writes every file below `folder`."""
  rng = np.random.default_rng(0)
  for name in RECORDS:
    signal_tc = rng.normal(0, 8000, (N_SAMPLES, parser.N_CHANNELS)).clip(-32767, 32766)
    gains = rng.uniform(4e3, 6e3, parser.N_CHANNELS).round(4)
    baselines = rng.integers(-900, 900, parser.N_CHANNELS)
    write(folder / name, signal_tc.astype('<i2'), gains, baselines)
  for name, text in LABELS.items():
    (folder / name).write_text(text)


def write(path: pathlib.Path, signal_tc: np.ndarray, gains: np.ndarray,
          baselines: np.ndarray) -> None:
  """Writes `path`.dat and `path`.hea, line by line as PhysioNet's converter from MATLAB does."""
  path.parent.mkdir(parents=True, exist_ok=True)
  path.with_suffix('.dat').write_bytes(signal_tc.tobytes())
  lines = [f'{path.name} {signal_tc.shape[1]} {parser.RATE_HZ:g} {signal_tc.shape[0]}']
  for name, column, gain, baseline in zip(parser.CHANNELS, signal_tc.T, gains, baselines,
                                          strict=True):
    checksum = column.sum(dtype=np.int64) % 65536
    lines.append(f'{path.name}.dat 16 {float(gain)!r}({baseline})/V 16 0 {column[0]} {checksum} 0'
                 f' {name}')
  path.with_suffix('.hea').write_bytes(('\n'.join(lines) + '\n').encode())


if __name__ == '__main__':
  main()
