"""Days of a shop: deliveries, both engines beside each other, and a replay."""

import logging

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from dask_etl.cli import cli
from dask_etl.retail.tables import ETL_TABLES
from oracle import assert_matches, oracle_tables
from oracle.raw_files import AS_OF, dirty_transactions
from support.kedro_project import Project

DAYS = ("2022-06-01", "2023-06-01", "2024-07-01")
ROWS = dirty_transactions(900, 29)


def run(project: Project, *pipelines: str, as_of: str) -> None:
    project.run(*pipelines, params={"clock": {"as_of": as_of}})


@pytest.fixture(scope="module")
def lived(shared_project) -> Project:
    """Three days, a file each; the first two are judged before much of it happened."""
    folder = shared_project.path / "deliveries"
    folder.mkdir()
    project = shared_project.reads(folder, AS_OF)
    for day, as_of in enumerate(DAYS):
        pq.write_table(ROWS.slice(290 * day, 300), folder / f"day-{day}.parquet")
        run(project, "etl_dask", as_of=as_of)
    return project


def test_files_keep_the_moment_that_they_were_judged_at(lived):
    ledger = lived.table("dask.row_ledger")
    assert [f"{m:%Y-%m-%d}" for m in ledger["as_of"].to_pylist()] == [*DAYS]


def test_the_other_engine_judges_each_file_at_its_moment_and_agrees(lived):
    run(lived, "etl_pandas", "analytics", "verification", as_of="2026-01-01")
    assert pc.all(lived.table("verification")["identical"]).as_py()
    moments = lived.table("dask.row_ledger")["as_of"].to_pylist()
    names = [table.name for table in ETL_TABLES]
    expected = oracle_tables(
        sorted((lived.path / "deliveries").iterdir()), moments, names=names
    )
    for name in names:
        assert_matches(lived.table(f"dask.{name}"), expected[name], name)


def test_nothing_new_is_done_with_at_once(lived, caplog):
    before = lived.current("dask.customers")
    with caplog.at_level(logging.INFO):
        run(lived, "etl_dask", as_of="2026-01-01")
    assert "None of 3 source files is new" in caplog.text
    assert lived.current("dask.customers") == before


def test_a_replay_moves_what_passes_and_both_engines_agree_again(lived):
    before = lived.table("dask.row_ledger")
    replay = ["replay", "--rule", "future_timestamp", "--env", "elsewhere"]
    done = CliRunner().invoke(cli, [*replay, "--params", "clock.as_of=2026-02-03"])
    assert done.exit_code == 0, done.output
    after = lived.table("dask.row_ledger")
    judged = {f"{moment:%Y-%m-%d}" for moment in after["as_of"].to_pylist()}
    assert "2026-02-03" in judged
    waiting, left = (
        pc.sum(ledger["future_timestamp"]).as_py() for ledger in (before, after)
    )
    assert waiting > 100
    assert left < 60
    assert f"{waiting:,} rows were quarantined (future_timestamp), {left:,} are" in (
        done.stdout
    )
    assert after["rows_read"] == before["rows_read"]
    assert after["rows_read"].to_pylist() == [
        kept + rejected
        for kept, rejected in zip(
            after["rows_kept"].to_pylist(),
            after["rows_rejected"].to_pylist(),
            strict=True,
        )
    ]
    run(lived, "etl_pandas", "analytics", "verification", as_of="2026-01-01")
    assert pc.all(lived.table("verification")["identical"]).as_py()


def test_a_replay_takes_no_parameter_that_there_is_not(lived):
    for given, said in {
        "etl.mode=full": "--params etl: how to replay is what --rule says",
        "clock.as_off=2026-01-01": "clock.as_off: there is no 'as_off'",
    }.items():
        done = CliRunner().invoke(
            cli, ["replay", "--env", "elsewhere", "--params", given]
        )
        assert done.exit_code == 1
        assert said in done.output
        assert "Traceback" not in done.output


def test_a_rule_that_there_is_not_is_named(lived):
    done = CliRunner().invoke(cli, ["replay", "--rule", "future", "--env", "elsewhere"])
    assert done.exit_code == 1
    assert "etl.replay: there is no 'future'" in done.output
    assert "Traceback" not in done.output
