import mmap
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pandas as pd
import pyarrow as pa
import pytest

from dask_etl.hooks.monitor import ResourceMonitor, usable_cores
from dask_etl.hooks.records import (
    ALL_NODES,
    RUN_METRICS,
    keep_latest_runs,
    with_pipeline_totals,
)

BURN = """
import time
block = bytearray({megabytes} * 1_000_000)
block[::4096] = b"x" * len(block[::4096])
end = time.process_time() + {seconds}
while time.process_time() < end:
    pass
time.sleep({sleep})
"""


def child(megabytes=1, seconds=0.0, sleep=0.0):
    code = BURN.format(megabytes=megabytes, seconds=seconds, sleep=sleep)
    return subprocess.Popen([sys.executable, "-c", code])


def test_sees_memory_and_cpu_of_a_child():
    with ResourceMonitor() as monitor:
        child(megabytes=150, seconds=0.5, sleep=0.3).wait()
    usage = monitor.usage
    assert usage.peak_memory_mb - usage.memory_at_start_mb > 140
    assert 0.5 <= usage.cpu_seconds < 2.0
    assert usage.wall_seconds >= 0.8
    assert usage.cores == usable_cores()
    assert usage.cpu_use == pytest.approx(
        min(1, usage.cpu_seconds / usage.wall_seconds / usage.cores)
    )


def test_counts_cpu_of_children_that_come_and_go_between_samples():
    monitor = ResourceMonitor(interval=60)
    monitor.start()
    for _ in range(3):
        child(seconds=0.2).wait()
    assert 0.6 <= monitor.stop().cpu_seconds < 2.0


def test_does_not_count_a_child_twice_when_it_ends():
    with ResourceMonitor(interval=0.001) as monitor:
        for _ in range(8):
            child(seconds=0.1).wait()
    assert 0.8 <= monitor.usage.cpu_seconds < 2.4


def test_memory_that_was_there_before_is_told_apart():
    block = bytearray(b"x" * 100_000_000)
    with ResourceMonitor() as monitor:
        time.sleep(0.1)
    assert monitor.usage.memory_at_start_mb > 100
    assert monitor.usage.peak_memory_mb - monitor.usage.memory_at_start_mb < 20
    assert len(block) == 100_000_000


def test_measurements_nest_and_overlap():
    monitor = ResourceMonitor(interval=0.01)
    outer = monitor.start()
    time.sleep(0.1)
    inner = monitor.start()
    # Fresh pages, not what the allocator kept of memory that was freed before.
    with mmap.mmap(-1, 80_000_000, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as block:
        block.write(b"x" * len(block))
        time.sleep(0.1)
    first = monitor.stop(outer)
    second = monitor.stop(inner)
    assert first.wall_seconds >= 0.2
    assert first.wall_seconds > second.wall_seconds >= 0.1
    assert second.peak_memory_mb - second.memory_at_start_mb > 70


def test_stops_the_latest_and_leaves_no_thread_behind():
    monitor = ResourceMonitor(interval=0.01)
    monitor.start()
    monitor.start()
    assert monitor.stop().wall_seconds < monitor.measure().wall_seconds
    monitor.stop()
    for thread in threading.enumerate():
        if thread.name == "resource-monitor":
            thread.join(10)
            assert not thread.is_alive()
    with pytest.raises(RuntimeError, match="start"):
        monitor.stop()


NOON = datetime(2025, 1, 1, 12, tzinfo=UTC)


def record(run_id="r1", pipeline="etl_dask", node="clean", minute=0, **values):
    return {
        "run_id": run_id,
        "pipeline": pipeline,
        "node": node,
        "started_at": NOON + timedelta(minutes=minute),
        "wall_seconds": 2.0,
        "cpu_seconds": 3.0,
        "cpu_use": 0.75,
        "cores": 2,
        "memory_at_start_mb": 100.0,
        "peak_memory_mb": 500.0,
        "rows": None,
        **values,
    }


def test_pipeline_total_sums_seconds_and_takes_the_peak():
    table = with_pipeline_totals(
        [
            record(node="a", minute=1, memory_at_start_mb=300.0, rows=10),
            record(node="b", minute=0, peak_memory_mb=900.0, cpu_seconds=1.0),
            record(pipeline="etl_pandas"),
        ]
    )
    assert list(table["node"]) == ["a", "b", ALL_NODES, "clean", ALL_NODES]
    total = table.iloc[2]
    assert total["wall_seconds"] == 4.0
    assert total["cpu_seconds"] == 4.0
    assert total["cpu_use"] == 0.5
    assert total["peak_memory_mb"] == 900.0
    assert total["memory_at_start_mb"] == 100.0
    assert total["rows"] == 10
    assert total["started_at"] == NOON
    assert pd.isna(table.iloc[4]["rows"])


@pytest.mark.parametrize("records", [[], [record()], [record(rows=7)]])
def test_metrics_fit_their_schema(records):
    table = with_pipeline_totals(records)
    assert pa.Table.from_pandas(
        table, RUN_METRICS.schema, preserve_index=False
    ).num_rows == (2 * len(records))


def test_totals_are_not_counted_again():
    once = with_pipeline_totals([record(rows=3), record(node="b")])
    again = with_pipeline_totals(once.to_dict("records"))
    pd.testing.assert_frame_equal(once, again)


def test_keeps_the_latest_runs_of_each_pipeline():
    history = with_pipeline_totals(
        [
            record("old", "etl_pandas", minute=0),
            record("a", "etl_dask", minute=1),
            record("b", "etl_dask", minute=2),
            record("c", "etl_dask", minute=3),
        ]
    )
    kept = keep_latest_runs(history, 2)
    assert list(kept["run_id"].unique()) == ["old", "b", "c"]
    assert len(kept) == 6
    assert keep_latest_runs(kept, 5).equals(kept)
    assert keep_latest_runs(history.iloc[:0], 2).empty
