"""Who buys: segments, loyalty, concentration."""

import numpy as np
import pandas as pd

from dask_etl.retail.parameters import Currency, Segments
from dask_etl.retail.segments import percent_rank_scores, segment_names

from .measures import flatten, net_cents, ratio
from .time_series import cover


def buyers(customers: pd.DataFrame) -> pd.DataFrame:
    """Leave out who has only returned something."""
    return customers[customers["lines"] > 0]


def counted_as_order(customers: pd.DataFrame) -> str:
    """Return the column that counts orders: lines, where they do not tell theirs."""
    return "orders" if "orders" in customers else "lines"


def customer_segments(
    customers: pd.DataFrame,
    row_ledger: pd.DataFrame,
    segments: Segments,
    currency: Currency,
) -> pd.DataFrame:
    """Score every customer by recency, frequency and monetary value (RFM).

    A score is 1 + floor(5·k/n) with *k* of the *n* customers strictly worse: larger
    ``recency_days``, smaller ``frequency``, smaller ``monetary``.

    Args:
        customers: one row per customer, in any order.
        row_ledger: its ``as_of`` is the moment that recency counts back from.
        segments: names by scores; the first rule that fits.
        currency: how many cents are in a unit.

    Returns:
        ``CUSTOMER_SEGMENTS``, sorted by customer; ``recency_days`` in whole
        days, ``frequency`` in orders where lines tell them, else in lines,
        ``monetary`` = net revenue in currency units.
    """
    customers = buyers(customers)
    frequency = customers[counted_as_order(customers)]
    since_last = row_ledger["as_of"].max() - customers["last_purchase"]
    recency_days = since_last.dt.days.astype("int64")
    monetary_cents = net_cents(customers)
    scores = {
        # More days are worse. Days, as reported, not moments: equal ones are ties.
        "recency_score": percent_rank_scores(-recency_days.to_numpy()),
        "frequency_score": percent_rank_scores(frequency.to_numpy()),
        "monetary_score": percent_rank_scores(monetary_cents.to_numpy()),
    }
    table = pd.DataFrame(
        {
            "customer_id": customers["customer_id"],
            "recency_days": recency_days,
            "frequency": frequency,
            "monetary": monetary_cents / currency.cents,
            **scores,
            "segment": segment_names(
                scores["recency_score"],
                scores["frequency_score"],
                scores["monetary_score"],
                segments,
            ),
        }
    )
    return table.sort_values("customer_id", ignore_index=True)


def segment_summary(
    customer_segments: pd.DataFrame, customers: pd.DataFrame, currency: Currency
) -> pd.DataFrame:
    """Return size, value and average behaviour of each segment.

    Args:
        customer_segments: one row per customer, sorted by customer.
        customers: the same customers in any order, for their money in whole cents.
        currency: how many cents are in a unit.

    Returns:
        ``SEGMENT_SUMMARY``, sorted by segment; averages are per customer,
        money in currency units.
    """
    in_order = buyers(customers).sort_values("customer_id")
    sums = (
        customer_segments.assign(customers=1, cents=net_cents(in_order).to_numpy())
        .groupby("segment", observed=True)[
            ["customers", "recency_days", "frequency", "cents"]
        ]
        .sum()
    )
    size = sums["customers"]
    net_revenue = sums["cents"] / currency.cents
    return pd.DataFrame(
        {
            "customers": size,
            "customer_share": size / size.sum(),
            "net_revenue": net_revenue,
            "net_revenue_share": ratio(sums["cents"], sums["cents"].sum()),
            "average_recency_days": sums["recency_days"] / size,
            "average_frequency": sums["frequency"] / size,
            "average_monetary": net_revenue / size,
        }
    ).reset_index()


def cohort_retention(sales_cube: pd.DataFrame, customers: pd.DataFrame) -> pd.DataFrame:
    """Return the share of each cohort that buys again, month by month.

    A cohort is the customers whose first sale line falls in one calendar month;
    ``retention`` = those of them with a sale line ``months_since`` later ÷
    ``cohort_size``. Null after the last month of the data. ``is_complete``: the data
    cover that month from its first to its last day; what is not complete says little.

    Args:
        sales_cube: its days are what the data cover.
        customers: one row per customer; ``months`` lists when they bought.

    Returns:
        ``COHORT_RETENTION``: every cohort × 0 … months of the data − 1.
    """
    months, lengths = flatten(buyers(customers)["months"])
    months = _month_numbers(months)
    # The months of a customer are in their order.
    first = months[np.cumsum(lengths) - lengths]
    cohorts, cohort_of, sizes = np.unique(
        first, return_inverse=True, return_counts=True
    )
    days = cover(sales_cube)
    first_month, last_month = (
        _month_numbers(days[[0, -1]].to_numpy()) if len(days) else (0, -1)
    )
    horizon = int(last_month - first_month) + 1 if len(cohorts) else 0
    # One cell per cohort and month since; customers list a month once, so counting
    # entries counts customers.
    cells = np.repeat(cohort_of * horizon - first, lengths) + months
    active = np.bincount(cells, minlength=len(cohorts) * horizon)

    cohort = np.repeat(cohorts, horizon)
    months_since = np.tile(np.arange(horizon, dtype=np.int64), len(cohorts))
    begin, end = _complete_months(days)
    table = pd.DataFrame(
        {
            "cohort": pd.Series(cohort.astype("datetime64[M]").astype("datetime64[s]")),
            "months_since": months_since,
            "is_complete": (cohort + months_since >= begin)
            & (cohort + months_since < end),
            "cohort_size": np.repeat(sizes, horizon),
            "active_customers": pd.Series(active, dtype="Int64").where(
                cohort + months_since <= last_month
            ),
        }
    )
    retention = table["active_customers"] / table["cohort_size"]
    return table.assign(retention=retention.astype("Float64"))


def _complete_months(days: pd.DatetimeIndex) -> tuple[int, int]:
    """First month that the data cover whole, and the first after them that it does not."""
    if days.empty:
        return 0, 0
    first, last = days[[0, -1]].to_numpy().astype("datetime64[D]")
    # A month is whole if the day before it, and its last day, are not cut off.
    return int(_month_numbers(first - 1)) + 1, int(_month_numbers(last + 1))


def _month_numbers(moments: np.ndarray) -> np.ndarray:
    """Months since January 1970."""
    return moments.astype("datetime64[M]").astype(np.int64)


def customer_summary(customers: pd.DataFrame, currency: Currency) -> pd.DataFrame:
    """Return number, loyalty and inequality of the customers.

    - ``repeat_purchase_rate``: customers with two or more orders ÷ customers; what
      is an order, ``counted`` says: ``orders`` where lines tell them, else ``lines``.
    - ``average_revenue_per_customer``: net revenue, currency units.
    - ``gini``: of net revenue, see :func:`gini`.
    - ``top_20_percent_share``: net revenue of the ceil(n/5) best ÷ that of all.

    Returns:
        ``CUSTOMER_SUMMARY``: one row; without customers, 0 and nulls.
    """
    customers = buyers(customers)
    counted = counted_as_order(customers)
    net = np.sort(net_cents(customers).to_numpy())
    n, total = len(net), int(net.sum())
    best = -(-n // 5)
    return pd.DataFrame(
        {
            "customers": [n],
            "counted": [counted],
            "repeat_purchase_rate": [
                (customers[counted] >= 2).sum() / n if n else np.nan
            ],
            "average_revenue_per_customer": [
                total / currency.cents / n if n else np.nan
            ],
            "gini": [gini(net)],
            "top_20_percent_share": [
                int(net[n - best :].sum()) / total if total else np.nan
            ],
        }
    ).astype({"customers": "int64"})


def gini(cents: np.ndarray) -> float:
    """Gini coefficient of whole amounts, those below 0 counted as 0.

    Σᵢ(2i − n − 1)·xᵢ / (n·Σxᵢ) with x ascending, i from 1: 0 = all equal, towards
    1 = one has everything; NaN if there is nothing.

    Args:
        cents: int64, ascending.
    """
    cumulative = np.cumsum(np.maximum(cents, 0))
    n, total = len(cumulative), int(cumulative.max(initial=0))
    if not total:
        return np.nan
    # Σ i·xᵢ = (n + 1)·Σxᵢ − Σ(cumulative sums), which may pass 2**63: added up in
    # two halves, and exact, it is the same on every machine.
    high, low = cumulative >> 32, cumulative & 0xFFFF_FFFF
    area = (int(high.sum()) << 32) + int(low.sum())
    return ((n + 1) * total - 2 * area) / (n * total)
