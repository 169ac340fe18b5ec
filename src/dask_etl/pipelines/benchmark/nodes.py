"""The nodes of the benchmark; what they do is in the modules beside this one.

Imports are inside the functions: every ``kedro run`` loads this module, also those
whose time is measured.
"""

from pathlib import Path
from typing import Any

from dask_etl.retail.parameters import Clock

from .parameters import Benchmark

# Arrow tables and pandas frames.
Table = Any


def run_benchmark(benchmark: Benchmark, clock: Clock) -> Table:
    """Run the contenders of the project that this process is in."""
    from .runs import run_contenders
    from .workspace import find_project

    return run_contenders(benchmark, find_project(Path.cwd()), clock.resolve())


def time_scheduling(benchmark: Benchmark) -> Table:
    """Time partitions that have nothing to do."""
    from .overhead import measure_overhead

    return measure_overhead(benchmark.overhead_partitions)


def note_machine() -> dict:
    """Describe the machine and its libraries."""
    from .machine import describe_machine

    return describe_machine()


def summarise_runs(results: Table) -> Table:
    """Work out medians, spread and ratios."""
    from .summary import summarise

    return summarise(results)


def write_report(results: Table, summary: Table, overhead: Table, machine: dict) -> str:
    """Write it all down in Markdown."""
    from .report import render

    return render(results, summary, overhead, machine)


def draw(results: Table, summary: Table, overhead: Table, machine: dict) -> Any:
    """Draw time, memory, CPU use, scaling and overhead."""
    from .figure import draw_benchmark

    return draw_benchmark(results, summary, overhead, machine)
