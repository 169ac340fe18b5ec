"""What a run says at its end, and that it says nothing where nobody wants to know."""

import logging

import pytest

import dask_etl
from dask_etl.engine import run_report


def said(caplog) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("dask_etl") and "Dask: " not in record.getMessage()
    ]


def test_a_run_says_what_it_wrote_and_one_that_is_to_be_quiet_says_nothing(
    project, caplog
):
    caplog.set_level(logging.INFO, "dask_etl")
    project.run("data_generation", params={"generation": {"rows": 40}})
    [summary] = said(caplog)
    first, *lines = summary.splitlines()
    assert first.startswith("Done in ")
    assert lines == [
        "  Tables          raw_transactions 40, generation_truth 12, "
        "generated_defects 1 (v0)"
    ]
    caplog.clear()
    project.run(
        "data_generation", params={"generation": {"rows": 40}, "progress": False}
    )
    assert said(caplog) == []


def test_what_stands_in_the_way_of_a_summary_fails_nothing(
    project, caplog, monkeypatch
):
    caplog.set_level(logging.INFO, "dask_etl")
    monkeypatch.setattr(dask_etl, "OUTCOME", "dask_etl.retail.outcome.nothing")
    project.run("data_generation", params={"generation": {"rows": 40}})
    [warning] = said(caplog)
    assert warning.startswith("Done in ")
    assert "What came of it cannot be told: " in warning
    assert project.table("generation_truth").num_rows == 12


@pytest.mark.parametrize("long", [True, False])
def test_dasks_report_of_a_long_run_stays_beside_what_it_cost(
    project, caplog, monkeypatch, long
):
    caplog.set_level(logging.INFO, "dask_etl")
    if long:
        monkeypatch.setattr(run_report, "LONG", 0.0)
    project.run("data_generation", params={"generation": {"rows": 40}})
    kept = list((project.data / "08_reporting" / "dask").glob("*.html"))
    assert len(kept) == long
    told = [line for line in said(caplog) if line.startswith("Dask's report")]
    assert told == [f"Dask's report of the run: {path}" for path in kept]
