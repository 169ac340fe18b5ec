"""``dask-etl tables`` and the export, on tables that runs have written."""

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import dask_etl
from dask_etl.cli import cli
from dask_etl.retail.tables import ANALYSES, STATE
from support.kedro_project import Project

ETL = {f"dask.{table.name}" for table in STATE}


@pytest.fixture(scope="module")
def written(shared_project) -> Project:
    """A project after two runs of the Dask engine, on other rows each."""
    for rows in (2_000, 2_500):
        shared_project.run(
            "data_generation",
            "etl_dask",
            "analytics",
            namespaces=None,
            to_outputs=["generation_truth", *ETL, "dask.customer_summary"],
            params={"generation": {"rows": rows, "rows_per_partition": 700}},
        )
    return shared_project


def call(*arguments: str, fails: bool = False):
    done = CliRunner().invoke(cli, ["tables", *arguments, "--env", "test"])
    assert (done.exit_code != 0) == fails, done.output
    return done


def cells(*arguments: str) -> list[list[str]]:
    return [line.split("\t") for line in call(*arguments).stdout.splitlines()]


def test_list_shows_what_was_written(written):
    [head, *rows] = cells("list")
    found = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    assert ETL | {"raw_transactions", "generation_truth"} <= set(found)
    assert "pandas.customers" not in found
    for name in (*ETL, "dask.customer_summary"):
        assert found[name]["rows"] == f"{len(written.table(name)):,}"
        assert found[name]["versions"] == "2"
        assert found[name]["run"] == written.current(name)
    assert found["raw_transactions"]["parts"] == "4"


def test_history_marks_the_current_version(written):
    [_, *rows] = cells("history", "dask.customers")
    assert [row[0] for row in rows] == ["1", "0"]
    assert [row[5:] for row in rows] == [["current"], []]
    assert rows[0][1] == written.current("dask.customers")
    assert rows[0][3] == f"{len(written.table('dask.customers')):,}"


def test_restore_brings_back_what_was_released_together_and_can_be_undone(written):
    after = {name: written.table(name) for name in ETL}
    rows = int(cells("history", "dask.clean_transactions")[2][3].replace(",", ""))
    said = call("restore", "dask.customers", "0").stdout
    assert {line.partition(":")[0] for line in said.splitlines()} == ETL
    before = {name: written.table(name) for name in ETL}
    assert len(before["dask.clean_transactions"]) == rows < 2_000
    # Generated lines belong to no orders.
    changing = ETL - {"dask.orders"}
    assert all(not before[name].equals(after[name]) for name in changing)
    runs = {written.current(name) for name in ETL}
    assert len(runs) == 1
    assert runs.pop().startswith("restore-")
    call("restore", "dask.customers", "1")
    assert all(written.table(name).equals(after[name]) for name in ETL)


def test_restore_alone_leaves_the_others_and_the_next_run_goes_on(written):
    after = {name: written.table(name) for name in ETL}
    newest = cells("history", "dask.customers")[2][0]
    said = call("restore", "dask.customers", newest, "--alone").stdout
    assert said.startswith("dask.customers: version ")
    changed = {name for name in ETL if not written.table(name).equals(after[name])}
    assert changed == {"dask.customers"}
    # Of its company of then, those of the others are kept, so it can go back alone.
    again = cells("history", "dask.customers")[2][0]
    call("restore", "dask.customers", again, "--alone")
    assert written.table("dask.customers").equals(after["dask.customers"])


def test_versions_and_tables_that_there_are_not(written):
    assert (
        "no version '99'; there are"
        in call("restore", "dask.customers", "99", fails=True).output
    )
    said = call("history", "dask.custmers", fails=True).output
    assert "did you mean dask.customers" in said
    assert (
        "has not been written" in call("history", "pandas.customers", fails=True).output
    )


def test_vacuum_says_how_much_went(written):
    folder = written.folder("dask.sales_cube")
    stray = folder / "part-00000-a1b2c3d4-0123456789abcdef.parquet"
    stray.write_bytes(b"x" * 1234)
    mine = folder / "mine.parquet"
    mine.write_bytes(b"mine")
    said = call("vacuum").stdout.splitlines()
    assert said == ["dask.sales_cube: 1 files, 1.2 kB", "Removed 1 files, 1,234 bytes."]
    assert (stray.exists(), mine.read_bytes()) == (False, b"mine")
    assert call("vacuum").stdout == "Removed 0 files, 0 bytes.\n"


def test_export_as_csv(written, tmp_path):
    table = written.table("dask.customers").to_pandas()
    call("export", "dask.customers", "--to", "csv", "--output", str(tmp_path / "c.csv"))
    found = pd.read_csv(tmp_path / "c.csv")
    assert list(found.columns) == list(table.columns)
    assert found["customer_id"].tolist() == table["customer_id"].tolist()
    assert found["regions"].tolist() == [";".join(r) for r in table["regions"]]
    assert found["months"].tolist() == [
        ";".join(map(str, months)) for months in table["months"]
    ]


def test_export_in_parts_or_as_one_file(written, tmp_path):
    raw = written.table("transactions")
    for kind, read in (("csv", pd.read_csv), ("parquet", pd.read_parquet)):
        folder, file = tmp_path / f"parts-{kind}", tmp_path / f"all.{kind}"
        to = ("raw_transactions", "--to", kind, "--output")
        assert "in 4 files" in call("export", *to, str(folder)).stdout
        assert "in 1 file" in call("export", *to, str(file), "--one-file").stdout
        parts = sorted(folder.iterdir())
        assert [part.name for part in parts] == [
            f"part-{number:05d}.{kind}" for number in range(4)
        ]
        together = pd.concat(map(read, parts), ignore_index=True)
        whole = read(file)
        for found in (together, whole):
            ids = pa.array(found["transaction_id"].astype("Int64"), from_pandas=True)
            assert ids.equals(raw["transaction_id"].combine_chunks())
            moments = pd.to_datetime(found["timestamp"], utc=True).dt.as_unit("us")
            assert pa.array(moments).equals(raw["timestamp"].combine_chunks())
    whole_table = pq.read_table(tmp_path / "all.parquet").cast(raw.schema)
    # As pandas, for which NaN equals NaN.
    assert whole_table.to_pandas().equals(raw.to_pandas())
    first = (tmp_path / "all.csv").read_text().splitlines()[1]
    assert '.000000Z"' in first
    assert '"20' in first


def test_export_as_excel(written, tmp_path):
    path = tmp_path / "customers.xlsx"
    call("export", "dask.customers", "--to", "xlsx", "--output", str(path))
    [head, *rows] = openpyxl.load_workbook(path).active.iter_rows(values_only=True)
    table = written.table("dask.customers")
    assert list(head) == table.column_names
    found = {name: [row[place] for row in rows] for place, name in enumerate(head)}
    assert found["customer_id"] == table["customer_id"].to_pylist()
    assert found["months"] == [
        ";".join(map(str, m)) for m in table["months"].to_pylist()
    ]


def test_export_does_not_write_over_anything(written, tmp_path):
    (tmp_path / "c.csv").write_text("mine")
    said = call(
        "export", "dask.customers", "--to", "csv", "--output", str(tmp_path / "c.csv"),
        fails=True,
    ).output  # fmt: skip
    assert "is there already" in said
    assert (tmp_path / "c.csv").read_text() == "mine"


def test_the_pipeline_export_writes_csv(written):
    written.run("analytics", namespaces=["dask"])
    done = written.kedro(
        "run", "--env", "test", "--pipelines", "export", "--namespaces", "dask"
    )
    assert done.returncode == 0, done.stderr
    folder = written.data / "08_reporting" / "csv"
    parts = sorted((folder / "processed_data_dask").iterdir())
    assert [p.name for p in parts] == [f"part-{n:05d}.csv" for n in range(len(parts))]
    clean = written.table("dask.clean_transactions")
    found = pd.concat(map(pd.read_csv, parts))
    assert found["transaction_id"].tolist() == clean["transaction_id"].to_pylist()
    assert found["revenue"].tolist() == clean["revenue"].to_pylist()
    assert found["region"].tolist() == clean["region"].to_pylist()
    for table in ANALYSES:
        stored = written.table(f"dask.{table.name}")
        written_rows = pd.read_csv(folder / "dask" / f"{table.name}.csv")
        assert list(written_rows.columns) == stored.column_names
        assert len(written_rows) == len(stored), table.name
    days = pd.read_csv(folder / "dask" / "daily_sales.csv")["day"].tolist()
    assert days == [str(day) for day in written.table("dask.daily_sales")["day"]]


def test_kedro_has_the_tables_too(written):
    done = written.kedro("tables", "history", "dask.customers", "--env", "test")
    assert done.returncode == 0, done.stderr
    assert "current" in done.stdout


def test_the_command_knows_its_version_and_runs_by_default():
    runner = CliRunner()
    assert dask_etl.__version__ in runner.invoke(cli, ["--version"]).output
    for arguments in (["run", "--pipelinez"], ["--pipelinez"]):
        said = runner.invoke(cli, arguments).output
        assert "No such option" in said
        assert "--pipelines" in said
