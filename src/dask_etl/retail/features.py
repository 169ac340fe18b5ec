"""What is known of a kept line beyond its raw columns: money, price class, calendar."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dask_etl.retail import schema
from dask_etl.retail.parameters import Cleaning, Features
from dask_etl.retail.rules import numbers
from dask_etl.retail.schema import PRICE_CATEGORIES, UNKNOWN

_OPTIONAL = ("discount", "rating", "is_returned")
"""Columns besides the labels that kept rows may lack."""

MICROSECONDS_PER_DAY = 86_400_000_000


def fill_missing(
    table: pa.Table,
    labels: Mapping[str, pa.Array],
    kept: np.ndarray,
    cleaning: Cleaning,
) -> pa.Table:
    """Take the kept rows and give their optional columns values.

    ``discount`` becomes 0, ``is_returned`` false, the label columns ``"Unknown"``;
    ``rating`` stays null. NaN and ±inf count as missing.

    Args:
        table: raw rows, label columns dictionary-encoded, one chunk per column.
        labels: all labels of the data set by label column, sorted, with "Unknown";
            the result is encoded with them, whatever the partition.
        kept: numbers of the rows that stay.
        cleaning: whether ``quantity`` becomes int64 or float64.
    """
    is_gone = np.ones(len(table), bool)
    is_gone[kept] = False
    gone = pa.array(is_gone.nonzero()[0])
    required = pa.table(
        {
            name: _taken(table[name], kept, gone)
            for name in table.column_names
            if name not in (*labels, *_OPTIONAL)
        }
    )
    discount, rating = (numbers(table, name).take(kept) for name in _OPTIONAL[:2])
    discount[~np.isfinite(discount)] = 0
    is_returned = table["is_returned"].combine_chunks().fill_null(False)
    filled = {
        **dict(zip(required.column_names, required.columns, strict=True)),
        "quantity": required["quantity"].cast(schema.QUANTITIES[cleaning.quantity]),
        "discount": discount,
        "rating": pa.array(rating, mask=~np.isfinite(rating)),
        "is_returned": is_returned.to_numpy(zero_copy_only=False).take(kept),
        **{name: _relabel(table[name], known, kept) for name, known in labels.items()},
    }
    return pa.table({name: filled[name] for name in table.column_names})


def _taken(column: pa.ChunkedArray, kept: np.ndarray, gone: pa.Array) -> pa.Array:
    """Take the kept rows of a column of 8-byte values or text.

    As a rule, all nulls of a column are in the rows that are gone (which are few);
    then values are taken without looking at each for null, four times as fast.
    """
    values = column.combine_chunks()
    if (
        not pa.types.is_primitive(values.type)
        or not len(values)
        or values.null_count > values.take(gone).null_count
    ):
        return values.take(pa.array(kept))
    return pa.array(_buffer(values).take(kept)).view(values.type)


def _buffer(values: pa.Array) -> np.ndarray:
    """View the values of an 8-byte column, where they are null whatever stands there."""
    kind = np.float64 if pa.types.is_floating(values.type) else np.int64
    whole = np.frombuffer(values.buffers()[1], kind)
    return whole[values.offset :][: len(values)]


def _relabel(
    column: pa.ChunkedArray, labels: pa.Array, kept: np.ndarray
) -> pa.DictionaryArray:
    """Take rows of a dictionary column, in the codes of ``labels``; null = "Unknown"."""
    local = column.combine_chunks()
    lookup = pc.index_in(local.dictionary, labels).fill_null(-1).to_numpy()
    # The last entry of the look-up is that of a null, whose index is read as -1.
    unknown = pc.index(labels, UNKNOWN).as_py()
    lookup = np.append(lookup, np.int32(unknown))
    indices = local.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return pa.DictionaryArray.from_arrays(lookup[indices.take(kept)], labels)


def add_features(table: pa.Table, features: Features) -> pa.Table:
    """Append ``net_amount`` … ``day_of_week`` to kept, filled rows.

    Money: ``net_amount`` = amount × (1 − discount); ``revenue`` = whole cents of
    net_amount × quantity, rounded half to even, in currency units. The rules let pass
    no line that reaches 2**53 cents.
    """
    amount, quantity = numbers(table, "amount"), numbers(table, "quantity")
    net_amount = amount * (1 - numbers(table, "discount"))
    cents = np.rint(net_amount * quantity * 100)
    days = day_numbers(table)
    columns = {
        "net_amount": net_amount,
        "revenue": cents / 100,
        "price_category": _price_category(amount, features.price_bounds),
        **calendar(days),
    }
    known = dict(zip(table.column_names, table.columns, strict=True))
    return pa.table({**known, **columns})


def day_numbers(table: pa.Table) -> np.ndarray:
    """Days since 1970-01-01 (UTC) of each row's timestamp, int64."""
    micros = table["timestamp"].combine_chunks().cast(pa.int64()).to_numpy()
    return micros // MICROSECONDS_PER_DAY


def calendar(days: np.ndarray) -> dict[str, np.ndarray]:
    """Year, month, quarter and day of week (Monday = 0) of day numbers."""
    if not len(days):
        first = last = 0
    else:
        first, last = int(days.min()), int(days.max())
    # Data spans a few thousand days: look them up instead of computing each row's.
    known = _calendar_of(first, last)
    offsets = days - first
    return {name: values[offsets] for name, values in known.items()}


def _calendar_of(first: int, last: int) -> dict[str, np.ndarray]:
    days = np.arange(first, last + 1)
    months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    month = months % 12 + 1
    return {
        "year": (months // 12 + 1970).astype(np.int16),
        "month": month.astype(np.int8),
        "quarter": ((month + 2) // 3).astype(np.int8),
        # 1970-01-01 was a Thursday (3).
        "day_of_week": ((days + 3) % 7).astype(np.int8),
    }


def _price_category(
    amount: np.ndarray, bounds: tuple[float, ...]
) -> pa.DictionaryArray:
    codes = sum((amount > bound).view(np.int8) for bound in bounds)
    return pa.DictionaryArray.from_arrays(codes, pa.array(PRICE_CATEGORIES))
