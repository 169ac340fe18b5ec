"""Tables as files for others: CSV, one Parquet file or many, Excel; a part at a time.

Text formats hold lists as their members joined by ``;``, labels as text, and moments
as ISO 8601, e.g. ``2024-05-31T23:59:59.000000Z``.
"""

import contextlib
import math
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from dask_etl.errors import StorageError
from dask_etl.storage.files import cannot_write
from dask_etl.storage.parts import PartReader, read_checked
from dask_etl.storage.segments import Segment
from dask_etl.storage.sweep import remove_folder

ROWS_AT_A_TIME = 1 << 16
"""Rows that are converted at a time."""

SHEET_ROWS = 1_048_576
"""What a sheet holds, its head included."""

_CELL_LENGTH = 32_767
_EXACT = 2**53
"""Whole numbers beyond are not exact in a sheet; they are written as text."""


@dataclass(frozen=True)
class Exported:
    """What was written: where, how many files, and how many rows."""

    path: str
    files: int
    rows: int


def export(
    reader: PartReader,
    segments: Sequence[Segment],
    kind: str,
    path: str,
    one_file: bool,
) -> Exported:
    """Write a table to files on this machine: all that was asked for, or nothing.

    Args:
        reader: reads the table's parts.
        segments: its parts.
        kind: ``csv``, ``parquet`` or ``xlsx``.
        path: of the file, or of the folder for a file per part; it must be free.
        one_file: whether it is a file.

    Raises:
        StorageError: the path is taken or cannot be written, a part is damaged, or the
            format cannot hold the table.
    """
    if os.path.lexists(path):
        raise StorageError(
            f"{path}: is there already. Remove it, or give another --output."
        )
    rows = sum(segment.rows for segment in segments)
    temporary = f"{path}.{uuid.uuid4().hex}.tmp"
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        if one_file:
            tables = (reader.read((segment,)) for segment in segments)
            with open(temporary, "wb") as file:
                WRITERS[kind](tables, reader.schema, file)
            files = 1
        else:
            files = _write_parts(reader, segments, kind, temporary)
        os.rename(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        if os.path.isdir(temporary):
            shutil.rmtree(temporary)
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)
    return Exported(path, files, rows)


def _write_parts(reader, segments: Sequence[Segment], kind: str, folder: str) -> int:
    os.mkdir(folder)
    for number, segment in enumerate(segments):
        with open(os.path.join(folder, f"part-{number:05d}.{kind}"), "wb") as file:
            if kind == "parquet" and segment.checksum and reader.conform is None:
                file.write(read_checked(reader.filesystem, segment))
            else:
                tables = [reader.read((segment,))]
                WRITERS[kind](tables, reader.schema, file)
    return len(segments)


# -- formats -------------------------------------------------------------------


def write_csv(tables: Iterable[pa.Table], schema: pa.Schema, file: Any) -> None:
    """Write tables of one schema as CSV: text in quotes, null as nothing at all.

    Raises:
        StorageError: a column has a type that CSV cannot hold.
    """
    head = textual(schema.empty_table())
    with pyarrow.csv.CSVWriter(file, head.schema) as writer:
        for table in _slices(tables):
            writer.write_table(textual(table))


def write_parquet(tables: Iterable[pa.Table], schema: pa.Schema, file: Any) -> None:
    """Write tables of one schema as one Parquet file, a row group or more for each."""
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for table in tables:
            writer.write_table(table)


def write_xlsx(tables: Iterable[pa.Table], schema: pa.Schema, file: Any) -> None:
    """Write tables of one schema as the only sheet of an Excel workbook.

    Raises:
        StorageError: there are more rows, or longer texts, than a sheet can hold; or
            xlsxwriter is not installed.
    """
    try:
        import xlsxwriter
    except ImportError as error:
        raise StorageError(
            'Excel files need xlsxwriter: pip install "dask_etl[xlsx]"'
        ) from error
    book = xlsxwriter.Workbook(file, {"constant_memory": True})
    sheet = book.add_worksheet()
    for place, name in enumerate(schema.names):
        sheet.write_string(0, place, name)
    row = 0
    for table in _slices(tables):
        check_sheet(row + len(table))
        columns = [column.to_pylist() for column in _dates_as_text(table).columns]
        for values in zip(*columns, strict=True):
            row += 1
            for place, value in enumerate(values):
                _write_cell(sheet, row, place, value)
    book.close()


def check_sheet(rows: int) -> None:
    """Refuse more rows than a sheet of Excel can hold.

    Raises:
        StorageError: there are more.
    """
    if rows >= SHEET_ROWS:
        raise StorageError(
            f"{rows:,} rows are more than the {SHEET_ROWS - 1:,} that fit under the head "
            "of an Excel sheet. Export to csv or parquet."
        )


def _write_cell(sheet: Any, row: int, place: int, value: Any) -> None:
    if value is None:
        return
    if isinstance(value, bool):
        sheet.write_boolean(row, place, value)
    elif (isinstance(value, float) and math.isfinite(value)) or (
        isinstance(value, int) and abs(value) <= _EXACT
    ):
        sheet.write_number(row, place, value)
    else:
        text = str(value)
        if len(text) > _CELL_LENGTH:
            raise StorageError(
                f"row {row:,} has a text of {len(text):,} characters, and a cell of Excel "
                f"holds {_CELL_LENGTH:,}. Export to csv or parquet."
            )
        # Never write(): it would take text that begins with "=" for a formula.
        sheet.write_string(row, place, text)


WRITERS: dict[str, Callable[[Iterable[pa.Table], pa.Schema, Any], None]] = {
    "csv": write_csv,
    "parquet": write_parquet,
    "xlsx": write_xlsx,
}
"""By the name of the format, which is the ending of its files, too."""


def _slices(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    for table in tables:
        for start in range(0, len(table), ROWS_AT_A_TIME):
            yield table.slice(start, ROWS_AT_A_TIME)


def textual(table: pa.Table) -> pa.Table:
    """Bring a table to the types that a text file has: no lists, labels or moments.

    Raises:
        StorageError: a column has a type that no text stands for.
    """
    columns = {}
    for field, column in zip(table.schema, table.columns, strict=True):
        try:
            columns[field.name] = _as_text(column)
        except pa.ArrowException as error:
            raise StorageError(
                f"column {field.name!r} is of type {field.type}, for which there is no "
                "text. Export to parquet."
            ) from error
    return pa.table(columns)


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _as_text(column.cast(kind.value_type))
    if pa.types.is_timestamp(kind):
        return pc.replace_substring(
            column.cast(pa.string()), " ", "T", max_replacements=1
        )
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pc.binary_join(column.cast(pa.list_(pa.string())), ";")
    if pa.types.is_nested(kind) or pa.types.is_binary(kind):
        raise pa.ArrowTypeError(str(kind))
    return column


def _dates_as_text(table: pa.Table) -> pa.Table:
    table = textual(table)
    return table.cast(
        pa.schema(
            f.with_type(pa.string()) if pa.types.is_date(f.type) else f
            for f in table.schema
        )
    )


# -- files on any file system --------------------------------------------------


@contextlib.contextmanager
def whole_file(filesystem: fsspec.AbstractFileSystem, path: str) -> Iterator[Any]:
    """Open a file to be written, that others see whole or not at all.

    Raises:
        StorageError: there is no space or no permission for it.
    """
    try:
        if isinstance(filesystem, LocalFileSystem):
            with _local_file(path) as file:
                yield file
            return
        file = filesystem.open(path, "wb", autocommit=False)
        try:
            yield file
            file.close()
        except BaseException:
            file.discard()
            raise
        file.commit()
    except OSError as error:
        raise cannot_write(path, error) from error


@contextlib.contextmanager
def _local_file(path: str) -> Iterator[Any]:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = f"{path}.{uuid.uuid4().hex}.tmp"
    try:
        with open(temporary, "wb") as file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)
        raise


def replace_folder(
    filesystem: fsspec.AbstractFileSystem, folder: str, new: str
) -> None:
    """Put a finished folder on a disk in the place of another, which goes."""
    old = f"{folder}.{uuid.uuid4().hex}.tmp"
    if os.path.isdir(folder):
        os.rename(folder, old)
    os.rename(new, folder)
    remove_folder(filesystem, old)
