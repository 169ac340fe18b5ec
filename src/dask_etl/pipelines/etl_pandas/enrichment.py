"""What is known of a sale line: gaps filled, money, price category, calendar."""

import numpy as np
import pandas as pd

from dask_etl.retail.parameters import Cleaning, Features
from dask_etl.retail.schema import PRICE_CATEGORIES, UNKNOWN

from .cleaning import LABELS, ORIGIN, finite


def enrich(kept: pd.DataFrame, cleaning: Cleaning, features: Features) -> pd.DataFrame:
    """Fill in what kept rows lack and add the features.

    - ``net_amount`` = amount × (1 − discount), unrounded;
    - ``revenue`` = net_amount × quantity in whole cents, rounded half to even;
    - ``price_category`` by ``amount``, upper bounds included;
    - ``year``, ``month``, ``quarter``, ``day_of_week`` (Monday = 0), UTC.

    Returns:
        ``CLEAN_TRANSACTIONS``, in raw order.
    """
    lines = fill_missing(kept.drop(columns=ORIGIN), cleaning)
    net_amount = lines["amount"] * (1 - lines["discount"])
    cents = revenue_cents(net_amount, lines["quantity"])
    sold = lines["timestamp"].dt
    return lines.assign(
        net_amount=net_amount,
        revenue=cents / 100,
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


def fill_missing(kept: pd.DataFrame, cleaning: Cleaning) -> pd.DataFrame:
    """Give optional columns their default; ``rating`` stays null, as ±inf becomes."""
    quantity = kept["quantity"].astype("float64")
    lines = kept.assign(
        discount=finite(kept["discount"]).fillna(0),
        rating=finite(kept["rating"]),
        is_returned=kept["is_returned"].fillna(False).astype(bool),
        quantity=quantity.astype("int64") if cleaning.quantity == "whole" else quantity,
        **{name: kept[name].fillna(UNKNOWN).astype("category") for name in LABELS},
    )
    # Kept rows have ids, so their integers need no room for nulls any more.
    ids = lines[["transaction_id", "customer_id"]].select_dtypes("Int64")
    return lines.astype(dict.fromkeys(ids, "int64"))


def revenue_cents(net_amount: pd.Series, quantity: pd.Series) -> pd.Series:
    """Return the revenue of each line in whole cents, still float64."""
    return np.rint(net_amount * quantity * 100)
