"""Readers that not everybody has installed."""

import importlib
import sys

import pytest

from data_builders import build as build_lib


@pytest.mark.parametrize('name, module, extra', [
    ('grabmyo', 'wfdb', 'formats'), ('hyser/mvc', 'wfdb', 'formats'), ('plux_fatigue', 'h5py', 'formats'),
    ('putemg', 'h5py', 'formats'), ('emg2pose', 'h5py', 'formats'),
    ('generic_neuromotor', 'h5py', 'formats'), ('emg_bids', 'mne_bids', 'bids')])
def test_without_its_reader_a_build_names_the_extra(name, module, extra, tmp_path, monkeypatch, capfd):
  """A traceback, or every record rejected, where a reader is not installed."""
  dummy = importlib.import_module(f'data_builders.{name.split("/")[0]}.make_dummy_data')
  dummy.main(tmp_path / 'raw')
  monkeypatch.setitem(sys.modules, module, None)
  code = build_lib.main([name, '--raw', str(tmp_path / 'raw'), '--data_dir', str(tmp_path / 'built'),
                         '--accept_license'])
  error = capfd.readouterr().err
  assert code == 2 and f"or 'aemg_jax[{extra}]'" in error.splitlines()[-1]
  assert 'Traceback' not in error
