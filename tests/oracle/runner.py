"""Computes every table of the contract with DuckDB, one ``.sql`` file per table.

The SQL reads the raw Parquet files and shares nothing with the engines but the
Arrow schemas, so a table on which the two agree was computed twice.
"""

import contextlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from dask_etl.retail.parameters import Features, Segments
from dask_etl.retail.tables import COMPARED

SQL = Path(__file__).parent

VIEWS = ("raw", "judged", "kept", "period")
"""What the tables are computed from, in the order in which they build on each other."""

TABLES = tuple(COMPARED)


def oracle_tables(
    files: Sequence[Path],
    as_of: datetime,
    price_bounds: tuple[float, float, float] = Features().price_bounds,
    segments: Segments | None = None,
) -> dict[str, pa.Table]:
    """Every table of the contract, from raw Parquet files.

    Args:
        files: the raw files, at least one, in raw order; known by their file name.
        as_of: the moment the data is judged at; UTC if it has no zone.
        price_bounds: upper bounds of the price categories but the last.
        segments: segments by RFM scores; one segment for all if not given.

    Returns:
        The tables by name, with the schemas of ``dask_etl.retail.tables``.
    """
    segments = segments or Segments(rules={"All": {}})
    if as_of.tzinfo is not None:
        as_of = as_of.astimezone(UTC).replace(tzinfo=None)
    with _connection() as connection:
        _set(connection, "files", [str(file) for file in files], "VARCHAR[]")
        _set(connection, "names", [file.name for file in files], "VARCHAR[]")
        _set(connection, "as_of", as_of, "TIMESTAMP")
        _set(connection, "price_bounds", list(price_bounds), "DOUBLE[]")
        _create_segment_rules(connection, segments)
        connection.execute(_sql("macros"))
        for name in (*VIEWS, *TABLES):
            connection.execute(f"CREATE TABLE {name} AS {_sql(name)}")
        types = _found_types(connection)
        return {
            name: _cast(
                connection.table(name).to_arrow_table(),
                COMPARED[name].schema_for(pa.schema(types)),
            )
            for name in TABLES
        }


@contextlib.contextmanager
def _connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory that takes timestamps without a zone for UTC."""
    with duckdb.connect(config={"threads": 2}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def _set(connection, name: str, value, kind: str) -> None:
    connection.execute(f"SET VARIABLE {name} = ?::{kind}", [value])


def _sql(name: str) -> str:
    return (SQL / f"{name}.sql").read_text(encoding="utf-8")


def _create_segment_rules(connection, segments: Segments) -> None:
    connection.execute(
        "CREATE TABLE segment_rules (position INTEGER, segment VARCHAR,"
        " recency INTEGER[], frequency INTEGER[], monetary INTEGER[])"
    )
    for position, (name, rule) in enumerate(segments.rules.items()):
        scores = [sorted(s) for s in (rule.recency, rule.frequency, rule.monetary)]
        connection.execute(
            "INSERT INTO segment_rules VALUES (?, ?, ?, ?, ?)",
            [position, name, *scores],
        )


def _found_types(connection) -> dict[str, pa.DataType]:
    """Types of the contract for the columns whose type depends on the raw files."""
    names = ("transaction_id", "customer_id", "quantity")
    found = connection.sql(f"SELECT {', '.join(names)} FROM raw").types
    kinds = {"VARCHAR": pa.string(), "DOUBLE": pa.float64(), "FLOAT": pa.float64()}
    return {
        name: kinds.get(str(kind), pa.int64())
        for name, kind in zip(names, found, strict=True)
    }


def _cast(table: pa.Table, target: pa.Schema) -> pa.Table:
    """The table with the types of the contract; a null where none may be is an error."""
    result = table.cast(target)
    for field in target:
        if not field.nullable and result[field.name].null_count:
            raise ValueError(f"column {field.name!r} of the oracle has nulls")
    return result
