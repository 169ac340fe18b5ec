"""The peers of the benchmark do the job that they are compared by."""

import json
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

pytest.importorskip("duckdb", reason="the oracle needs the extra 'bench'")

from dask_etl.retail import schema
from dask_etl.retail.parameters import Features, Limits
from dask_etl.retail.tables import COMPARED
from oracle import assert_matches, oracle_tables
from oracle.raw_files import AS_OF, dirty_transactions, write_raw
from support import commands

CONTENDERS = Path(__file__).parents[2] / "benchmarks" / "contenders"
NEEDS = {
    "duckdb_tuned": "duckdb",
    "polars_tuned": "polars",
    "datafusion_tuned": "datafusion",
    "daft_tuned": "daft",
}
CONTRACT = json.loads((CONTENDERS / "contract.json").read_text())
RAW = {
    "more parts than labels": ({"rows": 700, "seed": 1}, 7),
    "ids are text, many labels": (
        {"rows": 900, "seed": 3, "regions": 130, "categories": 70, "string_ids": True},
        3,
    ),
    "few customers, empty parts": ({"rows": 3, "seed": 4, "customers": 1}, 5),
}


def test_the_contract_says_what_the_project_says():
    assert {
        "rules": [*schema.RULES],
        "limits": Limits().model_dump(mode="json")
        | {"timestamp": Limits().timestamp.isoformat()},
        "price_categories": [*schema.PRICE_CATEGORIES],
        "price_bounds": [*Features().price_bounds],
        "unknown": schema.UNKNOWN,
        "tables": {table: [*COMPARED[table].key] for table in CONTRACT["tables"]},
    } == CONTRACT


def test_contenders_import_nothing_of_the_project():
    for script in CONTENDERS.glob("*.py"):
        assert "dask_etl" not in script.read_text(), script


@pytest.fixture(scope="module", params=RAW, ids=lambda name: name.replace(" ", "-"))
def raw(request, tmp_path_factory):
    """A directory of raw files, and what has to become of them."""
    recipe, parts = RAW[request.param]
    directory = tmp_path_factory.mktemp("raw")
    files = write_raw(directory, dirty_transactions(**recipe), parts)
    return directory, oracle_tables(files, AS_OF)


@pytest.mark.parametrize("name", ["pandas_plain", "dask_textbook", *NEEDS])
def test_contender_writes_the_tables_of_the_contract(name, raw, tmp_path):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason=f"{name} needs {NEEDS[name]}")
    directory, expected = raw
    if name == "dask_textbook" and not len(expected["clean_transactions"]) > 100:
        pytest.skip(
            "its cluster takes long to start, and it has no way of its own here"
        )
    run(name, directory, tmp_path)
    for table in CONTRACT["tables"]:
        actual = sorted_table(pq.read_table(tmp_path / table), table)
        assert_matches(actual, sorted_table(expected[table], table), table)


@pytest.mark.skipif(shutil.which("java") is None, reason="PySpark needs Java")
def test_pyspark_writes_the_tables_of_the_contract(tmp_path):
    """Once, with sets that are bits and sets that are lists: it starts slowly."""
    pytest.importorskip("pyspark", reason="PySpark needs the extra 'bench-all'")
    raw_dir, out_dir = tmp_path / "raw", tmp_path / "out"
    raw_dir.mkdir()
    out_dir.mkdir()
    rows = dirty_transactions(rows=900, seed=5, string_ids=True, regions=130)
    expected = oracle_tables(write_raw(raw_dir, rows, 2), AS_OF)
    run("pyspark_local", raw_dir, out_dir, "--memory-limit", "1GB", timeout=900)
    for table in CONTRACT["tables"]:
        actual = sorted_table(pq.read_table(out_dir / table), table)
        assert_matches(actual, sorted_table(expected[table], table), table)


def test_duckdb_does_the_job_under_a_memory_limit(raw, tmp_path):
    pytest.importorskip("duckdb")
    directory, expected = raw
    run("duckdb_tuned", directory, tmp_path, "--memory-limit", "256MB")
    actual = sorted_table(pq.read_table(tmp_path / "customers"), "customers")
    assert_matches(
        actual, sorted_table(expected["customers"], "customers"), "customers"
    )


def run(
    name: str, raw_dir: Path, out_dir: Path, *options: str, timeout: float = 120
) -> None:
    """Run a contender as a user would, in a process of its own."""
    script = CONTENDERS / f"{name}.py"
    words = [script, raw_dir, out_dir, "--as-of", AS_OF.isoformat(), *options]
    finished = commands.run([*map(str, words)], out_dir, os.environ, timeout)
    assert finished.returncode == 0, finished.stderr[-3000:]


def sorted_table(table: pa.Table, name: str) -> pa.Table:
    """Rows by key, labels as text, NaN as null: how a value is stored is free."""
    columns = {}
    for column in table.column_names:
        values = table[column]
        if pa.types.is_dictionary(values.type):
            values = values.cast(pa.string())
        if pa.types.is_floating(values.type):
            values = pc.if_else(pc.is_nan(values), None, values)
        columns[column] = values
    return pa.table(columns).sort_by([(key, "ascending") for key in COMPARED[name].key])
