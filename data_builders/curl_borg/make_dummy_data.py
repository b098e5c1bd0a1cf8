"""Writes dummy_data/: the published layout and format, tiny, invented numbers, always the same.

Run: python -m data_builders.curl_borg.make_dummy_data
"""

import pathlib

import numpy as np

from data_builders.curl_borg import parser

FOLDER = pathlib.Path(__file__).parent / 'dummy_data'
N_SAMPLES = 800
BLOCK = 150  # samples that arrive at once
# 02: whole numbers. 05: numbers with a point, spreadsheet leavings in the clicks, and a gap.
# 07: clicks whose recording is not there.
CLICKS = {
    '02': 'Time,Times,Borg,L,R\n50.17701,1,1,20,180\n50.42517,2,4,35,160\n50.65291,3,9,,\n',
    '05': 'Time,Times,Borg,L,R,,\n90.15012,1,0,10,140,,\n93.30115,2,7,40,190,,\n93.60231,3,9,,,,\n'
          ',,,,,,\n,,,,,,\n',
    '07': 'Time,Times,Borg,L,R\n10.2512,1,0,100,700\n12.2518,2,1,,\n',
}


def main(folder: pathlib.Path = FOLDER) -> None:
  """Writes every file below `folder`."""
  rng = np.random.default_rng(0)
  folder = folder / 'raw_2.5'
  folder.mkdir(parents=True, exist_ok=True)
  for subject, text in CLICKS.items():
    (folder / f'{subject}_click.csv').write_text(text)
  for subject, start_s, gap_s, end, rest in (('02', 50, 0, '', 510), ('05', 90, 3, '.0', 2)):
    rows = [parser.RAW_HEADER]
    for t in range(N_SAMPLES):
      block = t // BLOCK
      time_s = start_s + 0.15 * block + 1e-6 * (t % BLOCK) + (gap_s if block > 1 else 0)
      counts = rng.normal(510, 60, 3).round().clip(0, 1023).astype(int)
      rows.append(','.join([f'{time_s:.7f}', *(f'{x}{end}' for x in (*counts, rest))]))
    (folder / f'{subject}.csv').write_text('\n'.join(rows) + '\n')


if __name__ == '__main__':
  main()
