"""Seconds to the first step of a fresh job and of one that goes on from its checkpoint.

    python -m tests.benchmarks.startup --out tests/benchmarks/results/startup_cpu.json [--size large]

`first_step`: in a process of its own, without a compilation cache: imports, state, trace and lowering,
compilation, the step itself. `restart`: `aemg train` of the masked task as a user types it, from the
start of the process to the scalars of its first step after the checkpoint, which holds all of it:
imports, prepared data, restoring, golden outputs, compilation, batches, one step. Data are synthetic.
"""

import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time

START_S = time.monotonic()
ROOT = pathlib.Path(__file__).parents[2]
FIRST_STEP_BAR_S, RESTART_BAR_S = 30, 60


def first_step(size: str, preset: str, batch_size: int) -> dict:
  """Of this process, which has done nothing before."""
  import jax

  from aemg_jax.planning import plan
  from aemg_jax.training import optim, parallel, state
  from tests.benchmarks import made_set
  from tests.fake_words import fake_words

  marks = {'imports_s': time.monotonic()}
  job = made_set.job(size, preset, batch_size=batch_size)
  task, tx = plan.planned_task(job, 8192), optim.make_tx(job.optim, job.loop.steps)
  sentence, word = job.prepare.sentence, job.prepare.word
  words = fake_words(0, batch_size, sentence.max_slots, sentence.max_channels, word.slot_samples)
  batch = {'words': words, 'weight': jax.numpy.ones(batch_size)}
  begin = parallel.replicate(state.init_state(task, tx, jax.tree.map(lambda x: x[:1], batch), 0))
  sharded = parallel.shard_batch(batch)
  marks['state_s'] = time.monotonic()
  lowered = parallel.train_step(task, tx).lower(begin, sharded)
  marks['trace_and_lower_s'] = time.monotonic()
  compiled = lowered.compile()
  marks['compile_s'] = time.monotonic()
  begin, scalars = compiled(begin, sharded)
  jax.block_until_ready(scalars)
  marks['step_s'] = time.monotonic()
  times = [START_S, *marks.values()]
  found = {name: round(b - a, 2) for name, a, b in zip(marks, times, times[1:])}
  trace_and_compile_s = found['trace_and_lower_s'] + found['compile_s']
  return {**found, 'trace_and_compile_s': round(trace_and_compile_s, 2),
          'cpu_s': round(time.process_time(), 2), 'jax': jax.__version__}


def _train(config: str, workdir: str, *flags: str) -> subprocess.Popen:
  command = [sys.executable, '-m', 'aemg_jax.main', 'train', f'--config=configs/{config}', f'--workdir={workdir}',
             '--config.loop.progress=False', '--config.optim.warmup_steps=0', *flags]
  return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _ended(process: subprocess.Popen) -> str:
  text = process.communicate()[1]
  if process.returncode:
    raise RuntimeError(text[-2000:])
  return text


def restart(size: str, preset: str, batch_size: int, folder: str) -> dict:
  """A job of one step, and the same one started again for a second."""
  from aemg_jax.training import writers
  from tests.benchmarks import made_set

  variant = f'{made_set.SET},size={size},preset={preset}'
  prepared = made_set.prepared(folder, made_set.job(size, preset))
  common = (f'--prepared={prepared}', f'--config.batch_size={batch_size}')
  vq, masked = os.path.join(folder, 'vq'), os.path.join(folder, 'masked')
  _ended(_train(f'vq.py:{variant}', vq, *common, '--config.loop.steps=1',
                '--config.task.model.quantiser.kmeans_iterations=0'))
  flags = (*common, f'--init={vq}', '--config.loop.log_every=1')
  found = {}
  for steps, name in ((1, 'start_to_first_step_s'), (2, 'restart_to_first_step_s')):
    begun_s = time.monotonic()
    process = _train(f'masked.py:{variant}', masked, *flags, f'--config.loop.steps={steps}')
    while process.poll() is None and name not in found:
      if os.path.exists(masked) and [line['step'] for line in writers.read(masked)][-1:] == [steps - 1]:
        found[name] = round(time.monotonic() - begun_s, 2)
      time.sleep(0.05)
    text = _ended(process)
    found.setdefault(name, round(time.monotonic() - begun_s, 2))
    found[name.replace('first_step', 'end')] = round(time.monotonic() - begun_s, 2)
  if 'resuming at step 1' not in text:
    raise RuntimeError(f'not resumed: {text[-2000:]}')
  return found


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--out', default='')
  parser.add_argument('--size', default='large')
  parser.add_argument('--presets', default='default,paper')
  parser.add_argument('--batch_size', type=int, default=8)
  parser.add_argument('--only_first_step', default='', help='a preset; prints its row')
  args = parser.parse_args()
  if args.only_first_step:
    sys.stdout.write(json.dumps(first_step(args.size, args.only_first_step, args.batch_size)) + '\n')
    return
  found = {'benchmark': 'startup', 'machine': {
      'platform': platform.platform(), 'cores': os.cpu_count(), 'python': platform.python_version(),
      'load_before': round(os.getloadavg()[0], 1)},
      'bars': {'trace_and_compile_s': FIRST_STEP_BAR_S, 'restart_to_first_step_s': RESTART_BAR_S}, 'rows': []}
  for preset in args.presets.split(','):
    child = [sys.executable, '-m', 'tests.benchmarks.startup', f'--size={args.size}',
             f'--batch_size={args.batch_size}', f'--only_first_step={preset}']
    printed = subprocess.run(child, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    with tempfile.TemporaryDirectory() as folder:
      found['rows'].append({
          'size': args.size, 'preset': preset, 'batch_size': args.batch_size,
          'first_step': json.loads(printed.splitlines()[-1]),
          'restart': restart(args.size, preset, args.batch_size, folder)})
  text = json.dumps(found, indent=1)
  if args.out:
    pathlib.Path(args.out).write_text(text + '\n', encoding='utf-8')
  sys.stdout.write(text + '\n')


if __name__ == '__main__':
  main()
