"""Public data sets: their mappings against SQL on the package's files, then everything."""

import os
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dask_etl.datasets import PandasParquetDataset
from dask_etl.retail.parameters import Calendar, Cleaning, Currency
from examples.public.take_in import DATA_SETS, described, take_in
from oracle.comparison import assert_matches
from oracle.runner import oracle_tables
from support.engine_runs import (
    TABLES,
    plain,
    raw_dataset,
    run_analyses,
    run_dask,
    run_pandas,
)

AS_OF = datetime(2020, 1, 1, tzinfo=UTC)
SAMPLE = 30_000
"""Rows of the largest; the others are taken whole."""

# What the mapping should make of the package's file: written down a second time.
EXPECTED = {
    "cdnow": """
        SELECT c || '-' || d || '-' || row_number() OVER (PARTITION BY c, d ORDER BY n)
                 AS transaction_id,
               c AS customer_id, t / q AS amount, q AS quantity, t AS line_total,
               strptime(d, '%Y%m%d') AS local
        FROM (SELECT n, l[1] AS c, l[2] AS d, l[3]::BIGINT AS q, l[4]::DOUBLE AS t
              FROM (SELECT row_number() OVER () AS n,
                           regexp_split_to_array(trim(line), ' +') AS l
                    FROM read_csv(?, columns = {'line': 'VARCHAR'}, header = true,
                                  delim = '~', strict_mode = false, parallel = false)))
        """,
    "pizzaplace": """
        SELECT id || '-' || row_number() OVER (PARTITION BY id ORDER BY n)
                 AS transaction_id,
               id AS order_id, upper(type[1]) || type[2:] AS product_category, price AS amount,
               name, size, strptime(date || ' ' || time, '%Y-%m-%d %H:%M:%S') AS local
        FROM (SELECT row_number() OVER () AS n, *
              FROM read_csv(?, all_varchar = false, parallel = false,
                            types = {'date': 'VARCHAR', 'time': 'VARCHAR'}))
        """,
    "completejourney": """
        SELECT t.basket_id || '-' || t.product_id AS transaction_id,
               t.basket_id::VARCHAR AS order_id, t.household_id::VARCHAR AS customer_id,
               p.department AS product_category, t.store_id::VARCHAR AS region,
               t.quantity::BIGINT AS quantity, t.sales_value AS line_total,
               t.transaction_timestamp AS local
        FROM read_parquet(?) t
        LEFT JOIN read_parquet('{package}/data/products.parquet') p USING (product_id)
        """,
}


def installed(name: str) -> dict:
    try:
        return described(name)
    except ModuleNotFoundError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"{error.name} is not installed")


def file_of(said: dict, folder: Path) -> Path:
    """The package's file, or the first rows of one that is large."""
    path = Path(said["file"])
    if path.suffix != ".parquet":
        return path
    first = pq.ParquetFile(path).read_row_group(0).slice(0, SAMPLE)
    pq.write_table(first, folder / path.name)
    return folder / path.name


def in_utc(rows: pa.Table, timezone: str) -> list[datetime]:
    zone = ZoneInfo(timezone)
    return [
        moment.replace(tzinfo=zone).astimezone(UTC)
        for moment in rows["local"].to_pylist()
    ]


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_public_data_set_goes_through_all_engines(name, tmp_path):
    said = installed(name)
    file = file_of(said, tmp_path)
    take_in(name, tmp_path / "raw", file)
    raw = tmp_path / "raw" / "transactions"
    [part] = raw.glob("*.parquet")
    found = pq.read_table(part)
    ledger = PandasParquetDataset(
        filepath=str(tmp_path / "raw" / "ingestion_ledger")
    ).load()
    assert ledger["lines_rejected"].tolist() == [0]

    package = str(Path(said["file"]).parents[1])
    sql = EXPECTED[name].replace("{package}", package)
    expected = duckdb.sql(sql, params=[str(file)]).arrow()
    expected = expected.read_all() if hasattr(expected, "read_all") else expected
    assert len(found) == len(expected) > 1000
    zone = said["mapping"].get("timezone", "UTC")
    found, expected = (table.sort_by("transaction_id") for table in (found, expected))
    assert found["timestamp"].to_pylist() == in_utc(expected, zone)
    for column in {*expected.column_names} - {"local"}:
        assert found[column].to_pylist() == expected[column].to_pylist(), column

    options = {
        "as_of": AS_OF,
        "cleaning": Cleaning(**said["parameters"]["cleaning"]),
        "calendar": Calendar(**said["parameters"].get("calendar", {})),
        "currency": Currency(**said["parameters"]["currency"]),
    }
    plain_folder = tmp_path / "plain"
    plain_folder.mkdir()
    (plain_folder / "part-00000.parquet").hardlink_to(part)
    in_dask = run_dask(
        raw_dataset(plain_folder, 10_000).load(), tmp_path / "out", **options
    )
    in_pandas = run_pandas(plain_folder, **options)
    for table in TABLES:
        assert plain(in_dask[table]).equals(plain(in_pandas[table])), table
    tables = {**in_pandas, **run_analyses(in_pandas, options["currency"])}
    reference = oracle_tables(
        [plain_folder / "part-00000.parquet"], **options, names=[*tables]
    )
    for table, content in tables.items():
        assert_matches(content, reference[table], table)
    assert len(in_dask["clean_transactions"]) > 0.95 * len(found)
