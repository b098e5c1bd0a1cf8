"""The look of the report's figures: palette, fonts, PNG rendering. Matplotlib's Agg, no pyplot.

Colours are Okabe and Ito's, told apart in every common form of colour blindness; each method also
has a marker of its own. Sequential maps are 'cividis' and 'Blues', which grow evenly in lightness.
"""

import io
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#56B4E9', '#E69F00', '#000000', '#7F7F7F')
MARKERS = ('o', 's', 'D', '^', 'v', 'P', 'X', 'h')
BLUE, RED, GREEN, PINK, SKY, ORANGE, BLACK, GREY = COLOURS

WIDTH_IN = 11.0  # a full column of the page; 100 CSS pixels an inch at its widest
DPI = 144
MAX_NAME = 32

_RC = {
    'font.family': 'DejaVu Sans',
    'font.size': 9.5,
    'axes.titlesize': 10,
    'axes.titleweight': 'bold',
    'axes.titlelocation': 'left',
    'axes.labelsize': 9.5,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.edgecolor': '#555555',
    'axes.axisbelow': True,
    'grid.color': '#dddddd',
    'grid.linewidth': 0.7,
    'xtick.labelsize': 8.5,
    'ytick.labelsize': 8.5,
    'legend.fontsize': 8.5,
    'legend.frameon': False,
    'figure.facecolor': 'white',
    'savefig.facecolor': 'white',
    'text.parse_math': False,  # a '$' in a subject's name is a dollar sign
}


def render(draw: Callable[[Any], None], height_in: float, width_in: float = WIDTH_IN) -> bytes:
  """Calls `draw(figure)` on an empty figure in the report's style; returns the PNG's bytes."""
  import matplotlib
  from matplotlib.figure import Figure
  with matplotlib.rc_context(_RC):
    figure = Figure(figsize=(width_in, height_in), layout='constrained')
    draw(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format='png', dpi=DPI)
  return buffer.getvalue()


def clean(text: Any) -> str:
  """Text on one line without control, format or surrogate characters."""
  hidden = ('Cc', 'Cf', 'Cs', 'Zl', 'Zp')
  kept = (' ' if unicodedata.category(c) in hidden else c for c in str(text))
  return ' '.join(''.join(kept).split())


def name(text: Any, limit: int = MAX_NAME) -> str:
  """A name fit for a figure: clean, at most `limit` characters, and shown in legends.

  A long one loses its middle, since names of subjects and records differ at the end.
  """
  text = clean(text)
  if len(text) > limit:
    head = limit // 3
    text = f'{text[:head]}…{text[len(text) - (limit - head - 1):]}'
  return ' ' + text if text.startswith('_') else text  # matplotlib hides names with a leading _


def method_styles(methods: Sequence[str]) -> dict[str, dict[str, str]]:
  """Colour and marker of each method, in order; the pair repeats after 56 methods."""
  return {
      method: {'color': COLOURS[i % 8], 'marker': MARKERS[(i + i // 8) % 8]}
      for i, method in enumerate(methods)
  }


def ink(value: float, low: float, high: float, dark_is_high: bool) -> str:
  """Black or white, whichever can be read on a cell of a sequential map."""
  share = (value - low) / (high - low) if high > low else 0.0
  return 'white' if (share > 0.55) == dark_is_high else 'black'
