"""Every EMG set that can be built goes the main path, with settings taken from the set alone."""

import os
import pathlib

import numpy as np
import pytest

from aemg_jax.config import section
from aemg_jax.sentences import cache, prepare
from aemg_jax.sentences.views import ViewsConfig
from configs import prepare as prepare_config
from data_builders import build as build_lib
from tests.data_builders.contract_table import ROWS

pytestmark = pytest.mark.slow  # some fifty compilations
BUILDERS = pathlib.Path(build_lib.__file__).parent


@pytest.mark.parametrize('row', [row for row in ROWS if row.kind == 'emg'], ids=lambda row: row.name)
def test_a_set_is_prepared_by_what_it_says_of_itself(row, tmp_path):
  """Catches: a rate, width, montage, unit or label of some set that the main path does not take."""
  raw = None if row.generated else BUILDERS / row.dataset / 'dummy_data'
  folder = build_lib.build(row.name, str(tmp_path / 'data'), raw, progress=False)
  config = prepare_config.get_config('any_set').to_dict()
  for view in config['views']:  # invented recordings are shorter than a word of 100 ms
    view['prepare'] |= dict(segment='recording', word=dict(slot_samples=52, min_valid=2))
  for view in section(ViewsConfig, config).views:
    out = os.path.join(tmp_path, view.name)
    prepare.prepare([folder], out, view.prepare, num_shards=1)
    prepared = cache.open_prepared(out, view.prepare)
    device = prepared.meta['devices'][0]
    channels = min(row.channels, 16)
    assert prepared.config.sentence.max_channels == channels
    assert {len(e['kept']) for e in device['electrodes']} == {channels}
    assert {e['of'] for e in device['electrodes']} == {row.channels}
    assert device['rate_hz'] == pytest.approx([row.rate_hz] * 2, abs=1e-3)
    assert device['envelope'] == [row.is_envelope] and set(device['units']) == row.units
    rows = prepared.sentences.read(range(len(prepared.sentences)))
    valid_bn = rows['valid_n']
    assert valid_bn.any(1).all() and np.isfinite(rows['spectrum_nf']).all()
    assert rows['bin_valid_f'].any() != row.is_envelope
    amplitude = rows['amplitude_n'][valid_bn]
    assert -4 < np.median(amplitude) < 2.5, 'the scale is decades off'
