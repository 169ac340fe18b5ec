"""Sales along the calendar: by month, by day, by day of the week.

The data's cover is every day from the first to the last one with a kept line.
"""

import numpy as np
import pandas as pd

from dask_etl.retail.parameters import Currency

from .measures import labels, ratio, sales, sum_by

TOTAL = -1
"""Stands for all categories together; single ones are numbered from 0, by name."""

MONTHS_FOR_SEASONALITY = 24
"""Complete months that a seasonality index needs: every calendar month twice."""


def monthly_sales(sales_cube: pd.DataFrame, currency: Currency) -> pd.DataFrame:
    """Return sales per month × category, with changes and seasonality.

    - ``is_complete``: the data cover the month from its first to its last day.
    - ``month_on_month``, ``year_on_year``: net revenue ÷ that of one (twelve) months
      before − 1; null unless both months are complete and the earlier is not 0.
    - ``seasonality_index``: mean net revenue of this calendar month ÷ mean of all
      months, complete ones only; null, ``enough_data`` false, under 24 of them.

    Returns:
        ``MONTHLY_SALES``: every month × the total (``is_total``, its category is null)
        and every category, sorted.
    """
    numbers, names = pd.factorize(labels(sales_cube["product_category"]), sort=True)
    month = _days(sales_cube).dt.to_period("M").rename("month")
    category = pd.Series(numbers, sales_cube.index, name="category")
    sums = pd.concat(
        [
            sum_by(sales_cube, [month, category]),
            sum_by(sales_cube, [month, category.mask(category >= 0, TOTAL)]),
        ]
    )
    months = cover(sales_cube).to_period("M").value_counts().sort_index()
    is_complete = months == months.index.days_in_month
    everything = pd.MultiIndex.from_product(
        [months.index, sorted(sums.index.unique("category"))],
        names=["month", "category"],
    )
    sums = sums.reindex(everything, fill_value=0)

    table = sales(sums, currency)
    table["is_complete"] = is_complete.reindex(
        everything.get_level_values("month")
    ).to_numpy(bool)
    net = sums["net_revenue_cents"].where(table["is_complete"])
    table["month_on_month"] = _change(net, months=1)
    table["year_on_year"] = _change(net, months=12)
    enough_data = bool(is_complete.sum() >= MONTHS_FOR_SEASONALITY)
    table["seasonality_index"] = _seasonality(net) if enough_data else np.nan
    table["enough_data"] = enough_data
    table = table.reset_index()
    number = table.pop("category")
    table["month"] = table["month"].dt.to_timestamp()
    table.insert(
        1, "product_category", pd.Series(names, dtype="str").reindex(number).array
    )
    table.insert(2, "is_total", number == TOTAL)
    return table


def _change(net: pd.Series, months: int) -> pd.Series:
    """Later ÷ earlier − 1 of a gapless series by month and category."""
    return ratio(net, net.groupby(level="category").shift(months)) - 1


def _seasonality(net: pd.Series) -> pd.Series:
    """Mean of the calendar month ÷ mean of all months, per category; nulls skipped."""
    category = net.index.get_level_values("category")
    calendar_month = net.index.get_level_values("month").month
    return ratio(
        net.groupby([category, calendar_month]).transform("mean"),
        net.groupby(category).transform("mean"),
    )


def daily_sales(sales_cube: pd.DataFrame, currency: Currency) -> pd.DataFrame:
    """Return sales per calendar day, days without sales included as 0.

    ``moving_average_7`` and ``_28`` are of net revenue over the day and the 6 (27)
    before it; null until there are as many days.

    Returns:
        ``DAILY_SALES``, sorted by day.
    """
    sums = _by_calendar_day(sales_cube)
    table = sales(sums, currency)
    for window in (7, 28):
        # Averaged in cents: sums of whole numbers leave no rounding error behind.
        table[f"moving_average_{window}"] = (
            sums["net_revenue_cents"].rolling(window).mean() / currency.cents
        )
    return table.reset_index()


def weekday_pattern(sales_cube: pd.DataFrame, currency: Currency) -> pd.DataFrame:
    """Return net revenue per calendar day, by day of the week.

    ``index_to_mean`` is its ratio to the mean over all calendar days of the cover.
    A day of the week that the cover lacks has no calendar days and null means.

    Returns:
        ``WEEKDAY_PATTERN``: Monday = 0 to Sunday = 6; no rows for no data.
    """
    daily = _by_calendar_day(sales_cube)
    by_weekday = daily.groupby(daily.index.day_of_week.rename("day_of_week"))
    sums = by_weekday[["lines", "net_revenue_cents"]].sum()
    sums.insert(0, "calendar_days", by_weekday.size())
    if not daily.empty:
        sums = sums.reindex(pd.RangeIndex(7, name="day_of_week"), fill_value=0)
    mean_per_day = ratio(sums["net_revenue_cents"], sums["calendar_days"])
    overall = ratio(daily["net_revenue_cents"].sum(), float(len(daily)))
    table = pd.DataFrame(
        {
            "calendar_days": sums["calendar_days"],
            "lines": sums["lines"],
            "net_revenue": sums["net_revenue_cents"] / currency.cents,
            "mean_revenue_per_day": mean_per_day / currency.cents,
            "index_to_mean": ratio(mean_per_day, overall),
        }
    ).reset_index()
    return table.astype({"day_of_week": "int8"})


def _by_calendar_day(sales_cube: pd.DataFrame) -> pd.DataFrame:
    """Sums per day of the cover, 0 where nothing was sold."""
    sums = sum_by(sales_cube, _days(sales_cube))
    return sums.reindex(cover(sales_cube), fill_value=0)


def _days(sales_cube: pd.DataFrame) -> pd.Series:
    return sales_cube["day"].astype("datetime64[s]")


def cover(sales_cube: pd.DataFrame) -> pd.DatetimeIndex:
    """Every day from the first to the last with a kept line."""
    days = _days(sales_cube)
    if days.empty:
        return pd.DatetimeIndex(days, name="day")
    return pd.date_range(days.min(), days.max(), name="day", unit="s")
