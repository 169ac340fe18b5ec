"""Scheduler and workers of another environment: the same results, or one line."""

import re
import threading
import time

import dask
import psutil
import pytest

from dask_etl.engine.cluster import Cluster
from dask_etl.engine.cluster_settings import DaskSettings
from dask_etl.engine.preflight import Needs
from dask_etl.errors import ClusterError, WorkersLost
from dask_etl.hooks.monitor import WorkersElsewhere
from oracle.raw_files import dirty_transactions, write_raw
from support.fault_injection import contents, run, strays, tables_in
from support.remote_cluster import copy_package, remote_cluster

NEEDS = Needs(["dask_etl.pipelines.etl_dask.nodes"])


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw") / "raw"
    write_raw(folder, dirty_transactions(80, 1), 8)
    return folder


@pytest.fixture(scope="module")
def expected(tmp_path_factory, raw):
    """What a run of this process writes."""
    folder = tmp_path_factory.mktemp("here")
    run(raw, folder)
    return contents(tables_in(folder))


def attached(cluster, **settings):
    with dask.config.set():
        return Cluster(
            DaskSettings(scheduler=cluster.address, **settings), lambda: NEEDS
        )


def refused(cluster, **settings) -> str:
    begun = time.monotonic()
    with pytest.raises(ClusterError) as error:
        attached(cluster, **settings)
    assert time.monotonic() - begun < 30
    said = str(error.value)
    assert "\n" not in said
    assert cluster.address in said
    return said


def test_the_same_code_elsewhere_makes_the_same_tables(tmp_path, raw, expected, caplog):
    with remote_cluster(tmp_path / "there") as cluster:
        began = time.monotonic()
        there = attached(cluster)
        assert time.monotonic() - began < 20
        try:
            run(raw, tmp_path / "tables")
            datasets = tables_in(tmp_path / "tables")
            assert contents(datasets) == expected
            assert strays(datasets) == []

            # One that joins late, with last year's code, gets no say.
            packages = tmp_path / "stale"
            copy_package(packages, stale=True)
            cluster.start_worker("stale", PYTHONPATH=str(packages))
            cluster.wait_for(3)
            cluster.kill("worker-0")
            run(raw, tmp_path / "again")
            assert contents(tables_in(tmp_path / "again")) == expected
            assert "has other code. It has joined the cluster" in caplog.text
        finally:
            there.close()
        # The next run is refused before it begins.
        said = refused(cluster)
        assert re.search(
            r"worker tcp://\S+ \(the package dask_etl has other code", said
        )
        cluster.kill("stale")

        there = attached(cluster, workers_timeout=1)
        try:
            cluster.kill("worker-1")
            with pytest.raises(WorkersLost, match=r"no workers for 1 s .*were lost"):
                run(raw, tmp_path / "lost")
        finally:
            there.close()
        assert "none came within 1 s" in refused(cluster, workers_timeout=1)


@pytest.mark.parametrize("package", [None, "stale"])
def test_other_code_is_refused_or_replaced(tmp_path, raw, expected, package):
    with remote_cluster(tmp_path / "there", package, workers=1) as cluster:
        said = refused(cluster)
        assert "the scheduler, worker tcp://" in said
        assert ("is missing" if package is None else "has other code") in said
        assert "ship_code: true" in said
        there = attached(cluster, ship_code=True)
        try:
            # A worker that joins late gets the code, too.
            cluster.start_worker("late")
            cluster.wait_for(2)
            cluster.kill("worker-0")
            run(raw, tmp_path / "tables")
        finally:
            there.close()
        assert contents(tables_in(tmp_path / "tables")) == expected


BUSY = """
import time
held = bytearray(b"x" * (200 << 20))
ends = time.process_time() + 4
while time.process_time() < ends:
    held[0] = 1
"""
"""What a worker is to do: it has no module of the tests."""


def test_what_workers_elsewhere_use_is_measured(tmp_path):
    """Against what the system says of their processes."""
    with remote_cluster(tmp_path / "there") as cluster:
        there = attached(cluster)
        workers = [psutil.Process(cluster.processes[f"worker-{n}"].pid) for n in (0, 1)]
        measured = WorkersElsewhere()

        def watch(until):
            while not until():
                held.append(measured.sample())
                time.sleep(0.05)

        held: list[int] = []
        try:
            # They are asked once a second: what they do counts from the second answer on.
            since = time.monotonic()
            watch(lambda: time.monotonic() > since + 2.5)
            before, spent = measured.cpu_seconds, cpu_seconds(workers)
            work = [there.client.submit(exec, BUSY, {}, pure=False) for _ in workers]
            watch(lambda: all(future.done() for future in work))
            there.client.gather(work)
            memory = sum(process.memory_info().rss for process in workers)
            since = time.monotonic()
            watch(lambda: time.monotonic() > since + 2.5)
            spent = cpu_seconds(workers) - spent
        finally:
            there.close()
    assert spent > 8
    assert 0.4 * spent < measured.cpu_seconds - before < 1.6 * spent
    assert measured.threads == 2
    assert 400 << 20 < max(held) < 1.2 * memory + (400 << 20)


def cpu_seconds(processes) -> float:
    times = [process.cpu_times() for process in processes]
    return sum(each.user + each.system for each in times)


def test_a_lost_scheduler_ends_the_run_in_one_line(tmp_path, raw):
    with remote_cluster(tmp_path / "there", workers=1) as cluster:
        there = attached(cluster)
        try:
            cluster.kill("worker-0")
            threading.Timer(2, cluster.kill, ["scheduler"]).start()
            with pytest.raises(ClusterError, match="the scheduler was lost during"):
                run(raw, tmp_path / "tables")
        finally:
            there.close()
