"""Kedro datasets of databases and APIs as sources."""

from typing import Any, get_args, get_type_hints

import fsspec
from kedro.io.core import DatasetError, get_protocol_and_path

from dask_etl.sources.api import Pages, Paging
from dask_etl.sources.connection import Connection
from dask_etl.sources.database import Query
from dask_etl.sources.datasets import BLOCKSIZE, SourceDataset


class DatabaseSource(SourceDataset):
    """A table or a query of a database.

    Catalog entry::

        source:
          type: dask_etl.sources.DatabaseSource
          table: sales
          partition_column: id
          partitions: 8
          cursor: id
          credentials: shop        # url: postgresql+psycopg://user:password@host/shop

    Without a cursor every run reads all there is.

    Args:
        table: its name, with that of its schema if need be.
        query: or a SELECT; one of the two.
        url: of SQLAlchemy; rather in ``credentials``.
        driver: or the module of an ADBC driver, with ``options`` for its ``connect``.
        options: see there.
        partition_column: a number, date or moment; its ranges are read by tasks of
            their own. The cursor by default.
        partitions: how many ranges.
        cursor: a column that only grows, such as an id or the moment of entry: what is
            beyond the last value taken in is new.
        credentials: may hold ``url`` and ``options``.
        metadata: for others, e.g. Kedro-Viz.
    """

    def __init__(
        self,
        *,
        table: str | None = None,
        query: str | None = None,
        url: str | None = None,
        driver: str | None = None,
        options: dict[str, Any] | None = None,
        partition_column: str | None = None,
        partitions: int = 1,
        cursor: str | None = None,
        credentials: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ):
        secret = credentials or {}
        url = secret.get("url", url)
        problems = []
        if (table is None) == (query is None):
            problems.append("give either a table or a query")
        if (url is None) == (driver is None):
            problems.append("give either a url or a driver (of ADBC)")
        if not isinstance(partitions, int) or partitions < 1:
            problems.append(f"partitions: must be at least 1, it is {partitions!r}")
        if partitions != 1 and not (partition_column or cursor):
            problems.append(
                "partitions: name the partition_column whose ranges they are"
            )
        if problems:
            raise DatasetError(f"{table or 'query'}: {'; '.join(problems)}")
        given = {**(options or {}), **secret.get("options", {})}
        self._connection = Connection(url, driver, given)
        self._table, self._query = table, query
        self._ranges = (partition_column, partitions, cursor)
        self.metadata = metadata

    def _describe(self) -> dict[str, Any]:
        return {"table": self._table, "query": self._query}

    def load(self) -> Query:
        """Return the description of the query."""
        return Query(self._connection, self._table, self._query, *self._ranges)


class ApiSource(SourceDataset):
    """An HTTP API that pages through JSON.

    Catalog entry::

        source:
          type: dask_etl.sources.ApiSource
          url: https://shop.example/api/orders
          records: data.orders
          explode: lines
          paging: {style: cursor, parameter: cursor, field: data.next}
          cursor: updated_at
          cursor_parameter: updated_since
          filepath: data/02_intermediate/pages
          credentials: shop        # headers: {Authorization: Bearer …}

    Without a cursor every run fetches all there is.

    Args:
        url: of the first page.
        filepath: the folder that pages are laid down in until the next run.
        records: where the list of records is in a page, with dots; the page itself by
            default.
        explode: as for :class:`JsonLinesSource`.
        paging: ``style``: ``page`` or ``offset`` (counted in ``parameter``; the first
            empty page is the last), ``cursor`` (what stands at ``field`` of a page goes
            into ``parameter``), ``link`` (the address at ``field``), or ``none``.
        parameters: of the address of every page.
        cursor: a field that only grows; what is beyond its last value is new.
        cursor_parameter: the parameter that asks the API for records after a value.
        blocksize: bytes of text that one task reads.
        credentials: may hold ``headers`` and ``parameters``.
        fs_args: of the file system that pages are laid down in.
        metadata: for others, e.g. Kedro-Viz.
    """

    def __init__(
        self,
        *,
        url: str,
        filepath: str,
        records: str | None = None,
        explode: str | None = None,
        paging: dict[str, Any] | None = None,
        parameters: dict[str, Any] | None = None,
        cursor: str | None = None,
        cursor_parameter: str | None = None,
        blocksize: int = BLOCKSIZE,
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ):
        secret = credentials or {}
        styles = get_args(get_type_hints(Paging)["style"])
        try:
            named = Paging(**(paging or {}))
        except TypeError as error:
            said = str(error).rpartition(" argument ")[2]
            raise DatasetError(f"{url}: paging: there is no {said}") from error
        if named.style not in styles:
            raise DatasetError(
                f"{url}: paging.style: there is no {named.style!r}; there are "
                f"{', '.join(styles)}"
            )
        protocol, path = get_protocol_and_path(str(filepath))
        filesystem = fsspec.filesystem(protocol, **(fs_args or {}))
        self._pages = Pages(
            url,
            records,
            named,
            {**(parameters or {}), **secret.get("parameters", {})},
            secret.get("headers", {}),
            cursor,
            cursor_parameter,
            explode,
            filesystem,
            filesystem._strip_protocol(path),
            blocksize,
        )
        self.metadata = metadata

    def _describe(self) -> dict[str, Any]:
        return {"url": self._pages.url, "records": self._pages.records}

    def load(self) -> Pages:
        """Return the description of the pages."""
        return self._pages
