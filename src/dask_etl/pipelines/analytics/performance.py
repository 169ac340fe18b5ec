"""How regions and product categories do."""

import pandas as pd

from dask_etl.retail.parameters import Currency
from dask_etl.retail.totals import MILLIONTHS

from .measures import Sums, flatten, labels, ratio, sales, sum_by


def region_performance(
    sales_cube: pd.DataFrame, customers: pd.DataFrame, currency: Currency
) -> pd.DataFrame:
    """Return sales, returns, ratings and distinct customers per region.

    Args:
        sales_cube: lines, units, cents per day × region × category.
        customers: one row per customer; ``regions`` lists where they bought.
        currency: how many cents are in a unit.

    Returns:
        ``REGION_PERFORMANCE``, sorted by region.
    """
    sums = sum_by(sales_cube, labels(sales_cube["region"]))
    return _performance(sums, customers["regions"], currency).reset_index()


def category_performance(
    sales_cube: pd.DataFrame, customers: pd.DataFrame, currency: Currency
) -> pd.DataFrame:
    """Return the same measures per product category, ranked by net revenue.

    ``rank`` gives equal net revenues the smallest rank; ``cumulative_share`` is the
    share of net revenue of this and all categories before it.

    Returns:
        ``CATEGORY_PERFORMANCE``, sorted by rank, then category.
    """
    sums = sum_by(sales_cube, labels(sales_cube["product_category"]))
    table = _performance(sums, customers["product_categories"], currency)
    net = sums["net_revenue_cents"]
    table["rank"] = net.rank(method="min", ascending=False).astype("int64")
    table = table.sort_values(["rank", "product_category"])
    # In whole cents, so that the last share is 1 and not almost 1.
    table["cumulative_share"] = ratio(net.reindex(table.index).cumsum(), net.sum())
    return table.reset_index()


def _performance(sums: Sums, bought_in: pd.Series, currency: Currency) -> pd.DataFrame:
    """Measures per label; ``bought_in`` lists each customer's labels, none twice."""
    table = sales(sums, currency)
    net = sums["net_revenue_cents"]
    table["net_revenue_share"] = ratio(net, net.sum())
    table["average_line_revenue"] = ratio(table["net_revenue"], table["lines"])
    table["unique_customers"] = _count(bought_in, sums.index)
    table["return_rate_lines"] = ratio(sums["returned_lines"], sums["lines"])
    table["return_rate_value"] = ratio(
        sums["returned_revenue_cents"], sums["revenue_cents"]
    )
    table["average_rating"] = ratio(
        sums["rating_millionths"] / MILLIONTHS, sums["rating_count"]
    )
    return table


def _count(lists: pd.Series, index: pd.Index) -> pd.Series:
    """Count the lists that hold each label of ``index``."""
    values, _ = flatten(lists)
    counts = pd.Series(values, dtype=object).value_counts()
    return counts.reindex(index.astype(object), fill_value=0).set_axis(index)
