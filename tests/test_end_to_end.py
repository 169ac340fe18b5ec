"""The whole story through Kedro: files in, verified tables and reports out."""

import re
import shutil
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from click import ClickException
from kedro.runner import SequentialRunner, ThreadRunner

from dask_etl.datasets import PandasParquetDataset
from dask_etl.hooks.records import ALL_NODES
from dask_etl.retail import schema
from dask_etl.retail.parameters import Calendar, Cleaning, Currency
from dask_etl.retail.tables import COMPARED
from dask_etl.wording import number
from oracle import TABLES, assert_matches, oracle_tables
from oracle.raw_files import AS_OF, dirty_transactions, write_raw
from support.good_rows import GOOD
from support.kedro_project import (
    ENGINES,
    ETL,
    Project,
    base_segments,
    raw_catalog,
    write_yaml,
)

CONFIGURED_AS_OF = datetime(2025, 1, 1, tzinfo=UTC)
PLOTS = (
    "business_insights",
    "category_revenue",
    "cohort_retention",
    "customer_segments",
    "monthly_sales",
    "performance_comparison",
    "regional_analysis",
    "seasonality",
    "weekday_pattern",
)
CONCLUSIONS = ("analytics", "verification", "reporting")
PNG = b"\x89PNG\r\n\x1a\n"


def assert_equals_oracle(project: Project, files, as_of) -> dict[str, pa.Table]:
    """Both engines' tables are the oracle's; returns those."""
    expected = oracle_tables(files, as_of, segments=base_segments())
    for engine in ENGINES:
        for name in TABLES:
            assert_matches(project.table(f"{engine}.{name}"), expected[name], name)
    return expected


def assert_verified(project: Project) -> None:
    """The project itself found every table of both engines identical."""
    verification = project.table("verification").to_pylist()
    assert [row["table"] for row in verification] == list(TABLES)
    assert [row for row in verification if not row["identical"]] == []


def assert_reported(project: Project) -> str:
    """All plots and the report are there; returns the report."""
    folder = project.data / "08_reporting"
    for plot in PLOTS:
        assert (folder / f"{plot}.png").read_bytes().startswith(PNG), plot
    return (folder / "report.md").read_text()


# ------------------------------------------------------- the default pipeline


def test_the_default_run_ends_well_and_without_complaints(whole_run):
    _, process = whole_run
    assert process.returncode == 0, process.stderr
    assert "ERROR" not in process.stderr
    assert "WARNING" not in process.stderr
    assert "Traceback" not in process.stderr


def test_the_run_ends_with_what_came_of_it_in_a_few_lines(whole_run):
    project, process = whole_run
    lines = process.stderr.splitlines()
    [start] = [i for i, line in enumerate(lines) if "Done in " in line]
    # The cluster, the batch, the thresholds; on a slow machine, lines of progress.
    told = [line for line in lines[:start] if " (node " not in line]
    assert len(told) <= 8, process.stderr
    assert process.stdout == ""
    said = {}
    last = ""
    for line in lines[start + 1 :]:
        label, text = line[2:17].strip(), line[18:]
        said[label or last] = text if label else f"{said[last]} {text}"
        last = label or last
    ledger = project.table("dask.row_ledger").to_pandas()
    kept = ledger["rows_kept"].sum()
    assert said["Rows"].startswith(
        f"20,000 read = {kept:,} kept + {20_000 - kept:,} rejected ("
    )
    worst = ledger[list(schema.RULES)].sum().nlargest(1)
    assert said["Rejected by"].startswith(f"{worst.index[0]} {worst.iloc[0]:,}, ")
    cube = project.table("dask.sales_cube").to_pandas()
    cents = (cube["revenue_cents"] - cube["returned_revenue_cents"]).sum()
    assert said["Net revenue"] == number(cents / 100)
    assert (
        said["Verification"]
        == f"all {len(COMPARED)} tables of both engines are identical"
    )
    assert re.fullmatch(
        r"Dask [\d.]+ s, \d+ MB; pandas [\d.]+ s, \d+ MB", said["Engines"]
    )
    for engine in ("Dask", "Pandas"):
        assert f"clean_transactions {kept:,}" in said[f"{engine} tables"]
        assert re.search(r" and \d+ more \(v0\)$", said[f"{engine} tables"])
    assert said["Files"] == "report.md and 9 pictures in data/test/08_reporting"
    assert lines[-1] == "  Report          data/test/08_reporting/report.html"
    assert len(lines) - start <= 11


def test_both_engines_made_what_the_oracle_computes(whole_run):
    project, _ = whole_run
    files = project.raw_files()
    assert len(files) == 7
    assert_equals_oracle(project, files, CONFIGURED_AS_OF)


def test_the_run_verified_itself_and_reported(whole_run):
    project, _ = whole_run
    assert_verified(project)
    report = assert_reported(project)
    kept = sum(project.table("dask.row_ledger")["rows_kept"].to_pylist())
    assert f"20,000 rows read = {kept:,} kept + {20_000 - kept:,} rejected" in report
    for plot in PLOTS:
        assert f"({plot}.png)" in report


@pytest.mark.parametrize("engine", ENGINES)
def test_the_ledger_balances_per_file_and_per_rule(whole_run, engine):
    project, _ = whole_run
    ledger = project.table(f"{engine}.row_ledger").to_pylist()
    rejected = project.table(f"{engine}.rejected_transactions").to_pylist()
    assert [row["source_file"] for row in ledger] == [
        file.name for file in project.raw_files()
    ]
    for row, file in zip(ledger, project.raw_files(), strict=True):
        mine = [line for line in rejected if line["source_file"] == file.name]
        assert row["rows_read"] == pq.read_metadata(file).num_rows
        assert row["rows_read"] == row["rows_kept"] + row["rows_rejected"]
        assert row["rows_rejected"] == len(mine)
        for rule in schema.RULES:
            assert row[rule] == sum(rule in line["reasons"] for line in mine), rule
        assert row["as_of"] == CONFIGURED_AS_OF
    clean = project.table(f"{engine}.clean_transactions")
    assert sum(row["rows_kept"] for row in ledger) == len(clean)


def test_the_ledger_finds_just_what_the_generator_spoiled(whole_run):
    project, _ = whole_run
    truth = {
        row["defect"]: row["rows"]
        for row in project.table("generation_truth").to_pylist()
    }
    ledger = project.table("dask.row_ledger")
    assert truth.keys() == set(schema.RULES)
    assert all(truth.values())
    assert truth == {rule: pc.sum(ledger[rule]).as_py() for rule in schema.RULES}


def test_every_rule_finds_the_rows_that_were_spoiled_for_it_and_no_others(whole_run):
    project, _ = whole_run
    accuracy = project.table("rule_accuracy").to_pandas()
    assert accuracy["rule"].tolist() == list(schema.RULES)
    assert (accuracy["planted"] > 0).all()
    assert (accuracy[["precision", "recall"]] == 1.0).all(axis=None)
    report = assert_reported(project)
    assert "| `missing_amount` |" in report
    assert "planted defects and nothing else." in report
    page = (project.data / "08_reporting" / "report.html").read_text()
    assert 'id="accuracy-table"' in page


def test_the_money_of_every_view_is_the_same(whole_run):
    project, _ = whole_run
    clean = project.table("dask.clean_transactions")
    cents = int(np.rint(clean["revenue"].to_numpy() * 100).sum())
    cube, customers = (project.table(f"dask.{t}") for t in ("sales_cube", "customers"))
    assert pc.sum(cube["revenue_cents"]).as_py() == cents
    assert pc.sum(customers["revenue_cents"]).as_py() == cents
    for name in ("region_performance", "category_performance", "daily_sales"):
        revenue = project.table(f"dask.{name}")["revenue"].to_numpy()
        assert int(np.rint(revenue * 100).sum()) == cents, name


def test_the_run_measured_every_node(whole_run):
    project, _ = whole_run
    metrics = project.table("run_metrics").to_pandas()
    assert metrics["run_id"].nunique() == 1
    totals = metrics[metrics["node"] == ALL_NODES].set_index("pipeline")
    assert {"data_generation", *ETL, *CONCLUSIONS} <= set(totals.index)
    assert totals.loc["data_generation", "rows"] == 20_000
    kept = project.table("dask.clean_transactions").num_rows
    assert totals.loc[list(ETL), "rows"].tolist() == [kept, kept]
    assert (metrics["wall_seconds"] > 0).all()
    assert (metrics["peak_memory_mb"] > 0).all()


def test_a_run_leaves_nothing_but_tables_and_reports(whole_run):
    project, _ = whole_run
    shape = re.compile(
        r"(0[137]_\w+/.+|08_reporting/(verification|run_metrics|run_history|"
        r"rule_accuracy))/"
        r"(part-\d{5}-[0-9a-f]{8}-[0-9a-f]{16}\.parquet|_delta_log/\d{20}\.json|_writer\.lock)"
        r"|08_reporting/(\w+\.png|report\.(md|html))|release\.(json|lock)"
        # Of runs longer than half a minute, on a slow machine.
        r"|08_reporting/dask/dask-[\w.-]+\.html"
    )
    files = (path for path in project.data.rglob("*") if path.is_file())
    names = [path.relative_to(project.data).as_posix() for path in files]
    assert [name for name in names if not shape.fullmatch(name)] == []


def test_the_same_run_again_makes_the_same_bytes(whole_run, tmp_path):
    project = Project(shutil.copytree(whole_run[0].path, tmp_path / "again"))
    again = project.kedro(
        "run", "--env", "test", "--pipelines", "data_generation,etl_dask"
    )
    assert again.returncode == 0, again.stderr
    for name in ("01_raw/transactions", *(f"03_primary/dask/{t}" for t in TABLES[:5])):
        dataset = PandasParquetDataset(filepath=str(project.data / name))
        contents = [
            [
                (project.data / name / part.name).read_bytes()
                for part in dataset.store.content(version).parts
            ]
            for version in dataset.versions()
        ]
        assert len(contents) == 2
        assert contents[0] == contents[1], name


# ------------------------------------------------------------ the command line


@pytest.mark.parametrize("option", ["--pipeline", "--pipelines"])
def test_a_pipeline_by_name(project, option):
    """The first of the two spellings is deprecated, and works all the same."""
    project.run("data_generation", params={"generation": {"rows": 500}})
    process = project.kedro("run", "--env", "test", option, "etl_dask")
    assert process.returncode == 0, process.stderr
    ledger = project.table("dask.row_ledger")
    assert pc.sum(ledger["rows_read"]).as_py() == 500
    assert not (project.data / "03_primary" / "pandas").exists()


def test_parameters_on_the_command_line(project):
    process = project.kedro(
        "run", "--env", "test", "--pipelines", "data_generation",
        "--params", "generation.rows=1234,generation.rows_per_partition=500",
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert [pq.read_metadata(f).num_rows for f in project.raw_files()] == [
        500,
        500,
        234,
    ]


@pytest.mark.parametrize(
    "runner",
    [ThreadRunner(), SequentialRunner(is_async=True)],
    ids=["threads", "async"],
)
def test_runners_of_one_process_make_no_difference(project, tmp_path, runner):
    files = write_raw(tmp_path / "raw", DIRTY, 3)
    elsewhere = project.reads(tmp_path / "raw", AS_OF)
    elsewhere.run(*ETL, "analytics", runner=runner)
    assert_equals_oracle(elsewhere, files, AS_OF)


def test_without_a_moment_the_data_is_judged_at_the_start_of_the_run(project):
    """Both engines at the same one, which the ledger records."""
    project.run("data_generation", params={"generation": {"rows": 100}})
    before = datetime.now(UTC)
    project.run(*ETL, params={"clock": {"as_of": None}})
    ledgers = [project.table(f"{engine}.row_ledger") for engine in ENGINES]
    [moment] = {moment for ledger in ledgers for moment in ledger["as_of"].to_pylist()}
    assert before <= moment <= datetime.now(UTC)


# ---------------------------------------------------------------- edge cases


DIRTY = dirty_transactions(900, 3)


def all_null(table: pa.Table, *columns: str, kind: pa.DataType | None = None):
    """The table with nothing in some columns, perhaps of another type."""
    for name in columns:
        position = table.schema.get_field_index(name)
        nothing = pa.nulls(len(table), kind or table.schema.field(name).type)
        table = table.set_column(position, name, nothing)
    return table


OPTIONAL = ("product_category", "region", "discount", "rating", "is_returned")

EDGE_CASES = {
    "no rows": lambda: [DIRTY[:0]],
    "one row": lambda: [GOOD_ROW],
    "all rows rejected": lambda: [all_null(DIRTY, "amount")],
    "an empty file among others": lambda: [DIRTY[:400], DIRTY[:0], DIRTY[400:]],
    "optional columns of the null type": lambda: [
        all_null(DIRTY, *OPTIONAL, kind=pa.null())
    ],
    "null type in one file only": lambda: [
        DIRTY[:500],
        all_null(DIRTY[500:], *OPTIONAL, kind=pa.null()),
    ],
    "transaction ids all null": lambda: [
        all_null(DIRTY, "transaction_id", kind=pa.null())
    ],
    "text ids": lambda: [dirty_transactions(900, 4, string_ids=True)],
    "1 000 regions": lambda: [
        dirty_transactions(3_000, 5, regions=1_000, categories=130)
    ],
}
GOOD_ROW = pa.Table.from_pylist(
    [
        {
            **GOOD,
            "amount": 0.25,
            "discount": 0.5,
            "timestamp": datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC),
            "is_returned": True,
        }
    ],
    schema.raw(),
)
# A report takes long. Others are in the tests of reporting; of no rows at all, below.
REPORTED = {"one row"}


@pytest.mark.parametrize("case", EDGE_CASES)
def test_unusual_data_goes_through_both_engines_and_all_analyses(
    project, tmp_path, case
):
    files = []
    for index, rows in enumerate(EDGE_CASES[case]()):
        files.append(tmp_path / "raw" / f"{index}.parquet")
        files[-1].parent.mkdir(exist_ok=True)
        pq.write_table(rows, files[-1])
    elsewhere = project.reads(tmp_path / "raw", AS_OF)
    wanted = {} if case in REPORTED else {"to_outputs": ["verification"]}
    elsewhere.run(*ETL, *CONCLUSIONS, **wanted)
    expected = assert_equals_oracle(elsewhere, files, AS_OF)
    assert_verified(elsewhere)
    if case in REPORTED:
        assert_reported(elsewhere)
    kept = {"no rows": 0, "one row": 1}
    if case in kept or "rejected" in case or "ids all null" in case:
        assert len(expected["clean_transactions"]) == kept.get(case, 0)
    else:
        assert len(expected["clean_transactions"]) > 400


def test_one_engine_alone_is_reported_on_and_its_runs_are_remembered(project):
    project.run("data_generation", params={"generation": {"rows": 3_000}})
    project.run("story")
    # As a later run does.
    project.run("story", node_names=["results.reporting.record_run"])
    page = (project.data / "08_reporting" / "report.html").read_text()
    assert "Not compared: the pandas engine did not run" in page
    assert "first run" in page
    assert not (project.data / "03_primary" / "pandas").exists()
    history = project.table("run_history").to_pandas()
    assert len(history) == 2
    assert history["rows_read"].tolist() == [3_000, 3_000]
    assert (history["seconds"] > 0).all()
    rejected = project.table("dask.rejected_transactions").to_pandas()
    assert set(rejected["reasons"].explode()) == set(
        re.findall(r'id="sample-(\w+)"', page)
    )


def test_generating_no_rows_at_all_runs_through(project):
    project.run(params={"generation": {"rows": 0}})
    assert_verified(project)
    assert_reported(project)
    assert project.table("dask.clean_transactions").num_rows == 0
    assert sum(project.table("generation_truth")["rows"].to_pylist()) == 0


# --------------------------------------------------------- other people's data


def test_an_environment_is_enough_to_run_on_other_data(project, tmp_path):
    """Settings only: other files, folders and columns, and what rows mean there."""
    folder = tmp_path / "deliveries"
    rows = dirty_transactions(1_500, 8)
    orders = pa.array([f"R-{number // 3}" for number in range(len(rows))])
    rows = rows.append_column("order_id", orders)
    files = write_raw(folder / "2023", rows[:700], 2)
    files += write_raw(folder / "2024", rows[700:], 3)
    foreign = pq.read_table(files[0]).append_column("till", pa.array([1] * 350))
    foreign = foreign.append_column("due", pa.array([date(2024, 1, 1)] * 350))
    foreign = foreign.append_column("shelf", pa.array(["A"] * 350))
    pq.write_table(foreign, files[0], use_dictionary=False, compression="zstd")
    (folder / "_SUCCESS").write_text("")
    (folder / "readme.txt").write_text("not Parquet")
    write_yaml(project.path / "conf" / "elsewhere" / "catalog.yml", raw_catalog(folder))
    settings = {
        "cleaning": {
            "keep": ["till", "due"],
            "returns": "negative_lines",
            "rules": {"missing_customer_id": "keep", "rating_out_of_range": "blank"},
        },
        "calendar": {"timezone": "America/New_York"},
        "currency": {"label": "USD", "digits": 3},
    }
    write_yaml(project.path / "conf" / "elsewhere" / "parameters.yml", settings)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    process = project.kedro(
        "run", "--env", "elsewhere",
        "--pipelines", ",".join((*ETL, *CONCLUSIONS)),
        "--to-outputs", "verification,monthly_sales_plot", "--params", f"clock.as_of={AS_OF.isoformat()}",
    )  # fmt: skip

    assert process.returncode == 0, process.stderr
    assert "column 'shelf' is not used" in process.stderr
    assert "column 'till' is not used" not in process.stderr
    elsewhere = Project(project.path, "elsewhere")
    write_yaml(
        project.path / "conf" / "elsewhere" / "globals.yml", {"data_root": "data"}
    )
    assert_verified(elsewhere)
    ledger = elsewhere.table("dask.row_ledger")
    assert ledger["source_file"].to_pylist() == [
        file.relative_to(folder).as_posix() for file in files
    ]
    expected = oracle_tables(
        files,
        AS_OF,
        segments=base_segments(),
        cleaning=Cleaning(**settings["cleaning"]),
        calendar=Calendar(**settings["calendar"]),
        currency=Currency(**settings["currency"]),
    )
    for name in set(TABLES) - {"rejected_transactions", "row_ledger"}:
        # The oracle knows files by their name alone.
        assert_matches(elsewhere.table(f"dask.{name}"), expected[name], name)
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert after == before


def test_generating_never_touches_other_peoples_data(project, tmp_path):
    folder = tmp_path / "raw"
    [file] = write_raw(folder, DIRTY, 1)
    content = file.read_bytes()
    elsewhere = project.reads(folder, AS_OF)
    with pytest.raises(ClickException, match=re.escape(str(folder))):
        elsewhere.run("data_generation", params={"generation": {"rows": 10}})
    assert file.read_bytes() == content
    assert list(folder.iterdir()) == [file]


@pytest.fixture
def stock(project, tmp_path):
    """A project whose raw table, for pandas, is a stock data set; and its files."""

    def stock(**load_args):
        files = write_raw(tmp_path / "raw", DIRTY, 3)
        elsewhere = project.reads(tmp_path / "raw", AS_OF)
        entry = {
            "type": "pandas.ParquetDataset",
            "filepath": str(tmp_path / "raw"),
            "load_args": load_args,
        }
        catalog = {**raw_catalog(tmp_path / "raw"), "raw_transactions@pandas": entry}
        write_yaml(project.path / "conf" / "elsewhere" / "catalog.yml", catalog)
        return elsewhere, files

    return stock


def test_a_stock_dataset_can_be_the_raw_table(stock):
    """It names no files, so the ledger has one line for all of them."""
    project, files = stock(dtype_backend="numpy_nullable")
    project.run("etl_pandas")
    expected = oracle_tables(files, AS_OF)
    for name in ("clean_transactions", "sales_cube", "customers"):
        assert_matches(project.table(f"pandas.{name}"), expected[name], name)
    [line] = project.table("pandas.row_ledger").to_pylist()
    ledger = expected["row_ledger"].drop_columns(["source_file", "as_of"])
    totals = ledger.to_pandas().sum().to_dict()
    assert line == {**totals, "source_file": "raw_transactions", "as_of": AS_OF}


def test_ids_that_were_merged_by_floats_are_refused(stock):
    """pandas reads integers with nulls as floats, which hold 53 bits."""
    project, _ = stock()
    with pytest.raises(
        ClickException, match=r"'transaction_id'.*floats.*dtype_backend"
    ):
        project.run("etl_pandas")
