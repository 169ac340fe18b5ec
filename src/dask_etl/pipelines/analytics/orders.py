"""How large orders are."""

import pandas as pd

from dask_etl.retail.parameters import Currency

from .customers import counted_as_order
from .measures import net_cents, ratio, sales, units_of


def order_summary(
    orders: pd.DataFrame,
    customers: pd.DataFrame,
    sales_cube: pd.DataFrame,
    currency: Currency,
) -> pd.DataFrame:
    """Return how many orders there are, and what one holds on average.

    Where lines do not tell their order, each is one (``counted``: ``lines``); where
    they do, those without an order are left out. Orders of nothing but returns are no
    orders, but their returns count.

    Args:
        orders: one row per order of a customer.
        customers: count orders where lines tell them.
        sales_cube: for all lines.
        currency: how many cents are in a unit.

    Returns:
        ``ORDER_SUMMARY``: one row.
    """
    counted = counted_as_order(customers)
    table = orders if counted == "orders" else sales_cube
    sums = pd.DataFrame(
        {
            "lines": table["lines"],
            **units_of(table),
            "revenue_cents": table["revenue_cents"],
            "returned_revenue_cents": table["returned_revenue_cents"],
            "net_revenue_cents": net_cents(table),
        }
    ).sum()
    sums = sums.astype("int64").to_frame().T
    count = (table["lines"] > 0).sum() if counted == "orders" else sums["lines"]
    summary = sales(sums, currency)
    summary.insert(0, "counted", counted)
    summary.insert(1, "orders", count)
    return summary.assign(
        **{
            f"{name}_per_order": ratio(summary[name], summary["orders"])
            for name in ("lines", "units", "net_revenue")
        }
    )
