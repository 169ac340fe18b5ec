"""A table or a query of a database as a source, read in ranges of a column.

Databases are reached through SQLAlchemy, by a URL, or through a driver of ADBC, which
hands over Arrow.
"""

import datetime as dt
import decimal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dask_etl.sources.batch import Batch, Rows, SourceError, Unit, missing_columns
from dask_etl.sources.columnar import NumberedRows
from dask_etl.sources.connection import Connection


@dataclass(frozen=True)
class Range:
    """Rows of a query, and how many came before them.

    ``after`` and ``up_to`` are values of the cursor, and edges of the range.
    """

    unit: int
    after: tuple[Any, Any]
    up_to: tuple[Any, Any]
    first_row: int


@dataclass(frozen=True)
class Query:
    """A table or a query of a database.

    Attributes:
        connection: the database.
        table: its name; None for a query.
        query: the query; None for a table.
        by: the column whose ranges are read by tasks of their own.
        partitions: how many ranges.
        cursor: the column that only grows, by which new rows are known.
    """

    connection: Connection
    table: str | None
    query: str | None
    by: str | None
    partitions: int
    cursor: str | None

    @property
    def name(self) -> str:
        """What ledgers call it."""
        return self.table or "query"

    @property
    def sql(self) -> str:
        """What stands behind FROM."""
        if self.table is None:
            return f"({str(self.query).strip().rstrip(';')}) AS q"
        return ".".join(self.connection.quoted(one) for one in self.table.split("."))

    def identity(self) -> Mapping[str, Any]:
        """Return what says how it is read."""
        return {
            "kind": "database",
            "sql": self.table or self.query,
            "cursor": self.cursor,
        }

    def columns(self) -> list[str]:
        """Return the columns of the table or query."""
        none = self.connection.rows(f"SELECT * FROM {self.sql} WHERE 1 = 0", {})
        return none.column_names

    def plan(
        self,
        needs: Sequence[str],
        coded: Sequence[str],
        known: Sequence[Unit],
        mode: Literal["auto", "full"],
    ) -> Batch:
        """See :class:`dask_etl.sources.batch.Source`."""
        wanted = [*needs, *(name for name in (self.by, self.cursor) if name)]
        if lacking := missing_columns(wanted, self.columns(), self.name):
            raise SourceError(lacking)
        reader = RangeReader(self, tuple(needs))
        after: Any = None
        reason: str | None = None
        if self.cursor is None:
            reason = "the source names no cursor column that would tell what is new"
            unit = Unit(self.name)
            return Batch([unit], self._ranges(None, None), reader, reason)
        if mode == "full":
            reason = "ingestion.mode is full"
        elif not known:
            reason = "nothing has been taken in before"
        else:
            after = self._value(known[-1].cursor)
        self._check_cursor()
        last = self._limits(self.cursor, after, None)[1]
        if last is None:
            return Batch(
                [] if reason is None else [Unit(self.name)], [], reader, reason
            )
        end = _written(last)
        unit = Unit(f"{self.name} up to {self.cursor} {end}", cursor=end)
        return Batch([unit], self._ranges(after, last), reader, reason)

    def _check_cursor(self) -> None:
        """Refuse a cursor that some rows do not have: they would never be new.

        Raises:
            SourceError: there are such rows.
        """
        name = self.connection.quoted(str(self.cursor))
        found = self.connection.rows(
            f"SELECT count(*) AS n FROM {self.sql} WHERE {name} IS NULL", {}
        )
        if (rows := int(found["n"][0].as_py())) > 0:
            raise SourceError(
                f"{self.name}: {rows:,} rows have no '{self.cursor}', the cursor of the "
                "source, and would never be taken in. Name a cursor that all have, or "
                "leave it out to read all on every run."
            )

    def _ranges(self, after: Any, up_to: Any) -> list[tuple[Range, ...]]:
        """Divide the rows after one value of the cursor and up to another."""
        by = self.by or self.cursor
        if by is None or self.partitions < 2:
            return [(Range(0, (after, None), (up_to, None), 0),)]
        least, most = self._limits(by, after, up_to)
        edges = _edges(least, most, self.partitions)
        ranges: list[tuple[Range, ...]] = []
        rows = 0
        for low, high in zip([None, *edges], [*edges, None], strict=True):
            one = Range(0, (after, low), (up_to, high), rows)
            where, values = self._where(one)
            counted = self.connection.rows(
                f"SELECT count(*) AS n FROM {self.sql}{where}", values
            )
            rows += int(counted["n"][0].as_py())
            ranges.append((one,))
        return ranges

    def _limits(self, column: str, after: Any, up_to: Any) -> tuple[Any, Any]:
        name = self.connection.quoted(column)
        where, values = self._where(Range(0, (after, None), (up_to, None), 0))
        found = self.connection.rows(
            f"SELECT min({name}) AS low, max({name}) AS high FROM {self.sql}{where}",
            values,
        )
        return found["low"][0].as_py(), found["high"][0].as_py()

    def _where(self, one: Range) -> tuple[str, dict[str, Any]]:
        conditions: list[str] = []
        values: dict[str, Any] = {}

        def add(column: str | None, sign: str, name: str, value: Any) -> None:
            if column is not None and value is not None:
                conditions.append(f"{self.connection.quoted(column)} {sign} :{name}")
                values[name] = value

        by = self.by or self.cursor
        add(self.cursor, ">", "after", one.after[0])
        add(self.cursor, "<=", "last", one.up_to[0])
        add(by, "<", "high", one.up_to[1])
        if by is not None and one.after[1] is None and one.up_to[1] is not None:
            # What is null is in the first range.
            conditions[-1] = (
                f"({conditions[-1]} OR {self.connection.quoted(by)} IS NULL)"
            )
        add(by, ">=", "low", one.after[1])
        return (f" WHERE {' AND '.join(conditions)}" if conditions else ""), values

    def select(self, one: Range, needs: Sequence[str]) -> tuple[str, dict[str, Any]]:
        """Return the query for a range, in an order that is always the same."""
        where, values = self._where(one)
        names = [self.connection.quoted(name) for name in needs]
        first = [
            self.connection.quoted(name) for name in (self.by, self.cursor) if name
        ]
        order = ", ".join(dict.fromkeys([*first, *names]))
        return (
            f"SELECT {', '.join(names)} FROM {self.sql}{where} ORDER BY {order}",
            values,
        )

    def _value(self, written: str | None) -> Any:
        """Return a cursor's value as the database has it."""
        if written is None:
            return None
        name = self.connection.quoted(str(self.cursor))
        found = self.connection.rows(f"SELECT max({name}) AS m FROM {self.sql}", {})
        sample = found["m"][0].as_py()
        if isinstance(sample, bool) or sample is None:
            return written
        for kind, read in _READ.items():
            if type(sample) is kind:
                return read(written)
        return written


_READ: Mapping[type, Callable[[str], Any]] = {
    int: int,
    float: float,
    decimal.Decimal: decimal.Decimal,
    dt.datetime: dt.datetime.fromisoformat,
    dt.date: dt.date.fromisoformat,
}


def _written(value: Any) -> str:
    return value.isoformat() if isinstance(value, dt.date) else str(value)


def _edges(least: Any, most: Any, parts: int) -> list[Any]:
    """Divide what lies between two numbers or moments evenly."""
    if isinstance(least, bool | str) or least is None:
        return []
    if isinstance(least, dt.date) and not isinstance(least, dt.datetime):
        days = (most - least).days
        steps = [least + dt.timedelta(days=days * n // parts) for n in range(1, parts)]
    elif isinstance(least, int):
        steps = [least + (most - least) * n // parts for n in range(1, parts)]
    else:
        steps = [least + (most - least) * n / parts for n in range(1, parts)]
    return [each for each in dict.fromkeys(steps) if each > least]


@dataclass(frozen=True)
class RangeReader:
    """Reads ranges of a query into the columns that are needed."""

    query: Query
    needs: tuple[str, ...]

    def __call__(self, ranges: Sequence[Range]) -> list[Rows]:
        """Read the range of one task."""
        return [self._read(one) for one in ranges]

    def _read(self, one: Range) -> Rows:
        sql, values = self.query.select(one, self.needs)
        found = self.query.connection.rows(sql, values)
        # Databases differ in capitals.
        table = found.rename_columns([*self.needs])
        return Rows(one.unit, table, NumberedRows(table, one.first_row).place)
