"""What is known of a sale line: gaps filled, money, price category, calendar."""

import numpy as np
import pandas as pd

from dask_etl.retail.parameters import Calendar, Cleaning, Currency, Features
from dask_etl.retail.schema import PRICE_CATEGORIES, UNKNOWN

from .cleaning import LABELS, ORIGIN, finite, is_blank


def enrich(
    kept: pd.DataFrame,
    cleaning: Cleaning,
    features: Features,
    calendar: Calendar,
    currency: Currency,
) -> pd.DataFrame:
    """Fill in what kept rows lack and add the features.

    - ``net_amount`` = amount × (1 − discount), unrounded;
    - ``revenue`` = net_amount × quantity in whole cents, rounded half to even; with
      ``revenue: total``, where a line has a total, that is its revenue, and
      ``net_amount`` is its part for one unit;
    - ``price_category`` by ``amount``, upper bounds included;
    - ``year``, ``month``, ``quarter``, ``day_of_week`` (Monday = 0), local time.

    Returns:
        ``CLEAN_TRANSACTIONS``, in raw order.
    """
    lines = fill_missing(kept.drop(columns=ORIGIN), cleaning)
    net_amount = lines["amount"] * (1 - lines["discount"])
    cents = revenue_cents(net_amount, lines["quantity"], currency)
    if cleaning.revenue == "total":
        total = lines["line_total"]
        net_amount = (total / lines["quantity"]).where(total.notna(), net_amount)
        cents = np.rint(total * currency.cents).where(total.notna(), cents)
    sold = local_time(lines["timestamp"], calendar).dt
    return lines.assign(
        net_amount=net_amount,
        revenue=cents / currency.cents,
        price_category=pd.cut(
            lines["amount"],
            bins=[-np.inf, *features.price_bounds, np.inf],
            labels=list(PRICE_CATEGORIES),
            ordered=False,
        ),
        year=sold.year.astype("int16"),
        month=sold.month.astype("int8"),
        quarter=sold.quarter.astype("int8"),
        day_of_week=sold.day_of_week.astype("int8"),
    ).reset_index(drop=True)


def local_time(moments: pd.Series, calendar: Calendar) -> pd.Series:
    """Return what the clocks of the shop show, without a zone."""
    return moments.dt.tz_convert(calendar.timezone).dt.tz_localize(None)


def fill_missing(kept: pd.DataFrame, cleaning: Cleaning) -> pd.DataFrame:
    """Give optional columns their default; ``rating`` stays null, as ±inf becomes.

    Where lines of negative quantity tell of returns, a line is returned if it is one.
    """
    quantity = kept["quantity"].astype("float64")
    is_returned = kept["is_returned"].fillna(False).astype(bool)
    if cleaning.returns == "negative_lines":
        is_returned = quantity < 0
    lines = kept.assign(
        discount=finite(kept["discount"]).fillna(0),
        rating=finite(kept["rating"]),
        is_returned=is_returned,
        quantity=quantity.astype("int64") if cleaning.quantity == "whole" else quantity,
        **{name: kept[name].fillna(UNKNOWN).astype("category") for name in LABELS},
    )
    for name in lines.columns.intersection(["customer_id", "order_id"]):
        lines[name] = lines[name].mask(is_blank(lines[name]))
    if "line_total" in lines:
        lines["line_total"] = finite(lines["line_total"])
    # Integers that are all there need no room for nulls any more.
    ids = lines[["transaction_id", "customer_id"]].select_dtypes("Int64")
    full = [name for name in ids if ids[name].notna().all()]
    return lines.astype(dict.fromkeys(full, "int64"))


def revenue_cents(
    net_amount: pd.Series, quantity: pd.Series, currency: Currency
) -> pd.Series:
    """Return the revenue of each line in whole cents, still float64."""
    return np.rint(net_amount * quantity * currency.cents)
