"""Building on Apache Beam: TFDS lets a runner write the shards; this decides what goes into them.

Duplicates and counts need the whole set, and a worker sees one shard. So the runner first parses
every job and hands back outlines (no signals: about 300 bytes a record), the one process that began
the build takes them in order, as it does without Beam, and then the runner parses again and writes.
Parsing twice costs less than sending all signals through one machine. The raw files and the data
directory must lie where every worker finds them under the same path, and the workers need this
package.
"""

from collections.abc import Callable, Iterator, Sequence
import dataclasses
import json
from typing import Any

from etils import epath
import tensorflow_datasets as tfds

from data_builders.intake import Intake, Outline
from data_builders.jobs import Job, Reject

OUTLINES = 'outlines-{:05d}.json'
Settings = tuple[Any, Any]  # runner, options


def download_config(runner: str, options: Sequence[str]) -> tfds.download.DownloadConfig:
  """What TFDS needs to build on Beam.

  Args:
    runner: its name, such as DirectRunner or FlinkRunner.
    options: of the runner, 'name=value' each, passed on as they are.

  Raises:
    ValueError: when there is no such runner, or no Beam.
  """
  try:
    import apache_beam as beam
  except ImportError as error:
    raise ValueError(f'--beam_runner: {error}, expected the extra beam (in an environment of its'
                     ' own: see data_builders/README.md)') from error
  try:
    its_runner = beam.runners.create_runner(runner)
  except (ValueError, ImportError) as error:
    raise ValueError(f'--beam_runner: {error}') from error
  flags = [f'--{option}' for option in options]
  return tfds.download.DownloadConfig(
      beam_runner=its_runner, beam_options=beam.options.pipeline_options.PipelineOptions(flags))


def settings(config: tfds.download.DownloadConfig | None) -> Settings | None:
  """Runner and options; None where the build does not use Beam."""
  if config is None or config.beam_runner is None:
    return None
  return config.beam_runner, config.beam_options


def admit(beam_settings: Settings, folder: epath.Path, parse: Callable[[Job], Sequence[Any]],
          shards: Sequence[Sequence[Job]], intake: Intake) -> list[frozenset[str]]:
  """Outlines every record on the runner, and takes them in order.

  Args:
    beam_settings: runner and options.
    folder: that the workers and this process share; outlines lie there for a while.
    parse: job -> outlines and records.
    shards: the jobs of each.
    intake: takes every outline.

  Returns:
    For each shard the ids of the records to write.
  """
  import apache_beam as beam
  runner, options = beam_settings
  paths = [folder / OUTLINES.format(i) for i in range(len(shards))]
  with beam.Pipeline(runner=runner, options=options) as pipeline:
    _ = (pipeline | 'Shards' >> beam.Create(list(zip(shards, paths)))
         | 'Spread' >> beam.Reshuffle() | 'Outline' >> beam.MapTuple(_Outlined(parse)))
  kept = []
  for path in paths:
    outlines = [_from_json(line) for line in path.read_text().splitlines()]
    kept.append(frozenset(o.record_id for o in outlines if intake.take(o)))
    path.unlink()
  return kept


@dataclasses.dataclass(frozen=True)
class _Outlined:
  """Writes the outlines of a shard, one line of JSON each."""
  parse: Callable[[Job], Sequence[Any]]

  def __call__(self, jobs: Sequence[Job], path: epath.Path) -> None:
    lines = [_to_json(outline) for job in jobs for outline, _ in self.parse(job)]
    path.write_text(''.join(f'{line}\n' for line in lines))


def _to_json(item: Outline | Reject) -> str:
  return json.dumps([type(item).__name__, dataclasses.asdict(item)])


def _from_json(line: str) -> Outline | Reject:
  kind, fields = json.loads(line)
  if kind == Reject.__name__:
    return Reject(**fields)
  return Outline(**{**fields, 'labels': tuple(fields['labels'])})


@dataclasses.dataclass(frozen=True)
class Shard:
  """Generates the examples of one shard in a worker: what TFDS writes.

  Attributes:
    parse: job -> outlines and records.
    to_example: record -> example.
    jobs: of the shard.
    ids: of the records to write.
  """
  parse: Callable[[Job], Sequence[Any]]
  to_example: Callable[[Any], dict[str, Any]]
  jobs: Sequence[Job]
  ids: frozenset[str]

  def __call__(self) -> Iterator[tuple[str, dict[str, Any]]]:
    for job in self.jobs:
      for outline, record in self.parse(job):
        if isinstance(outline, Outline) and outline.record_id in self.ids:
          example = self.to_example(record)
          yield record.record_id, example
          example.clear()  # TFDS keeps those of a shard until it has counted them


def tidy(info: tfds.core.DatasetInfo, folder: epath.Path, lengths: Sequence[int]) -> None:
  """Sets the lengths of the shards, which TFDS sorts as text ('10' before '2'); removes its notes."""
  splits = [split.replace(shard_lengths=list(lengths)) for split in info.splits.values()]
  info.set_splits(tfds.core.SplitDict(splits))
  for path in folder.glob('*.shard_infos.json'):
    path.unlink()
