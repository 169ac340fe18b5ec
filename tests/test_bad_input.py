"""What cannot be run is refused: by name, with the remedy, and nothing is changed."""

import os
import threading
from datetime import UTC, datetime, time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click import ClickException
from kedro.runner import ParallelRunner

from oracle.raw_files import AS_OF, dirty_transactions, write_raw
from support.fault_injection import without_hanging
from support.kedro_project import ENGINES, Project

GOOD = dirty_transactions(600, 21)


@pytest.fixture(scope="module")
def earlier(shared_project, tmp_path_factory):
    """A project with good outputs of both engines, and every byte of them."""
    raw = tmp_path_factory.mktemp("good") / "raw"
    write_raw(raw, GOOD, 2)
    project = shared_project.reads(raw, AS_OF)
    project.run("etl_dask", "etl_pandas", params={"dask": {"n_workers": 1}})
    return project, project.snapshot(), versions(project)


def versions(project: Project) -> dict[str, str]:
    folders = sorted((project.data / "03_primary").glob("*/*"))
    names = [f"{folder.parent.name}.{folder.name}" for folder in folders]
    return {name: project.current(name) for name in names}


@pytest.fixture
def unchanged(earlier):
    """The project; after the test its outputs must be what they were before."""
    project, content, current = earlier
    yield project
    assert len(current) == 13
    assert versions(project) == current
    assert content.items() <= project.snapshot().items()


def refusal(project: Project, *pipelines: str, **options) -> str:
    """Run what must fail, and return the one message that a person gets to see."""
    with pytest.raises(ClickException) as failure:
        project.run(*pipelines, **options)
    return failure.value.format_message()


def assert_says(said: str, *words: str) -> None:
    assert [word for word in words if word not in said] == [], said


# ----------------------------------------------------------------------- files


def replaced(column: str, values: pa.Array) -> pa.Table:
    position = GOOD.schema.get_field_index(column)
    return GOOD.set_column(position, column, values)


def breaks(row: dict) -> bool:
    """Roughly: rows that might be rejected are not wanted here."""
    numbers = [row[name] for name in ("amount", "quantity", "discount", "rating")]
    return (
        None in row.values()
        or not np.isfinite(numbers).all()
        or min(row["amount"], row["quantity"]) <= 0
        or not 0 <= row["discount"] <= 1
        or not 1 <= row["rating"] <= 5
        or max(row["amount"], row["quantity"]) > 1000
        or not datetime(1900, 1, 1, tzinfo=UTC) <= row["timestamp"] <= AS_OF
    )


def with_moment(moment: int) -> pa.Table:
    """Good rows, of which the third has a moment that no int64 of µs can hold."""
    values = [0] * len(GOOD)
    values[2] = moment
    return replaced("timestamp", pa.array(values, pa.timestamp("ms")))


def not_utf8(rows: int) -> pa.Array:
    """Text of which row 7 was written in Latin-1."""
    values = [b"North"] * 7 + ["Bücher".encode("latin-1")] + [b"North"] * (rows - 8)
    offsets = np.cumsum([0, *map(len, values)]).astype(np.int32)
    buffers = [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(b"".join(values))]
    return pa.Array.from_buffers(pa.string(), rows, buffers)


TEXT = pa.array(["12"] * len(GOOD))
BAD_TABLES = {
    "column missing": (
        lambda: GOOD.drop_columns("amount"),
        ["b.parquet", "column 'amount' is missing", "add it, with nulls"],
    ),
    "column misspelt": (
        lambda: GOOD.rename_columns({"customer_id": "customer"}),
        ["b.parquet", "column 'customer_id' is missing", "mean 'customer'?"],
    ),
    "number as text": (
        lambda: replaced("amount", TEXT),
        ["b.parquet", "'amount' is string", "expected floating or integer", "Convert"],
    ),
    "moment as text": (
        lambda: replaced("timestamp", pa.array(["2024-01-01"] * len(GOOD))),
        ["b.parquet", "'timestamp' is string", "expected timestamp", "Convert"],
    ),
    "moment as hour": (
        lambda: replaced("timestamp", pa.array([time(12)] * len(GOOD))),
        ["b.parquet", "'timestamp' is time64", "expected timestamp", "Convert"],
    ),
    "flag as text": (
        lambda: replaced("is_returned", TEXT),
        ["b.parquet", "'is_returned' is string", "expected boolean", "Convert"],
    ),
    "neither yes nor no": (
        lambda: replaced("is_returned", pa.array([2] * len(GOOD))),
        ["b.parquet, row 0", "'is_returned' of type int64", "bool cannot hold"],
    ),
    "id text here and number there": (
        lambda: replaced("customer_id", TEXT),
        ["b.parquet", "a.parquet", "'customer_id'", "write it as one type"],
    ),
    "id beyond int64": (
        lambda: replaced("customer_id", pa.array([2**64 - 1] * len(GOOD), pa.uint64())),
        ["b.parquet, row 0", "'customer_id'", "uint64", "int64 cannot hold", "correct"],
    ),
    "milliseconds beyond microseconds": (
        lambda: with_moment(-(2**62)),
        ["b.parquet, row 2: column 'timestamp'", "out of bounds", "correct it"],
    ),
    "two columns of one name": (
        lambda: GOOD.append_column("region", GOOD["region"]),
        ["b.parquet", "more than one column named 'region'", "Write it again"],
    ),
    "text that is not UTF-8": (
        lambda: replaced("region", not_utf8(len(GOOD))),
        ["b.parquet, row 7", "'region' is not UTF-8", r"b'B\xfccher'", "correct"],
    ),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_file_that_does_not_fit_is_named(unchanged, tmp_path, case, engine):
    make, words = BAD_TABLES[case]
    bad = make()
    pq.write_table(GOOD[:50], tmp_path / "a.parquet")
    pq.write_table(bad, tmp_path / "b.parquet")
    project = unchanged.reads(tmp_path, AS_OF)
    assert_says(refusal(project, f"etl_{engine}"), *words)


def garbage(good: bytes) -> bytes:
    return bytes(np.random.default_rng(5).integers(0, 256, len(good), np.uint8))


def damaged_page(good: bytes) -> bytes:
    """The footer is fine, and so is the length."""
    return good[:4] + bytes(len(good) // 2) + good[4 + len(good) // 2 :]


UNREADABLE = {
    "garbage": garbage,
    "truncated": lambda good: good[: len(good) // 2],
    "empty": lambda good: b"",
    "text": lambda good: b"transaction_id,customer_id\n1,2\n",
    "damaged page": damaged_page,
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("damage", UNREADABLE)
def test_an_unreadable_file_is_named(unchanged, tmp_path, damage, engine):
    _, file, _ = write_raw(tmp_path, GOOD, 3)
    file.write_bytes(UNREADABLE[damage](file.read_bytes()))
    project = unchanged.reads(tmp_path, AS_OF)
    said = refusal(project, f"etl_{engine}")
    assert_says(said, str(file), "not a readable Parquet file", "Write it again")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_pipe_in_the_folder_is_named_and_not_waited_for(unchanged, tmp_path, engine):
    write_raw(tmp_path, GOOD, 2)
    os.mkfifo(tmp_path / "part-00001a.parquet")
    project = unchanged.reads(tmp_path, AS_OF)
    said = without_hanging(refusal, project, f"etl_{engine}")
    assert_says(said, "part-00001a.parquet", "a named pipe", "Take it out")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_folder_without_files_is_named(unchanged, tmp_path, engine):
    project = unchanged.reads(tmp_path / "nowhere", AS_OF)
    said = refusal(project, f"etl_{engine}")
    assert_says(said, str(tmp_path / "nowhere"), "no table here", "correct the path")


# ------------------------------------------------------------------ thresholds


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("rule", ["any", "duplicate_transaction_id"])
def test_too_many_rejected_rows_stop_the_run(unchanged, tmp_path, engine, rule):
    write_raw(tmp_path, GOOD, 4)
    project = unchanged.reads(tmp_path, AS_OF)
    thresholds = {"thresholds": {rule: {"fail_above": 0}}}
    said = refusal(project, f"etl_{engine}", params={"cleaning": thresholds})
    assert_says(
        said,
        f"rule '{rule}'",
        "of 600 rows",
        "fail_above = 0.00%",
        "Nothing was changed",
        f"raise cleaning.thresholds.{rule}.fail_above",
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_that_keeps_nothing_is_refused(unchanged, tmp_path, engine):
    """As where the moment is far off: no empty tables in place of the good ones."""
    write_raw(tmp_path, GOOD, 4)
    project = unchanged.reads(tmp_path, datetime(2001, 1, 1, tzinfo=UTC))
    said = refusal(
        project, f"etl_{engine}", params={"cleaning": {"allow_nothing_kept": False}}
    )
    assert_says(
        said,
        "none of the 600 rows is kept, judged at 2001-01-01T00:00:00+00:00",
        "Most of them were taken by future_timestamp",
        "Nothing was changed",
        "cleaning.allow_nothing_kept: true",
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_a_share_at_the_threshold_is_borne(project, tmp_path, engine, caplog):
    rows = [next(row for row in GOOD.to_pylist() if not breaks(row))] * 4
    write_raw(tmp_path / "raw", pa.Table.from_pylist(rows, GOOD.schema), 2)
    elsewhere = project.reads(tmp_path / "raw", AS_OF)
    # Three of four are copies.
    limits = {"duplicate_transaction_id": {"warn_above": 0.74, "fail_above": 0.75}}
    elsewhere.run(f"etl_{engine}", params={"cleaning": {"thresholds": limits}})
    assert elsewhere.table(f"{engine}.clean_transactions").num_rows == 1
    assert "3 of 4 rows (75.00%) are rejected, more than warn_above" in caplog.text


# ------------------------------------------------------------------ parameters

BAD_PARAMETERS = {
    "unknown name": (
        {"generation": {"rowz": 5}},
        ["generation.rowz", "no 'rowz'", "'rows'", "rows, rows_per_partition"],
    ),
    "unknown group": (
        {"generatoin": {"rows": 5}},
        ["parameters", "no 'generatoin'", "did you mean 'generation'?"],
    ),
    "below its bound": (
        {"generation": {"rows": -1}},
        ["generation.rows: must be at least 0, it is -1"],
    ),
    "share above 1": (
        {"generation": {"missing": {"rating": 1.5}}},
        ["generation.missing.rating: must be at most 1, it is 1.5"],
    ),
    "shares above 1 together": (
        {"generation": {"defects": {"missing_amount": 0.6, "missing_quantity": 0.6}}},
        ["generation.defects", "1 at most"],
    ),
    "end before start": (
        {"generation": {"start": "2024-02-01", "end": "2024-01-01"}},
        ["generation: end 2024-01-01 is before start 2024-02-01"],
    ),
    "not a moment": (
        {"clock": {"as_of": "yesterday"}},
        ["clock.as_of: 'yesterday'", "ISO 8601", "null"],
    ),
    "unknown rule": (
        {"cleaning": {"thresholds": {"negative_amount": {"fail_above": 0.1}}}},
        ["cleaning.thresholds.negative_amount", "did you mean 'non_positive_amount'"],
    ),
    "unknown threshold": (
        {"cleaning": {"thresholds": {"any": {"fail_over": 0.1}}}},
        ["cleaning.thresholds.any", "no 'fail_over'", "fail_above, warn_above"],
    ),
    "bounds out of order": (
        {"features": {"price_bounds": [10, 200, 50]}},
        ["features.price_bounds", "that ascend"],
    ),
    "cells without segment": (
        {"segments": {"rules": {"Lost": {"recency": [1], "monetary": [2]}}}},
        ["segments: no segment covers", "end the list with a rule for all"],
    ),
}


@pytest.mark.parametrize("case", BAD_PARAMETERS)
def test_a_wrong_parameter_stops_the_run_before_it_starts(unchanged, case):
    params, words = BAD_PARAMETERS[case]
    assert_says(refusal(unchanged, params=params), *words)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"scheduler": "tcp://192.0.2.7:8786"}, ["TLS", "tls://", "allow_insecure"]),
        ({"n_workers": "many"}, ["n_workers", "many", "a whole number"]),
        ({"n_workers": -1}, ["n_workers", "-1"]),
        ({"n_workers": 1000}, ["n_workers 1,000", "at most"]),
        ({"memory_limit": "1MB", "processes": True}, ["memory_limit 1MB", "at least"]),
        ({"memory_limit": -1}, ["memory_limit -1", "at least"]),
    ],
)
def test_a_wrong_dask_setting_stops_the_run_before_it_starts(unchanged, params, words):
    said = refusal(unchanged, "etl_dask", params={"dask": params})
    assert_says(said, "dask.yml", *words)
    assert len(said.splitlines()) == 1


def test_the_parallel_runner_is_refused_before_anything_hangs(unchanged):
    said = refusal(unchanged, "etl_dask", runner=ParallelRunner())
    assert_says(said, "ParallelRunner", "share neither", "Leave the runner out")
    for thread in threading.enumerate():
        if thread.name == "resource-monitor":
            thread.join(10)
            assert not thread.is_alive(), "a refused run is measured on"


# ------------------------------------------------------------ the exit status

FAILING = {
    "unknown parameter": (
        ["--params", "generation.rowz=5"],
        ["generation.rowz", "no 'rowz'"],
    ),
    "parallel runner": (
        ["--pipelines", "etl_dask", "--runner", "ParallelRunner"],
        ["Leave the runner out"],
    ),
    "threshold": (
        ["--pipelines", "etl_dask", "--params", "cleaning.thresholds.any.fail_above=0"],
        ["rule 'any'", "raise cleaning.thresholds.any.fail_above"],
    ),
}


@pytest.mark.parametrize("case", FAILING)
def test_a_refused_run_says_why_in_its_last_lines_and_exits_with_1(unchanged, case):
    arguments, words = FAILING[case]
    process = unchanged.kedro("run", "--env", unchanged.env, *arguments)
    assert process.returncode == 1
    _, _, said = process.stderr.rpartition("Error: ")
    assert_says(said, *words)
    assert process.stderr.count(words[0]) == 1
    assert "Traceback (most recent call last)" not in process.stderr
    assert "Compute Failed" not in process.stderr
