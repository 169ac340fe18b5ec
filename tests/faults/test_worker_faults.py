"""Dask workers that die: once and the run goes on, again and again and it says so."""

import re
import shutil
from dataclasses import replace

import dask
import pytest

import dask_etl.datasets.publish
from dask_etl.engine.cluster import Cluster
from dask_etl.engine.cluster_settings import DaskSettings
from dask_etl.errors import WorkersLost
from oracle.raw_files import dirty_transactions, write_raw
from support.engine_runs import TABLES
from support.fault_injection import (
    FatalMerge,
    FatalSource,
    FatalWriter,
    Once,
    contents,
    run,
    strays,
    tables_in,
    with_source,
)

FATAL = "part-00003.parquet"


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw") / "raw"
    write_raw(folder, dirty_transactions(80, 1), 8)
    return folder


@pytest.fixture(scope="module")
def expected(tmp_path_factory, raw):
    """What an undisturbed run writes."""
    folder = tmp_path_factory.mktemp("undisturbed")
    run(raw, folder)
    return contents(tables_in(folder))


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("earlier")
    write_raw(folder / "raw", dirty_transactions(30, 2), 2)
    run(folder / "raw", folder / "tables")
    return folder / "tables"


@pytest.fixture
def old(tmp_path, earlier):
    """What is there before the run."""
    shutil.copytree(earlier, tmp_path / "tables")
    return contents(tables_in(tmp_path / "tables"))


pytestmark = pytest.mark.usefixtures("forked_workers")


def workers(memory_limit="1GiB", **scheduler):
    with dask.config.set():
        return Cluster(
            DaskSettings(
                local_cluster={
                    "processes": True,
                    "n_workers": 2,
                    "threads_per_worker": 1,
                    "memory_limit": memory_limit,
                },
                config={
                    "logging": {"distributed": "critical"},
                    "distributed": {"scheduler": scheduler},
                },
            )
        )


@pytest.fixture(scope="module")
def patient_workers(forked_workers):
    """Worker processes, of which some may die."""
    with dask.config.set({"distributed.scheduler.allowed-failures": 3}):
        cluster = workers()
        yield cluster
        cluster.close()


@pytest.fixture
def impatient_workers():
    """Makes worker processes; the second that dies of a task ends the run."""
    started = []

    def start(**options):
        started.append(workers(**options, **{"allowed-failures": 1}))

    with dask.config.set():
        yield start
        for cluster in started:
            cluster.close()


@pytest.mark.usefixtures("patient_workers", "old")
@pytest.mark.parametrize("when", ["read", "write", "reduce"])
def test_worker_that_is_killed_changes_nothing(
    tmp_path, raw, expected, monkeypatch, when
):
    once = Once(tmp_path / "died")

    def change(lazies):
        match when:
            case "read":
                return with_source(lazies, lambda s: FatalSource(s, FATAL, once))
            case "reduce":
                merge = FatalMerge(lazies["sales_cube"].combine, once)
                cube = replace(lazies["sales_cube"], combine=merge)
                return {**lazies, "sales_cube": cube}
        return lazies

    if when == "write":
        monkeypatch.setattr(
            dask_etl.datasets.publish,
            "PartWriter",
            lambda *arguments: FatalWriter(*arguments, once=once),
        )
    run(raw, tmp_path / "tables", change=change)
    assert once.marker.exists()
    datasets = tables_in(tmp_path / "tables")
    assert contents(datasets) == expected
    assert strays(datasets) == []


@pytest.mark.parametrize("cause", ["killed", "memory"])
def test_partition_that_kills_every_worker_ends_the_run_clearly(
    tmp_path, raw, expected, old, impatient_workers, cause
):
    def fatal(lazies):
        return with_source(
            lazies, lambda s: FatalSource(s, FATAL, eats_memory=cause == "memory")
        )

    impatient_workers(memory_limit="400MiB" if cause == "memory" else "1GiB")
    with pytest.raises(WorkersLost) as error:
        run(raw, tmp_path / "tables", change=fatal)
    # Dask blames what was waiting at the dead workers, too: any partition may be named.
    assert re.search(r"partition \d+ part-\d+\.parquet", str(error.value))
    for said in ("2 workers died", "memory_limit", "rows_per_partition"):
        assert said in str(error.value)

    datasets = tables_in(tmp_path / "tables")
    assert contents(datasets) == old
    # Once the cause is gone, the run goes on.
    run(raw, tmp_path / "tables")
    assert contents(datasets) == expected
    assert strays(datasets) == []
    assert set(datasets) == set(TABLES)
