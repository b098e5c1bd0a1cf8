"""Writes dummy_data/: the first example of README.md, tiny, invented numbers, always the same.

Run: python -m data_builders.emg_folder.make_dummy_data
"""

import pathlib

import numpy as np

FOLDER = pathlib.Path(__file__).parent / 'dummy_data'
README = pathlib.Path(__file__).parent / 'README.md'
N_SAMPLES, RATE_HZ, N_CHANNELS = 120, 1000, 4
# File -> amplitude in microvolts.
FILES = {f'P{subject}/day{day}/{gesture}_{repetition}.csv': width
         for subject in ('01', '02') for day in (1, 2)
         for gesture, width in (('rest', 4), ('fist', 40), ('open', 25)) for repetition in (1, 2)}


def example(number: int) -> str:
  """The manifest of the README's example `number`, from 1: what users copy is what is tested."""
  return README.read_text(encoding='utf-8').split('```yaml\n')[number].split('```')[0]


def main(folder: pathlib.Path = FOLDER) -> None:
  """Writes every file below `folder`."""
  rng = np.random.default_rng(0)
  folder.mkdir(parents=True, exist_ok=True)
  (folder / 'emg_folder.yaml').write_text(example(1), encoding='utf-8')
  (folder / 'notes').mkdir(exist_ok=True)
  (folder / 'notes/who.csv').write_text('file,room\n', encoding='utf-8')  # to be ignored
  for name, width in FILES.items():
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ['t_ms,flexor,extensor,radial,ulnar,button']
    for t, row in enumerate(rng.normal(0, width, (N_SAMPLES, N_CHANNELS)).round(1)):
      lines.append(','.join((f'{1000 * t / RATE_HZ:g}', *(f'{value:.1f}' for value in row), '0')))
    path.write_bytes(('\n'.join(lines) + '\n').encode())


if __name__ == '__main__':
  main()
