"""Measuring a run never fails it: its tables are committed already."""

import logging
from pathlib import Path

import pytest
from kedro.pipeline import Node, Pipeline

import dask_etl.pipeline_registry
from dask_etl.datasets import PandasParquetDataset

ONE = ["data_generation"]
FEW = {"generation": {"rows": 40}}


def metrics(project) -> PandasParquetDataset:
    return PandasParquetDataset(filepath=str(project.data / "08_reporting/run_metrics"))


def recorded(project) -> int:
    return metrics(project).load()["run_id"].nunique()


def committed(project) -> int:
    folder = str(project.data / "01_raw/transactions")
    return PandasParquetDataset(filepath=folder).versions()[0].version


def warnings(caplog) -> list[str]:
    return [
        record.message
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.name.startswith("dask_etl")
    ]


def damaged_part(project):
    [segment] = metrics(project).source().segments
    Path(segment.path).write_bytes(b"?")


def missing_part(project):
    [segment] = metrics(project).source().segments
    Path(segment.path).unlink()


@pytest.mark.parametrize("damage", [damaged_part, missing_part])
def test_damaged_metrics_are_begun_anew_and_it_is_said(project, caplog, damage):
    project.run(*ONE, params=FEW)
    project.run(*ONE, params=FEW)
    assert recorded(project) == 2
    assert warnings(caplog) == []
    damage(project)
    project.run(*ONE, params=FEW)
    assert recorded(project) == 1
    [said] = warnings(caplog)
    assert said.startswith("run_metrics is begun anew with this run, the costs of ")
    assert str(project.data / "08_reporting/run_metrics") in said


def locked(project):
    store = metrics(project).store
    store.acquire()
    return store.free


def damaged_log(project):
    log = project.data / "08_reporting/run_metrics/_delta_log"
    max(log.glob("*.json")).write_bytes(b"?")


def not_a_folder(project):
    folder = project.data / "08_reporting/run_metrics"
    folder.rename(folder.with_name("elsewhere"))
    folder.write_bytes(b"")


OBSTACLES = {
    locked: "another run is writing this table",
    damaged_log: "run_metrics",
    not_a_folder: "cannot be written",
}


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_metrics_that_cannot_be_written_fail_no_run(project, caplog, obstacle):
    project.run(*ONE, params=FEW)
    before = committed(project)
    release = obstacle(project)
    project.run(*ONE, params=FEW)
    if release:
        release()
    assert committed(project) != before
    [said] = warnings(caplog)
    assert "was not recorded in run_metrics: " in said
    assert OBSTACLES[obstacle] in said


def test_who_reads_metrics_that_cannot_be_kept_gets_those_of_this_run(
    project, caplog, monkeypatch
):
    project.run(*ONE, params=FEW)
    damaged_log(project)
    seen = []
    registered = dask_etl.pipeline_registry.register_pipelines()
    reading = Node(
        lambda metrics, _: seen.append(metrics),
        ["run_metrics", "generation_truth"],
        None,
        name="read",
    )
    monkeypatch.setattr(
        dask_etl.pipeline_registry,
        "register_pipelines",
        lambda: {
            **registered,
            "generate_and_read": registered["data_generation"] + Pipeline([reading]),
        },
    )
    project.run("generate_and_read", params=FEW)
    [metrics] = seen
    assert "generate" in metrics["node"].tolist()
    [said] = warnings(caplog)
    assert "was not recorded" in said
