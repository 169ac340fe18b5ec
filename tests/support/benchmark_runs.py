"""Records of runs, as the benchmark writes them, with round numbers in them."""

from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa

from benchmarks.overhead import OVERHEAD
from benchmarks.runs import RESULTS

MACHINE = {
    "measured_at": "2025-01-01T00:00:00+00:00",
    "processor": "A processor",
    "usable_cores": 2,
    "cores": 4,
    "memory_bytes": 8 << 30,
    "system": "Linux",
    "python": "3.11",
    "versions": {"dask": "1", "pandas": "2"},
}


def run(contender, seconds, round=1, rows=1_000_000, experiment="sizes", **values):
    """One run; whatever is not given follows from the seconds."""
    engine = contender.startswith("etl_")
    return {
        "experiment": experiment,
        "rows": rows,
        "contender": contender,
        "variant": contender,
        "round": round,
        "started_at": datetime(2025, 1, 1, tzinfo=UTC),
        "outcome": "completed",
        "cores": 2,
        "wall_seconds": seconds,
        "cpu_seconds": seconds,
        "cpu_use": 0.5,
        "peak_memory_mb": 100 * seconds,
        "read_mb": 10.0,
        "written_mb": 20.0,
        "input_mb": 9.0,
        "output_mb": 19.0,
        "rows_per_second": rows / seconds,
        "pipeline_seconds": seconds / 2 if engine else None,
        "compute_seconds": seconds / 4 if engine else None,
        "compute_cpu_use": 0.9 if engine else None,
        **values,
    }


def results(*runs) -> pd.DataFrame:
    """The table of results."""
    return pa.Table.from_pylist(list(runs), RESULTS).to_pandas()


def overhead(*partitions) -> pd.DataFrame:
    """The table of overheads, a millisecond each."""
    lines = [
        {
            "scheduler": scheduler,
            "what": what,
            "partitions": count,
            "graph_keys": count + 4,
            "graph_bytes": 100 * count,
            "build_seconds": 0.001,
            "seconds": count / 1000,
            "milliseconds_per_partition": 1.0,
            "partitions_per_second": 1000.0,
        }
        for scheduler in ("threads", "cluster")
        for what in ("tasks alone", "engine")
        for count in partitions
    ]
    return pa.Table.from_pylist(lines, OVERHEAD).to_pandas()


def scaling_runs(kind, *seconds):
    """Runs on 1, 2, … workers of a kind, in one round."""
    return [
        run(
            "etl_dask",
            time,
            experiment="scaling",
            variant=f"etl_dask, {count} {kind}",
            worker_kind=kind,
            workers=count,
        )
        for count, time in enumerate(seconds, 1)
    ]
