"""Bring raw files of differing make to one schema, or refuse them by name.

What differs and does no harm is widened (integers to int64, int to float, any
timestamp to µs UTC, dictionary to plain strings); what would lose or invent data is
refused with the file, the column and the remedy. ``docs/operations.md`` lists it all.
"""

import difflib
import logging
from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dask_etl.errors import ExplainedError
from dask_etl.retail import schema
from dask_etl.retail.parameters import Cleaning
from dask_etl.storage.arrays import as_array

logger = logging.getLogger(__name__)


IDS = ("transaction_id", "customer_id", "order_id")


class SchemaError(ExplainedError, ValueError):
    """A raw file does not have the columns or types of raw transactions."""


def unify(files: Mapping[str, pa.Schema]) -> pa.Schema:
    """Find the raw schema that all files can be widened to.

    Args:
        files: the Arrow schema of every raw file, by file name.

    Returns:
        ``schema.raw`` with the types of the ids and of the quantity filled in; then
        ``schema.OPTIONAL`` columns and any others, those that some file has.

    Raises:
        SchemaError: a column is missing, of the wrong kind, or an id is a number in
            one file and text in another.
    """
    expected = schema.raw()
    kinds: dict[str, dict[str, str]] = {}
    for file, found in files.items():
        for column in expected.names:
            if column not in found.names:
                raise SchemaError(_missing(column, found.names, file))
        for column in (*expected.names, *schema.OPTIONAL.names):
            if column in found.names:
                kind = _kind(column, found.field(column).type, file)
                kinds.setdefault(column, {}).setdefault(kind, file)
    types = {}
    for column in IDS:
        as_text: dict[bool, str] = {}
        for kind, file in kinds.get(column, {}).items():
            if kind:
                as_text.setdefault(kind in ("string", "uuid"), file)
        if len(as_text) > 1:
            raise SchemaError(
                f"column '{column}' is text in {as_text[True]} and a number in "
                f"{as_text[False]}; write it as one type in all files"
            )
        types[column] = pa.string() if True in as_text else pa.int64()
    # What is beyond int64 is out of range, too, and not a reason to stop.
    if {"floating", "decimal"} & {*kinds.get("quantity", {})} or any(
        pa.types.is_uint64(found.field("quantity").type) for found in files.values()
    ):
        types["quantity"] = pa.float64()
    order_id = types.pop("order_id")
    optional = [
        pa.field(name, order_id if name == "order_id" else kind)
        for name, kind in zip(schema.OPTIONAL.names, schema.OPTIONAL.types, strict=True)
        if name in kinds
    ]
    return pa.schema([*schema.raw(**types), *optional, *_further(files)])


def _missing(column: str, found: list[str], file: str) -> str:
    """Say that a column is missing, and which one may be meant."""
    plain = {"".join(filter(str.isalnum, name)).lower(): name for name in found}
    wanted = column.replace("_", "")
    near = difflib.get_close_matches(wanted, plain, 1, 0.75)
    if near:
        return (
            f"{file}: column '{column}' is missing; did you mean "
            f"'{plain[near[0]]}'? Rename it at the source."
        )
    return (
        f"{file}: column '{column}' is missing (found: {', '.join(found)}). Name the "
        "column that has it so at the source; add it, with nulls, if it is not known."
    )


def _further(files: Mapping[str, pa.Schema]) -> list[pa.Field]:
    """Find the columns of no concern here, which may be kept, by one type each."""
    types: dict[str, set[pa.DataType]] = {}
    for found in files.values():
        for field in found:
            if field.name not in schema.TAKEN:
                types.setdefault(field.name, set()).add(_plain_type(field.type))
    return [
        pa.field(name, kind)
        for name, kinds in types.items()
        if (kind := _common(kinds)) is not None
    ]


def _plain_type(kind: pa.DataType) -> pa.DataType | None:
    """Return the one type of its family that a kept column has; None if it cannot be kept."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    families = (
        ((pa.string(), pa.large_string(), pa.string_view()), pa.string()),
        ((pa.int8(), pa.int16(), pa.int32(), pa.int64()), pa.int64()),
        ((pa.uint8(), pa.uint16(), pa.uint32()), pa.int64()),
        ((pa.float16(), pa.float32(), pa.float64()), pa.float64()),
        ((pa.bool_(), pa.date32(), pa.null()), kind),
    )
    for members, plain in families:
        if kind in members:
            return plain
    if pa.types.is_timestamp(kind):
        return schema.TIMESTAMP
    return None


def _common(kinds: set[pa.DataType | None]) -> pa.DataType | None:
    """Find a type for a column of several files; what is null only fits any."""
    some = kinds - {pa.null()}
    if not some:
        return pa.string()
    if some == {pa.int64(), pa.float64()}:
        return pa.float64()
    return some.pop() if len(some) == 1 else None


def check_columns(found: Iterable[str], cleaning: Cleaning) -> None:
    """See that raw transactions have what the parameters ask for; tell what is not used.

    Args:
        found: names of the columns.
        cleaning: which further columns are kept, and whether lines have totals.

    Raises:
        SchemaError: a column is not there, or cannot be kept.
    """
    names = [*found]
    further = [name for name in names if name not in schema.TAKEN]
    for name in cleaning.keep:
        if name not in names:
            there = f"there are {', '.join(further)}" if further else "there is none"
            raise SchemaError(
                f"raw transactions: cleaning.keep names '{name}', and no such further "
                f"column of text, numbers, flags or times is there ({there}). Correct "
                "the name, or write the column as one type in all files."
            )
    if cleaning.revenue == "total" and "line_total" not in names:
        raise SchemaError(
            "raw transactions: cleaning.revenue is 'total', and there is no column "
            "'line_total'. Add it, or set cleaning.revenue to computed."
        )
    for name in further:
        if name not in cleaning.keep:
            logger.warning(
                "raw transactions: column '%s' is not used and is left out", name
            )


def conform(
    table: pa.Table, target: pa.Schema, file: str, first_row: int = 0
) -> pa.Table:
    """Cast a raw file's rows to the unified schema.

    Columns that the target does not have are left out, their order is the target's;
    those that the file does not have are null.

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
        if field.name not in table.column_names:
            # What not all files have.
            columns.append(pa.chunked_array([pa.nulls(len(table), field.type)]))
            continue
        column = table[field.name]
        if column.type != field.type:
            column = _cast(column, field, file, first_row)
        if pa.types.is_timestamp(field.type):
            column = _without_lowest(column)
        elif pa.types.is_floating(field.type) and field.name not in schema.TAKEN:
            # NaN says no more than null does; one of them is enough for readers.
            column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
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
    if _is_uuid(column.type):
        return _uuid_text(column)
    if pa.types.is_decimal(column.type) and pa.types.is_floating(kind):
        # Arrow reads text to the nearest float, which its own conversion may miss.
        return column.cast(pa.string()).cast(kind)
    if pa.types.is_floating(column.type) and pa.types.is_integer(kind):
        # pandas has integers as floats where some are missing.
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    if pa.types.is_integer(column.type) and pa.types.is_boolean(kind):
        # The safe way: 2 is no flag.
        column = column.cast(pa.string())
    if pa.types.is_timestamp(kind) and pa.types.is_timestamp(column.type):
        # Nanoseconds are cut to microseconds: no rule or feature looks below them.
        return pc.cast(column, kind, safe=column.type.unit != "ns")
    if pa.types.is_dictionary(kind):
        return column.cast(pa.string()).dictionary_encode()
    # Integers that are not exact as floats are beyond what any rule allows.
    is_widened = pa.types.is_integer(column.type) and pa.types.is_floating(kind)
    return column.cast(kind, safe=not is_widened)


def _is_uuid(kind: pa.DataType) -> bool:
    return kind == pa.uuid() or kind == pa.binary(16)


def _uuid_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Write UUIDs as people do: 8-4-4-4-12 hexadecimal digits."""
    values = as_array(column)
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    there = values.drop_null()
    digits = np.array([value.hex() for value in there.to_pylist()], "S32")
    letters = digits.view("S1").reshape(-1, 32)
    parts = np.split(letters, [8, 12, 16, 20], axis=1)
    dash = np.full((len(letters), 1), b"-")
    joined = np.hstack([p for part in parts for p in (dash, part)][1:])
    text = np.ascontiguousarray(joined).view("S36").ravel().astype(str)
    places = pc.if_else(
        values.is_valid(),
        pa.array(np.cumsum(values.is_valid().to_numpy(zero_copy_only=False)) - 1),
        None,
    )
    return pa.chunked_array([pa.array(text, pa.string()).take(places)])


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
    "transaction_id": ("integer", "string", "floating", "uuid"),
    "customer_id": ("integer", "string", "floating", "uuid"),
    "product_category": ("string",),
    "region": ("string",),
    "amount": ("floating", "integer", "decimal"),
    "quantity": ("integer", "floating", "decimal"),
    "discount": ("floating", "integer", "decimal"),
    "timestamp": ("timestamp", "date32"),
    "rating": ("floating", "integer", "decimal"),
    "is_returned": ("boolean", "integer"),
    "order_id": ("integer", "string", "floating", "uuid"),
    "line_total": ("floating", "integer", "decimal"),
}


def _kind(column: str, found: pa.DataType, file: str) -> str:
    """Name the family of a type; "" for a column of nulls only."""
    if pa.types.is_null(found):
        return ""
    value = found.value_type if pa.types.is_dictionary(found) else found
    for kind in _EXPECTED[column]:
        if kind == "string":
            fits = value in (pa.string(), pa.large_string(), pa.string_view())
        elif kind == "uuid":
            fits = _is_uuid(value)
        else:
            fits = getattr(pa.types, f"is_{kind}")(value)
        if fits:
            return kind
    raise SchemaError(
        f"{file}: column '{column}' is {found}; expected "
        f"{' or '.join(_EXPECTED[column])}. Convert it at the source."
    )
