"""The two summaries that every analysis rolls up: partial per partition, then merged.

A *partial* holds whole numbers only (revenue in cents, ratings in millionths), so that
merging is exact, associative and commutative: any partitioning gives the same table.
Where and when a customer bought travels as :mod:`dask_etl.retail.sets`. Partials pass
through files, so they are no wider than they need be: sums are int32 where they fit,
until merged.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dask_etl.retail import schema, tables
from dask_etl.retail.calendar import day_numbers
from dask_etl.retail.parameters import Calendar, Currency
from dask_etl.retail.rules import numbers
from dask_etl.retail.sets import lists_of, named, sets_of, union
from dask_etl.retail.totals import MILLIONTHS, check_round_trip, check_total
from dask_etl.storage.arrays import as_array
from dask_etl.tables import Table

SUMS = (
    "lines",
    "units",
    "unit_millionths",
    "revenue_cents",
    "returned_lines",
    "returned_units",
    "returned_unit_millionths",
    "returned_revenue_cents",
    "rating_millionths",
    "rating_count",
)
"""What is added up, returns by their absolute values; quantities as ``unit_millionths`` where they may have decimals."""

TOLD_SUMS = {
    "rating_millionths": "rating_sum",
    "unit_millionths": "units",
    "returned_unit_millionths": "returned_units",
}
"""What sums of millionths are called in the tables, where they are quotients."""

SETS = ("regions", "product_categories", "months")
JOINED = {
    "first": (np.iinfo(np.int64).max, np.minimum),
    "last": (np.iinfo(np.int64).min, np.maximum),
}
"""How what is no sum is joined: what to begin with, and the function."""

ORDER_KEYS = ["order_id", "customer_id"]
CUBE_KEYS = ("day", "region", "product_category")
_MOST_CELLS = 2**63

Measures = tuple[tuple[np.ndarray | None, dict[str, np.ndarray | None]], ...]
"""What to add up, by the rows that count (None for all): by name the values, float64
and whole, or None to count rows."""


@dataclass(frozen=True)
class Domain:
    """What only a look at every row tells: the labels and the months there are.

    Attributes:
        labels: all labels by label column, sorted, "Unknown" among them,
            as Arrow strings.
        first_month: first calendar month of the kept rows, months since 1970.
        months: how many calendar months the kept rows span.
    """

    labels: dict[str, pa.Array]
    first_month: int
    months: int


def measures(table: pa.Table, currency: Currency) -> Measures:
    """Find what to add up of clean rows, once for all summaries.

    A line of negative quantity is a return, and no sale: nothing of it is added up but
    what came back.
    """
    cents = np.rint(numbers(table, "revenue") * currency.cents)
    quantity = numbers(table, "quantity")
    units = "units"
    if quantity.dtype.kind == "f":
        units, quantity = "unit_millionths", np.rint(quantity * MILLIONTHS)
    # As float64, which bincount would make of it for every summary.
    quantity = quantity.astype(np.float64)
    sold = sales(quantity)
    returned = numbers(table, "is_returned").nonzero()[0]
    rating = numbers(table, "rating")
    is_rated = np.isfinite(rating)
    if sold is not None:
        is_rated &= quantity > 0
    rated = is_rated.nonzero()[0]
    return (
        (
            sold,
            {
                "lines": None,
                units: quantity if sold is None else quantity[sold],
                "revenue_cents": cents if sold is None else cents[sold],
            },
        ),
        (
            returned,
            {
                "returned_lines": None,
                f"returned_{units}": np.abs(quantity[returned]),
                "returned_revenue_cents": np.abs(cents[returned]),
            },
        ),
        (
            rated,
            {
                "rating_millionths": np.rint(rating[rated] * MILLIONTHS),
                "rating_count": None,
            },
        ),
    )


def sales(quantity: np.ndarray) -> np.ndarray | None:
    """Number the lines that are sales and not returns only; None if all of them are."""
    is_sale = quantity > 0
    return None if is_sale.all() else is_sale.nonzero()[0]


def _sums(measured: Measures, groups: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """Add up every measure per group; refuse what float64 did not add up exactly."""
    groups = groups.astype(np.intp, copy=False)
    sums = {}
    for rows, values in measured:
        chosen = groups if rows is None else groups[rows]
        for name, weights in values.items():
            found = np.bincount(chosen, weights=weights, minlength=count)
            check_total(name, found)
            is_small = found.max(initial=0) <= np.iinfo(np.int32).max
            sums[name] = found.astype(np.int32 if is_small else np.int64)
    return sums


def cube_partial(table: pa.Table, measured: Measures, calendar: Calendar) -> pa.Table:
    """Sum clean rows by day × region × product category.

    Args:
        table: ``CLEAN_TRANSACTIONS`` rows whose label columns share one dictionary over
            all partitions.
        measured: their :func:`measures`.
        calendar: whose days they are.

    Returns:
        ``day`` (days since 1970), ``region``, ``product_category`` (dictionary
        codes) and :data:`SUMS`, whole numbers; one row per cell that has lines,
        sorted by cell.

    Raises:
        InexactTotal: the partition's total of a measure reaches 2**53.
    """
    region, category = (as_array(table[name]) for name in CUBE_KEYS[1:])
    keys = [
        day_numbers(table, calendar.timezone).astype(np.int32),
        region.indices.to_numpy(),
        category.indices.to_numpy(),
    ]
    cells, shape = _cells(keys)
    if cells is not None and 0 < math.prod(shape) <= 2 * len(table):
        sums = _sums(measured, cells, math.prod(shape))
        # Of lines that are no sales, all came back.
        present = (sums["lines"] + sums["returned_lines"]).nonzero()[0]
        sums = {name: values[present] for name, values in sums.items()}
        first = [key.min() for key in keys]
        found = np.unravel_index(present, shape)
        keys = [place + low for place, low in zip(found, first, strict=True)]
    else:
        # Most cells are empty: memory follows the rows, not days × labels.
        order, starts = _by_cell(keys)
        group = np.zeros(len(table), np.int32)
        group[starts[1:]] = 1
        numbering = np.empty(len(table), np.int32)
        numbering[order] = group.cumsum(dtype=np.int32)
        sums = _sums(measured, numbering, len(starts))
        keys = [key[order[starts]] for key in keys]
    return pa.table(
        {
            **{
                name: pa.array(key, pa.int32())
                for name, key in zip(CUBE_KEYS, keys, strict=True)
            },
            **sums,
        }
    )


def _cells(keys: Sequence[np.ndarray]) -> tuple[np.ndarray | None, tuple[int, ...]]:
    """Number the cells of a box that holds all keys, in the order of the keys.

    Returns:
        The number of each row's cell, None if int64 could not hold it; the box.
    """
    if not len(keys[0]):
        return np.empty(0, np.int64), (0,) * len(keys)
    lowest = [int(key.min()) for key in keys]
    shape = tuple(
        int(key.max()) - low + 1 for key, low in zip(keys, lowest, strict=True)
    )
    if math.prod(shape) >= _MOST_CELLS:
        return None, shape
    cells = keys[0].astype(np.int64)
    cells -= lowest[0]
    for key, low, size in zip(keys[1:], lowest[1:], shape[1:], strict=True):
        cells *= size
        cells += key
        if low:
            cells -= low
    return cells, shape


def _by_cell(keys: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Sort rows by several keys, the first one first.

    Returns:
        The order of the rows, and where in it each new combination begins.
    """
    cells, _ = _cells(keys)
    order = np.lexsort(keys[::-1]) if cells is None else np.argsort(cells)
    begins = np.ones(len(order), bool)
    begins[1:] = False
    for key in keys if cells is None else [cells]:
        ordered = key[order]
        begins[1:] |= ordered[1:] != ordered[:-1]
    return order, begins.nonzero()[0]


def merge_cubes(partials: Sequence[pa.Table]) -> pa.Table:
    """Merge cube partials into one, sorted by day and codes.

    Raises:
        InexactTotal: their total of a measure reaches 2**53.
    """
    joined = _joined(partials)
    keys = [joined[name].to_numpy() for name in CUBE_KEYS]
    order, starts = _by_cell(keys)
    merged = {
        name: key[order[starts]] for name, key in zip(CUBE_KEYS, keys, strict=True)
    }
    for name in joined.column_names[len(CUBE_KEYS) :]:
        values = joined[name].to_numpy()[order]
        check_total(name, values)
        merged[name] = (
            np.add.reduceat(values, starts, dtype=np.int64)
            if len(starts)
            else values.astype(np.int64)
        )
    return pa.table(merged)


def finish_cube(merged: pa.Table, domain: Domain) -> pa.Table:
    """Turn a merged cube partial into ``SALES_CUBE``."""
    columns = _finished_sums(merged)
    columns["day"] = merged["day"].cast(pa.date32())
    for name in CUBE_KEYS[1:]:
        columns[name] = domain.labels[name].take(merged[name])
    return _as(tables.SALES_CUBE, columns)


def customers_partial(
    table: pa.Table, domain: Domain, measured: Measures, currency: Currency
) -> pa.Table:
    """Sum clean rows by customer, and note where and when each bought.

    Rows without a customer are left out. Where, when and in which orders a customer
    bought is told by sales, and by no returns.

    Args:
        table: ``CLEAN_TRANSACTIONS`` rows whose label columns are encoded with the domain's
            labels.
        domain: the labels and months of the whole data set.
        measured: the :func:`measures` of the rows.
        currency: what they were measured in.

    Returns:
        One row per customer: ``customer_id``, :data:`SUMS`, ``first``/``last``
        purchase (µs since 1970) and the sets ``regions``, ``product_categories``
        (codes) and ``months`` (counted from the domain's first); where lines have an
        ``order_id``, the list ``orders``.
    """
    if table["customer_id"].null_count:
        table = table.filter(table["customer_id"].is_valid()).combine_chunks()
        measured = measures(table, currency)
    codes, ids = encode(as_array(table["customer_id"]))
    sums = _sums(measured, codes, len(ids))
    sold = sales(numbers(table, "quantity"))
    if sold is not None:
        told = {"timestamp", "year", "month", *CUBE_KEYS, "order_id"}
        table = table.select([n for n in table.column_names if n in told]).take(sold)
        codes = codes[sold]
    micros = as_array(table["timestamp"]).cast(pa.int64()).to_numpy()
    first = np.full(len(ids), np.iinfo(np.int64).max)
    last = np.full(len(ids), np.iinfo(np.int64).min)
    # Half the time of assigning all and repairing the violators, measured.
    np.minimum.at(first, codes, micros)
    np.maximum.at(last, codes, micros)
    month = numbers(table, "year").astype(np.int32) * 12
    month += numbers(table, "month")
    month -= 1970 * 12 + 1 + domain.first_month
    region, category = (as_array(table[name]) for name in CUBE_KEYS[1:])
    sets = (
        ("regions", region.indices.to_numpy(), len(region.dictionary)),
        ("product_categories", category.indices.to_numpy(), len(category.dictionary)),
        ("months", month, domain.months),
    )
    columns = {
        "customer_id": ids,
        **sums,
        "first": first,
        "last": last,
        **{name: sets_of(codes, values, len(ids), size) for name, values, size in sets},
    }
    if "order_id" in table.column_names:
        has_order = as_array(table["order_id"].is_valid())
        orders = as_array(table["order_id"]).filter(has_order)
        codes = codes[has_order.to_numpy(zero_copy_only=False)]
        columns["orders"] = distinct_orders(codes, orders, len(ids))
    return pa.table(columns)


def distinct_orders(groups: np.ndarray, orders: pa.Array, count: int) -> pa.ListArray:
    """List the orders of each group, each once."""
    codes, ids = encode(orders)
    return named(lists_of(groups, codes, count, len(ids)), ids)


def encode(ids: pa.Array) -> tuple[np.ndarray, pa.Array]:
    """Number the distinct ids of a column: (number of each row, ids by number)."""
    if pa.types.is_integer(ids.type) and len(ids):
        values = ids.to_numpy()
        lowest, highest = int(values.min()), int(values.max())
        if highest - lowest < 8 * len(values):
            # Ids without large gaps need no hash table: count them in place.
            offsets = values - lowest
            present = np.zeros(highest - lowest + 1, bool)
            present[offsets] = True
            found = present.nonzero()[0]
            numbering = np.empty(len(present), np.int32)
            numbering[found] = np.arange(len(found), dtype=np.int32)
            return numbering[offsets], pa.array(found + lowest, ids.type)
    encoded = ids.dictionary_encode()
    return encoded.indices.to_numpy(), encoded.dictionary


def merge_customers(partials: Sequence[pa.Table]) -> pa.Table:
    """Merge customer partials, each with a customer once, into one of the same kind."""
    # At once: with hundreds of partials, calls would take longer than their work.
    joined = _joined(partials)
    codes, ids = encode(as_array(joined["customer_id"]))
    places_of = np.split(codes, np.cumsum([len(partial) for partial in partials])[:-1])
    columns = {"customer_id": ids}
    for name in joined.column_names[1:]:
        if name in SETS:
            found = [as_array(partial[name]) for partial in partials]
            columns[name] = union(zip(places_of, found, strict=True), len(ids))
            continue
        values = as_array(joined[name])
        if name == "orders":
            groups = np.repeat(codes, values.value_lengths().to_numpy())
            columns[name] = distinct_orders(groups, values.flatten(), len(ids))
            continue
        start, join = JOINED.get(name, (0, np.add))
        merged = np.full(len(ids), start, np.int64)
        join.at(merged, codes, values.cast(pa.int64()).to_numpy())
        columns[name] = merged
    return pa.table(columns)


def _joined(partials: Sequence[pa.Table]) -> pa.Table:
    """Concatenate partials; what was merged before has wider counts than the others."""
    return pa.concat_tables(partials, promote_options="permissive")


def finish_customers(merged: pa.Table, domain: Domain) -> pa.Table:
    """Turn a merged customer partial into ``CUSTOMERS``, sorted by customer."""
    merged = merged.sort_by("customer_id")
    columns = _finished_sums(merged)
    # Who has returned something and bought nothing has no first purchase.
    has_bought = pc.greater(merged["lines"], 0)
    for name in ("first", "last"):
        moments = merged[name].cast(schema.TIMESTAMP)
        columns[f"{name}_purchase"] = pc.if_else(has_bought, moments, None)
    if "orders" in columns:
        columns["orders"] = pc.list_value_length(merged["orders"])
    for name, members in members_of(domain).items():
        columns[name] = named(as_array(merged[name]), members)
    return _as(tables.CUSTOMERS, columns)


def members_of(domain: Domain) -> dict[str, pa.Array]:
    """Return what the numbers in each of :data:`SETS` stand for."""
    months = np.arange(domain.first_month, domain.first_month + domain.months)
    dates = months.astype("datetime64[M]").astype("datetime64[D]")
    return {
        "regions": domain.labels["region"],
        "product_categories": domain.labels["product_category"],
        "months": pa.array(dates, pa.date32()),
    }


def _finished_sums(merged: pa.Table) -> dict[str, pa.ChunkedArray | np.ndarray]:
    columns = {name: merged[name] for name in merged.column_names}
    for name, told in TOLD_SUMS.items():
        if name in columns:
            millionths = merged[name].to_numpy()
            check_round_trip(name, millionths)
            columns[told] = millionths / MILLIONTHS
    return columns


def _as(table: Table, columns: dict) -> pa.Table:
    names = [*table.schema.names, *table.optional.names]
    made = pa.table({name: columns[name] for name in names if name in columns})
    return made.cast(table.schema_for(made.schema))


def orders_partial(table: pa.Table, measured: Measures) -> pa.Table:
    """Sum clean rows by order, which is an ``order_id`` of one customer.

    Args:
        table: ``CLEAN_TRANSACTIONS`` rows that have an ``order_id``, or null.
        measured: their :func:`measures`.

    Returns:
        ``order_id``, ``customer_id`` (null: of nobody known) and :data:`SUMS` but those
        of ratings.
    """
    columns = {name: table[name] for name in ORDER_KEYS}
    for rows, values in measured:
        for name, weights in values.items():
            if name.startswith("rating"):
                continue
            added = np.zeros(len(table), np.int64)
            added[slice(None) if rows is None else rows] = (
                1 if weights is None else weights
            )
            columns[name] = added
    lines = pa.table(columns)
    return merge_orders([lines.filter(lines["order_id"].is_valid())])


def merge_orders(partials: Sequence[pa.Table]) -> pa.Table:
    """Merge order partials into one.

    Raises:
        InexactTotal: their total of a measure reaches 2**53.
    """
    joined = _joined(partials)
    sums = [name for name in joined.column_names if name not in ORDER_KEYS]
    for name in sums:
        check_total(name, joined[name].to_numpy())
    grouped = joined.group_by(ORDER_KEYS, use_threads=False)
    merged = grouped.aggregate([(name, "sum") for name in sums])
    return merged.rename_columns([*ORDER_KEYS, *sums]).combine_chunks()


def finish_orders(merged: pa.Table) -> pa.Table:
    """Turn a merged order partial into ``ORDERS``, sorted by order and customer."""
    merged = merged.sort_by([(name, "ascending") for name in ORDER_KEYS])
    return _as(tables.ORDERS, _finished_sums(merged))
