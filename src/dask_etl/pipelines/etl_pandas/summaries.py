"""The summary tables that carry every analysis."""

import numpy as np
import pandas as pd
import pyarrow as pa

from dask_etl.retail.parameters import Calendar, Currency
from dask_etl.retail.tables import ORDERS, SALES_CUBE
from dask_etl.retail.totals import MILLIONTHS, check_round_trip, check_total

from .cleaning import LABELS
from .enrichment import local_time


def summarise_sales(
    clean: pd.DataFrame, calendar: Calendar, currency: Currency
) -> pd.DataFrame:
    """Add up lines per day × region × product category.

    Returns:
        ``SALES_CUBE``, sorted by the three; days are local.

    Raises:
        InexactTotal: a total is too large to be exact.
    """
    keys = [
        local_time(clean["timestamp"], calendar).dt.floor("D").rename("day"),
        sorted_categories(clean["region"]),
        sorted_categories(clean["product_category"]),
    ]
    sums = measures(clean, currency).groupby(keys, observed=True).sum()
    cube = in_units(sums).reset_index()
    return cube.astype(dict.fromkeys(LABELS, "str"))[SALES_CUBE.schema.names]


def summarise_customers(clean: pd.DataFrame, currency: Currency) -> pd.DataFrame:
    """Add up lines per customer, and list where and when each one bought.

    Lines of nobody known are left out. Who only returned something has bought nothing:
    no first purchase, no regions.

    Returns:
        ``CUSTOMERS``, sorted by customer.

    Raises:
        InexactTotal: a total is too large to be exact.
    """
    sums = measures(clean, currency).groupby(clean["customer_id"]).sum()
    bought = clean[(clean["quantity"] > 0) & clean["customer_id"].notna()]
    purchases = bought["timestamp"].groupby(bought["customer_id"])
    # Its customer's place in the table, for every line.
    place = sums.index.get_indexer(bought["customer_id"])
    customers = in_units(sums).assign(
        first_purchase=purchases.min(),
        last_purchase=purchases.max(),
        regions=list_labels(bought["region"], place, sums.index),
        product_categories=list_labels(bought["product_category"], place, sums.index),
        months=list_months(bought, place, sums.index),
    )
    if "order_id" in clean:
        orders = bought["order_id"].groupby(bought["customer_id"]).nunique()
        customers["orders"] = orders.reindex(sums.index, fill_value=0).astype("int64")
    customers = customers.reset_index()
    # Customers are known, so their numbers need no room for nulls.
    numbers = customers[["customer_id"]].select_dtypes("Int64")
    return customers.astype(dict.fromkeys(numbers, "int64"))


def summarise_orders(clean: pd.DataFrame, currency: Currency) -> pd.DataFrame:
    """Add up lines per order, which is an ``order_id`` of one customer or of nobody known.

    Returns:
        ``ORDERS``, sorted by order and customer; empty where lines have no orders.

    Raises:
        InexactTotal: a total is too large to be exact.
    """
    names = ORDERS.schema.names
    if "order_id" not in clean:
        nothing = clean.iloc[:0].assign(order_id=pd.Series(dtype="int64"))
        return summarise_orders(nothing, currency)
    keys = [clean["order_id"], clean["customer_id"]]
    sums = measures(clean, currency).groupby(keys, dropna=False).sum()
    orders = in_units(sums).reset_index()
    orders = orders[orders["order_id"].notna()].sort_values(["order_id", "customer_id"])
    return orders[names].reset_index(drop=True)


def measures(clean: pd.DataFrame, currency: Currency) -> pd.DataFrame:
    """Return what each line adds to the sums: whole numbers, all int64.

    Ratings, and quantities with decimals, are in millionths, so that their order does
    not matter; :func:`in_units` turns their sums back. A line of negative quantity is a
    return, and no sale.
    """
    cents = (clean["revenue"] * currency.cents).round().astype("int64")
    is_sale, is_returned = clean["quantity"] > 0, clean["is_returned"]
    units, quantity = "units", clean["quantity"]
    if pd.api.types.is_float_dtype(quantity):
        units, quantity = "unit_millionths", in_millionths(quantity)
    rating = clean["rating"].where(is_sale)
    added = pd.DataFrame(
        {
            "lines": is_sale.astype("int64"),
            units: quantity.where(is_sale, 0),
            "revenue_cents": cents.where(is_sale, 0),
            "returned_lines": is_returned.astype("int64"),
            f"returned_{units}": quantity.abs().where(is_returned, 0),
            "returned_revenue_cents": cents.abs().where(is_returned, 0),
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
    told = {
        "unit_millionths": "units",
        "returned_unit_millionths": "returned_units",
        "rating_millionths": "rating_sum",
    }
    for name in sums.columns.intersection([*told]):
        check_round_trip(name, sums[name].to_numpy())
        sums[name] = sums[name] / MILLIONTHS
    return sums.rename(columns=told)


def sorted_categories(labels: pd.Series) -> pd.Series:
    """Return labels as categories in alphabetical order, so that groups sort so."""
    labels = labels.astype("category")
    return labels.cat.reorder_categories(sorted(labels.cat.categories))


def list_labels(labels: pd.Series, place: np.ndarray, customers: pd.Index) -> pd.Series:
    """List every customer's labels, sorted, without repetition."""
    labels = sorted_categories(labels)
    known = pa.array(labels.cat.categories.astype("str"))
    return to_lists(labels.cat.codes.to_numpy(), known, place, customers)


def list_months(
    bought: pd.DataFrame, place: np.ndarray, customers: pd.Index
) -> pd.Series:
    """List the first days of the months in which every customer bought, sorted."""
    number = (bought["year"].astype("int64") - 1970) * 12 + bought["month"] - 1
    codes, months = pd.factorize(number.to_numpy(), sort=True)
    days = pa.array(months.astype("datetime64[M]").astype("datetime64[D]"))
    return to_lists(codes, days, place, customers)


def to_lists(
    codes: np.ndarray, values: pa.Array, place: np.ndarray, customers: pd.Index
) -> pd.Series:
    """Gather each customer's values into one list, sorted, without repetition.

    ``groupby().agg(list)`` would call Python once per customer; here the values stay
    one column, and a list is where it starts and ends.

    Args:
        codes: of the value of every line, by its place in ``values``.
        values: all there are, sorted.
        place: of the customer of every line in ``customers``.
        customers: whose lists they are, in this order.
    """
    # A pair of customer and value is one number: to compare two columns takes longer.
    width = max(len(values), 1)
    pairs = np.sort(pd.unique(place * width + codes))
    owner, code = np.divmod(pairs, width)
    lengths = np.bincount(owner, minlength=len(customers))
    offsets = pa.array([0, *lengths.cumsum()], pa.int32())
    lists = pa.ListArray.from_arrays(offsets, values.take(pa.array(code)))
    # Plain objects: the name of an Arrow list type in a file's metadata would keep
    # pandas from reading the file back.
    return lists.to_pandas().set_axis(customers)
