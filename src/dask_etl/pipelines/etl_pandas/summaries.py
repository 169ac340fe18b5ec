"""The two summary tables that carry every analysis."""

import numpy as np
import pandas as pd
import pyarrow as pa

from dask_etl.retail.tables import SALES_CUBE
from dask_etl.retail.totals import MILLIONTHS, check_round_trip, check_total

from .cleaning import LABELS


def summarise_sales(clean: pd.DataFrame) -> pd.DataFrame:
    """Add up lines per day × region × product category.

    Returns:
        ``SALES_CUBE``, sorted by the three; days are UTC.

    Raises:
        InexactTotal: a total is too large to be exact.
    """
    keys = [
        clean["timestamp"].dt.tz_localize(None).dt.floor("D").rename("day"),
        sorted_categories(clean["region"]),
        sorted_categories(clean["product_category"]),
    ]
    sums = measures(clean).groupby(keys, observed=True).sum()
    cube = in_units(sums).reset_index()
    return cube.astype(dict.fromkeys(LABELS, "str"))[SALES_CUBE.schema.names]


def summarise_customers(clean: pd.DataFrame) -> pd.DataFrame:
    """Add up lines per customer, and list where and when each one bought.

    Returns:
        ``CUSTOMERS``, sorted by customer.

    Raises:
        InexactTotal: a total is too large to be exact.
    """
    by_customer = clean["customer_id"]
    sums = measures(clean).groupby(by_customer).sum()
    purchases = clean["timestamp"].groupby(by_customer)
    return (
        in_units(sums)
        .assign(
            first_purchase=purchases.min(),
            last_purchase=purchases.max(),
            regions=list_labels(clean, "region"),
            product_categories=list_labels(clean, "product_category"),
            months=list_months(clean),
        )
        .reset_index()
    )


def measures(clean: pd.DataFrame) -> pd.DataFrame:
    """Return what each line adds to the sums: whole numbers, all int64.

    Ratings, and quantities with decimals, are in millionths, so that their order does
    not matter; :func:`in_units` turns their sums back.
    """
    cents = (clean["revenue"] * 100).round().astype("int64")
    is_returned = clean["is_returned"]
    quantity, rating = clean["quantity"], clean["rating"]
    added = pd.DataFrame(
        {
            "lines": 1,
            **(
                {"unit_millionths": in_millionths(quantity)}
                if pd.api.types.is_float_dtype(quantity)
                else {"units": quantity}
            ),
            "revenue_cents": cents,
            "returned_lines": is_returned.astype("int64"),
            "returned_revenue_cents": cents.where(is_returned, 0),
            "rating_millionths": in_millionths(rating.fillna(0)),
            "rating_count": rating.notna().astype("int64"),
        },
        index=clean.index,
    )
    for name in added:
        check_total(name, added[name].to_numpy())
    return added


def in_millionths(numbers: pd.Series) -> pd.Series:
    """Return the nearest whole millionths."""
    return np.rint(numbers * MILLIONTHS).astype("int64")


def in_units(sums: pd.DataFrame) -> pd.DataFrame:
    """Turn sums of millionths into units and ratings."""
    told = {"unit_millionths": "units", "rating_millionths": "rating_sum"}
    for name in sums.columns.intersection([*told]):
        check_round_trip(name, sums[name].to_numpy())
        sums[name] = sums[name] / MILLIONTHS
    return sums.rename(columns=told)


def sorted_categories(labels: pd.Series) -> pd.Series:
    """Return labels as categories in alphabetical order, so that groups sort so."""
    labels = labels.astype("category")
    return labels.cat.reorder_categories(sorted(labels.cat.categories))


def list_labels(clean: pd.DataFrame, name: str) -> pd.Series:
    """List every customer's labels in one column, sorted, without repetition."""
    pairs = distinct_pairs(clean["customer_id"], sorted_categories(clean[name]))
    return to_lists(pairs["customer_id"], pa.array(pairs[name].astype("str")))


def list_months(clean: pd.DataFrame) -> pd.Series:
    """List the first days of the months in which every customer bought, sorted."""
    number = clean["year"].astype("int64") * 12 + clean["month"]
    pairs = distinct_pairs(clean["customer_id"], number.rename("number"))
    months = pd.DataFrame(
        {
            "year": (pairs["number"] - 1) // 12,
            "month": (pairs["number"] - 1) % 12 + 1,
            "day": 1,
        }
    )
    return to_lists(
        pairs["customer_id"], pa.array(pd.to_datetime(months)).cast(pa.date32())
    )


def distinct_pairs(customer_id: pd.Series, values: pd.Series) -> pd.DataFrame:
    """Return each pair of customer and value once, sorted by both."""
    pairs = pd.concat([customer_id, values], axis=1).drop_duplicates()
    return pairs.sort_values([*pairs.columns])


def to_lists(customer_id: pd.Series, values: pa.Array) -> pd.Series:
    """Gather values into one list per customer; both in the order of the customers.

    ``groupby().agg(list)`` would call Python once per customer; here the values stay
    one column, and a list is where it starts and ends.
    """
    lengths = customer_id.groupby(customer_id).size()
    offsets = pa.array([0, *lengths.cumsum()], pa.int32())
    lists = pa.ListArray.from_arrays(offsets, values)
    # Plain objects: the name of an Arrow list type in a file's metadata would keep
    # pandas from reading the file back.
    return lists.to_pandas().set_axis(lengths.index)
