"""The README's tables are those of the committed JSON, and a run's rows come into it whole."""

import json
import pathlib
import re

import pytest

from aemg_jax.evaluation import published

ROOT = pathlib.Path(__file__).parents[2]
STORES = sorted(path for kind in ('accuracy', 'ablation')
                for path in (ROOT / 'tests' / 'benchmarks' / 'results').glob(f'*_{kind}.json'))
ROW = {'protocol': 'loso', 'method': 'a', 'uses_target': 'none', 'seeds': [0], 'n_subjects': 2,
       'split_hash': '0123456789', 'mean': {'repetition': 0.5, 'window': 0.25},
       'sd': {'repetition': 0.1, 'window': 0.1},
       'ci95': {'repetition': [0.4, 0.6], 'window': [0.2, 0.3]}, 'per_subject': {'x': {'window': 1 / 3}},
       'confusion_per_subject': {'x': [[1]]}}


@pytest.mark.parametrize('store', STORES, ids=[path.stem for path in STORES])
def test_the_readme_says_what_the_committed_results_say(store):
  """Catches: a number edited by hand in one of the two, and a table that was not made anew."""
  text, made = (ROOT / 'README.md').read_text(encoding='utf-8'), published.tables(published.read(store))
  assert made and all(f'<!-- {name} -->' in text for name in made)
  assert published.with_tables(text, made) == text


def test_the_readme_says_how_often_the_test_people_were_looked_at():
  """Catches: a look that the ledger has and the README does not count."""
  ledger = (ROOT / 'LEDGER.md').read_text(encoding='utf-8').partition('\n## Looks\n')[2].partition('\n# ')[0]
  looks = sum(line.startswith('| 20') for line in ledger.splitlines())
  said = re.search(r'The 17 subjects were looked at (\d+) times', (ROOT / 'README.md').read_text(encoding='utf-8'))
  assert looks > 10 and int(said[1]) == looks


def test_a_runs_rows_replace_their_own_and_keep_their_place(tmp_path):
  """Catches: a row twice, another method's row lost, the order of the table changed by a new run; a store that grows by
  digits that nobody reads, or of which one row changes every line."""
  store, run = tmp_path / 'store.json', tmp_path / 'run'
  run.mkdir()
  other = ROW | {'method': 'b'}
  published.write_json(store, {'labels': ['x', 'y'], 'rows': [ROW, other], 'paper_codebook': 1})
  better = ROW | {'mean': {'repetition': 0.75, 'window': 0.5}}
  curve = [ROW | {'protocol': 'curve-2s', 'seconds': 2.0}, ROW | {'protocol': 'curve-all', 'seconds': None},
           ROW | {'protocol': 'curve-10s', 'seconds': 10.0}]
  (run / 'results.json').write_text(json.dumps({'labels': ['x', 'y'], 'rows': [better]}))
  (run / 'calibration_curve.json').write_text(json.dumps({'labels': ['x', 'y'], 'rows': curve}))
  published.add(store, run)
  stored = published.read(store)
  assert [row['method'] for row in stored['rows']] == ['a', 'b'] and stored['paper_codebook'] == 1
  assert stored['rows'][0]['mean'] == better['mean']
  assert 'confusion_per_subject' not in stored['rows'][0]
  assert stored['rows'][0]['per_subject'] == {'x': {'window': 0.333333}}
  assert sum('"method": "a"' in text for text in store.read_text().splitlines()) == 4  # a row, three points of its curve
  first, _, line = published.tables(stored)['CURVE'].splitlines()
  assert first == '| repetition / window, % | 2 s | 10 s | all |' and line.startswith('| a | 50.0 / 25.0 |')
  (run / 'ablation.json').write_text(json.dumps({'reference': 'r', 'arms': []}))
  published.add(store, run)
  assert published.read(store)['ablation']['reference'] == 'r'
  (run / 'results.json').write_text(json.dumps({'labels': ['y', 'x'], 'rows': [better]}))
  with pytest.raises(ValueError, match='labels'):
    published.add(store, run)
  with pytest.raises(ValueError, match='expected a run of aemg evaluate'):
    published.add(store, tmp_path)


def test_few_labelled_people_are_a_table_of_their_own():
  """Catches: their rows in the table of protocols, numbers sorted as text, a missing one shifting the rest."""
  few = [ROW | {'protocol': f'subjects-{n}', 'method': m} for n, m in ((10, 'a'), (2, 'a'), (10, 'b'))]
  made = published.tables({'labels': [], 'rows': [ROW, *few]})
  assert 'subjects-' not in made['RESULTS']
  first, _, a, b = made['FEW_SUBJECTS'].splitlines()
  assert first == '| labelled people | 2 | 10 |'
  assert a == '| a | 50.0 [40.0, 60.0] / 25.0 | 50.0 [40.0, 60.0] / 25.0 |'
  assert b == '| b | - | 50.0 [40.0, 60.0] / 25.0 |'


def test_delays_are_a_table_of_their_own():
  """Catches: a delay that could not be measured taken for 0, points of one delay in another's column."""
  point = lambda ms, value: {'delay_ms': ms, 'mean': {'all': 0.1, 'same_times': value}}
  rows = [ROW, ROW | {'method': 'b', 'delays': {'ms': [100, 260, 1000], 'points': [
      point(1000, 0.75), point(260, 0.5)]}}]
  assert 'DELAYS' not in published.tables({'labels': [], 'rows': rows[:1]})
  first, _, line = published.tables({'labels': [], 'rows': rows})['DELAYS'].splitlines()
  assert first == '| protocol | method | 100 ms | 260 ms | 1000 ms |'
  assert line == '| loso | b | - | 50.0 | 75.0 |'


def test_only_the_table_behind_its_marker_changes():
  """Catches: the text after a table swallowed, a table of another marker, a marker that is not there."""
  page = 'a\n<!-- RESULTS -->\n| old |\n|---|\n\nnote | with a bar\n<!-- CURVE -->\n| c |\nend\n'
  made = {'RESULTS': '| new |\n|---|\n| 1 |\n', 'ABLATION': '| no |\n'}
  assert published.with_tables(page, made) == page.replace('| old |\n|---|\n', made['RESULTS'])
  with pytest.raises(ValueError, match='none of the markers'):
    published.with_tables('text\n', made)
  with pytest.raises(ValueError, match='2 lines <!-- RESULTS -->'):
    published.with_tables(page + page, made)


def test_a_store_of_its_own_name_leaves_other_tables_alone(tmp_path):
  """Catches: two sets' tables under one marker, the later written over the earlier."""
  store, run, page = tmp_path / 'store.json', tmp_path / 'run', tmp_path / 'page.md'
  run.mkdir()
  (run / 'results.json').write_text(json.dumps({'labels': ['x'], 'rows': [ROW]}))
  published.add(store, run, 'other')
  published.add(store, run)
  page.write_text('<!-- RESULTS -->\n| mine |\n\n<!-- RESULTS other -->\n\nend\n')
  published.write_page(str(page), str(store))
  text = page.read_text()
  assert text.startswith('<!-- RESULTS -->\n| mine |\n\n') and '| loso | a |' in text.split('other -->')[1]


def test_damaged_stores_are_named(tmp_path):
  """Catches: a half-written file taken for an empty one, and its rows lost."""
  for text in ('{"labels": [', '[]', '{"rows": []}'):
    (tmp_path / 'x.json').write_text(text)
    with pytest.raises(ValueError, match='x.json: damaged'):
      published.read(tmp_path / 'x.json')
  with pytest.raises(ValueError, match='y.json: not found'):
    published.write_page(str(tmp_path / 'README.md'), str(tmp_path / 'y.json'))
