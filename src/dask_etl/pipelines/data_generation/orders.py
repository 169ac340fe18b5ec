"""What lines may be besides sales of their own: of one order, of guests, returns.

All of it stays within a block of lines, as whatever else tells what a line holds.
"""

import numpy as np

from dask_etl.pipelines.data_generation.defects import GOOD, UNKNOWN_CUSTOMER
from dask_etl.pipelines.data_generation.lines import Lines, copy_rows, transaction_ids
from dask_etl.retail.parameters import Generation

_OF_AN_ORDER = ("customer_id", "region", "timestamp")
_RETURN_DAYS = 9.0
"""Mean time between a sale and its return, where blocks of lines are long enough."""


def group_into_orders(
    mean: float, rng: np.random.Generator, lines: Lines, first: int
) -> Lines:
    """Make neighbouring lines one order: of one customer, region and moment.

    Args:
        mean: lines of an order; how many there are is geometric.
        rng: random numbers.
        lines: changed in place.
        first: number of the first line.

    Returns:
        The lines, with ``order_id``.
    """
    starts = rng.random(lines.rows) * mean < 1
    starts[:1] = True
    head = np.maximum.accumulate(np.where(starts, np.arange(lines.rows), 0))
    for side in lines:
        for name in _OF_AN_ORDER:
            side[name][:] = side[name][head]
    return Lines(
        {**lines.values, "order_id": transaction_ids(first + head)},
        {**lines.nulls, "order_id": np.zeros(lines.rows, bool)},
    )


def take_back(
    generation: Generation, rng: np.random.Generator, lines: Lines, kinds: np.ndarray
) -> None:
    """Turn good lines into returns, of negative quantity, of sales before them.

    Changes ``lines``. What comes back are the lines that ``is_returned`` says, so far as
    there is a line for it in time; afterwards it says nothing any more. A return has an
    id and a moment of its own, all else is that of the sale.
    """
    values, nulls = lines
    returned = values["is_returned"] & ~nulls["is_returned"]
    good = np.flatnonzero(kinds == GOOD)
    sale = np.flatnonzero(returned[good])
    days = (generation.end - generation.start).days + 1
    mean = min(_RETURN_DAYS * generation.rows / days, lines.rows / 4)
    later = sale + 1 + rng.exponential(mean, len(sale)).astype(np.int64)
    # Each line is the return of one sale at most, and no sale that comes back itself.
    later, chosen = np.unique(later, return_index=True)
    inside = later < len(good)
    sale, at = good[sale[chosen[inside]]], good[later[inside]]
    fits = ~returned[at] & (values["timestamp"][sale] < values["timestamp"][at])
    sale, at = sale[fits], at[fits]
    copy_rows(lines, sale, lines, at, keep=("transaction_id", "timestamp"))
    values["quantity"][at] *= -1
    values["is_returned"][:] = False


def hide_guests(
    share: float, rng: np.random.Generator, lines: Lines, kinds: np.ndarray
) -> None:
    """Make customers of good lines unknown, order by order where there are orders.

    Changes ``kinds``: such a line is one that misses its customer.
    """
    if "order_id" in lines.values:
        _, order = np.unique(lines.values["order_id"], return_inverse=True)
    else:
        order = np.arange(lines.rows)
    is_guest = rng.random(lines.rows)[order] < share
    kinds[is_guest & (kinds == GOOD)] = UNKNOWN_CUSTOMER
