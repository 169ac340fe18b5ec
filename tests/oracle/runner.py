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

from dask_etl.retail.parameters import Calendar, Cleaning, Currency, Features, Segments
from dask_etl.retail.schema import QUANTITIES, RULES, TIMESTAMP
from dask_etl.retail.tables import COMPARED, summed, with_quantity

SQL = Path(__file__).parent

VIEWS = ("judged", "kept", "period")
"""What the tables are computed from, in the order in which they build on each other."""

TABLES = tuple(COMPARED)


WHITE_SPACE = "".join(char for char in map(chr, range(0x110000)) if char.isspace())


class Inexact(Exception):
    """A total is beyond what a table of the contract holds exactly."""


def oracle_tables(
    files: Sequence[Path],
    as_of: datetime | Sequence[datetime],
    price_bounds: tuple[float, float, float] = Features().price_bounds,
    segments: Segments | None = None,
    cleaning: Cleaning | None = None,
    calendar: Calendar | None = None,
    currency: Currency | None = None,
    names: Sequence[str] = TABLES,
) -> dict[str, pa.Table]:
    """Every table of the contract, from raw Parquet files.

    Args:
        files: the raw files, at least one, in raw order; known by their file name.
        as_of: the moment the data is judged at, or that of each file; UTC if it has no
            zone.
        price_bounds: upper bounds of the price categories but the last.
        segments: segments by RFM scores; one segment for all if not given.
        cleaning: what becomes of which rows, and what they tell.
        calendar: whose days they are; UTC if not given.
        currency: how many cents are in a unit; 100 if not given.
        names: of the tables that are wanted.

    Returns:
        The tables by name, with the schemas of ``dask_etl.retail.tables``.

    Raises:
        Inexact: a total is too large for the contract.
    """
    cleaning = cleaning or Cleaning()
    limits = cleaning.limits
    calendar, currency = calendar or Calendar(), currency or Currency()
    moments = [as_of] * len(files) if isinstance(as_of, datetime) else as_of
    segments = segments or Segments(rules={"All": {}})
    with _connection() as connection:
        _set(connection, "files", [str(file) for file in files], "VARCHAR[]")
        _set(connection, "names", [file.name for file in files], "VARCHAR[]")
        _set(connection, "moments", [*map(_utc, moments)], "TIMESTAMP[]")
        _set(connection, "earliest", _utc(limits.timestamp), "TIMESTAMP")
        _set(connection, "most_amount", limits.amount, "DOUBLE")
        _set(connection, "most_quantity", limits.quantity, "DOUBLE")
        _set(connection, "is_decimal", cleaning.quantity == "decimal", "BOOLEAN")
        for name, action in (("blanking", "blank"), ("keeping", "keep")):
            rules = [rule for rule in RULES if cleaning.action(rule) == action]
            _set(connection, name, rules, "VARCHAR[]")
        has_return_lines = cleaning.returns == "negative_lines"
        _set(connection, "has_return_lines", has_return_lines, "BOOLEAN")
        _set(connection, "has_totals", cleaning.revenue == "total", "BOOLEAN")
        _set(connection, "cents_of_unit", currency.cents, "DOUBLE")
        _set(connection, "zone", calendar.timezone, "VARCHAR")
        _set(connection, "white_space", WHITE_SPACE, "VARCHAR")
        _set(connection, "price_bounds", list(price_bounds), "DOUBLE[]")
        _create_segment_rules(connection, segments)
        connection.execute(_sql("macros"))
        connection.execute(_sql(f"quantity_{cleaning.quantity}"))
        types = _found_types(connection, files, cleaning.keep)
        _set(connection, "has_orders", "order_id" in types, "BOOLEAN")
        connection.execute(f"CREATE TABLE raw AS {_raw(connection, types, files)}")
        for name in cleaning.keep:
            if types[name] == "DOUBLE":
                connection.execute(
                    f'UPDATE raw SET "{name}" = NULL WHERE isnan("{name}")'
                )
        for name in VIEWS:
            connection.execute(f"CREATE TABLE {name} AS {_sql(name)}")
        if connection.execute(_sql("inexact")).fetchone() == (True,):
            raise Inexact
        further = "".join(f', "{name}"' for name in cleaning.keep)
        for name in names:
            query = _sql(name).replace(" /* further */", further)
            connection.execute(f"CREATE TABLE {name} AS {query}")
        raw = pa.schema({name: _ARROW[kind] for name, kind in types.items()})
        clean = with_quantity(raw, QUANTITIES[cleaning.quantity])
        found = {"rejected_transactions": raw, "clean_transactions": clean}
        return {
            name: _cast(
                connection.table(name).to_arrow_table(),
                COMPARED[name].schema_for(found.get(name, summed(clean))),
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


_ARROW = {
    "VARCHAR": pa.string(),
    "DOUBLE": pa.float64(),
    "BIGINT": pa.int64(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIMESTAMP": TIMESTAMP,
}
_WHOLE = {
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
}


def _found_types(
    connection, files: Sequence[Path], keep: Sequence[str]
) -> dict[str, str]:
    """Types of the contract for the columns whose type depends on the raw files."""
    found: dict[str, set[str]] = {}
    for file in files:
        for name, kind in _columns(connection, file).items():
            found.setdefault(name, set()).add(kind)
    types = {
        name: "VARCHAR" if "VARCHAR" in found[name] else "BIGINT"
        for name in ("transaction_id", "customer_id", "quantity", "order_id")
        if name in found
    }
    if found["quantity"] & {"DOUBLE", "FLOAT", "UBIGINT"}:
        types["quantity"] = "DOUBLE"
    if "line_total" in found:
        types["line_total"] = "DOUBLE"
    return types | {name: _plain(found[name]) for name in keep}


def _columns(connection, file: Path) -> dict[str, str]:
    found = connection.sql(
        "SELECT * FROM read_parquet($file)", params={"file": str(file)}
    )
    return {
        name: str(kind) for name, kind in zip(found.columns, found.types, strict=True)
    }


def _plain(kinds: set[str]) -> str:
    """The type of a column that is kept as it is."""
    kinds = {
        "BIGINT"
        if kind in _WHOLE
        else "TIMESTAMP"
        if kind.startswith("TIMESTAMP")
        else {"FLOAT": "DOUBLE"}.get(kind, kind)
        for kind in kinds
        if kind != '"NULL"'
    }
    if not kinds:
        return "VARCHAR"
    return "DOUBLE" if kinds == {"BIGINT", "DOUBLE"} else min(kinds)


def _raw(connection, types: dict[str, str], files: Sequence[Path]) -> str:
    """The query for the rows of all files, in raw order."""
    own = ("transaction_id", "customer_id", "quantity")
    further = {"order_id": "VARCHAR", "line_total": "DOUBLE"} | {
        name: kind for name, kind in types.items() if name not in own
    }
    queries = []
    for number, file in enumerate(files, 1):
        there = _columns(connection, file)
        columns = "".join(
            f',\n    {_value(name, kind, there.get(name))} AS "{name}"'
            for name, kind in further.items()
        )
        queries.append(
            _sql("raw").format(
                number=number, further=columns, **{name: types[name] for name in own}
            )
        )
    return " UNION ALL ".join(queries)


def _value(name: str, kind: str, found: str | None) -> str:
    if found is None:
        return f"NULL::{kind}"
    if kind == "TIMESTAMP":
        return f'make_timestamp(epoch_us("{name}"::TIMESTAMPTZ))'
    return f'TRY_CAST("{name}" AS {kind})'  # NaN is no number


def _cast(table: pa.Table, target: pa.Schema) -> pa.Table:
    """The table with the types of the contract; a null where none may be is an error."""
    result = table.select(target.names).cast(target)
    for field in target:
        if not field.nullable and result[field.name].null_count:
            raise ValueError(f"column {field.name!r} of the oracle has nulls")
    return result
