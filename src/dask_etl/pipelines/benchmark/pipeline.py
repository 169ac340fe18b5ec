"""Benchmark: the engines against each other and against their peers."""

from kedro.pipeline import Node, Pipeline

from .nodes import (
    draw,
    note_machine,
    run_benchmark,
    summarise_runs,
    time_scheduling,
    write_report,
)

MEASURED = [
    "benchmark_results",
    "benchmark_summary",
    "benchmark_overhead",
    "benchmark_machine",
]


def create_pipeline() -> Pipeline:
    """Run the contenders, check and summarise, write the report and the figure."""
    return Pipeline(
        [
            Node(
                func=run_benchmark,
                inputs=["params:benchmark", "params:clock"],
                outputs="benchmark_results",
                name="run_contenders",
            ),
            Node(
                func=time_scheduling,
                inputs="params:benchmark",
                outputs="benchmark_overhead",
                name="time_scheduling",
            ),
            Node(
                func=note_machine,
                inputs=None,
                outputs="benchmark_machine",
                name="note_machine",
            ),
            Node(
                func=summarise_runs,
                inputs="benchmark_results",
                outputs="benchmark_summary",
                name="summarise_runs",
            ),
            Node(
                func=write_report,
                inputs=MEASURED,
                outputs="benchmark_report",
                name="write_benchmark_report",
            ),
            Node(
                func=draw,
                inputs=MEASURED,
                outputs="benchmark_plot",
                name="plot_benchmark",
            ),
        ],
        tags="benchmark",
    )
