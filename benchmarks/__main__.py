"""``python -m benchmarks``: run the contenders, check and summarise, write the report."""

import json
import logging
from pathlib import Path

import click
import pandas as pd

from dask_etl.errors import ExplainedError

from .settings import Benchmark, load_settings

PROJECT = Path(__file__).parents[1]
REPORTS = Path("data") / "08_reporting"
TABLES = ("results", "summary", "overhead")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--settings",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML that names what differs from benchmarks/settings.yml.",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=PROJECT / REPORTS,
    help=f"Folder for benchmark.md, the figure and the tables. [default: {REPORTS}]",
)
@click.option(
    "--report-only",
    is_flag=True,
    help="Measure nothing: write report and figure from the tables in the folder.",
)
def main(settings: Path | None, output: Path, report_only: bool) -> None:
    """Measure the engines and their peers; check that all make the same tables."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    # Kedro, once imported, sets the level of all others.
    logging.getLogger(__package__).setLevel(logging.INFO)
    try:
        if not report_only:
            measure(load_settings(settings), output)
        write_report(output)
    except ExplainedError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Report: {output / 'benchmark.md'}, with benchmark.png beside it")


def measure(settings: Benchmark, output: Path) -> None:
    """Run everything; leave the tables and a description of the machine in a folder.

    Raises:
        BenchmarkError: a contender failed, or made other tables; nothing is written.
    """
    from .machine import describe_machine
    from .overhead import measure_overhead
    from .runs import run_contenders
    from .summary import summarise

    results = run_contenders(settings, PROJECT).to_pandas()
    overhead = measure_overhead(settings.overhead_partitions).to_pandas()
    measured = (results, summarise(results), overhead)
    output.mkdir(parents=True, exist_ok=True)
    for name, table in zip(TABLES, measured, strict=True):
        table.to_parquet(output / f"benchmark_{name}.parquet", index=False)
    machine = json.dumps(describe_machine(), indent=2)
    (output / "benchmark_machine.json").write_text(machine)


def write_report(output: Path) -> None:
    """Write ``benchmark.md`` and ``benchmark.png`` from the tables in a folder.

    Raises:
        ExplainedError: nothing was measured there.
    """
    if not (output / "benchmark_machine.json").exists():
        raise ExplainedError(
            f"There are no measurements in {output}: leave --report-only out, or name "
            "the folder that has them with --output."
        )
    from .figure import draw_benchmark
    from .report import render

    results, summary, overhead = (
        pd.read_parquet(output / f"benchmark_{name}.parquet") for name in TABLES
    )
    machine = json.loads((output / "benchmark_machine.json").read_text())
    text = render(results, summary, overhead, machine)
    (output / "benchmark.md").write_text(text, encoding="utf-8")
    figure = draw_benchmark(results, summary, overhead, machine)
    figure.savefig(output / "benchmark.png", dpi=150)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
