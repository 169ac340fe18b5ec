"""What is known of a kept line beyond its raw columns: money, price class, calendar."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dask_etl.retail import schema
from dask_etl.retail.calendar import calendar, day_numbers
from dask_etl.retail.parameters import Calendar, Cleaning, Currency, Features
from dask_etl.retail.rules import is_id, numbers, stored
from dask_etl.retail.schema import PRICE_CATEGORIES, UNKNOWN
from dask_etl.storage.arrays import as_array, take

_OPTIONAL = ("discount", "rating", "is_returned")
"""Columns besides the labels that kept rows may lack."""


def fill_missing(
    table: pa.Table,
    labels: Mapping[str, pa.Array],
    kept: np.ndarray,
    cleaning: Cleaning,
) -> pa.Table:
    """Take the kept rows and give their optional columns values.

    ``discount`` becomes 0, ``is_returned`` false, the label columns ``"Unknown"``;
    ``rating`` stays null. NaN and ±inf count as missing, and so does what is out of
    range where the rows stay. With ``returns: negative_lines``, ``is_returned`` is
    whether the quantity is negative.

    Args:
        table: raw rows, label columns dictionary-encoded, one chunk per column.
        labels: all labels of the data set by label column, sorted, with "Unknown";
            the result is encoded with them, whatever the partition.
        kept: numbers of the rows that stay.
        cleaning: whether ``quantity`` becomes int64 or float64, and which lines are
            returns.
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
    discount, has_discount = _finite(table, "discount", kept)
    rating, has_rating = _finite(table, "rating", kept)
    discount[~has_discount] = 0
    # Of what was out of range, only rows stay whose value is to be blanked.
    if cleaning.action("discount_out_of_range") == "blank":
        discount[(discount < 0) | (discount > 1)] = 0
    if cleaning.action("rating_out_of_range") == "blank":
        has_rating &= (rating >= 1) & (rating <= 5)
    if cleaning.returns == "negative_lines":
        is_returned = numbers(table, "quantity").take(kept) < 0
    else:
        flag = as_array(table["is_returned"]).fill_null(False)
        is_returned = flag.to_numpy(zero_copy_only=False).take(kept)
    filled = {
        **dict(zip(required.column_names, required.columns, strict=True)),
        "quantity": required["quantity"].cast(schema.QUANTITIES[cleaning.quantity]),
        "discount": discount,
        "rating": pa.array(rating, mask=~has_rating),
        "is_returned": is_returned,
        **{name: _relabel(table[name], known, kept) for name, known in labels.items()},
    }
    if cleaning.action("missing_customer_id") == "keep":
        filled["customer_id"] = _unless_blank(filled["customer_id"])
    if "order_id" in filled:
        filled["order_id"] = _unless_blank(filled["order_id"])
    if "line_total" in filled:
        total = numbers(required, "line_total")
        filled["line_total"] = pa.array(total, mask=~np.isfinite(total))
    return pa.table({name: filled[name] for name in table.column_names})


def _unless_blank(column: pa.ChunkedArray) -> pa.Array:
    """Make ids that are empty or blank null."""
    ids = as_array(column)
    has_id = is_id(ids)
    if has_id is np.True_ or has_id.all():
        return ids
    return pc.if_else(pa.array(has_id), ids, pa.scalar(None, ids.type))


def _finite(
    table: pa.Table, column: str, kept: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Take the kept rows of a float64 column, and tell which of them are finite.

    Of the others, the value may be anything: to write NaN for nulls costs more.
    """
    values, is_there = stored(table, column)
    taken = values.take(kept)
    is_finite = np.isfinite(taken)
    if is_there is not np.True_:
        is_finite &= is_there.take(kept)
    return taken, is_finite


def _taken(column: pa.ChunkedArray, kept: np.ndarray, gone: pa.Array) -> pa.Array:
    """Take the kept rows of a column of numbers, instants or text.

    As a rule, all nulls of a column are in the rows that are gone (which are few);
    then values are taken without looking at each for null, four times as fast.
    """
    values = as_array(column)
    nulls = values.null_count
    return take(
        values, kept, has_nulls=nulls > 0 and nulls > values.take(gone).null_count
    )


def _relabel(
    column: pa.ChunkedArray, labels: pa.Array, kept: np.ndarray
) -> pa.DictionaryArray:
    """Take rows of a dictionary column, in the codes of ``labels``; null = "Unknown"."""
    local = as_array(column)
    lookup = pc.index_in(local.dictionary, labels).fill_null(-1).to_numpy()
    # The last entry of the look-up is that of a null, whose index is read as -1.
    unknown = pc.index(labels, UNKNOWN).as_py()
    lookup = np.append(lookup, np.int32(unknown))
    indices = local.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return pa.DictionaryArray.from_arrays(lookup[indices.take(kept)], labels)


def add_features(
    table: pa.Table,
    cleaning: Cleaning,
    features: Features,
    calendar_of: Calendar,
    currency: Currency,
) -> pa.Table:
    """Append ``net_amount`` … ``day_of_week`` to kept, filled rows.

    Money: ``net_amount`` = amount × (1 − discount); ``revenue`` = whole cents of
    net_amount × quantity, rounded half to even, in currency units. The rules let pass
    no line that reaches 2**53 cents. With ``revenue: total``, a line that has a total
    is worth that in whole cents, and ``net_amount`` = line_total ÷ quantity.
    """
    amount, quantity = numbers(table, "amount"), numbers(table, "quantity")
    net_amount = amount * (1 - numbers(table, "discount"))
    cents = np.rint(net_amount * quantity * currency.cents)
    if cleaning.revenue == "total":
        total = numbers(table, "line_total")
        has_total = np.isfinite(total)
        net_amount = np.where(has_total, total / quantity, net_amount)
        cents = np.where(has_total, np.rint(total * currency.cents), cents)
    columns = {
        "net_amount": net_amount,
        "revenue": cents / currency.cents,
        "price_category": _price_category(amount, features.price_bounds),
        **calendar(day_numbers(table, calendar_of.timezone)),
    }
    known = dict(zip(table.column_names, table.columns, strict=True))
    return pa.table({**known, **columns})


def _price_category(
    amount: np.ndarray, bounds: tuple[float, ...]
) -> pa.DictionaryArray:
    codes = sum((amount > bound).view(np.int8) for bound in bounds)
    return pa.DictionaryArray.from_arrays(codes, pa.array(PRICE_CATEGORIES))
