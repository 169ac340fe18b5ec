"""Selections of nodes: what they leave out is made, or told."""

from datetime import datetime

import click
import pytest
from kedro.io import DataCatalog, MemoryDataset

from dask_etl.hooks import SelectionHooks
from dask_etl.pipeline_registry import register_pipelines
from dask_etl.retail.parameters import Clock


@pytest.fixture
def pipelines(monkeypatch):
    made = register_pipelines()
    monkeypatch.setattr("dask_etl.hooks.selection.pipelines", made)
    return made


def asked(*names):
    return {"pipeline_names": [*names]}


def catalog(**datasets):
    return DataCatalog({name: MemoryDataset(value) for name, value in datasets.items()})


def test_a_namespace_alone_gets_the_moment_that_all_is_judged_at(pipelines):
    both = pipelines["etl_dask"] + pipelines["analytics"]
    chosen = both.only_nodes_with_namespaces(["dask"])
    moment = "2025-01-01T00:00:00+00:00"
    given = catalog(
        **{
            "params:clock": Clock(as_of=moment),
            "raw_transactions@dask": 0,
            "earlier": 0,
        }
    )
    SelectionHooks().before_pipeline_run(asked("etl_dask", "analytics"), chosen, given)
    assert given.load("as_of") == datetime.fromisoformat(moment)


def test_what_is_there_stays(pipelines):
    given = catalog(as_of=1)
    chosen = pipelines["etl_dask"].only_nodes("dask.plan")
    SelectionHooks().before_pipeline_run(asked("etl_dask"), chosen, given)
    assert given.load("as_of") == 1


def test_what_reads_data_must_be_selected(pipelines):
    chosen = pipelines["etl_dask"].from_nodes("dask.survey")
    with pytest.raises(
        click.ClickException,
        match=r"dask\.survey needs dask\.batch, which dask\.plan makes and no file keeps",
    ):
        SelectionHooks().before_pipeline_run(
            asked("etl_dask"), chosen, catalog(as_of=1)
        )
