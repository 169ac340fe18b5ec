"""How a database is reached, and what it says in one line."""

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from dask_etl.sources.batch import SourceError
from dask_etl.sources.extras import needed
from dask_etl.sources.json_lines import table_of

_FETCHED = 50_000
"""Rows that are fetched from a database at a time."""


@dataclass(frozen=True)
class Connection:
    """How a database is reached.

    Attributes:
        url: of SQLAlchemy; None with ADBC.
        driver: the module of an ADBC driver, e.g. ``adbc_driver_sqlite``.
        arguments: what it connects with, e.g. ``uri``.
    """

    url: str | None = field(default=None, repr=False)
    driver: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        """Name the database, without what lets one in."""
        if self.url is None:
            return f"{self.driver}"
        return needed("sqlalchemy", "database").make_url(self.url).render_as_string()

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Say in one line what a database says.

        Raises:
            SourceError: it cannot be reached, or refuses what it is asked.
        """
        try:
            yield
        except SourceError:
            raise
        except Exception as error:
            if type(error).__module__.split(".")[0] not in _DATABASES:
                raise
            said = str(getattr(error, "orig", None) or error).strip().splitlines()
            raise SourceError(
                f"{self!r}: {said[0] if said else type(error).__name__}. Correct the "
                "source in the catalog, or its credentials."
            ) from error

    def rows(self, sql: str, values: Mapping[str, Any]) -> pa.Table:
        """Run a query with named values; return all that it finds."""
        with self.explained():
            if self.url is None:
                return self._rows_of_adbc(sql, values)
            with _engine(self.url).connect() as connection:
                text = needed("sqlalchemy", "database").text(sql)
                found = connection.execution_options(stream_results=True).execute(
                    text, dict(values)
                )
                names = list(found.keys())
                tables = [
                    table_of(
                        [dict(zip(names, row, strict=True)) for row in rows], names
                    )
                    for rows in found.partitions(_FETCHED)
                ]
        if not tables:
            return pa.table({name: pa.nulls(0, pa.string()) for name in names})
        return _joined(tables)

    def _rows_of_adbc(self, sql: str, values: Mapping[str, Any]) -> pa.Table:
        module = needed(f"{self.driver}.dbapi", "database")
        # Positions instead of names: that is what all its drivers understand.
        order = sorted(values, key=lambda name: sql.index(f":{name}"))
        mark = "${}" if "postgresql" in str(self.driver) else "?{}"
        for number, name in enumerate(order, 1):
            sql = sql.replace(f":{name}", mark.format(number))
        with (
            module.connect(**self.arguments) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(sql, [values[name] for name in order] or None)
            return cursor.fetch_arrow_table()

    def quoted(self, name: str) -> str:
        """Write a name as the database has it."""
        if self.url is not None:
            return _engine(self.url).dialect.identifier_preparer.quote(name)
        return '"' + name.replace('"', '""') + '"'


_DATABASES = ("sqlalchemy", "psycopg", "sqlite3", "adbc_driver_manager", "pyarrow")


_engines: dict[str, Any] = {}


_lock = threading.Lock()


def _engine(url: str) -> Any:
    with _lock:
        if url not in _engines:
            module = needed("sqlalchemy", "database")
            try:
                _engines[url] = module.create_engine(url)
            except ImportError as error:
                raise SourceError(
                    f"{url.partition(':')[0]}: its driver is not installed ({error}). "
                    "Install it, e.g. pip install 'dask_etl[database]' for PostgreSQL."
                ) from error
            except Exception as error:
                if type(error).__module__.split(".")[0] != "sqlalchemy":
                    raise
                raise SourceError(
                    f"url: {str(error).splitlines()[0]}. It should look like "
                    "postgresql+psycopg://user@host/database or sqlite:///file.db"
                ) from error
        return _engines[url]


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Join what was fetched piece by piece; a column of several types becomes text."""
    try:
        return pa.concat_tables(tables, promote_options="permissive").combine_chunks()
    except pa.ArrowException:
        from dask_etl.sources.convert import as_text  # noqa: PLC0415  (rare)

        texts = [
            pa.table({name: as_text(table[name]) for name in table.column_names})
            for table in tables
        ]
        return pa.concat_tables(texts).combine_chunks()
