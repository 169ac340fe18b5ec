"""What a table is, declared once: columns, key, order, encodings.

Writers, readers, verification, tests and documentation derive what they need from a
:class:`Table`. The catalog names one by its name (of a table in one of
:data:`dask_etl.TABLE_MODULES`) or by a dotted path to any other.
"""

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

import dask_etl
from dask_etl.errors import ExplainedError
from dask_etl.storage.encodings import BY_TYPE, Encodings
from dask_etl.storage.parts import Conform

LABEL = pa.dictionary(pa.int32(), pa.string())
"""Text of few distinct values, as codes."""

Unify = Callable[[Mapping[str, pa.Schema]], pa.Schema]
"""Finds, from the schemas of other people's files by name, the one they all fit."""


class UnknownTable(ExplainedError, LookupError):
    """The catalog names a table that nobody declared."""


@dataclass(frozen=True, eq=False)
class Table:
    """A table of the catalog, whoever writes it.

    Attributes:
        name: without namespace, e.g. ``clean_transactions``.
        schema: columns, Arrow types and which may be null.
        variants: other types that a column of ``schema`` has where the data has them,
            e.g. ids that are text instead of numbers.
        key: the columns that name a row; none for a table of one row.
        ordered: whether the order of the rows is part of the contract.
        optional: columns that the table has, behind the others, where its data has
            them.
        takes_any: whether further columns of the data are the table's, too, at its end.
        encodings: which columns repeat, and which are filtered on.
        unify: for tables read from others' files: finds the schema for them all.
            Without it, they must have one schema.
        conform: brings the rows of such a file to that schema.
        labels: of columns of few values: all of them, or the name of the table,
            released together with this one, whose column of that name has them.
    """

    name: str
    schema: pa.Schema
    variants: Mapping[str, pa.DataType] = field(default_factory=dict)
    key: tuple[str, ...] = ()
    ordered: bool = True
    optional: pa.Schema = field(default_factory=lambda: pa.schema([]))
    takes_any: bool = False
    encodings: Encodings = BY_TYPE
    unify: Unify | None = None
    conform: Conform | None = None
    labels: Mapping[str, tuple[str, ...] | str] = field(default_factory=dict)

    def schema_for(self, found: pa.Schema) -> pa.Schema:
        """Return the schema of the table when its data has the columns found."""
        columns = [*self.schema, *(c for c in self.optional if c.name in found.names)]
        further = [found.field(name) for name in self.further(found.names)]
        return pa.schema([*(self._varied(c, found) for c in columns), *further])

    def further(self, names: Iterable[str]) -> list[str]:
        """Return those columns of the data that nobody declared and the table takes."""
        known = {*self.schema.names, *self.optional.names}
        return [name for name in names if self.takes_any and name not in known]

    def varying(self, names: Iterable[str]) -> list[str]:
        """Return those columns of the data on which the schema depends."""
        names = [*names]
        known = {*self.variants, *self.optional.names, *self.further(names)}
        return [name for name in names if name in known]

    def _varied(self, column: pa.Field, found: pa.Schema) -> pa.Field:
        """Give a column the other type that its data may have."""
        variant = self.variants.get(column.name)
        if variant is None or column.name not in found.names:
            return column
        is_varied = _same_kind(found.field(column.name).type, variant)
        return column.with_type(variant) if is_varied else column

    def with_labels(self, schema: pa.Schema) -> pa.Schema:
        """Return a schema with its text columns of few values as dictionaries."""
        return pa.schema(
            [
                column.with_type(LABEL)
                if pa.types.is_string(column.type) and self.encodings.is_label(column)
                else column
                for column in schema
            ]
        )


def _same_kind(found: pa.DataType, variant: pa.DataType) -> bool:
    if pa.types.is_dictionary(found):
        found = found.value_type
    if pa.types.is_string(variant):
        return found in (pa.string(), pa.large_string(), pa.string_view())
    if pa.types.is_floating(variant):
        return pa.types.is_floating(found)
    return found == variant


def find_table(name: str) -> Table:
    """Return the table that a catalog entry names.

    Args:
        name: of a table in :data:`dask_etl.TABLE_MODULES`, or a dotted path.

    Raises:
        UnknownTable: there is none; the message lists those there are.
    """
    module, _, attribute = name.rpartition(".")
    if not module:
        for table in known_tables():
            if table.name == name:
                return table
        known = ", ".join(table.name for table in known_tables())
        raise UnknownTable(
            f"schema: no table is called {name!r}; there are {known}. Give the dotted "
            "path of a Table for one of your own."
        )
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UnknownTable(f"schema: cannot import {name} ({error})") from error
    if not isinstance(found, Table):
        raise UnknownTable(
            f"schema: {name} is a {type(found).__name__}, not a dask_etl.tables.Table"
        )
    return found


def known_tables() -> Iterator[Table]:
    """Yield the tables that the catalog may name without a path."""
    for module in map(importlib.import_module, dask_etl.TABLE_MODULES):
        yield from (v for v in vars(module).values() if isinstance(v, Table))
