"""Finished summaries turned back into the partials that they were made from.

They hold whole numbers, and quotients from which these can be told exactly, so a run
adds to the tables of the run before as if it had read all rows itself.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dask_etl.retail.sets import sets_of
from dask_etl.retail.summaries import (
    CUBE_KEYS,
    JOINED,
    ORDER_KEYS,
    SUMS,
    TOLD_SUMS,
    Domain,
    distinct_orders,
    encode,
    members_of,
)
from dask_etl.retail.totals import MILLIONTHS
from dask_etl.storage.arrays import as_array


def cube_partial_of(cube: pa.Table, domain: Domain) -> pa.Table:
    """Turn ``SALES_CUBE`` rows back into a cube partial.

    Args:
        cube: the rows.
        domain: has all their labels.
    """
    _, *labels = CUBE_KEYS
    return pa.table(
        {
            "day": cube["day"].cast(pa.int32()),
            **{name: _codes(cube[name], domain.labels[name]) for name in labels},
            **_sums_of(cube),
        }
    )


def customers_partial_of(
    customers: pa.Table, domain: Domain, order_id: pa.DataType | None = None
) -> pa.Table:
    """Turn ``CUSTOMERS`` rows back into a customer partial.

    Args:
        customers: the rows.
        domain: has all their labels and months.
        order_id: type of the ids of orders, where lines tell theirs. The partial has
            none: which they were is in :func:`buyers_partial_of`.
    """
    columns = {
        "customer_id": customers["customer_id"],
        **_sums_of(customers),
        **{
            name: customers[f"{name}_purchase"].cast(pa.int64()).fill_null(start)
            for name, (start, _) in JOINED.items()
        },
        **{
            name: _set(as_array(customers[name]), members)
            for name, members in members_of(domain).items()
        },
    }
    if order_id is not None:
        columns["orders"] = pa.array([[]] * len(customers), pa.list_(order_id))
    return pa.table(columns)


def orders_partial_of(orders: pa.Table) -> pa.Table:
    """Turn ``ORDERS`` rows back into an order partial."""
    keys = {name: orders[name] for name in ORDER_KEYS}
    return pa.table({**keys, **_sums_of(orders)})


def buyers_partial_of(orders: pa.Table, domain: Domain) -> pa.Table:
    """Turn ``ORDERS`` rows into a customer partial of nothing but who gave which order.

    Args:
        orders: the rows.
        domain: as for the other customer partials.
    """
    is_sale = pc.and_(orders["customer_id"].is_valid(), pc.greater(orders["lines"], 0))
    sold = orders.filter(is_sale)
    codes, ids = encode(as_array(sold["customer_id"]))
    nobody, nothing = np.empty(0, np.int64), np.zeros(len(ids), np.int64)
    sums = [*_sums_of(orders), "rating_millionths", "rating_count"]
    return pa.table(
        {
            "customer_id": ids,
            **dict.fromkeys(sums, nothing),
            **{name: np.full(len(ids), start) for name, (start, _) in JOINED.items()},
            **{
                name: sets_of(nobody, nobody, len(ids), len(members))
                for name, members in members_of(domain).items()
            },
            "orders": distinct_orders(codes, as_array(sold["order_id"]), len(ids)),
        }
    )


def _sums_of(table: pa.Table) -> dict[str, pa.ChunkedArray]:
    """Take the sums of a finished table, in whole numbers."""
    found = {name: table[name] for name in table.column_names}
    for millionths, told in TOLD_SUMS.items():
        if told in found and pa.types.is_floating(found[told].type):
            whole = np.rint(found[told].to_numpy() * MILLIONTHS)
            found[millionths] = pa.chunked_array([whole.astype(np.int64)])
            del found[told]
    return {name: found[name] for name in SUMS if name in found}


def _codes(labels: pa.ChunkedArray, known: pa.Array) -> pa.Array:
    encoded = as_array(labels)
    if not pa.types.is_dictionary(encoded.type):
        return pc.index_in(encoded, known)
    return pc.index_in(encoded.dictionary, known).take(encoded.indices)


def _set(lists: pa.ListArray, members: pa.Array) -> pa.Array:
    """Turn lists of names back into sets of their numbers."""
    groups = np.repeat(np.arange(len(lists)), lists.value_lengths().to_numpy())
    numbers = pc.index_in(lists.flatten(), members).to_numpy(zero_copy_only=False)
    return sets_of(groups, numbers.astype(np.int32), len(lists), len(members))
