"""The summary and the picture of a built set."""

import pathlib
import shutil
import subprocess
import sys

from aemg_jax.sources import read_records
import matplotlib.image
import numpy as np
import pytest

from data_builders import build as build_lib
from data_builders import inspect as inspect_lib

ROOT = pathlib.Path(build_lib.__file__).parents[1]
RAW = pathlib.Path(build_lib.__file__).parent / 'myo_armband/dummy_data'


@pytest.fixture(scope='module')
def built(tmp_path_factory):
  """A set whose records have one label each, with 7 duplicates among its files."""
  return build_lib.build('myo_armband', str(tmp_path_factory.mktemp('built')), RAW, progress=False)


def test_the_summary_counts_what_the_records_hold(built):
  """Spans counted once for each record, seconds at another rate, rejects that nobody sees."""
  text = inspect_lib.summary(built, inspect_lib.read(built))
  records = list(read_records(built))
  seconds = sum(r.n_samples / r.rate_hz for r in records)
  subjects = {r.subject for r in records}
  sessions = {(r.subject, r.session) for r in records}
  assert text.startswith(f'myo_armband 1.0.0: 17 records, {len(subjects)} subjects,'
                         f' {len(sessions)} sessions, {seconds:.1f} s\n')
  lines = [' '.join(line.split()) for line in text.splitlines()]
  for line in ('kind emg (17 records)', 'channels 8 int16 (17 records)', 'rate 200 Hz',
               'bandwidth 100 Hz', 'units nominal (17 records)', 'rejected 7 duplicate'):
    assert line in lines
  for name in ('neutral', 'hand open'):
    spans = [x for r in records for x in r.labels if x.name == name]
    length_s = sum(x.stop - x.start for x in spans) / 200
    assert any(line.startswith(f'label {name} {len(spans)} spans {length_s:.1f} s')
               for line in lines)
  assert not any('no span of' in line for line in lines)


def test_annotations_and_absent_labels_are_listed(tmp_path):
  """Continuous recordings of which only the labels are shown."""
  raw = pathlib.Path(build_lib.__file__).parent / 'uci_emg/dummy_data'
  built = build_lib.build('uci_emg/distinct', str(tmp_path), raw, progress=False)
  text = inspect_lib.summary(built, (e for e in inspect_lib.read(built) if False))
  assert 'no span of   hand at rest, ' in text and '0 records, 0 subjects' in text
  text = inspect_lib.summary(built, inspect_lib.read(built))
  repetitions = [a.value for r in read_records(built) for a in r.annotations]
  assert text.startswith('uci_emg/distinct 1.0.0')
  assert f'repetition: {len(repetitions)} spans, 0 to {max(repetitions):g}\n' in text


@pytest.mark.heavy
def test_the_picture_shows_the_record_that_was_asked_for(built, tmp_path):
  """An empty picture, or the same one for every record."""
  examples, pictures = inspect_lib.read(built), []
  for its_id in (None, 'Evaluation/Male2/training0/classe_01'):
    example = inspect_lib.pick(examples, its_id)
    assert example['record_id'].decode() == (its_id or 'Evaluation/Female0/Test0/classe_00')
    inspect_lib.draw(example, tmp_path / 'x.png')
    pictures.append(matplotlib.image.imread(tmp_path / 'x.png')[..., :3])
  assert all(0.02 < np.mean(p.sum(-1) < 2) < 0.5 for p in pictures)  # ink, and not only ink
  assert pictures[0].shape == pictures[1].shape and not np.array_equal(*pictures)


def test_every_record_is_found_by_its_id(built):
  """A search that misses the first or the last one, or returns a neighbour."""
  examples = inspect_lib.read(built)
  for example in examples:
    found = inspect_lib.pick(examples, example['record_id'].decode())
    assert found['record_id'] == example['record_id']
    np.testing.assert_array_equal(found['signal'], example['signal'])
  for its_id in ('', 'Evaluation/Male2', 'zzz'):
    with pytest.raises(ValueError, match='there is no'):
      inspect_lib.pick(examples, its_id)


# Set, its archive in AEMG_RAW_DIR, what is printed first, and the rejects.
REAL = [
    ('plux_fatigue', 'plux_emg_fatigue',
     'plux_fatigue 1.0.0: 1 records, 1 subjects, 1 sessions, 126.9 s', []),
    ('toro_ossaba/converted', 'toro_ossaba_partial',
     'toro_ossaba/converted 1.0.0: 1 records, 1 subjects, 1 sessions, 19.2 s', []),
    ('grabmyo', 'grabmyo_partial',
     'grabmyo 1.0.0: 10 records, 1 subjects, 1 sessions, 50.0 s', []),
    ('imu_borg', 'fatigue_erinliu_imu_borg',
     'imu_borg 1.0.0: 4 records, 3 subjects, 4 sessions, 394.0 s', ['2 missing file']),
    ('curl_borg', 'liuyu175_curl_borg',
     'curl_borg 1.0.0: 9 records, 9 subjects, 9 sessions, 1130.9 s', ['22 missing file']),
    ('contraction_intensity', 'contraction_intensity_mvc',
     'contraction_intensity 1.0.0: 160 records, 10 subjects, 40 sessions, 483.2 s', []),
    ('three_dc', '3dc',
     'three_dc 1.0.0: 175 records, 2 subjects, 4 sessions, 933.1 s', ['1 too short']),
    ('ninapro/db1', 'ninapro_db1',
     'ninapro/db1 1.0.0: 10 records, 10 subjects, 10 sessions, 10090.9 s', []),
    ('myo_armband', 'myoarmband_cote_allard',
     'myo_armband 1.0.0: 2044 records, 37 subjects, 73 sessions, 10175.4 s', ['84 duplicate']),
    ('uci_emg/raw', 'uci_emg_gestures',
     'uci_emg/raw 1.0.0: 62 records, 31 subjects, 62 sessions, 3521.2 s', []),
    ('uci_emg/distinct', 'uci_emg_gestures',
     'uci_emg/distinct 1.0.0: 62 records, 31 subjects, 62 sessions, 3653.8 s', []),
]


@pytest.mark.real
@pytest.mark.parametrize('name, archive, head, rejects', REAL, ids=[row[0] for row in REAL])
def test_the_command_prints_the_counts_of_real_sets(tmp_path, capfd, real_archive, name, archive,
                                                    head, rejects):
  """Counts in a README that no command repeats; each label's are pinned by the set's own test."""
  folder = build_lib.build(name, str(tmp_path), real_archive(f'{archive}.zip'), progress=False)
  assert inspect_lib.main([str(tmp_path)]) == 0
  lines = capfd.readouterr().out.splitlines()
  assert lines[0] == head
  assert [' '.join(x.split()[1:]) for x in lines if x.startswith('rejected')] == rejects
  counts = read_records(folder).meta.counts['labels']
  spans = [x.removeprefix('label ').rpartition(' spans ')[0] for x in lines if x[:6] == 'label ']
  assert {x[:-6].strip(): int(x[-6:]) for x in spans} == counts


@pytest.mark.heavy
def test_the_command_shadows_no_standard_module(built, tmp_path):
  """`import inspect` of a dependency that finds ours; a folder above the set not searched."""
  out = tmp_path / 'a.png'
  command = [sys.executable, '-m', 'data_builders.inspect', str(built.parents[1]), '--out',
             str(out)]
  done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
  assert done.returncode == 0, done.stderr
  assert done.stdout.startswith('myo_armband 1.0.0') and out.read_bytes()[1:4] == b'PNG'


@pytest.mark.parametrize('argv, expected', [
    (['{}/nowhere'], 'holds 0 built sets, expected one'),
    (['{}/two'], "holds 2 built sets, expected one ['a/1.0.0', 'b/1.0.0']"),
    (['{}/two/a', '--record', 'x'], '--record: got x without --out'),
    (['{}/two/a', '--record', 'x', '--out', '{}/x.png'], "there is no x, expected an id such as"),
])
def test_a_mistake_is_one_line(built, tmp_path, capfd, argv, expected):
  """A traceback, or the summary of another set."""
  for name in 'ab':
    shutil.copytree(built, tmp_path / 'two' / name / '1.0.0')
  assert inspect_lib.main([arg.format(tmp_path) for arg in argv]) == 2
  line, = [x for x in capfd.readouterr().err.splitlines() if x.startswith('error: ')]
  assert expected in line


def test_names_do_not_lie_on_each_other():
  """Two names above one place, though one of them has room farther on; a name left out."""
  labels = [(0, 10, 'rest'), (10, 20, 'a'), (20, 30, 'rest'), (900, 940, 'a'), (930, 940, 'b')]
  assert inspect_lib._name_places(labels, 50) == {'rest': 5.0, 'a': 920.0, 'b': 935.0}
