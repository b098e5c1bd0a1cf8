"""Writes dummy_data/: the published layout and format, tiny, invented numbers, always the same.

Run: python -m data_builders.grabmyo.make_dummy_data
"""

import pathlib

import numpy as np

from data_builders.grabmyo import parser

FOLDER = pathlib.Path(__file__).parent / 'dummy_data'
N_SAMPLES = 256
# Session, participant, gesture, trial.
RECORDS = ((1, 2, 1, 1), (1, 10, 16, 7), (3, 2, 17, 3))


def main(folder: pathlib.Path = FOLDER) -> None:
  """Writes every file below `folder`."""
  rng = np.random.default_rng(0)
  for session, participant, gesture, trial in RECORDS:
    person = f'session{session}_participant{participant}'
    path = folder / f'Session{session}' / person / f'{person}_gesture{gesture}_trial{trial}'
    path.parent.mkdir(parents=True, exist_ok=True)
    signal_tc = rng.normal(0, 8000, (N_SAMPLES, len(parser.FILE_CHANNELS)))
    gains = rng.uniform(5e4, 2e5, len(parser.FILE_CHANNELS))
    baselines = rng.integers(-13000, 8000, len(parser.FILE_CHANNELS))
    write(path, signal_tc.clip(-32767, 32766).astype('<i2'), gains, baselines)


def write(path: pathlib.Path, signal_tc: np.ndarray, gains: np.ndarray,
          baselines: np.ndarray) -> None:
  """Writes `path`.dat and `path`.hea, the header line by line as the published ones are."""
  path.with_suffix('.dat').write_bytes(signal_tc.tobytes())
  lines = [f'{path.name} {signal_tc.shape[1]} {parser.RATE_HZ} {signal_tc.shape[0]}']
  for name, column, gain, baseline in zip(parser.FILE_CHANNELS, signal_tc.T, gains, baselines,
                                          strict=True):
    checksum = column.sum(dtype=np.int64) % 65536
    lines.append(f'{path.name}.dat 16 {float(gain)!r}({baseline})/mV 16 0 {column[0]} {checksum} 0'
                 f' {name}')
  path.with_suffix('.hea').write_bytes(('\n'.join(lines) + '\n').encode())


if __name__ == '__main__':
  main()
