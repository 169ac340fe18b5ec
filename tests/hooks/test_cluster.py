"""A hook starts a cluster for runs that are worth one."""

import pytest
from dask.system import CPU_COUNT

from dask_etl.engine.cluster_settings import LocalClusterSettings
from dask_etl.retail.tables import ETL_TABLES


def tables(project):
    names = [table.name for table in ETL_TABLES]
    return {name: project.table(f"dask.{name}") for name in names}


def test_few_rows_are_processed_on_threads_many_on_a_cluster_with_the_same_results(
    project, caplog
):
    project.run("data_generation")
    caplog.clear()
    project.run("etl_dask")
    assert f"Dask: {CPU_COUNT} threads; 20,000 rows need no cluster" in caplog.text
    assert "in-process workers" not in caplog.text
    on_threads = tables(project)
    caplog.clear()
    project.run("etl_dask", params={"dask": {"from_rows": 20_000}, "resume": False})
    assert "Dask: 1 in-process workers" in caplog.text
    for name, table in tables(project).items():
        assert table.equals(on_threads[name]), name


@pytest.mark.parametrize(
    "asked_for",
    [
        {"processes": True},
        {"n_workers": 1},
        {"threads_per_worker": 1},
        {"memory_limit": "1GiB"},
        {"local_directory": "spill"},
    ],
    ids=lambda asked_for: next(iter(asked_for)),
)
def test_what_only_a_cluster_has_is_reason_enough_for_one(asked_for):
    assert LocalClusterSettings(**asked_for).is_for(10)
    assert not LocalClusterSettings().is_for(10)
    assert LocalClusterSettings(from_rows=0).is_for(0)
