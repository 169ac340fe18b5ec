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

from dask_etl.retail.parameters import Cleaning, Features, Segments
from dask_etl.retail.schema import QUANTITIES
from dask_etl.retail.tables import COMPARED, with_quantity

SQL = Path(__file__).parent

VIEWS = ("judged", "kept", "period")
"""What the tables are computed from, in the order in which they build on each other."""

TABLES = tuple(COMPARED)


WHITE_SPACE = "".join(char for char in map(chr, range(0x110000)) if char.isspace())


class Inexact(Exception):
    """A total is beyond what a table of the contract holds exactly."""


def oracle_tables(
    files: Sequence[Path],
    as_of: datetime,
    price_bounds: tuple[float, float, float] = Features().price_bounds,
    segments: Segments | None = None,
    cleaning: Cleaning | None = None,
    names: Sequence[str] = TABLES,
) -> dict[str, pa.Table]:
    """Every table of the contract, from raw Parquet files.

    Args:
        files: the raw files, at least one, in raw order; known by their file name.
        as_of: the moment the data is judged at; UTC if it has no zone.
        price_bounds: upper bounds of the price categories but the last.
        segments: segments by RFM scores; one segment for all if not given.
        cleaning: the limits of values, and whether quantities may have decimals.
        names: of the tables that are wanted.

    Returns:
        The tables by name, with the schemas of ``dask_etl.retail.tables``.

    Raises:
        Inexact: a total is too large for the contract.
    """
    cleaning = cleaning or Cleaning()
    limits = cleaning.limits
    segments = segments or Segments(rules={"All": {}})
    with _connection() as connection:
        _set(connection, "files", [str(file) for file in files], "VARCHAR[]")
        _set(connection, "names", [file.name for file in files], "VARCHAR[]")
        _set(connection, "as_of", _utc(as_of), "TIMESTAMP")
        _set(connection, "earliest", _utc(limits.timestamp), "TIMESTAMP")
        _set(connection, "most_amount", limits.amount, "DOUBLE")
        _set(connection, "most_quantity", limits.quantity, "DOUBLE")
        _set(connection, "is_decimal", cleaning.quantity == "decimal", "BOOLEAN")
        _set(connection, "white_space", WHITE_SPACE, "VARCHAR")
        _set(connection, "price_bounds", list(price_bounds), "DOUBLE[]")
        _create_segment_rules(connection, segments)
        connection.execute(_sql("macros"))
        connection.execute(_sql(f"quantity_{cleaning.quantity}"))
        types = _found_types(connection, files)
        connection.execute(f"CREATE TABLE raw AS {_raw(types, len(files))}")
        for name in VIEWS:
            connection.execute(f"CREATE TABLE {name} AS {_sql(name)}")
        if connection.execute(_sql("inexact")).fetchone() == (True,):
            raise Inexact
        for name in names:
            connection.execute(f"CREATE TABLE {name} AS {_sql(name)}")
        units = QUANTITIES[cleaning.quantity]
        raw = pa.schema({name: _ARROW[kind] for name, kind in types.items()})
        clean = with_quantity(raw, units)
        return {
            name: _cast(
                connection.table(name).to_arrow_table(),
                COMPARED[name].schema_for(
                    raw if name == "rejected_transactions" else clean
                ),
            )
            for name in names
        }


def _utc(moment: datetime) -> datetime:
    """The moment in UTC, without a zone; what has none is UTC."""
    if moment.tzinfo is None:
        return moment
    return moment.astimezone(UTC).replace(tzinfo=None)


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


_ARROW = {"VARCHAR": pa.string(), "DOUBLE": pa.float64(), "BIGINT": pa.int64()}


def _found_types(connection, files: Sequence[Path]) -> dict[str, str]:
    """Types of the contract for the columns whose type depends on the raw files."""
    names = ("transaction_id", "customer_id", "quantity")
    found: dict[str, set[str]] = {name: set() for name in names}
    for file in files:
        query = f"SELECT {', '.join(names)} FROM read_parquet($file)"
        kinds = connection.sql(query, params={"file": str(file)}).types
        for name, kind in zip(names, kinds, strict=True):
            found[name].add(str(kind))
    types = {
        name: "VARCHAR" if "VARCHAR" in kinds else "BIGINT"
        for name, kinds in found.items()
    }
    if found["quantity"] & {"DOUBLE", "FLOAT", "UBIGINT"}:
        types["quantity"] = "DOUBLE"
    return types


def _raw(types: dict[str, str], files: int) -> str:
    """The query for the rows of all files, in raw order."""
    one = _sql("raw")
    return " UNION ALL ".join(
        one.format(number=number, **types) for number in range(1, files + 1)
    )


def _cast(table: pa.Table, target: pa.Schema) -> pa.Table:
    """The table with the types of the contract; a null where none may be is an error."""
    result = table.cast(target)
    for field in target:
        if not field.nullable and result[field.name].null_count:
            raise ValueError(f"column {field.name!r} of the oracle has nulls")
    return result
