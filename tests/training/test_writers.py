"""Scalars on disk."""

import json
import os

import pytest

from aemg_jax.training import writers


def test_lines_and_board(tmp_path):
  """Catches: lines that are not JSON, a TensorBoard that stays empty."""
  with writers.Writer(tmp_path) as writer:
    writer.write(0, {'loss': 2.0, 'accuracy': 0.5})
    writer.write(1, {'loss': float('nan')})
  text = (tmp_path / 'scalars.jsonl').read_text()
  assert [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()] == [
      {'step': 0, 'accuracy': 0.5, 'loss': 2.0}, {'step': 1, 'loss': 'nan'}]
  (board,) = os.listdir(tmp_path / 'tensorboard')
  assert b'accuracy' in (tmp_path / 'tensorboard' / board).read_bytes()


def test_resume_drops_what_will_be_written_again(tmp_path):
  """Catches: two lines for one step after a resume from an earlier checkpoint."""
  with writers.Writer(tmp_path) as writer:
    for step in range(6):
      writer.write(step, {'loss': step})
  with writers.Writer(tmp_path, resume_step=3) as writer:
    writer.write(3, {'loss': 30})
  lines = [(line['step'], line['loss']) for line in writers.read(tmp_path)]
  assert lines == [(0, 0), (1, 1), (2, 2), (3, 30)]


def test_a_line_cut_off_by_a_kill_is_dropped(tmp_path):
  """Catches: a resume that fails on, or appends to, half a line."""
  path = tmp_path / 'scalars.jsonl'
  path.write_text('{"step": 0, "loss": 1.0}\n{"step": 1, "lo')
  assert len(writers.read(tmp_path)) == 1
  with writers.Writer(tmp_path, resume_step=1) as writer:
    writer.write(1, {'loss': 5.0})
  assert [line['step'] for line in writers.read(tmp_path)] == [0, 1]


def test_a_damaged_file_is_not_overwritten(tmp_path):
  """Catches: a history thrown away because one line of it could not be read."""
  path = tmp_path / 'scalars.jsonl'
  path.write_text('{"step": 0}\ngarbage\n{"step": 2}\n')
  with pytest.raises(ValueError, match="line 2 is 'garbage'"):
    writers.Writer(tmp_path, resume_step=3)
  assert 'garbage' in path.read_text()


def test_other_processes_write_nothing(tmp_path, monkeypatch):
  """Catches: eight processes that interleave their lines in one file."""
  monkeypatch.setattr(writers.jax, 'process_index', lambda: 1)
  with writers.Writer(tmp_path) as writer:
    writer.write(0, {'loss': 1.0})
  assert not os.listdir(tmp_path)
