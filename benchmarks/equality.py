"""Did two contenders make the same tables? If not: which table, row and column."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .commands import TABLES
from .digests import Digest, digest, in_common_form, rows_of_bucket
from .workspace import BenchmarkError

SMALL = ("row_ledger", "sales_cube", "customers")
"""Tables that fit in memory, and are compared value by value."""

LARGE = ("clean_transactions", "rejected_transactions")
"""Tables that are compared by digests."""

Files = Mapping[str, Sequence[Path]]


class OutputsDiffer(BenchmarkError):
    """A contender made other tables than the one before: its time means nothing."""


@dataclass(frozen=True)
class Reference:
    """The tables of the first contender, which those of all others must equal."""

    name: str
    small: Mapping[str, pa.Table]
    digests: Mapping[str, Digest]
    files: Files

    @classmethod
    def of(cls, name: str, files: Files, keep: Path) -> "Reference":
        """Take a contender's tables; the large ones are moved out of its way.

        Args:
            name: of the contender.
            files: its tables.
            keep: folder for the large ones.
        """
        _require_all(name, files)
        small = {table: read_sorted(files[table], TABLES[table]) for table in SMALL}
        kept = {table: _moved(files[table], keep / table) for table in LARGE}
        digests = {table: digest(kept[table], TABLES[table]) for table in LARGE}
        return cls(name, small, digests, kept)

    def check(self, name: str, files: Files, thorough: bool = True) -> None:
        """Compare a contender's tables.

        Args:
            name: of the contender.
            files: its tables.
            thorough: compare the large ones by every value, not by their rows' number.

        Raises:
            OutputsDiffer: naming contender, table, key and column.
        """
        _require_all(name, files)
        for table in SMALL:
            rows = read_sorted(files[table], TABLES[table])
            self._refuse(
                name, table, first_difference(rows, self.small[table], TABLES[table])
            )
        for table in LARGE:
            if thorough:
                found = digest(files[table], TABLES[table])
                difference = self._difference(table, files[table], found)
            else:
                rows = sum(pq.read_metadata(file).num_rows for file in files[table])
                same = rows == self.digests[table].rows
                difference = None if same else f"{rows:,} rows"
            self._refuse(name, table, difference)

    def _difference(
        self, table: str, files: Sequence[Path], found: Digest
    ) -> str | None:
        expected = self.digests[table]
        problem = column_problem(found.kinds, expected.kinds)
        if problem:
            return problem
        differs = found.counts != expected.counts
        for name, sums in expected.columns.items():
            differs |= found.columns[name] != sums
        if not differs.any():
            return None
        bucket, key = int(differs.argmax()), TABLES[table]
        made, kept = (
            _sorted(rows_of_bucket(these, key, bucket), key)
            for these in (files, self.files[table])
        )
        difference = first_difference(made, kept, key)
        if found.rows != expected.rows:
            rows = f"{found.rows:,} rows, expected {expected.rows:,}"
            return f"{rows}; {difference}"
        return difference or f"rows of bucket {bucket}, of which none can be told"

    def _refuse(self, name: str, table: str, difference: str | None) -> None:
        if difference:
            raise OutputsDiffer(
                f"{name} and {self.name} made different tables of the same "
                f"transactions, so no time is reported. {table}: {difference} "
                f"({name} against {self.name})"
            )


def _require_all(name: str, files: Files) -> None:
    missing = [table for table in TABLES if not files.get(table)]
    if missing:
        raise OutputsDiffer(f"{name} wrote no {', '.join(missing)}")


def _moved(files: Sequence[Path], folder: Path) -> list[Path]:
    folder.mkdir(parents=True)
    return [Path(shutil.move(file, folder / file.name)) for file in files]


def read_sorted(files: Sequence[Path], key: Sequence[str]) -> pa.Table:
    """Read a table, in the common form, its rows by key."""
    parts = [in_common_form(pq.ParquetFile(file).read()) for file in files]
    return _sorted(pa.concat_tables(parts, promote_options="permissive"), key)


def _sorted(table: pa.Table, key: Sequence[str]) -> pa.Table:
    ordered = table.sort_by(
        [(name, "ascending") for name in key if name in table.schema.names]
    )
    return ordered.combine_chunks()


def column_problem(
    found: Mapping[str, pa.DataType], expected: Mapping[str, pa.DataType]
) -> str | None:
    """Compare names and kinds of columns; say what is wrong, if anything."""
    for name, kind in expected.items():
        if name not in found:
            return f"column {name} is missing"
        if found[name] != kind:
            return f"column {name} is {found[name]}, expected {kind}"
    extra = sorted(found.keys() - expected.keys())
    return f"column {extra[0]} is not expected" if extra else None


def first_difference(
    found: pa.Table, expected: pa.Table, key: Sequence[str]
) -> str | None:
    """Name the first row and column in which two tables, sorted by key, differ.

    Returns:
        Key, column and both values; None if the tables are equal.
    """
    problem = column_problem(
        *(
            dict(zip(t.column_names, t.schema.types, strict=True))
            for t in (found, expected)
        )
    )
    if problem:
        return problem
    rows = min(len(found), len(expected))
    first: tuple[int, str] | None = None
    for name in (*key, *(n for n in expected.column_names if n not in key)):
        row = _first_unequal(found[name][:rows], expected[name][:rows])
        if row is not None and (first is None or row < first[0]):
            first = row, name
    if first is None:
        if len(found) == len(expected):
            return None
        longer = found if len(found) > rows else expected
        who = "is not expected" if longer is found else "is missing"
        return f"{_named(longer, rows, key)} {who}"
    row, name = first
    if name in key:
        keys = (_named(table, row, key) for table in (found, expected))
        return "{}, expected {}: column ".format(*keys) + name
    values = (table[name][row].as_py() for table in (found, expected))
    return "{}: column {} is {!r}, expected {!r}".format(
        _named(expected, row, key), name, *values
    )


def _first_unequal(found: pa.ChunkedArray, expected: pa.ChunkedArray) -> int | None:
    if found.equals(expected):
        return None
    if pa.types.is_nested(found.type):
        pairs = zip(found.to_pylist(), expected.to_pylist(), strict=True)
        return next((row for row, (a, b) in enumerate(pairs) if a != b), None)
    same = pc.fill_null(pc.equal(found, expected), False)
    both_null = pc.and_(found.is_null(), expected.is_null())
    row = pc.index(pc.or_(same, both_null), False).as_py()
    return None if row < 0 else row


def _named(table: pa.Table, row: int, key: Sequence[str]) -> str:
    values: dict[str, Any] = {name: table[name][row].as_py() for name in key}
    return ", ".join(f"{name}={value}" for name, value in values.items())
