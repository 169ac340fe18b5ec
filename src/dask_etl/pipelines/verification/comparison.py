"""Exact comparison of columns by value, whatever pandas keeps them as.

Categorical and plain labels, ``datetime.date`` and ``datetime64``, lists and arrays
compare by what they say. Null equals null and NaN; floats compare bit by bit.
"""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from dask_etl.storage.arrays import as_array


def is_same(left: pd.Series, right: pd.Series) -> bool:
    """Tell at memory speed that one column equals another, in the plain cases.

    Args:
        left: a column.
        right: a column to be compared by position.

    Returns:
        True where both are the same bits; false says nothing, :func:`rows_that_match`
        has to look.
    """
    if left.dtype != right.dtype or len(left) != len(right):
        return False
    if isinstance(left.dtype, pd.CategoricalDtype):
        # Equal types may list their categories in another order.
        return left.cat.categories.equals(right.cat.categories) and np.array_equal(
            left.cat.codes, right.cat.codes
        )
    plain = isinstance(left.dtype, np.dtype) and left.dtype.kind in "biufM"
    if plain or isinstance(left.dtype, pd.DatetimeTZDtype):
        kind = f"i{left.dtype.itemsize}"
        one, other = (np.asarray(c.array.view(kind)) for c in (left, right))
        return np.array_equal(one, other)
    return False


def rows_that_match(left: pd.Series, right: pd.Series) -> np.ndarray:
    """Whether each row of one column is the same value as in the other.

    Args:
        left: a column.
        right: as many rows, to be compared by position.
    """
    try:
        one, other = _same_type(_arrow(left), _arrow(right))
    except (pa.ArrowException, TypeError):
        # no common exact type: Python compares, say, an int and a float exactly
        pairs = zip(map(_plain, left), map(_plain, right), strict=True)
        return np.fromiter((_same(a, b) for a, b in pairs), bool, len(left))
    return _rows_that_match(one, other)


def _arrow(column: pd.Series) -> pa.Array:
    return as_array(pa.Array.from_pandas(column))


def _same_type(left: pa.Array, right: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Both in one Arrow type without loss; TypeError if there is none."""
    if types.is_dictionary(left.type) and left.type == right.type:
        both = pa.chunked_array([left, right]).unify_dictionaries()
        return both.chunk(0).indices, both.chunk(1).indices
    left, right = _decoded(left), _decoded(right)
    if left.type == right.type:
        return left, right
    if types.is_null(left.type) or _kind(left.type) == _kind(right.type):
        try:
            return left.cast(right.type), right
        except pa.ArrowInvalid:
            return left, right.cast(left.type)
    if types.is_null(right.type):
        return left, right.cast(left.type)
    raise TypeError(f"{left.type} and {right.type} have no type in common")


def _decoded(values: pa.Array) -> pa.Array:
    if types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if types.is_string(values.type):
        values = values.cast(pa.large_string())
    elif types.is_date(values.type):
        values = values.cast(pa.timestamp("ms"))
    return values


def _kind(kind: pa.DataType) -> str:
    if types.is_integer(kind) or types.is_floating(kind):
        return "number"
    if types.is_timestamp(kind):
        return "instant" if kind.tz else "local time"
    if types.is_list(kind) or types.is_large_list(kind):
        return f"list of {_kind(kind.value_type)}"
    return str(kind)


def _rows_that_match(left: pa.Array, right: pa.Array) -> np.ndarray:
    """Comparison of two arrays of one type, row by row."""
    if not _has_floats(left.type) and left.equals(right):
        return np.ones(len(left), bool)
    if types.is_list(left.type) or types.is_large_list(left.type):
        equal = _lists_that_match(left, right)
    elif types.is_null(left.type):
        return np.ones(len(left), bool)
    else:
        equal = pc.fill_null(pc.equal(_bits(left), _bits(right)), False)
        equal = equal.to_numpy(zero_copy_only=False)
    if left.null_count == 0 and right.null_count == 0:
        return equal
    null_left = left.is_null().to_numpy(zero_copy_only=False)
    null_right = right.is_null().to_numpy(zero_copy_only=False)
    return np.where(null_left | null_right, null_left & null_right, equal)


def _has_floats(kind: pa.DataType) -> bool:
    """Arrow's own equality takes -0.0 for 0.0."""
    if types.is_list(kind) or types.is_large_list(kind):
        return _has_floats(kind.value_type)
    return types.is_floating(kind)


def _bits(values: pa.Array) -> pa.Array:
    """Floats as the integers that their bits spell, so that -0.0 differs from 0.0."""
    if types.is_floating(values.type):
        return values.view(pa.int64() if values.type.bit_width == 64 else pa.int32())
    return values


def _lists_that_match(left: pa.Array, right: pa.Array) -> np.ndarray:
    length_left, length_right = (
        pc.fill_null(pc.list_value_length(values), 0).to_numpy()
        for values in (left, right)
    )
    matches = length_left == length_right
    comparable = pa.array(matches)
    elements = _rows_that_match(
        pc.list_flatten(left.filter(comparable)),
        pc.list_flatten(right.filter(comparable)),
    )
    row_of_element = np.repeat(np.flatnonzero(matches), length_left[matches])
    matches[row_of_element[~elements]] = False
    return matches


def _plain(value):
    """A cell as plain Python: lists for arrays, None for every null."""
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(item) for item in value]
    if pd.isna(value):
        return None
    if isinstance(value, np.datetime64):
        return pd.Timestamp(value)
    return value.item() if isinstance(value, np.generic) else value


def _same(left, right) -> bool:
    if isinstance(left, bool) is not isinstance(right, bool):
        return False
    if isinstance(left, float) and isinstance(right, float):
        return left.hex() == right.hex()
    return left == right


def as_text(value) -> str:
    """A cell as an error message shows it: short, and exact for floats."""
    value = _plain(value)
    if value is None:
        return "null"
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    text = str(value) if hasattr(value, "isoformat") else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
