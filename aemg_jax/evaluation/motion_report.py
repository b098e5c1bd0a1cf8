"""The report of fatigue from motion: workdir/report.html, report.md and figures/*.png."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging
import numpy as np

from aemg_jax.evaluation import motion_figures, motion_scores
from aemg_jax.evaluation.report_page import Picture, Section, Table, Text, to_html, to_markdown
from aemg_jax.records import Record
from aemg_jax.sequences import motion
from aemg_jax.signal import kinematics, voxels, wavelets

ANGLE = 'angle_right_elbow'  # whose wavelet levels are drawn
Curves = Mapping[str, Mapping[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class PartResult:
  """A dataset's results (as its JSON file has them) and pictures."""
  found: Mapping[str, Any]
  pictures: tuple[Picture, ...]


def pictures(name: str, record: Record, config: motion.MotionConfig, wavelet: wavelets.WaveletConfig,
             curves: Curves, of: str) -> tuple[Picture, ...]:
  """Pictures of one recording's input, and of what a method says of every recording.

  Args:
    name: of the part, before the pictures' names.
    record: drawn.
    config: of its windows.
    wavelet: of the input.
    curves: see `motion_figures.fatigue_curves`.
    of: the method and how it was tested, for the caption.
  """
  found, last = motion.motion_of(record, config), record.n_samples - config.frames
  drawn = [_levels(name, record, found, config, wavelet)]
  if found.pose is not None:
    frames = np.linspace(0, record.n_samples - 1, 6).astype(int)
    titles = [f'{frame / record.rate_hz:.0f} s' for frame in frames]
    png = motion_figures.skeletons(found.pose.point_tka[frames], found.pose.valid_tk[frames], titles)
    drawn.append(Picture(png, f'{name}-skeletons', f'Key points and bones of {record.record_id}.'))
    windows = motion.cut(found, np.array([0, last]), config.frames)[2]
    cells = [np.asarray(voxels.posture(type(windows)(*(x[i] for x in windows))))[0] for i in (0, 1)]
    png = motion_figures.postures(np.stack(cells), ['first window', 'last window'])
    drawn.append(Picture(png, f'{name}-voxels', "Posture as the paper's 3D-CNN sees it: the first frame of a "
                         'window, in cells round the mean of its key points.'))
  if curves:
    png = motion_figures.fatigue_curves(curves, config.fatigued_from)
    drawn.append(Picture(png, f'{name}-fatigue', f'Fatigue over time: {of}. The grey line is Borg '
                         f'{config.fatigued_from:g}.'))
  return tuple(drawn)


def _levels(name: str, record: Record, found: motion.Motion, config: motion.MotionConfig,
            wavelet: wavelets.WaveletConfig) -> Picture:
  """Wavelet levels of one feature in the first window."""
  column, said, unit = 0, f'smoothed {record.sensors[0].name}', record.sensors[0].unit
  if config.kind == 'keypoints':
    column, said, unit = kinematics.names(config.kinematics).index(ANGLE), 'right elbow angle', 'rad'
  signal_t = found.feature_tf[:config.frames, column]
  middle = signal_t.mean()
  matrix_lts = wavelets.matrices(config.frames, wavelet)
  level_tl = np.asarray(wavelets.approximations((signal_t - middle)[:, None], matrix_lts))[:, 0] + middle
  png = motion_figures.wavelet_levels(signal_t, level_tl, record.rate_hz, said, unit)
  return Picture(png, f'{name}-wavelets', f'Wavelet approximations ({wavelet.wavelet}) of the {said} in the '
                 f'first window of {record.record_id}: what the 2D-CNN sees of one feature.')


def write(root: pathlib.Path, title: str, parts: Sequence[PartResult]) -> None:
  """report.html, report.md and figures/*.png."""
  sections = [Section('', (Text('Windows of one recording overlap, and people are few: scores describe, no '
                                'interval is given.'),))]
  for part in parts:
    sections += _sections(part)
  folder = root / 'figures'
  folder.mkdir(parents=True, exist_ok=True)
  for picture in (block for section in sections for block in section.blocks if isinstance(block, Picture)):
    _write(folder / f'{picture.name}.png', picture.png)
  _write(root / 'report.md', to_markdown(title, sections, 'figures').encode('utf-8'))
  _write(root / 'report.html', to_html(title, sections).encode('utf-8'))
  logging.info('report: %s', root / 'report.html')


def _sections(part: PartResult) -> list[Section]:
  """One section of facts and pictures, one for every split; all of a synthetic part say so."""
  found, sections = part.found, []
  banner = (Text(f"Synthetic data: not a result. Made by a generator: {found['dataset']}. The classes "
                 'are separable by construction.', 'banner'),) if found['synthetic'] else ()
  windows = found['windows']
  refused = ', '.join(f'{n} {reason}' for reason, n in found['refused'].items()) or 'none'
  facts = (('Dataset', f"{found['dataset']} (licence: {found['licence']})"),
           ('People', f"{len(found['people'])}: {', '.join(found['people'])}"),
           ('Windows', f"{windows['n']}, {windows['fatigued']} of them fatigued"),
           ('Refused windows', refused),
           ('Seeds', ', '.join(map(str, found['seeds']))),
           ('Commit', found['rows'][0]['commit'] if found['rows'] else 'not known'))
  table = Table(('run', ''), tuple(('', line) for line in facts), text_columns=(1,))
  name = found['dataset'] + (' (synthetic)' if found['synthetic'] else '')
  sections.append(Section(name, (*banner, table, *part.pictures)))
  for split, (headings, lines) in motion_scores.tables(found['rows']).items():
    table = Table(headings, tuple(('', line) for line in lines))
    sections.append(Section(f'{name}: {split}', (*banner, table)))
  return sections


def _write(path: pathlib.Path, content: bytes) -> None:
  temporary = path.with_name(f'.{path.name}.tmp')
  temporary.write_bytes(content)
  os.replace(temporary, path)
