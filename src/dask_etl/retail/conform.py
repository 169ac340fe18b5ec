"""Bring raw files of differing make to one schema, or refuse them by name.

What differs and does no harm is widened (integers to int64, int to float, any
timestamp to µs UTC, dictionary to plain strings); what would lose or invent data is
refused with the file, the column and the remedy. ``docs/operations.md`` lists it all.
"""

import logging
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dask_etl.errors import ExplainedError
from dask_etl.retail import schema

logger = logging.getLogger(__name__)


IDS = ("transaction_id", "customer_id")


class SchemaError(ExplainedError, ValueError):
    """A raw file does not have the columns or types of raw transactions."""


def unify(files: Mapping[str, pa.Schema]) -> pa.Schema:
    """Find the raw schema that all files can be widened to.

    Args:
        files: the Arrow schema of every raw file, by file name.

    Returns:
        ``schema.raw`` with the types of the ids and of the quantity filled in.

    Raises:
        SchemaError: a column is missing, of the wrong kind, or an id is a number in
            one file and text in another.
    """
    expected = schema.raw()
    kinds: dict[str, dict[str, str]] = {}
    unknown: dict[str, str] = {}
    for file, found in files.items():
        for column in expected.names:
            if column not in found.names:
                raise SchemaError(
                    f"{file}: column '{column}' is missing (found: "
                    f"{', '.join(found.names)}). Add it, with nulls where unknown."
                )
            kind = _kind(column, found.field(column).type, file)
            kinds.setdefault(column, {}).setdefault(kind, file)
        for column in found.names:
            if column not in expected.names:
                unknown.setdefault(column, file)
    for column, file in unknown.items():
        logger.warning("%s: column '%s' is not used and is left out", file, column)
    types = {}
    for column in IDS:
        seen = {kind: file for kind, file in kinds.get(column, {}).items() if kind}
        if len(seen) > 1:
            raise SchemaError(
                f"column '{column}' is text in {seen['string']} and a number in "
                f"{seen['integer']}; write it as one type in all files"
            )
        types[column] = pa.string() if "string" in seen else pa.int64()
    # What is beyond int64 is out of range, too, and not a reason to stop.
    if "floating" in kinds.get("quantity", {}) or any(
        pa.types.is_uint64(found.field("quantity").type) for found in files.values()
    ):
        types["quantity"] = pa.float64()
    return schema.raw(**types)


def conform(
    table: pa.Table, target: pa.Schema, file: str, first_row: int = 0
) -> pa.Table:
    """Cast a raw file's rows to the unified schema.

    Columns that the target does not have are left out, their order is the target's.

    Args:
        table: rows of the file.
        target: what :func:`unify` found.
        file: its name, for messages.
        first_row: number of the table's first row within the file.

    Raises:
        SchemaError: a value does not fit, e.g. an unsigned id beyond int64, or text
            that is not UTF-8.
    """
    columns = []
    for field in target:
        column = table[field.name]
        if column.type != field.type:
            column = _cast(column, field, file, first_row)
        if pa.types.is_timestamp(field.type):
            column = _without_lowest(column)
        elif pa.types.is_string(field.type) or pa.types.is_dictionary(field.type):
            column = _utf8(column, field.name, file, first_row)
        columns.append(column)
    return pa.table(columns, schema=target)


def _without_lowest(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Turn the lowest instant into null, as pandas reads it."""
    lowest = np.iinfo(np.int64).min
    ticks = column.cast(pa.int64())
    if pc.min(ticks).as_py() != lowest:
        return column
    return pc.if_else(pc.equal(ticks, lowest), pa.scalar(None, column.type), column)


def _utf8(
    column: pa.ChunkedArray, name: str, file: str, first_row: int
) -> pa.ChunkedArray:
    """Refuse text that nobody can read; where a file is read, nobody has looked."""
    is_encoded = pa.types.is_dictionary(column.type)
    if all(
        _is_utf8(chunk.dictionary if is_encoded else chunk) for chunk in column.chunks
    ):
        return column
    text = column.cast(pa.string())
    for row, value in enumerate(text.cast(pa.binary()).to_pylist()):
        if value is not None and value.decode(errors="replace").encode() != value:
            raise SchemaError(
                f"{file}, row {first_row + row}: column '{name}' is not UTF-8 "
                f"({value[:40]!r}); correct its encoding at the source"
            )
    # Only labels that no row has.
    return text.dictionary_encode()


def _is_utf8(values: pa.StringArray) -> bool:
    content = values.buffers()[2]
    if content is None or not content.size:
        return True
    # Bytes below 128 are ASCII and need no closer look, which is most of what there is.
    if np.frombuffer(content, np.uint8).max() < 128:
        return True
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _cast(
    column: pa.ChunkedArray, field: pa.Field, file: str, first_row: int
) -> pa.ChunkedArray:
    if field.name in IDS and pa.types.is_floating(column.type):
        check_exact_ids(pc.max(pc.abs(column)).as_py(), field.name, file)
    try:
        return _converted(column, field.type)
    except pa.ArrowInvalid as error:
        row = _first_misfit(column, field.type)
        raise SchemaError(
            f"{file}, row {first_row + row}: column '{field.name}' of type "
            f"{column.type} has a value that {field.type} cannot hold ({error}); "
            "correct it at the source"
        ) from error


def _converted(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_timestamp(kind) and pa.types.is_timestamp(column.type):
        # Nanoseconds are cut to microseconds: no rule or feature looks below them.
        return pc.cast(column, kind, safe=column.type.unit != "ns")
    if pa.types.is_dictionary(kind):
        return column.cast(pa.string()).dictionary_encode()
    # Integers that are not exact as floats are beyond what any rule allows.
    is_widened = pa.types.is_integer(column.type) and pa.types.is_floating(kind)
    return column.cast(kind, safe=not is_widened)


def _first_misfit(column: pa.ChunkedArray, kind: pa.DataType) -> int:
    """Return the position of the first value that cannot be converted."""
    fits, ends = 0, len(column)
    while ends - fits > 1:
        middle = (fits + ends) // 2
        try:
            _converted(column.slice(fits, middle - fits), kind)
            fits = middle
        except pa.ArrowInvalid:
            ends = middle
    return fits


def check_exact_ids(largest: float | None, column: str, file: str) -> None:
    """Refuse ids that were read as floats and may have been merged by it.

    pandas turns integers into floats where there are nulls; from 2**53 on, floats
    do not tell neighbouring integers apart.

    Raises:
        SchemaError: the largest id is past what floats hold exactly.
    """
    if largest is not None and largest >= 2**53:
        raise SchemaError(
            f"{file}: column '{column}' was read as floats, and ids up to {largest:g} "
            "are not exact as such. Read it as integers (DaskParquetDataset and "
            "PandasParquetDataset do; for others, dtype_backend: numpy_nullable)."
        )


_EXPECTED = {
    "transaction_id": ("integer", "string"),
    "customer_id": ("integer", "string"),
    "product_category": ("string",),
    "region": ("string",),
    "amount": ("floating", "integer"),
    "quantity": ("integer", "floating"),
    "discount": ("floating", "integer"),
    "timestamp": ("timestamp",),
    "rating": ("floating", "integer"),
    "is_returned": ("boolean",),
}


def _kind(column: str, found: pa.DataType, file: str) -> str:
    """Name the family of a type; "" for a column of nulls only."""
    if pa.types.is_null(found):
        return ""
    value = found.value_type if pa.types.is_dictionary(found) else found
    for kind in _EXPECTED[column]:
        if kind == "string":
            fits = value in (pa.string(), pa.large_string(), pa.string_view())
        else:
            fits = getattr(pa.types, f"is_{kind}")(value)
        if fits:
            return kind
    raise SchemaError(
        f"{file}: column '{column}' is {found}; expected "
        f"{' or '.join(_EXPECTED[column])}. Convert it at the source."
    )
