"""What a run costs that adds new files to tables: ``python -m benchmarks.incremental``.

Raw files of ``--rows`` rows are processed by a full run; then files with ``--new`` of
that are delivered beside them, and the same command is run again. Tables are compared
with those of one full run over all files, value by value.
"""

import logging
import shutil
import statistics
from pathlib import Path

import click
import pandas as pd
import yaml

from dask_etl.errors import ExplainedError

from . import measure
from .commands import kedro_run, output_files
from .equality import Reference
from .plan import Variant
from .settings import load_settings
from .workspace import BenchmarkError, Workspace, current_parts

PROJECT = Path(__file__).parents[1]
DASK = Variant("etl_dask", "etl_dask")
FULL, ADDED = "full run", "new files added"

logger = logging.getLogger("benchmarks.incremental")


class Delivery:
    """A workspace whose raw files arrive in two deliveries."""

    def __init__(self, place: Workspace, first: int, timeout: float):
        self.place = place
        self.timeout = timeout
        self.folder = place.folder / "delivered"
        files = sorted(place.raw.glob("*.parquet"))
        self.first, self.later = files[:first], files[first:]
        entries = {
            f"raw_transactions@{engine}": {
                "type": f"dask_etl.datasets.{kind}ParquetDataset",
                "filepath": str(self.folder),
                "schema": "raw_transactions",
                **({"rows_per_partition": 500_000} if engine == "dask" else {}),
            }
            for engine, kind in (("dask", "Dask"), ("pandas", "Pandas"))
        }
        (place.conf / "local" / "catalog.yml").write_text(yaml.safe_dump(entries))

    def deliver(self, files: list[Path], anew: bool) -> None:
        """Have files arrive; ``anew``: in an empty folder, and no tables yet."""
        if anew:
            self.place.clear()
            (self.place.folder / "release.json").unlink(missing_ok=True)
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir()
        for file in files:
            (self.folder / file.name).hardlink_to(file)

    def run(self, what: str) -> dict:
        """Run the pipeline; return what it cost, with the seconds of its nodes."""
        place = self.place
        cost = measure.run(
            kedro_run("etl_dask", place), place.project, place.log, self.timeout
        )
        if cost.outcome != measure.COMPLETED:
            raise BenchmarkError(
                f"{what} {cost.outcome}. {measure.last_words(place.log)}"
            )
        parts = current_parts(place.folder / "08_reporting" / "run_metrics")
        metrics = pd.concat(map(pd.read_parquet, parts))
        latest = metrics[metrics["run_id"] == metrics["run_id"].max()]
        seconds = latest.set_index("node")["wall_seconds"]
        logger.info(
            "%s: %.2f s, %.0f MB; nodes: %s",
            *(what, cost.wall_seconds, cost.peak_memory_mb),
            ", ".join(f"{node} {value:.2f}" for node, value in seconds.items()),
        )
        return {
            "run": what,
            "process_seconds": cost.wall_seconds,
            "pipeline_seconds": seconds["(all)"],
            "peak_memory_mb": cost.peak_memory_mb,
        }


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--rows", default=10_000_000, show_default=True, help="Rows there already."
)
@click.option(
    "--new", default=0.01, show_default=True, help="Share of rows that is new."
)
@click.option("--rounds", default=3, show_default=True, help="Medians are told.")
@click.option("--keep", is_flag=True, help="Leave data and tables where they are.")
def main(rows: int, new: float, rounds: int, keep: bool) -> None:
    """Measure a run that adds files against a full run."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logger.setLevel(logging.INFO)
    try:
        print(render(compare(rows, new, rounds, keep)))
    except ExplainedError as error:
        raise click.ClickException(str(error)) from error


def compare(rows: int, new: float, rounds: int, keep: bool = False) -> pd.DataFrame:
    """Run both ways, in rounds.

    Returns:
        A row per run: ``run``, process_seconds, pipeline_seconds, peak_memory_mb.

    Raises:
        BenchmarkError: a run failed, or the tables differ.
    """
    settings = load_settings(None)
    per_file = min(500_000, rows)
    added = max(int(rows * new), 1)
    if rows % per_file:
        raise BenchmarkError(f"--rows must be a multiple of {per_file:,}")
    place = Workspace(
        PROJECT,
        (PROJECT / settings.folder).resolve() / f"incremental-{rows}",
        rows + added,
        {"rows_per_partition": per_file},
    )
    try:
        place.prepare(settings.as_of.isoformat())
        logger.info("Generating %s and %s rows", f"{rows:,}", f"{added:,}")
        made = measure.run(
            kedro_run("data_generation", place),
            *(place.project, place.log, settings.timeout_seconds),
        )
        if made.outcome != measure.COMPLETED:
            raise BenchmarkError(measure.last_words(place.log))
        delivery = Delivery(place, rows // per_file, settings.timeout_seconds)
        place.warm()
        delivery.deliver(delivery.first + delivery.later, anew=True)
        delivery.run("everything at once")
        reference = Reference.of(
            "one full run", output_files(DASK, place), place.reference
        )
        costs = []
        for number in range(rounds):
            delivery.deliver(delivery.first, anew=True)
            costs.append(delivery.run(FULL))
            delivery.deliver(delivery.later, anew=False)
            costs.append(delivery.run(ADDED))
            reference.check(ADDED, output_files(DASK, place), thorough=not number)
        return pd.DataFrame(costs)
    finally:
        if not keep:
            place.remove()


def render(costs: pd.DataFrame) -> str:
    """Say what both ways cost: medians, and least to most."""
    lines = [
        "| run | pipeline (s) | whole process (s) | peak memory (MB) |",
        "|---|---|---|---|",
    ]
    for run, each in costs.groupby("run", sort=False):
        cells = [
            _spread(each[name]) for name in ("pipeline_seconds", "process_seconds")
        ]
        lines.append(
            f"| {run} | {' | '.join(cells)} | {each['peak_memory_mb'].median():,.0f} |"
        )
    medians = costs.groupby("run")[["pipeline_seconds", "process_seconds"]].median()
    share = medians.loc[ADDED] / medians.loc[FULL]
    lines.append(
        f"\nAdding costs {share['pipeline_seconds']:.1%} of a full run "
        f"({share['process_seconds']:.1%} with the start of the process)."
    )
    return "\n".join(lines)


def _spread(values: pd.Series) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.incremental")
